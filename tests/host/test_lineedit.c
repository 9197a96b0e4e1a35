/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/lineedit: keys, history, drawing on a modelled terminal row. */
#include "tests/host/test.h"

#include <stdio.h>

#include "kernel/lineedit.h"

#define WIDTH 80

/* A terminal of one row of code points; wrapping off the right edge is a failure. */
static struct term {
	char cell[WIDTH][5];
	unsigned at, bells, rows, escapes;
	char log[200000];
	size_t log_len;
} term;

static struct lineedit edit;

static void term_clear_from(unsigned at)
{
	for (; at < WIDTH; at++) {
		strcpy(term.cell[at], "");
	}
}

static size_t term_escape(const char *s, size_t len)
{
	unsigned n = 0;
	size_t i = 2;

	term.escapes++;
	CHECK(len >= 3 && s[1] == '[');
	for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
		n = n * 10 + (unsigned)(s[i] - '0');
	}
	CHECK(i < len);
	if (s[i] == 'K') {
		term_clear_from(term.at);
	} else if (s[i] == 'C') {
		term.at += n;
	} else if (s[i] == 'J') {
		term_clear_from(0);
	} else {
		CHECK(s[i] == 'H');
		term.at = 0;
	}
	return i + 1;
}

static size_t term_char(const char *s, size_t len)
{
	size_t n = 1;

	while (n < len && ((uint8_t)s[n] & 0xc0) == 0x80) {
		n++;
	}
	CHECK(n <= 4);
	CHECK(term.at < WIDTH - 1);
	memcpy(term.cell[term.at], s, n);
	term.cell[term.at++][n] = '\0';
	return n;
}

static void term_out(void *ctx, const char *s, size_t len)
{
	if (term.log_len + len < sizeof(term.log)) {
		memcpy(term.log + term.log_len, s, len);
		term.log_len += len;
		term.log[term.log_len] = '\0';
	}
	while (len > 0) {
		size_t n = 1;

		switch (*s) {
		case '\r': term.at = 0; break;
		case '\n': term.at = 0; term.rows++; term_clear_from(0); break;
		case '\a': term.bells++; break;
		case '\b': CHECK(term.at > 0); term.at--; break;
		case 0x1b: n = term_escape(s, len); break;
		default: n = term_char(s, len); break;
		}
		s += n;
		len -= n;
	}
}

static unsigned completions;

static void complete(void *ctx, struct lineedit *e)
{
	completions++;
	lineedit_insert(e, "pool ", 5);
}

static const struct lineedit_ops ops = { .out = term_out, .complete = complete };

static void fresh(void)
{
	memset(&term, 0, sizeof(term));
	lineedit_init(&edit, &ops, NULL, "tarn> ");
	lineedit_begin(&edit);
	lineedit_draw(&edit);
}

static enum lineedit_result feed_n(const char *s, size_t len)
{
	enum lineedit_result r = LINEEDIT_MORE;

	for (size_t i = 0; i < len; i++) {
		r = lineedit_feed(&edit, (uint8_t)s[i]);
		CHECK(lineedit_check(&edit));
	}
	return r;
}

static enum lineedit_result feed(const char *s)
{
	return feed_n(s, strlen(s));
}

static const char *row(void)
{
	static char out[WIDTH * 5];

	out[0] = '\0';
	for (unsigned i = 0; i < WIDTH && term.cell[i][0] != '\0'; i++) {
		strcat(out, term.cell[i]);
	}
	return out;
}

static void enter(const char *line)
{
	feed(line);
	CHECK_EQ(feed("\r"), LINEEDIT_LINE);
	CHECK_STR(edit.line, line);
	lineedit_remember(&edit, edit.line);
	lineedit_begin(&edit);
	lineedit_draw(&edit);
}

#define SHOWS(row_, column) \
	do { \
		CHECK_STR(row(), row_); \
		CHECK_EQ(term.at, column); \
	} while (0)

TEST(types, "typed characters appear and make a line")
{
	fresh();
	feed("pool l\xc3\xa9st");
	SHOWS("tarn> pool l\xc3\xa9st", 15);
	CHECK_EQ(feed("\r"), LINEEDIT_LINE);
	CHECK_STR(edit.line, "pool l\xc3\xa9st");
	lineedit_begin(&edit);
	CHECK_EQ(feed("\n"), LINEEDIT_MORE);
	CHECK_EQ(feed("\n"), LINEEDIT_LINE);
}

TEST(moves, "keys move and delete whole characters")
{
	fresh();
	feed("ab\xe2\x82\xac" "d");
	feed("\033[D\033[D");
	SHOWS("tarn> ab\xe2\x82\xac" "d", 8);
	feed("\033[3~");
	SHOWS("tarn> abd", 8);
	feed("\001X\005Y");
	SHOWS("tarn> XabdY", 11);
	feed("\002\002\x7f\006\010");
	SHOWS("tarn> XaY", 8);
	feed("\033OH\033[F\033[1~\033[4~\033[H\004");
	SHOWS("tarn> aY", 6);
	feed("\033[C\013");
	SHOWS("tarn> a", 7);
	CHECK_EQ(term.bells, 0);
	feed("\004\033[C");
	SHOWS("tarn> a", 7);
}

TEST(kills, "Ctrl-W takes a word, Ctrl-U all before the cursor, Ctrl-C the line")
{
	fresh();
	feed("vm  start web  \027");
	SHOWS("tarn> vm  start ", 16);
	feed("\027");
	SHOWS("tarn> vm  ", 10);
	feed("abc\002\025");
	SHOWS("tarn> c", 6);
	CHECK_EQ(feed("\003"), LINEEDIT_MORE);
	SHOWS("tarn> ", 6);
	CHECK_EQ(term.rows, 1);
	CHECK_EQ(edit.len, 0);
	feed("xy\014");
	SHOWS("tarn> xy", 8);
}

TEST(history, "up and down walk the history and come back to the line begun")
{
	fresh();
	enter("one");
	enter("two");
	enter("two");
	enter("three");
	feed("dra\033[A");
	SHOWS("tarn> three", 11);
	feed("\033[A\033[A");
	SHOWS("tarn> one", 9);
	feed("\033[A");
	CHECK_EQ(term.bells, 1);
	feed("\033[B\033[B\033[B");
	SHOWS("tarn> dra", 9);
	feed("\020\020!");
	CHECK_EQ(feed("\r"), LINEEDIT_LINE);
	CHECK_STR(edit.line, "two!");
}

TEST(history_full, "the history keeps the newest 32 lines")
{
	char line[16];

	fresh();
	for (unsigned i = 0; i < 50; i++) {
		snprintf(line, sizeof(line), "line %u", i);
		enter(line);
	}
	for (unsigned i = 0; i < 40; i++) {
		feed("\033[A");
	}
	SHOWS("tarn> line 18", 13);
	CHECK_EQ(term.bells, 8);
}

TEST(full, "a full line rings, stays as it is, and is marked")
{
	fresh();
	for (unsigned i = 0; i < LINEEDIT_MAX; i++) {
		feed("x");
	}
	CHECK_EQ(term.bells, 0);
	CHECK(!edit.overflow);
	feed("y");
	CHECK_EQ(term.bells, 1);
	CHECK_EQ(edit.len, LINEEDIT_MAX);
	CHECK(edit.overflow);
	feed("\010");
	CHECK(!edit.overflow);
}

TEST(scrolls, "a long line scrolls on its row and shows the cursor")
{
	fresh();
	for (unsigned i = 0; i < 200; i++) {
		char c[2] = { (char)('a' + i % 26), 0 };

		feed(c);
	}
	CHECK_EQ(strlen(row()), 79);
	CHECK_EQ(term.at, 79);
	feed("\001");
	CHECK_EQ(term.at, 6);
	CHECK(strncmp(row(), "tarn> abcdef", 12) == 0);
	feed("\005");
	for (unsigned i = 0; i < 80; i++) {
		feed("\002");
		CHECK(term.at > 6);
	}
	CHECK_EQ(term.rows, 0);
}

TEST(tab, "Tab asks for completion")
{
	fresh();
	completions = 0;
	feed("\t");
	CHECK_EQ(completions, 1);
	SHOWS("tarn> pool ", 11);
}

TEST(plain, "plain mode edits without any escape sequence")
{
	fresh();
	edit.plain = true;
	memset(&term, 0, sizeof(term));
	lineedit_begin(&edit);
	lineedit_draw(&edit);
	completions = 0;
	feed("pool\tlis\033[D\033[A\001\xc3\xa9\010tx\010 a b\027c\025mem\003log");
	CHECK_EQ(completions, 0);
	CHECK_EQ(term.escapes, 0);
	CHECK_EQ(term.bells, 0);
	SHOWS("tarn> log", 9);
	CHECK_EQ(feed("\n"), LINEEDIT_LINE);
	CHECK_STR(edit.line, "log");
}

TEST(odd_bytes, "what is not UTF-8 never enters the line")
{
	fresh();
	feed("a\xff\xc3" "b\xe2\x82" "c\xc0\x80\xed\xa0\x80\xc2\x9b" "d\x80");
	SHOWS("tarn> abcd", 10);
	feed_n("\0e", 2);
	SHOWS("tarn> abcde", 11);
}

TEST(paste, "a paste of 10 KB comes out line by line, nothing lost")
{
	struct test_rng rng = { 11 };
	unsigned bytes = 0;

	fresh();
	while (bytes < 10240) {
		char line[120];
		size_t len = test_rand_below(&rng, sizeof(line) - 1);

		for (size_t i = 0; i < len; i++) {
			line[i] = (char)(' ' + test_rand_below(&rng, 95));
		}
		line[len] = '\0';
		enter(line);
		bytes += (unsigned)len + 1;
	}
}

/* Draws anew and checks that the row did not change: what the fast paths drew was right. */
static void check_row(void)
{
	char was[WIDTH * 5];
	unsigned at = term.at;

	strcpy(was, row());
	lineedit_draw(&edit);
	CHECK_STR(row(), was);
	CHECK_EQ(term.at, at);
}

TEST(fuzz, "random keys keep the line within bounds and the row true")
{
	static const char *const keys[] = {
		"\001", "\002", "\003", "\004", "\005", "\006", "\010", "\013", "\014", "\020", "\016", "\025", "\027",
		"\177", "\033[A", "\033[B", "\033[C", "\033[D", "\033[H", "\033[F", "\033[3~", "\033[1;5C", "\t", " ",
		"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x9f", "\033", "[", "O", "\r",
	};
	struct test_rng rng = { 5 };

	fresh();
	for (unsigned i = 0; i < 25000; i++) {
		uint64_t kind = test_rand_below(&rng, 8);
		char any[2] = { (char)test_rand(&rng), 0 };
		const char *key = kind == 0 ? any : kind < 4 ? keys[test_rand_below(&rng, sizeof(keys) / sizeof(keys[0]))] :
				  "some text with words";

		if (feed(key) == LINEEDIT_LINE) {
			lineedit_remember(&edit, edit.line);
			lineedit_begin(&edit);
			lineedit_draw(&edit);
		}
		if (i % 16 == 0) {
			check_row();
		}
		term.log_len = 0;
	}
}

TEST(fuzz_plain, "random bytes in plain mode never bring an escape sequence out")
{
	struct test_rng rng = { 6 };

	fresh();
	edit.plain = true;
	for (unsigned i = 0; i < 20000; i++) {
		char any[2] = { (char)test_rand(&rng), 0 };

		/* Long plain lines wrap on a real terminal; this one has one row. */
		if (edit.len > 60) {
			any[0] = '\025';
		}
		if (feed_n(any, 1) == LINEEDIT_LINE) {
			lineedit_remember(&edit, edit.line);
			lineedit_begin(&edit);
			lineedit_draw(&edit);
		}
	}
	CHECK(strchr(term.log, 0x1b) != NULL);	/* the prompt of fresh(), drawn before plain */
	CHECK_EQ(term.escapes, 1);
}
