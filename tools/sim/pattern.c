/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guests of entities do: when they want to run, for how long, and what they do then.
 *
 * work_ns is what is left of the present run or job while the entity is awake. Job k of a periodic
 * one is released at first_ns + k every_ns; `released` and `pending` count them, so no job needs
 * memory.
 */
#include "tools/sim/internal.h"

/* splitmix64: one stream an entity, so that what it does never depends on how it is scheduled. */
static uint64_t random_to(struct sim_entity *se, uint64_t most)
{
	uint64_t z = (se->rng += 0x9e3779b97f4a7c15ul);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
	z ^= z >> 31;
	return most == UINT64_MAX ? z : z % (most + 1);
}

static void set_arrival(struct sim_entity *se, uint64_t when_ns)
{
	heap_set(&se->group->sim->heap, &se->arrival, when_ns);
}

void sim_pattern_start(struct sim_entity *se)
{
	const struct sim_pattern *t = &se->pattern;

	se->first_ns = se->group->sim->now_ns + t->phase_ns +
		       (t->random_phase ? random_to(se, t->every_ns) : 0);
	set_arrival(se, se->first_ns);
}

/* Its VM goes. What it had not done is of no job of the VM that may come in its place. */
void sim_pattern_end(struct sim_entity *se)
{
	set_arrival(se, NS_NEVER);
	se->misses += sim_pattern_overdue(se);
	se->released = se->pending = 0;
}

/* The length of the next run of those that draw it. */
static uint64_t draw_run_ns(struct sim_entity *se)
{
	const struct sim_pattern *t = &se->pattern;

	switch (t->kind) {
	case SIM_BUSY:
	case SIM_CHEAT:
		return NS_NEVER;
	case SIM_BURSTY:
		return t->run_ns - t->run_ns / 2 + random_to(se, t->run_ns);
	case SIM_RANDOM:
		return 1 + random_to(se, 2 * t->run_ns);
	default:
		return t->run_ns;
	}
}

static uint64_t deadline_ns(const struct sim_entity *se, uint64_t job)
{
	const struct sim_pattern *t = &se->pattern;

	return se->first_ns + job * t->every_ns +
	       (t->deadline_ns != 0 ? t->deadline_ns : t->every_ns);
}

uint64_t sim_pattern_overdue(const struct sim_entity *se)
{
	uint64_t overdue = 0;

	for (uint64_t k = se->released - se->pending;
	     se->pattern.kind == SIM_PERIODIC && k < se->released; k++) {
		overdue += deadline_ns(se, k) <= se->group->sim->now_ns;
	}
	return overdue;
}

/* The oldest unfinished job ends, done or dropped. */
static void end_job(struct sim_entity *se, bool done)
{
	uint64_t now_ns = se->group->sim->now_ns;

	se->jobs++;
	if (se->pattern.kind == SIM_PERIODIC) {
		se->misses += !done || now_ns > deadline_ns(se, se->released - se->pending);
	}
	se->pending--;
	se->work_ns = se->pending > 0 ? se->pattern.run_ns : 0;
}

static void job_arrives(struct sim_entity *se)
{
	const struct sim_pattern *t = &se->pattern;
	struct sim *sim = se->group->sim;
	bool keep = t->kind == SIM_PERIODIC && !t->drop;

	sim_progress(se);
	if (se->pending > 0 && se->work_ns == 0) {
		end_job(se, true);	/* at this very instant */
	}
	if (se->pending > 0 && t->kind == SIM_INTERACTIVE) {
		se->lost++;
		return;
	}
	se->released++;
	se->pending++;
	if (se->pending > 1 && !keep) {
		end_job(se, false);
	} else if (se->pending == 1) {
		se->work_ns = t->run_ns;
	}
	if (se->e.on_slot && sim->slot[se->e.slot].current == se) {
		sim_arm(sim, se->e.slot);
	}
	sim_wake(se);
}

void sim_pattern_arrival(struct sim_entity *se)
{
	const struct sim_pattern *t = &se->pattern;
	uint64_t now_ns = se->group->sim->now_ns;

	switch (t->kind) {
	case SIM_PERIODIC:
		set_arrival(se, now_ns + t->every_ns);
		job_arrives(se);
		break;
	case SIM_INTERACTIVE:
		set_arrival(se, now_ns + t->every_ns + random_to(se, t->jitter_ns));
		job_arrives(se);
		break;
	default:
		se->work_ns = draw_run_ns(se);
		sim_wake(se);
		break;
	}
}

enum sim_turn sim_pattern_done(struct sim_entity *se)
{
	const struct sim_pattern *t = &se->pattern;
	uint64_t now_ns = se->group->sim->now_ns;

	switch (t->kind) {
	case SIM_PERIODIC:
	case SIM_INTERACTIVE:
		end_job(se, true);
		return se->pending > 0 ? SIM_RUN_ON : SIM_BLOCK;
	case SIM_BURSTY:
		set_arrival(se,
			    now_ns + t->every_ns - t->every_ns / 2 + random_to(se, t->every_ns));
		return SIM_BLOCK;
	case SIM_RANDOM:
		if (random_to(se, 3) == 0) {
			break;
		}
		set_arrival(se, now_ns + 1 + random_to(se, 2 * t->every_ns));
		return SIM_BLOCK;
	case SIM_CHEAT:
		set_arrival(se, now_ns + t->every_ns);
		return SIM_BLOCK;
	case SIM_YIELDER:
	case SIM_BUSY:
		break;
	}
	se->work_ns = draw_run_ns(se);
	return SIM_YIELD;
}

/* When the current entity, its guest running from from_ns, does something else than run on. */
uint64_t sim_pattern_act_ns(const struct sim_entity *se, uint64_t from_ns, uint64_t until_ns)
{
	if (se->pattern.kind == SIM_CHEAT && until_ns != NS_NEVER) {
		return MAX(from_ns + 1, ns_since(se->pattern.run_ns, until_ns));
	}
	return se->work_ns == NS_NEVER ? NS_NEVER : from_ns + se->work_ns;
}

void sim_progress(struct sim_entity *se)
{
	struct sim *sim = se->group->sim;
	struct sim_slot *sl;
	uint64_t ran_ns;

	if (!se->e.on_slot || sim->slot[se->e.slot].current != se) {
		return;
	}
	sl = &sim->slot[se->e.slot];
	ran_ns = ns_since(sl->work_from_ns, sim->now_ns);
	if (se->work_ns != NS_NEVER) {
		se->work_ns -= MIN(ran_ns, se->work_ns);
	}
	sl->work_from_ns += ran_ns;
}
