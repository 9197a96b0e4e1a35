/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMX instructions (SDM 3C 30), one function each. Those that can fail tell whether they did (CF or ZF). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/addr.h"

#define VMX_INSN_ON_ADDRESS(name) \
	static inline bool name(const hpa_t *at) \
	{ \
		bool failed; \
		__asm__ volatile(#name " %1" : "=@ccbe"(failed) : "m"(at->v) : "memory"); \
		return failed; \
	}

VMX_INSN_ON_ADDRESS(vmxon)
VMX_INSN_ON_ADDRESS(vmclear)
VMX_INSN_ON_ADDRESS(vmptrld)

/* Of the current VMCS. A field that does not exist reads as what was there: fields are constants, checked at start-up. */
static inline uint64_t vmread(uint64_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

static inline void vmwrite(uint64_t field, uint64_t value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc", "memory");
}

struct vmx_inv_descriptor {
	uint64_t low, high;
};

#define INV_SINGLE_CONTEXT	1ul

static inline void invept(uint64_t type, uint64_t eptp)
{
	struct vmx_inv_descriptor d = { eptp, 0 };

	__asm__ volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint16_t vpid)
{
	struct vmx_inv_descriptor d = { vpid, 0 };

	__asm__ volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}
