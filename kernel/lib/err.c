/* SPDX-License-Identifier: BSD-2-Clause */
/* The words behind enum err. */
#include "kernel/lib/err.h"

const char *err_words(enum err e)
{
	static const char *const words[] = {
#define ERR_WORDS(name, text) [ERR_##name] = (text),
		ERR_TABLE(ERR_WORDS)
#undef ERR_WORDS
	};

	if ((unsigned)e >= sizeof(words) / sizeof(words[0])) {
		return "unknown error";
	}
	return words[e];
}
