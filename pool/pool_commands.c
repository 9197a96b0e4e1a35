/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about pools. What names several cpus happens to all of them or to none. */
#include "kernel/cpusetexpr.h"
#include "kernel/json.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/manifest.h"
#include "kernel/shell.h"
#include "pool/args.h"

#define CPUS_TEXT_MAX	256u

/* --- Words to things. */

/* The value of "key=value", or NULL when word has another key. */
static const char *value_of(const char *word, const char *key)
{
	size_t len = strlen(key);

	return strncmp(word, key, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static const char *const admissions[] = { "refuse", "warn" };

/* What pool create and pool set take beside cpus. */
struct wish {
	const struct sched_ops *ops;
	struct sched_values values;
	struct sched_table *table;
	struct cpuset cpus;
	bool warn;
};

static enum err parse_admission(const char *word, const char *value, bool *warn)
{
	*warn = str_eq(value, admissions[true]);
	return *warn || str_eq(value, admissions[false]) ? ERR_OK :
	       shell_fail(ERR_INVAL, word, "found \"%s\", expected refuse or warn", value);
}

/* What else one may hope to set: keys of the manifest's [pool NAME]. */
static enum err unknown_value(const char *word, const struct wish *w)
{
	const char *equals = strchr(word, '=');
	char name[MANIFEST_NAME_MAX];

	(void)str_copy(name, MIN(sizeof(name), equals != NULL ? (size_t)(equals - word) + 1 : sizeof(name)), word);
	if (sched_tunable_known(name, true)) {
		return shell_fail(ERR_INVAL, word, "scheduler %s does not have it", w->ops->name);
	}
	if (sched_tunable_known(name, false)) {
		return shell_fail(ERR_INVAL, word, "belongs to a VM: use `vm set`");
	}
	for (unsigned i = 0; i < manifest_key_count; i++) {
		const struct manifest_key *key = &manifest_keys[i];

		if (key->section != MANIFEST_POOL || key->type == MANIFEST_TUNABLE || value_of(word, key->name) == NULL) {
			continue;
		}
		return shell_fail(ERR_NOTSUP, word, "%s", !key->built ? "not built yet" : key->type == MANIFEST_CPUS ?
				  "a pool's cpus change by pool cpu-add and pool cpu-remove" : "a pool keeps its scheduler");
	}
	return shell_fail(ERR_INVAL, word, "%s knows no such pool setting; expected key=value, see `sched list`", w->ops->name);
}

/* Takes "key=value", or a list's rows into the table, where key is a tunable of the pool. */
static enum err parse_value(const char *word, struct wish *w)
{
	const char *equals = strchr(word, '=');
	const struct sched_ops *ops = w->ops;
	struct sched_reason why;

	if (value_of(word, "admission") != NULL) {
		return parse_admission(word, equals + 1, &w->warn);
	}
	for (unsigned i = 0; equals != NULL && i < ops->tunable_count; i++) {
		const struct sched_tunable *t = &ops->tunables[i];

		if (t->scope == SCHED_POOL && value_of(word, t->name) != NULL) {
			enum err e;

			if (t->type == SCHED_LIST) {
				w->table = w->table != NULL ? w->table : pool_table_new(SCHED_ROWS_MAX);
				e = w->table == NULL ? sched_refuse(ERR_NOMEM, &why, "no memory for a table") :
				    sched_table_add(t, w->table, equals + 1, &why);
			} else {
				e = sched_value_parse(t, equals + 1, &w->values.v[i], &why);
			}
			return shell_result(e, word, &why);
		}
	}
	return unknown_value(word, w);
}

/* --- Showing. */

static const char *cpus_text(const struct pool *p)
{
	static char buf[CPUS_TEXT_MAX];
	struct text t = text_make(buf, sizeof(buf));

	cpusetexpr_print(&p->cpus, &t);
	return buf;
}

static void pool_json(struct json *j, const struct pool *p)
{
	json_object(j, NULL);
	json_string(j, "name", p->name);
	json_uint(j, "cpus", cpuset_count(&p->cpus));
	json_string(j, "cpu_list", cpuset_empty(&p->cpus) ? "" : cpus_text(p));
	json_string(j, "sched", p->sched.ops->name);
	json_string(j, "failed", pool_failed(p) != NULL ? pool_failed(p) : "");
	json_uint(j, "vms", p->group_count);
	json_uint(j, "vcpus", p->entity_count);
	json_end(j);
}

/* Words of pool list: [-c] [P]. */
static bool wants_cpus(const struct shell_args *args)
{
	return args->count > 0 && (str_eq(args->word[0], "-c") || str_eq(args->word[0], "--cpus"));
}

static const char *only(const struct shell_args *args)
{
	return args->count > wants_cpus(args) ? args->word[args->count - 1] : NULL;
}

static bool row(const struct shell_args *args, unsigned i, struct json *j)
{
	const struct pool *p = pool_at(i);
	bool cpus = wants_cpus(args);

	if (p == NULL || (only(args) != NULL && !str_eq(only(args), p->name))) {
		return p != NULL;
	}
	if (j != NULL) {
		pool_json(j, p);
		return true;
	}
	con_printf("%-20s %5u  %-10s %4u%s%s", p->name, cpuset_count(&p->cpus), p->sched.ops->name, p->group_count,
		   cpus ? "  " : "", cpus ? cpus_text(p) : "");
	if (pool_failed(p) != NULL) {
		con_printf("  (%s failed)", pool_failed(p));
	}
	con_printf("\n");
	return true;
}

static enum err list(const struct shell_args *args)
{
	if (args->count - wants_cpus(args) > 1 || (only(args) != NULL && only(args)[0] == '-')) {
		return shell_usage();
	}
	if (only(args) != NULL && args_pool(only(args)) == NULL) {
		return ERR_NOENT;
	}
	return shell_list(args, wants_cpus(args) ? "Name                  CPUs  Sched       VMs  CPU list\n" :
			  "Name                  CPUs  Sched       VMs\n", row);
}

static void show_rows(const struct pool *p, const char *name, struct json *j)
{
	const struct sched_table *table = p->sched.table;

	if (j != NULL) {
		json_array(j, name);
	}
	for (unsigned i = 0; table != NULL && i < table->count; i++) {
		char buf[80];
		struct text to = text_make(buf, sizeof(buf));

		sched_row_print(&table->row[i], &to);
		if (j != NULL) {
			json_string(j, NULL, buf);
		} else {
			con_printf("%-12s %s\n", name, buf);
		}
	}
	if (j != NULL) {
		json_end(j);
	}
}

static void show_values(const struct pool *p, struct json *j)
{
	for (unsigned i = 0; i < p->sched.ops->tunable_count; i++) {
		const struct sched_tunable *t = &p->sched.ops->tunables[i];
		char buf[64];
		struct text to = text_make(buf, sizeof(buf));

		if (t->scope != SCHED_POOL) {
			continue;
		}
		if (t->type == SCHED_LIST) {
			show_rows(p, t->name, j);
			continue;
		}
		sched_value_print(t, p->sched.values.v[i], &to);
		if (j != NULL) {
			json_string(j, t->name, buf);
		} else {
			con_printf("%-12s %s\n", t->name, buf);
		}
	}
}

/* What became of its scheduler, if that failed: with the time as the log has it. */
static void show_fault(const struct pool *p, struct json *j)
{
	char words[300] = "";
	struct text t = text_make(words, sizeof(words));
	uint64_t at_us = p->fault.at_ns / NS_PER_US;

	if (pool_failed(p) != NULL) {
		text_printf(&t, "[%4lu.%06lu] ", at_us / 1000000, at_us % 1000000);
		pool_fault_print(p, &t);
	}
	if (j != NULL) {
		json_string(j, "failed", words);
	} else if (words[0] != '\0') {
		con_printf("%-12s %s\n", "failed", words);
	}
}

static void show_json(const struct pool *p)
{
	struct json j;

	json_begin_object(&j);
	json_string(&j, "name", p->name);
	json_string(&j, "sched", p->sched.ops->name);
	show_fault(p, &j);
	json_string(&j, "admission", admissions[p->warn]);
	json_string(&j, "cpu_list", cpuset_empty(&p->cpus) ? "" : cpus_text(p));
	json_uint(&j, "node", p->node);
	json_object(&j, "values");
	show_values(p, &j);
	json_end(&j);
	json_array(&j, "vms");
	LIST_FOREACH(node, &p->groups) {
		json_string(&j, NULL, LIST_ENTRY(node, struct sched_group, link)->name);
	}
	json_end(&j);
	json_finish(&j);
}

static enum err show(const struct shell_args *args)
{
	const struct pool *p = args_pool(args->word[0]);

	if (p == NULL) {
		return ERR_NOENT;
	}
	if (args->json) {
		show_json(p);
		return ERR_OK;
	}
	con_printf("%-12s %s\n%-12s %s\n", "name", p->name, "sched", p->sched.ops->name);
	show_fault(p, NULL);
	con_printf("%-12s %s\n%-12s %u\n%-12s %s\n", "cpus", cpus_text(p), "memory node", p->node, "admission",
		   admissions[p->warn]);
	show_values(p, NULL);
	con_printf("%-12s %u\n", "VMs", p->group_count);
	LIST_FOREACH(node, &p->groups) {
		const struct sched_group *g = LIST_ENTRY(node, struct sched_group, link);

		con_printf("  %s, %u vCPU%s\n", g->name, g->entity_count, g->entity_count == 1 ? "" : "s");
	}
	return ERR_OK;
}

/* --- Changing. */

/* Moves all of set, or says which cannot go and moves those back that went. */
static enum err move_all(struct pool *from, struct pool *to, const struct cpuset *set)
{
	struct sched_reason why, ignored;

	CPUSET_FOREACH(cpu, set) {
		enum err e = pool_move_cpu(from, to, cpu, &why);

		if (e == ERR_OK) {
			continue;
		}
		for (unsigned back = cpuset_first(set); back != cpu; back = cpuset_next(set, back + 1)) {
			if (pool_move_cpu(to, from, back, &ignored) != ERR_OK) {
				con_printf("cpu %u could not go back: %s\n", back, ignored.words);
			}
		}
		return shell_fail(e, (to != NULL ? to : from)->name, "%s", why.words);
	}
	return ERR_OK;
}

static enum err parse_wish(const struct shell_args *args, struct wish *w)
{
	enum err e = ERR_OK;

	w->ops = pool_default();
	for (int i = 1; i < args->count; i++) {
		const char *name = value_of(args->word[i], "sched");

		if (name != NULL && (w->ops = sched_policy_find(name)) == NULL) {
			return shell_fail(ERR_NOENT, name, "there is no scheduler of that name, see `sched list`");
		}
	}
	sched_values_default(w->ops, &w->values);
	e = args_once(args, w->ops);
	for (int i = 1; i < args->count && e == ERR_OK; i++) {
		const char *cpus = value_of(args->word[i], "cpus");

		if (cpus != NULL) {
			e = args_cpus(cpus, &w->cpus);
		} else if (value_of(args->word[i], "sched") == NULL) {
			e = parse_value(args->word[i], w);
		}
	}
	return e;
}

/* With the pool's cpus in it: a table's slots must be among them. No table: it stays. */
static enum err tune(struct pool *p, const struct wish *w, struct sched_reason *why)
{
	if (w->table == NULL) {
		return pool_tune(p, &w->values, why);
	}
	sched_table_finish(w->table);
	return pool_tune_table(p, &w->values, w->table, why);
}

static enum err make(const char *name, const struct wish *w)
{
	unsigned first = cpuset_first(&w->cpus);
	struct sched_reason why;
	struct pool *p;
	enum err e = pool_create(name, w->ops, &w->values, first != CPU_NONE ? cpu_get(first)->node : 0, &p, &why);

	if (e != ERR_OK) {
		return shell_result(e, name, &why);
	}
	pool_set_warn(p, w->warn);
	e = move_all(NULL, p, &w->cpus);
	if (e == ERR_OK && w->table != NULL) {
		e = shell_result(tune(p, w, &why), name, &why);
	}
	if (e != ERR_OK) {
		pool_destroy(p, &why);
	}
	return e;
}

static enum err create(const struct shell_args *args)
{
	struct wish w = { 0 };
	enum err e = parse_wish(args, &w);

	e = e == ERR_OK ? make(args->word[0], &w) : e;
	pool_table_free(w.table);
	return e;
}

static enum err destroy(const struct shell_args *args)
{
	struct sched_reason why;
	struct pool *p = args_pool(args->word[0]);

	return p == NULL ? ERR_NOENT : shell_result(pool_destroy(p, &why), args->word[0], &why);
}

static enum err rename(const struct shell_args *args)
{
	struct sched_reason why;
	struct pool *p = args_pool(args->word[0]);

	return p == NULL ? ERR_NOENT : shell_result(pool_rename(p, args->word[1], &why), args->word[1], &why);
}

static enum err change_cpus(const struct shell_args *args, bool add)
{
	struct cpuset set;
	struct pool *p = args_pool(args->word[0]);
	enum err e = p == NULL ? ERR_NOENT : args_cpus(args->word[1], &set);

	return e != ERR_OK ? e : move_all(add ? NULL : p, add ? p : NULL, &set);
}

static enum err cpu_add(const struct shell_args *args)
{
	return change_cpus(args, true);
}

static enum err cpu_remove(const struct shell_args *args)
{
	return change_cpus(args, false);
}

/* Gives the cpus of one node a pool like p of their own. */
static enum err split_node(struct pool *p, unsigned node)
{
	struct cpuset set = cpu_set_of_node(node);
	struct sched_reason why;
	struct pool *to;
	char name[16];
	struct text t = text_make(name, sizeof(name));
	enum err e;

	cpuset_and(&set, &p->cpus);
	text_printf(&t, "node%u", node);
	if (p->sched.ops == &p->limbo) {
		return shell_fail(ERR_STATE, p->name, "its scheduler has failed");
	}
	e = pool_create(name, p->sched.ops, &p->sched.values, node, &to, &why);
	if (e != ERR_OK) {
		return shell_result(e, name, &why);
	}
	pool_set_warn(to, p->warn);
	e = move_all(p, to, &set);
	if (e != ERR_OK) {
		(void)pool_destroy(to, &why);
	}
	return e;
}

/* As Xen's: the node of the first cpu stays, every other one becomes a pool. All of them, or none. */
static enum err numa_split(const struct shell_args *args)
{
	struct pool *p = pool_at(0), *made;
	unsigned stays, before = pool_count();
	struct sched_reason why;
	enum err e = ERR_OK;
	struct cpuset all;

	if (p == NULL) {
		return shell_fail(ERR_STATE, "pool numa-split", "there is no pool");
	}
	all = p->cpus;
	stays = cpuset_empty(&all) ? 0 : cpu_get(cpuset_first(&all))->node;
	CPUSET_FOREACH(cpu, &all) {
		if (e == ERR_OK && cpu_get(cpu)->node != stays && pool_of_cpu(cpu) == p) {
			e = split_node(p, cpu_get(cpu)->node);
		}
	}
	if (e == ERR_OK && pool_count() == before) {
		return shell_fail(ERR_STATE, p->name, "found cpus of no other node than %u in it", stays);
	}
	while (e != ERR_OK && pool_count() > before && (made = pool_at(pool_count() - 1)) != NULL) {
		struct cpuset back = made->cpus;

		CPUSET_FOREACH(cpu, &back) {
			(void)pool_move_cpu(made, p, cpu, &why);
		}
		if (pool_destroy(made, &why) != ERR_OK) {
			break;
		}
	}
	return e;
}

static bool has_row(const struct sched_table *table, const struct sched_group *g, unsigned number)
{
	for (unsigned i = 0; i < table->count; i++) {
		if (table->row[i].number == number && str_eq(table->row[i].group, g->name)) {
			return true;
		}
	}
	return false;
}

/* Another table may have nothing for a VM that is there. */
static void warn_of_table(const struct pool *p, const struct sched_table *table)
{
	for (const struct list *node = p->entities.next; table != NULL && node != &p->entities; node = node->next) {
		const struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);

		if (!has_row(table, e->group, e->number)) {
			con_printf("warning: %s: none is for %s.%u\n", sched_list_of(p->sched.ops)->name, e->group->name, e->number);
		}
	}
}

static enum err set(const struct shell_args *args)
{
	struct wish w;
	struct sched_reason why;
	struct pool *p = args_pool(args->word[0]);
	enum err e = ERR_OK;

	if (p == NULL) {
		return ERR_NOENT;
	}
	w = (struct wish){ .ops = p->sched.ops, .values = p->sched.values, .warn = p->warn };
	e = args_once(args, w.ops);
	for (int i = 1; i < args->count && e == ERR_OK; i++) {
		e = parse_value(args->word[i], &w);
	}
	if (e == ERR_OK) {
		e = shell_result(tune(p, &w, &why), p->name, &why);
	}
	if (e == ERR_OK) {
		pool_set_warn(p, w.warn);
		warn_of_table(p, w.table);
	}
	pool_table_free(w.table);
	return e;
}

SHELL_COMMAND(pool_list, .name = "pool list", .usage = "[-c] [P] [-j]", .most = 2, .run = list, .complete = SHELL_POOL,
	      .alias = "cpupool-list", .help = "Lists the pools; -c with their cpus.");
SHELL_COMMAND(pool_show, .name = "pool show", .usage = "P [-j]", .least = 1, .most = 1, .run = show, .complete = SHELL_POOL,
	      .help = "Shows a pool's scheduler, settings, cpus and VMs.");
SHELL_COMMAND(pool_create, .name = "pool create", .usage = "P [sched=S] [cpus=SET] [key=value...]", .least = 1,
	      .most = SHELL_ARGS_MAX, .run = create, .complete = SHELL_SCHED, .keys = SHELL_POOL_KEYS, .alias = "cpupool-create",
	      .help = "Makes a pool, of free cpus.");
SHELL_COMMAND(pool_destroy, .name = "pool destroy", .usage = "P", .least = 1, .most = 1, .run = destroy, .complete = SHELL_POOL,
	      .alias = "cpupool-destroy", .help = "Removes a pool without VMs; its cpus become free.");
SHELL_COMMAND(pool_rename, .name = "pool rename", .usage = "P Q", .least = 2, .most = 2, .run = rename, .complete = SHELL_POOL,
	      .alias = "cpupool-rename", .help = "Gives pool P the name Q.");
SHELL_COMMAND(pool_cpu_add, .name = "pool cpu-add", .usage = "P SET", .least = 2, .most = 2, .run = cpu_add,
	      .complete = SHELL_POOL, .alias = "cpupool-cpu-add", .help = "Gives free cpus to a pool: all of SET, or none.");
SHELL_COMMAND(pool_cpu_remove, .name = "pool cpu-remove", .usage = "P SET", .least = 2, .most = 2, .run = cpu_remove,
	      .complete = SHELL_POOL, .alias = "cpupool-cpu-remove", .help = "Makes cpus of a pool free: all of SET, or none.");
SHELL_COMMAND(pool_set, .name = "pool set", .usage = "P [admission=refuse|warn] [key=value...]", .least = 2,
	      .most = SHELL_ARGS_MAX, .run = set, .complete = SHELL_POOL,
	      .help = "Changes admission, and settings of its scheduler (see sched list), while it runs.");
SHELL_COMMAND(pool_numa_split, .name = "pool numa-split", .usage = "", .run = numa_split, .alias = "cpupool-numa-split",
	      .help = "Splits the first pool: each other node's cpus become a pool nodeN like it.");
