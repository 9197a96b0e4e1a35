/* SPDX-License-Identifier: BSD-2-Clause */
/* What `rtds` and `sedf` share: constant-bandwidth servers in deadline order, and extra time. See edf.c. */
#pragma once

#include "kernel/lib/tree.h"
#include "sched/sched.h"

/* The settings both have, by the same index in their tables. */
enum { EDF_PERIOD, EDF_BUDGET, EDF_EXTRATIME, EDF_SETTINGS };

/* Periods end here so that a time times a time fits 64 bits. */
#define EDF_PERIOD_MAX	(4 * NS_PER_S)
/* Refills in one pick, at most. */
#define EDF_BATCH	3u
/* A utilisation of one slot. */
#define EDF_ONE		((uint64_t)1 << 32)

/* Those that may run on every slot, and those that may not, who are found by slot. */
struct edf_queue {
	struct tree anywhere, pinned;
};

struct edf_slot {
	unsigned number;
	bool straight;			/* not idle, and edf.apart: its rank is in no order */
	struct edf_entity *running;
	struct edf_entity *promised;	/* for whom it was poked and has not picked yet: he waits nowhere else */
	struct tree_node rank;		/* in edf.slots, by how urgent is what it runs or was called for: EDF_RANK_* */
	struct tree ready;		/* whose home this is, with budget, by deadline */
	struct tree *queue;		/* of all with budget for this slot, if edf.simple */
	uint64_t load, budgets_ns, trial;	/* of those whose home it is; scratch of admission */
};

struct edf_entity {
	struct sched_entity *entity;
	/* Its server. */
	uint64_t deadline_ns;
	uint64_t left_ns;		/* of the budget; when that is used up, of a turn of extra time */
	uint64_t debt_ns;		/* ran beyond a budget, to be taken off the next */
	uint64_t since_ns;		/* what ran before is not charged to what is left */
	uint64_t slept_ns;
	uint64_t vtime;			/* extra time had, by weight */
	bool spent;			/* no budget until deadline_ns: runs in extra time, or is parked */
	bool extratime, anywhere;
	bool urgent;			/* comes before all deadlines: edf_set_urgent() */
	bool special;			/* is urgent, has parts, a debt or no extra time: a refill has more to do */
	unsigned home;			/* the only slot where it runs with budget, or SCHED_NO_SLOT */
	/* Settings. */
	uint64_t period_ns, budget_ns, weight, latency_ns, quantum_ns;
	uint64_t part_ns, part_end_ns;	/* latency: the period is cut into parts; this one, and where the whole ends */
	uint64_t given_ns;		/* budget of the parts so far */
	uint64_t use;			/* budget / period, of EDF_ONE */
	/* Where it waits: in one of these, if anywhere. */
	struct tree *in;		/* NULL: in none */
	struct tree *ready;		/* this it is with budget */
	struct edf_slot *home_slot;	/* NULL: it has no home, or that is not there */
	struct tree_node node;		/* in a queue, by deadline or vtime */
	struct list turn;		/* in edf.fresh */
	struct edf_slot *promised_by;
	struct tree_node refill;	/* in edf.refill while it is spent and runnable */
	/* Among all. */
	struct list link;		/* in edf.entities */
	struct tree_node by_use;	/* in edf.by_use when it has a budget */
	struct tree_node by_set;	/* in edf.by_set when it is pinned and has a budget: key is a hash of its slots */
	const struct sched_want *want;	/* during admission: it is asked about */
};

/* The head of both policies' objects. */
struct edf {
	bool homes;			/* each reservation has a home, whatever slots are allowed */
	bool simple;			/* each slot looks at one queue: homes, or nobody is restricted */
	bool apart;			/* and no two at the same: homes, or there is only one */
	struct edf_queue ready, extra;
	struct edf_entity *sorted_last;	/* the last that came to extra.anywhere, and may have left it; or NULL */
	struct list fresh;		/* may run anywhere in extra time, not in extra.anywhere yet: few ever need to be */
	struct tree refill;		/* spent and runnable, by deadline */
	struct tree_node *refill_last;	/* whoever came to it last, and may have left it */
	uint64_t refill_ns;		/* the first of them, or batch_ns if that is later; NS_NEVER: there is none */
	unsigned batch;			/* refills in one pick */
	uint64_t batch_ns;		/* no more of them before then */
	unsigned carrier;		/* the slot whose `until` has the next refill, at armed_ns */
	uint64_t armed_ns;
	uint64_t vtime;			/* of whoever ran last in extra time */
	struct cpuset low[2];		/* slots of EDF_RANK_IDLE and, unless apart, EDF_RANK_EXTRA */
	unsigned low_count[2], slot_count;
	struct tree slots;		/* without homes: the others, the least urgent first */
	struct list entities;
	struct tree by_use;		/* the largest first */
	struct tree by_set;
	uint64_t use, budgets_ns;	/* of all */
	unsigned urgent;		/* how many of them are */
	bool alike;			/* without homes: all may use every slot */
	unsigned restricted;		/* how many may not run on all slots there could be */
};

static inline struct edf_slot *edf_slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

/* What orders it among those in the same queue. */
static inline uint64_t edf_key(const struct edf_entity *ee)
{
	return ee->spent ? ee->vtime : ee->urgent ? 0 : ee->deadline_ns;
}

static inline uint64_t edf_use_of(int64_t budget_ns, int64_t period_ns)
{
	return ((uint64_t)budget_ns << 32) / (uint64_t)period_ns;
}

static inline uint64_t edf_use(const struct sched_values *v)
{
	return edf_use_of(v->v[EDF_BUDGET], v->v[EDF_PERIOD]);
}

/* A utilisation as a number with three digits, for messages. */
#define EDF_FMT			"%lu.%03lu"
#define EDF_ROUND(use)		((use) + EDF_ONE / 2000)
#define EDF_ARG(use)		EDF_ROUND(use) >> 32, ((EDF_ROUND(use) & (EDF_ONE - 1)) * 1000) >> 32

static inline bool edf_is_current(const struct sched *s, const struct edf_entity *ee)
{
	return ee->entity->on_slot && edf_slot_of(s, ee->entity->slot)->running == ee;
}

#define EDF_RANK_IDLE	0u
#define EDF_RANK_EXTRA	1u
#define EDF_RANK_CALLED	(UINT64_MAX - 1)	/* has a promise, and somebody is restricted: is not offered more */
#define EDF_RANK_GONE	UINT64_MAX	/* the slot leaves */

/* Does the slot run somebody, or was it called to? */
static inline bool edf_is_busy(uint64_t rank)
{
	return rank - EDF_RANK_EXTRA < EDF_RANK_CALLED - EDF_RANK_EXTRA;
}

/* Is a slot of that rank in x->slots? */
static inline bool edf_is_ranked(const struct edf *x, uint64_t rank)
{
	return !x->homes && edf_is_busy(rank) && (rank != EDF_RANK_EXTRA || x->apart);
}

/* Of a slot that runs ee; NULL: that idles. */
static inline uint64_t edf_rank(const struct edf_entity *ee)
{
	return ee == NULL ? EDF_RANK_IDLE : ee->spent ? EDF_RANK_EXTRA : EDF_RANK_CALLED - 1 - ee->node.key;
}

/* ee does not wait any more, wherever it did. */
static inline void edf_dequeue(struct edf_entity *ee)
{
	if (ee->in != NULL) {
		tree_remove(ee->in, &ee->node);
		ee->in = NULL;
	} else if (ee->promised_by != NULL) {
		ee->promised_by->promised = NULL;
		ee->promised_by = NULL;
	} else {
		list_remove(&ee->turn);
	}
}

static inline void edf_park(struct edf_entity *ee)
{
	ee->entity->parked = ee->spent && !ee->extratime ? SCHED_PARK_BUDGET : SCHED_NOT_PARKED;
	ee->entity->parked_until_ns = ee->deadline_ns;
}

static inline void edf_note_special(struct edf_entity *ee)
{
	ee->special = ee->urgent || ee->latency_ns > 0 || !ee->extratime || ee->debt_ns > 0;
}

/* Of whom is not special. */
static inline void edf_give(struct edf_entity *ee, uint64_t deadline_ns, uint64_t budget_ns)
{
	ee->left_ns = budget_ns;
	ee->deadline_ns = deadline_ns;
	ee->node.key = deadline_ns;
	ee->spent = false;
}

/* Is its period over for one who wakes? What is left of the budget may be more than its share of the time to the deadline. */
static inline bool edf_is_over(const struct edf_entity *ee, uint64_t now_ns)
{
	return now_ns >= ee->deadline_ns || (!ee->spent && ee->left_ns * ee->period_ns > (ee->deadline_ns - now_ns) * ee->budget_ns);
}

/* --- edf_server.c. */
void edf_begin(struct edf_entity *ee, uint64_t from_ns);
void edf_go_on(struct edf_entity *ee, uint64_t now_ns);
void edf_wake_other(struct sched *s, struct edf_entity *ee, uint64_t now_ns, struct sched_out *out);
/* Pokes the slot whose `until` has to have a refill that has come. */
void edf_arm(struct sched *s, struct sched_out *out);

/* --- edf.c. */
void edf_change_rank(struct edf *x, struct edf_slot *es, uint64_t rank);
void edf_expect_refill(struct edf *x, struct edf_entity *ee);
void edf_drop_refill(struct edf *x, struct edf_entity *ee);
/* ee waits, and is offered to nobody yet. */
void edf_insert(struct sched *s, struct edf_entity *ee);
void edf_enqueue(struct sched *s, struct edf_entity *ee, struct sched_out *out);
void edf_init(struct sched *s, bool homes);
unsigned edf_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns, struct sched_out *out);
void edf_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);
void edf_add(struct sched *s, struct sched_entity *e);
void edf_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void edf_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void edf_set_home(struct sched *s, struct edf_entity *ee, unsigned home, struct sched_out *out);
void edf_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void edf_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void edf_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
void edf_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out);
struct sched_pick edf_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);
void edf_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
/* ee's settings become those of want, which are in its fields period_ns to extratime. */
void edf_reserve(struct sched *s, struct edf_entity *ee, const struct edf_entity *want, uint64_t now_ns,
		 struct sched_out *out);
void edf_retime(struct edf_entity *ee, uint64_t use, uint64_t now_ns);
void edf_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to);
void edf_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns);
enum err edf_validate(const struct sched_values *v, enum sched_scope scope, struct sched_reason *why);
void edf_describe(struct sched *s, uint64_t now_ns, struct text *to);
bool edf_check(struct sched *s, struct sched_reason *why);
uint64_t edf_wait_bound_ns(struct sched *s, const struct sched_entity *e);
/* ee's budget comes before all that have deadlines, or does not any more. */
void edf_set_urgent(struct sched *s, struct edf_entity *ee, bool urgent, struct sched_out *out);

/* --- Admission: what there would be, the largest first. */
struct edf_question {
	struct sched *s;
	const struct sched_group *g;
	unsigned asked;			/* new ones and changed ones */
	const struct cpuset *slots;
};

struct edf_walk {
	const struct edf_question *q;
	struct tree_node *next;
	unsigned next_asked;
	/* Of the one that this has come to. */
	uint64_t use;
	const struct cpuset *hard;	/* NULL: all */
	struct edf_entity *ee;		/* NULL: one that is asked about */
};

/* Marks whom g would change; edf_unask() takes the marks away. */
struct edf_question edf_ask(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots);
void edf_unask(const struct edf_question *q);
uint64_t edf_use_asked(const struct edf_question *q, unsigned i);
const struct cpuset *edf_hard_asked(const struct edf_question *q, unsigned i);	/* NULL: all */
uint64_t edf_use_there(const struct edf_question *q);		/* of those there who are not asked about */
struct edf_walk edf_walk(const struct edf_question *q);
bool edf_walk_on(struct edf_walk *w);	/* false: that was the last */
