/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding ACPI tables in a fake memory; MADT, SRAT and SLIT by hand. The others are in test_acpi_tables.c. */
#include <stdlib.h>

#include "acpi/acpi.h"
#include "acpi/madt.h"
#include "acpi/slit.h"
#include "acpi/srat.h"
#include "kernel/lib/util.h"
#include "tests/host/acpi_build.h"
#include "tests/host/test.h"

static struct build b;

/* --- a fake physical memory: pieces at addresses, each on the heap in its exact size ---------------------------- */

#define PIECES_MAX	32u

struct memory {
	struct {
		uint64_t phys;
		uint8_t *bytes;
		size_t size;
	} piece[PIECES_MAX];
	unsigned count;
	unsigned maps;		/* calls so far */
	size_t largest;		/* bytes, ever asked for */
};

static struct memory memory;

static const void *map(void *ctx, uint64_t phys, size_t size)
{
	struct memory *m = ctx;

	m->maps++;
	m->largest = MAX(m->largest, size);
	for (unsigned i = 0; i < m->count; i++) {
		if (phys >= m->piece[i].phys && phys - m->piece[i].phys <= m->piece[i].size &&
		    size <= m->piece[i].size - (phys - m->piece[i].phys)) {
			return m->piece[i].bytes + (phys - m->piece[i].phys);
		}
	}
	return NULL;
}

static void memory_clear(struct memory *m)
{
	while (m->count > 0) {
		free(m->piece[--m->count].bytes);
	}
	m->maps = 0;
	m->largest = 0;
}

static void memory_add(struct memory *m, uint64_t phys, const struct build *from)
{
	m->piece[m->count].phys = phys;
	m->piece[m->count].size = from->size;
	m->piece[m->count++].bytes = build_copy(from, from->size);
}

static void add_table(uint64_t phys, const char *signature, uint8_t mark)
{
	build_start(&b, signature, 1);
	build_put(&b, mark, 1);
	build_end(&b);
	memory_add(&memory, phys, &b);
}

static void add_rsdp(uint64_t phys, uint8_t revision, uint32_t rsdt, uint64_t xsdt)
{
	b.size = 0;
	for (const char *s = "RSD PTR "; *s != '\0'; s++) {
		build_put(&b, (uint8_t)*s, 1);
	}
	build_zero(&b, 7);
	build_put(&b, revision, 1);
	build_put(&b, rsdt, 4);
	build_sum(&b, 8, 20);
	if (revision >= 2) {
		build_put(&b, 36, 4);
		build_put(&b, xsdt, 8);
		build_zero(&b, 4);
		build_sum(&b, 32, 36);
	}
	memory_add(&memory, phys, &b);
}

static void add_root(uint64_t phys, const char *signature, unsigned width, const uint64_t *tables, unsigned count)
{
	build_start(&b, signature, 1);
	for (unsigned i = 0; i < count; i++) {
		build_put(&b, tables[i], width);
	}
	build_end(&b);
	memory_add(&memory, phys, &b);
}

/* --- RSDP and root tables --------------------------------------------------------------------------------------- */

TEST(xsdt, "an XSDT's tables are found by signature and instance, and above 4 GiB")
{
	struct acpi a;
	struct acpi_table t;

	memory_clear(&memory);
	add_rsdp(0xf0000, 2, 0x1000, 0x2000);
	add_root(0x2000, "XSDT", 8, (const uint64_t[]){ 0x3000, 0x3000000000, 0, 0x4000, 0x5000 }, 5);
	add_table(0x3000, "APIC", 1);
	add_table(0x3000000000, "SSDT", 2);
	add_table(0x4000, "SSDT", 3);		/* 0x5000 is not memory */
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	CHECK_EQ(a.count, 5);
	CHECK_EQ(acpi_find(&a, "APIC", 0, &t), ERR_OK);
	CHECK_EQ(t.phys, 0x3000);
	CHECK_EQ(t.size, 37);
	CHECK_EQ(acpi_find(&a, "SSDT", 0, &t), ERR_OK);
	CHECK_EQ(t.bytes[36], 2);
	CHECK_EQ(acpi_find(&a, "SSDT", 1, &t), ERR_OK);
	CHECK_EQ(t.bytes[36], 3);
	CHECK_EQ(acpi_find(&a, "SSDT", 2, &t), ERR_NOENT);
	CHECK_EQ(acpi_find(&a, "SRAT", 0, &t), ERR_NOENT);
	CHECK_EQ(acpi_at(&a, 0x4000, "SSDT", &t), ERR_OK);
	CHECK_EQ(acpi_at(&a, 0x4000, "DSDT", &t), ERR_SIGNATURE);
	CHECK_EQ(acpi_at(&a, 0, "DSDT", &t), ERR_NOENT);
	CHECK_EQ(acpi_at(&a, 0x9000, "DSDT", &t), ERR_RANGE);
	memory_clear(&memory);
}

TEST(rsdt, "an RSDP of ACPI 1.0, 20 bytes and no more, leads to the RSDT")
{
	struct acpi a;
	struct acpi_table t;

	memory_clear(&memory);
	add_rsdp(0xf0000, 0, 0x2000, 0);
	add_root(0x2000, "RSDT", 4, (const uint64_t[]){ 0x3000 }, 1);
	add_table(0x3000, "HPET", 1);
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	CHECK_EQ(acpi_find(&a, "HPET", 0, &t), ERR_OK);
	memory_clear(&memory);
}

TEST(xsdt_bad, "a bad XSDT, or a bad second half of the RSDP, falls back to the RSDT")
{
	struct acpi a;

	memory_clear(&memory);
	add_rsdp(0xf0000, 2, 0x1000, 0x2000);
	add_root(0x1000, "RSDT", 4, (const uint64_t[]){ 0x3000 }, 1);
	add_root(0x2000, "XSDT", 8, (const uint64_t[]){ 0x3000, 0x4000 }, 2);
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	CHECK_EQ(a.pointer_size, 8);
	memory.piece[2].bytes[40] ^= 1;
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	CHECK_EQ(a.pointer_size, 4);
	CHECK_EQ(a.count, 1);
	memory.piece[2].bytes[40] ^= 1;
	memory.piece[0].bytes[33] ^= 1;
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	CHECK_EQ(a.pointer_size, 4);
	memory_clear(&memory);
}

TEST(rsdp_bad, "an RSDP that is missing, unreadable or damaged is refused with the reason")
{
	struct acpi a;
	struct acpi_table t;

	memory_clear(&memory);
	CHECK_EQ(acpi_open(&a, map, &memory, 0), ERR_NOENT);
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_RANGE);
	add_rsdp(0xf0000, 0, 0x2000, 0);
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_RANGE);
	memory.piece[0].bytes[12] ^= 1;
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_CHECKSUM);
	memory.piece[0].bytes[0] = 'X';
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_SIGNATURE);
	CHECK_EQ(acpi_find(&a, "APIC", 0, &t), ERR_NOENT);
	memory_clear(&memory);
}

TEST(bad_tables, "a bad table is skipped for a good one of its name, and told of when there is no good one")
{
	struct acpi a;
	struct acpi_table t;

	memory_clear(&memory);
	add_rsdp(0xf0000, 2, 0, 0x2000);
	add_root(0x2000, "XSDT", 8, (const uint64_t[]){ 0x3000, 0x4000, 0x5000, 0x6000 }, 4);
	add_table(0x3000, "APIC", 1);
	memory.piece[2].bytes[36] ^= 1;
	add_table(0x4000, "APIC", 2);
	add_table(0x5000, "SRAT", 3);
	memory.piece[4].bytes[4] = 200;		/* longer than its memory */
	add_table(0x6000, "SLIT", 3);
	memory.piece[5].bytes[4] = 35;		/* shorter than a header */
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	CHECK_EQ(acpi_find(&a, "APIC", 0, &t), ERR_OK);
	CHECK_EQ(t.phys, 0x4000);
	CHECK_EQ(acpi_find(&a, "APIC", 1, &t), ERR_CHECKSUM);
	CHECK_EQ(acpi_find(&a, "SRAT", 0, &t), ERR_RANGE);
	CHECK_EQ(acpi_find(&a, "SLIT", 0, &t), ERR_RANGE);
	memory_clear(&memory);
}

TEST(loops, "root tables that name themselves and each other end, and the search stays short")
{
	struct acpi a;
	struct acpi_table t;
	uint64_t self[100];

	for (unsigned i = 0; i < ARRAY_SIZE(self); i++) {
		self[i] = i % 2 == 0 ? 0x2000 : 0xf0000;
	}
	memory_clear(&memory);
	add_rsdp(0xf0000, 2, 0x2000, 0x2000);
	add_root(0x2000, "XSDT", 8, self, ARRAY_SIZE(self));
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	memory.maps = 0;
	CHECK_EQ(acpi_find(&a, "APIC", 0, &t), ERR_NOENT);
	CHECK_EQ(memory.maps, 100);
	memory_clear(&memory);
}

TEST(wild_lengths, "lengths that no RSDP and no table has are not even mapped")
{
	struct acpi a;
	struct acpi_table t;

	memory_clear(&memory);
	add_rsdp(0xf0000, 2, 0x1000, 0x2000);
	add_root(0x1000, "RSDT", 4, (const uint64_t[]){ 0x3000 }, 1);
	add_table(0x3000, "APIC", 1);
	memory.piece[0].bytes[23] = 0x10;	/* 256 MiB */
	memory.piece[2].bytes[7] = 0x10;
	CHECK_EQ(acpi_open(&a, map, &memory, 0xf0000), ERR_OK);
	CHECK_EQ(a.pointer_size, 4);
	CHECK_EQ(acpi_find(&a, "APIC", 0, &t), ERR_RANGE);
	CHECK(memory.largest <= 4096);
	memory_clear(&memory);
}

TEST(root_mutations, "mutated RSDPs, root tables and headers never lead outside the memory")
{
	struct test_rng r = { .state = 11 };

	for (unsigned round = 0; round < 3000; round++) {
		struct acpi a;
		struct acpi_table t;

		memory_clear(&memory);
		add_rsdp(0xf0000, 2, 0x1000, 0x2000);
		add_root(0x1000, "RSDT", 4, (const uint64_t[]){ 0x3000, 0x4000 }, 2);
		add_root(0x2000, "XSDT", 8, (const uint64_t[]){ 0x3000, 0x4000 }, 2);
		add_table(0x3000, "APIC", 1);
		add_table(0x4000, "SRAT", 1);
		for (unsigned n = (unsigned)test_rand_below(&r, 5); n > 0; n--) {
			unsigned i = (unsigned)test_rand_below(&r, memory.count);
			size_t at = test_rand_below(&r, memory.piece[i].size);
			uint8_t was = memory.piece[i].bytes[at], now = (uint8_t)test_rand(&r);

			memory.piece[i].bytes[at] = now;
			/* Half of the time with the checksum kept right, or nothing past it would be reached. */
			if (i > 0 && at != 9 && test_rand_below(&r, 2) == 0) {
				memory.piece[i].bytes[9] = (uint8_t)(memory.piece[i].bytes[9] + was - now);
			}
		}
		if (acpi_open(&a, map, &memory, 0xf0000) == ERR_OK && acpi_find(&a, "SRAT", 0, &t) == ERR_OK) {
			CHECK_EQ(acpi_sum(t.bytes, t.size), 0);
			CHECK(map(&memory, t.phys, t.size) == t.bytes);
		}
	}
	memory_clear(&memory);
}

TEST(check, "a table's header is refused for the right reason")
{
	uint32_t size = 0;

	build_start(&b, "SLIT", 1);
	build_end(&b);
	CHECK_EQ(acpi_check(b.bytes, b.size, "SLIT", &size), ERR_OK);
	CHECK_EQ(size, 36);
	CHECK_EQ(acpi_check(b.bytes, b.size, "SRAT", &size), ERR_SIGNATURE);
	CHECK_EQ(acpi_check(b.bytes, 35, "SLIT", &size), ERR_TRUNCATED);
	CHECK_EQ(acpi_check(NULL, 0, "SLIT", &size), ERR_TRUNCATED);
	b.bytes[20] ^= 1;
	CHECK_EQ(acpi_check(b.bytes, b.size, "SLIT", &size), ERR_CHECKSUM);
	build_poke(&b, 4, 37, 4);
	CHECK_EQ(acpi_check(b.bytes, b.size, "SLIT", &size), ERR_TRUNCATED);
	build_poke(&b, 4, 0, 4);
	CHECK_EQ(acpi_check(b.bytes, b.size, "SLIT", &size), ERR_RANGE);
	build_poke(&b, 4, 0xffffffff, 4);
	CHECK_EQ(acpi_check(b.bytes, b.size, "SLIT", &size), ERR_RANGE);
}

/* --- MADT, SRAT, SLIT ------------------------------------------------------------------------------------------- */

static unsigned count_cpus(struct madt m)
{
	struct madt_entry e;
	unsigned n = 0;

	while (madt_next(&m, &e)) {
		n += e.kind == MADT_CPU ? 1 : 0;
	}
	return n;
}

TEST(madt_kinds, "each kind of MADT entry gives its fields, and unknown and short ones are passed over")
{
	struct madt m;
	struct madt_entry e;

	build_madt(&b);
	build_lapic(&b, 5, 3);
	build_put(&b, 0x0660, 2);		/* unknown */
	build_zero(&b, 4);
	build_put(&b, 0x0600, 2);		/* type 0 of 6 bytes */
	build_zero(&b, 4);
	build_put(&b, 0x0c01, 2);
	build_put(&b, 0x0007, 2);
	build_put(&b, 0xfec00000, 4);
	build_put(&b, 24, 4);
	build_put(&b, 0x0a02, 2);
	build_put(&b, 0x0900, 2);
	build_put(&b, 20, 4);
	build_put(&b, 13, 2);
	build_put(&b, 0x0604, 2);
	build_put(&b, 0xff, 1);
	build_put(&b, 5, 2);
	build_put(&b, 1, 1);
	build_put(&b, 0x0c05, 2);
	build_put(&b, 0, 2);
	build_put(&b, 0x123456789a, 8);
	build_put(&b, 0x7f, 1);			/* a stray byte */
	build_end(&b);
	CHECK_EQ(madt_open(&m, b.bytes, b.size), ERR_OK);
	CHECK_EQ(m.lapic_address, 0x123456789a);
	CHECK(m.has_8259);
	CHECK(madt_next(&m, &e) && e.kind == MADT_CPU && e.cpu.apic_id == 5 && e.cpu.online_capable && e.cpu.enabled);
	CHECK(madt_next(&m, &e) && e.kind == MADT_OTHER && e.type == 0x60);
	CHECK(madt_next(&m, &e) && e.kind == MADT_SHORT && e.type == 0);
	CHECK(madt_next(&m, &e) && e.kind == MADT_IOAPIC && e.ioapic.id == 7);
	CHECK(e.ioapic.address == 0xfec00000 && e.ioapic.gsi_base == 24);
	CHECK(madt_next(&m, &e) && e.kind == MADT_OVERRIDE && e.override.irq == 9 && e.override.gsi == 20);
	CHECK_EQ(MADT_POLARITY(e.override.flags), MADT_HIGH_OR_EDGE);
	CHECK_EQ(MADT_TRIGGER(e.override.flags), MADT_LOW_OR_LEVEL);
	CHECK(madt_next(&m, &e) && e.kind == MADT_LAPIC_NMI);
	CHECK(e.lapic_nmi.uid == MADT_UID_ALL && e.lapic_nmi.lint == 1 && e.lapic_nmi.flags == 5);
	CHECK(madt_next(&m, &e) && e.kind == MADT_LAPIC_ADDRESS);
	CHECK(!madt_next(&m, &e));
	CHECK_EQ(m.entries.end, ERR_OK);
}

TEST(madt_ends, "an entry of length 0 or past the end stops the walk there and says so")
{
	struct madt m;
	struct madt_entry e;

	build_madt(&b);
	build_lapic(&b, 0, 1);
	build_put(&b, 0x0000, 2);
	build_lapic(&b, 1, 1);
	build_end(&b);
	CHECK_EQ(madt_open(&m, b.bytes, b.size), ERR_OK);
	CHECK_EQ(count_cpus(m), 1);
	while (madt_next(&m, &e)) {
	}
	CHECK_EQ(m.entries.end, ERR_FORMAT);
	CHECK_EQ(m.entries.end_at, 52);
	build_poke(&b, 53, 1, 1);
	CHECK_EQ(madt_open(&m, b.bytes, b.size), ERR_OK);
	while (madt_next(&m, &e)) {
	}
	CHECK_EQ(m.entries.end, ERR_FORMAT);
	CHECK_EQ(m.entries.end_at, 52);
	build_poke(&b, 53, 11, 1);		/* that entry now runs one byte past */
	CHECK_EQ(madt_open(&m, b.bytes, b.size), ERR_OK);
	CHECK_EQ(count_cpus(m), 1);
	while (madt_next(&m, &e)) {
	}
	CHECK_EQ(m.entries.end, ERR_TRUNCATED);
	CHECK_EQ(madt_open(&m, b.bytes, 43), ERR_TRUNCATED);
	CHECK(!madt_next(&m, &e));
	CHECK_EQ(madt_open(&m, NULL, 0), ERR_NOENT);
	CHECK(!madt_next(&m, &e));
}

TEST(madt_many, "all of 10,000 MADT entries are seen")
{
	static uint8_t table[44 + 10000 * 16];
	struct madt m;

	build_madt(&b);
	memcpy(table, b.bytes, 44);
	for (unsigned i = 0; i < 10000; i++) {
		b.size = 0;
		build_x2apic(&b, i, 1);
		memcpy(table + 44 + i * 16, b.bytes, 16);
	}
	CHECK_EQ(madt_open(&m, table, sizeof(table)), ERR_OK);
	CHECK_EQ(count_cpus(m), 10000);
}

TEST(srat_domains, "SRAT domains have 32 bits, and 8 in revision 1")
{
	struct srat s;
	struct srat_entry e;

	for (uint8_t revision = 1; revision <= 3; revision++) {
		uint32_t mask = revision == 1 ? 0xff : 0xffffffff;

		build_srat(&b, revision);
		build_srat_lapic(&b, 3, 0xaabbcc01, 1);
		build_srat_x2apic(&b, 300, 0xaabbcc02, 1);
		build_srat_memory(&b, 1ul << 40, 0x1000, 0xaabbcc03, 3);
		build_end(&b);
		CHECK_EQ(srat_open(&s, b.bytes, b.size), ERR_OK);
		CHECK(srat_next(&s, &e) && e.kind == SRAT_CPU && e.apic_id == 3);
		CHECK_EQ(e.pxm, 0xaabbcc01 & mask);
		CHECK(srat_next(&s, &e) && e.kind == SRAT_CPU && e.apic_id == 300);
		CHECK_EQ(e.pxm, 0xaabbcc02 & mask);
		CHECK(srat_next(&s, &e) && e.kind == SRAT_MEMORY && e.base == 1ul << 40 && e.hotplug && e.enabled);
		CHECK_EQ(e.pxm, 0xaabbcc03 & mask);
		CHECK(!srat_next(&s, &e));
	}
}

TEST(slit_limits, "a SLIT's count is believed only as far as its bytes reach")
{
	struct slit s;
	static const uint64_t bad[] = { 3, 255, 1ul << 32, UINT64_MAX };

	build_slit(&b, 2);
	build_put(&b, 0x150a, 2);
	build_put(&b, 0x0a1f, 2);
	CHECK_EQ(slit_open(&s, b.bytes, b.size), ERR_OK);
	CHECK_EQ(slit_distance(&s, 0, 1), 21);
	CHECK_EQ(slit_distance(&s, 1, 0), 31);
	CHECK_EQ(slit_distance(&s, 2, 0), 0);
	CHECK_EQ(slit_distance(&s, 0, UINT32_MAX), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		build_poke(&b, 36, bad[i], 8);
		CHECK_EQ(slit_open(&s, b.bytes, b.size), ERR_TRUNCATED);
		CHECK_EQ(slit_distance(&s, 0, 0), 0);
	}
	build_poke(&b, 36, 0, 8);
	CHECK_EQ(slit_open(&s, b.bytes, b.size), ERR_RANGE);
}
