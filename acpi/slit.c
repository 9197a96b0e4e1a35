/* SPDX-License-Identifier: BSD-2-Clause */
/* The SLIT's matrix. */
#include "acpi/slit.h"

#define SLIT_COUNT_AT	36u
#define SLIT_MATRIX_AT	44u
#define SLIT_COUNT_MAX	4096u	/* 4096 squared is ACPI_TABLE_MAX: more cannot fit, and the square cannot overflow */

enum err slit_open(struct slit *s, const void *table, size_t size)
{
	struct reader r;
	enum err e = acpi_reader(&r, table, size, SLIT_SIGNATURE, SLIT_SIZE_MIN);
	uint64_t count;

	*s = (struct slit){ .table = r };
	if (e != ERR_OK) {
		return e;
	}
	count = reader_peek(&r, SLIT_COUNT_AT, 8);
	if (count == 0) {
		return ERR_RANGE;
	}
	if (count > SLIT_COUNT_MAX || count * count > size - SLIT_MATRIX_AT) {
		return ERR_TRUNCATED;
	}
	s->count = (uint32_t)count;
	return ERR_OK;
}

uint8_t slit_distance(const struct slit *s, uint32_t from, uint32_t to)
{
	struct reader r = s->table;

	if (from >= s->count || to >= s->count) {
		return 0;
	}
	return (uint8_t)reader_peek(&r, SLIT_MATRIX_AT + (size_t)from * s->count + to, 1);
}
