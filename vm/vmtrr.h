/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory type range registers (SDM 3A 12.11). They are stored and have no effect: a guest's RAM is write-back whatever
 * it says (vmx/ept.c), and devices are emulated. Kernels that never boot without them (Xen) and those that tie PAT to
 * them (Linux) need them to be there, set up as firmware leaves them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VMTRR_VARIABLE	8u
#define VMTRR_FIXED	11u

struct vmtrr {
	uint64_t variable[2 * VMTRR_VARIABLE];	/* base, mask of each */
	uint64_t fixed[VMTRR_FIXED];
	uint64_t def_type;
};

/* As firmware leaves them: all memory write-back, the VGA hole and the hole below 4 GiB uncached. */
void vmtrr_reset(struct vmtrr *t);
bool vmtrr_owns(uint32_t msr);
/* False: #GP is due. Only for what it owns. */
bool vmtrr_read(const struct vmtrr *t, uint32_t msr, uint64_t *value);
bool vmtrr_write(struct vmtrr *t, uint32_t msr, uint64_t value);
