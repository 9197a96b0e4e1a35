/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: budgets of capped groups. */
#include "sched/credit2.h"

/* --- Caps. */

static uint64_t period_of(const struct sched *s, const struct c2_group *g, uint64_t now_ns)
{
	return ns_since(g->epoch_ns, now_ns) / (uint64_t)s->values.v[C2_CAP_PERIOD];
}

uint64_t c2_period_end_ns(const struct sched *s, const struct c2_group *g, uint64_t now_ns)
{
	return g->epoch_ns + (period_of(s, g, now_ns) + 1) * (uint64_t)s->values.v[C2_CAP_PERIOD];
}

/* Moves want_ns (below 0: back) out of the pot of a period of total_ns; returns what was moved. No lock covers it. */
static int64_t draw(struct c2_group *g, uint64_t period, int64_t total_ns, int64_t want_ns)
{
	uint64_t old = get(&g->pot), next, number = period & (UINT64_MAX >> POT_BITS);
	int64_t left_ns, got_ns;

	do {
		/* Another cpu, with a clock a little ahead, may be in the next period already: its pot counts. */
		uint64_t ahead = ((old >> POT_BITS) - number) & (UINT64_MAX >> POT_BITS);
		bool same = ahead < 1ul << (63 - POT_BITS);

		left_ns = same ? (int64_t)(old & POT_MASK) : total_ns;
		got_ns = MIN(left_ns, want_ns);
		next = (same ? old & ~POT_MASK : number << POT_BITS) | (uint64_t)(left_ns - got_ns);
	} while (!atomic_compare_exchange_weak_explicit(&g->pot, &old, next, memory_order_relaxed, memory_order_relaxed));
	return got_ns;
}

/* Has the capped e budget to run on? Takes a quota where it has none. What is left of an old period is gone, what was overdrawn is not. */
bool c2_fund(const struct sched *s, struct sched_entity *e, uint64_t now_ns)
{
	struct c2_entity *re = e->priv;
	struct c2_group *g = e->group->priv;
	int64_t total_ns = s->values.v[C2_CAP_PERIOD] * e->group->values.v[C2_CAP] / 100, quota_ns;
	uint64_t period;

	period = period_of(s, g, now_ns);
	if (re->period != period) {
		re->period = period;
		re->budget_ns = MIN(re->budget_ns, 0);
	}
	if (re->budget_ns <= 0) {
		quota_ns = MAX(total_ns / g->entities, (int64_t)QUOTA_MIN_NS);
		re->budget_ns += draw(g, period, total_ns, quota_ns - re->budget_ns);
	}
	return re->budget_ns > 0;
}

/* e goes off its slot: what it has left is there for others of its group. */
void c2_refund(const struct sched *s, struct sched_entity *e, uint64_t now_ns)
{
	struct c2_entity *re = e->priv;

	if (e->group->values.v[C2_CAP] != 0 && re->budget_ns > 0) {
		if (period_of(s, e->group->priv, now_ns) == re->period) {
			(void)draw(e->group->priv, re->period, 0, -re->budget_ns);
		}
		re->budget_ns = 0;
	}
}

void c2_park(struct sched *s, struct c2_queue *q, struct sched_entity *e, uint64_t now_ns)
{
	struct c2_entity *re = e->priv;

	if (!e->on_slot) {
		c2_dequeue(s->priv, q, re);
	}
	c2_count_weight(re, false);
	e->parked = SCHED_PARK_CAP;
	e->parked_until_ns = c2_period_end_ns(s, e->group->priv, now_ns);
	re->node.key = e->parked_until_ns;
	q->parked_count++;
	tree_insert(&q->parked, &re->node);
}

void c2_unpark(struct c2_queue *q, struct c2_entity *re)
{
	re->entity->parked = SCHED_NOT_PARKED;
	q->parked_count--;
	tree_remove(&q->parked, &re->node);
	c2_count_weight(re, true);
}

/* Those whose period is over, a batch of them; the rest when slot picks again, at once. */
void c2_unpark_due(struct sched *s, struct c2_queue *q, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct tree_node *n;

	for (unsigned i = 0; (n = tree_first(&q->parked)) != NULL && n->key <= now_ns; i++) {
		struct c2_entity *re = entity_of(n);

		if (i == BATCH) {
			sched_poke(out, slot);
			return;
		}
		c2_unpark(q, re);
		if (!re->entity->on_slot) {
			c2_queue_up(s, re, now_ns, out);
		}
	}
}
