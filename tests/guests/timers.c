/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: when its timers' handlers run, against when they were asked to, alone and while it
 * exits all the time. Nothing may be early; how late the latest was is printed, in TSC ticks. With
 * `halt` on the command line: a second of HLTs instead.
 */
#include "tests/guests/trap.h"

#define LAPIC        0xfee00000ul
#define REG_EOI      0xb0u
#define REG_SVR      0xf0u
#define REG_TIMER    0x320u
#define REG_INITIAL  0x380u
#define REG_DIVIDE   0x3e0u
#define LVT_MASKED   0x10000u
#define PERIODIC     (1u << 17)
#define TSC_DEADLINE (2u << 17)
#define MSR_DEADLINE 0x6e0u
#define VECTOR       0xb1u
#define VECTOR_PIT   0x20u
#define PIT_HZ       1193182u
#define ROUNDS       100u

static volatile uint64_t seen[ROUNDS + 1];
static volatile unsigned seen_count;
static uint64_t tsc_hz, tsc_per_tick; /* of the APIC timer undivided */

static void set(unsigned offset, uint32_t v)
{
	*(volatile uint32_t *)(LAPIC + offset) = v;
}

static void note(void)
{
	uint64_t now = guest_tsc();

	if (seen_count <= ROUNDS) {
		seen[seen_count] = now;
	}
	seen_count++;
}

static __attribute__((interrupt)) void on_apic(void *frame)
{
	(void)frame;
	note();
	set(REG_EOI, 0);
}

static __attribute__((interrupt)) void on_pit(void *frame)
{
	(void)frame;
	note();
	guest_out8(0x20, 0x20);
}

static void wait(unsigned count, bool storm)
{
	uint64_t end = guest_tsc() + tsc_hz;

	while (seen_count < count && guest_tsc() < end) {
		if (storm) {
			(void)guest_cpuid(0x40000000, 0);
			(void)guest_in8(0x61);
			guest_out8(0x80, 0);
			set(REG_DIVIDE, 0xb);
		}
	}
	guest_cli();
	attack_check(seen_count == count, "interrupts", count, seen_count);
}

static void start(void)
{
	guest_cli();
	seen_count = 0;
	guest_sti();
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t late(uint64_t asked, uint64_t got)
{
	attack_check(got >= asked, "a handler came early: asked, got", asked, got);
	return got >= asked ? got - asked : 0;
}

/* Asked: counted from before the write, so what the write took counts as lateness. */
static uint64_t one_shot(bool storm)
{
	uint64_t worst = 0;

	set(REG_TIMER, VECTOR);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t count = 500 + i * 7;
		uint64_t from;

		start();
		from = guest_tsc();
		set(REG_INITIAL, count);
		wait(1, storm);
		worst = max(worst, late(from + count * tsc_per_tick, seen[0]));
	}
	return worst;
}

static uint64_t deadline(bool storm)
{
	uint64_t worst = 0;

	set(REG_TIMER, VECTOR | TSC_DEADLINE);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t at = guest_tsc() + 4000 + i * 61;

		start();
		__asm__ volatile("wrmsr"
				 :
				 : "c"(MSR_DEADLINE), "a"((uint32_t)at), "d"((uint32_t)(at >> 32))
				 : "memory");
		wait(1, storm);
		worst = max(worst, late(at, seen[0]));
	}
	return worst;
}

static uint64_t periodic(bool storm)
{
	uint64_t worst = 0, from, period = 1 + tsc_hz / 5000 / tsc_per_tick; /* 200 us */

	set(REG_TIMER, VECTOR | PERIODIC);
	start();
	from = guest_tsc();
	set(REG_INITIAL, (uint32_t)period);
	wait(ROUNDS, storm);
	set(REG_INITIAL, 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		worst = max(worst, late(from + (i + 1) * period * tsc_per_tick, seen[i]));
	}
	return worst;
}

/* Mode 2, by the 8259; its clock's grid makes it up to two of its ticks late. */
static uint64_t pit(bool storm)
{
	uint64_t worst = 0, from, count = PIT_HZ / 2000;

	set(REG_TIMER, LVT_MASKED);
	guest_out8(0x21, 0xfe);
	start();
	from = guest_tsc();
	guest_out8(0x43, 0x34);
	guest_out8(0x40, (uint8_t)count);
	guest_out8(0x40, (uint8_t)(count >> 8));
	wait(ROUNDS, storm);
	guest_out8(0x21, 0xff);
	for (unsigned i = 0; i < ROUNDS; i++) {
		worst = max(worst, late(from + (i + 1) * count * tsc_hz / PIT_HZ, seen[i]));
	}
	return worst > 2 * tsc_hz / PIT_HZ ? worst - 2 * tsc_hz / PIT_HZ : 0;
}

static void print(const char *name, uint64_t alone, uint64_t storm)
{
	guest_puts("timers: ");
	guest_puts(name);
	guest_puts(" late at most ");
	guest_dec(alone);
	guest_puts(", exiting ");
	guest_dec(storm);
	guest_putc('\n');
}

static void halts(void)
{
	set(REG_TIMER, VECTOR | TSC_DEADLINE);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t at = guest_tsc() + tsc_hz / 20;

		guest_cli();
		__asm__ volatile("wrmsr"
				 :
				 : "c"(MSR_DEADLINE), "a"((uint32_t)at), "d"((uint32_t)(at >> 32))
				 : "memory");
		__asm__ volatile("sti; hlt" : : : "memory");
		(void)late(at, guest_tsc());
	}
}

void guest_main(const void *start_info)
{
	struct guest_cpuid c = guest_cpuid(0x15, 0);

	tsc_per_tick = c.ebx / c.eax;
	tsc_hz = c.ecx * tsc_per_tick;
	trap_init();
	trap_set_gate(VECTOR, on_apic, 0, 0);
	trap_set_gate(VECTOR_PIT, on_pit, 0, 0);
	guest_out8(0x20, 0x11);
	guest_out8(0x21, VECTOR_PIT);
	guest_out8(0x21, 4);
	guest_out8(0x21, 1);
	guest_out8(0x21, 0xff);
	guest_out8(0xa1, 0xff);
	set(REG_SVR, 0x1ff);
	set(REG_DIVIDE, 0xb);
	if (guest_has_word(guest_cmdline(start_info), "halt")) {
		halts();
		attack_done("halt");
	}
	print("one-shot", one_shot(false), one_shot(true));
	print("deadline", deadline(false), deadline(true));
	print("periodic", periodic(false), periodic(true));
	print("PIT", pit(false), pit(true));
	attack_done("timers");
}
