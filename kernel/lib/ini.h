/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lines of an INI text: `[kind name]` and `key = value`, one at a time, without memory of its own, so that the
 * loader can use it as well as the kernel. Knows nothing of which sections and keys there are.
 *
 *   - LF or CRLF ends a line; a UTF-8 byte order mark at the start is passed over.
 *   - `#` or `;` starts a comment at the start of a line or after a blank, but not between quotes.
 *   - A value that starts with `"` is what stands between that and the next `"`. Quotes further inside a value belong
 *     to it and keep blanks and comment signs between them: dyndbg="file a.c +p" # this is a comment.
 *   - A line has at most INI_LINE_MAX bytes and no control characters but tabs.
 * Columns count characters, not bytes, from 1. Nothing outside [text, text + size) is read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define INI_LINE_MAX	1024u

#define INI_FAULTS(X) \
	X(CONTROL,	"found a control character, expected text") \
	X(LONG,		"found a line of more than 1024 bytes, expected a shorter one") \
	X(OPEN,		"found no \"]\", expected [SECTION] or [SECTION NAME]") \
	X(HEAD,		"expected one or two words between [ and ]") \
	X(BEHIND,	"expected the end of the line after \"]\"") \
	X(EQUALS,	"expected KEY = VALUE or [SECTION]") \
	X(KEY,		"expected a key of letters, digits, - and _ before \"=\"") \
	X(QUOTE,	"found a quote without its end, expected a second \"") \
	X(TAIL,		"expected the end of the line after the closing quote")

enum ini_fault {
#define INI_FAULT_ENUM(name, words) INI_##name,
	INI_FAULTS(INI_FAULT_ENUM)
#undef INI_FAULT_ENUM
};

enum ini_kind { INI_SECTION, INI_ENTRY, INI_BAD };

struct ini_span {
	const char *at;		/* into the text, not terminated */
	size_t len;
	unsigned column;
};

struct ini_line {
	enum ini_kind kind;
	unsigned number;	/* from 1 */
	struct ini_span head;	/* the section's kind, or the key; of a bad line what was found, maybe empty */
	struct ini_span body;	/* the section's name, empty where it has none, or the value without its quotes */
	enum ini_fault fault;	/* of a bad line */
	bool opens;		/* starts with "[": a bad one ends the section above all the same */
};

struct ini {
	const char *text;
	size_t size, at;
	unsigned line;
};

struct ini ini_make(const char *text, size_t size);
/* The next line that is not blank or comment; false at the end. A bad line does not hide the ones after it. */
bool ini_next(struct ini *ini, struct ini_line *line);
/* What is wrong with a bad line, as `expected ...` or `found ..., expected ...`. */
const char *ini_fault_words(enum ini_fault fault);

bool ini_span_is(const struct ini_span *span, const char *word);
