/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/mem_boot: firmware's memory map and SRAT, which need not agree. */
#include "tests/host/test.h"

#include <stdio.h>

#include "kernel/console.h"
#include "kernel/lib/util.h"
#include "kernel/mem_boot.h"
#include "tests/fake/arena.h"
#include "tests/fake/machine.h"
#include "tests/fake/serial.h"

#define CHUNKS	16u

static struct mem m;
static struct arena arena;
static struct topology t;
static struct boot_mem map[16];
static unsigned map_count;

static void reset(unsigned nodes)
{
	fake_machine_init(1);
	arena = arena_make(CHUNKS * LARGE_SIZE);
	t = arena_topology(nodes);
	t.has_srat = true;
	map_count = 0;
	mem_init(&m, &t);
	fake_serial_reset();
	console_set_polled(true);
}

static void end(void)
{
	CHECK(mem_check(&m));
	arena_free(&arena);
	fake_machine_fini();
}

static void entry(uint64_t offset, uint64_t length, uint32_t kind)
{
	map[map_count++] = (struct boot_mem){ .base = arena.base + offset, .length = length, .kind = kind };
}

static void srat(uint64_t offset, uint64_t length, unsigned node)
{
	t.mem[t.mem_count++] = (struct topology_mem){ .base = arena.base + offset, .length = length, .node = node };
}

static void add(void)
{
	mem_boot_add(&m, map, map_count, BOOT_MEM_FREE, &t);
}

static uint64_t bytes_of(unsigned node)
{
	return (m.node[node].total_pages + m.node[node].own_pages) * PAGE_SIZE;
}

static unsigned said(const char *words)
{
	unsigned n = 0;

	for (const char *s = fake_serial.sent; (s = strstr(s, words)) != NULL; s++) {
		n++;
	}
	return n;
}

TEST(agree, "where SRAT and the map agree every byte goes to its node and nothing is said")
{
	reset(3);
	entry(0, 6 * MIB, BOOT_MEM_FREE);
	entry(6 * MIB, 2 * MIB, BOOT_MEM_KEPT);
	entry(8 * MIB, 20 * MIB, BOOT_MEM_FREE);
	srat(0, 11 * MIB, 2);
	srat(11 * MIB, 9 * MIB, 0);
	srat(20 * MIB, 12 * MIB, 1);
	add();
	mem_boot_compare(map, map_count, &t);
	CHECK_EQ(bytes_of(2), 9 * MIB);
	CHECK_EQ(bytes_of(0), 9 * MIB);
	CHECK_EQ(bytes_of(1), 8 * MIB);
	CHECK_EQ(m.dropped_pages, 0);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + 6 * MIB)), NODE_NONE);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + 11 * MIB - 1)), 2);
	CHECK_EQ(fake_serial.sent_len, 0);
	end();
}

TEST(kinds, "only memory of the asked kind is taken")
{
	reset(1);
	t.has_srat = false;
	for (uint32_t kind = BOOT_MEM_FREE; kind <= BOOT_MEM_MMIO; kind++) {
		entry(kind * 4 * MIB, 1 * MIB + kind * 64 * KIB, kind);
	}
	add();
	CHECK_EQ(bytes_of(0), 1 * MIB);
	mem_boot_add(&m, map, map_count, BOOT_MEM_RECLAIM, &t);
	CHECK_EQ(bytes_of(0), 2 * MIB + 64 * KIB);
	CHECK_EQ(fake_serial.sent_len, 0);	/* a machine without SRAT is none that forgot RAM */
	end();
}

TEST(low, "what lies below 1 MiB stays out")
{
	reset(1);
	map[0] = (struct boot_mem){ .base = 0, .length = 0x9f000, .kind = BOOT_MEM_FREE };
	map[1] = (struct boot_mem){ .base = 0x1000, .length = MIB - 0x1000, .kind = BOOT_MEM_FREE };
	mem_boot_add(&m, map, 2, BOOT_MEM_FREE, &t);
	CHECK_EQ(m.piece_count, 0);
	CHECK_EQ(m.dropped_pages, 0);
	/* A range across the border is cut there; what remains is too small for books, so no byte of it is touched. */
	map[0] = (struct boot_mem){ .base = 0x1000, .length = MIB + 32 * KIB - 0x1000, .kind = BOOT_MEM_FREE };
	mem_boot_add(&m, map, 1, BOOT_MEM_FREE, &t);
	CHECK_EQ(m.dropped_pages, 8);
	end();
}

TEST(unnamed, "RAM that SRAT does not name becomes node 0's, which is said once with the amount")
{
	reset(2);
	entry(0, 12 * MIB, BOOT_MEM_FREE);
	entry(16 * MIB, 4 * MIB, BOOT_MEM_FREE);
	entry(24 * MIB, 8 * MIB, BOOT_MEM_FREE);
	srat(4 * MIB, 4 * MIB, 1);
	srat(24 * MIB, 4 * MIB, 1);
	add();
	CHECK_EQ(bytes_of(1), 8 * MIB);
	CHECK_EQ(bytes_of(0), 16 * MIB);
	CHECK_EQ(said("SRAT does not name 16384 KiB of RAM"), 1);
	CHECK_EQ(said("SRAT"), 1);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + 9 * MIB)), 0);
	end();
}

TEST(phantom, "a range of SRAT with little RAM behind it is named, a hotplug one is not")
{
	reset(2);
	entry(0, 16 * MIB, BOOT_MEM_FREE);
	entry(16 * MIB, 8 * MIB, BOOT_MEM_MMIO);
	srat(0, 8 * MIB, 0);
	srat(8 * MIB, 24 * MIB, 1);
	t.mem[t.mem_count] = (struct topology_mem){ .base = arena.base + 1 * GIB, .length = GIB, .node = 1, .hotplug = true };
	t.mem_count++;
	mem_boot_compare(map, map_count, &t);
	CHECK_EQ(said("SRAT names 24 MiB"), 1);
	CHECK_EQ(said("for node 1, the firmware's map has 8 MiB of it"), 1);
	CHECK_EQ(said("SRAT"), 1);
	end();
}

TEST(unaligned, "ranges of SRAT that end inside a page cost at most the pages they share")
{
	reset(3);
	entry(0, 16 * MIB, BOOT_MEM_FREE);
	srat(0, 4 * MIB + 0x800, 1);
	srat(4 * MIB + 0x800, 4 * MIB + 0x234, 2);
	srat(8 * MIB + 0xa34 + 0x10, 16, 0);		/* a range inside one page, a hole on both sides */
	srat(9 * MIB + 1, 7 * MIB - 1, 1);
	add();
	CHECK_EQ(m.dropped_pages * PAGE_SIZE + bytes_of(0) + bytes_of(1) + bytes_of(2), 16 * MIB);
	CHECK(m.dropped_pages <= 4);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + 4 * MIB - PAGE_SIZE)), 1);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + 4 * MIB + 2 * PAGE_SIZE)), 2);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + 9 * MIB - PAGE_SIZE)), 0);
	CHECK_EQ(mem_node_of(&m, hpa(arena.base + 9 * MIB + 2 * PAGE_SIZE)), 1);
	end();
}

TEST(huge, "a range of SRAT that goes on to the end of the address space covers all above")
{
	reset(2);
	entry(0, 8 * MIB, BOOT_MEM_FREE);
	t.mem[t.mem_count++] = (struct topology_mem){ .base = arena.base, .length = UINT64_MAX - arena.base, .node = 1 };
	add();
	CHECK_EQ(bytes_of(1), 8 * MIB);
	CHECK_EQ(m.piece_count, 1);
	end();
}

/* The node of a page by looking: the whole page must be one range's, else any node that has a part of it will do. */
static bool may_be(uint64_t page, unsigned node)
{
	bool named = false;

	for (unsigned i = 0; i < t.mem_count; i++) {
		const struct topology_mem *r = &t.mem[i];

		if (page >= r->base && page + PAGE_SIZE <= r->base + r->length) {
			return r->node == node;
		}
		named |= r->base < page + PAGE_SIZE && page < r->base + r->length && r->node == node;
	}
	return named || node == 0;
}

TEST(property, "whatever map and SRAT say, every page of free RAM is one node's or dropped, and no other page is")
{
	struct test_rng r = { 21 };

	for (unsigned round = 0; round < 60; round++) {
		uint64_t at = 0, free_bytes = 0, have = 0;

		reset(4);
		while (map_count < 16 && (at += test_rand_below(&r, 300) * PAGE_SIZE) < 30 * MIB) {
			uint64_t length = (1 + test_rand_below(&r, 900)) * PAGE_SIZE;
			uint32_t kind = test_rand_below(&r, 3) == 0 ? BOOT_MEM_RESERVED : BOOT_MEM_FREE;

			length = MIN(length, 32 * MIB - at);
			entry(at, length, kind);
			free_bytes += kind == BOOT_MEM_FREE ? length : 0;
			at += length;
		}
		for (at = 0; t.mem_count < 20 && (at += test_rand_below(&r, 3) * test_rand_below(&r, 100000)) < 32 * MIB;) {
			uint64_t length = 1 + test_rand_below(&r, 4 * MIB);

			length = test_rand_below(&r, 2) == 0 ? align_up(length, PAGE_SIZE) : length;
			srat(at, length, (unsigned)test_rand_below(&r, 4));
			at += length;
		}
		add();
		for (unsigned n = 0; n < 4; n++) {
			have += bytes_of(n);
		}
		CHECK_EQ(have + m.dropped_pages * PAGE_SIZE, free_bytes);
		for (uint64_t page = arena.base; page < arena.base + arena.size; page += PAGE_SIZE) {
			unsigned node = mem_node_of(&m, hpa(page));
			bool free_ram = false;

			for (unsigned i = 0; i < map_count; i++) {
				free_ram |= map[i].kind == BOOT_MEM_FREE && page >= map[i].base && page < map[i].base + map[i].length;
			}
			CHECK(node == NODE_NONE || free_ram);
			CHECK(node == NODE_NONE || may_be(page, node));
		}
		end();
	}
}
