/* SPDX-License-Identifier: BSD-2-Clause */
/* Ordered sets: see tree.h. */
#include "kernel/lib/tree.h"

#define APART	__attribute__((noinline))	/* keeps what is rare from costing what is not */

void tree_init(struct tree *t, bool summed)
{
	*t = (struct tree){ .random = 0x9e3779b9u, .summed = summed, .end.height = TREE_LEVELS };
	for (unsigned l = 0; l < TREE_LEVELS; l++) {
		t->end.prev[l] = t->end.next[l] = &t->end;
	}
}

/* 1, and one more for every two zeros that a random word (xorshift) ends in. */
static APART void draw_height(struct tree *t, struct tree_node *n)
{
	uint32_t x = t->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	t->random = x;
	n->height = (uint8_t)(1 + (unsigned)__builtin_ctz(x | 1u << 2 * (TREE_LEVELS - 2)) / 2);
}

/* --- Sums. */

/* Of all from n to its next at level l, which is not 0. */
static inline uint64_t sum(const struct tree_node *n, unsigned l)
{
	const struct tree_node *at = n, *end = n->next[l];
	uint64_t masks = 0;

	do {
		masks |= at->masks[l - 1];
		at = at->next[l - 1];
	} while (at != end);
	return masks;
}

/* The one that is in list l and before n, or is n. */
static inline struct tree_node *up(struct tree_node *n, unsigned l)
{
	while (n->height <= l) {
		n = n->prev[l - 1];
	}
	return n;
}

static APART void sum_with(struct tree_node *n)
{
	struct tree_node *before = n->prev[0];
	unsigned l = 1;

	n->masks[0] = n->mask;
	for (; l < n->height; l++) {
		before = up(before, l);
		before->masks[l] = sum(before, l);
		n->masks[l] = sum(n, l);
	}
	for (; l < TREE_LEVELS; l++) {
		before = up(before, l);
		if ((n->mask & ~before->masks[l]) == 0) {
			return;
		}
		before->masks[l] |= n->mask;
	}
}

/* One of that height went from behind n. */
static APART void sum_without(struct tree_node *n, unsigned height)
{
	for (unsigned l = 1; l < TREE_LEVELS; l++) {
		uint64_t masks;

		n = up(n, l);
		masks = sum(n, l);
		if (l >= height && n->masks[l] == masks) {
			return;
		}
		n->masks[l] = masks;
	}
}

/* --- Changes. */

static inline void link(struct tree_node *n, struct tree_node *next, int l)
{
	struct tree_node *prev = next->prev[l];

	n->next[l] = next;
	n->prev[l] = prev;
	prev->next[l] = n;
	next->prev[l] = n;
}

/* The one behind which key belongs is before this one at level l, or is reached from it further down. */
static inline struct tree_node *back(struct tree_node *at, int l, uint64_t key)
{
	struct tree_node *prev;

	while ((prev = at->prev[l])->key > key) {
		at = prev;
	}
	return at;
}

/* There are some with keys above n's: up from the end, until a list has none of them, and down from there. */
static inline void link_inside(struct tree *t, struct tree_node *n)
{
	const uint64_t key = n->key;
	struct tree_node *at = &t->end;
	int l = 0, height = n->height;

	while (at->prev[l + 1]->key > key) {
		l++;
	}
	for (l = MAX(l, height - 1); l >= height; l--) {
		at = back(at, l, key);
	}
	for (; l >= 0; l--) {
		at = back(at, l, key);
		link(n, at, l);
	}
}

void tree_insert(struct tree *t, struct tree_node *n)
{
	int l = 0;

	if (n->height == 0) {
		draw_height(t, n);
	}
	n->linked = true;
	if (n->key >= t->end.prev[0]->key) {
		do {
			link(n, &t->end, l);
		} while (++l < n->height);
	} else if (n->key < t->end.next[0]->key) {
		do {
			link(n, t->end.next[l], l);
		} while (++l < n->height);
	} else {
		link_inside(t, n);
	}
	if (t->summed) {
		sum_with(n);
	}
}

void tree_remove(struct tree *t, struct tree_node *n)
{
	unsigned l = 0;

	n->linked = false;
	do {
		n->prev[l]->next[l] = n->next[l];
		n->next[l]->prev[l] = n->prev[l];
	} while (++l < n->height);
	if (t->summed) {
		sum_without(n->prev[0], n->height);
	}
}

/* --- Searches. */

struct tree_node *tree_next_fit(const struct tree_node *n, uint64_t wanted)
{
	do {
		unsigned l = 0;

		while (l + 1 < n->height && (n->masks[l + 1] & wanted) == 0) {
			l++;
		}
		n = n->next[l];
	} while (n->linked && (n->mask & wanted) == 0);
	return n->linked ? (struct tree_node *)(uintptr_t)n : NULL;
}

struct tree_node *tree_first_fit(const struct tree *t, uint64_t wanted)
{
	return (t->end.masks[TREE_LEVELS - 1] & wanted) == 0 ? NULL : tree_next_fit(&t->end, wanted);
}

/* --- The checker. */

/* What is right of n, and to the left of its next ones. */
static bool node_check(const struct tree_node *n, bool summed)
{
	for (unsigned l = 0; l < n->height; l++) {
		const struct tree_node *next = n->next[l];

		if (next->prev[l] != n || next->height <= l || (next->linked && n->linked && next->key < n->key) ||
		    (summed && n->masks[l] != (l == 0 ? n->mask : sum(n, l)))) {
			return false;
		}
	}
	return true;
}

bool tree_check(const struct tree *t, unsigned count)
{
	const struct tree_node *at = &t->end;
	unsigned seen = 0, in[TREE_LEVELS] = { 0 };

	for (; node_check(at, t->summed) && seen <= count; seen++) {
		for (unsigned l = 0; l < at->height; l++) {
			in[l]++;
		}
		at = at->next[0];
		if (at == &t->end) {
			break;
		}
	}
	for (unsigned l = 0; l < TREE_LEVELS; l++) {		/* no list goes round without some of its nodes */
		const struct tree_node *n = &t->end;

		while (in[l] > 0) {
			n = n->next[l];
			in[l]--;
		}
		if (n != &t->end) {
			return false;
		}
	}
	return at == &t->end && seen == count;
}
