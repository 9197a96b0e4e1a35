/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: what goes on between queues, where there are several: who is called, asked, and pulls. */
#include "sched/credit2.h"

/* The least served waiter of q that may run on a slot of another queue. Looks at no more than SLOTS restricted ones. */
static struct c2_entity *first_movable(struct c2_queue *q, unsigned domain, unsigned slot, bool stray)
{
	const uint64_t wanted = 1ul << SLOTS << domain % (64 - SLOTS);
	struct c2_entity *a = stray ? NULL : entity_of(tree_first(&q->full)), *b;
	struct tree_node *n = tree_first(&q->some) != NULL ? tree_first_fit(&q->some, wanted) : NULL;

	for (unsigned i = 0; n != NULL && i < SLOTS; i++, n = tree_next_fit(n, wanted)) {
		b = entity_of(n);
		if (stray ? is_stray(b) && (b->domains >> domain & 1) != 0 : cpuset_has(&b->entity->hard, slot)) {
			return a != NULL && a->vt <= b->vt ? a : b;
		}
	}
	return a;
}

static void call(struct sched *s, unsigned slot, struct sched_out *out)
{
	atomic_fetch_add(&((struct c2_sched *)s->priv)->calls, 1);
	atomic_store_explicit(&slot_of(s, slot)->called, true, memory_order_relaxed);
	sched_poke(out, slot);
}

/*
 * An idle slot of another queue is called to pull re, or, for NULL, any waiter. We do not hold that queue: what we read of it
 * may be old, and then its slot sees that we are loaded.
 */
bool c2_poke_idle_elsewhere(struct sched *s, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	uint64_t domains = atomic_load(&c2->idle) & ~(1ul << q->domain);

	for (; domains != 0; domains &= domains - 1) {
		const struct c2_queue *other = &c2->queue[first_bit(domains)];

		for (uint32_t m = atomic_load_explicit(&other->idle, memory_order_relaxed); m != 0; m &= m - 1) {
			unsigned slot = other->slot[first_bit(m)];

			if (re == NULL ? first_movable(q, other->domain, slot, false) != NULL :
			    re->full || cpuset_has(&re->entity->hard, slot)) {
				call(s, slot, out);
				return true;
			}
		}
	}
	return false;
}

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
		const struct c2_queue *o = &c2->queue[first_bit(domains)];

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

/* Once in BALANCE_NS: should sl fetch somebody from elsewhere before it picks? */
struct sched_pick c2_ask_behind(struct sched *s, struct c2_slot *sl, uint64_t now_ns)
{
	struct c2_sched *c2 = s->priv;
	const struct c2_queue *from;

	if (c2->queue_count == 1) {
		sl->queue->balance_ns = NS_NEVER;	/* new_queue() sets it */
		return (struct sched_pick){ .pull = false };
	}
	from = behind(c2, sl->queue, now_ns);
	for (unsigned d = 0; d < QUEUES && c2->strays > 0; d++) {
		if (d != sl->queue->domain && c2->queue[d].count > 0 && c2->queue[d].strays > 0) {
			return ask(sl, &c2->queue[d], ASK_STRAY);
		}
	}
	return from != NULL ? ask(sl, from, ASK_BALANCE) : (struct sched_pick){ .pull = false };
}

/* Nothing to run: fetches from the most loaded of the queues that this idle slot has not asked in vain yet. */
struct sched_pick c2_pick_idle(struct sched *s, struct c2_slot *sl, unsigned slot, uint64_t until_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	const struct c2_queue *most = NULL;
	const enum ask asked = sl->asked;
	uint64_t domains;
	unsigned calls;
	bool fresh;

	sl->asked = ASK_NOTHING;
	list_remove(&sl->link);
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
		const struct c2_queue *o = &c2->queue[first_bit(domains)];

		if (most == NULL || get(&o->weight) * most->count > get(&most->weight) * o->count) {
			most = o;
		}
	}
	sl->tried |= 1ul << most->domain;
	return ask(sl, most, ASK_WORK);
}

/* sl was called to pull, and runs one, maybe not who it was called for: the other idle slots shall look. */
void c2_pass_on(struct sched *s, struct c2_slot *sl, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	atomic_store_explicit(&sl->called, false, memory_order_relaxed);
	if ((atomic_load(&c2->loaded) & ~(1ul << sl->queue->domain)) == 0) {
		return;
	}
	for (uint64_t domains = atomic_load(&c2->idle); domains != 0; domains &= domains - 1) {
		const struct c2_queue *q = &c2->queue[first_bit(domains)];

		for (uint32_t m = atomic_load_explicit(&q->idle, memory_order_relaxed); m != 0; m &= m - 1) {
			call(s, q->slot[first_bit(m)], out);
		}
	}
}

void c2_pull(struct sched *s, unsigned from, unsigned to, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_slot *sl = slot_of(s, to);
	struct c2_queue *q = sl->queue, *other = slot_of(s, from)->queue;
	enum ask asked = sl->asked;
	struct c2_entity *re;

	sl->asked = ASK_ANSWERED;
	if (other == q || (asked == ASK_BALANCE && now_ns < other->gave_ns + BALANCE_NS)) {
		return;
	}
	re = first_movable(other, q->domain, to, asked == ASK_STRAY);
	if (re == NULL) {
		/* Whom we were called for is gone, or parked. That we call on is no news to ourselves. */
		sl->calls += c2_poke_idle_elsewhere(s, other, NULL, out);
		return;
	}
	other->gave_ns = now_ns;
	if (!any_waits(q) && get(&q->clock) < get(&other->clock)) {
		q->seen_clock += get(&other->clock) - get(&q->clock);
		put(&q->clock, get(&other->clock));
	}
	c2_dequeue(c2, other, re);
	c2_set_home(s, re, to);
	if ((re->hard >> sl->index & 1) == 0) {	/* a stray: its slot is another one of this queue */
		sched_set_slot(re->entity, q->slot[first_bit(re->hard)]);
		c2_queue_up(s, re, now_ns, out);
		return;
	}
	c2_enqueue(c2, q, re);
	(void)c2_set_idle(c2, q, sl->index, false);
	(void)c2_poke_idle_elsewhere(s, other, NULL, out);
	if (q->loaded) {
		(void)c2_poke_idle_elsewhere(s, q, re, out);	/* else the pick that follows does so, if it leaves it */
	}
}
