/* SPDX-License-Identifier: BSD-2-Clause */
/* The CMOS clock's registers to seconds, against the C library's calendar. */
#include <time.h>

#include "tests/host/test.h"

#include "arch/x86_64/pure/calendar.h"

static uint8_t bcd(int v)
{
	return (uint8_t)(v / 10 * 16 + v % 10);
}

TEST(agrees, "registers mean the second that the C library means, in BCD and binary, on 12 and 24 hours")
{
	struct test_rng rng = { 5 };

	for (int i = 0; i < 20000; i++) {
		time_t want = (time_t)test_rand_below(&rng, 4102444800ul);	/* to 2100 */
		bool binary = i % 2 == 0, is24 = i % 3 == 0;
		struct calendar_registers r;
		uint64_t got = 0;
		struct tm tm;
		int hour;

		gmtime_r(&want, &tm);
		hour = is24 ? tm.tm_hour : tm.tm_hour % 12 == 0 ? 12 : tm.tm_hour % 12;
#define REG(v) ((uint8_t)(binary ? (v) : bcd(v)))
		r = (struct calendar_registers){
			.second = REG(tm.tm_sec), .minute = REG(tm.tm_min), .hour = REG(hour), .day = REG(tm.tm_mday),
			.month = REG(tm.tm_mon + 1), .year = REG(tm.tm_year % 100), .century = REG((tm.tm_year + 1900) / 100),
			.status_b = (uint8_t)((binary ? CALENDAR_BINARY : 0) | (is24 ? CALENDAR_24_HOURS : 0)),
		};
#undef REG
		if (!is24 && tm.tm_hour >= 12) {
			r.hour |= CALENDAR_PM;
		}
		CHECK(calendar_seconds(&r, &got));
		CHECK_EQ(got, want);
	}
}

TEST(century, "without a century two digits from 70 on are of the twentieth")
{
	struct calendar_registers r = { .day = 1, .month = 1, .year = 0x26, .status_b = CALENDAR_24_HOURS };
	uint64_t s = 0;

	CHECK(calendar_seconds(&r, &s));
	CHECK_EQ(s, 1767225600);
	r.year = 0x70;
	CHECK(calendar_seconds(&r, &s));
	CHECK_EQ(s, 0);
}

TEST(nonsense, "what is no date is refused, whatever the registers hold")
{
	struct test_rng rng = { 6 };
	struct calendar_registers dead = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint64_t s;

	CHECK(!calendar_seconds(&dead, &s));
	for (int i = 0; i < 50000; i++) {
		uint64_t raw = test_rand(&rng);
		struct calendar_registers r;

		memcpy(&r, &raw, sizeof(r));
		if (calendar_seconds(&r, &s)) {
			CHECK(s < 300000000000ul);
		}
	}
}
