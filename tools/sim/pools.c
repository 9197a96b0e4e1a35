/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools: made, given another policy, tuned; what their groups and entities are tuned and pinned to.
 */
#include "tools/sim/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* --- Pools. */

static void make_object(struct sim_pool *p, const struct sched_ops *ops,
			const struct sched_values *values)
{
	p->sched.ops = ops;
	p->sched.values = *values;
	p->sched.priv = sim_alloc(ops->object_size);
	p->sched.table_used = NULL;
}

static void end_object(struct sim_pool *p)
{
	if (p->sched.ops->fini != NULL) {
		p->sched.ops->fini(&p->sched);
	}
	sim_give_up(p->sim, p->sched.priv);
}

static enum err pool_values(struct sim *sim, const char *name, const struct sched_ops *ops,
			    const char *text, struct sched_values *v)
{
	enum err err;

	sched_values_default(ops, v);
	err = sim_values_apply(sim, name, ops, 1u << SCHED_POOL, text, v);
	return err != ERR_OK ? err : sim_validate(sim, ops, v, SCHED_POOL);
}

struct sim_pool *sim_pool_of(struct sim *sim, const char *name, const struct sched_ops *ops,
			     const char *values, struct cpuset cpus)
{
	struct sim_pool *p;
	struct sched_values v;
	enum err err = pool_values(sim, name, ops, values, &v);

	CPUSET_FOREACH(cpu, &cpus) {
		if (cpu >= sim->cpus || sim->slot[cpu].pool != NULL) {
			err = sched_refuse(ERR_BUSY, &sim->why, "pool %s: cpu %u is not free", name,
					   cpu);
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
		sim_join(p, cpu);
	}
	if (sim_table_apply(p, values, &v) != ERR_OK) {
		return NULL;
	}
	if (p->sched.table != NULL) {
		tell_tune(p, NULL, NULL);
	}
	return p;
}

struct sim_pool *sim_pool(struct sim *sim, const char *name, const char *policy, const char *values,
			  struct cpuset cpus)
{
	const struct sched_ops *ops = sched_policy_find(policy);

	if (ops == NULL) {
		sched_refuse(ERR_NOENT, &sim->why, "there is no policy %s", policy);
		return NULL;
	}
	return sim_pool_of(sim, name, ops, values, cpus);
}

/* Every group leaves, then every cpu; the object ends. */
static void empty(struct sim_pool *p, struct sim_group *const *group, unsigned n,
		  struct sched_snapshot **standing)
{
	for (unsigned i = 0; i < n; i++) {
		sim_go(p, group[i], standing != NULL ? standing[i] : NULL);
	}
	CPUSET_FOREACH(cpu, &p->sched.slots) {
		sim_leave(cpu, p);
	}
	end_object(p);
}

/* The reverse, under ops. Refused: p is empty again, without an object. */
static enum err refill(struct sim_pool *p, const struct sched_ops *ops,
		       const struct sched_values *v, struct cpuset cpus,
		       struct sim_group *const *group, unsigned n, struct sched_snapshot **standing,
		       const char *text)
{
	enum err err;

	make_object(p, ops, v);
	err = ops->init(&p->sched);
	if (err != ERR_OK) {
		sim_give_up(p->sim, p->sched.priv);
		return sched_refuse(err, &p->sim->why, "%s: %s", ops->name, err_words(err));
	}
	CPUSET_FOREACH(cpu, &cpus) {
		sim_join(p, cpu);
	}
	err = sim_table_apply(p, text, v);
	if (err != ERR_OK) {
		empty(p, group, 0, NULL);
		return err;
	}
	if (p->sched.table != NULL && ops->check_table != NULL) {
		tell_tune(p, NULL, NULL);
	}
	for (unsigned i = 0; i < n; i++) {
		err = sim_may_enter(group[i], p);
		if (err != ERR_OK) {
			const struct sched_reason why = p->sim->why;

			empty(p, group, i, NULL);
			return sched_refuse(err, &p->sim->why, "%s: %s", group[i]->g.name, why.words);
		}
		sim_enter(p, group[i], standing[i]);
	}
	return ERR_OK;
}

enum err sim_change_policy(struct sim_pool *p, const struct sched_ops *ops, const char *values)
{
	const struct sched_ops *old_ops = p->sched.ops;
	const struct sched_values old_values = p->sched.values;
	struct sched_table *const old_table = p->sched.table;
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
		err = refill(p, ops, &v, cpus, group, n, standing, values);
		if (err != ERR_OK) {
			p->sched.table = old_table;
		}
		if (err != ERR_OK &&
		    refill(p, old_ops, &old_values, cpus, group, n, standing, NULL) != ERR_OK) {
			sim_fail(p->sim, "%s refuses what it had admitted: %s", old_ops->name,
				 p->sim->why.words);
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
	for (unsigned i = 0; i < p->tables; i++) {
		free(p->table[i]);
	}
	free(p->table);
	free(p->sched.priv);
	free(p->sched.slot_priv);
	free(p->group);
	free(p);
}

/* --- Values and affinity. */

enum err sim_tune_pool(struct sim_pool *p, const char *values)
{
	const struct sched_ops *ops = p->sched.ops;
	struct sched_values v = p->sched.values;
	enum err err = sim_values_apply(p->sim, p->name, ops, 1u << SCHED_POOL, values, &v);

	err = err != ERR_OK ? err : sim_validate(p->sim, ops, &v, SCHED_POOL);
	err = err != ERR_OK ? err : sim_table_apply(p, values, &v);
	for (unsigned i = 0; i < ops->tunable_count && err == ERR_OK; i++) {
		if (!ops->tunables[i].live && v.v[i] != p->sched.values.v[i] && p->groups > 0) {
			return sched_refuse(ERR_STATE, &p->sim->why,
					    "%s cannot change while VMs are in the pool",
					    ops->tunables[i].name);
		}
	}
	if (err == ERR_OK) {
		p->sched.values = v;
		tell_tune(p, NULL, NULL);
	}
	return err;
}

/* May se have these values and this set? */
static enum err ask_change(struct sim_entity *se, const struct sched_values *v, const struct cpuset *hard)
{
	const struct sched_want want = { .values = *v, .hard = hard, .instead = &se->e };
	struct sched_group probe = { .values = se->group->g.values, .want = &want, .want_count = 1 };

	memcpy(probe.name, se->group->g.name, sizeof(probe.name));
	return sim_admit(se->group->pool, &probe, 0);
}

/* May g have these values, and its entities what they were given beside? */
static enum err ask_retune(struct sim_group *g, const struct sched_values *v)
{
	struct sched_group probe = { .values = *v, .want_count = g->count };
	struct sched_want *want = sim_alloc(g->count * sizeof(*want));
	enum err err = ERR_OK;

	memcpy(probe.name, g->g.name, sizeof(probe.name));
	probe.want = want;
	SIM_FOREACH_ENTITY(se, g) {
		struct sched_want *w = &want[se->e.number];

		*w = (struct sched_want){ .values = *v, .hard = &se->e.hard, .instead = &se->e };
		err = err != ERR_OK ? err : sim_values_apply(g->sim, g->g.name, g->pool->sched.ops, SIM_OF_VM,
							     se->values, &w->values);
		err = err != ERR_OK ? err :
				      sim_validate(g->sim, g->pool->sched.ops, &w->values, SCHED_ENTITY);
	}
	err = err != ERR_OK ? err : sim_admit(g->pool, &probe, 0);
	free(want);
	return err;
}

enum err sim_tune_group(struct sim_group *g, const char *values)
{
	struct sched_values v = g->g.values;
	enum err err = ERR_OK;

	if (g->started) {
		err = sim_values_apply(g->sim, g->g.name, g->pool->sched.ops, SIM_OF_VM, values,
				       &v);
		err = err != ERR_OK ? err :
				      sim_validate(g->sim, g->pool->sched.ops, &v, SCHED_GROUP);
		err = err != ERR_OK ? err : ask_retune(g, &v);
	}
	if (err != ERR_OK) {
		return err;
	}
	sim_values_append(&g->values, values);
	if (g->started) {
		g->g.values = v;
		tell_tune(g->pool, &g->g, NULL);
		SIM_FOREACH_ENTITY(se, g) {
			(void)sim_values_of(se, g->pool->sched.ops, &se->e.values);
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
		err = sim_values_apply(g->sim, g->g.name, g->pool->sched.ops, SIM_OF_VM, values,
				       &v);
		err = err != ERR_OK ? err :
				      sim_validate(g->sim, g->pool->sched.ops, &v, SCHED_ENTITY);
		err = err != ERR_OK ? err : ask_change(se, &v, &se->e.hard);
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
		return sched_refuse(ERR_INVAL, &p->sim->why, "pool %s has none of these cpus",
				    p->name);
	}
	if (se->group->started) {
		enum err err = ask_change(se, &se->e.values, hard);

		if (err != ERR_OK) {
			return err;
		}
	}
	se->e.hard = *hard;
	se->e.soft = soft != NULL ? *soft : all;
	if (se->group->started) {
		sched_out_init(&out);
		sim_hold_all(p);
		/* It may write its slot. */
		SIM_CALL(p, set_affinity, &p->sched, &se->e, p->sim->now_ns, &out);
		sim_observe(se);
		sim_let_go(p);
		sim_send_pokes(p->sim, &out);
	}
	return ERR_OK;
}
