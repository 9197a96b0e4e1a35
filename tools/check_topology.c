/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints what the ACPI tables of a folder say about cpus, memory and distances, entry by entry, as JSON. */
#include "tools/check_topology.h"

#include <stdio.h>
#include <stdlib.h>

#include "acpi/madt.h"
#include "acpi/slit.h"
#include "acpi/srat.h"
#include "kernel/lib/util.h"
#include "tools/tables.h"

/* The SRAT's cpu entries, ascending by APIC id and then by place, so that the last one of an id is found at once. */
struct affinity {
	uint32_t apic_id, pxm;
	size_t at;
};

struct affinities {
	struct affinity *list;
	size_t count;
};

static const char *word(bool b) { return b ? "true" : "false"; }

static int by_id_and_place(const void *a, const void *b)
{
	const struct affinity *x = a, *y = b;

	if (x->apic_id != y->apic_id) {
		return x->apic_id < y->apic_id ? -1 : 1;
	}
	return x->at < y->at ? -1 : x->at > y->at;
}

static struct affinities affinities_make(struct srat walk, size_t table_size)
{
	struct affinities a = { .list = malloc((table_size / 16 + 1) * sizeof(struct affinity)) };
	struct srat_entry e;

	if (a.list == NULL) {
		fprintf(stderr, "error: not enough memory\n");
		exit(1);
	}
	while (srat_next(&walk, &e)) {
		if (e.kind == SRAT_CPU && e.enabled) {
			a.list[a.count++] = (struct affinity){ .apic_id = e.apic_id, .pxm = e.pxm, .at = e.at };
		}
	}
	qsort(a.list, a.count, sizeof(a.list[0]), by_id_and_place);
	return a;
}

/* The last entry of that id, or NULL. */
static const struct affinity *affinities_find(const struct affinities *a, uint32_t apic_id)
{
	size_t low = 0, high = a->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (a->list[middle].apic_id > apic_id) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low > 0 && a->list[low - 1].apic_id == apic_id ? &a->list[low - 1] : NULL;
}

static void print_cpus(struct madt madt, const struct affinities *a)
{
	struct madt_entry e;
	const char *comma = "";

	printf("  \"cpus\": [");
	while (madt_next(&madt, &e)) {
		const struct affinity *home;

		if (e.kind != MADT_CPU) {
			continue;
		}
		printf("%s\n    {\"apic_id\": %u, \"enabled\": %s, \"online_capable\": %s, ", comma, e.cpu.apic_id,
		       word(e.cpu.enabled), word(e.cpu.online_capable));
		home = affinities_find(a, e.cpu.apic_id);
		if (home != NULL) {
			printf("\"pxm\": %u}", home->pxm);
		} else {
			printf("\"pxm\": null}");
		}
		comma = ",";
	}
	printf("%s],\n", *comma != '\0' ? "\n  " : "");
}

static void print_memory(struct srat srat)
{
	struct srat_entry e;
	const char *comma = "";

	printf("  \"memory\": [");
	while (srat_next(&srat, &e)) {
		if (e.kind == SRAT_MEMORY) {
			printf("%s\n    {\"base\": %lu, \"length\": %lu, \"pxm\": %u, ", comma, e.base, e.length,
			       e.pxm);
			printf("\"enabled\": %s, \"hotplug\": %s}", word(e.enabled), word(e.hotplug));
			comma = ",";
		}
	}
	printf("%s],\n", *comma != '\0' ? "\n  " : "");
}

static void print_slit(const struct slit *slit, bool usable)
{
	if (!usable) {
		printf("  \"slit\": null,\n");
		return;
	}
	printf("  \"slit\": [");
	for (uint32_t i = 0; i < slit->count; i++) {
		printf("%s\n    [", i > 0 ? "," : "");
		for (uint32_t j = 0; j < slit->count; j++) {
			printf("%s%u", j > 0 ? ", " : "", slit_distance(slit, i, j));
		}
		printf("]");
	}
	printf("\n  ],\n");
}

static void print_json(const struct tables *t)
{
	const struct table_file *none = &(const struct table_file){ .bytes = NULL }, *file;
	struct affinities affinities;
	struct madt madt;
	struct srat srat;
	struct slit slit;
	bool has_madt, has_slit;

	file = tables_find(t, SRAT_SIGNATURE);
	file = file != NULL ? file : none;
	srat_open(&srat, file->bytes, file->size);
	affinities = affinities_make(srat, file->size);
	file = tables_find(t, SLIT_SIGNATURE);
	file = file != NULL ? file : none;
	has_slit = slit_open(&slit, file->bytes, file->size) == ERR_OK;
	file = tables_find(t, MADT_SIGNATURE);
	file = file != NULL ? file : none;
	has_madt = madt_open(&madt, file->bytes, file->size) == ERR_OK;

	printf("{\n");
	print_cpus(madt, &affinities);
	print_memory(srat);
	print_slit(&slit, has_slit);
	if (has_madt) {
		printf("  \"lapic_address\": %lu\n}\n", madt.lapic_address);
	} else {
		printf("  \"lapic_address\": null\n}\n");
	}
	free(affinities.list);
}

static void print_summary(const struct topology *t)
{
	fprintf(stderr, "tarn: %u cpus, %u nodes, %u memory ranges\n", t->cpu_count, t->node_count, t->mem_count);
	for (unsigned n = 0; n < t->node_count; n++) {
		unsigned cpus = 0;
		uint64_t bytes = 0;

		for (unsigned i = 0; i < t->cpu_count; i++) {
			cpus += t->cpu[i].node == n ? 1 : 0;
		}
		for (unsigned i = 0; i < t->mem_count; i++) {
			bytes += t->mem[i].node == n ? t->mem[i].length : 0;
		}
		fprintf(stderr, "node %u: domain %u, %u cpus, %lu MiB, distances", n, t->node_pxm[n], cpus,
			bytes / MIB);
		for (unsigned to = 0; to < t->node_count; to++) {
			fprintf(stderr, " %u", t->distance[n][to]);
		}
		fprintf(stderr, "\n");
	}
}

int check_topology(const char *dir, bool verbose)
{
	static struct tables tables;
	static struct topology topology;

	if (!tables_load(&tables, dir)) {
		return 1;
	}
	tables_topology(&tables, &topology);
	for (unsigned i = 0; i < topology.note_count && i < TOPO_NOTE_MAX; i++) {
		fprintf(stderr, "note: %s: %s\n", dir, topology.note[i]);
	}
	if (topology.note_count > TOPO_NOTE_MAX) {
		fprintf(stderr, "note: %s: and %u more\n", dir, topology.note_count - TOPO_NOTE_MAX);
	}
	print_json(&tables);
	if (verbose) {
		print_summary(&topology);
	}
	tables_free(&tables);
	return 0;
}
