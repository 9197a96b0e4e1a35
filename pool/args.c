/* SPDX-License-Identifier: BSD-2-Clause */
/* See args.h. */
#include "pool/args.h"

#include "kernel/lib/string.h"
#include "kernel/machine.h"

static unsigned node_of(const void *context, unsigned cpu)
{
	return cpu_get(cpu)->node;
}

static unsigned core_of(const void *context, unsigned cpu)
{
	return cpu_get(cpu)->core;
}

static bool is_free(const void *context, unsigned cpu)
{
	return cpu_is_online(cpu) && pool_of_cpu(cpu) == NULL;
}

static bool has_file(const void *context, const char *name)
{
	return machine_file(name) != NULL;
}

struct manifest_facts args_facts(void)
{
	return (struct manifest_facts){ .cpus = { cpu_count(), node_of, core_of, is_free, NULL }, .has_file = has_file };
}

enum err args_cpus(const char *text, struct cpuset *set)
{
	const struct manifest_facts facts = args_facts();
	struct cpusetexpr_error error;

	if (!cpusetexpr_parse(text, &facts.cpus, set, &error)) {
		return shell_fail(ERR_INVAL, text[0] != '\0' ? text : "\"\"", "column %u: %s", error.column, error.words);
	}
	return cpuset_empty(set) ? shell_fail(ERR_INVAL, text, "names no cpu") : ERR_OK;
}

enum err args_once(const struct shell_args *args, const struct sched_ops *ops)
{
	const struct sched_tunable *list = sched_list_of(ops);

	for (int i = 1; i < args->count; i++) {
		const char *equals = strchr(args->word[i], '=');
		size_t len = equals != NULL ? (size_t)(equals - args->word[i]) : 0;

		if (list != NULL && strlen(list->name) == len && strncmp(list->name, args->word[i], len) == 0) {
			continue;
		}
		for (int k = 1; k < i && len > 0; k++) {
			if (strncmp(args->word[k], args->word[i], len + 1) == 0) {
				return shell_fail(ERR_INVAL, args->word[i], "found its key again, expected it once");
			}
		}
	}
	return ERR_OK;
}

struct pool *args_pool(const char *name)
{
	struct pool *p = pool_find(name);

	if (p == NULL) {
		shell_fail(ERR_NOENT, name, "there is no pool of that name");
	}
	return p;
}
