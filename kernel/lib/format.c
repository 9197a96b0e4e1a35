/* SPDX-License-Identifier: BSD-2-Clause */
/* A small printf: enough for a console, no floating point, nothing allocated. */
#include "kernel/lib/format.h"

#include <stdint.h>

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

struct spec {
	bool left, zero;
	size_t width, precision;	/* SIZE_MAX: none given */
	unsigned longs;
};

void text_putc(struct text *t, char c)
{
	if (t->len + 1 >= t->size) {
		t->cut = true;
		return;
	}
	t->buf[t->len++] = c;
	t->buf[t->len] = '\0';
}

void text_puts(struct text *t, const char *s)
{
	while (*s != '\0') {
		text_putc(t, *s++);
	}
}

static void put_field(struct text *t, const struct spec *s, const char *body, size_t len, bool negative)
{
	size_t total = len + negative;
	size_t pad = s->width > total ? s->width - total : 0;

	if (!s->left && !s->zero) {
		for (; pad > 0; pad--) {
			text_putc(t, ' ');
		}
	}
	if (negative) {
		text_putc(t, '-');
	}
	if (!s->left) {
		for (; pad > 0; pad--) {
			text_putc(t, '0');
		}
	}
	for (size_t i = 0; i < len; i++) {
		text_putc(t, body[i]);
	}
	for (; pad > 0; pad--) {
		text_putc(t, ' ');
	}
}

static void put_number(struct text *t, const struct spec *s, uint64_t v, unsigned base, bool upper, bool negative)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char buf[24];
	size_t at = sizeof(buf);

	do {
		buf[--at] = digits[v % base];
		v /= base;
	} while (v != 0);
	put_field(t, s, buf + at, sizeof(buf) - at, negative);
}

static uint64_t take_unsigned(const struct spec *s, va_list *args)
{
	return s->longs > 0 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
}

static int64_t take_signed(const struct spec *s, va_list *args)
{
	return s->longs > 0 ? va_arg(*args, long) : va_arg(*args, int);
}

/* Digits, or `*`: an argument. */
static const char *parse_count(const char *f, size_t *count, va_list *args)
{
	if (*f == '*') {
		*count = (size_t)va_arg(*args, int);
		return f + 1;
	}
	for (*count = 0; *f >= '0' && *f <= '9'; f++) {
		*count = *count * 10 + (size_t)(*f - '0');
	}
	return f;
}

static const char *parse_spec(const char *f, struct spec *s, va_list *args)
{
	*s = (struct spec){ .precision = SIZE_MAX };
	for (;; f++) {
		if (*f == '-') {
			s->left = true;
		} else if (*f == '0') {
			s->zero = true;
		} else {
			break;
		}
	}
	f = parse_count(f, &s->width, args);
	if (*f == '.') {
		f = parse_count(f + 1, &s->precision, args);
	}
	for (; *f == 'l' || *f == 'z'; f++) {
		s->longs++;
	}
	return f;
}

static void put_string(struct text *t, struct spec *s, const char *str)
{
	size_t len = 0;

	if (str == NULL) {
		str = "(none)";
	}
	while (len < s->precision && str[len] != '\0') {
		len++;
	}
	s->zero = false;
	put_field(t, s, str, len, false);
}

static void put_signed(struct text *t, const struct spec *s, int64_t v)
{
	put_number(t, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, false, v < 0);
}

static void put_one(struct text *t, char conversion, struct spec *s, va_list *args)
{
	char c;

	switch (conversion) {
	case 's':
		put_string(t, s, va_arg(*args, const char *));
		break;
	case 'c':
		c = (char)va_arg(*args, int);
		put_field(t, s, &c, 1, false);
		break;
	case 'd':
	case 'i':
		put_signed(t, s, take_signed(s, args));
		break;
	case 'u':
		put_number(t, s, take_unsigned(s, args), 10, false, false);
		break;
	case 'x':
	case 'X':
		put_number(t, s, take_unsigned(s, args), 16, conversion == 'X', false);
		break;
	case 'p':
		text_puts(t, "0x");
		put_number(t, s, (uintptr_t)va_arg(*args, void *), 16, false, false);
		break;
	default:
		text_putc(t, conversion);
		break;
	}
}

void text_vprintf(struct text *t, const char *fmt, va_list args)
{
	va_list copy;
	struct spec s;

	va_copy(copy, args);
	for (const char *f = fmt; *f != '\0'; f++) {
		if (*f != '%') {
			text_putc(t, *f);
			continue;
		}
		f = parse_spec(f + 1, &s, &copy);
		if (*f == '\0') {
			break;
		}
		put_one(t, *f, &s, &copy);
	}
	va_end(copy);
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text_vprintf(t, fmt, args);
	va_end(args);
}

void text_bytes(struct text *t, unsigned long bytes)
{
	static const char units[] = { 'K', 'M', 'G', 'T' };
	unsigned long unit = 1;
	unsigned i = 0;

	if (bytes < KIB) {
		text_printf(t, "%luB", bytes);
		return;
	}
	for (unit = KIB; i + 1 < sizeof(units) && bytes / unit >= 1024; i++) {
		unit *= 1024;
	}
	if (bytes % unit == 0) {
		text_printf(t, "%lu%c", bytes / unit, units[i]);
	} else {
		text_printf(t, "%lu.%lu%c", bytes / unit, bytes % unit * 10 / unit, units[i]);
	}
}

struct text_words text_of_bytes(unsigned long bytes)
{
	struct text_words words;
	struct text t = text_make(words.s, sizeof(words.s));

	text_bytes(&t, bytes);
	return words;
}

void text_ns(struct text *t, unsigned long ns)
{
	static const struct { unsigned long size; const char *name; } units[] = {
		{ NS_PER_S, "s" }, { NS_PER_MS, "ms" }, { NS_PER_US, "us" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
		if (ns < units[i].size) {
			continue;
		}
		if (ns % units[i].size == 0) {
			text_printf(t, "%lu%s", ns / units[i].size, units[i].name);
		} else {
			text_printf(t, "%lu.%03lu%s", ns / units[i].size, ns % units[i].size / (units[i].size / 1000),
				    units[i].name);
		}
		return;
	}
	text_printf(t, "%luns", ns);
}
