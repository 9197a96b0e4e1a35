/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's output side; console_input.c is the other.
 *
 * All writers put bytes into one ring under one short lock; only the housekeeping cpu takes them out, so no cpu ever
 * waits for a serial port. A line is put whole or, where the ring is full, not at all (counted, and told later).
 *
 * The line being edited belongs to the housekeeping cpu; another cpu that has a line to show may only erase it:
 *
 *	          edit_open            another line
 *	CLOSED ------------> SHOWN ------------------> ERASED
 *	   ^                 |  ^                         |
 *	   +-----------------+  +-------------------------+
 *	       edit_close          edit_sync, console_pump: redraw
 *
 * In plain mode nothing is erased: a line that comes while something is typed begins on a line of its own.
 *
 * The lock is a bare flag, not a struct spinlock, because the console speaks before there is a struct cpu to hold
 * ranks, and because a waiter must give up when another cpu panics. Order: the log's lock, then the console's, then
 * no other; panic takes neither.
 */
#include "kernel/console.h"

#include <limits.h>
#include <stdatomic.h>

#include "kernel/arch.h"
#include "kernel/bootstat.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/printable.h"

#define TX_BYTES	(64 * KIB)
#define KEPT_BYTES	(TX_BYTES / 4)	/* of the ring, that guests' lines leave to the log and to commands */
#define GUEST_BYTES	(4 * KIB)	/* waiting to be sent, that guests may add to: a third of a second at 115200 */
#define WAIT_NS		NS_PER_S	/* for room, or for the port to take one byte */
#define WAIT_POLLS	(1u << 22)	/* the same, before the clock runs */
#define CHUNK_BYTES	1024u		/* of text put under one lock hold */
#define ERASE_LINE	"\r\033[K"
#define LINE_SLACK	8u		/* room for ERASE_LINE and CR LF around a line */

enum edit_state { EDIT_CLOSED, EDIT_SHOWN, EDIT_ERASED };

static struct {
	atomic_flag lock;
	/* Under the lock. */
	uint8_t tx[TX_BYTES];
	uint64_t head, tail;		/* bytes ever put, ever sent */
	uint64_t dropped_bytes;
	enum edit_state edit;
	bool mid_line;			/* the last byte put did not end a line */
	bool plain, held;
	bool stuck;			/* the port timed out: do not wait for it again until it takes a byte */
	bool wants_irq;
	/* Housekeeping cpu only. */
	void (*attached_input)(void *ctx, uint8_t byte);
	void (*redraw)(void);
	/* Any cpu, no order needed: each is a lone flag. */
	atomic_bool pumped, panicked, detach_wanted;
	_Atomic(void *) attached;	/* ctx of the attached side or NULL; read without the lock by guests' cpus */
} con = { .lock = ATOMIC_FLAG_INIT };

/* False after a panic: the caller then leaves the console alone. */
static bool lock(void)
{
	while (!atomic_load_explicit(&con.panicked, memory_order_relaxed)) {
		if (!atomic_flag_test_and_set_explicit(&con.lock, memory_order_acquire)) {
			return true;
		}
		arch_relax();
	}
	return false;
}

static void unlock(void)
{
	atomic_flag_clear_explicit(&con.lock, memory_order_release);
}

/* tail is never ahead, but for a panic that met another cpu in the middle of sending: then there is nothing left. */
static bool empty(void)
{
	return con.head <= con.tail;
}

static size_t room(void)
{
	return empty() ? TX_BYTES : TX_BYTES - (size_t)(con.head - con.tail);
}

static void put(uint8_t byte)
{
	con.tx[con.head++ % TX_BYTES] = byte;
	con.mid_line = byte != '\n';
}

static void put_raw(const char *s)
{
	while (*s != '\0') {
		put((uint8_t)*s++);
	}
}

static void put_text(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\n') {
			put('\r');
		}
		put((uint8_t)s[i]);
	}
}

/* --- Out of the ring. */

/* Sends what the port takes now, at most size bytes, and copies it for the screen; returns how many. */
static size_t send_some(uint8_t *copy, size_t size)
{
	bool serial = arch_serial_present();
	size_t n = serial ? MIN(arch_serial_tx_room(), size) : size, sent = 0;

	for (; sent < n && !empty(); sent++) {
		copy[sent] = con.tx[con.tail++ % TX_BYTES];
		if (serial) {
			arch_serial_tx(copy[sent]);
		}
	}
	con.stuck = con.stuck && sent == 0;
	return sent;
}

static void show_some(const uint8_t *copy, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		arch_screen_putc((char)copy[i]);
	}
}

struct patience {
	uint64_t start_ns;
	unsigned polls;
};

static struct patience patience_make(void)
{
	return (struct patience){ .start_ns = arch_now_ns() };
}

static bool patience_ends(struct patience *p)
{
	arch_relax();
	return ++p->polls > WAIT_POLLS || arch_now_ns() - p->start_ns >= WAIT_NS;
}

static void draw_all(void)
{
	uint64_t start = arch_ticks();

	(void)arch_screen_draw(UINT_MAX);
	bootstat_spend(BOOTSTAT_CONSOLE, arch_ticks() - start);
}

/* Sends everything under the lock, by polling; a port that takes nothing for a second loses what waits. */
static void send_all(void)
{
	struct patience p = patience_make();
	uint8_t copy[64];

	while (!empty()) {
		uint64_t start = arch_ticks();
		size_t n = send_some(copy, sizeof(copy));

		if (n > 0) {
			show_some(copy, n);
			p = patience_make();
			continue;
		}
		if (con.stuck || patience_ends(&p)) {
			con.stuck = true;
			con.dropped_bytes += con.head - con.tail;
			con.tail = con.head;
		}
		bootstat_spend(BOOTSTAT_CONSOLE, arch_ticks() - start);
	}
	draw_all();
}

/* Ends a writer's lock hold. */
static void done(void)
{
	if (!atomic_load_explicit(&con.pumped, memory_order_relaxed)) {
		send_all();
	}
	unlock();
}

void console_set_polled(bool polled)
{
	atomic_store_explicit(&con.pumped, !polled, memory_order_relaxed);
}

/* Rounds of what the port takes; without a port the screen alone sets the pace, so the rounds are bounded. */
static bool pump_ring(void)
{
	uint8_t copy[64];
	bool more = true;

	for (unsigned round = 0; more && round < 16; round++) {
		size_t n;

		if (!lock()) {
			return false;
		}
		n = send_some(copy, sizeof(copy));
		more = !empty();
		/* Asked for anew each time: that also repairs an interrupt that was lost. */
		if (more || con.wants_irq) {
			arch_serial_want_tx_irq(more);
			con.wants_irq = more;
		}
		unlock();
		show_some(copy, n);
		if (n == 0) {
			break;
		}
	}
	return more;
}

/* Puts the cursor at the start of a line of its own. */
static void open_line(void)
{
	if (con.edit == EDIT_SHOWN && !con.plain) {
		put_raw(ERASE_LINE);
		con.edit = EDIT_ERASED;
	} else if (con.mid_line) {
		put_raw("\r\n");
	}
}

static void tell_dropped(void)
{
	char buf[64];
	struct text t = text_make(buf, sizeof(buf));

	if (!lock()) {
		return;
	}
	if (con.dropped_bytes > 0 && room() > TX_BYTES / 2 && !console_attached()) {
		text_printf(&t, "[console: %lu bytes dropped]\n", con.dropped_bytes);
		con.dropped_bytes = 0;
		open_line();
		put_text(buf, t.len);
	}
	unlock();
}

bool console_pump(void)
{
	tell_dropped();
	console_edit_sync();
	return pump_ring();
}

void console_flush(void)
{
	if (lock()) {
		send_all();
		unlock();
	}
}

void console_panic_puts(const char *s)
{
	if (!atomic_exchange_explicit(&con.panicked, true, memory_order_relaxed)) {
		con.head = MAX(con.head, con.tail);
		send_all();
		open_line();
	}
	for (size_t left = strlen(s); left > 0;) {
		size_t n = MIN(left, CHUNK_BYTES);

		put_text(s, n);
		send_all();
		s += n;
		left -= n;
	}
}

/* --- Into the ring. */

static bool attached_or_held(void)
{
	return con.held || console_attached();
}

/* True when need bytes fit; else the text's bytes are counted as dropped. */
static bool reserve(size_t need, size_t text_bytes)
{
	if (need <= room()) {
		return true;
	}
	con.dropped_bytes += text_bytes;
	return false;
}

bool console_line(const char *line, size_t len)
{
	bool shown;

	if (!lock()) {
		return false;
	}
	shown = !attached_or_held();
	if (shown && reserve(2 * len + LINE_SLACK, len + 1)) {
		open_line();
		put_text(line, len);
		put_text("\n", 1);
	}
	done();
	return shown;
}

size_t console_guest_room(void)
{
	size_t used;

	if (!lock()) {
		return 0;
	}
	used = TX_BYTES - room();
	unlock();
	return used < GUEST_BYTES ? GUEST_BYTES - used : 0;
}

void console_guest_line(const char *name, const char *line, size_t len)
{
	struct printable p;
	int byte;

	/* A ring full of one line is no use to anybody. */
	len = MIN(len, 4 * KIB);
	p = printable_make(line, len);
	if (!lock()) {
		return;
	}
	if (!con.plain && !console_attached() &&
	    reserve(KEPT_BYTES + len + strlen(name) + 3 + LINE_SLACK, len + strlen(name) + 4)) {
		open_line();
		put('[');
		put_raw(name);
		put_raw("] ");
		while ((byte = printable_next(&p)) >= 0) {
			put((uint8_t)byte);
		}
		put_raw("\r\n");
	}
	done();
}

/* Takes the lock with need bytes of room, having waited for them at most a second; false: not locked, no room. */
static bool lock_with_room(size_t need, size_t text_bytes)
{
	struct patience p = patience_make();

	for (;;) {
		if (!lock()) {
			return false;
		}
		if (need <= room()) {
			return true;
		}
		if (con.stuck || patience_ends(&p)) {
			con.stuck = true;
			con.dropped_bytes += text_bytes;
			unlock();
			return false;
		}
		unlock();
		pump_ring();
		(void)console_receive();
	}
}

void console_write(const char *s, size_t len)
{
	while (len > 0) {
		size_t n = MIN(len, CHUNK_BYTES);

		if (lock_with_room(2 * n + LINE_SLACK, n)) {
			if (con.edit == EDIT_SHOWN) {
				open_line();
			}
			put_text(s, n);
			done();
		}
		s += n;
		len -= n;
	}
}

void console_say(const char *line, size_t len)
{
	len = MIN(len, CHUNK_BYTES);
	if (lock_with_room(2 * len + LINE_SLACK, len + 1)) {
		open_line();
		put_text(line, len);
		put_text("\n", 1);
		done();
	}
}

void console_hold(bool hold)
{
	if (lock()) {
		con.held = hold;
		unlock();
	}
}

void console_set_plain(bool plain)
{
	if (lock()) {
		con.plain = plain;
		unlock();
	}
}

bool console_is_plain(void)
{
	return con.plain;	/* written on the housekeeping cpu only, as this is called */
}

/* --- The edited line. */

void console_edit_open(void (*redraw)(void))
{
	con.redraw = redraw;
	if (lock_with_room(LINE_SLACK, 0)) {
		con.edit = EDIT_CLOSED;
		open_line();
		con.edit = EDIT_ERASED;
		done();
	}
	console_edit_sync();
}

void console_edit_close(void)
{
	if (lock()) {
		con.edit = EDIT_CLOSED;
		unlock();
	}
}

void console_edit_sync(void)
{
	bool erased;

	if (!lock()) {
		return;
	}
	erased = con.edit == EDIT_ERASED;
	if (erased) {
		con.edit = EDIT_SHOWN;
	}
	unlock();
	if (erased) {
		con.redraw();
	}
}

void console_edit_write(const char *s, size_t len)
{
	if (!lock_with_room(2 * len, len)) {
		return;
	}
	/* Erased meanwhile: the redraw to come shows this too. */
	if (con.edit == EDIT_SHOWN) {
		put_text(s, len);
	}
	done();
}

/* --- Attachment. */

static void set_attached(void *ctx)
{
	if (lock()) {
		atomic_store_explicit(&con.attached, ctx, memory_order_relaxed);
		unlock();
	}
}

void console_attach(void (*input)(void *ctx, uint8_t byte), void *ctx)
{
	atomic_store_explicit(&con.detach_wanted, false, memory_order_relaxed);
	con.attached_input = input;
	set_attached(ctx);
}

void console_attach_end(void)
{
	set_attached(NULL);
}

void console_detach(void)
{
	atomic_store_explicit(&con.detach_wanted, true, memory_order_relaxed);
}

bool console_detach_wanted(void)
{
	return console_attached() && atomic_load_explicit(&con.detach_wanted, memory_order_relaxed);
}

bool console_attached(void)
{
	return atomic_load_explicit(&con.attached, memory_order_relaxed) != NULL;
}

bool console_attached_to(const void *ctx)
{
	return atomic_load_explicit(&con.attached, memory_order_relaxed) == ctx;
}

void console_attach_feed(uint8_t byte)
{
	con.attached_input(atomic_load_explicit(&con.attached, memory_order_relaxed), byte);
}

void console_raw_write(const uint8_t *bytes, size_t len)
{
	if (!lock()) {
		return;
	}
	if (console_attached()) {
		size_t n = MIN(len, room());

		for (size_t i = 0; i < n; i++) {
			put(bytes[i]);
		}
		con.dropped_bytes += len - n;
	}
	done();
}
