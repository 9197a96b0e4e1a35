/* SPDX-License-Identifier: BSD-2-Clause */
/* See vm_memory.h. */
#include "vm/vm_memory.h"

#include "kernel/arch.h"
#include "kernel/console.h"
#include "kernel/heap.h"
#include "kernel/lib/string.h"
#include "kernel/mem.h"
#include "pool/pool.h"
#include "vm/vm_numa.h"

#define CATCH_BLOCKS	256u	/* taken or given back between two looks at what is typed: some 100 us */

/* All are whole but perhaps the last. */
uint64_t vm_memory_block_bytes(const struct gmem *g, unsigned i)
{
	return MIN(g->size - (uint64_t)i * LARGE_SIZE, LARGE_SIZE);
}

static unsigned block_pages(const struct gmem *g, unsigned i)
{
	return (unsigned)(vm_memory_block_bytes(g, i) / PAGE_SIZE);
}

gpa_t vm_memory_block_gpa(const struct gmem *g, unsigned i)
{
	uint64_t at = (uint64_t)i * LARGE_SIZE;

	return gpa(at < g->low_size ? at : GMEM_HIGH_BASE + (at - g->low_size));
}

bool vm_memory_pool_has(const struct pool *p, unsigned node)
{
	const struct cpuset set = cpu_set_of_node(node);

	return cpuset_intersects(&set, &p->cpus);
}

bool vm_memory_is_near(const struct vm *vm)
{
	return vm_memory_pool_has(vm->pool, vm->node);
}

unsigned vm_memory_home(const struct pool *p)
{
	unsigned home = NODE_NONE;

	for (unsigned node = 0; node < mem.node_count; node++) {
		if (vm_memory_pool_has(p, node) &&
		    (home == NODE_NONE || mem.node[node].free_pages > mem.node[home].free_pages)) {
			home = node;
		}
	}
	return home == NODE_NONE ? p->node : home;	/* a pool without cpus: it takes no VM anyway */
}

/* Takes a block on that node and maps it, for which there must be page tables there too. */
static bool block_place(const struct vm *vm, unsigned block, unsigned node, enum mem_policy policy)
{
	unsigned pages = block_pages(&vm->mem, block);
	hpa_t at = mem_alloc(&mem, node, pages, policy);

	if (hpa_is_none(at)) {
		return false;
	}
	if (virt->space_map(vm->space, vm_memory_block_gpa(&vm->mem, block), at, pages * PAGE_SIZE) != ERR_OK) {
		mem_free(&mem, at, pages);
		return false;
	}
	vm->mem.block[block] = at;
	return true;
}

/* On the node it is meant for, then on the VM's home and the pool's others, nearest first; anywhere only where it may. */
static bool block_find(const struct vm *vm, unsigned block)
{
	if (block_place(vm, block, vm_numa_block_node(vm, block), MEM_STRICT)) {
		return true;
	}
	for (unsigned i = 0; i < mem.node_count; i++) {
		unsigned node = mem.node[vm->node].fallback[i];

		if (vm_memory_pool_has(vm->pool, node) && block_place(vm, block, node, MEM_STRICT)) {
			return true;
		}
	}
	return vm->config.memory_policy == MEM_PREFER && block_place(vm, block, vm->node, MEM_PREFER);
}

static enum err no_memory(const struct vm *vm, unsigned blocks, struct sched_reason *why)
{
	return sched_refuse(ERR_NOMEM, why, "its pool's nodes have %lu MiB of %lu MiB in free 2 MiB pages",
			    (uint64_t)blocks * LARGE_SIZE / MIB, vm->config.memory_bytes / MIB);
}

enum err vm_memory_create(struct vm *vm, struct sched_reason *why)
{
	uint64_t bytes = vm->config.memory_bytes;
	unsigned count = (unsigned)gmem_blocks(bytes);
	hpa_t *block = heap_alloc(MAX(1u, count) * sizeof(*block), vm->node);
	enum err e;

	if (block == NULL) {
		return no_memory(vm, 0, why);
	}
	for (unsigned i = 0; i < count; i++) {
		block[i] = HPA_NONE;
	}
	e = gmem_init(&vm->mem, bytes, block, count);
	if (e != ERR_OK) {
		heap_free(block, MAX(1u, count) * sizeof(*block));
		vm->mem.block = NULL;
		return sched_refuse(e, why, "memory must be a multiple of 4 KiB and not 0");
	}
	for (unsigned i = 0; i < count; i++) {
		if (!block_find(vm, i)) {
			return no_memory(vm, i, why);
		}
		if (i % CATCH_BLOCKS == CATCH_BLOCKS - 1) {
			console_catch();
		}
	}
	return ERR_OK;
}

void vm_memory_destroy(struct vm *vm)
{
	struct gmem *g = &vm->mem;

	if (g->block == NULL) {
		return;
	}
	for (unsigned i = 0; i < g->block_count; i++) {
		if (!hpa_is_none(g->block[i])) {
			mem_free(&mem, g->block[i], block_pages(g, i));
		}
		if (i % CATCH_BLOCKS == CATCH_BLOCKS - 1) {
			console_catch();
		}
	}
	heap_free(g->block, MAX(1u, g->block_count) * sizeof(*g->block));
	g->block = NULL;
}

void vm_memory_zero(struct vm *vm)
{
	for (unsigned i = 0; i < vm->mem.block_count; i++) {
		uint64_t bytes = block_pages(&vm->mem, i) * PAGE_SIZE;

		for (uint64_t at = 0; at < bytes; at += MIN(bytes - at, CONSOLE_CATCH_BYTES)) {
			arch_zero((uint8_t *)arch_direct(vm->mem.block[i]) + at, MIN(bytes - at, CONSOLE_CATCH_BYTES));
			console_catch();
		}
	}
}
