/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sched/: every registered policy is held to the contract by a model; test_sched_mutants.c shows that it catches what it
 * is there for. And the registry: finding, parsing and printing.
 */
#include "tests/host/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/fake/sched_model.h"

static const struct {
	unsigned slots, entities, steps, check_every, seeds;
} sizes[] = {
	{ 5, 14, 20000, 1, 4 }, { 0, 8, 2000, 1, 2 }, { 1, 0, 2000, 1, 1 }, { 1, 6, 10000, 1, 2 },
	{ 3, 40, 10000, 3, 2 }, { 1, 512, 6000, 50, 1 }, { 64, 100, 10000, 20, 1 }, { 256, 512, 4000, 200, 1 },
};

/* A policy that never comes back from an op is a breach, too: after so much of the cpu's time, for a run of some seconds. */
#define RUN_MAX_S	20

static char under_test[128];

static void hangs(int signal)
{
	(void)signal;
	(void)!write(STDOUT_FILENO, under_test, strlen(under_test));
	_exit(1);
}

static void expect_end(const struct sched_conform *how)
{
	const struct itimerval limit = { .it_value.tv_sec = how != NULL ? RUN_MAX_S : 0 };

	if (how != NULL) {
		snprintf(under_test, sizeof(under_test), "FAIL %s, or %s in its place, seed %lu: does not come back from an op\n",
			 how->ops->name, how->other->name, how->seed);
	}
	fflush(stdout);
	(void)signal(SIGVTALRM, hangs);
	(void)setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

/* SLOW=1: more seeds of each size, 60 million operations in all; a failure names its seed. */
TEST(conformance, "every registered policy keeps the contract under random operations, from 0 to 256 slots")
{
	const unsigned policies = sched_policy_count(), more = getenv("SLOW") != NULL ? 40 : 1;
	unsigned long steps = 0;

	CHECK(policies >= 2);
	for (unsigned i = 0; i < policies * ARRAY_SIZE(sizes); i++) {
		struct sched_conform how = { .ops = sched_policy_at(i % policies) };
		unsigned k = i / policies;

		how.slots = sizes[k].slots, how.entities = sizes[k].entities;
		how.steps = sizes[k].steps, how.check_every = sizes[k].check_every;
		for (how.seed = 1; how.seed <= sizes[k].seeds * more; how.seed++) {
			const char *wrong;

			how.other = sched_policy_at((unsigned)(i + how.seed) % policies);
			expect_end(&how);
			wrong = sched_conform_of(&how);
			steps += how.steps;
			if (wrong[0] != '\0') {
				test_fail(__FILE__, __LINE__, "%s, now and then %s, %u slots, %u entities, seed %lu: %s", how.ops->name,
					  how.other->name, how.slots, how.entities, how.seed, wrong);
			}
		}
	}
	expect_end(NULL);
	printf("  %lu operations, seeds from 1\n", steps);
}

extern const struct sched_ops sched_rr, sched_null;

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
