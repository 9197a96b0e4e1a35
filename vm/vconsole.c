/* SPDX-License-Identifier: BSD-2-Clause */
/* See vconsole.h. */
#include "vm/vconsole.h"

#include "kernel/console.h"
#include "kernel/heap.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

struct vconsole *vconsole_create(unsigned node)
{
	struct vconsole *c = heap_alloc(sizeof(*c), node);

	if (c != NULL) {
		ring_init(&c->in, c->in_bytes, VCONSOLE_IN_BYTES);
	}
	return c;
}

void vconsole_destroy(struct vconsole *c)
{
	heap_free(c, sizeof(*c));
}

void vconsole_put(struct vconsole *c, uint8_t byte)
{
	uint64_t at = atomic_load_explicit(&c->written, memory_order_relaxed);

	__atomic_store_n(&c->out[at % VCONSOLE_OUT_BYTES], byte, __ATOMIC_RELAXED);
	/* Pairs with the acquire load in vconsole_show(). */
	atomic_store_explicit(&c->written, at + 1, memory_order_release);
}

int vconsole_get(struct vconsole *c)
{
	return ring_get(&c->in);
}

bool vconsole_type(struct vconsole *c, uint8_t byte)
{
	bool taken = ring_put(&c->in, byte);

	/* Pairs with the exchange in vcpu.c: the byte is there when the flag is seen. */
	atomic_store_explicit(&c->in_waiting, true, memory_order_release);
	return taken;
}

static uint8_t out_byte(const struct vconsole *c, uint64_t at)
{
	return __atomic_load_n(&c->out[at % VCONSOLE_OUT_BYTES], __ATOMIC_RELAXED);
}

static void line_end(struct vconsole *c, const char *name)
{
	console_guest_line(name, (const char *)c->line, c->line_len);
	c->line_len = 0;
}

static void line_add(struct vconsole *c, const char *name, uint8_t byte)
{
	if (byte == '\n') {
		line_end(c, name);
	} else if (byte != '\r') {
		if (c->line_len == VCONSOLE_LINE_MAX) {
			line_end(c, name);
		}
		c->line[c->line_len++] = byte;
	}
}

void vconsole_show(struct vconsole *c, const char *name, bool attached, unsigned budget)
{
	uint64_t written = atomic_load_explicit(&c->written, memory_order_acquire);

	/* Half of the ring is left to the writer, so that what is read here is not being overwritten. */
	if (written - c->shown > VCONSOLE_OUT_BYTES / 2) {
		uint64_t lost = written - c->shown - VCONSOLE_OUT_BYTES / 2;

		c->dropped += lost;
		c->shown += lost;
		c->line_len = 0;
	}
	for (; c->shown < written && budget > 0; c->shown++, budget--) {
		uint8_t byte = out_byte(c, c->shown);

		if (attached) {
			console_raw_write(&byte, 1);
		} else {
			line_add(c, name, byte);
		}
	}
}

void vconsole_replay(struct vconsole *c)
{
	uint64_t from = c->shown > VCONSOLE_OUT_BYTES / 2 ? c->shown - VCONSOLE_OUT_BYTES / 2 : 0;

	for (; from < c->shown; from++) {
		uint8_t byte = out_byte(c, from);

		console_raw_write(&byte, 1);
	}
	c->line_len = 0;
}
