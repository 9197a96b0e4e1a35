/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cpu sets as people type them: `0-3,5,^1`, `node:1`, `nodes:0-1,^4`, `core:2`, `free`, `all`. Comma separated, from
 * left to right; `^` before an item takes it out again (not before `all`, which only ever means everything). Blanks
 * around items are allowed. What a node, a core or a free cpu is comes from the caller, so the same code serves the
 * shell, the manifest and the host's linter.
 */
#pragma once

#include <stdbool.h>

#include "kernel/lib/cpuset.h"
#include "kernel/lib/format.h"

struct cpusetexpr_facts {
	unsigned cpu_count;
	unsigned (*node_of)(const void *context, unsigned cpu);
	unsigned (*core_of)(const void *context, unsigned cpu);	/* machine-wide number; NULL: each cpu is a core */
	bool (*is_free)(const void *context, unsigned cpu);	/* NULL: every cpu is */
	const void *context;
};

struct cpusetexpr_error {
	unsigned column;	/* from 1, in the expression's text */
	char words[128];	/* what was found and what was expected */
};

/* Sets *set, which may be empty, or returns false with *error filled; *set is written only on success. */
bool cpusetexpr_parse(const char *text, const struct cpusetexpr_facts *facts, struct cpuset *set,
		      struct cpusetexpr_error *error);

/* As ranges, `0-3,5`; an empty set prints `none`. */
void cpusetexpr_print(const struct cpuset *set, struct text *to);
