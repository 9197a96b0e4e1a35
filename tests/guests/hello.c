/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: says hello and exits with code 0. */
#include "tests/guests/guest.h"

void guest_main(const void *start_info)
{
	(void)start_info;
	guest_puts("hello from hello\n");
	guest_exit(0);
}
