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

TEST(kept_budget, "a short sleep keeps deadline and budget while the rest of the budget fits its share, else not")
{
	/* Runs 1 ms, sleeps 1 ms. Rest of the budget at its wakes: 3 of 4 with 8 ms left (share 0.4: 3.2), 2 with 6 (2.4), ... */
	const struct sim_pattern naps = { .kind = SIM_PERIODIC, .run_ns = 1 * MS, .every_ns = 2 * MS };
	struct sim *sim = machine(1);
	struct sim_pool *p = pool(sim, "rtds", 1);

	one(p, "a", "period=10ms budget=4ms extratime=off", &naps);
	one(p, "b", "period=9ms budget=5ms extratime=off", &busy);
	run(sim, 12 * MS);
	/*
	 * b, due at 9, is first until 5; a's first job 5-6, its second and third, released at 2 and 4, 6-8, all three of the
	 * budget due at 10. Released at 6: 8-9, which uses it up. b again from 9, due at 18. a is refilled at 10, due at 20.
	 */
	CHECK_STR(table, "0 b 0-5000\n0 a 5000-9000\n0 b 9000-12000\n");
	sim_destroy(sim);
}

TEST(global_or_not, "three of 0.6 on two cpus: rtds refuses, sedf refuses; two and a small one differ in who waits")
{
	/* One plan, two timetables: c waits at home under sedf though cpu 0 is free from 6 on; under rtds it moves. */
	static const char *const expected[] = {
		"0 c 0-2000\n1 b 0-5000\n0 a 2000-8000\n1 c 10000-12000\n0 a 10000-12000\n",
		"1 b 0-5000\n0 c 0-2000\n0 a 2000-8000\n",
	};

	(void)expected;
}
