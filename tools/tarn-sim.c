/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tarn-sim: the schedulers of Tarn on simulated time. A plan goes in, figures, charts and traces
 * come out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"
#include "tools/sim/draw.h"
#include "tools/sim/internal.h"
#include "tools/sim/report.h"

#define TEXT_MAX	(4u << 20)	/* bytes of a plan: what is longer is some other file */
#define LIST_MAX	16u

static const char usage[] =
	"usage: tarn-sim PLAN [OPTION...]\n"
	"\n"
	"Runs PLAN (docs/simulator.md) and prints what each vCPU got, how long it waited, what it\n"
	"missed.\n"
	"\n"
	"--timetable        also a line a cpu: who ran, and until when\n"
	"--svg FILE         draws the schedule as a Gantt chart\n"
	"--perfetto FILE    writes a trace for https://ui.perfetto.dev\n"
	"--json FILE        writes the table for programs, times in ns\n"
	"--from T --to T    the part of the time that timetable, chart and trace show: --from 20ms --to 40ms\n"
	"--compare S...     runs PLAN under each of these policies instead of its own; each draws\n"
	"                   a file of its own, out-rr.svg for out.svg\n"
	"--cost             also how often each op of the policies was called, and how long it\n"
	"                   took on this computer\n"
	"--grow N...        runs PLAN with N times the copies of each VM, and prints how the cost\n"
	"                   of decisions grows\n"
	"--until T, --seed N   instead of the plan's\n"
	"--check            only says what is wrong with PLAN\n"
	"--help\n"
	"\n"
	"Exit status: 0; 1 for a plan with errors or a policy that broke the contract; 2 for a wrong\n"
	"call.\n";

struct options {
	const char *plan, *svg, *perfetto, *json;
	const struct sched_ops *policy[LIST_MAX];
	uint64_t grow[LIST_MAX];
	unsigned policies, grows;
	uint64_t from_ns, to_ns, until_ns, seed;
	bool timetable, cost, check, seeded;
};

static int wrong(const char *found, const char *expected)
{
	fprintf(stderr, "error: found %s, expected %s; see tarn-sim --help\n", found, expected);
	return 2;
}

/* --- Options. Each takes what follows it; NULL: it was not given rightly, and that was said. */

static bool take_time(char ***at, uint64_t least_ns, uint64_t *ns)
{
	const char *value = *++*at;

	if (value == NULL || parse_time(value, ns) != ERR_OK || *ns < least_ns) {
		wrong(value != NULL ? value : "nothing", PARSE_TIME_FORM);
		return false;
	}
	return true;
}

static bool take_file(char ***at, const char **name)
{
	*name = *++*at;
	if (*name == NULL) {
		wrong("nothing", "the name of a file");
	}
	return *name != NULL;
}

static void wrong_policy(const char *found)
{
	fprintf(stderr, "error: found %s, expected up to %u policies of:", found, LIST_MAX);
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		fprintf(stderr, " %s", sched_policy_at(i)->name);
	}
	fputc('\n', stderr);
}

static bool take_policies(char ***at, struct options *o)
{
	for (; (*at)[1] != NULL && (*at)[1][0] != '-'; ++*at) {
		const struct sched_ops *ops = sched_policy_find((*at)[1]);

		if (ops == NULL || o->policies == LIST_MAX) {
			wrong_policy((*at)[1]);
			return false;
		}
		o->policy[o->policies++] = ops;
	}
	if (o->policies == 0) {
		wrong_policy("nothing");
	}
	return o->policies > 0;
}

static bool take_numbers(char ***at, struct options *o)
{
	for (; (*at)[1] != NULL && (*at)[1][0] != '-'; ++*at) {
		if (o->grows == LIST_MAX || parse_u64((*at)[1], &o->grow[o->grows]) != ERR_OK ||
		    o->grow[o->grows] == 0 || o->grow[o->grows] > PLAN_ENTITIES_MAX) {
			wrong((*at)[1], "a number");
			return false;
		}
		o->grows++;
	}
	if (o->grows == 0) {
		wrong("nothing", "numbers");
	}
	return o->grows > 0;
}

static bool take_option(char ***at, struct options *o)
{
	const char *name = **at;
	const char *seed;

	if (str_eq(name, "--timetable")) {
		return o->timetable = true;
	} else if (str_eq(name, "--cost")) {
		return o->cost = true;
	} else if (str_eq(name, "--check")) {
		return o->check = true;
	} else if (str_eq(name, "--svg")) {
		return take_file(at, &o->svg);
	} else if (str_eq(name, "--perfetto")) {
		return take_file(at, &o->perfetto);
	} else if (str_eq(name, "--json")) {
		return take_file(at, &o->json);
	} else if (str_eq(name, "--from")) {
		return take_time(at, 0, &o->from_ns);
	} else if (str_eq(name, "--to")) {
		return take_time(at, 1, &o->to_ns);
	} else if (str_eq(name, "--until")) {
		return take_time(at, 1, &o->until_ns);
	} else if (str_eq(name, "--compare")) {
		return take_policies(at, o);
	} else if (str_eq(name, "--grow")) {
		return take_numbers(at, o);
	} else if (str_eq(name, "--seed")) {
		seed = *++*at;
		o->seeded = seed != NULL && parse_u64(seed, &o->seed) == ERR_OK;
		return o->seeded || wrong(seed != NULL ? seed : "nothing", "a number") == 0;
	}
	if (name[0] == '-' || o->plan != NULL) {
		wrong(name, "one plan and options");
		return false;
	}
	o->plan = name;
	return true;
}

/* --- The plan. */

static bool load(const char *path, struct plan *plan)
{
	FILE *f = fopen(path, "rb");
	char *text;
	size_t size;

	if (f == NULL) {
		perror(path);
		return false;
	}
	text = sim_alloc(TEXT_MAX);
	size = fread(text, 1, TEXT_MAX, f);
	if (ferror(f) != 0 || size == TEXT_MAX) {
		fprintf(stderr, "%s: found %s, expected a plan\n", path,
			size == TEXT_MAX ? "4 MiB" : "no readable file");
		fclose(f);
		free(text);
		return false;
	}
	fclose(f);
	plan_read(plan, text, size);
	free(text);
	for (unsigned i = 0; i < plan->errors; i++) {
		fprintf(stderr, "%s:%u:%u: %s\n", path, plan->error[i].line, plan->error[i].column,
			plan->error[i].words);
	}
	return true;
}

static bool open_output(const char *path, FILE **f)
{
	*f = str_eq(path, "-") ? stdout : fopen(path, "w");
	if (*f == NULL) {
		perror(path);
	}
	return *f != NULL;
}

static bool close_output(const char *path, FILE *f)
{
	bool good = ferror(f) == 0;

	good = (f == stdout ? fflush(f) : fclose(f)) == 0 && good;
	if (!good) {
		perror(path);
	}
	return good;
}

/* --- Runs. */

/* Of several policies each has a file of its own: out.svg becomes out-rr.svg. */
static void name_output(char *name, size_t size, const char *path, const struct sched_ops *ops)
{
	const char *dot = strrchr(path, '.');
	int stem = dot != NULL ? (int)(dot - path) : (int)strlen(path);

	if (ops == NULL || str_eq(path, "-")) {
		snprintf(name, size, "%s", path);
	} else {
		snprintf(name, size, "%.*s-%s%s", stem, path, ops->name, path + stem);
	}
}

static bool draw(const struct options *o, const struct plan *plan, const struct timeline *t,
		 struct window w, const struct sched_ops *ops)
{
	char name[4096], title[256];
	bool good = true;
	FILE *f;

	snprintf(title, sizeof(title), "%s%s%s", o->plan, ops != NULL ? ", " : "",
		 ops != NULL ? ops->name : "");
	if (o->timetable) {
		fputs(ops != NULL ? title : "", stdout);
		fputs(ops != NULL ? "\n" : "", stdout);
		draw_table(stdout, t, w);
		putchar('\n');
	}
	for (unsigned i = 0; i < 2 && good; i++) {
		const char *path = i == 0 ? o->svg : o->perfetto;

		if (path == NULL) {
			continue;
		}
		name_output(name, sizeof(name), path, ops);
		good = open_output(name, &f);
		if (good) {
			i == 0 ? draw_svg(f, t, w, plan, title) : draw_perfetto(f, t, w, plan);
			good = close_output(name, f);
		}
	}
	return good;
}

static bool start(struct plan_run *run, const struct plan *plan, const struct plan_options *po)
{
	bool good = plan_start(run, plan, po);

	if (!good) {
		fprintf(stderr, "error: %s\n", run->error);
	}
	return good;
}

/* What only its policy knows of a pool: whether a table fits its frame. */
static bool check_pools(const struct plan *plan)
{
	const struct plan_options po = { .ops = NULL };
	struct plan_run run;
	bool good = start(&run, plan, &po);

	plan_end(&run);
	return good;
}

static bool go(struct plan_run *run)
{
	bool good = plan_go(run);

	if (!good) {
		fprintf(stderr, "error: the contract of sched/sched.h was broken %s\n",
			sim_wrong(run->sim));
	}
	return good;
}

static struct window window_of(const struct options *o, const struct plan *plan)
{
	const struct plan_machine *m = &plan->machine;

	return (struct window){ o->from_ns != 0 ? o->from_ns : m->warmup_ns,
				o->to_ns != 0 ? o->to_ns : m->warmup_ns + m->until_ns };
}

static bool draws_any(const struct options *o)
{
	return o->timetable || o->svg != NULL || o->perfetto != NULL;
}

/* Could what is wanted be had of a plan that is right? Else that was said. */
static bool can_run(const struct options *o, const struct plan *plan)
{
	const struct window w = window_of(o, plan);

	if (o->grows > 0 && (draws_any(o) || o->json != NULL || o->cost)) {
		return wrong("--grow with a chart, table or --cost", "it without") == 0;
	}
	if (draws_any(o) && w.from_ns >= w.to_ns) {
		return wrong("nothing between --from and --to", "some of the time that the plan takes") == 0;
	}
	return true;
}

/*
 * One run with all that is wanted of it, but its table. ops: instead of the plan's policies, or
 * NULL.
 */
static bool run_under(const struct options *o, const struct plan *plan, const struct sched_ops *ops,
		      struct report *report)
{
	const struct plan_options po = { .ops = ops, .time_ops = o->cost };
	const struct window w = window_of(o, plan);
	const bool draws = draws_any(o);
	struct timeline t = { 0 };
	struct plan_run run;
	bool good = start(&run, plan, &po);

	if (good) {
		if (draws) {
			timeline_record(&t, run.sim);
		}
		good = go(&run);
		good = (!draws || draw(o, plan, &t, w, ops)) && good;
		report_take(report, &run, ops != NULL ? ops->name : NULL);
		report_pools(stdout, &run);
		if (o->cost) {
			report_cost(stdout, &run);
		}
		timeline_free(&t);
	}
	plan_end(&run);
	return good;
}

/* To the terminal, and to the file that was named. */
static bool put_table(const struct options *o, const struct plan *plan, const struct report *report, unsigned n)
{
	FILE *f;

	fputc('\n', stdout);
	report_print(stdout, plan, report, n);
	if (o->json == NULL) {
		return true;
	}
	if (!open_output(o->json, &f)) {
		return false;
	}
	report_json(f, report, n);
	return close_output(o->json, f);
}

/* The plan as it is, or under each policy that was named. */
static int run_all(const struct options *o, const struct plan *plan)
{
	struct report report[LIST_MAX] = { 0 };
	unsigned taken = 0;
	bool good = true;

	for (unsigned i = 0; i < MAX(1u, o->policies); i++) {
		good = run_under(o, plan, o->policy[i], &report[taken]) && good;
		taken += report[taken].rows > 0;
	}
	good = (taken == 0 || put_table(o, plan, report, taken)) && good;
	for (unsigned i = 0; i < taken; i++) {
		report_free(&report[i]);
	}
	return !good;
}

/* What wake and a decision (charge, pick, block or released) cost with more and more VMs. */
static void put_growth(struct plan_run *run)
{
	static const enum sim_op shown[] = {
		SIM_OP_wake, SIM_OP_pick, SIM_OP_charge, SIM_OP_block, SIM_OP_released,
	};

	printf("%9u %6u %-9s", run->sim->entities, run->sim->cpus,
	       run->sim->pool[0]->sched.ops->name);
	for (unsigned k = 0; k < ARRAY_SIZE(shown); k++) {
		uint64_t calls = 0;

		for (unsigned i = 0; i < run->sim->pools; i++) {
			calls += run->sim->pool[i]->figures.calls[shown[k]];
		}
		printf(" %9lu %5lu %5lu", calls,
		       sim_host_ns_of(run->sim->pool, run->sim->pools, shown[k], 50),
		       sim_host_ns_of(run->sim->pool, run->sim->pools, shown[k], 99));
	}
	putchar('\n');
}

static int grow(const struct options *o, const struct plan *plan)
{
	static const char *const heads[] = { "wakes", "picks", "charges", "blocks", "released" };
	int status = 0;

	printf("%9s %6s %-9s", "vCPUs", "cpus", "policy");
	for (unsigned i = 0; i < ARRAY_SIZE(heads); i++) {
		printf(" %9s %5s %5s", heads[i], "p50", "p99");
	}
	puts(" (ns)");
	for (unsigned p = 0; p < MAX(o->policies, 1u); p++) {
		for (unsigned i = 0; i < o->grows; i++) {
			const struct plan_options po = {
				.ops = o->policy[p],
				.scale = (unsigned)o->grow[i],
				.time_ops = true,
			};
			struct plan_run run;

			if (start(&run, plan, &po)) {
				status |= !go(&run);
				put_growth(&run);
			} else {
				status = 1;
			}
			plan_end(&run);
		}
	}
	return status;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct plan plan;
	int status;

	if (argc < 2) {
		return wrong("nothing", "a plan");
	}
	for (char **at = argv + 1; *at != NULL; at++) {
		if (str_eq(*at, "--help") || str_eq(*at, "-h")) {
			fputs(usage, stdout);
			return 0;
		}
		if (!take_option(&at, &o) || *at == NULL) {
			return 2;
		}
	}
	if (o.plan == NULL || !load(o.plan, &plan)) {
		return o.plan == NULL ? wrong("no plan", "one") : 2;
	}
	plan.machine.until_ns = o.until_ns != 0 ? o.until_ns : plan.machine.until_ns;
	plan.machine.seed = o.seeded ? o.seed : plan.machine.seed;
	if (plan.errors > 0) {
		status = 1;
	} else if (o.check) {
		status = !check_pools(&plan);
	} else if (!can_run(&o, &plan)) {
		status = 2;
	} else if (o.grows > 0) {
		status = grow(&o, &plan);
	} else {
		status = run_all(&o, &plan);
	}
	plan_free(&plan);
	return status;
}
