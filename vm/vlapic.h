/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A local APIC, xAPIC and x2APIC (SDM 3A, chapter 11). One register model serves both: `offset` is the xAPIC's, and
 * an x2APIC MSR m is offset (m - 0x800) * 16.
 *
 * The registers are a page, laid out as the xAPIC's (ICR of x2APIC: 64 bits at 0x300). Where the cpu virtualizes local
 * APICs (`assisted`) this is the page it works on while the guest runs: it delivers what is in IRR, and does reads, EOI, TPR
 * and self-IPIs without an exit. So nobody but the owner, outside the guest, may touch the page: what arrives is put into
 * `posted`, and the owner moves it to IRR before it enters (vlapic_take()). Without, the same page is all there is to it.
 *
 * Who may call what: vlapic_accept(), vlapic_match() and vlapic_has() may be called from any cpu at any time,
 * without a lock; they touch only struct vlapic_shared and the constant id. Everything else belongs to the vCPU that
 * owns the APIC (or to whoever stopped it).
 *
 * All times are in ticks of the guest's TSC. A write may make a vector deliverable (EOI, TPR, an IPI to itself, SVR) or
 * move the deadline: after one, ask vlapic_pending() and vlapic_deadline() again.
 *
 * Kept so that the entry path is cheap: the highest vectors requested and in service are cached (assisted, they are read
 * from the page when asked for), the timer's deadline is one load, and that nothing arrived is one load.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "vm/vapic.h"
#include "vm/vlapic_timer.h"

#define VLAPIC_WORDS		8u	/* of 32 vectors, as the registers have them */
#define VLAPIC_LVTS		6u
#define VLAPIC_PAGE_BYTES	4096u

enum vlapic_shorthand { VLAPIC_TO_DEST, VLAPIC_TO_SELF, VLAPIC_TO_ALL, VLAPIC_TO_OTHERS };

/* What a write to ICR asks for. Never an INIT level de-assert (it does nothing) nor a fixed IPI to itself alone. */
struct vlapic_ipi {
	enum vapic_mode mode;
	uint8_t vector;		/* STARTUP: page of the start address */
	bool logical;
	bool level;		/* trigger bit: for TMR nothing, IPIs are edges */
	enum vlapic_shorthand shorthand;
	uint32_t dest;		/* with VLAPIC_TO_DEST; as vlapic_match() wants it */
	uint32_t source;	/* APIC id of the sender */
};

struct vlapic_config {
	void *ctx;
	uint32_t id;
	bool bsp;
	bool assisted;			/* the cpu works on the page while the guest runs */
	uint64_t tsc_hz, timer_hz;	/* timer_hz: the APIC timer's clock before its divider */
	void (*ipi)(void *ctx, const struct vlapic_ipi *ipi);
	void (*eoi)(void *ctx, uint8_t vector);		/* of a level-triggered vector, by a register write */
};

/* shared.flags; the owner writes, anybody reads. */
#define VLAPIC_ENABLED		0x1u	/* by IA32_APIC_BASE */
#define VLAPIC_X2APIC		0x2u
#define VLAPIC_ACCEPTING	0x4u	/* and by SVR */

struct vlapic_shared {
	/* Any cpu sets the level bit as it is, then the posted bit (release), then the word's bit in waiting (release); the owner
	 * takes them in the other direction (acquire). */
	_Atomic uint32_t waiting;	/* bit n: posted[n] is not empty */
	_Atomic uint32_t posted[VLAPIC_WORDS], level[VLAPIC_WORDS];
	_Atomic uint32_t errors;	/* ESR bits since the guest last wrote ESR */
	_Atomic uint32_t ldr, dfr, flags;
};

struct vlapic {
	struct vlapic_shared shared;
	/* The owner's. */
	uint32_t *page;			/* VLAPIC_PAGE_BYTES, aligned; the creator's, set before vlapic_init() */
	struct vlapic_timer timer;
	uint8_t timer_vector;		/* of the LVT; assisted, a write is in the page before we hear of it */
	uint8_t irr_highest, isr_highest;	/* 0: none */
	bool changed;			/* mode, or what the cpu keeps of the page: for virt->apic_sync() */
	uint8_t raised;			/* highest put into IRR and nothing else changed: for virt->apic_raise() */
	unsigned taken;			/* vectors put into IRR since the owner last cleared this */
	uint64_t eoi_exits;		/* EOIs that cost an exit, ever */
	struct vlapic_config config;
};

/* Power-up: enabled as xAPIC; on the BSP, LINT0 is as firmware leaves it (virtual wire: the 8259 gets through). */
void vlapic_init(struct vlapic *l, const struct vlapic_config *config);
/* INIT: all registers but the APIC base, and so the mode (SDM 3A 11.4.7.3). */
void vlapic_reset(struct vlapic *l);

/* Registers, whatever the way. INVAL: in x2APIC mode, a register or bits that are not there: #GP. */
enum err vlapic_read(struct vlapic *l, unsigned offset, uint64_t now_tsc, uint64_t *value);
enum err vlapic_write(struct vlapic *l, unsigned offset, uint64_t now_tsc, uint64_t value);
/* Assisted, xAPIC: the cpu has put the value into the page; what follows from it is ours. */
void vlapic_written(struct vlapic *l, unsigned offset, uint64_t now_tsc);
/* Assisted: the cpu has ended a vector that TMR says is level-triggered. */
void vlapic_level_eoi(struct vlapic *l, uint8_t vector);
/* From off, xAPIC or x2APIC to another: flags of VLAPIC_ENABLED, VLAPIC_X2APIC. Off: the registers are as after INIT. */
void vlapic_set_mode(struct vlapic *l, uint32_t flags);

/* What arrived goes into IRR: the words of `posted` that are named. */
void vlapic_take_words(struct vlapic *l, uint32_t words);
/* The end of the highest vector in service; returns it when the I/O APIC must hear of it (level), else -1. */
int vlapic_eoi(struct vlapic *l);
/* The highest vector that may be delivered now, or -1. */
int vlapic_pending(struct vlapic *l);
/* The same where the guest has not run since that was asked last. */
int vlapic_pending_still(struct vlapic *l);
/* The cpu takes the vector that vlapic_pending() returned. */
void vlapic_ack(struct vlapic *l, uint8_t vector);
void vlapic_set_tpr(struct vlapic *l, uint8_t tpr);	/* CR8 is tpr >> 4 */
uint8_t vlapic_tpr(const struct vlapic *l);

/* An interrupt arrives. True: the owner is to be told; false: it was, and has not looked yet. Dropped while disabled. */
bool vlapic_accept(struct vlapic *l, uint8_t vector, bool level);
/* The owner's own, an edge: the same without the detour over what other cpus see. */
void vlapic_request(struct vlapic *l, uint8_t vector);
/* Does a message with that destination mean this APIC? */
bool vlapic_match(const struct vlapic *l, uint32_t dest, bool logical);

/* Sets what is due; to be called at vlapic_deadline(), harmless at any time. */
void vlapic_expire(struct vlapic *l, uint64_t now_tsc);
/* Does the 8259's output reach this cpu? */
bool vlapic_takes_extint(const struct vlapic *l);
/* The guest's TSC was set: it jumped by delta (modulo 2^64). */
void vlapic_tsc_moved(struct vlapic *l, uint64_t delta);

/* Tests: is all that is cached what it should be? NULL, or what is wrong. */
const char *vlapic_check(struct vlapic *l);

/* What arrived goes into IRR. */
static inline void vlapic_take(struct vlapic *l)
{
	if (atomic_load_explicit(&l->shared.waiting, memory_order_relaxed) != 0) {
		vlapic_take_words(l, atomic_exchange_explicit(&l->shared.waiting, 0, memory_order_acquire));
	}
}

/* Absolute TSC of the next vlapic_expire(), or UINT64_MAX. */
static inline uint64_t vlapic_deadline(const struct vlapic *l)
{
	return l->timer.deadline_tsc;
}

static inline bool vlapic_has(const struct vlapic *l, uint32_t flag)
{
	return (atomic_load_explicit(&l->shared.flags, memory_order_relaxed) & flag) != 0;
}
