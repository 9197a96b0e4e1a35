/* SPDX-License-Identifier: BSD-2-Clause */
/* The registers of a local APIC in their page, for vlapic.c and vlapic_priority.c. */
#pragma once

#include "vm/vlapic.h"

/* Table 11-1, by offset / 16 */
enum {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_PPR = 0x0a, REG_EOI = 0x0b, REG_LDR = 0x0d,
	REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28,
	REG_ICR = 0x30, REG_ICR2 = 0x31, REG_LVT = 0x32, REG_LVT_LAST = 0x37, REG_INITIAL = 0x38,
	REG_CURRENT = 0x39, REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f, REG_COUNT = 0x40
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR };

#define SVR_ENABLE	0x100u
#define SVR_RESET	0xffu

#define LVT_MODE_SHIFT	8
#define LVT_MASKED	0x10000u
#define LVT_TIMER_SHIFT	17
#define LVT_READ_ONLY	0x5000u		/* delivery status, remote IRR: always zero here */

#define ESR_SEND_ILLEGAL	0x20u
#define ESR_RECEIVE_ILLEGAL	0x40u
#define ESR_ILLEGAL_REGISTER	0x80u

static inline uint32_t *reg_at(const struct vlapic *l, unsigned reg)
{
	return &l->page[reg * 4];
}

static inline uint32_t shared_get(const _Atomic uint32_t *field)
{
	return atomic_load_explicit(field, memory_order_relaxed);
}

static inline void shared_set(_Atomic uint32_t *field, uint32_t value)
{
	atomic_store_explicit(field, value, memory_order_relaxed);
}
