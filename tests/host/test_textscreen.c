/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/textscreen: what the bytes of a console make of the cells, and the cells of the pixels. */
#include "tests/host/test.h"

#include <stdlib.h>

#include "kernel/textscreen.h"

#define WIDTH	(6 * 85 * 2 + 3)	/* scale 2, 85 columns and a bit */
#define HEIGHT	(9 * 2 * 5 + 7)		/* 5 rows and a bit */
#define STRIDE	(WIDTH + 5)
#define EDGE	0x12345678u

static struct textscreen s;
static uint32_t pixels[STRIDE * HEIGHT];

static void reset(void)
{
	textscreen_init(&s, WIDTH, HEIGHT);
	for (unsigned i = 0; i < STRIDE * HEIGHT; i++) {
		pixels[i] = EDGE;
	}
	textscreen_set_pixels(&s, pixels, STRIDE);
}

static void put(const char *text)
{
	while (*text != '\0') {
		textscreen_put(&s, (uint8_t)*text++);
	}
}

/* A row without the blanks at its end. */
static const char *row(unsigned n)
{
	static char text[TEXTSCREEN_COLS_MAX + 1];
	unsigned len = s.cols;

	memcpy(text, s.cell[(s.top + n) % s.rows], s.cols);
	while (len > 0 && text[len - 1] == ' ') {
		len--;
	}
	text[len] = '\0';
	return text;
}

/* Is the pixel of the font's pixel x, y in a cell grey? All those that the scale makes of it must agree. */
static bool ink(unsigned at_row, unsigned col, unsigned x, unsigned y)
{
	const uint32_t *first = &pixels[(at_row * 18 + y * 2) * STRIDE + col * 12 + x * 2];

	CHECK(first[0] == first[1] && first[0] == first[STRIDE] && first[0] == first[STRIDE + 1]);
	CHECK(first[0] == 0 || first[0] == 0xc0c0c0);
	return first[0] != 0;
}

TEST(text, "text stands where it is written, wraps at the edge, and scrolls at the bottom")
{
	reset();
	CHECK_EQ(s.cols, 85);
	CHECK_EQ(s.rows, 5);
	put("one\r\ntwo\r\n");
	for (unsigned i = 0; i < 85; i++) {
		put("x");
	}
	CHECK_EQ(s.row, 2);	/* a full row alone does not begin the next */
	put("y\r\nlast");
	CHECK_STR(row(0), "one");
	CHECK_STR(row(3), "y");
	put("\r\nmore\n<");
	CHECK_STR(row(0), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	CHECK_STR(row(3), "more");
	CHECK_STR(row(4), "    <");
}

TEST(sequences, "what the shell's editor sends does what it means, and other sequences leave nothing on the screen")
{
	reset();
	put("\r\033[Ktarn> abc\033[K\r\033[6Cx\bY");
	CHECK_STR(row(0), "tarn> Ybc");
	put("\r\033[K\033[1;31mred\033[0m\033(B\033[?25h\033=\t|");
	CHECK_STR(row(0), "red     |");
	put("\303\244\342\202\254\007");
	CHECK_STR(row(0), "red     |??");
	put("\033[3;4Hq\033[2A\033[Dw\033[99B\033[99Ce");
	CHECK_STR(row(0), "redw    |??");
	CHECK_STR(row(2), "   q");
	CHECK_EQ(strlen(row(4)), 85);
	put("\033[H\033[2Jnew");
	CHECK_STR(row(0), "new");
	CHECK_STR(row(4), "");
}

TEST(pixels_of_a_letter, "a letter is drawn in grey on black, its cursor inverse, and no pixel outside the cells is touched")
{
	static const char *const t[] = { "11111", "00100", "00100", "00100", "00100", "00100", "00100", "00000" };

	reset();
	put("T");
	CHECK(!textscreen_draw(&s, 10000));
	for (unsigned y = 0; y < 9; y++) {
		for (unsigned x = 0; x < 6; x++) {
			CHECK_EQ(ink(0, 0, x, y), y < 8 && x < 5 && t[y][x] == '1');
			CHECK_EQ(ink(0, 1, x, y), true);
			CHECK_EQ(ink(4, 84, x, y), false);
		}
	}
	for (unsigned y = 0; y < HEIGHT; y++) {
		for (unsigned x = 0; x < STRIDE; x++) {
			CHECK_EQ(pixels[y * STRIDE + x] == EDGE, x >= 85 * 12 || y >= 5 * 18);
		}
	}
}

TEST(pieces, "drawing in pieces ends with the same pixels, and what did not change is not drawn again")
{
	static uint32_t want[STRIDE * HEIGHT];
	unsigned pieces = 0;

	reset();
	put("hello\r\nworld");
	CHECK(!textscreen_draw(&s, 10000));
	memcpy(want, pixels, sizeof(want));
	reset();
	put("hello\r\nworld");
	while (textscreen_draw(&s, 7)) {
		pieces++;
	}
	CHECK_EQ(pieces, 85 * 5 / 7);
	CHECK(memcmp(want, pixels, sizeof(want)) == 0);
	memset(pixels, 0x55, sizeof(pixels));
	put("!");
	CHECK(!textscreen_draw(&s, 2));		/* the character, and the cursor behind it */
	CHECK(!textscreen_draw(&s, 0));
	CHECK_EQ(pixels[0], 0x55555555);
}

TEST(glyphs_differ, "every printable character has a picture of its own")
{
	uint32_t seen[95][54] = { { 0 } };

	reset();
	for (unsigned c = 0; c < 95; c++) {
		textscreen_put(&s, '\r');
		textscreen_put(&s, (uint8_t)(' ' + c));
		put("\r\n");
		put("\033[H");
		textscreen_put(&s, (uint8_t)(' ' + c));
		CHECK(!textscreen_draw(&s, 10000));
		for (unsigned i = 0; i < 54; i++) {
			seen[c][i] = ink(0, 0, i % 6, i / 6);
		}
		for (unsigned other = 0; other < c; other++) {
			CHECK(memcmp(seen[c], seen[other], sizeof(seen[c])) != 0);
		}
	}
}

TEST(noise, "random bytes keep cursor and cells in bounds, and drawing always ends")
{
	struct test_rng rng = { 11 };

	reset();
	for (unsigned i = 0; i < 200000; i++) {
		static const char likely[] = "\033[0123456789;ABCDHJK\r\n\b\t";
		uint32_t n = (uint32_t)test_rand(&rng);

		textscreen_put(&s, n % 2 != 0 ? (uint8_t)(n >> 8) : (uint8_t)likely[(n >> 8) % (sizeof(likely) - 1)]);
		CHECK(s.row < s.rows && s.col <= s.cols && s.top < s.rows);
		if (n % 512 == 0) {
			(void)textscreen_draw(&s, n >> 28);
		}
	}
	CHECK(!textscreen_draw(&s, 10000));
	for (unsigned r = 0; r < s.rows; r++) {
		for (unsigned c = 0; c < s.cols; c++) {
			CHECK(s.cell[r][c] >= ' ' && s.cell[r][c] <= '~');
		}
	}
}

TEST(none, "without a framebuffer, or with one smaller than a character, nothing happens")
{
	static struct textscreen zero;

	textscreen_put(&zero, 'x');
	CHECK(!textscreen_draw(&zero, 1));
	textscreen_init(&s, 5, 300);
	put("x\n\033[2J");
	CHECK(!textscreen_draw(&s, 100));
}
