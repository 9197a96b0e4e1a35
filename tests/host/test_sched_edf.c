/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtds and sedf: timetables worked out by hand from the rules in their head comments, the promises they make with Xen's
 * figures beside ours, admission, and mutants.
 */
#include "tests/host/test.h"

#include <math.h>
#include <stdio.h>

#include "kernel/lib/format.h"
#include "tests/fake/sched_model.h"
#include "tools/sim/sim.h"

extern const struct sched_ops sched_rtds, sched_sedf;

#define MS	NS_PER_MS

/* --- A timetable as text: a stretch of running is `SLOT NAME FROM-TO`, in us. */

static char table[8192];

static void write_down(void *context, const struct sim_stretch *t)
{
	if (t->state == SIM_RUNS) {
		const struct sched_entity *e = sim_sched_entity((struct sim_entity *)(uintptr_t)t->entity);

		text_printf(context, "%u %s %lu-%lu\n", t->slot, e->group->name, t->from_ns / NS_PER_US,
			    t->to_ns / NS_PER_US);
	}
}

static struct text recording;

static struct sim *machine(unsigned cpus)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });

	sim_machine(sim, cpus, 1, cpus, 1);
	recording = text_make(table, sizeof(table));
	sim_record(sim, write_down, &recording);
	return sim;
}

static struct sim_pool *pool(struct sim *sim, const char *policy, unsigned cpus)
{
	return sim_pool(sim, "p", policy, NULL, sim_cpus(0, cpus));
}

static const struct sim_pattern busy = { .kind = SIM_BUSY };

static struct sim_entity *one(struct sim_pool *p, const char *name, const char *values, const struct sim_pattern *t)
{
	return sim_entity(sim_group(p, name, values), t);
}

static void run(struct sim *sim, uint64_t until_ns)
{
	if (!sim_run(sim, until_ns)) {
		test_fail(__FILE__, __LINE__, "%s", sim_wrong(sim));
	}
}

static const char *const both[] = { "rtds", "sedf" };

TEST(two_servers, "on one cpu the earliest deadline runs, and who has used up its budget waits for its deadline")
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sim_pool *p = pool(sim, both[i], 1);

		one(p, "a", "period=10ms budget=4ms extratime=off", &busy);
		one(p, "b", "period=25ms budget=10ms extratime=off", &busy);
		run(sim, 40 * MS);
		/* Deadlines of a 10, 20, ..., of b 25, 50. b is due first from 20 on: 25 against 30. */
		CHECK_STR(table, "0 a 0-4000\n0 b 4000-10000\n0 a 10000-14000\n0 b 14000-18000\n0 a 20000-24000\n"
				 "0 b 25000-30000\n0 a 30000-34000\n0 b 34000-39000\n");
		sim_destroy(sim);
	}
}

TEST(new_period, "a wake begins a period: a job of one budget is done a period after its release, on no grid")
{
	const struct sim_pattern late = { .kind = SIM_PERIODIC, .run_ns = 5 * MS, .every_ns = 10 * MS, .phase_ns = 3 * MS };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sim_pool *p = pool(sim, both[i], 1);
		struct sim_entity *b;

		one(p, "a", "period=10ms budget=5ms extratime=off", &busy);
		b = one(p, "b", "period=10ms budget=5ms extratime=off", &late);
		run(sim, 30 * MS);
		/* Deadlines of a 10, 20, 30; of b 13, 23, 33. */
		CHECK_STR(table, "0 a 0-5000\n0 b 5000-10000\n0 a 10000-15000\n0 b 15000-20000\n0 a 20000-25000\n"
				 "0 b 25000-30000\n");
		CHECK_EQ(sim_figures(b).misses, 0);
		sim_destroy(sim);
	}
}


TEST(homes, "a slice waits for its home slot under sedf; rtds runs it on whatever slot is free: that is what they differ in")
{
	static const char *const expected[] = {
		"1 b 0-3000\n1 c 3000-5000\n0 a 0-8000\n0 a 10000-12000\n1 b 10000-12000\n",
		"1 b 0-3000\n0 a 0-8000\n0 c 8000-10000\n0 a 10000-12000\n1 b 10000-12000\n",
	};

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(2);
		struct sim_pool *p = pool(sim, both[i], 2);

		one(p, "a", "period=10ms budget=8ms extratime=off", &busy);
		one(p, "b", "period=10ms budget=3ms extratime=off", &busy);
		one(p, "c", "period=20ms budget=2ms extratime=off", &busy);	/* 0.9 on slot 0: the least room that is enough */
		run(sim, 12 * MS);
		CHECK_STR(table, expected[i]);
		sim_destroy(sim);
	}
}

/* --- Deadlines. */

struct set {
	unsigned tasks;
	uint64_t period_us[12], budget_us[12];
};

static double uniform(struct test_rng *rng)
{
	return (double)(test_rand_below(rng, 1u << 30) + 1) / (1u << 30);
}

/* UUniFast: n shares of a sum, evenly over all such; each at most 1. Periods log-uniform from 10 to 100 ms. Whole us, rounded down. */
static struct set draw(struct test_rng *rng, unsigned tasks, double sum)
{
	struct set set = { .tasks = tasks };
	double rest = sum;
	bool again = false;

	for (unsigned i = 0; i < tasks; i++) {
		double next = i + 1 < tasks ? rest * pow(uniform(rng), 1.0 / (tasks - i - 1)) : 0;
		double period = 10000 * pow(10, uniform(rng));

		set.period_us[i] = (uint64_t)period;
		set.budget_us[i] = (uint64_t)((rest - next) * (double)set.period_us[i]);
		again = again || set.budget_us[i] < 10 || set.budget_us[i] > set.period_us[i];
		rest = next;
	}
	return again ? draw(rng, tasks, sum) : set;
}

struct outcome {
	unsigned accepted;
	uint64_t jobs, misses;
};

/* Each task's job takes its whole budget; late jobs are carried on. All of the set, or nothing: */
static void try_set(const char *policy, unsigned cpus, const struct set *set, const char *extra, uint64_t seed,
		    struct outcome *o)
{
	struct sim *sim = sim_create(&(struct sim_options){ .seed = seed, .check_every = SIM_NEVER });
	struct sim_entity *e[12];
	bool in = true;

	sim_machine(sim, cpus, 1, cpus, 1);
	for (unsigned i = 0; i < set->tasks; i++) {
		struct sim_pattern t = { .kind = SIM_PERIODIC, .run_ns = set->budget_us[i] * NS_PER_US,
					 .every_ns = set->period_us[i] * NS_PER_US, .random_phase = true };
		char values[128], name[16];
		struct sim_group *g;

		snprintf(values, sizeof(values), "period=%luus budget=%luus %s", set->period_us[i], set->budget_us[i], extra);
		snprintf(name, sizeof(name), "t%u", i);
		g = sim_group(i == 0 ? pool(sim, policy, cpus) : sim_pool_at(sim, 0), name, values);
		e[i] = sim_entity(g, &t);
		in = in && sim_start(g) == ERR_OK;
	}
	o->accepted += in;
	if (in) {
		run(sim, 6 * NS_PER_S);
		for (unsigned i = 0; i < set->tasks; i++) {
			o->jobs += sim_figures(e[i]).jobs;
			o->misses += sim_figures(e[i]).misses;
		}
	}
	sim_destroy(sim);
}

#define SETS	20u

struct cell {
	unsigned cpus;
	double use;
	const char *xen;
};

TEST(no_misses, "no set that admission accepts misses a deadline, whatever the phases; on one cpu all up to U 1 are accepted")
{
	static const struct cell cells[] = {
		{ 1, 0.5, "0.00" }, { 1, 0.8, "0.15" }, { 1, 0.95, "4.4" }, { 1, 1.0, "-" },
		{ 4, 0.5, "0.00" }, { 4, 0.6, "-" }, { 4, 0.7, "-" }, { 4, 0.8, "0.23" }, { 4, 0.9, "-" },
		{ 4, 0.95, "12.1" }, { 4, 1.0, "-" },
	};

	printf("  cpus    U  Xen rtds missed %%   rtds: accepted, jobs, missed    sedf: accepted, jobs, missed\n");
	for (unsigned c = 0; c < ARRAY_SIZE(cells); c++) {
		struct outcome o[2] = { { 0 } };

		for (unsigned i = 0; i < 2; i++) {
			for (uint64_t seed = 1; seed <= SETS; seed++) {
				struct test_rng rng = { 1000 * c + seed };
				struct set set = draw(&rng, cells[c].cpus == 1 ? 5 : 12, cells[c].use * cells[c].cpus);

				try_set(both[i], cells[c].cpus, &set, seed % 2 == 0 ? "extratime=off" : "", seed, &o[i]);
			}
		}
		printf("  %4u %4.2f  %18s   %14u %6lu %6lu    %14u %6lu %6lu\n", cells[c].cpus, cells[c].use, cells[c].xen,
		       o[0].accepted, o[0].jobs, o[0].misses, o[1].accepted, o[1].jobs, o[1].misses);
		for (unsigned i = 0; i < 2; i++) {
			CHECK_EQ(o[i].misses, 0);
			CHECK(cells[c].cpus > 1 || o[i].accepted == SETS);
		}
	}
}
