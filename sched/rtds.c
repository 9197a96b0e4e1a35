/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtds: global earliest deadline first. Each vCPU may run for `budget` in every `period`; of those with budget left, the
 * ones with the earliest deadlines run, on whatever slots they may use. See edf.c for servers and extra time.
 *
 * Admission. U is the sum of budget/period, Umax the largest of them. On one slot U <= 1 is exact. On m slots everything
 * is accepted that has
 *
 *      U <= m - (m - 1) Umax           (Goossens, Funk and Baruah 2003; for such servers: Baruah, Goossens and Lipari 2002)
 *
 * or, where that fails, when it holds without the k largest on m - k slots, for some k: these then come before all deadlines
 * (EDF(k); Goossens, Funk and Baruah), as if each had a slot of its own. The least such k is used, so 0 where plain EDF will do.
 * A change of the set may change k; jobs under way at that moment are not promised anything.
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

/* --- Admission. */

/* What use may sum up to on that many slots, when most is the largest. */
static uint64_t bound(unsigned slots, uint64_t most)
{
	return slots * EDF_ONE - (slots - 1) * most;
}

/* Whom EDF(k) puts first: see the head. Nobody where somebody is pinned. */
static unsigned urgent_count(struct sched *s, const struct cpuset *slots)
{
	struct edf *x = s->priv;
	unsigned m = cpuset_count(slots), k = 0;
	uint64_t rest = x->use;

	LIST_FOREACH(n, &x->entities) {
		const struct edf_entity *ee = LIST_ENTRY(n, struct edf_entity, link);
		struct cpuset out_of = *slots;

		if (x->pinned == 0) {
			break;
		}
		cpuset_andnot(&out_of, &ee->entity->hard);
		if (!cpuset_empty(&out_of)) {
			return 0;
		}
	}
	for (struct tree_node *n = tree_first(&x->by_use); n != NULL && k < m; n = tree_next(n), k++) {
		uint64_t use = TREE_ENTRY(n, struct edf_entity, by_use)->use;

		if (rest <= bound(m - k, use)) {
			return k;
		}
		rest -= use;
	}
	return 0;		/* more than admission would let in: all are alike */
}

static void choose_urgent(struct sched *s, unsigned leaving, struct sched_out *out)
{
	struct edf *x = s->priv;
	struct cpuset slots = s->slots;
	unsigned count;

	if (leaving != SCHED_NO_SLOT) {
		cpuset_del(&slots, leaving);
	}
	count = urgent_count(s, &slots);
	for (struct tree_node *n = tree_first(&x->by_use); n != NULL && count + x->urgent > 0; n = tree_next(n)) {
		edf_set_urgent(s, TREE_ENTRY(n, struct edf_entity, by_use), count > 0, out);
		count -= count > 0;
	}
}

/* One who shares a slot of b but cannot use all of it: what he can use is left out. */
static void narrow(struct cpuset *b, const struct cpuset *hard)
{
	struct cpuset rest = *b;

	cpuset_andnot(&rest, hard);
	if (!cpuset_empty(&rest)) {
		*b = rest;
	}
}

static bool uses(const struct edf_walk *w, const struct cpuset *b)
{
	return w->hard == NULL || cpuset_intersects(w->hard, b);
}

struct sum {
	uint64_t there, new, most;
	unsigned slots;
};

static enum err refuse(const struct sum *sum, struct sched_reason *why)
{
	if (sum->slots == 1) {
		return sched_refuse(ERR_ADMISSION, why, "budgets take " EDF_FMT " there + " EDF_FMT " new = " EDF_FMT " of 1 cpu",
				    EDF_ARG(sum->there), EDF_ARG(sum->new), EDF_ARG(sum->there + sum->new));
	}
	return sched_refuse(ERR_ADMISSION, why, "budgets take " EDF_FMT " there + " EDF_FMT " new = " EDF_FMT " of %u cpus; beside one of "
			    EDF_FMT " at most " EDF_FMT " is safe", EDF_ARG(sum->there), EDF_ARG(sum->new),
			    EDF_ARG(sum->there + sum->new), sum->slots, EDF_ARG(sum->most),
			    EDF_ARG(bound(sum->slots, sum->most)));
}

/* Is whoever may use all of b safe? Nobody may use a part of it. */
static enum err judge(const struct edf_question *q, const struct cpuset *b, bool alike, struct sched_reason *why)
{
	struct sum sum = { .slots = cpuset_count(b) };
	unsigned m = sum.slots;
	uint64_t rest;

	for (struct edf_walk w = edf_walk(q); edf_walk_on(&w);) {
		if (uses(&w, b)) {
			*(w.ee != NULL ? &sum.there : &sum.new) += w.use;
			sum.most = MAX(sum.most, w.use);
		}
	}
	rest = sum.there + sum.new;
	if (rest <= bound(m, sum.most)) {
		return ERR_OK;
	}
	/* The largest first on a slot each, the others by deadline on those that are left. */
	for (struct edf_walk w = edf_walk(q); alike && m > 0 && edf_walk_on(&w); m--) {
		if (rest <= bound(m, w.use)) {
			return ERR_OK;
		}
		rest -= w.use;
	}
	return refuse(&sum, why);
}

/* Is one who may run on hard safe? Whoever may use all of the set of slots that he is judged by is covered with him. */
static enum err try(const struct edf_question *q, const struct cpuset *hard, struct sched_reason *why)
{
	struct cpuset b = *q->slots;
	bool alike;

	if (hard != NULL) {
		cpuset_and(&b, hard);
	}
	alike = cpuset_equal(&b, q->slots);
	for (struct edf_walk w = edf_walk(q); edf_walk_on(&w);) {
		if (w.hard != NULL && cpuset_intersects(&b, w.hard)) {
			narrow(&b, w.hard);
		}
		alike = alike && (w.hard == NULL || cpuset_intersects(&b, w.hard));
	}
	alike = alike && cpuset_equal(&b, q->slots);
	for (struct edf_walk w = edf_walk(q); edf_walk_on(&w);) {
		if (w.ee != NULL && uses(&w, &b)) {
			w.ee->covered = true;
		}
	}
	return cpuset_empty(&b) ? ERR_OK : judge(q, &b, alike, why);	/* empty: he may run nowhere */
}

static enum err rtds_admit(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
			   struct sched_reason *why)
{
	const struct edf_question q = edf_ask(s, g, entities, slots);
	struct edf *x = s->priv;
	enum err e = ERR_OK;

	for (struct edf_walk w = edf_walk(&q); e == ERR_OK && edf_walk_on(&w);) {
		if (w.ee == NULL || !w.ee->covered) {
			e = try(&q, w.hard, why);
		}
	}
	edf_unask(&q);
	LIST_FOREACH(n, &x->entities) {
		LIST_ENTRY(n, struct edf_entity, link)->covered = false;
	}
	return e;
}

/* --- Ops: those of edf.c, after which the urgent ones may be others. */

static void configure(struct sched *s, struct edf_entity *ee, uint64_t now_ns, struct sched_out *out)
{
	const struct sched_values *v = &ee->entity->values;
	const struct edf_entity want = {
		.period_ns = (uint64_t)v->v[EDF_PERIOD], .budget_ns = (uint64_t)v->v[EDF_BUDGET],
		.extratime = v->v[EDF_EXTRATIME] != 0, .use = edf_use(v), .quantum_ns = (uint64_t)v->v[EDF_BUDGET],
		.weight = (uint64_t)v->v[EDF_BUDGET] / (10 * NS_PER_US),
	};

	edf_reserve(s, ee, &want, now_ns, out);
	choose_urgent(s, SCHED_NO_SLOT, out);
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

static unsigned rtds_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			  struct sched_out *out)
{
	(void)edf_join(s, slot, place, now_ns, out);
	choose_urgent(s, SCHED_NO_SLOT, out);
	return 0;
}

static void rtds_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	edf_leave(s, slot, now_ns, out);
	choose_urgent(s, slot, out);
}

static void rtds_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	edf_remove(s, e, now_ns, out);
	choose_urgent(s, SCHED_NO_SLOT, out);
}

static void rtds_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	edf_set_affinity(s, e, now_ns, out);
	choose_urgent(s, SCHED_NO_SLOT, out);
}

SCHED_POLICY(sched_rtds,
	.name = "rtds",
	.summary = "global earliest deadline first: a budget in every period",
	.honours = SCHED_HONOURS_RESERVATION | SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_PER_ENTITY |
		   SCHED_WORK_CONSERVING,
	.tunables = rtds_tunables, .tunable_count = ARRAY_SIZE(rtds_tunables),
	.object_size = sizeof(struct edf), .slot_size = sizeof(struct edf_slot), .entity_size = sizeof(struct edf_entity),
	.init = rtds_init, .join = rtds_join, .leave = rtds_leave, .admit = rtds_admit, .validate = edf_validate,
	.add = rtds_add, .remove = rtds_remove, .set_affinity = rtds_set_affinity,
	.wake = edf_wake, .block = edf_block, .yield = edf_yield, .charge = edf_charge, .pick = edf_pick,
	.released = edf_released, .tune = rtds_tune, .export = edf_export,
	.describe = edf_describe, .check = edf_check, .wait_bound_ns = edf_wait_bound_ns,
);
