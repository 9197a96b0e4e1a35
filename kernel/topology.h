/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What cpus, nodes and memory the machine has, from ACPI: built once at boot (or by tarn-check on the host), then
 * read only. Cpu numbers follow MADT order of enabled entries, placeholders and repeated ids left out; nodes are
 * dense from 0 in ascending order of proximity domain. Oddities are handled and noted, one line each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/cpuset.h"
#include "kernel/lib/err.h"

#define NODE_MAX	64u
#define NODE_NONE	UINT32_MAX
#define TOPO_MEM_MAX	256u
#define TOPO_NOTE_MAX	48u
#define TOPO_NOTE_LEN	128u

#define DISTANCE_LOCAL	10u
#define DISTANCE_REMOTE	20u		/* where there is no SLIT, or a pair in it makes no sense */
#define DISTANCE_NONE	255u		/* unreachable */

struct topology_cpu {
	uint32_t apic_id;
	unsigned node;
};

/* A range of memory that belongs to a node: SRAT's, clipped to nothing else. Ascending, not overlapping. */
struct topology_mem {
	uint64_t base, length;		/* bytes */
	unsigned node;
	bool hotplug;
};

struct topology {
	unsigned cpu_count;
	struct topology_cpu cpu[CPU_MAX];
	unsigned node_count;			/* at least 1 */
	uint32_t node_pxm[NODE_MAX];
	uint8_t distance[NODE_MAX][NODE_MAX];
	unsigned mem_count;
	struct topology_mem mem[TOPO_MEM_MAX];
	bool has_srat, has_slit;
	uint64_t lapic_address;
	unsigned note_count;			/* may exceed TOPO_NOTE_MAX: then the rest was dropped */
	char note[TOPO_NOTE_MAX][TOPO_NOTE_LEN];
};

/* Where the tables lie; NULL and 0 for one that is missing or was rejected. Whole tables, header included. */
struct topology_tables {
	const void *madt, *srat, *slit;
	uint32_t madt_size, srat_size, slit_size;
};

/*
 * Fills t. boot_apic_id is this cpu's: without MADT it is the only cpu; with one that does not list it, it is noted
 * and added as the last cpu. Never fails: what cannot be used is left out and noted.
 */
void topology_build(struct topology *t, const struct topology_tables *tables, uint32_t boot_apic_id);

/* Nodes in ascending distance from `from`, itself first; ties by number. Writes node_count entries. */
void topology_fallback(const struct topology *t, unsigned from, unsigned order[NODE_MAX]);
