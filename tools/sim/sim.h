/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler simulator: the policies of sched/, the very sources, on simulated time, driven as
 * pool/ drives them.
 *
 *	struct sim *sim = sim_create(NULL);
 *	sim_machine(sim, 4, 1, 4, 1);
 *	struct sim_pool *p = sim_pool(sim, "web", "rr", "timeslice=5ms", sim_cpus(0, 4));
 *	struct sim_group *g = sim_group(p, "a", "weight=512");
 *	struct sim_entity *e = sim_entity(g, &(struct sim_pattern){ .kind = SIM_BUSY });
 *
 *	sim_run(sim, 10 * NS_PER_S);
 *	CHECK_STR(sim_wrong(sim), "");
 *	CHECK_EQ(sim_figures(e).run_ns, ...);
 *	sim_destroy(sim);
 *
 * Whatever the contract in sched/sched.h forbids ends the run; sim_wrong() says what it was. At one
 * instant the plan's events come first, then arrivals in order of the entities' creation, then
 * slots by number: a run never depends on anything but its input. Decisions take no time but
 * options.switch_ns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

struct sim;
struct sim_pool;
struct sim_group;
struct sim_entity;

/* --- Making one. */

struct sim_options {
	uint64_t seed;
	uint64_t switch_ns;	/* from pick to released() of the last and work of the next */
	uint64_t poke_ns;	/* from out->poke to the slot's pick */
	unsigned check_every;	/* events between two check()s; 0: 64; SIM_NEVER */
	bool time_ops;		/* measures host time in each op: for reports, not for tests */
	bool keep_memory;	/* frees nothing before sim_destroy(): mutants may hold on to it */
};

#define SIM_NEVER	UINT32_MAX

/* NULL: all 0. */
struct sim *sim_create(const struct sim_options *options);
void sim_destroy(struct sim *sim);
/*
 * Free cpus, numbered as a machine would: threads of a core side by side, then cores of an LLC,
 * LLCs of a node. Once.
 */
void sim_machine(struct sim *sim, unsigned cpus, unsigned threads_per_core, unsigned cores_per_llc,
		 unsigned llcs_per_node);
struct cpuset sim_cpus(unsigned first, unsigned count);

/*
 * Values are text, as in a manifest: "timeslice=5ms ratelimit=1ms", or NULL. A key that another
 * policy has and this one has not is without effect and noted (sim_notes()); one that none has is
 * refused. What is refused is NULL or an error, and sim_why() says why.
 */
struct sim_pool *sim_pool(struct sim *sim, const char *name, const char *policy, const char *values,
			  struct cpuset cpus);
/* The same with a policy that need not be registered: a mutant. */
struct sim_pool *sim_pool_of(struct sim *sim, const char *name, const struct sched_ops *ops,
			     const char *values, struct cpuset cpus);
/* Admission refuses: warn instead, and let it in. */
void sim_pool_warn(struct sim_pool *p, bool warn);
/*
 * A group, not yet in its pool: sim_start() lets it in, or the next sim_run(). values: of group and
 * entity scope.
 */
struct sim_group *sim_group(struct sim_pool *p, const char *name, const char *values);

/* --- What entities do. */

enum sim_kind {
	SIM_BUSY,		/* runs whenever it can */
	SIM_PERIODIC,		/* a job of run_ns every every_ns, due deadline_ns later */
	SIM_INTERACTIVE,	/* run_ns every every_ns + 0..jitter_ns; late: the wake is lost */
	SIM_BURSTY,		/* runs 1/2 to 3/2 of run_ns, sleeps 1/2 to 3/2 of every_ns */
	SIM_RANDOM,		/* runs up to 2 run_ns, then sleeps up to 2 every_ns, or yields */
	SIM_CHEAT,		/* blocks every_ns long, run_ns before its slice would end */
	SIM_YIELDER,		/* yields after each run_ns */
};

struct sim_pattern {
	enum sim_kind kind;
	uint64_t run_ns, every_ns;
	uint64_t phase_ns;	/* from its group's start to its first arrival */
	uint64_t jitter_ns;
	uint64_t deadline_ns;	/* 0: every_ns */
	bool random_phase;	/* phase_ns + 0..every_ns */
	bool drop;		/* an unfinished job ends at the next release; else jobs queue up */
};

/* Before its group starts. */
struct sim_entity *sim_entity(struct sim_group *g, const struct sim_pattern *pattern);
/* Where it may run and would rather; before or while it is in a pool. NULL: all. */
enum err sim_pin(struct sim_entity *e, const struct cpuset *hard, const struct cpuset *soft);

/* --- Running, and what happens meanwhile. */

/* Until sim_now() is until_ns. False: the contract was broken, see sim_wrong(). */
bool sim_run(struct sim *sim, uint64_t until_ns);
/*
 * fn(sim, arg) at at_ns; several at one time in the order of these calls. It may use all of these
 * functions but sim_run().
 */
void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *arg), void *arg);
uint64_t sim_now(const struct sim *sim);
const char *sim_wrong(const struct sim *sim);	/* the first breach of the contract; "": none */
const char *sim_why(const struct sim *sim);	/* words of the last refusal */
/* Lines: settings without effect, groups that were not admitted, admissions only warned of. */
const char *sim_notes(const struct sim *sim);

/* Lets g and its entities into its pool. ERR_ADMISSION and others: it stays out. */
enum err sim_start(struct sim_group *g);
void sim_remove(struct sim_group *g);
void sim_pause(struct sim_group *g);
void sim_resume(struct sim_group *g);
enum err sim_move_group(struct sim_group *g, struct sim_pool *to);
/* to NULL: cpu becomes free. */
enum err sim_move_cpu(struct sim *sim, unsigned cpu, struct sim_pool *to);
enum err sim_tune_pool(struct sim_pool *p, const char *values);
enum err sim_tune_group(struct sim_group *g, const char *values);
enum err sim_tune_entity(struct sim_entity *e, const char *values);
/* Another policy, live: each entity's standing is carried along. */
enum err sim_change_policy(struct sim_pool *p, const struct sched_ops *ops, const char *values);

/* --- Figures, since the start or the last sim_reset(). */

struct sim_figures {
	uint64_t run_ns, wait_ns, parked_ns, sleep_ns;	/* where its time went since it started */
	/* From wake to run, without what it was parked. */
	uint64_t wakes, wake_p50_ns, wake_p99_ns, wake_max_ns;
	uint64_t longest_wait_ns;	/* for a slot, unparked, woken or not, ended or not */
	uint64_t switches, migrations;
	uint64_t jobs, misses, lost;
};

struct sim_figures sim_figures(struct sim_entity *e);
void sim_reset(struct sim *sim);

enum sim_op {
#define SIM_OPS(X) \
	X(join) X(leave) X(admit) X(add) X(remove) X(set_affinity) X(wake) X(block) X(yield) \
	X(charge) X(pick) X(released) X(tune) X(export) X(import) X(check) X(pull)
#define SIM_OP_ENUM(name) SIM_OP_##name,
	SIM_OPS(SIM_OP_ENUM)
#undef SIM_OP_ENUM
	SIM_OP_COUNT
};

#define SIM_HOST_CLASSES	128u

struct sim_pool_figures {
	uint64_t calls[SIM_OP_COUNT];
	/* options.time_ops: calls by the host's time, in classes of a quarter of an octave */
	uint32_t host[SIM_OP_COUNT][SIM_HOST_CLASSES];
	/* For how long a slot was idle beside one that could have run there. */
	uint64_t idle_waiting_ns;
	char idle_waiting[96];			/* the first time that happened, in words */
	uint64_t pokes;
};

const struct sim_pool_figures *sim_pool_figures(struct sim_pool *p);
/* What that part of the calls of op took at most, about, over n pools. A mean would tell of the host's interrupts. */
uint64_t sim_host_ns_of(struct sim_pool *const *p, unsigned n, enum sim_op op, unsigned percent);
extern const char *const sim_op_name[SIM_OP_COUNT];

/*
 * The timetable as it comes about: a stretch is told when it ends, or sim_run() does. slot: of
 * SIM_RUNS, else SCHED_NO_SLOT.
 */
enum sim_state { SIM_SLEEPS, SIM_RUNS, SIM_WAITS, SIM_PARKED, SIM_STATES };

struct sim_stretch {
	const struct sim_entity *entity;
	enum sim_state state;
	unsigned slot;
	uint64_t from_ns, to_ns;
};

void sim_record(struct sim *sim, void (*fn)(void *context, const struct sim_stretch *stretch),
		void *context);

/* --- Looking inside. */
/* In order of creation; NULL: past the last. */
struct sim_entity *sim_entity_at(struct sim *sim, unsigned i);
struct sim_group *sim_group_at(struct sim *sim, unsigned i);
struct sim_pool *sim_pool_at(struct sim *sim, unsigned i);
struct sim_pool *sim_pool_of_cpu(const struct sim *sim, unsigned cpu);
const char *sim_pool_name(const struct sim_pool *p);
struct sched *sim_sched(struct sim_pool *p);
struct sim_pool *sim_group_pool(const struct sim_group *g);
bool sim_group_running(const struct sim_group *g);		/* in its pool */
struct sched_group *sim_sched_group(struct sim_group *g);
struct sched_entity *sim_sched_entity(struct sim_entity *e);
struct sim_group *sim_entity_group(const struct sim_entity *e);
unsigned sim_entity_index(const struct sim_entity *e);
unsigned sim_cpu_count(const struct sim *sim);
