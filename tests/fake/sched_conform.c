/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched_conform(): random operations, then a stretch of life, and what must hold meanwhile. It knows only the contract in
 * sched/sched.h. A breach ends the run; the first one is what is reported.
 */
#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/sched_model_core.h"

#include <stdlib.h>

/* The longest wait of anybody, whatever was promised: the longest slice is a second. */
#define STARVED_NS	(30 * NS_PER_S)

/* --- The rules that hold once every poke was followed. */

static void follow_pokes(struct core *c)
{
	bool any = true;

	for (unsigned bound = 0; any && c->wrong[0] == '\0'; bound++) {
		any = false;
		for (unsigned i = 0; i < SLOTS && c->wrong[0] == '\0'; i++) {
			if (c->slot[i].joined && (c->slot[i].poked || c->slot[i].leaving != NULL)) {
				any = true;
				model_release(c, i);
				if (c->slot[i].poked) {
					model_round_on(c, i, END_TIME);
				}
			}
		}
		if (bound == 1000) {
			WRONG(c, "pokes never end");
		}
	}
}

static void check_conserving(struct core *c)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!c->slot[i].joined || c->slot[i].current != NULL) {
			continue;
		}
		for (unsigned k = 0; k < ENTITIES; k++) {
			const struct sched_entity *e = &c->e[k];

			if (c->added[k] && e->runnable && !e->on_slot && e->parked == SCHED_NOT_PARKED &&
			    cpuset_has(&e->hard, i)) {
				WRONG(c, "slot %u idles beside entity %u", i, k);
			}
		}
	}
}

/* Says something, changes nothing that check() sees, and ends where its room does. */
static void describe(struct core *c)
{
	char words[64];
	struct text t = text_make(words, sizeof(words));

	c->s.ops->describe(&c->s, c->now_ns, &t);
	if (SLOTS > 0 && t.len == 0 && !cpuset_empty(&c->s.slots)) {
		WRONG(c, "describe: says nothing");
	}
}

static void random_op(struct core *c)
{
	unsigned slot = dice(c, SLOTS), i = dice(c, ENTITIES);
	struct sched_entity *e = &c->e[i];
	struct sched_out out;

	sched_out_init(&out);
	/* A jump: nothing happened for minutes. */
	c->now_ns += test_rand_below(&c->rng, dice(c, 500) == 0 ? 200 * NS_PER_S : 3 * NS_PER_MS);
	switch (dice(c, 16)) {
	case 0:
		if (dice(c, 300) == 0) {
			model_change_object(c);
		} else if (SLOTS > 0 && dice(c, 4) == 0) {
			model_join_or_leave(c, slot);
		}
		break;
	case 1:
		if (ENTITIES > 0) {
			model_add_or_remove(c, i);
		}
		break;
	case 2:
		if (c->added[i]) {
			model_set_affinity(c, e);
		}
		break;
	case 3:
		if (c->added[i] && e->runnable && !(e->on_slot && c->slot[e->slot].current == e)) {
			model_make_blocked(c, e, &out);	/* waits, or is on its way off */
		} else if (c->added[i] && e->runnable) {
			model_drop(c, e->slot, dice(c, 2));
		}
		break;
	case 4:
		model_tune(c);
		if (dice(c, 8) == 0) {
			describe(c);
		}
		break;
	case 5:
	case 6:
	case 7:
		model_release(c, slot);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		if (c->slot[slot].joined) {
			model_round_on(c, slot, dice(c, 3) == 0 ? END_BLOCK : dice(c, 2) ? END_YIELD : END_TIME);
		}
		break;
	default:
		if (c->added[i] && !e->runnable) {
			model_make_runnable(c, e, &out);
		}
		break;
	}
	take_pokes(c, &out);
	check(c, "an operation");
}

/* --- Life: time passes, slots ask when they said or were poked, entities sleep and wake. */

static uint64_t next_event(struct core *c)
{
	uint64_t next_ns = c->now_ns + 500 * NS_PER_MS;

	for (unsigned i = 0; i < SLOTS; i++) {
		if (c->slot[i].joined) {
			next_ns = MIN(next_ns, c->slot[i].until_ns);
		}
	}
	for (unsigned i = 0; i < ENTITIES; i++) {
		if (c->added[i] && !c->e[i].runnable) {
			next_ns = MIN(next_ns, c->wake_ns[i]);
		}
	}
	return MAX(next_ns, c->now_ns + NS_PER_US);
}

/* No one waits, unparked, beyond the bound; still: nothing else changes, so the policy's own holds. */
static void check_waits(struct core *c, bool still)
{
	for (unsigned i = 0; i < ENTITIES; i++) {
		const struct sched_entity *e = &c->e[i];
		uint64_t bound_ns = STARVED_NS;

		if (!c->added[i] || !e->runnable || e->on_slot || SLOTS == 0) {
			c->waits_since_ns[i] = c->now_ns;
			continue;
		}
		if (e->parked != SCHED_NOT_PARKED) {	/* until then at most, whatever the policy says */
			c->waits_since_ns[i] = MAX(c->waits_since_ns[i], MIN(c->now_ns, e->parked_until_ns));
		}
		if (c->s.ops->wait_bound_ns != NULL) {
			uint64_t own_ns = c->s.ops->wait_bound_ns(&c->s, e);

			bound_ns = still || own_ns == NS_NEVER ? own_ns : MAX(own_ns, STARVED_NS);
		}
		if (bound_ns != NS_NEVER && c->now_ns - c->waits_since_ns[i] > bound_ns + NS_PER_MS) {
			WRONG(c, "entity %u waits for %lu us, the bound is %lu", i,
			      (c->now_ns - c->waits_since_ns[i]) / NS_PER_US, bound_ns / NS_PER_US);
		}
	}
}

static void wake_due(struct core *c)
{
	struct sched_out out;

	for (unsigned i = 0; i < ENTITIES; i++) {
		if (c->added[i] && !c->e[i].runnable && c->wake_ns[i] <= c->now_ns) {
			sched_out_init(&out);
			model_make_runnable(c, &c->e[i], &out);
			take_pokes(c, &out);
			check(c, "wake");
		}
	}
}

static void live(struct core *c, unsigned events, bool still)
{
	for (unsigned i = 0; i < ENTITIES; i++) {
		c->wake_ns[i] = c->waits_since_ns[i] = c->now_ns;
	}
	for (unsigned n = 0; n < events && c->wrong[0] == '\0'; n++) {
		wake_due(c);
		follow_pokes(c);
		check_waits(c, still);
		c->now_ns = next_event(c);
		for (unsigned i = 0; i < SLOTS && c->wrong[0] == '\0'; i++) {
			struct sched_entity *e = c->slot[i].current;
			bool sleeps = e != NULL && !still && dice(c, 4) == 0;

			if (!c->slot[i].joined || (c->slot[i].until_ns > c->now_ns && !sleeps)) {
				continue;
			}
			model_round_on(c, i, sleeps ? END_BLOCK : END_TIME);
			if (sleeps) {
				c->wake_ns[number_of(c, e)] = c->now_ns + test_rand_below(&c->rng, 5 * NS_PER_MS);
			}
		}
	}
}

/* The pool's own values. A table stays, for a policy that has one. */
static void tune_to_defaults(struct core *c)
{
	const struct sched_ops *ops = c->s.ops;
	struct sched_out out;

	if (ops->tune == NULL || ops->check_table != NULL) {
		return;
	}
	for (unsigned i = 0; i < ops->tunable_count; i++) {
		if (ops->tunables[i].scope == SCHED_POOL && ops->tunables[i].live) {
			c->s.values.v[i] = ops->tunables[i].def;
		}
	}
	sched_out_init(&out);
	ops->tune(&c->s, NULL, NULL, c->now_ns, &out);
	take_pokes(c, &out);
}

/* With defaults, allowed everywhere: whoever wants to run does so again and again. */
static void check_progress(struct core *c, unsigned events)
{
	struct sched_out out;

	for (unsigned i = 0; i < SLOTS; i++) {
		if (!c->slot[i].joined) {
			model_join_or_leave(c, i);
		}
	}
	for (unsigned i = 0; i < GROUPS && c->s.ops->tune != NULL; i++) {
		sched_out_init(&out);
		sched_values_default(c->s.ops, &c->g[i].values);	/* a light or capped one may well wait for long */
		c->s.ops->tune(&c->s, &c->g[i], NULL, c->now_ns, &out);
		take_pokes(c, &out);
	}
	for (unsigned i = 0; i < ENTITIES; i++) {
		if (!c->added[i]) {
			continue;
		}
		cpuset_fill(&c->e[i].hard, c->kept_in > 0 || i % 2 ? CPU_MAX : SLOTS);	/* all the same, but not to look at */
		sched_out_init(&out);
		c->s.ops->set_affinity(&c->s, &c->e[i], c->now_ns, &out);
		take_pokes(c, &out);
	}
	if (c->s.ops->check_table != NULL) {
		model_full_table(c);
	}
	live(c, events, false);
	tune_to_defaults(c);		/* in the middle of slices of other lengths */
	live(c, 4 * events, true);
}

static void finish(struct core *c)
{
	model_no_table(c);
	for (unsigned i = 0; i < ENTITIES && c->wrong[0] == '\0'; i++) {
		if (c->added[i]) {
			model_add_or_remove(c, i);
		}
	}
	for (unsigned i = 0; i < SLOTS && c->wrong[0] == '\0'; i++) {
		if (c->slot[i].joined) {
			model_join_or_leave(c, i);
		}
	}
	/* After a breach the policy is not asked any more; its memory goes anyway. */
	for (unsigned i = 0; i < ENTITIES && c->wrong[0] != '\0'; i++) {
		if (c->added[i]) {
			free(c->e[i].priv);
		}
	}
	for (unsigned i = 0; i < SLOTS && c->wrong[0] != '\0'; i++) {
		free(c->slot_priv[i]);
	}
	model_end_object(c);
	for (unsigned i = 0; i < c->kept_count; i++) {
		free(c->kept[i]);
	}
	free(c->kept);
}

const char *sched_conform_of(const struct sched_conform *how)
{
	static struct core all;
	struct core *c = &all;

	*c = (struct core){ .rng = { how->seed }, .now_ns = NS_PER_S, .mutant = how->mutant, .other = how->other,
			     .kept_in = how->kept_in };
	c->slots = how->slots;
	c->entities = how->entities;
	c->check_every = MAX(how->check_every, 1u);
	c->llc_log2 = dice(c, 7);
	c->s.slot_priv = c->slot_priv;
	for (unsigned i = 0; i < GROUPS; i++) {
		snprintf(c->g[i].name, sizeof(c->g[i].name), "g%u", i);
	}
	model_make_object(c, how->ops);
	for (unsigned i = 0; i < how->steps && c->wrong[0] == '\0'; i++) {
		random_op(c);
		if (c->wrong[0] == '\0' && dice(c, 8) == 0) {
			follow_pokes(c);
			if ((c->s.ops->honours & SCHED_WORK_CONSERVING) != 0) {
				check_conserving(c);
			}
		}
	}
	if (c->wrong[0] == '\0') {
		check_progress(c, how->steps / 40);
	}
	finish(c);
	return c->wrong;
}

const char *sched_conform(const struct sched_ops *ops, uint64_t seed, unsigned steps, bool mutant)
{
	return sched_conform_of(&(struct sched_conform){ .ops = ops, .slots = 5, .entities = 14, .seed = seed,
							 .steps = steps, .mutant = mutant });
}
