/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's heap: one slab over the machine's memory. */
#include "kernel/heap.h"

#include "kernel/slab.h"

static struct slab slab;

/* Set up at the first use: memory is there before anybody allocates. */
static struct slab *heap(void)
{
	if (slab.mem == NULL) {
		slab_init(&slab, &mem);
	}
	return &slab;
}

void *heap_alloc(size_t bytes, unsigned node)
{
	return slab_alloc(heap(), bytes, node);
}

void heap_free(void *ptr, size_t bytes)
{
	if (ptr != NULL) {
		slab_free(heap(), ptr, bytes);
	}
}
