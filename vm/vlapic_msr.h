/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSRs of a local APIC; they belong to the vCPU that owns it, as vlapic_read() and vlapic_write() do. */
#pragma once

#include "vm/vlapic.h"

#define VLAPIC_MSR_BASE		0x1bu	/* IA32_APIC_BASE */
#define VLAPIC_MSR_DEADLINE	0x6e0u	/* IA32_TSC_DEADLINE */

/* IA32_APIC_BASE, IA32_TSC_DEADLINE, 0x800-0x8ff. INVAL: #GP. NOENT: not one of these. */
enum err vlapic_msr_read(struct vlapic *l, uint32_t msr, uint64_t now_tsc, uint64_t *value);
enum err vlapic_msr_write(struct vlapic *l, uint32_t msr, uint64_t now_tsc, uint64_t value);
