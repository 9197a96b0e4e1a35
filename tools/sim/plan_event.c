/* SPDX-License-Identifier: BSD-2-Clause */
/* Events of a plan: a time and a command, written as in the shell. */
#include "tools/sim/plan_read.h"

#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"
#include "tools/sim/internal.h"

struct word {
	char *at;
	unsigned column;
};

#define WORDS_MAX	320u	/* a whole table and some */

static const struct command {
	const char *name;
	unsigned least, most;		/* words behind the name */
	const char *form;
} commands[] = {
	[PLAN_CPU_ADD] = { "pool cpu-add", 2, 2, "pool cpu-add P SET" },
	[PLAN_CPU_REMOVE] = { "pool cpu-remove", 2, 2, "pool cpu-remove P SET" },
	[PLAN_POOL_SET] = { "pool set", 2, WORDS_MAX, "pool set P KEY=VALUE..." },
	[PLAN_POOL_SCHED] = { "pool sched", 2, WORDS_MAX, "pool sched P POLICY [KEY=VALUE...]" },
	[PLAN_VM_MIGRATE] = { "vm migrate", 2, 2, "vm migrate V P" },
	[PLAN_VM_SET] = { "vm set", 2, WORDS_MAX, "vm set V KEY=VALUE..." },
	[PLAN_VM_PAUSE] = { "vm pause", 1, 1, "vm pause V" },
	[PLAN_VM_RESUME] = { "vm resume", 1, 1, "vm resume V" },
	[PLAN_VM_START] = { "vm start", 1, 1, "vm start V" },
	[PLAN_VM_DESTROY] = { "vm destroy", 1, 1, "vm destroy V" },
	[PLAN_VCPU_PIN] = { "vcpu pin", 3, 4, "vcpu pin V N HARD [SOFT]" },
};

static unsigned split(char *text, unsigned column, struct word *word)
{
	unsigned n = 0;

	for (char *at = strtok(text, " \t"); at != NULL && n < WORDS_MAX;
	     at = strtok(NULL, " \t")) {
		word[n++] = (struct word){ at, column + (unsigned)(at - text) };
	}
	return n;
}

static void check_pairs(struct reader *r, const struct plan_event *e, unsigned line,
			struct word *word, unsigned n)
{
	bool of_pool = e->verb != PLAN_VM_SET;
	const struct sched_ops *ops = e->ops;

	if (ops == NULL && r->plan->pools > 0) {
		unsigned pool = of_pool ? e->pool : r->plan->vms > 0 ? r->plan->vm[e->vm].pool : 0;

		ops = r->plan->pool[pool].ops;
	}
	for (unsigned i = 0; i < n; i++) {
		char *value = strchr(word[i].at, '=');

		if (value == NULL) {
			plan_fault(r, line, word[i].column, "found \"%.32s\", expected KEY=VALUE",
				   word[i].at);
			continue;
		}
		*value = '\0';
		plan_check_tunable(r, ops, of_pool, word[i].at, value + 1, line, word[i].column,
			      word[i].column + (unsigned)(value + 1 - word[i].at));
		*value = '=';
	}
}

static void read_arguments(struct reader *r, struct plan_event *e, unsigned line, struct word *w,
			   unsigned n)
{
	bool of_pool = e->verb <= PLAN_POOL_SCHED;

	if (of_pool) {
		e->pool = plan_find_pool(r, w[0].at, line, w[0].column);
	} else {
		e->vm = plan_find_vm(r, w[0].at, line, w[0].column);
	}
	switch (e->verb) {
	case PLAN_CPU_ADD:
	case PLAN_CPU_REMOVE:
		plan_read_cpus(r, w[1].at, line, w[1].column, &e->hard);
		break;
	case PLAN_VM_MIGRATE:
		e->pool = plan_find_pool(r, w[1].at, line, w[1].column);
		break;
	case PLAN_POOL_SCHED:
		e->ops = plan_read_policy(r, w[1].at, line, w[1].column);
		check_pairs(r, e, line, w + 2, n - 2);
		break;
	case PLAN_POOL_SET:
	case PLAN_VM_SET:
		check_pairs(r, e, line, w + 1, n - 1);
		break;
	case PLAN_VCPU_PIN:
		if (parse_u64(w[1].at, &e->vcpu) != ERR_OK || r->plan->vms == 0 ||
		    e->vcpu >= r->plan->vm[e->vm].vcpus) {
			plan_fault(r, line, w[1].column,
				   "found \"%.32s\", expected the number of a vCPU of %s", w[1].at,
				   w[0].at);
		}
		plan_read_cpus(r, w[2].at, line, w[2].column, &e->hard);
		cpuset_fill(&e->soft, CPU_MAX);
		if (n > 3) {
			plan_read_cpus(r, w[3].at, line, w[3].column, &e->soft);
		}
		break;
	default:
		break;
	}
}

/* What follows the words that were read, in the text as written. */
static const char *rest_of(const struct plan_event *e, const char *split_text, const struct word *w,
			   unsigned n, unsigned from)
{
	return from < n ? e->words + (w[from].at - split_text) : "";
}

static void fault_command(struct reader *r, unsigned line, unsigned column, const char *found)
{
	char words[192];
	struct text t = text_make(words, sizeof(words));

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		text_printf(&t, "%s %s", i > 0 ? "," : "", commands[i].name);
	}
	plan_fault(r, line, column, "found \"%.48s\", expected one of:%s", found, words);
}

void plan_read_event(struct reader *r, const struct setting *s)
{
	struct plan_event e = { 0 };
	char *text = s->value, *kept = sim_alloc(strlen(text) + 1), name[64];
	struct word w[WORDS_MAX];
	unsigned n;

	e.words = strcpy(kept, text);
	n = split(text, s->column, w);
	/* Whatever follows, plan_free() has it. */
	SIM_PUSH(r->plan->event, r->plan->events, r->plan->event_room, e);
	if (!str_eq(s->key, "at")) {
		plan_fault(r, s->line, s->key_column, "found \"%.32s\", expected at = TIME COMMAND",
			   s->key);
		return;
	}
	if (n < 3 || parse_time(w[0].at, &e.at_ns) != ERR_OK) {
		plan_fault(r, s->line, s->column,
			   "found \"%.48s\", expected TIME COMMAND, such as 20ms vm pause web",
			   e.words);
		return;
	}
	snprintf(name, sizeof(name), "%s %s", w[1].at, w[2].at);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!str_eq(commands[i].name, name)) {
			continue;
		}
		if (n - 3 < commands[i].least || n - 3 > commands[i].most) {
			plan_fault(r, s->line, w[1].column, "found \"%.48s\", expected %s",
				   rest_of(&e, text, w, n, 1), commands[i].form);
			return;
		}
		e.verb = (enum plan_verb)i;
		read_arguments(r, &e, s->line, w + 3, n - 3);
		e.values = rest_of(&e, text, w, n, e.verb == PLAN_POOL_SCHED ? 5 : 4);
		r->plan->event[r->plan->events - 1] = e;
		return;
	}
	fault_command(r, s->line, w[1].column, name);
}
