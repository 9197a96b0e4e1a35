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
#define FAIR_BEHIND		4u		/* requests that one may be away from the clock */
#define FAIR_AHEAD		16u

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
	int64_t used_ns;		/* more than the budget is taken from the next period's; below 0: saved */
	unsigned entities, running;
};

/* First in an entity's private part. */
struct fair_entity {
	struct tree_node node;		/* in a queue, or parked */
	struct sched_entity *entity;
	struct fair_group *group;
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
void fair_add(struct fair *f, struct fair_entity *fe, struct sched_entity *e, int64_t weight, uint64_t now_ns);
void fair_remove(struct fair *f, struct fair_entity *fe);

/* --- The account. */

/* It is runnable, and not parked, from now on; it no longer is. */
void fair_start(struct fair *f, struct fair_entity *fe);
void fair_stop(struct fair *f, struct fair_entity *fe);
/* What fair_charge() seldom has to do. */
void fair_settle(struct fair *f, struct fair_entity *fe);
void fair_set_weight(struct fair *f, struct fair_entity *fe, uint32_t weight);
void fair_set_slice(struct fair *f, uint64_t slice_ns);
/* How much service may come before fe's when all others are as far behind, and it as far ahead, as can be. */
uint64_t fair_bound_ns(const struct fair *f);

/* fe ran. A new weight holds from here on. */
static inline void fair_charge(struct fair *f, struct fair_entity *fe, uint64_t ran_ns, int64_t weight)
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
	if (fe->weight != (uint32_t)weight) {
		fair_set_weight(f, fe, (uint32_t)weight);
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

struct fair_cap {
	int64_t percent;		/* of one cpu; 0: none */
	uint64_t period_ns;
	int64_t save_ns;		/* what unused budgets are worth at most */
};

/* Until when fe's group has budget if fe goes on a slot now; 0: it has none, and fe is parked. */
uint64_t fair_budget_end(struct fair *f, struct fair_entity *fe, const struct fair_cap *cap, uint64_t now_ns);
/* It blocks, or its time has come; the caller starts it then. */
void fair_unpark(struct fair *f, struct fair_entity *fe);
/* One whose time has come, taken out of the parked, or NULL. */
struct fair_entity *fair_unpark_due(struct fair *f, uint64_t now_ns);
uint64_t fair_carry_park(struct fair *f, unsigned slot, uint64_t until_ns, uint64_t now_ns);

/* until_ns, and not later than the end of the next park, if slot is the one to see to it. */
static inline uint64_t fair_carry(struct fair *f, unsigned slot, uint64_t until_ns, uint64_t now_ns)
{
	return f->parked_count == 0 ? until_ns : fair_carry_park(f, slot, until_ns, now_ns);
}

/* The invariants of the account, the queues' trees and the parked. */
bool fair_check(const struct fair *f, struct sched_reason *why);
bool fair_queue_check(const struct fair_queue *q, unsigned *count, struct sched_reason *why);
