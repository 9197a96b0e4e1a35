/* SPDX-License-Identifier: BSD-2-Clause */
/* What `rtds` and `sedf` share: constant-bandwidth servers in deadline order, and extra time. See edf.c. */
#pragma once

#include "kernel/lib/tree.h"
#include "sched/sched.h"

/* The settings both have, by the same index in their tables. */
enum { EDF_PERIOD, EDF_BUDGET, EDF_EXTRATIME, EDF_SETTINGS };

/* Periods end here so that a time times a time fits 64 bits. */
#define EDF_PERIOD_MAX	(4 * NS_PER_S)
/* A utilisation of one slot. */
#define EDF_ONE		((uint64_t)1 << 32)

/* Those that may run on every slot, and those that may not, who are found by slot. */
struct edf_queue {
	struct tree anywhere, pinned;
};

struct edf_slot {
	unsigned number;
	struct edf_entity *running;
	struct edf_entity *promised;	/* for whom it was poked and has not picked yet */
	struct tree_node rank;		/* in edf.slots: key is how urgent what it runs is */
	/* Where entities have homes. */
	struct tree ready;
	uint64_t load, trial;		/* of those that live here; scratch of admission */
};

struct edf_entity {
	struct sched_entity *entity;
	struct list link;		/* in edf.entities */
	struct tree_node by_use;	/* in edf.by_use when it has a budget */
	/* Settings. */
	uint64_t period_ns, budget_ns, weight, latency_ns, quantum_ns;
	uint64_t use;			/* budget / period, of EDF_ONE */
	bool extratime;
	/* Its server. */
	uint64_t deadline_ns;
	uint64_t left_ns;		/* of the budget; when that is used up, of a turn of extra time */
	uint64_t debt_ns;		/* ran beyond a budget, to be taken off the next */
	uint64_t part_ns, part_end_ns;	/* latency: the period is cut into parts; this one, and where the whole ends */
	uint64_t given_ns;		/* budget of the parts so far */
	uint64_t since_ns;		/* when the budget last came: what ran before is not charged to it */
	uint64_t slept_ns;
	bool spent;			/* no budget until deadline_ns: runs in extra time, or is parked */
	uint64_t vtime;			/* extra time had, by weight */
	/* Where it waits. */
	struct tree *in;		/* NULL: in none */
	struct tree_node node;		/* in a queue, by deadline or vtime */
	struct tree_node refill;	/* in edf.refill while it is spent and runnable */
	struct edf_slot *promised_by;
	bool anywhere;
	bool urgent;			/* comes before all deadlines: edf_set_urgent() */
	unsigned home;			/* where entities have homes: its slot, or SCHED_NO_SLOT */
	const struct sched_want *want;	/* during admission */
	bool covered;
};

/* The head of both policies' objects. */
struct edf {
	bool homes;			/* a reservation is served on the entity's own slot only */
	struct edf_queue ready, extra;
	struct tree refill, slots;
	unsigned slot_count;
	struct list entities;
	struct tree by_use;		/* the largest first */
	uint64_t use, budgets_ns;	/* of all */
	unsigned pinned, urgent;	/* how many of them are */
	uint64_t vtime;			/* of whoever ran last in extra time */
	unsigned carrier;		/* the slot whose `until` has the next refill, at armed_ns */
	uint64_t armed_ns;
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

static inline uint64_t edf_use(const struct sched_values *v)
{
	return ((uint64_t)v->v[EDF_BUDGET] << 32) / (uint64_t)v->v[EDF_PERIOD];
}

/* A utilisation as a number with three digits, for messages. */
#define EDF_FMT			"%lu.%03lu"
#define EDF_ROUND(use)		((use) + EDF_ONE / 2000)
#define EDF_ARG(use)		EDF_ROUND(use) >> 32, ((EDF_ROUND(use) & (EDF_ONE - 1)) * 1000) >> 32

/* --- edf_queue.c. */
#define EDF_RANK_IDLE	0u
#define EDF_RANK_EXTRA	1u

/* Of a slot that runs ee; NULL: that idles. */
static inline uint64_t edf_rank(const struct edf_entity *ee)
{
	return ee == NULL ? EDF_RANK_IDLE : ee->spent ? EDF_RANK_EXTRA : UINT64_MAX - edf_key(ee);
}

static inline void edf_set_rank(struct edf *x, struct edf_slot *es, uint64_t rank)
{
	if (es->rank.key == rank || x->slot_count == 1) {
		es->rank.key = rank;		/* alone it has no order to keep */
		return;
	}
	tree_remove(&x->slots, &es->rank);
	es->rank.key = rank;
	tree_insert(&x->slots, &es->rank);
}

static inline bool edf_is_current(const struct sched *s, const struct edf_entity *ee)
{
	return ee->entity->on_slot && edf_slot_of(s, ee->entity->slot)->running == ee;
}

static inline void edf_break_promise(struct edf_entity *ee)
{
	if (ee->promised_by != NULL) {
		ee->promised_by->promised = NULL;
		ee->promised_by = NULL;
	}
}

static inline void edf_dequeue(struct edf_entity *ee)
{
	if (ee->in != NULL) {
		tree_remove(ee->in, &ee->node);
		ee->in = NULL;
	}
	edf_break_promise(ee);
}

/* Of q.pinned, the first that may run on slot. */
struct edf_entity *edf_first_pinned(const struct edf_queue *q, unsigned slot);

static inline struct edf_entity *edf_first_of(const struct edf_queue *q, unsigned slot)
{
	struct tree_node *n = tree_first(&q->anywhere);
	struct edf_entity *ee = n == NULL ? NULL : TREE_ENTRY(n, struct edf_entity, node), *pinned;

	if (tree_first(&q->pinned) == NULL) {
		return ee;
	}
	pinned = edf_first_pinned(q, slot);
	return ee == NULL || (pinned != NULL && pinned->node.key < n->key) ? pinned : ee;
}

/* Whom es should run of those that wait; NULL: nobody. */
static inline struct edf_entity *edf_first_for(const struct edf *x, const struct edf_slot *es)
{
	struct edf_entity *ee = NULL;

	if (!x->homes) {
		ee = edf_first_of(&x->ready, es->number);
	} else if (tree_first(&es->ready) != NULL) {
		ee = TREE_ENTRY(tree_first(&es->ready), struct edf_entity, node);
	}
	return ee != NULL ? ee : edf_first_of(&x->extra, es->number);
}

/* Pokes the slot whose `until` has to have a refill that has come. */
void edf_arm(struct sched *s, struct sched_out *out);
void edf_expect_refill(struct edf *x, struct edf_entity *ee);
void edf_drop_refill(struct edf *x, struct edf_entity *ee);
/* ee waits: pokes the slot that should take it at once, if there is one. */
void edf_offer(struct sched *s, struct edf_entity *ee, struct sched_out *out);
void edf_enqueue(struct sched *s, struct edf_entity *ee, struct sched_out *out);

/* --- edf.c. */
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
void edf_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to);
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
struct edf_walk edf_walk(const struct edf_question *q);
bool edf_walk_on(struct edf_walk *w);	/* false: that was the last */
