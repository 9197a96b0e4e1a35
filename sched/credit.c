/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * credit: what Xen's first credit scheduler promises: shares by weight, caps, long slices, and a boost for who wakes.
 *
 * Credit is time that an entity is still owed. In place of an accounting that visits everybody each period, it is read
 * off the account of sched/fair.h when an entity is looked at. A pay covers one request of virtual time, which is a
 * timeslice for an entity of average weight, and never more than a timeslice; the next one comes when the pool's clock has
 * reached the end of the last.
 *
 *      BOOST   woke while UNDER: runs first, and may preempt; for no longer than the ratelimit
 *      UNDER   has credit: the clock has reached `start`, where its pay begins, and it has not used all of that
 *      OVER    has used it: its next pay begins where the last one ended, and the clock is not there yet
 *
 * In a class it is first come, first served. Who comes to UNDER at some time comes at some reading of the clock; so one
 * queue, by the clock's reading at which each came, or will come, to UNDER, holds both classes: the first is UNDER if the
 * clock has got there. No step moves anybody from one class to the other, and time is charged by the clock, not by who
 * runs when a tick comes: it cannot be stolen.
 *
 * A slice is a timeslice, if the credit lasts that long, and no less than the ratelimit: until then nobody is preempted.
 * Who is preempted goes back to where it was in the queue.
 *
 * Decided here: the weight is each vCPU's, as in Xen, where it is shared by active vCPUs alike. One queue for the pool, so
 * nothing is stolen between cpus. A boost lasts for the ratelimit, not until a tick finds it. An OVER pool goes in the
 * order of pay. Who yields goes to the end of its class. Sleep saves half a pay, at most; there is no inactive state. A cap
 * holds per `cap-period`, but a VM that waited with budget in hand keeps up to a timeslice of it.
 */
#include "sched/fair.h"

#define SLICE_MIN_NS	(50 * NS_PER_US)
#define TRIES		8u		/* slots that a waker looks at */

enum class { BOOST, UNDER, OVER, CLASSES };

struct credit_sched {
	struct fair f;
	struct fair_queue boosted;	/* in order of waking */
	struct fair_queue queue;	/* by the clock when each came, or will come, to UNDER */
	struct list slots[CLASSES];	/* of credit_slot.link: slots by the class they run */
	uint64_t wakes;
};

struct credit_slot {
	struct credit_entity *on;
	struct list link;
	unsigned slot;
	enum class class;		/* of on when it was listed; CLASSES: not listed, idle or called */
	uint64_t since_ns;		/* on came */
	uint64_t end_ns;		/* of its timeslice */
	bool yielded, called;		/* called: to preempt on, and has not done it yet */
};

struct credit_entity {
	struct fair_entity f;
	uint64_t came;			/* to UNDER, by the clock: its place in the queue */
	uint64_t boost_ns;		/* how long it is BOOST yet */
};

enum { CREDIT_TIMESLICE = FAIR_OWN, CREDIT_RATELIMIT };

static const struct sched_tunable credit_tunables[] = {
	FAIR_TUNABLES,
	[CREDIT_TIMESLICE] = {
		.name = "timeslice", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = NS_PER_MS, .max = NS_PER_S, .def = 30 * NS_PER_MS, .help = "longest run while others wait",
	},
	[CREDIT_RATELIMIT] = {
		.name = "ratelimit", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 0, .max = 500 * NS_PER_MS, .def = NS_PER_MS, .help = "how long a vCPU runs before another may preempt it",
	},
};

static struct credit_slot *slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

static struct credit_entity *entity_of(struct fair_entity *fe)
{
	return CONTAINER_OF(fe, struct credit_entity, f);
}

static uint64_t ratelimit_ns(const struct sched *s)
{
	return (uint64_t)s->values.v[CREDIT_RATELIMIT];
}

/* Where its pay ends: a request, but no more than a timeslice of its own. */
static uint64_t paid_until(const struct fair *f, const struct credit_entity *ce)
{
	return ce->f.start + MIN(f->request, f->slice_ns * FAIR_ONE / ce->f.weight);
}

static enum class class_of(const struct fair *f, const struct credit_entity *ce)
{
	return ce->boost_ns > 0 ? BOOST : ce->f.start <= f->clock ? UNDER : OVER;
}

/* Its credit is used up: the next pay begins here, and comes, or came, when the clock gets here. */
static void settle(const struct fair *f, struct credit_entity *ce)
{
	if (ce->f.v >= paid_until(f, ce)) {
		ce->f.start = ce->came = ce->f.v;
	}
}

/* --- Waiting. */

static void enqueue(struct credit_sched *cs, struct credit_entity *ce)
{
	if (ce->boost_ns > 0) {
		fair_enqueue(&cs->f, &cs->boosted, &ce->f, cs->wakes++);
	} else {
		fair_enqueue(&cs->f, &cs->queue, &ce->f, ce->came);
	}
}

static void call(struct credit_slot *cl, struct sched_out *out)
{
	list_remove(&cl->link);
	cl->class = CLASSES;
	cl->called = true;
	sched_poke(out, cl->slot);
}

/* A slot that runs OVER, or else UNDER. */
static void preempt(struct credit_sched *cs, const struct credit_entity *ce, struct sched_out *out)
{
	enum class class = class_of(&cs->f, ce);
	unsigned tries = 0;

	for (unsigned k = OVER; k > class; k--) {
		LIST_FOREACH(node, &cs->slots[k]) {
			struct credit_slot *cl = LIST_ENTRY(node, struct credit_slot, link);

			if (fair_may_run(&ce->f, cl->slot)) {
				call(cl, out);
				return;
			}
			if (++tries == TRIES) {
				return;
			}
		}
	}
}

/* ce waits from now on. */
static void queue_up(struct credit_sched *cs, struct credit_entity *ce, struct sched_out *out)
{
	enqueue(cs, ce);
	if (!fair_poke_idle(&cs->f, &ce->f, out)) {
		preempt(cs, ce, out);
	}
}

static void hook_enqueue(struct fair *f, struct fair_entity *fe)
{
	struct credit_entity *ce = entity_of(fe);

	ce->came = MIN(ce->came, MAX(fe->start, f->clock));
	enqueue(CONTAINER_OF(f, struct credit_sched, f), ce);
}

/* It is where it was in the queue. */
static void hook_unparked(struct fair *f, struct fair_entity *fe, struct sched_out *out)
{
	settle(f, entity_of(fe));
	if (!fe->entity->on_slot) {
		queue_up(CONTAINER_OF(f, struct credit_sched, f), entity_of(fe), out);
	}
}

static const struct fair_hooks hooks = { fair_dequeue, hook_enqueue, hook_unparked };

/* A slot took one that another was poked for, or goes. */
static void poke_for_waiters(struct credit_sched *cs, struct sched_out *out)
{
	fair_poke_for(&cs->f, &cs->boosted, out);
	fair_poke_for(&cs->f, &cs->queue, out);
}

/* --- Coming and going. */

static enum err credit_init(struct sched *s)
{
	struct credit_sched *cs = s->priv;

	fair_init(&cs->f, (uint64_t)s->values.v[CREDIT_TIMESLICE]);
	fair_queue_init(&cs->boosted);
	fair_queue_init(&cs->queue);
	for (unsigned i = 0; i < CLASSES; i++) {
		list_init(&cs->slots[i]);
	}
	return ERR_OK;
}

static unsigned credit_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			    struct sched_out *out)
{
	struct credit_sched *cs = s->priv;
	struct credit_slot *cl = slot_of(s, slot);

	(void)place, (void)now_ns;
	cl->slot = slot;
	cl->class = CLASSES;
	list_init(&cl->link);
	fair_join(&cs->f, slot);
	sched_poke(out, slot);
	return 0;
}

static void credit_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct credit_sched *cs = s->priv;

	(void)now_ns;
	fair_leave(s, &cs->f, slot, out);
	poke_for_waiters(cs, out);
}

static void credit_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct credit_sched *cs = s->priv;

	(void)out;
	fair_add(&cs->f, e->priv, e, now_ns);
}

static void credit_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct credit_sched *cs = s->priv;
	struct credit_entity *ce = e->priv;

	(void)now_ns;
	if (ce->f.queue != NULL) {
		fair_dequeue(&cs->f, &ce->f);
		fair_set_affinity(&ce->f);
		queue_up(cs, ce, out);
		return;
	}
	fair_set_affinity(&ce->f);
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
}

static void credit_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
			struct sched_out *out)
{
	struct credit_sched *cs = s->priv;

	(void)e, (void)now_ns;
	if (g != NULL) {
		fair_tune_group(&cs->f, &hooks, g, out);
		return;
	}
	fair_set_slice(&cs->f, (uint64_t)s->values.v[CREDIT_TIMESLICE]);
	CPUSET_FOREACH(slot, &s->slots) {
		slot_of(s, slot)->end_ns = 0;
		sched_poke(out, slot);
	}
}

/* --- What entities do. */

/* It has slept: UNDER comes to BOOST. */
static void credit_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct credit_sched *cs = s->priv;
	struct credit_entity *ce = e->priv;

	(void)now_ns;
	fair_start(&cs->f, &ce->f);
	settle(&cs->f, ce);
	ce->came = MAX(ce->f.start, cs->f.clock);
	ce->boost_ns = ce->f.start <= cs->f.clock ? MAX(ratelimit_ns(s), SLICE_MIN_NS) : 0;
	if (!e->on_slot) {
		queue_up(cs, ce, out);		/* else released() will */
	}
}

static void take_off(struct credit_slot *cl)
{
	if (cl->on != NULL) {
		cl->on->f.group->running--;
		cl->on = NULL;
		list_remove(&cl->link);
		cl->class = CLASSES;
	}
}

static void credit_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct credit_sched *cs = s->priv;
	struct credit_entity *ce = e->priv;

	(void)now_ns, (void)out;
	if (ce->f.queue != NULL) {
		fair_dequeue(&cs->f, &ce->f);
	} else if (e->on_slot && slot_of(s, e->slot)->on == ce) {
		take_off(slot_of(s, e->slot));
	}
	ce->boost_ns = 0;
	if (e->parked != SCHED_NOT_PARKED) {
		fair_unpark(&cs->f, &ce->f);
	} else {
		fair_stop(&cs->f, &ce->f);
	}
}

static void credit_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	slot_of(s, e->slot)->yielded = true;
}

static void credit_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns,
			  struct sched_out *out)
{
	struct credit_entity *ce = e->priv;

	(void)now_ns, (void)out;
	fair_charge(s->priv, &ce->f, ran_ns);
	ce->boost_ns -= MIN(ce->boost_ns, ran_ns);
}

static void credit_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct credit_sched *cs = s->priv;
	struct credit_entity *ce = e->priv;

	(void)now_ns;
	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	if (fair_may_run(&ce->f, e->slot)) {
		enqueue(cs, ce);		/* its slot has just preferred another */
		(void)fair_poke_idle(&cs->f, &ce->f, out);
	} else {
		queue_up(cs, ce, out);
	}
}

/* --- Picking. */

/* Who runs on cl, if it may go on there. Its next pay begins if this one is used up; who yields goes to its class's end. */
static struct credit_entity *candidate(struct credit_sched *cs, struct credit_slot *cl, uint64_t now_ns)
{
	struct credit_entity *on = cl->on;

	if (on == NULL) {
		return NULL;
	}
	if (now_ns >= cl->end_ns) {
		on->f.start = on->came = on->f.v;
	}
	settle(&cs->f, on);
	if (cl->yielded) {
		on->boost_ns = 0;
		on->came = MAX(on->f.start, cs->f.clock);
	}
	return fair_may_run(&on->f, cl->slot) ? on : NULL;
}

/* The best for slot, on among them, who goes on unless another's class is better or its turn has come. */
static struct credit_entity *choose(const struct sched *s, const struct credit_slot *cl, struct credit_entity *on,
				    uint64_t now_ns)
{
	const struct credit_sched *cs = s->priv;
	bool keep = on != NULL && !cl->yielded && now_ns < cl->since_ns + ratelimit_ns(s);
	struct fair_entity *first;

	if (keep || (on != NULL && on->boost_ns > 0)) {
		return on;
	}
	first = fair_first(&cs->boosted, cl->slot);
	if (first == NULL) {
		first = fair_first(&cs->queue, cl->slot);
		if (first != NULL && on != NULL && !cl->yielded && first->node.key > on->came) {
			first = NULL;
		}
	}
	return first != NULL ? entity_of(first) : on;
}

/* Whom cl runs next, and when its budget ends. Parks those without budget. */
static struct credit_entity *decide(struct sched *s, const struct credit_slot *cl, struct credit_entity *on,
				    uint64_t now_ns, uint64_t *end_ns, struct sched_out *out)
{
	for (unsigned n = 0; n < FAIR_BATCH; n++) {
		struct credit_entity *best = choose(s, cl, on, now_ns);

		if (best == NULL || fair_may_go(s, &best->f, s->values.v[CREDIT_TIMESLICE], now_ns, end_ns)) {
			return best;
		}
		on = best == on ? NULL : on;
	}
	sched_poke(out, cl->slot);
	return NULL;
}

/* next goes onto cl. */
static void put_on(struct credit_sched *cs, struct credit_slot *cl, struct credit_entity *next, uint64_t now_ns,
		   struct sched_out *out)
{
	if (cl->on != NULL) {
		cl->on->f.group->running--;
	} else {
		fair_set_idle(&cs->f, cl->slot, false);
	}
	fair_dequeue(&cs->f, &next->f);
	next->f.group->running++;
	cl->on = next;
	cl->since_ns = now_ns;
	cl->end_ns = 0;
	cl->called = false;
	if (cs->f.idle_count > 0 && cs->f.waiting > 0) {
		poke_for_waiters(cs, out);
	}
}

/* To the end of the pay or the boost, but as long as the ratelimit protects it. */
static uint64_t run_end(struct sched *s, struct credit_slot *cl, uint64_t now_ns)
{
	const struct credit_sched *cs = s->priv;
	const struct credit_entity *on = cl->on;
	uint64_t end_ns;

	if (now_ns >= cl->end_ns) {
		cl->end_ns = now_ns + cs->f.slice_ns;
	}
	end_ns = MIN(cl->end_ns, now_ns + fair_ns_to(&on->f, paid_until(&cs->f, on)));
	if (on->boost_ns > 0) {
		end_ns = MIN(end_ns, now_ns + on->boost_ns);
	} else if (cl->called) {
		end_ns = MIN(end_ns, cl->since_ns + ratelimit_ns(s));
	}
	return MAX(MAX(end_ns, now_ns + SLICE_MIN_NS), MIN(cl->since_ns + ratelimit_ns(s), cl->end_ns));
}

static struct sched_pick credit_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct credit_sched *cs = s->priv;
	struct credit_slot *cl = slot_of(s, slot);
	struct credit_entity *on, *next;
	uint64_t end_ns;

	if (cs->f.parked_count > 0) {
		fair_unpark_due(&cs->f, &hooks, slot, now_ns, out);
	}
	on = candidate(cs, cl, now_ns);
	next = decide(s, cl, on, now_ns, &end_ns, out);
	if (next == NULL) {
		take_off(cl);
		cl->called = false;
		fair_set_idle(&cs->f, slot, true);
		return (struct sched_pick){ .until_ns = fair_carry(&cs->f, slot, NS_NEVER, now_ns) };
	}
	if (next != cl->on) {
		put_on(cs, cl, next, now_ns, out);
	} else if (now_ns >= cl->since_ns + ratelimit_ns(s)) {
		cl->called = false;		/* another slot has taken who it was for */
	}
	if (!cl->called && cl->class != class_of(&cs->f, next)) {
		cl->class = class_of(&cs->f, next);
		list_remove(&cl->link);
		list_push_back(&cs->slots[cl->class], &cl->link);
	}
	cl->yielded = false;
	end_ns = MIN(end_ns, run_end(s, cl, now_ns));
	return (struct sched_pick){ .entity = next->f.entity, .until_ns = fair_carry(&cs->f, slot, end_ns, now_ns) };
}

/* --- Looking inside. */

static uint64_t credit_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct fair *f = s->priv;

	return fair_bound_ns(f, e->priv) + (f->slice_ns + ratelimit_ns(s)) * f->entities;
}

static void credit_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	struct credit_sched *cs = s->priv;

	(void)now_ns;
	CPUSET_FOREACH(slot, &s->slots) {
		const struct credit_entity *on = slot_of(s, slot)->on;

		text_printf(to, "slot %u: ", slot);
		fair_describe(&cs->f, on == NULL ? NULL : &on->f, to);
	}
	text_puts(to, "BOOST:\n");
	fair_queue_describe(&cs->f, &cs->boosted, to);
	text_puts(to, "others, who has come to UNDER or will:\n");
	fair_queue_describe(&cs->f, &cs->queue, to);
}

static bool credit_check(struct sched *s, struct sched_reason *why)
{
	const struct credit_sched *cs = s->priv;
	unsigned waiting = 0;

	if (!fair_queue_check(&cs->boosted, &waiting, why) || !fair_queue_check(&cs->queue, &waiting, why)) {
		return false;
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct credit_entity *on = slot_of(s, slot)->on;

		if (!fair_slot_check(&cs->f, on == NULL ? NULL : &on->f, slot, why)) {
			return false;
		}
	}
	if (waiting != cs->f.waiting) {
		return sched_refuse(ERR_STATE, why, "%u wait, not %u", waiting, cs->f.waiting) == ERR_OK;
	}
	return fair_check(&cs->f, why);
}

SCHED_POLICY(sched_credit,
	.name = "credit",
	.summary = "shares by weight in long slices, caps; who wakes is boosted",
	.honours = SCHED_HONOURS_WEIGHT | SCHED_HONOURS_CAP | SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_SOFT_AFFINITY |
		   SCHED_HONOURS_YIELD | SCHED_WORK_CONSERVING,
	.tunables = credit_tunables, .tunable_count = ARRAY_SIZE(credit_tunables),
	.object_size = sizeof(struct credit_sched), .slot_size = sizeof(struct credit_slot),
	.group_size = sizeof(struct fair_group), .entity_size = sizeof(struct credit_entity),
	.init = credit_init, .join = credit_join, .leave = credit_leave, .add = credit_add, .remove = fair_remove,
	.set_affinity = credit_set_affinity, .wake = credit_wake, .block = credit_block, .yield = credit_yield,
	.charge = credit_charge, .pick = credit_pick, .released = credit_released, .tune = credit_tune,
	.export = fair_export, .import = fair_import, .wait_bound_ns = credit_wait_bound_ns,
	.describe = credit_describe, .check = credit_check,
);
