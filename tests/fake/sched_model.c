/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's core: it keeps what pool/ keeps and calls the ops as pool/ would.
 */
#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/sched_model_core.h"

#include <stdio.h>
#include <stdlib.h>

/* --- What the core does, op by op. */

void model_make_runnable(struct core *c, struct sched_entity *e, struct sched_out *out)
{
	e->runnable = true;
	e->runnable_since_ns = c->now_ns;
	c->s.ops->wake(&c->s, e, c->now_ns, out);
}

void model_make_blocked(struct core *c, struct sched_entity *e, struct sched_out *out)
{
	e->runnable = false;
	c->s.ops->block(&c->s, e, c->now_ns, out);
}

void model_release(struct core *c, unsigned slot)
{
	struct sched_entity *e = c->slot[slot].leaving;
	struct sched_out out;

	if (e == NULL) {
		return;
	}
	sched_out_init(&out);
	c->slot[slot].leaving = NULL;
	e->on_slot = false;
	c->s.ops->released(&c->s, e, c->now_ns, &out);
	take_pokes(c, &out);
	check(c, "released");
}

static void charge(struct core *c, unsigned slot, struct sched_out *out)
{
	struct slot *sl = &c->slot[slot];

	if (sl->current == NULL) {
		return;
	}
	sl->current->used_ns += c->now_ns - sl->since_ns;
	if (c->s.ops->charge != NULL) {
		c->s.ops->charge(&c->s, sl->current, c->now_ns - sl->since_ns, c->now_ns, out);
	}
	sl->since_ns = c->now_ns;
}

static void check_pick(struct core *c, unsigned slot, const struct sched_pick *p)
{
	const struct sched_entity *e = p->entity;

	if (p->until_ns <= c->now_ns) {
		WRONG(c, "pick: until is not later than now");
	}
	if (e == NULL) {
		return;
	}
	if (e < c->e || e >= c->e + ENTITIES || !c->added[number_of(c, e)]) {
		WRONG(c, "pick: returned an entity that is not in the pool");
	} else if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		WRONG(c, "pick: entity %u is blocked or parked", number_of(c, e));
	} else if (e->on_slot && (e->slot != slot || c->slot[slot].current != e)) {
		WRONG(c, "pick: slot %u got entity %u, which is still on slot %u", slot, number_of(c, e), e->slot);
	} else if (!cpuset_has(&e->hard, slot)) {
		WRONG(c, "pick: entity %u may not run on slot %u", number_of(c, e), slot);
	}
}

static struct sched_pick pick(struct core *c, unsigned slot, struct sched_out *out)
{
	struct sched_pick p = c->s.ops->pick(&c->s, slot, c->now_ns, out);

	unsigned from = (unsigned)p.until_ns;

	if (p.entity != SCHED_PULL) {
		return p;
	}
	if (c->s.ops->pull == NULL || from == slot || from >= SLOTS || !c->slot[from].joined) {
		WRONG(c, "pick: asks slot %u to pull from slot %u", slot, from);
	} else if (dice(c, 16) > 0) {		/* else the slot to pull from has just left */
		c->s.ops->pull(&c->s, from, slot, c->now_ns, out);
		check(c, "pull");
	}
	p = c->s.ops->pick(&c->s, slot, c->now_ns, out);
	return p.entity != SCHED_PULL ? p : (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
}

/* A round of the loop on slot. The one that goes off stays unreleased until somebody calls model_release(). */
void model_round_on(struct core *c, unsigned slot, enum end end)
{
	struct slot *sl = &c->slot[slot];
	struct sched_entity *last = sl->current;
	struct sched_pick p;
	struct sched_out out;

	model_release(c, slot);
	sched_out_init(&out);
	sl->poked = false;
	charge(c, slot, &out);
	if (last != NULL && end == END_BLOCK) {
		model_make_blocked(c, last, &out);
	} else if (last != NULL && end == END_YIELD) {
		c->s.ops->yield(&c->s, last, c->now_ns, &out);
	}
	p = pick(c, slot, &out);
	check_pick(c, slot, &p);
	if (c->wrong[0] != '\0') {
		return;
	}
	sl->current = p.entity;
	sl->until_ns = p.until_ns;
	sl->since_ns = c->now_ns;
	if (p.entity != NULL) {
		p.entity->on_slot = true;
		p.entity->slot = slot;
	}
	if (last != NULL && last != p.entity) {
		sl->leaving = last;
	}
	take_pokes(c, &out);
	check(c, "pick");
}

/* Takes the current entity off slot for good, as dispatch_drop_current() does. */
void model_drop(struct core *c, unsigned slot, bool wake_again)
{
	struct sched_entity *e = c->slot[slot].current;
	struct sched_out out;

	model_release(c, slot);
	if (e == NULL) {
		return;
	}
	sched_out_init(&out);
	charge(c, slot, &out);
	model_make_blocked(c, e, &out);
	c->slot[slot].current = NULL;
	c->slot[slot].poked = true;
	c->slot[slot].leaving = e;
	take_pokes(c, &out);
	model_release(c, slot);
	if (wake_again) {
		sched_out_init(&out);
		model_make_runnable(c, e, &out);
		take_pokes(c, &out);
	}
	check(c, "drop");
}

static void take_off(struct core *c, struct sched_entity *e)
{
	struct sched_out out;

	if (e->on_slot && c->slot[e->slot].current == e) {
		model_drop(c, e->slot, false);
	} else if (e->on_slot) {
		model_release(c, e->slot);
	}
	if (e->runnable) {
		sched_out_init(&out);
		model_make_blocked(c, e, &out);
		take_pokes(c, &out);
	}
}

/* admission = warn, now and then: what the policy refused comes all the same. */
static bool warned(struct core *c)
{
	return dice(c, 2) == 0;
}

void model_join_or_leave(struct core *c, unsigned slot)
{
	const unsigned llc = slot >> c->llc_log2;
	const struct sched_place place = { .core = slot / 2, .llc = llc, .package = llc / 2, .node = llc / 2 };
	struct cpuset rest = c->s.slots;
	struct sched_reason why;
	struct sched_out out;

	sched_out_init(&out);
	if (!c->slot[slot].joined) {
		c->slot[slot] = (struct slot){ .joined = true, .poked = true };
		c->slot_priv[slot] = calloc(1, c->s.ops->slot_size + 1);
		cpuset_add(&c->s.slots, slot);
		if (c->s.ops->join(&c->s, slot, &place, c->now_ns, &out) >= SLOTS) {
			WRONG(c, "join: more domains than slots");
		}
	} else {
		cpuset_del(&rest, slot);
		if (c->s.ops->admit != NULL && c->s.ops->admit(&c->s, NULL, 0, &rest, &why) != ERR_OK && !warned(c)) {
			return;
		}
		model_drop(c, slot, true);
		c->s.ops->leave(&c->s, slot, c->now_ns, &out);
		cpuset_del(&c->s.slots, slot);
		give_up(c, c->slot_priv[slot]);
		c->slot_priv[slot] = NULL;
		c->slot[slot] = (struct slot){ 0 };
		for (unsigned i = 0; i < ENTITIES; i++) {
			if (c->added[i] && c->e[i].slot == slot) {
				c->e[i].slot = SCHED_NO_SLOT;
			}
		}
	}
	take_pokes(c, &out);
	check(c, "join or leave");
}

static struct cpuset random_hard(struct core *c)
{
	struct cpuset s = { 0 };

	if (SLOTS > 0 && dice(c, c->kept_in > 0 ? c->kept_in : 3) == 0) {
		for (unsigned n = 1 + dice(c, SLOTS); n > 0; n--) {
			cpuset_add(&s, dice(c, SLOTS));
		}
	} else {
		cpuset_fill(&s, c->kept_in > 0 || dice(c, 2) ? CPU_MAX : SLOTS);	/* all that there can be, or all that there are */
	}
	return s;
}

/* May e, in the pool or about to be, have these values and this set? */
static bool admits(struct core *c, const struct sched_entity *e, const struct sched_values *values,
		   const struct cpuset *hard)
{
	bool there = c->added[number_of(c, e)];
	struct sched_want want = { .values = *values, .hard = hard, .instead = there ? e : NULL };
	struct sched_group probe = { .values = e->group->values, .want = &want, .want_count = 1 };
	struct sched_reason why;

	memcpy(probe.name, e->group->name, sizeof(probe.name));
	return c->s.ops->admit == NULL || c->s.ops->admit(&c->s, &probe, !there, &c->s.slots, &why) == ERR_OK || warned(c);
}

/* made: it is, now; what is not live may be anything, too. */
static struct sched_values random_values(struct core *c, const struct sched_values *now, enum sched_scope scope, bool made)
{
	struct sched_values set = *now;
	struct sched_reason why;

	for (unsigned i = 0; i < c->s.ops->tunable_count; i++) {
		const struct sched_tunable *t = &c->s.ops->tunables[i];

		if (t->scope == scope && (t->live || made)) {
			uint64_t span = (uint64_t)t->max - (uint64_t)t->min + 1, size = 1ul << dice(c, 64);

			set.v[i] = dice(c, 2) ? t->def : t->min + (int64_t)test_rand_below(&c->rng, MIN(span, size));
		}
	}
	return c->s.ops->validate != NULL && c->s.ops->validate(&set, scope, &why) != ERR_OK ? *now : set;
}

void model_add_or_remove(struct core *c, unsigned i)
{
	struct sched_entity *e = &c->e[i];
	struct sched_out out;

	sched_out_init(&out);
	if (!c->added[i]) {
		*e = (struct sched_entity){ .group = &c->g[dice(c, GROUPS)], .number = i, .slot = SCHED_NO_SLOT };
		e->hard = random_hard(c);
		e->soft = random_hard(c);
		sched_values_default(c->s.ops, &e->values);
		e->values = random_values(c, &e->values, SCHED_ENTITY, false);
		if (!admits(c, e, &e->values, &e->hard)) {
			return;
		}
		e->priv = calloc(1, c->s.ops->entity_size + 1);
		c->s.ops->add(&c->s, e, c->now_ns, &out);
		c->added[i] = true;
	} else {
		take_off(c, e);
		if (c->s.ops->remove != NULL) {
			c->s.ops->remove(&c->s, e, c->now_ns, &out);
		}
		c->added[i] = false;
		give_up(c, e->priv);
	}
	take_pokes(c, &out);
	check(c, "add or remove");
}

void model_set_affinity(struct core *c, struct sched_entity *e)
{
	const struct cpuset hard = random_hard(c);
	struct sched_out out;

	if (!admits(c, e, &e->values, &hard)) {
		return;
	}
	sched_out_init(&out);
	e->hard = hard;
	e->soft = random_hard(c);
	c->s.ops->set_affinity(&c->s, e, c->now_ns, &out);
	take_pokes(c, &out);
	if (e->on_slot && c->slot[e->slot].current == e && !cpuset_has(&e->hard, e->slot) && !c->slot[e->slot].poked) {
		WRONG(c, "set_affinity: entity %u runs on where it may not", number_of(c, e));
	}
	check(c, "set_affinity");
}

void model_tune(struct core *c)
{
	struct sched_group *g = dice(c, 2) ? &c->g[dice(c, GROUPS)] : NULL;
	struct sched_entity *e = g != NULL && dice(c, 2) ? &c->e[dice(c, ENTITIES)] : NULL;
	struct sched_values set;
	struct sched_out out;

	if (c->s.ops->check_table != NULL) {
		model_random_table(c, random_values(c, &c->s.values, SCHED_POOL, false));
		return;
	}
	sched_out_init(&out);
	if (e != NULL) {
		if (ENTITIES == 0 || !c->added[number_of(c, e)]) {
			return;
		}
		g = e->group;
		set = random_values(c, &e->values, SCHED_ENTITY, false);
		if (!admits(c, e, &set, &e->hard)) {
			return;
		}
		e->values = set;
	} else if (g != NULL) {
		g->values = random_values(c, &g->values, SCHED_GROUP, false);
	} else {
		c->s.values = random_values(c, &c->s.values, SCHED_POOL, false);
	}
	if (c->s.ops->tune != NULL) {
		c->s.ops->tune(&c->s, g, e, c->now_ns, &out);
	}
	take_pokes(c, &out);
	check(c, "tune");
}

/* --- Another object: of the same policy or of another one. */

void model_make_object(struct core *c, const struct sched_ops *ops)
{
	c->s.ops = ops;
	c->s.priv = calloc(1, ops->object_size + 1);
	sched_values_default(ops, &c->s.values);
	if (ops->check_table == NULL) {
		c->s.values = random_values(c, &c->s.values, SCHED_POOL, true);
	}
	for (unsigned i = 0; i < GROUPS; i++) {
		sched_values_default(ops, &c->g[i].values);
		c->g[i].priv = calloc(1, ops->group_size + 1);
	}
	if (ops->init(&c->s) != ERR_OK) {
		WRONG(c, "init: refused");
	}
}

/* Nothing is in it. */
void model_end_object(struct core *c)
{
	if (c->wrong[0] == '\0' && c->s.ops->fini != NULL) {
		c->s.ops->fini(&c->s);
	}
	for (unsigned i = 0; i < GROUPS; i++) {
		give_up(c, c->g[i].priv);
	}
	if (c->old_table != c->s.table) {
		give_up(c, c->old_table);
	}
	give_up(c, c->s.table);
	c->old_table = c->s.table = c->s.table_used = NULL;
	give_up(c, c->s.priv);
}

/* An entity comes back from the old object, with the standing it had there. Refused: it stays out. */
static void enter(struct core *c, struct sched_entity *e, const struct sched_snapshot *standing)
{
	struct sched_out out;

	sched_values_default(c->s.ops, &e->values);
	e->slot = SCHED_NO_SLOT;
	e->parked = SCHED_NOT_PARKED;
	if (!admits(c, e, &e->values, &e->hard)) {
		return;
	}
	sched_out_init(&out);
	e->priv = calloc(1, c->s.ops->entity_size + 1);
	c->s.ops->add(&c->s, e, c->now_ns, &out);
	if (c->s.ops->import != NULL) {
		c->s.ops->import(&c->s, e, standing, c->now_ns);
	}
	c->added[number_of(c, e)] = true;
	take_pokes(c, &out);
	check(c, "import");
}

void model_change_object(struct core *c)
{
	static struct sched_snapshot standing[SCHED_MODEL_ENTITIES_MAX];
	static bool had[SCHED_MODEL_ENTITIES_MAX], joined[SCHED_MODEL_SLOTS_MAX];
	const struct sched_ops *to = c->other != NULL && dice(c, 2) ? c->other : c->s.ops;

	model_no_table(c);
	for (unsigned i = 0; i < ENTITIES; i++) {
		had[i] = c->added[i];
		if (had[i]) {
			take_off(c, &c->e[i]);
			standing[i] = (struct sched_snapshot){ .used_ns = c->e[i].used_ns };
			if (c->s.ops->export != NULL) {
				c->s.ops->export(&c->s, &c->e[i], &standing[i]);
			}
			model_add_or_remove(c, i);
		}
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		joined[i] = c->slot[i].joined;
		if (joined[i]) {
			model_join_or_leave(c, i);
		}
	}
	if (c->wrong[0] != '\0') {
		return;
	}
	model_end_object(c);
	c->other = to != c->s.ops ? c->s.ops : c->other;
	model_make_object(c, to);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (joined[i]) {
			model_join_or_leave(c, i);
		}
	}
	for (unsigned i = 0; i < ENTITIES && c->wrong[0] == '\0'; i++) {
		if (had[i]) {
			enter(c, &c->e[i], &standing[i]);
		}
	}
}

