/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timetable in the Trace Event Format (JSON), which the Perfetto UI opens. Two "processes": the
 * cpus, each a track of who runs there, and the vCPUs, each a track of what it does. Times are
 * microseconds there.
 */
#include "tools/sim/draw.h"

#include "tools/sim/internal.h"

enum { CPUS = 1, VCPUS = 2 };

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

static void put_name(FILE *to, const char *what, unsigned pid, unsigned tid, const char *name)
{
	fprintf(to, "{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":", what,
		pid, tid);
	put_string(to, name);
	fputs("}},\n", to);
}

static void put_edge(FILE *to, char edge, unsigned pid, unsigned tid, uint64_t at_ns,
		     const char *name)
{
	fprintf(to, ",\n{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,\"ts\":%lu.%03lu,\"name\":", edge, pid,
		tid, at_ns / NS_PER_US, at_ns % NS_PER_US);
	put_string(to, name);
	fputc('}', to);
}

/*
 * Begin and end apart: who reads times as floating point would add a length to a start, and may
 * find the end behind the next one's start. Both with the name, which tells at one time which is
 * first.
 */
static void put_slice(FILE *to, unsigned pid, unsigned tid, const char *name,
		      const struct sim_stretch *s, struct window w)
{
	put_edge(to, 'B', pid, tid, MAX(s->from_ns, w.from_ns), name);
	put_edge(to, 'E', pid, tid, MIN(s->to_ns, w.to_ns), name);
}

void draw_perfetto(FILE *to, const struct timeline *t, struct window w)
{
	static const char *const state_name[] = {
		[SIM_SLEEPS] = "sleeps", [SIM_WAITS] = "waits", [SIM_PARKED] = "parked",
	};
	char name[SIM_NAME_LEN];

	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", to);
	for (unsigned i = 0; i < t->sim->cpus; i++) {
		snprintf(name, sizeof(name), "cpu %u", i);
		put_name(to, "thread_name", CPUS, i + 1, name);
	}
	for (unsigned i = 0; i < t->entities; i++) {
		put_name(to, "thread_name", VCPUS, i + 1, sim_name(t->sim->entity[i], name));
	}
	put_name(to, "process_name", VCPUS, 0, "vcpus");
	fputs("{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"tid\":0,\"args\":{\"name\":\"cpus\"}}",
	      to);
	for (size_t i = 0; i < t->count; i++) {
		const struct sim_stretch *s = &t->stretch[i];

		if (s->to_ns <= w.from_ns || s->from_ns >= w.to_ns || s->state == SIM_SLEEPS) {
			continue;
		}
		if (s->state == SIM_RUNS) {
			put_slice(to, CPUS, s->slot + 1, sim_name(s->entity, name), s, w);
			snprintf(name, sizeof(name), "cpu %u", s->slot);
		} else {
			snprintf(name, sizeof(name), "%s", state_name[s->state]);
		}
		put_slice(to, VCPUS, s->entity->index + 1, name, s, w);
	}
	fputs("\n]}\n", to);
}
