/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/sim: plans damaged at random, and simulations whose pools, groups and cpus change at
 * random.
 */
#include "tests/host/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/lib/util.h"
#include "tools/sim/draw.h"
#include "tools/sim/plan.h"

static const char text[] =
	"[machine]\ncpus = 3\nuntil = 20ms\n"
	"[pool web]\nsched = rr\ntimeslice = 5ms\ncpus = 0-1\n"
	"[pool rt]\nsched = null\n"
	"[vm batch]\npool = web\ncopies = 3\n"
	"[vm s]\npattern = periodic\nrun = 2ms\nevery = 10ms\nlate = drop\nphase = random\n"
	"affinity = 0,1\n"
	"[events]\nat = 3ms vm migrate s rt\nat = 5ms pool cpu-add web 2\n"
	"at = 7ms pool set web timeslice=2ms\nat = 8ms pool sched web null\n"
	"at = 9ms vcpu pin s 0 1 0-1\nat = 10ms vm pause s\nat = 11ms vm resume s\n"
	"at = 12ms vm destroy batch\n";

static unsigned run_if_right(const struct plan *plan)
{
	const struct plan_options o = { 0 };
	struct plan_run run;
	unsigned ran = 0;

	if (plan->errors == 0 && plan->entities < 100 && plan->machine.until_ns <= NS_PER_S &&
	    plan->machine.warmup_ns == 0) {
		if (plan_start(&run, plan, &o)) {
			CHECK(plan_go(&run));
			ran = 1;
		}
		plan_end(&run);
	}
	return ran;
}

TEST(plan_whole, "a plan is read as written")
{
	struct plan plan;

	plan_read(&plan, text, sizeof(text) - 1);
	CHECK_EQ(plan.errors, 0);
	CHECK(plan.pools == 2 && plan.vms == 2 && plan.events == 8 && plan.entities == 4);
	CHECK_STR(plan.pool[0].values, "timeslice=5ms");
	CHECK(cpuset_has(&plan.pool[1].cpus, 2) && !cpuset_has(&plan.pool[1].cpus, 1));
	CHECK(plan.vm[1].pattern.kind == SIM_PERIODIC && plan.vm[1].pattern.drop &&
	      plan.vm[1].pattern.random_phase);
	CHECK_EQ(plan.vm[1].pool, 0);
	CHECK(plan.event[1].verb == PLAN_CPU_ADD && plan.event[1].at_ns == 5 * NS_PER_MS);
	CHECK_STR(plan.event[2].values, "timeslice=2ms");
	CHECK_EQ(run_if_right(&plan), 1);
	plan_free(&plan);
}

TEST(plan_damage, "a damaged plan is read to its end, every error with a place")
{
	static const char bytes[] = "[]=\n #;\"0123456789msu-^,.a\x80\t\r";
	struct test_rng rng = { 4 };
	unsigned ran = 0;

	for (unsigned round = 0; round < 1500; round++) {
		size_t size = sizeof(text) - 1;
		char *damaged = malloc(size);
		struct plan plan;

		memcpy(damaged, text, size);
		for (uint64_t n = 1 + test_rand_below(&rng, 2); n > 0; n--) {
			damaged[test_rand_below(&rng, size)] =
				bytes[test_rand_below(&rng, sizeof(bytes) - 1)];
		}
		size = round % 3 == 0 ? test_rand_below(&rng, size) : size;
		plan_read(&plan, damaged, size);
		for (unsigned i = 0; i < plan.errors; i++) {
			CHECK(plan.error[i].line > 0 && plan.error[i].column > 0 &&
			      plan.error[i].words[0] != '\0');
		}
		ran += run_if_right(&plan);
		plan_free(&plan);
		free(damaged);
	}
	CHECK(ran > 20);	/* damaged where it does not matter, or into something as good */
}

/* --- Everything changes at random, with switches and pokes that take their time. */

#define GROUPS	12u

struct chaos {
	struct sim_pool *pool[3];
	struct sim_group *group[GROUPS];
	struct test_rng rng;
	bool paused[GROUPS];
	unsigned done[7], refused;
};

static enum err change(struct sim *sim, struct chaos *c, unsigned what)
{
	const unsigned i = (unsigned)test_rand_below(&c->rng, GROUPS);
	struct sim_pool *p = c->pool[test_rand_below(&c->rng, ARRAY_SIZE(c->pool))];
	struct cpuset cpus = { .word = { 1 + test_rand_below(&c->rng, 255) } };

	switch (what) {
	case 0:
		return sim_move_cpu(sim, (unsigned)test_rand_below(&c->rng, 8),
				    test_rand_below(&c->rng, 8) == 0 ? NULL : p);
	case 1:
		return sim_move_group(c->group[i], p);
	case 2:
		return sim_change_policy(
			p, sched_policy_at((unsigned)test_rand_below(&c->rng, sched_policy_count())), NULL);
	case 3:
		(c->paused[i] ? sim_resume : sim_pause)(c->group[i]);
		c->paused[i] = !c->paused[i];
		return ERR_OK;
	case 4:
		return sim_pin(sim_entity_at(sim, i), &cpus, NULL);
	case 5:
		return sim_tune_pool(p, test_rand_below(&c->rng, 2) ? "timeslice=1ms" :
								      "timeslice=20ms");
	default:
		return sim_pin(sim_entity_at(sim, i), NULL, NULL);
	}
}

static void stir(struct sim *sim, void *arg)
{
	struct chaos *c = arg;
	unsigned what = (unsigned)test_rand_below(&c->rng, 7);

	if (change(sim, c, what) == ERR_OK) {
		c->done[what]++;
	} else {
		c->refused++;
	}
	sim_at(sim, sim_now(sim) + 1 + test_rand_below(&c->rng, NS_PER_MS), stir, c);
}

TEST(chaos,
     "whatever moves and changes, and however long switches take, time is neither lost nor found")
{
	for (uint64_t seed = 1; seed <= 24; seed++) {
		const struct sim_options o = {
			.seed = seed,
			.check_every = 1,
			.switch_ns = seed % 2 * 3000,
			.poke_ns = seed % 3 * 2000,
		};
		struct sim *sim = sim_create(&o);
		struct chaos c = { .rng = { seed } };
		char name[8];

		sim_machine(sim, 8, 2, 2, 2);
		for (unsigned i = 0; i < ARRAY_SIZE(c.pool); i++) {
			snprintf(name, sizeof(name), "p%u", i);
			c.pool[i] = sim_pool(sim, name, i == 0 ? "rr" : "null", NULL,
					     sim_cpus(i, i == 2 ? 6 : 1));
		}
		for (unsigned i = 0; i < GROUPS; i++) {
			const struct sim_pattern t = {
				.kind = (enum sim_kind)(i % 7),
				.run_ns = 300 * NS_PER_US,
				.every_ns = NS_PER_MS,
				.jitter_ns = i * 1000,
				.drop = i % 2 == 0,
			};

			c.group[i] = sim_group(c.pool[0], "g", NULL);
			sim_entity(c.group[i], &t);
		}
		sim_at(sim, NS_PER_MS, stir, &c);
		sim_run(sim, 400 * NS_PER_MS);
		CHECK_STR(sim_wrong(sim), "");
		for (unsigned i = 0; i < GROUPS; i++) {
			struct sim_figures f = sim_figures(sim_entity_at(sim, i));

			CHECK_EQ(f.run_ns + f.wait_ns + f.parked_ns + f.sleep_ns, 400 * NS_PER_MS);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(c.done); i++) {
			CHECK(c.done[i] > 5);
		}
		CHECK(c.refused > 5);
		sim_destroy(sim);
	}
}
