/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A treap is a search tree by key and a heap by random rank, so its shape is that of a search tree filled in random
 * order (Aragon and Seidel 1989). Insertion splits the subtree whose place it takes, removal joins the two it leaves;
 * for the first node, which schedulers take most, that is one link.
 */
#include "kernel/lib/tree.h"

#include <stddef.h>

void tree_init(struct tree *t, bool summed)
{
	*t = (struct tree){ .random = 0x9e3779b9u, .summed = summed };
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

/* Recomputes n and those above it, below end. */
static void sum_to(struct tree_node *n, const struct tree_node *end)
{
	for (; n != end; n = n->parent) {
		(void)summarise(n);
	}
}

static void sum_while_changed(struct tree_node *n)
{
	while (n != NULL && summarise(n)) {
		n = n->parent;
	}
}

/* n goes behind all others: it takes the place of the lowest of its right edge that has a smaller rank, if any has. */
static void insert_last(struct tree *t, struct tree_node *n)
{
	struct tree_node *parent = t->last, *below = NULL;

	while (parent != NULL && parent->rank < n->rank) {
		below = parent;
		parent = parent->parent;
	}
	n->parent = parent;
	n->left = below;
	n->right = NULL;
	n->linked = true;
	if (below != NULL) {
		below->parent = n;
	}
	if (parent != NULL) {
		parent->right = n;
	} else {
		t->root = n;
	}
	if (t->last == NULL) {
		t->first = n;
	}
	t->last = n;
	if (t->summed) {
		(void)summarise(n);
		sum_while_changed(parent);
	}
}

void tree_insert(struct tree *t, struct tree_node *n)
{
	struct tree_node **link = &t->root, *parent = NULL, *at;
	struct tree_node **left = &n->left, **right = &n->right, *left_end = n, *right_end = n;
	bool first = true;

	n->rank = next_rank(t);
	if (t->last == NULL || n->key >= t->last->key) {
		insert_last(t, n);
		return;
	}
	while ((at = *link) != NULL && at->rank >= n->rank) {
		parent = at;
		if (n->key < at->key) {
			link = &at->left;
		} else {
			link = &at->right;
			first = false;
		}
	}
	*link = n;
	n->parent = parent;
	n->linked = true;
	/* What stood there is split: what comes before n, what comes after. */
	while (at != NULL) {
		if (n->key < at->key) {
			*right = at;
			at->parent = right_end;
			right_end = at;
			right = &at->left;
		} else {
			*left = at;
			at->parent = left_end;
			left_end = at;
			left = &at->right;
		}
		at = n->key < at->key ? at->left : at->right;
	}
	*left = *right = NULL;
	if (first && n->left == NULL) {
		t->first = n;
	}
	if (t->summed) {
		sum_to(left_end, n);
		sum_to(right_end, n);
		sum_to(n, parent);
		sum_while_changed(parent);
	}
}

void tree_remove(struct tree *t, struct tree_node *n)
{
	struct tree_node *l = n->left, *r = n->right, *parent = n->parent;
	struct tree_node **link = parent == NULL ? &t->root : parent->left == n ? &parent->left : &parent->right;

	if (t->first == n) {
		t->first = tree_next(n);
	}
	if (t->last == n) {
		t->last = parent;
		for (struct tree_node *at = l; at != NULL; at = at->right) {
			t->last = at;
		}
	}
	n->linked = false;
	while (l != NULL && r != NULL) {
		if (l->rank >= r->rank) {
			*link = l;
			l->parent = parent;
			parent = l;
			link = &l->right;
			l = l->right;
		} else {
			*link = r;
			r->parent = parent;
			parent = r;
			link = &r->left;
			r = r->left;
		}
	}
	if (l == NULL) {
		l = r;
	}
	*link = l;
	if (l != NULL) {
		l->parent = parent;
	}
	if (t->summed) {
		sum_to(parent, n->parent);
		sum_while_changed(n->parent);
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

static bool node_check(const struct tree_node *n, bool summed)
{
	const struct tree_node *l = n->left, *r = n->right;
	struct tree_node copy = *n;

	return n->linked && (!summed || !summarise(&copy)) &&
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
	for (at = t->first; at != NULL && seen < count && node_check(at, t->summed); at = tree_next(at), seen++) {
		if (last == NULL ? at->left != NULL : last->key > at->key) {
			return false;
		}
		last = at;
	}
	return at == NULL && seen == count && t->last == last && (seen > 0 || t->root == NULL);
}
