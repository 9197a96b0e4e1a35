/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/gwalk: a guest's page tables. */
#include "tests/host/test.h"

#include "tests/host/ram.h"
#include "vm/gwalk.h"

#define P	1ul
#define W	2ul
#define U	4ul
#define PS	0x80ul
#define NX	(1ul << 63)

#define PG	0x80010001ul	/* CR0: paging, write protect, protected mode */

static struct gwalk w;

static struct virt_state long_mode(void)
{
	return (struct virt_state){ .cr0 = PG, .cr3 = 0x1000, .cr4 = 0x20, .efer = 0xd00, .code_bits = 64 };
}

/* PML4 0x1000 -> PDPT 0x2000 -> PD 0x3000 -> PT 0x4000 -> page 0x7000 at linear 0x40201000; 2 MiB and 1 GiB beside. */
static struct gmem tables(void)
{
	struct gmem g = ram_make(LARGE_SIZE);

	ram_put(&g, 0x1000, 0x2000 | P | W | U, 8);
	ram_put(&g, 0x1ff8, 0x2000 | P | W | U, 8);
	ram_put(&g, 0x2008, 0x3000 | P | W | U, 8);
	ram_put(&g, 0x2010, 0x80000000 | PS | P | W | U, 8);
	ram_put(&g, 0x3008, 0x4000 | P | W | U, 8);
	ram_put(&g, 0x3010, 0x00e00000 | PS | P | W, 8);
	ram_put(&g, 0x4008, 0x7000 | P | W | U, 8);
	return g;
}

TEST(flat, "without paging an address is itself, cut to 32 bits")
{
	struct gmem g = ram_make(PAGE_SIZE);
	struct virt_state s = { .code_bits = 32 };

	CHECK_EQ(gwalk_translate(&g, &s, 0x1fee00020ul, GWALK_READ, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0xfee00020);
	ram_free(&g);
}

TEST(levels4, "four levels map small, 2 MiB and 1 GiB pages")
{
	struct gmem g = tables();
	struct virt_state s = long_mode();

	CHECK_EQ(gwalk_translate(&g, &s, 0x40201abc, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0x7abc);
	CHECK_EQ(w.page_bytes, PAGE_SIZE);
	CHECK_EQ(gwalk_translate(&g, &s, 0x40412345, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0xe12345);
	CHECK_EQ(gwalk_translate(&g, &s, 0xbee00020, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0xbee00020);
	CHECK_EQ(w.page_bytes, GIB);
	CHECK_EQ(gwalk_translate(&g, &s, 0xffffff8040201008ul, GWALK_READ, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0x7008);
	ram_free(&g);
}

TEST(faults, "a missing or forbidden page gives the error code the cpu would push")
{
	struct gmem g = tables();
	struct virt_state s = long_mode();

	CHECK_EQ(gwalk_translate(&g, &s, 0x0, GWALK_READ, &w), ERR_NOENT);
	CHECK_EQ(w.fault, 0);
	CHECK_EQ(gwalk_translate(&g, &s, 0x0, GWALK_WRITE, &w), ERR_NOENT);
	CHECK_EQ(w.fault, GWALK_FAULT_WRITE);
	CHECK_EQ(gwalk_translate(&g, &s, 0x0000800000000000ul, GWALK_READ, &w), ERR_NOENT);
	CHECK_EQ(w.fault, GWALK_FAULT_GP);
	s.cpl = 3;
	CHECK_EQ(gwalk_translate(&g, &s, 0x40412345, GWALK_READ, &w), ERR_NOENT);
	CHECK_EQ(w.fault, GWALK_FAULT_USER | GWALK_FAULT_PRESENT);
	s.cpl = 0;
	ram_put(&g, 0x4008, 0x7000 | P | U | NX, 8);
	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_WRITE, &w), ERR_NOENT);
	CHECK_EQ(w.fault, GWALK_FAULT_WRITE | GWALK_FAULT_PRESENT);
	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_FETCH, &w), ERR_NOENT);
	CHECK_EQ(w.fault, GWALK_FAULT_FETCH | GWALK_FAULT_PRESENT);
	s.cr0 &= ~0x10000ul;
	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_WRITE, &w), ERR_OK);
	s.efer &= ~0x800ul;
	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_READ, &w), ERR_NOENT);
	CHECK_EQ(w.fault, GWALK_FAULT_RESERVED | GWALK_FAULT_PRESENT);
	s = long_mode();
	ram_put(&g, 0x3010, 0x00e02000 | PS | P | W, 8);
	CHECK_EQ(gwalk_translate(&g, &s, 0x40412345, GWALK_READ, &w), ERR_NOENT);
	CHECK_EQ(w.fault, GWALK_FAULT_RESERVED | GWALK_FAULT_PRESENT);
	ram_put(&g, 0x2008, 0x40000000 | P | W | U, 8);
	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_READ, &w), ERR_RANGE);
	ram_free(&g);
}

TEST(smep, "with SMEP a supervisor does not fetch from a user's page")
{
	struct gmem g = tables();
	struct virt_state s = long_mode();

	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_FETCH, &w), ERR_OK);
	s.cr4 |= 1ul << 20;
	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_FETCH, &w), ERR_NOENT);
	s.cpl = 3;
	CHECK_EQ(gwalk_translate(&g, &s, 0x40201000, GWALK_FETCH, &w), ERR_OK);
	ram_free(&g);
}

TEST(bits32, "32-bit tables map small and 4 MiB pages")
{
	struct gmem g = ram_make(LARGE_SIZE);
	struct virt_state s = { .cr0 = PG, .cr3 = 0x1000, .cr4 = 0x10, .code_bits = 32 };

	ram_put(&g, 0x1000 + 4 * 1, 0x2000 | P | W, 4);
	ram_put(&g, 0x2000 + 4 * 3, 0xfee00000 | P | W, 4);
	ram_put(&g, 0x1000 + 4 * 2, 0xfec00000 | PS | P | W, 4);
	ram_put(&g, 0x1000 + 4 * 4, 0x00400000 | 1ul << 13 | PS | P | W, 4);
	CHECK_EQ(gwalk_translate(&g, &s, 0x403020, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0xfee00020);
	CHECK_EQ(gwalk_translate(&g, &s, 0x800010, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0xfec00010);
	CHECK_EQ(w.page_bytes, 4 * MIB);
	CHECK_EQ(gwalk_translate(&g, &s, 0x1000004, GWALK_READ, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0x100400004);
	s.cr4 = 0;	/* without PSE the bit is ignored: 0xfec00000 is a table then */
	CHECK_EQ(gwalk_translate(&g, &s, 0x800010, GWALK_WRITE, &w), ERR_RANGE);
	ram_free(&g);
}

TEST(pae, "PAE tables map small and 2 MiB pages, rights from the last two levels")
{
	struct gmem g = ram_make(LARGE_SIZE);
	struct virt_state s = { .cr0 = PG, .cr3 = 0x1020, .cr4 = 0x20, .code_bits = 32 };

	ram_put(&g, 0x1020 + 8 * 3, 0x2000 | P, 8);
	ram_put(&g, 0x2000, 0x3000 | P | W | U, 8);
	ram_put(&g, 0x2008, 0x100600000ul | PS | P | W | U, 8);
	ram_put(&g, 0x3008, 0x5000 | P | W | U, 8);
	s.cpl = 3;
	CHECK_EQ(gwalk_translate(&g, &s, 0xc0001008, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0x5008);
	CHECK_EQ(gwalk_translate(&g, &s, 0xc0200004, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0x100600004);
	CHECK_EQ(gwalk_translate(&g, &s, 0x00001008, GWALK_READ, &w), ERR_NOENT);
	ram_put(&g, 0x1020 + 8 * 3, 0x2000 | P | W, 8);
	CHECK_EQ(gwalk_translate(&g, &s, 0xc0001008, GWALK_READ, &w), ERR_NOENT);
	CHECK((w.fault & GWALK_FAULT_RESERVED) != 0);
	ram_free(&g);
}

TEST(levels5, "with LA57 a fifth level is walked")
{
	struct gmem g = tables();
	struct virt_state s = long_mode();

	ram_put(&g, 0x8000 + 8, 0x1000 | P | W | U, 8);
	s.cr3 = 0x8000;
	s.cr4 |= 1ul << 12;
	CHECK_EQ(gwalk_translate(&g, &s, (1ul << 48) + 0x40201abc, GWALK_WRITE, &w), ERR_OK);
	CHECK_EQ(w.at.v, 0x7abc);
	ram_free(&g);
}

TEST(fetch, "a fetch goes over a page's end and stops where the next page is missing")
{
	struct gmem g = tables();
	struct virt_state s = long_mode();
	uint8_t bytes[15];

	for (unsigned i = 0; i < 16; i++) {
		ram_put(&g, 0x7ff8 + i, 0x90 + i, 1);
	}
	CHECK_EQ(gwalk_fetch(&g, &s, 0x40201ff8, bytes, 15), 8);
	ram_put(&g, 0x4010, 0x8000 | P, 8);
	CHECK_EQ(gwalk_fetch(&g, &s, 0x40201ff8, bytes, 15), 15);
	CHECK(bytes[0] == 0x90 && bytes[7] == 0x97 && bytes[8] == 0x98 && bytes[14] == 0x9e);
	ram_free(&g);
}

TEST(garbage, "random tables never lead the walk outside RAM")
{
	struct gmem g = ram_make(16 * PAGE_SIZE);
	struct test_rng rng = { 3 };

	for (unsigned i = 0; i < 16 * PAGE_SIZE; i += 8) {
		ram_put(&g, i, (test_rand(&rng) & 0x8000000000000e7eul) | test_rand_below(&rng, 20) << 12 | P, 8);
	}
	for (unsigned i = 0; i < 50000; i++) {
		struct virt_state s = { .cr0 = PG, .cr3 = test_rand_below(&rng, 18) << 12, .efer = 0x800 };

		s.cr4 = test_rand(&rng) & 0x101030;
		s.efer |= i % 3 == 0 ? 0x500 : 0;
		s.cpl = i % 5 == 0 ? 3 : 0;
		enum err e = gwalk_translate(&g, &s, test_rand(&rng) >> (i % 40), GWALK_READ, &w);

		CHECK(e == ERR_OK || e == ERR_NOENT || e == ERR_RANGE);
	}
	ram_free(&g);
}
