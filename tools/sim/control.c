/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What pool/pool_cpu.c and pool/pool_group.c do: cpus and groups come, go and move. Each asks
 * first; from the point where something changes, nothing can fail.
 */
#include "tools/sim/internal.h"

#include <stdlib.h>
#include <string.h>

/* --- Cpus. */

void sim_join(struct sim_pool *p, unsigned cpu)
{
	struct sim *sim = p->sim;
	struct sim_slot *sl = &sim->slot[cpu];
	struct sched_out out;

	sched_out_init(&out);
	sim_hold_all(p);
	p->sched.slot_priv[cpu] = sim_alloc(p->sched.ops->slot_size);
	cpuset_add(&p->sched.slots, cpu);
	sl->pool = p;
	SIM_COUNTED(p, join,
		    sl->domain = p->sched.ops->join(&p->sched, cpu, &sl->place, sim->now_ns, &out));
	sim_let_go(p);
	if (sl->domain >= sim->cpus) {
		sim_fail(sim, "join of slot %u: there cannot be a domain %u", cpu, sl->domain);
		sl->domain = 0;
	}
	sl->until_ns = NS_NEVER;
	sl->poke_ns = sim->now_ns;	/* it asks its scheduler next */
	sim_send_pokes(sim, &out);
	sim_arm(sim, cpu);
}

void sim_leave(unsigned cpu, struct sim_pool *p)
{
	struct sim *sim = p->sim;
	struct sim_slot *sl = &sim->slot[cpu];
	struct sched_out out;

	sim_drop(sim, cpu);
	sched_out_init(&out);
	sim_hold_all(p);
	SIM_CALL(p, leave, &p->sched, cpu, sim->now_ns, &out);
	cpuset_del(&p->sched.slots, cpu);
	sim_give_up(sim, p->sched.slot_priv[cpu]);
	p->sched.slot_priv[cpu] = NULL;
	SIM_FOREACH_IN_POOL(se, p) {
		if (se->e.slot == cpu) {
			se->e.slot = SCHED_NO_SLOT;
		}
	}
	sim_let_go(p);
	if (cpuset_has(&p->idle, cpu)) {
		cpuset_del(&p->idle, cpu);
		p->idle_count--;
	}
	sl->pool = NULL;
	sl->until_ns = sl->poke_ns = NS_NEVER;
	if (sched_pokes(&out, cpu)) {
		cpuset_del(sched_poked(&out), cpu);	/* it is off already, and asks whoever it joins */
	}
	sim_send_pokes(sim, &out);
	sim_arm(sim, cpu);
}

static enum err may_leave(struct sim_pool *p, unsigned cpu)
{
	struct sched_reason *why = &p->sim->why;
	struct cpuset rest = p->sched.slots;
	enum err err = ERR_OK;

	cpuset_del(&rest, cpu);
	if (p->groups == 0) {
		return ERR_OK;
	}
	if (cpuset_empty(&rest)) {
		return sched_refuse(ERR_BUSY, why, "cpu %u is the last of pool %s, which has VMs",
				    cpu, p->name);
	}
	SIM_FOREACH_IN_POOL(se, p) {
		if (!cpuset_intersects(&se->e.hard, &rest)) {
			return sched_refuse(ERR_BUSY, why,
					    "vCPU %u of %s may run nowhere else in pool %s",
					    se->e.number, se->group->g.name, p->name);
		}
	}
	if (p->sched.ops->admit != NULL) {
		SIM_COUNTED(p, admit, err = p->sched.ops->admit(&p->sched, NULL, 0, &rest, why));
	}
	if (err == ERR_ADMISSION && p->warn) {
		sim_note(p->sim, "cpu %u leaves pool %s although: %s", cpu, p->name, why->words);
		return ERR_OK;
	}
	return err;
}

enum err sim_move_cpu(struct sim *sim, unsigned cpu, struct sim_pool *to)
{
	struct sim_pool *from;
	enum err err;

	if (cpu >= sim->cpus) {
		return sched_refuse(ERR_NOENT, &sim->why, "there is no cpu %u", cpu);
	}
	from = sim->slot[cpu].pool;
	if (from == to) {
		return ERR_OK;
	}
	err = from != NULL ? may_leave(from, cpu) : ERR_OK;
	if (err != ERR_OK) {
		return err;
	}
	if (from != NULL) {
		sim_leave(cpu, from);
	}
	if (to != NULL) {
		sim_join(to, cpu);
	}
	return ERR_OK;
}

/* --- Asking. */

enum err sim_validate(struct sim *sim, const struct sched_ops *ops, const struct sched_values *v,
		      enum sched_scope scope)
{
	return ops->validate == NULL ? ERR_OK : ops->validate(v, scope, &sim->why);
}

enum err sim_values_of(struct sim_entity *se, const struct sched_ops *ops, struct sched_values *v)
{
	struct sim *sim = se->group->sim;
	enum err err;

	sched_values_default(ops, v);
	err = sim_values_apply(sim, se->group->g.name, ops, SIM_OF_VM, se->group->values, v);
	return err != ERR_OK ?
		       err :
		       sim_values_apply(sim, se->group->g.name, ops, SIM_OF_VM, se->values, v);
}

static enum err values_of_group(struct sim_group *g, const struct sched_ops *ops,
				struct sched_values *v)
{
	sched_values_default(ops, v);
	return sim_values_apply(g->sim, g->g.name, ops, SIM_OF_VM, g->values, v);
}

enum err sim_admit(struct sim_pool *p, const struct sched_group *g, unsigned new)
{
	struct sim *sim = p->sim;
	struct sched *s = &p->sched;
	enum err err = ERR_OK;

	if (s->ops->admit != NULL) {
		SIM_COUNTED(p, admit, err = s->ops->admit(s, g, new, &s->slots, &sim->why));
	}
	if (err == ERR_ADMISSION && p->warn) {
		sim_note(sim, "%s %s pool %s although: %s", g->name, new > 0 ? "enters" : "changes in", p->name,
			 sim->why.words);
		return ERR_OK;
	}
	return err;
}

enum err sim_may_enter(struct sim_group *g, struct sim_pool *p)
{
	struct sched_group there = { .priv = NULL, .want_count = g->count };
	struct sched_want *want;
	enum err err;

	if (cpuset_empty(&p->sched.slots)) {
		return sched_refuse(ERR_STATE, &g->sim->why, "pool %s has no cpu", p->name);
	}
	memcpy(there.name, g->g.name, sizeof(there.name));
	err = values_of_group(g, p->sched.ops, &there.values);
	err = err != ERR_OK ? err : sim_validate(g->sim, p->sched.ops, &there.values, SCHED_GROUP);
	there.want = want = sim_alloc(g->count * sizeof(*want));
	SIM_FOREACH_ENTITY(se, g) {
		struct sched_want *w = &want[se->e.number];

		w->hard = &se->e.hard;
		if (err == ERR_OK && !cpuset_intersects(&se->e.hard, &p->sched.slots)) {
			err = sched_refuse(ERR_INVAL, &g->sim->why,
					   "vCPU %u of %s is pinned to cpus that pool %s lacks",
					   se->e.number, g->g.name, p->name);
		}
		err = err != ERR_OK ? err : sim_values_of(se, p->sched.ops, &w->values);
		err = err != ERR_OK ? err : sim_validate(g->sim, p->sched.ops, &w->values, SCHED_ENTITY);
	}
	err = err != ERR_OK ? err : sim_admit(p, &there, g->count);
	free(want);
	return err;
}

/* --- Coming and going. What may be refused has been asked. */

static void enlist(struct sim_pool *p, struct sim_group *g)
{
	g->pool = p;
	SIM_PUSH(p->group, p->groups, p->group_room, g);
}

static void unlist(struct sim_pool *p, const struct sim_group *g)
{
	unsigned at = 0;

	while (p->group[at] != g) {
		at++;
	}
	p->groups--;
	memmove(&p->group[at], &p->group[at + 1], (p->groups - at) * sizeof(p->group[0]));
}

void sim_enter(struct sim_pool *p, struct sim_group *g, const struct sched_snapshot *standing)
{
	struct sim *sim = p->sim;
	struct sched_out out;

	sched_out_init(&out);
	g->g.priv = sim_alloc(p->sched.ops->group_size);
	g->g.entity_count = g->count;
	(void)values_of_group(g, p->sched.ops, &g->g.values);
	enlist(p, g);
	sim_hold_all(p);
	SIM_FOREACH_ENTITY(se, g) {
		se->e.priv = sim_alloc(p->sched.ops->entity_size);
		(void)sim_values_of(se, p->sched.ops, &se->e.values);
		se->e.runnable = se->e.on_slot = false;
		se->e.parked = SCHED_NOT_PARKED;
		se->e.blocked_since_ns = sim->now_ns;
		se->e.slot = SCHED_NO_SLOT;
		SIM_CALL(p, add, &p->sched, &se->e, sim->now_ns, &out);
		if (standing != NULL && p->sched.ops->import != NULL) {
			SIM_CALL(p, import, &p->sched, &se->e, &standing[se->e.number],
				 sim->now_ns);
		}
	}
	sim_let_go(p);
	sim_send_pokes(sim, &out);
}

void sim_go(struct sim_pool *p, struct sim_group *g, struct sched_snapshot *standing)
{
	struct sim *sim = p->sim;
	struct sched_out out;

	sched_out_init(&out);
	sim_hold_all(p);
	SIM_FOREACH_ENTITY(se, g) {
		if (standing != NULL) {
			standing[se->e.number] = (struct sched_snapshot){
				.used_ns = se->e.used_ns,
			};
		}
		if (standing != NULL && p->sched.ops->export != NULL) {
			SIM_CALL(p, export, &p->sched, &se->e, &standing[se->e.number]);
		}
		if (p->sched.ops->remove != NULL) {
			SIM_CALL(p, remove, &p->sched, &se->e, sim->now_ns, &out);
		}
		sim_give_up(sim, se->e.priv);
		se->e.priv = NULL;
		se->e.slot = SCHED_NO_SLOT;
	}
	sim_let_go(p);
	unlist(p, g);
	sim_give_up(sim, g->g.priv);
	g->g.priv = NULL;
	sim_send_pokes(sim, &out);
}

enum err sim_start(struct sim_group *g)
{
	enum err err;

	if (g->started) {
		return sched_refuse(ERR_STATE, &g->sim->why, "%s is there already", g->g.name);
	}
	err = sim_may_enter(g, g->pool);
	g->refused = err != ERR_OK;
	if (err != ERR_OK) {
		return err;
	}
	SIM_FOREACH_ENTITY(se, g) {
		se->e.awake = false;
		se->e.pauses = 0;
		se->since_ns = g->sim->now_ns;
		se->state = SIM_SLEEPS;
	}
	sim_enter(g->pool, g, NULL);
	g->started = true;
	SIM_FOREACH_ENTITY(se, g) {
		sim_pattern_start(se);
	}
	return ERR_OK;
}

void sim_pause(struct sim_group *g)
{
	SIM_FOREACH_ENTITY(se, g) {
		sim_hold_entity(se);
	}
}

void sim_resume(struct sim_group *g)
{
	SIM_FOREACH_ENTITY(se, g) {
		sim_resume_entity(se);
	}
}

void sim_remove(struct sim_group *g)
{
	if (!g->started) {
		return;
	}
	sim_pause(g);
	SIM_FOREACH_ENTITY(se, g) {
		sim_pattern_end(se);
	}
	sim_go(g->pool, g, NULL);
	g->started = false;
	g->refused = true;		/* sim_run() shall not start it again */
}

enum err sim_move_group(struct sim_group *g, struct sim_pool *to)
{
	struct sched_snapshot *standing;
	enum err err;

	if (!g->started || g->pool == to) {
		g->pool = to;
		return ERR_OK;
	}
	err = sim_may_enter(g, to);
	if (err != ERR_OK) {
		return err;
	}
	standing = sim_alloc(g->count * sizeof(*standing));
	sim_pause(g);
	sim_go(g->pool, g, standing);
	sim_enter(to, g, standing);
	sim_resume(g);
	free(standing);
	return ERR_OK;
}
