/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text to values: numbers, sizes, times, yes and no, words. Each takes the whole text or nothing: blanks, signs where
 * none belongs and trailing characters are ERR_FORMAT, what does not fit is ERR_RANGE; *value is written only
 * on ERR_OK.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/err.h"

/* What a person should have typed, for messages: "expected " PARSE_TIME_FORM. */
#define PARSE_NUMBER_FORM	"a number"
#define PARSE_SIZE_FORM		"a size such as 128M (K, M, G, T)"
#define PARSE_TIME_FORM		"a time with its unit such as 10ms (us, ms, s)"
#define PARSE_BOOL_FORM		"yes or no"

/*
 * The number at *at, decimal or 0x hexadecimal; *at moves behind it. For grammars that have numbers inside.
 * On error *at stays.
 */
enum err parse_prefix(const char **at, uint64_t *value);

enum err parse_u64(const char *text, uint64_t *value);
/* A number of bytes, or with K, M, G, T (either case) behind it, powers of 1024. */
enum err parse_size(const char *text, uint64_t *bytes);
/*
 * A number with ns, us, ms or s, with at most three decimals (1.5ms: what text_ns() prints can be read back).
 * A bare number would leave the unit to guesswork: only 0 needs none.
 */
enum err parse_time(const char *text, uint64_t *ns);
/* yes, on, true; no, off, false. */
enum err parse_bool(const char *text, bool *value);
/* The place of text in words, which ends in NULL; ERR_NOENT when it is none of them. */
enum err parse_word(const char *text, const char *const *words, unsigned *index);
