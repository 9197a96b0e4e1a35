/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about vCPUs: vcpu list, pin. */
#include "kernel/cpusetexpr.h"
#include "kernel/json.h"
#include "kernel/lib/parse.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "pool/cpu_args.h"
#include "pool/pool.h"
#include "vm/vcpu.h"

static const char *vcpu_state(const struct vcpu *v)
{
	const struct sched_entity *e = &v->entity;

	return v->vm->state != VM_RUNNING ? vm_state_words(v->vm->state) :
	       e->on_slot ? "running" : e->runnable ? "waiting" : "blocked";
}

static void vcpu_row(struct vcpu *v)
{
	const struct sched_entity *e = &v->entity;
	struct pool_entity_times t = pool_entity_times(&v->entity);

	con_printf("%-16s %4u  %-8s", v->vm->config.name, v->index, vcpu_state(v));
	if (e->slot == SCHED_NO_SLOT) {
		con_printf("    -");
	} else {
		con_printf("  %3u", e->slot);
	}
	con_printf("  %10lu ms  %10lu ms  %8lu\n", t.run_ns / NS_PER_MS, t.wait_ns / NS_PER_MS, t.switches);
}

static void vcpu_json(struct json *j, struct vcpu *v)
{
	struct pool_entity_times t = pool_entity_times(&v->entity);

	json_object(j, NULL);
	json_string(j, "vm", v->vm->config.name);
	json_uint(j, "vcpu", v->index);
	json_string(j, "state", vcpu_state(v));
	json_int(j, "cpu", v->entity.slot == SCHED_NO_SLOT ? -1 : (int64_t)v->entity.slot);
	json_uint(j, "used_ns", t.run_ns);
	json_uint(j, "wait_ns", t.wait_ns);
	json_uint(j, "blocked_ns", t.blocked_ns);
	json_uint(j, "switches", t.switches);
	json_end(j);
}

static enum err vcpu_list(const struct shell_args *args)
{
	const struct vm *vm;
	struct json j;

	if (args->count > 0) {
		return shell_usage();
	}
	if (args->json) {
		json_begin(&j);
	} else {
		con_printf("vm               vcpu  state     cpu           ran         waited  switches\n");
	}
	for (unsigned i = 0; (vm = vm_at(i)) != NULL; i++) {
		for (unsigned k = 0; k < vm->vcpu_count; k++) {
			if (args->json) {
				vcpu_json(&j, vm->vcpu[k]);
			} else {
				vcpu_row(vm->vcpu[k]);
			}
		}
	}
	if (args->json) {
		json_finish(&j);
	}
	return ERR_OK;
}

SHELL_COMMAND(vcpu_list, .name = "vcpu list", .usage = "[-j]", .run = vcpu_list,
	      .help = "Shows every vCPU: state, cpu, time run and waited, switches.");

/* --- vcpu pin */

static enum err parse_cpus(const char *text, struct cpuset *set)
{
	enum err e = cpu_args_parse(text, set);

	return e == ERR_OK && cpuset_empty(set) ? shell_fail(ERR_INVAL, text, "names no cpu") : e;
}

static enum err pin(const struct shell_args *args)
{
	struct sched_reason why = { "" };
	struct cpuset hard, soft;
	const struct vm *vm;
	uint64_t n;
	enum err e;

	if (args->count < 3 || args->count > 4) {
		return shell_usage();
	}
	vm = vm_find(args->word[0]);
	if (vm == NULL) {
		return shell_fail(ERR_NOENT, args->word[0], "there is no VM of that name");
	}
	if (parse_u64(args->word[1], &n) != ERR_OK || n >= vm->vcpu_count) {
		return shell_fail(ERR_RANGE, args->word[1], "expected the number of a vCPU, 0 to %u", vm->vcpu_count - 1);
	}
	e = parse_cpus(args->word[2], &hard);
	if (e == ERR_OK) {
		e = parse_cpus(args->count == 4 ? args->word[3] : "all", &soft);
	}
	if (e != ERR_OK) {
		return e;
	}
	e = pool_entity_pin(&vm->vcpu[n]->entity, &hard, &soft, &why);
	return e == ERR_OK ? ERR_OK : shell_fail(e, args->word[0], "%s", why.words);
}

SHELL_COMMAND(vcpu_pin, .name = "vcpu pin", .usage = "V N HARD [SOFT]", .run = pin, .complete = SHELL_VM,
	      .help = "Names the cpus that a VM's vCPU may, and would rather, run on.");
