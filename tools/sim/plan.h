/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plan: a machine, pools, VMs and events as text (docs/simulator.md), and the simulation made of
 * it.
 */
#pragma once

#include "tools/sim/sim.h"

#define PLAN_CPUS_MAX		CPU_MAX
#define PLAN_ENTITIES_MAX	1000000u

struct plan_error {
	unsigned line, column;		/* from 1; columns count characters */
	char words[256];		/* what was found and what was expected */
};

struct plan_machine {
	uint64_t cpus, threads, cores_per_llc, llcs_per_node;
	uint64_t switch_ns, poke_ns, seed, until_ns, warmup_ns;
};

struct plan_pool {
	char name[SCHED_NAME_LEN * 2];
	const struct sched_ops *ops;
	struct cpuset cpus;
	uint64_t warn;
	char *values;			/* "timeslice=5ms ..." */
};

struct plan_vm {
	char name[24];
	unsigned pool;
	uint64_t vcpus, copies, autostart;
	struct sim_pattern pattern;
	struct cpuset hard, soft;
	char *values;
};

enum plan_verb {
	PLAN_CPU_ADD,
	PLAN_CPU_REMOVE,
	PLAN_POOL_SET,
	PLAN_POOL_SCHED,
	PLAN_VM_MIGRATE,
	PLAN_VM_SET,
	PLAN_VM_PAUSE,
	PLAN_VM_RESUME,
	PLAN_VM_START,
	PLAN_VM_DESTROY,
	PLAN_VCPU_PIN,
};

struct plan_event {
	uint64_t at_ns;
	enum plan_verb verb;
	char *words;			/* as written */
	unsigned pool, vm;
	uint64_t vcpu;
	struct cpuset hard, soft;
	const struct sched_ops *ops;
	const char *values;		/* within words */
};

struct plan {
	struct plan_machine machine;
	struct plan_pool *pool;
	struct plan_vm *vm;
	struct plan_event *event;
	struct plan_error *error;	/* in order of the text */
	unsigned pools, vms, events, errors;
	uint64_t entities;
	unsigned pool_room, vm_room, event_room, error_room;
};

/* Reads all of it; what is wrong is in plan->error, all of it. */
void plan_read(struct plan *plan, const char *text, size_t size);
void plan_free(struct plan *plan);

/* A plan under way. */
struct plan_run {
	const struct plan *plan;
	struct sim *sim;
	struct sim_pool **pool;		/* [plan->pools] */
	struct sim_group ***group;	/* [plan->vms][copies * scale] */
	unsigned scale;
	struct plan_due *due;		/* [plan->events] */
	char error[256];
};

struct plan_options {
	const struct sched_ops *ops;	/* for every pool, instead of its own; NULL: as planned */
	unsigned scale;			/* times the copies of every VM; 0: 1 */
	bool time_ops;
};

/*
 * Makes the simulation of a plan without errors. NULL with error set: a policy refused its own
 * pool.
 */
bool plan_start(struct plan_run *run, const struct plan *plan, const struct plan_options *options);
/* To the plan's end, with figures from the end of its warm-up. False: sim_wrong(). */
bool plan_go(struct plan_run *run);
void plan_end(struct plan_run *run);
