/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory and string functions that freestanding code needs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Equal strings? */
static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Are all of its length characters letters, digits or one of also? */
bool str_is_name(const char *s, size_t length, const char *also);

/* Copies with truncation; to is always terminated (size >= 1). False when it did not fit. */
bool str_copy(char *to, size_t size, const char *from);
