/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line editor: typed bytes go in, bytes for the terminal come out of a callback, now and then a line is complete.
 * Nothing here knows a device. The line stands on one row of the terminal and scrolls sideways when it is longer.
 *
 * Keys: Backspace/DEL, Delete, arrows, Home/End, Ctrl-A/E/B/F (move), Ctrl-K/U/W (delete to end, to start, a word),
 * Ctrl-L (clear the screen), Ctrl-C (give the line up), Ctrl-D (delete forward), up/down or Ctrl-P/N (history), Tab.
 * Plain mode knows characters, Backspace, Ctrl-U/W/C and Enter, a Tab is a blank, and no escape sequence comes out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEEDIT_MAX		512u	/* bytes of a line */
#define LINEEDIT_HISTORY	32u

struct lineedit;

struct lineedit_ops {
	/* Bytes for the terminal; "\n" means the start of the next row. */
	void (*out)(void *ctx, const char *bytes, size_t len);
	/* Tab was typed: look at line[0..cursor), perhaps call lineedit_insert(). May be NULL. */
	void (*complete)(void *ctx, struct lineedit *e);
};

enum lineedit_result {
	LINEEDIT_MORE,
	LINEEDIT_LINE,		/* e->line holds it; call lineedit_begin() for the next */
};

enum lineedit_key { LINEEDIT_GROUND, LINEEDIT_ESC, LINEEDIT_CSI, LINEEDIT_SS3 };

struct lineedit {
	const struct lineedit_ops *ops;
	void *ctx;
	const char *prompt;
	bool plain;
	unsigned width;			/* columns of the terminal */
	/* The line: always terminated, cursor on a character's first byte. */
	char line[LINEEDIT_MAX + 1];
	size_t len, cursor;
	bool overflow;			/* bytes were refused: the line is not what was typed */
	size_t first;			/* first byte shown */
	/* Input half way through. */
	enum lineedit_key key;
	unsigned key_number;		/* of ESC [ NUMBER ~ */
	uint8_t utf8[4];
	unsigned utf8_len;
	bool after_cr;			/* a LF now belongs to the CR before it */
	/* History: a ring, `history_count` used, the newest before history_next. */
	char history[LINEEDIT_HISTORY][LINEEDIT_MAX + 1];
	unsigned history_count, history_next;
	unsigned back;			/* how far up we are; 0: the line itself */
	char kept[LINEEDIT_MAX + 1];	/* the line itself, while back > 0 */
};

/* prompt must live on, and be of one-column characters. */
void lineedit_init(struct lineedit *e, const struct lineedit_ops *ops, void *ctx, const char *prompt);
/* Empties the line; draws nothing. */
void lineedit_begin(struct lineedit *e);
/* Draws prompt and line, from wherever on the row the cursor is. */
void lineedit_draw(struct lineedit *e);
enum lineedit_result lineedit_feed(struct lineedit *e, uint8_t byte);
/* Inserts at the cursor (bell when full: nothing is inserted) and draws. */
void lineedit_insert(struct lineedit *e, const char *bytes, size_t len);
/* Remembers a line, unless it is empty or the same as the newest. */
void lineedit_remember(struct lineedit *e, const char *line);
/* Do all of the above promises about the fields hold? */
bool lineedit_check(const struct lineedit *e);
