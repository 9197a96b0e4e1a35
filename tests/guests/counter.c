/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: busy; prints how far it counted every 20 ms of TSC, never exits. */
#include "tests/guests/guest.h"

#define PERIOD_MS	20u

void guest_main(const void *start_info)
{
	uint64_t period = guest_tsc_per_ms() * PERIOD_MS, next = guest_tsc() + period;

	(void)start_info;
	for (uint64_t count = 1;; count++) {
		uint64_t now = guest_tsc();

		if (now < next) {
			continue;
		}
		guest_puts("count ");
		guest_dec(count);
		guest_putc('\n');
		/* After a pause the missed periods are not made up for. */
		next = guest_tsc() + period;
	}
}
