/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding ACPI tables: RSDP, the root table behind it, tables by signature; and what all tables share (header,
 * checksum, generic address). Physical memory is reached through a callback, so this builds on the host too.
 * Every table passes acpi_check() before anybody reads its fields.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "kernel/lib/reader.h"

#define ACPI_HEADER_SIZE	36u		/* ACPI 6.5, 5.2.6 */
#define ACPI_TABLE_MAX		(16u << 20)	/* bytes; a longer one is taken for garbage */

/* A pointer to size readable bytes at physical address phys, or NULL where that is not memory to be read. */
typedef const void *acpi_map_fn(void *ctx, uint64_t phys, size_t size);

struct acpi {
	acpi_map_fn *map;
	void *ctx;
	const uint8_t *root;		/* the RSDT or XSDT, checked */
	uint32_t root_size;		/* bytes */
	unsigned pointer_size;		/* bytes of a root entry: 4 (RSDT) or 8 (XSDT) */
	unsigned count;			/* of root entries */
	uint8_t revision;		/* the RSDP's: 0 is ACPI 1.0 */
};

/* A whole table, header included, checked. */
struct acpi_table {
	const uint8_t *bytes;
	uint32_t size;
	uint64_t phys;
};

/* Generic Address Structure (ACPI 6.5, 5.2.3.2). address 0: not there. */
enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };
struct acpi_gas {
	uint8_t space;			/* enum acpi_space */
	uint8_t bit_width, bit_offset;
	uint8_t access;			/* 0 undefined, 1 byte, 2 word, 3 dword, 4 qword */
	uint64_t address;
};

/*
 * Checks a table's header against `have` bytes that can be read. ERR_TRUNCATED: fewer bytes than a header or than
 * the table says; ERR_SIGNATURE: not `signature`; ERR_RANGE: a length below a header or over ACPI_TABLE_MAX;
 * ERR_CHECKSUM: all else is right and *size is set. signature is four characters.
 */
enum err acpi_check(const void *table, size_t have, const char *signature, uint32_t *size);

/* The sum of size bytes, as a checksum counts them: 0 is right. */
uint8_t acpi_sum(const void *bytes, size_t size);

/* Finds the root table. A bad XSDT falls back to the RSDT. On failure a is left without tables. */
enum err acpi_open(struct acpi *a, acpi_map_fn *map, void *ctx, uint64_t rsdp);

/*
 * The instance-th (from 0) good table with that signature, in root order. ERR_NOENT where there is none; where there
 * are only bad ones, what was wrong with the last of them.
 */
enum err acpi_find(const struct acpi *a, const char *signature, unsigned instance, struct acpi_table *out);

/* The table at a physical address (the FADT names the DSDT so). */
enum err acpi_at(const struct acpi *a, uint64_t phys, const char *signature, struct acpi_table *out);

/* What the rooms' readers start with: a reader over the table, where signature and least size (bytes) fit. */
enum err acpi_reader(struct reader *r, const void *table, size_t size, const char *signature, size_t least);

/* The generic address at an offset. */
struct acpi_gas acpi_gas(struct reader *r, size_t offset);
