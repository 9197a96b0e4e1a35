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
