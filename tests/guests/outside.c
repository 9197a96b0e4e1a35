/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: reads and writes memory that no VM has; must be stopped at the first access. */
#include "tests/guests/guest.h"

#define OUTSIDE	0xd0000000ul

void guest_main(const void *start_info)
{
	volatile uint32_t *at = (volatile uint32_t *)OUTSIDE;

	(void)start_info;
	guest_puts("outside: about to read ");
	guest_hex(OUTSIDE);
	guest_putc('\n');
	guest_puts("outside: read ");
	guest_hex(*at);
	guest_putc('\n');
	*at = 0x12345678;
	guest_puts("outside: survived a write\n");
	guest_exit(1);
}
