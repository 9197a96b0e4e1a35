/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rr and null in the simulator: what they promise beside the contract. And promises that every policy is held to which says
 * that it honours something.
 */
#include "tests/host/test.h"

#include <stdio.h>

#include "kernel/lib/format.h"
#include "tools/sim/sim.h"

static const struct sim_pattern busy = { .kind = SIM_BUSY };

static char table[4096];

static void write_down(void *context, const struct sim_stretch *s)
{
	if (s->state == SIM_RUNS) {
		text_printf(context, "%s %lu-%lu ", sim_sched_entity((struct sim_entity *)s->entity)->group->name,
			    s->from_ns / NS_PER_MS, s->to_ns / NS_PER_MS);
	}
}

static struct sim *machine(unsigned cpus, const char *policy, const char *values, struct sim_pool **p)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });

	sim_machine(sim, cpus, 1, cpus, 1);
	*p = sim_pool(sim, "p", policy, values, sim_cpus(0, cpus));
	return sim;
}

static struct sim_entity *one(struct sim_pool *p, const char *name, const struct sim_pattern *t)
{
	return sim_entity(sim_group(p, name, NULL), t);
}

TEST(rr_shorter, "rr: a shorter timeslice holds for the slice that runs, too")
{
	struct text to = text_make(table, sizeof(table));
	struct sim_pool *p;
	struct sim *sim = machine(1, "rr", "timeslice=100ms", &p);

	one(p, "a", &busy);
	one(p, "b", &busy);
	sim_record(sim, write_down, &to);
	CHECK(sim_run(sim, 10 * NS_PER_MS));
	CHECK_EQ(sim_tune_pool(p, "timeslice=5ms"), ERR_OK);
	CHECK(sim_run(sim, 30 * NS_PER_MS));
	CHECK_STR(table, "a 0-10 a 10-15 b 15-20 a 20-25 b 25-30 ");
	sim_destroy(sim);
}

/* --- null. */

TEST(null_first, "null: of those who were let in though there was no cpu, the first has the one that becomes free")
{
	struct text to = text_make(table, sizeof(table));
	struct sim_pool *p;
	struct sim *sim = machine(1, "null", NULL, &p);
	struct sim_entity *a = one(p, "a", &busy);

	sim_pool_warn(p, true);
	one(p, "b", &busy);
	one(p, "c", &busy);
	sim_record(sim, write_down, &to);
	CHECK(sim_run(sim, 5 * NS_PER_MS));
	CHECK_STR(sim_notes(sim), "b enters pool p although: null gives each vCPU a cpu: 1 there + 1 new > 1 cpus\n"
				  "c enters pool p although: null gives each vCPU a cpu: 2 there + 1 new > 1 cpus\n");
	sim_remove(sim_entity_group(a));
	CHECK(sim_run(sim, 9 * NS_PER_MS));
	CHECK_STR(table, "a 0-5 b 5-9 ");
	sim_destroy(sim);
}

TEST(null_words, "null: who is bound to a cpu that another is bound to is refused; one that may move over does")
{
	const struct cpuset cpu0 = sim_cpus(0, 1);
	struct sim_pool *p;
	struct sim *sim = machine(3, "null", NULL, &p);
	struct sim_entity *a = one(p, "a", &busy), *b = one(p, "b", &busy), *c = one(p, "c", &busy);

	sim_pin(b, &cpu0, NULL);		/* where a is: a moves over */
	CHECK(sim_run(sim, NS_PER_MS));
	CHECK(sim_figures(a).run_ns == NS_PER_MS && sim_figures(b).run_ns == NS_PER_MS && sim_figures(c).run_ns == NS_PER_MS);
	CHECK_EQ(sim_pin(c, &cpu0, NULL), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "null gives each vCPU a cpu: 2 vCPUs are bound to 1 of the cpus");
	CHECK_EQ(sim_move_cpu(sim, 1, NULL), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "null gives each vCPU a cpu: 3 there + 0 new > 2 cpus");
	sim_destroy(sim);
}

#define VMS	6u

/* Can the i-th and all behind it have a cpu each that is not taken? Tries all there is. */
static bool matches(const uint64_t *hard, unsigned i, unsigned n, uint64_t taken)
{
	for (uint64_t free = i < n ? hard[i] & ~taken : 0; free != 0; free &= free - 1) {
		if (matches(hard, i + 1, n, taken | (free & -free))) {
			return true;
		}
	}
	return i == n;
}

struct tenants {
	struct sim *sim;
	struct sim_pool *p;
	struct sim_entity *e[VMS];
	uint64_t hard[VMS], cpus;
	unsigned n, refused;
};

/* The next comes, or the last of i's is pinned so: what it says is what is true. */
static void ask(struct tenants *t, unsigned i, uint64_t hard)
{
	const struct cpuset set = { .word = { hard } };
	uint64_t was = t->hard[i];
	enum err e;

	t->hard[i] = hard & t->cpus;
	if (i == t->n) {
		t->e[i] = one(t->p, (char[]){ (char)('a' + i), '\0' }, &busy);
		CHECK_EQ(sim_pin(t->e[i], &set, NULL), ERR_OK);
		e = sim_start(sim_entity_group(t->e[i]));
	} else {
		e = sim_pin(t->e[i], &set, NULL);
	}
	if (t->hard[i] != 0) {
		CHECK_EQ(e == ERR_OK, matches(t->hard, 0, MAX(t->n, i + 1), 0));
	}
	t->n += i == t->n && e == ERR_OK;
	t->hard[i] = e == ERR_OK ? t->hard[i] : was;
	t->refused += e == ERR_ADMISSION;
}

static void lose(struct tenants *t, unsigned cpu)
{
	uint64_t rest[VMS];
	enum err e = sim_move_cpu(t->sim, cpu, NULL);

	for (unsigned i = 0; i < t->n; i++) {
		rest[i] = t->hard[i] & ~(1ul << cpu);
	}
	CHECK_EQ(e == ERR_OK, matches(rest, 0, t->n, 0) && (t->cpus != 1ul << cpu || t->n == 0));
	for (unsigned i = 0; i < t->n && e == ERR_OK; i++) {
		t->hard[i] = rest[i];
	}
	t->cpus &= e == ERR_OK ? ~(1ul << cpu) : ~0ul;
	t->refused += e == ERR_ADMISSION;
}

TEST(null_all, "null: whatever vCPUs are pinned to, they come in if each can have a cpu, and then each runs all the time")
{
	struct test_rng rng = { 11 };
	unsigned refused = 0, came = 0;

	for (unsigned round = 0; round < 300; round++) {
		const unsigned cpus = 1 + (unsigned)test_rand_below(&rng, 6);
		struct tenants t = { .cpus = (1ul << cpus) - 1 };

		t.sim = machine(cpus, "null", NULL, &t.p);
		for (unsigned k = 0; k < 3 * VMS; k++) {
			unsigned i = (unsigned)test_rand_below(&rng, MIN(t.n + 1, VMS));
			uint64_t had_ns[VMS];

			if (test_rand_below(&rng, 12) == 0) {
				unsigned cpu = (unsigned)test_rand_below(&rng, cpus);

				if ((t.cpus >> cpu & 1) != 0) {
					lose(&t, cpu);
				}
			} else {
				/* Narrow ones more often than wide ones. */
				ask(&t, i, 1 + (test_rand_below(&rng, 64) & test_rand_below(&rng, 64)));
			}
			for (i = 0; i < t.n; i++) {
				had_ns[i] = sim_figures(t.e[i]).run_ns;
			}
			CHECK(sim_run(t.sim, sim_now(t.sim) + NS_PER_MS));
			for (i = 0; i < t.n; i++) {
				CHECK_EQ(sim_figures(t.e[i]).run_ns - had_ns[i], NS_PER_MS);
			}
		}
		refused += t.refused;
		came += t.n;
		sim_destroy(t.sim);
	}
	printf("  %u came in, %u refusals\n", came, refused);
	CHECK(came > 500 && refused > 500);
}

/* --- Every policy that honours it. */

TEST(soft, "who wakes has an idle cpu of its soft set, under every policy that honours one, and else runs elsewhere at once")
{
	const struct sim_pattern brief = { .kind = SIM_PERIODIC, .run_ns = NS_PER_MS, .every_ns = 10 * NS_PER_MS, .phase_ns = 5 * NS_PER_MS };
	const struct cpuset soft = sim_cpus(2, 2), third = sim_cpus(2, 1), last = sim_cpus(3, 1);
	unsigned tried = 0;

	for (unsigned i = 0; i < sched_policy_count(); i++) {
		const struct sched_ops *ops = sched_policy_at(i);
		struct sim_entity *e;
		struct sim_pool *p;
		struct sim *sim;

		if ((ops->honours & SCHED_HONOURS_SOFT_AFFINITY) == 0) {
			continue;
		}
		sim = machine(4, ops->name, NULL, &p);
		e = one(p, "e", &brief);
		CHECK_EQ(sim_pin(e, NULL, &soft), ERR_OK);
		CHECK(sim_run(sim, 100 * NS_PER_MS));
		CHECK(sim_sched_entity(e)->slot == 2 || sim_sched_entity(e)->slot == 3);
		CHECK(sim_figures(e).migrations == 0 && sim_figures(e).run_ns == 10 * NS_PER_MS);
		/* Somebody else is bound to each of them from now on. */
		sim_pin(one(p, "x", &busy), &third, NULL);
		sim_pin(one(p, "y", &busy), &last, NULL);
		CHECK(sim_run(sim, 200 * NS_PER_MS));
		CHECK(sim_sched_entity(e)->slot < 2 && sim_figures(e).migrations == 1);
		CHECK_EQ(sim_figures(e).longest_wait_ns, 0);
		sim_destroy(sim);
		tried++;
	}
	CHECK(tried >= 4);
}

TEST(yields, "who yields gives way to whoever waits, under every policy that honours it, however much it is owed")
{
	const struct sim_pattern yielder = { .kind = SIM_YIELDER, .run_ns = 300 * NS_PER_US };
	unsigned tried = 0;

	for (unsigned i = 0; i < sched_policy_count(); i++) {
		struct sim_entity *b;
		struct sim_pool *p;
		struct sim *sim;

		if ((sched_policy_at(i)->honours & SCHED_HONOURS_YIELD) == 0) {
			continue;
		}
		sim = machine(1, sched_policy_at(i)->name, NULL, &p);
		sim_entity(sim_group(p, "a", "weight=1000"), &yielder);
		b = sim_entity(sim_group(p, "b", "weight=10"), &yielder);
		CHECK(sim_run(sim, 60 * NS_PER_MS));
		/* b has its turn each time, be it short. */
		CHECK_EQ(sim_figures(b).longest_wait_ns, 300 * NS_PER_US);
		sim_destroy(sim);
		tried++;
	}
	CHECK(tried >= 4);
}

static void leave(struct sim *sim, void *arg)
{
	CHECK_EQ(sim_move_cpu(sim, (unsigned)(uintptr_t)arg, NULL), ERR_OK);
}

TEST(parked, "who is parked goes on in time though any cpu leaves meanwhile, under every policy with caps or reservations")
{
	unsigned tried = 0;

	for (unsigned i = 0; i < 2 * sched_policy_count(); i++) {
		const struct sched_ops *ops = sched_policy_at(i / 2);
		struct sim_entity *e;
		struct sim_pool *p;
		struct sim *sim;

		if ((ops->honours & (SCHED_HONOURS_CAP | SCHED_HONOURS_RESERVATION)) == 0) {
			continue;
		}
		/* 50 ms of each 100, whatever the policy calls that. At 60 it is parked. */
		sim = machine(2, ops->name, "cap-period=100ms", &p);
		e = sim_entity(sim_group(p, "a", "cap=50% period=100ms budget=50ms extratime=no"), &busy);
		sim_at(sim, 60 * NS_PER_MS, leave, (void *)(uintptr_t)(i % 2));
		CHECK(sim_run(sim, 95 * NS_PER_MS));
		CHECK_EQ(sim_figures(e).run_ns, 50 * NS_PER_MS);
		CHECK(sim_run(sim, NS_PER_S));
		CHECK(sim_figures(e).run_ns == 500 * NS_PER_MS && sim_figures(e).wait_ns == 0);
		sim_destroy(sim);
		tried++;
	}
	CHECK(tried >= 10);
}

static void one_called_in_vain(const char *policy)
{
	const struct sim_pattern five = { .kind = SIM_PERIODIC, .run_ns = 5 * NS_PER_MS, .every_ns = 10 * NS_PER_MS };
	const struct sim_pattern nine = { .kind = SIM_PERIODIC, .run_ns = 9 * NS_PER_MS, .every_ns = 10 * NS_PER_MS };
	const struct sim_pattern then = { .kind = SIM_BUSY, .phase_ns = 10 * NS_PER_MS };
	const struct cpuset cpu1 = { .word = { 2 } }, cpu2 = { .word = { 4 } }, even = { .word = { 5 } }, odd = { .word = { 10 } };
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1, .poke_ns = 10 * NS_PER_US });
	struct sim_entity *a, *b;
	struct sim_pool *p;

	sim_machine(sim, 4, 1, 4, 1);
	p = sim_pool(sim, "p", policy, "cap-period=100ms", sim_cpus(0, 4));
	sim_pin(a = sim_entity(sim_group(p, "a", "cap=5"), &five), &cpu2, NULL);
	sim_pin(b = sim_entity(sim_group(p, "b", NULL), &nine), &cpu1, NULL);
	sim_pin(sim_entity(sim_group(p, "d", NULL), &then), &cpu1, NULL);
	sim_run(sim, 95 * NS_PER_MS / 10);
	sim_pin(a, &even, NULL);
	sim_pin(b, &odd, NULL);
	/* At 10 slot 2 is to come for a, whose 5 ms are used up, slot 1 for b; d takes it, and calls slot 0 for a, not 3 for b. */
	sim_run(sim, 15 * NS_PER_MS);
	CHECK_STR(sim_wrong(sim), "");
	CHECK(sim_sched_entity(b)->slot == 3 && sim_figures(b).longest_wait_ns <= 30 * NS_PER_US);
	sim_destroy(sim);
}

TEST(called_in_vain, "a cpu that comes for one whose cap's budget is used up leaves no other waiting beside an idle one")
{
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		if ((sched_policy_at(i)->honours & SCHED_HONOURS_CAP) != 0) {
			one_called_in_vain(sched_policy_at(i)->name);
		}
	}
}
