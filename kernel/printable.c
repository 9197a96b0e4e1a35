/* SPDX-License-Identifier: BSD-2-Clause */
/* The filter between other people's bytes and the terminal. */
#include "kernel/printable.h"

#include <stdbool.h>

#include "kernel/utf8.h"

enum { ESC = 0x1b, BEL = 0x07, DEL = 0x7f };

struct printable printable_make(const void *from, size_t len)
{
	return (struct printable){ .from = from, .len = len };
}

/* Past bytes of low..high from at. */
static size_t skip_range(const struct printable *p, size_t at, uint8_t low, uint8_t high)
{
	while (at < p->len && p->from[at] >= low && p->from[at] <= high) {
		at++;
	}
	return at;
}

/* Past a control string (OSC, DCS, ...): to BEL or ESC \ (ECMA-48 5.6), or to the end of the line. */
static size_t skip_string(const struct printable *p, size_t at)
{
	for (; at < p->len; at++) {
		if (p->from[at] == BEL) {
			return at + 1;
		}
		if (p->from[at] == ESC && at + 1 < p->len && p->from[at + 1] == '\\') {
			return at + 2;
		}
	}
	return at;
}

static bool opens_string(uint8_t c)
{
	return c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_';
}

/* Past the escape sequence whose ESC is at `at` (ECMA-48 5.3, 5.4). */
static size_t skip_escape(const struct printable *p, size_t at)
{
	at++;
	if (at < p->len && p->from[at] == '[') {
		at = skip_range(p, at + 1, 0x30, 0x3f);
		at = skip_range(p, at, 0x20, 0x2f);
	} else if (at < p->len && opens_string(p->from[at])) {
		return skip_string(p, at + 1);
	} else {
		at = skip_range(p, at, 0x20, 0x2f);
	}
	/* The final byte; anything else ends a broken sequence and is looked at for itself. */
	return at < p->len && p->from[at] >= 0x30 && p->from[at] <= 0x7e ? at + 1 : at;
}

static bool is_control(const struct printable *p, unsigned length)
{
	const uint8_t *c = p->from + p->at;

	return length == 0 || (c[0] < 0x20 && c[0] != '\t') || c[0] == DEL || (c[0] == 0xc2 && c[1] < 0xa0);
}

int printable_next(struct printable *p)
{
	unsigned length;

	if (p->pass > 0) {
		p->pass--;
		return p->from[p->at++];
	}
	while (p->at < p->len && (p->from[p->at] == ESC || p->from[p->at] == '\r' || p->from[p->at] == '\0')) {
		p->at = p->from[p->at] == ESC ? skip_escape(p, p->at) : p->at + 1;
	}
	if (p->at == p->len) {
		return -1;
	}
	length = utf8_length(p->from + p->at, p->len - p->at);
	if (is_control(p, length)) {
		p->at += length > 0 ? length : 1;
		return '.';
	}
	p->pass = length - 1;
	return p->from[p->at++];
}
