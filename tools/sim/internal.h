/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the simulator share beside sim.h. */
#pragma once

#include <stddef.h>

#include "tools/sim/heap.h"
#include "tools/sim/sim.h"

enum sim_rank { SIM_RANK_EVENT, SIM_RANK_ARRIVAL, SIM_RANK_SLOT };

#define SIM_RANK(kind, i)	((uint64_t)(kind) << 40 | (i))
#define SIM_RANK_KIND(rank)	((enum sim_rank)((rank) >> 40))

struct sim_event {
	struct heap_node node;
	void (*fn)(struct sim *sim, void *arg);
	void *arg;
};

struct sim_entity {
	struct sched_entity e;
	struct sim_group *group;
	char *values;			/* its own, over its group's */
	struct heap_node arrival;
	unsigned index;
	struct sim_pattern pattern;
	uint64_t rng;

	/* What its guest does (pattern.c). */
	uint64_t first_ns;		/* the first release */
	uint64_t work_ns;		/* left of this run or job */
	uint64_t released, pending;	/* jobs: released so far; of them unfinished */

	/* Where its time goes (figures.c). */
	enum sim_state state;
	uint64_t since_ns;		/* in state, or told so far */
	uint64_t parked_until_ns;
	uint64_t waited_ns;		/* since it last ran or slept, unparked */
	bool woke;			/* this wait began with a wake */
	struct list waiting;		/* in pool->waiting: waits or is parked */
	uint64_t total_ns[SIM_STATES], longest_wait_ns;
	uint64_t switches, migrations, jobs, misses, lost;
	unsigned last_slot;		/* whatever pool that was in */
	uint64_t *sample;		/* wake to run */
	size_t samples, sample_room;
};

struct sim_group {
	struct sched_group g;
	struct sim *sim;
	unsigned index;
	struct sim_pool *pool;		/* where it is, or would start */
	char *values;			/* as given, and tuned since */
	bool started, refused;
	struct sim_entity **entity;
	unsigned count, room;
};

struct sim_pool {
	struct sim *sim;
	char name[SCHED_NAME_LEN * 2];
	struct sched sched;
	bool warn;
	struct sim_group **group;	/* started ones */
	unsigned groups, group_room;
	bool held_all;
	unsigned held[2], held_count;	/* lock domains */
	struct cpuset idle;		/* slots whose last pick found nothing */
	unsigned idle_count;
	struct list waiting;
	unsigned waiting_count;
	struct sim_pool_figures figures;
	struct sched_table **table;	/* all it ever had */
	unsigned tables, table_room;
};

struct sim_slot {
	struct heap_node next;
	struct sched_place place;
	struct sim_pool *pool;		/* NULL: free */
	unsigned domain;
	struct sim_entity *current;
	struct sim_entity *leaving;	/* replaced, until released */
	struct sched_out out;		/* pokes of that pick: sent after the release */
	uint64_t release_ns;
	uint64_t run_start_ns;		/* uncharged since */
	uint64_t work_from_ns;		/* its guest runs since, or will from */
	uint64_t until_ns, act_ns, poke_ns;
	uint64_t round_ns;
	unsigned rounds;		/* at round_ns */
};

struct sim {
	struct sim_options options;
	uint64_t now_ns, events;
	struct heap heap;
	struct sim_slot *slot;
	unsigned cpus;
	struct sim_pool **pool;
	struct sim_group **group;
	struct sim_entity **entity;
	unsigned pools, pool_room, groups, group_room, entities, entity_room;
	uint64_t event_count;
	void (*record)(void *context, const struct sim_stretch *stretch);
	void *record_context;
	void **kept;
	unsigned kept_count, kept_room;
	char wrong[256];
	struct sched_reason why;
	char *notes;
	uint64_t clock_ns;		/* what reading the host's clock adds to a measurement */
};

/* --- Memory: a host program that has none ends. */
void *sim_realloc(void *p, size_t bytes);
void *sim_alloc(size_t bytes);			/* zeroed, of at least a byte */
void sim_give_up(struct sim *sim, void *p);	/* frees what a policy had */
/* Appends a pointer to an array. */
#define SIM_PUSH(array, count, room, item) \
	do { \
		if ((count) == (room)) { \
			(room) = (room) * 2 + 8; \
			(array) = sim_realloc((array), (room) * sizeof((array)[0])); \
		} \
		(array)[(count)++] = (item); \
	} while (0)

/* --- engine.c: rounds of slots, and what happens to an entity. */
void sim_fail(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_note(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_hold(struct sim_pool *p, unsigned domain);
void sim_hold_all(struct sim_pool *p);
void sim_let_go(struct sim_pool *p);
/* An op on an entity: its domain must be held, and only pull and leave may change its slot. */
#define SIM_ENTITY_OP(p, op, se, ...) \
	do { \
		unsigned slot_ = sim_op_begin(p, se, #op); \
		SIM_CALL(p, op, &(p)->sched, &(se)->e, __VA_ARGS__); \
		sim_op_end(p, se, slot_, #op); \
	} while (0)
#define SIM_CALL(p, op, ...) SIM_COUNTED(p, op, (p)->sched.ops->op(__VA_ARGS__))
/* Counts and times the statement, which calls op. */
#define SIM_COUNTED(p, op, ...) \
	do { \
		uint64_t start_ = (p)->sim->options.time_ops ? sim_host_ns() : 0; \
		__VA_ARGS__; \
		sim_op_count(p, SIM_OP_##op, start_); \
	} while (0)
unsigned sim_op_begin(struct sim_pool *p, const struct sim_entity *se, const char *op);
void sim_op_end(struct sim_pool *p, struct sim_entity *se, unsigned slot, const char *op);
void sim_op_count(struct sim_pool *p, enum sim_op op, uint64_t start_ns);
uint64_t sim_host_ns(void);
uint64_t sim_clock_cost_ns(void);

void sim_send_pokes(struct sim *sim, struct sched_out *out);
void sim_make_runnable(struct sim_entity *se, struct sched_out *out);
void sim_make_blocked(struct sim_entity *se, struct sched_out *out);
void sim_wake(struct sim_entity *se);
void sim_hold_entity(struct sim_entity *se);	/* one pause: off its slot when this returns */
void sim_resume_entity(struct sim_entity *se);
/* Takes the current entity of slot off, at a safe point; it goes on elsewhere if it may. */
void sim_drop(struct sim *sim, unsigned slot);
void sim_arm(struct sim *sim, unsigned slot);	/* after what its next event depends on changed */
void sim_slot_event(struct sim *sim, unsigned slot);

/* --- pattern.c */
enum sim_turn { SIM_RUN_ON, SIM_BLOCK, SIM_YIELD };
void sim_pattern_start(struct sim_entity *se);
void sim_pattern_end(struct sim_entity *se);
void sim_pattern_arrival(struct sim_entity *se);	/* its timer went off */
enum sim_turn sim_pattern_done(struct sim_entity *se);	/* its run is over */
uint64_t sim_pattern_act_ns(const struct sim_entity *se, uint64_t from_ns, uint64_t until_ns);
void sim_progress(struct sim_entity *se);		/* takes what it has run off its work */
/* Unfinished jobs past their deadline. */
uint64_t sim_pattern_overdue(const struct sim_entity *se);

/* --- control.c: what cannot fail any more, and the question before it. */
void sim_join(struct sim_pool *p, unsigned cpu);
void sim_leave(unsigned cpu, struct sim_pool *p);
/* Asks p's policy; noted instead under admission = warn. new: how many entities of g->want are. */
enum err sim_admit(struct sim_pool *p, const struct sched_group *g, unsigned new);
enum err sim_may_enter(struct sim_group *g, struct sim_pool *p);
void sim_enter(struct sim_pool *p, struct sim_group *g, const struct sched_snapshot *standing);
/* Takes g, held, out of p; the standing of its entities, where asked for, in standing[count]. */
void sim_go(struct sim_pool *p, struct sim_group *g, struct sched_snapshot *standing);
enum err sim_validate(struct sim *sim, const struct sched_ops *ops, const struct sched_values *v,
		      enum sched_scope scope);
/* The values that se has under ops. */
enum err sim_values_of(struct sim_entity *se, const struct sched_ops *ops, struct sched_values *v);

#define SIM_OF_VM	(1u << SCHED_GROUP | 1u << SCHED_ENTITY)

#define SIM_FOREACH_ENTITY(se, g) \
	for (unsigned se##_i = 0; se##_i < (g)->count; se##_i++) \
		for (struct sim_entity *se = (g)->entity[se##_i]; se != NULL; se = NULL)

#define SIM_FOREACH_IN_POOL(se, p) \
	for (unsigned se##_g = 0; se##_g < (p)->groups; se##_g++) \
		SIM_FOREACH_ENTITY(se, (p)->group[se##_g])

/* --- pools.c */
void sim_pool_free(struct sim_pool *p);

/* --- values.c */
/* "key=value ..." into v, for ops; of scopes, a set of 1 << SCHED_GROUP, ... */
/* Some policy has a list of that name: it is given a row at a time. */
bool sim_is_list(const char *key);
/* The rows of a list that text has become p's table, with its values v; where it has none the table stays. No tune() yet. */
enum err sim_table_apply(struct sim_pool *p, const char *text, const struct sched_values *v);
enum err sim_values_apply(struct sim *sim, const char *whose, const struct sched_ops *ops,
			  unsigned scopes, const char *text, struct sched_values *v);
/* *text becomes *text more. */
void sim_values_append(char **text, const char *more);

/* --- sim.c */
#define SIM_NAME_LEN	48u
/* "web.1", or "web" where it is the only one of its group; in buf, SIM_NAME_LEN bytes. */
const char *sim_name(const struct sim_entity *se, char *buf);

/* --- figures.c */
/* After anything that may have changed its state. */
void sim_observe(struct sim_entity *se);
void sim_tell_all(struct sim *sim);
void sim_conserve(struct sim *sim, uint64_t until_ns);	/* nothing happens from now to until_ns */
