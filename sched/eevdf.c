/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * eevdf: earliest eligible virtual deadline first (Stoica and Abdel-Wahab 1995), with a latency class per VM. sched/fair.h
 * does it; here is what a request is.
 *
 * Its deadline is its start plus its length. `latency-nice` changes the length of a VM's requests, and so how soon each is
 * due and how long it takes, but not the VM's share: by 2 in steps of 5. -20 is 1/16 of the length, 0 the timeslice of an
 * entity of average weight, 15 8 times that.
 *
 * Who wakes asks for a request of half a timeslice, or a quarter, and so on, while that is twice what it ran for last time, but
 * none longer than its own: who always needs little gets it soon. Such a request is brief: it is likely to sleep again before
 * the end.
 *
 * Decided here: the weight is each vCPU's, as with Xen's credit schedulers. Soft affinity is asked when an idle slot is
 * chosen. A cap holds per `cap-period`; what was overrun is taken from the next period. The timeslice keeps its mean: a
 * pool of 9 busy vCPUs runs each of them once in about 9 timeslices of one cpu, whatever the weights.
 */
#include "sched/fair.h"

#define NICE_MIN	(-20)
#define NICE_MAX	19
#define FULL		4u		/* the class of a timeslice */
#define NICE_STEP	5		/* from one length to half of it */

enum { EEVDF_LATENCY_NICE = FAIR_OWN };

static const struct sched_tunable eevdf_tunables[] = {
	FAIR_TUNABLES(100 * NS_PER_US, 100 * NS_PER_MS, 2500 * NS_PER_US),
	[EEVDF_LATENCY_NICE] = {
		.name = "latency-nice", .type = SCHED_INT, .scope = SCHED_GROUP, .live = true,
		.min = NICE_MIN, .max = NICE_MAX, .def = 0, .help = "below 0: sooner and shorter, by 2 each 5; the share stays",
	},
};

static unsigned ordinary(const struct sched_entity *e)
{
	return FAIR_BRIEF + (unsigned)(e->group->values.v[EEVDF_LATENCY_NICE] - NICE_MIN) / NICE_STEP;
}

static void woken(struct fair *f, struct fair_entity *fe)
{
	const unsigned most = fe->ordinary->shift;
	const uint64_t times = f->request / (2 * fe->burst + 1);

	if (times < 2 || (most < 2 && fe->burst > f->request << most >> 4)) {
		fair_ask(f, fe, fe->ordinary);
	} else {
		unsigned halves = MIN(63 - (unsigned)__builtin_clzl(times), FULL);

		fair_ask(f, fe, &f->class[MIN(FULL - halves, most)]);
	}
}

static const struct fair_policy policy = {
	.stretch = 4,
	.ordinary = ordinary,
	.woken = woken,
	.classes = {
		"brief requests, 1/16 of the length", "brief, 1/8", "brief, 1/4", "brief, 1/2",
		[FAIR_BRIEF] = "requests, 1/16 of the length", "1/8", "1/4", "1/2", "full", "double", "4 times", "8 times",
	},
};

static enum err eevdf_init(struct sched *s)
{
	fair_init(s, &policy);
	return ERR_OK;
}

static void eevdf_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to)
{
	fair_export(s, e, to);
	to->latency = e->group->values.v[EEVDF_LATENCY_NICE];
}

static void eevdf_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns)
{
	fair_import(s, e, from, now_ns);
	if (from->latency != 0) {
		e->group->values.v[EEVDF_LATENCY_NICE] = MAX(NICE_MIN, MIN(from->latency, NICE_MAX));
		fair_set_kind(s->priv, e->priv);
	}
}

SCHED_POLICY(sched_eevdf,
	.name = "eevdf",
	.summary = "fair by weight, earliest virtual deadline first; latency-nice per VM",
	FAIR_OPS,
	.tunables = eevdf_tunables, .tunable_count = ARRAY_SIZE(eevdf_tunables),
	.init = eevdf_init, .tune = fair_tune, .export = eevdf_export, .import = eevdf_import,
);
