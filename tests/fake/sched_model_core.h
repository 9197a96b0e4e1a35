/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the model share. */
#pragma once

#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/sched_model.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOTS		SCHED_MODEL_SLOTS
#define ENTITIES	14u
#define GROUPS		3u

struct slot {
	bool joined, poked;
	struct sched_entity *current, *leaving;
	uint64_t since_ns, until_ns;
};

struct core {
	struct sched s;
	struct sched_table *old_table;
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

static inline unsigned dice(struct core *c, unsigned sides)
{
	return (unsigned)test_rand_below(&c->rng, sides);
}

static inline unsigned number_of(const struct core *c, const struct sched_entity *e)
{
	return (unsigned)(e - c->e);
}

static inline void take_pokes(struct core *c, const struct sched_out *out)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (sched_pokes(out, i)) {
			c->slot[i].poked = true;
		}
	}
}

static inline void give_up(struct core *c, void *ptr)
{
	if (!c->mutant) {
		free(ptr);
		return;
	}
	c->kept = realloc(c->kept, (c->kept_count + 1) * sizeof(c->kept[0]));
	c->kept[c->kept_count++] = ptr;
}

static inline void check(struct core *c, const char *after)
{
	struct sched_reason why = { "" };

	if (!c->s.ops->check(&c->s, &why)) {
		WRONG(c, "check() after %s: %s", after, why.words);
	}
}

/* --- sched_model_table.c: tables, of policies that have one. */
/* As pool/ sets one. rows may have any order. Nothing happens when the policy refuses it. */
void model_set_table(struct core *c, const struct sched_values *values, const struct sched_row *rows, unsigned count);
/* Any, with these values. */
void model_random_table(struct core *c, struct sched_values set);
/* One with a window for everybody that check_progress() meets. */
void model_full_table(struct core *c);
