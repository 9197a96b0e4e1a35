/* SPDX-License-Identifier: BSD-2-Clause */
/* pool/dispatch: the loop, over the fake machine. */
#include "tests/host/test.h"

#include "kernel/call.h"
#include "tests/fake/guest.h"
#include "tests/fake/machine.h"

static struct sched_reason why;

static void reset(unsigned cpus)
{
	fake_machine_init(cpus);
	fake_guest_init();
}

static struct pool *new_pool(const char *name, const char *sched, unsigned first, unsigned last)
{
	struct pool *p;

	CHECK_EQ(pool_create(name, sched_policy_find(sched), NULL, 0, &p, &why), ERR_OK);
	for (unsigned id = first; id <= last; id++) {
		CHECK_EQ(pool_add_cpu(p, id, &why), ERR_OK);
	}
	return p;
}

static void end(struct fake_vm *vm)
{
	struct pool *p = vm->g.pool;

	CHECK(pool_check(p, &why));
	pool_group_remove(&vm->g);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
}

TEST(share, "two busy entities on one cpu under rr share it 50:50 and switch once a timeslice")
{
	struct fake_vm vm;

	reset(1);
	fake_vm_init(&vm, "a", 2);
	fake_vm_start(&vm, new_pool("p", "rr", 0, 0));
	fake_guest_run(NS_PER_S, NS_PER_MS);
	fake_run_cpu(0);
	CHECK(vm.v[0].e.used_ns + vm.v[1].e.used_ns >= NS_PER_S);
	CHECK(vm.v[0].e.used_ns >= 490 * NS_PER_MS && vm.v[1].e.used_ns >= 490 * NS_PER_MS);
	CHECK(vm.v[0].puts >= 49 && vm.v[0].puts <= 51);
	CHECK_EQ(vm.v[0].puts + (vm.v[0].on_cpu == 0), vm.v[0].e.switches);
	end(&vm);
	CHECK_EQ(fake.heap_blocks, 0);
	fake_machine_fini();
}

/* Their shares over 4 s, when the cpu picks that often, whatever it was told. */
static void share_while_picking(const char *sched, uint64_t every_ns)
{
	struct fake_vm vm[3];
	struct pool *p;

	reset(1);
	p = new_pool("p", sched, 0, 0);
	for (unsigned i = 0; i < 3; i++) {
		fake_vm_init(&vm[i], "vm", 1);
		fake_vm_start(&vm[i], p);
	}
	fake_guest_run(4 * NS_PER_S, every_ns);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t ms = vm[i].v[0].e.used_ns / NS_PER_MS;

		if (ms < 1250 || ms > 1420) {
			test_fail(__FILE__, __LINE__, "%s, a pick every %lu us: VM %u has %lu ms of 4 s", sched, every_ns / 1000, i, ms);
		}
		pool_group_remove(&vm[i].g);
	}
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	fake_machine_fini();
}

TEST(often, "who shares a cpu that picks far more often than turns end, as one that keeps house does, has its share")
{
	static const char *const policies[] = { "rr", "credit", "credit2", "eevdf", "sedf" };
	static const uint64_t every_us[] = { 20, 49, 300, 800, 999, 1500 };

	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(every_us); k++) {
			share_while_picking(policies[i], every_us[k] * NS_PER_US);
		}
	}
}

TEST(one_hold, "once turns end in switches, a switch takes the domain's lock once, and the one that stays alone is not put for long")
{
	struct fake_vm vm;
	struct pool *p;
	uint32_t holds;
	unsigned puts;

	reset(1);
	fake_vm_init(&vm, "a", 2);
	p = new_pool("p", "rr", 0, 0);
	fake_vm_start(&vm, p);
	fake_guest_run(100 * NS_PER_MS, 100 * NS_PER_MS);
	holds = p->domain[0].lock.next;
	puts = vm.v[0].puts + vm.v[1].puts;
	fake_guest_run(NS_PER_S, 100 * NS_PER_MS);
	puts = vm.v[0].puts + vm.v[1].puts - puts;
	CHECK(puts >= 99);
	CHECK(p->domain[0].lock.next - holds <= puts + 2);
	pool_entity_pause(&vm.v[1].e);
	puts = vm.v[0].puts;
	fake_guest_run(NS_PER_S, 100 * NS_PER_MS);
	CHECK(vm.v[0].puts <= puts + 1);
	pool_entity_resume(&vm.v[1].e);
	end(&vm);
	fake_machine_fini();
}

TEST(alone, "an entity that runs alone is picked again without being put")
{
	struct fake_vm vm;

	reset(1);
	fake_vm_init(&vm, "a", 1);
	fake_vm_start(&vm, new_pool("p", "rr", 0, 0));
	fake_guest_run(NS_PER_S, NS_PER_MS);
	CHECK_EQ(vm.v[0].puts, 0);
	CHECK(vm.v[0].runs >= 100);
	CHECK_EQ(cpu_get(0)->busy_ns, NS_PER_S);
	end(&vm);
	CHECK_EQ(vm.v[0].puts, 1);
	fake_machine_fini();
}

static struct pool_entity_times seen;
static struct cpu_times seen_cpu[2];

/* Runs for 3 ms; another cpu looks after 2. */
static enum dispatch_why act_seen(struct fake_vcpu *v, uint64_t until_ns)
{
	unsigned self = fake.this_cpu;

	(void)until_ns;
	fake.now_ns += 2 * NS_PER_MS;
	fake_be_cpu(!self);
	seen = pool_entity_times(&v->e);
	seen_cpu[0] = cpu_times(cpu_get(0));
	seen_cpu[1] = cpu_times(cpu_get(1));
	fake_be_cpu(self);
	fake.now_ns += NS_PER_MS;
	return DISPATCH_POKED;
}

TEST(present, "who looks at a vCPU and a cpu in the middle of a long run sees it up to now, and not twice when it is charged")
{
	struct fake_vm vm;

	reset(2);
	fake_vm_init(&vm, "a", 1);
	vm.v[0].act = act_seen;
	fake_vm_start(&vm, new_pool("p", "null", 0, 0));
	for (uint64_t i = 0; i < 3; i++) {
		fake_run_cpu(0);
		CHECK_EQ(seen.run_ns, (3 * i + 2) * NS_PER_MS);
		CHECK_EQ(seen_cpu[0].busy_ns, (3 * i + 2) * NS_PER_MS);
		CHECK_EQ(seen_cpu[0].idle_ns, 0);
		CHECK_EQ(seen_cpu[1].busy_ns, 0);
		CHECK_EQ(pool_entity_times(&vm.v[0].e).run_ns, 3 * (i + 1) * NS_PER_MS);
	}
	end(&vm);
	fake_machine_fini();
}

TEST(independent, "dispatching and switching in one pool writes nothing of another pool and pokes none of its cpus")
{
	struct fake_vm a, b;
	struct pool *p, *q;
	static struct pool before;

	reset(2);
	fake_vm_init(&a, "a", 3);
	fake_vm_init(&b, "b", 2);
	p = new_pool("p", "rr", 0, 0);
	q = new_pool("q", "rr", 1, 1);
	fake_vm_start(&a, p);
	fake_vm_start(&b, q);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	before = *q;
	fake.cpu[1].pokes = 0;
	for (int i = 0; i < 1000; i++) {
		fake_run_cpu(0);
	}
	CHECK(memcmp(&before, q, sizeof(before)) == 0);
	CHECK_EQ(fake.cpu[1].pokes, 0);
	CHECK_EQ(q->domain[0].lock.next, q->domain[0].lock.serving);
	end(&a);
	end(&b);
	fake_machine_fini();
}

/* Runs for 1 us; before its cpu takes the lock, but after it read the clock, another cpu makes the other one runnable. */
static enum dispatch_why act_overtaken(struct fake_vcpu *v, uint64_t until_ns)
{
	fake.now_ns += NS_PER_US;
	v[1].e.runnable_since_ns = fake.now_ns + 100;
	return DISPATCH_YIELDED;
}

TEST(overtaken, "an entity that became runnable after its cpu read the clock has waited 0, not 2^64")
{
	struct fake_vm vm;

	reset(1);
	fake_vm_init(&vm, "a", 2);
	vm.v[0].act = act_overtaken;
	fake_vm_start(&vm, new_pool("p", "rr", 0, 0));
	fake_guest_step(NS_PER_MS);
	CHECK(vm.v[1].runs > 0);
	CHECK(vm.v[1].e.wait_ns < NS_PER_S);
	end(&vm);
	fake_machine_fini();
}

/* Blocks, but a device on cpu 0 was faster: the event and the wake come before the loop hears of the block. */
static enum dispatch_why act_race(struct fake_vcpu *v, uint64_t until_ns)
{
	if (v->event) {
		return fake_act_server(v, until_ns);
	}
	if (v->runs == 1) {
		fake_event(v, 0);
	}
	return DISPATCH_BLOCKED;
}

TEST(lost, "a wake that comes while its entity is about to block is not lost")
{
	struct fake_vm vm;

	reset(2);
	fake_vm_init(&vm, "a", 1);
	vm.v[0].act = act_race;
	fake_vm_start(&vm, new_pool("p", "rr", 1, 1));
	fake_run_cpu(1);
	fake_run_cpu(1);
	CHECK_EQ(vm.v[0].handled, 1);
	fake_run_cpu(1);		/* the second block is real */
	fake_run_cpu(1);
	CHECK(!vm.v[0].e.runnable && !vm.v[0].e.on_slot);
	CHECK_EQ(fake.cpu[1].idle_until_ns, NS_NEVER);
	end(&vm);
	fake_machine_fini();
}

static struct fake_vcpu *wake_in_put;

/* Runs as the other entity's put() would: a wake while the blocked one is between pick and released. */
static enum dispatch_why act_block(struct fake_vcpu *v, uint64_t until_ns)
{
	if (v->event) {
		return fake_act_server(v, until_ns);
	}
	return DISPATCH_BLOCKED;
}

static void put_and_wake(struct sched_entity *e)
{
	struct fake_vcpu *v = CONTAINER_OF(e, struct fake_vcpu, e);

	v->on_cpu = CPU_NONE;
	v->puts++;
	if (v == wake_in_put) {
		wake_in_put = NULL;
		CHECK(!e->runnable && e->on_slot);
		fake_event(v, 0);
	}
}

static bool pause_in_put;

/* The first half of a pause on the housekeeping cpu comes while the preempted e is being saved. */
static void put_and_pause(struct sched_entity *e)
{
	if (pause_in_put) {
		pause_in_put = false;
		CHECK(e->runnable && e->on_slot);
		e->pauses++;
	}
}

static enum dispatch_why run_busy(struct sched_entity *e, uint64_t until_ns)
{
	return fake_act_busy(CONTAINER_OF(e, struct fake_vcpu, e), until_ns);
}

TEST(put_pause, "an entity that is paused while its state is being saved does not run on")
{
	static const struct dispatch_ops ops = { .run = run_busy, .put = put_and_pause };
	struct fake_vm vm;
	unsigned held;

	reset(1);
	dispatch_set_ops(&ops);
	fake_vm_init(&vm, "a", 2);
	fake_vm_start(&vm, new_pool("p", "rr", 0, 0));
	pause_in_put = true;
	fake_guest_run(50 * NS_PER_MS, NS_PER_MS);
	held = vm.v[0].e.pauses == 1 ? 0 : 1;
	CHECK(!pause_in_put && !vm.v[held].e.runnable && !vm.v[held].e.on_slot);
	CHECK_EQ(vm.v[held].e.switches, 1);
	pool_entity_resume(&vm.v[held].e);
	fake_guest_run(50 * NS_PER_MS, NS_PER_MS);
	CHECK(vm.v[held].e.switches > 1);
	end(&vm);
	fake_machine_fini();
}

static enum dispatch_why run_act(struct sched_entity *e, uint64_t until_ns)
{
	struct fake_vcpu *v = CONTAINER_OF(e, struct fake_vcpu, e);

	return v->act(v, until_ns);
}

/* A policy with a table gives it all of its frame. */
static void give_windows(struct pool *p)
{
	const struct sched_tunable *list = sched_list_of(p->sched.ops);
	struct sched_table *t = pool_table_new(1);

	if (list != NULL) {
		CHECK_EQ(sched_table_add(list, t, "1 a.0 100ms", &why), ERR_OK);
		CHECK_EQ(pool_tune_table(p, &p->sched.values, t, &why), ERR_OK);
	}
	pool_table_free(t);
}

static void wake_while_leaving(const char *sched)
{
	static const struct dispatch_ops ops = { .run = run_act, .put = put_and_wake };
	struct fake_vm vm;
	struct pool *p;

	reset(2);
	dispatch_set_ops(&ops);
	fake_vm_init(&vm, "a", 1);
	vm.v[0].act = act_block;
	wake_in_put = &vm.v[0];
	p = new_pool("p", sched, 1, 1);
	give_windows(p);
	fake_vm_start(&vm, p);
	for (int i = 0; i < 5; i++) {
		fake_run_cpu(1);
	}
	CHECK_EQ(vm.v[0].puts, 2);
	CHECK_EQ(vm.v[0].handled, 1);
	end(&vm);
	fake_machine_fini();
}

TEST(leaving, "a wake that comes while a blocked entity's state is being saved is not lost, under any policy")
{
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		wake_while_leaving(sched_policy_at(i)->name);
	}
}

TEST(kick, "a wake of an entity that runs elsewhere pokes that cpu, and after 50 us an NMI follows")
{
	struct fake_vm vm;

	reset(2);
	fake_vm_init(&vm, "a", 1);
	fake_vm_start(&vm, new_pool("p", "null", 1, 1));
	fake_guest_step(NS_PER_MS);
	fake.cpu[1].pokes = 0;
	fake_event(&vm.v[0], 0);
	CHECK_EQ(fake.cpu[1].pokes, 1);
	fake_run_cpu(0);		/* nothing to run there: it halts no longer than until the check */
	CHECK_EQ(fake.cpu[0].idle_until_ns, fake.now_ns + CPU_NMI_AFTER_NS);
	fake.now_ns += CPU_NMI_AFTER_NS;
	fake_run_cpu(0);
	CHECK_EQ(fake.cpu[1].nmis, 1);
	CHECK_EQ(fake.cpu[0].idle_until_ns, NS_NEVER);
	fake_event(&vm.v[0], 1);	/* on its own cpu: no IPI */
	CHECK_EQ(fake.cpu[1].pokes, 1);
	end(&vm);
	fake_machine_fini();
}

static uint64_t seen_until_ns;

static enum dispatch_why act_look(struct fake_vcpu *v, uint64_t until_ns)
{
	seen_until_ns = until_ns;
	return fake_act_busy(v, until_ns);
}

static void nothing(void *arg)
{
}

static unsigned chores;
static uint64_t chore_wait_ns;

static void chore(void)
{
	chores++;
}

static uint64_t chore_wait(bool busy)
{
	return chore_wait_ns;
}

TEST(until, "a run ends at the nearest of slice, timer and housekeeping; only the housekeeping cpu does chores")
{
	struct fake_vm vm;
	struct timer t;

	reset(2);
	fake_vm_init(&vm, "a", 1);
	vm.v[0].act = act_look;
	fake_vm_start(&vm, new_pool("p", "null", 0, 0));
	fake_guest_step(NS_PER_MS);
	CHECK_EQ(seen_until_ns, NS_NEVER);
	timer_init(&t, nothing, NULL);
	timer_set(&t, 0, fake.now_ns + 500);
	chores = 0;
	dispatch_set_housekeeping(chore, chore_wait);
	chore_wait_ns = 300;
	fake_run_cpu(0);
	CHECK_EQ(chores, 1);
	CHECK_EQ(seen_until_ns, fake.now_ns);	/* it ran for just so long */
	chore_wait_ns = NS_PER_S;
	fake_run_cpu(0);
	CHECK_EQ(chores, 2);
	CHECK_EQ(seen_until_ns, t.at_ns);
	fake_run_cpu(0);
	CHECK_EQ(chores, 2);		/* not due, and nobody asked */
	cpu_get(0)->remote.poked = 1;	/* as another cpu would, or the serial port */
	fake_run_cpu(0);
	CHECK_EQ(chores, 3);
	fake_run_cpu(1);
	CHECK_EQ(chores, 3);
	dispatch_set_housekeeping(NULL, NULL);
	end(&vm);
	fake_machine_fini();
}

/* Work for the housekeeping cpu comes while that one waits for cpu 1. */
static void leave_work(void *arg)
{
	(void)arg;
	cpu_poke(0);
	fake.cpu[1].stuck = false;
}

static void chore_that_waits(void)
{
	if (chores++ == 0) {
		call_sync(1, nothing, NULL);
	}
}

TEST(poke_meanwhile, "a poke of the housekeeping cpu while it waits for another is answered by housekeeping, at once")
{
	struct timer t;

	reset(3);
	chores = 0;
	chore_wait_ns = NS_PER_S;
	dispatch_set_housekeeping(chore_that_waits, chore_wait);
	fake.cpu[1].stuck = true;
	timer_init(&t, leave_work, NULL);
	timer_set(&t, 2, fake.now_ns);
	fake_run_cpu(0);
	CHECK(!fake.cpu[1].stuck && !timer_is_set(&t));
	CHECK_EQ(chores, 1);
	fake_run_cpu(0);
	CHECK_EQ(chores, 2);
	fake_run_cpu(0);
	CHECK_EQ(chores, 2);
	dispatch_set_housekeeping(NULL, NULL);
	fake_machine_fini();
}

static enum dispatch_why act_yield(struct fake_vcpu *v, uint64_t until_ns)
{
	(void)v, (void)until_ns;
	fake.now_ns += 10 * NS_PER_US;
	return DISPATCH_YIELDED;
}

TEST(yield, "an entity that yields gives way to the next at once")
{
	struct fake_vm vm;

	reset(1);
	fake_vm_init(&vm, "a", 2);
	vm.v[0].act = vm.v[1].act = act_yield;
	fake_vm_start(&vm, new_pool("p", "rr", 0, 0));
	for (int i = 0; i < 10; i++) {
		fake_run_cpu(0);
	}
	CHECK_EQ(vm.v[0].runs, 5);
	CHECK_EQ(vm.v[1].runs, 5);
	end(&vm);
	fake_machine_fini();
}

static enum dispatch_why act_die(struct fake_vcpu *v, uint64_t until_ns)
{
	fake_event(v, 0);
	return DISPATCH_STOPPED;
}

TEST(stopped, "an entity whose VM died does not run again, even when a wake came meanwhile")
{
	struct fake_vm vm;

	reset(2);
	fake_vm_init(&vm, "a", 1);
	vm.v[0].act = act_die;
	fake_vm_start(&vm, new_pool("p", "rr", 1, 1));
	for (int i = 0; i < 5; i++) {
		fake_run_cpu(1);
	}
	CHECK_EQ(vm.v[0].runs, 1);
	end(&vm);
	fake_machine_fini();
}

static void long_command(void *arg)
{
	fake.now_ns += NS_PER_S;
}

TEST(paid, "time that calls take between two runs is charged to no entity")
{
	struct fake_vm vm;
	struct call c;

	reset(1);
	fake_vm_init(&vm, "a", 1);
	fake_vm_start(&vm, new_pool("p", "rr", 0, 0));
	fake_guest_step(NS_PER_MS);
	call_init(&c, long_command, NULL);
	call_post(0, &c);
	fake_guest_step(2 * NS_PER_S);
	fake_run_cpu(0);
	CHECK_EQ(vm.v[0].e.used_ns, NS_PER_S + NS_PER_MS);
	end(&vm);
	fake_machine_fini();
}
