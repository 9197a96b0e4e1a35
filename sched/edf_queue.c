/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits where, for edf.c.
 *
 * With budget: in the queue of its home, or by deadline with all others. In extra time: by vtime; but nearly all budgets come
 * before extra time does, so whoever comes stays in `fresh` until a slot looks for extra time, which sorts in EDF_SORT of
 * them. That is more than it takes, and one switch brings one.
 *
 * A slot's rank says how urgent what it runs is: idle, extra time, or the deadline. Whoever comes is offered to the
 * allowed slot of the least rank. The poked slot is ranked as if it ran it already, so the next one goes elsewhere;
 * if it then picks another, the promised one is offered again.
 */
#include "sched/edf.h"

#define EDF_SORT	3u
/* A set of so few slots is looked through; of a larger one some slot is near the least in rank. */
#define FEW_SLOTS	32u

/* --- Refills. */

/* Some slot's `until` has to have the first of refill. */
void edf_arm(struct sched *s, struct sched_out *out)
{
	const struct edf *x = s->priv;
	unsigned slot = x->carrier != SCHED_NO_SLOT ? x->carrier : cpuset_first(&s->slots);

	if (x->refill_ns < x->armed_ns && slot != CPU_NONE) {
		sched_poke(out, slot);
	}
}

/*
 * Whoever runs in order of deadlines uses up his budget in that order: most come right behind whoever came last. That place
 * costs no search, and tree_insert() would find the same.
 */
void edf_insert_refill(struct edf *x, struct edf_entity *ee)
{
	struct tree_node *n = &ee->refill, *last = x->refill_last;
	const uint64_t key = ee->deadline_ns;

	n->key = key;
	x->refill_last = n;
	x->refill_ns = MIN(x->refill_ns, key);
	if (last == NULL || last->key > key || n->height == 0 || (last->next[0]->linked && last->next[0]->key <= key)) {
		tree_insert(&x->refill, n);
		return;
	}
	n->linked = true;
	for (unsigned l = 0; l < n->height; l++) {
		while (last->height <= l) {
			last = last->prev[l - 1];
		}
		n->prev[l] = last;
		n->next[l] = last->next[l];
		n->next[l]->prev[l] = n;
		last->next[l] = n;
	}
}

/* --- Slots. */

static void set_idle(struct edf *x, unsigned slot, bool idle)
{
	if (idle) {
		cpuset_add(&x->idle, slot);
		x->idle_count++;
	} else {
		cpuset_del(&x->idle, slot);
		x->idle_count--;
	}
}

void edf_change_rank(struct edf *x, struct edf_slot *es, uint64_t rank)
{
	struct tree_node *n = &es->rank;
	bool was_idle = n->key == EDF_RANK_IDLE, idle = rank == EDF_RANK_IDLE;

	if (was_idle != idle) {
		set_idle(x, es->number, idle);
	}
	if (rank == EDF_RANK_GONE) {
		x->slot_count--;
		x->unordered = x->homes || x->slot_count == 1;
	}
	if (n->linked) {
		tree_remove(&x->slots, n);
	}
	n->key = rank;
	if (!x->homes && !idle && rank != EDF_RANK_GONE) {
		tree_insert(&x->slots, n);
	}
}

void edf_slot_comes(struct edf *x, struct edf_slot *es)
{
	set_idle(x, es->number, true);
	x->slot_count++;
	x->unordered = x->homes || x->slot_count == 1;
}

static struct edf_slot *idle_slot(const struct sched *s, const struct sched_entity *e)
{
	const struct edf *x = s->priv;
	struct cpuset able;
	unsigned slot = e->slot;

	if (!cpuset_has(&x->idle, slot) || !cpuset_has(&e->hard, slot)) {
		able = x->idle;
		cpuset_and(&able, &e->hard);
		slot = cpuset_first(&able);
	}
	return slot == CPU_NONE ? NULL : edf_slot_of(s, slot);
}

/* Of the slots that ee may run on the least in rank. None of them idles. */
static struct edf_slot *least_pinned(const struct sched *s, const struct edf_entity *ee)
{
	const struct edf *x = s->priv;
	struct cpuset able = ee->entity->hard;
	struct edf_slot *least = NULL;
	unsigned seen = 0;

	cpuset_and(&able, &s->slots);
	CPUSET_FOREACH(slot, &able) {
		struct edf_slot *es = edf_slot_of(s, slot);

		least = least == NULL || es->rank.key < least->rank.key ? es : least;
		if (++seen > FEW_SLOTS) {
			struct tree_node *n = tree_first(&x->slots);

			while (n != NULL && !cpuset_has(&able, TREE_ENTRY(n, struct edf_slot, rank)->number)) {
				n = tree_next(n);
			}
			return n == NULL ? NULL : TREE_ENTRY(n, struct edf_slot, rank);
		}
	}
	return least;
}

/* The slot of the least rank that ee may run on, its last one before others when that is idle; NULL: there is none. */
static struct edf_slot *best_slot(const struct sched *s, const struct edf_entity *ee)
{
	const struct edf *x = s->priv;
	struct edf_slot *es = NULL;

	if (!ee->spent && (x->homes || ee->home != SCHED_NO_SLOT)) {
		return edf_home(s, ee);
	}
	if (x->idle_count > 0) {
		es = idle_slot(s, ee->entity);
	}
	if (es != NULL || ee->spent) {
		return es;
	}
	if (!ee->anywhere) {
		return least_pinned(s, ee);
	}
	return tree_first(&x->slots) == NULL ? NULL : TREE_ENTRY(tree_first(&x->slots), struct edf_slot, rank);
}

/* ee waits: pokes the slot that should take it at once, if there is one. Whoever had that slot's promise is offered in turn. */
void edf_offer(struct sched *s, struct edf_entity *ee, struct sched_out *out)
{
	struct edf *x = s->priv;

	while (ee != NULL) {
		const uint64_t rank = edf_rank(ee);
		struct edf_slot *es = best_slot(s, ee);
		struct edf_entity *last;

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
		edf_set_rank(x, es, rank);
		sched_poke(out, es->number);
		ee = last;
	}
}

/* --- Entities. */

void edf_insert(struct sched *s, struct edf_entity *ee)
{
	struct edf *x = s->priv;
	struct edf_slot *home;

	if (ee->spent && ee->anywhere) {
		list_push_back(&x->fresh, &ee->turn);
		return;
	}
	ee->node.key = edf_key(ee);
	home = ee->spent ? NULL : edf_home(s, ee);
	if (home != NULL) {
		ee->in = &home->ready;
	} else {
		struct edf_queue *q = ee->spent ? &x->extra : &x->ready;

		ee->in = ee->anywhere ? &q->anywhere : &q->pinned;
	}
	tree_insert(ee->in, &ee->node);
}

void edf_enqueue(struct sched *s, struct edf_entity *ee, struct sched_out *out)
{
	const struct edf *x = s->priv;

	edf_insert(s, ee);
	if (!ee->spent || x->idle_count > 0) {
		edf_offer(s, ee, out);
	}
}

struct edf_entity *edf_first_pinned(const struct edf_queue *q, unsigned slot)
{
	struct tree_node *n = tree_first_fit(&q->pinned, 1ull << slot % 64);

	while (n != NULL && !cpuset_has(&TREE_ENTRY(n, struct edf_entity, node)->entity->hard, slot)) {
		n = tree_next_fit(n, 1ull << slot % 64);
	}
	return n == NULL ? NULL : TREE_ENTRY(n, struct edf_entity, node);
}

struct edf_entity *edf_first_extra(struct edf *x, unsigned slot)
{
	struct edf_entity *ee, *pinned;
	struct tree_node *n;

	for (unsigned i = 0; i < EDF_SORT && !list_empty(&x->fresh); i++) {
		ee = LIST_ENTRY(x->fresh.next, struct edf_entity, turn);
		list_remove(&ee->turn);
		ee->node.key = ee->vtime;
		ee->in = &x->extra.anywhere;
		tree_insert(ee->in, &ee->node);
	}
	n = tree_first(&x->extra.anywhere);
	ee = n == NULL ? NULL : TREE_ENTRY(n, struct edf_entity, node);
	pinned = tree_first(&x->extra.pinned) == NULL ? NULL : edf_first_pinned(&x->extra, slot);
	return ee == NULL || (pinned != NULL && pinned->node.key < n->key) ? pinned : ee;
}
