/* SPDX-License-Identifier: BSD-2-Clause */
/* See calendar.h. */
#include "arch/x86_64/pure/calendar.h"

#define PIVOT_YEAR	70u	/* two digits below are of this century */

static unsigned decode(uint8_t raw, bool binary)
{
	return binary ? raw : (raw >> 4) * 10u + (raw & 15);
}

static unsigned hour_of(const struct calendar_registers *r, bool binary)
{
	unsigned hour = decode((uint8_t)(r->hour & ~CALENDAR_PM), binary);

	if ((r->status_b & CALENDAR_24_HOURS) != 0) {
		return decode(r->hour, binary);
	}
	if (hour < 1 || hour > 12) {
		return 24;	/* no hour */
	}
	return hour % 12 + ((r->hour & CALENDAR_PM) != 0 ? 12 : 0);
}

/* Days from 1970-01-01 to the first of a month of the Gregorian calendar: years begin in March, so that leap days end them. */
static uint64_t days_before(unsigned year, unsigned month)
{
	uint64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 - 719468;
}

bool calendar_seconds(const struct calendar_registers *r, uint64_t *seconds)
{
	bool binary = (r->status_b & CALENDAR_BINARY) != 0;
	unsigned year = decode(r->year, binary), month = decode(r->month, binary), day = decode(r->day, binary);
	unsigned hour = hour_of(r, binary), minute = decode(r->minute, binary), second = decode(r->second, binary);
	unsigned century = decode(r->century, binary);

	if (century < 19 || century > 99) {
		century = year < PIVOT_YEAR ? 20 : 19;
	}
	year += century * 100;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) {
		return false;
	}
	*seconds = ((days_before(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
	return true;
}
