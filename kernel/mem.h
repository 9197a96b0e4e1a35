/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page allocator: RAM by node, in chunks of 2 MiB with one bit a page, so that single pages, short runs and whole
 * large pages all come from the same place, freeing merges by itself, and the count of free pages is exact.
 *
 * Called by the control plane only (the housekeeping cpu, one operation at a time), hence without a lock: nothing
 * allocates on a dispatch or exit path.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/addr.h"
#include "kernel/lib/list.h"
#include "kernel/topology.h"

#define MEM_PIECES_MAX	512u

enum mem_policy {
	MEM_STRICT,		/* that node or nothing */
	MEM_PREFER,		/* that node, then the others by distance */
};

struct mem_node {
	struct list whole;	/* chunks with every page free */
	struct list partial;	/* chunks with some */
	uint64_t total_pages;	/* given to the allocator, its own bookkeeping left out */
	uint64_t free_pages;
	uint64_t own_pages;	/* bookkeeping */
	unsigned fallback[NODE_MAX];
};

struct mem {
	unsigned node_count;
	struct mem_node node[NODE_MAX];
	unsigned piece_count;
	struct mem_piece {
		uint64_t base, end;		/* bytes, page aligned: what may be given out */
		uint64_t chunk_base;		/* base rounded down to a chunk */
		unsigned node;
		struct mem_chunk *chunk;
	} piece[MEM_PIECES_MAX];		/* ascending, not overlapping */
	uint64_t dropped_pages;			/* scraps too small to keep books on, and pieces over the limit */
};

/* The machine's memory. Tests make their own. */
extern struct mem mem;

void mem_init(struct mem *m, const struct topology *t);
/*
 * Gives [base, base + length) to the allocator, as memory of `node`. Page aligned. Must not overlap what is there.
 * Keeps its books in the range itself; a range too small for that is dropped and counted.
 */
void mem_add(struct mem *m, uint64_t base, uint64_t length, unsigned node);

/*
 * pages (1..LARGE_PAGES) contiguous pages, aligned to the next power of two of pages; not zeroed. HPA_NONE when there
 * are none.
 */
hpa_t mem_alloc(struct mem *m, unsigned node, unsigned pages, enum mem_policy policy);
/* The same pages back. Freeing what is not allocated panics. */
void mem_free(struct mem *m, hpa_t at, unsigned pages);
/* How many whole 2 MiB chunks node has free. */
uint64_t mem_free_chunks(const struct mem *m, unsigned node);
/* The node that owns a page, NODE_NONE for one the allocator does not own. */
unsigned mem_node_of(const struct mem *m, hpa_t at);
/* Verifies all counts against the bitmaps. */
bool mem_check(const struct mem *m);
