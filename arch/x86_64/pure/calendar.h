/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CMOS clock's registers say, as seconds. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Registers 0, 2, 4, 7, 8, 9, B of the MC146818, as read; century from the register that the FADT names, 0: none. */
struct calendar_registers {
	uint8_t second, minute, hour, day, month, year, century, status_b;
};

#define CALENDAR_24_HOURS	0x02u	/* status_b */
#define CALENDAR_BINARY		0x04u
#define CALENDAR_PM		0x80u	/* hour, on a 12-hour clock */

/* UTC seconds since 1970, taking the registers as UTC. False: they are no date. */
bool calendar_seconds(const struct calendar_registers *r, uint64_t *seconds);
