/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timetable in the Trace Event Format (JSON), which the Perfetto UI opens. Three "processes":
 * the plan with its events, the cpus, each a track of who runs there, and the vCPUs, each a track of
 * what it does. Times are microseconds there.
 *
 * As Perfetto v56 shows it: a track is called by its thread's name and number, and only process 0
 * has a thread 0; a thread with its process' number comes before all others; a track without a slice
 * is not there; a slice's colour goes by its name without digits, and those of "parked" and "cpu"
 * cannot be told apart.
 */
#include "tools/sim/draw.h"

#include <stdlib.h>
#include <string.h>

#include "tools/sim/internal.h"

#define CPUS		0u		/* a process, and its threads are the cpus by number */
#define EVENTS		1u		/* the only thread of the plan */
#define EVENT_NAME	256u

struct trace {
	FILE *to;
	const char *before;		/* the next event */
};

static void put_string(FILE *to, const char *s)
{
	fputc('"', to);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\') {
			fputc('\\', to);
		}
		fputc(*s, to);
	}
	fputc('"', to);
}

static void put_head(struct trace *t, char phase, unsigned pid, unsigned tid)
{
	fprintf(t->to, "%s{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,", t->before, phase, pid, tid);
	t->before = ",\n";
}

static void put_name(struct trace *t, const char *what, unsigned pid, unsigned tid, const char *name)
{
	put_head(t, 'M', pid, tid);
	fprintf(t->to, "\"name\":\"%s\",\"args\":{\"name\":", what);
	put_string(t->to, name);
	fputs("}}", t->to);
}

/* The processes stand in the order of `place`. */
static void put_process(struct trace *t, unsigned pid, unsigned tid, unsigned place, const char *name)
{
	put_name(t, "process_name", pid, tid, name);
	put_head(t, 'M', pid, tid);
	fprintf(t->to, "\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%u}}", place);
}

static void put_edge(struct trace *t, char edge, unsigned pid, unsigned tid, uint64_t at_ns,
		     const char *name)
{
	put_head(t, edge, pid, tid);
	fprintf(t->to, "\"ts\":%lu.%03lu,\"name\":", at_ns / NS_PER_US, at_ns % NS_PER_US);
	put_string(t->to, name);
	fputc('}', t->to);
}

/*
 * Begin and end apart: who reads times as floating point would add a length to a start, and may
 * find the end behind the next one's start. Both with the name, which tells at one time which is
 * first.
 */
static void put_slice(struct trace *t, unsigned pid, unsigned tid, const char *name, uint64_t from_ns,
		      uint64_t to_ns)
{
	if (from_ns < to_ns) {
		put_edge(t, 'B', pid, tid, from_ns, name);
		put_edge(t, 'E', pid, tid, to_ns, name);
	}
}

static int by_time(const void *a, const void *b)
{
	const struct plan_event *x = *(struct plan_event *const *)a;
	const struct plan_event *y = *(struct plan_event *const *)b;

	return x->at_ns != y->at_ns ? (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns) :
	       (x > y) - (x < y);
}

/* From each event to the next a slice, all events of one time in one. */
static void put_events(struct trace *t, unsigned pid, const struct plan *plan, struct window w)
{
	const struct plan_event **e = malloc((plan->events + 1) * sizeof(e[0]));
	uint64_t since_ns = 0;
	char name[EVENT_NAME] = "start";

	for (unsigned i = 0; i < plan->events; i++) {
		e[i] = &plan->event[i];
	}
	qsort(e, plan->events, sizeof(e[0]), by_time);
	for (unsigned i = 0; i < plan->events && e[i]->at_ns < w.to_ns; i++) {
		if (e[i]->at_ns != since_ns) {
			put_slice(t, pid, EVENTS, name, MAX(since_ns, w.from_ns), e[i]->at_ns);
			since_ns = e[i]->at_ns;
			name[0] = '\0';
		}
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%s",
			 name[0] != '\0' ? "; " : "", e[i]->words);
	}
	put_slice(t, pid, EVENTS, name, MAX(since_ns, w.from_ns), w.to_ns);
	free(e);
}

/* Returns whether it ran. */
static bool put_stretch(struct trace *t, unsigned vcpus, const struct sim_stretch *s, struct window w)
{
	static const char *const state_name[] = { [SIM_WAITS] = "waits", [SIM_PARKED] = "is parked" };
	const uint64_t from_ns = MAX(s->from_ns, w.from_ns), to_ns = MIN(s->to_ns, w.to_ns);
	char name[SIM_NAME_LEN];

	if (s->state == SIM_SLEEPS || from_ns >= to_ns) {
		return false;
	}
	if (s->state != SIM_RUNS) {
		put_slice(t, vcpus, s->entity->index + 1, state_name[s->state], from_ns, to_ns);
		return false;
	}
	put_slice(t, CPUS, s->slot, sim_name(s->entity, name), from_ns, to_ns);
	snprintf(name, sizeof(name), "cpu %u", s->slot);
	put_slice(t, vcpus, s->entity->index + 1, name, from_ns, to_ns);
	return true;
}

void draw_perfetto(FILE *to, const struct timeline *line, struct window w, const struct plan *plan)
{
	const unsigned vcpus = line->entities + 1, events = line->entities + 2;	/* no vCPU's number */
	bool *ran = calloc(line->sim->cpus, sizeof(ran[0]));
	struct trace trace = { to, "" }, *t = &trace;
	char name[SIM_NAME_LEN];

	fputs("{\"traceEvents\":[\n", to);
	put_process(t, events, EVENTS, 0, "plan");
	put_process(t, CPUS, 0, 1, "cpus");
	put_process(t, vcpus, 1, 2, "vcpus");
	put_name(t, "thread_name", events, EVENTS, "events");
	for (unsigned i = 0; i < line->sim->cpus; i++) {
		put_name(t, "thread_name", CPUS, i, "cpu");
	}
	for (unsigned i = 0; i < line->entities; i++) {
		put_name(t, "thread_name", vcpus, i + 1, sim_name(line->sim->entity[i], name));
	}
	put_events(t, events, plan, w);
	for (size_t i = 0; i < line->count; i++) {
		if (put_stretch(t, vcpus, &line->stretch[i], w)) {
			ran[line->stretch[i].slot] = true;
		}
	}
	for (unsigned i = 0; i < line->sim->cpus; i++) {
		if (!ran[i]) {
			put_slice(t, CPUS, i, "idle", w.from_ns, w.to_ns);
		}
	}
	free(ran);
	fputs("\n]}\n", to);
}
