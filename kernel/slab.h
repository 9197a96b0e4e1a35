/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations of any size over the page allocator: small ones share a page with others of their size class, large ones
 * are whole pages. A page whose last object goes is given back at once, so what was free before is free again after.
 */
#pragma once

#include <stddef.h>

#include "kernel/mem.h"

#define SLAB_ALIGN	64u
#define SLAB_CLASSES	5u		/* 64, 128, 256, 512, 1024 bytes */

struct slab {
	struct mem *mem;
	struct list partial[NODE_MAX][SLAB_CLASSES];
};

void slab_init(struct slab *s, struct mem *m);
/* bytes (> 0) zeroed, aligned to SLAB_ALIGN, from node only. NULL: none left there, or over 2 MiB. */
void *slab_alloc(struct slab *s, size_t bytes, unsigned node);
/* What slab_alloc(bytes) returned. */
void slab_free(struct slab *s, void *ptr, size_t bytes);
