/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: interrupts by the local APIC in both modes, IPIs, EOI, TPR and CR8, of which an APIC
 * that the cpu virtualizes exits for none but the xAPIC's IPIs. `stats` says what they cost.
 */
#include "tests/guests/trap.h"

#define LAPIC      0xfee00000ul
#define REG_TPR    0x80u
#define REG_PPR    0xa0u
#define REG_SVR    0xf0u
#define REG_IRR    0x200u
#define REG_ICR    0x300u
#define MSR_BASE   0x1bu
#define MSR_X2APIC 0x800u
#define MSR_SELF   0x83fu
#define VECTOR     0xa1u
#define ROUNDS     1000u

static uint32_t get(bool x2, unsigned offset)
{
	uint32_t low, high;

	if (!x2) {
		return *(volatile uint32_t *)(LAPIC + offset);
	}
	__asm__ volatile("rdmsr"
			 : "=a"(low), "=d"(high)
			 : "c"(MSR_X2APIC + offset / 16)
			 : "memory");
	return low;
}

static void set(bool x2, unsigned offset, uint32_t v)
{
	if (x2) {
		__asm__ volatile("wrmsr"
				 :
				 : "c"(MSR_X2APIC + offset / 16), "a"(v), "d"(0)
				 : "memory");
	} else {
		*(volatile uint32_t *)(LAPIC + offset) = v;
	}
}

static void write_cr8(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"(v) : "memory");
}

static uint64_t read_cr8(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr8, %0" : "=r"(v) : : "memory");
	return v;
}

static uint64_t taken(void)
{
	return *(volatile uint64_t *)&trap_counts[VECTOR];
}

static void self_ipi(bool x2)
{
	if (x2) {
		set(x2, 0x3f0, VECTOR);
	} else {
		set(x2, REG_ICR, 0x40000 | VECTOR);
	}
}

static void round_of(bool x2)
{
	uint64_t before = taken();

	set(x2, REG_SVR, 0x1ff);
	guest_sti();
	for (unsigned i = 0; i < ROUNDS; i++) {
		self_ipi(x2);
		attack_check(taken() == before + i + 1, "self-IPIs taken at once", i,
			     taken() - before);
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		write_cr8(0xa);
		self_ipi(x2);
		attack_check(taken() == before + ROUNDS + i, "an IPI held back by CR8", i, taken());
		attack_check(get(x2, REG_TPR) == 0xa0 && read_cr8() == 0xa, "TPR after CR8", i,
			     get(x2, REG_TPR));
		attack_check(get(x2, REG_IRR + VECTOR / 32 * 16) == 1u << VECTOR % 32, "IRR", i,
			     get(x2, REG_IRR + VECTOR / 32 * 16));
		set(x2, REG_TPR, 0x90);
		attack_check(taken() == before + ROUNDS + i + 1, "the IPI after TPR", i, taken());
		attack_check(get(x2, REG_PPR) == 0x90 && read_cr8() == 9, "PPR after TPR", i,
			     get(x2, REG_PPR));
		write_cr8(0);
	}
	guest_cli();
}

void guest_main(const void *start_info)
{
	(void)start_info;
	trap_init();
	trap_passive = 1;
	guest_out8(0x21, 0xff); /* the 8259s stay out of it */
	guest_out8(0xa1, 0xff);
	attack_step("xAPIC");
	round_of(false);
	attack_step("x2APIC");
	__asm__ volatile("wrmsr"
			 :
			 : "c"(MSR_BASE), "a"((uint32_t)LAPIC | 0xd00), "d"(0)
			 : "memory");
	trap_x2apic = 1;
	round_of(true);
	attack_done("apic");
}
