/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical addresses with types, so that a host's and a guest's cannot be mixed; page arithmetic. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Host physical and guest physical address, in bytes. */
typedef struct { uint64_t v; } hpa_t;
typedef struct { uint64_t v; } gpa_t;

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1ul << PAGE_SHIFT)
#define PAGE_MASK	(PAGE_SIZE - 1)
#define LARGE_SHIFT	21
#define LARGE_SIZE	(1ul << LARGE_SHIFT)
#define LARGE_PAGES	(LARGE_SIZE / PAGE_SIZE)

#define HPA_NONE	((hpa_t){ ~0ul })

static inline hpa_t hpa(uint64_t v) { return (hpa_t){ v }; }
static inline gpa_t gpa(uint64_t v) { return (gpa_t){ v }; }
static inline bool hpa_is_none(hpa_t a) { return a.v == ~0ul; }

static inline uint64_t align_down(uint64_t v, uint64_t align) { return v & ~(align - 1); }
static inline uint64_t align_up(uint64_t v, uint64_t align) { return (v + align - 1) & ~(align - 1); }
static inline bool is_aligned(uint64_t v, uint64_t align) { return (v & (align - 1)) == 0; }
