/* SPDX-License-Identifier: BSD-2-Clause */
/* rtds and sedf: what their promises are worth while vCPUs are retuned, yield, sleep and move, and cpus come and go. */
#include "tests/fake/sched_model.h"
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

TEST(slept_off, "who has had too much and sleeps for longer than that is worth has a whole budget for his next job, else less")
{
	const struct sim_pattern job = { .kind = SIM_PERIODIC, .run_ns = 10 * MS, .every_ns = 100 * MS };
	const struct sim_pattern soon = { .kind = SIM_PERIODIC, .run_ns = 10 * MS, .every_ns = 20 * MS };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sim_entity *a = one(pool(sim, both[i], 1), "a", "period=40ms budget=10ms extratime=off", &job);

		sim_at(sim, 12 * MS, shorten, a);	/* 3 ms too much, as above */
		run(sim, 120 * MS);
		CHECK_STR(table, "0 a 0-10000\n0 a 100000-104000\n0 a 105000-109000\n0 a 110000-112000\n");
		sim_destroy(sim);

		sim = machine(1);
		a = one(pool(sim, both[i], 1), "a", "period=40ms budget=10ms extratime=off", &soon);
		sim_at(sim, 12 * MS, shorten, a);
		run(sim, 25 * MS);
		/* Its period was over at 17; the 3 ms to 20 are worth 2.4, so 0.6 of 4 is taken off, to a ns. */
		CHECK(fabs((double)sim_figures(a).run_ns - 13.4 * MS) <= 1);
		sim_destroy(sim);
	}
}

TEST(bound_together, "rtds: two bound to two cpus, whose budgets come together while others run there, are both found afterwards")
{
	const struct sim_pattern later = { .kind = SIM_BUSY, .phase_ns = 8 * MS };
	const char *values = "period=10ms budget=4ms extratime=off";
	const struct cpuset two = sim_cpus(0, 2);
	struct sim *sim = machine(2);
	struct sim_pool *p = pool(sim, "rtds", 2);

	CHECK_EQ(sim_pin(one(p, "a", values, &busy), &two, NULL), ERR_OK);
	CHECK_EQ(sim_pin(one(p, "b", values, &busy), &two, NULL), ERR_OK);
	one(p, "c", values, &later), one(p, "d", values, &later);
	run(sim, 17 * MS);
	CHECK_STR(table, "0 a 0-4000\n1 b 0-4000\n0 c 8000-12000\n1 d 8000-12000\n0 a 12000-16000\n1 b 12000-16000\n");
	sim_destroy(sim);
}

static void pause_and_resume(struct sim *sim, void *arg)
{
	(void)sim;
	sim_pause(sim_entity_group(arg));
	sim_resume(sim_entity_group(arg));
}

TEST(same_ns, "who is paused and resumed in the ns when more budgets come than one pick refills has his with the rest of them")
{
	for (unsigned i = 0; i < 2; i++) {
		static const char *const name[] = { "a", "b", "c", "d", "e" };
		struct sim *sim = machine(1);
		struct sim_pool *p = pool(sim, both[i], 1);
		struct sim_entity *last = NULL;

		for (unsigned k = 0; k < ARRAY_SIZE(name); k++) {
			last = one(p, name[k], "period=10ms budget=1ms extratime=off", &busy);
		}
		sim_at(sim, 10 * MS + 1, pause_and_resume, last);
		run(sim, 20 * MS);
		CHECK_EQ(sim_figures(last).run_ns, 2 * MS);
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

/* --- Everything at once, beside sets that admission lets in. */

struct storm {
	struct sim_pool *p;
	struct sim_entity *busy[4], *steady[4];
	struct test_rng rng;
	unsigned changes, cpus;
	bool has_spare;
};

static void change_one(struct sim *sim, struct storm *st)
{
	static const char *const budget[] = {
		"period=10ms budget=1ms", "period=2ms budget=200us", "period=50ms budget=2ms", "period=7ms budget=500us",
	};
	struct sim_entity *e = st->busy[test_rand_below(&st->rng, ARRAY_SIZE(st->busy))];
	const struct cpuset two = sim_cpus((unsigned)test_rand_below(&st->rng, 3), 2), all = sim_cpus(0, st->cpus);

	switch (test_rand_below(&st->rng, 5)) {
	case 0:
		CHECK_EQ(sim_tune_entity(e, budget[test_rand_below(&st->rng, ARRAY_SIZE(budget))]), ERR_OK);
		break;
	case 1:		/* refused where others are promised what it would take */
		(void)sim_pin(e, test_rand_below(&st->rng, 3) == 0 ? &two : &all, NULL);
		break;
	case 2:
		sim_pause(sim_entity_group(e));
		sim_resume(sim_entity_group(e));
		break;
	case 3:		/* the spare cpu goes, if it may, or comes back */
		st->has_spare = sim_move_cpu(sim, st->cpus - 1, st->has_spare ? NULL : st->p) == ERR_OK ? !st->has_spare :
												       st->has_spare;
		break;
	default:
		CHECK_EQ(sim_tune_entity(e, test_rand_below(&st->rng, 2) ? "extratime=on" : "extratime=off"), ERR_OK);
	}
}

static void storm(struct sim *sim, void *arg)
{
	struct storm *st = arg;

	change_one(sim, st);
	st->changes++;
	sim_at(sim, sim_now(sim) + 1 + test_rand_below(&st->rng, 2 * MS), storm, st);
}

TEST(storms, "jobs meet their deadlines while others yield, overrun, are retuned, pinned and paused, and a cpu comes and goes")
{
	static const struct sim_pattern others[] = {
		{ .kind = SIM_BUSY }, { .kind = SIM_YIELDER, .run_ns = 300 * NS_PER_US },
		{ .kind = SIM_RANDOM, .run_ns = 2 * MS, .every_ns = 5 * MS }, { .kind = SIM_CHEAT, .run_ns = 10 * NS_PER_US, .every_ns = MS },
	};

	for (unsigned i = 0; i < 2 * 3; i++) {
		struct sim *sim = sim_create(&(struct sim_options){ .seed = i, .check_every = 64 });
		struct storm st = { .rng = { i + 1 }, .cpus = 4, .has_spare = true };
		unsigned long jobs = 0, misses = 0;

		sim_machine(sim, st.cpus, 1, st.cpus, 1);
		st.p = pool(sim, both[i % 2], st.cpus);
		for (unsigned k = 0; k < 4; k++) {
			const uint64_t every_ns = (8 + 5 * k) * MS;
			const struct sim_pattern job = { .kind = SIM_PERIODIC, .run_ns = every_ns / 4, .every_ns = every_ns, .random_phase = true };
			char name[8], values[64];

			snprintf(values, sizeof(values), "period=%luus budget=%luus", every_ns / NS_PER_US, every_ns / NS_PER_US / 4);
			snprintf(name, sizeof(name), "s%u", k);
			st.steady[k] = one(st.p, name, values, &job);
			snprintf(name, sizeof(name), "b%u", k);
			st.busy[k] = one(st.p, name, "period=10ms budget=1ms", &others[k]);
		}
		run(sim, 0);
		sim_at(sim, MS, storm, &st);
		run(sim, 10 * NS_PER_S);
		for (unsigned k = 0; k < 4; k++) {
			jobs += sim_figures(st.steady[k]).jobs;
			misses += sim_figures(st.steady[k]).misses;
		}
		printf("  %s: %u changes, %lu of %lu jobs late\n", both[i % 2], st.changes, misses, jobs);
		CHECK(misses == 0 && jobs > 2500 && st.changes > 9000);
		sim_destroy(sim);
	}
}

TEST(each_vcpu, "two vCPUs of one VM have what each was given, and the others of the VM keep theirs when one is retuned")
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sim_group *g = sim_group(pool(sim, both[i], 1), "a", "period=10ms budget=1ms extratime=off");
		struct sim_entity *e[2] = { sim_entity(g, &busy), sim_entity(g, &busy) };

		run(sim, 0);
		CHECK_EQ(sim_tune_entity(e[1], "period=20ms budget=6ms"), ERR_OK);
		sim_record(sim, NULL, NULL);
		run(sim, 10 * NS_PER_S);
		CHECK(fabs(share_of(e[0], 10 * NS_PER_S) - 0.1) < 0.001 && fabs(share_of(e[1], 10 * NS_PER_S) - 0.3) < 0.002);
		sim_destroy(sim);
	}
}

static void leave(struct sim *sim, void *arg)
{
	CHECK_EQ(sim_move_cpu(sim, (unsigned)(uintptr_t)arg, NULL), ERR_OK);
}

/* budget of period, in us, and as much work as that. */
static void task(struct sim_pool *p, unsigned period_us, unsigned budget_us)
{
	const struct sim_pattern job = { .kind = SIM_PERIODIC, .run_ns = budget_us * NS_PER_US, .every_ns = period_us * NS_PER_US };
	char values[96];

	snprintf(values, sizeof(values), "period=%uus budget=%uus extratime=off", period_us, budget_us);
	CHECK_EQ(sim_start(sim_entity_group(one(p, "t", values, &job))), ERR_OK);
}

/* Whichever cpu leaves at leave_ns (0: none does), no deadline is missed. */
static void misses_nothing(const char *policy, unsigned cpus, const unsigned (*of)[2], unsigned n, uint64_t leave_ns)
{
	for (unsigned cpu = 0; cpu < (leave_ns > 0 ? cpus : 1); cpu++) {
		struct sim *sim = machine(cpus);
		struct sim_pool *p = pool(sim, policy, cpus);

		for (unsigned i = 0; i < n; i++) {
			task(p, of[i][0], of[i][1]);
		}
		if (leave_ns > 0) {
			sim_at(sim, leave_ns, leave, (void *)(uintptr_t)cpu);
		}
		run(sim, NS_PER_S);
		for (unsigned i = 0; i < n; i++) {
			CHECK(sim_figures(sim_entity_at(sim, i)).jobs > 90 && sim_figures(sim_entity_at(sim, i)).misses == 0);
		}
		sim_destroy(sim);
	}
}

TEST(leaves, "where the others have room, no deadline is missed when a cpu leaves in the middle of a job")
{
	static const unsigned halves[][2] = { { 10000, 5000 }, { 10000, 5000 } };
	/* On 3 cpus by deadline alone; on 2 the first misses, behind the two others, unless it goes first: EDF(1). */
	static const unsigned large[][2] = { { 10100, 6060 }, { 10000, 5000 }, { 10000, 5000 } };

	misses_nothing("rtds", 2, halves, 2, 53 * MS);
	misses_nothing("sedf", 2, halves, 2, 53 * MS);
	misses_nothing("rtds", 3, large, 3, 50 * MS);
}

TEST(largest, "rtds: two that are as large as to need a cpu each go before the small ones, on 3 cpus: EDF(2)")
{
	static const unsigned of[][2] = { { 10100, 9090 }, { 10100, 9090 }, { 10000, 5000 }, { 10000, 5000 } };

	misses_nothing("rtds", 3, of, 4, 0);
}

TEST(everywhere, "the contract holds also where hardly anybody is kept from any slot: then slots are not searched one by one")
{
	for (unsigned i = 0; i < 120; i++) {
		const struct sched_conform how = {
			.ops = sched_policy_find(both[i % 2]), .other = sched_policy_find(both[i / 2 % 2]), .slots = 3,
			.entities = 40, .steps = 10000, .check_every = 3, .seed = 350 + i / 4, .kept_in = 60,
		};
		const char *wrong = sched_conform_of(&how);

		if (wrong[0] != '\0') {
			test_fail(__FILE__, __LINE__, "%s, seed %lu: %s", how.ops->name, how.seed, wrong);
		}
	}
}
