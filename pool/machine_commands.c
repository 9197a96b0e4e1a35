/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the machine: cpu list, node list, mem. */
#include "kernel/cpusetexpr.h"
#include "kernel/json.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/mem.h"
#include "kernel/shell.h"
#include "pool/pool.h"

static const char *state_name(unsigned cpu)
{
	static const char *const names[] = {
		[CPU_ABSENT] = "absent", [CPU_STARTING] = "starting", [CPU_ONLINE] = "online", [CPU_DEAD] = "dead",
	};

	return names[atomic_load(&cpu_get(cpu)->state)];
}

static const char *pool_name(unsigned cpu)
{
	const struct pool *p = pool_of_cpu(cpu);

	return p != NULL ? p->name : cpu_is_online(cpu) ? "free" : "-";
}

static void cpu_row(const struct cpu *c, bool verbose)
{
	const struct cpu_times t = cpu_times(c);

	con_printf("%4u  %-8s %4u  %4u  %7u  %-16s", c->id, state_name(c->id), c->node, c->core, c->package, pool_name(c->id));
	if (verbose) {
		con_printf(" 0x%-6x %4u  %8lu ms  %8lu ms  %lu", c->apic_id, c->llc, t.busy_ns / NS_PER_MS, t.idle_ns / NS_PER_MS,
			   t.switches);
	}
	con_printf("\n");
}

static void cpu_json(struct json *j, const struct cpu *c)
{
	const struct cpu_times t = cpu_times(c);

	json_object(j, NULL);
	json_uint(j, "cpu", c->id);
	json_string(j, "state", state_name(c->id));
	json_uint(j, "apic_id", c->apic_id);
	json_uint(j, "node", c->node);
	json_uint(j, "core", c->core);
	json_uint(j, "llc", c->llc);
	json_uint(j, "package", c->package);
	json_string(j, "pool", pool_of_cpu(c->id) != NULL ? pool_of_cpu(c->id)->name : NULL);
	json_uint(j, "busy_ns", t.busy_ns);
	json_uint(j, "idle_ns", t.idle_ns);
	json_uint(j, "switches", t.switches);
	json_end(j);
}

static bool cpu_line(const struct shell_args *args, unsigned i, struct json *j)
{
	const struct cpu *c = cpu_get(i);

	if (c != NULL && j != NULL) {
		cpu_json(j, c);
	} else if (c != NULL) {
		cpu_row(c, args->count > 0);
	}
	return i + 1 < cpu_count();
}

static enum err cpu_list(const struct shell_args *args)
{
	if (args->count > 0 && !str_eq(args->word[0], "-v")) {
		return shell_usage();
	}
	return shell_list(args, args->count > 0 ?
			  " cpu  state    node  core  package  pool             APIC id   llc  busy         idle         switches\n" :
			  " cpu  state    node  core  package  pool            \n", cpu_line);
}

SHELL_COMMAND(cpu_list, .name = "cpu list", .usage = "[-v] [-j]", .most = 1, .run = cpu_list,
	      .help = "Shows every cpu: state, place, pool; -v also APIC id and times.");

static void node_row(unsigned node)
{
	const struct topology *t = &machine.topology;
	const struct mem_node *n = &mem.node[node];
	char cpus[128];
	struct text c = text_make(cpus, sizeof(cpus));
	struct cpuset set = cpu_set_of_node(node);

	cpusetexpr_print(&set, &c);
	con_printf("%4u  %4u  %-16s  %8s  %8s ", node, t->node_pxm[node], cpus, text_of_bytes(n->total_pages * PAGE_SIZE).s,
		   text_of_bytes(n->free_pages * PAGE_SIZE).s);
	for (unsigned k = 0; k < t->node_count; k++) {
		con_printf(" %3u", t->distance[node][k]);
	}
	con_printf("\n");
}

static void node_json(struct json *j, unsigned node)
{
	const struct topology *t = &machine.topology;
	struct cpuset set = cpu_set_of_node(node);

	json_object(j, NULL);
	json_uint(j, "node", node);
	json_uint(j, "pxm", t->node_pxm[node]);
	json_array(j, "cpus");
	CPUSET_FOREACH(cpu, &set) {
		json_uint(j, NULL, cpu);
	}
	json_end(j);
	json_uint(j, "total_bytes", mem.node[node].total_pages * PAGE_SIZE);
	json_uint(j, "free_bytes", mem.node[node].free_pages * PAGE_SIZE);
	json_array(j, "distance");
	for (unsigned k = 0; k < t->node_count; k++) {
		json_uint(j, NULL, t->distance[node][k]);
	}
	json_end(j);
	json_end(j);
}

static bool node_line(const struct shell_args *args, unsigned i, struct json *j)
{
	if (j != NULL) {
		node_json(j, i);
	} else {
		node_row(i);
	}
	return i + 1 < machine.topology.node_count;
}

static enum err node_list(const struct shell_args *args)
{
	return shell_list(args, "node   pxm  cpus              memory    free      distances\n", node_line);
}

SHELL_COMMAND(node_list, .name = "node list", .usage = "[-j]", .run = node_list,
	      .help = "Shows the NUMA nodes: cpus, memory, distances to the others.");

static bool mem_row(const struct shell_args *args, unsigned i, struct json *j)
{
	const struct mem_node *n = &mem.node[i];

	if (j != NULL) {
		json_object(j, NULL);
		json_uint(j, "node", i);
		json_uint(j, "total_pages", n->total_pages);
		json_uint(j, "free_pages", n->free_pages);
		json_uint(j, "free_large_pages", mem_free_chunks(&mem, i));
		json_uint(j, "own_pages", n->own_pages);
		json_end(j);
	} else {
		con_printf("%4u  %12lu  %12lu  %15lu   %s\n", i, n->total_pages, n->free_pages, mem_free_chunks(&mem, i),
			   text_of_bytes((n->total_pages - n->free_pages + n->own_pages) * PAGE_SIZE).s);
	}
	return i + 1 < mem.node_count;
}

static enum err mem_show(const struct shell_args *args)
{
	uint64_t total = 0, free = 0;
	enum err e = shell_list(args, "node   total pages    free pages    free 2M pages   in use\n", mem_row);

	for (unsigned i = 0; i < mem.node_count; i++) {
		total += mem.node[i].total_pages;
		free += mem.node[i].free_pages;
	}
	if (!args->json) {
		con_printf(" all  %12lu  %12lu\n", total, free);
	}
	if (!args->json && mem.dropped_pages > 0) {
		con_printf("%lu pages in scraps too small to use\n", mem.dropped_pages);
	}
	return e;
}

SHELL_COMMAND(mem, .name = "mem", .usage = "[-j]", .run = mem_show,
	      .help = "Shows memory by node, in pages of 4 KiB, exactly.");
