/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ordered sets as intrusive treaps: insert and remove cost O(log n) expected whatever the keys, O(1) expected at the end,
 * where a queue grows; the first node is at hand, and a search for the first node that fits two conditions skips every subtree without one:
 *
 *      low <= limit        e.g. eligible at this virtual time
 *      mask & wanted       e.g. may run on this slot
 *
 * In a summed tree every node carries the least `low` and the union of `mask` of its subtree. With one of the conditions
 * always true the search is O(log n); with both it may have to come back from a subtree where different nodes meet them.
 * A tree that is not summed is cheaper, and can only be walked in order.
 *
 * Nodes of equal keys keep the order of their insertion. A tree carries no lock and allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/util.h"

struct tree_node {
	/* Set by the caller before tree_insert(), constant until tree_remove(). */
	uint64_t key, low, mask;

	struct tree_node *parent, *left, *right;
	uint64_t least_low, all_masks;		/* of the subtree, in a summed tree */
	uint32_t rank;				/* random: no child's is above its parent's */
	bool linked;
};

struct tree {
	struct tree_node *root, *first, *last;
	uint32_t random;
	bool summed;
};

#define TREE_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

static inline struct tree_node *tree_first(const struct tree *t)
{
	return t->first;
}

void tree_init(struct tree *t, bool summed);
void tree_insert(struct tree *t, struct tree_node *n);
void tree_remove(struct tree *t, struct tree_node *n);
/* The next in order; NULL after the last. */
struct tree_node *tree_next(const struct tree_node *n);
/* In a summed tree: the first in order with low <= limit and mask & wanted; NULL: there is none. And the next such after n. */
struct tree_node *tree_first_fit(const struct tree *t, uint64_t limit, uint64_t wanted);
struct tree_node *tree_next_fit(const struct tree_node *n, uint64_t limit, uint64_t wanted);
/* All links, orders and summaries are right, and there are count nodes. */
bool tree_check(const struct tree *t, unsigned count);
