/* SPDX-License-Identifier: BSD-2-Clause */
/* The timetable of a run: kept, then written as text, as a picture, as a trace. */
#pragma once

#include <stdio.h>

#include "tools/sim/plan.h"

struct timeline {
	struct sim *sim;
	struct sim_stretch *stretch;	/* in the order in which they ended */
	size_t count, room;
	size_t *last;			/* by entity: its latest stretch + 1 */
	unsigned entities;
};

struct window {
	uint64_t from_ns, to_ns;
};

/* From now on; after the last sim_entity(). */
void timeline_record(struct timeline *t, struct sim *sim);
void timeline_free(struct timeline *t);

/* A line a cpu: who ran, and until when. */
void draw_table(FILE *to, const struct timeline *t, struct window w);
/* A Gantt chart: a row a cpu, and where they are few a row an entity; events are marked. */
void draw_svg(FILE *to, const struct timeline *t, struct window w, const struct plan *plan,
	      const char *title);
/* Trace Event JSON, as the Perfetto UI opens it: the events, a track a cpu, a track an entity. */
void draw_perfetto(FILE *to, const struct timeline *line, struct window w, const struct plan *plan);
