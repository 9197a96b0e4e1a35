/* SPDX-License-Identifier: BSD-2-Clause */
/* From the firmware's memory map and SRAT to the page allocator. */
#pragma once

#include "boot/boot_info.h"
#include "kernel/mem.h"

/*
 * Gives all memory of that kind above 1 MiB to m, each part to the node that SRAT says. RAM that SRAT does not name goes to
 * node 0; said once a call.
 */
void mem_boot_add(struct mem *m, const struct boot_mem *map, unsigned count, uint32_t kind, const struct topology *t);
/* Says where SRAT and the firmware's map disagree: ranges of SRAT with no RAM behind them. */
void mem_boot_compare(const struct boot_mem *map, unsigned count, const struct topology *t);
