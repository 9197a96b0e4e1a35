/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: busy; prints every 500 ms of TSC how far it counted and the time since its start, never exits. */
#include "tests/guests/guest.h"

#define PERIOD_MS	500u

void guest_main(const void *start_info)
{
	uint64_t period = guest_tsc_per_ms() * PERIOD_MS, per_us = guest_tsc_per_ms() / 1000, next = guest_tsc() + period;

	(void)start_info;
	/* As in a real busy guest; and Bochs' VT-x takes no host interrupt from a guest that was entered without. */
	guest_sti();
	for (uint64_t count = 1;; count++) {
		uint64_t now = guest_tsc();

		if (now < next) {
			continue;
		}
		guest_puts("count ");
		guest_dec(count);
		guest_puts(" at ");
		guest_dec(now / per_us);
		guest_puts(" us\n");
		/* After a pause the missed periods are not made up for. */
		next = guest_tsc() + period;
	}
}
