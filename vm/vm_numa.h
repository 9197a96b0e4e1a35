/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM over several nodes. It spans the nodes of its pool's cpus, its home first, then by distance:
 * as many as it has vCPUs, as leave each VM_NUMA_SHARE_MIN of memory, and GUEST_NUMA_NODES. vCPUs
 * and memory are dealt out in equal shares, in order: the first vCPUs and the lowest memory are on
 * the home node. A vCPU would rather run on its node's cpus, unless the VM's soft-affinity says
 * otherwise.
 */
#pragma once

#include "vm/guest_numa.h"
#include "vm/vm.h"

#define VM_NUMA_SHARE_MIN (4 * MIB) /* Linux takes no node for less */

/* Before memory and vCPUs are made: fills vm->span. */
void vm_numa_plan(struct vm *vm);
/* The host's node that vCPU i, or block i of memory, is meant to be on. */
unsigned vm_numa_vcpu_node(const struct vm *vm, unsigned i);
unsigned vm_numa_block_node(const struct vm *vm, unsigned i);
/* What the guest is told: where its memory really lies. */
void vm_numa_describe(const struct vm *vm, struct guest_numa *out);
