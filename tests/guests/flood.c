/* SPDX-License-Identifier: BSD-2-Clause */
/* Test guest: writes to its UART as fast as OUT goes, for ever. */
#include "tests/guests/guest.h"

void guest_main(const void *start_info)
{
	(void)start_info;
	guest_sti();
	for (unsigned i = 0;; i++) {
		guest_out8(GUEST_PORT_COM1, i % 64 == 63 ? '\n' : (uint8_t)('0' + i % 64));
	}
}
