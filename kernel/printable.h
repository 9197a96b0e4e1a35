/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text from outside (guests, tables, manifests) made harmless for the administrator's terminal, byte by byte: escape
 * sequences, CR and NUL are left out; other control characters but tab, the C1 ones, and what is not UTF-8 become '.'.
 * The result is never longer than the source, so it may be written over it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct printable {
	const uint8_t *from;
	size_t len, at;
	unsigned pass;		/* bytes left of a checked sequence */
};

struct printable printable_make(const void *from, size_t len);
/* The next byte, or -1 at the end. */
int printable_next(struct printable *p);
