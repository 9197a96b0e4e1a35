/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched/: every registered policy is held to the contract by a model; mutants of rr show that the model catches what
 * it is there for. And the registry: finding, parsing and printing.
 */
#include "tests/host/test.h"

#include <stdio.h>

#include "tests/fake/sched_model.h"

TEST(conformance, "every registered policy keeps the contract under random operations")
{
	CHECK(sched_policy_count() >= 2);
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		for (uint64_t seed = 1; seed <= 50; seed++) {
			const char *wrong = sched_conform(sched_policy_at(i), seed, 40000, false);

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

static struct sched_entity *last_on[SCHED_MODEL_SLOTS];

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
		wrong = sched_conform(&mutant, seed, 20000, true);
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
