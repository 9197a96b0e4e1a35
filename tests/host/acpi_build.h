/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds ACPI tables byte by byte for the tests of acpi/ and kernel/topology.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct build {
	uint8_t bytes[1 << 16];
	uint32_t size;
};

static inline void build_put(struct build *b, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width && b->size < sizeof(b->bytes); i++) {
		b->bytes[b->size++] = (uint8_t)(value >> (8 * i));
	}
}

static inline void build_poke(struct build *b, size_t at, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		b->bytes[at + i] = (uint8_t)(value >> (8 * i));
	}
}

static inline void build_zero(struct build *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		build_put(b, 0, 1);
	}
}

/* A 36-byte header; build_end() sets its length and checksum. */
static inline void build_start(struct build *b, const char *signature, uint8_t revision)
{
	b->size = 0;
	for (unsigned i = 0; i < 4; i++) {
		build_put(b, (uint8_t)signature[i], 1);
	}
	build_put(b, 0, 4);
	build_put(b, revision, 1);
	build_zero(b, 27);
}

static inline void build_sum(struct build *b, size_t at, size_t size)
{
	uint8_t sum = 0;

	b->bytes[at] = 0;
	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + b->bytes[i]);
	}
	b->bytes[at] = (uint8_t)-sum;
}

static inline void build_end(struct build *b)
{
	build_poke(b, 4, b->size, 4);
	build_sum(b, 9, b->size);
}

/* A copy of exactly that size on the heap, so that the sanitizer sees a read past it. The caller frees it. */
static inline uint8_t *build_copy(const struct build *b, size_t size)
{
	uint8_t *copy = malloc(size);

	memcpy(copy, b->bytes, size);
	return copy;
}

static inline void build_madt(struct build *b)
{
	build_start(b, "APIC", 5);
	build_put(b, 0xfee00000, 4);
	build_put(b, 1, 4);
}

static inline void build_lapic(struct build *b, uint8_t id, uint32_t flags)
{
	build_put(b, 0x0800, 2);
	build_put(b, id, 1);		/* uid */
	build_put(b, id, 1);
	build_put(b, flags, 4);
}

static inline void build_x2apic(struct build *b, uint32_t id, uint32_t flags)
{
	build_put(b, 0x1009, 2);
	build_put(b, 0, 2);
	build_put(b, id, 4);
	build_put(b, flags, 4);
	build_put(b, id, 4);		/* uid */
}

static inline void build_srat(struct build *b, uint8_t revision)
{
	build_start(b, "SRAT", revision);
	build_put(b, 1, 4);
	build_put(b, 0, 8);
}

static inline void build_srat_lapic(struct build *b, uint8_t id, uint32_t pxm, uint32_t flags)
{
	build_put(b, 0x1000, 2);
	build_put(b, pxm & 0xff, 1);
	build_put(b, id, 1);
	build_put(b, flags, 4);
	build_put(b, 0, 1);
	build_put(b, pxm >> 8, 3);
	build_put(b, 0, 4);
}

static inline void build_srat_x2apic(struct build *b, uint32_t id, uint32_t pxm, uint32_t flags)
{
	build_put(b, 0x1802, 2);
	build_put(b, 0, 2);
	build_put(b, pxm, 4);
	build_put(b, id, 4);
	build_put(b, flags, 4);
	build_put(b, 0, 8);
}

static inline void build_srat_memory(struct build *b, uint64_t base, uint64_t length, uint32_t pxm, uint32_t flags)
{
	build_put(b, 0x2801, 2);
	build_put(b, pxm, 4);
	build_put(b, 0, 2);
	build_put(b, base, 8);
	build_put(b, length, 8);
	build_put(b, 0, 4);
	build_put(b, flags, 4);
	build_put(b, 0, 8);
}

/* count * count distances follow, one build_put(b, d, 1) each. */
static inline void build_slit(struct build *b, uint64_t count)
{
	build_start(b, "SLIT", 1);
	build_put(b, count, 8);
}
