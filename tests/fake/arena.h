/* SPDX-License-Identifier: BSD-2-Clause */
/* A stretch of the test's address space that stands for physical RAM: tests/fake/machine.c maps one to the other as they are. */
#pragma once

#include <stdlib.h>
#include <sys/mman.h>

#include "kernel/lib/addr.h"
#include "kernel/mem.h"

struct arena {
	void *map;
	uint64_t base;		/* 2 MiB aligned */
	uint64_t size;		/* bytes */
};

static inline struct arena arena_make(uint64_t size)
{
	struct arena a = { .size = size };

	a.map = mmap(NULL, size + LARGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a.map == MAP_FAILED) {
		abort();
	}
	a.base = align_up((uint64_t)a.map, LARGE_SIZE);
	return a;
}

static inline void arena_free(const struct arena *a)
{
	munmap(a->map, a->size + LARGE_SIZE);
}

/* Nodes 0..n-1, all as far from each other as from none. */
static inline struct topology arena_topology(unsigned nodes)
{
	struct topology t = { .node_count = nodes };

	for (unsigned i = 0; i < nodes; i++) {
		for (unsigned k = 0; k < nodes; k++) {
			t.distance[i][k] = i == k ? DISTANCE_LOCAL : DISTANCE_REMOTE;
		}
	}
	return t;
}
