/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of several policies measure in the simulator: timetables, errors of shares, waits. */
#pragma once

#include <stdlib.h>

#include "tests/host/test.h"
#include "tools/sim/sim.h"

#define PROMISE_MAX	128u

static const struct sim_pattern promise_busy = { .kind = SIM_BUSY };

/* A pool of one policy, and its VMs of one vCPU. */
struct promise {
	struct sim *sim;
	struct sim_pool *pool;
	struct sim_entity *e[PROMISE_MAX];
	unsigned count;
};

static inline struct promise promise_make(const struct sched_ops *ops, const char *values, unsigned cpus, unsigned check_every)
{
	struct promise p = { .sim = sim_create(&(struct sim_options){ .check_every = check_every, .keep_memory = true }) };

	sim_machine(p.sim, cpus, 1, cpus, 1);
	p.pool = sim_pool_of(p.sim, "p", ops, values, sim_cpus(0, cpus));
	return p;
}

static inline struct sim_entity *promise_add(struct promise *p, const char *values, const struct sim_pattern *pattern)
{
	const char name[] = { (char)('a' + p->count % 26), '\0' };

	return p->e[p->count++] = sim_entity(sim_group(p->pool, name, values), pattern);
}

/* Runs on until ns, and ends the test if the contract is broken. */
static inline void promise_run(struct promise *p, uint64_t ns)
{
	(void)sim_run(p->sim, ns);
	CHECK_STR(sim_wrong(p->sim), "");
	CHECK_EQ(sim_pool_figures(p->pool)->idle_waiting_ns, 0);
}

/* What each of the first n, all busy, is entitled to on cpus cpus in ns: by weight, none more than a cpu. */
static inline void promise_ideal(const unsigned *weight, unsigned n, unsigned cpus, double ns, double *ideal)
{
	double left = cpus, weights = 0;
	bool again = true;

	for (unsigned i = 0; i < n; i++) {
		weights += weight[i];
		ideal[i] = 0;
	}
	while (again) {
		again = false;
		for (unsigned i = 0; i < n; i++) {
			if (ideal[i] == 0 && weight[i] * left >= weights) {
				ideal[i] = ns;
				left -= 1;
				weights -= weight[i];
				again = true;
			}
		}
	}
	for (unsigned i = 0; i < n; i++) {
		ideal[i] = ideal[i] != 0 ? ideal[i] : ns * left * weight[i] / weights;
	}
}

/* The worst error of a share, in parts of it, of busy VMs of these weights after ns. */
static inline double promise_share_error(const struct sched_ops *ops, const unsigned *weight, unsigned n, unsigned cpus,
					 uint64_t ns)
{
	struct promise p = promise_make(ops, NULL, cpus, 64);
	double ideal[PROMISE_MAX], worst = 0;

	for (unsigned i = 0; i < n; i++) {
		char values[24];

		snprintf(values, sizeof(values), "weight=%u", weight[i]);
		promise_add(&p, values, &promise_busy);
	}
	(void)sim_run(p.sim, ns);
	promise_ideal(weight, n, cpus, (double)ns, ideal);
	for (unsigned i = 0; i < n; i++) {
		double error = ((double)sim_figures(p.e[i]).run_ns - ideal[i]) / ideal[i];

		worst = MAX(worst, error < 0 ? -error : error);
	}
	sim_destroy(p.sim);
	return worst;
}

/* The waits of interactive VMs, 100 us every 2 to 2.2 ms, the worst of all, beside busy ones, over ns after 2 s. */
static inline struct sim_figures promise_waits(const struct sched_ops *ops, const char *values, unsigned cpus, unsigned busy,
					       unsigned interactive, uint64_t ns, double *switches_per_s)
{
	const struct sim_pattern t = {
		.kind = SIM_INTERACTIVE, .run_ns = 100 * NS_PER_US, .every_ns = 2 * NS_PER_MS,
		.jitter_ns = 200 * NS_PER_US, .random_phase = true,
	};
	struct promise p = promise_make(ops, NULL, cpus, 1000);
	struct sim_figures worst = { 0 };
	uint64_t switches = 0;

	for (unsigned i = 0; i < busy; i++) {
		promise_add(&p, NULL, &promise_busy);
	}
	for (unsigned i = 0; i < interactive; i++) {
		promise_add(&p, values, &t);
	}
	promise_run(&p, 2 * NS_PER_S);
	sim_reset(p.sim);
	promise_run(&p, 2 * NS_PER_S + ns);
	for (unsigned i = 0; i < p.count; i++) {
		struct sim_figures f = sim_figures(p.e[i]);

		switches += f.switches;
		if (i >= busy) {
			worst.wake_p50_ns = MAX(worst.wake_p50_ns, f.wake_p50_ns);
			worst.wake_p99_ns = MAX(worst.wake_p99_ns, f.wake_p99_ns);
			worst.wake_max_ns = MAX(worst.wake_max_ns, f.wake_max_ns);
			worst.lost += f.lost;
		}
	}
	*switches_per_s = (double)switches * (double)NS_PER_S / (double)ns;
	sim_destroy(p.sim);
	return worst;
}

/* The share of a cpu that a VM gets beside rivals, capped or not, after 10 s. */
static inline double promise_share_of(const struct sched_ops *ops, const char *values, const struct sim_pattern *pattern,
				      unsigned rivals)
{
	struct promise p = promise_make(ops, NULL, 1, 64);
	double share;

	promise_add(&p, values, pattern);
	for (unsigned i = 0; i < rivals; i++) {
		promise_add(&p, NULL, &promise_busy);
	}
	(void)sim_run(p.sim, 10 * NS_PER_S);
	share = (double)sim_figures(p.e[0]).run_ns / (double)(10 * NS_PER_S);
	sim_destroy(p.sim);
	return share;
}
