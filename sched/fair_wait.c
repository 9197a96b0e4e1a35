/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair shares: who waits in a tree, or goes from where he waits. See fair.h. */
#include "sched/fair.h"

#define LOOK	16u			/* slices from a look for waiters that are too far ahead to the next */

struct fair_entity *fair_search(const struct fair_class *class, unsigned slot)
{
	const uint64_t wanted = 1ul << slot % 64;
	struct tree_node *n = tree_first_fit(&class->tree, wanted);
	struct fair_entity *a = fair_line_first(&class->line), *b;

	while (n != NULL && !fair_may_run(fair_of(n), slot)) {	/* in a pool of up to 64 slots the first found may */
		n = tree_next_fit(n, wanted);
	}
	b = fair_of(n);
	return a == NULL || (b != NULL && b->node.key < a->node.key) ? b : a;
}

void fair_insert(struct fair *f, struct fair_entity *fe)
{
	struct fair_class *class = fe->class;

	if ((f->waiting & class->bit) == 0 || fe->start < f->first[class->number]->node.key) {
		f->first[class->number] = fe;
	}
	f->waiting |= class->bit;
	class->treed = true;
	fe->place = FAIR_TREE;
	fe->node.key = fe->start;
	tree_insert(&class->tree, &fe->node);
}

/* The first of that class has gone. */
static void find_first(struct fair *f, struct fair_class *class)
{
	struct fair_entity *a = fair_line_first(&class->line), *b = fair_of(tree_first(&class->tree));

	f->first[class->number] = a == NULL || (b != NULL && b->node.key < a->node.key) ? b : a;
	if (f->first[class->number] == NULL) {
		f->waiting ^= class->bit;
	}
}

void fair_dequeue(struct fair *f, struct fair_entity *fe)
{
	struct fair_class *class = fe->class;

	if (fe->place == FAIR_LINE) {
		list_remove(&fe->line);
	} else {
		tree_remove(&class->tree, &fe->node);
		class->treed = tree_first(&class->tree) != NULL;
	}
	fe->place = FAIR_OUT;
	if (f->first[class->number] == fe) {
		find_first(f, class);
	}
}

/*
 * Since a waiter was charged the clock may have gone back, or requests become shorter, so that he is
 * further ahead now than anybody may be. Such are last in their queues. A pick draws one in, and the
 * next looks again; when there is none, one does that is some slices later: what moves the clock and
 * the request is too frequent to see to it.
 */
void fair_draw_in(struct fair *f, uint64_t now_ns)
{
	const uint64_t limit = f->clock + FAIR_AHEAD * f->request;

	for (unsigned classes = f->waiting; classes != 0; classes &= classes - 1) {
		const struct fair_class *class = &f->class[__builtin_ctz(classes)];
		struct fair_entity *fe = fair_of(tree_last(&class->tree));

		if (!list_empty(&class->line) && (fe == NULL || fair_line_last(class)->node.key > fe->node.key)) {
			fe = fair_line_last(class);
		}
		if (fe->node.key > limit) {
			fair_dequeue(f, fe);
			fair_settle(f, fe);
			fair_insert(f, fe);
			return;
		}
	}
	f->look_ns = now_ns + LOOK * f->slice_ns;
	fair_set_straight(f);
}
