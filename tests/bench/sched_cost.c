/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each op of a policy costs, for tools/bench/sched.py: the simulator drives the kernel's own
 * objects. `sched_cost POLICY [CALLS]`, under callgrind, collecting in measured_*() only.
 *
 * After each op callgrind is asked for its count, so that its log has one number a call; the
 * letters of those calls are printed here, a line for each case: LOAD CPUS ENTITIES LETTERS, or
 * LOAD CPUS ENTITIES ! why admission refuses it. Ops that do nothing come first, as "empty".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#include "tools/sim/sim.h"

#define LETTERS_MAX	200000u

enum load { BUSY, CHURN, PINNED };
static const char *const load_name[] = { "busy", "churn", "pinned" };

struct set {
	enum load load;
	unsigned cpus, count;
	struct sim_group **group;
	uint64_t rng;
};

static const struct sched_ops *real;
static bool metering;
static unsigned long picks;		/* also while not metering */
static unsigned calls;			/* picks to be measured */
static char letters[LETTERS_MAX + 1];
static unsigned count;

static void note(char letter)
{
	if (metering && count < LETTERS_MAX) {
		letters[count++] = letter;
		VALGRIND_MONITOR_COMMAND("status internal");
	}
}

/* --- The ops, measured. The empty asm keeps the call from becoming a jump. */

#define ENTITY_OP(op, letter) \
	static __attribute__((noinline)) void measured_##op(struct sched *s, struct sched_entity *e, \
							    uint64_t now_ns, struct sched_out *out) \
	{ \
		real->op(s, e, now_ns, out); \
		__asm__ volatile(""); \
	} \
	static void meter_##op(struct sched *s, struct sched_entity *e, uint64_t now_ns, \
			       struct sched_out *out) \
	{ \
		measured_##op(s, e, now_ns, out); \
		note(letter); \
	}

ENTITY_OP(wake, 'w')
ENTITY_OP(block, 'b')
ENTITY_OP(yield, 'y')
ENTITY_OP(released, e->runnable ? 'R' : 'r')

static __attribute__((noinline)) void measured_charge(struct sched *s, struct sched_entity *e,
						      uint64_t ran_ns, uint64_t now_ns,
						      struct sched_out *out)
{
	real->charge(s, e, ran_ns, now_ns, out);
	__asm__ volatile("");
}

static void meter_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns,
			 struct sched_out *out)
{
	measured_charge(s, e, ran_ns, now_ns, out);
	note('c');
}

static __attribute__((noinline)) void measured_pull(struct sched *s, unsigned from, unsigned to,
						    uint64_t now_ns, struct sched_out *out)
{
	real->pull(s, from, to, now_ns, out);
	__asm__ volatile("");
}

static void meter_pull(struct sched *s, unsigned from, unsigned to, uint64_t now_ns,
		       struct sched_out *out)
{
	measured_pull(s, from, to, now_ns, out);
	note('u');
}

static __attribute__((noinline)) void measured_pick(struct sched_pick *p, struct sched *s,
						    unsigned slot, uint64_t now_ns,
						    struct sched_out *out)
{
	*p = real->pick(s, slot, now_ns, out);
	__asm__ volatile("");
}

static struct sched_pick meter_pick(struct sched *s, unsigned slot, uint64_t now_ns,
				    struct sched_out *out)
{
	struct sched_pick p;

	measured_pick(&p, s, slot, now_ns, out);
	picks++;
	note('k');
	metering = metering && picks < calls;
	return p;
}

/* The policy with its ops measured. */
static struct sched_ops metered(const struct sched_ops *ops)
{
	struct sched_ops m = *ops;

	real = ops;
	m.wake = meter_wake;
	m.block = meter_block;
	m.yield = meter_yield;
	m.pick = meter_pick;
	m.released = meter_released;
	m.admit = NULL;			/* asked once, by build(), about all that is there */
	m.charge = ops->charge != NULL ? meter_charge : NULL;
	m.pull = ops->pull != NULL ? meter_pull : NULL;
	return m;
}

/* What calling costs: taken off by the reader. */
static void nothing(void)
{
}

static void show_empty(void)
{
	static const struct sched_ops empty = {
		.wake = (void *)nothing, .block = (void *)nothing, .yield = (void *)nothing,
		.released = (void *)nothing, .charge = (void *)nothing, .pull = (void *)nothing,
		.pick = (void *)nothing,
	};
	struct sched_entity e = { .runnable = true };
	struct sched_ops m = metered(&empty);

	count = 0;
	picks = 0;
	CALLGRIND_START_INSTRUMENTATION;
	for (unsigned i = 0; i < 2; i++) {
		metering = true;
		note('=');
		m.wake(NULL, &e, 0, NULL);
		m.block(NULL, &e, 0, NULL);
		m.yield(NULL, &e, 0, NULL);
		m.released(NULL, &e, 0, NULL);
		m.charge(NULL, &e, 0, 0, NULL);
		m.pull(NULL, 0, 0, 0, NULL);
		m.pick(NULL, 0, 0, NULL);
	}
	CALLGRIND_STOP_INSTRUMENTATION;
	metering = false;
	printf("empty 0 0 %.*s\n", (int)count, letters);
}

/* --- The loads of the other measurements (docs/testing.md). */

static unsigned below(struct set *set, unsigned n)
{
	set->rng = set->rng * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(set->rng >> 33) % n;
}

/* A share of the machine for those that reserve: `part` of what global EDF is sure of. */
static void reserve(struct set *set, const struct sched_ops *ops, double part, char *text, size_t room)
{
	static const unsigned tenths[] = { 10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82, 100 };
	unsigned at, per_cpu = set->count / set->cpus;
	double period_us = 1000.0 * tenths[below(set, ARRAY_SIZE(tenths))] * (1 + per_cpu / 256);
	double use = part * set->cpus / (set->count + set->cpus - 1);
	const char *budget = sched_tunable_find(ops, "budget", &at) != NULL ? "budget" : "slice";

	if (sched_tunable_find(ops, "period", &at) != NULL && sched_tunable_find(ops, budget, &at) != NULL) {
		snprintf(text, room, "period=%.0fus %s=%.0fus", period_us, budget, period_us * use);
	}
}

static struct sim_pattern pattern_of(const struct set *set, unsigned i)
{
	const unsigned interactive = (set->count + 1) / 2;

	if (set->load == BUSY) {
		return (struct sim_pattern){ .kind = SIM_BUSY };
	}
	if (i % 2 == 1) {
		return (struct sim_pattern){ .kind = SIM_YIELDER, .run_ns = 5500 * NS_PER_US };
	}
	return (struct sim_pattern){
		.kind = SIM_INTERACTIVE, .run_ns = 100 * NS_PER_US, .random_phase = true,
		.every_ns = 500 * NS_PER_US * MAX(interactive / set->cpus, 1u), .jitter_ns = 20 * NS_PER_US,
	};
}

/* Every second one may run on one cpu only, the others on a quarter of them. */
static void pin(const struct set *set, struct sim_entity *e, unsigned i)
{
	unsigned quarter = set->cpus / 4;
	struct cpuset to = i % 2 == 1 ? sim_cpus(i % set->cpus, 1) : sim_cpus(i / 2 % 4 * quarter, quarter);

	sim_pin(e, &to, NULL);
}

/* Once a ms: as many as there are cpus are paused, and resumed a little later. */
static void resume(struct sim *sim, void *arg)
{
	(void)sim;
	sim_resume(arg);
}

static void pause(struct sim *sim, void *arg)
{
	struct set *set = arg;

	for (unsigned i = 0; i < set->cpus; i++) {
		struct sim_group *g = set->group[below(set, set->count)];

		sim_pause(g);
		sim_at(sim, sim_now(sim) + 100 * NS_PER_US, resume, g);
	}
	sim_at(sim, sim_now(sim) + NS_PER_MS, pause, set);
}

/* Where a policy wants a table: 1 ms for each in a frame that they fill. */
static char *table_of(const struct set *set, const struct sched_ops *ops)
{
	const unsigned row_room = 40;
	char *text = calloc(set->count + 1, row_room);
	int at = 0;

	if (ops->check_table != NULL) {
		at = sprintf(text, "frame=%ums", set->count / set->cpus);
	}
	for (unsigned i = 0; ops->check_table != NULL && i < set->count; i++) {
		at += sprintf(text + at, " window=%u,v%u.0,1ms", i % set->cpus, i);
	}
	return text;
}

static struct sim *build(struct set *set, const struct sched_ops *ops, double part)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = SIM_NEVER });
	struct sched_reason why = { "" };
	char *table = table_of(set, ops);
	struct sim_pool *p;

	sim_machine(sim, set->cpus, 1, 16, 1000);
	p = sim_pool_of(sim, "p", ops, table, sim_cpus(0, set->cpus));
	free(table);
	if (p == NULL) {
		snprintf(letters, sizeof(letters), "! %s", sim_why(sim));
		sim_destroy(sim);
		return NULL;
	}
	for (unsigned i = 0; i < set->count; i++) {
		struct sim_pattern t = pattern_of(set, i);
		char text[80] = "", name[16];

		reserve(set, ops, part, text, sizeof(text));
		snprintf(name, sizeof(name), "v%u", i);
		set->group[i] = sim_group(p, name, text);
		if (set->load == PINNED) {
			pin(set, sim_entity(set->group[i], &t), i);
		} else {
			sim_entity(set->group[i], &t);
		}
		if (sim_start(set->group[i]) != ERR_OK) {
			fprintf(stderr, "sched_cost: %s\n", sim_why(sim));
			exit(1);
		}
	}
	if (real->admit == NULL || real->admit(sim_sched(p), NULL, 0, &sim_sched(p)->slots, &why) == ERR_OK) {
		return sim;
	}
	snprintf(letters, sizeof(letters), "! %s", why.words);
	sim_destroy(sim);
	return NULL;
}

/* Until the policy has picked that often more; one that has nothing to decide is left alone soon. */
static void run(struct sim *sim, unsigned long more, unsigned cpus)
{
	uint64_t step_ns = NS_PER_MS * (1 + more / cpus / 8), end_ns = sim_now(sim) + 100 * step_ns;

	picks = 0;
	calls = (unsigned)more;
	while (picks < more && sim_now(sim) < end_ns) {
		if (!sim_run(sim, sim_now(sim) + step_ns)) {
			fprintf(stderr, "sched_cost: %s\n", sim_wrong(sim));
			exit(1);
		}
	}
}

static void show(const struct sched_ops *ops, struct set *set, unsigned picks_wanted)
{
	struct sched_ops m = metered(ops);
	struct sim *sim = NULL;

	set->group = calloc(set->count, sizeof(set->group[0]));
	for (double part = 0.9; sim == NULL && part > 0.1; part /= 2) {
		sim = build(set, &m, part);
	}
	if (sim != NULL) {
		if (set->load != BUSY) {
			sim_at(sim, NS_PER_MS, pause, set);
		}
		run(sim, 2 * set->count + 200, set->cpus);
		count = 0;
		metering = true;
		CALLGRIND_START_INSTRUMENTATION;
		note('=');
		run(sim, picks_wanted, set->cpus);
		CALLGRIND_STOP_INSTRUMENTATION;
		metering = false;
		letters[count] = '\0';
		sim_destroy(sim);
	}
	printf("%s %u %u %s\n", load_name[set->load], set->cpus, set->count, letters);
	free(set->group);
}

int main(int argc, char **argv)
{
	static const unsigned cpus[] = { 1, 8, 64 }, sizes[] = { 1, 8, 64, 512, 4096 };
	const struct sched_ops *ops = argc > 1 ? sched_policy_find(argv[1]) : NULL;

	for (unsigned i = 0; argc == 1 && i < sched_policy_count(); i++) {
		puts(sched_policy_at(i)->name);
	}
	if (ops == NULL) {
		return argc > 1;
	}
	show_empty();
	for (unsigned load = BUSY; load <= PINNED; load++) {
		for (unsigned c = load == PINNED; c < ARRAY_SIZE(cpus); c++) {
			for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++) {
				struct set set = { .load = load, .cpus = cpus[c], .count = sizes[n], .rng = 7 };

				if (set.count >= set.cpus) {
					show(ops, &set, argc > 2 ? (unsigned)atoi(argv[2]) : 400);
				}
			}
		}
	}
	return 0;
}
