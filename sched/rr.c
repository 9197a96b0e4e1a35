/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rr: round robin, the tutorial policy. One queue for the whole pool; whoever has waited longest runs next, for one
 * timeslice. It honours hard affinity and yield, and leaves no slot idle beside an entity that could run there.
 *
 * An entity is in the queue exactly when it is runnable and off every slot. pick() takes it out; the one it replaces
 * comes back at the tail in released(), when its state has left the cpu. So the head can nearly always run, and pick is
 * O(1): only entities pinned elsewhere are passed over.
 *
 *      wake ──► queue ──pick──► running ──pick of another──► (leaving) ──released──► queue
 *
 * `idle` holds the slots whose last pick found nothing. A wake takes one out before it pokes it, so that the next wake
 * pokes another one; the poked slot runs whoever heads the queue when it arrives. That may be one whom another slot was
 * poked for: so after each pick, where slots are idle and entities wait, those that may run there are poked.
 */
#include "sched/sched.h"

struct rr_sched {
	struct list queue;		/* of rr_entity.link */
	struct cpuset idle;
	unsigned idle_count, entity_count;
};

struct rr_slot {
	struct sched_entity *running;
	uint64_t slice_end_ns;
};

struct rr_entity {
	struct list link;
	struct sched_entity *entity;
};

enum { RR_TIMESLICE };

static const struct sched_tunable rr_tunables[] = {
	[RR_TIMESLICE] = {
		.name = "timeslice", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 100 * NS_PER_US, .max = NS_PER_S, .def = 10 * NS_PER_MS,
		.help = "how long an entity runs while others wait",
	},
};

static struct rr_slot *slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

static void set_idle(struct rr_sched *rr, unsigned slot, bool idle)
{
	if (cpuset_has(&rr->idle, slot) == idle) {
		return;
	}
	if (idle) {
		cpuset_add(&rr->idle, slot);
		rr->idle_count++;
	} else {
		cpuset_del(&rr->idle, slot);
		rr->idle_count--;
	}
}

static __attribute__((noinline)) void poke_one_idle(struct rr_sched *rr, const struct sched_entity *e, struct sched_out *out)
{
	unsigned slot = e->slot;

	if (!cpuset_has(&rr->idle, slot) || !cpuset_has(&e->hard, slot)) {
		struct cpuset able = rr->idle;

		cpuset_and(&able, &e->hard);
		slot = cpuset_first(&able);
	}
	if (slot != CPU_NONE) {
		set_idle(rr, slot, false);
		sched_poke(out, slot);
	}
}

/* Pokes one idle slot that e may run on, its last one before others. */
static inline void poke_idle(struct sched *s, const struct sched_entity *e, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;

	if (rr->idle_count > 0) {
		poke_one_idle(rr, e, out);
	}
}

/* A slot took one that another was poked for, or goes. Usually no slot is idle then, or nobody waits. */
static void poke_for_queue(struct sched *s, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;

	LIST_FOREACH(node, &rr->queue) {
		poke_idle(s, LIST_ENTRY(node, struct rr_entity, link)->entity, out);
	}
}

static void enqueue(struct sched *s, struct sched_entity *e, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;
	struct rr_entity *re = e->priv;

	list_push_back(&rr->queue, &re->link);
	poke_idle(s, e, out);
}

static enum err rr_init(struct sched *s)
{
	struct rr_sched *rr = s->priv;

	list_init(&rr->queue);
	return ERR_OK;
}

static unsigned rr_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			struct sched_out *out)
{
	(void)s, (void)place, (void)now_ns;
	sched_poke(out, slot);		/* there may be work waiting for it */
	return 0;
}

static void rr_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;

	(void)now_ns;
	set_idle(rr, slot, false);
	poke_for_queue(s, out);
}

static void rr_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;
	struct rr_entity *re = e->priv;

	(void)now_ns, (void)out;
	re->entity = e;
	list_init(&re->link);
	rr->entity_count++;
}

static void rr_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;

	(void)e, (void)now_ns, (void)out;
	rr->entity_count--;
}

/* All others, pinned where it is and before it in the queue, have a slice each. */
static uint64_t rr_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct rr_sched *rr = s->priv;

	(void)e;
	return rr->entity_count * (uint64_t)s->values.v[RR_TIMESLICE];
}

static void rr_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns;
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	} else if (e->runnable && !e->on_slot) {
		poke_idle(s, e, out);
	}
}

static void rr_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns;
	if (!e->on_slot) {
		enqueue(s, e, out);	/* else released() will */
	}
}

static void rr_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct rr_entity *re = e->priv;

	(void)now_ns, (void)out;
	if (!e->on_slot) {
		list_remove(&re->link);
	} else if (slot_of(s, e->slot)->running == e) {
		slot_of(s, e->slot)->running = NULL;
	}
}

/* Its slice ends now: pick() takes the next, or e again when nobody waits. */
static void rr_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)out;
	slot_of(s, e->slot)->slice_end_ns = now_ns;
}

/* The one that has waited longest of those that may run on slot. */
static struct sched_entity *take_first(struct rr_sched *rr, unsigned slot)
{
	LIST_FOREACH(node, &rr->queue) {
		struct sched_entity *e = LIST_ENTRY(node, struct rr_entity, link)->entity;

		if (cpuset_has(&e->hard, slot)) {
			list_remove(node);
			return e;
		}
	}
	return NULL;
}

static struct sched_pick run_on(struct sched *s, struct rr_slot *rs, struct sched_entity *e, uint64_t now_ns)
{
	rs->running = e;
	rs->slice_end_ns = now_ns + (uint64_t)s->values.v[RR_TIMESLICE];
	return (struct sched_pick){ .entity = e, .until_ns = rs->slice_end_ns };
}

static __attribute__((noinline)) struct sched_pick pick_any(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;
	struct rr_slot *rs = slot_of(s, slot);
	struct sched_entity *next = take_first(rr, slot);

	if (next == NULL && rs->running != NULL && cpuset_has(&rs->running->hard, slot)) {
		next = rs->running;
	}
	if (next == NULL) {
		rs->running = NULL;
		set_idle(rr, slot, true);
		return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
	}
	if (rr->idle_count > 0) {
		set_idle(rr, slot, false);
		poke_for_queue(s, out);
	}
	return run_on(s, rs, next, now_ns);
}

static struct sched_pick rr_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;
	struct rr_slot *rs = slot_of(s, slot);
	struct list *head = rr->queue.next;

	if (now_ns < rs->slice_end_ns && rs->running != NULL && cpuset_test(&rs->running->hard, slot)) {
		return (struct sched_pick){ .entity = rs->running, .until_ns = rs->slice_end_ns };
	}
	/* The usual case when all are busy, in few instructions: the head may run here. */
	if (head != &rr->queue && rr->idle_count == 0 && cpuset_test(&LIST_ENTRY(head, struct rr_entity, link)->entity->hard, slot)) {
		list_remove(head);
		return run_on(s, rs, LIST_ENTRY(head, struct rr_entity, link)->entity, now_ns);
	}
	return pick_any(s, slot, now_ns, out);
}

static void rr_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns;
	if (e->runnable) {
		enqueue(s, e, out);
	}
}

/* A shorter slice holds at once, for the slices that run too. */
static void rr_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		    struct sched_out *out)
{
	uint64_t latest_ns = now_ns + (uint64_t)s->values.v[RR_TIMESLICE];

	(void)g, (void)e;
	CPUSET_FOREACH(slot, &s->slots) {
		struct rr_slot *rs = slot_of(s, slot);

		if (rs->running != NULL && rs->slice_end_ns > latest_ns) {
			rs->slice_end_ns = latest_ns;
			sched_poke(out, slot);
		}
	}
}

static void rr_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	struct rr_sched *rr = s->priv;

	CPUSET_FOREACH(slot, &s->slots) {
		const struct rr_slot *rs = slot_of(s, slot);

		text_printf(to, "slot %u: ", slot);
		if (rs->running == NULL) {
			text_puts(to, "idle\n");
			continue;
		}
		text_printf(to, "%s.%u, slice left ", rs->running->group->name, rs->running->number);
		text_ns(to, rs->slice_end_ns > now_ns ? rs->slice_end_ns - now_ns : 0);
		text_putc(to, '\n');
	}
	text_puts(to, "queue:");
	LIST_FOREACH(node, &rr->queue) {
		const struct sched_entity *e = LIST_ENTRY(node, struct rr_entity, link)->entity;

		text_printf(to, " %s.%u", e->group->name, e->number);
	}
	text_putc(to, '\n');
}

static bool rr_check(struct sched *s, struct sched_reason *why)
{
	struct rr_sched *rr = s->priv;

	LIST_FOREACH(node, &rr->queue) {
		const struct sched_entity *e = LIST_ENTRY(node, struct rr_entity, link)->entity;

		if (node->next->prev != node || !e->runnable || e->on_slot) {
			return sched_refuse(ERR_STATE, why, "queued, but broken, not runnable or on a slot") == ERR_OK;
		}
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct sched_entity *e = slot_of(s, slot)->running;

		if (e != NULL && (!e->runnable || !e->on_slot || e->slot != slot || cpuset_has(&rr->idle, slot))) {
			return sched_refuse(ERR_STATE, why, "slot %u: runs one that cannot be there", slot) == ERR_OK;
		}
	}
	return true;
}

SCHED_POLICY(sched_rr,
	.name = "rr",
	.summary = "round robin: one queue, equal slices in turn",
	.honours = SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_YIELD | SCHED_WORK_CONSERVING,
	.tunables = rr_tunables, .tunable_count = ARRAY_SIZE(rr_tunables),
	.object_size = sizeof(struct rr_sched), .slot_size = sizeof(struct rr_slot),
	.entity_size = sizeof(struct rr_entity),
	.init = rr_init, .join = rr_join, .leave = rr_leave,
	.add = rr_add, .remove = rr_remove, .set_affinity = rr_set_affinity,
	.wake = rr_wake, .block = rr_block, .yield = rr_yield, .pick = rr_pick,
	.released = rr_released, .tune = rr_tune, .describe = rr_describe, .check = rr_check,
	.wait_bound_ns = rr_wait_bound_ns,
);
