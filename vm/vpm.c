/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI fixed hardware registers (ACPI 6.5, 4.8.3) and the reset control register (as in Intel's ICH, 0xcf9). */
#include "vm/vpm.h"

#include "kernel/lib/util.h"
#include "vm/vmap.h"

/* PM1 status and enable (4.8.3.1) */
#define PM1_TIMER	0x0001u
#define PM1_GLOBAL	0x0020u
#define PM1_POWER	0x0100u
#define PM1_SLEEP	0x0200u
#define PM1_RTC		0x0400u
#define PM1_EVENTS	(PM1_TIMER | PM1_GLOBAL | PM1_POWER | PM1_SLEEP | PM1_RTC)

/* PM1 control (4.8.3.2) */
#define PM1_SCI_EN	0x0001u
#define PM1_BM_RLD	0x0002u
#define PM1_SLP_TYP	0x1c00u
#define PM1_SLP_SHIFT	10
#define PM1_SLP_EN	0x2000u		/* write-only */

#define RESET_CPU	0x04u		/* set: reset now */

#define TIMER_TOP_BIT	31

static uint64_t to_ticks(uint64_t ns)
{
	return ns / NS_PER_S * VPM_TIMER_HZ + ns % NS_PER_S * VPM_TIMER_HZ / NS_PER_S;
}

static uint64_t to_ns(uint64_t ticks)
{
	return ticks / VPM_TIMER_HZ * NS_PER_S + (ticks % VPM_TIMER_HZ * NS_PER_S + VPM_TIMER_HZ - 1) / VPM_TIMER_HZ;
}

static void update(struct vpm *p)
{
	bool level = (p->status & p->enable & PM1_EVENTS) != 0;

	if (level != p->line) {
		p->line = level;
		p->config.irq(p->config.ctx, VMAP_GSI_SCI, level);
	}
}

/* TMR_STS: the timer's top bit changed, up or down. */
static void settle_timer(struct vpm *p, uint64_t now_ns)
{
	uint64_t halves = to_ticks(now_ns) >> TIMER_TOP_BIT;

	if (halves > p->timer_halves) {
		p->timer_halves = halves;
		p->status |= PM1_TIMER;
	}
}

void vpm_init(struct vpm *p, const struct vpm_config *config)
{
	*p = (struct vpm){ .config = *config, .control = PM1_SCI_EN };
}

/* The bytes [shift, shift + size) of a 32-bit register block. */
static uint32_t part(uint32_t block, unsigned offset, unsigned size)
{
	uint32_t value = block >> (8 * offset);

	return size >= 4 ? value : value & ((1u << (8 * size)) - 1);
}

static uint32_t merge(uint32_t block, unsigned offset, unsigned size, uint32_t value)
{
	uint32_t mask = part(UINT32_MAX, 0, size) << (8 * offset);

	return (block & ~mask) | ((value << (8 * offset)) & mask);
}

uint32_t vpm_read(struct vpm *p, uint16_t port, unsigned size, uint64_t now_ns)
{
	switch (port & ~3u) {
	case VMAP_PORT_PM1A_EVT:
		settle_timer(p, now_ns);
		update(p);
		return part(p->status | (uint32_t)p->enable << 16, port & 3u, size);
	case VMAP_PORT_PM1A_CNT:
		return part(p->control, port & 3u, size);
	case VMAP_PORT_PM_TIMER:
		return part((uint32_t)to_ticks(now_ns), port & 3u, size);
	default:
		return p->reset_control;
	}
}

static void write_event(struct vpm *p, unsigned offset, unsigned size, uint32_t value, uint64_t now_ns)
{
	settle_timer(p, now_ns);
	p->status &= (uint16_t)~merge(0, offset, size, value);		/* ones clear */
	p->enable = (uint16_t)(merge((uint32_t)p->enable << 16, offset, size, value) >> 16) & PM1_EVENTS;
	update(p);
}

static void write_control(struct vpm *p, unsigned offset, unsigned size, uint32_t value)
{
	uint32_t control = merge(p->control, offset, size, value);

	p->control = (uint16_t)(control & (PM1_BM_RLD | PM1_SLP_TYP)) | PM1_SCI_EN;
	if ((control & PM1_SLP_EN) && (control & PM1_SLP_TYP) >> PM1_SLP_SHIFT == VMAP_S5_SLP_TYP) {
		p->config.event(p->config.ctx, VM_EVENT_POWEROFF, 0);
	}
}

void vpm_write(struct vpm *p, uint16_t port, unsigned size, uint32_t value, uint64_t now_ns)
{
	switch (port & ~3u) {
	case VMAP_PORT_PM1A_EVT:
		write_event(p, port & 3u, size, value, now_ns);
		break;
	case VMAP_PORT_PM1A_CNT:
		write_control(p, port & 3u, size, value);
		break;
	case VMAP_PORT_PM_TIMER:
		break;		/* read-only */
	default:
		p->reset_control = (uint8_t)(value & ~RESET_CPU);
		if (value & RESET_CPU) {
			p->config.event(p->config.ctx, VM_EVENT_RESET, 0);
		}
		break;
	}
}

uint64_t vpm_deadline(const struct vpm *p)
{
	if (!(p->enable & PM1_TIMER) || (p->status & PM1_TIMER)) {
		return NS_NEVER;
	}
	return to_ns((p->timer_halves + 1) << TIMER_TOP_BIT);
}

void vpm_expire(struct vpm *p, uint64_t now_ns)
{
	/* Without TMR_EN nobody waits: the status is settled when it is read. */
	if (p->enable & PM1_TIMER) {
		settle_timer(p, now_ns);
		update(p);
	}
}
