/* SPDX-License-Identifier: BSD-2-Clause */
/* Keeps the timetable of a run, and writes it as text. */
#include "tools/sim/draw.h"

#include <stdlib.h>

#include "kernel/lib/format.h"
#include "tools/sim/internal.h"

static void keep(void *context, const struct sim_stretch *s)
{
	struct timeline *t = context;
	size_t *last = &t->last[s->entity->index];

	if (*last > 0) {
		struct sim_stretch *before = &t->stretch[*last - 1];

		if (before->state == s->state && before->slot == s->slot &&
		    before->to_ns == s->from_ns) {
			before->to_ns = s->to_ns;	/* sim_run() ended in between */
			return;
		}
	}
	SIM_PUSH(t->stretch, t->count, t->room, *s);
	*last = t->count;
}

void timeline_record(struct timeline *t, struct sim *sim)
{
	*t = (struct timeline){ .sim = sim, .entities = sim->entities };
	t->last = sim_alloc(sim->entities * sizeof(t->last[0]));
	sim_record(sim, keep, t);
}

void timeline_free(struct timeline *t)
{
	free(t->stretch);
	free(t->last);
}

static int by_slot_and_time(const void *a, const void *b)
{
	const struct sim_stretch *x = a, *y = b;

	return x->slot != y->slot ? (x->slot < y->slot ? -1 : 1) :
				    (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

static void put_ns(FILE *to, const char *who, uint64_t ns)
{
	char words[48];
	struct text text = text_make(words, sizeof(words));

	text_ns(&text, ns);
	fprintf(to, " %s %s", who, words);
}

static void end_line(FILE *to, const struct sim *sim, unsigned slot, uint64_t at_ns,
		     struct window w)
{
	if (slot < sim->cpus && at_ns < w.to_ns) {
		put_ns(to, "-", w.to_ns);
	}
	fputc('\n', to);
}

void draw_table(FILE *to, const struct timeline *t, struct window w)
{
	struct sim_stretch *run = sim_alloc(t->count * sizeof(run[0]));
	size_t n = 0, i = 0;
	char name[SIM_NAME_LEN];

	for (size_t k = 0; k < t->count; k++) {
		const struct sim_stretch *s = &t->stretch[k];

		if (s->state == SIM_RUNS && s->to_ns > w.from_ns && s->from_ns < w.to_ns) {
			run[n++] = *s;
		}
	}
	qsort(run, n, sizeof(run[0]), by_slot_and_time);
	for (unsigned slot = 0; slot < t->sim->cpus; slot++) {
		uint64_t at_ns = w.from_ns;

		fprintf(to, "cpu %u:", slot);
		for (; i < n && run[i].slot == slot; i++) {
			if (run[i].from_ns > at_ns) {
				put_ns(to, "-", run[i].from_ns);
			}
			at_ns = MIN(run[i].to_ns, w.to_ns);
			put_ns(to, sim_name(run[i].entity, name), at_ns);
		}
		end_line(to, t->sim, slot, at_ns, w);
	}
	free(run);
}
