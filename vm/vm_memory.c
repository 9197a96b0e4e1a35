/* SPDX-License-Identifier: BSD-2-Clause */
/* See vm_memory.h. */
#include "vm/vm_memory.h"

#include "kernel/arch.h"
#include "kernel/heap.h"
#include "kernel/lib/string.h"
#include "kernel/mem.h"
#include "kernel/topology.h"

/* Pages of block i: all whole but perhaps the last. */
static unsigned block_pages(const struct gmem *g, unsigned i)
{
	uint64_t left = g->size - (uint64_t)i * LARGE_SIZE;

	return (unsigned)(MIN(left, LARGE_SIZE) / PAGE_SIZE);
}

/* Guest-physical address of block i. */
static gpa_t block_gpa(const struct gmem *g, unsigned i)
{
	uint64_t at = (uint64_t)i * LARGE_SIZE;

	return gpa(at < g->low_size ? at : GMEM_HIGH_BASE + (at - g->low_size));
}

static enum err no_memory(const struct vm *vm, unsigned blocks, struct sched_reason *why)
{
	struct text t = text_make(why->words, sizeof(why->words));

	text_printf(&t, "node %u has %lu MiB of %lu MiB in free 2 MiB pages", vm->node,
		    (blocks + mem_free_chunks(&mem, vm->node)) * LARGE_SIZE / MIB, vm->config.memory_bytes / MIB);
	return ERR_NOMEM;
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
		return e;
	}
	for (unsigned i = 0; i < count; i++) {
		block[i] = mem_alloc(&mem, vm->node, block_pages(&vm->mem, i), vm->config.memory_policy);
		if (hpa_is_none(block[i])) {
			return no_memory(vm, i, why);
		}
		e = virt->space_map(vm->space, block_gpa(&vm->mem, i), block[i], block_pages(&vm->mem, i) * PAGE_SIZE);
		if (e != ERR_OK) {
			return no_memory(vm, i, why);
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
	}
	heap_free(g->block, MAX(1u, g->block_count) * sizeof(*g->block));
	g->block = NULL;
}

void vm_memory_zero(struct vm *vm)
{
	for (unsigned i = 0; i < vm->mem.block_count; i++) {
		arch_zero(arch_direct(vm->mem.block[i]), block_pages(&vm->mem, i) * PAGE_SIZE);
	}
}
