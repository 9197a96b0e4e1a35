/* SPDX-License-Identifier: BSD-2-Clause */
/* The walk over a table's type-length entries. */
#include "acpi/entries.h"

#define ENTRY_HEAD	2u	/* type and length */

struct entries entries_make(const void *table, size_t size, size_t first)
{
	struct entries e = { .table = reader_make(table, size), .end = ERR_OK };

	reader_skip(&e.table, first);
	return e;
}

static bool end(struct entries *e, enum err why)
{
	e->end = why;
	e->end_at = e->table.at;
	e->table.at = e->table.size;
	return false;
}

bool entries_next(struct entries *e, struct entry *out)
{
	size_t left = reader_left(&e->table);

	if (left < ENTRY_HEAD) {
		return false;
	}
	out->at = e->table.at;
	out->type = (uint8_t)reader_peek(&e->table, out->at, 1);
	out->length = (uint8_t)reader_peek(&e->table, out->at + 1, 1);
	if (out->length < ENTRY_HEAD) {
		return end(e, ERR_FORMAT);
	}
	if (out->length > left) {
		return end(e, ERR_TRUNCATED);
	}
	out->r = reader_sub(&e->table, out->length);
	return true;
}
