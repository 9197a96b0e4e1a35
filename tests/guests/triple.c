/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: ends in a triple fault. */
#include "tests/guests/guest.h"

void guest_main(const void *start_info)
{
	(void)start_info;
	guest_puts("triple: about to fault\n");
	guest_triple_fault();
	guest_puts("triple: survived\n");
	guest_exit(1);
}
