/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/sim, the engine: timetables worked out by hand, figures, control operations, and what it
 * catches.
 */
#include "tests/host/test.h"

#include "kernel/lib/format.h"
#include "tools/sim/sim.h"

/* --- A timetable as text: a line a stretch of running, `SLOT NAME.N FROM-TO` in us. */

static char table[8192];

static void write_down(void *context, const struct sim_stretch *s)
{
	struct text *to = context;

	if (s->state == SIM_RUNS) {
		const struct sched_entity *e = sim_sched_entity((struct sim_entity *)s->entity);

		text_printf(to, "%u %s.%u %lu-%lu\n", s->slot, e->group->name, e->number,
			    s->from_ns / NS_PER_US, s->to_ns / NS_PER_US);
	}
}

static void start_table(struct sim *sim, struct text *to)
{
	*to = text_make(table, sizeof(table));
	sim_record(sim, write_down, to);
}

static const struct sim_pattern busy = { .kind = SIM_BUSY };

static struct sim *machine(unsigned cpus)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });

	sim_machine(sim, cpus, 1, cpus, 1);
	return sim;
}

static struct sim_entity *one(struct sim_pool *p, const char *name, const struct sim_pattern *t)
{
	return sim_entity(sim_group(p, name, NULL), t);
}

TEST(rr_turns, "rr on one cpu runs two busy entities in turn, a slice each")
{
	struct sim *sim = machine(1);
	struct sim_pool *p = sim_pool(sim, "p", "rr", "timeslice=10ms", sim_cpus(0, 1));
	struct sim_entity *a = one(p, "a", &busy), *b = one(p, "b", &busy);
	struct text to;

	start_table(sim, &to);
	CHECK(sim_run(sim, 35 * NS_PER_MS));
	CHECK_STR(table,
		  "0 a.0 0-10000\n0 b.0 10000-20000\n0 a.0 20000-30000\n0 b.0 30000-35000\n");
	CHECK_EQ(sim_figures(a).run_ns, 20 * NS_PER_MS);
	CHECK_EQ(sim_figures(b).wait_ns, 20 * NS_PER_MS);
	CHECK_EQ(sim_figures(b).longest_wait_ns, 10 * NS_PER_MS);
	CHECK_EQ(sim_figures(b).wakes, 1);
	CHECK_EQ(sim_figures(b).switches, 2);
	CHECK_EQ(sim_pool_figures(p)->idle_waiting_ns, 0);
	sim_destroy(sim);
}

TEST(rr_interactive,
     "under rr a woken entity waits for the end of the slice that runs, and the waits are measured")
{
	const struct sim_pattern t = {
		.kind = SIM_INTERACTIVE,
		.run_ns = NS_PER_MS,
		.every_ns = 20 * NS_PER_MS,
		.phase_ns = 5 * NS_PER_MS,
	};
	struct sim *sim = machine(1);
	struct sim_pool *p = sim_pool(sim, "p", "rr", NULL, sim_cpus(0, 1));
	struct sim_entity *b;
	struct sim_figures f;
	struct text to;

	one(p, "a", &busy);
	b = one(p, "b", &t);
	start_table(sim, &to);
	CHECK(sim_run(sim, 60 * NS_PER_MS));
	/* Slices of a start at 0, 11, 21, 32, 42, 53; b is due at 5, 25, 45. */
	CHECK_STR(table, "0 a.0 0-10000\n0 b.0 10000-11000\n0 a.0 11000-31000\n0 b.0 31000-32000\n"
			 "0 a.0 32000-52000\n0 b.0 52000-53000\n0 a.0 53000-60000\n");
	f = sim_figures(b);
	CHECK_EQ(f.wakes, 3);
	CHECK_EQ(f.wake_p50_ns, 6 * NS_PER_MS);
	CHECK_EQ(f.wake_p99_ns, 7 * NS_PER_MS);
	CHECK_EQ(f.jobs, 3);
	CHECK_EQ(f.sleep_ns, 39 * NS_PER_MS);
	sim_destroy(sim);
}

TEST(null_table, "null runs each entity on its own slot at once")
{
	const struct sim_pattern t = { .kind = SIM_PERIODIC,
				       .run_ns = 2 * NS_PER_MS,
				       .every_ns = 10 * NS_PER_MS };
	struct sim *sim = machine(2);
	struct sim_pool *p = sim_pool(sim, "p", "null", NULL, sim_cpus(0, 2));
	struct sim_entity *b;
	struct text to;

	one(p, "a", &busy);
	b = one(p, "b", &t);
	start_table(sim, &to);
	CHECK(sim_run(sim, 25 * NS_PER_MS));
	CHECK_STR(table, "1 b.0 0-2000\n1 b.0 10000-12000\n1 b.0 20000-22000\n0 a.0 0-25000\n");
	CHECK_EQ(sim_figures(b).misses, 0);
	CHECK_EQ(sim_figures(b).wake_max_ns, 0);
	sim_destroy(sim);
}

TEST(costs, "a switch takes its time from who comes, a poke from who waits for it")
{
	const struct sim_options o = { .switch_ns = 100 * NS_PER_US,
				       .poke_ns = 50 * NS_PER_US,
				       .check_every = 1 };
	const struct sim_pattern t = { .kind = SIM_PERIODIC,
				       .run_ns = NS_PER_MS,
				       .every_ns = 10 * NS_PER_MS };
	struct sim *sim = sim_create(&o);
	struct sim_entity *a;
	struct text to;

	sim_machine(sim, 1, 1, 1, 1);
	a = one(sim_pool(sim, "p", "null", NULL, sim_cpus(0, 1)), "a", &t);
	start_table(sim, &to);
	CHECK(sim_run(sim, 15 * NS_PER_MS));
	/* Joining asks at once; later wakes need a poke. */
	CHECK_STR(table, "0 a.0 0-1100\n0 a.0 10050-11150\n");
	CHECK_EQ(sim_figures(a).wake_max_ns, 50 * NS_PER_US);
	sim_destroy(sim);
}

static struct sim_figures rr_jobs(bool drop, unsigned i)
{
	const struct sim_pattern t = {
		.kind = SIM_PERIODIC,
		.run_ns = 6 * NS_PER_MS,
		.every_ns = 10 * NS_PER_MS,
		.drop = drop,
	};
	struct sim *sim = machine(1);
	struct sim_pool *p = sim_pool(sim, "p", "rr", NULL, sim_cpus(0, 1));
	struct sim_figures f;

	one(p, "a", &t);
	one(p, "b", &t);
	CHECK(sim_run(sim, 20 * NS_PER_MS));
	f = sim_figures(sim_entity_at(sim, i));
	sim_destroy(sim);
	return f;
}

TEST(deadlines, "late jobs are misses, whether they are carried on, dropped or never end")
{
	/*
	 * Carried: a runs 0-6, b 6-16, done with its first job at 12, a 16-20: at 20 the second of
	 * both are unfinished. Dropped: b loses its first at 10 and runs the second till 16; a
	 * loses its second at 20.
	 */
	CHECK_EQ(rr_jobs(false, 0).misses, 1);
	CHECK_EQ(rr_jobs(false, 0).jobs, 1);
	CHECK_EQ(rr_jobs(false, 1).misses, 2);
	CHECK_EQ(rr_jobs(false, 1).jobs, 1);
	CHECK_EQ(rr_jobs(true, 0).misses, 1);
	CHECK_EQ(rr_jobs(true, 0).jobs, 2);
	CHECK_EQ(rr_jobs(true, 1).misses, 1);
	CHECK_EQ(rr_jobs(true, 1).run_ns, 10 * NS_PER_MS);
}

TEST(lost, "a wake that falls due while the last job is unfinished is lost and counted")
{
	const struct sim_pattern t = { .kind = SIM_INTERACTIVE,
				       .run_ns = NS_PER_MS,
				       .every_ns = 4 * NS_PER_MS };
	struct sim *sim = machine(1);
	struct sim_pool *p = sim_pool(sim, "p", "rr", NULL, sim_cpus(0, 1));
	struct sim_entity *b;

	one(p, "a", &busy);
	b = one(p, "b", &t);
	CHECK(sim_run(sim, 12 * NS_PER_MS - 1));
	/* Due at 0, and lost at 4 and 8, for a runs until 10. */
	CHECK_EQ(sim_figures(b).lost, 2);
	CHECK_EQ(sim_figures(b).jobs, 1);
	sim_destroy(sim);
}

TEST(habits,
     "cheats block before their slice ends, yielders give way, the random ones keep their means")
{
	const struct sim_pattern cheat = { .kind = SIM_CHEAT,
					   .run_ns = NS_PER_MS,
					   .every_ns = 2 * NS_PER_MS };
	const struct sim_pattern yields = { .kind = SIM_YIELDER, .run_ns = 3 * NS_PER_MS };
	const struct sim_pattern bursty = { .kind = SIM_BURSTY,
					    .run_ns = NS_PER_MS,
					    .every_ns = 3 * NS_PER_MS };
	struct sim *sim = machine(2);
	struct sim_pool *p = sim_pool(sim, "p", "rr", NULL, sim_cpus(0, 1));
	struct sim_pool *q = sim_pool(sim, "q", "null", NULL, sim_cpus(1, 1));
	struct sim_entity *c;
	struct text to;

	one(p, "cheat", &cheat);
	one(p, "yields", &yields);
	start_table(sim, &to);
	CHECK(sim_run(sim, 20 * NS_PER_MS));
	CHECK_STR(table, "0 cheat.0 0-9000\n0 yields.0 9000-12000\n0 cheat.0 12000-20000\n");
	c = one(q, "bursty", &bursty);
	CHECK(sim_run(sim, 4020 * NS_PER_MS));
	/* A quarter of 4 s, to 5%: some 1,000 rounds of 4 ms, each off by at most half of that. */
	CHECK(sim_figures(c).run_ns > 950 * NS_PER_MS && sim_figures(c).run_ns < 1050 * NS_PER_MS);
	CHECK(sim_figures(c).wakes > 900 && sim_figures(c).wakes < 1100);
	sim_destroy(sim);
}

/* --- Control. */

static struct sim_pool *to_pool;
static enum err answer;

static void move_cpu_1(struct sim *sim, void *arg)
{
	answer = sim_move_cpu(sim, 1, arg);
}

static void move_group(struct sim *sim, void *arg)
{
	answer = sim_move_group(arg, to_pool);
}

TEST(moves, "cpus and groups move between pools at once, and what ran goes on")
{
	struct sim *sim = machine(3);
	struct sim_pool *p = sim_pool(sim, "p", "rr", NULL, sim_cpus(0, 2));
	struct sim_entity *a = one(p, "a", &busy), *b;
	struct text to;

	to_pool = sim_pool(sim, "q", "null", NULL, sim_cpus(2, 1));
	b = one(p, "b", &busy);
	start_table(sim, &to);
	sim_at(sim, 4 * NS_PER_MS, move_cpu_1, to_pool);
	sim_at(sim, 20 * NS_PER_MS, move_group, sim_entity_group(b));
	CHECK(sim_run(sim, 30 * NS_PER_MS));
	CHECK_EQ(answer, ERR_OK);
	CHECK(sim_pool_of_cpu(sim, 1) == to_pool);
	/*
	 * b comes off cpu 1 at 4, waits for a's slice to end at 10; at 20 it moves, to the first
	 * free slot of q.
	 */
	CHECK_STR(table, "1 b.0 0-4000\n0 a.0 0-10000\n0 b.0 10000-20000\n"
			 "0 a.0 20000-30000\n1 b.0 20000-30000\n");
	CHECK_EQ(sim_figures(b).migrations, 2);
	CHECK_EQ(sim_figures(a).run_ns, 20 * NS_PER_MS);
	CHECK_EQ(sim_move_cpu(sim, 0, to_pool), ERR_BUSY);
	CHECK_STR(sim_why(sim), "cpu 0 is the last of pool p, which has VMs");
	sim_destroy(sim);
}

static void remove_group(struct sim *sim, void *arg)
{
	(void)sim;
	sim_remove(arg);
}

static void start_group(struct sim *sim, void *arg)
{
	(void)sim;
	answer = sim_start(arg);
}

TEST(restart, "a VM that went in the middle of a job begins anew when it comes again, with deadlines of its own")
{
	const struct sim_pattern lax = { .kind = SIM_INTERACTIVE, .run_ns = 3 * NS_PER_MS, .every_ns = 10 * NS_PER_MS };
	const struct sim_pattern tight = {
		.kind = SIM_PERIODIC, .run_ns = 6 * NS_PER_MS, .every_ns = 10 * NS_PER_MS, .deadline_ns = 5 * NS_PER_MS,
	};
	struct sim *sim = machine(2);
	struct sim_pool *p = sim_pool(sim, "p", "null", NULL, sim_cpus(0, 2));
	struct sim_entity *e[] = { one(p, "a", &lax), one(p, "b", &tight) };

	for (unsigned i = 0; i < ARRAY_SIZE(e); i++) {
		sim_at(sim, NS_PER_MS, remove_group, sim_entity_group(e[i]));
		sim_at(sim, 4 * NS_PER_MS, start_group, sim_entity_group(e[i]));
	}
	/* From 4 on every 10 ms: 3 ms each, done; 6 ms each, a ms too late. */
	CHECK(sim_run(sim, 34 * NS_PER_MS));
	CHECK(sim_figures(e[0]).jobs == 3 && sim_figures(e[0]).lost == 0);
	CHECK(sim_figures(e[1]).jobs == 3 && sim_figures(e[1]).misses == 3);
	CHECK_EQ(sim_figures(e[1]).run_ns, (1 + 3 * 6) * NS_PER_MS);
	CHECK_EQ(sim_start(sim_entity_group(e[0])), ERR_STATE);
	CHECK_STR(sim_why(sim), "a is there already");
	sim_destroy(sim);
}

TEST(policy_change, "a pool changes its policy live; one that refuses leaves all as it was")
{
	struct sim *sim = machine(2);
	struct sim_pool *p = sim_pool(sim, "p", "rr", NULL, sim_cpus(0, 2));
	struct sim_entity *c;
	struct text to;

	one(p, "a", &busy);
	one(p, "b", &busy);
	c = one(p, "c", &busy);
	CHECK(sim_run(sim, 6 * NS_PER_MS));
	CHECK_EQ(sim_change_policy(p, sched_policy_find("null"), NULL), ERR_ADMISSION);
	CHECK_STR(sim_sched(p)->ops->name, "rr");
	CHECK(sim_run(sim, 30 * NS_PER_MS));
	CHECK(sim_figures(c).run_ns > 0);
	sim_remove(sim_entity_group(c));
	CHECK_EQ(sim_change_policy(p, sched_policy_find("null"), NULL), ERR_OK);
	start_table(sim, &to);
	CHECK(sim_run(sim, 100 * NS_PER_MS));
	CHECK_STR(table, "0 a.0 30000-100000\n1 b.0 30000-100000\n");
	CHECK_EQ(sim_tune_pool(p, "timeslice=1ms"), ERR_OK);
	CHECK_STR(sim_notes(sim), "p: timeslice has no effect under null\n");
	CHECK_EQ(sim_tune_pool(p, "nonsense=1"), ERR_NOENT);
	sim_destroy(sim);
}

TEST(pins, "a pinned entity runs where it may; a group that does not fit stays out")
{
	const struct cpuset one_cpu = sim_cpus(1, 1), none = sim_cpus(5, 1);
	struct sim *sim = machine(2);
	struct sim_pool *p = sim_pool(sim, "p", "null", NULL, sim_cpus(0, 2));
	struct sim_entity *a = one(p, "a", &busy), *b = one(p, "b", &busy), *c = one(p, "c", &busy);
	struct text to;

	CHECK_EQ(sim_pin(a, &one_cpu, NULL), ERR_OK);
	start_table(sim, &to);
	CHECK(sim_run(sim, NS_PER_MS));
	CHECK_STR(table, "1 a.0 0-1000\n0 b.0 0-1000\n");
	CHECK(!sim_group_running(sim_entity_group(c)));
	CHECK_EQ(sim_pin(b, &none, NULL), ERR_INVAL);
	sim_destroy(sim);
}

/* --- What no policy of these two does: parking, and several lock domains. */

extern const struct sched_ops sched_null;

/* Out of budget from 5 to 8 ms. */
static struct sched_pick pick_with_budget(struct sched *s, unsigned slot, uint64_t now_ns,
					  struct sched_out *out)
{
	struct sched_pick p = sched_null.pick(s, slot, now_ns, out);
	const bool out_of_budget = now_ns >= 5 * NS_PER_MS && now_ns < 8 * NS_PER_MS;

	if (p.entity == NULL) {
		return p;
	}
	p.entity->parked = out_of_budget ? SCHED_PARK_BUDGET : SCHED_NOT_PARKED;
	p.entity->parked_until_ns = 8 * NS_PER_MS;
	p.until_ns = now_ns < 5 * NS_PER_MS ? 5 * NS_PER_MS : NS_NEVER;
	return out_of_budget ? (struct sched_pick){ .until_ns = 8 * NS_PER_MS } : p;
}

TEST(parked, "time parked is no wait, and no cpu idles beside one that waits then")
{
	struct sched_ops ops = sched_null;
	struct sim *sim = machine(1);
	struct sim_pool *p;
	struct sim_entity *a;
	struct text to;

	ops.pick = pick_with_budget;
	p = sim_pool_of(sim, "p", &ops, NULL, sim_cpus(0, 1));
	a = one(p, "a", &busy);
	start_table(sim, &to);
	CHECK(sim_run(sim, 10 * NS_PER_MS));
	CHECK_STR(table, "0 a.0 0-5000\n0 a.0 8000-10000\n");
	CHECK_EQ(sim_figures(a).parked_ns, 3 * NS_PER_MS);
	CHECK_EQ(sim_figures(a).wait_ns, 0);
	CHECK_EQ(sim_figures(a).longest_wait_ns, 0);
	CHECK_EQ(sim_pool_figures(p)->idle_waiting_ns, 0);
	sim_destroy(sim);
}

static struct sched_entity *asked_for;

static struct sched_pick pick_own_domain(struct sched *s, unsigned slot, uint64_t now_ns,
					 struct sched_out *out)
{
	struct sched_pick p = sched_null.pick(s, slot, now_ns, out);

	if (slot != 0 && p.entity != NULL && p.entity->slot != slot) {
		asked_for = p.entity;
		return (struct sched_pick){ .entity = SCHED_PULL, .until_ns = 0 };
	}
	return p;
}

static void pull_asked_for(struct sched *s, unsigned from, unsigned to, uint64_t now_ns,
			   struct sched_out *out)
{
	(void)s, (void)from, (void)now_ns, (void)out;
	asked_for->slot = to;
}

static unsigned join_own_domain(struct sched *s, unsigned slot, const struct sched_place *place,
				uint64_t now_ns, struct sched_out *out)
{
	sched_null.join(s, slot, place, now_ns, out);
	return slot;
}

TEST(domains, "what is in another lock domain is pulled from there before it runs")
{
	struct sched_ops ops = sched_null;
	struct sim *sim = machine(2);
	struct sim_pool *p;
	struct text to;

	ops.pick = pick_own_domain;
	ops.pull = pull_asked_for;
	ops.join = join_own_domain;
	p = sim_pool_of(sim, "p", &ops, NULL, sim_cpus(0, 2));
	one(p, "a", &busy);
	one(p, "b", &busy);
	start_table(sim, &to);
	sim_run(sim, NS_PER_MS);
	CHECK_STR(sim_wrong(sim), "");
	CHECK_STR(table, "0 a.0 0-1000\n1 b.0 0-1000\n");
	CHECK_EQ(sim_pool_figures(p)->calls[SIM_OP_pull], 1);
	sim_destroy(sim);
}

/* --- Breaches. */

extern const struct sched_ops sched_rr;

static struct sched_pick pick_until_now(struct sched *s, unsigned slot, uint64_t now_ns,
					struct sched_out *out)
{
	struct sched_pick p = sched_rr.pick(s, slot, now_ns, out);

	p.until_ns = now_ns;
	return p;
}

static struct sched_entity *first_picked;

static struct sched_pick pick_the_same(struct sched *s, unsigned slot, uint64_t now_ns,
				       struct sched_out *out)
{
	struct sched_pick p = sched_rr.pick(s, slot, now_ns, out);

	first_picked = first_picked != NULL ? first_picked : p.entity;
	p.entity = first_picked;
	return p;
}

static struct sched_pick pick_and_poke(struct sched *s, unsigned slot, uint64_t now_ns,
				       struct sched_out *out)
{
	struct sched_pick p = sched_rr.pick(s, slot, now_ns, out);

	sched_poke(out, slot);
	return p;
}

static struct sched_pick pick_pull(struct sched *s, unsigned slot, uint64_t now_ns,
				   struct sched_out *out)
{
	(void)sched_rr.pick(s, slot, now_ns, out);
	return (struct sched_pick){ .entity = SCHED_PULL, .until_ns = slot };
}

static unsigned domain_of_slot(struct sched *s, unsigned slot, const struct sched_place *place,
			       uint64_t now_ns, struct sched_out *out)
{
	sched_rr.join(s, slot, place, now_ns, out);
	return slot;
}

static void wake_elsewhere(struct sched *s, struct sched_entity *e, uint64_t now_ns,
			   struct sched_out *out)
{
	sched_rr.wake(s, e, now_ns, out);
	e->slot = 1;
}

static void poke_nobody(struct sched *s, struct sched_entity *e, uint64_t now_ns,
			struct sched_out *out)
{
	sched_rr.wake(s, e, now_ns, out);
	sched_out_init(out);
}

static bool always_broken(struct sched *s, struct sched_reason *why)
{
	return sched_refuse(ERR_STATE, why, "broken") == ERR_OK;
}

/* Two busy entities and a sleeper on two slots; returns what the mutant did wrong. */
static const char *run_mutant(struct sched_ops mutant)
{
	const struct sim_options o = { .check_every = 1, .keep_memory = true };
	const struct sim_pattern t = { .kind = SIM_INTERACTIVE,
				       .run_ns = NS_PER_MS,
				       .every_ns = 5 * NS_PER_MS };
	static char words[256];
	struct sim *sim = sim_create(&o);
	struct sim_pool *p;

	first_picked = NULL;
	sim_machine(sim, 3, 1, 3, 1);
	p = sim_pool_of(sim, "p", &mutant, NULL, sim_cpus(0, 2));
	one(p, "a", &t);
	one(p, "b", &t);
	one(p, "c", &busy);
	sim_run(sim, 100 * NS_PER_MS);
	memcpy(words, sim_wrong(sim), sizeof(words));
	if (words[0] == '\0' && sim_pool_figures(p)->idle_waiting_ns > 0) {
		memcpy(words, sim_pool_figures(p)->idle_waiting,
		       sizeof(sim_pool_figures(p)->idle_waiting));
	}
	sim_destroy(sim);
	return words;
}

TEST(breaches, "what the contract forbids ends the run, in words")
{
	struct sched_ops m = sched_rr;

	CHECK_STR(run_mutant(m), "");
	m.pick = pick_until_now;
	CHECK_STR(run_mutant(m),
		  "at 0 ns: pick of slot 0: until is 0, which is not later than now");
	m.pick = pick_the_same;
	CHECK_STR(run_mutant(m), "at 0 ns: pick of slot 1: a.0 is still on slot 0");
	m.pick = pick_and_poke;
	CHECK_STR(run_mutant(m), "at 0 ns: slot 0: 1000 rounds at one instant");
	m.pick = pick_pull;
	CHECK_STR(run_mutant(m),
		  "at 0 ns: pick of slot 0: asks to pull from slot 0, which cannot be");
	m = sched_rr;
	m.join = domain_of_slot;
	CHECK_STR(run_mutant(m),
		  "at 0 ns: pick of slot 1: b.0 is of a lock domain that is not held");
	m = sched_rr;
	m.wake = wake_elsewhere;
	CHECK_STR(run_mutant(m), "at 0 ns: wake of a.0: wrote its slot");
	m.wake = poke_nobody;
	CHECK_STR(run_mutant(m), "at 5000000 ns: slot 1 idles beside a.0");
	m = sched_rr;
	m.check = always_broken;
	CHECK_STR(run_mutant(m), "at 0 ns: check() of pool p: broken");
}

TEST(repeats, "two runs of one seed are the same, of two seeds are not")
{
	const struct sim_pattern t = { .kind = SIM_RANDOM,
				       .run_ns = NS_PER_MS,
				       .every_ns = NS_PER_MS };
	uint64_t run_ns[3];

	for (unsigned i = 0; i < 3; i++) {
		struct sim *sim = sim_create(&(struct sim_options){ .seed = i / 2 });
		struct sim_pool *p;

		sim_machine(sim, 2, 1, 2, 1);
		p = sim_pool(sim, "p", "rr", NULL, sim_cpus(0, 2));
		for (unsigned k = 0; k < 5; k++) {
			one(p, "r", &t);
		}
		CHECK(sim_run(sim, NS_PER_S));
		run_ns[i] = sim_figures(sim_entity_at(sim, 2)).run_ns;
		sim_destroy(sim);
	}
	CHECK_EQ(run_ns[0], run_ns[1]);
	CHECK(run_ns[0] != run_ns[2]);
}
