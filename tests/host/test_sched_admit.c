/* SPDX-License-Identifier: BSD-2-Clause */
/* Admission under rtds and sedf: the arithmetic in words, what must be accepted, and what happens where it only warns. */
#include "tests/host/edf_fixture.h"

static struct sim_group *add(struct sim *sim, const char *name, const char *values, enum err expected)
{
	struct sim_group *g = sim_group(sim_pool_at(sim, 0), name, values);

	sim_entity(g, &busy);
	CHECK_EQ(sim_start(g), expected);
	return g;
}

TEST(words, "who does not fit is refused with the arithmetic: coming, changed, or when a cpu leaves; warn lets it be")
{
	struct sim *sim = machine(1);
	struct sim_pool *p = pool(sim, "rtds", 1);
	struct sim_group *g;

	g = add(sim, "a", "period=10ms budget=8ms", ERR_OK);
	add(sim, "b", "period=10ms budget=3ms", ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "budgets take 0.800 there + 0.300 new = 1.100 of 1 cpu");
	add(sim, "c", "period=10ms budget=2ms", ERR_OK);
	CHECK_EQ(sim_tune_group(g, "budget=9ms"), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "budgets take 0.200 there + 0.900 new = 1.100 of 1 cpu");
	CHECK_EQ(sim_tune_group(g, "budget=7ms"), ERR_OK);
	CHECK_EQ(sim_tune_group(g, "period=5ms"), ERR_RANGE);
	sim_pool_warn(p, true);
	add(sim, "d", "period=10ms slice=5ms", ERR_OK);		/* sedf's word for it */
	CHECK(strstr(sim_notes(sim), "0.900 there + 0.500 new = 1.400 of 1 cpu") != NULL);
	run(sim, NS_PER_S);
	sim_destroy(sim);

	sim = machine(2);
	(void)pool(sim, "rtds", 2);
	add(sim, "a", "period=10ms budget=6ms", ERR_OK);
	add(sim, "b", "period=10ms budget=6ms", ERR_OK);
	add(sim, "c", "period=10ms budget=6ms", ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "budgets take 1.200 there + 0.600 new = 1.800 of 2 cpus; beside one of 0.600 at most 1.400 is safe");
	CHECK_EQ(sim_move_cpu(sim, 1, NULL), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "budgets take 1.200 there + 0.000 new = 1.200 of 1 cpu");
	sim_destroy(sim);
}

TEST(replacing, "sedf places earlier ones again for a new one, and says which finds no cpu")
{
	struct sim *sim = machine(2);

	(void)pool(sim, "sedf", 2);
	/* 0.5 + 0.3 and 0.5 + 0.3; 0.4 fits only as 0.5 + 0.5 and 0.4 + 0.3 + 0.3. */
	add(sim, "a", "period=10ms slice=5ms", ERR_OK);
	add(sim, "b", "period=10ms slice=3ms", ERR_OK);
	add(sim, "c", "period=10ms slice=5ms", ERR_OK);
	add(sim, "d", "period=10ms slice=3ms", ERR_OK);
	add(sim, "e", "period=10ms slice=4ms", ERR_OK);
	add(sim, "f", NULL, ERR_OK);				/* extra time takes nothing */
	add(sim, "g", "period=10ms slice=1ms", ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "slices take 2.000 there + 0.100 new = 2.100 of 2 cpus; no cpu has 0.100 left");
	CHECK_EQ(sim_move_cpu(sim, 1, NULL), ERR_ADMISSION);
	run(sim, NS_PER_S);
	for (unsigned i = 0; i < 5; i++) {
		static const double ideal[] = { 0.5, 0.3, 0.5, 0.3, 0.4 };

		CHECK(fabs(share_of(sim_entity_at(sim, i), NS_PER_S) - ideal[i]) < 0.0051);
	}
	sim_destroy(sim);
}

TEST(pinned, "who is pinned is judged by the cpus that are left to him, and misses nothing either")
{
	const struct sim_pattern job = { .kind = SIM_PERIODIC, .run_ns = 4 * MS, .every_ns = 10 * MS, .random_phase = true };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(3);
		struct sim_pool *p = pool(sim, both[i], 3);
		struct sim_entity *e[6];
		unsigned in = 0;

		for (unsigned k = 0; k < 6; k++) {
			const struct cpuset cpu0 = sim_cpus(0, 1);
			char name[16];

			snprintf(name, sizeof(name), "t%u", k);
			e[k] = one(p, name, "period=10ms budget=4ms extratime=off", &job);
			if (k < 2) {
				CHECK_EQ(sim_pin(e[k], &cpu0, NULL), ERR_OK);
			}
			in += sim_start(sim_entity_group(e[k])) == ERR_OK;
		}
		/* rtds: cpu 0 has 0.8 of 1; beside 0.8 nobody else may use it: all others are refused. sedf: two a cpu. */
		CHECK_EQ(in, i == 0 ? 2 : 6);
		run(sim, 2 * NS_PER_S);
		for (unsigned k = 0; k < in; k++) {
			CHECK(sim_figures(e[k]).jobs >= 199 && sim_figures(e[k]).misses == 0);
		}
		sim_destroy(sim);
	}
}

TEST(pinned_full, "rtds: cpus may be filled by who is bound to them and who is not, where each has one that is left to him")
{
	const struct cpuset cpu0 = sim_cpus(0, 1), cpu1 = sim_cpus(1, 1);
	struct sim *sim = machine(2);
	struct sim_pool *p = pool(sim, "rtds", 2);

	sim_pin(one(p, "a", "period=10ms budget=9ms", &busy), &cpu0, NULL);
	sim_pin(one(p, "b", "period=10ms budget=9ms", &busy), &cpu1, NULL);
	one(p, "c", "period=10ms budget=1ms", &busy);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(sim_start(sim_group_at(sim, i)), ERR_OK);
	}
	add(sim, "d", "period=10ms budget=1ms", ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "budgets take 1.000 there + 0.100 new = 1.100 of 1 cpu");
	sim_destroy(sim);
}

/* Tasks of a random set that may run on random cpus, one after the other: those that are let in, with jobs of a whole budget. */
static unsigned try_pinned(const char *policy, struct test_rng *rng, uint64_t *jobs)
{
	const unsigned cpus = 2 + (unsigned)test_rand_below(rng, 4);
	const struct set set = draw(rng, 8, (0.5 + 0.5 * uniform(rng)) * cpus);
	struct sim *sim = sim_create(&(struct sim_options){ .seed = test_rand_below(rng, 1000), .check_every = SIM_NEVER });
	struct sim_pool *p;
	struct sim_entity *e[8];
	unsigned in = 0;

	sim_machine(sim, cpus, 1, cpus, 1);
	p = pool(sim, policy, cpus);
	for (unsigned i = 0; i < set.tasks; i++) {
		const struct sim_pattern job = { .kind = SIM_PERIODIC, .run_ns = set.budget_us[i] * NS_PER_US, .random_phase = true,
						 .every_ns = set.period_us[i] * NS_PER_US };
		const struct cpuset to = sim_cpus((unsigned)test_rand_below(rng, cpus), 1 + (unsigned)test_rand_below(rng, 3));
		char values[96];

		snprintf(values, sizeof(values), "period=%luus budget=%luus", set.period_us[i], set.budget_us[i]);
		e[i] = one(p, "t", values, &job);
		if (test_rand_below(rng, 3) > 0) {
			sim_pin(e[i], &to, NULL);
		}
		in += sim_start(sim_entity_group(e[i])) == ERR_OK;
	}
	run(sim, 2 * NS_PER_S);
	for (unsigned i = 0; i < set.tasks; i++) {
		CHECK_EQ(sim_figures(e[i]).misses, 0);
		*jobs += sim_figures(e[i]).jobs;
	}
	sim_destroy(sim);
	return in;
}

TEST(pinned_sets, "whatever cpus its vCPUs are pinned to, no set that is let in misses a deadline")
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t jobs = 0;
		unsigned in = 0;

		for (uint64_t seed = 1; seed <= 60; seed++) {
			in += try_pinned(both[i], &(struct test_rng){ seed }, &jobs);
		}
		printf("  %s: %u of %u tasks let in, %lu jobs, none late\n", both[i], in, 60 * 8, jobs);
		CHECK(in > 100 && jobs > 5000);
	}
}

static bool accepts(const char *policy, unsigned cpus, const struct set *set)
{
	struct sim *sim = machine(cpus);
	bool in = true;

	(void)pool(sim, policy, cpus);
	for (unsigned i = 0; i < set->tasks && in; i++) {
		char values[64];
		struct sim_group *g;

		snprintf(values, sizeof(values), "period=%luus budget=%luus", set->period_us[i], set->budget_us[i]);
		g = sim_group(sim_pool_at(sim, 0), "t", values);
		sim_entity(g, &busy);
		in = sim_start(g) == ERR_OK;
	}
	sim_destroy(sim);
	return in;
}

TEST(bounds, "every set under the stated bound is accepted: rtds m - (m - 1) Umax, sedf (b m + 1)/(b + 1), one cpu 1")
{
	struct test_rng rng = { 77 };
	unsigned under[2] = { 0 };

	for (unsigned round = 0; round < 600; round++) {
		unsigned cpus = 1 + (unsigned)test_rand_below(&rng, 6);
		struct set set = draw(&rng, 12, (0.2 + 0.8 * uniform(&rng)) * cpus * (cpus == 1 ? 1 : 0.8));
		double sum = 0, most = 0, b;

		for (unsigned i = 0; i < set.tasks; i++) {
			double use = (double)set.budget_us[i] / (double)set.period_us[i];

			sum += use;
			most = MAX(most, use);
		}
		b = floor(1 / most);
		if (sum <= cpus - (cpus - 1) * most) {
			under[0]++;
			CHECK(accepts("rtds", cpus, &set));
		}
		if (sum <= (b * cpus + 1) / (b + 1)) {
			under[1]++;
			CHECK(accepts("sedf", cpus, &set));
		}
	}
	printf("  of 600 random sets %u and %u were under the bound of rtds and of sedf\n", under[0], under[1]);
	CHECK(under[0] > 100 && under[1] > 100);
}

TEST(overload, "where admission only warns, nobody waits longer than the stated bound, and all get something")
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(2);
		struct sim_pool *p = pool(sim, both[i], 2);
		struct sim_entity *e[12];
		uint64_t worst_ns = 0, least_ns = NS_NEVER;
		struct test_rng rng = { 5 };
		struct set set = draw(&rng, 12, 6);

		sim_pool_warn(p, true);
		for (unsigned k = 0; k < 12; k++) {
			const struct sim_pattern t = { .kind = k % 3 == 0 ? SIM_RANDOM : SIM_BUSY, .run_ns = 5 * MS,
						       .every_ns = 30 * MS };
			char values[96];

			snprintf(values, sizeof(values), "period=%luus budget=%luus extratime=%s", set.period_us[k],
				 set.budget_us[k], k % 2 == 0 ? "on" : "off");
			e[k] = one(p, "t", values, &t);
		}
		run(sim, 10 * NS_PER_S);
		for (unsigned k = 0; k < 12; k++) {
			const struct sched_ops *ops = sched_policy_find(both[i]);

			CHECK(sim_figures(e[k]).longest_wait_ns <= ops->wait_bound_ns(sim_sched(p), sim_sched_entity(e[k])));
			worst_ns = MAX(worst_ns, sim_figures(e[k]).longest_wait_ns);
			least_ns = MIN(least_ns, sim_figures(e[k]).run_ns);
		}
		printf("  %s: 6 cpus' worth on 2: longest wait %lu ms, least share %.1f%%\n", both[i], worst_ns / MS,
		       (double)least_ns / (0.1 * NS_PER_S));
		sim_destroy(sim);
	}
}

TEST(overload_worst, "a wait under overload comes near to the bound: a period without budget, one to the deadline, and the others")
{
	for (unsigned i = 0; i < 2; i++) {
		const struct sim_pattern then = { .kind = SIM_BUSY, .phase_ns = 10 * MS };
		struct sim *sim = machine(1);
		struct sim_pool *p = pool(sim, both[i], 1);
		struct sim_entity *a;

		sim_pool_warn(p, true);
		a = one(p, "a", "period=100ms budget=10ms", &busy);
		for (unsigned k = 0; k < 3; k++) {
			one(p, "c", "period=50ms budget=45ms extratime=off", &then);
		}
		run(sim, 350 * MS);
		/*
		 * a has used up its budget at 10, and is due at 200 from 100 on. The three are due at 60, and again a period later or,
		 * if that is over, at once: at 145 and 110 twice, at 190: 7 turns of 45 ms from 10 to 325.
		 */
		CHECK_EQ(sim_figures(a).longest_wait_ns, 315 * MS);
		CHECK_EQ(sim_sched(p)->ops->wait_bound_ns(sim_sched(p), sim_sched_entity(a)), (2 * 100 + 3 * 45) * MS);
		sim_destroy(sim);
	}
}
