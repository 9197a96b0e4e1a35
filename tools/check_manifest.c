/* SPDX-License-Identifier: BSD-2-Clause */
/* What a manifest would do on a machine, or what is wrong with it. */
#include "tools/check_manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/lib/manifest_files.h"
#include "kernel/lib/parse.h"
#include "kernel/lib/util.h"
#include "kernel/manifest.h"
#include "kernel/topology.h"
#include "tools/tables.h"

#define TEXT_MAX	(4u << 20)	/* bytes of a manifest: what is longer is some other file */

struct said {
	struct manifest_error *error;
	size_t count, room;
};

struct options {
	const char *manifest, *acpi;
	uint64_t cpus, nodes;
};

/* --- The machine -------------------------------------------------------------------------------------------------- */

static unsigned node_of(const void *context, unsigned cpu)
{
	return ((const struct topology *)context)->cpu[cpu].node;
}

/* Cpus dealt out to nodes in blocks, as `make image` does. */
static void even_topology(struct topology *t, unsigned cpus, unsigned nodes)
{
	memset(t, 0, sizeof(*t));
	t->cpu_count = cpus;
	t->node_count = nodes;
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		t->cpu[cpu].apic_id = cpu;
		t->cpu[cpu].node = cpu * nodes / cpus;
	}
}

static bool load_topology(struct topology *t, const struct options *o)
{
	struct tables tables;

	if (o->acpi == NULL) {
		even_topology(t, (unsigned)o->cpus, (unsigned)o->nodes);
		return true;
	}
	if (!tables_load(&tables, o->acpi)) {
		return false;
	}
	tables_topology(&tables, t);
	tables_free(&tables);
	return true;
}

/* --- Errors, in the order of the text ----------------------------------------------------------------------------- */

static void keep_error(void *context, const struct manifest_error *error)
{
	struct said *said = context;

	if (said->count == said->room) {
		said->room = said->room * 2 + 16;
		said->error = realloc(said->error, said->room * sizeof(*said->error));
		if (said->error == NULL) {
			perror("tarn-check");
			exit(2);
		}
	}
	said->error[said->count++] = *error;
}

static int by_place(const void *a, const void *b)
{
	const struct manifest_error *x = a, *y = b;

	if (x->line != y->line) {
		return x->line < y->line ? -1 : 1;
	}
	return x->column < y->column ? -1 : x->column > y->column;
}

static void print_errors(struct said *said, const char *file)
{
	char buf[4096];

	if (said->count > 0) {
		qsort(said->error, said->count, sizeof(*said->error), by_place);
	}
	for (size_t i = 0; i < said->count; i++) {
		struct text t = text_make(buf, sizeof(buf));

		manifest_error_print(&said->error[i], file, &t);
		fprintf(stderr, "%s\n", buf);
	}
	free(said->error);
}

/* --- What would be done ------------------------------------------------------------------------------------------- */

static void put_cpus(const struct cpuset *set, const struct topology *topology, struct text *to)
{
	struct cpuset nodes = { 0 };

	text_puts(to, cpuset_count(set) == 1 ? "cpu " : "cpus ");
	cpusetexpr_print(set, to);
	if (!cpuset_empty(set)) {
		CPUSET_FOREACH(cpu, set) {
			cpuset_add(&nodes, topology->cpu[cpu].node);
		}
		text_puts(to, cpuset_count(&nodes) == 1 ? " of node " : " of nodes ");
		cpusetexpr_print(&nodes, to);
	}
}

/* What of a section's words is not the default. */
static void put_words(enum manifest_section section, const void *object, struct text *to)
{
	for (unsigned i = 0; i < manifest_key_count; i++) {
		const struct manifest_key *key = &manifest_keys[i];
		const char *word;

		if (key->section == section && key->type == MANIFEST_WORD && key->built) {
			word = key->words[*(const unsigned *)((const char *)object + key->offset)];
			if (strcmp(word, key->def) != 0) {
				text_printf(to, ", %s %s", key->name, word);
			}
		}
	}
}

static void put_rows(const struct manifest *m, const struct manifest_pool *pool, struct text *to)
{
	for (unsigned i = 0; i < pool->tunable_count; i++) {
		const struct manifest_tunable *row = &m->tunable[pool->tunable_first + i];

		if (sched_list_of(pool->ops) != NULL && strcmp(row->key, sched_list_of(pool->ops)->name) == 0) {
			text_printf(to, ", %s %s", row->key, row->value.text);
		}
	}
}

/* The values that are not their tunable's default. */
static void put_values(const struct sched_ops *ops, const struct sched_values *values, bool of_pool, struct text *to)
{
	for (unsigned i = 0; i < ops->tunable_count; i++) {
		const struct sched_tunable *t = &ops->tunables[i];

		if ((t->scope == SCHED_POOL) == of_pool && t->type != SCHED_LIST && values->v[i] != t->def) {
			text_printf(to, ", %s ", t->name);
			sched_value_print(t, values->v[i], to);
		}
	}
}

static void put_pool(const struct manifest *m, const struct manifest_pool *pool, const struct topology *topology,
		     struct text *to)
{
	text_printf(to, "pool %s: ", pool->name);
	put_cpus(&pool->cpu_set, topology, to);
	text_printf(to, ", scheduler %s", pool->ops->name);
	put_values(pool->ops, &pool->values, true, to);
	put_rows(m, pool, to);
	put_words(MANIFEST_POOL, pool, to);
}

static void put_vm(const struct manifest *m, const struct manifest_vm *vm, struct text *to)
{
	const struct manifest_pool *pool = &m->pool[vm->pool_index];

	text_printf(to, "vm %s: pool %s, %u vcpu%s, memory ", vm->name, pool->name, vm->vcpus.value,
		    vm->vcpus.value == 1 ? "" : "s");
	text_bytes(to, vm->memory_bytes);
	text_printf(to, ", kernel %s", vm->kernel.text);
	if (vm->initrd.text[0] != '\0') {
		text_printf(to, ", initrd %s", vm->initrd.text);
	}
	for (unsigned i = 0; i < vm->module_count; i++) {
		text_printf(to, ", module %s", vm->module[i].file.text);
		if (vm->module[i].args[0] != '\0') {
			text_printf(to, " \"%s\"", vm->module[i].args);
		}
	}
	if (vm->cmdline.text[0] != '\0') {
		text_printf(to, ", cmdline \"%s\"", vm->cmdline.text);
	}
	if (vm->affinity.line != 0) {
		text_puts(to, ", affinity ");
		cpusetexpr_print(&vm->affinity_set, to);
	}
	if (vm->soft_affinity.line != 0) {
		text_puts(to, ", soft-affinity ");
		cpusetexpr_print(&vm->soft_set, to);
	}
	put_values(pool->ops, &vm->values, false, to);
	put_words(MANIFEST_VM, vm, to);
	text_puts(to, vm->autostart ? ", started at boot" : ", not started");
}

static void print_free(const struct manifest *m, const struct topology *topology)
{
	char buf[4096];
	struct text t = text_make(buf, sizeof(buf));
	struct cpuset left;

	cpuset_fill(&left, topology->cpu_count);
	for (unsigned i = 0; i < m->pool_count; i++) {
		cpuset_andnot(&left, &m->pool[i].cpu_set);
	}
	if (!cpuset_empty(&left)) {
		put_cpus(&left, topology, &t);
		printf("free: %s\n", buf);
	}
}

static void print_plan(const struct manifest *m, const struct topology *topology, const char *text, size_t size)
{
	char buf[8192], name[MANIFEST_FILE_MAX];
	size_t cursor = 0;
	struct text t;

	t = text_make(buf, sizeof(buf));
	text_printf(&t, "machine: %u cpu%s, %u node%s", topology->cpu_count, topology->cpu_count == 1 ? "" : "s",
		    topology->node_count, topology->node_count == 1 ? "" : "s");
	if (m->boot.housekeeping.line != 0) {
		text_printf(&t, ", housekeeping on cpu %u", m->boot.housekeeping.value);
	}
	put_words(MANIFEST_BOOT, &m->boot, &t);
	printf("%s\n", buf);
	for (unsigned i = 0; i < m->pool_count; i++) {
		t = text_make(buf, sizeof(buf));
		put_pool(m, &m->pool[i], topology, &t);
		printf("%s\n", buf);
	}
	print_free(m, topology);
	for (unsigned i = 0; i < m->vm_count; i++) {
		t = text_make(buf, sizeof(buf));
		put_vm(m, &m->vm[i], &t);
		printf("%s\n", buf);
	}
	while (manifest_next_file(text, size, &cursor, name)) {
		printf("file: %s\n", name);
	}
	for (unsigned i = 0; i < m->boot.run_count; i++) {
		printf("run: %s\n", m->boot.run[i].text);
	}
}

/* --- The call ----------------------------------------------------------------------------------------------------- */

static bool bad_option(const char *found)
{
	fprintf(stderr, "error: found %s, expected: tarn-check MANIFEST [ACPI=dir] [CPUS=1..%u] [NODES=1..%u]\n", found,
		CPU_MAX, NODE_MAX);
	return false;
}

static bool number_option(const char *text, uint64_t max, uint64_t *number)
{
	return parse_u64(text, number) == ERR_OK && *number >= 1 && *number <= max;
}

static bool take_options(struct options *o, int argc, char **argv)
{
	if (argc < 2) {
		return bad_option("nothing");
	}
	o->manifest = argv[1];
	for (int i = 2; i < argc; i++) {
		const char *value = strchr(argv[i], '=');
		bool good = value != NULL && value[1] != '\0';

		if (good && strncmp(argv[i], "ACPI=", 5) == 0) {
			o->acpi = value + 1;
		} else if (good && strncmp(argv[i], "CPUS=", 5) == 0) {
			good = number_option(value + 1, CPU_MAX, &o->cpus);
		} else if (good && strncmp(argv[i], "NODES=", 6) == 0) {
			good = number_option(value + 1, NODE_MAX, &o->nodes);
		} else {
			good = false;
		}
		if (!good) {
			return bad_option(argv[i]);
		}
	}
	/* A machine has no node without a cpu that nobody asked for: CPUS=1 alone means one node. */
	o->nodes = MIN(o->nodes, o->cpus);
	return true;
}

/* The whole file in memory of exactly its size (at least a byte), or NULL, told. */
static char *load_text(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	char *text = malloc(TEXT_MAX), *exact;

	if (f == NULL || text == NULL) {
		perror(path);
		free(text);
		return NULL;
	}
	*size = fread(text, 1, TEXT_MAX, f);
	if (ferror(f) != 0 || *size == TEXT_MAX) {
		fprintf(stderr, "%s: found %s, expected a manifest\n", path,
			ferror(f) != 0 ? "no readable file" : "4 MiB");
		free(text);
		fclose(f);
		return NULL;
	}
	fclose(f);
	exact = realloc(text, *size > 0 ? *size : 1);
	return exact != NULL ? exact : text;
}

static void note_cores(const struct manifest *m)
{
	for (unsigned i = 0; i < m->pool_count; i++) {
		if (strstr(m->pool[i].cpus.text, "core") != NULL) {
			fprintf(stderr,
				"note: only the machine knows which cpus share a core: core:N is read as cpu N\n");
			return;
		}
	}
}

int check_manifest(int argc, char **argv)
{
	static struct topology topology;
	static struct manifest manifest;
	struct options o = { .cpus = 4, .nodes = 2 };
	struct said said = { 0 };
	struct manifest_errors errors = { .report = keep_error, .context = &said };
	struct manifest_facts facts = { .cpus = { .node_of = node_of, .context = &topology } };
	size_t size;
	char *text;

	if (!take_options(&o, argc, argv)) {
		return 2;
	}
	text = load_text(o.manifest, &size);
	if (text == NULL) {
		return 2;
	}
	if (!load_topology(&topology, &o)) {
		free(text);
		return 2;
	}
	facts.cpus.cpu_count = topology.cpu_count;
	manifest_parse(&manifest, text, size, &errors);
	manifest_check(&manifest, &facts, &errors);
	print_errors(&said, o.manifest);
	note_cores(&manifest);
	if (errors.errors == 0) {
		print_plan(&manifest, &topology, text, size);
	}
	free(text);
	return errors.errors > 0;
}
