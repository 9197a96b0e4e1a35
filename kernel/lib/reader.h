/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounded reader: bytes that came from outside (firmware tables, guest images, guest memory) are read through it.
 * A read past the end returns zero and sets `overrun`; nothing outside [base, base + size) is ever touched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
	const uint8_t *base;
	size_t size;
	size_t at;
	bool overrun;
};

static inline struct reader reader_make(const void *base, size_t size)
{
	return (struct reader){ .base = base, .size = size };
}

static inline size_t reader_left(const struct reader *r)
{
	return r->size - r->at;
}

/* Little-endian unsigned of width 1..8 bytes at an offset from the base, without moving. */
static inline uint64_t reader_peek(struct reader *r, size_t offset, unsigned width)
{
	uint64_t v = 0;

	if (offset > r->size || width > r->size - offset) {
		r->overrun = true;
		return 0;
	}
	for (unsigned i = 0; i < width; i++) {
		v |= (uint64_t)r->base[offset + i] << (8 * i);
	}
	return v;
}

static inline uint64_t reader_take(struct reader *r, unsigned width)
{
	uint64_t v = reader_peek(r, r->at, width);

	r->at = width > reader_left(r) ? r->size : r->at + width;
	return v;
}

static inline uint8_t reader_u8(struct reader *r) { return (uint8_t)reader_take(r, 1); }
static inline uint16_t reader_u16(struct reader *r) { return (uint16_t)reader_take(r, 2); }
static inline uint32_t reader_u32(struct reader *r) { return (uint32_t)reader_take(r, 4); }
static inline uint64_t reader_u64(struct reader *r) { return reader_take(r, 8); }

static inline void reader_skip(struct reader *r, size_t n)
{
	if (n > reader_left(r)) {
		r->overrun = true;
		r->at = r->size;
		return;
	}
	r->at += n;
}

/* A reader over the next n bytes, which are skipped here. Short, with overrun set in both, where n is too long. */
static inline struct reader reader_sub(struct reader *r, size_t n)
{
	size_t have = n > reader_left(r) ? reader_left(r) : n;
	struct reader sub = reader_make(r->base + r->at, have);

	sub.overrun = have < n;
	reader_skip(r, n);
	return sub;
}
