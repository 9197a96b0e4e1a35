/* SPDX-License-Identifier: BSD-2-Clause */
/* pool/: pools, cpus, groups and entities over the fake machine. */
#include "tests/host/pool_fixture.h"

#include <sanitizer/asan_interface.h>
#include <stdio.h>

TEST(names, "pools are found by name and by number; bad, repeated and too many names are refused")
{
	struct pool *p, *q;
	char name[40];

	reset(1);
	p = new_pool("a", "rr", 0, 0);
	q = new_pool("b.1", "null", 0, 0);
	CHECK(pool_find("a") == p && pool_at(1) == q && pool_at(2) == NULL && pool_find("c") == NULL);
	CHECK_EQ(pool_create("a", p->sched.ops, NULL, 0, &q, &why), ERR_EXIST);
	CHECK_EQ(pool_create("", p->sched.ops, NULL, 0, &q, &why), ERR_INVAL);
	CHECK_EQ(pool_create("a b", p->sched.ops, NULL, 0, &q, &why), ERR_INVAL);
	CHECK_EQ(pool_create("free", p->sched.ops, NULL, 0, &q, &why), ERR_INVAL);
	CHECK_EQ(pool_create("0123456789012345678901234567890123", p->sched.ops, NULL, 0, &q, &why), ERR_INVAL);
	CHECK_EQ(pool_rename(p, "b.1", &why), ERR_EXIST);
	CHECK_EQ(pool_rename(p, "a", &why), ERR_OK);
	CHECK_EQ(pool_rename(p, "z", &why), ERR_OK);
	for (unsigned i = 2; i < POOL_MAX; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		new_pool(name, "rr", 0, 0);
	}
	CHECK_EQ(pool_create("more", p->sched.ops, NULL, 0, &q, &why), ERR_LIMIT);
	while (pool_at(0) != NULL) {
		CHECK_EQ(pool_destroy(pool_at(0), &why), ERR_OK);
	}
	all_gone();
}

TEST(values, "a pool's tunables are checked for range, and a live change holds at once")
{
	struct sched_values v;
	struct fake_vm vm;
	struct pool *p;

	reset(1);
	p = new_pool("p", "rr", 0, 1);
	v = p->sched.values;
	CHECK_EQ(v.v[0], 10 * NS_PER_MS);
	v.v[0] = 1;
	CHECK_EQ(pool_tune(p, &v, &why), ERR_RANGE);
	CHECK_EQ(pool_create("q", p->sched.ops, &v, 0, &p, &why), ERR_RANGE);
	fake_vm_init(&vm, "a", 2);
	fake_vm_start(&vm, p);
	fake_run_cpu(0);
	v.v[0] = NS_PER_MS;
	CHECK_EQ(pool_tune(p, &v, &why), ERR_OK);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	CHECK(vm.v[0].e.switches >= 49);
	end(&vm);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	all_gone();
}

TEST(cpus, "a cpu joins a pool when it is online and free, and leaves it with words when it may not")
{
	struct fake_vm vm;
	struct pool *p, *q;
	struct cpuset only = { 0 }, all;

	reset(4);
	atomic_store(&cpu_get(3)->state, CPU_DEAD);
	p = new_pool("p", "rr", 0, 2);
	q = new_pool("q", "rr", 2, 0);
	CHECK_EQ(pool_add_cpu(q, 1, &why), ERR_BUSY);
	CHECK_STR(why.words, "cpu 1 is in pool p");
	CHECK_EQ(pool_add_cpu(q, 3, &why), ERR_STATE);
	CHECK_EQ(pool_add_cpu(q, 4, &why), ERR_NOENT);
	CHECK_EQ(pool_remove_cpu(q, 1, &why), ERR_STATE);
	fake_vm_init(&vm, "a", 1);
	CHECK_EQ(pool_group_add(q, &vm.g, vm.list, 1, &why), ERR_STATE);
	cpuset_add(&vm.v[0].e.hard, 2);
	CHECK_EQ(pool_group_add(p, &vm.g, vm.list, 1, &why), ERR_INVAL);
	cpuset_clear(&vm.v[0].e.hard);
	fake_vm_start(&vm, p);
	cpuset_add(&only, 1);
	cpuset_fill(&all, CPU_MAX);
	CHECK_EQ(pool_entity_pin(&vm.v[0].e, &only, &all, &why), ERR_OK);
	fake_guest_run(5 * NS_PER_MS, NS_PER_MS);
	CHECK_EQ(vm.v[0].e.slot, 1);
	CHECK_EQ(pool_remove_cpu(p, 1, &why), ERR_BUSY);
	CHECK_STR(why.words, "vCPU 0 of a may run nowhere else in pool p");
	CHECK_EQ(pool_remove_cpu(p, 0, &why), ERR_OK);
	CHECK(pool_of_cpu(0) == NULL);
	CHECK_EQ(pool_remove_cpu(p, 1, &why), ERR_BUSY);
	CHECK_EQ(pool_destroy(p, &why), ERR_BUSY);
	CHECK_EQ(pool_move_cpu(NULL, q, 0, &why), ERR_OK);
	sound(p);
	sound(q);
	end(&vm);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	CHECK_EQ(pool_destroy(q, &why), ERR_OK);
	CHECK(pool_of_cpu(0) == NULL && pool_of_cpu(1) == NULL);
	fake_run_all();
	all_gone();
}

TEST(moving, "a cpu moves between pools under busy guests of both, and no guest stops for it")
{
	struct fake_vm a, b;
	struct pool *p, *q;

	reset(4);
	p = new_pool("p", "rr", 0, 3);
	q = new_pool("q", "rr", 3, 1);
	fake_vm_init(&a, "a", 4);
	fake_vm_init(&b, "b", 4);
	fake_vm_start(&a, p);
	fake_vm_start(&b, q);
	for (unsigned i = 0; i < 20; i++) {
		fake_guest_run(3 * NS_PER_MS, NS_PER_MS);
		CHECK_EQ(pool_move_cpu(i % 2 == 0 ? p : q, i % 2 == 0 ? q : p, 2, &why), ERR_OK);
		sound(p);
		sound(q);
	}
	fake_guest_run(NS_PER_S, NS_PER_MS);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(a.v[i].e.used_ns > 600 * NS_PER_MS && b.v[i].e.used_ns > 200 * NS_PER_MS);
	}
	end(&a);
	end(&b);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	CHECK_EQ(pool_destroy(q, &why), ERR_OK);
	all_gone();
}

/* --- Strangers: entities of the pool that nobody has to look at while those of another group leave it. */

extern const struct sched_ops sched_rr;

static struct fake_vm strangers;

static void rr_remove_alone(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (e->group != &strangers.g) {
		ASAN_POISON_MEMORY_REGION(strangers.v, sizeof(strangers.v));
	}
	sched_rr.remove(s, e, now_ns, out);
}

static void rr_add_again(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	ASAN_UNPOISON_MEMORY_REGION(strangers.v, sizeof(strangers.v));
	sched_rr.add(s, e, now_ns, out);
}

TEST(strangers, "while a VM's vCPUs leave a pool, under all its locks, none of the pool's others is looked at")
{
	static struct sched_ops spy;
	struct fake_vm mover;
	struct pool *p, *q;

	reset(2);
	spy = sched_rr;
	spy.remove = rr_remove_alone;
	spy.add = rr_add_again;
	CHECK_EQ(pool_create("p", &spy, NULL, 0, &p, &why), ERR_OK);
	CHECK_EQ(pool_create("q", &spy, NULL, 0, &q, &why), ERR_OK);
	CHECK(pool_add_cpu(p, 0, &why) == ERR_OK && pool_add_cpu(q, 1, &why) == ERR_OK);
	fake_vm_init(&strangers, "strangers", FAKE_VCPUS_MAX);
	fake_vm_start(&strangers, p);
	fake_vm_init(&mover, "mover", 3);
	fake_vm_start(&mover, p);
	fake_guest_run(20 * NS_PER_MS, NS_PER_MS);
	CHECK_EQ(pool_group_move(&mover.g, q, &why), ERR_OK);
	sound(p);
	sound(q);
	fake_guest_run(90 * NS_PER_MS, NS_PER_MS);
	CHECK(mover.v[0].e.used_ns > 25 * NS_PER_MS && mover.v[2].e.used_ns > 25 * NS_PER_MS);
	end(&mover);
	ASAN_UNPOISON_MEMORY_REGION(strangers.v, sizeof(strangers.v));
	end(&strangers);
	CHECK(pool_destroy(p, &why) == ERR_OK && pool_destroy(q, &why) == ERR_OK);
	all_gone();
}

/* Fails each allocation of op in turn. It must say ERR_NOMEM and change nothing, until it succeeds. */
static unsigned fail_each(enum err (*op)(void *arg), void *arg, struct pool *p, struct pool *q)
{
	for (unsigned nth = 1;; nth++) {
		long blocks = fake.heap_blocks, bytes = fake.heap_bytes;
		unsigned pools = pool_count();
		enum err e;

		fake.heap_fail_in = nth;
		e = op(arg);
		if (e == ERR_OK) {
			CHECK(fake.heap_fail_in > 0);
			fake.heap_fail_in = 0;
			return nth - 1;
		}
		CHECK_EQ(e, ERR_NOMEM);
		CHECK_EQ(fake.heap_blocks, blocks);
		CHECK_EQ(fake.heap_bytes, bytes);
		CHECK_EQ(pool_count(), pools);
		if (p != NULL) {
			sound(p);
			sound(q);
		}
	}
}

static struct pool *made;
static struct fake_vm tenant;

static enum err op_create(void *arg)
{
	return pool_create("made", sched_policy_find(arg), NULL, 0, &made, &why);
}

static enum err op_add_cpu(void *arg)
{
	return pool_add_cpu(arg, 1, &why);
}

static enum err op_group_add(void *arg)
{
	return pool_group_add(arg, &tenant.g, tenant.list, tenant.count, &why);
}

static enum err op_group_move(void *arg)
{
	return pool_group_move(&tenant.g, arg, &why);
}

TEST(nomem, "a control operation that runs out of memory at any point changes nothing")
{
	static char rr[] = "rr";
	struct pool *p, *q;

	reset(4);
	CHECK(fail_each(op_create, rr, NULL, NULL) >= 5);
	p = made;
	q = new_pool("q", "null", 2, 2);
	CHECK_EQ(pool_add_cpu(p, 0, &why), ERR_OK);
	CHECK_EQ(fail_each(op_add_cpu, p, p, q), 1);
	fake_vm_init(&tenant, "t", 2);
	CHECK(fail_each(op_group_add, p, p, q) >= 3);
	pool_entity_start(&tenant.v[0].e);
	fake_guest_run(3 * NS_PER_MS, NS_PER_MS);
	CHECK(fail_each(op_group_move, q, p, q) >= 4);
	CHECK(tenant.g.pool == q);
	fake_guest_run(3 * NS_PER_MS, NS_PER_MS);
	CHECK(tenant.v[0].e.used_ns >= 5 * NS_PER_MS);
	CHECK_EQ(tenant.v[1].runs, 0);
	end(&tenant);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	CHECK_EQ(pool_destroy(q, &why), ERR_OK);
	all_gone();
}

TEST(pause, "a pause takes an entity off whatever cpu it runs on, this one too, and resume lets it go on")
{
	struct fake_vm vm;
	struct pool *p;

	reset(3);
	p = new_pool("p", "rr", 0, 3);
	fake_vm_init(&vm, "a", 4);
	fake_vm_start(&vm, p);
	fake_guest_run(5 * NS_PER_MS, NS_PER_MS);
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned i = 0; i < 4; i++) {
			struct fake_vcpu *v = &vm.v[i];
			unsigned runs;

			pool_entity_pause(&v->e);
			CHECK(!v->e.on_slot && v->on_cpu == CPU_NONE);
			sound(p);
			runs = v->runs;
			pool_entity_wake(&v->e);
			fake_guest_run(5 * NS_PER_MS, NS_PER_MS);
			CHECK_EQ(v->runs, runs);
			pool_entity_pause(&v->e);
			pool_entity_resume(&v->e);
			fake_guest_run(2 * NS_PER_MS, NS_PER_MS);
			CHECK_EQ(v->runs, runs);
			pool_entity_resume(&v->e);
			fake_guest_run(25 * NS_PER_MS, NS_PER_MS);
			CHECK(v->runs > runs);
		}
	}
	end(&vm);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	all_gone();
}

TEST(asleep, "an event that comes while its entity is paused is handled after resume; a sleeping one stays asleep")
{
	struct fake_vm vm;
	struct pool *p;

	reset(2);
	p = new_pool("p", "rr", 1, 1);
	fake_vm_init(&vm, "a", 2);
	vm.v[0].act = vm.v[1].act = fake_act_server;
	fake_vm_start(&vm, p);
	fake_guest_run(NS_PER_MS, NS_PER_MS);
	pool_entity_pause(&vm.v[0].e);
	pool_entity_pause(&vm.v[1].e);
	fake_event(&vm.v[0], 1);
	fake_guest_run(NS_PER_MS, NS_PER_MS);
	CHECK_EQ(vm.v[0].handled, 0);
	vm.v[1].runs = 0;
	pool_entity_resume(&vm.v[0].e);
	pool_entity_resume(&vm.v[1].e);
	fake_guest_run(NS_PER_MS, NS_PER_MS);
	CHECK_EQ(vm.v[0].handled, 1);
	CHECK_EQ(vm.v[1].runs, 0);
	end(&vm);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	all_gone();
}

TEST(migrate, "a group moves to another pool while it runs and keeps its affinity; a group without entities moves too")
{
	struct fake_vm vm, none;
	struct pool *p, *q;
	struct cpuset odd = { 0 };

	reset(4);
	p = new_pool("p", "rr", 0, 2);
	q = new_pool("q", "rr", 2, 2);
	cpuset_add(&odd, 1);
	cpuset_add(&odd, 3);
	fake_vm_init(&vm, "a", 2);
	fake_vm_init(&none, "none", 0);
	vm.v[0].e.hard = odd;
	fake_vm_start(&vm, p);
	fake_vm_start(&none, p);
	for (int i = 0; i < 6; i++) {
		struct pool *to = i % 2 == 0 ? q : p;

		fake_guest_run(3 * NS_PER_MS, NS_PER_MS);
		CHECK_EQ(pool_group_move(&vm.g, to, &why), ERR_OK);
		CHECK_EQ(pool_group_move(&none.g, to, &why), ERR_OK);
		sound(p);
		sound(q);
		fake_guest_run(NS_PER_MS, NS_PER_MS);
		CHECK_EQ(vm.v[0].e.slot, i % 2 == 0 ? 3 : 1);
		CHECK(cpuset_equal(&vm.v[0].e.hard, &odd));
	}
	CHECK(vm.v[0].e.used_ns >= 20 * NS_PER_MS && vm.v[1].e.used_ns >= 20 * NS_PER_MS);
	CHECK_EQ(pool_remove_cpu(q, 3, &why), ERR_OK);
	CHECK_EQ(pool_group_move(&vm.g, q, &why), ERR_INVAL);
	end(&vm);
	end(&none);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	CHECK_EQ(pool_destroy(q, &why), ERR_OK);
	all_gone();
}

TEST(anywhere, "who may run on every cpu that there is may run anywhere: no policy takes it for pinned")
{
	struct cpuset three, two, all;
	struct fake_vm vm;
	struct pool *p;

	reset(3);
	cpuset_fill(&three, 3);
	cpuset_fill(&two, 2);
	cpuset_fill(&all, CPU_MAX);
	p = new_pool("p", "rr", 0, 3);
	fake_vm_init(&vm, "a", 3);
	vm.v[0].e.hard = vm.v[0].e.soft = three;
	vm.v[1].e.hard = two;
	fake_vm_start(&vm, p);
	CHECK(cpuset_equal(&vm.v[0].e.hard, &all) && cpuset_equal(&vm.v[0].e.soft, &all));
	CHECK(cpuset_equal(&vm.v[1].e.hard, &two) && cpuset_equal(&vm.v[2].e.hard, &all));
	CHECK_EQ(pool_entity_pin(&vm.v[1].e, &three, &two, &why), ERR_OK);
	CHECK(cpuset_equal(&vm.v[1].e.hard, &all) && cpuset_equal(&vm.v[1].e.soft, &two));
	end(&vm);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	all_gone();
}

TEST(admission, "null takes as many entities as it has cpus, says so in figures, and gives no cpu away that it needs")
{
	struct fake_vm a, b;
	struct pool *p;

	reset(3);
	p = new_pool("p", "null", 0, 3);
	fake_vm_init(&a, "a", 2);
	fake_vm_init(&b, "b", 2);
	fake_vm_start(&a, p);
	CHECK_EQ(pool_group_add(p, &b.g, b.list, 2, &why), ERR_ADMISSION);
	CHECK_STR(why.words, "null gives each vCPU a cpu: 2 there + 2 new > 3 cpus");
	CHECK_EQ(pool_remove_cpu(p, 0, &why), ERR_OK);
	CHECK_EQ(pool_remove_cpu(p, 1, &why), ERR_ADMISSION);
	fake_guest_run(3 * NS_PER_MS, NS_PER_MS);
	CHECK(a.v[0].e.used_ns >= 2 * NS_PER_MS && a.v[1].e.used_ns >= 2 * NS_PER_MS);
	end(&a);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	all_gone();
}

static int64_t *value_of(struct sched_values *v, const char *name)
{
	unsigned index = 0;

	CHECK(sched_tunable_find(sched_policy_find("rtds"), name, &index) != NULL);
	return &v->v[index];
}

TEST(changes, "a change or a pinning that does not fit is refused with nothing changed, or let in and logged under warn")
{
	struct cpuset cpu0 = { { 1 } };
	struct sched_values v;
	struct fake_vm a, b;
	struct pool *p, *q;

	reset(3);
	p = new_pool("p", "rtds", 0, 2);
	q = new_pool("q", "rtds", 2, 1);
	fake_vm_init(&a, "a", 4);
	fake_vm_init(&b, "b", 1);
	fake_vm_start(&a, p);
	fake_vm_start(&b, q);
	v = a.v[0].e.values;
	*value_of(&v, "budget") = 9 * NS_PER_MS;
	CHECK_EQ(pool_entity_tune(&a.v[0].e, &v, &why), ERR_ADMISSION);
	CHECK_STR(why.words, "budgets take 1.200 there + 0.900 new = 2.100 of 2 cpus; beside one of 0.900 at most 1.100 is safe");
	CHECK_EQ(*value_of(&a.v[0].e.values, "budget"), 4 * NS_PER_MS);
	CHECK_EQ(pool_entity_pin(&a.v[0].e, &cpu0, &cpu0, &why), ERR_ADMISSION);
	CHECK(cpuset_has(&a.v[0].e.hard, 1));
	CHECK_EQ(pool_remove_cpu(p, 1, &why), ERR_ADMISSION);
	CHECK_EQ(pool_group_move(&a.g, q, &why), ERR_ADMISSION);
	CHECK_STR(why.words, "budgets take 0.400 there + 1.600 new = 2.000 of 1 cpu");
	*value_of(&v, "budget") = 3 * NS_PER_MS;
	CHECK_EQ(pool_entity_tune(&a.v[0].e, &v, &why), ERR_OK);
	pool_set_warn(p, true);
	*value_of(&v, "budget") = 9 * NS_PER_MS;
	CHECK_EQ(pool_entity_tune(&a.v[0].e, &v, &why), ERR_OK);
	CHECK_EQ(pool_remove_cpu(p, 1, &why), ERR_OK);
	sound(p);
	fake_guest_run(100 * NS_PER_MS, NS_PER_MS);
	CHECK(a.v[0].e.used_ns > 10 * NS_PER_MS && a.v[3].e.used_ns > 10 * NS_PER_MS);
	end(&a);
	end(&b);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	CHECK_EQ(pool_destroy(q, &why), ERR_OK);
	all_gone();
}
