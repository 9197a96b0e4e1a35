/* SPDX-License-Identifier: BSD-2-Clause */
/* The ordered set, beside a sorted array. */
#include "tests/host/test.h"

#include <stdio.h>

#include "kernel/lib/tree.h"

#define NODES	300u

struct model {
	struct tree tree;
	struct tree_node node[NODES];
	struct tree_node *sorted[NODES];	/* by key, equal keys by age */
	unsigned count;
};

/* near: from where it looks for its place, or NULL. */
static void model_insert(struct model *m, struct tree_node *n, struct tree_node *near)
{
	unsigned at = m->count++;

	for (; at > 0 && m->sorted[at - 1]->key > n->key; at--) {
		m->sorted[at] = m->sorted[at - 1];
	}
	m->sorted[at] = n;
	if (near != NULL) {
		tree_insert_near(&m->tree, n, near);
	} else {
		tree_insert(&m->tree, n);
	}
}

static void model_remove(struct model *m, struct tree_node *n)
{
	unsigned at = 0;

	while (m->sorted[at] != n) {
		at++;
	}
	m->count--;
	memmove(&m->sorted[at], &m->sorted[at + 1], (m->count - at) * sizeof(m->sorted[0]));
	tree_remove(&m->tree, n);
}

static const struct tree_node *model_fit(const struct model *m, unsigned from, uint64_t wanted)
{
	for (unsigned i = from; i < m->count; i++) {
		if ((m->sorted[i]->mask & wanted) != 0) {
			return m->sorted[i];
		}
	}
	return NULL;
}

static void check_all(struct model *m, uint64_t wanted)
{
	CHECK(tree_check(&m->tree, m->count));
	CHECK(tree_first(&m->tree) == (m->count > 0 ? m->sorted[0] : NULL));
	CHECK(tree_first_fit(&m->tree, wanted) == model_fit(m, 0, wanted));
	for (unsigned i = 0; i < m->count; i++) {
		CHECK(tree_next(m->sorted[i]) == (i + 1 < m->count ? m->sorted[i + 1] : NULL));
		CHECK(tree_next_fit(m->sorted[i], wanted) == model_fit(m, i + 1, wanted));
	}
}

TEST(model, "a tree holds and finds what a sorted array does, through 20,000 random changes")
{
	static struct model m;
	struct test_rng rng = { 4 };

	tree_init(&m.tree, true);
	check_all(&m, ~0ul);
	for (unsigned i = 0; i < NODES / 2; i++) {		/* as in a larger set; the others' are drawn */
		m.node[i].height = (uint8_t)(1 + i % (TREE_LEVELS - 1));
	}
	for (unsigned step = 0; step < 20000; step++) {
		struct tree_node *n = &m.node[test_rand_below(&rng, 1 + step % NODES)];

		if (n->linked) {
			model_remove(&m, n);
		} else {
			n->key = test_rand_below(&rng, 50);
			n->mask = 1ul << test_rand_below(&rng, 64);
			model_insert(&m, n, NULL);
		}
		if (step % 16 == 0) {
			check_all(&m, 1ul << test_rand_below(&rng, 64) | 1ul << test_rand_below(&rng, 64));
		}
	}
}

TEST(near, "wherever in a tree a node starts to look for its place, it comes to the same one")
{
	static struct model m;
	struct test_rng rng = { 5 };

	tree_init(&m.tree, false);
	for (unsigned step = 0; step < 20000; step++) {
		struct tree_node *n = &m.node[test_rand_below(&rng, 1 + step % NODES)];

		if (n->linked) {
			model_remove(&m, n);
		} else {
			n->key = step % 7 == 0 ? UINT64_MAX : test_rand_below(&rng, 50);
			model_insert(&m, n, step % 5 == 0 ? &m.tree.end : &m.node[test_rand_below(&rng, NODES)]);
		}
		CHECK(step % 16 != 0 || tree_check(&m.tree, m.count));
		for (unsigned i = 1; step % 16 == 0 && i < m.count; i++) {
			CHECK(tree_next(m.sorted[i - 1]) == m.sorted[i]);
		}
	}
}

/* Keys at both ends of what a key can be, and one far inside. */
TEST(extremes, "keys of 0 and of all ones are in order like others")
{
	static struct tree_node node[9];
	struct tree tree;

	tree_init(&tree, false);
	for (unsigned i = 0; i < ARRAY_SIZE(node); i++) {
		node[i].key = i % 3 == 0 ? UINT64_MAX : i % 3 == 1 ? 0 : 7;
		tree_insert(&tree, &node[i]);
		CHECK(tree_check(&tree, i + 1));
	}
	CHECK(tree_first(&tree) == &node[1] && tree_next(&node[7]) == &node[2] && tree_next(&node[8]) == &node[0]);
	CHECK(tree_next(&node[6]) == NULL);
}

/* How many in a row a search can pass by only one at a time. */
static unsigned longest_run(const struct tree *t)
{
	unsigned run = 0, longest = 0;

	for (const struct tree_node *n = tree_first(t); n != NULL; n = tree_next(n)) {
		run = n->height > 1 ? 0 : run + 1;
		longest = MAX(longest, run);
	}
	return longest;
}

TEST(heights, "of 4,096 nodes a quarter is in each next list, no more than 40 in a row are not, and so it stays")
{
	static struct tree_node node[4096];
	unsigned in[TREE_LEVELS] = { 0 };
	struct tree tree;

	tree_init(&tree, false);
	for (unsigned i = 0; i < 8 * ARRAY_SIZE(node); i++) {
		struct tree_node *n = &node[i % ARRAY_SIZE(node)];

		if (n->linked) {
			tree_remove(&tree, n);
		}
		n->key = i;
		tree_insert(&tree, n);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(node); i++) {
		for (unsigned l = 0; l < node[i].height; l++) {
			in[l]++;
		}
	}
	CHECK(tree_check(&tree, ARRAY_SIZE(node)));
	for (unsigned l = 1; l < TREE_LEVELS - 1; l++) {
		printf("  list %u: %u nodes\n", l, in[l]);
		CHECK(in[l] * 3 <= in[l - 1] + 6 && in[l] * 6 + 6 >= in[l - 1]);
	}
	CHECK(longest_run(&tree) <= 40);
}
