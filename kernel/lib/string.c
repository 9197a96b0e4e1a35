/* SPDX-License-Identifier: BSD-2-Clause */
/* Copying, i.e. string library. Built with -fno-tree-loop-distribute-patterns so that no loop calls itself. */
#include "kernel/lib/string.h"

#include <stdint.h>

bool str_copy(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i] != '\0'; i++) {
		to[i] = from[i];
	}
	to[i] = '\0';
	return from[i] == '\0';
}

bool str_is_name(const char *s, size_t length, const char *also)
{
	for (size_t i = 0; i < length; i++) {
		if (!is_alnum(s[i]) && (s[i] == '\0' || strchr(also, s[i]) == NULL)) {
			return false;
		}
	}
	return true;
}
