/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PPTT: packages, cores and caches as a tree of nodes that name their parent by its offset in the table (ACPI 6.5,
 * 5.2.30). Offsets are outside data: a parent may be missing, or its own child; pptt_package() bounds its
 * climb.
 */
#pragma once

#include "acpi/acpi.h"
#include "acpi/entries.h"

#define PPTT_SIGNATURE	"PPTT"
#define PPTT_SIZE_MIN	36u	/* bytes */
#define PPTT_DEPTH_MAX	16u	/* no machine nests processors deeper; a loop ends here */

enum pptt_kind {
	PPTT_PROCESSOR,		/* type 0 */
	PPTT_CACHE,		/* type 1 */
	PPTT_SHORT,
	PPTT_OTHER,
};

struct pptt_processor {
	uint32_t parent;		/* offset in the table; 0: a root */
	uint32_t uid;			/* the MADT's, where has_uid */
	bool has_uid;
	bool is_package, is_thread, is_leaf;
};

struct pptt_cache {
	bool has_size, has_line_size;
	uint32_t size_bytes;
	uint16_t line_bytes;
};

struct pptt_entry {
	enum pptt_kind kind;
	uint8_t type;
	uint32_t at;			/* its offset in the table: its name */
	union {
		struct pptt_processor processor;
		struct pptt_cache cache;
	};
};

struct pptt {
	struct entries entries;
	const void *table;
	size_t size;			/* bytes */
};

/* table is whole and has passed acpi_check(); size is its length. */
enum err pptt_open(struct pptt *p, const void *table, size_t size);
bool pptt_next(struct pptt *p, struct pptt_entry *e);
/* The entry that begins at an offset, found by walking to it: offsets into the middle of an entry are not believed. */
enum err pptt_at(const struct pptt *p, uint32_t at, struct pptt_entry *e);
/* The offset of the package node over the processor node at an offset, or 0: none, or the climb goes round. */
uint32_t pptt_package(const struct pptt *p, uint32_t at);
