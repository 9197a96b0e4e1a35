/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * credit2: proportional share by weight, with caps, over run queues of neighbouring slots.
 *
 * Each entity has a virtual time: what it ran, divided by its weight. A queue serves up to 16 slots
 * and is one lock domain; its waiters lie in order of virtual time, and a slot takes the first at the
 * end of each slice, unless the one it runs is served less. A slice lasts until the runner has been
 * served as the next waiter has. There is no credit to hand out, so no epoch: nothing ever walks a
 * queue. Those pinned to one slot wait there, and those pinned to all of the queue's beside those that
 * may run anywhere; only others have to be searched for.
 *
 * The queue's clock is the highest virtual time that anybody ran at in turn, not for a yield or the
 * ratelimit. It only goes forward, and bounds lag: who comes back from sleep is put no further behind
 * it than 10.5 ms of running, so sleep saves no more than that. Who goes on since nobody else may or wants to run there takes the
 * clock along; a weight whose share is above one slot is put no further behind than that where the
 * first waiter last started. So nobody's past can starve anybody.
 *
 * Clocks of all queues of a pool are one time, as far as c2_compare_clocks() can keep them together:
 * where the clock leads by 3 ms of the other's and is faster, the slot that finds this pulls one
 * waiter from the queue furthest behind. An idle slot pulls at once. Who is pulled keeps its virtual
 * time, so what it missed in the slow queue it gets in the fast one.
 *
 * Cap: what a group used of its budget is one atomic word together with the number of the period, so
 * entities in several domains draw on it with no lock. A run is limited to a fair part of what is
 * left; what was overdrawn is taken from the next period. Who finds nothing left is parked until the
 * period ends, which every later `until` of its queue includes.
 *
 * Where Xen is unclear: queues take slots in the order of joining, 16 at most, siblings together while
 * there is room; beyond 64 queues new slots share the smallest. Soft affinity is asked for placement,
 * idle slots and preemption, not for balance. Weight is per entity of the group, as in Xen; a capped
 * group's first period starts when its first entity comes.
 */
#include "sched/credit2.h"

#define RESIST_NS	(500 * NS_PER_US)	/* whom a waker preempts has had that much more */

/* --- Waiters. */

inline void c2_enqueue(struct c2_entity *re)
{
	re->queue->others += !re->full;
	re->node.key = re->vt;
	tree_insert(re->in, &re->node);
}

void c2_dequeue(struct c2_sched *c2, struct c2_entity *re)
{
	struct c2_queue *q = re->queue;

	q->others -= !re->full;
	tree_remove(re->in, &re->node);
	if (!any_waits(q) && get(&q->moves) != 0) {
		put(&q->moves, 0);
		atomic_fetch_and(&c2->loaded, ~(1ul << q->domain));
	}
}

static inline struct c2_entity *earlier(struct c2_entity *a, struct tree_node *n)
{
	return n == NULL || (a != NULL && a->vt <= n->key) ? a : entity_of(n);
}

/* The least served waiter of its queue that may run on sl. */
static struct c2_entity *first_for(const struct c2_slot *sl)
{
	const struct c2_queue *q = sl->queue;
	struct c2_entity *re = entity_of(tree_first(&q->full));

	if (q->others != 0) {
		re = earlier(re, tree_first(&q->whole));
		re = earlier(re, tree_first(&sl->own));
		re = earlier(re, tree_first_fit(&q->some, 1ul << sl->index));
	}
	return re;
}

/* --- Who should run re, which waits. What tells others of idle slots and of waiters is changed by
 * read-modify-writes: of two that cross one sees the other. */

bool c2_set_idle(struct c2_sched *c2, struct c2_queue *q, unsigned i, bool idle)
{
	uint64_t was = get(&q->idle), is = idle ? was | 1ul << i : was & ~(1ul << i);

	if (is == was) {
		return false;
	}
	atomic_store(&q->idle, is);
	if (was == 0) {
		atomic_fetch_or(&c2->idle, 1ul << q->domain);
	} else if (is == 0) {
		atomic_fetch_and(&c2->idle, ~(1ul << q->domain));
	}
	return true;
}

/* Some wait that may run in those domains. */
static void tell(struct c2_sched *c2, struct c2_queue *q, uint64_t domains)
{
	if ((domains & ~get(&q->moves)) != 0) {
		atomic_fetch_or(&q->moves, domains);
		atomic_fetch_or(&c2->loaded, 1ul << q->domain);
	}
}

/* Of the soft set, where its whole core idles, where it was last: in this order of importance. */
static void poke_idle(struct sched *s, struct c2_queue *q, const struct c2_entity *re,
		      struct sched_out *out)
{
	const unsigned own = slot_of(s, re->entity->slot)->index;
	const uint64_t idle = get(&q->idle);
	const uint64_t from = (idle & re->soft) != 0 ? idle & re->soft : idle & re->hard;
	unsigned best = own;

	if ((from >> own & 1) == 0 || (q->mates[own] & ~idle) != 0) {
		uint64_t m = from;

		while (m != 0 && (q->mates[first_bit(m)] & ~idle) != 0) {
			m &= m - 1;
		}
		best = m != 0 ? first_bit(m) : (from >> own & 1) != 0 ? own : first_bit(from);
	}
	atomic_store(&q->idle, idle & ~(1ul << best));
	if (idle == 1ul << best) {
		atomic_fetch_and(&((struct c2_sched *)s->priv)->idle, ~(1ul << q->domain));
	}
	sched_poke(out, q->slot[best]);
}

/* Pokes who runs on sl, if it was served more than re by RESIST_NS. */
static INLINE bool preempt_on(struct c2_queue *q, const struct c2_slot *sl, const struct c2_entity *re,
			      uint64_t now_ns, struct sched_out *out)
{
	const struct c2_entity *on = sl->on;
	uint64_t ran_ns = MIN(ns_since(sl->picked_ns, now_ns), NS_PER_S);

	if (on == NULL || on->vt + vt_in(on, ran_ns) <= re->vt + vt_in(on, RESIST_NS)) {
		return false;
	}
	q->alone &= ~(1u << sl->index);
	sched_poke(out, q->slot[sl->index]);
	return true;
}

/* The same for whoever runs longest in places. */
static INLINE bool preempt(struct c2_queue *q, const struct c2_entity *re, uint32_t places,
			   uint64_t now_ns, struct sched_out *out)
{
	LIST_FOREACH(node, &q->runs) {
		const struct c2_slot *sl = LIST_ENTRY(node, struct c2_slot, link);

		if ((places >> sl->index & 1) != 0 && sl->on != NULL) {
			return preempt_on(q, sl, re, now_ns, out);
		}
	}
	return false;
}

/*
 * re waits from now on, and finds a slot: an idle one, one that re preempts, or one whose slice was set when
 * nobody waited, which is set anew.
 */
static APART void wait_on(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	struct c2_queue *q = re->queue;
	uint32_t alone;

	c2_enqueue(re);
	if ((get(&q->idle) & re->hard) != 0) {
		poke_idle(s, q, re, out);
		return;
	}
	tell(s->priv, q, re->domains);
	if (!c2_call(s, q, re, out) && !preempt(q, re, re->soft, now_ns, out) &&
	    !(re->hard != re->soft && preempt(q, re, re->hard & ~re->soft, now_ns, out)) &&
	    (alone = q->alone & re->hard) != 0) {
		q->alone &= ~(alone & -alone);
		sched_poke(out, q->slot[first_bit(alone)]);
	}
}

/* re may run anywhere, nobody idles or has an endless slice, and others know that such wait here. */
static inline bool is_quiet(const struct c2_sched *c2, const struct c2_queue *q,
			    const struct c2_entity *re)
{
	return re->plain && get(&c2->idle) == 0 && q->alone == 0 &&
	       (re->domains & ~get(&q->moves)) == 0;
}

/* The clock for re, which may not run everywhere: of the least served that it may run beside. */
static inline uint64_t clock_for(const struct sched *s, const struct c2_queue *q, const struct c2_entity *re)
{
	uint64_t least = get(&q->clock);

	for (uint32_t m = re->hard != q->members ? re->hard : 0; m != 0; m &= m - 1) {
		const struct c2_entity *on = slot_of(s, q->slot[first_bit(m)])->on;

		least = on != NULL ? MIN(least, on->vt) : least;
	}
	return least;
}

static APART void wait_some(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	re->vt = MAX(re->vt, minus(clock_for(s, re->queue, re), re->lag));
	wait_on(s, re, now_ns, out);
}

/* re waits from now on. The past it did not use is worth LAG_NS at most. */
void c2_wait(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	struct c2_queue *q = re->queue;

	if (RARE(!re->full)) {
		wait_some(s, re, now_ns, out);
		return;
	}
	re->vt = MAX(re->vt, minus(get(&q->clock), re->lag));
	if (RARE(!is_quiet(s->priv, q, re))) {
		wait_on(s, re, now_ns, out);
		return;
	}
	(void)preempt(q, re, re->hard, now_ns, out);
	re->node.key = re->vt;
	tree_insert(&q->full, &re->node);
}

/* Waiters are left where a slot idled, or pulled: an idle one is told, and it tells the next. */
static APART void poke_for_waiters(struct sched *s, struct c2_queue *q, struct sched_out *out)
{
	const struct c2_entity *full = entity_of(tree_first(&q->full));

	tell(s->priv, q, domains_in(tree_masks(&q->some)) | (full != NULL ? full->domains : 0));
	for (uint64_t idle = get(&q->idle); idle != 0; idle &= idle - 1) {
		if (first_for(slot_of(s, q->slot[first_bit(idle)])) != NULL) {
			(void)c2_set_idle(s->priv, q, first_bit(idle), false);
			sched_poke(out, q->slot[first_bit(idle)]);
			return;
		}
	}
	(void)c2_call(s, q, NULL, out);
}

/* until_ns, and not later than when the next park ends. */
static inline uint64_t carry(const struct c2_queue *q, uint64_t until_ns, uint64_t now_ns)
{
	return MAX(MIN(until_ns, q->parked_ns), now_ns + 1);
}

/* --- What entities do. */

static void c2_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = e->priv;

	if (re->queue != NULL && !e->on_slot) {	/* else a slot comes for it, or released() */
		c2_wait(s, re, now_ns, out);
	}
}

static void c2_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = e->priv;

	(void)now_ns, (void)out;
	if (e->parked != SCHED_NOT_PARKED) {
		c2_set_parked(re, false);
	} else if (!e->on_slot && re->queue != NULL) {
		c2_dequeue(s->priv, re);
	} else if (e->on_slot && slot_of(s, e->slot)->on == re) {
		slot_of(s, e->slot)->on = NULL;
	}
}

/* Whoever waits goes first now, however much it has had. */
static void c2_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	slot_of(s, e->slot)->state |= YIELDED;
}

static void c2_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns,
		      struct sched_out *out)
{
	struct c2_entity *re = e->priv;
	/* What a cpu that was held up ran past the slice is no debt for ever. */
	const uint64_t counts_ns = MIN(ran_ns, ((struct c2_sched *)s->priv)->most_ns);
	const uint64_t vt = counts_ns * re->inverse + re->rest;

	(void)out;
	re->vt += vt >> INV_BITS;
	re->rest = vt & ((1u << INV_BITS) - 1);
	if (RARE(re->capped)) {
		(void)c2_spend(s, e->group, now_ns - ran_ns, counts_ns);
	}
}

static void c2_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = e->priv;

	if (!e->runnable || RARE(e->parked != SCHED_NOT_PARKED)) {
		return;
	}
	if (RARE(!is_quiet(s->priv, re->queue, re))) {
		wait_on(s, re, now_ns, out);
		return;
	}
	re->node.key = re->vt;			/* slices of those that run were set with it in mind */
	tree_insert(&re->queue->full, &re->node);
}

/* --- Picking. */

/* sl may have been called. True: *p asks to pull; but no pick does so twice. */
static bool answer(struct sched *s, struct c2_slot *sl, struct sched_out *out, struct sched_pick *p)
{
	for (uint64_t calls = atomic_load(&sl->calls); calls != 0; calls &= calls - 1) {
		const struct c2_queue *q = &((struct c2_sched *)s->priv)->queue[first_bit(calls)];

		if (q->count == 0) {		/* its slots have left */
			atomic_fetch_and(&sl->calls, ~(calls & -calls));
		} else if ((sl->state & ASKED) != 0) {
			sched_poke(out, sl->queue->slot[sl->index]);
			return false;
		} else {
			sl->state |= ASKED;
			*p = (struct sched_pick){ .entity = SCHED_PULL };
			p->until_ns = q->slot[first_bit(q->members)];
			return true;
		}
	}
	return false;
}

/* A park is over, it is time to compare clocks, or sl was called. True: *p asks to pull. */
static APART bool attend(struct sched *s, struct c2_slot *sl, uint64_t now_ns, struct sched_out *out,
			 struct sched_pick *p)
{
	c2_unpark_due(s, sl->queue, now_ns, out);
	if (now_ns >= sl->queue->balance_ns && (sl->state & ASKED) == 0) {
		c2_compare_clocks(s->priv, sl, now_ns);
	}
	return answer(s, sl, out, p);
}

/* Nothing to run: queues are asked that have waiters for this one. */
static APART struct sched_pick go_idle(struct sched *s, struct c2_slot *sl, uint64_t now_ns,
				       struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_queue *q = sl->queue;
	struct sched_pick p = { .until_ns = carry(q, NS_NEVER, now_ns) };

	list_remove(&sl->link);
	sl->on = NULL;
	q->alone &= ~(1u << sl->index);
	if (c2_set_idle(c2, q, sl->index, true)) {
		uint64_t from = atomic_load(&c2->loaded) & ~(1ul << q->domain), calls = 0;

		for (; from != 0; from &= from - 1) {
			uint64_t moves = get(&c2->queue[first_bit(from)].moves);

			calls |= (moves >> q->domain & 1) << first_bit(from);
		}
		atomic_fetch_or(&sl->calls, calls);
	}
	if (!answer(s, sl, out, &p)) {
		sl->state = IDLED;
		if (any_waits(q)) {		/* it may have come for one who is parked now */
			poke_for_waiters(s, q, out);
		}
	}
	return p;
}

/* Who goes first: on, who runs on sl, or first, the least served waiter. */
static inline struct c2_entity *choose(const struct c2_slot *sl, struct c2_entity *on,
				       struct c2_entity *first, uint64_t now_ns)
{
	if (first == NULL || (on != NULL && (sl->state & YIELDED) == 0 &&
			      (now_ns < sl->keep_ns || on->vt < first->vt))) {
		return on;
	}
	return first;
}

/* next has a cap: it goes first if it may; else it is parked, and the next one asked. */
static APART struct c2_entity *choose_funded(struct sched *s, struct c2_slot *sl,
					     struct c2_entity *next, struct c2_entity **on,
					     uint64_t now_ns, struct sched_out *out)
{
	for (unsigned n = 0; next != NULL && next->capped && !c2_fund(s, next, now_ns); n++) {
		if (n == C2_BATCH) {
			sched_poke(out, sl->queue->slot[sl->index]);
			return NULL;
		}
		if (!next->entity->on_slot) {
			c2_dequeue(s->priv, next);
		}
		c2_set_parked(next, true);
		*on = *on == next ? NULL : *on;
		next = choose(sl, *on, first_for(sl), now_ns);
	}
	return next;
}

/*
 * next runs on sl until it has had what the first waiter behind it has had, and last, who was there
 * and comes back (NULL: nobody). Where it stays (last is next), what it had while nobody else could or would run is
 * bounded, and so is what it missed.
 */
static INLINE struct sched_pick run(const struct c2_sched *c2, struct c2_slot *sl,
				    const struct c2_entity *last, struct c2_entity *next,
				    const struct c2_entity *behind, bool stays, uint64_t now_ns)
{
	struct c2_queue *q = sl->queue;
	uint64_t ns = c2->least_ns, clock = get(&q->clock);
	uint64_t vt = behind != NULL ? behind->vt : UINT64_MAX;
	const bool alone = behind == NULL && (last == NULL || stays);

	if (stays) {
		ns = MAX(SLICE_MIN_NS, minus(sl->keep_ns, now_ns));
		next->vt = MAX(next->vt, minus(behind != NULL ? behind->start_vt : clock, next->lag));
	} else {
		vt = last != NULL ? MIN(vt, last->vt) : vt;
		next->start_vt = next->vt;
		sl->on = next;
		sl->keep_ns = now_ns + c2->ratelimit_ns;
		if (sl->link.next != &q->runs) {
			list_remove(&sl->link);
			list_push_back(&q->runs, &sl->link);
		}
	}
	put(&q->clock, MAX(clock, MIN(vt, next->vt)));
	if (RARE(q->alone != 0 || alone)) {
		q->alone = (q->alone & ~(1u << sl->index)) | (uint32_t)alone << sl->index;
	}
	if (vt > next->vt) {
		vt = MIN(vt - next->vt, next->slice);
		ns = MAX(vt * next->weight / VT_PER_NS, ns);
	}
	sl->picked_ns = now_ns;
	sl->state = 0;
	ns = MIN(now_ns + ns, q->parked_ns);
	return (struct sched_pick){ .entity = next->entity, .until_ns = ns };
}

/* There is more to see to than who is next. */
static APART struct sched_pick pick_any(struct sched *s, struct c2_slot *sl, uint64_t now_ns,
					struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_queue *q = sl->queue;
	struct c2_entity *last = sl->on, *next;
	struct sched_pick p;
	unsigned state;

	if ((now_ns >= q->event_ns || get(&sl->calls) != 0) && attend(s, sl, now_ns, out, &p)) {
		return p;
	}
	if (last != NULL && (last->soft >> sl->index & 1) == 0 &&
	    ((last->hard >> sl->index & 1) == 0 ||
	     ((get(&q->idle) & last->soft) != 0 && now_ns > sl->keep_ns))) {
		last = NULL;			/* released() finds it another slot */
	}
	next = choose(sl, last, first_for(sl), now_ns);
	if (next != NULL && next->capped) {
		next = choose_funded(s, sl, next, &last, now_ns, out);
	}
	if (next == NULL) {
		return go_idle(s, sl, now_ns, out);
	}
	if (next != last) {
		c2_dequeue(c2, next);
	}
	state = sl->state;
	p = run(c2, sl, last, next, first_for(sl), next == last, now_ns);
	p.until_ns = carry(q, next->capped ? MIN(p.until_ns, next->funded_ns) : p.until_ns, now_ns);
	if ((state & (IDLED | ASKED)) != 0) {	/* who asked may idle; whoever runs now may be its own */
		(void)c2_set_idle(c2, q, sl->index, false);
		if (any_waits(q)) {
			poke_for_waiters(s, q, out);
		}
	}
	return p;
}

/* The usual case calls nothing: those that wait may run anywhere, have no cap, and are more than one. */
static struct sched_pick c2_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = sl->queue;
	struct tree_node *n = q->full.end.next[0], *n2 = n->next[0];	/* the first two, or the end */
	struct c2_entity *last = sl->on, *first = TREE_ENTRY(n, struct c2_entity, node);

	if (RARE(now_ns >= q->event_ns || get(&sl->calls) != 0 || (sl->state & ~YIELDED) != 0 ||
		 q->others != 0 || !n->linked || !n2->linked || !first->plain ||
		 (last != NULL && !last->plain))) {
		return pick_any(s, sl, now_ns, out);
	}
	if (choose(sl, last, first, now_ns) == last) {
		return run(s->priv, sl, last, last, first, true, now_ns);
	}
	tree_unlink(n);
	return run(s->priv, sl, last, first, entity_of(n2), false, now_ns);
}

SCHED_POLICY(sched_credit2,
	.name = "credit2",
	.summary = "proportional share by weight, with caps; a queue per LLC",
	.honours = SCHED_HONOURS_WEIGHT | SCHED_HONOURS_CAP | SCHED_HONOURS_HARD_AFFINITY |
		   SCHED_HONOURS_SOFT_AFFINITY | SCHED_HONOURS_YIELD | SCHED_WORK_CONSERVING,
	.tunables = c2_tunables, .tunable_count = C2_TUNABLES,
	.object_size = sizeof(struct c2_sched), .slot_size = sizeof(struct c2_slot),
	.group_size = sizeof(struct c2_group), .entity_size = sizeof(struct c2_entity),
	.init = c2_init, .join = c2_join, .leave = c2_leave, .add = c2_add, .remove = c2_remove,
	.set_affinity = c2_set_affinity, .wake = c2_wake, .block = c2_block, .yield = c2_yield,
	.charge = c2_charge, .pick = c2_pick, .released = c2_released, .tune = c2_tune,
	.export = c2_export, .import = c2_import, .describe = c2_describe, .check = c2_check,
	.wait_bound_ns = c2_wait_bound_ns, .pull = c2_pull,
);
