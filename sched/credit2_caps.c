/* SPDX-License-Identifier: BSD-2-Clause */
/* credit2: the budgets of caps, and who is parked for want of one. */
#include "sched/credit2.h"

#define QUOTA_MIN_NS	(500 * NS_PER_US)
#define POT_BITS	40u			/* of c2_group.pot: what was used */
#define POT_MASK	((1ul << POT_BITS) - 1)
#define PERIOD_MASK	(UINT64_MAX >> POT_BITS)

static uint64_t period_of(const struct sched *s, const struct c2_group *g, uint64_t at_ns)
{
	return ns_since(g->epoch_ns, at_ns) / (uint64_t)s->values.v[C2_CAP_PERIOD];
}

uint64_t c2_spend(const struct sched *s, const struct sched_group *group, uint64_t at_ns, uint64_t ran_ns)
{
	struct c2_group *g = group->priv;
	const int64_t budget_ns = s->values.v[C2_CAP_PERIOD] * group->values.v[C2_CAP] / 100;
	const uint64_t period = period_of(s, g, at_ns), total_ns = (uint64_t)budget_ns;
	uint64_t old = get(&g->pot), used_ns, passed;

	do {
		passed = (period - (old >> POT_BITS)) & PERIOD_MASK;
		passed = passed > PERIOD_MASK / 2 ? 0 : passed;
		used_ns = old & POT_MASK;
		used_ns = used_ns / total_ns < passed ? 0 : used_ns - passed * total_ns;
		used_ns = MIN(used_ns + ran_ns, POT_MASK);
	} while (!atomic_compare_exchange_weak(&g->pot, &old,
					       ((old >> POT_BITS) + passed) << POT_BITS | used_ns));
	return minus(total_ns, used_ns);
}

bool c2_fund(const struct sched *s, struct c2_entity *re, uint64_t now_ns)
{
	const struct c2_group *g = re->entity->group->priv;
	const uint64_t period_ns = (uint64_t)s->values.v[C2_CAP_PERIOD];
	uint64_t left_ns = c2_spend(s, re->entity->group, now_ns, 0);

	re->funded_ns = g->epoch_ns + (period_of(s, g, now_ns) + 1) * period_ns;
	if (left_ns == 0) {
		return false;
	}
	left_ns = MIN(left_ns, MAX(left_ns / g->entities, QUOTA_MIN_NS));
	re->funded_ns = MIN(re->funded_ns, now_ns + left_ns);
	return true;
}

void c2_set_parked(struct c2_entity *re, bool parked)
{
	struct c2_queue *q = re->queue;
	const struct tree_node *n;

	re->entity->parked = parked ? SCHED_PARK_CAP : SCHED_NOT_PARKED;
	if (parked) {
		re->entity->parked_until_ns = re->node.key = re->funded_ns;
		tree_insert(&q->parked, &re->node);
	} else {
		tree_unlink(&re->node);
	}
	n = tree_first(&q->parked);
	q->parked_ns = n != NULL ? n->key : NS_NEVER;
	q->event_ns = MIN(q->parked_ns, q->balance_ns);
}

void c2_unpark_due(struct sched *s, struct c2_queue *q, uint64_t now_ns, struct sched_out *out)
{
	struct c2_entity *re = entity_of(tree_first(&q->parked));

	for (unsigned i = 0; i < C2_BATCH && re != NULL && re->node.key <= now_ns; i++) {
		c2_set_parked(re, false);
		if (!re->entity->on_slot) {
			c2_wait(s, re, now_ns, out);
		}
		re = entity_of(tree_first(&q->parked));
	}
}
