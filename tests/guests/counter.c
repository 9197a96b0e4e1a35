/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: busy; prints every 500 ms of TSC how far it counted and the time since its start, never
 * exits. With `every=MS` on the command line it prints so often, and how long it ran by its own clock:
 * between two looks at the TSC it was busy for a few instructions, or the cpu was somebody else's.
 */
#include "tests/guests/trap.h"

#define PERIOD_MS	500u
#define AWAY_US		500u		/* longer than a turn with two exits, shorter than others' slices */

static char line[96];
static unsigned line_len, line_next;
static bool shares;

static void add(const char *s)
{
	while (*s != '\0') {
		line[line_len++] = *s++;
	}
}

static void add_dec(uint64_t v)
{
	char digits[24];
	unsigned n = sizeof(digits) - 1;

	digits[n] = '\0';
	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	add(&digits[n]);
}

static void report(uint64_t ran_us, uint64_t count, uint64_t now_us)
{
	line_len = line_next = 0;
	if (shares) {
		add("ran ");
		add_dec(ran_us);
		add(" us, ");
	}
	add("count ");
	add_dec(count);
	add(" at ");
	add_dec(now_us);
	add(" us\n");
}

void guest_main(const void *start_info)
{
	uint64_t per_us = guest_tsc_per_ms() / 1000, period = guest_tsc_per_ms();
	uint64_t last = guest_tsc(), ran = 0, next;

	shares = guest_has_word(guest_cmdline(start_info), "every");
	period *= guest_number_after(guest_cmdline(start_info), "every", PERIOD_MS);
	next = last + period;
	/* As in a real busy guest; and Bochs' VT-x takes no host interrupt from a guest that was entered without. */
	guest_sti();
	for (uint64_t count = 1;; count++) {
		uint64_t now = guest_tsc();

		ran += now - last < AWAY_US * per_us ? now - last : 0;
		last = now;
		if (line_next < line_len) {
			guest_putc(line[line_next++]);	/* a whole line at once would look like somebody else's time */
		} else if (now >= next) {
			report(ran / per_us, count, now / per_us);
			/* After a pause the missed periods are not made up for. */
			next = now + period;
		}
	}
}
