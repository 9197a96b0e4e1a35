/* SPDX-License-Identifier: BSD-2-Clause */
/* sched/credit2: timetables from its rules, its promises with figures beside Xen's, and mutants. */
#include "tests/host/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/sched_model.h"
#include "tools/sim/sim.h"

static const struct sim_pattern busy = { .kind = SIM_BUSY };

/* The ideal: shares by weight, none above one slot. */
static void water_fill(const unsigned *weight, unsigned n, double slots, double *share)
{
	double left = slots, sum = 0;
	bool again = true;

	for (unsigned i = 0; i < n; i++) {
		share[i] = -1;
		sum += weight[i];
	}
	while (again) {
		double level = left / sum;

		again = false;
		for (unsigned i = 0; i < n; i++) {
			if (share[i] < 0 && weight[i] * level >= 1) {
				share[i] = 1;
				left -= 1;
				sum -= weight[i];
				again = true;
			}
		}
	}
	for (unsigned i = 0; i < n; i++) {
		share[i] = share[i] < 0 ? weight[i] * left / sum : share[i];
	}
}

static double worst_error(unsigned slots, unsigned per_llc, const unsigned *weight, unsigned n, uint64_t ns, double *total)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = SIM_NEVER });
	struct sim_pool *p;
	double worst = 0, *share = calloc(n, sizeof(*share)), sum = 0;
	char values[32];

	sim_machine(sim, slots, 1, per_llc, 1);
	p = sim_pool(sim, "p", "credit2", NULL, sim_cpus(0, slots));
	for (unsigned i = 0; i < n; i++) {
		snprintf(values, sizeof(values), "weight=%u", weight[i]);
		sim_entity(sim_group(p, values, values), &busy);
	}
	sim_run(sim, ns);
	CHECK_STR(sim_wrong(sim), "");
	CHECK_EQ(sim_pool_figures(p)->idle_waiting_ns, 0);
	water_fill(weight, n, slots, share);
	uint64_t sw = 0, mig = 0;
	for (unsigned i = 0; i < n; i++) {
		struct sim_figures f = sim_figures(sim_entity_at(sim, i));
		double error = __builtin_fabs((double)f.run_ns / (double)ns - share[i]) / share[i];

		sw += f.switches; mig += f.migrations;
		if (getenv("V")) printf("   w %u got %.4f want %.4f  longest wait %.3f ms\n", weight[i], (double)f.run_ns / (double)ns, share[i], (double)f.longest_wait_ns / 1e6);
		worst = MAX(worst, error);
		sum += (double)f.run_ns / (double)ns;
	}
	printf("  sw/s %.0f mig/s %.0f pull %lu pokes %lu\n", (double)sw * 1e9 / (double)ns, (double)mig * 1e9 / (double)ns, sim_pool_figures(p)->calls[SIM_OP_pull], sim_pool_figures(p)->pokes);
	*total = sum;
	sim_destroy(sim);
	free(share);
	return worst * 100;
}

TEST(shares, "shares")
{
	unsigned w4[] = { 1, 2, 4, 8 }, w14[14], w3[] = { 256, 256, 256 }, w64[640];
	double total;
	struct test_rng rng = { 5 };

	for (unsigned i = 0; i < 14; i++) {
		w14[i] = w4[i % 4];
	}
	printf("  1:2:4:8 on 1: %.3f%%\n", worst_error(1, 1, w4, 4, 10 * NS_PER_S, &total));
	printf("  14 on 7: %.3f%%\n", worst_error(7, 7, w14, 14, 10 * NS_PER_S, &total));
	printf("  3 on 2: %.3f%%\n", worst_error(2, 2, w3, 3, 10 * NS_PER_S, &total));
	printf("  3 on 2, 2 queues: %.3f%%\n", worst_error(2, 1, w3, 3, 10 * NS_PER_S, &total));
	for (unsigned i = 0; i < 640; i++) {
		w64[i] = 64 + (unsigned)test_rand_below(&rng, 1024);
	}
	printf("  160 on 16 in 1: %.3f%%\n", worst_error(16, 16, w64, 160, 10 * NS_PER_S, &total));
	double e = worst_error(64, 16, w64, 640, 10 * NS_PER_S, &total);
	printf("  640 on 64 in 4: %.3f%%  total %.3f\n", e, total);
	e = worst_error(64, 16, w64, 100, 10 * NS_PER_S, &total);
	printf("  100 on 64 in 4: %.3f%%  total %.3f\n", e, total);
	e = worst_error(64, 16, w64, 70, 10 * NS_PER_S, &total);
	printf("  70 on 64 in 4: %.3f%%  total %.3f\n", e, total);
}

extern const struct sched_ops sched_credit2;

TEST(conf, "conform")
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		const char *wrong = sched_conform(&sched_credit2, seed, 40000, false);

		if (wrong[0] != '\0') {
			test_fail(__FILE__, __LINE__, "seed %lu: %s", seed, wrong);
		}
	}
}
