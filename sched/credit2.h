/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of credit2 share. The essay is in credit2.c. */
#pragma once

#include <stdatomic.h>

#include "kernel/lib/tree.h"
#include "sched/sched.h"

#define SLOTS		16u			/* of a queue, at most */
#define QUEUES		64u			/* of a pool: with SLOTS each enough for CPU_MAX */
#define NOBODY		SLOTS
#define BATCH		8u			/* entities parked or unparked in one op */
#define INV_BITS	32u			/* of a fraction, in c2_entity.inverse */
#define VT_PER_NS	32u			/* virtual time of weight 1: lasts 18 years, and 65535 still has 2 us */
#define LAG_NS		(10500 * NS_PER_US)
#define MOVED_LAGS	10u			/* so many times that is what a pulled one brings along */
#define SLICE_MIN_NS	(500 * NS_PER_US)
#define SLICE_MAX_NS	(10 * NS_PER_MS)
#define RESIST_NS	(500 * NS_PER_US)	/* a waker must be that much less served than whom it preempts */
#define QUOTA_MIN_NS	(500 * NS_PER_US)
#define BALANCE_NS	(3 * NS_PER_MS)	/* how often, and from which lead on */
#define WEIGHT_MAX	65535
#define RARE(x)		__builtin_expect((x), 0)
#define APART		__attribute__((noinline))	/* keeps what is rare from costing what is not */
#define POT_BITS	40u			/* of budget; above them the period's number */
#define POT_MASK	((1ul << POT_BITS) - 1)

enum { C2_WEIGHT, C2_CAP, C2_RATELIMIT, C2_CAP_PERIOD, C2_RUNQUEUE, C2_TUNABLES };
enum { BY_CPU, BY_CORE, BY_LLC, BY_NODE, BY_ALL };
enum ask { ASK_NOTHING, ASK_WORK, ASK_STRAY, ASK_BALANCE, ASK_ANSWERED };

extern const struct sched_tunable c2_tunables[C2_TUNABLES];
extern const char *const c2_runqueue_words[];

/* Bits of idle, members, whole, alone and mates are places of slots in the queue. */
struct c2_queue {
	/* Written under the domain, read by others without it. */
	_Atomic uint64_t clock, weight, rate;	/* weight: of all that is runnable and not parked; rate: of clock, a ns, times 2^20 */
	_Atomic uint32_t idle;			/* found nothing and was not poked since */
	_Atomic uint32_t strays;

	uint32_t members, whole, alone;		/* whole: all of its core here is idle; alone: slice set with nobody waiting */
	bool loaded;				/* the bit in c2_sched.loaded */
	struct tree full, some, parked;		/* may run on every slot of the pool; on some; until parked_until_ns */
	unsigned count, carrier;		/* count 0: there is no such queue */
	uint64_t carried_ns;			/* the carrier's `until` is no later */
	uint64_t balance_ns, gave_ns, seen_ns, seen_clock;
	uint64_t homed;				/* weight of all entities that belong here */
	unsigned slot[SLOTS];
	uint32_t mates[SLOTS];
	struct list runs;			/* slots that run somebody, the one first that does so longest */
	unsigned domain, kind, number;		/* constant: all slots of `number` of that kind */
};

struct c2_sched {
	_Atomic uint64_t loaded, idle;		/* by domain: somebody waits and no slot there is idle; a slot is idle */
	_Atomic unsigned calls;			/* how often an idle slot was called to another queue */
	_Atomic unsigned strays;		/* waiters whose own queue has no slot for them */
	struct c2_queue queue[QUEUES];		/* by domain; which there are, and the rest, changes with all domains held */
	unsigned queue_count;
	struct list entities;
	unsigned entity_count;
	uint64_t weight;
};

struct c2_slot {
	struct c2_queue *queue;
	struct c2_entity *on;			/* whom pick() returned last; it may have blocked since */
	unsigned index, core;
	struct list link;			/* in runs */
	uint64_t since_ns, picked_ns;		/* when `on` came, and was picked last */
	bool yielded;
	enum ask asked;
	_Atomic bool called;			/* by another domain, to pull: set there, cleared here */
	uint64_t tried;				/* domains asked for work in vain, since `calls` was c2_sched.calls */
	unsigned calls;
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
	uint64_t inverse;			/* virtual time of a ns */
	uint32_t weight, rest;			/* rest: a fraction of vt */
	uint32_t hard, soft;			/* places in its queue; soft is within hard, and all of it when it would be empty */
	bool full, counted, capped;		/* may run on all slots; is in queue->weight */
	uint64_t domains;			/* queues that have a slot for it */
	int64_t budget_ns;
	uint64_t period;			/* that budget_ns is of */
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

/* By how much ns of running move re's virtual time. */
static inline uint64_t vt_in(const struct c2_entity *re, uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * re->inverse >> INV_BITS);
}

static inline uint64_t lag_of(const struct c2_entity *re)
{
	return vt_in(re, LAG_NS);
}

static inline uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline unsigned first_bit(uint64_t w)
{
	return (unsigned)__builtin_ctzl(w);
}
static inline bool is_stray(const struct c2_entity *re)
{
	return re->hard == 0 && re->domains != 0;
}

static inline struct c2_entity *entity_of(struct tree_node *n)
{
	return n == NULL ? NULL : TREE_ENTRY(n, struct c2_entity, node);
}

struct c2_entity *c2_first_of_both(struct c2_queue *q, unsigned i);

/* The least served waiter of q that may run at place i. */
static inline struct c2_entity *first_for(struct c2_queue *q, unsigned i)
{
	return tree_first(&q->some) == NULL ? entity_of(tree_first(&q->full)) : c2_first_of_both(q, i);
}

static inline bool any_waits(const struct c2_queue *q)
{
	return tree_first(&q->full) != NULL || tree_first(&q->some) != NULL;
}

/* --- credit2.c */
bool c2_set_idle(struct c2_sched *c2, struct c2_queue *q, unsigned i, bool idle);
void c2_set_loaded(struct c2_sched *c2, struct c2_queue *q, bool loaded);
void c2_count_weight(struct c2_entity *re, bool counted);
void c2_enqueue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re);
void c2_dequeue(struct c2_sched *c2, struct c2_queue *q, struct c2_entity *re);
void c2_unpark(struct c2_queue *q, struct c2_entity *re);
void c2_queue_up(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out);

/* --- credit2_balance.c: called where several queues are, or a slot idles. */
bool c2_poke_idle_elsewhere(struct sched *s, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out);
struct sched_pick c2_ask_behind(struct sched *s, struct c2_slot *sl, uint64_t now_ns);
struct sched_pick c2_pick_idle(struct sched *s, struct c2_slot *sl, unsigned slot, uint64_t until_ns, struct sched_out *out);
void c2_pass_on(struct sched *s, struct c2_slot *sl, struct sched_out *out);
void c2_pull(struct sched *s, unsigned from, unsigned to, uint64_t now_ns, struct sched_out *out);

/* --- credit2_home.c */
void c2_set_home(struct sched *s, struct c2_entity *re, unsigned slot);
enum err c2_init(struct sched *s);
unsigned c2_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
		struct sched_out *out);
void c2_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);
void c2_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void c2_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void c2_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void c2_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		    struct sched_out *out);
void c2_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to);
void c2_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns);

uint64_t c2_wait_bound_ns(struct sched *s, const struct sched_entity *e);
void c2_describe(struct sched *s, uint64_t now_ns, struct text *to);
bool c2_check(struct sched *s, struct sched_reason *why);
