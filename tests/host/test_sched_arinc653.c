/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arinc653: timetables worked out by hand from its table, exact to the ns; what a change of table, admission and a late
 * vCPU do; mutants.
 */
#include "tests/host/test.h"

#include <stdio.h>

#include "kernel/lib/format.h"
#include "tests/fake/sched_model.h"
#include "tools/sim/sim.h"

extern const struct sched_ops sched_arinc653;

#define MS	NS_PER_MS

static const struct sim_pattern busy = { .kind = SIM_BUSY };

/* --- A timetable as text: a stretch of running is `SLOT NAME.VCPU FROM-TO`, in us where that is exact. */

static char table[16384];
static struct text recording;

static void put_time(struct text *to, uint64_t ns)
{
	if (ns % NS_PER_US == 0) {
		text_printf(to, "%lu", ns / NS_PER_US);
	} else {
		text_printf(to, "%luns", ns);
	}
}

static void write_down(void *context, const struct sim_stretch *t)
{
	const struct sched_entity *e = sim_sched_entity((struct sim_entity *)(uintptr_t)t->entity);

	if (t->state == SIM_RUNS) {
		text_printf(context, "%u %s.%u ", t->slot, e->group->name, e->number);
		put_time(context, t->from_ns);
		text_putc(context, '-');
		put_time(context, t->to_ns);
		text_putc(context, '\n');
	}
}

static struct sim *machine(unsigned cpus)
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1 });

	sim_machine(sim, cpus, 1, cpus, 1);
	recording = text_make(table, sizeof(table));
	sim_record(sim, write_down, &recording);
	return sim;
}

static struct sim_pool *pool(struct sim *sim, unsigned cpus, const char *values)
{
	struct sim_pool *p = sim_pool(sim, "p", "arinc653", values, sim_cpus(0, cpus));

	if (p == NULL) {
		test_fail(__FILE__, __LINE__, "%s", sim_why(sim));
	}
	return p;
}

static struct sim_group *vm(struct sim_pool *p, const char *name, unsigned vcpus)
{
	struct sim_group *g = sim_group(p, name, NULL);

	for (unsigned i = 0; i < vcpus; i++) {
		sim_entity(g, &busy);
	}
	return g;
}

static void run(struct sim *sim, uint64_t until_ns)
{
	if (!sim_run(sim, until_ns)) {
		test_fail(__FILE__, __LINE__, "%s", sim_wrong(sim));
	}
}

TEST(one_slot, "windows follow each other in their order, then the rest of the frame idles, and it begins again")
{
	struct sim *sim = machine(1);
	struct sim_pool *p = pool(sim, 1, "frame=10ms window=0,a.0,2ms window=0,b.0,3ms window=0,a.0,1ms");

	vm(p, "a", 1);
	vm(p, "b", 1);
	run(sim, 22 * MS);
	CHECK_STR(table, "0 a.0 0-2000\n0 b.0 2000-5000\n0 a.0 5000-6000\n0 a.0 10000-12000\n0 b.0 12000-15000\n"
			 "0 a.0 15000-16000\n0 a.0 20000-22000\n");
	sim_destroy(sim);
}

TEST(two_slots, "the slots share one frame: two vCPUs of a VM run at the same time, one goes from slot to slot without a gap")
{
	struct sim *sim = machine(2);
	struct sim_pool *p = pool(sim, 2, "frame=10ms window=0,a.0,4ms;0,b.0,3ms window=1,a.1,4ms;1,idle,3ms;1,b.0,2ms");

	vm(p, "a", 2);
	vm(p, "b", 1);
	run(sim, 12 * MS);
	CHECK_STR(table, "0 a.0 0-4000\n1 a.1 0-4000\n0 b.0 4000-7000\n1 b.0 7000-9000\n0 a.0 10000-12000\n1 a.1 10000-12000\n");
	sim_destroy(sim);
}

TEST(asleep, "a window whose vCPU sleeps stays idle beside others that wait, and is its own again when it wakes in it")
{
	const struct sim_pattern late = { .kind = SIM_PERIODIC, .run_ns = MS, .every_ns = 20 * MS, .phase_ns = 12 * MS };
	struct sim *sim = machine(1);
	struct sim_pool *p = pool(sim, 1, "frame=10ms window=0,a.0,5ms window=0,b.0,5ms");

	sim_entity(sim_group(p, "a", NULL), &late);
	vm(p, "b", 1);
	run(sim, 35 * MS);
	/* Released at 12: at once. At 32: at once. */
	CHECK_STR(table, "0 b.0 5000-10000\n0 a.0 12000-13000\n0 b.0 15000-20000\n0 b.0 25000-30000\n0 a.0 32000-33000\n");
	sim_destroy(sim);
}

static void retune(struct sim *sim, void *arg)
{
	CHECK_EQ(sim_tune_pool(sim_pool_at(sim, 0), arg), ERR_OK);
}

TEST(swap, "another table and frame are taken up by all slots where the frame ends, whatever runs; the last one given counts")
{
	struct sim *sim = machine(2);
	struct sim_pool *p = pool(sim, 2, "frame=10ms window=0,a.0,10ms window=1,b.0,6ms");
	char never[] = "window=0,b.0,1ms", then[] = "frame=4ms window=0,b.0,1ms;0,a.0,3ms";

	vm(p, "a", 1);
	vm(p, "b", 1);
	sim_at(sim, 11 * MS, retune, never);
	sim_at(sim, 13 * MS, retune, then);
	run(sim, 25 * MS);
	CHECK_STR(table, "1 b.0 0-6000\n1 b.0 10000-16000\n0 a.0 0-20000\n0 b.0 20000-21000\n0 a.0 21000-24000\n0 b.0 24000-25000\n");
	sim_destroy(sim);
}

TEST(late, "a cpu that comes late to a change of tables, for the last switch took until then, moves no window")
{
	struct sim *sim = sim_create(&(struct sim_options){ .check_every = 1, .switch_ns = 100 * NS_PER_US });
	char then[] = "window=0,a.0,5ms;0,b.0,5ms";
	struct sim_pool *p;

	sim_machine(sim, 1, 1, 1, 1);
	recording = text_make(table, sizeof(table));
	sim_record(sim, write_down, &recording);
	p = pool(sim, 1, "frame=10ms window=0,a.0,9950us;0,b.0,50us");
	vm(p, "a", 1);
	vm(p, "b", 1);
	sim_at(sim, 12 * MS, retune, then);
	run(sim, 31 * MS);
	CHECK_STR(table, "0 a.0 0-9950\n0 b.0 9950-10050\n0 a.0 10050-19950\n0 b.0 19950-20050\n0 a.0 20050-25000\n"
			 "0 b.0 25000-30000\n0 a.0 30000-31000\n");
	sim_destroy(sim);
}

TEST(exact, "over 100,000 frames of an odd length each window has every ns of its time, and starts where it should: no drift")
{
	struct sim *sim = sim_create(NULL);
	struct sim_pool *p;
	struct sim_group *a, *b;
	uint64_t frames = 100000, frame_ns = 1000 * NS_PER_US + 7;

	sim_machine(sim, 1, 1, 1, 1);
	p = pool(sim, 1, "frame=1000007ns window=0,a.0,333331ns window=0,b.0,111113ns");
	a = vm(p, "a", 1);
	b = vm(p, "b", 1);
	run(sim, frames * frame_ns + 333331);
	CHECK_EQ(sim_figures(sim_entity_at(sim, 0)).run_ns, (frames + 1) * 333331);
	CHECK_EQ(sim_figures(sim_entity_at(sim, 1)).run_ns, frames * 111113);
	CHECK_EQ(sim_figures(sim_entity_at(sim, 1)).wake_max_ns, 0);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(sim_figures(sim_entity_at(sim, i)).wait_ns, 0);	/* parked until its window, and told so */
	}
	printf("  windows over 100,000 frames: 0 ns off (Xen until 2025: 3.5 ms after 21 frames)\n");
	(void)a, (void)b;
	sim_destroy(sim);
}

TEST(full, "a frame without a gap, and one vCPU in all of it, is never interrupted for long")
{
	struct sim *sim = machine(1);
	struct sim_pool *p = pool(sim, 1, "frame=10ms window=0,a.0,10ms");

	vm(p, "a", 1);
	run(sim, 1000 * MS);
	CHECK_STR(table, "0 a.0 0-1000000\n");
	sim_destroy(sim);
}

/* --- What is refused, with the arithmetic. */

static const char *refusal(const char *values)
{
	static char words[200];
	struct sim *sim = sim_create(NULL);

	sim_machine(sim, 2, 1, 2, 1);
	words[0] = '\0';
	if (sim_pool(sim, "p", "arinc653", values, sim_cpus(0, 2)) == NULL) {
		snprintf(words, sizeof(words), "%s", sim_why(sim));
	}
	sim_destroy(sim);
	return words;
}

TEST(tables, "a table that does not fit its frame, or gives a vCPU two slots at once, is refused with the figures; all others are taken")
{
	CHECK_STR(refusal("frame=10ms window=0,a.0,6ms;0,b.0,4ms;1,b.0,6ms;1,a.0,4ms"), "");
	CHECK_STR(refusal("frame=10ms window=0,a.0,6ms;0,b.0,4001us"),
		  "slot 0: its windows up to that of b.0 last 10001 us, the frame 10000 us");
	CHECK_STR(refusal("frame=10ms window=0,a.0,6ms;1,b.0,5999us;1,a.0,1ms"),
		  "a.0 has slots 0 and 1 at once, from 5999 us of the frame on");
	CHECK_STR(refusal("frame=10ms window=2,a.0,6ms"), "cpu 2 has a window, but is not in pool p");
	CHECK_STR(refusal("window=0,a,6ms"), "window: found \"0,a,6ms\", expected SLOT VM.VCPU TIME, or SLOT idle TIME");
	CHECK_STR(refusal("window=0,a.0,6"), "window: found \"6\", expected a time such as 500us, 10ms or 1s");
	CHECK_STR(refusal("window=0,a.0,1us"), "window: found 1us, expected 10us to 100s");
	CHECK_STR(refusal("window=0,a.0,1ms,2"), "window: found \"0,a.0,1ms,2\", expected SLOT VM.VCPU TIME, or SLOT idle TIME");
}

TEST(admission, "a vCPU without a window is refused, and so is taking a cpu that has windows; whoever has one comes in")
{
	struct sim *sim = machine(2);
	struct sim_pool *p = pool(sim, 2, "frame=10ms window=0,a.0,5ms window=1,a.1,5ms");
	struct sim_group *a = vm(p, "a", 2), *b = vm(p, "b", 1), *more = vm(p, "more", 1);
	const struct cpuset zero = sim_cpus(0, 1), one = sim_cpus(1, 1), both = sim_cpus(0, 2);

	CHECK_EQ(sim_start(b), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "none of the 2 windows is for b.0: it would never run");
	CHECK_EQ(sim_start(a), ERR_OK);
	CHECK_EQ(sim_move_cpu(sim, 1, NULL), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "slot 1 has a window of a.1, 5000 us long");
	CHECK_EQ(sim_pin(sim_entity_at(sim, 1), &zero, &both), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "no window of a.1 is on a cpu that it is bound to: it would never run");
	CHECK_EQ(sim_pin(sim_entity_at(sim, 1), &one, &both), ERR_OK);
	sim_pool_warn(p, true);
	CHECK_EQ(sim_start(more), ERR_OK);	/* it comes in, and never runs */
	run(sim, 20 * MS);
	CHECK_STR(table, "0 a.0 0-5000\n1 a.1 0-5000\n0 a.0 10000-15000\n1 a.1 10000-15000\n");
	sim_destroy(sim);
}

TEST(pinned_away, "a vCPU that is bound to cpus where it has no window would never run: that is refused, coming and changed")
{
	const struct cpuset cpu0 = sim_cpus(0, 1), cpu1 = sim_cpus(1, 1);
	struct sim *sim = machine(2);
	struct sim_pool *p = pool(sim, 2, "frame=10ms window=0,a.0,5ms window=0,b.0,5ms window=1,b.0,5ms");
	struct sim_group *a = vm(p, "a", 1), *b = vm(p, "b", 1);

	CHECK_EQ(sim_pin(sim_entity_at(sim, 0), &cpu1, NULL), ERR_OK);
	CHECK_EQ(sim_start(a), ERR_ADMISSION);
	CHECK_STR(sim_why(sim), "no window of a.0 is on a cpu that it is bound to: it would never run");
	CHECK_EQ(sim_pin(sim_entity_at(sim, 0), &cpu0, NULL), ERR_OK);
	CHECK_EQ(sim_start(a), ERR_OK);
	CHECK_EQ(sim_start(b), ERR_OK);
	CHECK_EQ(sim_pin(sim_entity_at(sim, 0), &cpu1, NULL), ERR_ADMISSION);
	CHECK_EQ(sim_pin(sim_entity_at(sim, 1), &cpu1, NULL), ERR_OK);	/* it keeps one of two */
	run(sim, 11 * MS);
	CHECK_STR(table, "0 a.0 0-5000\n1 b.0 0-5000\n0 a.0 10000-11000\n1 b.0 10000-11000\n");
	sim_destroy(sim);
}

TEST(comes_late, "a window is there before its VM: it idles, and the VM takes it in the middle when it comes")
{
	struct sim *sim = machine(1);
	struct sim_pool *p = pool(sim, 1, "frame=10ms window=0,a.0,5ms window=0,b.0,5ms");
	struct sim_group *b;

	vm(p, "a", 1);
	run(sim, 7 * MS);
	b = vm(p, "b", 1);
	run(sim, 16 * MS);
	sim_remove(b);
	run(sim, 27 * MS);
	CHECK_STR(table, "0 a.0 0-5000\n0 b.0 7000-10000\n0 a.0 10000-15000\n0 b.0 15000-16000\n0 a.0 20000-25000\n");
	sim_destroy(sim);
}

/* --- Mutants, whose check() sees nothing. */

static bool blind(struct sched *s, struct sched_reason *why)
{
	(void)s, (void)why;
	return true;
}

static void ignore(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)now_ns, (void)out;
}

/* Hands out the entity of a window although it is on another slot still, or asleep. */
static struct sched_pick hasty_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = sched_arinc653.pick(s, slot, now_ns, out);
	struct sched_table *t = s->table_used;

	for (unsigned i = 0; p.entity == NULL && t != NULL && i < t->count; i++) {
		struct sched_entity *e = t->row[i].slot == slot ? t->row[i].entity : NULL;

		p.entity = e != NULL && e->parked == SCHED_NOT_PARKED ? e : NULL;
	}
	return p;
}

static struct sched_pick tired_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = sched_arinc653.pick(s, slot, now_ns, out);

	p.until_ns = p.entity != NULL ? now_ns : p.until_ns;
	return p;
}

/* A window ends a little late. */
static struct sched_pick late_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = sched_arinc653.pick(s, slot, now_ns, out);

	p.until_ns += p.entity != NULL;
	return p;
}

static void check_frames(const struct sched_ops *ops, bool right)
{
	struct sim *sim = machine(1);
	struct sim_pool *p = sim_pool_of(sim, "p", ops, "frame=10ms window=0,a.0,2ms window=0,b.0,3ms", sim_cpus(0, 1));

	vm(p, "a", 1);
	vm(p, "b", 1);
	run(sim, 12 * MS);
	CHECK_EQ(strcmp(table, "0 a.0 0-2000\n0 b.0 2000-5000\n0 a.0 10000-12000\n") == 0, right);
	sim_destroy(sim);
}

static bool caught(const char *what, struct sched_ops mutant)
{
	mutant.check = blind;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		if (sched_conform(&mutant, seed, 20000, true)[0] != '\0') {
			return true;
		}
	}
	printf("  not caught: %s\n", what);
	return false;
}

TEST(mutants, "arinc653 that runs sleepers, never ends a window, ends it 1 ns late or ignores affinity is caught")
{
	struct sched_ops m = sched_arinc653;
	unsigned n = 0;

	m.pick = hasty_pick;
	n += caught("picks who sleeps or is elsewhere", m);
	m = sched_arinc653;
	m.pick = tired_pick;
	n += caught("until is now", m);
	m = sched_arinc653;
	m.set_affinity = ignore;
	n += caught("a change of affinity goes unnoticed", m);
	CHECK_EQ(n, 3);
	m = sched_arinc653;
	check_frames(&m, true);
	m.pick = late_pick;
	check_frames(&m, false);
}

/* --- What the model cannot ask of a table (test_sched_mutants.c: HAS_CLAIMS), by the time that is had. */

static unsigned long wakes;

static void wake_quietly(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	sched_arinc653.wake(s, e, now_ns, out);
	sched_out_init(out);
}

static void wake_now_and_then(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (++wakes % 64 != 0) {
		sched_arinc653.wake(s, e, now_ns, out);
	}
}

static struct sched_pick pick_nobody(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)slot, (void)now_ns, (void)out;
	return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
}

/* Whoever is replaced is let go before its state has left the slot. */
static struct sched_pick pick_early(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	static struct sched_entity *last[2];
	struct sched_pick p = sched_arinc653.pick(s, slot, now_ns, out);

	if (last[slot] != NULL && last[slot] != p.entity && last[slot]->on_slot && last[slot]->slot == slot) {
		last[slot]->on_slot = false;
		sched_arinc653.released(s, last[slot], now_ns, out);
		last[slot]->on_slot = true;
	}
	last[slot] = p.entity;
	return p;
}

/*
 * In each frame a has 4 ms of slot 0, then 3 ms of slot 1 as soon as it is off slot 0, which takes 10 us. b wakes in its window
 * for 1 ms, and 10 us to come on. After 1 ms of a's 71st time on slot 1 it may not run there any more.
 */
static bool time_is_had(const struct sched_ops *ops)
{
	const struct sim_pattern blip = { .kind = SIM_PERIODIC, .run_ns = MS, .every_ns = 10 * MS, .phase_ns = 5 * MS };
	const struct cpuset slot0 = sim_cpus(0, 1);
	struct sim *sim = sim_create(&(struct sim_options){ .switch_ns = 10 * NS_PER_US, .check_every = SIM_NEVER });
	struct sim_entity *a, *b;
	struct sim_pool *p;
	bool had;

	sim_machine(sim, 2, 1, 2, 1);
	p = sim_pool_of(sim, "p", ops, "frame=10ms window=0,a.0,4ms;0,b.0,3ms window=1,idle,4ms;1,a.0,3ms", sim_cpus(0, 2));
	a = sim_entity(sim_group(p, "a", NULL), &busy);
	b = sim_entity(sim_group(p, "b", NULL), &blip);
	wakes = 0;
	had = sim_run(sim, 705 * MS);
	sim_pin(a, &slot0, NULL);
	had = had && sim_run(sim, NS_PER_S) && sim_figures(b).run_ns == 100 * 1010 * NS_PER_US &&
	      sim_figures(a).run_ns == 100 * 4 * MS + 70 * 2990 * NS_PER_US + 990 * NS_PER_US;
	sim_destroy(sim);
	return had;
}

TEST(mutants_of_time, "arinc653 that forgets a wake, a poke, who was released or an affinity, or picks nobody, gives less time")
{
	struct sched_ops m[7];

	CHECK(time_is_had(&sched_arinc653));
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++) {
		m[i] = sched_arinc653;
	}
	m[0].wake = wake_quietly;
	m[1].wake = ignore;
	m[2].wake = wake_now_and_then;
	m[3].pick = pick_nobody;
	m[4].pick = pick_early;
	m[4].released = ignore;
	m[5].released = ignore;
	m[6].set_affinity = ignore;
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++) {
		m[i].check = blind;
		if (time_is_had(&m[i])) {
			test_fail(__FILE__, __LINE__, "mutant %u has all its time", i);
		}
	}
}

TEST(conforms, "arinc653 keeps the contract under random tables, VMs and cpus")
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		const char *wrong = sched_conform(&sched_arinc653, seed, 20000, false);

		if (wrong[0] != '\0') {
			test_fail(__FILE__, __LINE__, "seed %lu: %s", seed, wrong);
		}
	}
}
