/* SPDX-License-Identifier: BSD-2-Clause */
/* What the readers of plans share. */
#pragma once

#include "tools/sim/plan.h"

enum kind { KIND_MACHINE, KIND_POOL, KIND_VM, KIND_EVENTS, KINDS };

struct setting {
	char *key, *value;
	unsigned line, key_column, column;
};

struct section {
	enum kind kind;
	char *name;
	unsigned line, column;
	struct setting *set;
	unsigned sets, room;
};

struct reader {
	struct plan *plan;
	struct section *section;
	unsigned sections, room;
	struct cpuset taken;			/* by pools so far */
};

void plan_fault(struct reader *r, unsigned line, unsigned column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Each says what is wrong by itself, and returns something harmless then. */
bool plan_read_cpus(struct reader *r, const char *text, unsigned line, unsigned column,
		    struct cpuset *set);
const struct sched_ops *plan_read_policy(struct reader *r, const char *name, unsigned line,
					 unsigned column);
unsigned plan_find_pool(struct reader *r, const char *name, unsigned line, unsigned column);
unsigned plan_find_vm(struct reader *r, const char *name, unsigned line, unsigned column);
/*
 * A tunable of ops, or where that has none of the name of any policy: plans are compared under
 * several.
 */
bool plan_check_tunable(struct reader *r, const struct sched_ops *ops, bool of_pool,
			const char *key, const char *value, unsigned line, unsigned key_column,
			unsigned column);
void plan_read_name(struct reader *r, const struct section *sec, char *to, size_t size);
/* Has no other VM, nor a copy of one, the name of vm, or of a copy of it? */
void plan_check_name(struct reader *r, const struct section *sec, const struct plan_vm *vm);
void plan_read_event(struct reader *r, const struct setting *s);
