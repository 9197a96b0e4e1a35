/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text on a linear framebuffer of 32 bits a pixel. Bytes change cells in memory; pixels are only
 * ever written, and only for cells that differ from what stands there, when textscreen_draw() is
 * called: framebuffer memory is slow, and reading it slower.
 *
 * Understood: printable ASCII, CR, LF, BS, TAB; CSI A B C D H J K; other sequences are swallowed, a
 * character of UTF-8 shows as "?".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXTSCREEN_COLS_MAX	170u
#define TEXTSCREEN_ROWS_MAX	128u

enum textscreen_state { TEXTSCREEN_GROUND, TEXTSCREEN_ESC, TEXTSCREEN_SKIP_ONE, TEXTSCREEN_CSI };

struct textscreen {
	unsigned scale;				/* pixels for one of the font's, both ways */
	unsigned cols, rows;			/* 0: no screen */
	volatile uint32_t *pixels;		/* device memory; NULL: not yet */
	unsigned stride;			/* pixels a line */
	unsigned row, col;	/* of the cursor; col == cols: the next character begins a row */
	unsigned top;		/* line of `cell` that is row 0: scrolling moves this */
	enum textscreen_state state;
	unsigned arg[2], args;			/* of a CSI */
	unsigned next_row;			/* where textscreen_draw() goes on */
	bool dirty[TEXTSCREEN_ROWS_MAX];	/* rows that may differ from what is drawn */
	uint8_t cell[TEXTSCREEN_ROWS_MAX][TEXTSCREEN_COLS_MAX];		/* wanted */
	uint8_t drawn[TEXTSCREEN_ROWS_MAX][TEXTSCREEN_COLS_MAX];	/* there; 0: unknown */
};

/* An empty screen of so many pixels; a smaller than one cell has none. */
void textscreen_init(struct textscreen *s, unsigned width, unsigned height);
void textscreen_put(struct textscreen *s, uint8_t byte);
/* From now on there are pixels to draw on; all that lies outside the cells is left as it is. */
void textscreen_set_pixels(struct textscreen *s, volatile uint32_t *pixels, unsigned stride);
/* Draws at most so many cells. True while some are left. */
bool textscreen_draw(struct textscreen *s, unsigned cells);
