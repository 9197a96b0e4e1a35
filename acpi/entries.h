/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the entries that MADT, SRAT and PPTT are lists of: a type byte, a length byte, fields. An entry of length 0
 * or 1, or one that runs past the table, ends the walk: what follows it has no known start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "kernel/lib/reader.h"

struct entries {
	struct reader table;	/* .at is the next entry's offset in the table */
	enum err end;		/* once the walk ended: ERR_OK, ERR_FORMAT (length 0 or 1), ERR_TRUNCATED */
	size_t end_at;		/* offset of the entry that ended it */
};

struct entry {
	uint8_t type, length;
	size_t at;		/* its offset in the table */
	struct reader r;	/* over the entry, type byte included */
};

/* table is whole, size its length in bytes; the first entry is at offset first. */
struct entries entries_make(const void *table, size_t size, size_t first);
/* The next entry; false at the end. A single stray byte after the last entry is nothing. */
bool entries_next(struct entries *e, struct entry *out);
