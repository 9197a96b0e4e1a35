/* SPDX-License-Identifier: BSD-2-Clause */
/* The front program's pure part: merging and publishing ACPI tables. */
#include "boot/pure/boot_acpi.h"
#include "tests/host/test.h"

static void put(uint8_t *at, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		at[i] = (uint8_t)(value >> (8 * i));
	}
}

static void add_table(struct boot_acpi_list *list, const char *name, uint64_t at)
{
	struct boot_acpi_table table = { .at = at };

	memcpy(table.name, name, 4);
	CHECK_EQ(boot_acpi_add(list, table), ERR_OK);
}

static uint8_t sum(const void *bytes, size_t size)
{
	uint8_t total = 0;

	for (size_t i = 0; i < size; i++) {
		total = (uint8_t)(total + ((const uint8_t *)bytes)[i]);
	}
	return total;
}

TEST(acpi_merge, "given tables replace those of the same name, and FACP, DSDT and FACS stay the machine's")
{
	struct boot_acpi_list machine = { 0 }, given = { 0 }, out;

	add_table(&machine, "FACP", 1);
	add_table(&machine, "APIC", 2);
	add_table(&machine, "SSDT", 3);
	add_table(&machine, "SSDT", 4);
	add_table(&machine, "HPET", 5);
	add_table(&given, "APIC", 12);
	add_table(&given, "FACP", 11);
	add_table(&given, "DSDT", 10);
	add_table(&given, "SRAT", 16);
	add_table(&given, "SSDT", 13);
	CHECK_EQ(boot_acpi_merge(&machine, &given, &out), ERR_OK);
	CHECK_EQ(out.count, 5);
	CHECK_EQ(boot_acpi_find(&out, "FACP")->at, 1);
	CHECK_EQ(boot_acpi_find(&out, "APIC")->at, 12);
	CHECK_EQ(boot_acpi_find(&out, "SSDT")->at, 13);
	CHECK_EQ(boot_acpi_find(&out, "HPET")->at, 5);
	CHECK_EQ(boot_acpi_find(&out, "SRAT")->at, 16);
	CHECK(boot_acpi_find(&out, "DSDT") == NULL);
}

TEST(acpi_limit, "a list takes no more tables than it holds")
{
	struct boot_acpi_list list = { 0 }, more = { 0 }, out;

	for (unsigned i = 0; i < BOOT_ACPI_TABLES_MAX; i++) {
		add_table(&list, "SSDT", i);
	}
	CHECK_EQ(boot_acpi_add(&list, list.tables[0]), ERR_LIMIT);
	add_table(&more, "APIC", 1);
	CHECK_EQ(boot_acpi_merge(&list, &more, &out), ERR_LIMIT);
}

TEST(acpi_publish, "published roots have right checksums and lead to the tables, which read back the same")
{
	uint8_t root[BOOT_ACPI_ROOT_BYTES], tables[3][36] = { "APIC", "FACP", "DSDT" };
	struct boot_acpi_list list = { 0 }, back;

	for (unsigned i = 0; i < 3; i++) {
		add_table(&list, (const char *)tables[i], (uint64_t)tables[i]);
	}
	boot_acpi_publish(root, &list);
	CHECK_EQ(sum(root, 20), 0);
	CHECK_EQ(sum(root, 36), 0);
	CHECK_EQ(sum(root + 64, 36 + 2 * 8), 0);
	boot_acpi_firmware((uint64_t)root, &back);
	CHECK_EQ(back.count, 2);	/* the DSDT is not in the XSDT */
	CHECK_EQ(boot_acpi_find(&back, "APIC")->at, (uint64_t)tables[0]);
	CHECK_EQ(boot_acpi_find(&back, "FACP")->at, (uint64_t)tables[1]);
}

TEST(acpi_nonsense, "a root that makes no sense gives no tables")
{
	uint8_t root[BOOT_ACPI_ROOT_BYTES], table[36] = "APIC";
	struct boot_acpi_list list = { 0 }, back;

	boot_acpi_firmware(0, &back);
	CHECK_EQ(back.count, 0);
	add_table(&list, "APIC", (uint64_t)table);
	boot_acpi_publish(root, &list);
	put(root + 64 + 4, 35, 4);		/* XSDT shorter than its header */
	boot_acpi_firmware((uint64_t)root, &back);
	CHECK_EQ(back.count, 0);
	put(root + 64 + 4, 0xffffffff, 4);
	boot_acpi_firmware((uint64_t)root, &back);
	CHECK_EQ(back.count, 0);
	root[0] = 'X';
	boot_acpi_firmware((uint64_t)root, &back);
	CHECK_EQ(back.count, 0);
}

TEST(acpi_fadt, "a FADT gets its DSDT and FACS and a right checksum, and one too short stays untouched")
{
	uint8_t fadt[276] = "FACP";

	put(fadt + 4, sizeof(fadt), 4);
	memset(fadt + 132, 0xff, 16);
	CHECK_EQ(boot_acpi_patch_fadt(fadt, sizeof(fadt), 0x12345678, 0xabcdef00), ERR_OK);
	CHECK_EQ(sum(fadt, sizeof(fadt)), 0);
	CHECK(memcmp(fadt + 36, "\x00\xef\xcd\xab\x78\x56\x34\x12", 8) == 0);
	CHECK(memcmp(fadt + 132, "\0\0\0\0\0\0\0\0\x78\x56\x34\x12\0\0\0\0", 16) == 0);
	put(fadt + 4, 116, 4);			/* ACPI 1.0: the 64-bit fields are not part of it */
	memset(fadt + 132, 0xff, 16);
	CHECK_EQ(boot_acpi_patch_fadt(fadt, sizeof(fadt), 0x1000, 0x2000), ERR_OK);
	CHECK_EQ(sum(fadt, 116), 0);
	CHECK_EQ(fadt[140], 0xff);
	put(fadt + 4, 115, 4);
	CHECK_EQ(boot_acpi_patch_fadt(fadt, sizeof(fadt), 0x1000, 0x2000), ERR_TRUNCATED);
	put(fadt + 4, 4096, 4);
	CHECK_EQ(boot_acpi_patch_fadt(fadt, sizeof(fadt), 0x1000, 0x2000), ERR_TRUNCATED);
}
