/* SPDX-License-Identifier: BSD-2-Clause */
/* pool/ over the fake machine: anything at any time. */
#include "tests/host/pool_fixture.h"

#define VMS	5
#define POOLS	3

static struct fake_vm vms[VMS];
static struct pool *pools[POOLS];

static void wake_some(struct test_rng *rng)
{
	struct fake_vm *vm = &vms[test_rand_below(rng, VMS)];
	struct fake_vcpu *v = &vm->v[test_rand_below(rng, vm->count)];

	fake_event(v, (unsigned)test_rand_below(rng, fake.cpu_count));
}

/* A server that is sometimes woken from elsewhere in the middle of its run. */
static struct test_rng guest_rng = { 5 };

static enum dispatch_why act_wild(struct fake_vcpu *v, uint64_t until_ns)
{
	uint64_t dice = test_rand_below(&guest_rng, 8);

	fake.now_ns += 20 * NS_PER_US;
	if (dice == 0) {
		wake_some(&guest_rng);
	}
	if (v->event) {
		v->event = false;
		v->handled++;
		return DISPATCH_POKED;
	}
	return dice < 3 ? DISPATCH_BLOCKED : dice < 4 ? DISPATCH_YIELDED : fake_act_busy(v, until_ns);
}

static void torture_op(struct test_rng *rng)
{
	struct fake_vm *vm = &vms[test_rand_below(rng, VMS)];
	struct pool *p = pools[test_rand_below(rng, POOLS)], *q = pools[test_rand_below(rng, POOLS)];
	struct cpuset set = { .word = { test_rand(rng) | 1ul << test_rand_below(rng, 6) } }, all;
	struct sched_entity *e = vm->list[test_rand_below(rng, vm->count)];

	cpuset_fill(&all, CPU_MAX);
	switch (test_rand_below(rng, 9)) {
	case 0:
		pool_move_cpu(test_rand_below(rng, 4) ? p : NULL, test_rand_below(rng, 4) ? q : NULL,
			      (unsigned)test_rand_below(rng, fake.cpu_count), &why);
		break;
	case 1:
		if (vm->g.pool != NULL) {
			pool_group_move(&vm->g, p, &why);
		}
		break;
	case 2:
		if (vm->g.pool != NULL) {
			pool_entity_pause(e);
			pool_entity_wake(e);
			pool_entity_resume(e);
		}
		break;
	case 3:
		if (vm->g.pool != NULL) {
			pool_entity_pin(e, test_rand_below(rng, 2) ? &set : &all, &set, &why);
		}
		break;
	case 4:
		if (test_rand_below(rng, 4) != 0) {
			break;
		}
		if (vm->g.pool != NULL) {
			end(vm);
			break;
		}
		fake_vm_defaults(vm, p);
		if (pool_group_add(p, &vm->g, vm->list, vm->count, &why) == ERR_OK) {
			for (unsigned i = 0; i < vm->count; i++) {
				pool_entity_start(vm->list[i]);
			}
		}
		break;
	default:
		wake_some(rng);
		break;
	}
}

static void torture(const char *sched, unsigned steps)
{
	struct test_rng rng = { 11 };
	struct cpuset all;

	reset(6);
	pools[0] = new_pool("p", sched, 0, 3);
	pools[1] = new_pool("q", "rr", 3, 1);
	pools[2] = new_pool("r", "null", 4, 2);
	for (unsigned i = 0; i < VMS; i++) {
		fake_vm_init(&vms[i], "vm", 1 + i % 3);
		for (unsigned k = 0; k < vms[i].count; k++) {
			vms[i].v[k].act = act_wild;
		}
	}
	for (unsigned step = 0; step < steps; step++) {
		fake.heap_fail_in = test_rand_below(&rng, 10) == 0 ? 1 + (long)test_rand_below(&rng, 4) : 0;
		torture_op(&rng);
		fake.heap_fail_in = 0;
		for (unsigned i = 0; i < POOLS; i++) {
			sound(pools[i]);
		}
		if (test_rand_below(&rng, 3) == 0) {
			fake_guest_step(test_rand_below(&rng, 300) * NS_PER_US);
		} else {
			fake_run_cpu((unsigned)test_rand_below(&rng, fake.cpu_count));
		}
	}
	/* Whoever is in a pool and has something to do, does it. */
	cpuset_fill(&all, CPU_MAX);
	for (unsigned i = 0; i < VMS; i++) {
		for (unsigned k = 0; k < vms[i].count && vms[i].g.pool != NULL; k++) {
			pool_entity_pin(vms[i].list[k], &all, &all, &why);
			vms[i].v[k].act = fake_act_server;
			fake_event(&vms[i].v[k], 0);
		}
	}
	fake_guest_run(200 * NS_PER_MS, NS_PER_MS);
	for (unsigned i = 0; i < VMS; i++) {
		for (unsigned k = 0; k < vms[i].count && vms[i].g.pool != NULL; k++) {
			CHECK(!vms[i].v[k].event && !vms[i].v[k].e.runnable);
		}
		end(&vms[i]);
	}
	for (unsigned i = 0; i < POOLS; i++) {
		CHECK_EQ(pool_destroy(pools[i], &why), ERR_OK);
	}
	all_gone();
}

TEST(torture, "under random control operations, wakes and runs no entity is lost and every invariant holds")
{
	torture("rr", 60000);
}

TEST(torture_domains, "the same holds where a pool has several lock domains")
{
	torture("credit2", 60000);
}
