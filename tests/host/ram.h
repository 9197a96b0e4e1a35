/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's RAM for host tests, over the fake machine: host pointers are host-physical addresses. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "tests/host/test.h"
#include "vm/gmem.h"

/* RAM of size bytes with every block a heap object of its own, so that ASan sees any step outside. */
static inline struct gmem ram_make(uint64_t size)
{
	unsigned count = (unsigned)gmem_blocks(size);
	hpa_t *block = malloc(count * sizeof(*block));
	struct gmem g;

	for (unsigned i = 0; i < count; i++) {
		size_t len = MIN(size - i * LARGE_SIZE, LARGE_SIZE);
		void *p = aligned_alloc(PAGE_SIZE, len);

		memset(p, 0, len);
		block[i] = hpa((uint64_t)p);
	}
	if (gmem_init(&g, size, block, count) != ERR_OK) {
		abort();
	}
	return g;
}

static inline void ram_free(struct gmem *g)
{
	for (unsigned i = 0; i < g->block_count; i++) {
		free((void *)g->block[i].v);
	}
	free(g->block);
}

static inline uint64_t ram_get(const struct gmem *g, uint64_t at, unsigned bytes)
{
	uint64_t v = 0;

	CHECK(gmem_read(g, gpa(at), &v, bytes));
	return v;
}

static inline void ram_put(const struct gmem *g, uint64_t at, uint64_t v, unsigned bytes)
{
	CHECK(gmem_write(g, gpa(at), &v, bytes));
}
