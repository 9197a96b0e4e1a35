/* SPDX-License-Identifier: BSD-2-Clause */
/* A vector's way through the local APIC: IRR, ISR, EOI, and the priorities that order them (SDM
 * 3A 11.8.3, 11.8.4). */
#include "arch/x86_64/virt.h"
#include "kernel/lib/util.h"
#include "vm/vlapic_regs.h"

static inline uint32_t bit_of(unsigned vector)
{
	return 1u << (vector % 32);
}

static uint8_t highest(const struct vlapic *l, unsigned first)
{
	return (uint8_t)virt_apic_highest(l->page, first);
}

/* Assisted, the cpu has moved vectors on behind our back. */
static void refresh(struct vlapic *l)
{
	if (l->config.assisted) {
		l->irr_highest = highest(l, REG_IRR);
		l->isr_highest = highest(l, REG_ISR);
	}
}

static void update_ppr(struct vlapic *l)
{
	uint32_t tpr = *reg_at(l, REG_TPR);

	*reg_at(l, REG_PPR) = (tpr & 0xf0) >= (l->isr_highest & 0xf0) ? tpr : l->isr_highest & 0xf0;
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
	refresh(l);
	*reg_at(l, REG_TPR) = tpr;
	update_ppr(l);
}

uint8_t vlapic_tpr(const struct vlapic *l)
{
	return (uint8_t)*reg_at(l, REG_TPR);
}

bool vlapic_accept(struct vlapic *l, uint8_t vector, bool level)
{
	struct vlapic_shared *s = &l->shared;
	unsigned word = vector / 32;
	uint32_t bit = bit_of(vector);
	bool was_level = (shared_get(&s->level[word]) & bit) != 0;

	if (!vlapic_has(l, VLAPIC_ACCEPTING)) {
		return false;
	}
	if (vector < VAPIC_VECTOR_MIN) {
		/* The error interrupt for it is left out: the LVT is the owner's. */
		atomic_fetch_or_explicit(&s->errors, ESR_RECEIVE_ILLEGAL, memory_order_relaxed);
		return false;
	}
	if (level && !was_level) {
		atomic_fetch_or_explicit(&s->level[word], bit, memory_order_relaxed);
	} else if (!level && was_level) {
		atomic_fetch_and_explicit(&s->level[word], ~bit, memory_order_relaxed);
	}
	if ((atomic_fetch_or_explicit(&s->posted[word], bit, memory_order_release) & bit) != 0) {
		return false; /* who set it tells the owner */
	}
	return atomic_fetch_or_explicit(&s->waiting, 1u << word, memory_order_acq_rel) == 0;
}

/* That vector is the highest of what was put into IRR. */
static inline void raise(struct vlapic *l, uint8_t vector)
{
	l->irr_highest = MAX(l->irr_highest, vector);
	l->raised = MAX(l->raised, vector);
}

void vlapic_take_words(struct vlapic *l, uint32_t words)
{
	for (; words != 0; words &= words - 1) {
		unsigned word = (unsigned)__builtin_ctz(words);
		uint32_t *irr = reg_at(l, REG_IRR + word), *tmr = reg_at(l, REG_TMR + word), was = *tmr;
		uint32_t bits =
			atomic_exchange_explicit(&l->shared.posted[word], 0, memory_order_acquire);

		*tmr = (was & ~bits) | (shared_get(&l->shared.level[word]) & bits);
		l->changed |= *tmr != was;
		for (uint32_t left = bits & ~*irr; left != 0; left &= left - 1) {
			l->taken++;
		}
		*irr |= bits;
		if (bits != 0) {
			raise(l, (uint8_t)(word * 32 + 31 - (unsigned)__builtin_clz(bits)));
		}
	}
}

void vlapic_request(struct vlapic *l, uint8_t vector)
{
	unsigned word = vector / 32;
	uint32_t bit = bit_of(vector), *irr = reg_at(l, REG_IRR + word);

	/* Where TMR could be wrong, or the vector is: the long way. */
	if (((shared_get(&l->shared.level[word]) | *reg_at(l, REG_TMR + word)) & bit) != 0 ||
	    vector < VAPIC_VECTOR_MIN || !vlapic_has(l, VLAPIC_ACCEPTING)) {
		vlapic_accept(l, vector, false);
	} else {
		l->taken += (*irr & bit) == 0 ? 1 : 0;
		*irr |= bit;
		raise(l, vector);
	}
}

int vlapic_pending(struct vlapic *l)
{
	if (l->config.assisted) {
		l->irr_highest = highest(l, REG_IRR);
	}
	return vlapic_pending_still(l);
}

int vlapic_pending_still(struct vlapic *l)
{
	vlapic_take(l);
	return vlapic_has(l, VLAPIC_ACCEPTING) && l->irr_highest >> 4 > *reg_at(l, REG_PPR) >> 4
		       ? l->irr_highest
		       : -1;
}

void vlapic_ack(struct vlapic *l, uint8_t vector)
{
	*reg_at(l, REG_IRR + vector / 32) &= ~bit_of(vector);
	*reg_at(l, REG_ISR + vector / 32) |= bit_of(vector);
	l->irr_highest = highest(l, REG_IRR);
	l->isr_highest = MAX(l->isr_highest, vector);
	update_ppr(l);
}

int vlapic_eoi(struct vlapic *l)
{
	unsigned vector;

	refresh(l);
	vector = l->isr_highest;
	if (vector == 0) {
		return -1;
	}
	*reg_at(l, REG_ISR + vector / 32) &= ~bit_of(vector);
	l->isr_highest = highest(l, REG_ISR);
	l->changed = true;
	update_ppr(l);
	return (*reg_at(l, REG_TMR + vector / 32) & bit_of(vector)) != 0 ? (int)vector : -1;
}

const char *vlapic_check(struct vlapic *l)
{
	int pending = vlapic_pending(l);
	uint32_t ppr = *reg_at(l, REG_PPR);

	if (l->isr_highest != highest(l, REG_ISR) || l->irr_highest != highest(l, REG_IRR)) {
		return "a cached highest vector is wrong";
	}
	if (ppr >> 4 != MAX(*reg_at(l, REG_TPR) >> 4, l->isr_highest >> 4)) {
		return "the processor priority is wrong";
	}
	if (pending >= 0 && (unsigned)pending >> 4 <= ppr >> 4) {
		return "the pending vector is not above the processor priority";
	}
	if (((*reg_at(l, REG_ISR) | *reg_at(l, REG_IRR)) & 0xffff) != 0) {
		return "a vector below 16 got in";
	}
	if ((l->timer.masked || !(*reg_at(l, REG_SVR) & SVR_ENABLE)) &&
	    vlapic_deadline(l) != UINT64_MAX) {
		return "a masked timer has a deadline";
	}
	if (l->timer.masked != ((*reg_at(l, REG_LVT + LVT_TIMER) & LVT_MASKED) != 0)) {
		return "the timer's mask is not its LVT's";
	}
	return NULL;
}
