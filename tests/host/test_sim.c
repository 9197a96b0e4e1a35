/* SPDX-License-Identifier: BSD-2-Clause */
/* tools/sim, the engine: timetables worked out by hand, figures, control operations, and what it catches. */
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

		text_printf(to, "%u %s.%u %lu-%lu\n", s->slot, e->group->name, e->number, s->from_ns / NS_PER_US,
			    s->to_ns / NS_PER_US);
	}
}

static struct text start_table(struct sim *sim, struct text *to)
{
	*to = text_make(table, sizeof(table));
	sim_record(sim, write_down, to);
	return *to;
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
	CHECK_STR(table, "0 a.0 0-10000\n0 b.0 10000-20000\n0 a.0 20000-30000\n0 b.0 30000-35000\n");
	CHECK_EQ(sim_figures(a).run_ns, 20 * NS_PER_MS);
	CHECK_EQ(sim_figures(b).wait_ns, 20 * NS_PER_MS);
	CHECK_EQ(sim_figures(b).longest_wait_ns, 10 * NS_PER_MS);
	CHECK_EQ(sim_figures(b).wakes, 1);
	CHECK_EQ(sim_figures(b).switches, 2);
	CHECK_EQ(sim_pool_figures(p)->idle_waiting_ns, 0);
	sim_destroy(sim);
}
