/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * eevdf: earliest eligible virtual deadline first (Stoica and Abdel-Wahab 1995), with a latency class per VM.
 *
 * An entity asks for its share in requests: slices of virtual time (sched/fair.h). A request is eligible when the clock
 * has reached its start, that is when its entity has had no more than its share; its deadline is its start plus its
 * length. A slot runs the eligible request with the earliest deadline, and while none is eligible the one that will be
 * first. `latency-nice` changes the length of a VM's requests, and so how soon each is due and how long it takes, but
 * not the VM's share: -20 is 1/16 of the length, 0 the timeslice of an entity of average weight, 19 14 times that.
 *
 * Within a class all requests are equally long. So in order of start they are in order of deadline, and the first of
 * each class's queue is all that pick looks at: as many comparisons as there are classes in use, no search. The length is
 * looked up at the comparison, since it changes with the number and the weight of those that are runnable.
 *
 * Who wakes asks for a request of half the length, or a quarter, and so on, while that is twice what it ran for last time:
 * who always needs little gets it soon. It goes to an idle slot, or takes the place of one whose deadline is later than its
 * own: of those that run the longest requests the last of the first few. A preempted request goes on with its old deadline.
 *
 * Who runs a short class and is not eligible yet may become so within a longer one's slice: then the slice ends there.
 *
 * Decided here: the weight is each vCPU's, as with Xen's credit schedulers. Soft affinity is asked when an idle slot is
 * chosen. A cap holds per `cap-period`; what was overrun is taken from the next period. The timeslice keeps its mean: a
 * pool of 9 busy vCPUs runs each of them once in about 9 timeslices of one cpu, whatever the weights.
 */
#include "sched/fair.h"

#define CLASSES		40u		/* latency-nice -20 to 19 */
#define CLASS_0		20		/* latency-nice 0 */
#define HALF		5u		/* classes from one length to half of it */
#define SLICE_MIN_NS	(50 * NS_PER_US)
#define SLICES_MAX	4u		/* timeslices that a heavy one may run at a stretch */
#define TRIES		8u		/* slots that a waker looks at */

struct eevdf_sched {
	struct fair f;
	uint64_t waiting, running;	/* classes that have any */
	struct fair_queue queue[CLASSES];	/* by start */
	struct list slots[CLASSES];	/* of eevdf_slot.link: slots that run one of the class */
};

struct eevdf_slot {
	struct eevdf_entity *on;
	struct list link;
	bool listed;			/* false: idle, or poked to be preempted */
	unsigned slot;
	unsigned class;			/* on's, when it was listed */
	uint64_t end_ns;		/* of on's slice */
	bool yielded;
};

struct eevdf_entity {
	struct fair_entity f;
	uint64_t woken;			/* its virtual time when it woke last */
	uint64_t burst;			/* what it had between its last two sleeps */
	unsigned class;			/* of its request */
};

enum { EEVDF_LATENCY_NICE = FAIR_OWN, EEVDF_TIMESLICE };

static const struct sched_tunable eevdf_tunables[] = {
	FAIR_TUNABLES,
	[EEVDF_LATENCY_NICE] = {
		.name = "latency-nice", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true,
		.min = -CLASS_0, .max = CLASSES - 1 - CLASS_0, .def = 0, .help = "below 0: sooner and shorter; the share stays",
	},
	[EEVDF_TIMESLICE] = {
		.name = "timeslice", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 100 * NS_PER_US, .max = 100 * NS_PER_MS, .def = 2500 * NS_PER_US,
		.help = "how long a vCPU of average weight runs while others wait",
	},
};

static struct eevdf_slot *slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

static struct eevdf_entity *entity_of(struct fair_entity *fe)
{
	return CONTAINER_OF(fe, struct eevdf_entity, f);
}

static unsigned class_of(const struct sched_entity *e)
{
	return (unsigned)(e->group->values.v[EEVDF_LATENCY_NICE] + CLASS_0);
}

/* 2 to the (class - 20) / 5 requests. */
static uint64_t length(const struct fair *f, unsigned class)
{
	/* In 64ths. */
	static const uint16_t lengths[CLASSES] = {
		4, 5, 5, 6, 7, 8, 9, 11, 12, 14, 16, 18, 21, 24, 28, 32, 37, 42, 49, 56,
		64, 74, 84, 97, 111, 128, 147, 169, 194, 223, 256, 294, 338, 388, 446, 512, 588, 676, 776, 891,
	};

	return f->request * lengths[class] >> 6;
}

static uint64_t deadline(const struct fair *f, const struct eevdf_entity *ee)
{
	return ee->f.start + length(f, ee->class);
}

static void renew(struct eevdf_entity *ee)
{
	ee->f.start = ee->f.v;
	ee->class = class_of(ee->f.entity);
}

/* The request of one that woke: of half the length, or a quarter and so on, if that is twice what it ran for last time. */
static void renew_woken(const struct fair *f, struct eevdf_entity *ee)
{
	renew(ee);
	ee->woken = ee->f.v;
	while (ee->class >= HALF && length(f, ee->class - HALF) / 2 >= ee->burst) {
		ee->class -= HALF;
	}
}

/* --- Waiting. */

static void enqueue(struct eevdf_sched *ev, struct eevdf_entity *ee)
{
	fair_enqueue(&ev->f, &ev->queue[ee->class], &ee->f, ee->f.start);
	ev->waiting |= 1ul << ee->class;
}

static void left_queue(struct eevdf_sched *ev, const struct eevdf_entity *ee)
{
	if (fair_queue_empty(&ev->queue[ee->class])) {
		ev->waiting &= ~(1ul << ee->class);
	}
}

static void dequeue(struct eevdf_sched *ev, struct eevdf_entity *ee)
{
	fair_dequeue(&ev->f, &ee->f);
	left_queue(ev, ee);
}

static void unlist(struct eevdf_sched *ev, struct eevdf_slot *es)
{
	list_remove(&es->link);
	es->listed = false;
	if (list_empty(&ev->slots[es->class])) {
		ev->running &= ~(1ul << es->class);
	}
}

static void list_as(struct eevdf_sched *ev, struct eevdf_slot *es, unsigned class)
{
	if (es->listed) {
		unlist(ev, es);
	}
	es->class = class;
	es->listed = true;
	list_push_back(&ev->slots[class], &es->link);
	ev->running |= 1ul << class;
}

/* Of the first few that run the longest class and whose place ee may take, the slot whose deadline is last. */
static void preempt(struct eevdf_sched *ev, const struct eevdf_entity *ee, struct sched_out *out)
{
	uint64_t due = deadline(&ev->f, ee);
	struct eevdf_slot *last = NULL;
	unsigned tries = 0;

	if (ee->f.start > ev->f.clock) {
		return;				/* not eligible: a later pick finds it */
	}
	for (uint64_t classes = ev->running; classes != 0 && last == NULL && tries < TRIES;) {
		unsigned class = 63 - (unsigned)__builtin_clzl(classes);

		for (struct list *n = ev->slots[class].next; n != &ev->slots[class] && tries < TRIES; n = n->next, tries++) {
			struct eevdf_slot *es = LIST_ENTRY(n, struct eevdf_slot, link);
			uint64_t d = deadline(&ev->f, es->on);

			if (d > due && fair_may_run(&ee->f, es->slot)) {
				last = es;
				due = d;
			}
		}
		classes &= ~(1ul << class);
	}
	if (last != NULL) {
		unlist(ev, last);		/* so that the next waker takes another */
		sched_poke(out, last->slot);
	}
}

/* ee waits from now on. */
static void queue_up(struct eevdf_sched *ev, struct eevdf_entity *ee, struct sched_out *out)
{
	enqueue(ev, ee);
	if (!fair_poke_idle(&ev->f, &ee->f, out)) {
		preempt(ev, ee, out);
	}
}

static void hook_dequeue(struct fair *f, struct fair_entity *fe)
{
	dequeue(CONTAINER_OF(f, struct eevdf_sched, f), entity_of(fe));
}

static void hook_enqueue(struct fair *f, struct fair_entity *fe)
{
	enqueue(CONTAINER_OF(f, struct eevdf_sched, f), entity_of(fe));
}

static void hook_unparked(struct fair *f, struct fair_entity *fe, struct sched_out *out)
{
	renew(entity_of(fe));
	if (!fe->entity->on_slot) {
		queue_up(CONTAINER_OF(f, struct eevdf_sched, f), entity_of(fe), out);
	}
}

static const struct fair_hooks hooks = { hook_dequeue, hook_enqueue, hook_unparked };

/* A slot took one that another was poked for, or goes. */
static void poke_for_waiters(struct eevdf_sched *ev, struct sched_out *out)
{
	for (uint64_t classes = ev->waiting; classes != 0 && ev->f.idle_count > 0; classes &= classes - 1) {
		fair_poke_for(&ev->f, &ev->queue[__builtin_ctzl(classes)], out);
	}
}

/* --- Coming and going. */

static enum err eevdf_init(struct sched *s)
{
	struct eevdf_sched *ev = s->priv;

	fair_init(&ev->f, (uint64_t)s->values.v[EEVDF_TIMESLICE]);
	for (unsigned i = 0; i < CLASSES; i++) {
		fair_queue_init(&ev->queue[i]);
		list_init(&ev->slots[i]);
	}
	return ERR_OK;
}

static unsigned eevdf_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			   struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;
	struct eevdf_slot *es = slot_of(s, slot);

	(void)place, (void)now_ns;
	es->slot = slot;
	list_init(&es->link);
	fair_join(&ev->f, slot);
	sched_poke(out, slot);
	return 0;
}

static void eevdf_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;

	(void)now_ns;
	fair_leave(s, &ev->f, slot, out);
	poke_for_waiters(ev, out);
}

static void eevdf_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;

	(void)out;
	fair_add(&ev->f, e->priv, e, now_ns);
	((struct eevdf_entity *)e->priv)->burst = UINT64_MAX;	/* not known yet */
}

static void eevdf_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;
	struct eevdf_entity *ee = e->priv;

	(void)now_ns;
	if (ee->f.queue != NULL) {
		dequeue(ev, ee);
		fair_set_affinity(&ee->f);
		queue_up(ev, ee, out);
		return;
	}
	fair_set_affinity(&ee->f);
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
}

static void eevdf_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		       struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;

	(void)e, (void)now_ns;
	if (g != NULL) {
		fair_tune_group(&ev->f, &hooks, g, out);
		return;
	}
	fair_set_slice(&ev->f, (uint64_t)s->values.v[EEVDF_TIMESLICE]);
	CPUSET_FOREACH(slot, &s->slots) {
		slot_of(s, slot)->end_ns = 0;
		sched_poke(out, slot);
	}
}

static void eevdf_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to)
{
	fair_export(s, e, to);
	to->latency = e->group->values.v[EEVDF_LATENCY_NICE];
}

static void eevdf_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns)
{
	fair_import(s, e, from, now_ns);
	if (from->latency != 0) {
		e->group->values.v[EEVDF_LATENCY_NICE] =
			MAX(-CLASS_0, MIN(from->latency, (int64_t)CLASSES - 1 - CLASS_0));
	}
}

/* --- What entities do. */

static void eevdf_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;
	struct eevdf_entity *ee = e->priv;

	(void)now_ns;
	fair_start(&ev->f, &ee->f);
	renew_woken(&ev->f, ee);
	if (!e->on_slot) {
		queue_up(ev, ee, out);	/* else released() will */
	}
}

static void take_off(struct eevdf_sched *ev, struct eevdf_slot *es)
{
	if (es->on != NULL) {
		es->on->f.group->running--;
		es->on = NULL;
	}
	if (es->listed) {
		unlist(ev, es);
	}
}

static void eevdf_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;
	struct eevdf_entity *ee = e->priv;

	(void)now_ns, (void)out;
	if (ee->f.queue != NULL) {
		dequeue(ev, ee);
	} else if (e->on_slot && slot_of(s, e->slot)->on == ee) {
		take_off(ev, slot_of(s, e->slot));
	}
	ee->burst = ee->f.v - ee->woken;
	if (e->parked != SCHED_NOT_PARKED) {
		fair_unpark(&ev->f, &ee->f);
	} else {
		fair_stop(&ev->f, &ee->f);
	}
}

static void eevdf_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	slot_of(s, e->slot)->yielded = true;
}

static void eevdf_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns,
			 struct sched_out *out)
{
	(void)now_ns, (void)out;
	fair_charge(s->priv, e->priv, ran_ns);
}

static void eevdf_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;
	struct eevdf_entity *ee = e->priv;

	(void)now_ns;
	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	if (fair_may_run(&ee->f, e->slot)) {
		enqueue(ev, ee);		/* its slot has just preferred another */
		(void)fair_poke_idle(&ev->f, &ee->f, out);
	} else {
		queue_up(ev, ee, out);
	}
}

/* --- Picking. */

/* The first eligible deadline, else the first start. Between equals `on` goes on if its request is begun. */
static inline struct eevdf_entity *choose(const struct eevdf_sched *ev, unsigned slot, struct eevdf_entity *on)
{
	const uint64_t clock = ev->f.clock;
	struct eevdf_entity *best = on;

	for (uint64_t classes = ev->waiting; classes != 0; classes &= classes - 1) {
		struct fair_entity *fe = fair_first(&ev->queue[__builtin_ctzl(classes)], slot);
		struct eevdf_entity *ee = entity_of(fe);

		if (fe == NULL) {
			continue;
		}
		if (best == NULL || best->f.start > clock || best->class == ee->class) {
			if (best == NULL || fe->start < best->f.start + (best->f.v == best->f.start)) {
				best = ee;
			}
		} else if (fe->start <= clock && deadline(&ev->f, ee) < deadline(&ev->f, best)) {
			best = ee;
		}
	}
	return best;
}

/* When, at the earliest, a waiter of one of those classes becomes eligible that is not. */
static __attribute__((noinline)) uint64_t eligible_in_ns(const struct eevdf_sched *ev, unsigned slot, uint64_t classes)
{
	uint64_t ns = UINT64_MAX;

	for (; classes != 0; classes &= classes - 1) {
		const struct fair_entity *fe = fair_first(&ev->queue[__builtin_ctzl(classes)], slot);

		if (fe != NULL && fe->start > ev->f.clock) {
			ns = MIN(ns, (fe->start - ev->f.clock) * ev->f.weight / FAIR_ONE);
		}
	}
	return ns;
}

/* How long ee runs on slot: to the end of its request, or until one of a shorter class becomes eligible. */
static inline uint64_t slice_ns(const struct eevdf_sched *ev, const struct eevdf_entity *ee, unsigned slot)
{
	uint64_t shorter = ev->waiting & ((1ul << ee->class) - 1);
	uint64_t ns = fair_ns_to(&ee->f, deadline(&ev->f, ee));

	ns = MIN(ns, SLICES_MAX * ev->f.slice_ns);
	if (shorter != 0) {
		ns = MIN(ns, eligible_in_ns(ev, slot, shorter));
	}
	return MAX(ns, SLICE_MIN_NS);
}

/* Whom es runs next, and when its budget ends. on: who may go on there. Parks those without budget. */
static struct eevdf_entity *decide(struct sched *s, const struct eevdf_slot *es, struct eevdf_entity *on, uint64_t now_ns,
				   uint64_t *end_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;

	for (unsigned n = 0; n < FAIR_BATCH; n++) {
		struct eevdf_entity *best = choose(ev, es->slot, es->yielded ? NULL : on);

		if (best == NULL) {
			best = on;		/* nobody waits to whom it could give way */
		}
		if (best == NULL || fair_may_go(s, &best->f, 0, now_ns, end_ns)) {
			return best;
		}
		left_queue(ev, best);
		on = best == on ? NULL : on;
	}
	sched_poke(out, es->slot);
	return NULL;
}

/* next goes onto es, in place of who is there. */
static void put_on(struct eevdf_sched *ev, struct eevdf_slot *es, struct eevdf_entity *next, struct sched_out *out)
{
	if (es->on != NULL) {
		es->on->f.group->running--;
	} else {
		fair_set_idle(&ev->f, es->slot, false);
	}
	dequeue(ev, next);
	next->f.group->running++;
	es->on = next;
	if (ev->f.idle_count > 0 && ev->f.waiting > 0) {
		poke_for_waiters(ev, out);
	}
}

/* Who runs on es, if it may go on there; its request is renewed if it is over. */
static struct eevdf_entity *candidate(struct eevdf_sched *ev, struct eevdf_slot *es, uint64_t now_ns)
{
	struct eevdf_entity *on = es->on;

	if (on == NULL) {
		return NULL;
	}
	if (es->yielded || now_ns >= es->end_ns || on->f.v >= deadline(&ev->f, on)) {
		renew(on);
	}
	return fair_may_run(&on->f, es->slot) ? on : NULL;
}

static struct sched_pick eevdf_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct eevdf_sched *ev = s->priv;
	struct eevdf_slot *es = slot_of(s, slot);
	struct eevdf_entity *next;
	uint64_t end_ns;

	if (ev->f.parked_count > 0) {
		fair_unpark_due(&ev->f, &hooks, slot, now_ns, out);
	}
	next = decide(s, es, candidate(ev, es, now_ns), now_ns, &end_ns, out);
	if (next == NULL) {
		take_off(ev, es);
		fair_set_idle(&ev->f, slot, true);
		return (struct sched_pick){ .until_ns = fair_carry(&ev->f, slot, NS_NEVER, now_ns) };
	}
	if (next != es->on) {
		put_on(ev, es, next, out);
	}
	if (!es->listed || es->class != next->class) {
		list_as(ev, es, next->class);
	}
	es->yielded = false;
	es->end_ns = MIN(now_ns + slice_ns(ev, next, slot), end_ns);
	return (struct sched_pick){ .entity = next->f.entity, .until_ns = fair_carry(&ev->f, slot, es->end_ns, now_ns) };
}

/* --- Looking inside. */

static uint64_t eevdf_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct fair *f = s->priv;

	return fair_bound_ns(f, e->priv) + SLICES_MAX * f->slice_ns * f->entities;
}

static void eevdf_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	struct eevdf_sched *ev = s->priv;

	(void)now_ns;
	CPUSET_FOREACH(slot, &s->slots) {
		const struct eevdf_entity *on = slot_of(s, slot)->on;

		text_printf(to, "slot %u: ", slot);
		fair_describe(&ev->f, on == NULL ? NULL : &on->f, to);
	}
	for (uint64_t classes = ev->waiting; classes != 0; classes &= classes - 1) {
		text_printf(to, "requests as of latency-nice %d:\n", __builtin_ctzl(classes) - CLASS_0);
		fair_queue_describe(&ev->f, &ev->queue[__builtin_ctzl(classes)], to);
	}
}

static bool eevdf_check(struct sched *s, struct sched_reason *why)
{
	const struct eevdf_sched *ev = s->priv;
	unsigned waiting = 0;

	for (unsigned i = 0; i < CLASSES; i++) {
		if (fair_queue_empty(&ev->queue[i]) != !(ev->waiting >> i & 1) ||
		    list_empty((struct list *)(uintptr_t)&ev->slots[i]) != !(ev->running >> i & 1)) {
			return sched_refuse(ERR_STATE, why, "class %u is marked wrongly", i) == ERR_OK;
		}
		if (!fair_queue_check(&ev->queue[i], &waiting, why)) {
			return false;
		}
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct eevdf_entity *on = slot_of(s, slot)->on;

		if (!fair_slot_check(&ev->f, on == NULL ? NULL : &on->f, slot, why)) {
			return false;
		}
	}
	if (waiting != ev->f.waiting) {
		return sched_refuse(ERR_STATE, why, "%u wait, not %u", waiting, ev->f.waiting) == ERR_OK;
	}
	return fair_check(&ev->f, why);
}

SCHED_POLICY(sched_eevdf,
	.name = "eevdf",
	.summary = "fair by weight, earliest virtual deadline first; latency-nice per VM",
	.honours = SCHED_HONOURS_WEIGHT | SCHED_HONOURS_CAP | SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_SOFT_AFFINITY |
		   SCHED_HONOURS_YIELD | SCHED_WORK_CONSERVING,
	.tunables = eevdf_tunables, .tunable_count = ARRAY_SIZE(eevdf_tunables),
	.object_size = sizeof(struct eevdf_sched), .slot_size = sizeof(struct eevdf_slot),
	.group_size = sizeof(struct fair_group), .entity_size = sizeof(struct eevdf_entity),
	.init = eevdf_init, .join = eevdf_join, .leave = eevdf_leave, .add = eevdf_add, .remove = fair_remove,
	.set_affinity = eevdf_set_affinity, .wake = eevdf_wake, .block = eevdf_block, .yield = eevdf_yield,
	.charge = eevdf_charge, .pick = eevdf_pick, .released = eevdf_released, .tune = eevdf_tune,
	.export = eevdf_export, .import = eevdf_import, .wait_bound_ns = eevdf_wait_bound_ns,
	.describe = eevdf_describe, .check = eevdf_check,
);
