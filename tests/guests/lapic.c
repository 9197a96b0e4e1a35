/* SPDX-License-Identifier: BSD-2-Clause */
/* See lapic.h. */
#include "tests/guests/lapic.h"

#include "tests/guests/trap.h"

#define MSR_APIC_BASE	0x1bu
#define BASE_X2		0x400u
#define SVR_ON		0x1ffu
#define ICR_SELF	(1u << 18)
#define DIVIDE_BY_1	0xbu

volatile uint64_t lapic_stamp;
static bool x2;

/* Who waits expects that RAX and RDX are lost, so that nothing comes before the first RDTSC. */
static __attribute__((naked)) void handler(void)
{
	__asm__ volatile("rdtsc\n\tmov %eax, lapic_stamp\n\tmov %edx, lapic_stamp + 4\n\tiretq");
}

static void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

void lapic_write(unsigned reg, uint64_t value)
{
	if (x2) {
		wrmsr(APIC_MSR(reg), value);
	} else {
		*(volatile uint32_t *)(uint64_t)(APIC_PAGE + reg) = (uint32_t)value;
	}
}

void lapic_start(void)
{
	trap_set_gate(APIC_VECTOR, handler, 0, 0);
	lapic_write(APIC_SVR, SVR_ON);
	lapic_write(APIC_DIVIDE, DIVIDE_BY_1);
}

void lapic_enter_x2(void)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_APIC_BASE));
	wrmsr(MSR_APIC_BASE, (uint64_t)high << 32 | low | BASE_X2);
	x2 = true;
}

void lapic_eoi(void)
{
	lapic_write(APIC_EOI, 0);
}

void lapic_set_timer(uint32_t mode)
{
	lapic_write(APIC_LVT_TIMER, mode | APIC_VECTOR);
	if (mode == APIC_DEADLINE) {
		__asm__ volatile("mfence");	/* SDM 3A 11.5.4.1: the LVT's write comes first */
	}
}

void lapic_set_deadline(uint64_t tsc)
{
	wrmsr(APIC_MSR_DEADLINE, tsc);
}

void lapic_self_ipi(void)
{
	lapic_stamp = 0;
	lapic_write(APIC_ICR, ICR_SELF | APIC_VECTOR);
	lapic_run();
}

void lapic_run(void)
{
	__asm__ volatile("sti\n1:\tcmpl $0, %0\n\tje 1b\n\tcli" : : "m"(lapic_stamp)
			 : "rax", "rdx", "memory");
}

void lapic_halt(void)
{
	/* A halt may end for another reason; what has come before it does not end it again. */
	__asm__ volatile("1:\tsti\n\thlt\n\tcli\n\tcmpl $0, %0\n\tje 1b" : : "m"(lapic_stamp)
			 : "rax", "rdx", "memory");
}
