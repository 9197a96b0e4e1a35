/* SPDX-License-Identifier: BSD-2-Clause */
/* Which VMX controls this cpu allows, resolved against what Tarn wants. Pure: capability values in, decisions out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "kernel/lib/format.h"
#include "kernel/lib/util.h"

/* The capability MSRs, as read (the TRUE ones where they exist). */
struct vmx_caps {
	uint64_t basic, pin, proc, proc2, exit, entry, misc, ept_vpid;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

/* Control values for the VMCS. */
struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry;
	bool apic;		/* virtual-interrupt delivery and all that goes with it: see controls.c */
};

/*
 * ERR_NOTSUP when something that Tarn cannot do without is missing; why then names each such feature, separated by ", ".
 * Optional features are on where they are allowed.
 */
enum err vmx_controls_resolve(const struct vmx_caps *caps, struct vmx_controls *out, struct text *why);

/* The shortest entry that lets a guest execute something: two counts of the preemption timer, which counts TSC ticks >> shift. */
static inline uint64_t vmx_least_ticks(unsigned shift)
{
	return MAX(64ul, 2ul << shift);
}
