/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * credit2: proportional share by weight, with caps, over run queues of neighbouring slots.
 *
 * Each entity has a virtual time: what it ran, divided by its weight. A queue serves up to 16 slots and is one lock domain; its
 * waiters lie in order of virtual time, and a slot takes the first at the end of each slice, unless the one it runs is served
 * less. A slice lasts until the runner has been served as the next waiter has. There is no credit to hand out, so no epoch:
 * nothing ever walks a queue.
 *
 * The queue's clock is the highest virtual time that anybody started at. It only goes forward, and is what bounds lag: who
 * comes back from sleep is put no further behind it than 10.5 ms of running, so sleep saves no more than that. Who goes on
 * since nobody else may or wants to run there takes the clock along; a weight whose share is above one slot is put no
 * further behind than that where the first waiter last started. So nobody's past can starve anybody.
 *
 * Clocks of all queues of a pool are one time, as far as balance() can keep them together: where the clock leads by 3 ms of
 * a slot's time and runs faster, the slot that finds this pulls one waiter from the queue furthest behind. An idle slot
 * pulls at once. Who is pulled keeps its virtual time, so what it missed in the slow queue it gets in the fast one.
 *
 * Cap: a group's budget for a period is a pot with the number of that period in one atomic word, so entities in several
 * domains draw on it with no lock. They draw quotas, and give back what they leave. Who finds the pot empty is parked
 * until the period ends; the queue's earliest such end is part of the `until` of one slot, the carrier.
 *
 * Where Xen is unclear: queues take slots in the order of joining, 16 at most, siblings together while there is room; beyond 64
 * queues new slots share the smallest. Soft affinity is asked for placement, idle slots and preemption, not for balance.
 * Weight is per entity of the group, as in Xen; a capped group's first period starts when its first entity comes.
 */
#include "sched/credit2.h"

/* --- Idle slots and loaded queues. Both words are changed by read-modify-writes, so of two that cross one sees the other. */

APART bool c2_set_idle(struct c2_sched *c2, struct c2_queue *q, unsigned i, bool idle)
{
	uint32_t was = atomic_load_explicit(&q->idle, memory_order_relaxed), is = idle ? was | 1u << i : was & ~(1u << i);

	if (is == was) {
		return false;
	}
	atomic_store_explicit(&q->idle, is, memory_order_relaxed);
	q->whole = idle && (is & q->mates[i]) == q->mates[i] ? q->whole | q->mates[i] : q->whole & ~q->mates[i];
	if (was == 0) {
		atomic_fetch_or(&c2->idle, 1ul << q->domain);
	} else if (is == 0) {
		atomic_fetch_and(&c2->idle, ~(1ul << q->domain));
	}
	return true;
}

inline void c2_set_loaded(struct c2_sched *c2, struct c2_queue *q, bool loaded)
{
	if (q->loaded != loaded) {
		q->loaded = loaded;
		if (loaded) {
			atomic_fetch_or(&c2->loaded, 1ul << q->domain);
		} else {
			atomic_fetch_and(&c2->loaded, ~(1ul << q->domain));
		}
	}
}

/* --- Waiters. */

APART struct c2_entity *c2_first_of_both(struct c2_queue *q, unsigned i)
{
	struct c2_entity *a = entity_of(tree_first(&q->full)), *b = entity_of(tree_first_fit(&q->some, 1ul << i));

	return b == NULL || (a != NULL && a->vt <= b->vt) ? a : b;
}

inline void c2_count_weight(struct c2_entity *re, bool counted)
{
	_Atomic uint64_t *w = &re->queue->weight;

	if (re->counted != counted) {
		re->counted = counted;
		put(w, counted ? get(w) + re->weight : get(w) - re->weight);
	}
}

/* One whose queue has no slot for it waits, or no longer does. */
static APART void count_stray(struct c2_sched *c2, struct c2_queue *q, int by)
{
	atomic_fetch_add(&q->strays, (uint32_t)by);
	atomic_fetch_add(&c2->strays, (unsigned)by);
}

inline void c2_enqueue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re)
{
	re->node.key = re->vt;
	if (re->full) {
		tree_insert(&q->full, &re->node);
		return;
	}
	re->node.mask = re->hard | (re->domains | re->domains >> (64 - SLOTS)) << SLOTS;
	tree_insert(&q->some, &re->node);
	if (is_stray(re)) {
		count_stray(c2, q, 1);
	}
}

inline void c2_dequeue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re)
{
	tree_remove(re->full ? &q->full : &q->some, &re->node);
	if (is_stray(re)) {
		count_stray(c2, q, -1);
	}
	if (!any_waits(q)) {
		c2_set_loaded(c2, q, false);
	}
}

/* --- Who should run re, which was just queued. */

static APART void poke_idle_here(struct c2_sched *c2, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	const uint32_t idle = atomic_load_explicit(&q->idle, memory_order_relaxed);
	uint32_t m = idle & re->soft;

	m = m != 0 ? m : idle & re->hard;
	m = (m & q->whole) != 0 ? m & q->whole : m;
	for (uint32_t w = m; w != 0; w &= w - 1) {
		if (q->slot[first_bit(w)] == re->entity->slot) {
			m = w & -w;
		}
	}
	(void)c2_set_idle(c2, q, first_bit(m), false);
	sched_poke(out, q->slot[first_bit(m)]);
}

/* True: an idle slot comes for re. */
static inline bool find_idle(struct sched *s, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	if ((atomic_load_explicit(&q->idle, memory_order_relaxed) & re->hard) != 0) {
		poke_idle_here(c2, q, re, out);
		return true;
	}
	c2_set_loaded(c2, q, true);
	return (get(&c2->idle) & ~(1ul << q->domain)) != 0 && c2_poke_idle_elsewhere(s, q, re, out);
}

/* Waiters are left after a pick: an idle slot is told, and it the next. */
static APART void poke_for_waiters(struct sched *s, struct c2_queue *q, struct sched_out *out)
{
	uint32_t idle = atomic_load_explicit(&q->idle, memory_order_relaxed);

	c2_set_loaded(s->priv, q, true);
	for (; idle != 0; idle &= idle - 1) {
		if (first_for(q, first_bit(idle)) != NULL) {
			(void)c2_set_idle(s->priv, q, first_bit(idle), false);
			sched_poke(out, q->slot[first_bit(idle)]);
			return;
		}
	}
	(void)c2_poke_idle_elsewhere(s, q, NULL, out);
}

/* The most served of those that run in places, unless all are within their ratelimit: then the one that is out of it first. */
static inline struct c2_slot *victim(struct c2_queue *q, uint32_t places, uint64_t started_ns)
{
	struct c2_slot *most = NULL;

	LIST_FOREACH(node, &q->runs) {
		struct c2_slot *sl = LIST_ENTRY(node, struct c2_slot, link);

		if ((places >> sl->index & 1) == 0) {
			continue;
		}
		if (sl->since_ns > started_ns) {
			return most != NULL ? most : sl;
		}
		if (most == NULL || sl->on->vt > most->on->vt) {
			most = sl;
		}
	}
	return most;
}

/* Pokes the one that runs in places, was served most, and more than re by RESIST_NS, if there is such. */
static inline bool preempt_in(struct sched *s, struct c2_queue *q, const struct c2_entity *re, uint32_t places,
			      uint64_t now_ns, struct sched_out *out)
{
	const struct c2_slot *sl = victim(q, places, minus(now_ns, (uint64_t)s->values.v[C2_RATELIMIT]));

	if (sl == NULL ||
	    sl->on->vt + vt_in(sl->on, ns_since(sl->picked_ns, now_ns)) <= re->vt + vt_in(sl->on, RESIST_NS)) {
		return false;
	}
	q->alone &= ~(1u << sl->index);
	sched_poke(out, q->slot[sl->index]);
	return true;
}

/* Pokes whom re preempts; else one whose slice was set when nobody waited, so that it is set anew. */
static APART void preempt(struct sched *s, struct c2_queue *q, const struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	uint32_t alone = q->alone & re->hard;

	if (!preempt_in(s, q, re, re->soft, now_ns, out) &&
	    (re->soft == re->hard || !preempt_in(s, q, re, re->hard & ~re->soft, now_ns, out)) && alone != 0) {
		q->alone &= ~(alone & -alone);
		sched_poke(out, q->slot[first_bit(alone)]);
	}
}

/* The clock for re, which may not run everywhere: that of the least served that it may run beside, or its queue's. */
static APART uint64_t clock_for(struct c2_queue *q, const struct c2_entity *re)
{
	uint64_t least = get(&q->clock);

	LIST_FOREACH(node, &q->runs) {
		const struct c2_slot *sl = LIST_ENTRY(node, struct c2_slot, link);

		least = (re->hard >> sl->index & 1) != 0 ? MIN(least, sl->on->vt) : least;
	}
	return least;
}

/* re waits from now on. The past it did not use is worth LAG_NS at most. */
void c2_queue_up(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	struct c2_queue *q = re->queue;

	re->vt = MAX(re->vt, minus(re->full ? get(&q->clock) : clock_for(q, re), lag_of(re)));
	c2_enqueue(s->priv, q, re);
	if (!find_idle(s, q, re, out)) {
		preempt(s, q, re, now_ns, out);
	}
}

/* --- Caps. */

static uint64_t period_of(const struct sched *s, const struct c2_group *g, uint64_t now_ns)
{
	return ns_since(g->epoch_ns, now_ns) / (uint64_t)s->values.v[C2_CAP_PERIOD];
}

static APART uint64_t period_end_ns(const struct sched *s, const struct c2_group *g, uint64_t now_ns)
{
	return g->epoch_ns + (period_of(s, g, now_ns) + 1) * (uint64_t)s->values.v[C2_CAP_PERIOD];
}

/* Moves want_ns (below 0: back) out of the pot of a period of total_ns; returns what was moved. No lock covers it. */
static int64_t draw(struct c2_group *g, uint64_t period, int64_t total_ns, int64_t want_ns)
{
	uint64_t old = get(&g->pot), next, number = period & (UINT64_MAX >> POT_BITS);
	int64_t left_ns, got_ns;

	do {
		/* Another cpu, with a clock a little ahead, may be in the next period already: its pot counts. */
		uint64_t ahead = ((old >> POT_BITS) - number) & (UINT64_MAX >> POT_BITS);
		bool same = ahead < 1ul << (63 - POT_BITS);

		left_ns = same ? (int64_t)(old & POT_MASK) : total_ns;
		got_ns = MIN(left_ns, want_ns);
		next = (same ? old & ~POT_MASK : number << POT_BITS) | (uint64_t)(left_ns - got_ns);
	} while (!atomic_compare_exchange_weak_explicit(&g->pot, &old, next, memory_order_relaxed, memory_order_relaxed));
	return got_ns;
}

/* Has the capped re budget to run on? Takes a quota where it has none. What is left of an old period is gone, what was overdrawn is not. */
static APART bool fund(const struct sched *s, struct c2_entity *re, uint64_t now_ns)
{
	const struct sched_group *group = re->entity->group;
	struct c2_group *g = group->priv;
	int64_t total_ns = s->values.v[C2_CAP_PERIOD] * group->values.v[C2_CAP] / 100, quota_ns;
	uint64_t period = period_of(s, g, now_ns);

	if (re->period != period) {
		re->period = period;
		re->budget_ns = MIN(re->budget_ns, 0);
	}
	if (re->budget_ns <= 0) {
		quota_ns = MAX(total_ns / g->entities, (int64_t)QUOTA_MIN_NS);
		re->budget_ns += draw(g, period, total_ns, quota_ns - re->budget_ns);
	}
	return re->budget_ns > 0;
}

/* re goes off its slot: what it has left is there for others of its group. */
static APART void refund(const struct sched *s, struct c2_entity *re, uint64_t now_ns)
{
	struct c2_group *g = re->entity->group->priv;

	if (re->budget_ns > 0) {
		if (period_of(s, g, now_ns) == re->period) {
			(void)draw(g, re->period, 0, -re->budget_ns);
		}
		re->budget_ns = 0;
	}
}

static APART void park(struct sched *s, struct c2_queue *q, struct c2_entity *re, uint64_t now_ns)
{
	struct sched_entity *e = re->entity;

	if (!e->on_slot) {
		c2_dequeue(s->priv, q, re);
	}
	c2_count_weight(re, false);
	e->parked = SCHED_PARK_CAP;
	e->parked_until_ns = period_end_ns(s, e->group->priv, now_ns);
	re->node.key = e->parked_until_ns;
	tree_insert(&q->parked, &re->node);
}

void c2_unpark(struct c2_queue *q, struct c2_entity *re)
{
	re->entity->parked = SCHED_NOT_PARKED;
	tree_remove(&q->parked, &re->node);
	c2_count_weight(re, true);
}

/* Those whose period is over, a batch of them; the rest when slot picks again, at once. */
static APART void unpark_due(struct sched *s, struct c2_queue *q, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct tree_node *n;

	for (unsigned i = 0; (n = tree_first(&q->parked)) != NULL && n->key <= now_ns; i++) {
		struct c2_entity *re = entity_of(n);

		if (i == BATCH) {
			sched_poke(out, slot);
			return;
		}
		c2_unpark(q, re);
		if (!re->entity->on_slot) {
			c2_queue_up(s, re, now_ns, out);
		}
	}
}

/* --- What entities do. */

static void c2_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = e->priv;

	if (re->queue == NULL) {
		return;				/* until a slot comes that it may use */
	}
	c2_count_weight(re, true);
	if (!e->on_slot) {
		c2_queue_up(s, re, now_ns, out);	/* else released() will */
	}
}

static void c2_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = e->priv;

	(void)now_ns, (void)out;
	if (re->queue == NULL) {
		return;
	}
	if (e->parked != SCHED_NOT_PARKED) {
		c2_unpark(re->queue, re);
	} else if (!e->on_slot) {
		c2_dequeue(s->priv, re->queue, re);
	}
	c2_count_weight(re, false);
}

/* Whoever waits goes first now, however much it has had. */
static void c2_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	slot_of(s, e->slot)->yielded = true;
}

static void c2_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = e->priv;
	/* What a cpu that was held up ran past the slice is no debt for ever. */
	uint64_t counts_ns = MIN(ran_ns, MAX(SLICE_MAX_NS, (uint64_t)s->values.v[C2_RATELIMIT]) + LAG_NS);
	unsigned __int128 vt = (unsigned __int128)counts_ns * re->inverse + re->rest;

	(void)now_ns, (void)out;
	re->vt += (uint64_t)(vt >> INV_BITS);
	re->rest = (uint32_t)vt;
	re->budget_ns -= (int64_t)ran_ns;	/* of no effect unless capped */
}

static void c2_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_slot *sl = slot_of(s, e->slot);
	struct c2_entity *re = e->priv;
	struct c2_queue *q = sl->queue;

	if (sl->on == re) {			/* taken off, not replaced */
		sl->on = NULL;
		list_remove(&sl->link);
		q->alone &= ~(1u << sl->index);
		if (re->capped) {
			refund(s, re, now_ns);
		}
	}
	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	c2_enqueue(s->priv, q, re);
	/* Its old slot's slice was set with it in mind. */
	if (!find_idle(s, q, re, out) && ((q->alone & re->hard) != 0 || (re->hard >> sl->index & 1) == 0)) {
		preempt(s, q, re, now_ns, out);
	}
}

/* --- Picking. */

/* The one that goes first: on, who runs on sl, or the least served waiter. */
static inline struct c2_entity *first_of(struct c2_slot *sl, struct c2_entity *on, bool keep)
{
	struct c2_entity *first = first_for(sl->queue, sl->index);

	return on != NULL && (keep || first == NULL || (on->vt < first->vt && !sl->yielded)) ? on : first;
}

/* re has a cap: it goes first if it has budget; else it is parked, and the next one asked. */
static APART struct c2_entity *choose_funded(struct sched *s, struct c2_slot *sl, struct c2_entity *re,
								 struct c2_entity *on, bool keep, uint64_t now_ns,
								 struct sched_out *out)
{
	for (unsigned n = 0; n < BATCH; n++) {
		if (re == NULL || !re->capped || fund(s, re, now_ns)) {
			return re;
		}
		park(s, sl->queue, re, now_ns);
		on = re == on ? NULL : on;
		re = first_of(sl, on, keep);
	}
	sched_poke(out, sl->queue->slot[sl->index]);
	return NULL;
}

/* re goes on. What it had while nobody else could or would run there is bounded, and so is what it missed. */
static inline void go_on(struct c2_queue *q, struct c2_entity *re, const struct c2_entity *first)
{
	uint64_t clock = get(&q->clock), lag = lag_of(re);

	if (first != NULL) {
		re->vt = MAX(re->vt, minus(first->start_vt, lag));
	} else {
		re->vt = MAX(re->vt, minus(clock, lag));
		put(&q->clock, MAX(clock, re->vt));
	}
}

/* until_ns, and not later than when somebody's park ends, where this slot is the one to see to it. */
static APART uint64_t carry(struct c2_queue *q, unsigned i, uint64_t until_ns, uint64_t now_ns)
{
	const struct tree_node *n = tree_first(&q->parked);

	if (n == NULL) {
		q->carried_ns = NS_NEVER;
		return until_ns;
	}
	if (q->carrier != i && q->carrier != NOBODY && n->key >= q->carried_ns) {
		return until_ns;
	}
	q->carrier = i;
	q->carried_ns = n->key;
	return MIN(until_ns, MAX(n->key, now_ns + 1));
}

/* How long re runs: until it has had what the next one has had, and last, who leaves for it and comes back (NULL: nobody). At least min_ns. */
static inline uint64_t slice_ns(struct c2_queue *q, unsigned i, const struct c2_entity *re, const struct c2_entity *first,
				const struct c2_entity *last, uint64_t min_ns)
{
	uint64_t vt = first != NULL ? first->vt : UINT64_MAX;

	if (last != NULL) {
		vt = MIN(vt, last->vt);
	}
	q->alone &= ~(1u << i);
	if (vt == UINT64_MAX) {
		q->alone |= 1u << i;
		return MAX(SLICE_MAX_NS, min_ns);
	}
	vt = MIN(minus(vt, re->vt), SLICE_MAX_NS * VT_PER_NS);
	return MAX(MIN(vt * re->weight / VT_PER_NS, SLICE_MAX_NS), min_ns);
}

/* re is taken out of q, and comes to sl. */
static inline void start(struct sched *s, struct c2_queue *q, struct c2_slot *sl, struct c2_entity *re, uint64_t now_ns)
{
	c2_dequeue(s->priv, q, re);
	re->start_vt = re->vt;
	put(&q->clock, MAX(get(&q->clock), re->vt));
	sl->since_ns = now_ns;
	list_remove(&sl->link);
	list_push_back(&q->runs, &sl->link);
}

/* re runs on sl, where it stays, or takes the place of last, who could go on too (NULL: who could not). Until when? */
static inline uint64_t run(struct sched *s, struct c2_slot *sl, const struct c2_entity *last, struct c2_entity *re, bool stays,
			   uint64_t now_ns)
{
	struct c2_queue *q = sl->queue;
	const unsigned i = sl->index;
	uint64_t min_ns = (uint64_t)s->values.v[C2_RATELIMIT], until_ns;
	const struct c2_entity *first;

	if (stays) {
		first = first_for(q, i);
		go_on(q, re, first);
		last = NULL;
		min_ns = minus(sl->since_ns + min_ns, now_ns);
	} else {
		start(s, q, sl, re, now_ns);
		first = first_for(q, i);
	}
	sl->picked_ns = now_ns;
	sl->yielded = false;
	sl->asked = ASK_NOTHING;
	sl->tried = 0;
	until_ns = now_ns + slice_ns(q, i, re, first, last, MAX(min_ns, SLICE_MIN_NS));
	if (RARE(re->capped)) {
		until_ns = MIN(until_ns, now_ns + (uint64_t)re->budget_ns);
		until_ns = MIN(until_ns, period_end_ns(s, re->entity->group->priv, now_ns));
	}
	if (RARE(q->carrier != NOBODY || tree_first(&q->parked) != NULL)) {
		until_ns = carry(q, i, until_ns, now_ns);
	}
	return until_ns;
}

static struct sched_pick c2_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = sl->queue;
	const unsigned i = sl->index;
	struct c2_entity *last = sl->on, *on = NULL, *next;
	uint64_t until_ns;
	bool ready, keep;

	if (RARE(now_ns >= q->balance_ns && sl->asked == ASK_NOTHING)) {
		struct sched_pick p = c2_ask_behind(s, sl, now_ns);

		if (p.pull) {
			return p;
		}
	}
	if (RARE(tree_first(&q->parked) != NULL)) {
		unpark_due(s, q, slot, now_ns, out);
	}
	ready = last != NULL && last->entity->runnable && last->entity->parked == SCHED_NOT_PARKED && (last->hard >> i & 1) != 0;
	if (ready && ((last->soft >> i & 1) != 0 || (q->idle & last->soft) == 0)) {
		on = last;
	}
	keep = now_ns < sl->since_ns + (uint64_t)s->values.v[C2_RATELIMIT] && !sl->yielded;
	next = first_of(sl, on, keep);
	if (next != NULL && RARE(next->capped)) {
		next = choose_funded(s, sl, next, on, keep, now_ns, out);
	}
	sl->on = next;
	if (last != next && last != NULL && RARE(last->capped)) {
		refund(s, last, now_ns);
		ready = ready && last->entity->parked == SCHED_NOT_PARKED;
	}
	if (next == NULL) {
		return c2_pick_idle(s, sl, slot, carry(q, i, NS_NEVER, now_ns), out);
	}
	if (RARE(last == NULL)) {
		(void)c2_set_idle(s->priv, q, i, false);
	}
	if (RARE(atomic_load_explicit(&sl->called, memory_order_relaxed))) {
		c2_pass_on(s, sl, out);
	}
	until_ns = run(s, sl, ready ? last : NULL, next, next == last, now_ns);
	if (RARE(last == NULL || !q->loaded || q->idle != 0) && any_waits(q)) {
		poke_for_waiters(s, q, out);
	}
	return (struct sched_pick){ .entity = next->entity, .until_ns = until_ns };
}

SCHED_POLICY(sched_credit2,
	.name = "credit2",
	.summary = "proportional share by weight, with caps; a queue per LLC",
	.honours = SCHED_HONOURS_WEIGHT | SCHED_HONOURS_CAP | SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_SOFT_AFFINITY |
		   SCHED_HONOURS_YIELD | SCHED_WORK_CONSERVING,
	.tunables = c2_tunables, .tunable_count = ARRAY_SIZE(c2_tunables),
	.object_size = sizeof(struct c2_sched), .slot_size = sizeof(struct c2_slot),
	.group_size = sizeof(struct c2_group), .entity_size = sizeof(struct c2_entity),
	.init = c2_init, .join = c2_join, .leave = c2_leave, .add = c2_add, .remove = c2_remove,
	.set_affinity = c2_set_affinity, .wake = c2_wake, .block = c2_block, .yield = c2_yield, .charge = c2_charge,
	.pick = c2_pick, .released = c2_released, .tune = c2_tune, .export = c2_export, .import = c2_import,
	.describe = c2_describe, .check = c2_check, .wait_bound_ns = c2_wait_bound_ns, .pull = c2_pull,
);
