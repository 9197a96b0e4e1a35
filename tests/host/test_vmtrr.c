/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vmtrr: memory type range registers that are stored. */
#include "tests/host/test.h"

#include "kernel/lib/util.h"
#include "vm/vmtrr.h"

static uint64_t get(const struct vmtrr *t, uint32_t msr)
{
	uint64_t value = 0xdead;

	CHECK(vmtrr_owns(msr) && vmtrr_read(t, msr, &value));
	return value;
}

/* The type of an address, by the rules of SDM 3A 12.11.4.1 where fixed ranges are on. */
static unsigned type_of(const struct vmtrr *t, uint64_t at)
{
	uint64_t def = get(t, 0x2ff);

	CHECK((def & 0xc00) == 0xc00);
	if (at < 0x80000) {
		return get(t, 0x250) >> (at >> 16) * 8 & 0xff;
	}
	if (at < 0xc0000) {
		return get(t, 0x258 + (uint32_t)(at - 0x80000) / 0x20000) >> (at - 0x80000) / 0x4000 % 8 * 8 & 0xff;
	}
	if (at < 0x100000) {
		return get(t, 0x268 + (uint32_t)(at - 0xc0000) / 0x8000) >> (at - 0xc0000) / 0x1000 % 8 * 8 & 0xff;
	}
	for (uint32_t i = 0; i < (get(t, 0xfe) & 0xff); i++) {
		uint64_t base = get(t, 0x200 + 2 * i), mask = get(t, 0x201 + 2 * i);

		if ((mask & 0x800) != 0 && (at & mask & ~0xffful) == (base & mask & ~0xffful)) {
			return base & 0xff;
		}
	}
	return def & 0xff;
}

TEST(reset, "after a reset RAM is write-back, the VGA hole and the hole below 4 GiB are uncached")
{
	struct vmtrr t;

	vmtrr_reset(&t);
	CHECK_EQ(get(&t, 0xfe), 0x508);
	CHECK_EQ(type_of(&t, 0), 6);
	CHECK_EQ(type_of(&t, 0x9f000), 6);
	CHECK_EQ(type_of(&t, 0xa0000), 0);
	CHECK_EQ(type_of(&t, 0xbffff), 0);
	CHECK_EQ(type_of(&t, 0xc0000), 6);
	CHECK_EQ(type_of(&t, 0x100000), 6);
	CHECK_EQ(type_of(&t, 0xbfffffff), 6);
	CHECK_EQ(type_of(&t, 0xc0000000), 0);
	CHECK_EQ(type_of(&t, 0xfee00000), 0);
	CHECK_EQ(type_of(&t, 0x100000000), 6);
	CHECK_EQ(type_of(&t, 0x1c0000000), 6);
}

TEST(writes, "every register keeps a good value, and a bad one is #GP and changes nothing")
{
	static const struct { uint32_t msr; uint64_t good, bad; } rows[] = {
		{ 0x200, 0x80000006, 0x80000002 }, { 0x200, 0x80000001, 0x80000100 }, { 0x20e, 0xffffff000, 1ul << 52 },
		{ 0x20f, 0xfc0000800, 0x801 }, { 0x250, 0x0001040506060606, 0x0000000000000300 },
		{ 0x26f, 0x0101010101010101, 7ul << 56 }, { 0x2ff, 0xc06, 0xc02 }, { 0x2ff, 0x800, 0x1000 },
	};
	struct vmtrr t;

	vmtrr_reset(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK(vmtrr_write(&t, rows[i].msr, rows[i].good));
		CHECK(!vmtrr_write(&t, rows[i].msr, rows[i].bad));
		CHECK_EQ(get(&t, rows[i].msr), rows[i].good);
	}
	CHECK(!vmtrr_write(&t, 0xfe, 0x508));
	CHECK(!vmtrr_owns(0x1ff) && !vmtrr_owns(0x210) && !vmtrr_owns(0x251) && !vmtrr_owns(0x277) && !vmtrr_owns(0x270));
}
