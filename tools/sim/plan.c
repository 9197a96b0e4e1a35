/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads plans. First the text becomes sections of settings, then these are read through one table
 * of keys, the machine before the pools, those before the VMs, those before the events, whatever
 * order they stand in. A key that no table here has is a tunable of a policy. Nothing stops at an
 * error.
 */
#include "tools/sim/plan_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/cpusetexpr.h"
#include "kernel/lib/ini.h"
#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"
#include "tools/sim/internal.h"

static const char *const kind_name[] = { "machine", "pool", "vm", "events", NULL };

void plan_fault(struct reader *r, unsigned line, unsigned column, const char *fmt, ...)
{
	struct plan_error e = { .line = line, .column = column };
	va_list args;

	va_start(args, fmt);
	vsnprintf(e.words, sizeof(e.words), fmt, args);
	va_end(args);
	SIM_PUSH(r->plan->error, r->plan->errors, r->plan->error_room, e);
}

/* --- Sections. */

static char *copy(const struct ini_span *span)
{
	char *s = sim_alloc(span->len + 1);

	memcpy(s, span->at, span->len);
	return s;
}

/* A section that is not known is read like one without a kind, and dropped. */
static void open_section(struct reader *r, const struct ini_line *line)
{
	struct section s = { .kind = KINDS, .line = line->number, .column = line->head.column };
	char *head = copy(&line->head);
	unsigned kind;

	s.name = copy(&line->body);
	if (parse_word(head, kind_name, &kind) != ERR_OK) {
		plan_fault(r, s.line, s.column,
			   "found [%.32s], expected [machine], [pool NAME], [vm NAME] or [events]",
			   head);
	} else if ((kind == KIND_POOL || kind == KIND_VM) && s.name[0] == '\0') {
		plan_fault(r, s.line, s.column, "found [%s], expected [%s NAME]", head, head);
	} else if ((kind == KIND_MACHINE || kind == KIND_EVENTS) && s.name[0] != '\0') {
		plan_fault(r, s.line, line->body.column, "found a name, expected [%s]", head);
	} else {
		s.kind = (enum kind)kind;
	}
	for (unsigned i = 0; s.kind == KIND_MACHINE && i < r->sections; i++) {
		if (r->section[i].kind == KIND_MACHINE) {
			plan_fault(r, s.line, s.column, "found a second [machine], expected one");
		}
	}
	free(head);
	SIM_PUSH(r->section, r->sections, r->room, s);
}

static void cut(struct reader *r, const char *text, size_t size)
{
	struct ini ini = ini_make(text, size);
	struct ini_line line;

	while (ini_next(&ini, &line)) {
		struct section *s = r->sections > 0 ? &r->section[r->sections - 1] : NULL;

		if (line.kind == INI_BAD) {
			plan_fault(r, line.number, line.head.column, "%s",
				   ini_fault_words(line.fault));
		} else if (line.kind == INI_SECTION) {
			open_section(r, &line);
		} else if (s == NULL) {
			plan_fault(r, line.number, line.head.column,
				   "found a key before any section, expected [SECTION]");
		} else {
			struct setting set = { copy(&line.head), copy(&line.body), line.number,
					       line.head.column, line.body.column };

			SIM_PUSH(s->set, s->sets, s->room, set);
		}
	}
}

/* --- Values. */

static void fault_value(struct reader *r, const struct setting *s, const char *expected)
{
	if (s->value[0] == '\0') {
		plan_fault(r, s->line, s->column, "%s: found nothing, expected %s", s->key,
			   expected);
	} else {
		plan_fault(r, s->line, s->column, "%s: found \"%.64s\", expected %s", s->key,
			   s->value, expected);
	}
}

static unsigned core_of(const void *context, unsigned cpu)
{
	return cpu / (unsigned)((const struct reader *)context)->plan->machine.threads;
}

static unsigned node_of(const void *context, unsigned cpu)
{
	const struct plan_machine *m = &((const struct reader *)context)->plan->machine;

	return cpu / (unsigned)(m->threads * m->cores_per_llc * m->llcs_per_node);
}

static bool is_free(const void *context, unsigned cpu)
{
	return !cpuset_has(&((const struct reader *)context)->taken, cpu);
}

bool plan_read_cpus(struct reader *r, const char *text, unsigned line, unsigned column,
		    struct cpuset *set)
{
	const struct cpusetexpr_facts facts = {
		(unsigned)r->plan->machine.cpus, node_of, core_of, is_free, r,
	};
	struct cpusetexpr_error e;

	if (!cpusetexpr_parse(text, &facts, set, &e)) {
		plan_fault(r, line, column + e.column - 1, "%s", e.words);
		return false;
	}
	return true;
}

const struct sched_ops *plan_read_policy(struct reader *r, const char *name, unsigned line,
					 unsigned column)
{
	const struct sched_ops *ops = sched_policy_find(name);
	char words[160];
	struct text t = text_make(words, sizeof(words));

	if (ops == NULL) {
		for (unsigned i = 0; i < sched_policy_count(); i++) {
			text_printf(&t, "%s%s", i > 0 ? ", " : "", sched_policy_at(i)->name);
		}
		plan_fault(r, line, column, "found policy \"%.32s\", expected one of: %s", name,
			   words);
	}
	return ops;
}

unsigned plan_find_pool(struct reader *r, const char *name, unsigned line, unsigned column)
{
	for (unsigned i = 0; i < r->plan->pools; i++) {
		if (str_eq(r->plan->pool[i].name, name)) {
			return i;
		}
	}
	plan_fault(r, line, column, "found \"%.32s\", expected the name of a pool of this plan",
		   name);
	return 0;
}

unsigned plan_find_vm(struct reader *r, const char *name, unsigned line, unsigned column)
{
	for (unsigned i = 0; i < r->plan->vms; i++) {
		if (str_eq(r->plan->vm[i].name, name)) {
			return i;
		}
	}
	plan_fault(r, line, column, "found \"%.32s\", expected the name of a VM of this plan",
		   name);
	return 0;
}

/* --- Keys: one table. */

enum type { NUMBER, TIME, WORD, BOOL, CPUS, POLICY, POOL, PHASE };

struct key {
	const char *name;
	enum kind kind;
	enum type type;
	size_t offset;				/* in the struct of that kind */
	uint64_t min, max;
	const char *const *words;
};

static const char *const admission_words[] = { "refuse", "warn", NULL };
static const char *const late_words[] = { "carry", "drop", NULL };
static const char *const pattern_words[] = {
	[SIM_BUSY] = "busy",
	[SIM_PERIODIC] = "periodic",
	[SIM_INTERACTIVE] = "interactive",
	[SIM_BURSTY] = "bursty",
	[SIM_RANDOM] = "random",
	[SIM_CHEAT] = "cheat",
	[SIM_YIELDER] = "yielder",
	NULL,
};

#define M(field)	offsetof(struct plan_machine, field)
#define P(field)	offsetof(struct plan_pool, field)
#define V(field)	offsetof(struct plan_vm, field)
#define TIME_MAX	(1000000 * NS_PER_S)

static const struct key keys[] = {
	{ "cpus", KIND_MACHINE, NUMBER, M(cpus), 1, PLAN_CPUS_MAX, NULL },
	{ "threads", KIND_MACHINE, NUMBER, M(threads), 1, 64, NULL },
	{ "cores-per-llc", KIND_MACHINE, NUMBER, M(cores_per_llc), 1, PLAN_CPUS_MAX, NULL },
	{ "llcs-per-node", KIND_MACHINE, NUMBER, M(llcs_per_node), 1, PLAN_CPUS_MAX, NULL },
	{ "switch", KIND_MACHINE, TIME, M(switch_ns), 0, NS_PER_S, NULL },
	{ "poke", KIND_MACHINE, TIME, M(poke_ns), 0, NS_PER_S, NULL },
	{ "seed", KIND_MACHINE, NUMBER, M(seed), 0, UINT64_MAX, NULL },
	{ "until", KIND_MACHINE, TIME, M(until_ns), 1, TIME_MAX, NULL },
	{ "warmup", KIND_MACHINE, TIME, M(warmup_ns), 0, TIME_MAX, NULL },
	{ "sched", KIND_POOL, POLICY, P(ops), 0, 0, NULL },
	{ "cpus", KIND_POOL, CPUS, P(cpus), 0, 0, NULL },
	{ "admission", KIND_POOL, WORD, P(warn), 0, 0, admission_words },
	{ "pool", KIND_VM, POOL, V(pool), 0, 0, NULL },
	{ "vcpus", KIND_VM, NUMBER, V(vcpus), 1, 1024, NULL },
	{ "copies", KIND_VM, NUMBER, V(copies), 1, PLAN_ENTITIES_MAX, NULL },
	{ "autostart", KIND_VM, BOOL, V(autostart), 0, 0, NULL },
	{ "affinity", KIND_VM, CPUS, V(hard), 0, 0, NULL },
	{ "soft-affinity", KIND_VM, CPUS, V(soft), 0, 0, NULL },
	{ "pattern", KIND_VM, WORD, V(pattern.kind), 0, 0, pattern_words },
	{ "run", KIND_VM, TIME, V(pattern.run_ns), 1, TIME_MAX, NULL },
	{ "every", KIND_VM, TIME, V(pattern.every_ns), 1, TIME_MAX, NULL },
	{ "phase", KIND_VM, PHASE, V(pattern.phase_ns), 0, TIME_MAX, NULL },
	{ "jitter", KIND_VM, TIME, V(pattern.jitter_ns), 0, TIME_MAX, NULL },
	{ "deadline", KIND_VM, TIME, V(pattern.deadline_ns), 1, TIME_MAX, NULL },
	{ "late", KIND_VM, WORD, V(pattern.drop), 0, 0, late_words },
};

static const struct key *find_key(enum kind kind, const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].kind == kind && str_eq(keys[i].name, name)) {
			return &keys[i];
		}
	}
	return NULL;
}

static void fault_key(struct reader *r, enum kind kind, const char *key, unsigned line, unsigned column)
{
	char words[256];
	struct text t = text_make(words, sizeof(words));

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].kind == kind) {
			text_printf(&t, " %s", keys[i].name);
		}
	}
	plan_fault(r, line, column, "found \"%.32s\", expected%s:%s", key,
		   kind == KIND_MACHINE ? " one of" : " a policy's setting or one of", words);
}

/*
 * A tunable of ops, or where that has none of the name of any policy: plans are compared under
 * several.
 */
bool plan_check_tunable(struct reader *r, const struct sched_ops *ops, bool of_pool, const char *key,
			const char *value, unsigned line, unsigned key_column, unsigned column)
{
	unsigned at;
	const struct sched_tunable *t = ops != NULL ? sched_tunable_find(ops, key, &at) : NULL;
	struct sched_reason why;
	int64_t v;

	for (unsigned i = 0; t == NULL && i < sched_policy_count(); i++) {
		t = sched_tunable_find(sched_policy_at(i), key, &at);
	}
	if (t == NULL) {
		fault_key(r, of_pool ? KIND_POOL : KIND_VM, key, line, key_column);
		return false;
	}
	if (of_pool != (t->scope == SCHED_POOL)) {
		plan_fault(r, line, key_column, "found \"%s\", expected it in a [%s] section", key,
		      t->scope == SCHED_POOL ? "pool" : "vm");
		return false;
	}
	if (sched_value_parse(t, value, &v, &why) != ERR_OK) {
		plan_fault(r, line, column, "%s", why.words);
		return false;
	}
	return true;
}

static void read_count(struct reader *r, const struct key *key, const struct setting *s, void *to)
{
	const char *form = key->type == NUMBER ? PARSE_NUMBER_FORM : PARSE_TIME_FORM;
	char words[128];
	struct text t = text_make(words, sizeof(words));
	uint64_t v;

	if ((key->type == NUMBER ? parse_u64(s->value, &v) : parse_time(s->value, &v)) != ERR_OK) {
		fault_value(r, s, form);
	} else if (v < key->min || v > key->max) {
		text_printf(&t, "%s from ", key->type == NUMBER ? "a number" : "a time");
		if (key->type == NUMBER) {
			text_printf(&t, "%lu to %lu", key->min, key->max);
		} else {
			text_ns(&t, key->min);
			text_puts(&t, " to ");
			text_ns(&t, key->max);
		}
		fault_value(r, s, words);
	} else {
		*(uint64_t *)to = v;
	}
}

static void read_word(struct reader *r, const struct key *key, const struct setting *s, void *to)
{
	char form[128] = "one of:";
	struct text t = text_make(form, sizeof(form));
	unsigned i;

	if (parse_word(s->value, key->words, &i) != ERR_OK) {
		text_puts(&t, "one of:");
		for (i = 0; key->words[i] != NULL; i++) {
			text_printf(&t, " %s", key->words[i]);
		}
		fault_value(r, s, form);
	} else if (key->words == pattern_words) {
		*(enum sim_kind *)to = (enum sim_kind)i;
	} else if (key->words == late_words) {
		*(bool *)to = i == 1;
	} else {
		*(uint64_t *)to = i;
	}
}

static void read_setting(struct reader *r, const struct key *key, const struct setting *s,
			 void *object)
{
	void *to = (char *)object + key->offset;
	bool yes = false;

	switch (key->type) {
	case PHASE:
		if (str_eq(s->value, "random")) {
			((struct plan_vm *)object)->pattern.random_phase = true;
			break;
		}
		read_count(r, key, s, to);
		break;
	case NUMBER:
	case TIME:
		read_count(r, key, s, to);
		break;
	case WORD:
		read_word(r, key, s, to);
		break;
	case BOOL:
		if (parse_bool(s->value, &yes) != ERR_OK) {
			fault_value(r, s, PARSE_BOOL_FORM);
		}
		*(uint64_t *)to = yes;
		break;
	case CPUS:
		plan_read_cpus(r, s->value, s->line, s->column, to);
		break;
	case POLICY:
		*(const struct sched_ops **)to = plan_read_policy(r, s->value, s->line, s->column);
		break;
	case POOL:
		*(unsigned *)to = plan_find_pool(r, s->value, s->line, s->column);
		break;
	}
}

static bool repeated(struct reader *r, const struct section *sec, unsigned i)
{
	if (sim_is_list(sec->set[i].key)) {
		return false;
	}
	for (unsigned k = 0; k < i; k++) {
		if (str_eq(sec->set[k].key, sec->set[i].key)) {
			plan_fault(r, sec->set[i].line, sec->set[i].key_column,
				   "found \"%s\" again, expected it once", sec->set[i].key);
			return true;
		}
	}
	return false;
}

/*
 * Reads the settings of sec into object; what is no key of ours is for the policy, in order, in
 * *values.
 */
static void read_section(struct reader *r, const struct section *sec, void *object, char **values)
{
	for (unsigned i = 0; i < sec->sets; i++) {
		const struct setting *s = &sec->set[i];
		const struct key *key = find_key(sec->kind, s->key);

		if (repeated(r, sec, i)) {
			continue;
		}
		if (key != NULL) {
			read_setting(r, key, s, object);
		} else if (values == NULL) {
			fault_key(r, sec->kind, s->key, s->line, s->key_column);
		}
	}
	for (unsigned i = 0; values != NULL && i < sec->sets; i++) {
		const struct setting *s = &sec->set[i];
		struct plan_vm *vm = object;
		const struct sched_ops *ops = sec->kind == KIND_POOL ?
						      ((struct plan_pool *)object)->ops :
					      r->plan->pools > 0 ? r->plan->pool[vm->pool].ops :
								   NULL;
		char *pair;

		if (find_key(sec->kind, s->key) == NULL &&
		    plan_check_tunable(r, ops, sec->kind == KIND_POOL, s->key, s->value, s->line,
				       s->key_column, s->column)) {
			pair = sim_alloc(strlen(s->key) + strlen(s->value) + 2);
			sprintf(pair, "%s=%s", s->key, s->value);
			for (char *c = strpbrk(pair, " \t"); c != NULL; c = strpbrk(c, " \t")) {
				*c = ',';		/* a row of a table is one word here */
			}
			sim_values_append(values, pair);
			free(pair);
		}
	}
}

/* --- The sections, kind by kind. */

static bool has_key(const struct section *sec, const char *key)
{
	for (unsigned i = 0; i < sec->sets; i++) {
		if (str_eq(sec->set[i].key, key)) {
			return true;
		}
	}
	return false;
}

static void read_pool(struct reader *r, const struct section *sec)
{
	struct plan_pool p = { .ops = NULL };
	struct cpuset all;

	plan_read_name(r, sec, p.name, sizeof(p.name));
	for (unsigned i = 0; i < r->plan->pools; i++) {
		if (str_eq(r->plan->pool[i].name, p.name)) {
			plan_fault(r, sec->line, sec->column,
				   "found a second pool %s, expected one", p.name);
		}
	}
	cpuset_fill(&all, (unsigned)r->plan->machine.cpus);
	p.cpus = all;
	cpuset_andnot(&p.cpus, &r->taken);
	read_section(r, sec, &p, &p.values);
	if (!has_key(sec, "sched")) {
		plan_fault(r, sec->line, sec->column, "pool %s: found no sched, expected one",
			   p.name);
	}
	if (cpuset_intersects(&p.cpus, &r->taken)) {
		plan_fault(r, sec->line, sec->column,
			   "found cpus of another pool in pool %s, expected free ones", p.name);
	}
	cpuset_or(&r->taken, &p.cpus);
	SIM_PUSH(r->plan->pool, r->plan->pools, r->plan->pool_room, p);
}

static void read_vm(struct reader *r, const struct section *sec)
{
	struct plan_vm vm = { .vcpus = 1, .copies = 1, .autostart = 1 };
	struct sim_pattern *t = &vm.pattern;

	plan_read_name(r, sec, vm.name, sizeof(vm.name));
	cpuset_fill(&vm.hard, CPU_MAX);
	cpuset_fill(&vm.soft, CPU_MAX);
	read_section(r, sec, &vm, &vm.values);
	plan_check_name(r, sec, &vm);
	if (t->kind != SIM_BUSY && t->run_ns == 0) {
		plan_fault(r, sec->line, sec->column, "vm %s: found no run, expected one for %s",
			   vm.name, pattern_words[t->kind]);
	}
	if (t->kind != SIM_BUSY && t->kind != SIM_YIELDER && t->every_ns == 0) {
		plan_fault(r, sec->line, sec->column, "vm %s: found no every, expected one for %s",
			   vm.name, pattern_words[t->kind]);
	}
	SIM_PUSH(r->plan->vm, r->plan->vms, r->plan->vm_room, vm);
}

/* --- All of it. */

static void read_kind(struct reader *r, enum kind kind)
{
	for (unsigned i = 0; i < r->sections; i++) {
		const struct section *sec = &r->section[i];

		if (sec->kind != kind) {
			continue;
		}
		switch (kind) {
		case KIND_MACHINE:
			read_section(r, sec, &r->plan->machine, NULL);
			break;
		case KIND_POOL:
			read_pool(r, sec);
			break;
		case KIND_VM:
			read_vm(r, sec);
			break;
		case KIND_EVENTS:
			for (unsigned k = 0; k < sec->sets; k++) {
				plan_read_event(r, &sec->set[k]);
			}
			break;
		case KINDS:
			break;
		}
	}
}

static int by_place(const void *a, const void *b)
{
	const struct plan_error *x = a, *y = b;

	return x->line != y->line ? (x->line < y->line ? -1 : 1) :
				    (x->column > y->column) - (x->column < y->column);
}

void plan_read(struct plan *plan, const char *text, size_t size)
{
	struct reader r = { .plan = plan };

	*plan = (struct plan){ .machine = { 1, 1, 8, 1, 0, 0, 1, 100 * NS_PER_MS, 0 } };
	cut(&r, text, size);
	for (enum kind k = KIND_MACHINE; k < KINDS; k++) {
		read_kind(&r, k);
	}
	for (unsigned i = 0; i < plan->vms; i++) {
		plan->entities += plan->vm[i].vcpus * plan->vm[i].copies;
	}
	if (plan->pools == 0 || plan->vms == 0) {
		plan_fault(&r, 1, 1, "found no [%s NAME], expected one at least",
			   plan->pools == 0 ? "pool" : "vm");
	}
	if (plan->entities > PLAN_ENTITIES_MAX) {
		plan_fault(&r, 1, 1, "found %lu vCPUs, expected at most %u", plan->entities,
			   PLAN_ENTITIES_MAX);
	}
	if (plan->errors > 0) {
		qsort(plan->error, plan->errors, sizeof(plan->error[0]), by_place);
	}
	for (unsigned i = 0; i < r.sections; i++) {
		for (unsigned k = 0; k < r.section[i].sets; k++) {
			free(r.section[i].set[k].key);
			free(r.section[i].set[k].value);
		}
		free(r.section[i].set);
		free(r.section[i].name);
	}
	free(r.section);
}

void plan_free(struct plan *plan)
{
	for (unsigned i = 0; i < plan->pools; i++) {
		free(plan->pool[i].values);
	}
	for (unsigned i = 0; i < plan->vms; i++) {
		free(plan->vm[i].values);
	}
	for (unsigned i = 0; i < plan->events; i++) {
		free(plan->event[i].words);
	}
	free(plan->pool);
	free(plan->vm);
	free(plan->event);
	free(plan->error);
}
