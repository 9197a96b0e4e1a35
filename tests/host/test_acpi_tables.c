/* SPDX-License-Identifier: BSD-2-Clause */
/* FADT, _S5_, SPCR, HPET, MCFG and PPTT by hand; and every reader of acpi/ over random bytes. */
#include <stdlib.h>

#include "acpi/fadt.h"
#include "acpi/hpet.h"
#include "acpi/madt.h"
#include "acpi/mcfg.h"
#include "acpi/pptt.h"
#include "acpi/s5.h"
#include "acpi/slit.h"
#include "acpi/spcr.h"
#include "acpi/srat.h"
#include "kernel/lib/util.h"
#include "tests/host/acpi_build.h"
#include "tests/host/test.h"

static struct build b;

static void build_fadt(uint8_t revision, uint32_t size)
{
	build_start(&b, "FACP", revision);
	build_zero(&b, size - 36);
	build_poke(&b, 40, 0x1234000, 4);
	build_poke(&b, 46, 9, 2);
	build_poke(&b, 64, 0x604, 4);
	build_poke(&b, 76, 0x608, 4);
	build_poke(&b, 89, 2, 1);
	build_poke(&b, 109, 0x2, 2);
	build_poke(&b, 112, 1u << 10 | 1u << 8, 4);
}

TEST(fadt_old, "an FADT of 116 bytes has ports and a DSDT, no reset register, and all legacy devices")
{
	struct fadt f;
	uint8_t *copy;

	build_fadt(1, 116);
	build_end(&b);
	copy = build_copy(&b, b.size);
	CHECK_EQ(fadt_read(&f, copy, b.size), ERR_OK);
	CHECK(f.pm1a_control.space == ACPI_SPACE_IO && f.pm1a_control.address == 0x604);
	CHECK_EQ(f.pm1a_control.bit_width, 16);
	CHECK_EQ(f.pm1b_control.address, 0);
	CHECK_EQ(f.pm_timer.address, 0x608);
	CHECK(f.pm_timer_is_32bit);
	CHECK_EQ(f.dsdt, 0x1234000);
	CHECK(!f.has_reset && f.has_8042 && f.has_legacy_devices && !f.has_boot_flags);
	CHECK_EQ(fadt_read(&f, copy, 115), ERR_TRUNCATED);
	free(copy);
}

TEST(fadt_new, "an FADT's wide fields win where they are not 0")
{
	struct fadt f;

	build_fadt(6, 276);
	build_poke(&b, 116, 0x01000801, 4);
	build_poke(&b, 120, 0xcf9, 8);
	build_poke(&b, 128, 0x0e, 1);
	build_poke(&b, 140, 0x10000000000, 8);
	build_poke(&b, 172, 0x02001000, 4);	/* PM1a control in memory */
	build_poke(&b, 176, 0xfed00004, 8);
	build_end(&b);
	CHECK_EQ(fadt_read(&f, b.bytes, b.size), ERR_OK);
	CHECK(f.has_reset && f.reset.space == ACPI_SPACE_IO && f.reset.address == 0xcf9 && f.reset_value == 0x0e);
	CHECK_EQ(f.dsdt, 0x10000000000);
	CHECK(f.pm1a_control.space == ACPI_SPACE_MEMORY && f.pm1a_control.address == 0xfed00004);
	CHECK_EQ(f.pm_timer.address, 0x608);
	CHECK(f.has_8042 && !f.has_legacy_devices);
	build_poke(&b, 112, 0, 4);
	CHECK_EQ(fadt_read(&f, b.bytes, b.size), ERR_OK);
	CHECK(!f.has_reset);
}

/* Puts AML bytes behind a DSDT header and looks for _S5_ in exactly those. */
static enum err find_s5(struct s5 *s, const char *aml, size_t size)
{
	uint8_t *copy;
	enum err e;

	build_start(&b, "DSDT", 2);
	for (size_t i = 0; i < size; i++) {
		build_put(&b, (uint8_t)aml[i], 1);
	}
	build_end(&b);
	copy = build_copy(&b, b.size);
	e = s5_find(s, copy, b.size);
	free(copy);
	return e;
}

#define FIND_S5(s, aml) find_s5((s), (aml), sizeof(aml) - 1)

TEST(s5, "the _S5_ package is found with every way to write its integers, after \\ too, and never in part")
{
	struct s5 s;

	CHECK_EQ(FIND_S5(&s, "\x5b\x08_S5_\x12\x06\x04\x0a\x05\x0a"), ERR_NOENT);		/* one byte short */
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\x05\x04\x0a\x05\x0a\x06"), ERR_NOENT);		/* the package is */
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\x08\x04\x0a\x05\x0a\x06\x00\x00"), ERR_OK);
	CHECK(s.type_a == 5 && s.type_b == 6);
	CHECK_EQ(FIND_S5(&s, "\x10\x20\x08\\_S5_\x12\x06\x04\x00\x01\x00\x00"), ERR_OK);
	CHECK(s.type_a == 0 && s.type_b == 1);
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\x4b\x00\x02\x0b\x07\x00\x0c\x03\x00\x00\x00"), ERR_OK);
	CHECK(s.type_a == 7 && s.type_b == 3);
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\x04\x01\x0a\x05"), ERR_OK);
	CHECK(s.type_a == 5 && s.type_b == 0);
	/* A method that uses the name comes first; the definition counts. */
	CHECK_EQ(FIND_S5(&s, "_S5_\x08_S5_\x14\x08_S5_\x12\x04\x02\x01\x01"), ERR_OK);
	CHECK(s.type_a == 1 && s.type_b == 1);
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\x05\x02\x0a\x09\x00"), ERR_NOENT);		/* 9 has 4 bits */
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\x06\x04SLP0"), ERR_NOENT);
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\x00\x02\x00\x00"), ERR_NOENT);
	CHECK_EQ(FIND_S5(&s, "\x08_S5_\x12\xc0"), ERR_NOENT);
	CHECK_EQ(FIND_S5(&s, "\x08_S5_"), ERR_NOENT);
	CHECK_EQ(FIND_S5(&s, ""), ERR_NOENT);
}

TEST(spcr, "an SPCR names port, kind and speed")
{
	struct spcr s;

	build_start(&b, "SPCR", 2);
	build_zero(&b, 44);
	build_poke(&b, 40, 0x01000801, 4);
	build_poke(&b, 44, 0x2f8, 8);
	build_poke(&b, 52, 3, 1);
	build_poke(&b, 53, 3, 1);
	build_poke(&b, 54, 3, 4);
	build_poke(&b, 58, 7, 1);
	build_poke(&b, 64, 0xffff, 2);
	build_end(&b);
	CHECK_EQ(spcr_read(&s, b.bytes, b.size), ERR_OK);
	CHECK(s.is_16550 && s.base.space == ACPI_SPACE_IO && s.base.address == 0x2f8 && s.baud == 115200);
	CHECK(s.has_irq && s.irq == 3 && s.has_gsi && s.gsi == 3 && !s.is_pci && s.stride_bytes == 1);
	build_poke(&b, 36, 3, 1);		/* an ARM PL011 */
	build_poke(&b, 40, 0x03002000, 4);
	build_poke(&b, 58, 5, 1);		/* no such code */
	CHECK_EQ(spcr_read(&s, b.bytes, b.size), ERR_OK);
	CHECK(!s.is_16550 && s.stride_bytes == 4 && s.baud == 0);
	CHECK_EQ(spcr_read(&s, b.bytes, 79), ERR_TRUNCATED);
}

TEST(hpet_mcfg, "HPET and MCFG give addresses, and an MCFG range that ends before it begins is passed over")
{
	struct hpet h;
	struct mcfg m;
	struct mcfg_range range;

	build_start(&b, "HPET", 1);
	build_put(&b, 0x8086a201, 4);
	build_put(&b, 0x4000, 4);
	build_put(&b, 0xfed00000, 8);
	build_put(&b, 0, 1);
	build_put(&b, 0x80, 2);
	build_put(&b, 0, 1);
	CHECK_EQ(hpet_read(&h, b.bytes, b.size), ERR_OK);
	CHECK(h.base.address == 0xfed00000 && h.id == 0x8086a201 && h.min_tick == 0x80);
	CHECK_EQ(hpet_read(&h, b.bytes, 40), ERR_TRUNCATED);

	build_start(&b, "MCFG", 1);
	build_zero(&b, 8);
	build_put(&b, 0xe0000000, 8);
	build_put(&b, 0x00200000, 4);		/* buses 0x20 to 0 */
	build_put(&b, 0, 4);
	build_put(&b, 0xb0000000, 8);
	build_put(&b, 0xff000001, 4);
	build_put(&b, 0, 4);
	build_put(&b, 0xc0000000, 8);		/* half a range */
	CHECK_EQ(mcfg_open(&m, b.bytes, b.size), ERR_OK);
	CHECK(mcfg_next(&m, &range) && range.base == 0xb0000000 && range.segment == 1 && range.last_bus == 255);
	CHECK(!mcfg_next(&m, &range));
}

static void build_pptt_node(uint32_t flags, uint32_t parent, uint32_t uid, uint32_t resource)
{
	build_put(&b, 0x1800, 2);
	build_put(&b, 0, 2);
	build_put(&b, flags, 4);
	build_put(&b, parent, 4);
	build_put(&b, uid, 4);
	build_put(&b, 1, 4);
	build_put(&b, resource, 4);
}

TEST(pptt, "a PPTT is climbed to the package, and a node that is its own ancestor ends the climb")
{
	struct pptt p;
	struct pptt_entry e;

	build_start(&b, "PPTT", 2);
	build_pptt_node(1, 0, 0, 36);		/* at 36: a package */
	build_pptt_node(0, 36, 0, 108);		/* at 60: a core */
	build_pptt_node(2 | 8, 60, 7, 0);	/* at 84: a thread */
	build_put(&b, 0x1801, 2);		/* at 108: a cache */
	build_zero(&b, 2);
	build_put(&b, 1 | 1 << 6, 4);
	build_put(&b, 0, 4);
	build_put(&b, 32768, 4);
	build_zero(&b, 6);
	build_put(&b, 64, 2);
	build_pptt_node(0, 132, 0, 0);		/* at 132: its own parent */
	build_pptt_node(0, 61, 0, 0);		/* at 156: its parent is the middle of a node */
	CHECK_EQ(pptt_open(&p, b.bytes, b.size), ERR_OK);
	CHECK_EQ(pptt_package(&p, 84), 36);
	CHECK_EQ(pptt_package(&p, 36), 36);
	CHECK_EQ(pptt_package(&p, 132), 0);
	CHECK_EQ(pptt_package(&p, 156), 0);
	CHECK_EQ(pptt_package(&p, 108), 0);
	CHECK(pptt_at(&p, 84, &e) == ERR_OK && e.processor.has_uid && e.processor.uid == 7 && e.processor.is_leaf);
	CHECK(pptt_at(&p, 108, &e) == ERR_OK && e.kind == PPTT_CACHE && e.cache.size_bytes == 32768);
	CHECK_EQ(e.cache.line_bytes, 64);
	CHECK_EQ(pptt_at(&p, 0, &e), ERR_NOENT);
}

/* --- any bytes at all ------------------------------------------------------------------------------------------- */

static void read_all(const uint8_t *table, size_t size)
{
	union {
		struct madt_entry madt;
		struct srat_entry srat;
		struct mcfg_range mcfg;
		struct pptt_entry pptt;
	} e;
	struct madt madt;
	struct srat srat;
	struct slit slit;
	struct fadt fadt;
	struct hpet hpet;
	struct mcfg mcfg;
	struct spcr spcr;
	struct pptt pptt, walk;
	struct s5 s5;
	size_t n = 0;

	for (madt_open(&madt, table, size); madt_next(&madt, &e.madt); n++) {
	}
	for (srat_open(&srat, table, size); srat_next(&srat, &e.srat); n++) {
	}
	for (mcfg_open(&mcfg, table, size); mcfg_next(&mcfg, &e.mcfg); n++) {
	}
	pptt_open(&pptt, table, size);
	for (walk = pptt; pptt_next(&walk, &e.pptt); n++) {
		uint32_t at = e.pptt.at;

		CHECK(pptt_package(&pptt, at) < size);
	}
	CHECK(n <= size / 2);
	if (slit_open(&slit, table, size) == ERR_OK) {
		(void)slit_distance(&slit, slit.count - 1, slit.count - 1);
	}
	(void)fadt_read(&fadt, table, size);
	(void)hpet_read(&hpet, table, size);
	(void)spcr_read(&spcr, table, size);
	if (s5_find(&s5, table, size) == ERR_OK) {
		CHECK(s5.type_a <= 7 && s5.type_b <= 7);
	}
}

TEST(mutations, "no reader reads outside its table or walks on for ever, whatever the bytes")
{
	static const char *const names[] = { "APIC", "SRAT", "SLIT", "FACP", "HPET", "MCFG", "SPCR", "PPTT", "DSDT" };
	struct test_rng r = { .state = 5 };

	for (unsigned round = 0; round < 8000; round++) {
		unsigned which = (unsigned)test_rand_below(&r, ARRAY_SIZE(names));
		uint8_t *copy;

		build_start(&b, names[which], (uint8_t)test_rand_below(&r, 7));
		for (unsigned n = (unsigned)test_rand_below(&r, 300); n > 0; n--) {
			/* Mostly small numbers: types, lengths and offsets that lead somewhere. */
			build_put(&b, test_rand_below(&r, 4) == 0 ? test_rand(&r) : test_rand_below(&r, 48), 1);
		}
		if (test_rand_below(&r, 2) == 0 && b.size > 60) {
			memcpy(b.bytes + 36 + test_rand_below(&r, b.size - 50), "\x08_S5_\x12\x06\x04", 8);
		}
		b.size = test_rand_below(&r, 4) == 0 ? (uint32_t)(4 + test_rand_below(&r, b.size - 3)) : b.size;
		copy = build_copy(&b, b.size);
		read_all(copy, b.size);
		free(copy);
	}
}
