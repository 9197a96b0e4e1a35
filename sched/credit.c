/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * credit: what Xen's first credit scheduler promises: shares by weight, caps, long slices, and a boost for who wakes.
 * sched/fair.h does it; here is what a request is.
 *
 * Credit is time that an entity is still owed. In place of an accounting that visits everybody each period, it is read off
 * the pool's clock when an entity is looked at. A pay is a request as long as a timeslice of an entity of average weight,
 * and a turn never longer than a timeslice. No step moves anybody from one class to the other:
 *
 *      BOOST   woke no further ahead of the clock, which moves only when runs end, than half a pay: goes before all others,
 *              for as long as the ratelimit
 *      UNDER   has credit: the clock has reached `start`, where its pay begins
 *      OVER    the clock is not there yet
 *
 * The boosted go as they woke, the others in the order in which the clock came, or will come, to their start: with equal
 * weights that is first come, first served. Time is charged by the clock, not by who runs when a tick comes: it cannot be
 * stolen. A slice is a pay, and no less than the ratelimit: until then nobody is preempted.
 *
 * Decided here: the weight is each vCPU's, as in Xen, where it is shared by active vCPUs alike. One queue for the pool, so
 * nothing is stolen between cpus. A boost lasts for the ratelimit, not until a tick finds it. An OVER pool goes in the
 * order of pay. Sleep saves half a pay, at most; there is no inactive state. A cap holds per `cap-period`, but a VM that
 * waited with budget in hand keeps up to a timeslice of it.
 */
#include "sched/fair.h"

enum { CREDIT_RATELIMIT = FAIR_OWN };
enum { BOOST = FAIR_BRIEF, OTHERS = FAIR_BRIEF + 4 };	/* of them, fair_ask() makes a request of 1 length */

static const struct sched_tunable credit_tunables[] = {
	FAIR_TUNABLES(NS_PER_MS, NS_PER_S, 30 * NS_PER_MS),
	[CREDIT_RATELIMIT] = {
		.name = "ratelimit", .type = SCHED_TIME, .scope = SCHED_POOL, .live = true,
		.min = 0, .max = 500 * NS_PER_MS, .def = NS_PER_MS, .help = "how long a vCPU runs before another may preempt it",
	},
};

static unsigned ordinary(const struct sched_entity *e)
{
	(void)e;
	return OTHERS;
}

static void woken(struct fair *f, struct fair_entity *fe)
{
	if (fe->v <= f->clock + f->request / 2) {
		fe->class = &f->class[BOOST];
		fe->start = f->wakes++;		/* as they come, and always eligible */
		fe->due = fe->v - 2 * FAIR_BEHIND * f->request;	/* before anybody's; so it is over as soon as can be */
	} else {
		fair_ask(f, fe, fe->ordinary);
	}
}

static const struct fair_policy policy = {
	.stretch = 1, .ordinary = ordinary, .woken = woken,
	.classes = { [BOOST] = "BOOST", [OTHERS] = "UNDER, then OVER" },
};

static void take_values(struct sched *s)
{
	struct fair *f = s->priv;

	f->save_ns = s->values.v[FAIR_TIMESLICE];
	fair_set_slice(f, (uint64_t)f->save_ns, (uint64_t)s->values.v[CREDIT_RATELIMIT]);
}

static enum err credit_init(struct sched *s)
{
	fair_init(s, &policy);
	take_values(s);
	return ERR_OK;
}

static void credit_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
			struct sched_out *out)
{
	take_values(s);
	fair_tune(s, g, e, now_ns, out);
}

SCHED_POLICY(sched_credit,
	.name = "credit",
	.summary = "shares by weight in long slices, caps; who wakes is boosted",
	FAIR_OPS,
	.tunables = credit_tunables, .tunable_count = ARRAY_SIZE(credit_tunables),
	.init = credit_init, .tune = credit_tune, .export = fair_export, .import = fair_import,
);
