/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader's pure parts: the kernel's ELF, the memory map, page tables. */
#include <stdlib.h>

#include "boot/boot_info.h"
#include "boot/pure/boot_elf.h"
#include "boot/pure/boot_map.h"
#include "boot/pure/boot_paging.h"
#include "kernel/lib/addr.h"
#include "kernel/lib/util.h"
#include "tests/host/test.h"

/* --- ELF */

#define ELF_BYTES	0x4000u
#define PHDR(i)		(64u + 56u * (i))

static void put(uint8_t *at, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		at[i] = (uint8_t)(value >> (8 * i));
	}
}

static void put_phdr(uint8_t *elf, unsigned i, uint32_t flags, uint64_t offset, uint64_t vaddr, uint64_t filesz,
		     uint64_t memsz)
{
	put(elf + PHDR(i), 1, 4);
	put(elf + PHDR(i) + 4, flags, 4);
	put(elf + PHDR(i) + 8, offset, 8);
	put(elf + PHDR(i) + 16, vaddr, 8);
	put(elf + PHDR(i) + 32, filesz, 8);
	put(elf + PHDR(i) + 40, memsz, 8);
}

/* A kernel as linker.ld makes it: text, rodata, data with bss. */
static uint8_t *good_elf(void)
{
	uint8_t *elf = calloc(1, ELF_BYTES);

	memcpy(elf, "\x7f" "ELF\x02\x01\x01", 7);
	put(elf + 16, 2, 2);
	put(elf + 18, 62, 2);
	put(elf + 24, BOOT_KERNEL_BASE + 0x10, 8);
	put(elf + 32, 64, 8);
	put(elf + 54, 56, 2);
	put(elf + 56, 3, 2);
	put_phdr(elf, 0, 5, 0x1000, BOOT_KERNEL_BASE, 0x800, 0x800);
	put_phdr(elf, 1, 4, 0x2000, BOOT_KERNEL_BASE + 0x1000, 0x1000, 0x1000);
	put_phdr(elf, 2, 6, 0x3000, BOOT_KERNEL_BASE + 0x2000, 0x1000, 0x5001);
	return elf;
}

static enum err plan_of(const uint8_t *elf, size_t size, struct boot_elf *plan, bool *told)
{
	char buf[256];
	struct text why = text_make(buf, sizeof(buf));
	enum err e = boot_elf_plan(elf, size, plan, &why);

	*told = why.len > 0;
	return e;
}

TEST(elf_good, "a kernel of three segments gives a plan of their places, sizes and permissions")
{
	uint8_t *elf = good_elf();
	struct boot_elf plan;
	bool told;

	CHECK_EQ(plan_of(elf, ELF_BYTES, &plan, &told), ERR_OK);
	CHECK_EQ(plan.count, 3);
	CHECK_EQ(plan.entry, BOOT_KERNEL_BASE + 0x10);
	CHECK_EQ(plan.size, 0x8000);
	CHECK(plan.segments[0].exec && !plan.segments[0].write && plan.segments[0].mem_bytes == 0x1000);
	CHECK(!plan.segments[1].exec && !plan.segments[1].write);
	CHECK(!plan.segments[2].exec && plan.segments[2].write && plan.segments[2].mem_bytes == 0x6000);
	CHECK(!told);
	free(elf);
}

TEST(elf_bad, "a kernel file with any one header wrong is refused with the right error and the details")
{
	static const struct { unsigned at, width; uint64_t value; enum err want; } rows[] = {
		{ 0, 1, 'X', ERR_SIGNATURE },
		{ 4, 1, 1, ERR_SIGNATURE },			/* ELF32 */
		{ 16, 2, 3, ERR_FORMAT },			/* ET_DYN */
		{ 18, 2, 3, ERR_FORMAT },			/* i386 */
		{ 24, 8, 0, ERR_RANGE },			/* entry nowhere */
		{ 24, 8, BOOT_KERNEL_BASE + 0x800, ERR_RANGE },	/* entry behind the text's bytes */
		{ 24, 8, BOOT_KERNEL_BASE + 0x1000, ERR_RANGE },/* entry in rodata */
		{ 32, 8, ELF_BYTES - 8, ERR_TRUNCATED },	/* program headers behind the end */
		{ 32, 8, ~0ul - 8, ERR_TRUNCATED },
		{ 54, 2, 0, ERR_FORMAT },
		{ 56, 2, 65535, ERR_FORMAT },
		{ 56, 2, 0, ERR_RANGE },			/* nothing to load */
		{ PHDR(0) + 4, 4, 7, ERR_INVAL },		/* W and X */
		{ PHDR(0) + 8, 8, ELF_BYTES, ERR_TRUNCATED },
		{ PHDR(0) + 8, 8, ~0ul, ERR_TRUNCATED },
		{ PHDR(0) + 16, 8, BOOT_KERNEL_BASE + 0x10, ERR_RANGE },
		{ PHDR(0) + 16, 8, 0x100000, ERR_RANGE },	/* linked low */
		{ PHDR(0) + 32, 8, 0x801, ERR_TRUNCATED },	/* more in the file than in memory */
		{ PHDR(0) + 40, 8, 0x1001, ERR_FORMAT },	/* shares a page with the next */
		{ PHDR(2) + 40, 8, BOOT_KERNEL_MAX, ERR_RANGE },
		{ PHDR(2) + 40, 8, ~0ul, ERR_RANGE },
		{ PHDR(2) + 16, 8, ~0xffful, ERR_RANGE },
		{ PHDR(2) + 16, 8, BOOT_KERNEL_BASE, ERR_FORMAT },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *elf = good_elf();
		struct boot_elf plan;
		bool told;

		put(elf + rows[i].at, rows[i].value, rows[i].width);
		enum err e = plan_of(elf, ELF_BYTES, &plan, &told);

		free(elf);
		if (e != rows[i].want || !told) {
			test_fail(__FILE__, __LINE__, "row %u: got %s, want %s, told %d", i, err_words(e),
				  err_words(rows[i].want), told);
		}
	}
}

TEST(elf_truncated, "a kernel file cut at any length is refused")
{
	uint8_t *elf = good_elf();

	for (size_t size = 0; size < ELF_BYTES; size += size < 300 ? 1 : 61) {
		struct boot_elf plan;
		bool told;

		uint8_t *exact = malloc(size > 0 ? size : 1);	/* so that ASan sees a read behind it */

		memcpy(exact, elf, size);
		enum err e = plan_of(exact, size, &plan, &told);

		free(exact);
		CHECK(e != ERR_OK && told);
	}
	free(elf);
}

TEST(elf_fuzz, "a plan made from a randomly damaged kernel file stays inside the file and never maps W and X")
{
	struct test_rng rng = { 41 };

	for (unsigned round = 0; round < 20000; round++) {
		uint8_t *elf = good_elf();
		struct boot_elf plan;
		bool told;

		for (unsigned k = 0; k < 3; k++) {
			elf[test_rand_below(&rng, PHDR(3))] = (uint8_t)test_rand(&rng);
		}
		if (plan_of(elf, ELF_BYTES, &plan, &told) == ERR_OK) {
			uint64_t end = BOOT_KERNEL_BASE;

			for (unsigned i = 0; i < plan.count; i++) {
				const struct boot_elf_segment *s = &plan.segments[i];

				CHECK(s->file_offset <= ELF_BYTES && s->file_bytes <= ELF_BYTES - s->file_offset);
				CHECK(s->vaddr >= end && s->file_bytes <= s->mem_bytes && !(s->write && s->exec));
				end = s->vaddr + s->mem_bytes;
			}
			CHECK_EQ(end - BOOT_KERNEL_BASE, plan.size);
			CHECK(plan.size <= BOOT_KERNEL_MAX);
		}
		free(elf);
	}
}

/* --- Memory map */

#define STRIDE	48u
#define WB	8u
#define MAP_MAX	64u

struct descriptors {
	uint8_t bytes[MAP_MAX * STRIDE];
	size_t count;
};

static void add_desc(struct descriptors *d, uint32_t type, uint64_t base, uint64_t pages, uint64_t attributes)
{
	uint8_t *at = d->bytes + STRIDE * d->count++;

	memset(at, 0xee, STRIDE);
	put(at, type, 4);
	put(at + 8, base, 8);
	put(at + 24, pages, 8);
	put(at + 32, attributes, 8);
}

struct converted {
	struct boot_mem map[BOOT_MAP_OUT_MAX(2 * MAP_MAX)];
	size_t count;
};

static enum err convert(const struct descriptors *d, const struct boot_mem *own, size_t own_count,
			struct converted *c)
{
	struct boot_mem work[2 * MAP_MAX];
	const struct boot_map_source source = { d->bytes, d->count * STRIDE, STRIDE, own, own_count };

	return boot_map_convert(&source, work, ARRAY_SIZE(work), c->map, ARRAY_SIZE(c->map), &c->count);
}

static uint32_t kind_at(const struct converted *c, uint64_t at)
{
	for (size_t i = 0; i < c->count; i++) {
		if (at >= c->map[i].base && at - c->map[i].base < c->map[i].length) {
			return c->map[i].kind;
		}
	}
	return UINT32_MAX;
}

static void check_sane(const struct converted *c)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct boot_mem *m = &c->map[i];

		CHECK(m->length > 0 && is_aligned(m->base | m->length, PAGE_SIZE));
		CHECK(m->base + m->length <= BOOT_MAP_LIMIT);
		if (i > 0) {
			uint64_t before = m[-1].base + m[-1].length;

			CHECK(m->base > before || (m->base == before && m->kind != m[-1].kind));
		}
	}
}

TEST(map_merge, "neighbours that become the same kind are merged and the map ascends whatever order it came in")
{
	struct descriptors d = { .count = 0 };
	struct converted c;

	add_desc(&d, 7, 0x100000, 16, WB);	/* conventional */
	add_desc(&d, 4, 0x110000, 16, WB);	/* boot services data */
	add_desc(&d, 1, 0, 16, WB);		/* loader code, out of order */
	add_desc(&d, 9, 0x120000, 1, WB);	/* ACPI */
	add_desc(&d, 11, 0xfec00000, 1, 0);	/* MMIO */
	add_desc(&d, 6, 0x121000, 1, WB);	/* runtime data */
	CHECK_EQ(convert(&d, NULL, 0, &c), ERR_OK);
	CHECK_EQ(c.count, 5);
	CHECK_EQ(c.map[0].base, 0);
	CHECK_EQ(c.map[1].base, 0x100000);
	CHECK_EQ(c.map[1].length, 0x20000);
	CHECK_EQ(c.map[2].kind, BOOT_MEM_ACPI);
	CHECK_EQ(c.map[3].kind, BOOT_MEM_RESERVED);
	CHECK_EQ(c.map[4].kind, BOOT_MEM_MMIO);
	CHECK_EQ(boot_map_ram_end(c.map, c.count), 0x121000);
	check_sane(&c);
}

TEST(map_own, "the loader's own ranges are cut out of free memory and touch nothing else")
{
	const struct boot_mem own[] = {
		{ .base = 0x104000, .length = 0x2000, .kind = BOOT_MEM_KEPT },
		{ .base = 0x100000, .length = 0x1000, .kind = BOOT_MEM_RECLAIM },
	};
	struct descriptors d = { .count = 0 };
	struct converted c;

	add_desc(&d, 2, 0x100000, 16, WB);
	CHECK_EQ(convert(&d, own, 2, &c), ERR_OK);
	CHECK_EQ(c.count, 4);
	CHECK_EQ(kind_at(&c, 0x100000), BOOT_MEM_RECLAIM);
	CHECK_EQ(kind_at(&c, 0x101000), BOOT_MEM_FREE);
	CHECK_EQ(kind_at(&c, 0x105fff), BOOT_MEM_KEPT);
	CHECK_EQ(kind_at(&c, 0x106000), BOOT_MEM_FREE);
	check_sane(&c);
}

TEST(map_hostile, "where descriptors overlap, wrap around or are not aligned, free memory is what loses")
{
	struct descriptors d = { .count = 0 };
	struct converted c;

	add_desc(&d, 7, 0x100800, 16, WB);		/* free, not aligned: shrinks to 0x101000..0x110000 */
	add_desc(&d, 0, 0x108800, 1, WB);		/* reserved, not aligned: grows to 0x108000..0x10a000 */
	add_desc(&d, 7, 0x108000, 1, WB);		/* the same page free once more */
	add_desc(&d, 7, 0x200000, ~0ul, WB);		/* wraps around */
	add_desc(&d, 7, ~0xffful, 16, WB);		/* begins beyond everything */
	add_desc(&d, 7, 0x180000, 0, WB);		/* empty */
	add_desc(&d, 7, 0x190000, 1, 0);		/* free but not write-back */
	add_desc(&d, 7, 0x191000, 1, WB | 1ul << 18);	/* special purpose */
	add_desc(&d, 77, 0x192000, 1, WB);		/* a type of nobody */
	CHECK_EQ(convert(&d, NULL, 0, &c), ERR_OK);
	check_sane(&c);
	CHECK_EQ(kind_at(&c, 0x100800), UINT32_MAX);
	CHECK_EQ(kind_at(&c, 0x101000), BOOT_MEM_FREE);
	CHECK_EQ(kind_at(&c, 0x108000), BOOT_MEM_RESERVED);
	CHECK_EQ(kind_at(&c, 0x109000), BOOT_MEM_RESERVED);
	CHECK_EQ(kind_at(&c, 0x10a000), BOOT_MEM_FREE);
	CHECK_EQ(kind_at(&c, 0x110000), UINT32_MAX);
	for (uint64_t at = 0x190000; at < 0x193000; at += PAGE_SIZE) {
		CHECK_EQ(kind_at(&c, at), BOOT_MEM_RESERVED);
	}
	CHECK_EQ(boot_map_ram_end(c.map, c.count), BOOT_MAP_LIMIT);
}

TEST(map_refuse, "a stride that holds no descriptor and buffers that are too small are errors")
{
	struct descriptors d = { .count = 0 };
	struct boot_mem work[4], out[4];
	size_t count;

	for (unsigned i = 0; i < 5; i++) {
		add_desc(&d, 7, 0x100000 + 0x2000 * i, 1, WB);
	}
	struct boot_map_source source = { d.bytes, d.count * STRIDE, 0, NULL, 0 };

	CHECK_EQ(boot_map_convert(&source, work, 4, out, 4, &count), ERR_FORMAT);
	source.stride = 39;
	CHECK_EQ(boot_map_convert(&source, work, 4, out, 4, &count), ERR_FORMAT);
	source.stride = STRIDE;
	CHECK_EQ(boot_map_convert(&source, work, 4, out, 4, &count), ERR_LIMIT);
	source.bytes = 4 * STRIDE + 7;			/* and a piece of a descriptor */
	CHECK_EQ(boot_map_convert(&source, work, 4, out, 3, &count), ERR_LIMIT);
	CHECK_EQ(boot_map_convert(&source, work, 4, out, 4, &count), ERR_OK);
	CHECK_EQ(count, 4);
}

TEST(map_model, "random maps convert to what a page-by-page model says")
{
	enum { PAGES = 64 };
	static const struct { uint32_t type, kind; } types[] = {
		{ 7, BOOT_MEM_FREE }, { 3, BOOT_MEM_FREE }, { 10, BOOT_MEM_ACPI }, { 0, BOOT_MEM_RESERVED },
		{ 11, BOOT_MEM_MMIO },
	};
	struct test_rng rng = { 7 };

	for (unsigned round = 0; round < 3000; round++) {
		uint32_t model[PAGES];
		struct descriptors d = { .count = 0 };
		struct boot_mem own[4];
		struct converted c;

		memset(model, 0xff, sizeof(model));
		for (unsigned i = 0; i < 12; i++) {
			unsigned which = (unsigned)test_rand_below(&rng, ARRAY_SIZE(types) + 1);
			uint64_t first = test_rand_below(&rng, PAGES);
			uint64_t pages = test_rand_below(&rng, PAGES - first + 1);
			uint32_t kind = BOOT_MEM_KEPT;

			if (i < 4) {
				pages = MAX(pages, 1ul);
				own[i] = (struct boot_mem){ first * PAGE_SIZE, pages * PAGE_SIZE, kind, 0 };
			} else {
				which = which == ARRAY_SIZE(types) ? 0 : which;
				kind = types[which].kind;
				add_desc(&d, types[which].type, first * PAGE_SIZE, pages, WB);
			}
			for (uint64_t p = first; p < first + pages; p++) {
				/* enum boot_mem_kind is in order of rank */
				if (model[p] == UINT32_MAX || kind > model[p]) {
					model[p] = kind;
				}
			}
		}
		CHECK_EQ(convert(&d, own, 4, &c), ERR_OK);
		check_sane(&c);
		for (unsigned p = 0; p < PAGES; p++) {
			CHECK_EQ(kind_at(&c, p * PAGE_SIZE), model[p]);
		}
	}
}

/* --- Page tables */

struct table_pool {
	uint64_t (*pages)[512];
	unsigned used, limit;
};

#define POOL_BASE	0x1000000ul	/* pretended physical address of page 0 */

static uint64_t pool_alloc(void *context)
{
	struct table_pool *pool = context;

	return pool->used == pool->limit ? 0 : POOL_BASE + PAGE_SIZE * pool->used++;
}

static uint64_t *pool_at(void *context, uint64_t page)
{
	struct table_pool *pool = context;

	return pool->pages[(page - POOL_BASE) / PAGE_SIZE];
}

static struct boot_paging paging_make(struct table_pool *pool, unsigned limit, bool giant)
{
	pool->pages = calloc(limit + 1, PAGE_SIZE);
	pool->used = 0;
	pool->limit = limit;
	return (struct boot_paging){ .alloc = pool_alloc, .at = pool_at, .context = pool, .giant = giant };
}

/* As a cpu walks (SDM 4.5): physical address of va, or ~0; *flags as the levels together allow. */
static uint64_t walk(const struct boot_paging *p, uint64_t va, unsigned *flags)
{
	uint64_t entry = p->root | 3;

	*flags = BOOT_PAGING_WRITE | BOOT_PAGING_EXEC;
	for (unsigned level = 4; level-- > 0;) {
		entry = p->at(p->context, entry & 0xffffffffff000)[(va >> (12 + 9 * level)) & 511];
		if ((entry & 1) == 0) {
			return ~0ul;
		}
		*flags &= ((entry & 2) != 0 ? BOOT_PAGING_WRITE : 0u) | BOOT_PAGING_EXEC;
		*flags &= BOOT_PAGING_WRITE | (entry >> 63 != 0 ? 0u : BOOT_PAGING_EXEC);
		if (level == 0 || (entry & 0x80) != 0) {
			uint64_t mask = (PAGE_SIZE << (9 * level)) - 1;

			CHECK((entry & 0xffffffffff000 & mask) == 0);
			return (entry & 0xffffffffff000 & ~mask) + (va & mask);
		}
	}
	return ~0ul;
}

TEST(paging_direct, "a direct map of 5 GiB takes 1 GiB pages where the cpu has them, else 2 MiB, and maps each address")
{
	for (unsigned giant = 0; giant < 2; giant++) {
		struct table_pool pool;
		struct boot_paging p = paging_make(&pool, 16, giant != 0);
		unsigned flags;

		CHECK_EQ(boot_paging_init(&p), ERR_OK);
		CHECK_EQ(boot_paging_map(&p, BOOT_DIRECT_BASE, 0, 5 * GIB, BOOT_PAGING_WRITE), ERR_OK);
		CHECK_EQ(pool.used, giant ? 2 : 7);
		for (uint64_t at = 0; at < 5 * GIB; at += 123 * PAGE_SIZE + 17) {
			CHECK_EQ(walk(&p, BOOT_DIRECT_BASE + at, &flags), at);
			CHECK_EQ(flags, BOOT_PAGING_WRITE);
		}
		CHECK_EQ(walk(&p, BOOT_DIRECT_BASE + 5 * GIB, &flags), ~0ul);
		CHECK_EQ(walk(&p, BOOT_DIRECT_BASE - 1, &flags), ~0ul);
		free(pool.pages);
	}
}

TEST(paging_segments, "pages of different permissions side by side keep their own")
{
	static const unsigned perms[] = { BOOT_PAGING_EXEC, 0, BOOT_PAGING_WRITE };
	struct table_pool pool;
	struct boot_paging p = paging_make(&pool, 16, true);
	unsigned flags;

	CHECK_EQ(boot_paging_init(&p), ERR_OK);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(boot_paging_map(&p, BOOT_KERNEL_BASE + i * 0x3000, 0x200000 + i * 0x3000, 0x3000, perms[i]),
			 ERR_OK);
	}
	for (unsigned i = 0; i < 9; i++) {
		CHECK_EQ(walk(&p, BOOT_KERNEL_BASE + i * PAGE_SIZE, &flags), 0x200000 + i * PAGE_SIZE);
		CHECK_EQ(flags, perms[i / 3]);
	}
	free(pool.pages);
}

TEST(paging_refuse, "writable and executable, partial pages and double mappings are refused")
{
	struct table_pool pool;
	struct boot_paging p = paging_make(&pool, 16, false);

	CHECK_EQ(boot_paging_init(&p), ERR_OK);
	CHECK_EQ(boot_paging_map(&p, 0, 0, PAGE_SIZE, BOOT_PAGING_WRITE | BOOT_PAGING_EXEC), ERR_INVAL);
	CHECK_EQ(boot_paging_map(&p, 1, 0, PAGE_SIZE, 0), ERR_INVAL);
	CHECK_EQ(boot_paging_map(&p, 0, 0, PAGE_SIZE + 1, 0), ERR_INVAL);
	CHECK_EQ(boot_paging_map(&p, 0, 0, LARGE_SIZE, 0), ERR_OK);
	CHECK_EQ(boot_paging_map(&p, 0x5000, 0, PAGE_SIZE, 0), ERR_EXIST);
	CHECK_EQ(boot_paging_map(&p, 0, 0, LARGE_SIZE, 0), ERR_EXIST);
	CHECK_EQ(boot_paging_map(&p, GIB, 0, PAGE_SIZE, 0), ERR_OK);
	CHECK_EQ(boot_paging_map(&p, GIB, 0, LARGE_SIZE, 0), ERR_EXIST);
	free(pool.pages);
}

TEST(paging_nomem, "page tables that run out of memory at any page say so")
{
	unsigned needed = 0;

	for (unsigned limit = 0; limit < 16; limit++) {
		struct table_pool pool;
		struct boot_paging p = paging_make(&pool, limit, false);
		enum err e = boot_paging_init(&p);

		e = e != ERR_OK ? e : boot_paging_map(&p, BOOT_DIRECT_BASE, 0, 4 * GIB, BOOT_PAGING_WRITE);
		e = e != ERR_OK ? e : boot_paging_map(&p, BOOT_KERNEL_BASE, 0, PAGE_SIZE, 0);
		free(pool.pages);
		if (e == ERR_OK) {
			needed = limit;
			break;
		}
		CHECK_EQ(e, ERR_NOMEM);
	}
	CHECK_EQ(needed, 1 + 1 + 4 + 3);
}
