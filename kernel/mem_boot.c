/* SPDX-License-Identifier: BSD-2-Clause */
/* See mem_boot.h. */
#include "kernel/mem_boot.h"

#include "kernel/log.h"

#define LOW_MEMORY	MIB	/* kept out of the allocator: start-up code, firmware's data areas */

/* The end of the part of [at, end) that lies in one node, and that node. */
static uint64_t part_end(const struct topology *t, uint64_t at, uint64_t end, unsigned *node)
{
	*node = NODE_NONE;
	for (unsigned i = 0; i < t->mem_count; i++) {
		const struct topology_mem *r = &t->mem[i];

		if (at >= r->base && at - r->base < r->length) {
			*node = r->node;
			return MIN(end, align_down(r->base + r->length, PAGE_SIZE));
		}
		if (r->base > at) {
			return MIN(end, MAX(align_up(r->base, PAGE_SIZE), at + PAGE_SIZE));
		}
	}
	return end;
}

static uint64_t add_range(struct mem *m, const struct topology *t, uint64_t at, uint64_t end)
{
	uint64_t unnamed = 0;

	while (at < end) {
		unsigned node;
		uint64_t stop = MAX(part_end(t, at, end, &node), at + PAGE_SIZE);

		if (node == NODE_NONE) {
			node = 0;
			unnamed += stop - at;
		}
		mem_add(m, at, stop - at, node);
		at = stop;
	}
	return unnamed;
}

void mem_boot_add(struct mem *m, const struct boot_mem *map, unsigned count, uint32_t kind, const struct topology *t)
{
	uint64_t unnamed = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t base = MAX(map[i].base, LOW_MEMORY), end = map[i].base + map[i].length;

		if (map[i].kind == kind && base < end) {
			unnamed += add_range(m, t, base, end);
		}
	}
	if (unnamed > 0 && t->has_srat) {
		log_printf("mem: SRAT does not name %lu KiB of RAM: taken as node 0's", unnamed / KIB);
	}
}

static bool is_ram(uint32_t kind)
{
	return kind != BOOT_MEM_MMIO;
}

static uint64_t ram_within(const struct boot_mem *map, unsigned count, uint64_t base, uint64_t end)
{
	uint64_t ram = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t from = MAX(base, map[i].base), to = MIN(end, map[i].base + map[i].length);

		ram += is_ram(map[i].kind) && from < to ? to - from : 0;
	}
	return ram;
}

void mem_boot_compare(const struct boot_mem *map, unsigned count, const struct topology *t)
{
	for (unsigned i = 0; i < t->mem_count; i++) {
		const struct topology_mem *r = &t->mem[i];
		uint64_t ram = ram_within(map, count, r->base, r->base + r->length);

		if (!r->hotplug && ram < r->length / 2) {
			log_printf("mem: SRAT names %lu MiB at 0x%lx for node %u, the firmware's map has %lu MiB of it", r->length / MIB,
				   r->base, r->node, ram / MIB);
		}
	}
}
