/* SPDX-License-Identifier: BSD-2-Clause */
/* Cpu sets from text and to text. */
#include "kernel/cpusetexpr.h"

#include <stdint.h>

#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define ITEM_FORM	"a cpu (3), a range (0-3), node:N, core:N, free or all"

enum item_kind { ITEM_CPU, ITEM_NODE, ITEM_CORE };

struct reading {
	const char *text, *at;
	const struct cpusetexpr_facts *facts;
	struct cpusetexpr_error *error;
};

static void skip_blanks(struct reading *r)
{
	while (is_blank(*r->at)) {
		r->at++;
	}
}

/* How much of the text a message shows: up to the next comma or blank. */
static int token_length(const char *at)
{
	int n = 0;

	while (n < 24 && at[n] != '\0' && at[n] != ',' && at[n] != ' ' && at[n] != '\t') {
		n++;
	}
	return n;
}

static bool refuse(struct reading *r, const char *at, const char *expected)
{
	struct text t = text_make(r->error->words, sizeof(r->error->words));
	int length = token_length(at);

	r->error->column = (unsigned)(at - r->text) + 1;
	if (length == 0) {
		text_printf(&t, "found %s, expected %s", *at == ',' ? "\",\"" : "the end", expected);
	} else {
		text_printf(&t, "found \"%.*s\", expected %s", length, at, expected);
	}
	return false;
}

static bool take_word(struct reading *r, const char *word)
{
	size_t length = strlen(word);

	if (!str_starts(r->at, word)) {
		return false;
	}
	r->at += length;
	return true;
}

static unsigned number_of(const struct cpusetexpr_facts *f, enum item_kind kind, unsigned cpu)
{
	if (kind == ITEM_NODE) {
		return f->node_of(f->context, cpu);
	}
	if (kind == ITEM_CORE && f->core_of != NULL) {
		return f->core_of(f->context, cpu);
	}
	return cpu;
}

/* The cpus whose number of that kind lies in first..last. */
static struct cpuset cpus_in(const struct cpusetexpr_facts *f, enum item_kind kind, uint64_t first, uint64_t last)
{
	struct cpuset set = { 0 };

	for (unsigned cpu = 0; cpu < f->cpu_count; cpu++) {
		unsigned n = number_of(f, kind, cpu);

		if (n != UINT32_MAX && n >= first && n <= last) {
			cpuset_add(&set, cpu);
		}
	}
	return set;
}

static bool lacking(struct reading *r, const char *at, enum item_kind kind, uint64_t number)
{
	static const char *const names[] = { "cpu", "node", "core" };
	const struct cpusetexpr_facts *f = r->facts;
	struct text t = text_make(r->error->words, sizeof(r->error->words));
	unsigned last = 0;

	for (unsigned cpu = 0; cpu < f->cpu_count; cpu++) {
		unsigned n = number_of(f, kind, cpu);

		last = n != UINT32_MAX ? MAX(last, n) : last;
	}
	r->error->column = (unsigned)(at - r->text) + 1;
	text_printf(&t, "found %s %lu, expected a %s that the machine has (", names[kind], number, names[kind]);
	text_printf(&t, last > 0 ? "0-%u)" : "only %u)", last);
	return false;
}

static bool take_number(struct reading *r, uint64_t *value)
{
	const char *start = r->at;
	enum err e = parse_prefix(&r->at, value);

	return e == ERR_OK || refuse(r, start, e == ERR_RANGE ? "a smaller number" : "a number");
}

/* N or A-B of that kind. */
static bool take_range(struct reading *r, enum item_kind kind, struct cpuset *set)
{
	const char *first_at = r->at, *last_at = r->at;
	uint64_t first, last;

	if (!take_number(r, &first)) {
		return false;
	}
	last = first;
	if (*r->at == '-') {
		last_at = ++r->at;
		if (!take_number(r, &last)) {
			return false;
		}
	}
	if (last < first) {
		return refuse(r, first_at, "a range from the lower to the higher number");
	}
	*set = cpus_in(r->facts, kind, first, first);
	if (cpuset_empty(set)) {
		return lacking(r, first_at, kind, first);
	}
	*set = cpus_in(r->facts, kind, last, last);
	if (cpuset_empty(set)) {
		return lacking(r, last_at, kind, last);
	}
	*set = cpus_in(r->facts, kind, first, last);
	return true;
}

static struct cpuset free_cpus(const struct cpusetexpr_facts *f)
{
	struct cpuset set;

	cpuset_fill(&set, f->cpu_count);
	CPUSET_FOREACH(cpu, &set) {
		if (f->is_free != NULL && !f->is_free(f->context, cpu)) {
			cpuset_del(&set, cpu);
		}
	}
	return set;
}

static bool take_item(struct reading *r, bool out, struct cpuset *set)
{
	const char *start = r->at;

	if (take_word(r, "nodes:") || take_word(r, "node:")) {
		return take_range(r, ITEM_NODE, set);
	}
	if (take_word(r, "cores:") || take_word(r, "core:")) {
		return take_range(r, ITEM_CORE, set);
	}
	if (take_word(r, "free")) {
		*set = free_cpus(r->facts);
		return true;
	}
	if (take_word(r, "all")) {
		cpuset_fill(set, r->facts->cpu_count);
		return !out || refuse(r, start, "something less than all after \"^\"");
	}
	if (*start >= '0' && *start <= '9') {
		return take_range(r, ITEM_CPU, set);
	}
	return refuse(r, start, ITEM_FORM);
}

bool cpusetexpr_parse(const char *text, const struct cpusetexpr_facts *facts, struct cpuset *set,
		      struct cpusetexpr_error *error)
{
	struct reading r = { .text = text, .at = text, .facts = facts, .error = error };
	struct cpuset result = { 0 }, item;
	bool out;

	for (;;) {
		skip_blanks(&r);
		out = take_word(&r, "^");
		if (!take_item(&r, out, &item)) {
			return false;
		}
		(out ? cpuset_andnot : cpuset_or)(&result, &item);
		skip_blanks(&r);
		if (*r.at == '\0') {
			break;
		}
		if (*r.at != ',') {
			return refuse(&r, r.at, "\",\" or the end");
		}
		r.at++;
	}
	*set = result;
	return true;
}

void cpusetexpr_print(const struct cpuset *set, struct text *to)
{
	unsigned cpu = cpuset_first(set), last;

	if (cpu == CPU_NONE) {
		text_puts(to, "none");
	}
	while (cpu != CPU_NONE) {
		for (last = cpu; cpuset_has(set, last + 1); last++) {
		}
		text_printf(to, "%u", cpu);
		if (last > cpu) {
			text_printf(to, "-%u", last);
		}
		cpu = cpuset_next(set, last + 1);
		if (cpu != CPU_NONE) {
			text_putc(to, ',');
		}
	}
}
