/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conformance of every registered policy: random operations, issued as pool/ would issue them, against a model that
 * knows only the contract in sched/sched.h. Mutants of rr show that the suite catches what it is there for.
 */
#include "tests/host/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "sched/sched.h"

#define SLOTS		5u
#define ENTITIES	14u
#define GROUPS		3u

struct slot {
	bool joined, poked;
	struct sched_entity *current, *leaving;
	uint64_t since_ns, until_ns;
};

struct core {
	struct sched s;
	void *slot_priv[SLOTS];
	struct slot slot[SLOTS];
	struct sched_group g[GROUPS];
	struct sched_entity e[ENTITIES];
	bool added[ENTITIES];
	uint64_t last_ran_ns[ENTITIES];
	uint64_t now_ns;
	bool mutant;			/* it may hold on to memory it gave up: keep all to the end */
	void **kept;
	unsigned kept_count;
	struct test_rng rng;
	char wrong[256];		/* the first breach; empty: none */
};

#define WRONG(c, ...) \
	do { \
		if ((c)->wrong[0] == '\0') { \
			snprintf((c)->wrong, sizeof((c)->wrong), __VA_ARGS__); \
		} \
	} while (0)

static unsigned dice(struct core *c, unsigned sides)
{
	return (unsigned)test_rand_below(&c->rng, sides);
}

static unsigned number_of(const struct core *c, const struct sched_entity *e)
{
	return (unsigned)(e - c->e);
}

static void take_pokes(struct core *c, const struct sched_out *out)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (sched_pokes(out, i)) {
			c->slot[i].poked = true;
		}
	}
}

static void give_up(struct core *c, void *ptr)
{
	if (!c->mutant) {
		free(ptr);
		return;
	}
	c->kept = realloc(c->kept, (c->kept_count + 1) * sizeof(c->kept[0]));
	c->kept[c->kept_count++] = ptr;
}

static void check(struct core *c, const char *after)
{
	struct sched_reason why = { "" };

	if (!c->s.ops->check(&c->s, &why)) {
		WRONG(c, "check() after %s: %s", after, why.words);
	}
}

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
	p = c->s.ops->pick(&c->s, slot, c->now_ns, &out);
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
		if (c->s.ops->join(&c->s, slot, &place, c->now_ns, &out) > slot) {
			WRONG(c, "join: the domain is above the slot");
		}
	} else {
		cpuset_del(&rest, slot);
		if (c->s.ops->admit != NULL && c->s.ops->admit(&c->s, NULL, 0, &rest, &why) != ERR_OK) {
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

	s.word[0] = dice(c, 3) == 0 ? 1 + dice(c, (1u << SLOTS) - 1) : ~0ul;
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

		if (c->s.ops->admit != NULL && c->s.ops->admit(&c->s, g, 1, &c->s.slots, &why) != ERR_OK) {
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

static void tune(struct core *c)
{
	struct sched_out out;

	sched_out_init(&out);
	for (unsigned i = 0; i < c->s.ops->tunable_count; i++) {
		const struct sched_tunable *t = &c->s.ops->tunables[i];

		if (t->scope == SCHED_POOL && t->live) {
			uint64_t span = (uint64_t)t->max - (uint64_t)t->min + 1;

			c->s.values.v[i] = dice(c, 2) ? t->def : t->min + (int64_t)test_rand_below(&c->rng, span);
		}
	}
	if (c->s.ops->tune != NULL) {
		c->s.ops->tune(&c->s, NULL, NULL, c->now_ns, &out);
	}
	take_pokes(c, &out);
	check(c, "tune");
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
		tune(c);
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
		if (c->added[i] && c->last_ran_ns[i] < start_ns + NS_PER_S) {
			WRONG(c, "entity %u is starved", i);
		}
	}
}

static void finish(struct core *c)
{
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
	free(c->s.priv);
	for (unsigned i = 0; i < c->kept_count; i++) {
		free(c->kept[i]);
	}
	free(c->kept);
}

/* What ops does wrong, or "". */
static const char *conform(const struct sched_ops *ops, uint64_t seed, unsigned steps, bool mutant)
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

TEST(conformance, "every registered policy keeps the contract under random operations")
{
	CHECK(sched_policy_count() >= 2);
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		for (uint64_t seed = 1; seed <= 50; seed++) {
			const char *wrong = conform(sched_policy_at(i), seed, 40000, false);

			if (wrong[0] != '\0') {
				test_fail(__FILE__, __LINE__, "%s, seed %lu: %s", sched_policy_at(i)->name, seed, wrong);
			}
		}
	}
}

/* --- Mutants: rr with one thing wrong, and a check() that sees nothing. */

extern const struct sched_ops sched_rr, sched_null;

static bool blind(struct sched *s, struct sched_reason *why)
{
	(void)s, (void)why;
	return true;
}

static void no_pokes(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	sched_rr.wake(s, e, now_ns, out);
	sched_out_init(out);
}

static void forget(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)now_ns, (void)out;
}

static void block_on_slot_only(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (e->on_slot) {
		sched_rr.block(s, e, now_ns, out);
	}
}

static struct sched_pick pick_until_now(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = sched_rr.pick(s, slot, now_ns, out);

	p.until_ns = p.entity != NULL && now_ns % 64 == 0 ? now_ns : p.until_ns;
	return p;
}

static struct sched_entity *last_on[SLOTS];

/* Queues the one it replaces at once, before its state has left the slot. */
static struct sched_pick pick_too_early(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_pick p = sched_rr.pick(s, slot, now_ns, out);
	struct sched_entity *last = last_on[slot];

	if (last != NULL && last != p.entity && last->on_slot && last->runnable && last->slot == slot) {
		last->on_slot = false;
		sched_rr.released(s, last, now_ns, out);
		last->on_slot = true;
	}
	last_on[slot] = p.entity;
	return p;
}

static void leave_quietly(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	sched_rr.leave(s, slot, now_ns, out);
	sched_out_init(out);
}

static struct sched_pick pick_anybody(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	/* Affinity is looked at when the set is changed, not when it is used. */
	struct sched_pick p = sched_rr.pick(s, slot, now_ns, out);

	if (p.entity != NULL) {
		cpuset_del(&p.entity->hard, slot);
	}
	return p;
}

static unsigned caught(const char *what, struct sched_ops mutant)
{
	const char *wrong = "";

	mutant.check = blind;
	for (uint64_t seed = 1; seed <= 20 && wrong[0] == '\0'; seed++) {
		memset(last_on, 0, sizeof(last_on));
		wrong = conform(&mutant, seed, 20000, true);
	}
	if (wrong[0] == '\0') {
		printf("  not caught: %s\n", what);
	}
	return wrong[0] != '\0';
}

TEST(mutants, "a policy that loses, keeps, starves or doubles an entity is caught, even when its check() is blind")
{
	struct sched_ops m[9];
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(m); i++) {
		m[i] = sched_rr;
	}
	m[0].wake = no_pokes;
	m[1].wake = forget;
	m[2].block = block_on_slot_only;
	m[3].pick = pick_until_now;
	m[4].pick = pick_too_early;
	m[4].released = forget;
	m[5].released = forget;
	m[6].leave = leave_quietly;
	m[7].pick = pick_anybody;
	m[8].set_affinity = forget;
	n += caught("wake pokes nobody", m[0]);
	n += caught("wake forgets", m[1]);
	n += caught("a blocked entity stays queued", m[2]);
	n += caught("until is now", m[3]);
	n += caught("queued before released", m[4]);
	n += caught("lost at released", m[5]);
	n += caught("leave tells nobody", m[6]);
	n += caught("picks without regard to affinity", m[7]);
	n += caught("a change of affinity goes unnoticed", m[8]);
	CHECK_EQ(n, 9);
}

/* --- Registry. */

TEST(registry, "policies are found by name; their tables are sound")
{
	CHECK(sched_policy_find("rr") == &sched_rr && sched_policy_find("null") == &sched_null);
	CHECK(sched_policy_find("") == NULL && sched_policy_find("rrr") == NULL);
	CHECK(sched_policy_at(sched_policy_count()) == NULL);
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		const struct sched_ops *ops = sched_policy_at(i);

		CHECK(strlen(ops->name) < SCHED_NAME_LEN && ops->tunable_count <= SCHED_TUNABLE_MAX);
		for (unsigned k = 0; k < ops->tunable_count; k++) {
			const struct sched_tunable *t = &ops->tunables[k];
			unsigned at;

			CHECK(sched_tunable_find(ops, t->name, &at) == t && at == k);
			CHECK(t->min <= t->def && t->def <= t->max && t->help != NULL);
		}
	}
}

static const char *print(const struct sched_tunable *t, int64_t value)
{
	static char buf[64];
	struct text to = text_make(buf, sizeof(buf));

	sched_value_print(t, value, &to);
	return buf;
}

TEST(parsing, "values are read with unit and range, and what is printed can be read again")
{
	static const char *const words[] = { "slow", "fast", NULL };
	const struct sched_tunable time = { .name = "t", .type = SCHED_TIME, .min = NS_PER_US, .max = NS_PER_S };
	const struct sched_tunable num = { .name = "n", .type = SCHED_INT, .min = -5, .max = 400, .unit = "%" };
	const struct sched_tunable yes = { .name = "y", .type = SCHED_BOOL, .max = 1 };
	const struct sched_tunable word = { .name = "w", .type = SCHED_ENUM, .max = 1, .words = words };
	struct sched_reason why;
	int64_t v = 77;

	CHECK_EQ(sched_value_parse(&time, "10", &v, &why), ERR_INVAL);
	CHECK_EQ(sched_value_parse(&time, "2s", &v, &why), ERR_RANGE);
	CHECK_STR(why.words, "t: found 2s, expected 1us to 1s");
	CHECK_EQ(sched_value_parse(&time, "99999999999999999999s", &v, &why), ERR_INVAL);
	CHECK_EQ(sched_value_parse(&time, "9999999999999s", &v, &why), ERR_INVAL);
	CHECK_EQ(sched_value_parse(&num, "5x", &v, &why), ERR_INVAL);
	CHECK_EQ(sched_value_parse(&num, "", &v, &why), ERR_INVAL);
	CHECK_EQ(sched_value_parse(&word, "medium", &v, &why), ERR_INVAL);
	CHECK_STR(why.words, "w: found \"medium\", expected one of slow fast");
	CHECK_EQ(v, 77);
	CHECK(sched_value_parse(&time, "250us", &v, &why) == ERR_OK && v == 250000);
	CHECK_STR(print(&time, v), "250us");
	CHECK(sched_value_parse(&num, "-5", &v, &why) == ERR_OK && v == -5);
	CHECK_STR(print(&num, v), "-5%");
	CHECK(sched_value_parse(&num, print(&num, 30), &v, &why) == ERR_OK && v == 30);
	CHECK(sched_value_parse(&yes, "on", &v, &why) == ERR_OK && v == 1);
	CHECK(sched_value_parse(&word, "fast", &v, &why) == ERR_OK && v == 1);
	CHECK_STR(print(&word, v), "fast");
}
