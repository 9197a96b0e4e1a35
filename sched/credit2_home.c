/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: its values; queues and slots come and go, entities belong to one; what it is as text, and checked. */
#include "sched/credit2.h"

const char *const c2_runqueue_words[] = {
	[BY_CPU] = "cpu", [BY_CORE] = "core", [BY_LLC] = "llc", [BY_NODE] = "node", [BY_ALL] = "all", NULL,
};

const struct sched_tunable c2_tunables[C2_TUNABLES] = {
	[C2_WEIGHT] = {
		.name = "weight", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true,
		.min = 1, .max = WEIGHT_MAX, .def = 256, .help = "share of each vCPU, against the other vCPUs' weights",
	},
	[C2_CAP] = {
		.name = "cap", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true, .unit = "%",
		.min = 0, .max = 100 * CPU_MAX, .def = 0, .help = "most that the VM gets, of one cpu; 0: no limit",
	},
	[C2_RATELIMIT] = {
		.name = "ratelimit", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 0, .max = 500 * NS_PER_MS, .def = NS_PER_MS, .help = "how long a vCPU runs before another may preempt it",
	},
	[C2_CAP_PERIOD] = {
		.name = "cap-period", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = NS_PER_MS, .max = NS_PER_S, .def = 10 * NS_PER_MS, .help = "over which a cap holds",
	},
	[C2_RUNQUEUE] = {
		.name = "runqueue", .type = SCHED_ENUM, .scope = SCHED_POOL,
		.max = BY_ALL, .def = BY_LLC, .words = c2_runqueue_words, .help = "which cpus share a queue, 16 at most",
	},
};

/* --- Homes: which queue an entity belongs to. All domains are held, or, in pull, both. */

/* The places in its queue that re may use and would rather. */
static void find_places(struct c2_entity *re)
{
	re->hard = re->soft = 0;
	for (uint32_t m = re->queue->members; m != 0; m &= m - 1) {
		unsigned slot = re->queue->slot[first_bit(m)];

		re->hard |= cpuset_has(&re->entity->hard, slot) ? m & -m : 0;
		re->soft |= cpuset_has(&re->entity->soft, slot) ? m & -m : 0;
	}
	re->soft = (re->soft & re->hard) != 0 ? re->soft & re->hard : re->hard;
}

static void find_domains(struct sched *s, struct c2_entity *re, const struct cpuset *slots)
{
	struct cpuset rest = *slots;

	cpuset_andnot(&rest, &re->entity->hard);
	re->full = cpuset_empty(&rest);
	re->domains = 0;
	CPUSET_FOREACH(slot, slots) {
		if (re->full || cpuset_has(&re->entity->hard, slot)) {
			re->domains |= 1ul << slot_of(s, slot)->queue->domain;
		}
	}
}

/* A slot of the queue that has least weight a slot, of those in re's soft set if there is one, else in its hard set. */
static unsigned choose_home(struct sched *s, const struct c2_entity *re, const struct cpuset *slots)
{
	const struct c2_queue *best = NULL;
	unsigned at = SCHED_NO_SLOT;

	for (unsigned soft = 1; soft != UINT32_MAX && at == SCHED_NO_SLOT; soft--) {
		CPUSET_FOREACH(slot, slots) {
			const struct c2_queue *q = slot_of(s, slot)->queue;

			if (!cpuset_has(&re->entity->hard, slot) || (soft && !cpuset_has(&re->entity->soft, slot))) {
				continue;
			}
			if (best == NULL || q->homed * best->count < best->homed * q->count) {
				best = q;
				at = slot;
			}
		}
	}
	return at;
}

/* What re had beyond the clock, or missed, is worth that many lags at most from now on. */
static void bind(struct c2_entity *re, unsigned lags)
{
	uint64_t clock = get(&re->queue->clock), most = lags * lag_of(re);

	re->vt = MIN(MAX(re->vt, minus(clock, most)), clock + most);
}

/* re, in no tree and off every slot, belongs to slot from now on; none of the pool: SCHED_NO_SLOT. */
void c2_set_home(struct sched *s, struct c2_entity *re, unsigned slot)
{
	struct c2_queue *q = slot == SCHED_NO_SLOT ? NULL : slot_of(s, slot)->queue;

	sched_set_slot(re->entity, slot);
	if (q == re->queue) {
		return;
	}
	if (re->queue != NULL) {
		c2_count_weight(re, false);
		re->queue->homed -= re->weight;
	}
	re->queue = q;
	if (q != NULL) {
		bind(re, MOVED_LAGS);
		q->homed += re->weight;
		c2_count_weight(re, re->entity->runnable);
		find_places(re);
	}
}

/* slots or re's sets changed. It keeps its queue where that has a slot for it. */
static void rehome(struct sched *s, struct c2_entity *re, const struct cpuset *slots, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *e = re->entity;

	if (e->on_slot) {
		find_domains(s, re, slots);
		find_places(re);
		return;
	}
	if (e->parked != SCHED_NOT_PARKED) {
		c2_unpark(re->queue, re);
	} else if (e->runnable && re->queue != NULL) {
		c2_dequeue(s->priv, re->queue, re);
	}
	find_domains(s, re, slots);
	if (re->queue != NULL && re->queue->count > 0) {
		find_places(re);
		if (!cpuset_has(slots, e->slot) && re->hard != 0) {
			sched_set_slot(e, re->queue->slot[first_bit(re->hard)]);
		}
	}
	if (re->queue == NULL || re->queue->count == 0 || re->hard == 0) {
		c2_set_home(s, re, choose_home(s, re, slots));
	}
	if (e->runnable && re->queue != NULL) {
		c2_queue_up(s, re, now_ns, out);
	}
}

static void rehome_all(struct sched *s, const struct cpuset *slots, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	LIST_FOREACH(node, &c2->entities) {
		rehome(s, LIST_ENTRY(node, struct c2_entity, link), slots, now_ns, out);
	}
}

enum err c2_init(struct sched *s)
{
	struct c2_sched *c2 = s->priv;

	list_init(&c2->entities);
	return ERR_OK;
}

static unsigned number_by(unsigned kind, unsigned slot, const struct sched_place *p)
{
	const unsigned number[] = {
		[BY_CPU] = slot, [BY_CORE] = p->core, [BY_LLC] = p->llc, [BY_NODE] = p->node, [BY_ALL] = 0,
	};

	return number[kind];
}

static struct c2_queue *new_queue(struct c2_sched *c2, unsigned kind, unsigned number, uint64_t now_ns)
{
	unsigned d = 0;
	struct c2_queue *q;

	while (c2->queue[d].count > 0) {
		d++;
	}
	q = &c2->queue[d];
	*q = (struct c2_queue){ .domain = d, .kind = kind, .number = number, .carrier = NOBODY, .carried_ns = NS_NEVER };
	q->seen_ns = now_ns;
	for (d = 0; d < QUEUES; d++) {
		c2->queue[d].balance_ns = now_ns;
	}
	list_init(&q->runs);
	put(&q->clock, LAG_NS * VT_PER_NS);
	tree_init(&q->full, false);
	tree_init(&q->some, true);
	tree_init(&q->parked, false);
	c2->queue_count++;
	return q;
}

/* The queue for a slot at that place: of its like, with room; a new one; or, where 64 are there, the smallest. */
static struct c2_queue *find_queue(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns)
{
	struct c2_sched *c2 = s->priv;
	unsigned kind = (unsigned)s->values.v[C2_RUNQUEUE], number = number_by(kind, slot, place);
	struct c2_queue *smallest = NULL;

	for (unsigned d = 0; d < QUEUES; d++) {
		struct c2_queue *q = &c2->queue[d];

		if (q->count > 0 && q->kind == kind && q->number == number && q->count < SLOTS) {
			return q;
		}
		if (q->count > 0 && (smallest == NULL || q->count < smallest->count)) {
			smallest = q;
		}
	}
	return c2->queue_count < QUEUES ? new_queue(c2, kind, number, now_ns) : smallest;
}

/* The slots of slot's core that its queue has. */
static void find_mates(struct sched *s, struct c2_queue *q, unsigned core)
{
	uint32_t mates = 0;

	for (uint32_t m = q->members; m != 0; m &= m - 1) {
		mates |= slot_of(s, q->slot[first_bit(m)])->core == core ? m & -m : 0;
	}
	for (uint32_t m = mates; m != 0; m &= m - 1) {
		q->mates[first_bit(m)] = mates;
	}
	q->whole &= ~mates;
	q->whole |= (atomic_load_explicit(&q->idle, memory_order_relaxed) & mates) == mates ? mates : 0;
}

unsigned c2_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
		 struct sched_out *out)
{
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = find_queue(s, slot, place, now_ns);
	unsigned i = first_bit(~q->members);

	sl->queue = q;
	sl->index = i;
	sl->core = place->core;
	q->members |= 1u << i;
	q->slot[i] = slot;
	q->count++;
	list_init(&sl->link);
	find_mates(s, q, sl->core);
	rehome_all(s, &s->slots, now_ns, out);
	sched_poke(out, slot);
	return q->domain;
}

void c2_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = sl->queue;
	struct cpuset rest = s->slots;

	cpuset_del(&rest, slot);
	(void)c2_set_idle(c2, q, sl->index, false);
	q->members &= ~(1u << sl->index);
	q->alone &= q->members;
	q->count--;
	if (q->count > 0) {
		find_mates(s, q, sl->core);
	}
	if (q->carrier == sl->index) {
		q->carrier = NOBODY;
		q->carried_ns = NS_NEVER;
	}
	rehome_all(s, &rest, now_ns, out);
	c2_set_loaded(c2, q, any_waits(q));
	if (q->count == 0) {
		c2->queue_count--;
	} else {
		sched_poke(out, q->slot[first_bit(q->members)]);	/* carries now, if anything is to be carried */
	}
}

static void set_weight(struct sched *s, struct c2_entity *re)
{
	struct c2_sched *c2 = s->priv;
	uint32_t weight = (uint32_t)re->entity->group->values.v[C2_WEIGHT];
	bool counted = re->counted;

	if (re->queue != NULL) {
		c2_count_weight(re, false);
		re->queue->homed = re->queue->homed - re->weight + weight;
	}
	c2->weight = c2->weight - re->weight + weight;
	re->weight = weight;
	re->inverse = ((uint64_t)VT_PER_NS << INV_BITS) / weight;
	re->capped = re->entity->group->values.v[C2_CAP] != 0;
	re->rest = 0;
	if (re->queue != NULL) {
		c2_count_weight(re, counted);
		bind(re, 1);
	}
}

static void start_period(struct c2_group *g, uint64_t now_ns)
{
	g->epoch_ns = now_ns;
	put(&g->pot, ~POT_MASK);		/* of the period before: the first one has its full budget */
}

void c2_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_entity *re = e->priv;
	struct c2_group *g = e->group->priv;

	if (g->entities++ == 0) {
		start_period(g, now_ns);
	}
	re->entity = e;
	set_weight(s, re);
	list_push_back(&c2->entities, &re->link);
	c2->entity_count++;
	rehome(s, re, &s->slots, now_ns, out);
	re->vt = re->queue != NULL ? get(&re->queue->clock) : 0;
}

void c2_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_entity *re = e->priv;

	(void)now_ns, (void)out;
	if (re->queue != NULL) {
		re->queue->homed -= re->weight;
	}
	c2->weight -= re->weight;
	((struct c2_group *)e->group->priv)->entities--;
	list_remove(&re->link);
	c2->entity_count--;
}

void c2_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	rehome(s, e->priv, &s->slots, now_ns, out);
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
}

/* --- Values, standing, and what others may know. */

void c2_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		    struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;

	(void)e;
	LIST_FOREACH(node, &c2->entities) {
		struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		if (g != NULL && re->entity->group != g) {
			continue;
		}
		set_weight(s, re);
		start_period(re->entity->group->priv, now_ns);
		re->period = 0;
		re->budget_ns = 0;
		rehome(s, re, &s->slots, now_ns, out);	/* parked ones try again */
		if (re->entity->on_slot) {
			sched_poke(out, re->entity->slot);
		}
	}
}

void c2_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to)
{
	(void)s;
	to->weight = e->group->values.v[C2_WEIGHT];
	to->cap = e->group->values.v[C2_CAP];
}

void c2_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns)
{
	(void)now_ns;
	if (from->weight > 0) {
		e->group->values.v[C2_WEIGHT] = MIN(from->weight, (int64_t)WEIGHT_MAX);
	}
	if (from->cap > 0) {
		e->group->values.v[C2_CAP] = MIN(from->cap, c2_tunables[C2_CAP].max);
	}
	set_weight(s, e->priv);
}

/*
 * Everybody else may have to catch up with what e had: a slice and twice the lag, in virtual time; and each runs a slice
 * more than that.
 */
uint64_t c2_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct c2_sched *c2 = s->priv;
	uint64_t slice_ns = MAX(SLICE_MAX_NS, (uint64_t)s->values.v[C2_RATELIMIT]);

	return (slice_ns + 2 * LAG_NS) * (c2->weight / (uint64_t)e->group->values.v[C2_WEIGHT] + c2->entity_count + 1);
}

/* --- As text, and the invariants. */

static void describe_tree(const struct tree *t, const char *what, struct text *to)
{
	for (struct tree_node *n = tree_first(t); n != NULL; n = tree_next(n)) {
		const struct c2_entity *re = entity_of(n);

		text_printf(to, "  %s %s.%u weight %u vt %lu\n", what, re->entity->group->name, re->entity->number, re->weight,
			    re->vt);
	}
}

void c2_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	struct c2_sched *c2 = s->priv;

	(void)now_ns;
	for (unsigned d = 0; d < QUEUES; d++) {
		const struct c2_queue *q = &c2->queue[d];

		if (q->count == 0) {
			continue;
		}
		text_printf(to, "queue %u, %s %u: clock %lu, weight %lu\n", d, c2_runqueue_words[q->kind], q->number,
			    get(&q->clock), get(&q->weight));
		for (uint32_t m = q->members; m != 0; m &= m - 1) {
			const struct c2_entity *re = slot_of(s, q->slot[first_bit(m)])->on;

			text_printf(to, "  slot %u: ", q->slot[first_bit(m)]);
			if (re == NULL) {
				text_puts(to, "idle\n");
			} else {
				text_printf(to, "%s.%u vt %lu\n", re->entity->group->name, re->entity->number, re->vt);
			}
		}
		describe_tree(&q->full, "waits", to);
		describe_tree(&q->some, "waits", to);
	}
}

static bool wrong(struct sched_reason *why, const struct c2_entity *re, const char *what)
{
	return sched_refuse(ERR_STATE, why, "%s.%u: %s", re->entity->group->name, re->entity->number, what) == ERR_OK;
}

static bool check_entity(struct sched *s, const struct c2_entity *re, struct sched_reason *why)
{
	const struct sched_entity *e = re->entity;

	if ((e->slot == SCHED_NO_SLOT) != (re->queue == NULL) ||
	    (re->queue != NULL && slot_of(s, e->slot)->queue != re->queue)) {
		return wrong(why, re, "belongs to another queue than its slot");
	}
	if (re->queue != NULL &&
	    re->node.linked != (e->parked != SCHED_NOT_PARKED || (e->runnable && !e->on_slot))) {
		return wrong(why, re, "in a queue and should not be, or not in one and should");
	}
	if (re->counted != (re->queue != NULL && e->runnable && e->parked == SCHED_NOT_PARKED)) {
		return wrong(why, re, "its weight is counted wrongly");
	}
	if (e->runnable && !e->on_slot && re->queue == NULL && cpuset_intersects(&e->hard, &s->slots)) {
		return wrong(why, re, "has no queue, and a slot");
	}
	return true;
}

static bool check_queue(struct sched *s, const struct c2_queue *q, struct sched_reason *why)
{
	struct c2_sched *c2 = s->priv;
	uint64_t weight = 0, homed = 0;
	unsigned slots = 0, full = 0, some = 0, parked = 0;

	LIST_FOREACH(node, &c2->entities) {
		const struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		if (re->queue == q) {
			homed += re->weight;
			weight += re->counted ? re->weight : 0;
			parked += re->entity->parked != SCHED_NOT_PARKED;
			full += re->node.linked && re->entity->parked == SCHED_NOT_PARKED && re->full;
			some += re->node.linked && re->entity->parked == SCHED_NOT_PARKED && !re->full;
		}
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct c2_slot *sl = slot_of(s, slot);
		const struct sched_entity *on = sl->on == NULL ? NULL : sl->on->entity;

		slots += sl->queue == q && q->slot[sl->index] == slot && (q->members >> sl->index & 1) != 0;
		if (sl->queue == q && on != NULL && ((q->idle >> sl->index & 1) != 0 || !on->on_slot || on->slot != slot)) {
			return sched_refuse(ERR_STATE, why, "slot %u runs one that cannot be there", slot) == ERR_OK;
		}
	}
	if (weight != get(&q->weight) || homed != q->homed || slots != q->count ||
	    !tree_check(&q->full, full) || !tree_check(&q->some, some) ||
	    !tree_check(&q->parked, parked)) {
		return sched_refuse(ERR_STATE, why, "queue %u: miscounted", q->domain) == ERR_OK;
	}
	if (q->loaded != ((c2->loaded >> q->domain & 1) != 0) || (q->idle != 0) != ((c2->idle >> q->domain & 1) != 0)) {
		return sched_refuse(ERR_STATE, why, "queue %u: not told as it is", q->domain) == ERR_OK;
	}
	return true;
}

bool c2_check(struct sched *s, struct sched_reason *why)
{
	struct c2_sched *c2 = s->priv;

	LIST_FOREACH(node, &c2->entities) {
		if (!check_entity(s, LIST_ENTRY(node, struct c2_entity, link), why)) {
			return false;
		}
	}
	for (unsigned d = 0; d < QUEUES; d++) {
		if (c2->queue[d].count > 0 && !check_queue(s, &c2->queue[d], why)) {
			return false;
		}
	}
	return true;
}
