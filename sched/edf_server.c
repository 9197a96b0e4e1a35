/* SPDX-License-Identifier: BSD-2-Clause */
/* What is rare in the servers of `rtds` and `sedf`: periods in parts, and debts. See edf.c. */
#include "sched/edf.h"

/* Less what it owes, but for a ns. */
static void give(struct edf_entity *ee, uint64_t deadline_ns, uint64_t budget_ns)
{
	uint64_t debt_ns;

	edf_give(ee, deadline_ns, budget_ns);
	debt_ns = MIN(ee->debt_ns, ee->left_ns - 1);
	ee->debt_ns -= debt_ns;
	ee->left_ns -= debt_ns;
}

/* A period begins at from_ns, with `latency` in parts that double, the first that long: the same share, sooner. */
void edf_begin(struct edf_entity *ee, uint64_t from_ns)
{
	ee->part_ns = ee->latency_ns > 0 && ee->latency_ns < ee->period_ns ? ee->latency_ns : ee->period_ns;
	ee->part_end_ns = from_ns + ee->period_ns;
	ee->given_ns = MAX(ee->budget_ns * ee->part_ns / ee->period_ns, 1u);
	give(ee, from_ns + ee->part_ns, ee->given_ns);
}

/* The next part of a period. */
static void next_part(struct edf_entity *ee, uint64_t now_ns)
{
	uint64_t from_ns = ee->deadline_ns, budget_ns;

	ee->part_ns = MIN(2 * ee->part_ns, ee->part_end_ns - from_ns);
	budget_ns = from_ns + ee->part_ns == ee->part_end_ns ? ns_since(ee->given_ns, ee->budget_ns) :
							       ee->budget_ns * ee->part_ns / ee->period_ns;
	budget_ns = MAX(budget_ns, 1u);
	ee->given_ns += budget_ns;
	give(ee, MAX(from_ns + ee->part_ns, now_ns), budget_ns);
}

/* The period, or the part of one, that ended at deadline_ns is followed by the next. Late by a period is late enough. */
void edf_go_on(struct edf_entity *ee, uint64_t now_ns)
{
	if (ee->latency_ns > 0 && ee->deadline_ns < ee->part_end_ns) {
		next_part(ee, now_ns);
	} else {
		give(ee, MAX(ee->deadline_ns + ee->period_ns, now_ns), ee->budget_ns);
	}
	ee->node.key = edf_key(ee);
	edf_note_special(ee);
}

/* What it ran beyond its share it has slept off since, if that was over. */
static void forgive(struct edf_entity *ee, uint64_t now_ns)
{
	uint64_t slept_ns = MIN(ns_since(MAX(ee->deadline_ns, ee->slept_ns), now_ns), EDF_PERIOD_MAX);

	ee->debt_ns = ns_since(ee->use * slept_ns >> 32, ee->debt_ns);
}

/* Some slot's `until` has to have the first of refill. */
void edf_arm(struct sched *s, struct sched_out *out)
{
	const struct edf *x = s->priv;
	unsigned slot = x->carrier != SCHED_NO_SLOT ? x->carrier : cpuset_first(&s->slots);

	if (x->refill_ns < x->armed_ns && slot != CPU_NONE) {
		sched_poke(out, slot);
	}
}

void edf_wake_other(struct sched *s, struct edf_entity *ee, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;

	if (ee->budget_ns > 0 && now_ns > ee->slept_ns && edf_is_over(ee, now_ns)) {
		forgive(ee, now_ns);
		edf_begin(ee, now_ns);
	} else if (ee->spent) {
		ee->vtime = MAX(ee->vtime, x->vtime);
		edf_expect_refill(x, ee);
	}
	if (ee->refill.linked) {
		edf_arm(s, out);
	}
	edf_park(ee);
	if (!ee->entity->on_slot && ee->entity->parked == SCHED_NOT_PARKED) {
		edf_enqueue(s, ee, out);		/* else released() will */
	}
}

/* Gives up a turn of extra time. A reservation is kept: what nobody else is entitled to cannot be given away. */
void edf_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	if (ee->spent) {
		ee->left_ns = 0;
	}
}
