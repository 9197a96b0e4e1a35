/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Earliest deadline first with constant-bandwidth servers, for `rtds` (one queue for all slots) and `sedf` (each
 * reservation has a home slot). Who waits where is edf_queue.c's; settings, admission and text are edf_report.c's.
 *
 * An entity has a budget in every period. What differs from Xen is where periods begin. Xen's stand on a grid of their
 * own, so a guest whose jobs are released elsewhere meets a half-used budget. Here (Abeni and Buttazzo 1998) a wake
 * begins a period, unless what is left of the budget may still be used up before the old deadline without exceeding
 * budget/period: left/(deadline - now) <= budget/period. So a job of at most one budget, released at least a period
 * after the one before, is done a period later at the latest, wherever its releases lie; and in no stretch of time does
 * an entity demand more than its share of it, which is all that admission counts on.
 *
 *      budget ──used up──► spent: extra time, or parked ──deadline──► budget
 *
 * Used up, it waits for its deadline (a hard reservation: an overrunning entity takes nothing from anyone), and runs
 * meanwhile in the time that no reservation wants, if it has extratime: in turns, by weight. `refill` holds the spent
 * ones by deadline. The slot `carrier` has the first in its `until`; a pick moves at most EDF_BATCH of them, and asks to be
 * called again at once for more. Under overload deadlines come to lie in the past; a lag is cut to one period, so
 * that nobody who wakes waits for more than a period or two of each of the others.
 */
#include "sched/edf.h"

#define SLOW		__attribute__((noinline))	/* keeps what is rare from costing what is not */

/* --- The server. */

static inline void give(struct edf_entity *ee, uint64_t deadline_ns, uint64_t budget_ns)
{
	uint64_t debt_ns = MIN(ee->debt_ns, budget_ns - 1);

	ee->debt_ns -= debt_ns;
	ee->left_ns = budget_ns - debt_ns;
	ee->deadline_ns = deadline_ns;
	ee->spent = false;
	ee->node.key = edf_key(ee);
}

/* A period begins at from_ns, in parts that double, the first of latency_ns: the same share, sooner. */
static void begin(struct edf_entity *ee, uint64_t from_ns)
{
	ee->part_ns = ee->latency_ns > 0 && ee->latency_ns < ee->period_ns ? ee->latency_ns : ee->period_ns;
	ee->part_end_ns = from_ns + ee->period_ns;
	ee->given_ns = ee->part_ns == ee->period_ns ? ee->budget_ns : MAX(ee->budget_ns * ee->part_ns / ee->period_ns, 1u);
	give(ee, from_ns + ee->part_ns, ee->given_ns);
}

/* The next part of a period. */
static SLOW void next_part(struct edf_entity *ee, uint64_t now_ns)
{
	uint64_t from_ns = ee->deadline_ns, budget_ns;

	ee->part_ns = MIN(2 * ee->part_ns, ee->part_end_ns - from_ns);
	budget_ns = from_ns + ee->part_ns == ee->part_end_ns ? ns_since(ee->given_ns, ee->budget_ns) :
							       ee->budget_ns * ee->part_ns / ee->period_ns;
	budget_ns = MAX(budget_ns, 1u);
	ee->given_ns += budget_ns;
	give(ee, MAX(from_ns + ee->part_ns, now_ns), budget_ns);
}

/* The period, or the part of one, that ended at deadline_ns is followed by the next. Late by a period is late enough. */
static inline void go_on(struct edf_entity *ee, uint64_t now_ns)
{
	if (ee->latency_ns > 0 && ee->deadline_ns < ee->part_end_ns) {
		next_part(ee, now_ns);
	} else {
		give(ee, MAX(ee->deadline_ns + ee->period_ns, now_ns), ee->budget_ns);
	}
}

static void park(struct edf_entity *ee)
{
	bool parked = ee->spent && !ee->extratime;

	ee->entity->parked = parked ? SCHED_PARK_BUDGET : SCHED_NOT_PARKED;
	ee->entity->parked_until_ns = ee->deadline_ns;
}

/* The budget is used up. */
static inline void exhaust(struct edf *x, struct edf_entity *ee, uint64_t now_ns)
{
	if (now_ns >= ee->deadline_ns) {
		go_on(ee, now_ns);
		return;
	}
	ee->spent = true;
	ee->left_ns = ee->quantum_ns;
	ee->vtime = MAX(ee->vtime, x->vtime);
	edf_expect_refill(x, ee);
	if (!ee->extratime) {
		park(ee);
	}
}

static inline void refill(struct sched *s, struct edf_entity *ee, uint64_t now_ns)
{
	const struct sched_entity *e = ee->entity;
	struct edf *x = s->priv;

	edf_drop_refill(x, ee);
	edf_dequeue(ee);
	go_on(ee, now_ns);
	ee->since_ns = now_ns;
	if (!ee->extratime) {
		park(ee);
	}
	if (!e->on_slot) {
		edf_insert(s, ee);
	} else if (edf_is_current(s, ee)) {
		edf_set_rank(x, edf_slot_of(s, e->slot), edf_rank(ee));	/* it is asked again now: see until_of() */
	}
}

/* Those whose budget has come wait for whoever picks now, and are offered afterwards if he takes another. */
static SLOW void refill_due(struct sched *s, uint64_t now_ns)
{
	struct edf *x = s->priv;
	unsigned count = 0;

	while (count < EDF_BATCH && x->refill_ns <= now_ns) {
		struct edf_entity *ee = TREE_ENTRY(tree_first(&x->refill), struct edf_entity, refill);

		refill(s, ee, now_ns);
		x->came[count++] = ee;
	}
	x->came_count = x->slot_count > 1 ? count : 0;
}

/* --- Ops. */

void edf_init(struct sched *s, bool homes)
{
	struct edf *x = s->priv;

	x->homes = homes;
	tree_init(&x->ready.anywhere, false);
	tree_init(&x->ready.pinned, true);
	tree_init(&x->extra.anywhere, false);
	tree_init(&x->extra.pinned, true);
	tree_init(&x->refill, false);
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
	edf_slot_comes(x, es);
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
	edf_change_rank(x, es, EDF_RANK_GONE);		/* nobody is offered to it any more */
	while ((n = tree_first(&es->ready)) != NULL) {
		struct edf_entity *ee = TREE_ENTRY(n, struct edf_entity, node);

		edf_dequeue(ee);
		edf_insert(s, ee);
	}
	if (es->promised != NULL) {
		struct edf_entity *ee = es->promised;

		edf_break_promise(ee);
		edf_offer(s, ee, out);
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

static void note_affinity(struct edf *x, struct edf_entity *ee)
{
	const struct cpuset *hard = &ee->entity->hard;
	uint64_t hash = 0, all = UINT64_MAX;
	unsigned first = cpuset_first(hard);

	ee->node.mask = 0;
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		ee->node.mask |= hard->word[i];
		all &= hard->word[i];
		hash = (hash ^ hard->word[i]) * 0x9e3779b97f4a7c15u;
	}
	ee->anywhere = all == UINT64_MAX;
	if (!x->homes) {
		ee->home = first != CPU_NONE && cpuset_next(hard, first + 1) == CPU_NONE ? first : SCHED_NO_SLOT;
	}
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
		(use > 0 ? tree_insert : tree_remove)(&x->by_set, &ee->by_set);
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
	note_affinity(x, ee);
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
	list_remove(&ee->link);
}

/* Where it waits, how it runs and what it waits for has changed. */
static void place_again(struct sched *s, struct edf_entity *ee, struct sched_out *out)
{
	const struct sched_entity *e = ee->entity;

	edf_dequeue(ee);
	if (edf_is_current(s, ee)) {
		sched_poke(out, e->slot);
	} else if (e->runnable && !e->on_slot && e->parked == SCHED_NOT_PARKED) {
		edf_enqueue(s, ee, out);
	}
}

void edf_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns;
	edf_dequeue(e->priv);		/* the mask is part of its node */
	note_affinity(s->priv, e->priv);
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
		book(s, ee, ee->use, ee->budget_ns);
		place_again(s, ee, out);
	}
}

void edf_set_urgent(struct sched *s, struct edf_entity *ee, bool urgent, struct sched_out *out)
{
	if (ee->urgent != urgent) {
		struct edf *x = s->priv;

		edf_dequeue(ee);
		x->urgent += urgent ? 1u : -1u;
		ee->urgent = urgent;
		ee->node.key = edf_key(ee);
		place_again(s, ee, out);
	}
}

void edf_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_entity *ee = e->priv;
	bool slept = now_ns > ee->slept_ns;

	if (ee->budget_ns > 0 && slept &&
	    (now_ns >= ee->deadline_ns ||
	     (!ee->spent && ee->left_ns * ee->period_ns > (ee->deadline_ns - now_ns) * ee->budget_ns))) {
		begin(ee, now_ns);
	} else if (ee->spent) {
		ee->vtime = MAX(ee->vtime, x->vtime);
		edf_expect_refill(x, ee);
	} else if (ee->left_ns == 0) {
		exhaust(x, ee, now_ns);
	}
	if (ee->refill.linked) {
		edf_arm(s, out);
	}
	if (!ee->extratime) {
		park(ee);
	}
	if (!e->on_slot && e->parked == SCHED_NOT_PARKED) {
		edf_enqueue(s, ee, out);		/* else released() will */
	}
}

void edf_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	(void)out;
	if (edf_is_current(s, ee)) {
		edf_slot_of(s, e->slot)->running = NULL;
	}
	edf_dequeue(ee);
	edf_drop_refill(s->priv, ee);
	e->parked = SCHED_NOT_PARKED;
	ee->slept_ns = now_ns;
}

/* Gives up a turn of extra time. A reservation is kept: what nobody else is entitled to cannot be given away. */
void edf_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	(void)s, (void)now_ns, (void)out;
	if (ee->spent) {
		ee->left_ns = 0;
	}
}

void edf_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	(void)s, (void)out;
	ran_ns = MIN(ran_ns, now_ns - ee->since_ns);
	if (ee->spent) {
		ee->vtime += (ran_ns << 16) / ee->weight;
	} else if (ran_ns > ee->left_ns) {
		ee->debt_ns += ran_ns - ee->left_ns;
	}
	ee->left_ns -= MIN(ran_ns, ee->left_ns);
}

/* May what runs here go on, if nobody is more urgent? */
static inline bool may_stay(const struct edf *x, const struct edf_slot *es, const struct edf_entity *ee)
{
	return ee != NULL && ee->entity->parked == SCHED_NOT_PARKED && cpuset_has(&ee->entity->hard, es->number) &&
	       (!x->homes || ee->spent || ee->home == es->number);
}

/* Nobody has budget but ee, if he has. */
static SLOW struct edf_entity *choose_extra(struct edf *x, const struct edf_slot *es, struct edf_entity *ee)
{
	struct edf_entity *first;

	ee = may_stay(x, es, ee) ? ee : NULL;
	if (ee == NULL || (ee->spent && ee->left_ns == 0)) {
		first = edf_first_extra(x, es->number);
		if (first != NULL && (ee == NULL || first->vtime <= ee->vtime)) {
			edf_dequeue(first);
			ee = first;
		}
	}
	if (ee != NULL && ee->spent) {
		ee->left_ns = ee->left_ns == 0 ? ee->quantum_ns : ee->left_ns;
		x->vtime = MAX(x->vtime, ee->vtime);
	}
	return ee;
}

/* Whom es runs after ee, which ran here, or NULL. */
static inline struct edf_entity *choose(struct edf *x, const struct edf_slot *es, struct edf_entity *ee)
{
	struct edf_entity *first = edf_first_ready(x, es);

	if (first == NULL) {
		return choose_extra(x, es, ee);
	}
	if (ee != NULL && !ee->spent && ee->node.key <= first->node.key && may_stay(x, es, ee)) {
		return ee;
	}
	edf_dequeue(first);
	return first;
}

/* es did not take whom it was poked for, or those whose budget came just now: they are offered again. */
static SLOW void offer_again(struct sched *s, struct edf_slot *es, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_entity *promised = es->promised;

	if (promised != NULL) {
		edf_break_promise(promised);
		edf_offer(s, promised, out);
	}
	while (x->came_count > 0) {
		struct edf_entity *ee = x->came[--x->came_count];

		if (ee->in != NULL) {
			edf_offer(s, ee, out);
		}
	}
}

static inline uint64_t until_of(struct edf *x, const struct edf_slot *es, uint64_t now_ns)
{
	const struct edf_entity *ee = es->running;
	uint64_t until_ns = ee == NULL ? NS_NEVER : now_ns + ee->left_ns;

	if (x->carrier == es->number || x->refill_ns < x->armed_ns || x->armed_ns <= now_ns) {
		x->carrier = es->number;
		x->armed_ns = x->refill_ns;
		until_ns = MIN(until_ns, x->refill_ns);
	} else if (ee != NULL && ee->refill.linked) {
		until_ns = MIN(until_ns, ee->deadline_ns);
	}
	return MAX(until_ns, now_ns + 1);
}

struct sched_pick edf_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_slot *es = edf_slot_of(s, slot);
	struct edf_entity *ee;

	if (x->refill_ns <= now_ns) {
		refill_due(s, now_ns);
	}
	ee = es->running;
	if (ee != NULL && !ee->spent && ee->left_ns == 0) {
		exhaust(x, ee, now_ns);
	}
	ee = choose(x, es, ee);
	es->running = ee;
	edf_set_rank(x, es, edf_rank(ee));
	if (es->promised != NULL || x->came_count > 0) {
		offer_again(s, es, out);
	}
	return (struct sched_pick){ .entity = ee == NULL ? NULL : ee->entity, .until_ns = until_of(x, es, now_ns) };
}

void edf_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;
	struct edf *x = s->priv;

	(void)now_ns;
	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	if (ee->spent && ee->anywhere && x->idle_count == 0) {
		list_push_back(&x->fresh, &ee->turn);	/* as edf_enqueue() would: most that a slot gives up are such */
	} else {
		edf_enqueue(s, ee, out);
	}
}

/*
 * Others may be let in on what ee gives up, at once: so what it has left is cut to its new share of the time to its deadline.
 * More comes with the next period.
 */
void edf_reserve(struct sched *s, struct edf_entity *ee, const struct edf_entity *want, uint64_t now_ns,
		 struct sched_out *out)
{
	struct edf *x = s->priv;
	bool had = ee->budget_ns > 0;

	edf_drop_refill(x, ee);
	edf_dequeue(ee);
	book(s, ee, want->use - ee->use, want->budget_ns - ee->budget_ns);
	set_use(x, ee, want->use);
	x->budgets_ns += want->budget_ns - ee->budget_ns;
	ee->period_ns = want->period_ns, ee->budget_ns = want->budget_ns;
	ee->weight = want->weight, ee->latency_ns = want->latency_ns, ee->quantum_ns = want->quantum_ns;
	ee->extratime = want->extratime;
	ee->vtime = MIN(ee->vtime, x->vtime + (ee->quantum_ns << 16) / ee->weight);	/* as if it had had that weight */
	ee->part_end_ns = ee->deadline_ns;	/* parts, if any, end here */
	if (ee->budget_ns == 0) {
		ee->spent = true;
		ee->left_ns = ee->quantum_ns;
	} else if (!had) {
		begin(ee, now_ns);
		ee->since_ns = now_ns;
	} else if (!ee->spent) {
		uint64_t left_ns = ns_since(now_ns, ee->deadline_ns);

		ee->left_ns = MIN(ee->left_ns, MAX(MIN(left_ns, ee->period_ns) * ee->budget_ns / ee->period_ns, 1u));
	}
	if (ee->entity->runnable) {
		if (ee->spent) {
			edf_expect_refill(x, ee);
		}
		edf_arm(s, out);
		park(ee);
		place_again(s, ee, out);
	}
}
