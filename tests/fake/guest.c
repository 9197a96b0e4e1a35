/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests made of a function. */
#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/guest.h"

#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "tests/fake/machine.h"

static uint64_t step_end_ns = NS_NEVER;

uint64_t fake_step_end(uint64_t until_ns)
{
	return MIN(until_ns, step_end_ns);
}

enum dispatch_why fake_act_busy(struct fake_vcpu *v, uint64_t until_ns)
{
	(void)v;
	fake.now_ns = MAX(fake.now_ns, fake_step_end(until_ns));
	return DISPATCH_TIME;
}

enum dispatch_why fake_act_server(struct fake_vcpu *v, uint64_t until_ns)
{
	(void)until_ns;
	if (!v->event) {
		return DISPATCH_BLOCKED;
	}
	v->event = false;
	v->handled++;
	fake.now_ns += 10 * NS_PER_US;
	return DISPATCH_POKED;
}

static enum dispatch_why run(struct sched_entity *e, uint64_t until_ns)
{
	struct fake_vcpu *v = CONTAINER_OF(e, struct fake_vcpu, e);

	ASSERT(v->on_cpu == CPU_NONE || v->on_cpu == arch_this_cpu());
	ASSERT(e->on_slot && e->slot == arch_this_cpu() && e->pool == cpu_this()->pool);
	v->on_cpu = arch_this_cpu();
	v->runs++;
	return v->act != NULL ? v->act(v, until_ns) : fake_act_busy(v, until_ns);
}

static void put(struct sched_entity *e)
{
	struct fake_vcpu *v = CONTAINER_OF(e, struct fake_vcpu, e);

	ASSERT(v->on_cpu == arch_this_cpu() || v->on_cpu == CPU_NONE);
	ASSERT(cpu_this()->held.ranks == 0);
	v->on_cpu = CPU_NONE;
	v->puts++;
}

void fake_guest_init(void)
{
	static const struct dispatch_ops ops = { .run = run, .put = put };

	dispatch_set_ops(&ops);
	dispatch_set_housekeeping(NULL, NULL);
	while (pool_at(0) != NULL) {
		list_remove(&pool_at(0)->link);		/* left by a test that failed */
	}
}

void fake_vm_init(struct fake_vm *vm, const char *name, unsigned n)
{
	*vm = (struct fake_vm){ .count = n };
	str_copy(vm->g.name, sizeof(vm->g.name), name);
	for (unsigned i = 0; i < n; i++) {
		vm->v[i].e.number = i;
		vm->v[i].on_cpu = CPU_NONE;
		vm->list[i] = &vm->v[i].e;
	}
}

void fake_vm_start(struct fake_vm *vm, struct pool *p)
{
	struct sched_reason why;

	sched_values_default(p->sched.ops, &vm->g.values);
	for (unsigned i = 0; i < vm->count; i++) {
		vm->v[i].e.values = vm->g.values;
	}
	CHECK_EQ(pool_group_add(p, &vm->g, vm->list, vm->count, &why), ERR_OK);
	for (unsigned i = 0; i < vm->count; i++) {
		pool_entity_start(vm->list[i]);
	}
}

void fake_guest_step(uint64_t ns)
{
	uint64_t start_ns = fake.now_ns;

	step_end_ns = start_ns + ns;
	for (unsigned id = 0; id < fake.cpu_count; id++) {
		fake.now_ns = start_ns;
		do {
			fake_run_cpu(id);
		} while (fake.now_ns < step_end_ns &&
			 (fake.cpu[id].idle_until_ns == 0 || atomic_load(&cpu_get(id)->remote.poked) != 0));
	}
	fake.now_ns = step_end_ns;
	step_end_ns = NS_NEVER;
}

void fake_guest_run(uint64_t ns, uint64_t step_ns)
{
	for (uint64_t at = 0; at < ns; at += step_ns) {
		fake_guest_step(step_ns);
	}
}

void fake_event(struct fake_vcpu *v, unsigned from)
{
	unsigned was = fake.this_cpu;

	fake_be_cpu(from);
	v->event = true;
	pool_entity_wake(&v->e);
	fake_be_cpu(was);
}
