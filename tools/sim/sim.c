/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator as an object: made, filled with a machine, groups and entities, looked at,
 * destroyed.
 */
#include "tools/sim/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTES_MAX	(64u << 10)

void *sim_realloc(void *p, size_t bytes)
{
	p = realloc(p, MAX(bytes, 1ul));
	if (p == NULL) {
		perror("tarn-sim");
		exit(2);
	}
	return p;
}

void *sim_alloc(size_t bytes)
{
	return memset(sim_realloc(NULL, bytes), 0, MAX(bytes, 1ul));
}

void sim_give_up(struct sim *sim, void *p)
{
	if (sim->options.keep_memory) {
		SIM_PUSH(sim->kept, sim->kept_count, sim->kept_room, p);
	} else {
		free(p);
	}
}

/* line ends in a newline. */
static bool is_noted(const struct sim *sim, const char *line)
{
	const char *at = strstr(sim->notes, line);

	while (at != NULL && at != sim->notes && at[-1] != '\n') {
		at = strstr(at + 1, line);	/* the end of a longer one */
	}
	return at != NULL;
}

void sim_note(struct sim *sim, const char *fmt, ...)
{
	char line[512];
	size_t len = strlen(sim->notes);
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	strcat(line, "\n");
	if (len < NOTES_MAX && !is_noted(sim, line)) {
		sim->notes = sim_realloc(sim->notes, len + strlen(line) + 1);
		strcpy(sim->notes + len, line);
	}
}

struct sim *sim_create(const struct sim_options *options)
{
	struct sim *sim = sim_alloc(sizeof(*sim));

	if (options != NULL) {
		sim->options = *options;
	}
	if (sim->options.check_every == 0) {
		sim->options.check_every = 64;
	}
	sim->notes = sim_alloc(1);
	sim->clock_ns = sim->options.time_ops ? sim_clock_cost_ns() : 0;
	return sim;
}

void sim_destroy(struct sim *sim)
{
	struct heap_node *n;

	while ((n = heap_first(&sim->heap)) != NULL) {
		heap_set(&sim->heap, n, NS_NEVER);
		if (SIM_RANK_KIND(n->rank) == SIM_RANK_EVENT) {
			free(CONTAINER_OF(n, struct sim_event, node));
		}
	}
	for (unsigned i = 0; i < sim->entities; i++) {
		free(sim->entity[i]->e.priv);
		free(sim->entity[i]->sample);
		free(sim->entity[i]->values);
		free(sim->entity[i]);
	}
	for (unsigned i = 0; i < sim->groups; i++) {
		free(sim->group[i]->g.priv);
		free(sim->group[i]->values);
		free(sim->group[i]->entity);
		free(sim->group[i]);
	}
	for (unsigned i = 0; i < sim->pools; i++) {
		sim_pool_free(sim->pool[i]);
	}
	for (unsigned i = 0; i < sim->kept_count; i++) {
		free(sim->kept[i]);
	}
	heap_free_all(&sim->heap);
	free(sim->kept);
	free(sim->entity);
	free(sim->group);
	free(sim->pool);
	free(sim->slot);
	free(sim->notes);
	free(sim);
}

void sim_machine(struct sim *sim, unsigned cpus, unsigned threads_per_core, unsigned cores_per_llc,
		 unsigned llcs_per_node)
{
	const unsigned per_llc = threads_per_core * cores_per_llc;

	sim->cpus = cpus;
	sim->slot = sim_alloc(cpus * sizeof(sim->slot[0]));
	for (unsigned i = 0; i < cpus; i++) {
		struct sim_slot *sl = &sim->slot[i];
		unsigned node = i / (per_llc * llcs_per_node);

		sl->next.rank = SIM_RANK(SIM_RANK_SLOT, i);
		sl->place = (struct sched_place){ i / threads_per_core, i / per_llc, node, node };
		sl->until_ns = sl->poke_ns = sl->act_ns = NS_NEVER;
	}
}

struct cpuset sim_cpus(unsigned first, unsigned count)
{
	struct cpuset s = { 0 };

	for (unsigned i = 0; i < count; i++) {
		cpuset_add(&s, first + i);
	}
	return s;
}

void sim_pool_warn(struct sim_pool *p, bool warn)
{
	p->warn = warn;
}

struct sim_group *sim_group(struct sim_pool *p, const char *name, const char *values)
{
	struct sim_group *g = sim_alloc(sizeof(*g));

	g->sim = p->sim;
	g->index = p->sim->groups;
	g->pool = p;
	snprintf(g->g.name, sizeof(g->g.name), "%s", name);
	sim_values_append(&g->values, values);
	SIM_PUSH(g->sim->group, g->sim->groups, g->sim->group_room, g);
	return g;
}

struct sim_entity *sim_entity(struct sim_group *g, const struct sim_pattern *pattern)
{
	struct sim_entity *se = sim_alloc(sizeof(*se));
	struct sim *sim = g->sim;

	se->group = g;
	se->index = sim->entities;
	se->pattern = *pattern;
	se->rng = (sim->options.seed + 1) * 0x9e3779b97f4a7c15ul ^ (uint64_t)se->index << 32;
	se->arrival.rank = SIM_RANK(SIM_RANK_ARRIVAL, se->index);
	list_init(&se->waiting);
	se->e.group = &g->g;
	se->e.number = g->count;
	se->e.slot = se->last_slot = SCHED_NO_SLOT;
	cpuset_fill(&se->e.hard, CPU_MAX);
	cpuset_fill(&se->e.soft, CPU_MAX);
	SIM_PUSH(g->entity, g->count, g->room, se);
	SIM_PUSH(sim->entity, sim->entities, sim->entity_room, se);
	return se;
}

/* --- Looking inside. */

const char *sim_name(const struct sim_entity *se, char *buf)
{
	snprintf(buf, SIM_NAME_LEN, se->group->count > 1 ? "%s.%u" : "%s", se->group->g.name,
		 se->e.number);
	return buf;
}

uint64_t sim_now(const struct sim *sim)
{
	return sim->now_ns;
}

const char *sim_wrong(const struct sim *sim)
{
	return sim->wrong;
}

const char *sim_why(const struct sim *sim)
{
	return sim->why.words;
}

const char *sim_notes(const struct sim *sim)
{
	return sim->notes;
}

struct sim_entity *sim_entity_at(struct sim *sim, unsigned i)
{
	return i < sim->entities ? sim->entity[i] : NULL;
}

struct sim_group *sim_group_at(struct sim *sim, unsigned i)
{
	return i < sim->groups ? sim->group[i] : NULL;
}

struct sim_pool *sim_pool_at(struct sim *sim, unsigned i)
{
	return i < sim->pools ? sim->pool[i] : NULL;
}

struct sim_pool *sim_pool_of_cpu(const struct sim *sim, unsigned cpu)
{
	return cpu < sim->cpus ? sim->slot[cpu].pool : NULL;
}

const char *sim_pool_name(const struct sim_pool *p)
{
	return p->name;
}

struct sched *sim_sched(struct sim_pool *p)
{
	return &p->sched;
}

struct sim_pool *sim_group_pool(const struct sim_group *g)
{
	return g->pool;
}

bool sim_group_running(const struct sim_group *g)
{
	return g->started;
}

struct sched_group *sim_sched_group(struct sim_group *g)
{
	return &g->g;
}

struct sched_entity *sim_sched_entity(struct sim_entity *e)
{
	return &e->e;
}

struct sim_group *sim_entity_group(const struct sim_entity *e)
{
	return e->group;
}

unsigned sim_entity_index(const struct sim_entity *e)
{
	return e->index;
}

unsigned sim_cpu_count(const struct sim *sim)
{
	return sim->cpus;
}
