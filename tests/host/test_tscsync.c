/* SPDX-License-Identifier: BSD-2-Clause */
/* arch/x86_64/tscsync: what three readings of two TSCs tell for sure. */
#include "tests/host/test.h"

#include "arch/x86_64/tscsync.h"

TEST(between, "a reading between two of the other cpu's tells nothing, for the question takes time")
{
	CHECK(tscsync_off(100, 100, 900) == 0);
	CHECK(tscsync_off(100, 500, 900) == 0);
	CHECK(tscsync_off(100, 900, 900) == 0);
}

TEST(outside, "a reading before the question is behind, one after the answer came is ahead")
{
	CHECK(tscsync_off(100, 90, 900) == -10);
	CHECK(tscsync_off(100, 925, 900) == 25);
	CHECK(tscsync_off(1ul << 62, 0, (1ul << 62) + 1) == -(1l << 62));
}
