/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's registers, its IPIs and its modes (SDM 3A, chapter 11). */
#include "vm/vlapic_regs.h"

#include <stddef.h>

#include "kernel/lib/string.h"

#define VERSION		(0x14u | (VLAPIC_LVTS - 1) << 16)

#define ICR_LOGICAL	0x800u
#define ICR_ASSERT	0x4000u
#define ICR_LEVEL	0x8000u
#define ICR_STATUS	0x1000u		/* delivery status: never busy */
#define ICR_HAND_SHIFT	18

#define DFR_FLAT	UINT32_MAX

/* Who may do what with a register. x2APIC has fewer (table 11-6); there a bit outside `bits` is #GP. */
#define R		0x1u
#define W		0x2u
#define X2_R		0x4u
#define X2_W		0x8u
#define RO		(R | X2_R)
#define RW		(R | W | X2_R | X2_W)

struct reg {
	uint64_t bits;
	uint8_t access;
};

static const struct reg regs[REG_COUNT] = {
	[REG_ID] =			{ 0, RO },
	[REG_VERSION] =			{ 0, RO },
	[REG_TPR] =			{ 0xff, RW },
	[REG_PPR] =			{ 0, RO },
	[REG_EOI] =			{ 0, W | X2_W },
	[REG_LDR] =			{ 0xff000000, RO | W },
	[REG_DFR] =			{ 0xf0000000, R | W },
	[REG_SVR] =			{ 0x3ff, RW },
	[REG_ISR ... REG_ISR + 7] =	{ 0, RO },
	[REG_TMR ... REG_TMR + 7] =	{ 0, RO },
	[REG_IRR ... REG_IRR + 7] =	{ 0, RO },
	[REG_ESR] =			{ 0, RW },
	[REG_ICR] =			{ 0xffffffff000cdfff, RW },
	[REG_ICR2] =			{ 0xff000000, R | W },
	[REG_LVT + LVT_TIMER] =		{ 0x710ff, RW },
	[REG_LVT + LVT_THERMAL] =	{ 0x117ff, RW },
	[REG_LVT + LVT_PERFORMANCE] =	{ 0x117ff, RW },
	[REG_LVT + LVT_LINT0] =		{ 0x1f7ff, RW },
	[REG_LVT + LVT_LINT1] =		{ 0x1f7ff, RW },
	[REG_LVT + LVT_ERROR] =		{ 0x110ff, RW },
	[REG_INITIAL] =			{ 0xffffffff, RW },
	[REG_CURRENT] =			{ 0, RO },
	[REG_DIVIDE] =			{ 0xb, RW },
	[REG_SELF_IPI] =		{ 0xff, X2_W },
};

void vlapic_level_eoi(struct vlapic *l, uint8_t vector)
{
	l->eoi_exits++;
	l->config.eoi(l->config.ctx, vector);
}

static void raise_error(struct vlapic *l, uint32_t error)
{
	atomic_fetch_or_explicit(&l->shared.errors, error, memory_order_relaxed);
	if (!(*reg_at(l, REG_LVT + LVT_ERROR) & LVT_MASKED)) {
		vlapic_accept(l, (uint8_t)*reg_at(l, REG_LVT + LVT_ERROR), false);
	}
}

/* --- Destinations (11.6.2) ---------------------------------------------------------------------------------------- */

static bool match_logical(uint32_t ldr, uint32_t dfr, uint32_t dest)
{
	uint32_t own = ldr >> 24;

	if (dest > 0xff) {
		return false;
	}
	if (dfr == DFR_FLAT) {
		return (own & dest) != 0;
	}
	return (dest >> 4 == 0xf || dest >> 4 == own >> 4) && (own & dest & 0xf) != 0;
}

bool vlapic_match(const struct vlapic *l, uint32_t dest, bool logical)
{
	uint32_t ldr = shared_get(&l->shared.ldr);

	if (!vlapic_has(l, VLAPIC_ENABLED)) {
		return false;
	}
	if (!logical) {
		return dest == VAPIC_DEST_ALL || dest == l->config.id;
	}
	if (!vlapic_has(l, VLAPIC_X2APIC)) {
		return match_logical(ldr, shared_get(&l->shared.dfr), dest);
	}
	return dest == VAPIC_DEST_ALL || (dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff) != 0);
}

/* --- Sending (11.6.1, 11.12.9) ------------------------------------------------------------------------------------ */

static void self_ipi(struct vlapic *l, uint8_t vector)
{
	if (vector < VAPIC_VECTOR_MIN) {
		raise_error(l, ESR_SEND_ILLEGAL);
	} else {
		vlapic_accept(l, vector, false);
	}
}

static void send_ipi(struct vlapic *l)
{
	bool x2apic = vlapic_has(l, VLAPIC_X2APIC);
	uint32_t low = *reg_at(l, REG_ICR), high = x2apic ? reg_at(l, REG_ICR)[1] : *reg_at(l, REG_ICR2);
	struct vlapic_ipi ipi = {
		.mode = (enum vapic_mode)(low >> LVT_MODE_SHIFT & 7),
		.vector = (uint8_t)low,
		.logical = (low & ICR_LOGICAL) != 0,
		.level = (low & ICR_LEVEL) != 0,
		.shorthand = (enum vlapic_shorthand)(low >> ICR_HAND_SHIFT & 3),
		.dest = x2apic ? high : high >> 24,
		.source = l->config.id,
	};
	bool vectored = ipi.mode == VAPIC_FIXED || ipi.mode == VAPIC_LOWEST;

	if (vectored && ipi.vector < VAPIC_VECTOR_MIN) {
		raise_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	if (ipi.shorthand == VLAPIC_TO_SELF) {
		if (ipi.mode == VAPIC_FIXED) {		/* the only mode allowed with it (table 11-3) */
			vlapic_accept(l, ipi.vector, false);
		}
		return;
	}
	if (ipi.mode == VAPIC_INIT && !(low & ICR_ASSERT)) {
		return;		/* level de-assert: nothing since the Pentium 4 */
	}
	if (!x2apic && !ipi.logical && ipi.dest == VAPIC_DEST_ALL_8BIT) {
		ipi.dest = VAPIC_DEST_ALL;
	}
	l->config.ipi(l->config.ctx, &ipi);
}

/* --- Timer -------------------------------------------------------------------------------------------------------- */

static void settle_timer(struct vlapic *l, uint64_t now_tsc)
{
	if (vlapic_timer_settle(&l->timer, now_tsc)) {
		vlapic_request(l, l->timer_vector);
	}
}

void vlapic_expire(struct vlapic *l, uint64_t now_tsc)
{
	if (now_tsc >= l->timer.deadline_tsc) {
		settle_timer(l, now_tsc);
	}
}

void vlapic_tsc_moved(struct vlapic *l, uint64_t delta)
{
	vlapic_timer_tsc_moved(&l->timer, delta);
}

static void write_lvt(struct vlapic *l, unsigned which, uint32_t value, uint64_t now_tsc)
{
	if (!(*reg_at(l, REG_SVR) & SVR_ENABLE)) {
		value |= LVT_MASKED;		/* 11.4.7.2 */
	}
	if (which == LVT_TIMER) {
		settle_timer(l, now_tsc);
		vlapic_timer_configure(&l->timer, (enum vlapic_timer_mode)(value >> LVT_TIMER_SHIFT & 3),
				       (value & LVT_MASKED) != 0);
		l->timer_vector = (uint8_t)value;
		*reg_at(l, REG_INITIAL) = l->timer.initial;
	}
	*reg_at(l, REG_LVT + which) = value & ~LVT_READ_ONLY;
}

static void write_svr(struct vlapic *l, uint32_t value, uint64_t now_tsc)
{
	uint32_t flags = shared_get(&l->shared.flags) & ~VLAPIC_ACCEPTING;

	settle_timer(l, now_tsc);
	*reg_at(l, REG_SVR) = value;
	l->changed = true;
	if (value & SVR_ENABLE) {
		flags |= VLAPIC_ACCEPTING;
	} else {
		for (unsigned i = 0; i < VLAPIC_LVTS; i++) {
			write_lvt(l, i, *reg_at(l, REG_LVT + i), now_tsc);
		}
	}
	shared_set(&l->shared.flags, flags);
}

static void write_divide(struct vlapic *l, uint32_t value, uint64_t now_tsc)
{
	unsigned code = (value & 3) | (value >> 1 & 4);		/* bits 3, 1, 0: 0 is 2, 6 is 128, 7 is 1 */

	settle_timer(l, now_tsc);
	*reg_at(l, REG_DIVIDE) = value;
	vlapic_timer_set_divide(&l->timer, (uint8_t)((code + 1) % 8), now_tsc);
}

/* --- Registers ---------------------------------------------------------------------------------------------------- */

static uint64_t read_register(struct vlapic *l, unsigned reg, uint64_t now_tsc)
{
	switch (reg) {
	case REG_TMR ... REG_IRR + 7:
		vlapic_take(l);
		return *reg_at(l, reg);
	case REG_ICR:
		return (vlapic_has(l, VLAPIC_X2APIC) ? (uint64_t)reg_at(l, reg)[1] << 32 : 0) | *reg_at(l, reg);
	case REG_CURRENT:
		return vlapic_timer_count(&l->timer, now_tsc);
	default:
		return *reg_at(l, reg);
	}
}

static void write_icr(struct vlapic *l, uint64_t value)
{
	*reg_at(l, REG_ICR) = (uint32_t)value & ~ICR_STATUS;
	if (vlapic_has(l, VLAPIC_X2APIC)) {
		reg_at(l, REG_ICR)[1] = (uint32_t)(value >> 32);
	}
	send_ipi(l);
}

static void write_register(struct vlapic *l, unsigned reg, uint64_t now_tsc, uint64_t value)
{
	uint32_t low = (uint32_t)value;

	switch (reg) {
	case REG_TPR:
		vlapic_set_tpr(l, (uint8_t)value);
		break;
	case REG_LDR:
		*reg_at(l, reg) = low;
		shared_set(&l->shared.ldr, low);
		break;
	case REG_DFR:
		*reg_at(l, reg) = low | ~0xf0000000u;
		shared_set(&l->shared.dfr, *reg_at(l, reg));
		break;
	case REG_SVR:
		write_svr(l, low, now_tsc);
		break;
	case REG_ESR:		/* 11.5.3: a write shows what came up since the last one */
		*reg_at(l, reg) = atomic_exchange_explicit(&l->shared.errors, 0, memory_order_relaxed);
		break;
	case REG_ICR:
		write_icr(l, value);
		break;
	case REG_ICR2:
		*reg_at(l, reg) = low;
		break;
	case REG_LVT ... REG_LVT_LAST:
		write_lvt(l, reg - REG_LVT, low, now_tsc);
		break;
	case REG_INITIAL:
		settle_timer(l, now_tsc);
		vlapic_timer_set_count(&l->timer, low, now_tsc);
		*reg_at(l, reg) = l->timer.initial;
		break;
	case REG_DIVIDE:
		write_divide(l, low, now_tsc);
		break;
	case REG_SELF_IPI:
		self_ipi(l, (uint8_t)value);
		break;
	default:
		break;
	}
}

/* The row of a register, or NULL where this mode has none with that access. */
static const struct reg *find(const struct vlapic *l, unsigned offset, uint8_t access)
{
	unsigned reg = offset / 16;

	if (vlapic_has(l, VLAPIC_X2APIC)) {
		access = (uint8_t)(access << 2);
	}
	return offset % 16 == 0 && reg < REG_COUNT && (regs[reg].access & access) ? &regs[reg] : NULL;
}

/* xAPIC: nothing happens but an error bit (11.5.3). x2APIC: #GP. */
static enum err no_register(struct vlapic *l, unsigned offset)
{
	if (vlapic_has(l, VLAPIC_X2APIC)) {
		return ERR_INVAL;
	}
	if (offset / 16 >= REG_COUNT || regs[offset / 16].access == 0) {
		raise_error(l, ESR_ILLEGAL_REGISTER);
	}
	return ERR_OK;
}

enum err vlapic_read(struct vlapic *l, unsigned offset, uint64_t now_tsc, uint64_t *value)
{
	*value = 0;
	if (find(l, offset, R) == NULL) {
		return no_register(l, offset);
	}
	*value = read_register(l, offset / 16, now_tsc);
	return ERR_OK;
}

enum err vlapic_write(struct vlapic *l, unsigned offset, uint64_t now_tsc, uint64_t value)
{
	const struct reg *reg = find(l, offset, W);
	int vector;

	if (reg == NULL) {
		return no_register(l, offset);
	}
	if (vlapic_has(l, VLAPIC_X2APIC) && (value & ~reg->bits)) {
		return ERR_INVAL;
	}
	if (offset != REG_EOI * 16) {
		write_register(l, offset / 16, now_tsc, value & reg->bits);
		return ERR_OK;
	}
	l->eoi_exits++;
	vector = vlapic_eoi(l);
	if (vector >= 0) {
		l->config.eoi(l->config.ctx, (uint8_t)vector);
	}
	return ERR_OK;
}

static void show_id(struct vlapic *l)
{
	*reg_at(l, REG_ID) = vlapic_has(l, VLAPIC_X2APIC) ? l->config.id : l->config.id << 24;
}

void vlapic_written(struct vlapic *l, unsigned offset, uint64_t now_tsc)
{
	unsigned reg = offset / 16;

	if (reg == REG_ID) {
		show_id(l);
	} else if (reg < REG_COUNT && reg != REG_EOI && (regs[reg].access & W) != 0) {
		write_register(l, reg, now_tsc, *reg_at(l, reg) & regs[reg].bits);
	}
}

bool vlapic_takes_extint(const struct vlapic *l)
{
	uint32_t lint0 = *reg_at(l, REG_LVT + LVT_LINT0);

	/* Switched off, the APIC passes its LINT0 pin through as INTR (11.4.3). */
	return !vlapic_has(l, VLAPIC_ENABLED) ||
		(!(lint0 & LVT_MASKED) && (lint0 >> LVT_MODE_SHIFT & 7) == VAPIC_EXTINT);
}

void vlapic_reset(struct vlapic *l)
{
	struct vlapic_shared *s = &l->shared;
	uint32_t ldr = vlapic_has(l, VLAPIC_X2APIC) ? *reg_at(l, REG_LDR) : 0;

	shared_set(&s->flags, shared_get(&s->flags) & ~VLAPIC_ACCEPTING);
	shared_set(&s->waiting, 0);
	for (unsigned i = 0; i < VLAPIC_WORDS; i++) {
		shared_set(&s->posted[i], 0);
		shared_set(&s->level[i], 0);
	}
	shared_set(&s->errors, 0);
	shared_set(&s->dfr, DFR_FLAT);
	shared_set(&s->ldr, ldr);
	memset(l->page, 0, VLAPIC_PAGE_BYTES);
	show_id(l);
	*reg_at(l, REG_VERSION) = VERSION;
	*reg_at(l, REG_LDR) = ldr;
	*reg_at(l, REG_DFR) = DFR_FLAT;
	*reg_at(l, REG_SVR) = SVR_RESET;
	for (unsigned i = 0; i < VLAPIC_LVTS; i++) {
		*reg_at(l, REG_LVT + i) = LVT_MASKED;
	}
	if (l->config.bsp) {
		*reg_at(l, REG_LVT + LVT_LINT0) = VAPIC_EXTINT << LVT_MODE_SHIFT;
		*reg_at(l, REG_LVT + LVT_LINT1) = VAPIC_NMI << LVT_MODE_SHIFT;
	}
	l->irr_highest = l->isr_highest = l->timer_vector = 0;
	l->changed = true;
	vlapic_timer_reset(&l->timer);
}

void vlapic_set_mode(struct vlapic *l, uint32_t flags)
{
	uint32_t id = l->config.id, accepting = shared_get(&l->shared.flags) & VLAPIC_ACCEPTING;

	if (flags == 0) {
		vlapic_reset(l);
		accepting = 0;
	}
	shared_set(&l->shared.flags, flags | accepting);
	if (flags & VLAPIC_X2APIC) {
		*reg_at(l, REG_LDR) = id >> 4 << 16 | 1u << (id & 15);		/* 11.12.10.2 */
		shared_set(&l->shared.ldr, *reg_at(l, REG_LDR));
		reg_at(l, REG_ICR)[1] = 0;
	}
	show_id(l);
	l->changed = true;
}

void vlapic_init(struct vlapic *l, const struct vlapic_config *config)
{
	*l = (struct vlapic){ .config = *config, .page = l->page };
	vlapic_timer_init(&l->timer, config->tsc_hz, config->timer_hz);
	shared_set(&l->shared.flags, VLAPIC_ENABLED);
	vlapic_reset(l);
}
