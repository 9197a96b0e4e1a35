/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtds: global earliest deadline first. Each vCPU may run for `budget` in every `period`; of those with budget left, the
 * ones with the earliest deadlines run, on whatever slots they may use. See edf.c for servers and extra time.
 *
 * Admission. U is the sum of budget/period, Umax the largest of them. On one slot U <= 1 is exact. On m slots everything
 * is accepted under
 *
 *      U <= m - (m - 1) Umax           (Goossens, Funk and Baruah 2003; for such servers: Baruah, Goossens and Lipari 2002)
 *
 * With vCPUs that are pinned this is asked of each set B of slots such that whoever may run on a slot of B may run on all
 * of it, of all who may run there: for there too a slot is free only when all of them run. Each vCPU needs one such B,
 * and is tried with what is left of its own slots after taking away those of narrower ones.
 *
 * Decided where Xen is unclear: extra time is shared in proportion to the budgets (Xen: a budget a turn, by priority levels);
 * a period begins at a wake, not on a grid; `slice` is taken for `budget`. Settings are a vCPU's; a VM's hold for all of its own.
 */
#include "sched/edf.h"

static const struct sched_tunable rtds_tunables[] = {
	[EDF_PERIOD] = {
		.name = "period", .type = SCHED_TIME, .scope = SCHED_ENTITY, .live = true,
		.min = 10 * NS_PER_US, .max = EDF_PERIOD_MAX, .def = 10 * NS_PER_MS, .help = "how often a vCPU has its budget",
	},
	[EDF_BUDGET] = {
		.name = "budget", .also = "slice", .type = SCHED_TIME, .scope = SCHED_ENTITY, .live = true,
		.min = 10 * NS_PER_US, .max = EDF_PERIOD_MAX, .def = 4 * NS_PER_MS, .help = "what it may use of each period",
	},
	[EDF_EXTRATIME] = {
		.name = "extratime", .type = SCHED_BOOL, .scope = SCHED_ENTITY, .live = true,
		.max = 1, .def = 1, .help = "it may use more when nobody else has a claim",
	},
};

static enum err rtds_init(struct sched *s)
{
	edf_init(s, false);
	return ERR_OK;
}

static void configure(struct sched *s, struct edf_entity *ee, uint64_t now_ns, struct sched_out *out)
{
	const struct sched_values *v = &ee->entity->values;
	const struct edf_entity want = {
		.period_ns = (uint64_t)v->v[EDF_PERIOD], .budget_ns = (uint64_t)v->v[EDF_BUDGET],
		.extratime = v->v[EDF_EXTRATIME] != 0, .use = edf_use(v), .quantum_ns = (uint64_t)v->v[EDF_BUDGET],
		.weight = (uint64_t)v->v[EDF_BUDGET] / (10 * NS_PER_US),
	};

	edf_reserve(s, ee, &want, now_ns, out);
}

static void rtds_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	edf_add(s, e);
	configure(s, e->priv, now_ns, out);
}

static void rtds_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		      struct sched_out *out)
{
	(void)g;
	if (e != NULL) {
		configure(s, e->priv, now_ns, out);
	}
}

/* --- Admission. */

struct sum {
	uint64_t use, most;
	unsigned slots;
};

/* One who shares a slot of b but cannot use all of it: what he can use is left out. */
static void narrow(struct cpuset *b, const struct cpuset *hard)
{
	struct cpuset rest = *b;

	cpuset_andnot(&rest, hard);
	if (!cpuset_empty(&rest)) {
		*b = rest;
	}
}

static void count(struct sum *sum, const struct cpuset *b, const struct cpuset *hard, const struct sched_values *v)
{
	if (hard == NULL || cpuset_intersects(b, hard)) {
		sum->use += edf_use(v);
		sum->most = MAX(sum->most, edf_use(v));
	}
}

static const struct cpuset *hard_of(const struct edf_entity *ee)
{
	return ee->want != NULL && ee->want->hard != NULL ? ee->want->hard : &ee->entity->hard;
}

static enum err judge(const struct sum *sum, uint64_t use_new, struct sched_reason *why)
{
	uint64_t bound = sum->slots * EDF_ONE - (sum->slots - 1) * sum->most;

	if (sum->use <= bound) {
		return ERR_OK;
	}
	if (sum->slots == 1) {
		return sched_refuse(ERR_ADMISSION, why, "budgets take " EDF_FMT " there + " EDF_FMT " new = " EDF_FMT " of 1 cpu",
				    EDF_ARG(sum->use - use_new), EDF_ARG(use_new), EDF_ARG(sum->use));
	}
	return sched_refuse(ERR_ADMISSION, why, "budgets take " EDF_FMT " there + " EDF_FMT " new = " EDF_FMT " of %u cpus; with one of "
			    EDF_FMT " at most " EDF_FMT " fit", EDF_ARG(sum->use - use_new), EDF_ARG(use_new),
			    EDF_ARG(sum->use), sum->slots, EDF_ARG(sum->most), EDF_ARG(bound));
}

/* What admit() is asked. */
struct question {
	struct sched *s;
	const struct sched_group *g;
	unsigned asked;			/* new ones and changed ones */
	const struct cpuset *slots;
	struct sched_reason *why;
};

/* Is one who may run on hard safe? Those who may run on all of the set that this is judged by are covered with him. */
static enum err try(const struct question *q, const struct cpuset *hard)
{
	const struct edf *x = q->s->priv;
	const struct sched_want *want = q->g != NULL && q->g->want_count > 0 ? q->g->want : NULL;
	struct cpuset b = *q->slots;
	struct sum sum = { 0 };
	uint64_t use_old;

	cpuset_and(&b, hard);
	for (const struct list *n = x->entities.next; n != &x->entities; n = n->next) {
		const struct edf_entity *ee = LIST_ENTRY(n, struct edf_entity, link);

		if (cpuset_intersects(&b, hard_of(ee))) {
			narrow(&b, hard_of(ee));
		}
	}
	for (unsigned i = 0; want != NULL && i < q->asked; i++) {
		if (want[i].instead == NULL && cpuset_intersects(&b, want[i].hard)) {
			narrow(&b, want[i].hard);
		}
	}
	sum.slots = cpuset_count(&b);
	if (sum.slots == 0) {
		return ERR_OK;		/* he may run nowhere */
	}
	for (struct list *n = x->entities.next; n != &x->entities; n = n->next) {
		struct edf_entity *ee = LIST_ENTRY(n, struct edf_entity, link);

		count(&sum, &b, hard_of(ee), ee->want != NULL ? &ee->want->values : &ee->entity->values);
		ee->covered = ee->covered || cpuset_intersects(&b, hard_of(ee));
	}
	use_old = sum.use;
	for (unsigned i = 0; q->g != NULL && i < q->asked; i++) {
		if (want == NULL || want[i].instead == NULL) {
			count(&sum, &b, want != NULL ? want[i].hard : NULL, want != NULL ? &want[i].values : &q->g->values);
		}
	}
	return judge(&sum, sum.use - use_old, q->why);
}

static enum err try_all(const struct question *q)
{
	struct edf *x = q->s->priv;
	const struct sched_want *want = q->g != NULL && q->g->want_count > 0 ? q->g->want : NULL;
	enum err e = q->asked > 0 && want == NULL ? try(q, q->slots) : ERR_OK;

	for (unsigned i = 0; e == ERR_OK && want != NULL && i < q->asked; i++) {
		e = try(q, want[i].hard);
	}
	LIST_FOREACH(n, &x->entities) {
		const struct edf_entity *ee = LIST_ENTRY(n, struct edf_entity, link);

		e = e == ERR_OK && !ee->covered ? try(q, hard_of(ee)) : e;
	}
	return e;
}

static enum err rtds_admit(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
			   struct sched_reason *why)
{
	const struct question q = { s, g, g != NULL && g->want_count > 0 ? g->want_count : entities, slots, why };
	struct edf *x = s->priv;
	enum err e;

	edf_mark(g, true);
	e = try_all(&q);
	edf_mark(g, false);
	LIST_FOREACH(n, &x->entities) {
		LIST_ENTRY(n, struct edf_entity, link)->covered = false;
	}
	return e;
}

/* Of whom admission let in: until its deadline for a budget, then a period for that. */
static uint64_t rtds_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct edf_entity *ee = e->priv;

	(void)s;
	return 2 * ee->period_ns;
}

SCHED_POLICY(sched_rtds,
	.name = "rtds",
	.summary = "global earliest deadline first: a budget in every period",
	.honours = SCHED_HONOURS_RESERVATION | SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_PER_ENTITY |
		   SCHED_WORK_CONSERVING,
	.tunables = rtds_tunables, .tunable_count = ARRAY_SIZE(rtds_tunables),
	.object_size = sizeof(struct edf), .slot_size = sizeof(struct edf_slot), .entity_size = sizeof(struct edf_entity),
	.init = rtds_init, .join = edf_join, .leave = edf_leave, .admit = rtds_admit, .validate = edf_validate,
	.add = rtds_add, .remove = edf_remove, .set_affinity = edf_set_affinity,
	.wake = edf_wake, .block = edf_block, .yield = edf_yield, .charge = edf_charge, .pick = edf_pick,
	.released = edf_released, .tune = rtds_tune, .export = edf_export,
	.describe = edf_describe, .check = edf_check, .wait_bound_ns = rtds_wait_bound_ns,
);
