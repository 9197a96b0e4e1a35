/* SPDX-License-Identifier: BSD-2-Clause */
/* pool/dispatch with several lock domains in a pool, over the fake machine. */
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

static void end(struct fake_vm *vm)
{
	struct pool *p = vm->g.pool;

	CHECK(pool_check(p, &why));
	pool_group_remove(&vm->g);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
}

extern const struct sched_ops sched_credit2;

static struct pool *spied;
static unsigned pulls;

static void pull_watched(struct sched *s, unsigned from, unsigned to, uint64_t now_ns, struct sched_out *out)
{
	CHECK(s == &spied->sched && from != to);
	CHECK(spin_held(&spied->domain[spied->slot_domain[from]].lock));
	CHECK(spin_held(&spied->domain[spied->slot_domain[to]].lock) && to == arch_this_cpu());
	pulls++;
	sched_credit2.pull(s, from, to, now_ns, out);
}

/* credit2 with a queue for each of n cpus, its pulls watched. */
static struct pool *queue_per_cpu(unsigned n)
{
	static struct sched_ops spy;
	struct sched_values values;
	unsigned at;

	spy = sched_credit2;
	spy.pull = pull_watched;
	sched_values_default(&spy, &values);
	CHECK(sched_tunable_find(&spy, "runqueue", &at) != NULL);
	values.v[at] = 0;
	CHECK_EQ(pool_create("p", &spy, &values, 0, &spied, &why), ERR_OK);
	for (unsigned id = 0; id < n; id++) {
		CHECK_EQ(pool_add_cpu(spied, id, &why), ERR_OK);
		CHECK_EQ(spied->slot_domain[id], id);
	}
	pulls = 0;
	return spied;
}

TEST(domains, "three busy entities share two cpus of a lock domain each equally, pulled under both locks, and none is left held")
{
	struct fake_vm vm;

	reset(2);
	fake_vm_init(&vm, "a", 3);
	fake_vm_start(&vm, queue_per_cpu(2));
	fake_guest_run(3 * NS_PER_S, NS_PER_MS);
	CHECK(pulls > 10);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(vm.v[i].e.used_ns >= 1950 * NS_PER_MS && vm.v[i].e.used_ns <= 2050 * NS_PER_MS);
	}
	for (unsigned d = 0; d < 2; d++) {
		CHECK_EQ(spied->domain[d].lock.next, spied->domain[d].lock.serving);
		CHECK_EQ(spied->domain[d].lock.owner, 0);
	}
	end(&vm);
	fake_machine_fini();
}

TEST(idle_pull, "a cpu with nothing to run pulls one that waits for a cpu of another lock domain")
{
	struct fake_vm vm;
	struct cpuset all;

	reset(2);
	cpuset_fill(&all, CPU_MAX);
	fake_vm_init(&vm, "a", 2);
	for (unsigned i = 0; i < 2; i++) {
		cpuset_clear(&vm.v[i].e.hard);
		cpuset_add(&vm.v[i].e.hard, 0);
	}
	fake_vm_start(&vm, queue_per_cpu(2));
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	CHECK(vm.v[0].on_cpu != 1 && vm.v[1].on_cpu != 1);
	pulls = 0;
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(pool_entity_pin(&vm.v[i].e, &all, &all, &why), ERR_OK);
	}
	fake_guest_run(3 * NS_PER_MS, NS_PER_MS);
	CHECK_EQ(pulls, 1);
	CHECK(vm.v[0].on_cpu + vm.v[1].on_cpu == 1);
	end(&vm);
	fake_machine_fini();
}

static struct sched_entity *moved;

/* On cpu 1, while cpu 0 waits for the lock that covered e until now. */
static void move_and_unlock(void *arg)
{
	sched_set_slot(moved, 1);
	((struct spinlock *)arg)->serving++;
}

TEST(entity_lock, "who waited for the lock of an entity that meanwhile changed its domain takes the new domain's")
{
	struct spinlock *lock;
	struct fake_vm vm;
	struct call c;

	reset(2);
	fake_vm_init(&vm, "a", 1);
	fake_vm_defaults(&vm, queue_per_cpu(2));
	CHECK_EQ(pool_group_add(spied, &vm.g, vm.list, 1, &why), ERR_OK);
	moved = &vm.v[0].e;
	CHECK_EQ(moved->slot, 0);
	spied->domain[0].lock.next++;	/* somebody's ticket, who is being served */
	call_init(&c, move_and_unlock, &spied->domain[0].lock);
	call_post(1, &c);
	lock = pool_entity_lock(moved);
	CHECK(lock == &spied->domain[1].lock && spin_held(lock) && !spin_held(&spied->domain[0].lock));
	spin_unlock(lock);
	sched_set_slot(moved, 0);
	end(&vm);
	fake_machine_fini();
}
