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
 * Clocks of all queues of a pool are one time, as far as balance() can keep them together: where the clock leads by 10 ms of
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

const char *const c2_runqueue_words[] = {
	[BY_CPU] = "cpu", [BY_CORE] = "core", [BY_LLC] = "llc", [BY_NODE] = "node", [BY_ALL] = "all", NULL,
};

const struct sched_tunable c2_tunables[C2_TUNABLES] = {
	[C2_WEIGHT] = {
		.name = "weight", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true,
		.min = 1, .max = WEIGHT_MAX, .def = 256, .help = "share of each vCPU, against the other vCPUs' weights",
	},
	[C2_CAP] = {
		.name = "cap", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true, .unit = "%",
		.min = 0, .max = 100 * CPU_MAX, .def = 0, .help = "most that the VM gets, of one cpu; 0: no limit",
	},
	[C2_RATELIMIT] = {
		.name = "ratelimit", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 0, .max = 500 * NS_PER_MS, .def = NS_PER_MS, .help = "how long a vCPU runs before another may preempt it",
	},
	[C2_CAP_PERIOD] = {
		.name = "cap-period", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = NS_PER_MS, .max = NS_PER_S, .def = 10 * NS_PER_MS, .help = "over which a cap holds",
	},
	[C2_RUNQUEUE] = {
		.name = "runqueue", .type = SCHED_ENUM, .scope = SCHED_POOL,
		.max = BY_ALL, .def = BY_LLC, .words = c2_runqueue_words, .help = "which cpus share a queue, 16 at most",
	},
};
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
	uint64_t vt = ran_ns * VT_PER_NS + re->rest;

	(void)s, (void)now_ns, (void)out;
	re->vt += vt / re->weight;
	re->rest = (uint32_t)(vt % re->weight);
	re->budget_ns -= e->group->values.v[C2_CAP] != 0 ? (int64_t)ran_ns : 0;
}

static void c2_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_slot *sl = slot_of(s, e->slot);
	struct c2_entity *re = e->priv;
	struct c2_queue *q = sl->queue;

	if (sl->on == e) {			/* taken off, not replaced */
		sl->on = NULL;
		q->vt[sl->index] = 0;
		q->alone &= ~(1u << sl->index);
		c2_refund(s, e, now_ns);
	}
	q->leaving -= re->leaving;
	re->leaving = false;
	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	c2_enqueue(s->priv, q, re);
	if (c2_find_idle(s, q, re, out)) {
		return;
	}
	if (is_stray(re)) {
		const struct c2_queue *other = ((struct c2_sched *)s->priv)->queue[first_bit(re->domains)];

		for (uint32_t m = other->members; m != 0; m &= m - 1) {
			if (cpuset_has(&e->hard, other->slot[first_bit(m)])) {
				c2_call(s, other->slot[first_bit(m)], out);
				return;
			}
		}
	} else if ((re->hard >> sl->index & 1) == 0) {
		c2_preempt(s, q, re, now_ns, out);	/* else its old slot's slice was set with it in mind */
	}
}

/* --- Picking. */

/* The queue whose clock is furthest behind ours, where ours leads by BALANCE_NS of a slot's time, and still gains. */
static const struct c2_queue *behind(struct c2_sched *c2, struct c2_queue *q, uint64_t now_ns)
{
	const uint64_t clock = get(&q->clock), span_ns = now_ns - q->seen_ns + 1;
	const struct c2_queue *last = NULL;
	uint64_t domains = get(&c2->loaded) & ~(1ul << q->domain);

	put(&q->rate, (get(&q->rate) + (MIN(clock - q->seen_clock, 1ul << 43) << 20) / span_ns) / 2);
	q->seen_ns = now_ns;
	q->seen_clock = clock;
	q->balance_ns = now_ns + BALANCE_NS;
	for (; domains != 0; domains &= domains - 1) {
		const struct c2_queue *o = c2->queue[first_bit(domains)];

		if (get(&o->rate) < get(&q->rate) && (last == NULL || get(&o->clock) < get(&last->clock))) {
			last = o;
		}
	}
	if (last == NULL ||
	    minus(clock, get(&last->clock)) <= BALANCE_NS * VT_PER_NS * q->count / MAX(get(&q->weight), 1ul)) {
		return NULL;
	}
	return last;
}

static struct sched_pick ask(struct c2_slot *sl, const struct c2_queue *from, enum ask what)
{
	sl->asked = what;
	return (struct sched_pick){ .until_ns = NS_NEVER, .pull = true, .from = from->slot[first_bit(from->members)] };
}

/* Should sl fetch somebody before it picks? */
static const struct c2_queue *should_fetch(struct c2_sched *c2, struct c2_slot *sl, uint64_t now_ns, enum ask *what)
{
	struct c2_queue *q = sl->queue;
	bool called = sl->on != NULL && atomic_load_explicit(&sl->called, memory_order_relaxed);
	bool due = now_ns >= q->balance_ns;

	if ((called || due) && atomic_load_explicit(&c2->strays, memory_order_relaxed) > 0) {
		q->balance_ns = now_ns + BALANCE_NS;
		*what = ASK_STRAY;
		for (unsigned d = 0; d < QUEUES; d++) {
			if (d != q->domain && c2->queue[d] != NULL && c2->queue[d]->strays > 0) {
				return c2->queue[d];
			}
		}
	}
	*what = ASK_BALANCE;
	return due ? behind(c2, q, now_ns) : NULL;
}

/* Nothing to run: fetches from the most loaded of the queues that this idle slot has not asked in vain yet. */
static struct sched_pick pick_idle(struct sched *s, struct c2_slot *sl, unsigned slot, enum ask asked, uint64_t until_ns,
				   struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	const struct c2_queue *most = NULL;
	uint64_t domains;
	unsigned calls;
	bool fresh;

	sl->queue->vt[sl->index] = 0;
	sl->queue->alone &= ~(1u << sl->index);
	fresh = c2_set_idle(c2, sl->queue, sl->index, true);
	calls = atomic_load(&c2->calls);
	if (fresh || asked == ASK_WORK || calls != sl->calls) {
		sl->tried = 0;			/* ASK_WORK: the slot to pull from had gone. calls: there is new work somewhere */
		sl->calls = calls;
	}
	domains = atomic_load(&c2->loaded) & ~(sl->tried | 1ul << sl->queue->domain);
	if (domains == 0) {
		atomic_store_explicit(&sl->called, false, memory_order_relaxed);
		sl->tried = 0;
		return (struct sched_pick){ .until_ns = until_ns };
	}
	if (asked != ASK_NOTHING) {
		sched_poke(out, slot);		/* and ask the next */
		return (struct sched_pick){ .until_ns = until_ns };
	}
	for (; domains != 0; domains &= domains - 1) {
		const struct c2_queue *o = c2->queue[first_bit(domains)];

		if (most == NULL || get(&o->weight) * most->count > get(&most->weight) * o->count) {
			most = o;
		}
	}
	sl->tried |= 1ul << most->domain;
	return ask(sl, most, ASK_WORK);
}

/* sl was called to pull, and runs one, maybe not who it was called for: the other idle slots shall look. */
static void pass_on(struct sched *s, struct c2_slot *sl, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	atomic_store_explicit(&sl->called, false, memory_order_relaxed);
	if ((atomic_load(&c2->loaded) & ~(1ul << sl->queue->domain)) == 0) {
		return;
	}
	for (uint64_t domains = atomic_load(&c2->idle); domains != 0; domains &= domains - 1) {
		const struct c2_queue *q = c2->queue[first_bit(domains)];

		for (uint32_t m = atomic_load_explicit(&q->idle, memory_order_relaxed); m != 0; m &= m - 1) {
			c2_call(s, q->slot[first_bit(m)], out);
		}
	}
}

/* Whom sl runs next: on, who runs there, or a waiter. Parks those without budget. */
static struct sched_entity *choose(struct sched *s, struct c2_slot *sl, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct c2_queue *q = sl->queue;
	struct sched_entity *on = sl->on, *e;
	const uint32_t bit = 1u << sl->index;
	bool keep;

	if (on != NULL && (!on->runnable || on->parked != SCHED_NOT_PARKED)) {
		on = NULL;
	}
	if (on != NULL) {
		const struct c2_entity *re = on->priv;

		if ((re->hard & bit) == 0 || ((re->soft & bit) == 0 && (q->idle & re->soft) != 0)) {
			on = NULL;
		}
	}
	keep = !sl->yielded && now_ns < q->since_ns[sl->index] + (uint64_t)s->values.v[C2_RATELIMIT];
	for (unsigned n = 0; n < BATCH; n++) {
		struct c2_entity *first = first_for(q, sl->index);

		e = first == NULL ? NULL : first->entity;
		if (on != NULL &&
		    (keep || e == NULL || (!sl->yielded && ((struct c2_entity *)on->priv)->vt < first->vt))) {
			e = on;
		}
		if (e == NULL || e->group->values.v[C2_CAP] == 0 || c2_fund(s, e, now_ns)) {
			return e;
		}
		c2_park(s, q, e, now_ns);
		on = e == on ? NULL : on;
	}
	sched_poke(out, slot);
	return NULL;
}

/* re goes on at place i. What it had while nobody else could or would run there is bounded, and so is what it missed. */
static void go_on(struct c2_queue *q, struct c2_entity *re, const struct c2_entity *first)
{
	uint64_t clock = get(&q->clock), lag = lag_of(re);

	if (first != NULL) {
		re->vt = MAX(re->vt, minus(first->start_vt, lag));
	} else {
		re->vt = MAX(re->vt, minus(clock, lag));
		put(&q->clock, MAX(clock, re->vt));
	}
}

/* How long re runs: until it has had what the next one has had. */
static uint64_t slice_ns(struct sched *s, struct c2_slot *sl, const struct c2_entity *re, const struct c2_entity *first,
			 const struct sched_entity *last, uint64_t now_ns)
{
	struct c2_queue *q = sl->queue;
	uint64_t min_ns = minus(q->since_ns[sl->index] + (uint64_t)s->values.v[C2_RATELIMIT], now_ns), vt = UINT64_MAX;

	min_ns = MAX(min_ns, SLICE_MIN_NS);
	if (first != NULL) {
		vt = first->vt;
	}
	if (last != NULL && ((const struct c2_entity *)last->priv)->leaving) {
		vt = MIN(vt, ((const struct c2_entity *)last->priv)->vt);
	} else if (q->leaving > 0) {
		vt = MIN(vt, re->vt);		/* somebody comes back on another slot */
	}
	q->alone = vt == UINT64_MAX ? q->alone | 1u << sl->index : q->alone & ~(1u << sl->index);
	vt = MIN(minus(vt, re->vt), SLICE_MAX_NS * VT_PER_NS);
	return MAX(MIN(vt * re->weight / VT_PER_NS, SLICE_MAX_NS), min_ns);
}

/* until_ns, and not later than when somebody's park ends, where this slot is the one to see to it. */
static uint64_t carry(struct c2_queue *q, unsigned i, uint64_t until_ns, uint64_t now_ns)
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

/* next runs in place of last, if they are not the same. Until when? */
static uint64_t run(struct sched *s, struct c2_slot *sl, struct sched_entity *last, struct sched_entity *next, uint64_t now_ns)
{
	struct c2_queue *q = sl->queue;
	struct c2_entity *re = next->priv;
	const struct c2_entity *first;
	uint64_t until_ns;

	if (next != last) {
		c2_dequeue(s->priv, q, re);
		re->start_vt = re->vt;
		q->since_ns[sl->index] = now_ns;
		put(&q->clock, MAX(get(&q->clock), re->vt));
	}
	first = first_for(q, sl->index);
	if (next == last) {
		go_on(q, re, first);
	}
	q->vt[sl->index] = re->vt;
	sl->picked_ns = now_ns;
	sl->yielded = false;
	sl->tried = 0;
	until_ns = now_ns + slice_ns(s, sl, re, first, next != last ? last : NULL, now_ns);
	if (next->group->values.v[C2_CAP] != 0) {
		until_ns = MIN(until_ns, now_ns + (uint64_t)re->budget_ns);
		until_ns = MIN(until_ns, c2_period_end_ns(s, next->group->priv, now_ns));
	}
	return until_ns;
}

static struct sched_pick c2_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = sl->queue;
	struct sched_entity *last = sl->on, *next;
	enum ask asked = sl->asked, what;
	uint64_t until_ns;

	sl->asked = ASK_NOTHING;
	if (c2->queue_count > 1 && asked == ASK_NOTHING) {
		const struct c2_queue *from = should_fetch(c2, sl, now_ns, &what);

		if (from != NULL) {
			return ask(sl, from, what);
		}
	}
	if (q->parked_count > 0) {
		c2_unpark_due(s, q, slot, now_ns, out);
	}
	next = choose(s, sl, slot, now_ns, out);
	if (last != NULL && last != next) {
		struct c2_entity *re = last->priv;

		c2_refund(s, last, now_ns);
		re->leaving = last->runnable && last->parked == SCHED_NOT_PARKED && (re->hard >> sl->index & 1) != 0;
		q->leaving += re->leaving;
	}
	sl->on = next;
	if (next == NULL) {
		return pick_idle(s, sl, slot, asked, carry(q, sl->index, NS_NEVER, now_ns), out);
	}
	if (last == NULL) {
		(void)c2_set_idle(c2, q, sl->index, false);
	}
	if (atomic_load_explicit(&sl->called, memory_order_relaxed)) {
		pass_on(s, sl, out);
	}
	until_ns = carry(q, sl->index, run(s, sl, last, next, now_ns), now_ns);
	if (waiters(q) > 0 && (last == NULL || !q->loaded || q->idle != 0)) {
		c2_poke_for_waiters(s, q, out);
	}
	return (struct sched_pick){ .entity = next, .until_ns = until_ns };
}

static void c2_pull(struct sched *s, unsigned from, unsigned to, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_slot *sl = slot_of(s, to);
	struct c2_queue *q = sl->queue, *other = slot_of(s, from)->queue;
	struct c2_entity *re;

	enum ask asked = sl->asked;

	sl->asked = ASK_ANSWERED;
	if (other == q || (asked == ASK_BALANCE && now_ns < other->gave_ns + BALANCE_NS)) {
		return;
	}
	re = c2_first_movable(other, q->domain, to, asked == ASK_STRAY);
	if (re == NULL) {
		/* Whom we were called for is gone, or parked. That we call on is no news to ourselves. */
		sl->calls += c2_poke_idle_elsewhere(s, other, NULL, out);
		return;
	}
	other->gave_ns = now_ns;
	if (waiters(q) == 0 && get(&q->clock) < get(&other->clock)) {
		q->seen_clock += get(&other->clock) - get(&q->clock);
		put(&q->clock, get(&other->clock));
	}
	c2_dequeue(c2, other, re);
	c2_set_home(s, re, to);
	c2_enqueue(c2, q, re);
	(void)c2_set_idle(c2, q, sl->index, false);
	(void)c2_poke_idle_elsewhere(s, other, NULL, out);
	if (q->loaded) {
		(void)c2_poke_idle_elsewhere(s, q, re, out);	/* else the pick that follows does so, if it leaves it */
	}
}

/*
 * Everybody else may have to catch up with what e had: a slice and twice the lag, in virtual time; and each runs a slice
 * more than that.
 */
static uint64_t c2_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct c2_sched *c2 = s->priv;
	uint64_t slice_ns_ = MAX(SLICE_MAX_NS, (uint64_t)s->values.v[C2_RATELIMIT]);

	return (slice_ns_ + 2 * LAG_NS) * (c2->weight / (uint64_t)e->group->values.v[C2_WEIGHT] + c2->entity_count + 1);
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
