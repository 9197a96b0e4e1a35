/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timetable as a Gantt chart. On top a row for each cpu, with the name where it fits; below,
 * where they are few, a row for each vCPU: solid where it runs, hatched where it waits, crossed
 * where it is parked, nothing where it sleeps. A colour is a VM. Pointing at a box says what it is.
 */
#include "tools/sim/draw.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/lib/format.h"
#include "tools/sim/internal.h"

#define LEFT_LEAST	110.0
#define LETTER		7.0		/* a wide one, of 12 pixels */
#define PLOT		1240.0
#define RIGHT		30.0
#define TOP		64.0
#define ROW		26.0
#define ENTITY_ROW	16.0
#define ENTITY_ROWS_MAX	40u
#define LEGEND_MAX	16u
#define EVENTS_MAX	40u		/* in words */
#define LABEL_LEN	(2 * SCHED_NAME_LEN * 2 + 24)
#define THINNEST	0.25		/* a box is at least that wide, else it would not show */

struct chart {
	FILE *to;
	const struct timeline *t;
	struct window w;
	const struct plan *plan;
	double left, entity_top;
	bool entities;
};

static double x_of(const struct chart *c, uint64_t ns)
{
	return c->left + PLOT * (double)(ns - c->w.from_ns) / (double)(c->w.to_ns - c->w.from_ns);
}

static void put_text(FILE *to, const char *s)
{
	for (; *s != '\0'; s++) {
		switch (*s) {
		case '<':
			fputs("&lt;", to);
			break;
		case '&':
			fputs("&amp;", to);
			break;
		default:
			fputc(*s, to);
			break;
		}
	}
}

/* Distinct for ten groups, told apart by hue alone after that. */
static void put_colour(FILE *to, unsigned group)
{
	static const char *const palette[] = {
		"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377",
		"#ee8866", "#44bb99", "#8877cc", "#997755",
	};

	if (group < ARRAY_SIZE(palette)) {
		fputs(palette[group], to);
	} else {
		fprintf(to, "hsl(%u,50%%,55%%)", group * 137 % 360);
	}
}

static void put_time(FILE *to, uint64_t ns)
{
	char words[48];
	struct text text = text_make(words, sizeof(words));

	text_ns(&text, ns);
	fputs(words, to);
}

static void put_title(const struct chart *c, const struct sim_stretch *s, const char *what)
{
	char name[SIM_NAME_LEN];

	fputs("<title>", c->to);
	put_text(c->to, sim_name(s->entity, name));
	fprintf(c->to, " %s ", what);
	put_time(c->to, s->from_ns);
	fputs(" to ", c->to);
	put_time(c->to, s->to_ns);
	fputs("</title>", c->to);
}

static void put_box(const struct chart *c, const struct sim_stretch *s, double y, double height,
		    const char *fill, const char *what)
{
	double x = x_of(c, MAX(s->from_ns, c->w.from_ns)), end = x_of(c, MIN(s->to_ns, c->w.to_ns));

	fprintf(c->to, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"", x, y,
		MAX(end - x, THINNEST), height);
	if (fill != NULL) {
		fputs(fill, c->to);
	} else {
		put_colour(c->to, s->entity->group->index);
	}
	fputs("\">", c->to);
	put_title(c, s, what);
	fputs("</rect>\n", c->to);
}

static void put_run(const struct chart *c, const struct sim_stretch *s)
{
	double y = TOP + ROW * s->slot;
	double x = x_of(c, MAX(s->from_ns, c->w.from_ns)), end = x_of(c, MIN(s->to_ns, c->w.to_ns));
	char what[32], name[SIM_NAME_LEN];

	snprintf(what, sizeof(what), "runs on cpu %u,", s->slot);
	put_box(c, s, y + 2, ROW - 4, NULL, what);
	if (end - x > 7.0 * (double)strlen(sim_name(s->entity, name)) + 4) {
		fprintf(c->to, "<text x=\"%.2f\" y=\"%.1f\" class=\"in\">", (x + end) / 2,
			y + ROW / 2 + 4);
		put_text(c->to, name);
		fputs("</text>\n", c->to);
	}
	if (c->entities) {
		put_box(c, s, c->entity_top + ENTITY_ROW * s->entity->index + 2, ENTITY_ROW - 4,
			NULL, what);
	}
}

static void put_stretches(const struct chart *c)
{
	for (size_t i = 0; i < c->t->count; i++) {
		const struct sim_stretch *s = &c->t->stretch[i];
		double y = c->entity_top + ENTITY_ROW * s->entity->index;

		if (s->to_ns <= c->w.from_ns || s->from_ns >= c->w.to_ns) {
			continue;
		}
		if (s->state == SIM_RUNS) {
			put_run(c, s);
		} else if (c->entities && s->state == SIM_WAITS) {
			put_box(c, s, y + 5, ENTITY_ROW - 10, "url(#waits)", "waits");
		} else if (c->entities && s->state == SIM_PARKED) {
			put_box(c, s, y + 2, ENTITY_ROW - 4, "url(#parked)", "is parked");
		}
	}
}

/* A step of 1, 2 or 5 times a power of ten that gives at most twelve ticks. */
static uint64_t tick_ns(uint64_t span_ns)
{
	static const unsigned steps[] = { 1, 2, 5 };

	for (uint64_t power = 1;; power *= 10) {
		for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
			if (span_ns / (power * steps[i]) <= 12) {
				return power * steps[i];
			}
		}
	}
}

static void put_axis(const struct chart *c, double bottom)
{
	const uint64_t step_ns = tick_ns(c->w.to_ns - c->w.from_ns);

	for (uint64_t at = (c->w.from_ns + step_ns - 1) / step_ns * step_ns; at <= c->w.to_ns;
	     at += step_ns) {
		double x = x_of(c, at);

		fprintf(c->to,
			"<line x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\" class=\"tick\"/>", x,
			TOP - 4, x, bottom);
		fprintf(c->to, "<text x=\"%.2f\" y=\"%.1f\" class=\"mid\">", x, TOP - 8);
		put_time(c->to, at);
		fputs("</text>\n", c->to);
	}
}

static void put_events(const struct chart *c, double bottom)
{
	for (unsigned i = 0; i < c->plan->events; i++) {
		const struct plan_event *e = &c->plan->event[i];
		const double x = e->at_ns >= c->w.from_ns ? x_of(c, e->at_ns) : 0;

		if (e->at_ns < c->w.from_ns || e->at_ns > c->w.to_ns) {
			continue;
		}
		fprintf(c->to, "<path d=\"M%.2f %.1fl-4 -7h8zV%.1f\" class=\"event\"><title>", x,
			TOP, bottom);
		put_text(c->to, e->words);
		fputs("</title></path>\n", c->to);
	}
}

/* cpu 2 rt, web: in rt at first, in web in the end. */
static const char *cpu_label(const struct chart *c, unsigned cpu, char *buf)
{
	const struct sim_pool *last = c->t->sim->slot[cpu].pool;
	const char *first = NULL, *then = last != NULL ? last->name : "free";

	for (unsigned i = 0; i < c->plan->pools; i++) {
		first = cpuset_has(&c->plan->pool[i].cpus, cpu) ? c->plan->pool[i].name : first;
	}
	if (last == NULL && first == NULL) {
		snprintf(buf, LABEL_LEN, "cpu %u", cpu);
	} else if (first == NULL || strcmp(first, then) == 0) {
		snprintf(buf, LABEL_LEN, "cpu %u %s", cpu, then);
	} else {
		snprintf(buf, LABEL_LEN, "cpu %u %s, %s", cpu, first, then);
	}
	return buf;
}

/* Wide enough for every name on the left. */
static double left_of(const struct chart *c)
{
	char buf[LABEL_LEN], name[SIM_NAME_LEN];
	size_t most = 0;

	for (unsigned i = 0; i < c->t->sim->cpus; i++) {
		most = MAX(most, strlen(cpu_label(c, i, buf)));
	}
	for (unsigned i = 0; c->entities && i < c->t->entities; i++) {
		most = MAX(most, strlen(sim_name(c->t->sim->entity[i], name)));
	}
	return MAX(LEFT_LEAST, LETTER * (double)most + 10);
}

static void put_rows(const struct chart *c)
{
	char name[SIM_NAME_LEN], label[LABEL_LEN];

	for (unsigned i = 0; i < c->t->sim->cpus; i++) {
		double y = TOP + ROW * i;

		fprintf(c->to,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"idle\"/>",
			c->left, y + 2, PLOT, ROW - 4);
		fprintf(c->to, "<text x=\"%.1f\" y=\"%.1f\" class=\"row\">", c->left - 6,
			y + ROW / 2 + 4);
		put_text(c->to, cpu_label(c, i, label));
		fputs("</text>\n", c->to);
	}
	for (unsigned i = 0; c->entities && i < c->t->entities; i++) {
		fprintf(c->to, "<text x=\"%.1f\" y=\"%.1f\" class=\"row\">", c->left - 6,
			c->entity_top + ENTITY_ROW * i + 12);
		put_text(c->to, sim_name(c->t->sim->entity[i], name));
		fputs("</text>\n", c->to);
	}
}

/* What the colours are, and the events in words, each in a line. Returns where that ends. */
static double put_legend(const struct chart *c, double y)
{
	static const struct { const char *fill, *name; } states[] = {
		{ "#eef0f2", "idle" }, { "url(#waits)", "waits" }, { "url(#parked)", "parked" },
	};
	double x = c->left;

	for (unsigned i = 0; i < c->t->sim->groups && i < LEGEND_MAX; i++) {
		const char *name = c->t->sim->group[i]->g.name;
		const double width = MAX(75.0, LETTER * (double)strlen(name) + 26);

		if (x + width > c->left + PLOT) {
			x = c->left;
			y += 18;
		}
		fprintf(c->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" fill=\"", x,
			y);
		put_colour(c->to, i);
		fprintf(c->to, "\"/><text x=\"%.1f\" y=\"%.1f\">", x + 16, y + 10);
		put_text(c->to, name);
		fputs("</text>\n", c->to);
		x += width;
	}
	y += 18;
	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		fprintf(c->to,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" fill=\"%s\" stroke=\"#999\"/>"
			"<text x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			c->left + 75 * i, y, states[i].fill, c->left + 75 * i + 16, y + 10,
			states[i].name);
	}
	for (unsigned i = 0, n = 0; i < c->plan->events && n < EVENTS_MAX; i++) {
		const struct plan_event *e = &c->plan->event[i];

		if (e->at_ns >= c->w.from_ns && e->at_ns <= c->w.to_ns) {
			n++;
			y += 18;
			fprintf(c->to, "<text x=\"%.1f\" y=\"%.1f\">&#9662; at ", c->left, y + 10);
			put_text(c->to, e->words);
			fputs("</text>\n", c->to);
		}
	}
	return y + 24;
}

static const char head[] =
	"<style>text{font:12px sans-serif;fill:#223}.in{fill:#fff;text-anchor:middle}"
	".mid{text-anchor:middle}.row{text-anchor:end}.idle{fill:#eef0f2}"
	".event{stroke:#222;stroke-dasharray:3 2;fill:#222}.tick{stroke:#bcc;stroke-width:0.6}"
	".title{font-size:15px;font-weight:bold}</style>\n"
	"<defs><pattern id=\"waits\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
	"patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" fill=\"#fff\"/>"
	"<rect width=\"2\" height=\"5\" fill=\"#c77\"/></pattern>"
	"<pattern id=\"parked\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<rect width=\"6\" height=\"6\" fill=\"#fff\"/>"
	"<path d=\"M0 0L6 6M6 0L0 6\" stroke=\"#888\" stroke-width=\"0.8\"/></pattern></defs>\n"
	"<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";

void draw_svg(FILE *to, const struct timeline *t, struct window w, const struct plan *plan,
	      const char *title)
{
	struct chart c = { .to = to, .t = t, .w = w, .plan = plan, .entities = t->entities <= ENTITY_ROWS_MAX };
	char *legend = NULL;
	size_t size;
	double bottom, height;

	c.left = left_of(&c);
	c.entity_top = TOP + ROW * t->sim->cpus + 10;
	bottom = c.entity_top + (c.entities ? ENTITY_ROW * t->entities + 10 : 0);
	c.to = open_memstream(&legend, &size);		/* first: its height is in the head */
	if (c.to == NULL) {
		return;
	}
	height = put_legend(&c, bottom + 8);
	fclose(c.to);
	c.to = to;
	fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\">\n",
		c.left + PLOT + RIGHT, height);
	fputs(head, to);
	fprintf(to, "<text x=\"%.1f\" y=\"24\" class=\"title\">", c.left);
	put_text(to, title);
	fputs("</text>\n", to);
	put_rows(&c);
	put_axis(&c, bottom);
	put_stretches(&c);
	put_events(&c, bottom);
	fputs(legend, to);
	fputs("</svg>\n", to);
	free(legend);
}
