/* SPDX-License-Identifier: BSD-2-Clause */
/* What `rtds` and `sedf` share when slots or entities come and go, or change. */
#include "sched/edf.h"

/* Where ee, which waits nowhere, will with budget. */
static void choose_ready(const struct sched *s, struct edf_entity *ee)
{
	struct edf *x = s->priv;
	struct edf_slot *home = cpuset_has(&s->slots, ee->home) ? edf_slot_of(s, ee->home) : NULL;

	ee->home_slot = home = home != NULL && home->rank.key != EDF_RANK_GONE ? home : NULL;
	ee->ready = home != NULL ? &home->ready : ee->anywhere ? &x->ready.anywhere : &x->ready.pinned;
}

/* Their home comes or goes. */
static void choose_all_ready(const struct sched *s, unsigned home)
{
	struct edf *x = s->priv;

	LIST_FOREACH(n, &x->entities) {
		struct edf_entity *ee = LIST_ENTRY(n, struct edf_entity, link);

		if (ee->home == home) {
			choose_ready(s, ee);
		}
	}
}

static void note_simple(struct sched *s)
{
	struct edf *x = s->priv;

	const bool simple = x->homes || x->restricted == 0, apart = x->homes || (simple && x->slot_count == 1);

	x->batch = x->restricted > 0 ? EDF_BATCH - 1 : EDF_BATCH;		/* searches by slot cost more */
	if (x->simple != simple || x->apart != apart) {
		x->simple = simple;
		x->apart = apart;
		CPUSET_FOREACH(slot, &s->slots) {
			struct edf_slot *es = edf_slot_of(s, slot);

			edf_change_rank(x, es, es->promised != NULL ? EDF_RANK_CALLED : es->rank.key);
		}
	}
}

/* --- Slots. */

void edf_init(struct sched *s, bool homes)
{
	struct edf *x = s->priv;

	x->homes = homes;
	tree_init(&x->ready.anywhere, false);
	tree_init(&x->ready.pinned, true);
	tree_init(&x->extra.anywhere, false);
	tree_init(&x->extra.pinned, true);
	tree_init(&x->refill, false);
	x->refill_last = &x->refill.end;
	tree_init(&x->slots, false);
	tree_init(&x->by_use, false);
	tree_init(&x->by_set, false);
	list_init(&x->entities);
	list_init(&x->fresh);
	x->carrier = SCHED_NO_SLOT;
	x->armed_ns = x->refill_ns = NS_NEVER;
}

unsigned edf_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_slot *es = edf_slot_of(s, slot);

	(void)place, (void)now_ns;
	es->number = slot;
	tree_init(&es->ready, false);
	es->queue = x->homes ? &es->ready : &x->ready.anywhere;
	cpuset_add(&x->low[EDF_RANK_IDLE], slot);
	x->low_count[EDF_RANK_IDLE]++;
	x->slot_count++;
	note_simple(s);
	choose_all_ready(s, slot);
	sched_poke(out, slot);
	return 0;
}

/* Those who live there need other homes afterwards. */
void edf_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_slot *es = edf_slot_of(s, slot);
	struct tree_node *n;

	(void)now_ns;
	x->slot_count--;
	note_simple(s);
	edf_change_rank(x, es, EDF_RANK_GONE);		/* nobody is offered to it any more */
	choose_all_ready(s, slot);
	while ((n = tree_first(&es->ready)) != NULL) {
		struct edf_entity *ee = TREE_ENTRY(n, struct edf_entity, node);

		edf_dequeue(ee);
		edf_insert(s, ee);
	}
	if (es->promised != NULL) {
		struct edf_entity *ee = es->promised;

		edf_dequeue(ee);
		edf_enqueue(s, ee, out);
	}
	if (x->carrier == slot) {
		struct cpuset rest = s->slots;

		cpuset_del(&rest, slot);
		x->carrier = SCHED_NO_SLOT;
		x->armed_ns = NS_NEVER;
		if (x->refill_ns != NS_NEVER && !cpuset_empty(&rest)) {
			sched_poke(out, cpuset_first(&rest));
		}
	}
}

/* --- Entities. */

static void note_affinity(struct sched *s, struct edf_entity *ee)
{
	struct edf *x = s->priv;
	const struct cpuset *hard = &ee->entity->hard;
	uint64_t hash = 0, all = UINT64_MAX;
	unsigned first = cpuset_first(hard);

	ee->node.mask = 0;
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		ee->node.mask |= hard->word[i];
		all &= hard->word[i];
		hash = (hash ^ hard->word[i]) * 0x9e3779b97f4a7c15u;
	}
	x->restricted -= !ee->anywhere;
	ee->anywhere = all == UINT64_MAX;
	x->restricted += !ee->anywhere;
	note_simple(s);
	if (!x->homes) {
		ee->home = first != CPU_NONE && cpuset_next(hard, first + 1) == CPU_NONE ? first : SCHED_NO_SLOT;
	}
	choose_ready(s, ee);
	if (ee->by_set.linked) {
		tree_remove(&x->by_set, &ee->by_set);
	}
	ee->by_set.key = hash;
	if (!ee->anywhere && ee->use > 0) {
		tree_insert(&x->by_set, &ee->by_set);
	}
}

static void set_use(struct edf *x, struct edf_entity *ee, uint64_t use)
{
	if (ee->by_use.linked) {
		tree_remove(&x->by_use, &ee->by_use);
	}
	x->use += use - ee->use;
	ee->use = use;
	if (use > 0) {
		ee->by_use.key = EDF_ONE - use;
		tree_insert(&x->by_use, &ee->by_use);
	}
	if (!ee->anywhere && (use > 0) != ee->by_set.linked) {
		if (use > 0) {
			tree_insert(&x->by_set, &ee->by_set);
		} else {
			tree_remove(&x->by_set, &ee->by_set);
		}
	}
}

void edf_add(struct sched *s, struct sched_entity *e)
{
	struct edf *x = s->priv;
	struct edf_entity *ee = e->priv;

	ee->entity = e;
	ee->home = SCHED_NO_SLOT;
	ee->anywhere = true;
	list_init(&ee->turn);
	note_affinity(s, ee);
	list_push_back(&x->entities, &ee->link);
}

void edf_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_entity *ee = e->priv;

	(void)now_ns;
	if (x->homes) {
		edf_set_home(s, ee, SCHED_NO_SLOT, out);
	}
	set_use(x, ee, 0);
	x->budgets_ns -= ee->budget_ns;
	x->urgent -= ee->urgent;
	x->restricted -= !ee->anywhere;
	note_simple(s);
	x->refill_last = x->refill_last == &ee->refill ? &x->refill.end : x->refill_last;
	x->sorted_last = x->sorted_last == ee ? NULL : x->sorted_last;
	list_remove(&ee->link);
}

/* Where it waits, how it runs and what it waits for has changed. */
static void place_again(struct sched *s, struct edf_entity *ee, struct sched_out *out)
{
	const struct sched_entity *e = ee->entity;

	edf_dequeue(ee);
	ee->node.key = edf_key(ee);
	if (edf_is_current(s, ee)) {
		sched_poke(out, e->slot);
	} else if (e->runnable && !e->on_slot && e->parked == SCHED_NOT_PARKED) {
		edf_enqueue(s, ee, out);
	}
}

void edf_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns;
	note_affinity(s, e->priv);
	place_again(s, e->priv, out);
}

/* What ee takes of its home changes by that much. */
static void book(struct sched *s, const struct edf_entity *ee, uint64_t use, uint64_t budget_ns)
{
	const struct edf *x = s->priv;

	if (x->homes && ee->home != SCHED_NO_SLOT) {
		edf_slot_of(s, ee->home)->load += use;
		edf_slot_of(s, ee->home)->budgets_ns += budget_ns;
	}
}

void edf_set_home(struct sched *s, struct edf_entity *ee, unsigned home, struct sched_out *out)
{
	if (ee->home != home) {
		book(s, ee, -ee->use, -ee->budget_ns);
		ee->home = home;
		choose_ready(s, ee);
		book(s, ee, ee->use, ee->budget_ns);
		place_again(s, ee, out);
	}
}

void edf_set_urgent(struct sched *s, struct edf_entity *ee, bool urgent, struct sched_out *out)
{
	if (ee->urgent != urgent) {
		struct edf *x = s->priv;

		x->urgent += urgent ? 1u : -1u;
		ee->urgent = urgent;
		edf_note_special(ee);
		place_again(s, ee, out);
	}
}

/* That part of a stretch of time. */
static uint64_t share(uint64_t use, uint64_t ns)
{
	return (use * ns + EDF_ONE / 2) >> 32;
}

/*
 * ee has other settings than when what it has left was given, at a utilisation of `use`. Its deadline comes no later than a
 * period from now. Others may be let in at once on what it gives up, and nothing is to be had by changing: so what it has had
 * beyond its share up to now (the lesser of both) is taken off its new share of the time to its deadline; and what that does
 * not cover is a debt.
 */
void edf_retime(struct edf_entity *ee, uint64_t use, uint64_t now_ns)
{
	const uint64_t was_ns = ns_since(now_ns, ee->deadline_ns), is_ns = MIN(was_ns, ee->period_ns);
	const uint64_t due_ns = share(MIN(use, ee->use), was_ns), left_ns = ee->spent ? 0 : ee->left_ns;
	const uint64_t early_ns = ns_since(left_ns, due_ns), share_ns = share(ee->use, is_ns);
	const bool less = ee->use < use || is_ns < was_ns;

	ee->deadline_ns = now_ns + is_ns;
	ee->part_end_ns = ee->deadline_ns;		/* parts, if any, end here */
	ee->debt_ns += ns_since(share_ns, early_ns);
	if (!ee->spent) {
		ee->left_ns = MIN(left_ns, less ? MAX(ns_since(early_ns, share_ns), 1u) : ee->budget_ns);
	}
}

void edf_reserve(struct sched *s, struct edf_entity *ee, const struct edf_entity *want, uint64_t now_ns,
		 struct sched_out *out)
{
	struct edf *x = s->priv;
	uint64_t use = ee->budget_ns > 0 ? ee->use : EDF_ONE;

	if (edf_is_current(s, ee)) {
		edf_charge(s, ee->entity, now_ns - ee->since_ns, now_ns, out);
		ee->since_ns = now_ns;
	}
	edf_drop_refill(x, ee);
	book(s, ee, want->use - ee->use, want->budget_ns - ee->budget_ns);
	set_use(x, ee, want->use);
	x->budgets_ns += want->budget_ns - ee->budget_ns;
	ee->period_ns = want->period_ns, ee->budget_ns = want->budget_ns;
	ee->weight = want->weight, ee->latency_ns = want->latency_ns, ee->quantum_ns = want->quantum_ns;
	ee->extratime = want->extratime;
	ee->vtime = MIN(ee->vtime, x->vtime + (ee->quantum_ns << 16) / ee->weight);	/* as if it had had that weight */
	if (ee->budget_ns == 0) {
		ee->spent = true;
		ee->left_ns = ee->quantum_ns;
	} else if (now_ns >= ee->deadline_ns) {
		edf_begin(ee, now_ns);
	} else {
		edf_retime(ee, use, now_ns);
	}
	edf_note_special(ee);
	if (ee->entity->runnable) {
		if (ee->spent) {
			edf_expect_refill(x, ee);
		}
		edf_arm(s, out);
		edf_park(ee);
		place_again(s, ee, out);
	}
}
