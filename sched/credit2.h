/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of credit2 share. The essay is in credit2.c. */
#pragma once

#include <stdatomic.h>

#include "kernel/lib/tree.h"
#include "sched/sched.h"

#define SLOTS		16u		/* of a queue, at most */
#define QUEUES		64u		/* of a pool: with SLOTS each enough for CPU_MAX */
#define STRAY		(1ul << SLOTS)	/* in c2_entity.node.mask: its queue has no slot for it */
#define INV_BITS	28u		/* of a fraction, in c2_entity.inverse */
#define VT_PER_NS	32u		/* for weight 1: lasts 18 years; 65535 still has 2 us */
#define LAG_NS		(10500 * NS_PER_US)
#define SLICE_MIN_NS	(500 * NS_PER_US)
#define SLICE_MAX_NS	(10 * NS_PER_MS)
#define BALANCE_NS	(3 * NS_PER_MS)	/* how often clocks are compared; the lead that matters */

enum { C2_WEIGHT, C2_CAP, C2_RATELIMIT, C2_CAP_PERIOD, C2_RUNQUEUE, C2_TUNABLES };

/* Bits of idle, members, alone and mates are places of slots in the queue. */
struct c2_queue {
	/* Written under the domain, read by others without it. */
	_Atomic uint64_t clock, pace;	/* pace: by how much the clock moves in BALANCE_NS */
	_Atomic uint64_t moves;		/* domains where those may run that wait, or did */
	_Atomic uint64_t idle;		/* found nothing, and was not poked since */

	/* Waiters that may run on every slot; of all here, and nowhere else; others with more than one slot; until when. */
	struct tree full, whole, some, parked;
	uint64_t parked_ns;		/* when the first of the parked goes on */
	uint64_t balance_ns, event_ns;	/* when clocks are compared next; the earlier of both */
	uint64_t seen_ns, seen_clock;	/* when they were last */
	struct list runs;		/* slots that run somebody, the longest first */
	unsigned slot[SLOTS];
	uint32_t mates[SLOTS];		/* all of its core */
	uint32_t members, alone;	/* alone: its slice was set with nobody waiting */
	unsigned count, homed;		/* members (0: no such queue); entities of it */
	unsigned others;		/* that wait and are not in full */
	unsigned domain, kind, number;	/* constant: for slots of `number` of that kind */
};

/* Queues, and what is not atomic here, change with all domains held. */
struct c2_sched {
	_Atomic uint64_t loaded, idle;	/* by domain: moves, idle is not 0 */
	uint64_t ratelimit_ns, least_ns, most_ns;	/* slices at least; a run counts at most */
	uint64_t weight;		/* of all entities */
	unsigned entity_count, queue_count;
	struct list entities;
	struct c2_queue queue[QUEUES];	/* by domain */
};

enum { IDLED = 1, YIELDED = 2, ASKED = 4 };	/* its last pick found nothing, or asked to pull */

struct c2_slot {
	struct c2_queue *queue;
	struct c2_entity *on;		/* who runs; NULL also when it has blocked */
	unsigned index, core, state;	/* its place; state: rarely anything */
	_Atomic uint64_t calls;		/* domains to pull from: set by all, cleared here */
	uint64_t keep_ns, picked_ns;	/* the ratelimit ends; it was picked last */
	struct list link;		/* in runs */
	struct tree own;		/* waiters that may run nowhere else */
};

struct c2_group {
	_Atomic uint64_t pot;		/* what it used of its cap, and the number of that period */
	uint64_t epoch_ns;		/* when its first period began */
	unsigned entities;
};

struct c2_entity {
	struct tree_node node;		/* in `in`, or parked of its queue */
	struct tree *in;		/* full, whole, some or own: where it waits */
	struct sched_entity *entity;
	struct c2_queue *queue;		/* that of e->slot; NULL: no slot of the pool is allowed */
	uint64_t vt, start_vt;		/* virtual time, and at its last start */
	uint64_t inverse, lag, slice;	/* virtual time of a ns, with a fraction; of LAG_NS; of SLICE_MAX_NS */
	uint32_t weight, rest;		/* rest: a fraction of vt */
	uint32_t hard, soft;		/* places in its queue; soft is within hard, not empty */
	bool full, capped, plain;	/* may run anywhere; has a cap; first, and nothing else */
	uint64_t domains;		/* queues that have a slot for it */
	uint64_t funded_ns;		/* of a capped one: it may run, or is parked, until then */
	struct list link;		/* in c2_sched.entities */
};

static inline struct c2_slot *slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

static inline struct c2_entity *entity_of(struct tree_node *n)
{
	return n == NULL ? NULL : TREE_ENTRY(n, struct c2_entity, node);
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

static inline uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline unsigned first_bit(uint64_t w)
{
	return (unsigned)__builtin_ctzl(w);
}

/* By how much up to a second of running moves re's virtual time. */
static inline uint64_t vt_in(const struct c2_entity *re, uint64_t ns)
{
	return ns * re->inverse >> INV_BITS;
}

/* Domains as they are in c2_entity.node.mask, some two to a bit; and all that those may mean. */
static inline uint64_t mask_of(uint64_t domains)
{
	return (domains | domains >> (63 - SLOTS)) << (SLOTS + 1);
}

static inline uint64_t domains_in(uint64_t mask)
{
	return mask >> (SLOTS + 1) | mask >> (SLOTS + 1) << (63 - SLOTS);
}

static inline bool any_waits(const struct c2_queue *q)
{
	return tree_first(&q->full) != NULL || q->others != 0;
}

/* --- credit2.c */
bool c2_set_idle(struct c2_sched *c2, struct c2_queue *q, unsigned i, bool idle);
void c2_enqueue(struct c2_entity *re);
void c2_dequeue(struct c2_sched *c2, struct c2_entity *re);
void c2_wait(struct sched *s, struct c2_entity *re, uint64_t now_ns, struct sched_out *out);

/* --- credit2_caps.c */

#define C2_BATCH		8u			/* entities parked or unparked in one op */

/*
 * One of the group ran that long from at_ns on. Returns what is left of that period's budget. No
 * lock covers the pot; where another cpu, with a clock a little ahead, began the next period, that one pays.
 */
uint64_t c2_spend(const struct sched *s, const struct sched_group *group, uint64_t at_ns, uint64_t ran_ns);
/* Until when may the capped re run? False: it is parked until then. */
bool c2_fund(const struct sched *s, struct c2_entity *re, uint64_t now_ns);
void c2_set_parked(struct c2_entity *re, bool parked);
/* Those whose period is over, a batch of them; q's parked_ns tells of the rest. */
void c2_unpark_due(struct sched *s, struct c2_queue *q, uint64_t now_ns, struct sched_out *out);

/* --- credit2_queues.c: between queues, and ops. */
extern const struct sched_tunable c2_tunables[C2_TUNABLES];
bool c2_call_to(struct sched *s, struct c2_queue *q, const struct c2_entity *re, uint64_t domains,
		struct sched_out *out);

/*
 * Calls an idle slot of another queue to pull re, or, for NULL, any waiter; for a stray any slot. We do
 * not hold that queue: what we read of it may be old, and then its slot sees that we are loaded.
 */
static inline bool c2_call(struct sched *s, struct c2_queue *q, const struct c2_entity *re, struct sched_out *out)
{
	const struct c2_sched *c2 = s->priv;
	uint64_t domains = re != NULL && re->hard == 0 ? ~0ul : atomic_load(&c2->idle);

	domains &= (re != NULL ? re->domains : get(&q->moves)) & ~(1ul << q->domain);
	return domains != 0 && c2_call_to(s, q, re, domains, out);
}

void c2_compare_clocks(struct c2_sched *c2, struct c2_slot *sl, uint64_t now_ns);
void c2_pull(struct sched *s, unsigned from, unsigned to, uint64_t now_ns, struct sched_out *out);
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
void c2_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from,
	       uint64_t now_ns);
uint64_t c2_wait_bound_ns(struct sched *s, const struct sched_entity *e);

/* --- credit2_report.c */
void c2_describe(struct sched *s, uint64_t now_ns, struct text *to);
bool c2_check(struct sched *s, struct sched_reason *why);
