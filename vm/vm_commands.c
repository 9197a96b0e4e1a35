/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about VMs: vm list, show, start, pause, resume, stop, destroy, console. */
#include "kernel/console.h"
#include "kernel/cpusetexpr.h"
#include "kernel/json.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "pool/pool.h"
#include "vm/vcpu.h"
#include "vm/vm_commands.h"

static uint64_t used_ns(const struct vm *vm)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		ns += pool_entity_times(&vm->vcpu[i]->entity).run_ns;
	}
	return ns;
}

static void vm_json(struct json *j, const struct vm *vm)
{
	json_object(j, NULL);
	json_string(j, "vm", vm->config.name);
	json_string(j, "pool", vm->pool->name);
	json_uint(j, "vcpus", vm->vcpu_count);
	json_uint(j, "memory_bytes", vm->config.memory_bytes);
	json_string(j, "state", vm_state_words(vm->state));
	json_string(j, "reason", vm->reason);
	json_uint(j, "exit_code", vm->exit_code);
	json_uint(j, "used_ns", used_ns(vm));
	json_end(j);
}

static bool vm_row(const struct shell_args *args, unsigned i, struct json *j)
{
	const struct vm *vm = vm_at(i);

	if (vm != NULL && j != NULL) {
		vm_json(j, vm);
	} else if (vm != NULL) {
		con_printf("%-16s  %-12s  %5u  %8s  %-8s  %8lu ms  %s\n", vm->config.name, vm->pool->name, vm->vcpu_count,
			   text_of_bytes(vm->config.memory_bytes).s, vm_state_words(vm->state), used_ns(vm) / NS_PER_MS, vm->reason);
	}
	return vm != NULL;
}

static enum err vm_list(const struct shell_args *args)
{
	return shell_list(args, "vm                pool          vcpus  memory    state     used         why\n", vm_row);
}

SHELL_COMMAND(vm_list, .name = "vm list", .usage = "[-j]", .run = vm_list,
	      .help = "Shows every VM: pool, vCPUs, memory, state and why.");

struct vm *vm_named(const char *name)
{
	struct vm *vm = vm_find(name);

	if (vm == NULL) {
		shell_fail(ERR_NOENT, name, "there is no VM of that name");
	}
	return vm;
}

static void show_exits(const struct vcpu *v)
{
	for (unsigned kind = 0; kind < VIRT_EXIT_COUNT; kind++) {
		if (v->virt->exits[kind] > 0) {
			con_printf("    exits %-22s %lu\n", vm_exit_words(kind), v->virt->exits[kind]);
		}
	}
}

/* The values of that scope that a VM's pool has for it, as `vm set` takes them. */
static void put_values(const struct vm *vm, const struct sched_values *values, enum sched_scope scope, struct text *to)
{
	const struct sched_ops *ops = vm->pool->sched.ops;

	for (unsigned i = 0; i < ops->tunable_count; i++) {
		if (ops->tunables[i].scope == scope) {
			text_printf(to, ", %s ", ops->tunables[i].name);
			sched_value_print(&ops->tunables[i], values->v[i], to);
		}
	}
}

static void put_cpus(const char *what, const struct cpuset *cpus, struct text *to)
{
	text_puts(to, what);
	if (cpuset_full(cpus)) {
		text_puts(to, "all");
	} else {
		cpusetexpr_print(cpus, to);
	}
}

static void show_sched(const struct vm *vm, const struct sched_entity *e)
{
	char words[400];
	struct text t = text_make(words, sizeof(words));

	put_cpus("affinity ", &e->hard, &t);
	put_cpus(", soft-affinity ", &e->soft, &t);
	put_values(vm, &e->values, SCHED_ENTITY, &t);
	con_printf("    %s\n", words);
}

static const char *action_words(enum manifest_action action)
{
	return manifest_key_find(MANIFEST_VM, "on-crash")->words[action];
}

static enum err vm_show(const struct shell_args *args)
{
	const struct vm *vm = vm_named(args->word[0]);
	char nodes_words[32], values_words[128];
	struct text nodes = text_make(nodes_words, sizeof(nodes_words)), values = text_make(values_words, sizeof(values_words));

	if (vm == NULL) {
		return ERR_NOENT;
	}
	for (unsigned i = 0; i < vm->span_count; i++) {
		text_printf(&nodes, "%s%u", i > 0 ? "," : "", vm->span[i]);
	}
	con_printf("vm %s: %s%s%s\n", vm->config.name, vm_state_words(vm->state), vm->reason[0] != '\0' ? ": " : "", vm->reason);
	con_printf("  pool %s, node %s, memory %s in %u blocks, page tables %lu KiB\n", vm->pool->name, nodes_words,
		   text_of_bytes(vm->config.memory_bytes).s, vm->mem.block_count, virt->space_pages(vm->space) * PAGE_SIZE / KIB);
	con_printf("  kernel %s, initrd %s\n  cmdline %s\n", vm->config.kernel,
		   vm->config.initrd[0] != '\0' ? vm->config.initrd : "(none)", vm->config.cmdline);
	for (unsigned i = 0; i < vm->config.module_count; i++) {
		con_printf("  module %s %s\n", vm->config.module[i].file, vm->config.module[i].args);
	}
	con_printf("  on-poweroff %s, on-reboot %s, on-crash %s\n", action_words(vm->config.on_poweroff),
		   action_words(vm->config.on_reboot), action_words(vm->config.on_crash));
	put_values(vm, &vm->group.values, SCHED_GROUP, &values);
	con_printf("  scheduler %s%s\n", vm->pool->sched.ops->name, values_words);
	con_printf("  console: %lu bytes written, %lu dropped; %lu typed bytes dropped; unknown MSRs: %lu\n",
		   atomic_load(&vm->console->written), vm->console->dropped, vm->console->in_dropped,
		   atomic_load(&vm->unknown_msrs));
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct pool_entity_times s = pool_entity_times(&vm->vcpu[i]->entity);

		con_printf("  vCPU %u: ran %lu ms, waited %lu ms, parked %lu ms, blocked %lu ms, %lu switches, %lu interrupts\n", i,
			   s.run_ns / NS_PER_MS, s.wait_ns / NS_PER_MS, s.parked_ns / NS_PER_MS, s.blocked_ns / NS_PER_MS,
			   s.switches, vm->vcpu[i]->injected);
		show_sched(vm, &vm->vcpu[i]->entity);
		show_exits(vm->vcpu[i]);
	}
	return ERR_OK;
}

static enum err control(const struct shell_args *args, enum err (*op)(struct vm *vm, struct sched_reason *why))
{
	struct vm *vm = vm_named(args->word[0]);
	struct sched_reason why = { "" };

	return vm == NULL ? ERR_NOENT : shell_result(op(vm, &why), args->word[0], &why);
}

/* Without virtualization no VM could be made, so the reason comes before "no such VM". */
static enum err start(const struct shell_args *args)
{
	if (virt == NULL) {
		return shell_fail(ERR_NOTSUP, args->word[0], "VMs cannot run on this machine: %s", virt_why_not());
	}
	return control(args, vm_start);
}

static enum err pause_vm(const struct shell_args *args)
{
	return control(args, vm_pause);
}

static enum err resume(const struct shell_args *args)
{
	return control(args, vm_resume);
}

static enum err stop(const struct shell_args *args)
{
	return control(args, vm_stop);
}

static enum err destroy(const struct shell_args *args)
{
	struct vm *vm = vm_named(args->word[0]);

	if (vm == NULL) {
		return ERR_NOENT;
	}
	vm_destroy(vm);
	return ERR_OK;
}

#define OF_VM	.usage = "V", .least = 1, .most = 1, .complete = SHELL_VM

SHELL_COMMAND(vm_show, .name = "vm show", OF_VM, .run = vm_show, .help = "Shows one VM: memory, files, vCPUs, exits.");
SHELL_COMMAND(vm_start, .name = "vm start", OF_VM, .run = start, .help = "Loads a stopped VM's files and lets it run.");
SHELL_COMMAND(vm_pause, .name = "vm pause", OF_VM, .run = pause_vm, .help = "Holds a running VM.");
SHELL_COMMAND(vm_resume, .name = "vm resume", OF_VM, .run = resume, .help = "Lets a paused VM go on.");
SHELL_COMMAND(vm_stop, .name = "vm stop", OF_VM, .run = stop, .help = "Stops a VM at once, as if its power were cut.");
SHELL_COMMAND(vm_destroy, .name = "vm destroy", OF_VM, .run = destroy, .help = "Stops a VM and gives all of it back.");

static void type_byte(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	(void)vconsole_type(vm->console, byte);
	if (vm->state == VM_RUNNING || vm->state == VM_PAUSED) {	/* paused: it looks when it is resumed */
		vcpu_kick(vm->vcpu[0]);
	}
}

static enum err console(const struct shell_args *args)
{
	struct vm *vm = vm_named(args->word[0]);
	uint64_t gone;

	if (vm == NULL) {
		return ERR_NOENT;
	}
	gone = vconsole_replay(vm->console);
	con_printf("attached to %s; Ctrl-] leaves\n", vm->config.name);
	if (gone > 0) {
		con_printf("[tarn: %lu bytes before these are no longer kept]\n", gone);
	}
	console_attach(type_byte, vm);
	return ERR_OK;
}

SHELL_COMMAND(vm_console, .name = "vm console", OF_VM, .run = console,
	      .help = "Connects this terminal with a VM's serial port; Ctrl-] leaves.");
