/* SPDX-License-Identifier: BSD-2-Clause */
/* pool/fall: policies that fail where it is awkward: several at once, on the only cpu, while cpus and VMs move. */
#include "tests/host/watch_fixture.h"

#define VMS	4
#define POOLS	3

void faulty_spin(void)
{
	CHECK(false);		/* no op loops here */
}

TEST(alone, "on a machine of one cpu, which keeps house too, rr takes over as anywhere")
{
	static const enum fault some[] = { FAULT_BLOCKED, FAULT_UNTIL, FAULT_PULL, FAULT_POKES, FAULT_FORGETS, FAULT_SLEEPS };

	for (unsigned i = 0; i < ARRAY_SIZE(some); i++) {
		struct fake_vm vm;
		struct pool *p;

		reset(1);
		p = start_faulty(&vm, 4, 0, 0);
		vm.v[3].act = fake_act_server;
		fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
		set_fault(p, some[i]);
		fake_guest_run(11 * NS_PER_S, NS_PER_MS);
		check_goes_on(&vm, 3);
		end(&vm);
	}
}

/* Both policies fail within one round of their cpus, before the housekeeping cpu looks at either. */
TEST(two, "two pools whose policies fail at the same time both get rr")
{
	struct fake_vm vm[2];
	struct pool *p[2];

	reset(3);
	for (unsigned i = 0; i < 2; i++) {
		fake_vm_init(&vm[i], i == 0 ? "a" : "b", 2);
		p[i] = new_pool(i == 0 ? "p" : "q", &sched_faulty, i + 1, i + 1);
		fake_vm_start(&vm[i], p[i]);
	}
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	for (unsigned i = 0; i < 2; i++) {
		set_fault(p[i], FAULT_UNTIL);
	}
	fake_run_cpu(1);
	fake_run_cpu(2);
	CHECK(p[0]->sched.ops == &p[0]->limbo && p[1]->sched.ops == &p[1]->limbo);
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	CHECK(log_says("pool p: scheduler faulty failed") && log_says("pool q: scheduler faulty failed"));
	check_goes_on(&vm[0], 2);
	check_goes_on(&vm[1], 2);
	pool_group_remove(&vm[0].g);
	CHECK_EQ(pool_destroy(p[0], &why), ERR_OK);
	end(&vm[1]);
}

/* The policy fails while the housekeeping cpu waits for the one that moves: others ask it meanwhile. */
static void moving(bool leaves, enum fault fault)
{
	struct fake_vm vm;
	struct pool *p;

	reset(4);
	p = start_faulty(&vm, 4, 1, leaves ? 3 : 2);
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	set_fault(p, fault);
	CHECK(p->sched.ops == &sched_faulty);
	CHECK_EQ(leaves ? pool_remove_cpu(p, 3, &why) : pool_add_cpu(p, 3, &why), ERR_OK);
	CHECK(p->sched.ops == &p->limbo);
	CHECK(pool_check(p, &why));
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	check_goes_on(&vm, 4);
	CHECK_EQ(cpuset_count(&p->cpus), leaves ? 2 : 3);
	CHECK_EQ(leaves ? pool_add_cpu(p, 3, &why) : pool_remove_cpu(p, 3, &why), ERR_OK);
	check_goes_on(&vm, 4);
	end(&vm);
}

TEST(moving, "a policy that fails while a cpu of its pool moves loses the pool, not the cpu")
{
	moving(true, FAULT_UNTIL);
	moving(true, FAULT_PULL);
	moving(false, FAULT_UNTIL);
	moving(false, FAULT_PULL);
}

/* --- At any time. */

static struct fake_vm vms[VMS];
static struct pool *pools[POOLS];
static unsigned falls;

static void make_pool(unsigned i)
{
	static const char *const names[] = { "p", "q", "r" };

	CHECK_EQ(pool_create(names[i], i < 2 ? &sched_faulty : &sched_rr, NULL, 0, &pools[i], &why), ERR_OK);
}

/* One that fell and is empty makes way for another that may fall. */
static void renew(unsigned i)
{
	if (pools[i]->fallen) {
		falls++;
		for (unsigned k = 0; k < VMS; k++) {
			if (vms[k].g.pool == pools[i] && pool_group_move(&vms[k].g, pools[2], &why) != ERR_OK) {
				return;
			}
		}
		CHECK_EQ(pool_destroy(pools[i], &why), ERR_OK);
		make_pool(i);
	}
}

static void any_op(struct test_rng *rng)
{
	static const enum fault some[] = {
		FAULT_NONE, FAULT_BLOCKED, FAULT_UNTIL, FAULT_PULL, FAULT_POKES, FAULT_ELSEWHERE, FAULT_FORGETS, FAULT_PARKS,
		FAULT_IDLES,
	};
	struct fake_vm *vm = &vms[test_rand_below(rng, VMS)];
	struct pool *p = pools[test_rand_below(rng, POOLS)], *q = pools[test_rand_below(rng, POOLS)];
	struct sched_entity *e = vm->list[test_rand_below(rng, vm->count)];
	unsigned i = (unsigned)test_rand_below(rng, 2);
	struct sched_values v;

	switch (test_rand_below(rng, 12)) {
	case 0:
	case 1:
		pool_move_cpu(test_rand_below(rng, 4) ? p : NULL, test_rand_below(rng, 4) ? q : NULL,
			      (unsigned)test_rand_below(rng, fake.cpu_count), &why);
		break;
	case 2:
		(void)pool_group_move(&vm->g, p, &why);
		break;
	case 3:
		pool_entity_pause(e);
		pool_entity_wake(e);
		pool_entity_resume(e);
		break;
	case 4:
		v = pools[i]->sched.values;
		v.v[FAULTY_FAULT] = some[test_rand_below(rng, ARRAY_SIZE(some))];
		if (pools[i]->sched.ops == &sched_faulty) {
			CHECK_EQ(pool_tune(pools[i], &v, &why), ERR_OK);
		}
		break;
	case 5:
		renew(i);
		break;
	default:
		fake_event(&vm->v[test_rand_below(rng, vm->count)], (unsigned)test_rand_below(rng, fake.cpu_count));
		break;
	}
}

/* A policy at fault may have lost count already: that is for the watchdog. */
static void check_pool(struct pool *p)
{
	if (pool_check(p, &why)) {
		return;
	}
	if (p->sched.ops != &sched_faulty) {
		test_fail(__FILE__, __LINE__, "pool %s: %s", p->name, why.words);
	}
	pool_condemn(p, POOL_OP_check, NULL, "%s", why.words);
	CHECK(pool_check(p, &why));
}

TEST(any, "whatever happens while policies fail, no vCPU is lost and every invariant holds")
{
	struct test_rng rng = { 21 };

	reset(5);
	for (unsigned i = 0; i < POOLS; i++) {
		make_pool(i);
		CHECK_EQ(pool_add_cpu(pools[i], i, &why), ERR_OK);
	}
	for (unsigned i = 0; i < VMS; i++) {
		fake_vm_init(&vms[i], "vm", 1 + i % 3);
		vms[i].v[0].act = i % 2 == 0 ? fake_act_server : fake_act_busy;
		fake_vm_start(&vms[i], pools[i % POOLS]);
	}
	for (unsigned step = 0; step < 40000; step++) {
		any_op(&rng);
		for (unsigned i = 0; i < POOLS; i++) {
			check_pool(pools[i]);
		}
		if (test_rand_below(&rng, 3) == 0) {
			fake_guest_step(test_rand_below(&rng, 300) * NS_PER_US);
		} else {
			fake_run_cpu((unsigned)test_rand_below(&rng, fake.cpu_count));
		}
	}
	CHECK(falls > 100);
	for (unsigned i = 0; i < VMS; i++) {
		(void)pool_group_move(&vms[i].g, pools[2], &why);
		CHECK(vms[i].g.pool == pools[2]);
		for (unsigned k = 0; k < vms[i].count; k++) {
			vms[i].v[k].act = fake_act_server;
			fake_event(&vms[i].v[k], 0);
		}
	}
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	for (unsigned i = 0; i < VMS; i++) {
		for (unsigned k = 0; k < vms[i].count; k++) {
			CHECK(!vms[i].v[k].event && !vms[i].v[k].e.runnable);
		}
		pool_group_remove(&vms[i].g);
	}
	for (unsigned i = 0; i < POOLS; i++) {
		CHECK_EQ(pool_destroy(pools[i], &why), ERR_OK);
	}
	CHECK_EQ(fake.heap_blocks, 0);
	fake_machine_fini();
}
