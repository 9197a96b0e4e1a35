/* SPDX-License-Identifier: BSD-2-Clause */
/* See vconsole.h. */
#include "vm/vconsole.h"

#include "kernel/arch.h"
#include "kernel/console.h"
#include "kernel/heap.h"
#include "kernel/lib/format.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

#define PIECE_BYTES	256u
#define SAY_EVERY_NS	(10 * NS_PER_S)
#define MARK_EVERY_NS	NS_PER_S

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

	/* Who reads this byte sees the store of written before it: pairs with the fence in fetch(). */
	atomic_thread_fence(memory_order_release);
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

	c->in_dropped += !taken;
	/* Pairs with the exchange in vcpu.c: the byte is there when the flag is seen. */
	atomic_store_explicit(&c->in_waiting, true, memory_order_release);
	return taken;
}

/* Copies n bytes from position at. Returns how many of the first of them may have been overwritten meanwhile. */
static unsigned fetch(const struct vconsole *c, uint64_t at, uint8_t *to, unsigned n)
{
	uint64_t written;

	for (unsigned i = 0; i < n; i++) {
		to[i] = __atomic_load_n(&c->out[(at + i) % VCONSOLE_OUT_BYTES], __ATOMIC_RELAXED);
	}
	atomic_thread_fence(memory_order_acquire);
	written = atomic_load_explicit(&c->written, memory_order_relaxed);
	if (written < at + VCONSOLE_OUT_BYTES) {
		return 0;
	}
	return (unsigned)MIN(written + 1 - VCONSOLE_OUT_BYTES - at, (uint64_t)n);
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

/* Goes past bytes that are gone; what a replay loses was shown before. */
static void lose(struct vconsole *c, uint64_t bytes, bool attached)
{
	c->shown += bytes;
	c->missed += attached ? bytes : 0;
	c->line_len = 0;	/* the line it was in the middle of */
	if (c->shown > c->seen) {
		c->dropped += c->shown - c->seen;
		c->seen = c->shown;
	}
}

/* n bytes of the guest's. */
static void show_piece(struct vconsole *c, const char *name, bool attached, const uint8_t *bytes, unsigned n)
{
	if (attached) {
		console_raw_write(bytes, n);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		line_add(c, name, bytes[i]);
	}
}

void vconsole_show(struct vconsole *c, const char *name, bool attached, unsigned budget)
{
	uint64_t written = atomic_load_explicit(&c->written, memory_order_acquire);
	uint8_t piece[PIECE_BYTES];

	if (!attached && c->shown < c->seen) {
		c->shown = c->seen;	/* the end of an attachment, in the middle of its replay */
	}
	if (written - c->shown > VCONSOLE_KEPT_BYTES) {
		lose(c, written - c->shown - VCONSOLE_KEPT_BYTES, attached);
	}
	while (c->shown < written && budget > 0) {
		unsigned n = MIN((unsigned)MIN(written - c->shown, (uint64_t)PIECE_BYTES), budget);
		unsigned lost = fetch(c, c->shown, piece, n);

		if (lost > 0) {
			lose(c, lost, attached);
		}
		show_piece(c, name, attached, piece + lost, n - lost);
		c->shown += n - lost;
		c->seen = MAX(c->seen, c->shown);
		budget -= n;
	}
}

uint64_t vconsole_replay(struct vconsole *c)
{
	uint64_t written = atomic_load_explicit(&c->written, memory_order_acquire);
	uint64_t gone = written > VCONSOLE_KEPT_BYTES ? written - VCONSOLE_KEPT_BYTES : 0;

	if (c->shown < gone) {
		lose(c, gone - c->shown, false);	/* the caller tells */
	}
	c->shown = gone;
	c->said_missed = c->missed;
	c->line_len = 0;
	return gone;
}

static void tell_attached(struct vconsole *c)
{
	uint64_t now_ns = arch_now_ns();
	char mark[64];
	struct text t = text_make(mark, sizeof(mark));

	if (c->said_missed_ns != 0 && now_ns - c->said_missed_ns < MARK_EVERY_NS) {
		return;
	}
	text_printf(&t, "\r\n[tarn: %lu bytes dropped]\r\n", c->missed - c->said_missed);
	console_raw_write((const uint8_t *)mark, t.len);
	c->said_missed = c->missed;
	c->said_missed_ns = now_ns;
}

void vconsole_tell_dropped(struct vconsole *c, const char *name, bool attached)
{
	uint64_t out = c->dropped - c->said_dropped, in = c->in_dropped - c->said_in_dropped, now_ns;

	if (!attached) {
		c->said_missed = c->missed;
	} else if (c->missed != c->said_missed) {
		tell_attached(c);
	}
	if (out + in == 0) {
		return;
	}
	now_ns = arch_now_ns();
	if (c->said_ns != 0 && now_ns - c->said_ns < SAY_EVERY_NS) {
		return;
	}
	if (out > 0) {
		log_printf("vm %s: %lu bytes of its output were dropped: it writes faster than the console", name, out);
	}
	if (in > 0) {
		log_printf("vm %s: %lu typed bytes were dropped: it does not read them", name, in);
	}
	c->said_dropped = c->dropped;
	c->said_in_dropped = c->in_dropped;
	c->said_ns = now_ns;
}
