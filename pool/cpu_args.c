/* SPDX-License-Identifier: BSD-2-Clause */
/* See cpu_args.h. */
#include "pool/cpu_args.h"

#include "kernel/shell.h"
#include "pool/pool.h"

static unsigned node_of(const void *context, unsigned cpu)
{
	(void)context;
	return cpu_get(cpu)->node;
}

static unsigned core_of(const void *context, unsigned cpu)
{
	(void)context;
	return cpu_get(cpu)->core;
}

static bool is_free(const void *context, unsigned cpu)
{
	(void)context;
	return cpu_is_online(cpu) && pool_of_cpu(cpu) == NULL;
}

struct cpusetexpr_facts cpu_args_facts(void)
{
	return (struct cpusetexpr_facts){ cpu_count(), node_of, core_of, is_free, NULL };
}

enum err cpu_args_parse(const char *text, struct cpuset *set)
{
	const struct cpusetexpr_facts facts = cpu_args_facts();
	struct cpusetexpr_error error;

	if (!cpusetexpr_parse(text, &facts, set, &error)) {
		return shell_fail(ERR_INVAL, text, "column %u: %s", error.column, error.words);
	}
	return ERR_OK;
}
