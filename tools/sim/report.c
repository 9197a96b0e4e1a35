/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of figures. */
#include "tools/sim/report.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/cpusetexpr.h"
#include "tools/sim/internal.h"

#define ROWS_MAX	64u		/* a row a vCPU as long as there are no more */

static void add(struct sim_figures *sum, const struct sim_figures *f)
{
	sum->run_ns += f->run_ns;
	sum->wait_ns += f->wait_ns;
	sum->parked_ns += f->parked_ns;
	sum->sleep_ns += f->sleep_ns;
	sum->wakes += f->wakes;
	sum->wake_p50_ns = MAX(sum->wake_p50_ns, f->wake_p50_ns);
	sum->wake_p99_ns = MAX(sum->wake_p99_ns, f->wake_p99_ns);
	sum->wake_max_ns = MAX(sum->wake_max_ns, f->wake_max_ns);
	sum->longest_wait_ns = MAX(sum->longest_wait_ns, f->longest_wait_ns);
	sum->switches += f->switches;
	sum->migrations += f->migrations;
	sum->jobs += f->jobs;
	sum->misses += f->misses;
	sum->lost += f->lost;
}

static void take_row(struct report *report, const char *name, const char *policy,
		     const struct sim_figures *f)
{
	struct report_row row = { .figures = *f };

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.policy, sizeof(row.policy), "%s", policy);
	SIM_PUSH(report->row, report->rows, report->room, row);
}

static void take_group(struct report *report, struct sim_group *g, const char *policy, bool each,
		       struct sim_figures *sum)
{
	char name[SIM_NAME_LEN];

	for (unsigned i = 0; i < g->count; i++) {
		const struct sim_figures f = sim_figures(g->entity[i]);

		add(sum, &f);
		if (each) {
			take_row(report, sim_name(g->entity[i], name), policy, &f);
		}
	}
}

void report_take(struct report *report, struct plan_run *run, const char *policy)
{
	const bool each = run->sim->entities <= ROWS_MAX;
	struct sim_figures all = { 0 };
	char name[SIM_NAME_LEN];

	*report = (struct report){ 0 };
	for (unsigned i = 0; i < run->plan->vms; i++) {
		const struct plan_vm *vm = &run->plan->vm[i];
		const char *under = policy != NULL ? policy : run->pool[vm->pool]->sched.ops->name;
		const unsigned n = (unsigned)vm->copies * run->scale;
		struct sim_figures sum = { 0 };

		for (unsigned k = 0; k < n; k++) {
			struct sim_group *g = run->group[i][k];

			take_group(report, g, policy != NULL ? policy : g->pool->sched.ops->name,
				   each, &sum);
		}
		if (!each) {
			snprintf(name, sizeof(name), "%s x %lu", vm->name, n * vm->vcpus);
			take_row(report, name, under, &sum);
		}
		add(&all, &sum);
	}
	take_row(report, "all", policy != NULL ? policy : "-", &all);
}

void report_free(struct report *report)
{
	free(report->row);
}

static double us(uint64_t ns)
{
	return (double)ns / (double)NS_PER_US;
}

static void print_row(FILE *to, const struct report_row *row, uint64_t span_ns)
{
	const struct sim_figures *f = &row->figures;
	const double percent = 100.0 / (double)span_ns;

	if (f->run_ns + f->wait_ns + f->parked_ns + f->sleep_ns == 0) {
		fprintf(to, "%-20s %-9s did not start\n", row->name, row->policy);
		return;
	}
	fprintf(to,
		"%-20s %-9s %9.2f %9.2f %9.2f  %9.1f %9.1f %9.1f %10.1f  %9lu %8lu %8lu %7lu %7lu\n",
		row->name, row->policy, percent * (double)f->run_ns, percent * (double)f->wait_ns,
		percent * (double)f->parked_ns, us(f->wake_p50_ns), us(f->wake_p99_ns),
		us(f->wake_max_ns), us(f->longest_wait_ns), f->switches, f->migrations, f->jobs,
		f->misses, f->lost);
}

void report_print(FILE *to, const struct plan *plan, const struct report *report, unsigned n)
{
	fprintf(to, "%-20s %-9s %9s %9s %9s  %9s %9s %9s %10s  %9s %8s %8s %7s %7s\n", "vm",
		"policy", "share %", "wait %", "parked %", "p50 us", "p99 us", "max us",
		"longest us", "switches", "migrated", "jobs", "missed", "lost");
	for (unsigned i = 0; n > 0 && i < report[0].rows; i++) {
		for (unsigned k = 0; k < n; k++) {
			print_row(to, &report[k].row[i], plan->machine.until_ns);
		}
	}
}

static void json_row(FILE *to, const struct report_row *row)
{
	const struct sim_figures *f = &row->figures;

	fprintf(to,
		"{\"vm\":\"%s\",\"policy\":\"%s\",\"run_ns\":%lu,\"wait_ns\":%lu,\"parked_ns\":%lu,"
		"\"sleep_ns\":%lu,\"wake_p50_ns\":%lu,\"wake_p99_ns\":%lu,\"wake_max_ns\":%lu,"
		"\"longest_wait_ns\":%lu,\"switches\":%lu,\"migrations\":%lu,\"jobs\":%lu,"
		"\"misses\":%lu,\"lost\":%lu}",
		row->name, row->policy, f->run_ns, f->wait_ns, f->parked_ns, f->sleep_ns,
		f->wake_p50_ns, f->wake_p99_ns, f->wake_max_ns, f->longest_wait_ns, f->switches,
		f->migrations, f->jobs, f->misses, f->lost);
}

/* Names need no escapes: they are of letters, digits and . _ - only. */
void report_json(FILE *to, const struct report *report, unsigned n)
{
	const char *between = "[";

	for (unsigned k = 0; k < n; k++) {
		for (unsigned i = 0; i < report[k].rows; i++) {
			fprintf(to, "%s\n", between);
			json_row(to, &report[k].row[i]);
			between = ",";
		}
	}
	fputs("\n]\n", to);
}

void report_pools(FILE *to, struct plan_run *run)
{
	char buf[512];

	for (unsigned i = 0; i < run->sim->pools; i++) {
		const struct sim_pool *p = run->sim->pool[i];
		struct text t = text_make(buf, sizeof(buf));

		cpusetexpr_print(&p->sched.slots, &t);
		fprintf(to, "pool %s: %s on cpus %s, %u VMs", p->name, p->sched.ops->name, buf,
			p->groups);
		if (p->figures.idle_waiting_ns > 0) {
			fprintf(to, "; for %.1f us a cpu idled beside a vCPU that waits, first %s",
				us(p->figures.idle_waiting_ns), p->figures.idle_waiting);
		}
		fputc('\n', to);
	}
	for (const char *note = sim_notes(run->sim); *note != '\0';) {
		size_t len = strcspn(note, "\n");

		fprintf(to, "note: %.*s\n", (int)len, note);
		note += len + (note[len] != '\0');
	}
}

void report_cost(FILE *to, struct plan_run *run)
{
	const double seconds = (double)run->plan->machine.until_ns / (double)NS_PER_S;

	for (unsigned i = 0; i < run->sim->pools; i++) {
		const struct sim_pool_figures *f = &run->sim->pool[i]->figures;

		fprintf(to, "\npool %s, %s, %u vCPUs\n%-14s %12s %14s %14s\n",
			run->sim->pool[i]->name, run->sim->pool[i]->sched.ops->name,
			run->sim->entities, "op", "calls", "calls a second", "host ns a call");
		for (unsigned op = 0; op < SIM_OP_COUNT; op++) {
			if (f->calls[op] > 0) {
				fprintf(to, "%-14s %12lu %14.0f %14.0f\n", sim_op_name[op],
					f->calls[op], (double)f->calls[op] / seconds,
					(double)f->host_ns[op] / (double)f->calls[op]);
			}
		}
	}
}
