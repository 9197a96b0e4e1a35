/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest that spans nodes is told of them, by SRAT and SLIT. Its nodes are numbered from 0,
 * the host's are not its business. */
#pragma once

#include <stdint.h>

#define GUEST_NUMA_NODES  8u
#define GUEST_NUMA_RANGES 16u

struct guest_numa {
	unsigned node_count; /* fewer than 2: it is told nothing */
	unsigned vcpu_nodes; /* the first so many have vCPUs */
	unsigned range_count;
	struct guest_numa_range {
		uint64_t base, length; /* guest-physical */
		unsigned node;
	} range[GUEST_NUMA_RANGES]; /* ascending: all of RAM */
	uint8_t distance[GUEST_NUMA_NODES][GUEST_NUMA_NODES];
};

/* The node of part i of count (vCPUs, blocks of memory): equal shares, in order. */
static inline unsigned guest_numa_share(unsigned i, unsigned count, unsigned nodes)
{
	return (unsigned)((uint64_t)i * nodes / count);
}
