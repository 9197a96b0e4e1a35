/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded search for the _S5_ package in AML bytes. */
#include "acpi/s5.h"

#include "acpi/acpi.h"

/* AML encodings: ACPI 6.5, 20.2. */
#define AML_ZERO	0x00u
#define AML_ONE		0x01u
#define AML_NAME	0x08u
#define AML_BYTE	0x0au
#define AML_WORD	0x0bu
#define AML_DWORD	0x0cu
#define AML_QWORD	0x0eu
#define AML_PACKAGE	0x12u
#define AML_ROOT	0x5cu
#define AML_ONES	0xffu

#define NAME_S5		0x5f35535fu	/* "_S5_" */
#define SLP_TYP_MAX	7u

/* An integer constant; anything else (a name, say) counts as an overrun. */
static uint64_t take_integer(struct reader *r)
{
	switch (reader_u8(r)) {
	case AML_ZERO:
		return 0;
	case AML_ONE:
		return 1;
	case AML_ONES:
		return ~0ul;
	case AML_BYTE:
		return reader_u8(r);
	case AML_WORD:
		return reader_u16(r);
	case AML_DWORD:
		return reader_u32(r);
	case AML_QWORD:
		return reader_u64(r);
	default:
		r->overrun = true;
		return 0;
	}
}

/* PkgLength counts from its own first byte; bits 6-7 of that say how many more bytes it has. */
static struct reader take_package(struct reader *r)
{
	size_t start = r->at;
	uint8_t lead = reader_u8(r);
	unsigned more = lead >> 6;
	size_t length = more == 0 ? lead & 0x3fu : lead & 0x0fu;

	for (unsigned i = 0; i < more; i++) {
		length |= (size_t)reader_u8(r) << (4 + 8 * i);
	}
	if (r->at - start > length) {
		r->overrun = true;
		return reader_make(r->base, 0);
	}
	return reader_sub(r, length - (r->at - start));
}

/* r stands behind the name. */
static bool read_package(struct reader r, struct s5 *s)
{
	struct reader package;
	uint64_t a, b;
	uint8_t count;

	if (reader_u8(&r) != AML_PACKAGE) {
		return false;
	}
	package = take_package(&r);
	count = reader_u8(&package);
	a = take_integer(&package);
	/* Firmware of a machine without a PM1b block may leave its value out. */
	b = count < 2 ? 0 : take_integer(&package);
	if (r.overrun || package.overrun || count == 0 || a > SLP_TYP_MAX || b > SLP_TYP_MAX) {
		return false;
	}
	*s = (struct s5){ .type_a = (uint8_t)a, .type_b = (uint8_t)b };
	return true;
}

enum err s5_find(struct s5 *s, const void *table, size_t size)
{
	struct reader r = reader_make(table, size);

	for (size_t at = ACPI_HEADER_SIZE; at + 5 <= size; at++) {
		struct reader rest = r;
		size_t name_at = at + 1;

		if (reader_peek(&r, at, 1) != AML_NAME) {
			continue;
		}
		name_at += reader_peek(&r, name_at, 1) == AML_ROOT ? 1 : 0;
		if (reader_peek(&rest, name_at, 4) != NAME_S5) {
			continue;
		}
		reader_skip(&rest, name_at + 4);
		if (read_package(rest, s)) {
			return ERR_OK;
		}
	}
	return ERR_NOENT;
}
