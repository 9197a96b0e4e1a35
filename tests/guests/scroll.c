/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: prints 100 KiB, 5120 numbered lines of 20 bytes with their line ends, and exits with code 0. */
#include "tests/guests/guest.h"

void guest_main(const void *start_info)
{
	(void)start_info;
	for (unsigned i = 0; i < 5120; i++) {
		guest_puts("line number ");
		for (unsigned digit = 100000; digit > 0; digit /= 10) {
			guest_putc((char)('0' + i / digit % 10));
		}
		guest_putc('\n');
	}
	guest_exit(0);
}
