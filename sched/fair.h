/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the policies share that keep one pool-wide account of fair shares (eevdf, credit): the account, queues that know
 * affinity, idle slots, and caps. All of it is in one lock domain.
 *
 * The account. Each entity has a virtual time, what it ran divided by its weight; FAIR_ONE / weight units a nanosecond,
 * so nanoseconds for the default weight. The clock is the mean of the virtual times of all that are runnable, by weight
 * (Stoica and Abdel-Wahab 1995). Who is behind the clock was served less than its share, who is ahead of it more. The
 * clock is never summed up anew: service moves it by its share, and who comes or goes moves it by what it brings or
 * takes.
 *
 * With several slots one may be entitled to more than a slot, or be pinned where it gets more or less than others do,
 * and would leave the clock ever further. So who is more than 4 requests behind it, or 16 ahead, does not count: the
 * clock is the mean of the others, and he is kept at that distance until he comes nearer. Nobody's past is worth more.
 *
 * A request is a slice of virtual time, the same for all, that the average entity takes `slice` ns to run. So slices
 * are by weight, all entities run once in about the time of a slice each, and the number of switches depends on `slice`
 * alone.
 *
 * Sleep. Who comes back is where he was, so a short sleep sheds nothing, but not further behind the clock than half a
 * request: what he did not use while he slept is his no longer. So nobody gets more than his share, and half a request
 * once, by sleeping, however he times it.
 */
#pragma once

#include "kernel/lib/tree.h"
#include "sched/sched.h"

#define FAIR_ONE		256u
#define FAIR_WEIGHT_MAX		65535
#define FAIR_CAP_MAX		(100 * CPU_MAX)
#define FAIR_BEHIND		4u		/* requests that one may be away from the clock */
#define FAIR_AHEAD		16u

/* The tunables of all that keep this account come first in their tables; then their own, from FAIR_OWN on. */
enum { FAIR_WEIGHT, FAIR_CAP, FAIR_CAP_PERIOD, FAIR_OWN };

#define FAIR_TUNABLES \
	[FAIR_WEIGHT] = { \
		.name = "weight", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true, \
		.min = 1, .max = FAIR_WEIGHT_MAX, .def = 256, .help = "share of each vCPU, against the other vCPUs' weights", \
	}, \
	[FAIR_CAP] = { \
		.name = "cap", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true, .unit = "%", \
		.min = 0, .max = FAIR_CAP_MAX, .def = 0, .help = "most that the VM gets, of one cpu; 0: no limit", \
	}, \
	[FAIR_CAP_PERIOD] = { \
		.name = "cap-period", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true, \
		.min = NS_PER_MS, .max = NS_PER_S, .def = 10 * NS_PER_MS, .help = "over which a cap holds", \
	}

struct fair_queue {
	struct tree full, some;		/* those that may run on every cpu there can be; the others */
};

/* First in an object's private part. */
struct fair {
	uint64_t clock, weight, rest;	/* of those that count, and how many they are */
	unsigned count;
	unsigned entities;		/* all, and their weight */
	uint64_t total_weight;
	unsigned waiting;		/* entities in queues */
	uint64_t request;		/* its virtual length */
	uint64_t slice_ns;
	unsigned idle_count, idle_words;
	struct cpuset idle;		/* slots whose last pick found nothing, and that nobody has poked since */
	struct tree parked;		/* until when */
	unsigned parked_count, carrier;	/* the slot whose `until` has the end of the first one's park in it */
	uint64_t carried_ns;
};

/* First in a group's private part: the budget of its cap. */
struct fair_group {
	uint64_t epoch_ns, period;	/* its first period began; the number of the one that used_ns is of */
	struct list members;		/* of fair_entity.link */
	int64_t budget_ns;		/* for each period */
	int64_t used_ns;		/* more than the budget is taken from the next period's; below 0: saved */
	unsigned entities, running;	/* how many there are, and are on slots */
};

/* First in an entity's private part. */
struct fair_entity {
	struct tree_node node;		/* in a queue, or parked */
	struct sched_entity *entity;
	struct fair_group *group;
	struct list link;
	struct fair_queue *queue;	/* NULL: it does not wait */
	uint64_t v, start;		/* its virtual time, now and where its request began */
	uint32_t weight, rest;
	bool full;			/* may run on every cpu there can be */
	bool counted, apart;		/* runnable and not parked: one of these */
};

static inline struct fair_entity *fair_of(const struct tree_node *n)
{
	return n == NULL ? NULL : TREE_ENTRY(n, struct fair_entity, node);
}

void fair_init(struct fair *f, uint64_t slice_ns);
void fair_queue_init(struct fair_queue *q);
void fair_add(struct fair *f, struct fair_entity *fe, struct sched_entity *e, uint64_t now_ns);

/* Ops as they are. */
void fair_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to);
void fair_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns);

/* --- The account. */

/* It is runnable, and not parked, from now on; it no longer is. */
void fair_start(struct fair *f, struct fair_entity *fe);
void fair_stop(struct fair *f, struct fair_entity *fe);
/* Takes the weight that its group has now. It does not wait. What it is owed, or owes, stays the same time. */
void fair_reweigh(struct fair *f, struct fair_entity *fe);
void fair_settle(struct fair *f, struct fair_entity *fe);	/* what fair_charge() seldom has to do */
void fair_set_slice(struct fair *f, uint64_t slice_ns);
/* How much service may come before the waiting fe's, when all others are as far behind as can be. */
uint64_t fair_bound_ns(const struct fair *f, const struct fair_entity *fe);

/* fe ran. */
static inline void fair_charge(struct fair *f, struct fair_entity *fe, uint64_t ran_ns)
{
	uint64_t served = ran_ns * FAIR_ONE, v = served + fe->rest;

	fe->group->used_ns += (int64_t)ran_ns;
	fe->v += v / fe->weight;
	fe->rest = (uint32_t)(v % fe->weight);
	if (fe->counted) {
		served += f->rest;
		f->clock += served / f->weight;
		f->rest = served % f->weight;
	}
	if (fe->apart || fe->v - (f->clock - FAIR_BEHIND * f->request) > (FAIR_BEHIND + FAIR_AHEAD) * f->request) {
		fair_settle(f, fe);
	}
}

/* How long fe has to run to get from its virtual time to that one. */
static inline uint64_t fair_ns_to(const struct fair_entity *fe, uint64_t v)
{
	return v > fe->v ? (v - fe->v) * fe->weight / FAIR_ONE : 0;
}

/* --- Queues. */

void fair_set_affinity(struct fair_entity *fe);

static inline void fair_enqueue(struct fair *f, struct fair_queue *q, struct fair_entity *fe, uint64_t key)
{
	fe->queue = q;
	fe->node.key = key;
	f->waiting++;
	tree_insert(fe->full ? &q->full : &q->some, &fe->node);
}

static inline void fair_dequeue(struct fair *f, struct fair_entity *fe)
{
	struct fair_queue *q = fe->queue;

	fe->queue = NULL;
	f->waiting--;
	tree_remove(fe->full ? &q->full : &q->some, &fe->node);
}

static inline bool fair_may_run(const struct fair_entity *fe, unsigned slot)
{
	return fe->full || cpuset_has(&fe->entity->hard, slot);
}

/* The first restricted one in q that may run on slot, or NULL. */
struct fair_entity *fair_first_some(const struct fair_queue *q, unsigned slot);

static inline bool fair_queue_empty(const struct fair_queue *q)
{
	return tree_first(&q->full) == NULL && tree_first(&q->some) == NULL;
}

/* The first in q that may run on slot, or NULL. */
static inline struct fair_entity *fair_first(const struct fair_queue *q, unsigned slot)
{
	struct fair_entity *a = fair_of(tree_first(&q->full)), *b;

	if (tree_first(&q->some) == NULL) {
		return a;
	}
	b = fair_first_some(q, slot);
	return a == NULL || (b != NULL && b->node.key < a->node.key) ? b : a;
}

/* --- Idle slots. */

void fair_join(struct fair *f, unsigned slot);
/* The parks that slot was to see the end of pass to another one. */
void fair_leave(struct sched *s, struct fair *f, unsigned slot, struct sched_out *out);
void fair_set_idle(struct fair *f, unsigned slot, bool idle);
bool fair_find_idle(struct fair *f, const struct fair_entity *fe, struct sched_out *out);

/* Pokes an idle slot that the waiting fe may run on: its last one, one of its soft set, any. False: there is none. */
static inline bool fair_poke_idle(struct fair *f, const struct fair_entity *fe, struct sched_out *out)
{
	return f->idle_count > 0 && fair_find_idle(f, fe, out);
}

/* Slots are idle, and some may wait in q: those that can take one are poked. */
void fair_poke_for(struct fair *f, struct fair_queue *q, struct sched_out *out);

/* --- Caps: a group's budget for each period. */

#define FAIR_BATCH	8u		/* entities that one pick may park or let go on */

bool fair_fund(struct sched *s, struct fair_entity *fe, int64_t save_ns, uint64_t now_ns, uint64_t *end_ns);

/* Has fe's group budget for it to run, and until when? False: it has none, and fe is parked. save_ns: what unused ones are worth. */
static inline bool fair_may_go(struct sched *s, struct fair_entity *fe, int64_t save_ns, uint64_t now_ns, uint64_t *end_ns)
{
	*end_ns = NS_NEVER;
	return fe->entity->group->values.v[FAIR_CAP] == 0 || fair_fund(s, fe, save_ns, now_ns, end_ns);
}

/* It blocks while it is parked. */
void fair_unpark(struct fair *f, struct fair_entity *fe);

/* What is the policy's own. */
struct fair_hooks {
	void (*dequeue)(struct fair *f, struct fair_entity *fe);	/* it waits */
	void (*enqueue)(struct fair *f, struct fair_entity *fe);	/* it waits on, in the place that it has now */
	void (*unparked)(struct fair *f, struct fair_entity *fe, struct sched_out *out);
};

/* Those whose time has come, a batch of them; for the rest slot picks again. */
void fair_unpark_due(struct fair *f, const struct fair_hooks *h, unsigned slot, uint64_t now_ns, struct sched_out *out);
/* Weight and cap of g may have changed: that holds at once. */
void fair_tune_group(struct fair *f, const struct fair_hooks *h, struct sched_group *g, struct sched_out *out);
uint64_t fair_carry_park(struct fair *f, unsigned slot, uint64_t until_ns, uint64_t now_ns);

/* until_ns, and not later than the end of the next park, if slot is the one to see to it. */
static inline uint64_t fair_carry(struct fair *f, unsigned slot, uint64_t until_ns, uint64_t now_ns)
{
	return f->parked_count == 0 ? until_ns : fair_carry_park(f, slot, until_ns, now_ns);
}

/* A line: who it is, and what it is owed or owes; NULL: idle. And a line for each that waits. */
void fair_describe(const struct fair *f, const struct fair_entity *fe, struct text *to);
void fair_queue_describe(const struct fair *f, const struct fair_queue *q, struct text *to);
/* The invariants of the account, the queues' trees and the parked. */
bool fair_check(const struct fair *f, struct sched_reason *why);
bool fair_queue_check(const struct fair_queue *q, unsigned *count, struct sched_reason *why);
/* on, if not NULL, may be what runs on slot. */
bool fair_slot_check(const struct fair *f, const struct fair_entity *on, unsigned slot, struct sched_reason *why);
