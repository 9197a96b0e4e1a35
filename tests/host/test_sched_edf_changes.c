/* SPDX-License-Identifier: BSD-2-Clause */
/* rtds and sedf: what their promises are worth while vCPUs are retuned, yield, sleep and move, and cpus come and go. */
#include "tests/host/edf_fixture.h"

static void shorten(struct sim *sim, void *arg)
{
	(void)sim;
	CHECK_EQ(sim_tune_entity(arg, "period=5ms budget=4ms"), ERR_OK);
}

TEST(shorter, "a shorter period holds from now on, also for who has used up its budget; what it has had early is taken off")
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sim_entity *a = one(pool(sim, both[i], 1), "a", "period=40ms budget=10ms extratime=off", &busy);

		sim_at(sim, 12 * MS, shorten, a);
		run(sim, 31 * MS);
		/*
		 * Until 40 it had 10 at 12, when a quarter of the 28 ms to come is 7: 7 more than its share. The next 5 ms are worth
		 * 4; so it waits for 17, and has 3 less then: 1. From 22 on it is as if nothing had been.
		 */
		CHECK_STR(table, "0 a 0-10000\n0 a 17000-18000\n0 a 22000-26000\n0 a 27000-31000\n");
		sim_destroy(sim);
	}
}

/* --- Somebody changes his settings all the time, always to half a cpu. */

struct shopper {
	struct sim_entity *e;
	struct test_rng rng;
};

static void shop(struct sim *sim, void *arg)
{
	static const char *const choice[] = {
		"period=100ms budget=50ms", "period=10ms budget=5ms", "period=1ms budget=500us", "period=40ms budget=20ms",
	};
	struct shopper *sh = arg;

	CHECK_EQ(sim_tune_entity(sh->e, choice[test_rand_below(&sh->rng, ARRAY_SIZE(choice))]), ERR_OK);
	sim_at(sim, sim_now(sim) + 1 + test_rand_below(&sh->rng, 4 * MS), shop, sh);
}

TEST(shopping, "who changes his reservation every few ms has no more of the cpu for it, and costs nobody a deadline")
{
	const struct sim_pattern job = { .kind = SIM_PERIODIC, .run_ns = 10 * MS, .every_ns = 20 * MS };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = sim_create(&(struct sim_options){ .check_every = 16 });
		struct shopper sh = { .rng = { 3 } };
		struct sim_entity *e;
		struct sim_pool *p;

		sim_machine(sim, 1, 1, 1, 1);
		p = pool(sim, both[i], 1);
		sh.e = one(p, "a", "period=100ms budget=50ms extratime=off", &busy);
		e = one(p, "b", "period=20ms budget=10ms extratime=off", &job);
		run(sim, 0);
		sim_at(sim, 30 * MS, shop, &sh);
		run(sim, 10 * NS_PER_S);
		printf("  %s: %.3f%% of the cpu, %lu of %lu jobs of the other late\n", both[i], 100 * share_of(sh.e, 10 * NS_PER_S),
		       sim_figures(e).misses, sim_figures(e).jobs);
		CHECK(sim_figures(e).misses == 0 && sim_figures(e).jobs >= 499);
		CHECK(share_of(sh.e, 10 * NS_PER_S) < 0.502 && share_of(sh.e, 10 * NS_PER_S) > 0.4);
		sim_destroy(sim);
	}
}
