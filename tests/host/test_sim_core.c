/* SPDX-License-Identifier: BSD-2-Clause */
/* tools/sim against pool/: both call a policy the same way, call by call, for the same guests. */
#include "tests/host/test.h"

#include "kernel/lib/format.h"
#include "tests/fake/guest.h"
#include "tests/fake/machine.h"
#include "tools/sim/sim.h"

#define JOBS	4u
#define END_NS	(200 * NS_PER_MS)
#define CPU	1u			/* runs the guests; arrivals come from cpu 0 */

extern const struct sched_ops sched_rr;

/* --- rr that writes down how it is called. */

static char log_of_sim[65536], log_of_pool[65536];
static struct text log_text;
static bool logging;

static void start_log(char *buf, size_t size)
{
	log_text = text_make(buf, size);
	logging = true;
}

static void note(const char *op, const struct sched_entity *e, uint64_t now_ns)
{
	if (logging) {
		text_printf(&log_text, "%s %s %lu\n", op, e != NULL ? e->group->name : "-", now_ns);
	}
}

static void wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	note(e->on_slot ? "wake-on-slot" : "wake", e, now_ns);
	sched_rr.wake(s, e, now_ns, out);
}

static void block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	note(e->on_slot ? "block-on-slot" : "block", e, now_ns);
	sched_rr.block(s, e, now_ns, out);
}

static void yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	note("yield", e, now_ns);
	sched_rr.yield(s, e, now_ns, out);
}

static void charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns,
		   struct sched_out *out)
{
	(void)s, (void)out;
	note("charge", e, now_ns);
	note("that ran", e, ran_ns);
}

static struct sched_pick pick(struct sched *s, unsigned slot, uint64_t now_ns,
			      struct sched_out *out)
{
	struct sched_pick p = sched_rr.pick(s, slot, now_ns, out);

	note("pick", p.entity, now_ns);
	return p;
}

static void released(struct sched *s, struct sched_entity *e, uint64_t now_ns,
		     struct sched_out *out)
{
	note(e->runnable ? "released" : "released-blocked", e, now_ns);
	sched_rr.released(s, e, now_ns, out);
}

static struct sched_ops logging_rr(void)
{
	struct sched_ops ops = sched_rr;

	ops.wake = wake;
	ops.block = block;
	ops.yield = yield;
	ops.charge = charge;
	ops.pick = pick;
	ops.released = released;
	return ops;
}

/* --- The guests: odd times, so that no two things fall together by chance. */

static const struct sim_pattern pattern[JOBS] = {
	{ .kind = SIM_PERIODIC, .run_ns = 1000003, .every_ns = 7000003, .phase_ns = 101 },
	{ .kind = SIM_PERIODIC, .run_ns = 4000037, .every_ns = 13000027, .phase_ns = 211 },
	{ .kind = SIM_PERIODIC, .run_ns = 9000011, .every_ns = 29000039, .phase_ns = 307 },
	{ .kind = SIM_YIELDER, .run_ns = 3000017, .phase_ns = 60000011 },
};
static const char *const name[JOBS] = { "a", "b", "c", "d" };

static void run_sim(const struct sched_ops *ops)
{
	struct sim *sim = sim_create(NULL);
	struct sim_pool *p;

	sim_machine(sim, 2, 1, 2, 1);
	p = sim_pool_of(sim, "p", ops, "timeslice=2ms", sim_cpus(CPU, 1));
	for (unsigned i = 0; i < JOBS; i++) {
		sim_entity(sim_group(p, name[i], NULL), &pattern[i]);
	}
	start_log(log_of_sim, sizeof(log_of_sim));
	CHECK(sim_run(sim, END_NS));
	logging = false;
	sim_destroy(sim);
}

/* The same guests on the fake machine. */
static struct job {
	struct fake_vm vm;
	uint64_t arrival_ns, work_ns, pending;
} job[JOBS];

static uint64_t next_arrival_ns(void)
{
	uint64_t next_ns = END_NS + 1;

	for (unsigned i = 0; i < JOBS; i++) {
		next_ns = MIN(next_ns, job[i].arrival_ns);
	}
	return next_ns;
}

static void arrive(void)
{
	for (unsigned i = 0; i < JOBS; i++) {
		struct job *j = &job[i];

		if (j->arrival_ns != fake.now_ns) {
			continue;
		}
		j->arrival_ns += pattern[i].every_ns != 0 ? pattern[i].every_ns : END_NS;
		if (j->pending++ == 0) {
			j->work_ns = pattern[i].run_ns;
			unsigned was = fake.this_cpu;

			fake_be_cpu(0);
			pool_entity_wake(&j->vm.v[0].e);
			fake_be_cpu(was);
		}
	}
}

static enum dispatch_why act(struct fake_vcpu *v, uint64_t until_ns)
{
	struct job *j = CONTAINER_OF(v, struct job, vm.v[0]);
	const unsigned i = (unsigned)(j - job);

	while (fake.now_ns <= END_NS) {
		uint64_t next_ns = MIN(MIN(until_ns, fake.now_ns + j->work_ns), next_arrival_ns());

		j->work_ns -= next_ns - fake.now_ns;
		fake.now_ns = next_ns;
		arrive();
		if (j->work_ns == 0) {
			j->pending -= pattern[i].kind != SIM_YIELDER;
			j->work_ns = j->pending > 0 ? pattern[i].run_ns : 0;
			if (pattern[i].kind == SIM_YIELDER || j->pending == 0) {
				return j->pending == 0 ? DISPATCH_BLOCKED : DISPATCH_YIELDED;
			}
		}
		if (atomic_load(&cpu_get(CPU)->remote.poked) != 0) {
			return DISPATCH_POKED;
		}
		if (fake.now_ns == until_ns) {
			return DISPATCH_TIME;
		}
	}
	return DISPATCH_TIME;
}

static void run_pool(const struct sched_ops *ops)
{
	struct sched_reason why;
	struct sched_values values;
	struct pool *p;

	fake_machine_init(2);
	fake_guest_init();
	fake.now_ns = 0;
	sched_values_default(ops, &values);
	values.v[0] = 2 * NS_PER_MS;
	CHECK_EQ(pool_create("p", ops, &values, 0, &p, &why), ERR_OK);
	CHECK_EQ(pool_add_cpu(p, CPU, &why), ERR_OK);
	for (unsigned i = 0; i < JOBS; i++) {
		job[i] = (struct job){ .arrival_ns = pattern[i].phase_ns };
		fake_vm_init(&job[i].vm, name[i], 1);
		job[i].vm.v[0].act = act;
		CHECK_EQ(pool_group_add(p, &job[i].vm.g, job[i].vm.list, 1, &why), ERR_OK);
		pool_entity_resume(&job[i].vm.v[0].e);
	}
	fake.now_ns = 0;
	start_log(log_of_pool, sizeof(log_of_pool));
	while (fake.now_ns <= END_NS) {
		fake_run_cpu(CPU);
		if (fake.cpu[CPU].idle_until_ns != 0 &&
		    atomic_load(&cpu_get(CPU)->remote.poked) == 0) {
			fake.now_ns = MIN(fake.cpu[CPU].idle_until_ns, next_arrival_ns());
			arrive();
		}
	}
	logging = false;
	for (unsigned i = 0; i < JOBS; i++) {
		pool_group_remove(&job[i].vm.g);
	}
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	fake_machine_fini();
}

static const char *line(const char **at)
{
	static char words[2][128];
	static unsigned turn;
	char *to = words[turn++ % 2];
	size_t len = strcspn(*at, "\n");

	len = MIN(len, sizeof(words[0]) - 1);
	memcpy(to, *at, len);
	to[len] = '\0';
	*at += len + ((*at)[len] != '\0');
	return to;
}

TEST(same_calls, "the simulator calls a policy as the pools do, call by call, at the same times")
{
	const struct sched_ops ops = logging_rr();
	const char *sim = log_of_sim, *pool = log_of_pool;
	unsigned calls = 0;

	run_sim(&ops);
	run_pool(&ops);
	CHECK(!log_text.cut);
	for (; *sim != '\0'; calls++) {
		const char *in_sim = line(&sim);

		CHECK_STR(line(&pool), in_sim);
	}
	CHECK(calls > 500);
}
