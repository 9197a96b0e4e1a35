/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timer of a local APIC. It does not count: it keeps absolute times in ticks of the guest's TSC, and what the
 * current-count register shows is computed from the time passed in.
 *
 * A count runs on a grid: tick 0 of the timer's clock is base_tsc, the next expiry is next_ticks later. Periods add
 * up in timer ticks, so rounding to TSC ticks never accumulates, and it rounds up, so nothing is early. An expiry
 * that was missed is merged into the next one handled; the grid stays. While the LVT is masked nobody waits: expiries
 * are settled when somebody looks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum vlapic_timer_mode {
	VLAPIC_TIMER_ONE_SHOT, VLAPIC_TIMER_PERIODIC, VLAPIC_TIMER_TSC_DEADLINE, VLAPIC_TIMER_RESERVED
};

/* A quotient with 64 fraction bits. */
struct vlapic_ratio {
	uint64_t whole, fraction;
};

struct vlapic_timer {
	uint64_t deadline_tsc;		/* what vlapic_deadline() says */
	enum vlapic_timer_mode mode;
	bool masked;
	bool running;			/* the count is not zero */
	uint8_t divide_log2;		/* 0-7 */
	uint32_t initial;		/* initial-count register */
	uint64_t tsc_deadline;		/* IA32_TSC_DEADLINE; 0: disarmed */
	uint64_t base_tsc;
	uint64_t next_ticks, period_ticks;
	uint64_t shortest_ticks;	/* periods below this are thinned */
	struct vlapic_ratio tsc_per_tick, ticks_per_tsc;
};

/* Frequencies in Hz, neither 0; the timer's, before its divider, is at most the TSC's (else taken as that). */
void vlapic_timer_init(struct vlapic_timer *t, uint64_t tsc_hz, uint64_t timer_hz);
/* Stopped, masked, one-shot, divided by two: as after RESET. */
void vlapic_timer_reset(struct vlapic_timer *t);

/* Takes note of what expired up to now. True: the interrupt is due. Every call below that changes the timer needs it
 * called before, with the same now and its answer heeded. */
bool vlapic_timer_settle(struct vlapic_timer *t, uint64_t now_tsc);

/* The LVT entry's mode and mask. To or from TSC-deadline mode disarms (SDM 3A 11.5.4.1). */
void vlapic_timer_configure(struct vlapic_timer *t, enum vlapic_timer_mode mode, bool masked);
void vlapic_timer_set_count(struct vlapic_timer *t, uint32_t count, uint64_t now_tsc);
void vlapic_timer_set_divide(struct vlapic_timer *t, uint8_t divide_log2, uint64_t now_tsc);
void vlapic_timer_set_deadline(struct vlapic_timer *t, uint64_t tsc);
uint32_t vlapic_timer_count(const struct vlapic_timer *t, uint64_t now_tsc);
/* The guest's TSC jumped by delta: a count goes on as if nothing had happened; a TSC deadline stays where it is. */
void vlapic_timer_tsc_moved(struct vlapic_timer *t, uint64_t delta);
