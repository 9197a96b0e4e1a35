/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of figures. */
#include "tools/sim/report.h"

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

void report_head(FILE *to, const char *first)
{
	fprintf(to, "%-20s %-9s %9s %9s %9s  %9s %9s %9s %10s  %9s %8s %8s %7s %7s\n", first, "policy", "share %", "wait %",
		"parked %", "p50 us", "p99 us", "max us", "longest us", "switches", "migrated", "jobs", "missed", "lost");
}

static double us(uint64_t ns)
{
	return (double)ns / (double)NS_PER_US;
}

static void put_row(FILE *to, const char *name, const char *policy, const struct sim_figures *f, uint64_t span_ns)
{
	const double percent = 100.0 / (double)span_ns;

	fprintf(to, "%-20s %-9s %9.2f %9.2f %9.2f  %9.1f %9.1f %9.1f %10.1f  %9lu %8lu %8lu %7lu %7lu\n", name, policy,
		percent * (double)f->run_ns, percent * (double)f->wait_ns, percent * (double)f->parked_ns, us(f->wake_p50_ns),
		us(f->wake_p99_ns), us(f->wake_max_ns), us(f->longest_wait_ns), f->switches, f->migrations, f->jobs, f->misses,
		f->lost);
}

static void report_group(FILE *to, struct sim_group *g, const char *policy, bool each, struct sim_figures *sum, uint64_t span_ns)
{
	char name[SIM_NAME_LEN];

	for (unsigned i = 0; i < g->count; i++) {
		const struct sim_figures f = sim_figures(g->entity[i]);

		add(sum, &f);
		if (each) {
			put_row(to, sim_name(g->entity[i], name), g->refused && !g->started ? "refused" : policy, &f, span_ns);
		}
	}
}

void report_rows(FILE *to, struct plan_run *run, const char *policy)
{
	const bool each = run->sim->entities <= ROWS_MAX;
	const uint64_t span_ns = run->plan->machine.until_ns;
	struct sim_figures all = { 0 };
	char name[64];

	for (unsigned i = 0; i < run->plan->vms; i++) {
		const struct plan_vm *vm = &run->plan->vm[i];
		const unsigned n = (unsigned)vm->copies * run->scale;
		struct sim_figures sum = { 0 };

		for (unsigned k = 0; k < n; k++) {
			struct sim_group *g = run->group[i][k];

			report_group(to, g, policy != NULL ? policy : g->pool->sched.ops->name, each, &sum, span_ns);
		}
		if (!each) {
			snprintf(name, sizeof(name), "%s x %lu", vm->name, n * vm->vcpus);
			put_row(to, name, policy != NULL ? policy : run->pool[vm->pool]->sched.ops->name, &sum, span_ns);
		}
		add(&all, &sum);
	}
	put_row(to, "all", policy != NULL ? policy : "", &all, span_ns);
}

void report_pools(FILE *to, struct plan_run *run)
{
	char buf[512];

	for (unsigned i = 0; i < run->sim->pools; i++) {
		const struct sim_pool *p = run->sim->pool[i];
		struct text t = text_make(buf, sizeof(buf));

		cpusetexpr_print(&p->sched.slots, &t);
		fprintf(to, "pool %s: %s on cpus %s, %u VMs", p->name, p->sched.ops->name, buf, p->groups);
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

		fprintf(to, "\npool %s, %s, %u vCPUs\n%-14s %12s %14s %14s\n", run->sim->pool[i]->name,
			run->sim->pool[i]->sched.ops->name, run->sim->entities, "op", "calls", "calls a second", "host ns a call");
		for (unsigned op = 0; op < SIM_OP_COUNT; op++) {
			if (f->calls[op] > 0) {
				fprintf(to, "%-14s %12lu %14.0f %14.0f\n", sim_op_name[op], f->calls[op],
					(double)f->calls[op] / seconds, (double)f->host_ns[op] / (double)f->calls[op]);
			}
		}
	}
}
