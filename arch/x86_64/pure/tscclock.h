/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TSC to nanoseconds and back by fixed point, so that no path divides. The two multipliers are
 * rounded down, each by itself: after a day they disagree by microseconds. So the way to TSC is
 * corrected by the way back: what is set for a time is never early.
 */
#pragma once

#include <stdint.h>

#define TSCCLOCK_SHIFT 32
#define TSCCLOCK_NEVER UINT64_MAX /* NS_NEVER, and a TSC that does not come */

struct tscclock {
	uint64_t zero; /* TSC at time 0 */
	uint64_t to_ns, to_tsc; /* << TSCCLOCK_SHIFT */
};

/* The last whole nanosecond that tsc has reached. */
static inline uint64_t tscclock_ns(const struct tscclock *c, uint64_t tsc)
{
	unsigned __int128 ns = (unsigned __int128)(tsc - c->zero) * c->to_ns >> TSCCLOCK_SHIFT;

	return tsc < c->zero                                  ? 0
	       : tsc == TSCCLOCK_NEVER || ns > TSCCLOCK_NEVER ? TSCCLOCK_NEVER
							      : (uint64_t)ns;
}

/* The same of a TSC that a cpu has read, so it is not 2^64 ns after time 0. */
static inline uint64_t tscclock_now(const struct tscclock *c, uint64_t tsc)
{
	uint64_t past = tsc - c->zero;

	return tsc < c->zero ? 0 : (uint64_t)((unsigned __int128)past * c->to_ns >> TSCCLOCK_SHIFT);
}

/* A TSC at which tscclock_ns() says ns or more, at most two ticks and a nanosecond late. */
static inline uint64_t tscclock_tsc(const struct tscclock *c, uint64_t ns)
{
	unsigned __int128 guess = ((unsigned __int128)ns * c->to_tsc >> TSCCLOCK_SHIFT) + c->zero;
	uint64_t tsc = (uint64_t)guess + 1, at;		/* rounded down, it is mostly one too low */

	if (ns == TSCCLOCK_NEVER || guess > INT64_MAX) {
		return TSCCLOCK_NEVER;
	}
	while (__builtin_expect((at = tscclock_ns(c, tsc)) < ns, 0)) {
		tsc += (uint64_t)((unsigned __int128)(ns - at) * c->to_tsc >> TSCCLOCK_SHIFT) + 1;
	}
	return tsc;
}
