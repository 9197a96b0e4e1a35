/* SPDX-License-Identifier: BSD-2-Clause */
/* The model's tables, for policies that have one: random ones, and their replacement while the old one is in use. */
#include "tests/fake/sched_model_core.h"

static struct sched_row row_for(unsigned slot, const struct sched_group *g, unsigned number, uint64_t length_ns)
{
	struct sched_row row = { .slot = slot, .number = number, .length_ns = length_ns };

	memcpy(row.group, g->name, sizeof(row.group));
	return row;
}

void model_set_table(struct core *c, const struct sched_values *values, const struct sched_row *rows, unsigned count)
{
	struct sched_table *t = calloc(1, sizeof(*t) + count * sizeof(t->row[0])), *before = c->s.table, *older = c->old_table;
	struct sched_reason why;
	struct sched_out out;

	t->count = t->room = count;
	memcpy(t->row, rows, count * sizeof(t->row[0]));
	sched_table_finish(t);
	if (c->s.ops->check_table(values, t, &why) != ERR_OK) {
		free(t);
		return;
	}
	sched_out_init(&out);
	c->s.values = *values;
	c->s.table = t;
	c->s.ops->tune(&c->s, NULL, NULL, c->now_ns, &out);
	c->old_table = c->s.table_used;
	if (before != c->s.table_used) {
		give_up(c, before);
	}
	if (older != before && older != c->s.table_used) {
		give_up(c, older);
	}
	take_pokes(c, &out);
	check(c, "tune with a table");
}

void model_random_table(struct core *c, struct sched_values set)
{
	struct sched_row rows[12];
	unsigned n = SLOTS > 0 && ENTITIES > 0 ? dice(c, ARRAY_SIZE(rows) + 1) : 0, frame = 0;

	/* Short ones, for another is taken up at a frame's end. */
	CHECK(sched_tunable_find(c->s.ops, "frame", &frame) != NULL);
	set.v[frame] = MIN(set.v[frame], (int64_t)NS_PER_S);

	for (unsigned i = 0; i < n; i++) {
		unsigned k = dice(c, ENTITIES);

		rows[i] = row_for(dice(c, SLOTS), c->added[k] ? c->e[k].group : &c->g[0], k, 1 + test_rand_below(&c->rng, 30 * NS_PER_MS));
	}
	model_set_table(c, &set, rows, n);
}

void model_no_table(struct core *c)
{
	if (c->wrong[0] == '\0' && c->s.ops->check_table != NULL) {
		model_set_table(c, &c->s.values, &(struct sched_row){ 0 }, 0);
	}
}

/* Everybody has 10 ms of a frame. */
void model_full_table(struct core *c)
{
	static struct sched_row rows[SCHED_MODEL_ENTITIES_MAX];
	struct sched_values set = c->s.values;
	unsigned n = 0, frame = 0;

	CHECK(sched_tunable_find(c->s.ops, "frame", &frame) != NULL);
	set.v[frame] = (int64_t)((ENTITIES / MAX(SLOTS, 1u) + 1) * 10 * NS_PER_MS + 5 * NS_PER_MS);
	for (unsigned i = 0; i < ENTITIES && SLOTS > 0; i++) {
		if (c->added[i]) {
			rows[n] = row_for(n % SLOTS, c->e[i].group, i, 10 * NS_PER_MS);
			n++;
		}
	}
	model_set_table(c, &set, rows, n);
}
