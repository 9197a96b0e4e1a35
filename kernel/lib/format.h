/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formatted text into a caller's buffer. `struct text` grows by appending and stays terminated; what does not fit
 * is dropped and `cut` set. Conversions: %s %c %d %i %u %x %X %p %%, with l, ll, z; flags - and 0; width; .precision for s.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
	char *buf;
	size_t size;	/* of buf, at least 1 */
	size_t len;	/* without the terminator */
	bool cut;
};

static inline struct text text_make(char *buf, size_t size)
{
	buf[0] = '\0';
	return (struct text){ .buf = buf, .size = size };
}

void text_putc(struct text *t, char c);
void text_puts(struct text *t, const char *s);
void text_vprintf(struct text *t, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A count of bytes as people write it: exact with K, M, G where it divides, else rounded down with one decimal. */
void text_bytes(struct text *t, unsigned long bytes);
/* The same as an argument for %s: text_of_bytes(n).s. */
struct text_words {
	char s[24];
};
struct text_words text_of_bytes(unsigned long bytes);
/* A duration as people write it: 10ms, 250us, 1.500s. */
void text_ns(struct text *t, unsigned long ns);
