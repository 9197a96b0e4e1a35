/* SPDX-License-Identifier: BSD-2-Clause */
/* See vm_numa.h. */
#include "vm/vm_numa.h"

#include "kernel/machine.h"
#include "kernel/mem.h"
#include "vm/vm_memory.h"

void vm_numa_plan(struct vm *vm)
{
	uint64_t most = MIN(MIN(vm->config.vcpus, GUEST_NUMA_NODES),
			    vm->config.memory_bytes / VM_NUMA_SHARE_MIN);

	vm->span_count = 1;
	vm->span[0] = vm->node;
	for (unsigned i = 0; i < mem.node_count && vm->span_count < most; i++) {
		unsigned node = mem.node[vm->node].fallback[i];

		if (node != vm->node && vm_memory_pool_has(vm->pool, node)) {
			vm->span[vm->span_count++] = node;
		}
	}
}

unsigned vm_numa_vcpu_node(const struct vm *vm, unsigned i)
{
	return vm->span[guest_numa_share(i, vm->config.vcpus, vm->span_count)];
}

unsigned vm_numa_block_node(const struct vm *vm, unsigned i)
{
	return vm->span[guest_numa_share(i, vm->mem.block_count, vm->span_count)];
}

/* The guest's number of a host node, which is new when memory had to be taken from elsewhere. */
static unsigned number_of(unsigned node, unsigned host[GUEST_NUMA_NODES], struct guest_numa *out)
{
	unsigned i = 0;

	while (i < out->node_count && host[i] != node) {
		i++;
	}
	if (i == out->node_count && i < GUEST_NUMA_NODES) {
		host[out->node_count++] = node;
	}
	return i;
}

/* False: there is no room to tell of it. */
static bool add_block(const struct vm *vm, unsigned block, unsigned host[GUEST_NUMA_NODES],
		      struct guest_numa *out)
{
	struct guest_numa_range *last =
		out->range_count > 0 ? &out->range[out->range_count - 1] : NULL;
	uint64_t at = vm_memory_block_gpa(&vm->mem, block).v,
		 bytes = vm_memory_block_bytes(&vm->mem, block);
	unsigned node = number_of(mem_node_of(&mem, vm->mem.block[block]), host, out);

	if (node == GUEST_NUMA_NODES) {
		return false;
	}
	if (last != NULL && last->node == node && last->base + last->length == at) {
		last->length += bytes;
		return true;
	}
	if (out->range_count == GUEST_NUMA_RANGES) {
		return false;
	}
	out->range[out->range_count++] =
		(struct guest_numa_range){ .base = at, .length = bytes, .node = node };
	return true;
}

void vm_numa_describe(const struct vm *vm, struct guest_numa *out)
{
	unsigned host[GUEST_NUMA_NODES];

	*out = (struct guest_numa){ .node_count = vm->span_count, .vcpu_nodes = vm->span_count };
	for (unsigned i = 0; i < vm->span_count; i++) {
		host[i] = vm->span[i];
	}
	for (unsigned block = 0; block < vm->mem.block_count; block++) {
		if (!add_block(vm, block, host, out)) {
			out->node_count = 1; /* rather nothing than what is not so */
			return;
		}
	}
	for (unsigned i = 0; i < out->node_count; i++) {
		for (unsigned k = 0; k < out->node_count; k++) {
			out->distance[i][k] = machine.topology.distance[host[i]][host[k]];
		}
	}
}
