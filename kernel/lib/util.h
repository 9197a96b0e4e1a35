/* SPDX-License-Identifier: BSD-2-Clause */
/* The few macros everybody needs. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)	((a) < (b) ? (a) : (b))
#define MAX(a, b)	((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define RARE(x)		__builtin_expect((x), 0)
#define APART		__attribute__((noinline))	/* keeps what is rare from costing what is not */
#define INLINE		inline __attribute__((always_inline))

#define KIB	(1ul << 10)
#define MIB	(1ul << 20)
#define GIB	(1ul << 30)

#define NS_PER_US	1000ul
#define NS_PER_MS	1000000ul
#define NS_PER_S	1000000000ul
#define NS_NEVER	UINT64_MAX	/* a time that does not come */

/* Bits that v different values take: 0 for 0 and 1. */
static inline unsigned log2_ceil(unsigned v)
{
	return v <= 1 ? 0 : 32 - (unsigned)__builtin_clz(v - 1);
}

/* How long ago then was. Where another cpu wrote then, it may be after a now that was read early: that is 0. */
static inline uint64_t ns_since(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}
