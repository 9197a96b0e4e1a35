/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON (RFC 8259) as commands print it. */
#include "kernel/json.h"

#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/utf8.h"

/* One character; returns its bytes. What is not UTF-8 becomes U+FFFD, so that every reader takes the whole. */
static unsigned put_char(const uint8_t *s, size_t left)
{
	unsigned length = utf8_length(s, left);

	if (length == 0) {
		con_printf("\\ufffd");
		return 1;
	}
	if (s[0] == '"' || s[0] == '\\') {
		con_printf("\\%c", s[0]);
	} else if (s[0] < 0x20 || s[0] == 0x7f) {
		con_printf("\\u%04x", (unsigned)s[0]);
	} else {
		con_write((const char *)s, length);
	}
	return length;
}

static void put_string(const char *s)
{
	size_t left = strlen(s);

	con_write("\"", 1);
	while (left > 0) {
		unsigned length = put_char((const uint8_t *)s, left);

		s += length;
		left -= length;
	}
	con_write("\"", 1);
}

/* What stands before a value: comma, the outermost elements' line ends, key. */
static void put_lead(struct json *j, const char *key)
{
	if (j->filled[j->depth]) {
		con_write(",", 1);
	}
	if (j->depth == 1) {
		con_write("\n", 1);
	}
	j->filled[j->depth] = true;
	if (key != NULL) {
		put_string(key);
		con_write(":", 1);
	}
}

static void open(struct json *j, const char *key, const char *bracket, char close)
{
	put_lead(j, key);
	con_write(bracket, 1);
	/* Deeper than any list goes: a programming error, kept from writing outside. */
	ASSERT(j->depth + 1 < JSON_DEPTH_MAX);
	j->depth++;
	j->filled[j->depth] = false;
	j->close[j->depth] = close;
}

void json_begin(struct json *j)
{
	*j = (struct json){ 0 };
	open(j, NULL, "[", ']');
}

void json_begin_object(struct json *j)
{
	*j = (struct json){ 0 };
	open(j, NULL, "{", '}');
}

void json_object(struct json *j, const char *key)
{
	open(j, key, "{", '}');
}

void json_array(struct json *j, const char *key)
{
	open(j, key, "[", ']');
}

void json_end(struct json *j)
{
	ASSERT(j->depth > 0);
	if (j->depth == 1) {
		con_write("\n", 1);
	}
	con_write(&j->close[j->depth], 1);
	j->depth--;
	if (j->depth == 0) {
		con_write("\n", 1);
	}
}

void json_finish(struct json *j)
{
	while (j->depth > 0) {
		json_end(j);
	}
}

void json_string(struct json *j, const char *key, const char *value)
{
	put_lead(j, key);
	if (value == NULL) {
		con_write("null", 4);
	} else {
		put_string(value);
	}
}

void json_uint(struct json *j, const char *key, uint64_t value)
{
	put_lead(j, key);
	con_printf("%lu", value);
}

void json_int(struct json *j, const char *key, int64_t value)
{
	put_lead(j, key);
	con_printf("%ld", value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	put_lead(j, key);
	con_printf("%s", value ? "true" : "false");
}
