/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's mem* and str* for freestanding code; the host tools use their own libc's instead. */
#include "kernel/lib/string.h"

#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	for (; n >= 8; n -= 8, t += 8, f += 8) {
		uint64_t word;

		__builtin_memcpy(&word, f, 8);
		__builtin_memcpy(t, &word, 8);
	}
	for (; n > 0; n--) {
		*t++ = *f++;
	}
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if (t <= f || t >= f + n) {
		for (size_t i = 0; i < n; i++) {
			t[i] = f[i];
		}
	} else {
		for (size_t i = n; i > 0; i--) {
			t[i - 1] = f[i - 1];
		}
	}
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	uint8_t *t = to;
	uint64_t word = 0x0101010101010101ul * (uint8_t)byte;

	for (; n >= 8; n -= 8, t += 8) {
		__builtin_memcpy(t, &word, 8);
	}
	for (; n > 0; n--) {
		*t++ = (uint8_t)byte;
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a;
	const uint8_t *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i]) {
			return x[i] < y[i] ? -1 : 1;
		}
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0') {
		n++;
	}
	return n;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i] != b[i]) {
			return (uint8_t)a[i] < (uint8_t)b[i] ? -1 : 1;
		}
		if (a[i] == '\0') {
			return 0;
		}
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c) {
			return (char *)(uintptr_t)s;
		}
		if (*s == '\0') {
			return NULL;
		}
	}
}
