/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run came to, as tables. */
#pragma once

#include <stdio.h>

#include "tools/sim/plan.h"

struct report_row {
	char name[SCHED_NAME_LEN * 4];
	char policy[SCHED_NAME_LEN];
	struct sim_figures figures;
};

/* The rows of a run; runs of one plan have the same ones. */
struct report {
	struct report_row *row;
	unsigned rows, room;
};

/*
 * A row a vCPU, or of a plan with many a row a VM of the plan: shares and counts summed up over its
 * vCPUs, waits the worst of them. policy: what the rows say they ran under; NULL: what each is
 * under now.
 */
void report_take(struct report *report, struct plan_run *run, const char *policy);
void report_free(struct report *report);
/* One table of n reports, side by side: the rows of one name one below the other. */
void report_print(FILE *to, const struct plan *plan, const struct report *report, unsigned n);
/* All rows of n reports as a JSON array of objects, times in ns: for programs. */
void report_json(FILE *to, const struct report *report, unsigned n);
/* How the pools fared, and notes. */
void report_pools(FILE *to, struct plan_run *run);
/* How often each op was called, and, where it was measured, how long it took here. */
void report_cost(FILE *to, struct plan_run *run);
