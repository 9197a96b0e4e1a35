/* SPDX-License-Identifier: BSD-2-Clause */
/* RSDP, RSDT and XSDT; a table's header and checksum. */
#include "acpi/acpi.h"

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

/* Byte offsets: ACPI 6.5, 5.2.5.3 (RSDP) and 5.2.6 (header). */
#define RSDP_SIGNATURE		"RSD PTR "
#define RSDP_REVISION		15u
#define RSDP_RSDT		16u
#define RSDP_V1_SIZE		20u
#define RSDP_LENGTH		20u
#define RSDP_XSDT		24u
#define RSDP_V2_SIZE		36u
#define RSDP_SIZE_MAX		4096u	/* no RSDP is near that long; a wild length must not be summed up */
#define HEADER_LENGTH		4u

uint8_t acpi_sum(const void *bytes, size_t size)
{
	struct reader r = reader_make(bytes, size);
	uint8_t sum = 0;

	while (reader_left(&r) > 0) {
		sum = (uint8_t)(sum + reader_u8(&r));
	}
	return sum;
}

enum err acpi_check(const void *table, size_t have, const char *signature, uint32_t *size)
{
	struct reader r = reader_make(table, have);
	uint32_t length;

	if (table == NULL || have < ACPI_HEADER_SIZE) {
		return ERR_TRUNCATED;
	}
	if (memcmp(table, signature, 4) != 0) {
		return ERR_SIGNATURE;
	}
	length = (uint32_t)reader_peek(&r, HEADER_LENGTH, 4);
	if (length < ACPI_HEADER_SIZE || length > ACPI_TABLE_MAX) {
		return ERR_RANGE;
	}
	if (length > have) {
		return ERR_TRUNCATED;
	}
	*size = length;
	return acpi_sum(table, length) == 0 ? ERR_OK : ERR_CHECKSUM;
}

enum err acpi_at(const struct acpi *a, uint64_t phys, const char *signature, struct acpi_table *out)
{
	const void *bytes;
	struct reader r;
	uint32_t size;
	enum err e;

	if (phys == 0) {
		return ERR_NOENT;
	}
	bytes = a->map(a->ctx, phys, ACPI_HEADER_SIZE);
	if (bytes == NULL) {
		return ERR_RANGE;
	}
	r = reader_make(bytes, ACPI_HEADER_SIZE);
	size = (uint32_t)reader_peek(&r, HEADER_LENGTH, 4);
	e = acpi_check(bytes, ACPI_HEADER_SIZE, signature, &size);
	/* A sound header says how much there must be for the rest. */
	if (e == ERR_TRUNCATED || e == ERR_CHECKSUM) {
		bytes = a->map(a->ctx, phys, size);
		e = bytes == NULL ? ERR_RANGE : acpi_check(bytes, size, signature, &size);
	}
	if (e == ERR_OK) {
		*out = (struct acpi_table){ .bytes = bytes, .size = size, .phys = phys };
	}
	return e;
}

static enum err use_root(struct acpi *a, uint64_t phys, const char *signature, unsigned pointer_size)
{
	struct acpi_table root;
	enum err e = acpi_at(a, phys, signature, &root);

	if (e == ERR_OK) {
		a->root = root.bytes;
		a->root_size = root.size;
		a->pointer_size = pointer_size;
		a->count = (root.size - ACPI_HEADER_SIZE) / pointer_size;
	}
	return e;
}

/* The XSDT's address, or 0: an ACPI 1.0 RSDP, or one whose second half is damaged. */
static uint64_t xsdt_address(const struct acpi *a, uint64_t rsdp)
{
	const void *bytes = a->map(a->ctx, rsdp, RSDP_V2_SIZE);
	struct reader r = reader_make(bytes, RSDP_V2_SIZE);
	uint32_t length;

	if (a->revision < 2 || bytes == NULL) {
		return 0;
	}
	length = (uint32_t)reader_peek(&r, RSDP_LENGTH, 4);
	if (length < RSDP_V2_SIZE || length > RSDP_SIZE_MAX) {
		return 0;
	}
	bytes = a->map(a->ctx, rsdp, length);
	if (bytes == NULL || acpi_sum(bytes, length) != 0) {
		return 0;
	}
	return reader_peek(&r, RSDP_XSDT, 8);
}

enum err acpi_open(struct acpi *a, acpi_map_fn *map, void *ctx, uint64_t rsdp)
{
	const void *bytes;
	struct reader r;
	uint64_t xsdt;

	*a = (struct acpi){ .map = map, .ctx = ctx };
	if (rsdp == 0) {
		return ERR_NOENT;
	}
	bytes = map(ctx, rsdp, RSDP_V1_SIZE);
	if (bytes == NULL) {
		return ERR_RANGE;
	}
	if (memcmp(bytes, RSDP_SIGNATURE, 8) != 0) {
		return ERR_SIGNATURE;
	}
	if (acpi_sum(bytes, RSDP_V1_SIZE) != 0) {
		return ERR_CHECKSUM;
	}
	r = reader_make(bytes, RSDP_V1_SIZE);
	a->revision = (uint8_t)reader_peek(&r, RSDP_REVISION, 1);
	xsdt = xsdt_address(a, rsdp);
	if (xsdt != 0 && use_root(a, xsdt, "XSDT", 8) == ERR_OK) {
		return ERR_OK;
	}
	return use_root(a, reader_peek(&r, RSDP_RSDT, 4), "RSDT", 4);
}

enum err acpi_find(const struct acpi *a, const char *signature, unsigned instance, struct acpi_table *out)
{
	struct reader r = reader_make(a->root, a->root_size);
	enum err bad = ERR_NOENT;

	for (unsigned i = 0; i < a->count; i++) {
		struct acpi_table table;
		uint64_t phys = reader_peek(&r, ACPI_HEADER_SIZE + i * a->pointer_size, a->pointer_size);
		const void *name = phys == 0 ? NULL : a->map(a->ctx, phys, 4);
		enum err e;

		if (name == NULL || memcmp(name, signature, 4) != 0) {
			continue;
		}
		e = acpi_at(a, phys, signature, &table);
		if (e != ERR_OK) {
			bad = e;
			continue;
		}
		if (instance-- == 0) {
			*out = table;
			return ERR_OK;
		}
	}
	return bad;
}

enum err acpi_reader(struct reader *r, const void *table, size_t size, const char *signature, size_t least)
{
	*r = reader_make(table, 0);
	if (table == NULL) {
		return ERR_NOENT;
	}
	if (size < least) {
		return ERR_TRUNCATED;
	}
	if (memcmp(table, signature, 4) != 0) {
		return ERR_SIGNATURE;
	}
	*r = reader_make(table, size);
	return ERR_OK;
}

struct acpi_gas acpi_gas(struct reader *r, size_t offset)
{
	return (struct acpi_gas){
		.space = (uint8_t)reader_peek(r, offset, 1),
		.bit_width = (uint8_t)reader_peek(r, offset + 1, 1),
		.bit_offset = (uint8_t)reader_peek(r, offset + 2, 1),
		.access = (uint8_t)reader_peek(r, offset + 3, 1),
		.address = reader_peek(r, offset + 4, 8),
	};
}
