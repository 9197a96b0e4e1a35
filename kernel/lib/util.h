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

#define KIB	(1ul << 10)
#define MIB	(1ul << 20)
#define GIB	(1ul << 30)

#define NS_PER_US	1000ul
#define NS_PER_MS	1000000ul
#define NS_PER_S	1000000000ul
#define NS_NEVER	UINT64_MAX	/* a time that does not come */
