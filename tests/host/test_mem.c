/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/mem: the page allocator against a model that knows who owns each page. */
#include "tests/host/test.h"

#include "kernel/lib/util.h"
#include "tests/fake/arena.h"
#include "tests/fake/machine.h"

#define CHUNKS		12u
#define PAGES		(CHUNKS * LARGE_PAGES)
#define HELD_MAX	400u
#define NODES		3u

static struct mem m;
static struct arena arena;
static struct topology topology;

struct held {
	hpa_t at;
	unsigned pages;
};

static struct {
	struct held held[HELD_MAX];
	unsigned count;
	uint64_t pages[NODES];		/* held */
	bool taken[PAGES];
} model;

static void reset(unsigned chunks, unsigned nodes)
{
	fake_machine_init(1);
	memset(&model, 0, sizeof(model));
	arena = arena_make(chunks * LARGE_SIZE);
	topology = arena_topology(nodes);
	mem_init(&m, &topology);
}

static void end(void)
{
	CHECK(mem_check(&m));
	arena_free(&arena);
	fake_machine_fini();
}

static unsigned page_of(hpa_t at)
{
	return (unsigned)((at.v - arena.base) / PAGE_SIZE);
}

static uint64_t round_up(unsigned pages)
{
	uint64_t p = 1;

	while (p < pages) {
		p *= 2;
	}
	return p;
}

/* Node of a page by the way add_nodes() cut the arena: borders inside chunks, one hole. */
#define BORDER_A	(3 * LARGE_SIZE + 100 * PAGE_SIZE)
#define BORDER_B	(7 * LARGE_SIZE + 511 * PAGE_SIZE)
#define HOLE_BASE	(5 * LARGE_SIZE + 7 * PAGE_SIZE)
#define HOLE_END	(5 * LARGE_SIZE + 9 * PAGE_SIZE)

static unsigned node_by_cut(uint64_t offset)
{
	if (offset >= HOLE_BASE && offset < HOLE_END) {
		return NODE_NONE;
	}
	return offset < BORDER_A ? 0 : offset < BORDER_B ? 1 : 2;
}

static void add_nodes(void)
{
	mem_add(&m, arena.base + HOLE_END, BORDER_B - HOLE_END, 1);
	mem_add(&m, arena.base, BORDER_A, 0);
	mem_add(&m, arena.base + BORDER_B, CHUNKS * LARGE_SIZE - BORDER_B, 2);
	mem_add(&m, arena.base + BORDER_A, HOLE_BASE - BORDER_A, 1);
}

static void take(hpa_t at, unsigned pages, unsigned node, bool strict)
{
	unsigned first = page_of(at), owner = mem_node_of(&m, at);

	CHECK(at.v >= arena.base && first + pages <= PAGES);
	CHECK(is_aligned(at.v, round_up(pages) * PAGE_SIZE));
	CHECK(!strict || owner == node);
	CHECK(at.v / LARGE_SIZE == (at.v + pages * PAGE_SIZE - 1) / LARGE_SIZE);
	for (unsigned i = 0; i < pages; i++) {
		CHECK(!model.taken[first + i]);
		CHECK_EQ(mem_node_of(&m, hpa(at.v + i * PAGE_SIZE)), owner);
		CHECK_EQ(node_by_cut(at.v - arena.base + i * PAGE_SIZE), owner);
		model.taken[first + i] = true;
	}
	model.pages[owner] += pages;
	model.held[model.count++] = (struct held){ at, pages };
}

static void give(unsigned i)
{
	struct held h = model.held[i];

	model.held[i] = model.held[--model.count];
	model.pages[mem_node_of(&m, h.at)] -= h.pages;
	memset(&model.taken[page_of(h.at)], 0, h.pages);
	mem_free(&m, h.at, h.pages);
}

static unsigned some_pages(struct test_rng *r)
{
	static const unsigned likely[] = { 1, 1, 1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 128, 255, 256, 257, 511, 512 };

	return test_rand_below(r, 4) == 0 ? 1 + (unsigned)test_rand_below(r, 512) : likely[test_rand_below(r, ARRAY_SIZE(likely))];
}

static void check_counts(void)
{
	for (unsigned n = 0; n < NODES; n++) {
		CHECK_EQ(m.node[n].total_pages - m.node[n].free_pages, model.pages[n]);
	}
}

/* Is there a free aligned run in node? By the model alone: pages that the books take are told apart by `give`n tables. */
static bool model_has(unsigned node, unsigned pages, const bool *books)
{
	uint64_t step = round_up(pages);

	for (unsigned first = 0; first + pages <= PAGES; first += (unsigned)step) {
		unsigned n = 0;

		while (n < pages && !model.taken[first + n] && !books[first + n] &&
		       node_by_cut((first + n) * PAGE_SIZE) == node) {
			n++;
		}
		if (n == pages) {
			return true;
		}
	}
	return false;
}

/* Which pages never come: one page at a time until there is none, then all back. */
static void find_books(bool *books)
{
	static hpa_t all[PAGES];
	unsigned n = 0;

	memset(books, true, PAGES);
	for (unsigned node = 0; node < NODES; node++) {
		for (hpa_t at; !hpa_is_none(at = mem_alloc(&m, node, 1, MEM_STRICT));) {
			CHECK(books[page_of(at)]);
			CHECK_EQ(mem_node_of(&m, at), node);
			books[page_of(at)] = false;
			all[n++] = at;
		}
		CHECK_EQ(m.node[node].free_pages, 0);
	}
	while (n > 0) {
		mem_free(&m, all[--n], 1);
	}
	CHECK(mem_check(&m));
}

TEST(random, "random allocations never overlap, are aligned, lie in one node, and are found where there is room")
{
	struct test_rng r = { 1 };
	static bool books[PAGES];
	uint64_t whole[NODES];

	reset(CHUNKS, NODES);
	add_nodes();
	find_books(books);
	for (unsigned n = 0; n < NODES; n++) {
		whole[n] = mem_free_chunks(&m, n);
	}
	CHECK(whole[0] >= 2 && whole[1] >= 2 && whole[2] >= 3);
	for (unsigned i = 0; i < 12000; i++) {
		bool grow = i / 1000 % 2 == 0;

		if (model.count < HELD_MAX && (model.count == 0 || test_rand_below(&r, 8) < (grow ? 6 : 2))) {
			unsigned pages = some_pages(&r), node = (unsigned)test_rand_below(&r, NODES);
			bool strict = test_rand_below(&r, 2) == 0;
			hpa_t at = mem_alloc(&m, node, pages, strict ? MEM_STRICT : MEM_PREFER);

			if (!hpa_is_none(at)) {
				take(at, pages, node, strict);
			} else if (i % 16 == 0) {
				CHECK(!model_has(node, pages, books));
			}
		} else if (model.count > 0) {
			give((unsigned)test_rand_below(&r, model.count));
		}
		check_counts();
		CHECK(i % 256 != 0 || mem_check(&m));
	}
	while (model.count > 0) {
		give(model.count - 1);
	}
	check_counts();
	for (unsigned n = 0; n < NODES; n++) {
		CHECK_EQ(mem_free_chunks(&m, n), whole[n]);
		CHECK_EQ(m.node[n].free_pages, m.node[n].total_pages);
	}
	end();
}

TEST(nodes, "every page belongs to the node it was given to, and no page outside to any")
{
	reset(CHUNKS, NODES);
	add_nodes();
	for (unsigned page = 0; page < PAGES; page++) {
		unsigned node = mem_node_of(&m, hpa(arena.base + page * PAGE_SIZE));

		/* The books at a piece's start are nobody's. */
		CHECK(node == NODE_NONE || node == node_by_cut(page * PAGE_SIZE));
	}
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + HOLE_BASE)), NODE_NONE);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base - 1)), NODE_NONE);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + CHUNKS * LARGE_SIZE)), NODE_NONE);
	CHECK_EQ(m.node[0].own_pages, 1);
	CHECK_EQ(m.node[1].own_pages, 2);
	CHECK_EQ(m.node[0].total_pages, BORDER_A / PAGE_SIZE - 1);
	CHECK_EQ(m.node[1].total_pages, (BORDER_B - BORDER_A) / PAGE_SIZE - 2 - 2);
	CHECK_EQ(m.node[2].total_pages, PAGES - BORDER_B / PAGE_SIZE - 1);
	end();
}

TEST(prefer, "strict stays on its node; prefer goes on to the others by their distance, ties by number")
{
	static const uint8_t slit[4][4] = { { 10, 40, 20, 30 }, { 40, 10, 20, 20 }, { 20, 20, 10, 30 }, { 30, 20, 30, 10 } };
	static const unsigned order[4][4] = { { 0, 2, 3, 1 }, { 1, 2, 3, 0 }, { 2, 0, 1, 3 }, { 3, 1, 0, 2 } };

	for (unsigned from = 0; from < 4; from++) {
		reset(8, 4);
		memcpy(topology.distance[0], slit[0], 4);
		for (unsigned i = 0; i < 4; i++) {
			memcpy(topology.distance[i], slit[i], 4);
		}
		mem_init(&m, &topology);
		for (unsigned i = 0; i < 4; i++) {
			mem_add(&m, arena.base + i * 2 * LARGE_SIZE, 2 * LARGE_SIZE, i);
			CHECK_EQ(mem_free_chunks(&m, i), 1);
		}
		for (unsigned i = 0; i < 4; i++) {
			hpa_t at = mem_alloc(&m, from, 512, MEM_PREFER);

			CHECK_EQ(mem_node_of(&m, at), order[from][i]);
			CHECK(hpa_is_none(mem_alloc(&m, from, 512, MEM_STRICT)));
		}
		CHECK(hpa_is_none(mem_alloc(&m, from, 512, MEM_PREFER)));
		end();
	}
}

TEST(merge, "a chunk whose pages all come back serves a whole large page again, in whatever order they come")
{
	struct test_rng r = { 5 };
	hpa_t page[LARGE_PAGES];

	reset(2, 1);
	mem_add(&m, arena.base, 2 * LARGE_SIZE, 0);
	CHECK_EQ(mem_free_chunks(&m, 0), 1);
	for (unsigned round = 0; round < 8; round++) {
		hpa_t large = mem_alloc(&m, 0, 512, MEM_STRICT), rest[LARGE_PAGES];
		unsigned n = 0, k = 0;

		CHECK(!hpa_is_none(large) && is_aligned(large.v, LARGE_SIZE));
		CHECK(hpa_is_none(mem_alloc(&m, 0, 512, MEM_STRICT)));
		mem_free(&m, large, 512);
		while (!hpa_is_none(rest[k] = mem_alloc(&m, 0, 1, MEM_STRICT)) && rest[k].v < large.v) {
			k++;
		}
		page[n++] = rest[k];
		while (n < LARGE_PAGES) {
			page[n] = mem_alloc(&m, 0, 1, MEM_STRICT);
			CHECK(!hpa_is_none(page[n]));
			n++;
		}
		CHECK_EQ(mem_free_chunks(&m, 0), 0);
		CHECK_EQ(m.node[0].free_pages, 0);
		while (n > 0) {
			unsigned i = (unsigned)test_rand_below(&r, n);

			CHECK_EQ(mem_free_chunks(&m, 0), 0);
			mem_free(&m, page[i], 1);
			page[i] = page[--n];
		}
		CHECK_EQ(mem_free_chunks(&m, 0), 1);
		while (k > 0) {
			mem_free(&m, rest[--k], 1);
		}
		CHECK(mem_check(&m));
	}
	end();
}

TEST(scraps, "what is too small to keep books on is dropped and counted; so are pieces over the limit")
{
	reset(260, 1);
	mem_add(&m, arena.base, 15 * PAGE_SIZE, 0);
	CHECK_EQ(m.dropped_pages, 15);
	CHECK_EQ(m.piece_count, 0);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base)), NODE_NONE);
	CHECK(hpa_is_none(mem_alloc(&m, 0, 1, MEM_PREFER)));
	mem_add(&m, arena.base, 16 * PAGE_SIZE, 0);
	CHECK_EQ(m.node[0].free_pages, 15);
	CHECK_EQ(m.node[0].own_pages, 1);
	for (unsigned i = 1; i < MEM_PIECES_MAX + 3; i++) {
		mem_add(&m, arena.base + i * LARGE_SIZE / 2, 16 * PAGE_SIZE, 0);
	}
	CHECK_EQ(m.piece_count, MEM_PIECES_MAX);
	CHECK_EQ(m.dropped_pages, 15 + 3 * 16);
	CHECK_EQ(m.node[0].free_pages, MEM_PIECES_MAX * 15);
	end();
}

TEST(deep, "a run is found however many broken chunks stand before it")
{
	hpa_t first[40], at;

	reset(40, 1);
	mem_add(&m, arena.base, 40 * LARGE_SIZE, 0);
	/* Every chunk gets one page taken: the first of each quarter of the small ones, page 511 of one that has room. */
	for (unsigned i = 0; i < 39; i++) {
		first[i] = mem_alloc(&m, 0, 512, MEM_STRICT);
		CHECK(!hpa_is_none(first[i]));
	}
	for (unsigned i = 0; i < 39; i++) {
		if (i == 0) {
			mem_free(&m, first[i], 256);		/* a run of 256: at the back once the others follow */
		} else {
			mem_free(&m, hpa(first[i].v + PAGE_SIZE), 127);
		}
	}
	while (!hpa_is_none(at = mem_alloc(&m, 0, 256, MEM_STRICT)) && at.v != first[0].v) {
	}
	CHECK_EQ(at.v, first[0].v);
	end();
}

static hpa_t wrong_at;
static unsigned wrong_pages;

static void wrong_free(void *arg)
{
	mem_free(&m, wrong_at, wrong_pages);
}

static void check_refused(uint64_t at, unsigned pages)
{
	const char *words;

	wrong_at = hpa(at);
	wrong_pages = pages;
	words = fake_panic_of(wrong_free, NULL);
	if (words == NULL) {
		test_fail(__FILE__, __LINE__, "free of %u pages at arena + 0x%lx was taken", pages, at - arena.base);
	}
	CHECK(strstr(words, "assertion failed") != NULL);
	CHECK(mem_check(&m));
}

TEST(double_free, "freeing what is not allocated panics and changes nothing")
{
	hpa_t at, tail;
	uint64_t free_pages;

	reset(3, 1);
	mem_add(&m, arena.base, 2 * LARGE_SIZE + 32 * PAGE_SIZE, 0);
	at = mem_alloc(&m, 0, 8, MEM_STRICT);
	do {
		tail = mem_alloc(&m, 0, 1, MEM_STRICT);		/* the last page of the piece, in its third chunk */
	} while (tail.v != arena.base + 2 * LARGE_SIZE + 31 * PAGE_SIZE);
	free_pages = m.node[0].free_pages;
	mem_free(&m, at, 8);
	check_refused(at.v, 8);
	check_refused(at.v + 7 * PAGE_SIZE, 1);
	check_refused(tail.v + 8, 1);
	check_refused(tail.v, 2);				/* the second is not this piece's */
	check_refused(tail.v + PAGE_SIZE, 1);
	check_refused(arena.base, 1);				/* the books */
	check_refused(tail.v, LARGE_PAGES + 1);
	mem_free(&m, tail, 1);
	check_refused(tail.v, 1);
	CHECK_EQ(m.node[0].free_pages, free_pages + 9);
	end();
}

static void wrong_alloc(void *arg)
{
	(void)mem_alloc(&m, 0, *(unsigned *)arg, MEM_PREFER);
}

TEST(sizes, "a run of no page or of more than a large page is refused")
{
	unsigned none = 0, many = LARGE_PAGES + 1;

	reset(2, 1);
	mem_add(&m, arena.base, 2 * LARGE_SIZE, 0);
	CHECK(fake_panic_of(wrong_alloc, &none) != NULL);
	CHECK(fake_panic_of(wrong_alloc, &many) != NULL);
	end();
}
