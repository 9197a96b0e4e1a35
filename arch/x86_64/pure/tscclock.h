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
	if (__builtin_expect(tsc < c->zero, 0)) {
		return 0;
	}
	return (uint64_t)((unsigned __int128)(tsc - c->zero) * c->to_ns >> TSCCLOCK_SHIFT);
}

#define TSCCLOCK_FAR 58 /* 1 << that, in ns: nine years. Nearer, 64 bits hold what comes below, up to 16 GHz */

/* tscclock_tsc() from there on. */
static __attribute__((noinline, cold, unused)) uint64_t tscclock_tsc_far(const struct tscclock *c, uint64_t ns)
{
	unsigned __int128 past = ((unsigned __int128)ns * c->to_tsc >> TSCCLOCK_SHIFT) + 1, at;

	while ((at = past * c->to_ns >> TSCCLOCK_SHIFT) < ns) {
		past += ((ns - at) * c->to_tsc >> TSCCLOCK_SHIFT) + 1;
	}
	return ns == TSCCLOCK_NEVER || past >= TSCCLOCK_NEVER - c->zero ? TSCCLOCK_NEVER : c->zero + (uint64_t)past;
}

/* A TSC at which tscclock_ns() says ns or more, at most two ticks and a nanosecond late. */
static inline uint64_t tscclock_tsc(const struct tscclock *c, uint64_t ns)
{
	uint64_t past, at;

	if (__builtin_expect(ns >> TSCCLOCK_FAR != 0, 0)) {
		return tscclock_tsc_far(c, ns);
	}
	/* Rounded down, it is mostly one too low. */
	past = (uint64_t)((unsigned __int128)ns * c->to_tsc >> TSCCLOCK_SHIFT) + 1;
	while (__builtin_expect((at = (uint64_t)((unsigned __int128)past * c->to_ns >> TSCCLOCK_SHIFT)) < ns, 0)) {
		past += (uint64_t)((unsigned __int128)(ns - at) * c->to_tsc >> TSCCLOCK_SHIFT) + 1;
	}
	return c->zero + past;
}
