/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of rtds and sedf share: timetables as text, small machines, random sets of tasks. */
#pragma once

#include "tests/host/test.h"

#include <math.h>
#include <stdio.h>

#include "kernel/lib/format.h"
#include "sched/edf.h"
#include "tools/sim/sim.h"

#define MS	NS_PER_MS

extern const struct sched_ops sched_rtds, sched_sedf;

/* --- A timetable as text: a stretch of running is `SLOT NAME FROM-TO`, in us. */

static char table[8192];

static inline void write_down(void *context, const struct sim_stretch *t)
{
	if (t->state == SIM_RUNS) {
		const struct sched_entity *e = sim_sched_entity((struct sim_entity *)(uintptr_t)t->entity);

		text_printf(context, "%u %s %lu-%lu\n", t->slot, e->group->name, t->from_ns / NS_PER_US,
			    t->to_ns / NS_PER_US);
	}
}

static struct text recording;

static inline struct sim *machine(unsigned cpus)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });

	sim_machine(sim, cpus, 1, cpus, 1);
	recording = text_make(table, sizeof(table));
	sim_record(sim, write_down, &recording);
	return sim;
}

static inline struct sim_pool *pool(struct sim *sim, const char *policy, unsigned cpus)
{
	return sim_pool(sim, "p", policy, NULL, sim_cpus(0, cpus));
}

static const struct sim_pattern busy = { .kind = SIM_BUSY };

static inline struct sim_entity *one(struct sim_pool *p, const char *name, const char *values, const struct sim_pattern *t)
{
	return sim_entity(sim_group(p, name, values), t);
}

static inline void run(struct sim *sim, uint64_t until_ns)
{
	if (!sim_run(sim, until_ns)) {
		test_fail(__FILE__, __LINE__, "%s", sim_wrong(sim));
	}
}

static const char *const both[] = { "rtds", "sedf" };

struct set {
	unsigned tasks;
	uint64_t period_us[12], budget_us[12];
};

static inline double uniform(struct test_rng *rng)
{
	return (double)(test_rand_below(rng, 1u << 30) + 1) / (1u << 30);
}

/* UUniFast: n shares of a sum, evenly over all such; each at most 1. Periods log-uniform from 10 to 100 ms. Whole us, rounded down. */
static inline struct set draw(struct test_rng *rng, unsigned tasks, double sum)
{
	struct set set = { .tasks = tasks };
	bool again;

	do {
		double rest = sum;

		again = false;
		for (unsigned i = 0; i < tasks; i++) {
			double next = i + 1 < tasks ? rest * pow(uniform(rng), 1.0 / (tasks - i - 1)) : 0;

			set.period_us[i] = (uint64_t)(10000 * pow(10, uniform(rng)));
			set.budget_us[i] = (uint64_t)((rest - next) * (double)set.period_us[i]);
			again = again || set.budget_us[i] < 10 || set.budget_us[i] > set.period_us[i];
			rest = next;
		}
	} while (again);
	return set;
}

static inline double share_of(struct sim_entity *e, uint64_t ns)
{
	return (double)sim_figures(e).run_ns / (double)ns;
}
