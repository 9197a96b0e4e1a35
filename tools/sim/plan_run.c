/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries a plan out: makes its machine, pools and VMs, and does what its events say when they are
 * due.
 */
#include "tools/sim/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/lib/string.h"
#include "tools/sim/internal.h"

#define CHECKED_MAX	256u		/* check() looks at every entity: not of plans with more */

struct plan_due {
	struct plan_run *run;
	const struct plan_event *event;
};

static unsigned copies(const struct plan_run *run, const struct plan_vm *vm)
{
	return (unsigned)vm->copies * run->scale;
}

/* --- Events. */

/* What a VM has to be for a command: as it is on the console. */
static enum err may_do(const struct plan_run *run, enum plan_verb verb, const struct sim_group *g)
{
	static const char *const states[] = { "not running", "running", "paused" };
	const unsigned is = !g->started ? 0 : g->entity[0]->e.pauses == 0 ? 1 : 2;
	const bool good = verb == PLAN_VM_START ? is == 0 :
			  verb == PLAN_VM_PAUSE ? is == 1 :
			  verb == PLAN_VM_RESUME ? is == 2 :
			  verb == PLAN_VM_DESTROY ? is != 0 : true;

	return good ? ERR_OK : sched_refuse(ERR_STATE, &run->sim->why, "%s is %s", g->g.name, states[is]);
}

static enum err for_group(struct plan_run *run, const struct plan_event *e, struct sim_group *g)
{
	enum err err = may_do(run, e->verb, g);

	if (err != ERR_OK) {
		return err;
	}
	switch (e->verb) {
	case PLAN_VM_MIGRATE:
		return sim_move_group(g, run->pool[e->pool]);
	case PLAN_VM_SET:
		return sim_tune_group(g, e->values);
	case PLAN_VM_START:
		return sim_start(g);
	case PLAN_VM_DESTROY:
		sim_remove(g);
		return ERR_OK;
	case PLAN_VM_PAUSE:
	case PLAN_VM_RESUME:
		(e->verb == PLAN_VM_PAUSE ? sim_pause : sim_resume)(g);
		return ERR_OK;
	case PLAN_VCPU_PIN:
		return sim_pin(g->entity[e->vcpu], &e->hard, &e->soft);
	default:
		return ERR_OK;
	}
}

/* All of set, or none. from: whose they have to be; NULL: anybody's. */
static enum err move_all(struct plan_run *run, struct sim_pool *from, struct sim_pool *to, const struct cpuset *set)
{
	struct sim_pool *was[CPU_MAX];
	struct sched_reason why;

	CPUSET_FOREACH(cpu, set) {
		enum err err;

		was[cpu] = sim_pool_of_cpu(run->sim, cpu);
		err = from == NULL || from == was[cpu] ? sim_move_cpu(run->sim, cpu, to) :
			sched_refuse(ERR_NOENT, &run->sim->why, "cpu %u is not in pool %s", cpu, from->name);
		if (err == ERR_OK) {
			continue;
		}
		why = run->sim->why;
		for (unsigned back = cpuset_first(set); back != cpu; back = cpuset_next(set, back + 1)) {
			(void)sim_move_cpu(run->sim, back, was[back]);
		}
		run->sim->why = why;
		return err;
	}
	return ERR_OK;
}

static enum err for_pool(struct plan_run *run, const struct plan_event *e)
{
	struct sim_pool *p = run->pool[e->pool];

	if (e->verb == PLAN_POOL_SET) {
		return sim_tune_pool(p, e->values);
	}
	if (e->verb == PLAN_POOL_SCHED) {
		return sim_change_policy(p, e->ops, e->values);
	}
	return move_all(run, e->verb == PLAN_CPU_ADD ? NULL : p, e->verb == PLAN_CPU_ADD ? p : NULL, &e->hard);
}

static void happen(struct sim *sim, void *arg)
{
	const struct plan_due *due = arg;
	const struct plan_event *e = due->event;
	struct plan_run *run = due->run;
	enum err err = ERR_OK;

	if (e->verb <= PLAN_POOL_SCHED) {
		err = for_pool(run, e);
	} else {
		for (unsigned i = 0; i < copies(run, &run->plan->vm[e->vm]) && err == ERR_OK; i++) {
			err = for_group(run, e, run->group[e->vm][i]);
		}
	}
	if (err != ERR_OK) {
		sim_note(sim, "at %s: error: %s", e->words, sim_why(sim));
	}
}

/* --- Making it. */

static void make_vm(struct plan_run *run, unsigned i)
{
	const struct plan_vm *vm = &run->plan->vm[i];
	const unsigned n = copies(run, vm);
	char name[40];

	run->group[i] = sim_alloc(n * sizeof(run->group[i][0]));
	for (unsigned k = 0; k < n; k++) {
		struct sim_group *g;

		snprintf(name, sizeof(name), n > 1 ? "%s%u" : "%s", vm->name, k);
		g = sim_group(run->pool[vm->pool], name, vm->values);
		g->refused = !vm->autostart;	/* an event starts it */
		for (unsigned v = 0; v < vm->vcpus; v++) {
			sim_pin(sim_entity(g, &vm->pattern), &vm->hard, &vm->soft);
		}
		run->group[i][k] = g;
	}
}

bool plan_start(struct plan_run *run, const struct plan *plan, const struct plan_options *options)
{
	const struct plan_machine *m = &plan->machine;
	struct sim_options o = {
		.seed = m->seed,
		.switch_ns = m->switch_ns,
		.poke_ns = m->poke_ns,
		.time_ops = options->time_ops,
	};

	o.check_every = options->time_ops || plan->entities > CHECKED_MAX ? SIM_NEVER : 0;
	*run = (struct plan_run){ .plan = plan,
				  .sim = sim_create(&o),
				  .scale = MAX(1u, options->scale) };
	sim_machine(run->sim, (unsigned)m->cpus, (unsigned)m->threads, (unsigned)m->cores_per_llc,
		    (unsigned)m->llcs_per_node);
	run->pool = sim_alloc(plan->pools * sizeof(run->pool[0]));
	run->group = sim_alloc(plan->vms * sizeof(run->group[0]));
	run->due = sim_alloc(plan->events * sizeof(run->due[0]));
	for (unsigned i = 0; i < plan->pools; i++) {
		const struct plan_pool *p = &plan->pool[i];

		run->pool[i] =
			sim_pool_of(run->sim, p->name, options->ops != NULL ? options->ops : p->ops,
				    p->values, p->cpus);
		if (run->pool[i] == NULL) {
			snprintf(run->error, sizeof(run->error), "pool %s: %s", p->name,
				 sim_why(run->sim));
			return false;
		}
		sim_pool_warn(run->pool[i], p->warn);
	}
	for (unsigned i = 0; i < plan->vms; i++) {
		make_vm(run, i);
	}
	for (unsigned i = 0; i < plan->events; i++) {
		run->due[i] = (struct plan_due){ run, &plan->event[i] };
		sim_at(run->sim, plan->event[i].at_ns, happen, &run->due[i]);
		if (plan->event[i].at_ns > m->warmup_ns + m->until_ns) {
			sim_note(run->sim, "at %s: the plan ends before that", plan->event[i].words);
		}
	}
	return true;
}

bool plan_go(struct plan_run *run)
{
	const struct plan_machine *m = &run->plan->machine;

	if (m->warmup_ns > 0) {
		if (!sim_run(run->sim, m->warmup_ns)) {
			return false;
		}
		sim_reset(run->sim);
	}
	return sim_run(run->sim, m->warmup_ns + m->until_ns);
}

void plan_end(struct plan_run *run)
{
	for (unsigned i = 0; i < run->plan->vms; i++) {
		free(run->group[i]);
	}
	free(run->group);
	free(run->pool);
	free(run->due);
	sim_destroy(run->sim);
}
