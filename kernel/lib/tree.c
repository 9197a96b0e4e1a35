/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A treap is a search tree by key and a heap by random rank, so its shape is that of a search tree filled in random
 * order (Aragon and Seidel 1989). Its first node, which schedulers take most, has no left child: removing it is one
 * relinking and no rotation.
 */
#include "kernel/lib/tree.h"

#include <stddef.h>

void tree_init(struct tree *t)
{
	*t = (struct tree){ .random = 0x9e3779b9u };
}

/* Xorshift: shapes the tree, guards nothing. */
static uint32_t next_rank(struct tree *t)
{
	uint32_t x = t->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return t->random = x;
}

/* Recomputes n's summaries from its children; false: they were right. */
static bool summarise(struct tree_node *n)
{
	uint64_t low = n->low, masks = n->mask;
	bool changed;

	if (n->left != NULL) {
		low = MIN(low, n->left->least_low);
		masks |= n->left->all_masks;
	}
	if (n->right != NULL) {
		low = MIN(low, n->right->least_low);
		masks |= n->right->all_masks;
	}
	changed = low != n->least_low || masks != n->all_masks;
	n->least_low = low;
	n->all_masks = masks;
	return changed;
}

/* Makes `with` what `old` was to its parent. */
static void replace(struct tree *t, const struct tree_node *old, struct tree_node *with)
{
	struct tree_node *parent = old->parent;

	if (parent == NULL) {
		t->root = with;
	} else if (parent->left == old) {
		parent->left = with;
	} else {
		parent->right = with;
	}
	if (with != NULL) {
		with->parent = parent;
	}
}

/* n, a child, takes its parent's place, and the parent becomes its child. */
static void rotate_up(struct tree *t, struct tree_node *n)
{
	struct tree_node *parent = n->parent, *moved;

	n->least_low = parent->least_low;	/* the subtree holds the same nodes as before */
	n->all_masks = parent->all_masks;
	replace(t, parent, n);
	if (parent->left == n) {
		moved = parent->left = n->right;
		n->right = parent;
	} else {
		moved = parent->right = n->left;
		n->left = parent;
	}
	if (moved != NULL) {
		moved->parent = parent;
	}
	parent->parent = n;
	(void)summarise(parent);
}

void tree_insert(struct tree *t, struct tree_node *n)
{
	struct tree_node **link = &t->root, *parent = NULL;
	bool first = true;

	while (*link != NULL) {
		parent = *link;
		parent->least_low = MIN(parent->least_low, n->low);
		parent->all_masks |= n->mask;
		if (n->key < parent->key) {
			link = &parent->left;
		} else {
			link = &parent->right;
			first = false;
		}
	}
	*link = n;
	n->parent = parent;
	n->left = n->right = NULL;
	n->least_low = n->low;
	n->all_masks = n->mask;
	n->rank = next_rank(t);
	n->linked = true;
	if (first) {
		t->first = n;
	}
	while (n->parent != NULL && n->parent->rank < n->rank) {
		rotate_up(t, n);
	}
}

void tree_remove(struct tree *t, struct tree_node *n)
{
	struct tree_node *at;

	if (t->first == n) {
		t->first = tree_next(n);
	}
	while (n->left != NULL && n->right != NULL) {
		rotate_up(t, n->left->rank > n->right->rank ? n->left : n->right);
	}
	replace(t, n, n->left != NULL ? n->left : n->right);
	n->linked = false;
	/* Above n all summaries still include it: the walk ends where it made no difference. */
	for (at = n->parent; at != NULL && summarise(at); at = at->parent) {
	}
}

struct tree_node *tree_next(const struct tree_node *n)
{
	struct tree_node *at;

	if (n->right != NULL) {
		for (at = n->right; at->left != NULL; at = at->left) {
		}
		return at;
	}
	while (n->parent != NULL && n == n->parent->right) {
		n = n->parent;
	}
	return n->parent;
}

static bool may_hold(const struct tree_node *n, uint64_t limit, uint64_t wanted)
{
	return n != NULL && n->least_low <= limit && (n->all_masks & wanted) != 0;
}

static bool fits(const struct tree_node *n, uint64_t limit, uint64_t wanted)
{
	return n->low <= limit && (n->mask & wanted) != 0;
}

/* The node of n's subtree where a search in order begins: nothing that fits comes before it. */
static const struct tree_node *descend(const struct tree_node *n, uint64_t limit, uint64_t wanted)
{
	while (may_hold(n->left, limit, wanted)) {
		n = n->left;
	}
	return n;
}

struct tree_node *tree_next_fit(const struct tree_node *n, uint64_t limit, uint64_t wanted)
{
	do {
		if (may_hold(n->right, limit, wanted)) {
			n = descend(n->right, limit, wanted);
		} else {
			while (n->parent != NULL && n == n->parent->right) {
				n = n->parent;
			}
			n = n->parent;
		}
	} while (n != NULL && !fits(n, limit, wanted));
	return (struct tree_node *)(uintptr_t)n;
}

struct tree_node *tree_first_fit(const struct tree *t, uint64_t limit, uint64_t wanted)
{
	const struct tree_node *n;

	if (!may_hold(t->root, limit, wanted)) {
		return NULL;
	}
	n = descend(t->root, limit, wanted);
	return fits(n, limit, wanted) ? (struct tree_node *)(uintptr_t)n : tree_next_fit(n, limit, wanted);
}

static bool node_check(const struct tree_node *n)
{
	const struct tree_node *l = n->left, *r = n->right;
	struct tree_node copy = *n;

	return n->linked && !summarise(&copy) &&
	       (l == NULL || (l->parent == n && l->key <= n->key && l->rank <= n->rank)) &&
	       (r == NULL || (r->parent == n && r->key >= n->key && r->rank <= n->rank));
}

bool tree_check(const struct tree *t, unsigned count)
{
	const struct tree_node *last = NULL, *at;
	unsigned seen = 0;

	if (t->root != NULL && t->root->parent != NULL) {
		return false;
	}
	for (at = t->first; at != NULL && seen < count && node_check(at); at = tree_next(at), seen++) {
		if (last == NULL ? at->left != NULL : last->key > at->key) {
			return false;
		}
		last = at;
	}
	return at == NULL && seen == count && (seen > 0 || t->root == NULL);
}
