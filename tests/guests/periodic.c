/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: a periodic real-time task. Every `period` us, for `jobs` times, its timer wakes it and
 * it computes for `work` us of cpu time; it must be done before the next release. One whose release
 * found it still at an earlier job is begun late, or, past its deadline, left out. Prints how many
 * missed and when the latest was done, by its own clock, and powers off.
 */
#include "tests/guests/lapic.h"
#include "tests/guests/trap.h"

#define TRIES	64u
#define TURNS	1000u

static void compute(uint64_t turns)
{
	__asm__ volatile("1:\tdec %0\n\tjnz 1b" : "+r"(turns) : : "cc");
}

/* TSC ticks of TURNS: the least of several, since neighbours take the cpu in between. */
static uint64_t turns_ticks(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t begun = guest_tsc(), ticks;

		compute(TURNS);
		ticks = guest_tsc() - begun;
		least = ticks < least ? ticks : least;
	}
	return least;
}

static void sleep_until(uint64_t tsc)
{
	if (guest_tsc() < tsc) {
		guest_cli();
		lapic_stamp = 0;
		lapic_set_deadline(tsc);
		lapic_halt();
		lapic_eoi();
		guest_sti();	/* as in a real guest; see counter.c */
	}
}

static void print(uint64_t jobs, uint64_t missed, uint64_t worst_us)
{
	guest_puts("periodic: ");
	guest_dec(jobs);
	guest_puts(" jobs, ");
	guest_dec(missed);
	guest_puts(" missed, the latest done ");
	guest_dec(worst_us);
	guest_puts(" us after its release\n");
}

void guest_main(const void *start_info)
{
	const char *words = guest_cmdline(start_info);
	uint64_t per_us = guest_tsc_per_ms() / 1000, period = guest_number_after(words, "period", 20000) * per_us;
	uint64_t jobs = guest_number_after(words, "jobs", 100), missed = 0, worst = 0, turns, release;

	trap_init();
	lapic_start();
	lapic_enter_x2();
	lapic_set_timer(APIC_DEADLINE);
	guest_sti();
	turns = guest_number_after(words, "work", 5000) * per_us * TURNS / turns_ticks();
	release = guest_tsc() + period;
	for (uint64_t i = 0; i < jobs; i++, release += period) {
		sleep_until(release);
		if (guest_tsc() < release + period) {
			uint64_t took;

			compute(turns);
			took = guest_tsc() - release;
			worst = took > worst ? took : worst;
			missed += took > period;
		} else {
			missed++;
		}
	}
	print(jobs, missed, worst / per_us);
	guest_exit(0);
}
