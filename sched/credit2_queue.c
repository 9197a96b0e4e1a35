/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: the waiters of a queue, and which slot is told of them. */
#include "sched/credit2.h"

/* --- Idle slots and loaded queues. Both words are changed by read-modify-writes, so of two that cross one sees the other. */

bool c2_set_idle(struct c2_sched *c2, struct c2_queue *q, unsigned i, bool idle)
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

void c2_set_loaded(struct c2_sched *c2, struct c2_queue *q, bool loaded)
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

void c2_count_weight(struct c2_entity *re, bool counted)
{
	_Atomic uint64_t *w = &re->queue->weight;

	if (re->counted != counted) {
		re->counted = counted;
		put(w, counted ? get(w) + re->weight : get(w) - re->weight);
	}
}

void c2_enqueue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re)
{
	re->node.key = re->vt;
	if (re->full) {
		q->full_count++;
		tree_insert(&q->full, &re->node);
		return;
	}
	re->node.low = 0;
	re->node.mask = re->hard | (re->domains | re->domains >> (64 - SLOTS)) << SLOTS;
	q->some_count++;
	tree_insert(&q->some, &re->node);
	if (is_stray(re)) {
		atomic_fetch_add(&q->strays, 1);
		atomic_fetch_add(&c2->strays, 1);
	}
}

void c2_dequeue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re)
{
	if (re->full) {
		q->full_count--;
		tree_remove(&q->full, &re->node);
	} else {
		q->some_count--;
		tree_remove(&q->some, &re->node);
		if (is_stray(re)) {
			atomic_fetch_sub(&q->strays, 1);
			atomic_fetch_sub(&c2->strays, 1);
		}
	}
	if (q->full_count + q->some_count == 0) {
		c2_set_loaded(c2, q, false);
	}
}

/* The least served waiter of q that may run on a slot of another queue. Looks at no more than SLOTS restricted ones. */
struct c2_entity *c2_first_movable(struct c2_queue *q, unsigned domain, unsigned slot, bool stray)
{
	const uint64_t wanted = 1ul << SLOTS << domain % (64 - SLOTS);
	struct c2_entity *a = stray ? NULL : entity_of(tree_first(&q->full)), *b;
	struct tree_node *n = q->some_count > 0 ? tree_first_fit(&q->some, UINT64_MAX, wanted) : NULL;

	for (unsigned i = 0; n != NULL && i < SLOTS; i++, n = tree_next_fit(n, UINT64_MAX, wanted)) {
		b = entity_of(n);
		if (cpuset_has(&b->entity->hard, slot) && (!stray || is_stray(b))) {
			return a != NULL && a->vt <= b->vt ? a : b;
		}
	}
	return a;
}

/* --- Who should run re, which was just queued. */

static void poke_idle_here(struct c2_sched *c2, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
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

void c2_call(struct sched *s, unsigned slot, struct sched_out *out)
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
		const struct c2_queue *other = c2->queue[first_bit(domains)];

		for (uint32_t m = atomic_load_explicit(&other->idle, memory_order_relaxed); m != 0; m &= m - 1) {
			unsigned slot = other->slot[first_bit(m)];

			if (re == NULL ? c2_first_movable(q, other->domain, slot, false) != NULL :
			    re->full || cpuset_has(&re->entity->hard, slot)) {
				c2_call(s, slot, out);
				return true;
			}
		}
	}
	return false;
}

/* The most served of those that run in places, unless all are within their ratelimit: then the one that is out of it first. */
static unsigned victim(const struct c2_queue *q, uint32_t places, uint64_t started_ns)
{
	unsigned most = NOBODY, oldest = NOBODY;

	for (; places != 0; places &= places - 1) {
		unsigned i = first_bit(places);

		if (q->vt[i] == 0) {
			continue;
		}
		if (q->since_ns[i] <= started_ns && (most == NOBODY || q->vt[i] > q->vt[most])) {
			most = i;
		}
		if (oldest == NOBODY || q->since_ns[i] < q->since_ns[oldest]) {
			oldest = i;
		}
	}
	return most != NOBODY ? most : oldest;
}

static bool preempts(struct sched *s, const struct c2_queue *q, const struct c2_entity *re, unsigned i, uint64_t now_ns)
{
	const struct c2_slot *sl = slot_of(s, q->slot[i]);
	const struct c2_entity *on = sl->on->priv;
	uint64_t vt = on->vt + (ns_since(sl->picked_ns, now_ns) * VT_PER_NS) / on->weight;

	return vt > re->vt + RESIST_NS * VT_PER_NS / on->weight;
}

/* Pokes whom re preempts; else one whose slice was set when nobody waited, so that it is set anew. */
void c2_preempt(struct sched *s, struct c2_queue *q, const struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	uint64_t started_ns = minus(now_ns, (uint64_t)s->values.v[C2_RATELIMIT]);
	unsigned i = victim(q, re->soft, started_ns);

	if (i == NOBODY || !preempts(s, q, re, i, now_ns)) {
		i = re->soft == re->hard ? NOBODY : victim(q, re->hard & ~re->soft, started_ns);
		if (i == NOBODY || !preempts(s, q, re, i, now_ns)) {
			if ((q->alone & re->hard) == 0) {
				return;
			}
			i = first_bit(q->alone & re->hard);
		}
	}
	q->alone &= ~(1u << i);
	sched_poke(out, q->slot[i]);
}

/* True: an idle slot comes for re. */
bool c2_find_idle(struct sched *s, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	if ((atomic_load_explicit(&q->idle, memory_order_relaxed) & re->hard) != 0) {
		poke_idle_here(c2, q, re, out);
		return true;
	}
	c2_set_loaded(c2, q, true);
	return (get(&c2->idle) & ~(1ul << q->domain)) != 0 && c2_poke_idle_elsewhere(s, q, re, out);
}

/* Waiters are left after a pick, or slots went: idle slots that may run one are told. */
void c2_poke_for_waiters(struct sched *s, struct c2_queue *q, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	uint32_t idle = atomic_load_explicit(&q->idle, memory_order_relaxed);

	for (unsigned n = q->full_count + q->some_count; idle != 0 && n > 0; idle &= idle - 1) {
		if (first_for(q, first_bit(idle)) != NULL) {
			(void)c2_set_idle(c2, q, first_bit(idle), false);
			sched_poke(out, q->slot[first_bit(idle)]);
			n--;
		}
	}
	c2_set_loaded(c2, q, true);
	(void)c2_poke_idle_elsewhere(s, q, NULL, out);
}

/* re waits from now on. The past it did not use is worth LAG_NS at most. */
void c2_queue_up(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	re->vt = MAX(re->vt, minus(clock_for(re->queue, re), lag_of(re)));
	c2_enqueue(s->priv, re->queue, re);
	if (!c2_find_idle(s, re->queue, re, out)) {
		c2_preempt(s, re->queue, re, now_ns, out);
	}
}
