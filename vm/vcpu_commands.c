/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about vCPUs: vcpu list, pin. */
#include "kernel/cpusetexpr.h"
#include "kernel/json.h"
#include "kernel/lib/parse.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "pool/args.h"
#include "pool/pool.h"
#include "vm/vcpu.h"
#include "vm/vm_commands.h"

static const char *vcpu_state(const struct vcpu *v)
{
	const struct sched_entity *e = &v->entity;

	return v->vm->state != VM_RUNNING ? vm_state_words(v->vm->state) :
	       e->on_slot ? "running" : !e->runnable ? "blocked" : e->parked != SCHED_NOT_PARKED ? "parked" : "waiting";
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
	json_uint(j, "parked_ns", t.parked_ns);
	json_uint(j, "blocked_ns", t.blocked_ns);
	json_uint(j, "switches", t.switches);
	json_end(j);
}

/* The i-th of all. */
static struct vcpu *vcpu_at(unsigned i)
{
	const struct vm *vm;

	for (unsigned k = 0; (vm = vm_at(k)) != NULL; k++) {
		if (i < vm->vcpu_count) {
			return vm->vcpu[i];
		}
		i -= vm->vcpu_count;
	}
	return NULL;
}

static bool vcpu_line(const struct shell_args *args, unsigned i, struct json *j)
{
	struct vcpu *v = vcpu_at(i);

	if (v != NULL && j != NULL) {
		vcpu_json(j, v);
	} else if (v != NULL) {
		vcpu_row(v);
	}
	return v != NULL;
}

static enum err vcpu_list(const struct shell_args *args)
{
	return shell_list(args, "vm               vcpu  state     cpu           ran         waited  switches\n", vcpu_line);
}

SHELL_COMMAND(vcpu_list, .name = "vcpu list", .usage = "[-j]", .run = vcpu_list,
	      .help = "Shows every vCPU: state, cpu, time run and waited, switches.");

/* --- vcpu pin */

static enum err pin(const struct shell_args *args)
{
	struct sched_reason why = { "" };
	struct cpuset hard, soft;
	const struct vm *vm = vm_named(args->word[0]);
	uint64_t n;
	enum err e;

	if (vm == NULL) {
		return ERR_NOENT;
	}
	if (parse_u64(args->word[1], &n) != ERR_OK || n >= vm->vcpu_count) {
		return shell_fail(ERR_RANGE, args->word[1], "expected the number of a vCPU, 0 to %u", vm->vcpu_count - 1);
	}
	e = args_cpus(args->word[2], &hard);
	if (e == ERR_OK) {
		e = args_cpus(args->count == 4 ? args->word[3] : "all", &soft);
	}
	if (e != ERR_OK) {
		return e;
	}
	e = pool_entity_pin(&vm->vcpu[n]->entity, &hard, &soft, &why);
	if (e == ERR_OK && args->count == 4 && (vm->pool->sched.ops->honours & SCHED_HONOURS_SOFT_AFFINITY) == 0) {
		con_printf("warning: soft-affinity: scheduler %s does not honour it\n", vm->pool->sched.ops->name);
	}
	return shell_result(e, args->word[0], &why);
}

SHELL_COMMAND(vcpu_pin, .name = "vcpu pin", .usage = "V N HARD [SOFT]", .least = 3, .most = 4, .run = pin, .complete = SHELL_VM,
	      .help = "Names the cpus that a VM's vCPU may, and would rather, run on.");
