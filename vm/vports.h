/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who answers a port. Rows are sorted by port and never change after vports_init(), so vports_find() needs no lock;
 * an index with one byte for 64 ports leads to the first row that may match, which makes a port with nothing behind
 * it about ten instructions.
 *
 * The row of the first port decides. Where it does not take the access's size, or the access runs past its end, the
 * access is split into bytes as the ISA bus does, each with its own row. An access whose first port is nobody's is
 * nobody's as a whole: a 32-bit write to PCI's 0xcf8 must not reach the reset port 0xcf9 inside it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/err.h"

#define VPORTS_GRANULE_SHIFT	6
#define VPORTS_GRANULES		(0x10000u >> VPORTS_GRANULE_SHIFT)
#define VPORTS_ROWS_MAX		32u

/* Sizes a handler takes: the sizes themselves, or-ed. */
#define VPORTS_BYTE		1u
#define VPORTS_WORD		2u
#define VPORTS_ANY		7u

struct vports_row {
	uint16_t first, last;		/* both inside */
	uint8_t sizes;
	/* NULL: reads all ones / swallows. value holds just size bytes. */
	uint32_t (*read)(void *ctx, uint16_t port, unsigned size);
	void (*write)(void *ctx, uint16_t port, unsigned size, uint32_t value);
};

struct vports {
	const struct vports_row *rows, *end;
	void *ctx;
	uint8_t index[VPORTS_GRANULES];		/* 1 + first row that ends in or after the granule and begins in it
						 * or before; 0: none */
	_Atomic uint64_t unclaimed;		/* accesses nobody answered; counted without a locked instruction,
						 * so racing cpus may lose one */
};

/* rows stays in use. INVAL: not sorted, overlapping or no size; LIMIT: more than VPORTS_ROWS_MAX. */
enum err vports_init(struct vports *v, const struct vports_row *rows, size_t count, void *ctx);

/* The row that answers port, or NULL. */
static inline const struct vports_row *vports_find(const struct vports *v, uint16_t port)
{
	unsigned i = v->index[port >> VPORTS_GRANULE_SHIFT];

	if (i == 0) {
		return NULL;
	}
	/* The index leads to a row that ends in the granule or later, or to the last one: so no look at the end before. */
	for (const struct vports_row *row = &v->rows[i - 1];; row++) {
		if (port <= row->last) {
			return port >= row->first ? row : NULL;
		}
		if (row + 1 == v->end) {
			return NULL;
		}
	}
}

static inline void vports_count_unclaimed(struct vports *v)
{
	atomic_store_explicit(&v->unclaimed, atomic_load_explicit(&v->unclaimed, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* What size bytes of nothing read as. */
static inline uint32_t vports_ones(unsigned size)
{
	return UINT32_MAX >> (32 - 8 * size);
}

/* Does an access of size 1, 2 or 4. True: somebody answered. */
bool vports_read(struct vports *v, uint16_t port, unsigned size, uint32_t *value);
bool vports_write(struct vports *v, uint16_t port, unsigned size, uint32_t value);
