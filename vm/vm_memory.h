/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's RAM: 2 MiB blocks of host memory from its pool's node, mapped in its second-level tables. */
#pragma once

#include "vm/vm.h"

/* The node that a new VM of p lives on: of the pool's nodes the one with most memory free. */
unsigned vm_memory_home(const struct pool *p);
/*
 * Allocates and maps vm->config.memory_bytes, zeroed. ERR_NOMEM with the figures; what was taken is given back by
 * vm_memory_destroy(), which is also right for a VM whose creation failed half-way.
 */
enum err vm_memory_create(struct vm *vm, struct sched_reason *why);
void vm_memory_destroy(struct vm *vm);
/* Has vm's pool a cpu on its home node? */
bool vm_memory_is_near(const struct vm *vm);
bool vm_memory_pool_has(const struct pool *p, unsigned node);
/* Block i of g: where the guest has it, and how much it is. */
gpa_t vm_memory_block_gpa(const struct gmem *g, unsigned i);
uint64_t vm_memory_block_bytes(const struct gmem *g, unsigned i);
/* All of it zero again, for a new start. */
void vm_memory_zero(struct vm *vm);
