/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command stats: where time went, and why guests left. Counters are read while their cpus go on, so the figures of one answer
 * may be some microseconds apart.
 */
#include "kernel/json.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "pool/pool.h"
#include "vm/vcpu.h"

/* Of a VM: all of its vCPUs. */
struct sum {
	struct pool_entity_times times;
	uint64_t exits[VIRT_EXIT_COUNT], all_exits, injected, eois;
};

static void add_vcpu(struct sum *s, struct vcpu *v)
{
	struct pool_entity_times t = pool_entity_times(&v->entity);

	s->times.run_ns += t.run_ns;
	s->times.wait_ns += t.wait_ns;
	s->times.parked_ns += t.parked_ns;
	s->times.blocked_ns += t.blocked_ns;
	s->times.switches += t.switches;
	s->injected += __atomic_load_n(&v->injected, __ATOMIC_RELAXED);
	s->eois += __atomic_load_n(&v->lapic.eoi_exits, __ATOMIC_RELAXED);
	for (unsigned kind = 0; kind < VIRT_EXIT_COUNT; kind++) {
		uint64_t n = __atomic_load_n(&v->virt->exits[kind], __ATOMIC_RELAXED);

		s->exits[kind] += n;
		s->all_exits += n;
	}
}

static struct sum sum_of(const struct vm *vm)
{
	struct sum s = { .all_exits = 0 };

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		add_vcpu(&s, vm->vcpu[i]);
	}
	return s;
}

/* Of a pool: its VMs too. */
static bool asked_for(const struct vm *vm, const char *only)
{
	return only == NULL || str_eq(only, vm->config.name) || (vm->pool != NULL && str_eq(only, vm->pool->name));
}

/* --- Text. */

static void sum_row(const char *name, const struct sum *s)
{
	con_printf("%-20s %10lu %10lu %10lu %10lu %10lu %10lu %10lu\n", name, s->times.run_ns / NS_PER_MS,
		   s->times.wait_ns / NS_PER_MS, s->times.parked_ns / NS_PER_MS, s->times.blocked_ns / NS_PER_MS,
		   s->times.switches, s->all_exits, s->injected);
}

static void vms_text(const char *only)
{
	const struct vm *vm;
	bool any = false;

	for (unsigned i = 0; (vm = vm_at(i)) != NULL; i++) {
		struct sum s = sum_of(vm);

		if (!asked_for(vm, only)) {
			continue;
		}
		if (!any) {
			con_printf("%-20s %10s %10s %10s %10s %10s %10s %10s\n", "VM", "ran ms", "waited ms", "parked ms",
				   "blocked ms", "switches", "exits", "interrupts");
			any = true;
		}
		sum_row(vm->config.name, &s);
	}
}

/* The VM's vCPUs, and its exits by kind. */
static void vm_details(const struct vm *vm)
{
	struct sum all = sum_of(vm);

	for (unsigned i = 0; vm->vcpu_count > 1 && i < vm->vcpu_count; i++) {
		struct sum one = { .all_exits = 0 };
		char name[24];
		struct text t = text_make(name, sizeof(name));

		add_vcpu(&one, vm->vcpu[i]);
		text_printf(&t, "  vCPU %u", i);
		sum_row(name, &one);
	}
	for (unsigned kind = 0; kind < VIRT_EXIT_COUNT; kind++) {
		if (all.exits[kind] > 0) {
			con_printf("  exits: %-22s %12lu\n", vm_exit_words(kind), all.exits[kind]);
		}
	}
	con_printf("  of them for an EOI            %12lu\n", all.eois);
}

static void add_cpu(struct cpu_times *t, unsigned cpu)
{
	const struct cpu_times one = cpu_times(cpu_get(cpu));

	t->busy_ns += one.busy_ns;
	t->idle_ns += one.idle_ns;
	t->switches += one.switches;
}

static void times_row(const char *name, const struct cpu_times *t)
{
	con_printf("%-20s %10lu %10lu %10lu\n", name, t->busy_ns / NS_PER_MS, t->idle_ns / NS_PER_MS, t->switches);
}

static void cpu_row(unsigned cpu)
{
	struct cpu_times t = { 0 };
	char name[24];
	struct text to = text_make(name, sizeof(name));

	text_printf(&to, "  cpu %u", cpu);
	add_cpu(&t, cpu);
	times_row(name, &t);
}

static void pool_text(const struct pool *p, bool cpus)
{
	struct cpu_times t = { 0 };

	CPUSET_FOREACH(cpu, &p->cpus) {
		add_cpu(&t, cpu);
	}
	times_row(p->name, &t);
	for (unsigned cpu = cpuset_first(&p->cpus); cpus && cpu != CPU_NONE; cpu = cpuset_next(&p->cpus, cpu + 1)) {
		cpu_row(cpu);
	}
}

static void pools_text(const char *only)
{
	const struct pool *p;

	con_printf("%-20s %10s %10s %10s\n", "pool", "busy ms", "idle ms", "switches");
	for (unsigned i = 0; (p = pool_at(i)) != NULL; i++) {
		if (only == NULL || str_eq(only, p->name)) {
			pool_text(p, only != NULL);
		}
	}
}

/* --- JSON: {"pools":[...],"vms":[...]}, of what was asked for. */

static void pool_json(struct json *j, const struct pool *p)
{
	json_object(j, NULL);
	json_string(j, "pool", p->name);
	json_array(j, "cpus");
	CPUSET_FOREACH(cpu, &p->cpus) {
		struct cpu_times t = { 0 };

		add_cpu(&t, cpu);
		json_object(j, NULL);
		json_uint(j, "cpu", cpu);
		json_uint(j, "busy_ns", t.busy_ns);
		json_uint(j, "idle_ns", t.idle_ns);
		json_uint(j, "switches", t.switches);
		json_end(j);
	}
	json_end(j);
	json_end(j);
}

static void vcpu_json(struct json *j, struct vcpu *v)
{
	struct sum s = { .all_exits = 0 };

	add_vcpu(&s, v);
	json_object(j, NULL);
	json_uint(j, "vcpu", v->index);
	json_uint(j, "run_ns", s.times.run_ns);
	json_uint(j, "wait_ns", s.times.wait_ns);
	json_uint(j, "parked_ns", s.times.parked_ns);
	json_uint(j, "blocked_ns", s.times.blocked_ns);
	json_uint(j, "switches", s.times.switches);
	json_uint(j, "interrupts", s.injected);
	json_uint(j, "eoi_exits", s.eois);
	json_object(j, "exits");
	for (unsigned kind = 0; kind < VIRT_EXIT_COUNT; kind++) {
		if (s.exits[kind] > 0) {
			json_uint(j, vm_exit_words(kind), s.exits[kind]);
		}
	}
	json_end(j);
	json_end(j);
}

static void vm_json(struct json *j, const struct vm *vm)
{
	json_object(j, NULL);
	json_string(j, "vm", vm->config.name);
	json_string(j, "state", vm_state_words(vm->state));
	json_uint(j, "unknown_msrs", atomic_load(&vm->unknown_msrs));
	json_array(j, "vcpus");
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		vcpu_json(j, vm->vcpu[i]);
	}
	json_end(j);
	json_end(j);
}

static void all_json(const char *only)
{
	const struct pool *p;
	const struct vm *vm;
	struct json j;

	json_begin_object(&j);
	json_array(&j, "pools");
	for (unsigned i = 0; (p = pool_at(i)) != NULL; i++) {
		if (only == NULL || str_eq(only, p->name)) {
			pool_json(&j, p);
		}
	}
	json_end(&j);
	json_array(&j, "vms");
	for (unsigned i = 0; (vm = vm_at(i)) != NULL; i++) {
		if (asked_for(vm, only)) {
			vm_json(&j, vm);
		}
	}
	json_end(&j);
	json_finish(&j);
}

static enum err stats(const struct shell_args *args)
{
	const char *only = args->count == 1 ? args->word[0] : NULL;
	const struct vm *vm = only != NULL ? vm_find(only) : NULL;
	const struct pool *p = only != NULL ? pool_find(only) : NULL;

	if (only != NULL && vm == NULL && p == NULL) {
		return shell_fail(ERR_NOENT, only, "there is no VM and no pool of that name");
	}
	if (args->json) {
		all_json(only);
		return ERR_OK;
	}
	if (only == NULL || p != NULL) {
		pools_text(only);
	}
	vms_text(only);
	if (vm != NULL) {
		vm_details(vm);
	}
	return ERR_OK;
}

SHELL_COMMAND(stats, .name = "stats", .usage = "[V|P] [-j]", .most = 1, .run = stats, .complete = SHELL_VM,
	      .help = "Shows where the time of VMs and pools went, exits by kind, interrupts given.");
