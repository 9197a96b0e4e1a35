/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/slab: allocations of any size over the page allocator. */
#include "tests/host/test.h"

#include "kernel/slab.h"
#include "tests/fake/arena.h"
#include "tests/fake/machine.h"

#define HELD_MAX	600u

static struct mem m;
static struct slab slab;
static struct arena arena;

static struct held {
	uint8_t *ptr;
	size_t bytes;
	uint8_t stamp;
} held[HELD_MAX];

static void reset(unsigned chunks, unsigned nodes)
{
	struct topology t = arena_topology(nodes);

	fake_machine_init(1);
	arena = arena_make(chunks * LARGE_SIZE);
	memset((void *)arena.base, 0xa5, arena.size);
	mem_init(&m, &t);
	for (unsigned i = 0; i < nodes; i++) {
		mem_add(&m, arena.base + i * (chunks / nodes) * LARGE_SIZE, chunks / nodes * LARGE_SIZE, i);
	}
	slab_init(&slab, &m);
}

static void end(void)
{
	CHECK(mem_check(&m));
	for (unsigned i = 0; i < m.node_count; i++) {
		CHECK_EQ(m.node[i].free_pages, m.node[i].total_pages);
	}
	arena_free(&arena);
	fake_machine_fini();
}

static size_t some_size(struct test_rng *r)
{
	static const size_t edges[] = { 1, 63, 64, 65, 127, 128, 129, 256, 257, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 9000, 70000 };

	switch (test_rand_below(r, 3)) {
	case 0:
		return edges[test_rand_below(r, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return 1 + test_rand_below(r, 1024);
	default:
		return 1 + test_rand_below(r, 8192);
	}
}

static void check_stamp(const struct held *h)
{
	for (size_t i = 0; i < h->bytes; i++) {
		CHECK_EQ(h->ptr[i], h->stamp);
	}
}

TEST(random, "blocks are zeroed, aligned, on their node, never overlap, and leave every page free when they are gone")
{
	struct test_rng r = { 11 };
	unsigned count = 0;

	reset(8, 2);
	for (unsigned i = 0; i < 6000; i++) {
		if (count < HELD_MAX && test_rand_below(&r, 8) < (i / 1000 % 2 == 0 ? 6u : 2u)) {
			struct held *h = &held[count];
			unsigned node = (unsigned)test_rand_below(&r, 2);

			h->bytes = some_size(&r);
			h->ptr = slab_alloc(&slab, h->bytes, node);
			h->stamp = (uint8_t)(1 + test_rand_below(&r, 255));
			if (h->ptr == NULL) {
				continue;
			}
			CHECK(is_aligned((uintptr_t)h->ptr, SLAB_ALIGN));
			CHECK_EQ(mem_node_of(&m, hpa((uintptr_t)h->ptr)), node);
			for (size_t k = 0; k < h->bytes; k++) {
				CHECK_EQ(h->ptr[k], 0);
			}
			memset(h->ptr, h->stamp, h->bytes);
			count++;
		} else if (count > 0) {
			unsigned k = (unsigned)test_rand_below(&r, count);

			check_stamp(&held[k]);
			slab_free(&slab, held[k].ptr, held[k].bytes);
			held[k] = held[--count];
		}
	}
	CHECK(count > 100);
	while (count > 0) {
		count--;
		check_stamp(&held[count]);
		slab_free(&slab, held[count].ptr, held[count].bytes);
	}
	end();
}

TEST(shared, "small blocks of one class share a page, which goes back with its last block")
{
	uint8_t *block[63];

	reset(2, 1);
	for (unsigned i = 0; i < 63; i++) {
		block[i] = slab_alloc(&slab, 64, 0);
		CHECK_EQ(m.node[0].free_pages, m.node[0].total_pages - 1);
	}
	for (unsigned i = 0; i < 62; i++) {
		slab_free(&slab, block[i], 64);
	}
	CHECK_EQ(m.node[0].free_pages, m.node[0].total_pages - 1);
	slab_free(&slab, block[62], 33);	/* the class counts, not the byte */
	end();
}

TEST(out, "when a node has no page left there is NULL, though others have, and a block freed serves again")
{
	unsigned count = 0;
	void *last, *small;

	reset(4, 2);
	CHECK(slab_alloc(&slab, 2 * MIB + 1, 0) == NULL);
	CHECK(slab_alloc(&slab, SIZE_MAX, 0) == NULL);
	CHECK(slab_alloc(&slab, SIZE_MAX / 2 + 2, 0) == NULL);
	small = slab_alloc(&slab, 1000, 0);
	for (void *ptr; (ptr = slab_alloc(&slab, 4096, 0)) != NULL; last = ptr) {
		*(void **)ptr = count > 0 ? last : NULL;
		count++;
	}
	CHECK_EQ(count, m.node[0].total_pages - 1);
	CHECK_EQ(m.node[0].free_pages, 0);
	CHECK_EQ(m.node[1].free_pages, m.node[1].total_pages);
	CHECK(slab_alloc(&slab, 64, 0) == NULL);
	slab_free(&slab, slab_alloc(&slab, 1000, 0), 1000);	/* still room in that page */
	while (count-- > 0) {
		void *before = *(void **)last;

		slab_free(&slab, last, 4096);
		last = before;
	}
	slab_free(&slab, small, 1000);
	end();
}

static void *twice;

static void free_it(void *arg)
{
	slab_free(&slab, twice, *(size_t *)arg);
}

TEST(double_free, "a block freed twice or with a size of another class panics")
{
	size_t right = 100, wrong = 300;
	void *other;

	reset(2, 1);
	twice = slab_alloc(&slab, right, 0);
	other = slab_alloc(&slab, right, 0);
	CHECK(fake_panic_of(free_it, &wrong) != NULL);
	slab_free(&slab, twice, right);
	CHECK(fake_panic_of(free_it, &right) != NULL);
	slab_free(&slab, other, right);
	end();
}
