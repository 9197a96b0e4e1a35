/* SPDX-License-Identifier: BSD-2-Clause */
/* The ordered set, beside a sorted array. */
#include "tests/host/test.h"

#include "kernel/lib/tree.h"

#define NODES	300u

struct model {
	struct tree tree;
	struct tree_node node[NODES];
	struct tree_node *sorted[NODES];	/* by key, equal keys by age */
	unsigned count;
};

static void model_insert(struct model *m, struct tree_node *n)
{
	unsigned at = m->count++;

	for (; at > 0 && m->sorted[at - 1]->key > n->key; at--) {
		m->sorted[at] = m->sorted[at - 1];
	}
	m->sorted[at] = n;
	tree_insert(&m->tree, n);
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

static const struct tree_node *model_fit(const struct model *m, unsigned from, uint64_t limit, uint64_t wanted)
{
	for (unsigned i = from; i < m->count; i++) {
		if (m->sorted[i]->low <= limit && (m->sorted[i]->mask & wanted) != 0) {
			return m->sorted[i];
		}
	}
	return NULL;
}

static void check_all(struct model *m, uint64_t limit, uint64_t wanted)
{
	CHECK(tree_check(&m->tree, m->count));
	CHECK(tree_first(&m->tree) == (m->count > 0 ? m->sorted[0] : NULL));
	CHECK(tree_first_fit(&m->tree, limit, wanted) == model_fit(m, 0, limit, wanted));
	for (unsigned i = 0; i < m->count; i++) {
		CHECK(tree_next(m->sorted[i]) == (i + 1 < m->count ? m->sorted[i + 1] : NULL));
		CHECK(tree_next_fit(m->sorted[i], limit, wanted) == model_fit(m, i + 1, limit, wanted));
	}
}

TEST(model, "a tree holds and finds what a sorted array does, through 20,000 random changes")
{
	static struct model m;
	struct test_rng rng = { 4 };

	tree_init(&m.tree, true);
	for (unsigned step = 0; step < 20000; step++) {
		struct tree_node *n = &m.node[test_rand_below(&rng, 1 + step % NODES)];

		if (n->linked) {
			model_remove(&m, n);
		} else {
			n->key = test_rand_below(&rng, 50);
			n->low = test_rand_below(&rng, 50);
			n->mask = 1ul << test_rand_below(&rng, 8);
			model_insert(&m, n);
		}
		if (step % 16 == 0) {
			check_all(&m, test_rand_below(&rng, 50), 1 + test_rand_below(&rng, 255));
		}
	}
}

static unsigned depth(const struct tree_node *n)
{
	unsigned levels = 0;

	for (; n != NULL; n = n->parent) {
		levels++;
	}
	return levels;
}

TEST(depth, "keys that only grow leave a tree of 4,096 nodes no deeper than 40")
{
	static struct tree_node node[4096];
	struct tree tree;
	unsigned deepest = 0;

	tree_init(&tree, false);
	for (unsigned i = 0; i < 4 * ARRAY_SIZE(node); i++) {
		struct tree_node *n = &node[i % ARRAY_SIZE(node)];

		if (n->linked) {
			tree_remove(&tree, n);
		}
		*n = (struct tree_node){ .key = i, .mask = 1 };
		tree_insert(&tree, n);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(node); i++) {
		deepest = MAX(deepest, depth(&node[i]));
	}
	CHECK(tree_check(&tree, ARRAY_SIZE(node)));
	CHECK(deepest <= 40);
}
