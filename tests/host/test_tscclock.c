/* SPDX-License-Identifier: BSD-2-Clause */
/* arch/x86_64/pure/tscclock: a time as a TSC value and back. */
#include "tests/host/test.h"

#include "arch/x86_64/pure/tscclock.h"

static struct tscclock make(uint64_t hz, uint64_t zero)
{
	return (struct tscclock){
		.zero = zero,
		.to_ns = (uint64_t)(((unsigned __int128)1000000000 << TSCCLOCK_SHIFT) / hz),
		.to_tsc = (uint64_t)(((unsigned __int128)hz << TSCCLOCK_SHIFT) / 1000000000),
	};
}

TEST(never_early, "the TSC of a time is never before it and at most two ticks and a nanosecond "
		  "late, a year on, at any frequency")
{
	static const uint64_t hz[] = { 1000000,    20000007,   999999999,
				       1000000000, 2399999999, 5700000001 };
	struct test_rng rng = { 11 };

	for (unsigned i = 0; i < 200000; i++) {
		struct tscclock c = make(hz[i % 6], test_rand(&rng) >> 20);
		uint64_t ns = test_rand_below(&rng, i % 2 == 0 ? 1000000000ul
							       : 365ul * 86400 * 1000000000);
		uint64_t tsc = tscclock_tsc(&c, ns);

		CHECK(tscclock_ns(&c, tsc) >= ns);
		CHECK(tsc < c.zero + 2 || tscclock_ns(&c, tsc - 2) <= ns);
	}
}

TEST(ends,
     "never stays never, what is before time 0 is 0, and what is too far does not wrap around")
{
	struct tscclock c = make(20000000, 1000);

	CHECK_EQ(tscclock_tsc(&c, TSCCLOCK_NEVER), TSCCLOCK_NEVER);
	CHECK_EQ(tscclock_ns(&c, TSCCLOCK_NEVER), TSCCLOCK_NEVER);
	CHECK_EQ(tscclock_ns(&c, 999), 0);
	CHECK_EQ(tscclock_ns(&c, TSCCLOCK_NEVER - 1), TSCCLOCK_NEVER); /* 50 ns a tick */
	c = make(5000000000, 1000);
	CHECK_EQ(tscclock_tsc(&c, TSCCLOCK_NEVER - 1), TSCCLOCK_NEVER);
}

TEST(century, "a hundred years on a time still has its TSC, as near as ever, unless the TSC ends before")
{
	const uint64_t century_ns = 100ul * 365 * 86400 * 1000000000;
	static const uint64_t hz[] = { 10000000, 999999999, 3500000000, 5700000001 };

	for (unsigned i = 0; i < 4; i++) {
		struct tscclock c = make(hz[i], 1000);

		for (uint64_t years = 1; years <= 100; years++) {
			uint64_t ns = century_ns / 100 * years, tsc = tscclock_tsc(&c, ns);

			CHECK(tsc != TSCCLOCK_NEVER);
			CHECK(tscclock_ns(&c, tsc) >= ns && tscclock_ns(&c, tsc - 2) <= ns);
		}
		CHECK_EQ(tscclock_tsc(&c, TSCCLOCK_NEVER), TSCCLOCK_NEVER);
	}
}
