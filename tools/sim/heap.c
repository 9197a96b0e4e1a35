/* SPDX-License-Identifier: BSD-2-Clause */
/* The event heap of the simulator. */
#include "tools/sim/heap.h"

#include <stdlib.h>

#include "kernel/lib/util.h"
#include "tools/sim/internal.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
	return a->when_ns != b->when_ns ? a->when_ns < b->when_ns : a->rank < b->rank;
}

static void put(struct heap *h, unsigned at, struct heap_node *n)
{
	h->node[at] = n;
	n->at = at;
}

static void rise(struct heap *h, struct heap_node *n)
{
	unsigned at = n->at;

	for (; at > 1 && before(n, h->node[at / 2]); at /= 2) {
		put(h, at, h->node[at / 2]);
	}
	put(h, at, n);
}

static void sink(struct heap *h, struct heap_node *n)
{
	unsigned at = n->at;

	for (unsigned child; (child = 2 * at) <= h->count; at = child) {
		child += child < h->count && before(h->node[child + 1], h->node[child]);
		if (!before(h->node[child], n)) {
			break;
		}
		put(h, at, h->node[child]);
	}
	put(h, at, n);
}

static void take_out(struct heap *h, struct heap_node *n)
{
	struct heap_node *last = h->node[h->count--];
	unsigned at = n->at;

	n->at = 0;
	if (last != n) {
		put(h, at, last);
		rise(h, last);
		sink(h, last);
	}
}

void heap_set(struct heap *h, struct heap_node *n, uint64_t when_ns)
{
	if (when_ns == NS_NEVER) {
		if (n->at != 0) {
			take_out(h, n);
		}
		return;
	}
	n->when_ns = when_ns;
	if (n->at == 0) {
		if (h->count + 1 >= h->room) {
			h->room = MAX(64u, h->room * 2);
			h->node = sim_realloc(h->node, h->room * sizeof(h->node[0]));
		}
		put(h, ++h->count, n);
	}
	rise(h, n);
	sink(h, n);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->count > 0 ? h->node[1] : NULL;
}

void heap_free_all(struct heap *h)
{
	free(h->node);
	*h = (struct heap){ 0 };
}
