/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits where, for edf.c.
 *
 * A slot's rank says how urgent what it runs is: idle, extra time, or the deadline. Whoever comes is offered to the
 * allowed slot of the least rank. The poked slot is ranked as if it ran it already, so the next one goes elsewhere;
 * if it then picks another, the promised one is offered again.
 */
#include "sched/edf.h"

/* --- Refills. */

/* Some slot's `until` has to have the first of refill. */
void edf_arm(struct sched *s, struct sched_out *out)
{
	struct edf *x = s->priv;
	const struct tree_node *first = tree_first(&x->refill);
	unsigned slot = x->carrier != SCHED_NO_SLOT ? x->carrier : cpuset_first(&s->slots);

	if (first != NULL && first->key < x->armed_ns && slot != CPU_NONE) {
		sched_poke(out, slot);
	}
}

void edf_expect_refill(struct edf *x, struct edf_entity *ee)
{
	if (ee->spent && ee->budget_ns > 0 && !ee->refill.linked) {
		ee->refill.key = ee->deadline_ns;
		tree_insert(&x->refill, &ee->refill);
	}
}

void edf_drop_refill(struct edf *x, struct edf_entity *ee)
{
	if (ee->refill.linked) {
		tree_remove(&x->refill, &ee->refill);
	}
}

/* --- Waiting for a slot. */

/* The slot of the least rank that e may run on, its last one before others when that is idle; NULL: there is none. */
static struct edf_slot *best_slot(struct sched *s, const struct edf_entity *ee)
{
	const struct edf *x = s->priv;
	const struct sched_entity *e = ee->entity;
	struct tree_node *n;

	if (x->homes && !ee->spent) {
		return ee->home == SCHED_NO_SLOT ? NULL : edf_slot_of(s, ee->home);
	}
	if (e->slot != SCHED_NO_SLOT && edf_slot_of(s, e->slot)->rank.key == EDF_RANK_IDLE && cpuset_has(&e->hard, e->slot)) {
		return edf_slot_of(s, e->slot);
	}
	n = ee->anywhere ? tree_first(&x->slots) : tree_first_fit(&x->slots, ee->node.mask);
	while (n != NULL && !ee->anywhere && !cpuset_has(&e->hard, TREE_ENTRY(n, struct edf_slot, rank)->number)) {
		n = tree_next_fit(n, ee->node.mask);
	}
	return n == NULL ? NULL : TREE_ENTRY(n, struct edf_slot, rank);
}

/* ee waits: pokes the slot that should take it at once, if there is one. Whoever had that slot's promise is offered in turn. */
void edf_offer(struct sched *s, struct edf_entity *ee, struct sched_out *out)
{
	const struct edf *x = s->priv;

	while (ee != NULL) {
		const uint64_t rank = edf_rank(ee);
		struct edf_slot *es;
		struct edf_entity *last;

		if (tree_first(&x->slots) == NULL || tree_first(&x->slots)->key >= rank) {
			return;			/* spares the busy case the search */
		}
		es = best_slot(s, ee);
		if (es == NULL || es->rank.key >= rank) {
			return;
		}
		last = es->promised;
		if (last != NULL) {
			edf_break_promise(last);
		}
		edf_break_promise(ee);
		es->promised = ee;
		ee->promised_by = es;
		edf_set_rank(s->priv, es, rank);
		sched_poke(out, es->number);
		ee = last;
	}
}

void edf_enqueue(struct sched *s, struct edf_entity *ee, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_queue *q = ee->spent ? &x->extra : &x->ready;

	ee->in = ee->anywhere ? &q->anywhere : &q->pinned;
	if (x->homes && !ee->spent && ee->home != SCHED_NO_SLOT) {
		ee->in = &edf_slot_of(s, ee->home)->ready;
	}
	ee->node.key = edf_key(ee);
	tree_insert(ee->in, &ee->node);
	edf_offer(s, ee, out);
}

struct edf_entity *edf_first_pinned(const struct edf_queue *q, unsigned slot)
{
	struct tree_node *n = tree_first_fit(&q->pinned, 1ull << slot % 64);

	while (n != NULL && !cpuset_has(&TREE_ENTRY(n, struct edf_entity, node)->entity->hard, slot)) {
		n = tree_next_fit(n, 1ull << slot % 64);
	}
	return n == NULL ? NULL : TREE_ENTRY(n, struct edf_entity, node);
}
