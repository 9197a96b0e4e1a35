/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests/build.mk takes from pages: the policy of docs/writing-a-scheduler.md is one, docs/simulator.md's C is right. */
#include "tests/host/test.h"

#include "tests/fake/sched_model.h"
#include "tools/sim/sim.h"

TEST(conforms, "the policy of docs/writing-a-scheduler.md is found by name and keeps the contract")
{
	struct sched_conform how = { .ops = sched_policy_find("fifo"), .other = sched_policy_find("rr"), .steps = 10000 };

	CHECK(how.ops != NULL && how.other != NULL);
	for (how.seed = 1; how.seed <= 16; how.seed++) {
		how.slots = 1u << how.seed % 8, how.entities = 3 * how.slots, how.check_every = how.slots;
		CHECK_STR(sched_conform_of(&how), "");
	}
}

TEST(first_come, "its first comer runs for its limit, then the second")
{
	const struct sim_pattern busy = { .kind = SIM_BUSY };
	struct sim *sim = sim_create(NULL);
	struct sim_entity *a, *b;
	struct sim_pool *p;

	sim_machine(sim, 1, 1, 1, 1);
	p = sim_pool(sim, "p", "fifo", "limit=40ms", sim_cpus(0, 1));
	CHECK(p != NULL);
	a = sim_entity(sim_group(p, "a", NULL), &busy);
	b = sim_entity(sim_group(p, "b", NULL), &busy);
	CHECK(sim_run(sim, 100 * NS_PER_MS));
	CHECK_EQ(sim_figures(a).run_ns, 60 * NS_PER_MS);
	CHECK_EQ(sim_figures(b).run_ns, 40 * NS_PER_MS);
	sim_destroy(sim);
}

TEST(simulator, "the example in C of docs/simulator.md builds, and what it checks holds")
{
#include "doc_sim.inc"
}
