/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the policies share that serve fair shares by a pool-wide account (eevdf, credit): all but what they ask for. One
 * lock domain.
 *
 * The account (fair_account.c). Each entity has a virtual time, what it ran divided by its weight; FAIR_ONE / weight units
 * a nanosecond, so nanoseconds for the default weight. The clock is the mean of the virtual times of all that are runnable,
 * by weight (Stoica and Abdel-Wahab 1995). Who is behind the clock was served less than its share, who is ahead of it more.
 * The clock is never summed up anew: service moves it by its share, and who comes or goes moves it by what it brings or
 * takes.
 *
 * With several slots one may be entitled to more than a slot, or be pinned where it gets more or less than others do,
 * and would leave the clock ever further. So who is more than 4 requests behind it, or 16 ahead, does not count: the
 * clock is the mean of the others, and he is kept at that distance until he comes nearer. Nobody's past is worth more.
 *
 * Sleep. Who comes back is where he was, so a short sleep sheds nothing, but not further behind the clock than half a
 * request: what he did not use while he slept is his no longer. So nobody gets more than his share, and half a request
 * once, by sleeping, however he times it.
 *
 * Turns (fair.c). An entity asks for its share in requests: from its virtual time on, due at another. A request is eligible
 * when the clock has reached its start, that is when its entity has had no more than its share. A slot runs the eligible
 * request that is due first, and while none is eligible the one that will be first. `request` is the virtual time that the
 * average of the runnable takes `slice` ns to run; so all run once in about the time of a slice each, and the number of
 * switches depends on `slice` alone. Requests are of classes, each of one length. So in a class the order of start is that
 * of due times, and the first of each class is all that pick looks at. Most join the end of their class, which is a list, or
 * its front, where a request that was cut short goes on. Some are put at the end though their start is up to a request before
 * the last one's: whose turn ended before its time, and who wakes. They lose no service by that, and are served as they came.
 * A tree has the few others, and those that may not run everywhere (fair_wait.c).
 *
 * Most picks go straight: no slot idles, no group has a cap, and all who are runnable may run everywhere. `straight_ns` tells.
 *
 * Who wakes goes to an idle slot. Else he waits for one that runs a brief request, of who is expected to sleep again soon,
 * if nobody waits for that yet; that spares two switches. Else he takes the place of one whose request is longer and due
 * later: of the first few, who have run for long. A preempted request goes on with its old due time if less than half of it
 * is done; else it is over, and another's begins at the switch that there is anyway.
 *
 * The longest wait, when nobody comes, goes or changes any more: that of one which was alone on a slot, 16 requests ahead,
 * and shares it now with all others. Two things made that worse than it sounds. Who waits when requests become shorter (a
 * shorter timeslice, a heavy one that wakes) or the clock goes back is ahead by as many more of them; so each 16 slices a
 * pick looks at the ends of the queues, and draws one in to 16, until there are none: fair_draw_in(). And who waits falls
 * further behind than 4 while others move the clock, which is forgiven when he is charged, not before. So each of the
 * others first has the turn that he had asked for, however long requests were then: a stretch. From 4 behind he goes
 * before the one ahead until he has come to his start, or, if his requests are short, to its due time; or ends the request
 * that he is in then. The one that is drawn in last waits for a turn of each that is drawn in before it, and these need
 * not catch up. A request of each is a slice each. A turn may last for 50 us or the ratelimit though less is due: the
 * first, and the last. So it is a stretch, or such a turn if that is longer, (4 + 16 + the longest class) slices and one
 * such turn, times the number of entities: he who waits is one of these, and his part is the time until a look.
 */
#pragma once

#include "kernel/lib/tree.h"
#include "sched/sched.h"

#define FAIR_ONE_LOG2		8
#define FAIR_ONE		(1u << FAIR_ONE_LOG2)
#define FAIR_WEIGHT_MAX		65535
#define FAIR_CAP_MAX		(100 * CPU_MAX)
#define FAIR_BEHIND		4u		/* requests that one may be away from the clock */
#define FAIR_AHEAD		16u
#define FAIR_CLASSES		16u
#define FAIR_BRIEF		8u		/* classes below are of brief requests; in each half the length doubles */
#define FAIR_SLICE_MIN_NS	(50 * NS_PER_US)

/* The tunables of all that keep this account come first in their tables; then their own, from FAIR_OWN on. */
enum { FAIR_WEIGHT, FAIR_CAP, FAIR_CAP_PERIOD, FAIR_TIMESLICE, FAIR_OWN };

#define FAIR_TUNABLES(slice_min, slice_max, slice) \
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
	}, \
	[FAIR_TIMESLICE] = { \
		.name = "timeslice", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true, \
		.min = slice_min, .max = slice_max, .def = slice, .help = "how long a vCPU of average weight runs while others wait", \
	}

struct fair;
struct fair_entity;

/* What is the policy's own. */
struct fair_policy {
	unsigned stretch;			/* timeslices that a heavy one may run at a stretch */
	/* The class of the requests of one that does not sleep: at add, tune and import. */
	unsigned (*ordinary)(const struct sched_entity *e);
	/* What fe, which woke, asks for from its start on: with fair_ask(). */
	void (*woken)(struct fair *f, struct fair_entity *fe);
	const char *classes[FAIR_CLASSES];	/* for describe() */
};

/* Requests of one length, and who waits with one, by start. */
struct fair_class {
	struct list line;		/* of fair_entity.line, by node.key; all may run everywhere */
	struct list slots;		/* of fair_slot.link: that run one */
	unsigned number, bit, shift;	/* bit: 1 << number; shift: of the length, 4 is that of a slice */
	bool treed;			/* any wait in */
	struct tree tree;
	const char *name;		/* and 256 bytes make it cheap to find */
};

/* First in an object's private part. */
struct fair {
	const struct fair_policy *policy;
	struct sched *sched;
	unsigned waiting, running;	/* bits of classes in which any wait, of which any are in `slots` */
	unsigned idle_count, parked_count, capped;	/* capped: entities whose group has a cap */
	unsigned masked;		/* entities that are runnable, and may not run everywhere */
	uint64_t clock, weight, rest;	/* of those that count */
	uint64_t runnable_weight;	/* of all that are runnable and not parked, and how many they are */
	unsigned runnable;
	uint32_t average;		/* weight of them; 0: no whole number */
	unsigned longest;		/* class that there ever was */
	unsigned entities;
	uint64_t request;		/* its virtual length */
	uint64_t behind, span;		/* FAIR_BEHIND of it; and from there to FAIR_AHEAD */
	uint64_t look_ns;		/* when a pick looks for waiters that are too far ahead */
	uint64_t straight_ns;		/* the same; 0: no pick goes straight */
	uint64_t later_ns;		/* of the last one that did and found the first of a class not eligible yet */
	uint64_t wakes;			/* credit's: that were boosted */
	uint64_t slice_ns;
	uint64_t stretch_ns;		/* the longest at a stretch, */
	uint64_t least_ns;		/* and the shortest */
	uint64_t ratelimit_ns;		/* who runs is not preempted before */
	int64_t save_ns;		/* of a cap's budget, what unused ones are worth */
	struct fair_entity *first[FAIR_CLASSES];	/* of those that wait, by class */
	struct fair_entity *found[FAIR_CLASSES];	/* of them, who may run on the slot of a pick */
	struct fair_class class[FAIR_CLASSES];
	struct cpuset idle;		/* slots whose last pick found nothing, and that nobody has poked since */
	unsigned idle_words;
	struct tree parked;		/* until when */
	unsigned carrier;		/* the slot whose `until` has the end of the first one's park in it */
	uint64_t carried_ns;
};

/* A slot's private part. */
struct fair_slot {
	struct fair_entity *on;
	struct list link;
	struct fair_class *class;	/* on's, when it was listed; NULL: idle, or somebody waits for it already */
	unsigned slot;
	bool yielded, again;		/* again: it parked a batch, and may find more */
	uint64_t end_ns;		/* of on's request */
	uint64_t held_ns;		/* until then on is not preempted */
	uint64_t funded_ns;		/* until then its cap's budget lasts, if it has one */
};

/* A group's private part: the budget of its cap. */
struct fair_group {
	uint64_t epoch_ns, period;	/* its first period began; the number of the one that used_ns is of */
	struct list members;		/* of fair_entity.link */
	int64_t budget_ns;		/* for each period */
	int64_t used_ns;		/* more than the budget is taken from the next period's; below 0: saved */
	unsigned entities, running;	/* how many there are, and with a cap, are on slots */
};

/* Where it waits. FAIR_CUT: it does not, and its turn ended before its time, or was a waker's: it asked anew. */
enum fair_place { FAIR_OUT, FAIR_CUT, FAIR_LINE, FAIR_TREE };

/* An entity's private part. */
struct fair_entity {
	struct sched_entity *entity;
	struct fair_group *group;
	uint64_t v, start;		/* its virtual time, now and where its request began */
	uint64_t due;			/* where its request is over */
	uint32_t weight, rest;
	struct fair_class *class, *ordinary;	/* of its request; and of those that it makes without sleeping */
	enum fair_place place;
	bool full;			/* may run on every cpu there can be */
	bool capped;			/* its group has a cap */
	bool counted, apart;		/* runnable and not parked: one of these */
	struct list line, link;
	struct tree_node node;		/* in a tree, or parked; its key is also the place in a line */
	uint64_t woken, burst;		/* its virtual time when it woke last; what it had between its last two sleeps */
};

static inline struct fair_entity *fair_of(const struct tree_node *n)
{
	return n == NULL ? NULL : TREE_ENTRY(n, struct fair_entity, node);
}

static inline bool fair_may_run(const struct fair_entity *fe, unsigned slot)
{
	return fe->full || cpuset_has(&fe->entity->hard, slot);
}

static inline struct fair_slot *fair_slot(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

/* It runs, and its slot has not preferred another. */
static inline bool fair_is_on(const struct sched *s, const struct fair_entity *fe)
{
	return fe->entity->on_slot && fair_slot(s, fe->entity->slot)->on == fe;
}

/* fe's request begins at its start. The length is that of the class. */
static inline void fair_ask(const struct fair *f, struct fair_entity *fe, struct fair_class *class)
{
	fe->class = class;
	fe->due = fe->start + (f->request << class->shift >> 4);
}

static inline void fair_renew(const struct fair *f, struct fair_entity *fe)
{
	fe->start = fe->v;
	fair_ask(f, fe, fe->ordinary);
}

/* Idle slots, caps and masks are looked at before that only. */
static inline void fair_set_straight(struct fair *f)
{
	f->straight_ns = (f->idle_count | f->capped | f->masked) == 0 ? f->look_ns : 0;
}

/* Who is runnable may not run everywhere any more, or may again: by is 1 or -1. */
void fair_set_masked(struct fair *f, int by);

/* Its group's values may have changed. */
static inline void fair_set_kind(struct fair *f, struct fair_entity *fe)
{
	bool capped = fe->entity->group->values.v[FAIR_CAP] != 0;

	f->capped += (unsigned)capped - fe->capped;
	fe->capped = capped;
	fair_set_straight(f);
	fe->ordinary = &f->class[f->policy->ordinary(fe->entity)];
	f->longest = MAX(f->longest, fe->ordinary->number);
}

/* --- Ops as they are (fair.c); init and tune of the pool's values begin with these. */

void fair_init(struct sched *s, const struct fair_policy *policy);
void fair_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
unsigned fair_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns, struct sched_out *out);
void fair_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);
void fair_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out);
struct sched_pick fair_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);
void fair_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void fair_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to);
void fair_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns);
void fair_describe(struct sched *s, uint64_t now_ns, struct text *to);
bool fair_check(struct sched *s, struct sched_reason *why);
uint64_t fair_wait_bound_ns(struct sched *s, const struct sched_entity *e);

/* All but name, summary, tunables, init, tune, export and import. */
#define FAIR_OPS \
	.honours = SCHED_HONOURS_WEIGHT | SCHED_HONOURS_CAP | SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_SOFT_AFFINITY | \
		   SCHED_HONOURS_YIELD | SCHED_WORK_CONSERVING, \
	.object_size = sizeof(struct fair), .slot_size = sizeof(struct fair_slot), .group_size = sizeof(struct fair_group), \
	.entity_size = sizeof(struct fair_entity), .join = fair_join, .leave = fair_leave, .add = fair_add, \
	.remove = fair_remove, .set_affinity = fair_set_affinity, .wake = fair_wake, .block = fair_block, \
	.yield = fair_yield, .charge = fair_charge, .pick = fair_pick, .released = fair_released, \
	.wait_bound_ns = fair_wait_bound_ns, .describe = fair_describe, .check = fair_check

/* --- Waiting. */

/* Waits, in a tree; and does not. */
void fair_insert(struct fair *f, struct fair_entity *fe);
void fair_dequeue(struct fair *f, struct fair_entity *fe);
/* The first of that class that may run on slot, who is not the first of all; or NULL. */
struct fair_entity *fair_search(const struct fair_class *class, unsigned slot);
void fair_draw_in(struct fair *f, uint64_t now_ns);
/* fe waits from now on. */
void fair_requeue(const struct sched *s, struct fair_entity *fe, struct sched_out *out);
void fair_set_idle(struct fair *f, unsigned slot, bool idle);
/* Pokes an idle slot that the waiting fe may run on: its last one, one of its soft set, any. False: there is none. */
bool fair_poke_idle(struct fair *f, const struct fair_entity *fe, struct sched_out *out);
/*
 * A slot took one that another was poked for, found nobody, or goes; so there may be one whose slot has another now, or
 * came for one who is parked. In each class one is given an idle slot; whoever it takes, it does the same, so all are found.
 */
void fair_poke_for_waiters(struct fair *f, struct sched_out *out);

static inline struct fair_entity *fair_line_first(const struct list *line)
{
	return list_empty(line) ? NULL : LIST_ENTRY(line->next, struct fair_entity, line);
}

static inline bool fair_waits(const struct fair_entity *fe)
{
	return fe->place >= FAIR_LINE;
}

static inline struct fair_entity *fair_line_last(const struct fair_class *class)
{
	return LIST_ENTRY(class->line.prev, struct fair_entity, line);
}

/* --- The account. */

/* So much time, by weight, came into the mean. With the rest carried that is exact. */
static inline void fair_move_clock(struct fair *f, int64_t time)
{
	int64_t sum = time + (int64_t)f->rest, weight = (int64_t)f->weight, by;

	f->rest = 0;
	if (weight > 0) {
		by = sum / weight - (sum % weight < 0);
		f->clock += (uint64_t)by;
		f->rest = (uint64_t)(sum - by * weight);
	}
}

static inline void fair_count_in(struct fair *f, struct fair_entity *fe)
{
	fe->counted = true;
	fe->apart = false;
	f->weight += fe->weight;
	fair_move_clock(f, (int64_t)(fe->v - f->clock) * fe->weight);
}

static inline void fair_count_out(struct fair *f, struct fair_entity *fe)
{
	fe->counted = false;
	f->weight -= fe->weight;
	fair_move_clock(f, -(int64_t)(fe->v - f->clock) * fe->weight);
}

/* The length of requests. Not 0: a slice is more than the largest weight. */
void fair_set_request(struct fair *f);

/* It is runnable, and not parked, from now on. */
static inline void fair_start(struct fair *f, struct fair_entity *fe)
{
	fe->v = MIN(MAX(fe->v, f->clock - f->request / 2), f->clock + FAIR_BEHIND * f->request);
	f->runnable++;
	f->runnable_weight += fe->weight;
	if (fe->weight != f->average) {
		fair_set_request(f);
	}
	fair_count_in(f, fe);
	if (RARE(!fe->full)) {
		fair_set_masked(f, 1);
	}
}

/* It no longer is. */
static inline void fair_stop(struct fair *f, struct fair_entity *fe)
{
	f->runnable--;
	f->runnable_weight -= fe->weight;
	if (fe->weight != f->average) {
		fair_set_request(f);
	}
	if (fe->counted) {
		fair_count_out(f, fe);
	}
	fe->apart = false;
	if (RARE(!fe->full)) {
		fair_set_masked(f, -1);
	}
}

/* fe ran, and is too far from the clock, or was and may be near it again. */
void fair_settle(struct fair *f, struct fair_entity *fe);
/* Takes the weight that its group has now. It does not wait. What it is owed, or owes, stays the same time. */
void fair_reweigh(struct fair *f, struct fair_entity *fe);
void fair_set_slice(struct fair *f, uint64_t slice_ns, uint64_t ratelimit_ns);
/* Has fe's group budget for it to run: until *end_ns? Else it has some again then. */
bool fair_fund(struct sched *s, struct fair_entity *fe, uint64_t now_ns, uint64_t *end_ns);

/* --- Parks: of those whose group has no budget left. */

void fair_park(struct fair *f, struct fair_entity *fe, uint64_t until_ns);
/* And it does not go on; and it does. */
void fair_unpark(struct fair *f, struct fair_entity *fe);
void fair_let_go(const struct sched *s, struct fair_entity *fe, struct sched_out *out);
/* Those whose time has come, a batch of them; for the rest slot picks again. */
void fair_unpark_due(const struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);
/* until_ns, and not later than the end of the next park, if slot is the one to see to it. */
uint64_t fair_carry(struct fair *f, unsigned slot, uint64_t until_ns, uint64_t now_ns);
