/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run came to, as tables. */
#pragma once

#include <stdio.h>

#include "tools/sim/plan.h"

/*
 * A row a vCPU, or of a plan with many a row a VM of the plan: shares and counts summed up over its vCPUs, waits the worst of
 * them. Behind a title of its own, which also says how the pools fared.
 */
void report_head(FILE *to, const char *first);
void report_rows(FILE *to, struct plan_run *run, const char *policy);
void report_pools(FILE *to, struct plan_run *run);
/* How often each op was called, and, where it was measured, how long it took here. */
void report_cost(FILE *to, struct plan_run *run);
