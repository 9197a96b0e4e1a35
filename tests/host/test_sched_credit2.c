/* SPDX-License-Identifier: BSD-2-Clause */
/* sched/credit2: timetables worked out from its rules, promises with the figure beside Xen's, and mutants. */
#include "tests/host/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/sched_model.h"
#include "tools/sim/sim.h"

extern const struct sched_ops sched_credit2;

static const struct sim_pattern busy = { .kind = SIM_BUSY };

/* --- Timetables: `SLOT NAME FROM-TO` in us. */

static char table[4096];

static void write_down(void *context, const struct sim_stretch *s)
{
	struct text *to = context;

	if (s->state == SIM_RUNS) {
		text_printf(to, "%u %s %lu-%lu\n", s->slot, sim_sched_entity((struct sim_entity *)s->entity)->group->name,
			    s->from_ns / NS_PER_US, s->to_ns / NS_PER_US);
	}
}

struct one {
	const char *values;
	struct sim_pattern pattern;
};

/* Entities a, b, ... on cpus in one queue. */
static const char *timetable(unsigned cpus, const struct one *e, unsigned n, uint64_t ns)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });
	struct text to = text_make(table, sizeof(table));
	struct sim_pool *p;

	sim_machine(sim, cpus, 1, cpus, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, cpus));
	for (unsigned i = 0; i < n; i++) {
		sim_entity(sim_group(p, (char[]){ (char)('a' + i), '\0' }, e[i].values), &e[i].pattern);
	}
	sim_record(sim, write_down, &to);
	sim_run(sim, ns);
	CHECK_STR(sim_wrong(sim), "");
	sim_destroy(sim);
	return table;
}

TEST(turns, "two of equal weight take turns of the ratelimit, for neither has had more when it is over")
{
	const struct one e[] = { { NULL, busy }, { NULL, busy } };

	CHECK_STR(timetable(1, e, 2, 4 * NS_PER_MS),
		  "0 a 0-1000\n0 b 1000-2000\n0 a 2000-3000\n0 b 3000-4000\n");
}

TEST(weights, "who has twice the weight runs twice as long until it has had what the other has")
{
	const struct one e[] = { { "weight=256", busy }, { "weight=512", busy } };

	CHECK_STR(timetable(1, e, 2, 9 * NS_PER_MS),
		  "0 a 0-1000\n0 b 1000-3000\n0 a 3000-4000\n0 b 4000-6000\n0 a 6000-7000\n0 b 7000-9000\n");
}

TEST(cap_table, "a cap of 30% is 3 ms at the start of each 10 ms; the rest is the other's, or nobody's")
{
	const struct one e[] = { { "cap=30", busy }, { "weight=1", busy } };

	CHECK_STR(timetable(1, e, 1, 24 * NS_PER_MS), "0 a 0-3000\n0 a 10000-13000\n0 a 20000-23000\n");
	/* b, of weight 1, must be given way to once, when both have had nothing. */
	CHECK_STR(timetable(1, e, 2, 24 * NS_PER_MS),
		  "0 a 0-1000\n0 b 1000-2000\n0 a 2000-4000\n0 b 4000-10000\n0 a 10000-13000\n0 b 13000-20000\n"
		  "0 a 20000-23000\n0 b 23000-24000\n");
}

TEST(preempt, "who wakes takes over at once where the runner has had more and is past its ratelimit, else when it is")
{
	const struct sim_pattern late = { .kind = SIM_INTERACTIVE, .run_ns = NS_PER_MS, .every_ns = 20 * NS_PER_MS,
					  .phase_ns = 5 * NS_PER_MS };
	const struct sim_pattern soon = { .kind = SIM_INTERACTIVE, .run_ns = NS_PER_MS, .every_ns = 20 * NS_PER_MS,
					  .phase_ns = 700 * NS_PER_US };
	const struct one first[] = { { NULL, busy }, { NULL, late } }, second[] = { { NULL, busy }, { NULL, soon } };

	CHECK_STR(timetable(1, first, 2, 28 * NS_PER_MS), "0 a 0-5000\n0 b 5000-6000\n0 a 6000-25000\n0 b 25000-26000\n0 a 26000-28000\n");
	/* At 700 us a has had 700 more, and goes on for max(500, 1000 - 700). */
	CHECK_STR(timetable(1, second, 2, 4 * NS_PER_MS), "0 a 0-1200\n0 b 1200-2200\n0 a 2200-4000\n");
}

TEST(shorter, "a shorter ratelimit holds for who runs, too")
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });
	struct text to = text_make(table, sizeof(table));
	struct sim_pool *p;

	sim_machine(sim, 1, 1, 1, 1);
	p = sim_pool(sim, "p", "credit2", "ratelimit=100ms", sim_cpus(0, 1));
	sim_entity(sim_group(p, "a", NULL), &busy);
	sim_entity(sim_group(p, "b", NULL), &busy);
	sim_record(sim, write_down, &to);
	sim_run(sim, 10 * NS_PER_MS);
	CHECK_EQ(sim_tune_pool(p, "ratelimit=1ms"), ERR_OK);
	sim_run(sim, 21 * NS_PER_MS);
	/* A ms more; then b catches up. */
	CHECK_STR(table, "0 a 0-10000\n0 a 10000-11000\n0 b 11000-21000\n");
	sim_destroy(sim);
}

TEST(yield, "who yields is replaced whatever it has had and however short it ran")
{
	const struct sim_pattern yielder = { .kind = SIM_YIELDER, .run_ns = 200 * NS_PER_US };
	const struct one e[] = { { "weight=512", yielder }, { NULL, busy } };

	CHECK_STR(timetable(1, e, 2, 2400 * NS_PER_US), "0 a 0-200\n0 b 200-1200\n0 a 1200-1400\n0 b 1400-2400\n");
}

/* --- Promises. */

/* The ideal: shares by weight, none above one slot. */
static void water_fill(const unsigned *weight, unsigned n, double slots, double *share)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++) {
		share[i] = 0;
		sum += weight[i];
	}
	for (bool again = true; again;) {
		double level = slots / sum;

		again = false;
		for (unsigned i = 0; i < n; i++) {
			if (share[i] < 1 && weight[i] * level >= 1) {
				share[i] = 1;
				slots -= 1;
				sum -= weight[i];
				again = true;
			}
		}
	}
	for (unsigned i = 0; i < n; i++) {
		share[i] = share[i] < 1 ? weight[i] * slots / sum : 1;
	}
}

/* The worst error of a share, in %, of n busy entities over 10 s on slots in queues of per_queue. */
static double worst_error(const struct sched_ops *ops, unsigned slots, unsigned per_queue, const unsigned *weight, unsigned n)
{
	const uint64_t ns = 10 * NS_PER_S;
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 4096 });
	double worst = 0, *share = calloc(n, sizeof(*share));
	struct sched_reason why;
	struct sim_pool *p;
	char values[32];

	sim_machine(sim, slots, 1, per_queue, 1);
	p = sim_pool_of(sim, "p", ops, NULL, sim_cpus(0, slots));
	for (unsigned i = 0; i < n; i++) {
		snprintf(values, sizeof(values), "weight=%u", weight[i]);
		sim_entity(sim_group(p, values, values), &busy);
	}
	sim_run(sim, ns);
	CHECK_STR(sim_wrong(sim), "");
	CHECK_EQ(sim_pool_figures(p)->idle_waiting_ns, 0);
	CHECK(ops->check(sim_sched(p), &why));
	water_fill(weight, n, slots, share);
	for (unsigned i = 0; i < n; i++) {
		struct sim_entity *e = sim_entity_at(sim, i);
		struct sim_figures f = sim_figures(e);
		double error = (double)f.run_ns / (double)ns / share[i] - 1;

		worst = MAX(worst, error < 0 ? -error : error);
		CHECK(f.longest_wait_ns <= ops->wait_bound_ns(sim_sched(p), sim_sched_entity(e)));
	}
	sim_destroy(sim);
	free(share);
	return worst * 100;
}

TEST(shares, "shares over 10 s follow the weights, also where they do not divide, and none starves beyond the stated wait")
{
	static const struct {
		const char *what, *xen;
		unsigned slots, n;
		double most;
	} row[] = {
		{ "1:2:4:8 on 1 cpu", "0.05%", 1, 4, 0.0501 },
		{ "14 of 1:2:4:8 on 7 cpus", "0.68%", 7, 14, 0.5 },
		{ "4 of 1:2:4:8 on 2 cpus", "-", 2, 4, 0.5 },
		{ "3 equal on 2 cpus", "3.45%", 2, 3, 0.2 },
	};
	const unsigned equal[] = { 256, 256, 256 };
	unsigned weight[14];

	for (unsigned i = 0; i < 14; i++) {
		weight[i] = 1u << i % 4;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		double error = worst_error(&sched_credit2, row[i].slots, row[i].slots, i == 3 ? equal : weight, row[i].n);

		printf("  %-26s worst error %.3f%%, Xen %s\n", row[i].what, error, row[i].xen);
		CHECK(error <= row[i].most);
	}
}

TEST(queues, "shares hold across queues: what one queue is behind, its waiters get in another")
{
	const unsigned equal[] = { 256, 256, 256 };
	struct test_rng rng = { 5 };
	unsigned weight[320];
	double error;

	error = worst_error(&sched_credit2, 2, 1, equal, 3);
	printf("  3 equal on 2 queues of 1 cpu: worst error %.3f%%\n", error);
	CHECK(error <= 0.5);
	for (unsigned i = 0; i < ARRAY_SIZE(weight); i++) {
		weight[i] = 64 + (unsigned)test_rand_below(&rng, 1024);
	}
	error = worst_error(&sched_credit2, 64, 16, weight, 320);
	printf("  320 of weight 64 to 1087 on 4 queues of 16 cpus: worst error %.3f%%\n", error);
	CHECK(error <= 1.5);
	error = worst_error(&sched_credit2, 64, 16, weight, 70);
	printf("  70 of them: worst error %.3f%%\n", error);
	CHECK(error <= 2);
}

/* The share of one of that cap beside so many rivals, in %. */
static double capped(unsigned cap, unsigned rivals)
{
	struct sim *sim = sim_create(NULL);
	struct sim_pool *p;
	char values[32];
	double share;

	sim_machine(sim, 1, 1, 1, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, 1));
	snprintf(values, sizeof(values), "cap=%u", cap);
	sim_entity(sim_group(p, "capped", values), &busy);
	for (unsigned i = 0; i < rivals; i++) {
		sim_entity(sim_group(p, "rival", NULL), &busy);
	}
	sim_run(sim, 10 * NS_PER_S);
	CHECK_STR(sim_wrong(sim), "");
	share = (double)sim_figures(sim_entity_at(sim, 0)).run_ns / 1e8;
	sim_destroy(sim);
	return share;
}

TEST(caps, "a cap of 25% or 50% is met, or the fair share where that is less, beside 0 to 3 rivals")
{
	double worst = 0;

	for (unsigned cap = 25; cap <= 50; cap += 25) {
		for (unsigned rivals = 0; rivals <= 3; rivals++) {
			double fair = 100.0 / (rivals + 1), ideal = MIN(fair, cap), error = capped(cap, rivals) / ideal - 1;

			worst = MAX(worst, error < 0 ? -error : error);
		}
	}
	printf("  caps: worst error %.3f%%, Xen 0.00%%\n", worst * 100);
	CHECK(worst * 100 <= 0.1);
}

TEST(group_cap, "the vCPUs of a VM share one cap, on one queue and on several")
{
	for (unsigned per_queue = 1; per_queue <= 4; per_queue += 3) {
		struct sim *sim = sim_create(&(struct sim_options){ .check_every = 64 });
		struct sim_group *g;
		uint64_t sum_ns = 0;

		sim_machine(sim, 4, 1, per_queue, 1);
		g = sim_group(sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, 4)), "g", "cap=150");
		for (unsigned i = 0; i < 6; i++) {
			sim_entity(g, &busy);
		}
		sim_run(sim, 10 * NS_PER_S);
		CHECK_STR(sim_wrong(sim), "");
		for (unsigned i = 0; i < 6; i++) {
			sum_ns += sim_figures(sim_entity_at(sim, i)).run_ns;
		}
		printf("  6 vCPUs of a VM of cap 150%%, %u cpus a queue: %.3f%%\n", per_queue, (double)sum_ns / 1e8);
		CHECK(sum_ns <= 15 * NS_PER_S + 15 * NS_PER_MS && sum_ns >= 15 * NS_PER_S - 15 * NS_PER_MS);
		sim_destroy(sim);
	}
}

TEST(many_caps, "30 VMs of a cap of 2%, whose periods all end at once, get 2% each")
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });
	struct sim_pool *p;

	sim_machine(sim, 1, 1, 1, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, 1));
	for (unsigned i = 0; i < 30; i++) {
		sim_entity(sim_group(p, "g", "cap=2"), &busy);
	}
	sim_run(sim, NS_PER_S);
	CHECK_STR(sim_wrong(sim), "");
	for (unsigned i = 0; i < 30; i++) {
		CHECK_EQ(sim_figures(sim_entity_at(sim, i)).run_ns / NS_PER_MS, 20);
	}
	sim_destroy(sim);
}

static struct sim_figures beside_busy(unsigned cpus, unsigned n, const struct sim_pattern *t, const char *values)
{
	struct sim *sim = sim_create(NULL);
	struct sim_figures f;
	struct sim_pool *p;

	sim_machine(sim, cpus, 1, cpus, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, cpus));
	sim_entity(sim_group(p, "it", values), t);
	for (unsigned i = 0; i < n; i++) {
		sim_entity(sim_group(p, "busy", NULL), &busy);
	}
	sim_run(sim, 2 * NS_PER_S);
	sim_reset(sim);
	sim_run(sim, 12 * NS_PER_S);
	CHECK_STR(sim_wrong(sim), "");
	f = sim_figures(sim_entity_at(sim, 0));
	sim_destroy(sim);
	return f;
}

TEST(latency, "who wakes having had less than its share runs within the ratelimit")
{
	const struct sim_pattern t = {
		.kind = SIM_INTERACTIVE, .run_ns = 100 * NS_PER_US, .every_ns = 2 * NS_PER_MS, .jitter_ns = 200 * NS_PER_US,
	};
	struct sim_figures f = beside_busy(1, 8, &t, NULL);

	printf("  beside 8 busy on 1 cpu: p50 %lu p99 %lu max %lu us, Xen 592 991 1000\n", f.wake_p50_ns / NS_PER_US,
	       f.wake_p99_ns / NS_PER_US, f.wake_max_ns / NS_PER_US);
	CHECK(f.wakes > 4000 && f.wake_max_ns <= 1000 * NS_PER_US);
	f = beside_busy(8, 64, &t, NULL);
	printf("  beside 64 busy on 8 cpus: p50 %lu p99 %lu max %lu us, Xen 580 908 981\n", f.wake_p50_ns / NS_PER_US,
	       f.wake_p99_ns / NS_PER_US, f.wake_max_ns / NS_PER_US);
	CHECK(f.wakes > 4000 && f.wake_max_ns <= 1000 * NS_PER_US);
}

TEST(cheat, "who always blocks just before its slice ends gets no more than its share")
{
	const struct sim_pattern t = { .kind = SIM_CHEAT, .run_ns = 10 * NS_PER_US, .every_ns = 10 * NS_PER_US };
	double share = (double)beside_busy(1, 3, &t, NULL).run_ns / 1e8;

	printf("  a quarter is the cheat's: it gets %.3f%%\n", share);
	CHECK(share <= 25.05);
}

/* --- Waiting. */

/* The longest that any waited in that plan, as a part of what it may, in %. */
static double longest_wait(struct sim *sim, uint64_t ns)
{
	double most = 0;
	struct sim_entity *e;

	sim_run(sim, ns);
	CHECK_STR(sim_wrong(sim), "");
	for (unsigned i = 0; (e = sim_entity_at(sim, i)) != NULL; i++) {
		double bound = (double)sched_credit2.wait_bound_ns(sim_sched(sim_pool_at(sim, 0)), sim_sched_entity(e));

		most = MAX(most, 100 * (double)sim_figures(e).longest_wait_ns / bound);
	}
	sim_destroy(sim);
	return most;
}

static struct sim_pattern any_pattern(struct test_rng *rng)
{
	struct sim_pattern t = {
		.kind = test_rand_below(rng, 4) == 0 ? SIM_YIELDER : test_rand_below(rng, 2) == 0 ? SIM_BUSY : SIM_INTERACTIVE,
		.run_ns = (1 + test_rand_below(rng, 400)) * 100 * NS_PER_US,
		.phase_ns = test_rand_below(rng, 50) * NS_PER_MS,
	};

	t.every_ns = t.run_ns + test_rand_below(rng, 200) * NS_PER_MS;
	return t;
}

TEST(wait_bound, "nobody waits beyond the bound, which the worst case comes near to")
{
	const struct sim_pattern late = { .kind = SIM_INTERACTIVE, .run_ns = NS_PER_S, .every_ns = 9 * NS_PER_S,
					  .phase_ns = 59990 * NS_PER_US };
	struct test_rng rng = { 9 };
	double most = 0, part;

	for (unsigned plan = 0; plan < 201; plan++) {
		unsigned cpus = plan == 0 ? 1 : 1 + (unsigned)test_rand_below(&rng, 4);
		unsigned n = plan == 0 ? 9 : 2 + (unsigned)test_rand_below(&rng, 10);
		struct sim *sim = sim_create(NULL);
		struct sim_pool *p;

		sim_machine(sim, cpus, 1, plan == 0 ? 1 : 1 + (unsigned)test_rand_below(&rng, 4), 1);
		p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, cpus));
		for (unsigned i = 0; i < n; i++) {
			const struct sim_pattern t = plan > 0 ? any_pattern(&rng) : i == 0 ? busy : late;
			char values[32];

			snprintf(values, sizeof(values), "weight=%u", plan == 0 ? 256 : 1u << test_rand_below(&rng, 10));
			sim_entity(sim_group(p, values, values), &t);
		}
		part = longest_wait(sim, NS_PER_S);
		if (plan == 0) {
			printf("  who ran while 8 slept: waits %.0f%% of its bound\n", part);
			CHECK(part >= 80);
		}
		most = MAX(most, part);
	}
	printf("  200 random plans: %.0f%% at most\n", most);
	CHECK(most <= 100);
}

TEST(new_queue, "when a pool's only cpu is replaced, by one whose queue is new, nobody waits longer than is stated")
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });
	struct sim_pool *p;

	sim_machine(sim, 2, 1, 1, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, 1));
	sim_entity(sim_group(p, "a", "weight=511"), &busy);
	sim_entity(sim_group(p, "b", NULL), &busy);
	sim_run(sim, 10 * NS_PER_S);
	CHECK_EQ(sim_move_cpu(sim, 1, p), ERR_OK);
	CHECK_EQ(sim_move_cpu(sim, 0, NULL), ERR_OK);
	CHECK(longest_wait(sim, 15 * NS_PER_S) <= 100);
}

/* 12 of a cap wake, and have no budget: 8 are parked by one pick. Somebody on cpu 1 might run here, but no longer may. */
TEST(asked_in_vain, "a slot that asked another queue in vain, and then runs one of its own, is not thought idle")
{
	const struct sim_pattern late = { .kind = SIM_INTERACTIVE, .run_ns = NS_PER_S, .every_ns = 9 * NS_PER_S,
					  .phase_ns = 50 * NS_PER_MS };
	const struct cpuset cpu0 = sim_cpus(0, 1), cpu1 = sim_cpus(1, 1);
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });
	struct sim_group *g;
	struct sim_pool *p;

	sim_machine(sim, 2, 1, 1, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, 2));
	g = sim_group(p, "capped", "cap=1");
	for (unsigned i = 0; i < 12; i++) {
		CHECK_EQ(sim_pin(sim_entity(g, &late), &cpu0, NULL), ERR_OK);
	}
	CHECK_EQ(sim_pin(sim_entity(sim_group(p, "a", NULL), &busy), &cpu0, NULL), ERR_OK);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(sim_pin(sim_entity(sim_group(p, "b", NULL), &busy), &cpu1, NULL), ERR_OK);
	}
	sim_run(sim, 10 * NS_PER_MS);
	CHECK_EQ(sim_pin(sim_entity_at(sim, 13), NULL, NULL), ERR_OK);
	CHECK_EQ(sim_pin(sim_entity_at(sim, 13), &cpu1, NULL), ERR_OK);
	sim_run(sim, 60 * NS_PER_MS);
	CHECK_STR(sim_wrong(sim), "");
	sim_destroy(sim);
}

TEST(whole_core, "who wakes has a core that idles as a whole before a thread beside a busy one, though it ran there last")
{
	const struct sim_pattern brief = { .kind = SIM_PERIODIC, .run_ns = NS_PER_MS, .every_ns = 10 * NS_PER_MS, .phase_ns = NS_PER_MS };
	const struct cpuset cpu0 = { .word = { 1 } }, cpu1 = { .word = { 2 } };
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });
	struct sim_pool *p;
	struct sim_entity *e;

	sim_machine(sim, 4, 2, 2, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, 4));
	e = sim_entity(sim_group(p, "a", NULL), &brief);
	sim_pin(e, &cpu1, NULL);
	sim_pin(sim_entity(sim_group(p, "b", NULL), &busy), &cpu0, NULL);
	sim_run(sim, 5 * NS_PER_MS);
	CHECK_EQ(sim_sched_entity(e)->slot, 1);
	CHECK_EQ(sim_pin(e, NULL, NULL), ERR_OK);
	sim_run(sim, 35 * NS_PER_MS);
	CHECK_STR(sim_wrong(sim), "");
	CHECK(sim_sched_entity(e)->slot / 2 == 1 && sim_figures(e).migrations == 1);
	sim_destroy(sim);
}

static void change(struct sim *sim, void *arg)
{
	CHECK_EQ(sim_move_cpu(sim, 0, NULL), ERR_OK);
	CHECK_EQ(sim_tune_group(sim_group_at(sim, 1), "weight=1024"), ERR_OK);
	CHECK_EQ(sim_pin(sim_entity_at(sim, 3), &(struct cpuset){ .word = { 1u << 2 } }, NULL), ERR_OK);
}

TEST(changes, "a cpu that leaves, a new weight and a pin in the middle leave nobody behind")
{
	/* On cpus 1-3, queues 1 and 2-3: weights 256, 1024, 256, 256, 256, and d may use cpu 2 only. */
	const double want[] = { 0.5, 1, 0.5, 0.5, 0.5 };
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });
	struct sim_pool *p;

	sim_machine(sim, 4, 1, 2, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, 4));
	for (unsigned i = 0; i < 5; i++) {
		sim_entity(sim_group(p, (char[]){ (char)('a' + i), '\0' }, NULL), &busy);
	}
	sim_at(sim, NS_PER_S, change, NULL);
	sim_run(sim, 2 * NS_PER_S);
	sim_reset(sim);
	sim_run(sim, 12 * NS_PER_S);
	CHECK_STR(sim_wrong(sim), "");
	CHECK_EQ(sim_pool_figures(p)->idle_waiting_ns, 0);
	for (unsigned i = 0; i < 5; i++) {
		double share = (double)sim_figures(sim_entity_at(sim, i)).run_ns / 1e10;

		printf("  %c: %.4f, ideal %.4f\n", 'a' + (int)i, share, want[i]);
		CHECK(share > want[i] * 0.98 && share < want[i] * 1.02);
	}
	sim_destroy(sim);
}

/* --- The contract, and mutants. */

TEST(conformance, "credit2 keeps the contract")
{
	for (uint64_t seed = 1; seed <= 25; seed++) {
		const char *wrong = sched_conform(&sched_credit2, seed, 40000, false);

		if (wrong[0] != '\0') {
			test_fail(__FILE__, __LINE__, "seed %lu: %s", seed, wrong);
		}
	}
}

static bool blind(struct sched *s, struct sched_reason *why)
{
	(void)s, (void)why;
	return true;
}

static void pull_nothing(struct sched *s, unsigned from, unsigned to, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)from, (void)to, (void)now_ns, (void)out;
}

static void wake_quietly(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	sched_credit2.wake(s, e, now_ns, out);
	sched_out_init(out);
}

static void forget(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)now_ns, (void)out;
}

static void charge_nothing(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)ran_ns, (void)now_ns, (void)out;
}

static void charge_half_when_heavy(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns,
				   struct sched_out *out)
{
	sched_credit2.charge(s, e, e->group->values.v[0] == 8 ? ran_ns - ran_ns / 200 : ran_ns, now_ns, out);
}

static bool caught(struct sched_ops mutant)
{
	const char *wrong = "";

	mutant.check = blind;
	for (uint64_t seed = 1; seed <= 20 && wrong[0] == '\0'; seed++) {
		wrong = sched_conform(&mutant, seed, 20000, true);
	}
	return wrong[0] != '\0';
}

TEST(mutants, "a credit2 that pulls nobody, pokes nobody, forgets who was replaced or miscounts by 0.5% is caught")
{
	struct sched_ops m = sched_credit2;
	const unsigned weight[] = { 1, 2, 4, 8 };

	m.pull = pull_nothing;
	CHECK(caught(m));
	m = sched_credit2;
	m.wake = wake_quietly;
	CHECK(caught(m));
	m = sched_credit2;
	m.released = forget;
	CHECK(caught(m));
	m = sched_credit2;
	m.charge = charge_nothing;
	CHECK(worst_error(&m, 1, 1, weight, 4) > 0.0501);
	m.charge = charge_half_when_heavy;
	CHECK(worst_error(&m, 1, 1, weight, 4) > 0.0501);
}
