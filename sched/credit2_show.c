/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: its state as text, and its invariants. */
#include "sched/credit2.h"

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
		const struct c2_queue *q = c2->queue[d];

		if (q == NULL) {
			continue;
		}
		text_printf(to, "queue %u, %s %u: clock %lu, weight %lu\n", d, c2_runqueue_words[q->kind], q->number,
			    get(&q->clock), get(&q->weight));
		for (uint32_t m = q->members; m != 0; m &= m - 1) {
			const struct sched_entity *e = slot_of(s, q->slot[first_bit(m)])->on;

			text_printf(to, "  slot %u: ", q->slot[first_bit(m)]);
			if (e == NULL) {
				text_puts(to, "idle\n");
			} else {
				text_printf(to, "%s.%u vt %lu\n", e->group->name, e->number, ((struct c2_entity *)e->priv)->vt);
			}
		}
		describe_tree(&q->full, "waits", to);
		describe_tree(&q->some, "waits", to);
		describe_tree(&q->parked, "parked", to);
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
	uint64_t weight = 0, homed = 0, leaving = 0;
	unsigned slots = 0;

	LIST_FOREACH(node, &c2->entities) {
		const struct c2_entity *re = LIST_ENTRY(node, struct c2_entity, link);

		if (re->queue == q) {
			homed += re->weight;
			weight += re->counted ? re->weight : 0;
			leaving += re->leaving;
		}
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct c2_slot *sl = slot_of(s, slot);
		const struct sched_entity *on = sl->on;

		slots += sl->queue == q && q->slot[sl->index] == slot && (q->members >> sl->index & 1) != 0;
		if (sl->queue == q && on != NULL && ((q->idle >> sl->index & 1) != 0 || !on->on_slot || on->slot != slot)) {
			return sched_refuse(ERR_STATE, why, "slot %u runs one that cannot be there", slot) == ERR_OK;
		}
	}
	if (weight != get(&q->weight) || homed != q->homed || leaving != q->leaving || slots != q->count ||
	    !tree_check(&q->full, q->full_count) || !tree_check(&q->some, q->some_count) ||
	    !tree_check(&q->parked, q->parked_count)) {
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
		if (c2->queue[d] != NULL && !check_queue(s, c2->queue[d], why)) {
			return false;
		}
	}
	return true;
}
