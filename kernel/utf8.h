/* SPDX-License-Identifier: BSD-2-Clause */
/* Well-formed UTF-8, after table 3-7 of the Unicode standard. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Bytes of the sequence that lead begins; 0 when no sequence begins so. */
static inline unsigned utf8_expected(uint8_t lead)
{
	if (lead < 0x80) {
		return 1;
	}
	if (lead < 0xc2 || lead > 0xf4) {
		return 0;
	}
	return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Bytes of the well-formed sequence at s; 0 when the n bytes there begin with none. */
static inline unsigned utf8_length(const uint8_t *s, size_t n)
{
	unsigned length = n > 0 ? utf8_expected(s[0]) : 0;

	if (length == 0 || length > n) {
		return 0;
	}
	for (unsigned i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	/* Second bytes that would be overlong, a surrogate or beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
		return 0;
	}
	return length;
}
