/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the time of entities and slots goes, and the timetable. */
#include "tools/sim/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define CONSERVE_LOOK	256u		/* waiting entities looked at in one instant, in turn */

#define SIM_OP_NAME(name) #name,
const char *const sim_op_name[SIM_OP_COUNT] = { SIM_OPS(SIM_OP_NAME) };

static void tell(struct sim_entity *se, enum sim_state state, uint64_t from_ns, uint64_t to_ns)
{
	struct sim *sim = se->group->sim;
	struct sim_stretch s = { se, state, state == SIM_RUNS ? se->e.slot : SCHED_NO_SLOT, from_ns,
				 to_ns };

	if (to_ns <= from_ns) {
		return;
	}
	se->total_ns[state] += to_ns - from_ns;
	if (state == SIM_WAITS) {
		se->waited_ns += to_ns - from_ns;
		se->longest_wait_ns = MAX(se->longest_wait_ns, se->waited_ns);
	}
	if (sim->record != NULL) {
		sim->record(sim->record_context, &s);
	}
}

/*
 * Tells what passed since se->since_ns. A parked one whose time has come waits, whether the policy
 * said so or not.
 */
static void tell_so_far(struct sim_entity *se)
{
	uint64_t now_ns = se->group->sim->now_ns, from_ns = se->since_ns;

	if (se->state == SIM_PARKED) {
		uint64_t free_ns = MIN(MAX(se->parked_until_ns, from_ns), now_ns);

		tell(se, SIM_PARKED, from_ns, free_ns);
		tell(se, SIM_WAITS, free_ns, now_ns);
	} else {
		tell(se, se->state, from_ns, now_ns);
	}
	se->since_ns = now_ns;
}

static enum sim_state state_of(const struct sim_entity *se)
{
	if (se->e.on_slot && se->group->sim->slot[se->e.slot].current == se) {
		return SIM_RUNS;
	}
	return !se->e.runnable			? SIM_SLEEPS :
	       se->e.parked != SCHED_NOT_PARKED ? SIM_PARKED :
						  SIM_WAITS;
}

static void set_waiting(struct sim_entity *se, bool waits)
{
	struct sim_pool *p = se->group->pool;

	if (list_empty(&se->waiting) == waits) {
		p->waiting_count += waits ? 1 : -1u;
	}
	list_remove(&se->waiting);
	if (waits) {
		list_push_back(&p->waiting, &se->waiting);
	}
}

void sim_observe(struct sim_entity *se)
{
	enum sim_state state = state_of(se);

	if (state == se->state &&
	    (state != SIM_PARKED || se->e.parked_until_ns == se->parked_until_ns)) {
		return;
	}
	tell_so_far(se);
	se->state = state;
	se->parked_until_ns = se->e.parked_until_ns;
	set_waiting(se, state == SIM_WAITS || state == SIM_PARKED);
	if (state == SIM_WAITS || state == SIM_PARKED) {
		return;
	}
	if (state == SIM_RUNS && se->woke) {
		SIM_PUSH(se->sample, se->samples, se->sample_room, se->waited_ns);
	}
	se->woke = false;
	se->waited_ns = 0;
}

void sim_tell_all(struct sim *sim)
{
	for (unsigned i = 0; i < sim->entities; i++) {
		if (sim->entity[i]->group->started) {
			sim_observe(sim->entity[i]);
			tell_so_far(sim->entity[i]);
		}
	}
}

/* --- A slot that idles beside one that could run there. */

static bool forgotten(struct sim_pool *p, struct sim_entity *se)
{
	const struct sim *sim = p->sim;
	struct cpuset able = p->idle;

	if (se->state != SIM_WAITS || se->e.on_slot) {
		return false;
	}
	cpuset_and(&able, &se->e.hard);
	CPUSET_FOREACH(slot, &able) {
		if (sim->slot[slot].poke_ns == NS_NEVER && sim->slot[slot].leaving == NULL) {
			if (p->figures.idle_waiting_ns == 0) {
				snprintf(p->figures.idle_waiting, sizeof(p->figures.idle_waiting),
					 "at %lu ns: slot %u idles beside %s.%u", sim->now_ns, slot,
					 se->group->g.name, se->e.number);
			}
			return true;
		}
	}
	return false;
}

static bool any_forgotten(struct sim_pool *p)
{
	for (unsigned n = MIN(CONSERVE_LOOK, p->waiting_count); n > 0; n--) {
		struct sim_entity *se =
			LIST_ENTRY(list_first(&p->waiting), struct sim_entity, waiting);

		sim_observe(se);	/* the policy may have parked it by itself */
		if (forgotten(p, se)) {
			return true;
		}
		list_remove(&se->waiting);
		list_push_back(&p->waiting, &se->waiting);
	}
	return false;
}

void sim_conserve(struct sim *sim, uint64_t until_ns)
{
	for (unsigned i = 0; i < sim->pools; i++) {
		struct sim_pool *p = sim->pool[i];

		if (p->idle_count > 0 && !list_empty(&p->waiting) && any_forgotten(p)) {
			p->figures.idle_waiting_ns += until_ns - sim->now_ns;
		}
	}
}

/* --- Reading them. */

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The least sample that at least that many percent of all do not exceed. */
static uint64_t percentile(const struct sim_entity *se, unsigned percent)
{
	return se->samples == 0 ? 0 : se->sample[(se->samples * percent + 99) / 100 - 1];
}

struct sim_figures sim_figures(struct sim_entity *se)
{
	struct sim_figures f = {
		.run_ns = se->total_ns[SIM_RUNS], .wait_ns = se->total_ns[SIM_WAITS],
		.parked_ns = se->total_ns[SIM_PARKED], .sleep_ns = se->total_ns[SIM_SLEEPS],
		.wakes = se->samples, .longest_wait_ns = se->longest_wait_ns,
		.switches = se->switches, .migrations = se->migrations,
		.jobs = se->jobs, .misses = se->misses + sim_pattern_overdue(se), .lost = se->lost,
	};

	if (se->samples > 0) {
		qsort(se->sample, se->samples, sizeof(se->sample[0]), by_size);
	}
	f.wake_p50_ns = percentile(se, 50);
	f.wake_p99_ns = percentile(se, 99);
	f.wake_max_ns = percentile(se, 100);
	return f;
}

void sim_reset(struct sim *sim)
{
	sim_tell_all(sim);
	for (unsigned i = 0; i < sim->entities; i++) {
		struct sim_entity *se = sim->entity[i];

		for (unsigned k = 0; k < SIM_STATES; k++) {
			se->total_ns[k] = 0;
		}
		se->longest_wait_ns = se->switches = se->migrations = se->jobs = se->misses =
			se->lost = 0;
		se->samples = 0;
	}
	for (unsigned i = 0; i < sim->pools; i++) {
		sim->pool[i]->figures = (struct sim_pool_figures){ 0 };
	}
}

const struct sim_pool_figures *sim_pool_figures(struct sim_pool *p)
{
	return &p->figures;
}

void sim_record(struct sim *sim, void (*fn)(void *context, const struct sim_stretch *stretch),
		void *context)
{
	sim->record = fn;
	sim->record_context = context;
}
