/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of cpus (or of slots, or nodes): bitmaps of fixed size, plain values. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CPU_MAX		1024u			/* cpus Tarn will manage */
#define CPU_NONE	UINT32_MAX
#define CPUSET_WORDS	(CPU_MAX / 64)

struct cpuset {
	uint64_t word[CPUSET_WORDS];
};

static inline void cpuset_clear(struct cpuset *s)
{
	*s = (struct cpuset){ 0 };
}

static inline void cpuset_add(struct cpuset *s, unsigned cpu)
{
	s->word[cpu / 64] |= 1ul << (cpu % 64);
}

static inline void cpuset_del(struct cpuset *s, unsigned cpu)
{
	s->word[cpu / 64] &= ~(1ul << (cpu % 64));
}

/* cpu is one, so below CPU_MAX. */
static inline bool cpuset_test(const struct cpuset *s, unsigned cpu)
{
	return (s->word[cpu / 64] >> (cpu % 64) & 1) != 0;
}

static inline bool cpuset_has(const struct cpuset *s, unsigned cpu)
{
	return cpu < CPU_MAX && cpuset_test(s, cpu);
}

/* All of 0..count-1. */
static inline void cpuset_fill(struct cpuset *s, unsigned count)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		unsigned low = i * 64;

		s->word[i] = count >= low + 64 ? ~0ul : count > low ? (1ul << (count - low)) - 1 : 0;
	}
}

static inline void cpuset_or(struct cpuset *s, const struct cpuset *o)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		s->word[i] |= o->word[i];
	}
}

static inline void cpuset_and(struct cpuset *s, const struct cpuset *o)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		s->word[i] &= o->word[i];
	}
}

static inline void cpuset_andnot(struct cpuset *s, const struct cpuset *o)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		s->word[i] &= ~o->word[i];
	}
}

static inline bool cpuset_empty(const struct cpuset *s)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		if (s->word[i] != 0) {
			return false;
		}
	}
	return true;
}

/* Every cpu that there can be. */
static inline bool cpuset_full(const struct cpuset *s)
{
	uint64_t all = ~0ul;

#pragma GCC unroll 16
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		all &= s->word[i];
	}
	return all == ~0ul;
}

/* Bit n % 64 for each cpu n. */
static inline uint64_t cpuset_fold(const struct cpuset *s)
{
	uint64_t folded = 0;

	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		folded |= s->word[i];
	}
	return folded;
}

static inline bool cpuset_equal(const struct cpuset *a, const struct cpuset *b)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		if (a->word[i] != b->word[i]) {
			return false;
		}
	}
	return true;
}

static inline bool cpuset_intersects(const struct cpuset *a, const struct cpuset *b)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		if ((a->word[i] & b->word[i]) != 0) {
			return true;
		}
	}
	return false;
}

static inline unsigned cpuset_count(const struct cpuset *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		for (uint64_t w = s->word[i]; w != 0; w &= w - 1) {
			n++;
		}
	}
	return n;
}

/* The lowest member at or above cpu, or CPU_NONE. */
static inline unsigned cpuset_next(const struct cpuset *s, unsigned cpu)
{
	for (unsigned i = cpu / 64; i < CPUSET_WORDS; i++) {
		uint64_t w = s->word[i];

		if (i == cpu / 64) {
			w &= ~0ul << (cpu % 64);
		}
		if (w != 0) {
			return i * 64 + (unsigned)__builtin_ctzl(w);
		}
	}
	return CPU_NONE;
}

static inline unsigned cpuset_first(const struct cpuset *s)
{
	return cpuset_next(s, 0);
}

#define CPUSET_FOREACH(cpu, s) \
	for (unsigned cpu = cpuset_first(s); cpu != CPU_NONE; cpu = cpuset_next((s), cpu + 1))
