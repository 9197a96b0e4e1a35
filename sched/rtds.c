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
 * That takes O(m + a) for a that are asked about together, while nobody is pinned; else O(c (p + a)), where p are pinned, to
 * c different sets: those with equal sets are judged as one.
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

/* May everybody use all of slots? */
static bool all_alike(const struct edf *x, const struct cpuset *slots)
{
	for (struct tree_node *n = tree_first(&x->by_set), *last = NULL; n != NULL; last = n, n = tree_next(n)) {
		struct cpuset out_of = *slots;

		if (last != NULL && last->key == n->key) {
			continue;		/* the same set */
		}
		cpuset_andnot(&out_of, &TREE_ENTRY(n, struct edf_entity, by_set)->entity->hard);
		if (!cpuset_empty(&out_of)) {
			return false;
		}
	}
	return true;
}

/* Whom EDF(k) puts first: see the head. Nobody where somebody is pinned. */
static unsigned urgent_count(struct sched *s, const struct cpuset *slots)
{
	struct edf *x = s->priv;
	unsigned m = cpuset_count(slots), k = 0;
	uint64_t rest = x->use;

	x->alike = all_alike(x, slots);
	if (!x->alike) {
		return 0;
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

/* One of all there would be: first, as one, those there who may use every slot, then the pinned ones, then who is asked about. */
struct each {
	const struct cpuset *hard;	/* NULL: all */
	uint64_t use, most;
	bool new, again;		/* again: of the same set as the last */
	const struct tree_node *next;	/* in by_set, or by_use for the first */
	unsigned next_asked;
};

static struct each first_of_all(const struct edf_question *q)
{
	const struct edf *x = q->s->priv;
	struct each all = { .use = edf_use_there(q), .next = tree_first(&x->by_set) };
	const struct edf_entity *ee;

	for (const struct tree_node *n = all.next; n != NULL; n = tree_next(n)) {
		ee = TREE_ENTRY(n, const struct edf_entity, by_set);
		all.use -= ee->want == NULL ? ee->use : 0;
	}
	for (const struct tree_node *n = tree_first(&x->by_use); n != NULL && all.most == 0; n = tree_next(n)) {
		ee = TREE_ENTRY(n, const struct edf_entity, by_use);
		all.most = ee->anywhere && ee->want == NULL ? ee->use : 0;
	}
	return all;
}

static bool next_of_all(const struct edf_question *q, struct each *at)
{
	const struct cpuset *last = at->hard;
	const struct tree_node *n = at->next;

	while (n != NULL && TREE_ENTRY(n, const struct edf_entity, by_set)->want != NULL) {
		n = tree_next(n);		/* asked about */
	}
	if (n != NULL) {
		const struct edf_entity *ee = TREE_ENTRY(n, const struct edf_entity, by_set);

		*at = (struct each){ .hard = &ee->entity->hard, .use = ee->use, .next = tree_next(n) };
	} else if (at->next_asked < q->asked) {
		unsigned i = at->next_asked;

		*at = (struct each){ .hard = edf_hard_asked(q, i), .use = edf_use_asked(q, i), .new = true, .next_asked = i + 1 };
	} else {
		return false;
	}
	at->most = at->use;
	at->again = last == at->hard || (last != NULL && at->hard != NULL && cpuset_equal(last, at->hard));
	return true;
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

/* EDF(k): the largest first on a slot each, the others by deadline on those that are left. */
static bool fits_without_largest(const struct edf_question *q, const struct sum *sum)
{
	uint64_t rest = sum->there + sum->new;
	struct edf_walk w = edf_walk(q);

	for (unsigned m = sum->slots; m > 0 && edf_walk_on(&w); m--) {
		if (rest <= bound(m, w.use)) {
			return true;
		}
		rest -= w.use;
	}
	return false;
}

/* Is one who may run on hard safe? So is whoever may run on a slot of the set that he is judged by: he may use all of it. */
static enum err try(const struct edf_question *q, const struct each *all, const struct cpuset *hard, struct sched_reason *why)
{
	struct cpuset b = *q->slots;
	struct sum sum = { 0 };
	struct each t = *all;
	bool alike = true, in = true;

	if (hard != NULL) {
		cpuset_and(&b, hard);
	}
	while (next_of_all(q, &t)) {
		if (!t.again && t.hard != NULL && cpuset_intersects(t.hard, &b)) {
			narrow(&b, t.hard);
		}
	}
	t = *all;
	do {
		in = t.again ? in : t.hard == NULL || cpuset_intersects(t.hard, &b);
		alike = alike && in;
		*(t.new ? &sum.new : &sum.there) += in ? t.use : 0;
		sum.most = MAX(sum.most, in ? t.most : 0);
	} while (next_of_all(q, &t));
	sum.slots = cpuset_count(&b);
	alike = alike && cpuset_equal(&b, q->slots);
	if (sum.slots == 0 || sum.there + sum.new <= bound(sum.slots, sum.most) || (alike && fits_without_largest(q, &sum))) {
		return ERR_OK;
	}
	return refuse(&sum, why);
}

static enum err rtds_admit(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
			   struct sched_reason *why)
{
	const struct edf_question q = edf_ask(s, g, entities, slots);
	const struct each all = first_of_all(&q);
	const bool some = all.use > 0 || (q.asked > 0 && edf_hard_asked(&q, 0) == NULL);
	struct each t = all;
	enum err e = some ? try(&q, &all, NULL, why) : ERR_OK;

	while (e == ERR_OK && next_of_all(&q, &t)) {
		e = t.again ? ERR_OK : try(&q, &all, t.hard, why);
	}
	edf_unask(&q);
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
	.released = edf_released, .tune = rtds_tune, .export = edf_export, .import = edf_import,
	.describe = edf_describe, .check = edf_check, .wait_bound_ns = edf_wait_bound_ns,
);
