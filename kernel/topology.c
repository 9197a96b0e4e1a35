/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cpus, nodes, memory ranges and distances out of MADT, SRAT and SLIT.
 *
 * Order of work: cpus from the MADT; their proximity domains from the SRAT; the set of domains in use, ascending,
 * which gives the node numbers; memory ranges; distances. Until the node numbers are known, `node` of a cpu and of a
 * range holds its proximity domain. Nothing is ever refused as a whole: an odd entry is noted and the rest goes on.
 */
#include "kernel/topology.h"

#include "acpi/madt.h"
#include "acpi/slit.h"
#include "acpi/srat.h"
#include "kernel/lib/format.h"
#include "kernel/lib/util.h"

#define LAPIC_ADDRESS_DEFAULT	0xfee00000ul	/* SDM 3A, 11.4.1 */
#define PXM_NONE		UINT32_MAX	/* no domain known (yet) */

static void note(struct topology *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(struct topology *t, const char *fmt, ...)
{
	va_list args;

	if (t->note_count < TOPO_NOTE_MAX) {
		struct text text = text_make(t->note[t->note_count], TOPO_NOTE_LEN);

		va_start(args, fmt);
		text_vprintf(&text, fmt, args);
		va_end(args);
	}
	t->note_count++;
}

static void note_end(struct topology *t, const char *table, const struct entries *e)
{
	if (e->end == ERR_FORMAT) {
		note(t, "%s: entry at offset %zu has length 0 or 1: reading ends there", table, e->end_at);
	} else if (e->end != ERR_OK) {
		note(t, "%s: entry at offset %zu runs past the table's %zu bytes: reading ends there", table,
		     e->end_at, e->table.size);
	}
}

/* --- cpus ----------------------------------------------------------------------------------------------------- */

static unsigned find_cpu(const struct topology *t, uint32_t apic_id)
{
	for (unsigned i = 0; i < t->cpu_count; i++) {
		if (t->cpu[i].apic_id == apic_id) {
			return i;
		}
	}
	return CPU_NONE;
}

static void add_cpu(struct topology *t, uint32_t apic_id)
{
	t->cpu[t->cpu_count++] = (struct topology_cpu){ .apic_id = apic_id, .node = PXM_NONE };
}

static void read_cpus(struct topology *t, struct madt *madt)
{
	struct madt_entry e;
	unsigned over = 0;

	while (madt_next(madt, &e)) {
		if (e.kind == MADT_SHORT) {
			note(t, "MADT: entry of type %u at offset %zu is shorter than its fields: left out", e.type,
			     e.at);
		}
		if (e.kind != MADT_CPU || !e.cpu.enabled) {
			continue;
		}
		if (madt_is_placeholder(&e.cpu)) {
			note(t, "MADT: enabled entry at offset %zu has the placeholder id 0x%x: left out", e.at,
			     e.cpu.apic_id);
		} else if (find_cpu(t, e.cpu.apic_id) != CPU_NONE) {
			note(t, "MADT: APIC id %u is listed again at offset %zu: one cpu", e.cpu.apic_id, e.at);
		} else if (t->cpu_count == CPU_MAX) {
			over++;
		} else {
			add_cpu(t, e.cpu.apic_id);
		}
	}
	if (over > 0) {
		note(t, "MADT: %u cpus, of which the first %u are used: that many Tarn can manage", over + CPU_MAX,
		     CPU_MAX);
	}
	note_end(t, "MADT", &madt->entries);
}

/* The cpu that runs this exists, whatever the MADT says. */
static void add_boot_cpu(struct topology *t, uint32_t apic_id, bool has_madt)
{
	if (find_cpu(t, apic_id) != CPU_NONE) {
		return;
	}
	if (has_madt) {
		note(t, "MADT: the boot cpu, APIC id %u, is not among the enabled ones: added", apic_id);
	}
	if (t->cpu_count == CPU_MAX) {
		t->cpu_count--;
	}
	add_cpu(t, apic_id);
}

/* --- domains and nodes ---------------------------------------------------------------------------------------- */

static void read_affinity(struct topology *t, struct srat srat)
{
	struct srat_entry e;

	while (srat_next(&srat, &e)) {
		unsigned cpu;

		if (e.kind == SRAT_SHORT) {
			note(t, "SRAT: entry of type %u at offset %zu is shorter than its fields: left out", e.type,
			     e.at);
		}
		if (e.kind != SRAT_CPU || !e.enabled) {
			continue;
		}
		cpu = find_cpu(t, e.apic_id);
		if (cpu == CPU_NONE) {
			continue;
		}
		if (t->cpu[cpu].node != PXM_NONE && t->cpu[cpu].node != e.pxm) {
			note(t, "SRAT: APIC id %u is in domain %u and in domain %u: the last one counts", e.apic_id,
			     t->cpu[cpu].node, e.pxm);
		}
		t->cpu[cpu].node = e.pxm;
	}
	note_end(t, "SRAT", &srat.entries);
}

/* Keeps node_pxm[] ascending. When it is full the highest domain gives way: it has no node of its own then. */
static void add_domain(struct topology *t, uint32_t pxm, bool *over)
{
	unsigned at = 0;

	while (at < t->node_count && t->node_pxm[at] < pxm) {
		at++;
	}
	if (at < t->node_count && t->node_pxm[at] == pxm) {
		return;
	}
	if (t->node_count == NODE_MAX) {
		*over = true;
		if (at == NODE_MAX) {
			return;
		}
		t->node_count--;
	}
	for (unsigned i = t->node_count; i > at; i--) {
		t->node_pxm[i] = t->node_pxm[i - 1];
	}
	t->node_pxm[at] = pxm;
	t->node_count++;
}

/* True for a memory entry that says something about memory. */
static bool is_memory(const struct srat_entry *e)
{
	return e->kind == SRAT_MEMORY && e->enabled && e->length > 0 && e->pxm != PXM_NONE;
}

static void collect_domains(struct topology *t, struct srat srat)
{
	struct srat_entry e;
	bool over = false;

	for (unsigned i = 0; i < t->cpu_count; i++) {
		if (t->cpu[i].node != PXM_NONE) {
			add_domain(t, t->cpu[i].node, &over);
		}
	}
	while (srat_next(&srat, &e)) {
		if (is_memory(&e)) {
			add_domain(t, e.pxm, &over);
		}
	}
	if (over) {
		note(t, "SRAT: more than %u domains: those above domain %u count as part of it", NODE_MAX,
		     t->node_pxm[NODE_MAX - 1]);
	}
}

/* The node of a domain in use. One that found no room is part of the last node. */
static unsigned node_of_pxm(const struct topology *t, uint32_t pxm)
{
	unsigned node = 0;

	while (node < t->node_count - 1 && t->node_pxm[node] < pxm) {
		node++;
	}
	return node;
}

static void number_cpus(struct topology *t)
{
	unsigned homeless = 0;

	for (unsigned i = 0; i < t->cpu_count; i++) {
		homeless += t->cpu[i].node == PXM_NONE ? 1 : 0;
		t->cpu[i].node = t->cpu[i].node == PXM_NONE ? 0 : node_of_pxm(t, t->cpu[i].node);
	}
	if (t->has_srat && homeless > 0) {
		note(t, "SRAT: %u of %u cpus have no domain: taken as node 0", homeless, t->cpu_count);
	}
}

/* --- memory --------------------------------------------------------------------------------------------------- */

static bool insert_range(struct topology *t, unsigned at, uint64_t base, uint64_t end, const struct topology_mem *like)
{
	if (t->mem_count == TOPO_MEM_MAX) {
		return false;
	}
	for (unsigned i = t->mem_count; i > at; i--) {
		t->mem[i] = t->mem[i - 1];
	}
	t->mem[at] = *like;
	t->mem[at].base = base;
	t->mem[at].length = end - base;
	t->mem_count++;
	return true;
}

/* Adds those parts of a range that no earlier one covers. False when the array is full. */
static bool add_range(struct topology *t, const struct topology_mem *range)
{
	uint64_t base = range->base, end = range->base + range->length;
	bool noted = false;

	for (unsigned i = 0; i < t->mem_count && base < end; i++) {
		const struct topology_mem old = t->mem[i];

		if (old.base + old.length <= base) {
			continue;
		}
		if (old.base >= end) {
			return insert_range(t, i, base, end, range);
		}
		if (!noted) {
			note(t, "SRAT: memory 0x%lx-0x%lx of domain %u overlaps domain %u at 0x%lx: the first counts",
			     range->base, end - 1, t->node_pxm[range->node], t->node_pxm[old.node],
			     MAX(base, old.base));
			noted = true;
		}
		if (base < old.base) {
			if (!insert_range(t, i, base, old.base, range)) {
				return false;
			}
			i++;
		}
		base = old.base + old.length;
	}
	return base >= end || insert_range(t, t->mem_count, base, end, range);
}

static void read_memory(struct topology *t, struct srat srat)
{
	struct srat_entry e;
	unsigned over = 0;

	while (srat_next(&srat, &e)) {
		struct topology_mem range = { .base = e.base, .length = e.length, .hotplug = e.hotplug };

		if (e.kind == SRAT_MEMORY && e.enabled && e.length == 0) {
			note(t, "SRAT: enabled memory range at 0x%lx has length 0: left out", e.base);
		}
		if (!is_memory(&e)) {
			continue;
		}
		if (e.length > UINT64_MAX - e.base) {
			note(t, "SRAT: memory at 0x%lx of length 0x%lx ends above 2^64: cut", e.base, e.length);
			range.length = UINT64_MAX - e.base;
		}
		range.node = node_of_pxm(t, e.pxm);
		over += range.length == 0 || add_range(t, &range) ? 0 : 1;
	}
	if (over > 0) {
		note(t, "SRAT: %u memory ranges found no room among %u: left out", over, TOPO_MEM_MAX);
	}
}

/* --- distances ------------------------------------------------------------------------------------------------ */

static bool makes_sense(unsigned distance, bool same)
{
	return same ? distance == DISTANCE_LOCAL : distance > DISTANCE_LOCAL;
}

static void read_distances(struct topology *t, const struct slit *slit)
{
	unsigned odd = 0, uncovered = 0;

	for (unsigned i = 0; i < t->node_count; i++) {
		for (unsigned j = 0; j < t->node_count; j++) {
			uint32_t from = t->node_pxm[i], to = t->node_pxm[j];
			unsigned told = slit_distance(slit, from, to);

			t->distance[i][j] = i == j ? DISTANCE_LOCAL : DISTANCE_REMOTE;
			if (makes_sense(told, i == j)) {
				t->distance[i][j] = (uint8_t)told;
			} else if (from >= slit->count || to >= slit->count) {
				uncovered++;
			} else if (odd++ == 0) {
				note(t, "SLIT: domain %u to %u is %u, which makes no sense: taken as %u", from, to,
				     told, t->distance[i][j]);
			}
		}
	}
	if (odd > 1) {
		note(t, "SLIT: %u distances in all make no sense", odd);
	}
	if (t->has_slit && t->has_srat && uncovered > 0) {
		note(t, "SLIT: covers domains below %u, not all that are in use: %u pairs taken as %u", slit->count,
		     uncovered, DISTANCE_REMOTE);
	}
}

/* --- the whole ------------------------------------------------------------------------------------------------ */

/* True where a table can be used; notes one that is there and cannot. */
static bool usable(struct topology *t, const char *name, const void *table, uint32_t size, enum err e)
{
	if (table != NULL && e != ERR_OK) {
		note(t, "%s: not used, %s (%u bytes)", name, err_words(e), size);
	}
	return e == ERR_OK;
}

void topology_build(struct topology *t, const struct topology_tables *tables, uint32_t boot_apic_id)
{
	struct madt madt;
	struct srat srat;
	struct slit slit;
	bool has_madt;

	*t = (struct topology){ .lapic_address = LAPIC_ADDRESS_DEFAULT };
	has_madt = usable(t, "MADT", tables->madt, tables->madt_size,
			  madt_open(&madt, tables->madt, tables->madt_size));
	t->has_srat = usable(t, "SRAT", tables->srat, tables->srat_size,
			     srat_open(&srat, tables->srat, tables->srat_size));
	t->has_slit = usable(t, "SLIT", tables->slit, tables->slit_size,
			     slit_open(&slit, tables->slit, tables->slit_size));
	if (has_madt) {
		t->lapic_address = madt.lapic_address;
		read_cpus(t, &madt);
	} else {
		note(t, "MADT: none to be used: the boot cpu is the only one");
	}
	add_boot_cpu(t, boot_apic_id, has_madt);
	/* A table that could not be opened has no entries: what follows finds nothing in it. */
	read_affinity(t, srat);
	collect_domains(t, srat);
	if (t->node_count == 0) {
		t->node_count = 1;
	}
	number_cpus(t);
	read_memory(t, srat);
	read_distances(t, &slit);
}

void topology_fallback(const struct topology *t, unsigned from, unsigned order[NODE_MAX])
{
	unsigned count = 0;

	order[count++] = from;
	for (unsigned node = 0; node < t->node_count; node++) {
		unsigned at = count;

		if (node == from) {
			continue;
		}
		/* Never before index 0: `from` comes first even if another is told to be as near. */
		while (at > 1 && t->distance[from][order[at - 1]] > t->distance[from][node]) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = node;
		count++;
	}
}
