/* SPDX-License-Identifier: BSD-2-Clause */
/* Merging and publishing ACPI tables for the front program. */
#include "boot/pure/boot_acpi.h"

#include "kernel/lib/reader.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

enum {
	HEADER_BYTES = 36, HEADER_LENGTH = 4, HEADER_CHECKSUM = 9,
	RSDP_BYTES = 36, RSDP_CHECKSUM = 8, RSDP_REVISION = 15, RSDP_RSDT = 16, RSDP_LENGTH = 20, RSDP_XSDT = 24,
	RSDP_V1_BYTES = 20, RSDP_EXTENDED_CHECKSUM = 32,
	FADT_FIRMWARE_CTRL = 36, FADT_DSDT = 40, FADT_X_FIRMWARE_CTRL = 132, FADT_X_DSDT = 140, FADT_V1_BYTES = 116,
	XSDT_AT = 64,
};

static void put(void *base, size_t offset, uint64_t value, unsigned width)
{
	memcpy((uint8_t *)base + offset, &value, width);
}

static void seal(void *table, size_t length, size_t checksum_at)
{
	uint8_t *bytes = table, sum = 0;

	bytes[checksum_at] = 0;
	for (size_t i = 0; i < length; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	bytes[checksum_at] = (uint8_t)-sum;
}

static bool same_name(const char a[4], const char b[4])
{
	return memcmp(a, b, BOOT_ACPI_NAME_BYTES) == 0;
}

enum err boot_acpi_add(struct boot_acpi_list *list, struct boot_acpi_table table)
{
	if (list->count == BOOT_ACPI_TABLES_MAX) {
		return ERR_LIMIT;
	}
	list->tables[list->count++] = table;
	return ERR_OK;
}

const struct boot_acpi_table *boot_acpi_find(const struct boot_acpi_list *list, const char name[4])
{
	for (unsigned i = 0; i < list->count; i++) {
		if (same_name(list->tables[i].name, name)) {
			return &list->tables[i];
		}
	}
	return NULL;
}

bool boot_acpi_machine_owned(const char name[4])
{
	static const char owned[][BOOT_ACPI_NAME_BYTES + 1] = { "FACP", "DSDT", "FACS", "RSDP", "RSDT", "XSDT" };

	for (unsigned i = 0; i < ARRAY_SIZE(owned); i++) {
		if (same_name(name, owned[i])) {
			return true;
		}
	}
	return false;
}

/* Entries of width 4 (RSDT) or 8 (XSDT). False: that table is not there or no such table. */
static bool read_root(uint64_t at, const char *signature, unsigned width, struct boot_acpi_list *list)
{
	if (at == 0 || !same_name((const char *)at, signature)) {
		return false;
	}
	struct reader header = reader_make((const void *)at, HEADER_BYTES);
	size_t length = reader_peek(&header, HEADER_LENGTH, 4);

	if (length < HEADER_BYTES || length > HEADER_BYTES + width * BOOT_ACPI_TABLES_MAX) {
		return false;
	}
	struct reader r = reader_make((const void *)at, length);

	for (size_t offset = HEADER_BYTES; offset + width <= length; offset += width) {
		struct boot_acpi_table table = { .at = reader_peek(&r, offset, width) };

		if (table.at != 0) {
			memcpy(table.name, (const void *)table.at, BOOT_ACPI_NAME_BYTES);
			boot_acpi_add(list, table);
		}
	}
	return true;
}

void boot_acpi_firmware(uint64_t rsdp, struct boot_acpi_list *list)
{
	struct reader r = reader_make((const void *)rsdp, RSDP_BYTES);

	list->count = 0;
	if (rsdp == 0 || memcmp((const void *)rsdp, "RSD PTR ", 8) != 0) {
		return;
	}
	if (reader_peek(&r, RSDP_REVISION, 1) >= 2 && read_root(reader_peek(&r, RSDP_XSDT, 8), "XSDT", 8, list)) {
		return;
	}
	list->count = 0;
	read_root(reader_peek(&r, RSDP_RSDT, 4), "RSDT", 4, list);
}

enum err boot_acpi_merge(const struct boot_acpi_list *machine, const struct boot_acpi_list *given,
			 struct boot_acpi_list *out)
{
	enum err e = ERR_OK;

	out->count = 0;
	for (unsigned i = 0; i < machine->count && e == ERR_OK; i++) {
		const struct boot_acpi_table *t = &machine->tables[i];

		if (boot_acpi_machine_owned(t->name) || boot_acpi_find(given, t->name) == NULL) {
			e = boot_acpi_add(out, *t);
		}
	}
	for (unsigned i = 0; i < given->count && e == ERR_OK; i++) {
		if (!boot_acpi_machine_owned(given->tables[i].name)) {
			e = boot_acpi_add(out, given->tables[i]);
		}
	}
	return e;
}

enum err boot_acpi_patch_fadt(void *fadt, size_t size, uint64_t dsdt, uint64_t facs)
{
	struct reader r = reader_make(fadt, size);
	size_t length = reader_peek(&r, HEADER_LENGTH, 4);

	if (length < FADT_V1_BYTES || length > size) {
		return ERR_TRUNCATED;
	}
	put(fadt, FADT_FIRMWARE_CTRL, facs, 4);
	put(fadt, FADT_DSDT, dsdt, 4);
	if (length >= FADT_X_DSDT + 8) {
		put(fadt, FADT_X_FIRMWARE_CTRL, 0, 8);	/* one of the two only (table 5.9) */
		put(fadt, FADT_X_DSDT, dsdt, 8);
	}
	seal(fadt, length, HEADER_CHECKSUM);
	return ERR_OK;
}

void boot_acpi_publish(void *root, const struct boot_acpi_list *list)
{
	uint8_t *rsdp = root, *xsdt = rsdp + XSDT_AT;
	size_t length = HEADER_BYTES;

	memset(root, 0, BOOT_ACPI_ROOT_BYTES);
	for (unsigned i = 0; i < list->count; i++) {
		const struct boot_acpi_table *t = &list->tables[i];

		if (!same_name(t->name, "DSDT") && !same_name(t->name, "FACS")) {
			put(xsdt, length, t->at, 8);
			length += 8;
		}
	}
	memcpy(xsdt, "XSDT", 4);
	put(xsdt, HEADER_LENGTH, length, 4);
	xsdt[8] = 1;				/* revision */
	memcpy(xsdt + 10, "TARN  FRONT   ", 14);	/* OEM id, OEM table id */
	put(xsdt, 24, 1, 4);			/* OEM revision */
	memcpy(xsdt + 28, "TARN", 4);		/* creator */
	seal(xsdt, length, HEADER_CHECKSUM);

	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "TARN  ", 6);
	rsdp[RSDP_REVISION] = 2;
	put(rsdp, RSDP_LENGTH, RSDP_BYTES, 4);
	put(rsdp, RSDP_XSDT, (uint64_t)xsdt, 8);
	seal(rsdp, RSDP_V1_BYTES, RSDP_CHECKSUM);
	seal(rsdp, RSDP_BYTES, RSDP_EXTENDED_CHECKSUM);
}
