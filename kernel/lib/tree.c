/* SPDX-License-Identifier: BSD-2-Clause */
/* Ordered sets: see tree.h. */
#include "kernel/lib/tree.h"

void tree_init(struct tree *t, bool summed)
{
	*t = (struct tree){ .random = 0x9e3779b9u, .summed = summed };
	t->end.height = summed ? 2 : TREE_LEVELS;	/* grows: sums are kept of lists in use only */
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
static inline uint64_t sum(const struct tree_node *n, long l)
{
	const struct tree_node *at = n, *end = n->next[l];
	uint64_t masks = 0;

	do {
		masks |= at->masks[l - 1];
		at = at->next[l - 1];
	} while (at != end);
	return masks;
}

/* The one that is in list l and before n, or is n, which is in the lists below. */
static inline struct tree_node *up(struct tree_node *n, long l)
{
	while (n->height <= l) {
		n = n->prev[l - 1];
	}
	return n;
}

/* One with that mask is new, in no list from l on, behind `before`, which is in the list below. */
static INLINE void add_mask(struct tree *t, struct tree_node *before, uint64_t mask, long l)
{
	for (; l < t->end.height; l++) {
		before = up(before, l);
		if ((mask & ~before->masks[l]) == 0) {
			return;
		}
		before->masks[l] |= mask;
	}
	t->end.mask |= mask;
}

static APART void sum_with_high(struct tree *t, struct tree_node *n)
{
	const long height = n->height;

	for (; t->end.height <= height; t->end.height++) {
		t->end.masks[t->end.height] = t->end.mask;
	}
	for (long l = 1; l < height; l++) {
		n->prev[l]->masks[l] = sum(n->prev[l], l);
		n->masks[l] = sum(n, l);
	}
	add_mask(t, n->prev[height - 1], n->mask, height);
}

static APART void sum_with(struct tree *t, struct tree_node *n)
{
	n->masks[0] = n->mask;
	if (RARE(n->height > 1)) {
		sum_with_high(t, n);
	} else {
		add_mask(t, n->prev[0], n->mask, 1);
	}
}

/* Such a one went: what of the mask that it came with nobody else there has goes too. */
static INLINE void take_mask(struct tree *t, struct tree_node *before, uint64_t lost, long l)
{
	for (; l < t->end.height; l++) {
		const struct tree_node *next = before->next[l - 1];
		uint64_t rest = before->masks[l - 1];

		while (before->height <= l) {
			before = before->prev[l - 1];
			rest |= before->masks[l - 1];
		}
		for (; next != before->next[l]; next = next->next[l - 1]) {
			rest |= next->masks[l - 1];
		}
		lost &= ~rest;
		if (lost == 0) {
			return;
		}
		before->masks[l] &= ~lost;
	}
	t->end.mask &= ~lost;
}

static APART void sum_without_high(struct tree *t, const struct tree_node *n)
{
	const long height = n->height;

	for (long l = 1; l < height; l++) {
		n->prev[l]->masks[l] = sum(n->prev[l], l);
	}
	take_mask(t, n->prev[height - 1], n->masks[0], height);
}

void tree_sum_without(struct tree *t, const struct tree_node *n)
{
	if (RARE(n->height > 1)) {
		sum_without_high(t, n);
	} else {
		take_mask(t, n->prev[0], n->masks[0], 1);
	}
}

/* --- Changes. */

static inline void link(struct tree_node *n, struct tree_node *next, long l)
{
	struct tree_node *prev = next->prev[l];

	n->next[l] = next;
	n->prev[l] = prev;
	prev->next[l] = n;
	next->prev[l] = n;
}

/* What is next to at in list l, towards the other end. */
static INLINE struct tree_node *step(const struct tree_node *at, long l, bool back)
{
	return back ? at->prev[l] : at->next[l];
}

/* Is key beyond that of n? The end is beyond all. */
static INLINE bool passes(uint64_t key, const struct tree_node *n, bool back)
{
	return back ? key < n->key : key >= n->key;
}

/* n is neither first nor last: up from an end, until a list has nobody before n, and down from there. */
static INLINE void link_inside(struct tree *t, struct tree_node *n, uint64_t key, long height, bool back)
{
	struct tree_node *at = &t->end, *far;
	long l = 0;

	t->end.key = back ? 0 : UINT64_MAX;	/* nobody passes it: key is neither */
	while (passes(key, step(at, l + 1, back), back)) {
		l++;
	}
	for (; l >= height; l--) {
		while (passes(key, far = step(at, l, back), back)) {
			at = far;
		}
	}
	l = height - 1;
	do {
		while (passes(key, far = step(at, l, back), back)) {
			at = far;
		}
		link(n, back ? at : far, l);
	} while (--l >= 0);
	t->end.key = 0;
}

static APART void insert_first_time(struct tree *t, struct tree_node *n)
{
	draw_height(t, n);
	tree_insert(t, n);
}

/* n, of that key and height, is not the last. */
static APART void insert_before(struct tree *t, struct tree_node *n, uint64_t key, uint64_t last, long height)
{
	const uint64_t first = t->end.next[0]->key;
	long l = 0;

	if (key < first) {
		do {
			link(n, t->end.next[l], l);
		} while (RARE(++l < height));
	} else if (last - key < key - first) {
		link_inside(t, n, key, height, true);
	} else {
		link_inside(t, n, key, height, false);
	}
	if (RARE(t->summed)) {
		sum_with(t, n);
	}
}

void tree_insert(struct tree *t, struct tree_node *n)
{
	const uint64_t key = n->key, last = t->end.prev[0]->key;
	const long height = n->height;
	long l = 0;

	if (RARE(height == 0)) {
		insert_first_time(t, n);
		return;
	}
	n->linked = true;
	if (key < last) {
		insert_before(t, n, key, last, height);
		return;
	}
	do {
		link(n, &t->end, l);
	} while (RARE(++l < height));
	if (RARE(t->summed)) {
		sum_with(t, n);
	}
}

void tree_link_above(struct tree *t, struct tree_node *n, struct tree_node *prev)
{
	if (RARE(n->height == 0)) {
		draw_height(t, n);
	}
	for (long l = 1; l < n->height; l++) {
		prev = up(prev, l);
		link(n, prev->next[l], l);
	}
}

/* --- Searches. */

/* Up, passing over what has none of wanted, until there is some before the next; and down from there. */
struct tree_node *tree_next_fit(const struct tree_node *n, uint64_t wanted)
{
	long l = 0;

	for (n = n->next[0]; n->linked && (n->masks[l] & wanted) == 0;) {
		if (l + 1 < n->height) {
			l++;
		} else {
			n = n->next[l];
		}
	}
	while (n->linked && l-- > 0) {
		while ((n->masks[l] & wanted) == 0) {
			n = n->next[l];
		}
	}
	return n->linked ? (struct tree_node *)(uintptr_t)n : NULL;
}

/* --- The checker. */

/* What is right of n, and to the left of its next ones. */
static bool node_check(const struct tree_node *n, bool summed)
{
	for (long l = 0; l < n->height; l++) {
		const struct tree_node *next = n->next[l];

		if (next->prev[l] != n || next->height <= l ||
		    (next->linked && n->linked && next->key < n->key) ||
		    (summed && n->masks[l] != (l > 0 ? sum(n, l) : n->linked ? n->mask : 0))) {
			return false;
		}
	}
	return true;
}

bool tree_check(const struct tree *t, unsigned count)
{
	const struct tree_node *at = &t->end;
	unsigned seen = 0, in[TREE_LEVELS] = { 0 };

	if (t->summed && t->end.mask != t->end.masks[t->end.height - 1]) {
		return false;
	}
	for (; node_check(at, t->summed) && seen <= count; seen++) {
		for (unsigned l = 0; l < at->height; l++) {
			in[l]++;
		}
		at = at->next[0];
		if (at == &t->end) {
			break;
		}
	}
	for (unsigned l = 0; l < TREE_LEVELS; l++) {	/* no list goes round without some */
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
