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
 * comes back from sleep is put no further behind it than 10.5 ms of running, so sleep saves no more than that. Who has a
 * slot to itself, since nobody else may or wants to run there, is kept that near the clock; a weight whose share is above one
 * slot lags no further behind the waiters than that. So nobody's past can starve anybody.
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
#include <stdatomic.h>

#include "kernel/lib/tree.h"
#include "sched/sched.h"

#define SLOTS		16u			/* of a queue, at most */
#define QUEUES		64u			/* of a pool: with SLOTS each enough for CPU_MAX */
#define NOBODY		SLOTS
#define BATCH		8u			/* entities parked or unparked in one op */
#define VT_PER_NS	32u			/* virtual time of weight 1: lasts 18 years, and 65535 still has 2 us */
#define LAG_NS		(10500 * NS_PER_US)
#define MOVED_LAGS	10u			/* so many times that is what a pulled one brings along */
#define SLICE_MIN_NS	(500 * NS_PER_US)
#define SLICE_MAX_NS	(10 * NS_PER_MS)
#define RESIST_NS	(500 * NS_PER_US)	/* a waker must be that much less served than whom it preempts */
#define QUOTA_MIN_NS	(500 * NS_PER_US)
#define BALANCE_NS	(10 * NS_PER_MS)	/* how often, and from which lead on */
#define WEIGHT_MAX	65535
#define POT_BITS	40u			/* of budget; above them the period's number */
#define POT_MASK	((1ul << POT_BITS) - 1)

enum { C2_WEIGHT, C2_CAP, C2_RATELIMIT, C2_CAP_PERIOD, C2_RUNQUEUE };
enum { BY_CPU, BY_CORE, BY_LLC, BY_NODE, BY_ALL };
enum ask { ASK_NOTHING, ASK_WORK, ASK_STRAY, ASK_BALANCE, ASK_ANSWERED };

static const char *const runqueue_words[] = {
	[BY_CPU] = "cpu", [BY_CORE] = "core", [BY_LLC] = "llc", [BY_NODE] = "node", [BY_ALL] = "all", NULL,
};

static const struct sched_tunable c2_tunables[] = {
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
		.max = BY_ALL, .def = BY_LLC, .words = runqueue_words, .help = "which cpus share a queue, 16 at most",
	},
};

/* Bits of idle, members, whole, alone and mates are places of slots in the queue. Lives in the memory of one of its slots. */
struct c2_queue {
	/* Written under the domain, read by others without it. */
	_Atomic uint64_t clock, weight, rate;	/* weight: of all that is runnable and not parked; rate: of clock, a ns, times 2^20 */
	_Atomic uint32_t idle;			/* found nothing and was not poked since */

	struct tree full, some, parked;		/* may run on every slot of the pool; on some; until parked_until_ns */
	unsigned full_count, some_count, parked_count;
	unsigned leaving;			/* replaced and not released */
	bool loaded;				/* the bit in c2_sched.loaded */
	_Atomic uint32_t strays;
	uint32_t members, whole, alone;		/* whole: all of its core here is idle; alone: slice set with nobody waiting */
	unsigned count, carrier;
	uint64_t carried_ns;			/* the carrier's `until` is no later */
	uint64_t balance_ns, gave_ns, seen_ns, seen_clock;
	uint64_t homed;				/* weight of all entities that belong here */
	unsigned slot[SLOTS];
	uint32_t mates[SLOTS];
	uint64_t vt[SLOTS], since_ns[SLOTS];	/* of who runs there: at its last pick; since it came. 0: nobody */

	unsigned domain, kind, number;		/* constant: all slots of `number` of that kind */
};

struct c2_sched {
	_Atomic uint64_t loaded, idle;		/* by domain: somebody waits and no slot there is idle; a slot is idle */
	_Atomic unsigned calls;			/* how often an idle slot was called to another queue */
	_Atomic unsigned strays;		/* waiters whose own queue has no slot for them */
	struct c2_queue *queue[QUEUES];		/* by domain; this and the rest change with all domains held */
	unsigned queue_count;
	struct list entities;
	unsigned entity_count;
	uint64_t weight;
};

struct c2_slot {
	struct c2_queue *queue;
	unsigned index, core;
	struct sched_entity *on;		/* whom pick() returned last; it may have blocked since */
	uint64_t picked_ns;
	bool yielded;
	enum ask asked;
	_Atomic bool called;			/* by another domain, to pull: set there, cleared here */
	uint64_t tried;				/* domains asked for work in vain, since `calls` was c2_sched.calls */
	unsigned calls;
	struct c2_queue memory;			/* used by one slot of each queue */
};

struct c2_group {
	_Atomic uint64_t pot;
	uint64_t epoch_ns;			/* when its first period began */
	unsigned entities;
};

struct c2_entity {
	struct tree_node node;			/* in full, some or parked of its queue */
	struct sched_entity *entity;
	struct c2_queue *queue;			/* that of e->slot; NULL: no slot of the pool is allowed */
	uint64_t vt, start_vt;			/* virtual time, and at its last start */
	uint32_t weight, rest;			/* rest: of the last division */
	uint32_t hard, soft;			/* places in its queue; soft is within hard, and all of it when it would be empty */
	uint64_t domains;			/* queues that have a slot for it */
	int64_t budget_ns;
	uint64_t period;			/* that budget_ns is of */
	bool full, counted, leaving;		/* may run on all slots; is in queue->weight, queue->leaving */
	struct list link;
};

static inline struct c2_slot *slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

/* For what is read by others and written under a lock only. */
static inline uint64_t get(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline void put(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static inline uint64_t lag_of(const struct c2_entity *re)
{
	return LAG_NS * VT_PER_NS / re->weight;
}

static inline uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline unsigned first_bit(uint64_t w)
{
	return (unsigned)__builtin_ctzl(w);
}

/* --- Idle slots and loaded queues. Both words are changed by read-modify-writes, so of two that cross one sees the other. */

static bool set_idle(struct c2_sched *c2, struct c2_queue *q, unsigned i, bool idle)
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

static void set_loaded(struct c2_sched *c2, struct c2_queue *q, bool loaded)
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

static inline bool is_stray(const struct c2_entity *re)
{
	return re->hard == 0 && re->domains != 0;
}

static void count_weight(struct c2_entity *re, bool counted)
{
	_Atomic uint64_t *w = &re->queue->weight;

	if (re->counted != counted) {
		re->counted = counted;
		put(w, counted ? get(w) + re->weight : get(w) - re->weight);
	}
}

/* The clock for re: of its queue, or, where it may not run on all slots, of the least served that it may run on. */
static uint64_t clock_for(const struct c2_queue *q, const struct c2_entity *re)
{
	uint64_t least = get(&q->clock);

	for (uint32_t m = re->full ? 0 : re->hard; m != 0; m &= m - 1) {
		uint64_t vt = q->vt[first_bit(m)];

		least = vt != 0 && vt < least ? vt : least;
	}
	return least;
}

static void enqueue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re)
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

static void dequeue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re)
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
		set_loaded(c2, q, false);
	}
}

static inline struct c2_entity *entity_of(struct tree_node *n)
{
	return n == NULL ? NULL : TREE_ENTRY(n, struct c2_entity, node);
}

/* The least served waiter of q that may run at place i. */
static inline struct c2_entity *first_for(struct c2_queue *q, unsigned i)
{
	struct c2_entity *a = entity_of(tree_first(&q->full)), *b = NULL;

	if (q->some_count > 0) {
		b = entity_of(tree_first_fit(&q->some, UINT64_MAX, 1ul << i));
	}
	return b == NULL || (a != NULL && a->vt <= b->vt) ? a : b;
}

/* The least served waiter of q that may run on a slot of another queue. Looks at no more than SLOTS restricted ones. */
static struct c2_entity *first_movable(struct c2_queue *q, unsigned domain, unsigned slot, bool stray)
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

static bool poke_idle_here(struct c2_sched *c2, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	const uint32_t idle = atomic_load_explicit(&q->idle, memory_order_relaxed);
	uint32_t m = idle & re->soft;

	if ((idle & re->hard) == 0) {
		return false;
	}
	m = m != 0 ? m : idle & re->hard;
	m = (m & q->whole) != 0 ? m & q->whole : m;
	for (uint32_t w = m; w != 0; w &= w - 1) {
		if (q->slot[first_bit(w)] == re->entity->slot) {
			m = w & -w;
		}
	}
	(void)set_idle(c2, q, first_bit(m), false);
	sched_poke(out, q->slot[first_bit(m)]);
	return true;
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
static bool poke_idle_elsewhere(struct sched *s, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	uint64_t domains = atomic_load(&c2->idle) & ~(1ul << q->domain);

	for (; domains != 0; domains &= domains - 1) {
		const struct c2_queue *other = c2->queue[first_bit(domains)];

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
static void preempt(struct sched *s, struct c2_queue *q, const struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
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
static bool find_idle(struct sched *s, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	if (poke_idle_here(c2, q, re, out)) {
		return true;
	}
	set_loaded(c2, q, true);
	return (get(&c2->idle) & ~(1ul << q->domain)) != 0 && poke_idle_elsewhere(s, q, re, out);
}

/* Waiters are left after a pick, or slots went: idle slots that may run one are told. */
static void poke_for_waiters(struct sched *s, struct c2_queue *q, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	uint32_t idle = atomic_load_explicit(&q->idle, memory_order_relaxed);

	for (unsigned n = q->full_count + q->some_count; idle != 0 && n > 0; idle &= idle - 1) {
		if (first_for(q, first_bit(idle)) != NULL) {
			(void)set_idle(c2, q, first_bit(idle), false);
			sched_poke(out, q->slot[first_bit(idle)]);
			n--;
		}
	}
	set_loaded(c2, q, true);
	(void)poke_idle_elsewhere(s, q, NULL, out);
}

/* re waits from now on. The past it did not use is worth LAG_NS at most. */
static void queue_up(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out)
{
	re->vt = MAX(re->vt, minus(clock_for(re->queue, re), lag_of(re)));
	enqueue(s->priv, re->queue, re);
	if (!find_idle(s, re->queue, re, out)) {
		preempt(s, re->queue, re, now_ns, out);
	}
}

/* --- Caps. */

static uint64_t period_of(const struct sched *s, const struct c2_group *g, uint64_t now_ns)
{
	return ns_since(g->epoch_ns, now_ns) / (uint64_t)s->values.v[C2_CAP_PERIOD];
}

static uint64_t period_end_ns(const struct sched *s, const struct c2_group *g, uint64_t now_ns)
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

/* Has e budget to run on? Takes a quota where it has none. What is left of an old period is gone, what was overdrawn is not. */
static bool fund(const struct sched *s, struct sched_entity *e, uint64_t now_ns)
{
	struct c2_entity *re = e->priv;
	struct c2_group *g = e->group->priv;
	int64_t total_ns = s->values.v[C2_CAP_PERIOD] * e->group->values.v[C2_CAP] / 100, quota_ns;
	uint64_t period;

	if (total_ns == 0) {
		return true;
	}
	period = period_of(s, g, now_ns);
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

/* e goes off its slot: what it has left is there for others of its group. */
static void refund(const struct sched *s, struct sched_entity *e, uint64_t now_ns)
{
	struct c2_entity *re = e->priv;

	if (e->group->values.v[C2_CAP] != 0 && re->budget_ns > 0) {
		if (period_of(s, e->group->priv, now_ns) == re->period) {
			(void)draw(e->group->priv, re->period, 0, -re->budget_ns);
		}
		re->budget_ns = 0;
	}
}

static void park(struct sched *s, struct c2_queue *q, struct sched_entity *e, uint64_t now_ns)
{
	struct c2_entity *re = e->priv;

	if (!e->on_slot) {
		dequeue(s->priv, q, re);
	}
	count_weight(re, false);
	e->parked = SCHED_PARK_CAP;
	e->parked_until_ns = period_end_ns(s, e->group->priv, now_ns);
	re->node.key = e->parked_until_ns;
	q->parked_count++;
	tree_insert(&q->parked, &re->node);
}

static void unpark(struct c2_queue *q, struct c2_entity *re)
{
	re->entity->parked = SCHED_NOT_PARKED;
	q->parked_count--;
	tree_remove(&q->parked, &re->node);
	count_weight(re, true);
}

/* Those whose period is over, a batch of them; the rest when slot picks again, at once. */
static void unpark_due(struct sched *s, struct c2_queue *q, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct tree_node *n;

	for (unsigned i = 0; (n = tree_first(&q->parked)) != NULL && n->key <= now_ns; i++) {
		struct c2_entity *re = entity_of(n);

		if (i == BATCH) {
			sched_poke(out, slot);
			return;
		}
		unpark(q, re);
		if (!re->entity->on_slot) {
			queue_up(s, re, now_ns, out);
		}
	}
}

/* --- Homes: which queue an entity belongs to. All domains are held, or, in pull, both. */

static unsigned waiters(const struct c2_queue *q)
{
	return q->full_count + q->some_count;
}

/* The places in its queue that re may use and would rather. */
static void find_places(struct c2_entity *re)
{
	re->hard = re->soft = 0;
	for (uint32_t m = re->queue->members; m != 0; m &= m - 1) {
		unsigned slot = re->queue->slot[first_bit(m)];

		re->hard |= cpuset_has(&re->entity->hard, slot) ? m & -m : 0;
		re->soft |= cpuset_has(&re->entity->soft, slot) ? m & -m : 0;
	}
	re->soft = (re->soft & re->hard) != 0 ? re->soft & re->hard : re->hard;
}

static void find_domains(struct sched *s, struct c2_entity *re, const struct cpuset *slots)
{
	struct cpuset rest = *slots;

	cpuset_andnot(&rest, &re->entity->hard);
	re->full = cpuset_empty(&rest);
	re->domains = 0;
	CPUSET_FOREACH(slot, slots) {
		if (re->full || cpuset_has(&re->entity->hard, slot)) {
			re->domains |= 1ul << slot_of(s, slot)->queue->domain;
		}
	}
}

/* A slot of the queue that has least weight a slot, of those in re's soft set if there is one, else in its hard set. */
static unsigned choose_home(struct sched *s, const struct c2_entity *re, const struct cpuset *slots)
{
	const struct c2_queue *best = NULL;
	unsigned at = SCHED_NO_SLOT;

	for (unsigned soft = 1; soft != UINT32_MAX && at == SCHED_NO_SLOT; soft--) {
		CPUSET_FOREACH(slot, slots) {
			const struct c2_queue *q = slot_of(s, slot)->queue;

			if (!cpuset_has(&re->entity->hard, slot) || (soft && !cpuset_has(&re->entity->soft, slot))) {
				continue;
			}
			if (best == NULL || q->homed * best->count < best->homed * q->count) {
				best = q;
				at = slot;
			}
		}
	}
	return at;
}

/* What re had beyond the clock, or missed, is worth that many lags at most from now on. */
static void bind(struct c2_entity *re, unsigned lags)
{
	uint64_t clock = get(&re->queue->clock), most = lags * lag_of(re);

	re->vt = MIN(MAX(re->vt, minus(clock, most)), clock + most);
}

/* re, in no tree and off every slot, belongs to slot from now on; none of the pool: SCHED_NO_SLOT. */
static void set_home(struct sched *s, struct c2_entity *re, unsigned slot)
{
	struct c2_queue *q = slot == SCHED_NO_SLOT ? NULL : slot_of(s, slot)->queue;

	sched_set_slot(re->entity, slot);
	if (q == re->queue) {
		return;
	}
	if (re->queue != NULL) {
		count_weight(re, false);
		re->queue->homed -= re->weight;
	}
	re->queue = q;
	if (q != NULL) {
		bind(re, MOVED_LAGS);
		q->homed += re->weight;
		count_weight(re, re->entity->runnable);
		find_places(re);
	}
}

/* slots or re's sets changed. It keeps its queue where that has a slot for it. */
static void rehome(struct sched *s, struct c2_entity *re, const struct cpuset *slots, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *e = re->entity;

	if (e->on_slot) {
		find_domains(s, re, slots);
		find_places(re);
		return;
	}
	if (e->parked != SCHED_NOT_PARKED) {
		unpark(re->queue, re);
	} else if (e->runnable && re->queue != NULL) {
		dequeue(s->priv, re->queue, re);
	}
	find_domains(s, re, slots);
	if (re->queue != NULL && re->queue->count > 0) {
		find_places(re);
		if (!cpuset_has(slots, e->slot) && re->hard != 0) {
			sched_set_slot(e, re->queue->slot[first_bit(re->hard)]);
		}
	}
	if (re->queue == NULL || re->queue->count == 0 || re->hard == 0) {
		set_home(s, re, choose_home(s, re, slots));
	}
	if (e->runnable && re->queue != NULL) {
		queue_up(s, re, now_ns, out);
	}
}

static void rehome_all(struct sched *s, const struct cpuset *slots, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	LIST_FOREACH(node, &c2->entities) {
		rehome(s, LIST_ENTRY(node, struct c2_entity, link), slots, now_ns, out);
	}
}

static enum err c2_init(struct sched *s)
{
	struct c2_sched *c2 = s->priv;

	list_init(&c2->entities);
	return ERR_OK;
}

static unsigned number_by(unsigned kind, unsigned slot, const struct sched_place *p)
{
	const unsigned number[] = {
		[BY_CPU] = slot, [BY_CORE] = p->core, [BY_LLC] = p->llc, [BY_NODE] = p->node, [BY_ALL] = 0,
	};

	return number[kind];
}

static struct c2_queue *new_queue(struct c2_sched *c2, struct c2_slot *sl, unsigned kind, unsigned number, uint64_t now_ns)
{
	struct c2_queue *q = &sl->memory;
	unsigned d = 0;

	while (c2->queue[d] != NULL) {
		d++;
	}
	*q = (struct c2_queue){ .domain = d, .kind = kind, .number = number, .carrier = NOBODY, .carried_ns = NS_NEVER };
	q->balance_ns = q->seen_ns = now_ns;
	put(&q->clock, LAG_NS * VT_PER_NS);
	tree_init(&q->full, false);
	tree_init(&q->some, true);
	tree_init(&q->parked, false);
	c2->queue[d] = q;
	c2->queue_count++;
	return q;
}

/* The queue for a slot at that place: of its like, with room; a new one; or, where 64 are there, the smallest. */
static struct c2_queue *find_queue(struct sched *s, struct c2_slot *sl, unsigned slot, const struct sched_place *place,
				   uint64_t now_ns)
{
	struct c2_sched *c2 = s->priv;
	unsigned kind = (unsigned)s->values.v[C2_RUNQUEUE], number = number_by(kind, slot, place);
	struct c2_queue *smallest = NULL;

	for (unsigned d = 0; d < QUEUES; d++) {
		struct c2_queue *q = c2->queue[d];

		if (q != NULL && q->kind == kind && q->number == number && q->count < SLOTS) {
			return q;
		}
		if (q != NULL && (smallest == NULL || q->count < smallest->count)) {
			smallest = q;
		}
	}
	return c2->queue_count < QUEUES ? new_queue(c2, sl, kind, number, now_ns) : smallest;
}

/* The slots of slot's core that its queue has. */
static void find_mates(struct sched *s, struct c2_queue *q, unsigned core)
{
	uint32_t mates = 0;

	for (uint32_t m = q->members; m != 0; m &= m - 1) {
		mates |= slot_of(s, q->slot[first_bit(m)])->core == core ? m & -m : 0;
	}
	for (uint32_t m = mates; m != 0; m &= m - 1) {
		q->mates[first_bit(m)] = mates;
	}
	q->whole &= ~mates;
	q->whole |= (atomic_load_explicit(&q->idle, memory_order_relaxed) & mates) == mates ? mates : 0;
}

static unsigned c2_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			struct sched_out *out)
{
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = find_queue(s, sl, slot, place, now_ns);
	unsigned i = first_bit(~q->members);

	sl->queue = q;
	sl->index = i;
	sl->core = place->core;
	q->members |= 1u << i;
	q->slot[i] = slot;
	q->count++;
	q->vt[i] = 0;
	find_mates(s, q, sl->core);
	rehome_all(s, &s->slots, now_ns, out);
	sched_poke(out, slot);
	return q->domain;
}

static void c2_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = sl->queue;
	struct cpuset rest = s->slots;

	cpuset_del(&rest, slot);
	(void)set_idle(c2, q, sl->index, false);
	q->members &= ~(1u << sl->index);
	q->alone &= q->members;
	q->count--;
	if (q->count > 0) {
		find_mates(s, q, sl->core);
	}
	if (q->carrier == sl->index) {
		q->carrier = NOBODY;
		q->carried_ns = NS_NEVER;
	}
	rehome_all(s, &rest, now_ns, out);
	set_loaded(c2, q, waiters(q) > 0);
	if (q->count == 0) {
		c2->queue[q->domain] = NULL;
		c2->queue_count--;
		return;
	}
	sched_poke(out, q->slot[first_bit(q->members)]);	/* carries now, if anything is to be carried */
	if (q != &sl->memory) {
		return;
	}
	/* The queue lives on in another slot's memory. */
	c2->queue[q->domain] = &slot_of(s, q->slot[first_bit(q->members)])->memory;
	*c2->queue[q->domain] = *q;
	CPUSET_FOREACH(other, &rest) {
		struct c2_slot *o = slot_of(s, other);

		o->queue = o->queue == q ? c2->queue[q->domain] : o->queue;
	}
	LIST_FOREACH(node, &c2->entities) {
		struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		re->queue = re->queue == q ? c2->queue[q->domain] : re->queue;
	}
}

static void set_weight(struct sched *s, struct c2_entity *re)
{
	struct c2_sched *c2 = s->priv;
	uint32_t weight = (uint32_t)re->entity->group->values.v[C2_WEIGHT];
	bool counted = re->counted;

	if (re->queue != NULL) {
		count_weight(re, false);
		re->queue->homed = re->queue->homed - re->weight + weight;
	}
	c2->weight = c2->weight - re->weight + weight;
	re->weight = weight;
	re->rest = 0;
	if (re->queue != NULL) {
		count_weight(re, counted);
		bind(re, 1);
	}
}

static void start_period(struct c2_group *g, uint64_t now_ns)
{
	g->epoch_ns = now_ns;
	put(&g->pot, ~POT_MASK);		/* of the period before: the first one has its full budget */
}

static void c2_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_entity *re = e->priv;
	struct c2_group *g = e->group->priv;

	if (g->entities++ == 0) {
		start_period(g, now_ns);
	}
	re->entity = e;
	set_weight(s, re);
	list_push_back(&c2->entities, &re->link);
	c2->entity_count++;
	rehome(s, re, &s->slots, now_ns, out);
	re->vt = re->queue != NULL ? get(&re->queue->clock) : 0;
}

static void c2_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_entity *re = e->priv;

	(void)now_ns, (void)out;
	if (re->queue != NULL) {
		re->queue->homed -= re->weight;
	}
	c2->weight -= re->weight;
	((struct c2_group *)e->group->priv)->entities--;
	list_remove(&re->link);
	c2->entity_count--;
}

static void c2_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	rehome(s, e->priv, &s->slots, now_ns, out);
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
}

/* --- What entities do. */

static void c2_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = e->priv;

	if (re->queue == NULL) {
		return;				/* until a slot comes that it may use */
	}
	count_weight(re, true);
	if (!e->on_slot) {
		queue_up(s, re, now_ns, out);	/* else released() will */
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
		unpark(re->queue, re);
	} else if (!e->on_slot) {
		dequeue(s->priv, re->queue, re);
	}
	count_weight(re, false);
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
		refund(s, e, now_ns);
	}
	q->leaving -= re->leaving;
	re->leaving = false;
	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	enqueue(s->priv, q, re);
	if (find_idle(s, q, re, out)) {
		return;
	}
	if (is_stray(re)) {
		const struct c2_queue *other = ((struct c2_sched *)s->priv)->queue[first_bit(re->domains)];

		for (uint32_t m = other->members; m != 0; m &= m - 1) {
			if (cpuset_has(&e->hard, other->slot[first_bit(m)])) {
				call(s, other->slot[first_bit(m)], out);
				return;
			}
		}
	} else if ((re->hard >> sl->index & 1) == 0) {
		preempt(s, q, re, now_ns, out);	/* else its old slot's slice was set with it in mind */
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
	fresh = set_idle(c2, sl->queue, sl->index, true);
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
			call(s, q->slot[first_bit(m)], out);
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
		if (e == NULL || fund(s, e, now_ns)) {
			return e;
		}
		park(s, q, e, now_ns);
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
	} else if (re->full) {
		put(&q->clock, MAX(clock, re->vt));
		re->vt = MAX(re->vt, minus(clock, lag));
	} else {
		re->vt = MIN(MAX(re->vt, minus(clock, lag)), clock + lag);
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
		dequeue(s->priv, q, re);
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
		until_ns = MIN(until_ns, period_end_ns(s, next->group->priv, now_ns));
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
		unpark_due(s, q, slot, now_ns, out);
	}
	next = choose(s, sl, slot, now_ns, out);
	if (last != NULL && last != next) {
		struct c2_entity *re = last->priv;

		refund(s, last, now_ns);
		re->leaving = last->runnable && last->parked == SCHED_NOT_PARKED && (re->hard >> sl->index & 1) != 0;
		q->leaving += re->leaving;
	}
	sl->on = next;
	if (next == NULL) {
		return pick_idle(s, sl, slot, asked, carry(q, sl->index, NS_NEVER, now_ns), out);
	}
	(void)set_idle(c2, q, sl->index, false);
	if (atomic_load_explicit(&sl->called, memory_order_relaxed)) {
		pass_on(s, sl, out);
	}
	until_ns = carry(q, sl->index, run(s, sl, last, next, now_ns), now_ns);
	if (waiters(q) > 0 && (last == NULL || !q->loaded || q->idle != 0)) {
		poke_for_waiters(s, q, out);
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
	re = first_movable(other, q->domain, to, asked == ASK_STRAY);
	if (re == NULL) {
		return;
	}
	other->gave_ns = now_ns;
	if (waiters(q) == 0 && get(&q->clock) < get(&other->clock)) {
		q->seen_clock += get(&other->clock) - get(&q->clock);
		put(&q->clock, get(&other->clock));
	}
	dequeue(c2, other, re);
	set_home(s, re, to);
	enqueue(c2, q, re);
	(void)set_idle(c2, q, sl->index, false);
	(void)poke_idle_elsewhere(s, other, NULL, out);
	if (q->loaded) {
		(void)poke_idle_elsewhere(s, q, re, out);	/* else the pick that follows does so, if it leaves it */
	}
}

/* --- Values, standing, and what others may know. */

static void c2_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		    struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	(void)e;
	LIST_FOREACH(node, &c2->entities) {
		struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		if (g != NULL && re->entity->group != g) {
			continue;
		}
		set_weight(s, re);
		start_period(re->entity->group->priv, now_ns);
		re->period = 0;
		re->budget_ns = 0;
		rehome(s, re, &s->slots, now_ns, out);	/* parked ones try again */
		if (re->entity->on_slot) {
			sched_poke(out, re->entity->slot);
		}
	}
}

static void c2_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to)
{
	(void)s;
	to->weight = e->group->values.v[C2_WEIGHT];
	to->cap = e->group->values.v[C2_CAP];
}

static void c2_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns)
{
	(void)now_ns;
	if (from->weight > 0) {
		e->group->values.v[C2_WEIGHT] = MIN(from->weight, (int64_t)WEIGHT_MAX);
		set_weight(s, e->priv);
	}
	if (from->cap > 0) {
		e->group->values.v[C2_CAP] = MIN(from->cap, c2_tunables[C2_CAP].max);
	}
}

static void describe_tree(const struct tree *t, const char *what, struct text *to)
{
	for (struct tree_node *n = tree_first(t); n != NULL; n = tree_next(n)) {
		const struct c2_entity *re = entity_of(n);

		text_printf(to, "  %s %s.%u weight %u vt %lu\n", what, re->entity->group->name, re->entity->number, re->weight,
			    re->vt);
	}
}

static void c2_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	struct c2_sched *c2 = s->priv;

	(void)now_ns;
	for (unsigned d = 0; d < QUEUES; d++) {
		const struct c2_queue *q = c2->queue[d];

		if (q == NULL) {
			continue;
		}
		text_printf(to, "queue %u, %s %u: clock %lu, weight %lu\n", d, runqueue_words[q->kind], q->number,
			    get(&q->clock), get(&q->weight));
		for (uint32_t m = q->members; m != 0; m &= m - 1) {
			const struct sched_entity *e = slot_of(s, q->slot[first_bit(m)])->on;

			text_printf(to, "  slot %u: ", q->slot[first_bit(m)]);
			if (e == NULL) {
				text_puts(to, "idle\n");
			} else {
				text_printf(to, "%s.%u vt %lu\n", e->group->name, e->number, ((struct c2_entity *)e->priv)->vt);
			}
		}
		describe_tree(&q->full, "waits", to);
		describe_tree(&q->some, "waits", to);
		describe_tree(&q->parked, "parked", to);
	}
}

static bool wrong(struct sched_reason *why, const struct c2_entity *re, const char *what)
{
	return sched_refuse(ERR_STATE, why, "%s.%u: %s", re->entity->group->name, re->entity->number, what) == ERR_OK;
}

static bool check_entity(struct sched *s, const struct c2_entity *re, struct sched_reason *why)
{
	const struct sched_entity *e = re->entity;

	if ((e->slot == SCHED_NO_SLOT) != (re->queue == NULL) ||
	    (re->queue != NULL && slot_of(s, e->slot)->queue != re->queue)) {
		return wrong(why, re, "belongs to another queue than its slot");
	}
	if (re->queue != NULL &&
	    re->node.linked != (e->parked != SCHED_NOT_PARKED || (e->runnable && !e->on_slot))) {
		return wrong(why, re, "in a queue and should not be, or not in one and should");
	}
	if (re->counted != (re->queue != NULL && e->runnable && e->parked == SCHED_NOT_PARKED)) {
		return wrong(why, re, "its weight is counted wrongly");
	}
	if (e->runnable && !e->on_slot && re->queue == NULL && cpuset_intersects(&e->hard, &s->slots)) {
		return wrong(why, re, "has no queue, and a slot");
	}
	return true;
}

static bool check_queue(struct sched *s, const struct c2_queue *q, struct sched_reason *why)
{
	struct c2_sched *c2 = s->priv;
	uint64_t weight = 0, homed = 0, leaving = 0;
	unsigned slots = 0;

	LIST_FOREACH(node, &c2->entities) {
		const struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		if (re->queue == q) {
			homed += re->weight;
			weight += re->counted ? re->weight : 0;
			leaving += re->leaving;
		}
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct c2_slot *sl = slot_of(s, slot);
		const struct sched_entity *on = sl->on;

		slots += sl->queue == q && q->slot[sl->index] == slot && (q->members >> sl->index & 1) != 0;
		if (sl->queue == q && on != NULL && ((q->idle >> sl->index & 1) != 0 || !on->on_slot || on->slot != slot)) {
			return sched_refuse(ERR_STATE, why, "slot %u runs one that cannot be there", slot) == ERR_OK;
		}
	}
	if (weight != get(&q->weight) || homed != q->homed || leaving != q->leaving || slots != q->count ||
	    !tree_check(&q->full, q->full_count) || !tree_check(&q->some, q->some_count) ||
	    !tree_check(&q->parked, q->parked_count)) {
		return sched_refuse(ERR_STATE, why, "queue %u: miscounted", q->domain) == ERR_OK;
	}
	if (q->loaded != ((c2->loaded >> q->domain & 1) != 0) || (q->idle != 0) != ((c2->idle >> q->domain & 1) != 0)) {
		return sched_refuse(ERR_STATE, why, "queue %u: not told as it is", q->domain) == ERR_OK;
	}
	return true;
}

static bool c2_check(struct sched *s, struct sched_reason *why)
{
	struct c2_sched *c2 = s->priv;

	LIST_FOREACH(node, &c2->entities) {
		if (!check_entity(s, LIST_ENTRY(node, struct c2_entity, link), why)) {
			return false;
		}
	}
	for (unsigned d = 0; d < QUEUES; d++) {
		if (c2->queue[d] != NULL && !check_queue(s, c2->queue[d], why)) {
			return false;
		}
	}
	return true;
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
