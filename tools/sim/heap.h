/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary heap of what happens next. Nodes are embedded in what they belong to and know their
 * place, so that a time can change or be taken back. Of two at the same time the lower rank comes
 * first: the order never depends on how it came about.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct heap_node {
	uint64_t when_ns;
	uint64_t rank;			/* unique */
	unsigned at;			/* place in the heap from 1; 0: not in it */
};

struct heap {
	struct heap_node **node;	/* [1..count] */
	unsigned count, room;
};

/* Puts n in, or moves it, to when_ns; NS_NEVER takes it out. */
void heap_set(struct heap *h, struct heap_node *n, uint64_t when_ns);
/* The next one, or NULL. It stays in. */
struct heap_node *heap_first(const struct heap *h);
void heap_free_all(struct heap *h);
