/* SPDX-License-Identifier: BSD-2-Clause */
/* Text to values, strict about the end of the text and about overflow. */
#include "kernel/lib/parse.h"

#include <stddef.h>

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9') {
		return (unsigned)(c - '0');
	}
	if (c >= 'a' && c <= 'f') {
		return (unsigned)(c - 'a') + 10;
	}
	if (c >= 'A' && c <= 'F') {
		return (unsigned)(c - 'A') + 10;
	}
	return UINT32_MAX;
}

enum err parse_prefix(const char **at, uint64_t *value)
{
	const char *s = *at;
	unsigned base = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10;
	uint64_t v = 0;

	if (base == 16) {
		s += 2;
	}
	if (digit_value(*s) >= base) {
		return ERR_FORMAT;
	}
	for (; digit_value(*s) < base; s++) {
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit_value(*s), &v)) {
			return ERR_RANGE;
		}
	}
	*at = s;
	*value = v;
	return ERR_OK;
}

enum err parse_u64(const char *text, uint64_t *value)
{
	uint64_t v;
	enum err e = parse_prefix(&text, &v);

	if (e != ERR_OK) {
		return e;
	}
	if (*text != '\0') {
		return ERR_FORMAT;
	}
	*value = v;
	return ERR_OK;
}

enum err parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	uint64_t v;
	unsigned shift = 0;
	enum err e = parse_prefix(&text, &v);

	if (e != ERR_OK) {
		return e;
	}
	for (unsigned i = 0; units[i] != '\0'; i++) {
		if (*text == units[i] || *text == units[i] + ('a' - 'A')) {
			shift = 10 * (i + 1);
			text++;
			break;
		}
	}
	if (*text != '\0') {
		return ERR_FORMAT;
	}
	if (v > UINT64_MAX >> shift) {
		return ERR_RANGE;
	}
	*bytes = v << shift;
	return ERR_OK;
}

/* The digits behind a decimal point, as thousandths. */
static enum err parse_thousandths(const char **at, uint64_t *value)
{
	uint64_t v = 0, place = 100;
	const char *s = *at;

	for (; *s >= '0' && *s <= '9' && place > 0; s++, place /= 10) {
		v += place * (uint64_t)(*s - '0');
	}
	if (s == *at) {
		return ERR_FORMAT;
	}
	*at = s;
	*value = v;
	return ERR_OK;
}

static enum err parse_time_unit(const char *text, uint64_t *ns)
{
	static const struct { const char *name; uint64_t ns; } units[] = {
		{ "ns", 1 }, { "us", NS_PER_US }, { "ms", NS_PER_MS }, { "s", NS_PER_S },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
		if (str_eq(text, units[i].name)) {
			*ns = units[i].ns;
			return ERR_OK;
		}
	}
	return ERR_FORMAT;
}

enum err parse_time(const char *text, uint64_t *ns)
{
	uint64_t whole, part = 0, unit, v;
	enum err e;

	if (str_eq(text, "0")) {
		*ns = 0;
		return ERR_OK;
	}
	e = parse_prefix(&text, &whole);
	if (e == ERR_OK && *text == '.') {
		text++;
		e = parse_thousandths(&text, &part);
	}
	if (e == ERR_OK) {
		e = parse_time_unit(text, &unit);
	}
	if (e != ERR_OK) {
		return e;
	}
	if (part * unit % 1000 != 0) {
		return ERR_FORMAT;	/* part of a nanosecond */
	}
	if (__builtin_mul_overflow(whole, unit, &v) || __builtin_add_overflow(v, part * unit / 1000, &v)) {
		return ERR_RANGE;
	}
	*ns = v;
	return ERR_OK;
}

enum err parse_bool(const char *text, bool *value)
{
	/* Even places are true, odd ones false. */
	static const char *const words[] = { "yes", "no", "on", "off", "true", "false", NULL };
	unsigned i;

	if (parse_word(text, words, &i) != ERR_OK) {
		return ERR_FORMAT;
	}
	*value = i % 2 == 0;
	return ERR_OK;
}

enum err parse_word(const char *text, const char *const *words, unsigned *index)
{
	for (unsigned i = 0; words[i] != NULL; i++) {
		if (str_eq(text, words[i])) {
			*index = i;
			return ERR_OK;
		}
	}
	return ERR_NOENT;
}
