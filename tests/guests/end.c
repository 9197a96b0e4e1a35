/* SPDX-License-Identifier: BSD-2-Clause */
/* Ends the way its command line names: exit=N, poweroff, port-cf9, port-64, triple. */
#include "tests/guests/trap.h"

#define PM1_CONTROL	0x604u
#define S5		(1u << 13 | 5u << 10)	/* SLP_EN, SLP_TYP */

static void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

void guest_main(const void *start_info)
{
	const char *line = guest_cmdline(start_info);

	guest_puts(line);
	guest_puts("\n");
	if (guest_has_word(line, "poweroff")) {
		out16(PM1_CONTROL, S5);
	} else if (guest_has_word(line, "port-cf9")) {
		guest_out8(0xcf9, 6);
	} else if (guest_has_word(line, "port-64")) {
		guest_out8(0x64, 0xfe);
	} else if (guest_has_word(line, "triple")) {
		guest_triple_fault();
	}
	guest_exit((uint32_t)guest_number_after(line, "exit", 255));
}
