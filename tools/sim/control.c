/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What pool/pool_cpu.c and pool/pool_group.c do: cpus and groups come, go and move, values change. Each asks first; from the
 * point where something changes, nothing can fail.
 */
#include "tools/sim/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OF_VM	(1u << SCHED_GROUP | 1u << SCHED_ENTITY)

#define FOREACH_ENTITY(se, g) \
	for (unsigned se##_i = 0; se##_i < (g)->count; se##_i++) \
		for (struct sim_entity *se = (g)->entity[se##_i]; se != NULL; se = NULL)

#define FOREACH_IN_POOL(se, p) \
	for (unsigned se##_g = 0; se##_g < (p)->groups; se##_g++) \
		FOREACH_ENTITY(se, (p)->group[se##_g])

/* --- Cpus. */

static void join(struct sim_pool *p, unsigned cpu)
{
	struct sim *sim = p->sim;
	struct sim_slot *sl = &sim->slot[cpu];
	struct sched_out out;

	sched_out_init(&out);
	sim_hold_all(p);
	p->sched.slot_priv[cpu] = sim_alloc(p->sched.ops->slot_size);
	cpuset_add(&p->sched.slots, cpu);
	sl->pool = p;
	SIM_COUNTED(p, join, sl->domain = p->sched.ops->join(&p->sched, cpu, &sl->place, sim->now_ns, &out));
	sim_let_go(p);
	if (sl->domain > cpu) {
		sim_fail(sim, "join of slot %u: its domain %u is above it", cpu, sl->domain);
		sl->domain = 0;
	}
	sl->until_ns = NS_NEVER;
	sl->poke_ns = sim->now_ns;	/* it asks its scheduler next */
	sim_send_pokes(sim, &out);
	sim_arm(sim, cpu);
}

static void leave(unsigned cpu, struct sim_pool *p)
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
	FOREACH_IN_POOL(se, p) {
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
		cpuset_del(&out.poke, cpu);	/* it is off already, and asks whoever it joins */
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
		return sched_refuse(ERR_BUSY, why, "cpu %u is the last of pool %s, which has VMs", cpu, p->name);
	}
	FOREACH_IN_POOL(se, p) {
		if (!cpuset_intersects(&se->e.hard, &rest)) {
			return sched_refuse(ERR_BUSY, why, "vCPU %u of %s may run nowhere else in pool %s", se->e.number,
					    se->group->g.name, p->name);
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
		leave(cpu, from);
	}
	if (to != NULL) {
		join(to, cpu);
	}
	return ERR_OK;
}

/* --- Asking. */

static enum err validate(struct sim *sim, const struct sched_ops *ops, const struct sched_values *v, enum sched_scope scope)
{
	return ops->validate == NULL ? ERR_OK : ops->validate(v, scope, &sim->why);
}

static enum err values_of_entity(struct sim_entity *se, const struct sched_ops *ops, struct sched_values *v)
{
	struct sim *sim = se->group->sim;
	enum err err;

	sched_values_default(ops, v);
	err = sim_values_apply(sim, se->group->g.name, ops, OF_VM, se->group->values, v);
	return err != ERR_OK ? err : sim_values_apply(sim, se->group->g.name, ops, OF_VM, se->values, v);
}

static enum err values_of_group(struct sim_group *g, const struct sched_ops *ops, struct sched_values *v)
{
	sched_values_default(ops, v);
	return sim_values_apply(g->sim, g->g.name, ops, OF_VM, g->values, v);
}

static enum err admit(struct sim_pool *p, struct sched *s, const struct sched_group *g, unsigned n)
{
	struct sim *sim = p->sim;
	enum err err = ERR_OK;

	if (s->ops->admit != NULL) {
		SIM_COUNTED(p, admit, err = s->ops->admit(s, g, n, &p->sched.slots, &sim->why));
	}
	if (err == ERR_ADMISSION && p->warn) {
		sim_note(sim, "%s enters pool %s although: %s", g->name, p->name, sim->why.words);
		return ERR_OK;
	}
	return err;
}

static enum err may_enter(struct sim_group *g, struct sim_pool *p)
{
	struct sched_group there = { .priv = NULL };
	struct sched_values v;
	enum err err;

	if (cpuset_empty(&p->sched.slots)) {
		return sched_refuse(ERR_STATE, &g->sim->why, "pool %s has no cpu", p->name);
	}
	memcpy(there.name, g->g.name, sizeof(there.name));
	err = values_of_group(g, p->sched.ops, &there.values);
	err = err != ERR_OK ? err : validate(g->sim, p->sched.ops, &there.values, SCHED_GROUP);
	err = err != ERR_OK ? err : admit(p, &p->sched, &there, g->count);
	FOREACH_ENTITY(se, g) {
		if (err == ERR_OK && !cpuset_intersects(&se->e.hard, &p->sched.slots)) {
			return sched_refuse(ERR_INVAL, &g->sim->why, "vCPU %u of %s is pinned to cpus that pool %s lacks",
					    se->e.number, g->g.name, p->name);
		}
		err = err != ERR_OK ? err : values_of_entity(se, p->sched.ops, &v);
		err = err != ERR_OK ? err : validate(g->sim, p->sched.ops, &v, SCHED_ENTITY);
	}
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

static void enter(struct sim_pool *p, struct sim_group *g, const struct sched_snapshot *standing)
{
	struct sim *sim = p->sim;
	struct sched_out out;

	sched_out_init(&out);
	g->g.priv = sim_alloc(p->sched.ops->group_size);
	g->g.entity_count = g->count;
	(void)values_of_group(g, p->sched.ops, &g->g.values);
	enlist(p, g);
	sim_hold_all(p);
	FOREACH_ENTITY(se, g) {
		se->e.priv = sim_alloc(p->sched.ops->entity_size);
		(void)values_of_entity(se, p->sched.ops, &se->e.values);
		se->e.runnable = se->e.on_slot = false;
		se->e.parked = SCHED_NOT_PARKED;
		se->e.blocked_since_ns = sim->now_ns;
		se->e.slot = SCHED_NO_SLOT;
		SIM_CALL(p, add, &p->sched, &se->e, sim->now_ns, &out);
		if (standing != NULL && p->sched.ops->import != NULL) {
			SIM_CALL(p, import, &p->sched, &se->e, &standing[se->e.number], sim->now_ns);
		}
	}
	sim_let_go(p);
	sim_send_pokes(sim, &out);
}

/* Takes g, held, out of p; its standing, where asked for, in standing[count]. */
static void go(struct sim_pool *p, struct sim_group *g, struct sched_snapshot *standing)
{
	struct sim *sim = p->sim;
	struct sched_out out;

	sched_out_init(&out);
	sim_hold_all(p);
	FOREACH_ENTITY(se, g) {
		if (standing != NULL) {
			standing[se->e.number] = (struct sched_snapshot){
				.used_ns = se->e.used_ns, .hard = se->e.hard, .soft = se->e.soft,
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
	enum err err = g->started ? ERR_STATE : may_enter(g, g->pool);

	g->refused = err != ERR_OK;
	if (err != ERR_OK) {
		sim_note(g->sim, "%s does not start: %s", g->g.name, g->sim->why.words);
		return err;
	}
	FOREACH_ENTITY(se, g) {
		se->e.awake = false;
		se->e.pauses = 0;
		se->since_ns = g->sim->now_ns;
		se->state = SIM_SLEEPS;
	}
	enter(g->pool, g, NULL);
	g->started = true;
	FOREACH_ENTITY(se, g) {
		sim_pattern_start(se);
	}
	return ERR_OK;
}

void sim_pause(struct sim_group *g)
{
	FOREACH_ENTITY(se, g) {
		sim_hold_entity(se);
	}
}

void sim_resume(struct sim_group *g)
{
	FOREACH_ENTITY(se, g) {
		sim_resume_entity(se);
	}
}

void sim_remove(struct sim_group *g)
{
	if (!g->started) {
		return;
	}
	sim_pause(g);
	FOREACH_ENTITY(se, g) {
		heap_set(&g->sim->heap, &se->arrival, NS_NEVER);
	}
	go(g->pool, g, NULL);
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
	err = may_enter(g, to);
	if (err != ERR_OK) {
		return err;
	}
	standing = sim_alloc(g->count * sizeof(*standing));
	sim_pause(g);
	go(g->pool, g, standing);
	enter(to, g, standing);
	sim_resume(g);
	free(standing);
	return ERR_OK;
}

/* --- Pools. */

static void make_object(struct sim_pool *p, const struct sched_ops *ops, const struct sched_values *values)
{
	p->sched.ops = ops;
	p->sched.values = *values;
	p->sched.priv = sim_alloc(ops->object_size);
}

static void end_object(struct sim_pool *p)
{
	if (p->sched.ops->fini != NULL) {
		p->sched.ops->fini(&p->sched);
	}
	sim_give_up(p->sim, p->sched.priv);
}

static enum err pool_values(struct sim *sim, const char *name, const struct sched_ops *ops, const char *text,
			    struct sched_values *v)
{
	enum err err;

	sched_values_default(ops, v);
	err = sim_values_apply(sim, name, ops, 1u << SCHED_POOL, text, v);
	return err != ERR_OK ? err : validate(sim, ops, v, SCHED_POOL);
}

struct sim_pool *sim_pool_of(struct sim *sim, const char *name, const struct sched_ops *ops, const char *values,
			     struct cpuset cpus)
{
	struct sim_pool *p;
	struct sched_values v;
	enum err err = pool_values(sim, name, ops, values, &v);

	CPUSET_FOREACH(cpu, &cpus) {
		if (cpu >= sim->cpus || sim->slot[cpu].pool != NULL) {
			err = sched_refuse(ERR_BUSY, &sim->why, "pool %s: cpu %u is not free", name, cpu);
		}
	}
	if (err != ERR_OK) {
		return NULL;
	}
	p = sim_alloc(sizeof(*p));
	p->sim = sim;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->sched.slot_priv = sim_alloc(CPU_MAX * sizeof(p->sched.slot_priv[0]));
	list_init(&p->waiting);
	make_object(p, ops, &v);
	err = ops->init(&p->sched);
	if (err != ERR_OK) {
		sched_refuse(err, &sim->why, "%s: %s", ops->name, err_words(err));
		free(p->sched.priv);
		free(p->sched.slot_priv);
		free(p);
		return NULL;
	}
	SIM_PUSH(sim->pool, sim->pools, sim->pool_room, p);
	CPUSET_FOREACH(cpu, &cpus) {
		join(p, cpu);
	}
	return p;
}

struct sim_pool *sim_pool(struct sim *sim, const char *name, const char *policy, const char *values, struct cpuset cpus)
{
	const struct sched_ops *ops = sched_policy_find(policy);

	if (ops == NULL) {
		sched_refuse(ERR_NOENT, &sim->why, "there is no policy %s", policy);
		return NULL;
	}
	return sim_pool_of(sim, name, ops, values, cpus);
}

/* Every group leaves, then every cpu; the object ends. */
static void empty(struct sim_pool *p, struct sim_group *const *group, unsigned n, struct sched_snapshot **standing)
{
	for (unsigned i = 0; i < n; i++) {
		go(p, group[i], standing != NULL ? standing[i] : NULL);
	}
	CPUSET_FOREACH(cpu, &p->sched.slots) {
		leave(cpu, p);
	}
	end_object(p);
}

/* The reverse, under ops. Refused: p is empty again, without an object. */
static enum err refill(struct sim_pool *p, const struct sched_ops *ops, const struct sched_values *v, struct cpuset cpus,
		       struct sim_group *const *group, unsigned n, struct sched_snapshot **standing)
{
	enum err err;

	make_object(p, ops, v);
	err = ops->init(&p->sched);
	if (err != ERR_OK) {
		sim_give_up(p->sim, p->sched.priv);
		return sched_refuse(err, &p->sim->why, "%s: %s", ops->name, err_words(err));
	}
	CPUSET_FOREACH(cpu, &cpus) {
		join(p, cpu);
	}
	for (unsigned i = 0; i < n; i++) {
		err = may_enter(group[i], p);
		if (err != ERR_OK) {
			empty(p, group, i, NULL);
			return err;
		}
		enter(p, group[i], standing[i]);
	}
	return ERR_OK;
}

enum err sim_change_policy(struct sim_pool *p, const struct sched_ops *ops, const char *values)
{
	const struct sched_ops *old_ops = p->sched.ops;
	const struct sched_values old_values = p->sched.values;
	const struct cpuset cpus = p->sched.slots;
	const unsigned n = p->groups;
	struct sim_group **group = sim_alloc(n * sizeof(group[0]));
	struct sched_snapshot **standing = sim_alloc(n * sizeof(standing[0]));
	struct sched_values v;
	enum err err = pool_values(p->sim, p->name, ops, values, &v);

	for (unsigned i = 0; i < n && err == ERR_OK; i++) {
		group[i] = p->group[i];
		standing[i] = sim_alloc(group[i]->count * sizeof(standing[i][0]));
		sim_pause(group[i]);
	}
	if (err == ERR_OK) {
		empty(p, group, n, standing);
		err = refill(p, ops, &v, cpus, group, n, standing);
		if (err != ERR_OK && refill(p, old_ops, &old_values, cpus, group, n, standing) != ERR_OK) {
			sim_fail(p->sim, "%s refuses what it had admitted: %s", old_ops->name, p->sim->why.words);
		}
		for (unsigned i = 0; i < n && p->sim->wrong[0] == '\0'; i++) {
			sim_resume(group[i]);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		free(standing[i]);
	}
	free(standing);
	free(group);
	return err;
}

void sim_pool_free(struct sim_pool *p)
{
	CPUSET_FOREACH(cpu, &p->sched.slots) {
		free(p->sched.slot_priv[cpu]);
	}
	free(p->sched.priv);
	free(p->sched.slot_priv);
	free(p->group);
	free(p);
}

/* --- Values and affinity. */

static void tell_tune(struct sim_pool *p, struct sched_group *g, struct sched_entity *e)
{
	struct sched_out out;

	if (p->sched.ops->tune == NULL) {
		return;
	}
	sched_out_init(&out);
	sim_hold_all(p);
	SIM_CALL(p, tune, &p->sched, g, e, p->sim->now_ns, &out);
	sim_let_go(p);
	sim_send_pokes(p->sim, &out);
}

enum err sim_tune_pool(struct sim_pool *p, const char *values)
{
	const struct sched_ops *ops = p->sched.ops;
	struct sched_values v = p->sched.values;
	enum err err = sim_values_apply(p->sim, p->name, ops, 1u << SCHED_POOL, values, &v);

	err = err != ERR_OK ? err : validate(p->sim, ops, &v, SCHED_POOL);
	for (unsigned i = 0; i < ops->tunable_count && err == ERR_OK; i++) {
		if (!ops->tunables[i].live && v.v[i] != p->sched.values.v[i] && p->groups > 0) {
			return sched_refuse(ERR_STATE, &p->sim->why, "%s cannot change while VMs are in the pool",
					    ops->tunables[i].name);
		}
	}
	if (err == ERR_OK) {
		p->sched.values = v;
		tell_tune(p, NULL, NULL);
	}
	return err;
}

enum err sim_tune_group(struct sim_group *g, const char *values)
{
	struct sched_values v = g->g.values;
	enum err err = ERR_OK;

	if (g->started) {
		err = sim_values_apply(g->sim, g->g.name, g->pool->sched.ops, OF_VM, values, &v);
		err = err != ERR_OK ? err : validate(g->sim, g->pool->sched.ops, &v, SCHED_GROUP);
	}
	if (err != ERR_OK) {
		return err;
	}
	sim_values_append(&g->values, values);
	if (g->started) {
		g->g.values = v;
		tell_tune(g->pool, &g->g, NULL);
		FOREACH_ENTITY(se, g) {
			(void)values_of_entity(se, g->pool->sched.ops, &se->e.values);
			tell_tune(g->pool, &g->g, &se->e);
		}
	}
	return ERR_OK;
}

enum err sim_tune_entity(struct sim_entity *se, const char *values)
{
	struct sim_group *g = se->group;
	struct sched_values v = se->e.values;
	enum err err = ERR_OK;

	if (g->started) {
		err = sim_values_apply(g->sim, g->g.name, g->pool->sched.ops, OF_VM, values, &v);
		err = err != ERR_OK ? err : validate(g->sim, g->pool->sched.ops, &v, SCHED_ENTITY);
	}
	if (err != ERR_OK) {
		return err;
	}
	sim_values_append(&se->values, values);
	if (g->started) {
		se->e.values = v;
		tell_tune(g->pool, &g->g, &se->e);
	}
	return ERR_OK;
}

enum err sim_pin(struct sim_entity *se, const struct cpuset *hard, const struct cpuset *soft)
{
	struct sim_pool *p = se->group->pool;
	struct cpuset all;
	struct sched_out out;

	cpuset_fill(&all, CPU_MAX);
	hard = hard != NULL ? hard : &all;
	if (se->group->started && !cpuset_intersects(hard, &p->sched.slots)) {
		return sched_refuse(ERR_INVAL, &p->sim->why, "pool %s has none of these cpus", p->name);
	}
	se->e.hard = *hard;
	se->e.soft = soft != NULL ? *soft : all;
	if (se->group->started) {
		sched_out_init(&out);
		sim_hold_all(p);
		SIM_ENTITY_OP(p, set_affinity, se, p->sim->now_ns, &out);
		sim_let_go(p);
		sim_send_pokes(p->sim, &out);
	}
	return ERR_OK;
}
