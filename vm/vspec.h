/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Speculation controls as a guest has them, each where the cpu has it: what of CPUID,
 * IA32_ARCH_CAPABILITIES and IA32_SPEC_CTRL shows. IA32_PRED_CMD and IA32_FLUSH_CMD are the guest's
 * to write without an exit (arch/x86_64/vmx/vmx.c); a read is #GP by the cpu's rules and ours.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86_64/virt.h"

/* CPUID leaf 7 EDX, of subleaf 0 and 2. */
#define VSPEC_LEAF7_EDX		(1u << 10 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 29 | 1u << 31)
#define VSPEC_LEAF7_2_EDX	0x3fu

/* Pure: bits of IA32_SPEC_CTRL a guest may set, by the host's CPUID; 0: it has none. */
uint64_t vspec_ctrl_allowed(struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf));
/* Pure: what a guest sees of the host's IA32_ARCH_CAPABILITIES. */
uint64_t vspec_capabilities(uint64_t host);

bool vspec_owns(uint32_t msr);
/* False: #GP is due. Only for what it owns. R: on the cpu that runs v. */
bool vspec_read(struct virt_vcpu *v, uint32_t msr, uint64_t *value);
bool vspec_write(struct virt_vcpu *v, uint32_t msr, uint64_t value);
