/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: loops for good with interrupts off, without any exit. */
#include "tests/guests/guest.h"

void guest_main(const void *start_info)
{
	(void)start_info;
	guest_puts("spin: spinning\n");
	guest_cli();
	for (;;) {
		__asm__ volatile("");
	}
}
