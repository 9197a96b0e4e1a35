/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Byte ring for one producer and one consumer on different cpus, without a lock. `head` counts bytes ever put and is
 * written by the producer only, `tail` bytes ever taken, by the consumer only; the release store of each pairs with
 * the acquire load of the other side. size is a power of two.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	uint8_t *data;
	size_t size;
	_Atomic uint64_t head;
	_Atomic uint64_t tail;
};

static inline void ring_init(struct ring *r, void *data, size_t size)
{
	r->data = data;
	r->size = size;
	atomic_store_explicit(&r->head, 0, memory_order_relaxed);
	atomic_store_explicit(&r->tail, 0, memory_order_relaxed);
}

static inline size_t ring_used(const struct ring *r)
{
	return (size_t)(atomic_load_explicit(&r->head, memory_order_acquire) -
			atomic_load_explicit(&r->tail, memory_order_acquire));
}

/* Producer: false when full. */
static inline bool ring_put(struct ring *r, uint8_t byte)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == r->size) {
		return false;
	}
	r->data[head & (r->size - 1)] = byte;
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

/* Consumer: -1 when empty. */
static inline int ring_get(struct ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	int byte;

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire)) {
		return -1;
	}
	byte = r->data[tail & (r->size - 1)];
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return byte;
}
