/* SPDX-License-Identifier: BSD-2-Clause */
/* See textscreen.h. */
#include "kernel/textscreen.h"

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define GLYPH_COLS	5u
#define GLYPH_ROWS	8u
#define CELL_COLS	6u		/* one more between two */
#define CELL_ROWS	9u
#define COLS_WISH	85u
#define INK		0x00c0c0c0u	/* grey: the same in both orders of colours */
#define INVERSE		0x80u		/* of a cell: the cursor is there */

/* ' ' to '~', drawn for this: eight rows of five pixels, the top left one in bit 39. */
static const uint64_t glyphs[] = {
	0x0000000000, 0x2108420080, 0x5294000000, 0x52beafa940, 0x23e8e2f880, 0xce44444e60,
	0x64a88ac9a0, 0x2100000000,
	0x1110841040, 0x4104211100, 0x012aea9000, 0x0109f21000, 0x0000003088, 0x0001f00000,
	0x0000003180, 0x0844444200,
	0x74675cc5c0, 0x23084211c0, 0x74422223e0, 0x744260c5c0, 0x11952f8840, 0xfc3c10c5c0,
	0x3221e8c5c0, 0xf844221080,
	0x7462e8c5c0, 0x7462f08980, 0x0018c03180, 0x0018c03088, 0x1111041040, 0x003e0f8000,
	0x4104111100, 0x7442220080,
	0x746f5bc1c0, 0x7463f8c620, 0xf463e8c7c0, 0x74610845c0, 0xe4a318cb80, 0xfc21e843e0,
	0xfc21e84200, 0x746138c5e0,
	0x8c63f8c620, 0x71084211c0, 0x3884214980, 0x8ca98a4a20, 0x84210843e0, 0x8eeb58c620,
	0x8e7359ce20, 0x746318c5c0,
	0xf463e84200, 0x74631ac9a0, 0xf463ea4a20, 0x7c20e087c0, 0xf908421080, 0x8c6318c5c0,
	0x8c62a52880, 0x8c635aee20,
	0x8c54454620, 0x8c54421080, 0xf8444443e0, 0x72108421c0, 0x8410410420, 0x70842109c0,
	0x22a2000000, 0x000000001f,
	0x4100000000, 0x001c17c5e0, 0x843d18c7c0, 0x001f0841e0, 0x085f18c5e0, 0x001d1fc1c0,
	0x3211e42100, 0x001f18bc2e,
	0x843d18c620, 0x20184211c0, 0x100c210a4c, 0x84254c5240, 0x61084211c0, 0x00355ad6a0,
	0x003d18c620, 0x001d18c5c0,
	0x003d18fa10, 0x001f18bc21, 0x002d984200, 0x001f0707c0, 0x423c8424c0, 0x002318cda0,
	0x0023152880, 0x00235ad540,
	0x0022a22a20, 0x002318bc2e, 0x003e2223e0, 0x1108821040, 0x2108421080, 0x4108221100,
	0x0013590000,
};

void textscreen_init(struct textscreen *s, unsigned width, unsigned height)
{
	unsigned scale = MAX(1u, width / (CELL_COLS * COLS_WISH));

	memset(s, 0, sizeof(*s));
	s->scale = scale;
	s->cols = MIN(width / (CELL_COLS * scale), TEXTSCREEN_COLS_MAX);
	s->rows = MIN(height / (CELL_ROWS * scale), TEXTSCREEN_ROWS_MAX);
	if (s->cols == 0 || s->rows == 0) {
		s->cols = s->rows = 0;
	}
	memset(s->cell, ' ', sizeof(s->cell));
}

static uint8_t *line_of(struct textscreen *s, unsigned row)
{
	return s->cell[(s->top + row) % s->rows];
}

static void clear(struct textscreen *s, unsigned row, unsigned from, unsigned to)
{
	memset(line_of(s, row) + from, ' ', to - from);
	s->dirty[row] = true;
}

static void move(struct textscreen *s, unsigned row, unsigned col)
{
	s->dirty[s->row] = true;
	s->row = MIN(row, s->rows - 1);
	s->col = MIN(col, s->cols);
	s->dirty[s->row] = true;
}

static void line_feed(struct textscreen *s)
{
	if (s->row + 1 < s->rows) {
		move(s, s->row + 1, s->col);
		return;
	}
	s->top = (s->top + 1) % s->rows;
	clear(s, s->row, 0, s->cols);
	for (unsigned i = 0; i < s->rows; i++) {
		s->dirty[i] = true;
	}
}

static void character(struct textscreen *s, uint8_t c)
{
	if (s->col == s->cols) {
		move(s, s->row, 0);
		line_feed(s);
	}
	line_of(s, s->row)[s->col] = c;
	move(s, s->row, s->col + 1);
}

static void erase_rows(struct textscreen *s, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		clear(s, i, 0, s->cols);
	}
}

/* ECMA-48 8.3: CUU, CUD, CUF, CUB, CUP, ED, EL; erasing knows 0 (from the cursor on) and 2 (all). */
static void sequence(struct textscreen *s, uint8_t final)
{
	unsigned n = MAX(1u, s->arg[0]), from = s->arg[0] == 2 ? 0 : s->col;

	switch (final) {
	case 'A':
		move(s, s->row - MIN(n, s->row), s->col);
		break;
	case 'B':
		move(s, s->row + n, s->col);
		break;
	case 'C':
		move(s, s->row, MIN(s->col + n, s->cols - 1));
		break;
	case 'D':
		move(s, s->row, s->col - MIN(n, s->col));
		break;
	case 'H':
		move(s, n - 1, MIN(MAX(1u, s->arg[1]), s->cols) - 1);
		break;
	case 'J':
		erase_rows(s, s->arg[0] == 2 ? 0 : s->row + 1, s->rows);
		clear(s, s->row, from, s->cols);
		break;
	case 'K':
		clear(s, s->row, from, s->cols);
		break;
	}
}

static void in_csi(struct textscreen *s, uint8_t byte)
{
	if (byte >= '0' && byte <= '9') {
		unsigned *arg = &s->arg[MIN(s->args, 1u)];

		*arg = MIN(*arg * 10 + byte - '0', 1000u);
	} else if (byte == ';') {
		s->args++;
	} else if (byte >= 0x40) {
		s->state = TEXTSCREEN_GROUND;
		sequence(s, byte);
	}
}

static void in_ground(struct textscreen *s, uint8_t byte)
{
	switch (byte) {
	case '\r':
		move(s, s->row, 0);
		break;
	case '\n':
		line_feed(s);
		break;
	case '\b':
		move(s, s->row, s->col - MIN(1u, s->col));
		break;
	case '\t':
		move(s, s->row, MIN((s->col | 7u) + 1, s->cols - 1));
		break;
	case 0x1b:
		s->state = TEXTSCREEN_ESC;
		break;
	default:
		if (byte >= ' ' && byte <= '~') {
			character(s, byte);
		} else if (byte >= 0xc0) {	/* UTF-8's first byte; the others are 0x80 to 0xbf */
			character(s, '?');
		}
		break;
	}
}

void textscreen_put(struct textscreen *s, uint8_t byte)
{
	if (s->cols == 0) {
		return;
	}
	switch (s->state) {
	case TEXTSCREEN_GROUND:
		in_ground(s, byte);
		break;
	case TEXTSCREEN_ESC:
		s->state = byte == '[' ? TEXTSCREEN_CSI : TEXTSCREEN_GROUND;
		if (byte == '(' || byte == ')') {
			s->state = TEXTSCREEN_SKIP_ONE;	/* the name of a character set */
		}
		s->arg[0] = s->arg[1] = s->args = 0;
		break;
	case TEXTSCREEN_SKIP_ONE:
		s->state = TEXTSCREEN_GROUND;
		break;
	case TEXTSCREEN_CSI:
		in_csi(s, byte);
		break;
	}
}

void textscreen_set_pixels(struct textscreen *s, volatile uint32_t *pixels, unsigned stride)
{
	s->pixels = pixels;
	s->stride = stride;
	for (unsigned i = 0; i < s->rows; i++) {
		s->dirty[i] = true;
	}
}

/* One line of pixels of a cell; bits: CELL_COLS of them. */
static void draw_line(volatile uint32_t *to, unsigned bits, unsigned scale, uint32_t paper)
{
	for (unsigned mask = 1u << (CELL_COLS - 1); mask != 0; mask >>= 1) {
		uint32_t colour = (bits & mask) != 0 ? INK ^ paper : paper;

		for (unsigned x = 0; x < scale; x++) {
			*to++ = colour;
		}
	}
}

static void draw_cell(const struct textscreen *s, unsigned row, unsigned col, uint8_t c)
{
	uint64_t glyph = glyphs[(c & ~INVERSE) - ' '] << (64 - GLYPH_COLS * GLYPH_ROWS);
	unsigned width = CELL_COLS * s->scale, height = CELL_ROWS * s->scale;
	volatile uint32_t *to = s->pixels + (size_t)row * height * s->stride + col * width;

	/* The glyph's rows come out at the top, and zeros after the last. */
	for (unsigned y = 0; y < CELL_ROWS; y++, glyph <<= GLYPH_COLS) {
		unsigned bits = (unsigned)(glyph >> (64 - GLYPH_COLS)) << (CELL_COLS - GLYPH_COLS);

		for (unsigned i = 0; i < s->scale; i++, to += s->stride) {
			draw_line(to, bits, s->scale, (c & INVERSE) != 0 ? INK : 0);
		}
	}
}

/* False: cells have run out. */
static bool draw_row(struct textscreen *s, unsigned row, unsigned *cells)
{
	for (unsigned col = 0; col < s->cols; col++) {
		bool cursor = row == s->row && col == MIN(s->col, s->cols - 1);
		uint8_t want = line_of(s, row)[col] | (cursor ? INVERSE : 0);

		if (want == s->drawn[row][col]) {
			continue;
		}
		if (*cells == 0) {
			return false;
		}
		draw_cell(s, row, col, want);
		s->drawn[row][col] = want;
		(*cells)--;
	}
	s->dirty[row] = false;
	return true;
}

bool textscreen_draw(struct textscreen *s, unsigned cells)
{
	for (unsigned i = 0; s->pixels != NULL && i < s->rows; i++) {
		if (s->dirty[s->next_row] && !draw_row(s, s->next_row, &cells)) {
			return true;
		}
		s->next_row = (s->next_row + 1) % s->rows;
	}
	return false;
}
