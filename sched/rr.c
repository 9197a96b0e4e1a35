/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rr: round robin, the tutorial policy. One queue for the whole pool; whoever has waited longest runs next, for one
 * timeslice. It honours hard affinity and yield, and leaves no slot idle beside an entity that could run there.
 *
 * An entity is in the queue exactly when it is runnable and off every slot. pick() takes it out; the one it replaces
 * comes back at the tail in released(), when its state has left the cpu.
 *
 *      wake ──► queue ──pick──► running ──pick of another──► (leaving) ──released──► queue
 *
 * The queue is a list, whose head any slot may take, and beside it a tree of those that are pinned, which finds the first
 * for a slot without a walk past the others. Both have the time of coming, and pick takes the older of the two firsts.
 *
 * `idle` holds the slots whose last pick found nothing. One that comes to the queue *calls* one of them: the slot is poked,
 * and no longer idle, so the next to come calls another. The slot runs whoever is first when it arrives. Where that is
 * somebody else the caller calls again, and where the caller was taken by another slot the call is void. So at any time each
 * in the queue has a slot under way or no idle one that it may use; and no step looks at more than the two it is about.
 */
#include "sched/sched.h"

#include "kernel/lib/tree.h"

#define APART	__attribute__((noinline))	/* keeps what is rare from costing what is not */

struct rr_sched {
	struct list queue;		/* of rr_entity.link: those that may run anywhere */
	struct tree pinned;		/* of rr_entity.node: the others */
	struct cpuset idle;
	unsigned idle_count, entity_count;
};

struct rr_slot {
	struct sched_entity *running;
	struct rr_entity *caller;	/* poked for this one; NULL: nobody */
	uint64_t slice_end_ns;
};

struct rr_entity {
	struct list link;
	struct tree_node node;		/* its key is when it came to the queue, in both parts */
	struct sched_entity *entity;
	struct rr_slot *called;		/* the slot whose caller this is, or NULL */
	bool anywhere;
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

/* Pokes one idle slot that re may run on. */
static APART void call(struct sched *s, struct rr_entity *re, struct sched_out *out)
{
	unsigned slot = sched_slot_among(&((struct rr_sched *)s->priv)->idle, re->entity);

	if (slot != CPU_NONE) {
		set_idle(s->priv, slot, false);
		re->called = slot_of(s, slot);
		re->called->caller = re;
		sched_poke(out, slot);
	}
}

static APART void hang_up(struct rr_entity *re)
{
	re->called->caller = NULL;
	re->called = NULL;
}

/* The slot comes and has taken somebody else than its caller, or goes for good. */
static APART void answer(struct sched *s, struct rr_slot *rs, struct sched_out *out)
{
	struct rr_entity *caller = rs->caller;

	if (caller != NULL) {
		hang_up(caller);
		call(s, caller, out);
	}
}

static APART void enqueue_pinned(struct sched *s, struct rr_entity *re, struct sched_out *out)
{
	tree_insert(&((struct rr_sched *)s->priv)->pinned, &re->node);
	call(s, re, out);
}

static void enqueue(struct sched *s, struct rr_entity *re, uint64_t now_ns, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;

	re->node.key = now_ns;
	if (!re->anywhere) {
		enqueue_pinned(s, re, out);
		return;
	}
	list_push_back(&rr->queue, &re->link);
	if (rr->idle_count > 0) {
		call(s, re, out);
	}
}

static void dequeue(struct rr_sched *rr, struct rr_entity *re)
{
	if (re->anywhere) {
		list_remove(&re->link);
	} else {
		tree_remove(&rr->pinned, &re->node);
	}
	if (re->called != NULL) {
		hang_up(re);
	}
}

/* Off the queue: which part of it e belongs to from now on. */
static void sort(struct rr_entity *re)
{
	re->anywhere = cpuset_full(&re->entity->hard);
	re->node.mask = re->anywhere ? ~0ul : cpuset_fold(&re->entity->hard);
}

static enum err rr_init(struct sched *s)
{
	struct rr_sched *rr = s->priv;

	list_init(&rr->queue);
	tree_init(&rr->pinned, true);
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
	(void)now_ns;
	set_idle(s->priv, slot, false);
	answer(s, slot_of(s, slot), out);
}

static void rr_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct rr_sched *rr = s->priv;
	struct rr_entity *re = e->priv;

	(void)now_ns, (void)out;
	re->entity = e;
	list_init(&re->link);
	sort(re);
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
	struct rr_entity *re = e->priv;
	bool queued = e->runnable && !e->on_slot;

	if (queued) {
		dequeue(s->priv, re);
	}
	sort(re);
	if (queued) {
		enqueue(s, re, now_ns, out);
	} else if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
}

/* wake and released: what is runnable and off every slot goes to the queue. One that wakes on its slot is released later. */
static void rr_ready(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (e->runnable && !e->on_slot) {
		enqueue(s, e->priv, now_ns, out);
	}
}

static void rr_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	if (!e->on_slot) {
		dequeue(s->priv, e->priv);
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

static struct rr_entity *first_listed(const struct rr_sched *rr)
{
	return list_empty(&rr->queue) ? NULL : LIST_ENTRY(rr->queue.next, struct rr_entity, link);
}

/* Masks do not tell slots 64 apart from each other. */
static struct rr_entity *first_pinned(const struct rr_sched *rr, unsigned slot)
{
	const uint64_t bit = 1ull << slot % 64;
	struct tree_node *n = tree_first_fit(&rr->pinned, bit);

	while (n != NULL && !cpuset_has(&TREE_ENTRY(n, struct rr_entity, node)->entity->hard, slot)) {
		n = tree_next_fit(n, bit);
	}
	return n != NULL ? TREE_ENTRY(n, struct rr_entity, node) : NULL;
}

/* The one that has waited longest of those that may run on slot. */
static struct sched_entity *take_first(struct rr_sched *rr, unsigned slot)
{
	struct rr_entity *re = first_listed(rr), *pinned = first_pinned(rr, slot);

	if (re == NULL || (pinned != NULL && pinned->node.key < re->node.key)) {
		re = pinned;
	}
	if (re == NULL) {
		return NULL;
	}
	dequeue(rr, re);
	return re->entity;
}

static inline struct sched_pick run_on(struct sched *s, struct rr_slot *rs, struct sched_entity *e, uint64_t now_ns)
{
	rs->running = e;
	rs->slice_end_ns = now_ns + (uint64_t)s->values.v[RR_TIMESLICE];
	return (struct sched_pick){ .entity = e, .until_ns = rs->slice_end_ns };
}

/* last, if not NULL, may go on where nobody waits. */
static APART struct sched_pick pick_any(struct sched *s, unsigned slot, struct sched_entity *last, uint64_t now_ns,
					struct sched_out *out)
{
	struct rr_slot *rs = slot_of(s, slot);
	struct sched_entity *next = take_first(s->priv, slot);

	next = next != NULL ? next : last;
	rs->running = next;
	if (last == NULL) {
		set_idle(s->priv, slot, next == NULL);
		answer(s, rs, out);
	}
	return next != NULL ? run_on(s, rs, next, now_ns) : (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
}

static struct sched_pick rr_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	const struct rr_sched *rr = s->priv;
	struct rr_slot *rs = slot_of(s, slot);
	struct sched_entity *last = rs->running;
	struct rr_entity *first = first_listed(rr);

	if (last == NULL || !cpuset_test(&last->hard, slot)) {
		return pick_any(s, slot, NULL, now_ns, out);
	}
	if (now_ns < rs->slice_end_ns) {
		return (struct sched_pick){ .entity = last, .until_ns = rs->slice_end_ns };
	}
	/* The usual case when all are busy, in few instructions. */
	if (first != NULL && first->called == NULL && tree_first(&rr->pinned) == NULL) {
		list_remove(&first->link);
		return run_on(s, rs, first->entity, now_ns);
	}
	return pick_any(s, slot, last, now_ns, out);
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

static void show(const struct rr_entity *re, struct text *to)
{
	text_printf(to, " %s.%u", re->entity->group->name, re->entity->number);
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
		show(LIST_ENTRY(node, struct rr_entity, link), to);
	}
	text_puts(to, "\npinned:");
	for (const struct tree_node *n = tree_first(&rr->pinned); n != NULL; n = tree_next(n)) {
		show(TREE_ENTRY(n, struct rr_entity, node), to);
	}
	text_putc(to, '\n');
}

static bool is_right(const struct rr_entity *re, bool anywhere)
{
	const struct sched_entity *e = re->entity;

	return re->anywhere == anywhere && e->runnable && !e->on_slot && (re->called == NULL || re->called->caller == re);
}

static bool rr_check(struct sched *s, struct sched_reason *why)
{
	struct rr_sched *rr = s->priv;
	unsigned pinned = 0;
	bool right = true;

	LIST_FOREACH(node, &rr->queue) {
		right = right && node->next->prev == node && is_right(LIST_ENTRY(node, struct rr_entity, link), true);
	}
	for (const struct tree_node *n = tree_first(&rr->pinned); n != NULL; n = tree_next(n), pinned++) {
		right = right && is_right(TREE_ENTRY(n, struct rr_entity, node), false);
	}
	if (!right || !tree_check(&rr->pinned, pinned)) {
		return sched_refuse(ERR_STATE, why, "queued, but broken, not runnable or on a slot") == ERR_OK;
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
	.wake = rr_ready, .block = rr_block, .yield = rr_yield, .pick = rr_pick,
	.released = rr_ready, .tune = rr_tune, .describe = rr_describe, .check = rr_check,
	.wait_bound_ns = rr_wait_bound_ns,
);
