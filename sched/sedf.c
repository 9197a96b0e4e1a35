/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sedf: partitioned earliest deadline first. A vCPU with a `slice` in every `period` has a home slot, and runs its slices
 * there and nowhere else; time that no slice wants is shared by `weight` among those with `extratime`, on every slot of the
 * pool. A vCPU without a slice, which is the default, lives on extra time alone. See edf.c for servers and extra time.
 *
 * What rtds guarantees depends on its largest vCPU; here each slot is one cpu under EDF, so slices may fill it to 1, and
 * small vCPUs are never hurt by a large one elsewhere. On the other hand a slice waits for its home while another slot is
 * free or gives its time away.
 *
 * Homes. A new vCPU goes to the allowed slot with the least room that is enough; where none has enough, all are placed again,
 * the largest first (first-fit decreasing). Admission accepts what one of these two can place. That is everything up to
 * U <= (b m + 1)/(b + 1) on m slots, where no vCPU is larger than 1/b (Lopez et al. 2000), and all U <= 1 on one slot.
 *
 * `latency`: a vCPU that wakes has its share in parts, the first after that time, then twice, and so on to the end of its
 * period; the sum is the same, so it costs the others nothing.
 *
 * Decided where Xen is unclear: a wake begins a period (Xen: what is left of it is forfeited); extra time has one class,
 * by weight (Xen: a class that makes up for short blocking, which cannot lose time here); `weight` needs no reservation and takes
 * none. Values are a vCPU's; a VM's hold for all of its own.
 */
#include "sched/edf.h"

#define EXTRA_QUANTUM_NS	(500 * NS_PER_US)

enum { SEDF_LATENCY = EDF_SETTINGS, SEDF_WEIGHT };

static const struct sched_tunable sedf_tunables[] = {
	[EDF_PERIOD] = {
		.name = "period", .type = SCHED_TIME, .scope = SCHED_ENTITY, .live = true,
		.min = 10 * NS_PER_US, .max = EDF_PERIOD_MAX, .def = 100 * NS_PER_MS, .help = "how often a vCPU has its slice",
	},
	[EDF_BUDGET] = {
		.name = "slice", .also = "budget", .type = SCHED_TIME, .scope = SCHED_ENTITY, .live = true,
		.min = 0, .max = EDF_PERIOD_MAX, .def = 0, .help = "what it is sure of in each period; 0: extra time only",
	},
	[EDF_EXTRATIME] = {
		.name = "extratime", .type = SCHED_BOOL, .scope = SCHED_ENTITY, .live = true,
		.max = 1, .def = 1, .help = "it may use more when no slice is due",
	},
	[SEDF_LATENCY] = {
		.name = "latency", .type = SCHED_TIME, .scope = SCHED_ENTITY, .live = true,
		.min = 0, .max = EDF_PERIOD_MAX, .def = 0, .help = "a part of its slice this soon after a wake; 0: within the period",
	},
	[SEDF_WEIGHT] = {
		.name = "weight", .type = SCHED_INT, .scope = SCHED_ENTITY, .live = true,
		.min = 1, .max = 65535, .def = 256, .help = "its share of extra time",
	},
};

static enum err sedf_init(struct sched *s)
{
	edf_init(s, true);
	return ERR_OK;
}

static enum err sedf_validate(const struct sched_values *v, enum sched_scope scope, struct sched_reason *why)
{
	if (scope != SCHED_POOL && v->v[EDF_BUDGET] == 0 && v->v[EDF_EXTRATIME] == 0) {
		return sched_refuse(ERR_INVAL, why, "without a slice and without extratime it would never run");
	}
	return edf_validate(v, scope, why);
}

/* --- Homes. */

enum fit { FIRST, FULLEST, EMPTIEST };

/* By what is booked in `trial`, an allowed slot with room for use, or, the emptiest, even without. SCHED_NO_SLOT: none. */
static unsigned find(struct sched *s, const struct cpuset *slots, const struct cpuset *hard, uint64_t use, enum fit fit)
{
	unsigned best = SCHED_NO_SLOT;
	uint64_t most = 0;

	CPUSET_FOREACH(slot, slots) {
		uint64_t trial = edf_slot_of(s, slot)->trial;

		if ((hard != NULL && !cpuset_has(hard, slot)) || (fit != EMPTIEST && trial + use > EDF_ONE)) {
			continue;
		}
		if (best == SCHED_NO_SLOT || (fit == FULLEST ? trial > most : trial < most)) {
			best = slot;
			most = trial;
		}
		if (fit == FIRST) {
			break;
		}
	}
	return best;
}

static void set_trials(struct sched *s, const struct cpuset *slots, bool loads)
{
	CPUSET_FOREACH(slot, slots) {
		edf_slot_of(s, slot)->trial = loads ? edf_slot_of(s, slot)->load : 0;
	}
}

static struct cpuset slots_but(const struct sched *s, unsigned leaving)
{
	struct cpuset slots = s->slots;

	if (leaving != SCHED_NO_SLOT) {
		cpuset_del(&slots, leaving);
	}
	return slots;
}

/* All again, the largest first. False: there is no place for one of size *unplaced. out: they live there now. */
static bool place_all(const struct edf_question *q, uint64_t *unplaced, struct sched_out *out)
{
	struct edf_walk w = edf_walk(q);

	set_trials(q->s, q->slots, false);
	while (edf_walk_on(&w)) {
		unsigned slot = find(q->s, q->slots, w.hard, w.use, FIRST);

		if (slot == SCHED_NO_SLOT) {
			*unplaced = w.use;
			return false;
		}
		edf_slot_of(q->s, slot)->trial += w.use;
		if (out != NULL) {
			edf_set_home(q->s, w.ee, slot, out);
		}
	}
	return true;
}

/* Everybody is placed again, if that gives all of them room. */
static bool place_if_fits(struct sched *s, const struct cpuset *slots, struct sched_out *out)
{
	const struct edf_question q = { .s = s, .slots = slots };
	uint64_t unplaced;

	return place_all(&q, &unplaced, NULL) && place_all(&q, &unplaced, out);
}

/* ee, without a home, gets one. */
static void find_home(struct sched *s, struct edf_entity *ee, unsigned leaving, struct sched_out *out)
{
	struct cpuset slots = slots_but(s, leaving);
	unsigned home;

	if (ee->budget_ns == 0) {
		return;
	}
	set_trials(s, &slots, true);
	home = find(s, &slots, &ee->entity->hard, ee->use, FULLEST);
	if (home == SCHED_NO_SLOT && place_if_fits(s, &slots, out)) {
		return;
	}
	if (home == SCHED_NO_SLOT) {
		set_trials(s, &slots, true);
		home = find(s, &slots, &ee->entity->hard, ee->use, EMPTIEST);
	}
	edf_set_home(s, ee, home, out);
}

/* Were some slots overfull, a change elsewhere may have made room. */
static void relieve(struct sched *s, unsigned leaving, struct sched_out *out)
{
	struct cpuset slots = slots_but(s, leaving);
	bool over = false;

	CPUSET_FOREACH(slot, &slots) {
		over = over || edf_slot_of(s, slot)->load > EDF_ONE;
	}
	if (over) {
		(void)place_if_fits(s, &slots, out);
	}
}

static void house_all(struct sched *s, unsigned leaving, struct sched_out *out)
{
	struct edf *x = s->priv;

	LIST_FOREACH(n, &x->entities) {
		struct edf_entity *ee = LIST_ENTRY(n, struct edf_entity, link);

		if (ee->home == SCHED_NO_SLOT) {
			find_home(s, ee, leaving, out);
		}
	}
	relieve(s, leaving, out);
}

/* --- Ops. */

static unsigned sedf_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			  struct sched_out *out)
{
	(void)edf_join(s, slot, place, now_ns, out);
	house_all(s, SCHED_NO_SLOT, out);
	return 0;
}

static void sedf_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct edf *x = s->priv;

	edf_leave(s, slot, now_ns, out);
	LIST_FOREACH(n, &x->entities) {
		struct edf_entity *ee = LIST_ENTRY(n, struct edf_entity, link);

		if (ee->home == slot) {
			edf_set_home(s, ee, SCHED_NO_SLOT, out);
		}
	}
	house_all(s, slot, out);
}

static void configure(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;
	const struct sched_values *v = &e->values;
	const struct edf_entity want = {
		.period_ns = (uint64_t)v->v[EDF_PERIOD], .budget_ns = (uint64_t)v->v[EDF_BUDGET],
		.latency_ns = (uint64_t)v->v[SEDF_LATENCY], .weight = (uint64_t)v->v[SEDF_WEIGHT],
		.extratime = v->v[EDF_EXTRATIME] != 0, .use = edf_use(v), .quantum_ns = EXTRA_QUANTUM_NS,
	};

	edf_reserve(s, ee, &want, now_ns, out);
	if (want.budget_ns == 0 || (ee->home != SCHED_NO_SLOT && edf_slot_of(s, ee->home)->load > EDF_ONE)) {
		edf_set_home(s, ee, SCHED_NO_SLOT, out);
	}
	if (ee->home == SCHED_NO_SLOT) {
		find_home(s, ee, SCHED_NO_SLOT, out);
	}
	relieve(s, SCHED_NO_SLOT, out);
}

static void sedf_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	edf_add(s, e);
	configure(s, e, now_ns, out);
}

static void sedf_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		      struct sched_out *out)
{
	(void)g;
	if (e != NULL) {
		configure(s, e, now_ns, out);
	}
}

static void sedf_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct edf_entity *ee = e->priv;

	edf_set_affinity(s, e, now_ns, out);
	if (ee->home != SCHED_NO_SLOT && !cpuset_has(&e->hard, ee->home)) {
		edf_set_home(s, ee, SCHED_NO_SLOT, out);
		find_home(s, ee, SCHED_NO_SLOT, out);
	}
	relieve(s, SCHED_NO_SLOT, out);
}

/* --- Admission: what find_home() and place_all() would come to. */

/* In the room that there is: those who stay keep their homes, and take no time to look at unless somebody has none. */
static bool fits_beside(const struct edf_question *q, uint64_t *unplaced)
{
	struct edf_walk w = edf_walk(q);
	uint64_t housed = 0;

	set_trials(q->s, q->slots, true);
	for (unsigned i = 0; q->g != NULL && i < q->g->want_count; i++) {
		const struct sched_entity *e = q->g->want[i].instead;
		const struct edf_entity *ee = e != NULL ? e->priv : NULL;

		if (ee != NULL && ee->home != SCHED_NO_SLOT) {
			edf_slot_of(q->s, ee->home)->trial -= ee->use;
		}
	}
	CPUSET_FOREACH(slot, q->slots) {
		housed += edf_slot_of(q->s, slot)->trial;
		*unplaced = 0;
		if (edf_slot_of(q->s, slot)->trial > EDF_ONE) {
			return false;
		}
	}
	if (housed == edf_use_there(q)) {
		w.next = NULL;
	}
	while (edf_walk_on(&w)) {
		bool stays = w.ee != NULL && w.ee->home != SCHED_NO_SLOT && cpuset_has(q->slots, w.ee->home);
		unsigned slot = stays ? w.ee->home : find(q->s, q->slots, w.hard, w.use, FULLEST);

		*unplaced = w.use;
		if (slot == SCHED_NO_SLOT) {
			return false;
		}
		edf_slot_of(q->s, slot)->trial += stays ? 0 : w.use;
	}
	return true;
}

static enum err sedf_admit(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
			   struct sched_reason *why)
{
	struct edf_question q = edf_ask(s, g, entities, slots);
	uint64_t there = edf_use_there(&q), new = 0, unplaced = 0;
	bool fit = fits_beside(&q, &unplaced) || place_all(&q, &unplaced, NULL);

	for (unsigned i = 0; !fit && i < q.asked; i++) {
		new += edf_use_asked(&q, i);
	}
	edf_unask(&q);
	if (fit) {
		return ERR_OK;
	}
	return sched_refuse(ERR_ADMISSION, why, "slices take " EDF_FMT " there + " EDF_FMT " new = " EDF_FMT " of %u cpus; no cpu has "
			    EDF_FMT " left", EDF_ARG(there), EDF_ARG(new), EDF_ARG(there + new), cpuset_count(slots),
			    EDF_ARG(unplaced));
}

static void sedf_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to)
{
	const struct edf_entity *ee = e->priv;

	edf_export(s, e, to);
	to->weight = (int64_t)ee->weight;
}

static void sedf_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns)
{
	edf_import(s, e, from, now_ns);
	if (from->weight > 0) {
		e->values.v[SEDF_WEIGHT] = MIN(from->weight, sedf_tunables[SEDF_WEIGHT].max);
		((struct edf_entity *)e->priv)->weight = (uint64_t)e->values.v[SEDF_WEIGHT];
	}
}

SCHED_POLICY(sched_sedf,
	.name = "sedf",
	.summary = "earliest deadline first with homes: a slice in every period, spare time by weight",
	.honours = SCHED_HONOURS_WEIGHT | SCHED_HONOURS_RESERVATION | SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_PER_ENTITY,
	.tunables = sedf_tunables, .tunable_count = ARRAY_SIZE(sedf_tunables),
	.object_size = sizeof(struct edf), .slot_size = sizeof(struct edf_slot),
	.entity_size = sizeof(struct edf_entity),
	.init = sedf_init, .join = sedf_join, .leave = sedf_leave, .admit = sedf_admit, .validate = sedf_validate,
	.add = sedf_add, .remove = edf_remove, .set_affinity = sedf_set_affinity,
	.wake = edf_wake, .block = edf_block, .yield = edf_yield, .charge = edf_charge, .pick = edf_pick,
	.released = edf_released, .tune = sedf_tune, .export = sedf_export, .import = sedf_import,
	.describe = edf_describe, .check = edf_check, .wait_bound_ns = edf_wait_bound_ns,
);
