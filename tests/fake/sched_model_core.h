/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the model share. */
#pragma once

#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/sched_model.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOTS		c->slots
#define ENTITIES	c->entities
#define GROUPS		3u

struct slot {
	bool joined, poked;
	struct sched_entity *current, *leaving;
	uint64_t since_ns, until_ns;
};

struct core {
	struct sched s;
	const struct sched_ops *other;	/* the policy to change to, and back; NULL: the same */
	struct sched_table *old_table;
	unsigned slots, entities, check_every, checks;
	unsigned llc_log2;		/* slots of an LLC; a core has two */
	void *slot_priv[SCHED_MODEL_SLOTS_MAX];
	struct slot slot[SCHED_MODEL_SLOTS_MAX];
	struct sched_group g[GROUPS];
	struct sched_entity e[SCHED_MODEL_ENTITIES_MAX];
	bool added[SCHED_MODEL_ENTITIES_MAX];
	uint64_t wake_ns[SCHED_MODEL_ENTITIES_MAX];	/* live(): when it is woken */
	uint64_t waits_since_ns[SCHED_MODEL_ENTITIES_MAX];
	uint64_t now_ns;
	unsigned kept_in;		/* as in struct sched_conform */
	bool mutant;			/* it may hold on to memory it gave up: keep all to the end */
	void **kept;
	unsigned kept_count;
	struct test_rng rng;
	char wrong[256];		/* the first breach; empty: none */
};

#define WRONG(c, ...) \
	do { \
		if ((c)->wrong[0] == '\0') { \
			int n_ = snprintf((c)->wrong, sizeof((c)->wrong), "%s: ", (c)->s.ops->name); \
			snprintf((c)->wrong + n_, sizeof((c)->wrong) - (size_t)n_, __VA_ARGS__); \
		} \
	} while (0)

static inline unsigned dice(struct core *c, unsigned sides)
{
	return sides == 0 ? 0 : (unsigned)test_rand_below(&c->rng, sides);
}

static inline unsigned number_of(const struct core *c, const struct sched_entity *e)
{
	return (unsigned)(e - c->e);
}

static inline void take_pokes(struct core *c, const struct sched_out *out)
{
	for (unsigned i = 0; i < SLOTS && out->any; i++) {
		c->slot[i].poked |= sched_pokes(out, i);
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

	if (++c->checks % c->check_every == 0 && !c->s.ops->check(&c->s, &why)) {
		WRONG(c, "check() after %s: %s", after, why.words);
	}
}

/* --- sched_model.c: what the core does. */
enum end { END_TIME, END_BLOCK, END_YIELD };

void model_make_runnable(struct core *c, struct sched_entity *e, struct sched_out *out);
void model_make_blocked(struct core *c, struct sched_entity *e, struct sched_out *out);
void model_release(struct core *c, unsigned slot);
void model_round_on(struct core *c, unsigned slot, enum end end);
void model_drop(struct core *c, unsigned slot, bool wake_again);
void model_join_or_leave(struct core *c, unsigned slot);
void model_add_or_remove(struct core *c, unsigned i);
void model_set_affinity(struct core *c, struct sched_entity *e);
void model_tune(struct core *c);
void model_make_object(struct core *c, const struct sched_ops *ops);
void model_end_object(struct core *c);
void model_change_object(struct core *c);

/* --- sched_model_table.c: tables, of policies that have one. */
/* As pool/ sets one. rows may have any order. Nothing happens when the policy refuses it. */
void model_set_table(struct core *c, const struct sched_values *values, const struct sched_row *rows, unsigned count);
/* Any, with these values. */
void model_random_table(struct core *c, struct sched_values set);
/* An empty one, where the policy has tables: no window keeps a slot or an entity. */
void model_no_table(struct core *c);
/* One with a window for everybody. */
void model_full_table(struct core *c);
