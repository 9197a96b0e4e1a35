/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic of the local APIC's timer (SDM 3A 11.5.4). */
#include "vm/vlapic_timer.h"

#include "kernel/lib/util.h"

#define NEVER		UINT64_MAX

/*
 * Periods under 10 us are thinned to the next point of their grid that far away: each expiry costs an exit, and a
 * real machine's would merge in the IRR too.
 */
#define SHORTEST_PER_S	100000u

static struct vlapic_ratio ratio_make(uint64_t num, uint64_t den, bool up)
{
	struct vlapic_ratio r = { .whole = num / den };
	uint64_t rest = num % den;

	/* Long division by bits: 128-bit division would need a library. */
	for (unsigned i = 0; i < 64; i++) {
		bool one = rest >= den - rest;

		rest = one ? rest - (den - rest) : rest + rest;
		r.fraction = r.fraction << 1 | (one ? 1 : 0);
	}
	if (up && rest != 0) {
		r.fraction++;
		r.whole += r.fraction == 0 ? 1 : 0;
	}
	return r;
}

static uint64_t scale_down(struct vlapic_ratio r, uint64_t n)
{
	return n * r.whole + (uint64_t)((unsigned __int128)n * r.fraction >> 64);
}

static uint64_t scale_up(struct vlapic_ratio r, uint64_t n)
{
	unsigned __int128 part = (unsigned __int128)n * r.fraction;

	return n * r.whole + (uint64_t)(part >> 64) + ((uint64_t)part != 0 ? 1 : 0);
}

/*
 * TSC ticks since the grid's start. The guest can set its TSC to anything, so only differences are compared: a sum
 * might wrap around. A cpu whose TSC is a little behind sees the start as just reached.
 */
static uint64_t past_tsc(const struct vlapic_timer *t, uint64_t now_tsc)
{
	uint64_t past = now_tsc - t->base_tsc;

	return past <= INT64_MAX ? past : 0;
}

/* Has the count reached zero? */
static bool is_due(const struct vlapic_timer *t, uint64_t now_tsc)
{
	return past_tsc(t, now_tsc) >= scale_up(t->tsc_per_tick, t->next_ticks);
}

static uint64_t elapsed_ticks(const struct vlapic_timer *t, uint64_t now_tsc)
{
	return scale_down(t->ticks_per_tsc, past_tsc(t, now_tsc));
}

static void plan(struct vlapic_timer *t)
{
	t->deadline_tsc = NEVER;
	if (t->masked) {
		return;
	}
	if (t->mode == VLAPIC_TIMER_TSC_DEADLINE) {
		t->deadline_tsc = t->tsc_deadline != 0 ? t->tsc_deadline : NEVER;
	} else if (t->running &&
		   __builtin_add_overflow(t->base_tsc, scale_up(t->tsc_per_tick, t->next_ticks), &t->deadline_tsc)) {
		t->deadline_tsc = NEVER;	/* the TSC wraps before */
	}
}

/* The first point of the grid after now. */
static __attribute__((noinline)) void advance(struct vlapic_timer *t, uint64_t now_tsc)
{
	uint64_t from = elapsed_ticks(t, now_tsc);

	from += t->period_ticks < t->shortest_ticks ? t->shortest_ticks : 0;
	if (from >= t->next_ticks) {
		t->next_ticks += ((from - t->next_ticks) / t->period_ticks + 1) * t->period_ticks;
	}
	while (is_due(t, now_tsc)) {		/* the two ratios round differently: once at most */
		t->next_ticks += t->period_ticks;
	}
}

void vlapic_timer_init(struct vlapic_timer *t, uint64_t tsc_hz, uint64_t timer_hz)
{
	timer_hz = MIN(timer_hz, tsc_hz);
	*t = (struct vlapic_timer){
		.tsc_per_tick = ratio_make(tsc_hz, timer_hz, true),
		.ticks_per_tsc = ratio_make(timer_hz, tsc_hz, false),
		.shortest_ticks = timer_hz / SHORTEST_PER_S,
	};
	vlapic_timer_reset(t);
}

void vlapic_timer_reset(struct vlapic_timer *t)
{
	t->mode = VLAPIC_TIMER_ONE_SHOT;
	t->masked = true;
	t->running = false;
	t->divide_log2 = 1;
	t->initial = 0;
	t->tsc_deadline = 0;
	plan(t);
}

bool vlapic_timer_settle(struct vlapic_timer *t, uint64_t now_tsc)
{
	if (t->mode == VLAPIC_TIMER_TSC_DEADLINE) {
		if (t->tsc_deadline == 0 || now_tsc < t->tsc_deadline) {
			return false;
		}
		t->tsc_deadline = 0;
	} else {
		if (!t->running || !is_due(t, now_tsc)) {
			return false;
		}
		if (t->mode == VLAPIC_TIMER_PERIODIC) {
			advance(t, now_tsc);
		} else {
			t->running = false;
		}
	}
	plan(t);
	return !t->masked;
}

void vlapic_timer_configure(struct vlapic_timer *t, enum vlapic_timer_mode mode, bool masked)
{
	if (mode != t->mode && (mode == VLAPIC_TIMER_TSC_DEADLINE || t->mode == VLAPIC_TIMER_TSC_DEADLINE)) {
		t->running = false;
		t->initial = 0;
		t->tsc_deadline = 0;
	}
	t->mode = mode;
	t->masked = masked;
	plan(t);
}

void vlapic_timer_set_count(struct vlapic_timer *t, uint32_t count, uint64_t now_tsc)
{
	if (t->mode == VLAPIC_TIMER_TSC_DEADLINE) {
		return;
	}
	t->initial = count;
	t->running = count != 0;
	t->base_tsc = now_tsc;
	t->period_ticks = (uint64_t)count << t->divide_log2;
	t->next_ticks = t->period_ticks;
	plan(t);
}

void vlapic_timer_set_divide(struct vlapic_timer *t, uint8_t divide_log2, uint64_t now_tsc)
{
	uint32_t left = vlapic_timer_count(t, now_tsc);

	if (divide_log2 == t->divide_log2) {
		return;		/* nothing changes: rounding must not shift the count */
	}
	t->divide_log2 = divide_log2;
	t->base_tsc = now_tsc;
	t->period_ticks = (uint64_t)t->initial << divide_log2;
	t->next_ticks = (uint64_t)left << divide_log2;
	plan(t);
}

void vlapic_timer_set_deadline(struct vlapic_timer *t, uint64_t tsc)
{
	if (t->mode == VLAPIC_TIMER_TSC_DEADLINE) {
		t->tsc_deadline = tsc;
		plan(t);
	}
}

uint32_t vlapic_timer_count(const struct vlapic_timer *t, uint64_t now_tsc)
{
	uint64_t past, left, last = (1ull << t->divide_log2) - 1;

	if (!t->running || (t->mode != VLAPIC_TIMER_PERIODIC && is_due(t, now_tsc))) {
		return 0;
	}
	past = elapsed_ticks(t, now_tsc);
	if (past < t->next_ticks) {
		left = t->next_ticks - past;
	} else if (t->mode == VLAPIC_TIMER_PERIODIC) {
		left = t->period_ticks - (past - t->next_ticks) % t->period_ticks;
	} else {
		left = 1;	/* before its deadline a count is not zero */
	}
	return (uint32_t)MIN((left + last) >> t->divide_log2, t->initial);
}

void vlapic_timer_tsc_moved(struct vlapic_timer *t, uint64_t delta)
{
	t->base_tsc += delta;
	plan(t);
}
