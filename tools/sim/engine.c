/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's protocol on simulated time: what pool/dispatch.c and pool/pool_entity.c do, without a
 * machine.
 *
 * A slot is either between pick and release of the one that was replaced (`leaving`), or runs
 * `current`, or idles. Its next event is the end of that: release_ns, or the first of until_ns (the
 * policy's), poke_ns (somebody poked it) and act_ns (the guest blocks, yields or finishes a job).
 *
 *	charge ─► block | yield | neither ─► pick ─► (pull ─► pick) ─┬─► same entity: goes on
 *	                                                             └─► another: released, pokes
 */
#include "tools/sim/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "kernel/lib/string.h"

#define ROUNDS_MAX	1000u		/* of one slot at one instant: more is a loop of pokes */

/* --- Breaches, lock domains, op calls. */

void sim_fail(struct sim *sim, const char *fmt, ...)
{
	va_list args;
	int n;

	if (sim->wrong[0] != '\0') {
		return;
	}
	n = snprintf(sim->wrong, sizeof(sim->wrong), "at %lu ns: ", sim->now_ns);
	va_start(args, fmt);
	vsnprintf(sim->wrong + n, sizeof(sim->wrong) - (size_t)n, fmt, args);
	va_end(args);
}

void sim_hold(struct sim_pool *p, unsigned domain)
{
	p->held[p->held_count++] = domain;
}

void sim_hold_all(struct sim_pool *p)
{
	p->held_all = true;
}

void sim_let_go(struct sim_pool *p)
{
	p->held_all = false;
	p->held_count = 0;
}

static unsigned domain_of(const struct sim *sim, unsigned slot)
{
	return slot == SCHED_NO_SLOT ? 0 : sim->slot[slot].domain;
}

static bool holds(const struct sim_pool *p, unsigned domain)
{
	return p->held_all || (p->held_count > 0 && p->held[0] == domain) ||
	       (p->held_count > 1 && p->held[1] == domain);
}

unsigned sim_op_begin(struct sim_pool *p, const struct sim_entity *se, const char *op)
{
	if (!holds(p, domain_of(p->sim, se->e.slot))) {
		sim_fail(p->sim, "%s of %s.%u: the domain of its slot is not held", op,
			 se->group->g.name, se->e.number);
	}
	return se->e.slot;
}

void sim_op_end(struct sim_pool *p, struct sim_entity *se, unsigned slot, const char *op)
{
	if (se->e.slot != slot) {
		sim_fail(p->sim, "%s of %s.%u: wrote its slot", op, se->group->g.name,
			 se->e.number);
	}
	sim_observe(se);
}

uint64_t sim_host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t sim_clock_cost_ns(void)
{
	const unsigned rounds = 1000;
	uint64_t start_ns = sim_host_ns();

	for (unsigned i = 0; i < rounds; i++) {
		sim_host_ns();
	}
	return (sim_host_ns() - start_ns) / rounds;
}

/* From 8 ns on four of them make twice as much. */
static unsigned class_of(uint64_t ns)
{
	unsigned top = 63 - (unsigned)__builtin_clzl(ns | 1);

	return ns < 8 ? (unsigned)ns : MIN(top * 4 + (unsigned)(ns >> (top - 2) & 3) - 4, SIM_HOST_CLASSES - 1);
}

uint64_t sim_host_ns_of(struct sim_pool *const *p, unsigned n, enum sim_op op, unsigned percent)
{
	uint64_t calls = 0, passed = 0;
	unsigned class = 0;

	for (unsigned i = 0; i < n; i++) {
		calls += p[i]->figures.calls[op];
	}
	for (; class < SIM_HOST_CLASSES; class++) {
		for (unsigned i = 0; i < n; i++) {
			passed += p[i]->figures.host[op][class];
		}
		if (passed * 100 >= calls * percent) {
			break;
		}
	}
	return class < 8 ? class : (4ul + class % 4) << (class / 4 - 1);
}

void sim_op_count(struct sim_pool *p, enum sim_op op, uint64_t start_ns)
{
	p->figures.calls[op]++;
	if (p->sim->options.time_ops) {
		p->figures.host[op][class_of(ns_since(start_ns + p->sim->clock_ns, sim_host_ns()))]++;
	}
}

/* --- An entity. The domain of its slot is held. */

void sim_make_runnable(struct sim_entity *se, struct sched_out *out)
{
	struct sim_pool *p = se->group->pool;

	se->e.runnable = true;
	se->e.runnable_since_ns = p->sim->now_ns;
	se->e.blocked_ns += p->sim->now_ns - se->e.blocked_since_ns;
	SIM_ENTITY_OP(p, wake, se, p->sim->now_ns, out);
}

void sim_make_blocked(struct sim_entity *se, struct sched_out *out)
{
	struct sim_pool *p = se->group->pool;

	se->e.runnable = false;
	se->e.blocked_since_ns = p->sim->now_ns;
	SIM_ENTITY_OP(p, block, se, p->sim->now_ns, out);
}

/* Books the run of the current entity, and how it ended. */
static void settle(struct sim *sim, struct sim_slot *sl, enum sim_turn turn, struct sched_out *out)
{
	struct sim_entity *se = sl->current;
	struct sim_pool *p = sl->pool;
	uint64_t ran_ns = sim->now_ns - sl->run_start_ns;

	sim_progress(se);
	sl->run_start_ns = sim->now_ns;
	se->e.used_ns += ran_ns;
	if (p->sched.ops->charge != NULL) {
		SIM_ENTITY_OP(p, charge, se, ran_ns, sim->now_ns, out);
	}
	if (turn == SIM_BLOCK) {
		se->e.awake = false;
	}
	if (!se->e.awake || se->e.pauses > 0) {
		sim_make_blocked(se, out);
	} else if (turn == SIM_YIELD) {
		SIM_ENTITY_OP(p, yield, se, sim->now_ns, out);
	}
}

/* --- Pokes. */

void sim_send_pokes(struct sim *sim, struct sched_out *out)
{
	if (!out->any) {
		return;
	}
	CPUSET_FOREACH(slot, sched_poked(out)) {
		struct sim_slot *sl = slot < sim->cpus ? &sim->slot[slot] : NULL;

		if (sl == NULL || sl->pool == NULL) {
			sim_fail(sim, "poke of cpu %u, which is in no pool", slot);
			break;
		}
		sl->pool->figures.pokes++;
		sl->poke_ns = MIN(sl->poke_ns, sim->now_ns + sim->options.poke_ns);
		sim_arm(sim, slot);
	}
	sched_out_init(out);
}

/* --- A slot. */

void sim_arm(struct sim *sim, unsigned slot)
{
	struct sim_slot *sl = &sim->slot[slot];
	uint64_t next_ns;

	sl->act_ns = sl->current == NULL ? NS_NEVER :
		     sim_pattern_act_ns(sl->current, sl->work_from_ns, sl->until_ns);
	next_ns = sl->leaving != NULL ? sl->release_ns :
					MIN(MIN(sl->until_ns, sl->poke_ns), sl->act_ns);
	heap_set(&sim->heap, &sl->next, next_ns == NS_NEVER ? NS_NEVER : MAX(next_ns, sim->now_ns));
}

static void set_idle(struct sim_pool *p, unsigned slot, bool idle)
{
	if (cpuset_has(&p->idle, slot) == idle) {
		return;
	}
	if (idle) {
		cpuset_add(&p->idle, slot);
		p->idle_count++;
	} else {
		cpuset_del(&p->idle, slot);
		p->idle_count--;
	}
}

/* The one that was replaced is off: its state is memory now. */
static void release(struct sim *sim, unsigned slot)
{
	struct sim_slot *sl = &sim->slot[slot];
	struct sim_entity *se = sl->leaving;
	struct sim_pool *p = sl->pool;

	sl->leaving = NULL;
	sim_hold(p, sl->domain);
	if (se->e.runnable && se->e.pauses > 0) {
		sim_make_blocked(se, &sl->out);
	}
	se->e.on_slot = false;
	SIM_ENTITY_OP(p, released, se, sim->now_ns, &sl->out);
	if (se->e.awake && se->e.pauses == 0 && !se->e.runnable) {
		sim_make_runnable(se, &sl->out);
	}
	sim_let_go(p);
	sim_send_pokes(sim, &sl->out);
}

static bool known(const struct sim_pool *p, const struct sched_entity *e)
{
	const struct sim_entity *se = CONTAINER_OF(e, struct sim_entity, e);

	return se->index < p->sim->entities && p->sim->entity[se->index] == se &&
	       se->group->started && se->group->pool == p;
}

static void check_pick(struct sim_pool *p, unsigned slot, const struct sched_pick *next)
{
	struct sim *sim = p->sim;
	const struct sched_entity *e = next->entity;
	const struct sim_slot *sl = &sim->slot[slot];

	if (next->until_ns <= sim->now_ns) {
		sim_fail(sim, "pick of slot %u: until is %lu, which is not later than now", slot,
			 next->until_ns);
	}
	if (e == NULL) {
		return;
	}
	if (!known(p, e)) {
		sim_fail(sim, "pick of slot %u: an entity that is not in the pool", slot);
	} else if (!e->runnable) {
		sim_fail(sim, "pick of slot %u: %s.%u is blocked", slot, e->group->name, e->number);
	} else if (e->parked != SCHED_NOT_PARKED) {
		sim_fail(sim, "pick of slot %u: %s.%u is parked", slot, e->group->name, e->number);
	} else if (e->on_slot && (sl->current == NULL || &sl->current->e != e)) {
		sim_fail(sim, "pick of slot %u: %s.%u is still on slot %u", slot, e->group->name,
			 e->number, e->slot);
	} else if (!cpuset_has(&e->hard, slot)) {
		sim_fail(sim, "pick of slot %u: %s.%u may not run there", slot, e->group->name,
			 e->number);
	} else if (!holds(p, domain_of(sim, e->slot))) {
		sim_fail(sim, "pick of slot %u: %s.%u is of a lock domain that is not held", slot,
			 e->group->name, e->number);
	}
}

/* Asks the policy; fetches from another domain what it would rather have first. */
static struct sched_pick ask(struct sim_pool *p, unsigned slot, struct sched_out *out)
{
	struct sim *sim = p->sim;
	struct sched_pick next;
	unsigned from;

	SIM_COUNTED(p, pick, next = p->sched.ops->pick(&p->sched, slot, sim->now_ns, out));
	if (next.entity != SCHED_PULL) {
		return next;
	}
	from = (unsigned)next.until_ns;
	next = (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
	if (p->sched.ops->pull == NULL || from == slot || !cpuset_has(&p->sched.slots, from)) {
		sim_fail(sim, "pick of slot %u: asks to pull from slot %u, which cannot be", slot,
			 from);
		return next;
	}
	if (sim->slot[from].domain != sim->slot[slot].domain) {
		sim_hold(p, sim->slot[from].domain);
		SIM_CALL(p, pull, &p->sched, from, slot, sim->now_ns, out);
		sim_let_go(p);
		sim_hold(p, sim->slot[slot].domain);
	}
	SIM_COUNTED(p, pick, next = p->sched.ops->pick(&p->sched, slot, sim->now_ns, out));
	return next.entity != SCHED_PULL ? next : (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
}

static void take_on(struct sim *sim, struct sim_slot *sl, unsigned slot, struct sim_entity *se)
{
	se->migrations += se->last_slot != SCHED_NO_SLOT && se->last_slot != slot;
	se->last_slot = slot;
	se->switches++;
	se->e.on_slot = true;
	se->e.slot = slot;
	se->e.wait_ns += sim->now_ns - se->e.runnable_since_ns;
	se->e.switches++;
	sl->work_from_ns = sim->now_ns + sim->options.switch_ns;
}

static void replace(struct sim *sim, unsigned slot, struct sim_entity *next)
{
	struct sim_slot *sl = &sim->slot[slot];
	struct sim_entity *last = sl->current;

	if (next != NULL) {
		take_on(sim, sl, slot, next);
	}
	sl->current = next;
	if (last != NULL) {
		if (last->e.runnable) {
			last->e.runnable_since_ns = sim->now_ns;
		}
		sl->leaving = last;
		sl->release_ns = sim->now_ns + sim->options.switch_ns;
		sim_observe(last);
	}
	if (next != NULL) {
		sim_observe(next);
	}
}

static bool too_many_rounds(struct sim *sim, struct sim_slot *sl, unsigned slot)
{
	if (sl->round_ns != sim->now_ns) {
		sl->round_ns = sim->now_ns;
		sl->rounds = 0;
	}
	if (++sl->rounds > ROUNDS_MAX) {
		sim_fail(sim, "slot %u: %u rounds at one instant", slot, ROUNDS_MAX);
	}
	return sl->rounds > ROUNDS_MAX;
}

static void round_of(struct sim *sim, unsigned slot, enum sim_turn turn)
{
	struct sim_slot *sl = &sim->slot[slot];
	struct sim_pool *p = sl->pool;
	struct sched_pick next;
	struct sim_entity *se;

	if (too_many_rounds(sim, sl, slot)) {
		return;
	}
	sl->poke_ns = NS_NEVER;
	sched_out_init(&sl->out);
	sim_hold(p, sl->domain);
	if (sl->current != NULL) {
		settle(sim, sl, turn, &sl->out);
	}
	next = ask(p, slot, &sl->out);
	check_pick(p, slot, &next);
	sim_let_go(p);
	if (sim->wrong[0] != '\0') {
		return;
	}
	se = next.entity == NULL ? NULL : CONTAINER_OF(next.entity, struct sim_entity, e);
	sl->until_ns = next.until_ns;
	sl->run_start_ns = sim->now_ns;
	set_idle(p, slot, se == NULL);
	if (se != sl->current) {
		replace(sim, slot, se);
	}
	if (sl->leaving == NULL) {
		sim_send_pokes(sim, &sl->out);
	} else if (sim->options.switch_ns == 0) {
		release(sim, slot);
	}
}

void sim_slot_event(struct sim *sim, unsigned slot)
{
	struct sim_slot *sl = &sim->slot[slot];
	enum sim_turn turn = SIM_RUN_ON;
	bool asked;

	if (sl->leaving != NULL) {
		release(sim, slot);
	}
	if (sl->act_ns <= sim->now_ns && sl->current != NULL) {
		sim_progress(sl->current);
		turn = sim_pattern_done(sl->current);
	}
	asked = sl->until_ns <= sim->now_ns || sl->poke_ns <= sim->now_ns;
	if (asked || turn != SIM_RUN_ON) {
		round_of(sim, slot, turn);
	}
	sim_arm(sim, slot);
}

void sim_drop(struct sim *sim, unsigned slot)
{
	struct sim_slot *sl = &sim->slot[slot];
	struct sim_entity *se;

	if (sl->leaving != NULL) {
		release(sim, slot);
	}
	se = sl->current;
	if (se != NULL) {
		sched_out_init(&sl->out);
		sim_hold(sl->pool, sl->domain);
		settle(sim, sl, SIM_RUN_ON, &sl->out);
		if (se->e.runnable) {
			sim_make_blocked(se, &sl->out);
		}
		sim_let_go(sl->pool);
		sl->current = NULL;
		sl->leaving = se;
		sim_observe(se);
		release(sim, slot);
	}
	sl->poke_ns = sim->now_ns;
	sl->until_ns = NS_NEVER;
	sim_arm(sim, slot);
}

/* --- Waking and holding. */

void sim_wake(struct sim_entity *se)
{
	struct sim_pool *p = se->group->pool;
	struct sched_out out;

	if (se->e.awake) {
		return;
	}
	se->e.awake = true;
	se->woke = true;
	if (se->e.pauses > 0) {
		return;
	}
	sched_out_init(&out);
	sim_hold(p, domain_of(p->sim, se->e.slot));
	sim_make_runnable(se, &out);
	sim_let_go(p);
	sim_send_pokes(p->sim, &out);
}

void sim_hold_entity(struct sim_entity *se)
{
	struct sim_pool *p = se->group->pool;
	struct sim *sim = p->sim;
	struct sched_out out;

	se->e.pauses++;
	if (se->e.on_slot && sim->slot[se->e.slot].current == se) {
		sim_drop(sim, se->e.slot);
	} else if (se->e.on_slot) {
		release(sim, se->e.slot);
		sim_arm(sim, se->e.slot);
	} else if (se->e.runnable) {
		sched_out_init(&out);
		sim_hold(p, domain_of(sim, se->e.slot));
		sim_make_blocked(se, &out);
		sim_let_go(p);
		sim_send_pokes(sim, &out);
	}
}

void sim_resume_entity(struct sim_entity *se)
{
	struct sim_pool *p = se->group->pool;
	struct sched_out out;

	if (--se->e.pauses > 0) {
		return;
	}
	se->e.blocked_since_ns = p->sim->now_ns;
	if (se->e.awake) {
		sched_out_init(&out);
		sim_hold(p, domain_of(p->sim, se->e.slot));
		sim_make_runnable(se, &out);
		sim_let_go(p);
		sim_send_pokes(p->sim, &out);
	}
}

/* --- Time. */

static void check(struct sim *sim)
{
	struct sched_reason why = { "" };
	bool right;

	for (unsigned i = 0; i < sim->pools; i++) {
		struct sim_pool *p = sim->pool[i];

		sim_hold_all(p);
		SIM_COUNTED(p, check, right = p->sched.ops->check(&p->sched, &why));
		if (!right) {
			sim_fail(sim, "check() of pool %s: %s", p->name, why.words);
		}
		sim_let_go(p);
	}
}

static void handle(struct sim *sim, struct heap_node *n)
{
	struct sim_event *event;

	switch (SIM_RANK_KIND(n->rank)) {
	case SIM_RANK_EVENT:
		event = CONTAINER_OF(n, struct sim_event, node);
		heap_set(&sim->heap, n, NS_NEVER);
		event->fn(sim, event->arg);
		sim_give_up(sim, event);
		break;
	case SIM_RANK_ARRIVAL:
		heap_set(&sim->heap, n, NS_NEVER);
		sim_pattern_arrival(CONTAINER_OF(n, struct sim_entity, arrival));
		break;
	case SIM_RANK_SLOT:
		sim_slot_event(sim, (unsigned)(CONTAINER_OF(n, struct sim_slot, next) - sim->slot));
		break;
	}
}

bool sim_run(struct sim *sim, uint64_t until_ns)
{
	struct heap_node *n;

	for (unsigned i = 0; i < sim->groups; i++) {
		struct sim_group *g = sim->group[i];

		if (!g->started && !g->refused && sim_start(g) != ERR_OK) {
			sim_note(sim, "%s does not start: %s", g->g.name, sim->why.words);
		}
	}
	while (sim->wrong[0] == '\0' && (n = heap_first(&sim->heap)) != NULL &&
	       n->when_ns <= until_ns) {
		if (n->when_ns > sim->now_ns) {
			sim_conserve(sim, n->when_ns);
			sim->now_ns = n->when_ns;
		}
		handle(sim, n);
		if (sim->options.check_every != SIM_NEVER &&
		    ++sim->events % sim->options.check_every == 0) {
			check(sim);
		}
	}
	if (sim->wrong[0] == '\0') {
		sim_conserve(sim, until_ns);
		sim->now_ns = until_ns;
	}
	sim_tell_all(sim);
	return sim->wrong[0] == '\0';
}

void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *arg), void *arg)
{
	struct sim_event *event = sim_alloc(sizeof(*event));

	event->fn = fn;
	event->arg = arg;
	event->node.rank = SIM_RANK(SIM_RANK_EVENT, sim->event_count++);
	heap_set(&sim->heap, &event->node, at_ns);
}
