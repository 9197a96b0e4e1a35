/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: a ring of whole lines, the oldest given up for the newest, each shown on the console as it comes. Lines the
 * console holds back (a guest is attached, a program reads a command's output) stay in the ring, and log_show() brings
 * them later; while any is waiting, new ones queue behind it, so that the screen keeps the log's order.
 */
#include "kernel/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/arch.h"
#include "kernel/console.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/printable.h"

#define RING_BYTES	(32 * KIB)
#define CON_LINE_MAX	1024u	/* of con_printf(), a call and an unfinished line */

static struct {
	atomic_flag lock;
	/* Under the lock. Positions count bytes ever put; each is the start of a line or the end. */
	char ring[RING_BYTES];
	uint64_t head;		/* end of the newest line */
	uint64_t tail;		/* start of the oldest */
	uint64_t shown;		/* all before it were on the console */
	/* Housekeeping cpu only: a command's unfinished line. */
	char line[CON_LINE_MAX];
	size_t line_len;
	bool mid_line;		/* part of a line is out already */
} klog = { .lock = ATOMIC_FLAG_INIT };

static void lock(void)
{
	while (atomic_flag_test_and_set_explicit(&klog.lock, memory_order_acquire)) {
		arch_relax();
	}
}

static void unlock(void)
{
	atomic_flag_clear_explicit(&klog.lock, memory_order_release);
}

static uint64_t next_line(uint64_t at)
{
	while (at < klog.head && klog.ring[at % RING_BYTES] != '\n') {
		at++;
	}
	return at < klog.head ? at + 1 : at;
}

static void append(const char *line, size_t len)
{
	while (klog.head + len + 1 - klog.tail > RING_BYTES) {
		klog.tail = next_line(klog.tail);
	}
	for (size_t i = 0; i < len; i++) {
		klog.ring[klog.head++ % RING_BYTES] = line[i];
	}
	klog.ring[klog.head++ % RING_BYTES] = '\n';
}

/* Makes the text one printable line, in place. */
static size_t clean(char *line, size_t len)
{
	struct printable p;
	size_t out = 0;
	int byte;

	if (len > 0 && line[len - 1] == '\n') {
		len--;
	}
	p = printable_make(line, len);
	while ((byte = printable_next(&p)) >= 0) {
		line[out++] = (char)byte;
	}
	return out;
}

void log_printf(const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	struct text t = text_make(line, sizeof(line));
	uint64_t now_us = arch_now_ns() / NS_PER_US;
	va_list args;
	size_t len;

	text_printf(&t, "[%4lu.%06lu] ", now_us / 1000000, now_us % 1000000);
	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	if (t.cut) {
		memcpy(line + t.len - 3, "...", 3);
	}
	len = clean(line, t.len);
	lock();
	append(line, len);
	/* The console is told under the log's lock: one order for the ring and the screen. */
	if (klog.shown == klog.head - len - 1 && console_line(line, len)) {
		klog.shown = klog.head;
	}
	unlock();
	console_catch();		/* a crash report is many lines */
}

bool log_read(uint64_t *at, char *line, size_t *len)
{
	uint64_t end;
	bool any;

	lock();
	*at = MAX(*at, klog.tail);
	any = *at < klog.head;
	end = next_line(*at);
	*len = 0;
	for (uint64_t i = *at; any && i < end - 1; i++) {
		line[(*len)++] = klog.ring[i % RING_BYTES];
	}
	*at = end;
	unlock();
	return any;
}

uint64_t log_end(void)
{
	uint64_t end;

	lock();
	end = klog.head;
	unlock();
	return end;
}

void log_show(void)
{
	char line[LOG_LINE_MAX];
	size_t len;
	bool more = true;

	while (more) {
		uint64_t at;

		lock();
		at = klog.shown;
		unlock();
		more = log_read(&at, line, &len);
		if (more) {
			console_say(line, len);
		}
		/* Nobody else moves it while it lags, and where it does not, at is the end already. */
		lock();
		klog.shown = MAX(klog.shown, at);
		unlock();
	}
}

static void flush_line(void)
{
	console_write(klog.line, klog.line_len);
	klog.mid_line = klog.line_len > 0 && klog.line[klog.line_len - 1] != '\n';
	klog.line_len = 0;
}

void con_write(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		klog.line[klog.line_len++] = s[i];
		if (s[i] == '\n' || klog.line_len == sizeof(klog.line)) {
			flush_line();
		}
	}
}

void con_printf(const char *fmt, ...)
{
	char buf[CON_LINE_MAX];
	struct text t = text_make(buf, sizeof(buf));
	va_list args;

	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	con_write(buf, t.len);
	if (t.cut) {
		con_write("...\n", 4);
	}
}

void con_end_line(void)
{
	if (klog.line_len > 0 || klog.mid_line) {
		con_write("\n", 1);
	}
}
