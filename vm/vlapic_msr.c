/* SPDX-License-Identifier: BSD-2-Clause */
/* IA32_APIC_BASE with its modes, IA32_TSC_DEADLINE, and the x2APIC registers as MSRs (SDM 3A 11.12). */
#include "vm/vlapic_msr.h"

#include "vm/vmap.h"

/* IA32_APIC_BASE (11.4.4) */
#define BASE_BSP	(1ull << 8)
#define BASE_X2APIC	(1ull << 10)
#define BASE_ENABLE	(1ull << 11)

static uint64_t read_base(const struct vlapic *l)
{
	return VMAP_LAPIC_BASE | (l->config.bsp ? BASE_BSP : 0) | (vlapic_has(l, VLAPIC_ENABLED) ? BASE_ENABLE : 0) |
	       (vlapic_has(l, VLAPIC_X2APIC) ? BASE_X2APIC : 0);
}

/*
 * off <-> xAPIC -> x2APIC -> off; nothing else. The registers' place is fixed: moving it is refused. The BSP flag is
 * kept as it is.
 */
static enum err write_base(struct vlapic *l, uint64_t value)
{
	uint64_t now = read_base(l) & (BASE_ENABLE | BASE_X2APIC), next = value & (BASE_ENABLE | BASE_X2APIC);

	if ((value & ~(next | BASE_BSP)) != VMAP_LAPIC_BASE || next == BASE_X2APIC) {
		return ERR_INVAL;
	}
	if (next == now) {
		return ERR_OK;
	}
	if (next == 0) {
		vlapic_set_mode(l, 0);
	} else if (next == BASE_ENABLE && now == 0) {
		vlapic_set_mode(l, VLAPIC_ENABLED);
	} else if (now == BASE_ENABLE) {
		vlapic_set_mode(l, VLAPIC_ENABLED | VLAPIC_X2APIC);
	} else {
		return ERR_INVAL;	/* off to x2APIC, or x2APIC to xAPIC */
	}
	return ERR_OK;
}

enum err vlapic_msr_read(struct vlapic *l, uint32_t msr, uint64_t now_tsc, uint64_t *value)
{
	if (msr >= VMAP_X2APIC_MSR_BASE && msr <= VMAP_X2APIC_MSR_LAST) {
		return vlapic_has(l, VLAPIC_X2APIC) ?
			vlapic_read(l, (msr - VMAP_X2APIC_MSR_BASE) * 16, now_tsc, value) : ERR_INVAL;
	}
	switch (msr) {
	case VLAPIC_MSR_BASE:
		*value = read_base(l);
		return ERR_OK;
	case VLAPIC_MSR_DEADLINE:
		*value = now_tsc < l->timer.tsc_deadline ? l->timer.tsc_deadline : 0;
		return ERR_OK;
	default:
		return ERR_NOENT;
	}
}

enum err vlapic_msr_write(struct vlapic *l, uint32_t msr, uint64_t now_tsc, uint64_t value)
{
	if (msr >= VMAP_X2APIC_MSR_BASE && msr <= VMAP_X2APIC_MSR_LAST) {
		return vlapic_has(l, VLAPIC_X2APIC) ?
			vlapic_write(l, (msr - VMAP_X2APIC_MSR_BASE) * 16, now_tsc, value) : ERR_INVAL;
	}
	switch (msr) {
	case VLAPIC_MSR_BASE:
		return write_base(l, value);
	case VLAPIC_MSR_DEADLINE:
		vlapic_expire(l, now_tsc);
		vlapic_timer_set_deadline(&l->timer, value);
		return ERR_OK;
	default:
		return ERR_NOENT;
	}
}
