/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's registers and its interrupt acceptance (SDM 3A, chapter 11). */
#include "vm/vlapic.h"

#include <stddef.h>

#include "kernel/lib/util.h"

/* Table 11-1, by offset / 16 */
enum {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_PPR = 0x0a, REG_EOI = 0x0b, REG_LDR = 0x0d,
	REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28,
	REG_ICR = 0x30, REG_ICR2 = 0x31, REG_LVT = 0x32, REG_LVT_LAST = 0x37, REG_INITIAL = 0x38,
	REG_CURRENT = 0x39, REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f, REG_COUNT = 0x40
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR };

#define VERSION		(0x14u | (VLAPIC_LVTS - 1) << 16)

#define SVR_ENABLE	0x100u
#define SVR_RESET	0xffu

#define LVT_MODE_SHIFT	8
#define LVT_MASKED	0x10000u
#define LVT_TIMER_SHIFT	17
#define LVT_READ_ONLY	0x5000u		/* delivery status, remote IRR: always zero here */

#define ICR_LOGICAL	0x800u
#define ICR_ASSERT	0x4000u
#define ICR_LEVEL	0x8000u
#define ICR_STATUS	0x1000u		/* delivery status: never busy */
#define ICR_HAND_SHIFT	18

#define ESR_SEND_ILLEGAL	0x20u
#define ESR_RECEIVE_ILLEGAL	0x40u
#define ESR_ILLEGAL_REGISTER	0x80u

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

static inline uint64_t bit_of(unsigned vector)
{
	return 1ull << (vector % 64);
}

static uint32_t shared_get(const _Atomic uint32_t *field)
{
	return atomic_load_explicit(field, memory_order_relaxed);
}

static void shared_set(_Atomic uint32_t *field, uint32_t value)
{
	atomic_store_explicit(field, value, memory_order_relaxed);
}

/* --- Priorities and the way of a vector: IRR, ISR, EOI (11.8.3, 11.8.4) ------------------------------------------- */

static void update_ppr(struct vlapic *l)
{
	l->ppr = (l->tpr & 0xf0) >= (l->isr_highest & 0xf0) ? l->tpr : l->isr_highest & 0xf0;
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
	l->tpr = tpr;
	update_ppr(l);
}

bool vlapic_accept(struct vlapic *l, uint8_t vector, bool level)
{
	struct vlapic_shared *s = &l->shared;
	unsigned word = vector / 64;
	uint64_t bit = bit_of(vector);
	bool was_level = (atomic_load_explicit(&s->tmr[word], memory_order_relaxed) & bit) != 0;

	if (!vlapic_has(l, VLAPIC_ACCEPTING)) {
		return false;
	}
	if (vector < VAPIC_VECTOR_MIN) {
		/* The error interrupt for it is left out: the LVT is the owner's. */
		atomic_fetch_or_explicit(&s->errors, ESR_RECEIVE_ILLEGAL, memory_order_relaxed);
		return false;
	}
	if (level && !was_level) {
		atomic_fetch_or_explicit(&s->tmr[word], bit, memory_order_relaxed);
	} else if (!level && was_level) {
		atomic_fetch_and_explicit(&s->tmr[word], ~bit, memory_order_relaxed);
	}
	return !(atomic_fetch_or_explicit(&s->irr[word], bit, memory_order_release) & bit);
}

int vlapic_pending(const struct vlapic *l)
{
	if (!vlapic_has(l, VLAPIC_ACCEPTING)) {
		return -1;
	}
	for (unsigned word = VLAPIC_WORDS; word-- > 0;) {
		uint64_t bits = atomic_load_explicit(&l->shared.irr[word], memory_order_acquire);

		if (bits != 0) {
			unsigned vector = word * 64 + 63 - (unsigned)__builtin_clzll(bits);

			return vector >> 4 > l->ppr >> 4 ? (int)vector : -1;
		}
	}
	return -1;
}

void vlapic_ack(struct vlapic *l, uint8_t vector)
{
	atomic_fetch_and_explicit(&l->shared.irr[vector / 64], ~bit_of(vector), memory_order_relaxed);
	l->isr[vector / 64] |= bit_of(vector);
	l->isr_highest = MAX(l->isr_highest, vector);
	update_ppr(l);
}

static uint8_t highest_in_service(const struct vlapic *l)
{
	for (unsigned word = VLAPIC_WORDS; word-- > 0;) {
		if (l->isr[word] != 0) {
			return (uint8_t)(word * 64 + 63 - (unsigned)__builtin_clzll(l->isr[word]));
		}
	}
	return 0;
}

int vlapic_eoi(struct vlapic *l)
{
	unsigned vector = l->isr_highest;
	uint64_t tmr;

	if (vector == 0) {
		return -1;
	}
	l->isr[vector / 64] &= ~bit_of(vector);
	l->isr_highest = highest_in_service(l);
	update_ppr(l);
	tmr = atomic_load_explicit(&l->shared.tmr[vector / 64], memory_order_relaxed);
	return (tmr & bit_of(vector)) ? (int)vector : -1;
}

static void raise_error(struct vlapic *l, uint32_t error)
{
	atomic_fetch_or_explicit(&l->shared.errors, error, memory_order_relaxed);
	if (!(l->lvt[LVT_ERROR] & LVT_MASKED)) {
		vlapic_accept(l, (uint8_t)l->lvt[LVT_ERROR], false);
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
	uint32_t low = (uint32_t)l->icr, high = (uint32_t)(l->icr >> 32);
	bool x2apic = vlapic_has(l, VLAPIC_X2APIC);
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
		vlapic_accept(l, (uint8_t)l->lvt[LVT_TIMER], false);
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
	if (!(l->svr & SVR_ENABLE)) {
		value |= LVT_MASKED;		/* 11.4.7.2 */
	}
	if (which == LVT_TIMER) {
		settle_timer(l, now_tsc);
		vlapic_timer_configure(&l->timer, (enum vlapic_timer_mode)(value >> LVT_TIMER_SHIFT & 3),
				       (value & LVT_MASKED) != 0);
	}
	l->lvt[which] = value & ~LVT_READ_ONLY;
}

static void write_svr(struct vlapic *l, uint32_t value, uint64_t now_tsc)
{
	uint32_t flags = shared_get(&l->shared.flags) & ~VLAPIC_ACCEPTING;

	settle_timer(l, now_tsc);
	l->svr = value;
	if (value & SVR_ENABLE) {
		flags |= VLAPIC_ACCEPTING;
	} else {
		for (unsigned i = 0; i < VLAPIC_LVTS; i++) {
			write_lvt(l, i, l->lvt[i], now_tsc);
		}
	}
	shared_set(&l->shared.flags, flags);
}

static void write_divide(struct vlapic *l, uint32_t value, uint64_t now_tsc)
{
	unsigned code = (value & 3) | (value >> 1 & 4);		/* bits 3, 1, 0: 0 is 2, 6 is 128, 7 is 1 */

	settle_timer(l, now_tsc);
	l->divide = value;
	vlapic_timer_set_divide(&l->timer, (uint8_t)((code + 1) % 8), now_tsc);
}

/* --- Registers ---------------------------------------------------------------------------------------------------- */

static uint32_t half_word(const _Atomic uint64_t *words, unsigned index)
{
	return (uint32_t)(atomic_load_explicit(&words[index / 2], memory_order_relaxed) >> (index % 2 * 32));
}

static uint64_t read_register(const struct vlapic *l, unsigned reg, uint64_t now_tsc)
{
	bool x2apic = vlapic_has(l, VLAPIC_X2APIC);

	switch (reg) {
	case REG_ID:
		return x2apic ? l->config.id : l->config.id << 24;
	case REG_VERSION:
		return VERSION;
	case REG_TPR:
		return l->tpr;
	case REG_PPR:
		return l->ppr;
	case REG_LDR:
		return shared_get(&l->shared.ldr);
	case REG_DFR:
		return shared_get(&l->shared.dfr);
	case REG_SVR:
		return l->svr;
	case REG_ISR ... REG_ISR + 7:
		return (uint32_t)(l->isr[(reg - REG_ISR) / 2] >> ((reg - REG_ISR) % 2 * 32));
	case REG_TMR ... REG_TMR + 7:
		return half_word(l->shared.tmr, reg - REG_TMR);
	case REG_IRR ... REG_IRR + 7:
		return half_word(l->shared.irr, reg - REG_IRR);
	case REG_ESR:
		return l->esr;
	case REG_ICR:
		return x2apic ? l->icr : (uint32_t)l->icr;
	case REG_ICR2:
		return l->icr >> 32;
	case REG_LVT ... REG_LVT_LAST:
		return l->lvt[reg - REG_LVT];
	case REG_INITIAL:
		return l->timer.initial;
	case REG_CURRENT:
		return vlapic_timer_count(&l->timer, now_tsc);
	case REG_DIVIDE:
		return l->divide;
	default:
		return 0;
	}
}

static void write_icr(struct vlapic *l, uint64_t value)
{
	l->icr = value & ~(uint64_t)ICR_STATUS;
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
		shared_set(&l->shared.ldr, low);
		break;
	case REG_DFR:
		shared_set(&l->shared.dfr, low | ~0xf0000000u);
		break;
	case REG_SVR:
		write_svr(l, low, now_tsc);
		break;
	case REG_ESR:		/* 11.5.3: a write shows what came up since the last one */
		l->esr = atomic_exchange_explicit(&l->shared.errors, 0, memory_order_relaxed);
		break;
	case REG_ICR:
		write_icr(l, vlapic_has(l, VLAPIC_X2APIC) ? value : (l->icr & ~(uint64_t)UINT32_MAX) | low);
		break;
	case REG_ICR2:
		l->icr = (uint32_t)l->icr | (uint64_t)low << 32;
		break;
	case REG_LVT ... REG_LVT_LAST:
		write_lvt(l, reg - REG_LVT, low, now_tsc);
		break;
	case REG_INITIAL:
		settle_timer(l, now_tsc);
		vlapic_timer_set_count(&l->timer, low, now_tsc);
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
	vector = vlapic_eoi(l);
	if (vector >= 0) {
		l->config.eoi(l->config.ctx, (uint8_t)vector);
	}
	return ERR_OK;
}

bool vlapic_takes_extint(const struct vlapic *l)
{
	uint32_t lint0 = l->lvt[LVT_LINT0];

	/* Switched off, the APIC passes its LINT0 pin through as INTR (11.4.3). */
	return !vlapic_has(l, VLAPIC_ENABLED) ||
		(!(lint0 & LVT_MASKED) && (lint0 >> LVT_MODE_SHIFT & 7) == VAPIC_EXTINT);
}

void vlapic_reset(struct vlapic *l)
{
	struct vlapic_shared *s = &l->shared;

	for (unsigned i = 0; i < VLAPIC_WORDS; i++) {
		atomic_store_explicit(&s->irr[i], 0, memory_order_relaxed);
		atomic_store_explicit(&s->tmr[i], 0, memory_order_relaxed);
		l->isr[i] = 0;
	}
	shared_set(&s->errors, 0);
	shared_set(&s->dfr, DFR_FLAT);
	if (!vlapic_has(l, VLAPIC_X2APIC)) {
		shared_set(&s->ldr, 0);
	}
	shared_set(&s->flags, shared_get(&s->flags) & ~VLAPIC_ACCEPTING);
	l->isr_highest = l->tpr = l->ppr = 0;
	l->svr = SVR_RESET;
	l->esr = l->divide = 0;
	l->icr = 0;
	for (unsigned i = 0; i < VLAPIC_LVTS; i++) {
		l->lvt[i] = LVT_MASKED;
	}
	if (l->config.bsp) {
		l->lvt[LVT_LINT0] = VAPIC_EXTINT << LVT_MODE_SHIFT;
		l->lvt[LVT_LINT1] = VAPIC_NMI << LVT_MODE_SHIFT;
	}
	vlapic_timer_reset(&l->timer);
}

void vlapic_init(struct vlapic *l, const struct vlapic_config *config)
{
	*l = (struct vlapic){ .config = *config };
	vlapic_timer_init(&l->timer, config->tsc_hz, config->timer_hz);
	shared_set(&l->shared.flags, VLAPIC_ENABLED);
	vlapic_reset(l);
}

const char *vlapic_check(const struct vlapic *l)
{
	int pending = vlapic_pending(l);

	if (l->isr_highest != highest_in_service(l)) {
		return "the cached highest vector in service is wrong";
	}
	if (l->ppr >> 4 != MAX(l->tpr >> 4, l->isr_highest >> 4)) {
		return "the processor priority is wrong";
	}
	if (pending >= 0 && pending >> 4 <= l->ppr >> 4) {
		return "the pending vector is not above the processor priority";
	}
	if (((l->isr[0] | atomic_load_explicit(&l->shared.irr[0], memory_order_relaxed)) & 0xffff) != 0) {
		return "a vector below 16 got in";
	}
	if ((l->timer.masked || !(l->svr & SVR_ENABLE)) && vlapic_deadline(l) != UINT64_MAX) {
		return "a masked timer has a deadline";
	}
	if (l->timer.masked != ((l->lvt[LVT_TIMER] & LVT_MASKED) != 0)) {
		return "the timer's mask is not its LVT's";
	}
	return NULL;
}
