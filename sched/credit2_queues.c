/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: values; queues and slots come and go, entities belong to one, and move. */
#include "sched/credit2.h"

#define MOVED_LAGS	2u			/* what a moved one may have missed */
#define WEIGHT_MAX	65535

enum { BY_CPU, BY_CORE, BY_LLC, BY_NODE, BY_ALL };
static const char *const kinds[] = {
	[BY_CPU] = "cpu", [BY_CORE] = "core", [BY_LLC] = "llc", [BY_NODE] = "node", [BY_ALL] = "all", NULL,
};

const struct sched_tunable c2_tunables[C2_TUNABLES] = {
	[C2_WEIGHT] = {
		.name = "weight", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true,
		.min = 1, .max = WEIGHT_MAX, .def = 256,
		.help = "share of each vCPU, against the other vCPUs' weights",
	},
	[C2_CAP] = {
		.name = "cap", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true, .unit = "%",
		.min = 0, .max = 100 * CPU_MAX, .def = 0,
		.help = "most that the VM gets, of one cpu; 0: no limit",
	},
	[C2_RATELIMIT] = {
		.name = "ratelimit", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 0, .max = 500 * NS_PER_MS, .def = NS_PER_MS,
		.help = "how long a vCPU runs before another may preempt it",
	},
	[C2_CAP_PERIOD] = {
		.name = "cap-period", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = NS_PER_MS, .max = NS_PER_S, .def = 10 * NS_PER_MS,
		.help = "over which a cap holds",
	},
	[C2_RUNQUEUE] = {
		.name = "runqueue", .type = SCHED_ENUM, .scope = SCHED_POOL,
		.max = BY_ALL, .def = BY_LLC, .words = kinds, .help = "which cpus share a queue, 16 at most",
	},
};

/* --- Between queues. */

/* The least served waiter of q, or stray, that may run on slot. Looks at SLOTS restricted ones. */
static struct c2_entity *first_movable(struct c2_queue *q, unsigned domain, unsigned slot, bool stray)
{
	const uint64_t wanted = stray ? STRAY : mask_of(1ul << domain);
	struct c2_entity *a = stray ? NULL : entity_of(tree_first(&q->full)), *b;
	struct tree_node *n = tree_first_fit(&q->some, wanted);

	for (unsigned i = 0; n != NULL && i < SLOTS; i++, n = tree_next_fit(n, wanted)) {
		b = entity_of(n);
		if (cpuset_has(&b->entity->hard, slot)) {
			return a != NULL && a->vt <= b->vt ? a : b;
		}
	}
	return a;
}

/* c2_call(): one of those domains. */
bool c2_call_to(struct sched *s, struct c2_queue *q, const struct c2_entity *re, uint64_t domains,
		struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	const bool stray = re != NULL && re->hard == 0;

	for (; domains != 0; domains &= domains - 1) {
		const struct c2_queue *to = &c2->queue[first_bit(domains)];

		for (uint64_t m = stray ? to->members : get(&to->idle); m != 0; m &= m - 1) {
			unsigned slot = to->slot[first_bit(m)];

			if (re == NULL ? first_movable(q, to->domain, slot, false) != NULL :
			    re->full || cpuset_has(&re->entity->hard, slot)) {
				atomic_fetch_or(&slot_of(s, slot)->calls, 1ul << q->domain);
				sched_poke(out, slot);
				return true;
			}
		}
	}
	return false;
}

static bool leads(const struct c2_queue *q, const struct c2_queue *other)
{
	return get(&q->clock) > get(&other->clock) + get(&other->pace) &&
	       get(&q->pace) > get(&other->pace);
}

/* Once in BALANCE_NS: sl shall pull from the queue furthest behind those that its own one leads. */
void c2_compare_clocks(struct c2_sched *c2, struct c2_slot *sl, uint64_t now_ns)
{
	struct c2_queue *q = sl->queue;
	const uint64_t moved = MIN(get(&q->clock) - q->seen_clock, 1ul << 40);
	const struct c2_queue *last = NULL;

	put(&q->pace, (get(&q->pace) + moved * BALANCE_NS / (now_ns - q->seen_ns + 1)) / 2);
	q->seen_ns = now_ns;
	q->seen_clock = get(&q->clock);
	q->balance_ns = c2->queue_count > 1 ? now_ns + BALANCE_NS : NS_NEVER;	/* until new_queue() */
	q->event_ns = MIN(q->parked_ns, q->balance_ns);
	for (uint64_t m = get(&c2->loaded) & ~(1ul << q->domain); m != 0; m &= m - 1) {
		const struct c2_queue *o = &c2->queue[first_bit(m)];

		if (leads(q, o) && (last == NULL || get(&o->clock) < get(&last->clock))) {
			last = o;
		}
	}
	atomic_fetch_or(&sl->calls, last != NULL ? 1ul << last->domain : 0);
}

/* What re had beyond the clock is worth a lag at most from now on, and what it missed that many. */
static void bind(struct c2_entity *re, unsigned lags)
{
	uint64_t clock = get(&re->queue->clock);

	re->vt = MIN(MAX(re->vt, minus(clock, lags * re->lag)), clock + re->lag);
	re->start_vt = MIN(re->start_vt, re->vt);	/* or run() takes another up to there */
}

/* The places in its queue that re, in no tree, may use and would rather; and where it waits. */
static void find_places(struct sched *s, struct c2_entity *re)
{
	struct c2_queue *q = re->queue;

	re->hard = re->soft = 0;
	for (uint32_t m = q->members; m != 0; m &= m - 1) {
		unsigned slot = q->slot[first_bit(m)];

		re->hard |= cpuset_has(&re->entity->hard, slot) ? m & -m : 0;
		re->soft |= cpuset_has(&re->entity->soft, slot) ? m & -m : 0;
	}
	re->soft = (re->soft & re->hard) != 0 ? re->soft & re->hard : re->hard;
	re->capped = re->entity->group->values.v[C2_CAP] != 0;
	re->plain = re->full && re->soft == re->hard && !re->capped;
	re->node.mask = re->hard | (re->hard == 0 ? STRAY : 0) | mask_of(re->domains);
	re->in = re->full ? &q->full : &q->some;
	if (!re->full && re->domains == 1ul << q->domain) {
		if (re->hard == q->members) {
			re->in = &q->whole;
		} else if ((re->hard & (re->hard - 1)) == 0) {
			re->in = &slot_of(s, q->slot[first_bit(re->hard)])->own;
		}
	}
}

/* re, in no tree and off every slot, belongs to slot from now on; none of the pool: SCHED_NO_SLOT. */
static void set_home(struct sched *s, struct c2_entity *re, unsigned slot)
{
	struct c2_queue *q = slot == SCHED_NO_SLOT ? NULL : slot_of(s, slot)->queue;

	sched_set_slot(re->entity, slot);
	if (re->queue != NULL) {
		re->queue->homed--;
	}
	re->queue = q;
	if (q != NULL) {
		q->homed++;
		bind(re, MOVED_LAGS);
		find_places(s, re);
	}
}

/* Fetches a stray, or, where `to` idles or leads, the least served. Others are called for the rest. */
void c2_pull(struct sched *s, unsigned from, unsigned to, uint64_t now_ns, struct sched_out *out)
{
	struct c2_sched *c2 = s->priv;
	struct c2_slot *sl = slot_of(s, to);
	struct c2_queue *q = sl->queue, *other = slot_of(s, from)->queue;
	struct c2_entity *re;

	(void)now_ns;
	if (other == q) {
		return;
	}
	re = first_movable(other, q->domain, to, true);
	if (re == NULL) {			/* else there may be more of them */
		atomic_fetch_and(&sl->calls, ~(1ul << other->domain));
		if ((get(&q->idle) >> sl->index & 1) != 0 || leads(q, other)) {
			re = first_movable(other, q->domain, to, false);
		}
	}
	if (re != NULL) {
		if (!any_waits(q)) {
			put(&q->clock, MAX(get(&q->clock), get(&other->clock)));
		}
		c2_dequeue(c2, re);
		set_home(s, re, to);
		c2_enqueue(re);
		(void)c2_set_idle(c2, q, sl->index, false);
	}
	(void)c2_call(s, other, NULL, out);
}

/* --- Homes. All domains are held. */

/* Where re may run. Returns a slot, soft if it can be, of the queue with fewest entities a slot. */
static unsigned find_domains(struct sched *s, struct c2_entity *re, const struct cpuset *slots)
{
	const struct sched_entity *e = re->entity;
	const struct c2_queue *best = NULL;
	unsigned at = SCHED_NO_SLOT;
	bool soft = false;

	re->full = true;
	re->domains = 0;
	CPUSET_FOREACH(slot, slots) {
		const struct c2_queue *q = slot_of(s, slot)->queue;
		const bool is_soft = cpuset_has(&e->soft, slot);

		if (!cpuset_has(&e->hard, slot)) {
			re->full = false;
			continue;
		}
		re->domains |= 1ul << q->domain;
		if (best == NULL || (is_soft != soft ? is_soft :
				     q->homed * best->count < best->homed * q->count)) {
			best = q;
			at = slot;
			soft = is_soft;
		}
	}
	return at;
}

/* slots, or re's sets or values, changed. It keeps its queue where that has a slot for it. */
static void rehome(struct sched *s, struct c2_entity *re, const struct cpuset *slots, uint64_t now_ns,
		   struct sched_out *out)
{
	struct sched_entity *e = re->entity;
	unsigned home;

	if (e->parked != SCHED_NOT_PARKED) {
		c2_set_parked(re, false);
	} else if (re->node.linked) {
		c2_dequeue(s->priv, re);
	}
	home = find_domains(s, re, slots);
	if (re->queue != NULL) {
		find_places(s, re);
	}
	if (e->on_slot) {
		return;
	}
	if (re->queue == NULL || re->hard == 0) {
		set_home(s, re, home);
	} else if (!cpuset_has(slots, e->slot)) {
		sched_set_slot(e, re->queue->slot[first_bit(re->hard)]);
	}
	if (e->runnable && re->queue != NULL) {
		c2_wait(s, re, now_ns, out);
	}
}

static void rehome_all(struct sched *s, const struct cpuset *slots, uint64_t now_ns, struct sched_out *out)
{
	LIST_FOREACH(node, &((struct c2_sched *)s->priv)->entities) {
		rehome(s, LIST_ENTRY(node, struct c2_entity, link), slots, now_ns, out);
	}
}

static struct c2_queue *new_queue(struct c2_sched *c2, unsigned kind, unsigned number, uint64_t now_ns)
{
	struct c2_queue *q = c2->queue;

	for (unsigned d = 0; d < QUEUES; d++) {
		c2->queue[d].balance_ns = c2->queue[d].event_ns = now_ns;
	}
	while (q->count > 0) {
		q++;
	}
	*q = (struct c2_queue){
		.domain = (unsigned)(q - c2->queue), .kind = kind, .number = number, .seen_ns = now_ns,
		.parked_ns = NS_NEVER, .clock = LAG_NS * VT_PER_NS,
	};
	list_init(&q->runs);
	tree_init(&q->full, false);
	tree_init(&q->whole, false);
	tree_init(&q->some, true);
	tree_init(&q->parked, false);
	c2->queue_count++;
	return q;
}

/* For a slot at that place: a queue of its like, with room; a new one; or, of 64, the smallest. */
static struct c2_queue *find_queue(struct sched *s, unsigned slot, const struct sched_place *p,
				   uint64_t now_ns)
{
	struct c2_sched *c2 = s->priv;
	const unsigned kind = (unsigned)s->values.v[C2_RUNQUEUE];
	const unsigned number[] = {
		[BY_CPU] = slot, [BY_CORE] = p->core, [BY_LLC] = p->llc, [BY_NODE] = p->node, [BY_ALL] = 0,
	};
	struct c2_queue *smallest = NULL;

	for (struct c2_queue *q = c2->queue; q < c2->queue + QUEUES; q++) {
		if (q->count > 0 && q->kind == kind && q->number == number[kind] && q->count < SLOTS) {
			return q;
		}
		if (q->count > 0 && (smallest == NULL || q->count < smallest->count)) {
			smallest = q;
		}
	}
	return c2->queue_count < QUEUES ? new_queue(c2, kind, number[kind], now_ns) : smallest;
}

/* Who of q shares that core now. */
static void find_mates(struct sched *s, struct c2_queue *q, unsigned core)
{
	uint32_t mates = 0;

	for (uint32_t m = q->members; m != 0; m &= m - 1) {
		mates |= slot_of(s, q->slot[first_bit(m)])->core == core ? m & -m : 0;
	}
	for (uint32_t m = mates; m != 0; m &= m - 1) {
		q->mates[first_bit(m)] = mates;
	}
}

unsigned c2_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
		 struct sched_out *out)
{
	struct c2_slot *sl = slot_of(s, slot);
	struct c2_queue *q = find_queue(s, slot, place, now_ns);

	sl->queue = q;
	sl->index = first_bit(~q->members);
	sl->core = place->core;
	list_init(&sl->link);
	tree_init(&sl->own, false);
	q->members |= 1u << sl->index;
	q->slot[sl->index] = slot;
	q->count++;
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
	list_remove(&sl->link);
	q->members &= ~(1u << sl->index);
	q->alone &= q->members;
	q->count--;
	find_mates(s, q, sl->core);
	rehome_all(s, &rest, now_ns, out);
	if (q->count == 0) {
		c2->queue_count--;
	} else {
		sched_poke(out, q->slot[first_bit(q->members)]);	/* sees to the parked now */
	}
}

/* --- Entities and values. */

static void set_weight(struct sched *s, struct c2_entity *re)
{
	struct c2_sched *c2 = s->priv;
	uint32_t weight = (uint32_t)re->entity->group->values.v[C2_WEIGHT];

	c2->weight = c2->weight + weight - re->weight;
	re->weight = weight;
	re->inverse = ((uint64_t)VT_PER_NS << INV_BITS) / weight;
	re->lag = vt_in(re, LAG_NS);
	re->slice = vt_in(re, SLICE_MAX_NS);
	re->rest = 0;
	if (re->queue != NULL) {
		bind(re, 1);
	}
}

static void start_period(struct c2_group *g, uint64_t now_ns)
{
	g->epoch_ns = now_ns;
	put(&g->pot, 0);
}

static void set_slices(struct sched *s)
{
	struct c2_sched *c2 = s->priv;

	c2->ratelimit_ns = (uint64_t)s->values.v[C2_RATELIMIT];
	c2->least_ns = MAX(c2->ratelimit_ns, SLICE_MIN_NS);
	c2->most_ns = MAX(c2->ratelimit_ns, SLICE_MAX_NS) * 9 / 8;
}

enum err c2_init(struct sched *s)
{
	list_init(&((struct c2_sched *)s->priv)->entities);
	set_slices(s);
	return ERR_OK;
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
		re->queue->homed--;
	}
	c2->weight -= re->weight;
	c2->entity_count--;
	((struct c2_group *)e->group->priv)->entities--;
	list_remove(&re->link);
}

void c2_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	rehome(s, e->priv, &s->slots, now_ns, out);
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
}

void c2_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
	     struct sched_out *out)
{
	(void)e;
	set_slices(s);
	CPUSET_FOREACH(slot, &s->slots) {	/* a shorter ratelimit holds for who runs, too */
		slot_of(s, slot)->keep_ns = MIN(slot_of(s, slot)->keep_ns, now_ns + ((struct c2_sched *)s->priv)->ratelimit_ns);
	}
	LIST_FOREACH(node, &((struct c2_sched *)s->priv)->entities) {
		struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		if (g != NULL && re->entity->group != g) {
			continue;
		}
		set_weight(s, re);
		start_period(re->entity->group->priv, now_ns);
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
	int64_t *v = e->group->values.v;
	struct sched_out none;

	sched_out_init(&none);
	v[C2_WEIGHT] = from->weight > 0 ? MIN(from->weight, (int64_t)WEIGHT_MAX) : v[C2_WEIGHT];
	v[C2_CAP] = from->cap > 0 ? MIN(from->cap, c2_tunables[C2_CAP].max) : v[C2_CAP];
	set_weight(s, e->priv);
	rehome(s, e->priv, &s->slots, now_ns, &none);
}

/*
 * At worst e ran for as long as counts while all others slept, who then come as far behind it as can be:
 * each catches up with e, by weight, has its lag, and the last slice goes past that by least_ns. And
 * somebody's slice was set before e came.
 */
uint64_t c2_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct c2_sched *c2 = s->priv;
	const uint64_t weight = (uint64_t)e->group->values.v[C2_WEIGHT];
	const uint64_t lag_ns = (c2->queue_count > 1 ? MOVED_LAGS : 1) * LAG_NS;
	const uint64_t others_ns = (lag_ns + c2->least_ns) * (c2->entity_count - 1);

	return c2->most_ns * (c2->weight - weight) / weight + others_ns + c2->most_ns;
}
