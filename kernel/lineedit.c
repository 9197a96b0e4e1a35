/* SPDX-License-Identifier: BSD-2-Clause */
/* The line editor's state machine. Every character is taken to be one column wide. */
#include "kernel/lineedit.h"

#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/utf8.h"

#define CTRL(c)		((c) & 0x1f)
#define WIDTH_COLUMNS	80u

enum { ESC = 0x1b, DEL = 0x7f };

static void out(const struct lineedit *e, const char *bytes, size_t len)
{
	e->ops->out(e->ctx, bytes, len);
}

static void bell(const struct lineedit *e)
{
	if (!e->plain) {
		out(e, "\a", 1);
	}
}

/* --- Characters and columns. */

static bool is_tail(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
}

static size_t before(const struct lineedit *e, size_t at)
{
	do {
		at--;
	} while (at > 0 && is_tail(e->line[at]));
	return at;
}

static size_t after(const struct lineedit *e, size_t at)
{
	do {
		at++;
	} while (at < e->len && is_tail(e->line[at]));
	return at;
}

static unsigned columns(const struct lineedit *e, size_t from, size_t to)
{
	unsigned n = 0;

	for (size_t at = from; at < to; at++) {
		n += !is_tail(e->line[at]);
	}
	return n;
}

/* Columns for the line: the last one stays free, for terminals wrap when it is written. */
static unsigned room_columns(const struct lineedit *e)
{
	return e->width - 1 - (unsigned)strlen(e->prompt);
}

/* --- Drawing. */

static void scroll_to_cursor(struct lineedit *e)
{
	/* Coming from the right, show some of what is left of the cursor. */
	if (e->cursor <= e->first) {
		e->first = e->cursor;
		for (unsigned n = 0; n < room_columns(e) / 2 && e->first > 0; n++) {
			e->first = before(e, e->first);
		}
	}
	while (columns(e, e->first, e->cursor) > room_columns(e)) {
		e->first = after(e, e->first);
	}
}

static void draw_rich(struct lineedit *e)
{
	char buf[4 * WIDTH_COLUMNS + 64];
	struct text t = text_make(buf, sizeof(buf));
	size_t end;

	scroll_to_cursor(e);
	end = e->first;
	for (unsigned n = 0; n < room_columns(e) && end < e->len; n++) {
		end = after(e, end);
	}
	text_printf(&t, "\r%s%.*s\033[K", e->prompt, (int)(end - e->first), e->line + e->first);
	if (e->cursor < end) {
		text_printf(&t, "\r\033[%uC",
			    (unsigned)strlen(e->prompt) + columns(e, e->first, e->cursor));
	}
	out(e, buf, t.len);
}

void lineedit_draw(struct lineedit *e)
{
	if (e->plain) {
		e->cursor = e->len;
		out(e, e->prompt, strlen(e->prompt));
		out(e, e->line, e->len);
	} else {
		draw_rich(e);
	}
}

/* Takes n columns before the cursor off the row, without escape sequences. */
static void rub_out(struct lineedit *e, unsigned n)
{
	for (; n > 0; n--) {
		out(e, "\b \b", 3);
	}
}

/* --- Changing the line. */

void lineedit_init(struct lineedit *e, const struct lineedit_ops *ops, void *ctx, const char *prompt)
{
	memset(e, 0, sizeof(*e));
	e->ops = ops;
	e->ctx = ctx;
	e->prompt = prompt;
	e->width = WIDTH_COLUMNS;
}

void lineedit_begin(struct lineedit *e)
{
	e->line[0] = '\0';
	e->len = e->cursor = e->first = 0;
	e->overflow = false;
	e->back = 0;
	e->utf8_len = 0;
}

void lineedit_insert(struct lineedit *e, const char *bytes, size_t len)
{
	bool at_end = e->cursor == e->len;

	if (e->len + len > LINEEDIT_MAX) {
		e->overflow = true;
		bell(e);
		return;
	}
	memmove(e->line + e->cursor + len, e->line + e->cursor, e->len - e->cursor + 1);
	memcpy(e->line + e->cursor, bytes, len);
	e->len += len;
	e->cursor += len;
	/* The usual case by far: the new text is all there is to draw. */
	if (e->plain || (at_end && columns(e, e->first, e->len) <= room_columns(e))) {
		out(e, bytes, len);
	} else {
		draw_rich(e);
	}
}

/* Removes from..to, where the cursor then stands. */
static void cut(struct lineedit *e, size_t from, size_t to)
{
	unsigned gone = columns(e, from, to);

	if (from == to) {
		bell(e);
		return;
	}
	memmove(e->line + from, e->line + to, e->len - to + 1);
	e->len -= to - from;
	e->cursor = from;
	e->first = MIN(e->first, e->len);
	e->overflow = false;
	if (e->plain) {
		rub_out(e, gone);
	} else {
		draw_rich(e);
	}
}

static void move(struct lineedit *e, size_t to)
{
	e->cursor = to;
	draw_rich(e);
}

/* --- History. */

/* The line `back` steps up, 1 being the newest. */
static const char *remembered(const struct lineedit *e, unsigned back)
{
	return e->history[(e->history_next + LINEEDIT_HISTORY - back) % LINEEDIT_HISTORY];
}

void lineedit_remember(struct lineedit *e, const char *line)
{
	if (line[0] == '\0' || (e->history_count > 0 && str_eq(remembered(e, 1), line))) {
		return;
	}
	str_copy(e->history[e->history_next], sizeof(e->history[0]), line);
	e->history_next = (e->history_next + 1) % LINEEDIT_HISTORY;
	e->history_count = MIN(e->history_count + 1, LINEEDIT_HISTORY);
}

static void recall(struct lineedit *e, unsigned back)
{
	if (back > e->history_count) {
		bell(e);
		return;
	}
	if (e->back == 0) {
		str_copy(e->kept, sizeof(e->kept), e->line);
	}
	e->back = back;
	str_copy(e->line, sizeof(e->line), back > 0 ? remembered(e, back) : e->kept);
	e->len = e->cursor = strlen(e->line);
	e->first = 0;
	e->overflow = false;
	draw_rich(e);
}

/* --- Keys. */

/* Where a key moves the cursor to, or removes from there to the cursor. */

static size_t left(const struct lineedit *e)
{
	return e->cursor > 0 ? before(e, e->cursor) : 0;
}

static size_t right(const struct lineedit *e)
{
	return e->cursor < e->len ? after(e, e->cursor) : e->len;
}

static size_t start(const struct lineedit *e)
{
	return 0;
}

static size_t end(const struct lineedit *e)
{
	return e->len;
}

static size_t word_start(const struct lineedit *e)
{
	size_t at = e->cursor;

	while (at > 0 && e->line[at - 1] == ' ') {
		at--;
	}
	while (at > 0 && e->line[at - 1] != ' ') {
		at--;
	}
	return at;
}

static void key_up(struct lineedit *e)
{
	recall(e, e->back + 1);
}

static void key_down(struct lineedit *e)
{
	recall(e, e->back > 0 ? e->back - 1 : 0);
}

static void key_clear(struct lineedit *e)
{
	out(e, "\033[H\033[2J", 7);
	draw_rich(e);
}

static void key_cancel(struct lineedit *e)
{
	/* At the right edge its echo would wrap. */
	if (columns(e, e->first, e->cursor) + 2 <= room_columns(e)) {
		out(e, "^C", 2);
	}
	out(e, "\n", 1);
	lineedit_begin(e);
	lineedit_draw(e);
}

static void key_tab(struct lineedit *e)
{
	if (e->plain) {
		lineedit_insert(e, " ", 1);
	} else if (e->ops->complete != NULL) {
		e->ops->complete(e->ctx, e);
	}
}

/* One of the first three is set. */
struct key {
	size_t (*move)(const struct lineedit *e);
	size_t (*cut)(const struct lineedit *e);
	void (*act)(struct lineedit *e);
	bool in_plain;
};

static const struct key controls[0x20] = {
	[CTRL('A')] = { .move = start },
	[CTRL('B')] = { .move = left },
	[CTRL('C')] = { .act = key_cancel, .in_plain = true },
	[CTRL('D')] = { .cut = right },
	[CTRL('E')] = { .move = end },
	[CTRL('F')] = { .move = right },
	[CTRL('H')] = { .cut = left, .in_plain = true },
	[CTRL('I')] = { .act = key_tab, .in_plain = true },
	[CTRL('K')] = { .cut = end },
	[CTRL('L')] = { .act = key_clear },
	[CTRL('N')] = { .act = key_down },
	[CTRL('P')] = { .act = key_up },
	[CTRL('U')] = { .cut = start, .in_plain = true },
	[CTRL('W')] = { .cut = word_start, .in_plain = true },
};

static void press(struct lineedit *e, const struct key *key)
{
	if (e->plain && !key->in_plain) {
		return;
	}
	if (key->act != NULL) {
		key->act(e);
	} else if (key->move != NULL) {
		move(e, key->move(e));
	} else if (key->cut != NULL) {
		size_t at = key->cut(e);

		cut(e, MIN(at, e->cursor), MAX(at, e->cursor));
	}
}

/* The final byte of ESC [ ... or ESC O: xterm's keys, and the VT220's numbered ones. */
static void escape_key(struct lineedit *e, uint8_t final)
{
	static const struct key letters[] = {
		['A' - 'A'] = { .act = key_up },	['B' - 'A'] = { .act = key_down },
		['C' - 'A'] = { .move = right },	['D' - 'A'] = { .move = left },
		['F' - 'A'] = { .move = end },		['H' - 'A'] = { .move = start },
	};
	static const struct key numbers[] = {
		[1] = { .move = start },	[3] = { .cut = right },		[4] = { .move = end },
		[7] = { .move = start },	[8] = { .move = end },
	};

	if (final == '~' && e->key_number < ARRAY_SIZE(numbers)) {
		press(e, &numbers[e->key_number]);
	} else if (final >= 'A' && final < 'A' + ARRAY_SIZE(letters)) {
		press(e, &letters[final - 'A']);
	}
}

static void feed_escape(struct lineedit *e, uint8_t byte)
{
	if (e->key == LINEEDIT_ESC) {
		e->key = byte == '[' ? LINEEDIT_CSI : byte == 'O' ? LINEEDIT_SS3 : LINEEDIT_GROUND;
		e->key_number = 0;
	} else if (e->key == LINEEDIT_CSI && byte >= '0' && byte <= '9') {
		e->key_number = MIN(e->key_number * 10 + (byte - '0'), 1000u);
	} else if (e->key == LINEEDIT_SS3 || byte >= 0x40) {
		e->key = LINEEDIT_GROUND;
		escape_key(e, byte);
	}
}

static void feed_text(struct lineedit *e, uint8_t byte)
{
	if (!is_tail((char)byte)) {
		e->utf8_len = 0;
	}
	if (e->utf8_len == 0 && utf8_expected(byte) == 0) {
		bell(e);
		return;
	}
	e->utf8[e->utf8_len++] = byte;
	if (e->utf8_len == utf8_expected(e->utf8[0])) {
		unsigned len = utf8_length(e->utf8, e->utf8_len);

		e->utf8_len = 0;
		/* C1 control characters are no text. */
		if (len == 0 || (e->utf8[0] == 0xc2 && e->utf8[1] < 0xa0)) {
			bell(e);
		} else {
			lineedit_insert(e, (const char *)e->utf8, len);
		}
	}
}

static bool ends_line(struct lineedit *e, uint8_t byte)
{
	bool pair = byte == '\n' && e->after_cr;

	e->after_cr = byte == '\r';
	return (byte == '\r' || byte == '\n') && !pair;
}

enum lineedit_result lineedit_feed(struct lineedit *e, uint8_t byte)
{
	bool enter = ends_line(e, byte);

	if (enter) {
		e->key = LINEEDIT_GROUND;
		out(e, "\n", 1);
		return LINEEDIT_LINE;
	}
	if (byte == ESC) {
		e->key = LINEEDIT_ESC;
	} else if (e->key != LINEEDIT_GROUND && byte >= 0x20) {
		feed_escape(e, byte);
	} else if (byte == DEL) {
		press(e, &controls[CTRL('H')]);
	} else if (byte >= 0x20) {
		feed_text(e, byte);
	} else {
		e->key = LINEEDIT_GROUND;
		press(e, &controls[byte]);
	}
	return LINEEDIT_MORE;
}

bool lineedit_check(const struct lineedit *e)
{
	return e->len <= LINEEDIT_MAX && e->cursor <= e->len && e->first <= e->cursor && strlen(e->line) == e->len &&
	       !is_tail(e->line[e->cursor]) && !is_tail(e->line[e->first]) && e->utf8_len < 4 &&
	       e->back <= e->history_count && e->history_count <= LINEEDIT_HISTORY &&
	       e->history_next < LINEEDIT_HISTORY && (!e->plain || e->cursor == e->len);
}
