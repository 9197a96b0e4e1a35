/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/gmem: a guest's RAM over blocks. */
#include "tests/host/test.h"

#include "tests/host/ram.h"

TEST(init, "RAM must be whole pages and have exactly the blocks it takes")
{
	hpa_t block[2] = { HPA_NONE, HPA_NONE };
	struct gmem g;

	CHECK_EQ(gmem_init(&g, 0, block, 0), ERR_INVAL);
	CHECK_EQ(gmem_init(&g, LARGE_SIZE + 1, block, 2), ERR_INVAL);
	CHECK_EQ(gmem_init(&g, LARGE_SIZE + PAGE_SIZE, block, 1), ERR_RANGE);
	CHECK_EQ(gmem_init(&g, LARGE_SIZE + PAGE_SIZE, block, 2), ERR_OK);
	CHECK_EQ(gmem_high_end(&g), GMEM_HIGH_BASE);
}

TEST(bounds, "no pointer reaches outside RAM or across a block")
{
	struct gmem g = ram_make(LARGE_SIZE + 2 * PAGE_SIZE);

	CHECK(gmem_ptr(&g, gpa(0), LARGE_SIZE) != NULL);
	CHECK(gmem_ptr(&g, gpa(0), LARGE_SIZE + 1) == NULL);
	CHECK(gmem_ptr(&g, gpa(LARGE_SIZE - 1), 2) == NULL);
	CHECK(gmem_ptr(&g, gpa(LARGE_SIZE), 2 * PAGE_SIZE) != NULL);
	CHECK(gmem_ptr(&g, gpa(LARGE_SIZE), 2 * PAGE_SIZE + 1) == NULL);
	CHECK(gmem_ptr(&g, gpa(LARGE_SIZE + 2 * PAGE_SIZE), 1) == NULL);
	CHECK(gmem_ptr(&g, gpa(0), 0) == NULL);
	CHECK(gmem_ptr(&g, gpa(~0ul), 1) == NULL && gmem_ptr(&g, gpa(8), SIZE_MAX) == NULL);
	CHECK(gmem_contains(&g, gpa(1), LARGE_SIZE) && !gmem_contains(&g, gpa(1), ~0ul));
	CHECK(hpa_is_none(gmem_hpa(&g, gpa(GMEM_HIGH_BASE))));
	CHECK_EQ(gmem_hpa(&g, gpa(LARGE_SIZE + 5)).v, g.block[1].v + 5);
	ram_free(&g);
}

TEST(hole, "RAM beyond 3 GiB goes on at 4 GiB, with nothing between")
{
	static hpa_t block[(3 * GIB + 4 * MIB) / LARGE_SIZE];
	uint64_t first = GMEM_LOW_MAX / LARGE_SIZE;
	struct gmem g;
	void *p = aligned_alloc(PAGE_SIZE, LARGE_SIZE);
	uint32_t v = 0x12345678, back = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(block); i++) {
		block[i] = HPA_NONE;
	}
	block[first] = hpa((uint64_t)p);
	CHECK_EQ(gmem_init(&g, 3 * GIB + 4 * MIB, block, ARRAY_SIZE(block)), ERR_OK);
	CHECK_EQ(g.low_size, 3 * GIB);
	CHECK_EQ(gmem_high_end(&g), 4 * GIB + 4 * MIB);
	CHECK(gmem_contains(&g, gpa(3 * GIB - 1), 1) && !gmem_contains(&g, gpa(3 * GIB), 1));
	CHECK(!gmem_contains(&g, gpa(3 * GIB - 1), 2) && !gmem_contains(&g, gpa(4 * GIB - 1), 2));
	CHECK(gmem_contains(&g, gpa(4 * GIB), 4 * MIB) && !gmem_contains(&g, gpa(4 * GIB), 4 * MIB + 1));
	CHECK(gmem_write(&g, gpa(4 * GIB + 16), &v, 4) && gmem_read(&g, gpa(4 * GIB + 16), &back, 4));
	CHECK_EQ(back, v);
	CHECK_EQ(memcmp((char *)p + 16, &v, 4), 0);
	/* A block without memory behind it is refused, and the copy that runs into it changes nothing. */
	CHECK(!gmem_read(&g, gpa(0), &back, 4) && gmem_ptr(&g, gpa(0), 4) == NULL);
	v = 0;
	CHECK(!gmem_write(&g, gpa(4 * GIB + LARGE_SIZE - 2), &v, 4));
	free(p);
}

TEST(copies, "copies and zeroing across blocks agree with a plain array")
{
	static uint8_t model[3 * LARGE_SIZE + PAGE_SIZE], buf[2 * LARGE_SIZE];
	struct gmem g = ram_make(sizeof(model));
	struct test_rng rng = { 7 };

	for (unsigned i = 0; i < 150; i++) {
		uint64_t at = test_rand_below(&rng, sizeof(model) + 100);
		size_t len = test_rand_below(&rng, i % 3 == 0 ? sizeof(buf) : 5000);
		bool inside = at + len <= sizeof(model);

		memset(buf, (int)i, len);
		switch (i % 4) {
		case 0:
			CHECK_EQ(gmem_zero(&g, gpa(at), len), inside || len == 0);
			memset(buf, 0, len);
			break;
		default:
			CHECK_EQ(gmem_write(&g, gpa(at), buf, len), inside || len == 0);
			break;
		}
		if (inside) {
			memcpy(model + at, buf, len);
		}
		CHECK_EQ(gmem_read(&g, gpa(at), buf, len), inside || len == 0);
		CHECK(!inside || memcmp(buf, model + at, len) == 0);
	}
	for (unsigned i = 0; i < sizeof(model); i += PAGE_SIZE) {
		CHECK_EQ(memcmp(gmem_ptr(&g, gpa(i), PAGE_SIZE), model + i, PAGE_SIZE), 0);
	}
	ram_free(&g);
}
