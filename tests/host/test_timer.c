/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/timer: order, bounds, cancelling from elsewhere; checked against a plain array. */
#include "tests/host/test.h"

#include "kernel/timer.h"
#include "tests/fake/machine.h"

#define TIMERS	40

static struct model {
	struct timer timer;
	unsigned cpu;			/* CPU_NONE: not set */
	uint64_t at_ns;
	unsigned fired;
} model[TIMERS];

static uint64_t last_fired_ns;
static bool in_order;

static void fire(void *arg)
{
	struct model *m = arg;

	in_order = in_order && m->cpu == arch_this_cpu() && m->at_ns <= fake.now_ns && m->at_ns >= last_fired_ns;
	last_fired_ns = m->at_ns;
	m->cpu = CPU_NONE;
	m->fired++;
}

static void init_all(void)
{
	fake_machine_init(3);
	for (unsigned i = 0; i < TIMERS; i++) {
		model[i] = (struct model){ .cpu = CPU_NONE };
		timer_init(&model[i].timer, fire, &model[i]);
	}
	in_order = true;
}

static uint64_t model_next(unsigned cpu)
{
	uint64_t next_ns = NS_NEVER;

	for (unsigned i = 0; i < TIMERS; i++) {
		if (model[i].cpu == cpu) {
			next_ns = MIN(next_ns, model[i].at_ns);
		}
	}
	return next_ns;
}

static void set(unsigned i, unsigned cpu, uint64_t at_ns)
{
	timer_set(&model[i].timer, cpu, at_ns);
	model[i].cpu = cpu;
	model[i].at_ns = at_ns;
}

static void expire(unsigned cpu)
{
	fake_be_cpu(cpu);
	last_fired_ns = 0;
	timer_expire(&cpu_get(cpu)->timers, fake.now_ns);
	CHECK(in_order);
	CHECK(model_next(cpu) > fake.now_ns);
}

TEST(random, "timers fire in order, on their cpu, once, and never early, under random operations from any cpu")
{
	struct test_rng rng = { 3 };

	init_all();
	for (int step = 0; step < 60000; step++) {
		unsigned i = (unsigned)test_rand_below(&rng, TIMERS), cpu = (unsigned)test_rand_below(&rng, 3);

		fake_be_cpu((unsigned)test_rand_below(&rng, 3));
		switch (test_rand_below(&rng, 4)) {
		case 0:
		case 1:
			set(i, cpu, fake.now_ns + test_rand_below(&rng, 1000));
			break;
		case 2:
			CHECK_EQ(timer_cancel(&model[i].timer), model[i].cpu != CPU_NONE);
			model[i].cpu = CPU_NONE;
			break;
		default:
			fake.now_ns += test_rand_below(&rng, 100);
			expire(cpu);
			break;
		}
		CHECK(timer_check(&cpu_get(cpu)->timers));
		CHECK_EQ(timer_next(&cpu_get(cpu)->timers), model_next(cpu));
	}
	fake_machine_fini();
}

TEST(poke, "a timer set for another cpu pokes it only when it is that cpu's next event")
{
	init_all();
	fake_be_cpu(0);
	set(0, 1, fake.now_ns + 100);
	CHECK_EQ(fake.cpu[1].pokes, 1);
	cpu_poke_ack(cpu_get(1));
	set(1, 1, fake.now_ns + 200);
	CHECK_EQ(fake.cpu[1].pokes, 1);
	set(2, 1, fake.now_ns + 50);
	CHECK_EQ(fake.cpu[1].pokes, 2);
	set(3, 0, fake.now_ns + 1);
	CHECK_EQ(fake.cpu[0].pokes, 0);
	fake_machine_fini();
}

static struct timer again;
static unsigned rounds;

static void fire_again(void *arg)
{
	rounds++;
	timer_set(&again, 0, fake.now_ns);
}

TEST(bounded, "a timer that sets itself to now again and again does not hold up the loop")
{
	fake_machine_init(1);
	timer_init(&again, fire_again, NULL);
	timer_set(&again, 0, fake.now_ns);
	CHECK(timer_expire(&cpu_get(0)->timers, fake.now_ns));
	CHECK(rounds > 0 && rounds < 1000);
	CHECK_EQ(timer_next(&cpu_get(0)->timers), fake.now_ns);
	CHECK(timer_cancel(&again));
	fake_machine_fini();
}

static bool inside, seen_inside;
static struct timer slow;

/* While it fires on cpu 1, cpu 0 cancels. */
static void fire_slowly(void *arg)
{
	inside = true;
	fake_be_cpu(0);
	CHECK(!timer_cancel(&slow));
	seen_inside = inside;
	fake_be_cpu(1);
	inside = false;
}

TEST(sync, "cancel says no while a timer fires; after cancel_sync it is neither running nor set, wherever it was")
{
	fake_machine_init(2);
	fake_be_cpu(0);
	timer_init(&slow, fire_slowly, NULL);
	timer_cancel_sync(&slow);
	timer_set(&slow, 1, fake.now_ns);
	fake_run_cpu(1);
	CHECK(seen_inside && !inside);
	fake.cpu[1].pokes = 0;
	timer_cancel_sync(&slow);	/* nobody runs it: no cpu is asked to pass by */
	CHECK_EQ(fake.cpu[1].pokes, 0);

	rounds = 0;
	timer_init(&again, fire_again, NULL);
	timer_set(&again, 1, fake.now_ns);
	fake_run_cpu(1);		/* fires, and sets itself on cpu 0 */
	CHECK(rounds > 0);
	timer_cancel_sync(&again);
	CHECK(!timer_cancel(&again));
	CHECK_EQ(timer_next(&cpu_get(0)->timers), NS_NEVER);
	fake_machine_fini();
}

static void cancel_sync(void *arg)
{
	timer_cancel_sync(arg);
}

static const char *waited_for;

/* Fires on cpu 1, which takes its time: meanwhile cpu 2 sets it for itself, and cpu 0 wants it gone. */
static void fire_late(void *arg)
{
	timer_set(arg, 2, NS_NEVER - 1);
	fake_be_cpu(0);
	waited_for = fake_panic_of(cancel_sync, arg);
	fake_be_cpu(1);
}

TEST(sync_elsewhere, "cancel_sync waits for the cpu that runs a timer's function also where the timer was set for another meanwhile")
{
	struct timer late;

	fake_machine_init(3);
	timer_init(&late, fire_late, &late);
	timer_set(&late, 1, fake.now_ns);
	fake_run_cpu(1);
	CHECK(waited_for != NULL && strstr(waited_for, "for cpu 1") != NULL);
	fake_be_cpu(0);
	timer_cancel_sync(&late);
	CHECK(!timer_is_set(&late));
	fake_machine_fini();
}
