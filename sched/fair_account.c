/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair shares: who was served how much, and the budgets of caps. See fair.h. */
#include "sched/fair.h"

#define BATCH	4u			/* parked ones that one pick may let go on */
#define FAR	(1l << 44)		/* further than that from the clock nobody was: keeps products below 2^63 */

void fair_set_request(struct fair *f)
{
	if (f->runnable > 0) {
		uint64_t average = f->runnable_weight / f->runnable;

		f->average = average * f->runnable == f->runnable_weight ? (uint32_t)average : 0;
		f->request = f->slice_ns * FAIR_ONE * f->runnable / f->runnable_weight;
		f->behind = FAIR_BEHIND * f->request;
		f->span = (FAIR_BEHIND + FAIR_AHEAD) * f->request;
	}
}

void fair_set_slice(struct fair *f, uint64_t slice_ns, uint64_t ratelimit_ns)
{
	f->slice_ns = slice_ns;
	f->stretch_ns = f->policy->stretch * slice_ns;
	f->ratelimit_ns = ratelimit_ns;
	f->least_ns = MAX(ratelimit_ns, FAIR_SLICE_MIN_NS);
	f->look_ns = f->straight_ns = 0;
	f->average = 0;
	fair_set_request(f);
}

void fair_set_masked(struct fair *f, int by)
{
	f->masked += (unsigned)by;
	fair_set_straight(f);
}

void fair_settle(struct fair *f, struct fair_entity *fe)
{
	uint64_t low = f->clock - FAIR_BEHIND / 2 * f->request, by;

	if (fe->counted && f->weight > fe->weight) {
		fair_count_out(f, fe);
		fe->apart = true;
	}
	if (fe->apart) {
		by = MIN(MAX(fe->v, f->clock - FAIR_BEHIND * f->request), f->clock + FAIR_AHEAD * f->request) - fe->v;
		fe->v += by;
		fe->start += by;
		fe->due += by;
		if (f->weight == 0 || fe->v - low <= (FAIR_BEHIND + FAIR_AHEAD) / 2 * f->request) {
			fair_count_in(f, fe);
		}
	}
}

void fair_reweigh(struct fair *f, struct fair_entity *fe)
{
	const int64_t was = (int64_t)fe->weight, is = fe->entity->group->values.v[FAIR_WEIGHT];
	const int64_t away = MAX(MIN((int64_t)(fe->v - f->clock), FAR), -FAR);
	const uint64_t clock = f->clock;

	if (was == is) {
		return;
	}
	if (fe->counted) {
		fair_count_out(f, fe);
		fe->apart = true;
	}
	fe->v = clock + (uint64_t)(away * was / is);
	fe->weight = (uint32_t)is;
	fe->rest = 0;
	if (fe->apart) {
		f->runnable_weight += (uint64_t)(is - was);
		fair_set_request(f);
		fair_count_in(f, fe);
	}
	fair_renew(f, fe);
}

void fair_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;
	uint64_t served = ran_ns * FAIR_ONE, v = served + fe->rest;

	(void)now_ns, (void)out;
	fe->group->used_ns += (int64_t)ran_ns;
	fe->v += v / fe->weight;
	fe->rest = (uint32_t)(v % fe->weight);
	if (fe->counted) {
		served += f->rest;
		f->clock += served / f->weight;
		f->rest = served % f->weight;
		if (fe->v - f->clock + f->behind <= f->span) {
			return;
		}
	}
	fair_settle(f, fe);
}

/* --- Caps: a group's budget for each period. */

/* Periods that are over take their budgets off what was used. What was used under another cap is forgotten. */
static void turn(struct fair_group *fg, uint64_t period, int64_t budget_ns, int64_t save_ns)
{
	int64_t passed = (int64_t)(period - fg->period);

	if (budget_ns != fg->budget_ns) {
		fg->budget_ns = budget_ns;
		fg->used_ns = 0;
	} else if (passed < 0 || passed > (fg->used_ns + save_ns) / budget_ns) {
		fg->used_ns = -save_ns;
	} else {
		fg->used_ns -= passed * budget_ns;
	}
	fg->period = period;
}

bool fair_fund(struct sched *s, struct fair_entity *fe, uint64_t now_ns, uint64_t *end_ns)
{
	const uint64_t period_ns = (uint64_t)s->values.v[FAIR_CAP_PERIOD];
	const int64_t budget_ns = (int64_t)period_ns * fe->entity->group->values.v[FAIR_CAP] / 100;
	struct fair_group *fg = fe->group;
	uint64_t period = ns_since(fg->epoch_ns, now_ns) / period_ns;

	if (period != fg->period || budget_ns != fg->budget_ns) {
		turn(fg, period, budget_ns, ((struct fair *)s->priv)->save_ns);
	}
	if (fg->used_ns < budget_ns) {
		*end_ns = now_ns + MAX((uint64_t)(budget_ns - fg->used_ns) / (fg->running + 1), 1ul);
		return true;
	}
	period += (uint64_t)(fg->used_ns / budget_ns);
	*end_ns = MAX(fg->epoch_ns + period * period_ns, now_ns + 1);
	return false;
}

void fair_park(struct fair *f, struct fair_entity *fe, uint64_t until_ns)
{
	if (fair_waits(fe)) {
		fair_dequeue(f, fe);
	}
	fair_stop(f, fe);
	fe->entity->parked = SCHED_PARK_CAP;
	fe->entity->parked_until_ns = until_ns;
	fe->node.key = until_ns;
	tree_insert(&f->parked, &fe->node);
	f->parked_count++;
}

void fair_unpark(struct fair *f, struct fair_entity *fe)
{
	fe->entity->parked = SCHED_NOT_PARKED;
	tree_remove(&f->parked, &fe->node);
	if (--f->parked_count == 0) {
		f->carrier = SCHED_NO_SLOT;
	}
}

void fair_let_go(const struct sched *s, struct fair_entity *fe, struct sched_out *out)
{
	struct fair *f = s->priv;

	fair_unpark(f, fe);
	fair_start(f, fe);
	fair_renew(f, fe);
	if (!fe->entity->on_slot) {
		fair_requeue(s, fe, out);
	}
}

void fair_unpark_due(const struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	const struct fair *f = s->priv;
	struct fair_entity *fe;

	for (unsigned n = 0; (fe = fair_of(tree_first(&f->parked))) != NULL && fe->node.key <= now_ns; n++) {
		if (n == BATCH) {
			sched_poke(out, slot);
			return;
		}
		fair_let_go(s, fe, out);
	}
}

uint64_t fair_carry(struct fair *f, unsigned slot, uint64_t until_ns, uint64_t now_ns)
{
	const struct tree_node *n = tree_first(&f->parked);

	if (n == NULL || (f->carrier != slot && f->carrier != SCHED_NO_SLOT && n->key >= f->carried_ns)) {
		return until_ns;
	}
	f->carrier = slot;
	f->carried_ns = n->key;
	return MIN(until_ns, MAX(n->key, now_ns + 1));
}
