/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about schedulers: sched list, sched dump. */
#include "kernel/json.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "pool/args.h"
#include "pool/pool_internal.h"

static const char *print_value(const struct sched_tunable *t, int64_t value, char *buf, size_t size)
{
	struct text to = text_make(buf, size);

	sched_value_print(t, value, &to);
	return buf;
}

static const char *const type_names[] = {
	[SCHED_INT] = "number", [SCHED_TIME] = "time", [SCHED_BOOL] = "yes/no", [SCHED_ENUM] = "word", [SCHED_LIST] = "list",
};

static const char *const scope_names[] = { [SCHED_POOL] = "pool", [SCHED_GROUP] = "VM", [SCHED_ENTITY] = "vCPU" };

static void show_tunable(const struct sched_tunable *t)
{
	char def[32], min[32], max[32];

	con_printf("    %-14s %-6s %-6s default %s", t->name, scope_names[t->scope], type_names[t->type],
		   t->type == SCHED_LIST ? "none" : print_value(t, t->def, def, sizeof(def)));
	if (t->type == SCHED_INT || t->type == SCHED_TIME) {
		con_printf(", %s to %s", print_value(t, t->min, min, sizeof(min)), print_value(t, t->max, max, sizeof(max)));
	}
	for (unsigned i = 0; t->type == SCHED_ENUM && t->words[i] != NULL; i++) {
		con_printf("%s%s", i == 0 ? ", of " : "|", t->words[i]);
	}
	con_printf("%s: %s", t->live ? ", live" : "", t->help);
	if (t->also != NULL) {
		con_printf(" (or %s)", t->also);
	}
	con_printf("\n");
}

static void tunable_json(struct json *j, const struct sched_tunable *t)
{
	char buf[32];

	json_object(j, NULL);
	json_string(j, "name", t->name);
	json_string(j, "type", type_names[t->type]);
	json_string(j, "scope", scope_names[t->scope]);
	json_string(j, "default", print_value(t, t->def, buf, sizeof(buf)));
	if (t->type == SCHED_INT || t->type == SCHED_TIME) {
		json_string(j, "min", print_value(t, t->min, buf, sizeof(buf)));
		json_string(j, "max", print_value(t, t->max, buf, sizeof(buf)));
	}
	if (t->type == SCHED_ENUM) {
		json_array(j, "words");
		for (unsigned i = 0; t->words[i] != NULL; i++) {
			json_string(j, NULL, t->words[i]);
		}
		json_end(j);
	}
	json_bool(j, "live", t->live);
	json_string(j, "help", t->help);
	json_end(j);
}

static bool honours(const struct sched_ops *ops, enum sched_honours what)
{
	return (ops->honours & what) != 0;
}

static bool policy(const struct shell_args *args, unsigned i, struct json *j)
{
	const struct sched_ops *ops = sched_policy_at(i);

	if (j == NULL) {
		con_printf("%-10s %s\n    honours %s%s%s\n", ops->name, ops->summary,
			   honours(ops, SCHED_HONOURS_HARD_AFFINITY) ? "affinity" : "no affinity",
			   honours(ops, SCHED_HONOURS_SOFT_AFFINITY) ? ", soft-affinity" : "",
			   honours(ops, SCHED_HONOURS_YIELD) ? ", yield" : "");
		for (unsigned k = 0; k < ops->tunable_count; k++) {
			show_tunable(&ops->tunables[k]);
		}
		return i + 1 < sched_policy_count();
	}
	json_object(j, NULL);
	json_string(j, "name", ops->name);
	json_string(j, "summary", ops->summary);
	json_bool(j, "affinity", honours(ops, SCHED_HONOURS_HARD_AFFINITY));
	json_bool(j, "soft_affinity", honours(ops, SCHED_HONOURS_SOFT_AFFINITY));
	json_bool(j, "yield", honours(ops, SCHED_HONOURS_YIELD));
	json_array(j, "tunables");
	for (unsigned k = 0; k < ops->tunable_count; k++) {
		tunable_json(j, &ops->tunables[k]);
	}
	json_end(j);
	json_end(j);
	return i + 1 < sched_policy_count();
}

static enum err list(const struct shell_args *args)
{
	return shell_list(args, "", policy);
}

/* Those that have work and may not run, whatever the policy. With all domains of p held. */
static void show_parked(const struct pool *p, uint64_t now_ns, struct text *to)
{
	static const char *const why[] = {
		[SCHED_PARK_BUDGET] = "its budget is used up", [SCHED_PARK_CAP] = "its cap is reached",
		[SCHED_PARK_WINDOW] = "outside its windows",
	};

	for (const struct list *n = p->entities.next; n != &p->entities; n = n->next) {
		const struct sched_entity *e = LIST_ENTRY(n, struct sched_entity, link);

		if (e->runnable && e->parked != SCHED_NOT_PARKED) {
			text_printf(to, "parked: %s.%u, %s, for ", e->group->name, e->number, why[e->parked]);
			if (e->parked_until_ns == NS_NEVER) {
				text_puts(to, "ever");
			} else {
				text_ns(to, ns_since(now_ns, e->parked_until_ns));
			}
			text_puts(to, "\n");
		}
	}
}

static enum err dump(const struct shell_args *args)
{
	static char buf[16 * KIB];
	struct text t = text_make(buf, sizeof(buf));
	struct sched_reason why;
	struct pool *p = args_pool(args->word[0]);
	uint64_t now_ns;

	if (p == NULL) {
		return ERR_NOENT;
	}
	pool_lock_all(p);
	now_ns = arch_now_ns();
	POOL_GUARD(POOL_ASK(cpu_this(), p, describe, &p->sched, now_ns, &t));
	show_parked(p, now_ns, &t);
	pool_unlock_all(p);
	con_write(buf, t.len);
	if (t.cut) {
		con_printf("... and more\n");
	}
	return pool_check(p, &why) ? ERR_OK : shell_fail(ERR_STATE, p->name, "%s", why.words);
}

SHELL_COMMAND(sched_list, .name = "sched list", .usage = "[-j]", .run = list,
	      .help = "Lists the schedulers with their settings, defaults and ranges.");
SHELL_COMMAND(sched_dump, .name = "sched dump", .usage = "P", .least = 1, .most = 1, .run = dump, .complete = SHELL_POOL,
	      .help = "Shows a pool's scheduler as it sees itself, and checks it.");
