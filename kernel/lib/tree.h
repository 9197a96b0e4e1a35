/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ordered sets as intrusive skip lists (Pugh 1990): all nodes are in one list, a quarter of them in a
 * second one, a quarter of those in a third, and so on. A node looks for its place from the end that is
 * nearer by key and climbs no further than it has to, O(log d) expected for d nodes before it; at both
 * ends, and for what goes, it is O(1). The first and the next are at hand.
 *
 * In a summed set every node knows the union of `mask` of all from it to the next one of each of its
 * lists, so a search for a bit passes over those that lack it. One that is not summed is cheaper.
 *
 * Nodes of equal keys keep the order of their insertion. A set carries no lock and allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/util.h"

#define TREE_LEVELS	7u			/* the end is in all in use, and alone in the last */

struct tree_node {
	/* Set by the caller before tree_insert(), constant until tree_remove(). */
	uint64_t key, mask;

	bool linked;
	uint8_t height;				/* lists that it is in: random, and its own for good */
	struct tree_node *next[TREE_LEVELS], *prev[TREE_LEVELS];
	uint64_t masks[TREE_LEVELS];		/* up to next, in a summed set */
};

struct tree {
	struct tree_node end;			/* before the first and behind the last, not linked; its mask: of all */
	uint32_t random;
	bool summed;
};

#define TREE_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

/* The next in order; NULL after the last. */
static inline struct tree_node *tree_next(const struct tree_node *n)
{
	return n->next[0]->linked ? n->next[0] : NULL;
}

static inline struct tree_node *tree_first(const struct tree *t)
{
	return tree_next(&t->end);
}

static inline struct tree_node *tree_last(const struct tree *t)
{
	return t->end.prev[0]->linked ? t->end.prev[0] : NULL;
}

/* Of a summed set: the masks of all. */
static inline uint64_t tree_masks(const struct tree *t)
{
	return t->end.mask;
}

void tree_init(struct tree *t, bool summed);
void tree_insert(struct tree *t, struct tree_node *n);
/* n, which stands behind prev in the first list, comes into the others. */
void tree_link_above(struct tree *t, struct tree_node *n, struct tree_node *prev);

/* tree_insert() into a set without sums, and cheaper where n belongs right behind `by`, which is in t. */
static inline void tree_insert_by(struct tree *t, struct tree_node *n, struct tree_node *by)
{
	struct tree_node *next = by->next[0];

	if (by->key <= n->key && (n->key < next->key || !next->linked)) {
		n->linked = true;
		n->next[0] = next;
		n->prev[0] = by;
		by->next[0] = next->prev[0] = n;
		if (RARE(n->height != 1)) {
			tree_link_above(t, n, by);
		}
	} else {
		tree_insert(t, n);
	}
}

/* The same where `near` is in t or not linked. */
static inline void tree_insert_near(struct tree *t, struct tree_node *n, struct tree_node *near)
{
	if (near->linked) {
		tree_insert_by(t, n, near);
	} else {
		tree_insert(t, n);
	}
}

/* n goes from the first list, and from those above. */
static inline void tree_unlink_first(struct tree_node *n)
{
	n->linked = false;
	n->prev[0]->next[0] = n->next[0];
	n->next[0]->prev[0] = n->prev[0];
}

static inline void tree_unlink_above(struct tree_node *n)
{
	for (long l = 1; RARE(l < n->height); l++) {
		n->prev[l]->next[l] = n->next[l];
		n->next[l]->prev[l] = n->prev[l];
	}
}

/* n goes; its set is not summed. */
static inline void tree_unlink(struct tree_node *n)
{
	tree_unlink_first(n);
	tree_unlink_above(n);
}

/* n, which was unlinked just now, went from a summed set. */
void tree_sum_without(struct tree *t, const struct tree_node *n);

static inline void tree_remove(struct tree *t, struct tree_node *n)
{
	tree_unlink(n);
	if (RARE(t->summed)) {
		tree_sum_without(t, n);
	}
}

/* In a summed set: the next after n with mask & wanted; NULL: there is none. And the first. */
struct tree_node *tree_next_fit(const struct tree_node *n, uint64_t wanted);

static inline struct tree_node *tree_first_fit(const struct tree *t, uint64_t wanted)
{
	return (tree_masks(t) & wanted) == 0 ? NULL : tree_next_fit(&t->end, wanted);
}

/* All links, orders and sums are right, and there are count nodes. */
bool tree_check(const struct tree *t, unsigned count);
