/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model behind sched_conform(): it keeps what the core keeps, issues random operations as pool/ would, and knows
 * only the contract in sched/sched.h. A breach ends the run; the first one is what is reported.
 */
#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/sched_model_core.h"

/* --- What the core does, op by op. */

static void make_runnable(struct core *c, struct sched_entity *e, struct sched_out *out)
{
	e->runnable = true;
	e->runnable_since_ns = c->now_ns;
	c->s.ops->wake(&c->s, e, c->now_ns, out);
}

static void make_blocked(struct core *c, struct sched_entity *e, struct sched_out *out)
{
	e->runnable = false;
	c->s.ops->block(&c->s, e, c->now_ns, out);
}

static void release(struct core *c, unsigned slot)
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
	c->last_ran_ns[number_of(c, sl->current)] = c->now_ns;
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

	if (!p.pull) {
		return p;
	}
	if (c->s.ops->pull == NULL || p.from == slot || p.from >= SLOTS || !c->slot[p.from].joined) {
		WRONG(c, "pick: asks slot %u to pull from slot %u", slot, p.from);
	} else if (dice(c, 16) > 0) {		/* else the slot to pull from has just left */
		c->s.ops->pull(&c->s, p.from, slot, c->now_ns, out);
		check(c, "pull");
	}
	return c->s.ops->pick(&c->s, slot, c->now_ns, out);
}

enum end { END_TIME, END_BLOCK, END_YIELD };

/* A round of the loop on slot. The one that goes off stays unreleased until somebody calls release(). */
static void round_on(struct core *c, unsigned slot, enum end end)
{
	struct slot *sl = &c->slot[slot];
	struct sched_entity *last = sl->current;
	struct sched_pick p;
	struct sched_out out;

	release(c, slot);
	sched_out_init(&out);
	sl->poked = false;
	charge(c, slot, &out);
	if (last != NULL && end == END_BLOCK) {
		make_blocked(c, last, &out);
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
static void drop(struct core *c, unsigned slot, bool wake_again)
{
	struct sched_entity *e = c->slot[slot].current;
	struct sched_out out;

	release(c, slot);
	if (e == NULL) {
		return;
	}
	sched_out_init(&out);
	charge(c, slot, &out);
	make_blocked(c, e, &out);
	c->slot[slot].current = NULL;
	c->slot[slot].poked = true;
	c->slot[slot].leaving = e;
	take_pokes(c, &out);
	release(c, slot);
	if (wake_again) {
		sched_out_init(&out);
		make_runnable(c, e, &out);
		take_pokes(c, &out);
	}
	check(c, "drop");
}

static void take_off(struct core *c, struct sched_entity *e)
{
	struct sched_out out;

	if (e->on_slot && c->slot[e->slot].current == e) {
		drop(c, e->slot, false);
	} else if (e->on_slot) {
		release(c, e->slot);
	}
	if (e->runnable) {
		sched_out_init(&out);
		make_blocked(c, e, &out);
		take_pokes(c, &out);
	}
}

/* admission = warn, now and then, where what was refused does no harm to others: a table's windows stay as they are. */
static bool warned(struct core *c)
{
	return c->s.ops->check_table != NULL && dice(c, 2) == 0;
}

static void join_or_leave(struct core *c, unsigned slot)
{
	const struct sched_place place = { .core = slot / 2, .llc = slot / 2 };
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
		drop(c, slot, true);
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

	if (dice(c, 3) == 0) {
		s.word[0] = 1 + dice(c, (1u << SLOTS) - 1);
	} else {
		cpuset_fill(&s, dice(c, 2) ? CPU_MAX : SLOTS);	/* all that there can be, or all that there are */
	}
	return s;
}

static void add_or_remove(struct core *c, unsigned i)
{
	struct sched_entity *e = &c->e[i];
	struct sched_reason why;
	struct sched_out out;

	sched_out_init(&out);
	if (!c->added[i]) {
		struct sched_group *g = &c->g[dice(c, GROUPS)];

		if (c->s.ops->admit != NULL && c->s.ops->admit(&c->s, g, 1, &c->s.slots, &why) != ERR_OK && !warned(c)) {
			return;
		}
		*e = (struct sched_entity){ .group = g, .number = i, .slot = SCHED_NO_SLOT };
		e->priv = calloc(1, c->s.ops->entity_size + 1);
		e->hard = e->soft = random_hard(c);
		sched_values_default(c->s.ops, &e->values);
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

static void set_affinity(struct core *c, struct sched_entity *e)
{
	struct sched_out out;

	sched_out_init(&out);
	e->hard = random_hard(c);
	c->s.ops->set_affinity(&c->s, e, c->now_ns, &out);
	take_pokes(c, &out);
	if (e->on_slot && c->slot[e->slot].current == e && !cpuset_has(&e->hard, e->slot) && !c->slot[e->slot].poked) {
		WRONG(c, "set_affinity: entity %u runs on where it may not", number_of(c, e));
	}
	check(c, "set_affinity");
}

static struct sched_values random_values(struct core *c, const struct sched_values *now, enum sched_scope scope)
{
	struct sched_values set = *now;
	struct sched_reason why;

	for (unsigned i = 0; i < c->s.ops->tunable_count; i++) {
		const struct sched_tunable *t = &c->s.ops->tunables[i];

		if (t->scope == scope && t->live) {
			uint64_t span = (uint64_t)t->max - (uint64_t)t->min + 1, size = 1ul << dice(c, 64);

			set.v[i] = dice(c, 2) ? t->def : t->min + (int64_t)test_rand_below(&c->rng, MIN(span, size));
		}
	}
	return c->s.ops->validate != NULL && c->s.ops->validate(&set, scope, &why) != ERR_OK ? *now : set;
}

static void tune(struct core *c)
{
	struct sched_group *g = dice(c, 2) ? &c->g[dice(c, GROUPS)] : NULL;
	struct sched_values *set = g != NULL ? &g->values : &c->s.values;
	struct sched_out out;

	if (c->s.ops->check_table != NULL) {
		model_random_table(c, random_values(c, &c->s.values, SCHED_POOL));
		return;
	}
	sched_out_init(&out);
	*set = random_values(c, set, g != NULL ? SCHED_GROUP : SCHED_POOL);
	if (c->s.ops->tune != NULL) {
		c->s.ops->tune(&c->s, g, NULL, c->now_ns, &out);
	}
	take_pokes(c, &out);
	check(c, "tune");
}

/* Values of its own for one entity; too much is let in, as under admission = warn. */
static void tune_entity(struct core *c, struct sched_entity *e)
{
	struct sched_out out;

	sched_out_init(&out);
	e->values = random_values(c, &e->values, SCHED_ENTITY);
	if (c->s.ops->tune != NULL) {
		c->s.ops->tune(&c->s, e->group, e, c->now_ns, &out);
	}
	take_pokes(c, &out);
	check(c, "tune of an entity");
}

/* --- The rules that hold once every poke was followed. */

static void follow_pokes(struct core *c)
{
	bool any = true;

	for (unsigned bound = 0; any && c->wrong[0] == '\0'; bound++) {
		any = false;
		for (unsigned i = 0; i < SLOTS && c->wrong[0] == '\0'; i++) {
			if (c->slot[i].joined && (c->slot[i].poked || c->slot[i].leaving != NULL)) {
				any = true;
				release(c, i);
				if (c->slot[i].poked) {
					round_on(c, i, END_TIME);
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

static void random_op(struct core *c)
{
	unsigned slot = dice(c, SLOTS), i = dice(c, ENTITIES);
	struct sched_entity *e = &c->e[i];
	struct sched_out out;

	sched_out_init(&out);
	c->now_ns += test_rand_below(&c->rng, 3 * NS_PER_MS);
	switch (dice(c, 16)) {
	case 0:
		if (dice(c, 4) == 0) {
			join_or_leave(c, slot);
		}
		break;
	case 1:
		add_or_remove(c, i);
		break;
	case 2:
		if (c->added[i]) {
			set_affinity(c, e);
		}
		break;
	case 3:
		if (c->added[i] && e->runnable && !(e->on_slot && c->slot[e->slot].current == e)) {
			make_blocked(c, e, &out);	/* waits, or is on its way off */
		} else if (c->added[i] && e->runnable) {
			drop(c, e->slot, dice(c, 2));
		}
		break;
	case 4:
		if (c->added[i] && dice(c, 3) == 0) {
			tune_entity(c, e);
		} else {
			tune(c);
		}
		break;
	case 5:
	case 6:
	case 7:
		release(c, slot);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		if (c->slot[slot].joined) {
			round_on(c, slot, dice(c, 3) == 0 ? END_BLOCK : dice(c, 2) ? END_YIELD : END_TIME);
		}
		break;
	default:
		if (c->added[i] && !e->runnable) {
			make_runnable(c, e, &out);
		}
		break;
	}
	take_pokes(c, &out);
	check(c, "an operation");
}

/* All awake, may run anywhere, and left alone: whoever fits must run again and again. */
static void check_progress(struct core *c)
{
	uint64_t start_ns = c->now_ns;
	struct sched_out out;

	for (unsigned i = 0; i < SLOTS; i++) {
		if (!c->slot[i].joined) {
			join_or_leave(c, i);
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
		cpuset_fill(&c->e[i].hard, SLOTS);
		sched_out_init(&out);
		c->s.ops->set_affinity(&c->s, &c->e[i], c->now_ns, &out);
		if (!c->e[i].runnable) {
			make_runnable(c, &c->e[i], &out);
		}
		take_pokes(c, &out);
	}
	if (c->s.ops->check_table != NULL) {
		model_full_table(c);
	}
	for (unsigned step = 0; step < 400 && c->wrong[0] == '\0'; step++) {
		follow_pokes(c);
		c->now_ns += 50 * NS_PER_MS;
		for (unsigned i = 0; i < SLOTS && c->wrong[0] == '\0'; i++) {
			if (c->slot[i].joined) {
				round_on(c, i, END_TIME);
			}
		}
	}
	for (unsigned i = 0; i < ENTITIES; i++) {
		uint64_t bound_ns = !c->added[i] || c->s.ops->wait_bound_ns == NULL ? 0 : c->s.ops->wait_bound_ns(&c->s, &c->e[i]);

		if (c->added[i] && bound_ns < 15 * NS_PER_S && c->last_ran_ns[i] < start_ns + NS_PER_S) {
			WRONG(c, "entity %u is starved", i);
		}
	}
}

static void finish(struct core *c)
{
	if (c->wrong[0] == '\0' && c->s.ops->check_table != NULL) {
		model_set_table(c, &c->s.values, &(struct sched_row){ 0 }, 0);	/* no window keeps a slot */
	}
	for (unsigned i = 0; i < ENTITIES && c->wrong[0] == '\0'; i++) {
		if (c->added[i]) {
			add_or_remove(c, i);
		}
	}
	for (unsigned i = 0; i < SLOTS && c->wrong[0] == '\0'; i++) {
		if (c->slot[i].joined) {
			join_or_leave(c, i);
		}
	}
	if (c->wrong[0] == '\0' && c->s.ops->fini != NULL) {
		c->s.ops->fini(&c->s);
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
	for (unsigned i = 0; i < GROUPS; i++) {
		free(c->g[i].priv);
	}
	if (c->old_table != c->s.table) {
		free(c->old_table);
	}
	free(c->s.table);
	free(c->s.priv);
	for (unsigned i = 0; i < c->kept_count; i++) {
		free(c->kept[i]);
	}
	free(c->kept);
}

const char *sched_conform(const struct sched_ops *ops, uint64_t seed, unsigned steps, bool mutant)
{
	static struct core c;

	c = (struct core){ .rng = { seed }, .now_ns = NS_PER_S, .mutant = mutant };
	c.s.ops = ops;
	c.s.slot_priv = c.slot_priv;
	c.s.priv = calloc(1, ops->object_size + 1);
	sched_values_default(ops, &c.s.values);
	for (unsigned i = 0; i < GROUPS; i++) {
		snprintf(c.g[i].name, sizeof(c.g[i].name), "g%u", i);
		sched_values_default(ops, &c.g[i].values);
		c.g[i].priv = calloc(1, ops->group_size + 1);
	}
	if (ops->init(&c.s) != ERR_OK) {
		WRONG(&c, "init: refused");
	}
	for (unsigned i = 0; i < steps && c.wrong[0] == '\0'; i++) {
		random_op(&c);
		if (c.wrong[0] == '\0' && dice(&c, 8) == 0) {
			follow_pokes(&c);
			if ((ops->honours & SCHED_WORK_CONSERVING) != 0) {
				check_conserving(&c);
			}
		}
	}
	if (c.wrong[0] == '\0') {
		check_progress(&c);
	}
	finish(&c);
	return c.wrong;
}
