/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Earliest deadline first with constant-bandwidth servers, for `rtds` (one queue for all slots) and `sedf` (each
 * reservation has a home slot): what happens while entities run and sleep. What is rare of that is edf_server.c's; slots,
 * entities and settings that change are edf_change.c's; admission and text are edf_report.c's.
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
 * that nobody who wakes waits for more than a period or two of each of the others. What it ran beyond a budget, because its
 * slot came late or since a retune brought its deadline nearer (edf_retime()), is a debt: the next budgets are less by it, but
 * for a ns, which keeps the bound; sleep pays it too.
 *
 * Who waits with budget is in the queue of its home, or with all others, by deadline. Who waits in extra time is there by
 * vtime; but nearly all budgets come before extra time does, so whoever comes stays in `fresh` until a slot looks for extra
 * time, which sorts in EDF_SORT of them. That is more than it takes, and one switch brings one.
 *
 * A slot's rank says how urgent what it runs is: idle, extra time, or the deadline. Whoever comes is promised to the
 * allowed slot of the least rank, if that is less than his own; the slot is poked, and has his rank from then on. If one who is
 * more urgent is promised to it before it picks, the first is offered again. So nobody waits beside a slot that is less
 * urgent. Where some may not use every slot, he might take another's place then, and that one the next one's; so a slot
 * that was called there is offered to nobody else. It picks the first due of all; is that another, the promised one is offered again.
 *
 * Where no two slots look at the same queue, whoever is due waits in his slot's, and a busy slot's rank is in no order: it is
 * `straight`. Most of its switches are from one deadline to the next; such a pick calls nothing and saves no registers. charge
 * has moved whoever used up his budget already.
 */
#include "sched/edf.h"

#define EDF_SORT	2u

/* --- Slots. */

/* For changes that es->rank.key alone does not tell: see set_rank(). */
APART void edf_change_rank(struct edf *x, struct edf_slot *es, uint64_t rank)
{
	uint64_t last = es->rank.key;

	if (es->rank.linked) {
		tree_unlink(&es->rank);
	} else if (last <= EDF_RANK_EXTRA && cpuset_test(&x->low[last], es->number)) {
		cpuset_del(&x->low[last], es->number);
		x->low_count[last]--;
	}
	es->rank.key = rank;
	es->straight = x->apart && edf_is_busy(rank) && es->promised == NULL;
	if (rank == EDF_RANK_IDLE || (rank == EDF_RANK_EXTRA && !x->apart)) {
		cpuset_add(&x->low[rank], es->number);
		x->low_count[rank]++;
	} else if (edf_is_busy(rank) && !x->homes) {
		tree_insert(&x->slots, &es->rank);
	}
}

static inline void set_rank(struct edf *x, struct edf_slot *es, uint64_t rank)
{
	if (es->straight && rank != EDF_RANK_IDLE) {
		es->rank.key = rank;
	} else if (es->rank.key != rank) {
		edf_change_rank(x, es, rank);
	}
}

static APART unsigned low_pinned(const struct sched_entity *e, const struct cpuset *low)
{
	return sched_slot_among(low, e);
}

/* Of the slots in `low` one that ee may run on, its last one before others; CPU_NONE: there is none. */
static inline unsigned low_slot(const struct edf_entity *ee, const struct cpuset *low)
{
	const unsigned slot = ee->entity->slot;

	return !ee->anywhere ? low_pinned(ee->entity, low) : cpuset_has(low, slot) ? slot : cpuset_first(low);
}

/* From n on in x->slots, the first that ee may run on, or the end. */
static APART const struct tree_node *allowed(const struct tree_node *n, const struct edf_entity *ee)
{
	while (n->linked && !cpuset_has(&ee->entity->hard, TREE_ENTRY(n, struct edf_slot, rank)->number)) {
		n = n->next[0];
	}
	return n;
}

/* Is each slot that there is for ee, which has budget, as urgent as he is? Most of them are, and this sees it in a few steps. */
static inline bool none_for(const struct edf *x, const struct edf_entity *ee)
{
	return x->homes ? ee->home_slot != NULL && ee->home_slot->rank.key >= edf_rank(ee) :
			  x->low_count[EDF_RANK_IDLE] + x->low_count[EDF_RANK_EXTRA] == 0 &&
			  x->slots.end.next[0]->key >= edf_rank(ee);
}

/* The slot of the least rank that ee, which has budget, may run on, if that should take it at once; NULL: there is none. */
static inline struct edf_slot *slot_for(const struct sched *s, const struct edf_entity *ee)
{
	const struct edf *x = s->priv;
	const struct tree_node *n;
	unsigned slot = CPU_NONE;

	if (x->homes || ee->home != SCHED_NO_SLOT) {
		return ee->home_slot == NULL || ee->home_slot->rank.key >= edf_rank(ee) ? NULL : ee->home_slot;
	}
	if (x->low_count[EDF_RANK_IDLE] > 0) {
		slot = low_slot(ee, &x->low[EDF_RANK_IDLE]);
	}
	if (slot == CPU_NONE && x->low_count[EDF_RANK_EXTRA] > 0) {
		slot = low_slot(ee, &x->low[EDF_RANK_EXTRA]);
	}
	if (slot != CPU_NONE) {
		return edf_slot_of(s, slot);
	}
	n = ee->anywhere ? x->slots.end.next[0] : allowed(x->slots.end.next[0], ee);
	return !n->linked || n->key >= edf_rank(ee) ? NULL : TREE_ENTRY(n, struct edf_slot, rank);
}

/* --- Queues. */

/* ee waits, and is offered to nobody. */
void edf_insert(struct sched *s, struct edf_entity *ee)
{
	struct edf *x = s->priv;

	if (ee->spent && ee->anywhere) {
		list_push_back(&x->fresh, &ee->turn);
	} else {
		ee->in = ee->spent ? &x->extra.pinned : ee->ready;
		tree_insert(ee->in, &ee->node);
	}
}

static void promise_instead(struct sched *s, struct edf_slot *es, struct edf_entity *ee, struct sched_out *out);

/* es is to come for ee: from its own queue, or ee waits nowhere else, and who did before is offered again. */
static inline void promise(struct sched *s, struct edf_slot *es, struct edf_entity *ee, struct sched_out *out)
{
	struct edf *x = s->priv;

	if (x->apart && !ee->spent) {
		set_rank(x, es, edf_rank(ee));
		edf_insert(s, ee);
	} else if (RARE(es->promised != NULL)) {
		promise_instead(s, es, ee, out);
	} else {
		es->promised = ee;
		ee->promised_by = es;
		set_rank(x, es, x->simple ? edf_rank(ee) : EDF_RANK_CALLED);
	}
}

/* Only where nobody is restricted: else nobody is offered to a slot with a promise. */
static APART void promise_instead(struct sched *s, struct edf_slot *es, struct edf_entity *ee, struct sched_out *out)
{
	struct edf_entity *other = es->promised;

	other->promised_by = NULL;
	es->promised = ee;
	ee->promised_by = es;
	edf_change_rank(s->priv, es, edf_rank(ee));
	edf_enqueue(s, other, out);
}

/* ee waits: for a slot that should take it at once, which is poked; if there is none, in a queue. */
APART void edf_enqueue(struct sched *s, struct edf_entity *ee, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_slot *es = NULL;

	ee->node.key = edf_key(ee);
	if (!ee->spent) {
		es = slot_for(s, ee);
	} else if (x->low_count[EDF_RANK_IDLE] > 0) {
		unsigned slot = low_slot(ee, &x->low[EDF_RANK_IDLE]);

		es = slot != CPU_NONE ? edf_slot_of(s, slot) : NULL;
	}
	if (es != NULL) {
		sched_poke(out, es->number);
		promise(s, es, ee, out);
	} else {
		edf_insert(s, ee);
	}
}

/* es did not take whom it was poked for: he waits again. */
static APART void keep_promised(struct sched *s, const struct edf_slot *es, struct sched_out *out)
{
	struct edf_entity *ee = es->promised;

	edf_dequeue(ee);
	edf_enqueue(s, ee, out);
}

/* Of q.pinned, the first that may run on slot. */
static APART struct edf_entity *first_pinned(const struct edf_queue *q, unsigned slot)
{
	struct tree_node *n = tree_first_fit(&q->pinned, 1ull << slot % 64);

	while (n != NULL && !cpuset_has(&TREE_ENTRY(n, struct edf_entity, node)->entity->hard, slot)) {
		n = tree_next_fit(n, 1ull << slot % 64);
	}
	return n == NULL ? NULL : TREE_ENTRY(n, struct edf_entity, node);
}

static inline struct edf_entity *first_of(const struct tree *t)
{
	struct tree_node *n = tree_first(t);

	return n == NULL ? NULL : TREE_ENTRY(n, struct edf_entity, node);
}

static inline struct edf_entity *earlier(struct edf_entity *a, struct edf_entity *b)
{
	return a == NULL || (b != NULL && b->node.key < a->node.key) ? b : a;
}

/* Many come right behind the one before them: `fresh` is in order of vtime, but for those whose vtime is their own. */
static inline void sort_in(struct edf *x, struct edf_entity *ee)
{
	struct edf_entity *last = x->sorted_last;

	list_remove(&ee->turn);
	x->sorted_last = ee;
	ee->node.key = ee->vtime;
	ee->in = &x->extra.anywhere;
	if (last != NULL && last != ee && last->in == ee->in) {
		tree_insert_by(ee->in, &ee->node, &last->node);
	} else {
		tree_insert(ee->in, &ee->node);
	}
}

static inline struct edf_entity *first_extra(struct edf *x, unsigned slot)
{
	for (unsigned i = 0; i < EDF_SORT && !list_empty(&x->fresh); i++) {
		sort_in(x, LIST_ENTRY(x->fresh.next, struct edf_entity, turn));
	}
	return RARE(x->restricted > 0) ? earlier(first_of(&x->extra.anywhere), first_pinned(&x->extra, slot)) :
					 first_of(&x->extra.anywhere);
}

static APART struct edf_entity *first_of_all(const struct edf *x, const struct edf_slot *es)
{
	return earlier(earlier(first_of(&es->ready), first_of(&x->ready.anywhere)), first_pinned(&x->ready, es->number));
}

/* Who waits with budget and is due first of those that es may run. */
static inline struct edf_entity *first_ready(const struct edf *x, const struct edf_slot *es)
{
	return RARE(!x->simple) ? first_of_all(x, es) : first_of(es->queue);
}

/* --- Refills. */

/* Whoever runs in order of deadlines uses up his budget in that order: most come right behind whoever came last. */
static inline void expect(struct edf *x, struct edf_entity *ee)
{
	struct tree_node *last = x->refill_last;

	x->refill_last = &ee->refill;
	ee->refill.key = ee->deadline_ns;
	if (RARE(ee->deadline_ns < x->refill_ns)) {
		x->refill_ns = MAX(ee->deadline_ns, x->batch_ns);
	}
	tree_insert_near(&x->refill, &ee->refill, last);
}

void edf_expect_refill(struct edf *x, struct edf_entity *ee)
{
	if (ee->budget_ns > 0 && !ee->refill.linked) {
		expect(x, ee);
	}
}

static inline void note_refill(struct edf *x)
{
	const struct tree_node *n = tree_first(&x->refill);

	x->refill_ns = n == NULL ? NS_NEVER : MAX(n->key, x->batch_ns);
}

void edf_drop_refill(struct edf *x, struct edf_entity *ee)
{
	if (ee->refill.linked) {
		tree_unlink(&ee->refill);
		note_refill(x);
	}
}

/* --- The server. */

/* The budget is used up. */
static inline void use_up(struct edf *x, struct edf_entity *ee, uint64_t now_ns)
{
	if (RARE(now_ns >= ee->deadline_ns)) {
		edf_go_on(ee, now_ns);
		return;
	}
	ee->spent = true;
	ee->left_ns = ee->quantum_ns;
	if (ee->vtime < x->vtime) {
		ee->vtime = x->vtime;
	}
	if (!ee->extratime) {
		edf_park(ee);
	}
	expect(x, ee);
}

static APART void dequeue_other(struct edf_entity *ee)
{
	edf_dequeue(ee);
}

/* The budget of whom an op of a slot was about to be done with has come. */
static APART void refill_on_slot(struct sched *s, struct edf_entity *ee, uint64_t now_ns)
{
	struct edf_slot *es = edf_slot_of(s, ee->entity->slot);

	ee->since_ns = now_ns;
	if (es->running == ee && es->promised == NULL) {
		set_rank(s->priv, es, edf_rank(ee));	/* it is asked again now: see until_of() */
	}
}

/*
 * Budgets that have come while es picks. Many have come, and are due, together: who finds no slot looks for its place from the
 * one before it.
 */
static inline void refill_due(struct sched *s, struct edf_slot *es, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct tree_node *n = x->refill.end.next[0];
	struct edf_entity *near = TREE_ENTRY(n, struct edf_entity, refill);
	const struct tree *own = x->apart ? es->queue : NULL;		/* those in it are offered to nobody but es */
	unsigned count = 0;

	if (es->promised == NULL && !x->apart) {
		set_rank(x, es, edf_rank(es->running));		/* who ran may have used up his budget, or sleep */
	}
	do {
		struct edf_entity *ee = TREE_ENTRY(n, struct edf_entity, refill);
		struct edf_slot *to;

		tree_unlink(n);
		if (list_empty(&ee->turn)) {
			dequeue_other(ee);
		} else {
			list_remove(&ee->turn);
		}
		if (RARE(ee->special)) {
			edf_go_on(ee, now_ns);
			edf_park(ee);
		} else {
			edf_give(ee, MAX(ee->deadline_ns + ee->period_ns, now_ns), ee->budget_ns);
		}
		if (RARE(ee->entity->on_slot)) {
			refill_on_slot(s, ee, now_ns);
		} else if (ee->ready != own && (to = slot_for(s, ee)) != NULL) {
			if (to != es) {
				sched_poke(out, to->number);
			}
			promise(s, to, ee, out);
		} else {
			/* In one queue, and so near is not ee, which is in none yet; one with sums takes nobody that way. */
			if (near->in == ee->ready && !ee->ready->summed) {
				tree_insert_by(ee->ready, &ee->node, &near->node);
			} else {
				tree_insert(ee->ready, &ee->node);
			}
			ee->in = ee->ready;
			near = ee;
		}
		n = x->refill.end.next[0];
	} while (n->key - 1 < now_ns && ++count < x->batch);	/* the end's key is 0 */
	x->batch_ns = now_ns + 1;
	x->refill_ns = n->linked ? MAX(n->key, now_ns + 1) : NS_NEVER;
}

/* --- Ops. */

void edf_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	if (RARE(ee->special || e->on_slot) || now_ns <= ee->slept_ns || ee->budget_ns == 0 || !edf_is_over(ee, now_ns)) {
		edf_wake_other(s, ee, now_ns, out);
		return;
	}
	edf_give(ee, now_ns + ee->period_ns, ee->budget_ns);
	edf_enqueue(s, ee, out);
}

void edf_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	if (edf_is_current(s, ee)) {
		edf_slot_of(s, e->slot)->running = NULL;
	}
	edf_dequeue(ee);
	edf_drop_refill(s->priv, ee);
	e->parked = SCHED_NOT_PARKED;
	ee->slept_ns = now_ns;
}

void edf_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	ran_ns = MIN(ran_ns, now_ns - ee->since_ns);
	if (RARE(ee->spent)) {
		ee->vtime += (ran_ns << 16) / ee->weight;
		ee->left_ns -= MIN(ran_ns, ee->left_ns);
	} else if (ran_ns < ee->left_ns) {
		ee->left_ns -= ran_ns;
	} else {
		if (RARE(ran_ns != ee->left_ns)) {
			ee->debt_ns += ran_ns - ee->left_ns;
			ee->special = true;
		}
		use_up(s->priv, ee, now_ns);
	}
}

/* May what runs here go on, if nobody is more urgent? */
static inline bool may_stay(const struct edf *x, const struct edf_slot *es, const struct edf_entity *ee)
{
	return ee->entity->parked == SCHED_NOT_PARKED && cpuset_test(&ee->entity->hard, es->number) &&
	       (!x->homes || ee->spent || ee->home == es->number);
}

static inline uint64_t until_of(struct edf *x, const struct edf_slot *es, uint64_t now_ns)
{
	const struct edf_entity *ee = es->running;
	uint64_t until_ns = ee == NULL ? NS_NEVER : now_ns + ee->left_ns;

	if (x->carrier != es->number) {
		if (x->refill_ns >= x->armed_ns && x->armed_ns > now_ns) {
			return ee != NULL && ee->refill.linked ? MIN(until_ns, MAX(ee->deadline_ns, x->batch_ns)) : until_ns;
		}
		x->carrier = es->number;
	}
	x->armed_ns = x->refill_ns;
	return MIN(until_ns, x->refill_ns);
}

/* es runs ee, or nobody. */
static inline struct sched_pick run(struct sched *s, struct edf_slot *es, struct edf_entity *ee, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;

	es->running = ee;
	if (ee != NULL) {
		ee->since_ns = now_ns;
	}
	set_rank(x, es, edf_rank(ee));
	if (RARE(es->promised != NULL)) {
		keep_promised(s, es, out);
	}
	return (struct sched_pick){ .entity = ee == NULL ? NULL : ee->entity, .until_ns = until_of(x, es, now_ns) };
}

/* Nobody has budget for es but who runs there, if he has: he goes on, unless his turn of extra time is over and others wait. */
static APART struct sched_pick pick_extra(struct sched *s, struct edf_slot *es, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_entity *ee = es->running, *first;

	if (ee != NULL && !may_stay(x, es, ee)) {
		ee = NULL;
	}
	if (ee == NULL || (ee->spent && ee->left_ns == 0)) {
		first = first_extra(x, es->number);
		if (RARE(es->promised != NULL) && (first == NULL || es->promised->vtime < first->vtime)) {
			first = es->promised;
			es->straight = x->apart && edf_is_busy(es->rank.key);	/* nobody is promised any more soon */
		}
		if (first != NULL && (ee == NULL || first->vtime <= ee->vtime)) {
			edf_dequeue(first);
			ee = first;
		}
		if (ee != NULL && ee->left_ns == 0) {
			ee->left_ns = ee->quantum_ns;
		}
	}
	if (ee != NULL && ee->spent && ee->vtime > x->vtime) {
		x->vtime = ee->vtime;
	}
	return run(s, es, ee, now_ns, out);
}

static APART struct sched_pick pick_any(struct sched *s, struct edf_slot *es, uint64_t now_ns, struct sched_out *out)
{
	const struct edf *x = s->priv;
	struct edf_entity *first = first_ready(x, es), *promised = es->promised, *ee = es->running;

	if (promised != NULL && !promised->spent && (first == NULL || promised->node.key < first->node.key)) {
		first = promised;
	}
	if (first == NULL) {
		return pick_extra(s, es, now_ns, out);
	}
	if (ee == NULL || ee->spent || ee->node.key > first->node.key || !may_stay(x, es, ee)) {
		edf_dequeue(first);
		ee = first;
	}
	return run(s, es, ee, now_ns, out);
}

static APART struct sched_pick unlink_above(struct tree_node *n, struct sched_pick p)
{
	tree_unlink_above(n);
	return p;
}

/* The usual end of a promise: nobody is more urgent, and the slot has his rank already. */
static APART struct sched_pick pick_promised(struct sched *s, struct edf_slot *es, uint64_t now_ns, struct sched_out *out)
{
	const struct tree_node *first = es->queue->end.next[0];
	struct edf_entity *ee = es->promised, *last = es->running;

	if (ee->spent || es->rank.key != edf_rank(ee) || (first->linked && first->key < ee->node.key) ||
	    (last != NULL && !last->spent && last->node.key <= ee->node.key)) {
		return pick_any(s, es, now_ns, out);
	}
	es->promised = NULL;
	ee->promised_by = NULL;
	es->running = ee;
	ee->since_ns = now_ns;
	return (struct sched_pick){ .entity = ee->entity, .until_ns = until_of(s->priv, es, now_ns) };
}

static APART struct sched_pick refill_and_pick(struct sched *s, struct edf_slot *es, uint64_t now_ns, struct sched_out *out)
{
	refill_due(s, es, now_ns, out);
	return edf_pick(s, es->number, now_ns, out);
}

struct sched_pick edf_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct edf_slot *es = edf_slot_of(s, slot);
	struct edf_entity *ee, *last;
	struct sched_pick p;

	if (x->refill_ns <= now_ns) {
		return refill_and_pick(s, es, now_ns, out);
	}
	ee = TREE_ENTRY(es->queue->end.next[0], struct edf_entity, node);
	last = es->running;
	if (es->straight && !ee->node.linked) {
		return pick_extra(s, es, now_ns, out);
	}
	if (!es->straight && es->promised != NULL) {
		return pick_promised(s, es, now_ns, out);
	}
	if (!es->straight || (last != NULL && !last->spent && last->node.key <= ee->node.key)) {
		return pick_any(s, es, now_ns, out);
	}
	tree_unlink_first(&ee->node);
	ee->in = NULL;
	es->running = ee;
	ee->since_ns = now_ns;
	es->rank.key = EDF_RANK_CALLED - 1 - ee->node.key;
	p = (struct sched_pick){ .entity = ee->entity, .until_ns = until_of(x, es, now_ns) };
	return ee->node.height > 1 ? unlink_above(&ee->node, p) : p;
}

void edf_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;
	struct edf *x = s->priv;

	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	/* As edf_enqueue() would, with more steps: most are such. */
	if (ee->spent && ee->anywhere && x->low_count[EDF_RANK_IDLE] == 0) {
		list_push_back(&x->fresh, &ee->turn);
		return;
	}
	ee->node.key = edf_key(ee);
	if (!ee->spent && none_for(x, ee)) {
		ee->in = ee->ready;
		tree_insert(ee->in, &ee->node);
	} else {
		edf_enqueue(s, ee, out);
	}
}
