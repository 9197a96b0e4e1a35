/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: as text, and checked. */
#include "sched/credit2.h"

static void describe_tree(const struct tree *t, const char *what, struct text *to)
{
	for (struct tree_node *n = tree_first(t); n != NULL; n = tree_next(n)) {
		const struct c2_entity *re = entity_of(n);

		text_printf(to, "  %s %s.%u weight %u vt %lu\n", what, re->entity->group->name,
			    re->entity->number, re->weight, re->vt);
	}
}

void c2_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	const struct c2_queue *q = ((struct c2_sched *)s->priv)->queue, *end = q + QUEUES;

	(void)now_ns;
	for (; q < end; q++) {
		if (q->count == 0) {
			continue;
		}
		text_printf(to, "queue %u, %s %u: clock %lu\n", q->domain, c2_tunables[C2_RUNQUEUE].words[q->kind], q->number,
			    get(&q->clock));
		for (uint32_t m = q->members; m != 0; m &= m - 1) {
			const struct c2_slot *sl = slot_of(s, q->slot[first_bit(m)]);
			const struct c2_entity *re = sl->on;

			describe_tree(&sl->own, "waits", to);
			text_printf(to, "  slot %u: ", q->slot[first_bit(m)]);
			if (re == NULL) {
				text_puts(to, "idle\n");
			} else {
				text_printf(to, "%s.%u vt %lu\n", re->entity->group->name,
					    re->entity->number, re->vt);
			}
		}
		describe_tree(&q->full, "waits", to);
		describe_tree(&q->whole, "waits", to);
		describe_tree(&q->some, "waits", to);
		describe_tree(&q->parked, "is parked", to);
	}
}

/* What the queues should count. */
struct c2_tally {
	unsigned homed, full, others, parked;
};

static bool check_entity(struct sched *s, const struct c2_entity *re, struct c2_tally *tally)
{
	const struct sched_entity *e = re->entity;
	const bool waits = e->runnable && !e->on_slot, parked = e->parked != SCHED_NOT_PARKED;
	const struct c2_queue *q = e->slot == SCHED_NO_SLOT ? NULL : slot_of(s, e->slot)->queue;

	if (q == NULL) {
		return re->queue == NULL && !(waits && cpuset_intersects(&e->hard, &s->slots));
	}
	tally += q->domain;
	tally->homed++;
	tally->parked += parked;
	tally->full += re->node.linked && !parked && re->full;
	tally->others += re->node.linked && !parked && !re->full;
	return re->queue == q && re->node.linked == (waits || parked) && re->start_vt <= re->vt;
}

/* Takes those in t from *left. */
static bool check_part(const struct tree *t, unsigned *left)
{
	unsigned n = 0;

	for (const struct tree_node *at = tree_first(t); at != NULL && n <= *left; at = tree_next(at)) {
		n++;
	}
	if (n > *left) {
		return false;
	}
	*left -= n;
	return tree_check(t, n);
}

static bool check_queue(struct sched *s, const struct c2_queue *q, const struct c2_tally *tally)
{
	const struct c2_sched *c2 = s->priv;
	const bool loaded = get(&c2->loaded) >> q->domain & 1, idle = get(&c2->idle) >> q->domain & 1;
	unsigned left = tally->others;
	bool right = q->others == left && check_part(&q->whole, &left) && check_part(&q->some, &left);

	for (uint32_t m = q->members; m != 0; m &= m - 1) {
		right = right && check_part(&slot_of(s, q->slot[first_bit(m)])->own, &left);
	}
	LIST_FOREACH(node, &q->runs) {
		const struct c2_slot *sl = LIST_ENTRY(node, struct c2_slot, link);
		const struct c2_entity *on = sl->on;

		right = right && (on == NULL || (on->entity->on_slot && (get(&q->idle) >> sl->index & 1) == 0 &&
						 on->entity->slot == q->slot[sl->index]));
	}
	return right && left == 0 && tally->homed == q->homed && loaded == (get(&q->moves) != 0) &&
	       idle == (get(&q->idle) != 0) && tree_check(&q->full, tally->full) &&
	       tree_check(&q->parked, tally->parked);
}

/* All domains are held: so each entity and each queue is looked at once. */
bool c2_check(struct sched *s, struct sched_reason *why)
{
	const struct c2_sched *c2 = s->priv;
	struct c2_tally tally[QUEUES] = { 0 };

	LIST_FOREACH(node, &c2->entities) {
		const struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		if (!check_entity(s, re, tally)) {
			return sched_refuse(ERR_STATE, why, "%s.%u: not in the queue where it should be",
					    re->entity->group->name, re->entity->number) == ERR_OK;
		}
	}
	for (unsigned d = 0; d < QUEUES; d++) {
		if (c2->queue[d].count > 0 && !check_queue(s, &c2->queue[d], &tally[d])) {
			return sched_refuse(ERR_STATE, why, "queue %u: miscounted", d) == ERR_OK;
		}
	}
	return true;
}
