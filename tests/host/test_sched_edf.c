/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtds and sedf: timetables worked out by hand from the rules in their head comments, the promises they make with Xen's
 * figures beside ours, and mutants. Admission: test_sched_admit.c.
 */
#include "tests/host/edf_fixture.h"

#include "tests/fake/sched_model.h"

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


TEST(kept_budget, "a short sleep keeps deadline and budget where the rest fits its share of the time that is left")
{
	/* At 2, 4 and 6 it has 3, 2 and 1 ms left and 0.4 of 8, 6 and 4 ms to come. At 8 it has none, until 10. */
	const struct sim_pattern naps = { .kind = SIM_PERIODIC, .run_ns = 1 * MS, .every_ns = 2 * MS };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);

		one(pool(sim, both[i], 1), "a", "period=10ms budget=4ms extratime=off", &naps);
		run(sim, 12 * MS);
		CHECK_STR(table, "0 a 0-1000\n0 a 2000-3000\n0 a 4000-5000\n0 a 6000-7000\n0 a 10000-12000\n");
		sim_destroy(sim);
	}
}

TEST(latency, "sedf gives a slice in parts that double from `latency` on and end with the period")
{
	struct sim *sim = machine(1);

	/* Parts of 5, 10, 20 and the 5 ms that are left of 40; half of each; then whole periods. */
	one(pool(sim, "sedf", 1), "a", "period=40ms slice=20ms latency=5ms extratime=off", &busy);
	run(sim, 85 * MS);
	CHECK_STR(table, "0 a 0-2500\n0 a 5000-10000\n0 a 15000-25000\n0 a 35000-37500\n0 a 40000-60000\n0 a 80000-85000\n");
	sim_destroy(sim);
}

TEST(latency_counts, "with `latency` a wake is served before a deadline that comes later, without it after")
{
	const struct sim_pattern blip = { .kind = SIM_PERIODIC, .run_ns = MS, .every_ns = 100 * MS, .phase_ns = 2 * MS };
	static const uint64_t waits_ms[] = { 8, 0 };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sim_pool *p = pool(sim, "sedf", 1);
		struct sim_entity *a;

		one(p, "b", "period=20ms slice=10ms extratime=off", &busy);
		a = one(p, "a", i == 0 ? "period=100ms slice=20ms" : "period=100ms slice=20ms latency=10ms", &blip);
		run(sim, 90 * MS);
		CHECK_EQ(sim_figures(a).wake_max_ns, waits_ms[i] * MS);
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

struct outcome {
	unsigned accepted;
	uint64_t jobs, misses;
};

#define RUN_NS	(6 * NS_PER_S)

/* Each task's job takes its whole budget; late jobs are carried on. All of the set, or nothing: */
static void try_set(const struct sched_ops *ops, unsigned cpus, const struct set *set, const char *extra, uint64_t seed,
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
		g = sim_group(i == 0 ? sim_pool_of(sim, "p", ops, NULL, sim_cpus(0, cpus)) : sim_pool_at(sim, 0), name, values);
		e[i] = sim_entity(g, &t);
		in = in && sim_start(g) == ERR_OK;
	}
	o->accepted += in;
	if (in) {
		run(sim, RUN_NS);
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

				try_set(sched_policy_find(both[i]), cells[c].cpus, &set, seed % 2 == 0 ? "extratime=off" : "", seed, &o[i]);
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

/* Mutant: as Xen's rtds, a wake finds periods on a grid of their own. */
static void wake_on_grid(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	while (ee->deadline_ns <= now_ns) {
		ee->deadline_ns += ee->period_ns;
		ee->left_ns = ee->budget_ns;
		ee->spent = false;
	}
	ee->slept_ns = now_ns;
	sched_rtds.wake(s, e, now_ns, out);
}

/* Mutant: what a vCPU has used counts half. */
static void charge_half(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out)
{
	sched_rtds.charge(s, e, (ran_ns + 1) / 2, now_ns, out);
}

/* Mutant: the first come, not the first due. */
static void wake_in_turn(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;
	uint64_t period_ns = ee->period_ns;

	ee->period_ns = 100 * MS;
	ee->deadline_ns = 0;
	sched_rtds.wake(s, e, now_ns, out);
	ee->period_ns = period_ns;
}

static struct outcome misses_of(const struct sched_ops *ops, double use)
{
	struct outcome o = { 0 };

	for (uint64_t seed = 1; seed <= SETS; seed++) {
		struct test_rng rng = { 2000 + seed };
		struct set set = draw(&rng, 5, use);

		try_set(ops, 1, &set, "", seed, &o);
	}
	return o;
}

TEST(mutants_miss, "with periods on a grid, or the first come served first, deadlines are missed: the test above can fail")
{
	struct sched_ops grid = sched_rtds, turn = sched_rtds;
	struct outcome o, t;

	grid.wake = wake_on_grid;
	turn.wake = wake_in_turn;
	o = misses_of(&grid, 0.95);
	t = misses_of(&turn, 0.95);
	printf("  missed at U 0.95: periods on a grid %.1f%%, first come %.1f%% of %lu jobs\n",
	       100.0 * (double)o.misses / (double)o.jobs, 100.0 * (double)t.misses / (double)t.jobs, t.jobs);
	CHECK(o.misses > 0 && t.misses > 0);
}

/* --- Overrun and extra time. */

/* b wants three budgets a period. Beside it c, d fill the cpu. Returns the misses of c and d; *b_share is what b got. */
static uint64_t overrun(const struct sched_ops *ops, const char *extra, double *b_share)
{
	const struct sim_pattern b = { .kind = SIM_PERIODIC, .run_ns = 9 * MS, .every_ns = 10 * MS };
	const struct sim_pattern c = { .kind = SIM_PERIODIC, .run_ns = 8 * MS, .every_ns = 20 * MS, .phase_ns = 3 * MS };
	const struct sim_pattern d = { .kind = SIM_PERIODIC, .run_ns = 15 * MS, .every_ns = 50 * MS, .phase_ns = 7 * MS };
	struct sim *sim = machine(1);
	struct sim_pool *p = sim_pool_of(sim, "p", ops, NULL, sim_cpus(0, 1));
	char values[64];
	struct sim_entity *eb, *ec, *ed;
	uint64_t misses;

	snprintf(values, sizeof(values), "period=10ms budget=3ms extratime=%s", extra);
	eb = one(p, "b", values, &b);
	ec = one(p, "c", "period=20ms budget=8ms", &c);
	ed = one(p, "d", "period=50ms budget=15ms", &d);
	run(sim, 10 * NS_PER_S);
	*b_share = (double)sim_figures(eb).run_ns / (10.0 * NS_PER_S);
	misses = sim_figures(ec).misses + sim_figures(ed).misses;
	sim_destroy(sim);
	return misses;
}

TEST(isolation, "one that wants three times its budget gets it and no more, and costs the others no deadline at U 1")
{
	struct sched_ops half = sched_rtds;
	double share;

	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(overrun(sched_policy_find(both[i % 2]), i < 2 ? "off" : "on", &share), 0);
		CHECK(share > 0.2995 && share < 0.3005);
	}
	half.charge = charge_half;
	CHECK(overrun(&half, "off", &share) > 0);
}


TEST(extra, "extra time goes by weight under sedf, by budget under rtds; no cpu idles while one may use it")
{
	const struct sim_pattern job = { .kind = SIM_PERIODIC, .run_ns = 3 * MS, .every_ns = 10 * MS };
	struct sim *sim = machine(2);
	struct sim_pool *p = pool(sim, "sedf", 2);
	struct sim_entity *r = one(p, "r", "period=10ms slice=3ms extratime=off", &job), *e[4];
	static const double ideal[] = { 1.7 / 7, 3.4 / 7, 6.8 / 7 };
	double worst = 0;

	e[0] = one(p, "e0", "weight=100", &busy);
	e[1] = one(p, "e1", "weight=200", &busy);
	e[2] = one(p, "e2", "weight=400", &busy);
	run(sim, 10 * NS_PER_S);
	for (unsigned i = 0; i < 3; i++) {
		worst = MAX(worst, fabs(share_of(e[i], 10 * NS_PER_S) / ideal[i] - 1));
	}
	printf("  sedf: 1.7 cpus by weights 1:2:4, worst error %.2f%%\n", 100 * worst);
	CHECK(worst < 0.005 && sim_figures(r).misses == 0);
	CHECK_EQ(sim_pool_figures(p)->idle_waiting_ns, 0);
	sim_destroy(sim);

	sim = machine(1);
	p = pool(sim, "rtds", 1);
	e[0] = one(p, "a", "period=10ms budget=1ms", &busy);
	e[1] = one(p, "b", "period=10ms budget=3ms", &busy);
	run(sim, 10 * NS_PER_S);
	CHECK(fabs(share_of(e[0], 10 * NS_PER_S) - 0.25) < 0.002 && fabs(share_of(e[1], 10 * NS_PER_S) - 0.75) < 0.002);
	sim_destroy(sim);
}

TEST(extra_after_sleep, "who did without extra time for long has no more of it afterwards, whether it slept or had its budget")
{
	const struct sim_pattern rare = { .kind = SIM_PERIODIC, .run_ns = 30 * MS, .every_ns = 1000 * MS, .phase_ns = 500 * MS };

	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sim_pool *p = pool(sim, both[i], 1);
		struct sim_entity *a = one(p, "a", "period=10ms budget=1ms", &busy);

		one(p, "b", i == 1 ? "slice=0ms" : "period=10ms budget=1ms", &rare);
		one(p, "r", "period=10ms budget=1ms", &rare);
		run(sim, 4 * NS_PER_S);
		/* Behind a budget of each and a turn of each, which is half a ms under sedf, a budget under rtds. */
		CHECK(sim_figures(a).longest_wait_ns <= 4 * MS);
		sim_destroy(sim);
	}
}

static const struct sched_ops *late_one;

static struct sched_pick pick_late(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = late_one->pick(s, slot, now_ns, out);

	p.until_ns += p.until_ns == NS_NEVER ? 0 : 100 * NS_PER_US;
	return p;
}

TEST(late, "on a cpu that always comes late what is run beyond a budget is taken off the next one")
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *sim = machine(1);
		struct sched_ops ops = *sched_policy_find(both[i]);
		struct sim_pool *p;
		struct sim_entity *a;

		late_one = sched_policy_find(both[i]);
		ops.pick = pick_late;
		p = sim_pool_of(sim, "p", &ops, NULL, sim_cpus(0, 1));
		a = one(p, "a", "period=10ms budget=2ms extratime=off", &busy);
		one(p, "b", "period=10ms budget=1ms", &busy);
		run(sim, 10 * NS_PER_S);
		CHECK(fabs(share_of(a, 10 * NS_PER_S) - 0.2) < 0.0002);
		sim_destroy(sim);
	}
}

/* --- Mutants that are wrong about time; test_sched_mutants.c has those that the model catches. */

static bool blind(struct sched *s, struct sched_reason *why)
{
	(void)s, (void)why;
	return true;
}

static void forget(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)now_ns, (void)out;
}

/* Who is spent is not waited for. */
static struct sched_pick pick_without_refill(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = sched_rtds.pick(s, slot, now_ns, out);

	p.until_ns = p.entity == NULL ? NS_NEVER : p.until_ns;
	return p;
}

/* On one cpu: r has 3 of 10 ms, b what is left. Does each get that? */
static bool shares_kept(const struct sched_ops *ops)
{
	const char *rest = sched_tunable_find(ops, "weight", &(unsigned){ 0 }) != NULL ? NULL : "period=100ms budget=10ms";
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = SIM_NEVER });
	struct sim_entity *r, *b;
	struct sim_pool *p;
	bool kept;

	sim_machine(sim, 1, 1, 1, 1);
	p = sim_pool_of(sim, "p", ops, NULL, sim_cpus(0, 1));
	r = one(p, "r", "period=10ms budget=3ms extratime=off", &busy);
	b = one(p, "b", rest, &busy);
	kept = sim_run(sim, NS_PER_S) && fabs(share_of(r, NS_PER_S) - 0.3) < 0.01 && fabs(share_of(b, NS_PER_S) - 0.7) < 0.01;
	sim_destroy(sim);
	return kept;
}

TEST(released, "who forgets who was released gives nobody the rest of a cpu")
{
	for (unsigned i = 0; i < 2; i++) {
		struct sched_ops m = *sched_policy_find(both[i]);

		m.check = blind;
		CHECK(shares_kept(&m));
		m.released = forget;
		CHECK(!shares_kept(&m));		/* nobody waits too long for extra time: nothing is promised */
	}
}

TEST(refills, "a parked vCPU runs again at its deadline; without the carrier's `until` it does not")
{
	for (unsigned i = 0; i < 2; i++) {
		struct sched_ops ops = sched_rtds;
		struct sim *sim = machine(1);
		struct sim_entity *e;

		ops.pick = i == 0 ? ops.pick : pick_without_refill;
		e = one(sim_pool_of(sim, "p", &ops, NULL, sim_cpus(0, 1)), "a", "period=10ms budget=4ms extratime=off", &busy);
		run(sim, 100 * MS);
		CHECK_EQ(sim_figures(e).run_ns, (i == 0 ? 40 : 4) * MS);
		sim_destroy(sim);
	}
}

/* --- Coming from elsewhere. */

struct journey {
	struct sim_group *g;
	struct sim_pool *pool[2];
	unsigned moves;
};

static void move_on(struct sim *sim, void *arg)
{
	struct journey *j = arg;

	CHECK_EQ(sim_move_group(j->g, j->pool[++j->moves % 2]), ERR_OK);
	sim_at(sim, sim_now(sim) + MS, move_on, j);
}

TEST(moves, "who moves every ms, also between rtds and sedf, has one budget a period all the same")
{
	for (unsigned i = 0; i < 4; i++) {
		struct sim *sim = machine(2);
		struct journey j = { 0 };
		struct sim_entity *e;

		sim_record(sim, NULL, NULL);
		j.pool[0] = sim_pool(sim, "p", both[i % 2], NULL, sim_cpus(0, 1));
		j.pool[1] = sim_pool(sim, "q", both[i / 2], NULL, sim_cpus(1, 1));
		j.g = sim_group(j.pool[0], "e", "period=10ms budget=4ms extratime=off");
		e = sim_entity(j.g, &busy);
		sim_at(sim, MS / 2, move_on, &j);
		run(sim, NS_PER_S);
		CHECK(j.moves == 1000 && fabs(share_of(e, NS_PER_S) - 0.4) < 0.001);
		sim_destroy(sim);
	}
}

TEST(weights, "a weight that a VM had under another policy holds for sedf's extra time, and goes on to the next one")
{
	struct sim *sim = machine(1);
	struct sim_pool *p = pool(sim, "sedf", 1);
	struct sim_entity *a = one(p, "a", NULL, &busy), *b = one(p, "b", "weight=100", &busy);
	struct sched_snapshot had = { .weight = 300 }, has = { 0 };

	run(sim, 0);
	sim_pause(sim_entity_group(a));
	sched_sedf.import(sim_sched(p), sim_sched_entity(a), &had, sim_now(sim));
	sched_sedf.export(sim_sched(p), sim_sched_entity(a), &has);
	CHECK(has.weight == 300 && has.period_ns == 0);
	sim_resume(sim_entity_group(a));
	run(sim, NS_PER_S);
	CHECK(fabs(share_of(a, NS_PER_S) - 0.75) < 0.005 && fabs(share_of(b, NS_PER_S) - 0.25) < 0.005);
	sim_destroy(sim);
}
