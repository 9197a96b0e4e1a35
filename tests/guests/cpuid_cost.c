/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: measures a CPUID exit in TSC ticks; on an emulator with one cpu a tick is an instruction. */
#include "tests/guests/guest.h"

#define ROUNDS	1000u
#define WARM_UP	16u

struct cost {
	uint64_t min, sum;
};

static void take(struct cost *c, uint64_t ticks)
{
	c->min = ticks < c->min ? ticks : c->min;
	c->sum += ticks;
}

static void print(const char *name, const struct cost *c)
{
	guest_puts("cpuid_cost: ");
	guest_puts(name);
	guest_puts(" min ");
	guest_dec(c->min);
	guest_puts(" avg ");
	guest_dec(c->sum / ROUNDS);
	guest_putc('\n');
}

void guest_main(const void *start_info)
{
	struct cost empty = { UINT64_MAX, 0 }, cpuid = { UINT64_MAX, 0 };

	(void)start_info;
	for (unsigned i = 0; i < ROUNDS + WARM_UP; i++) {
		uint64_t t0 = guest_tsc(), t1 = guest_tsc(), t2;

		guest_cpuid(0, 0);
		t2 = guest_tsc();
		if (i >= WARM_UP) {
			take(&empty, t1 - t0);
			take(&cpuid, t2 - t1);
		}
	}
	print("rdtsc alone", &empty);
	print("cpuid", &cpuid);
	guest_exit(0);
}
