/* SPDX-License-Identifier: BSD-2-Clause */
/* Cuts an INI text into section and entry lines. */
#include "kernel/lib/ini.h"

#include "kernel/lib/string.h"

/* One line without its end, and what the message needs to say where in it something is. */
struct cutting {
	const char *start, *end;
	struct ini_line *out;
};

const char *ini_fault_words(enum ini_fault fault)
{
	static const char *const words[] = {
#define INI_FAULT_WORDS(name, text) [INI_##name] = (text),
		INI_FAULTS(INI_FAULT_WORDS)
#undef INI_FAULT_WORDS
	};

	return words[fault];
}

bool ini_span_is(const struct ini_span *span, const char *word)
{
	return strlen(word) == span->len && memcmp(span->at, word, span->len) == 0;
}

/* UTF-8 continuation bytes (10xxxxxx) are no characters of their own. */
static unsigned column_of(const char *start, const char *at)
{
	unsigned column = 1;

	for (; start < at; start++) {
		column += ((unsigned char)*start & 0xc0) != 0x80;
	}
	return column;
}

static struct ini_span span_make(const struct cutting *c, const char *from, const char *to)
{
	while (to > from && is_blank(to[-1])) {
		to--;
	}
	return (struct ini_span){ .at = from, .len = (size_t)(to - from), .column = column_of(c->start, from) };
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && is_blank(*at)) {
		at++;
	}
	return at;
}

static bool bad(struct cutting *c, enum ini_fault fault, const char *from, const char *to)
{
	c->out->kind = INI_BAD;
	c->out->fault = fault;
	c->out->head = span_make(c, from, to);
	c->out->body = span_make(c, to, to);
	return true;
}

/* Moves c->end to where the comment starts. NULL, or the quote that has no end. */
static const char *cut_comment(struct cutting *c)
{
	const char *quote = NULL;

	for (const char *s = c->start; s < c->end; s++) {
		bool starts = s == c->start || is_blank(s[-1]);

		if (*s == '"') {
			quote = quote == NULL ? s : NULL;
		} else if (quote == NULL && starts && (*s == '#' || *s == ';')) {
			c->end = s;
		}
	}
	return quote;
}

static bool cut_section(struct cutting *c, const char *open)
{
	const char *at = open, *word, *last = NULL;
	struct ini_span *const parts[] = { &c->out->head, &c->out->body };

	for (const char *s = open; s < c->end && last == NULL; s++) {
		last = *s == ']' ? s : NULL;
	}
	if (last == NULL) {
		return bad(c, INI_OPEN, open, open);
	}
	at = skip_blanks(open + 1, last);
	c->out->head = c->out->body = span_make(c, at, at);
	for (unsigned i = 0; i < 2; i++) {
		for (word = at; at < last && !is_blank(*at); at++) {
		}
		*parts[i] = span_make(c, word, at);
		at = skip_blanks(at, last);
	}
	if (c->out->head.len == 0 || at < last) {
		return bad(c, INI_HEAD, open, last + 1);
	}
	at = skip_blanks(last + 1, c->end);
	if (at < c->end) {
		return bad(c, INI_BEHIND, at, c->end);
	}
	c->out->kind = INI_SECTION;
	return true;
}

static bool cut_value(struct cutting *c, const char *at)
{
	const char *close;

	c->out->kind = INI_ENTRY;
	if (at == c->end || *at != '"') {
		c->out->body = span_make(c, at, c->end);
		return true;
	}
	for (close = at + 1; *close != '"'; close++) {
		/* cut_comment() saw to it that every quote has an end */
	}
	c->out->body = (struct ini_span){ at + 1, (size_t)(close - at - 1), column_of(c->start, at + 1) };
	at = skip_blanks(close + 1, c->end);
	return at == c->end || bad(c, INI_TAIL, at, c->end);
}

static bool cut_entry(struct cutting *c, const char *at)
{
	const char *equals = at;

	while (equals < c->end && *equals != '=') {
		equals++;
	}
	if (equals == c->end) {
		return bad(c, INI_EQUALS, at, c->end);
	}
	c->out->head = span_make(c, at, equals);
	if (c->out->head.len == 0 || !str_is_name(at, c->out->head.len, "-_")) {
		return bad(c, INI_KEY, at, c->out->head.len == 0 ? equals + 1 : equals);
	}
	return cut_value(c, skip_blanks(equals + 1, c->end));
}

/* False for a blank or comment line. */
static bool cut_line(struct cutting *c)
{
	const char *at = skip_blanks(c->start, c->end), *quote;

	c->out->opens = at < c->end && *at == '[';
	if ((size_t)(c->end - c->start) > INI_LINE_MAX) {
		return bad(c, INI_LONG, c->start + INI_LINE_MAX, c->start + INI_LINE_MAX);
	}
	for (at = c->start; at < c->end; at++) {
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == '\x7f') {
			return bad(c, INI_CONTROL, at, at);
		}
	}
	quote = cut_comment(c);
	at = skip_blanks(c->start, c->end);
	if (at == c->end) {
		return false;
	}
	if (quote != NULL && quote < c->end) {
		return bad(c, INI_QUOTE, quote, quote);
	}
	return *at == '[' ? cut_section(c, at) : cut_entry(c, at);
}

struct ini ini_make(const char *text, size_t size)
{
	static const char mark[] = { '\xef', '\xbb', '\xbf' };
	struct ini ini = { .text = text, .size = size };

	if (size >= sizeof(mark) && memcmp(text, mark, sizeof(mark)) == 0) {
		ini.at = sizeof(mark);
	}
	return ini;
}

bool ini_next(struct ini *ini, struct ini_line *line)
{
	struct cutting c;
	size_t end;

	while (ini->at < ini->size) {
		for (end = ini->at; end < ini->size && ini->text[end] != '\n'; end++) {
		}
		*line = (struct ini_line){ .number = ++ini->line };
		c = (struct cutting){ ini->text + ini->at, ini->text + end, line };
		ini->at = end < ini->size ? end + 1 : end;
		if (c.end > c.start && c.end[-1] == '\r') {
			c.end--;
		}
		if (cut_line(&c)) {
			return true;
		}
	}
	return false;
}
