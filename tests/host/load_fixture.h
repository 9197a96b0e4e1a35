/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of the loaders: an image made in memory, field by field, and loaded. Included once a program. */
#pragma once

#include "tests/host/ram.h"
#include "tests/host/test.h"
#include "vm/image.h"
#include "vm/load_layout.h"
#include "vm/vmap.h"

#define RAM		(32 * MIB)

static struct virt_start start;
static struct load_error why;
static uint8_t image[0x4000];

static void poke(uint64_t at, uint64_t value, unsigned width)
{
	memcpy(image + at, &value, width);
}

static enum err load(struct gmem *g, const struct image_files *f)
{
	memset(&start, 0xee, sizeof(start));
	memset(&why, 0xee, sizeof(why));
	enum err e = image_load(g, f, 2, &start, &why);

	CHECK(memchr(why.words, 0, sizeof(why.words)) != NULL && (why.words[0] == '\0') == (e == ERR_OK));
	return e;
}

/* In an exact heap copy at an odd address, so that sanitizers see a read past its end and a wide one. */
static enum err load_copy(struct gmem *g, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	struct image_files f = { .kernel = { .data = copy + 1, .size = size }, .cmdline = "console=ttyS0" };
	enum err e;

	memcpy(copy + 1, image, size);
	e = load(g, &f);
	free(copy);
	return e;
}

/* One field made wrong, and what must come of it. */
struct hostile {
	uint64_t at, value;
	unsigned width;
	enum err want;
	const char *words;
};

static void check_hostile(const struct hostile *h, unsigned count, void (*make)(void), size_t size)
{
	struct gmem g = ram_make(RAM);

	for (unsigned i = 0; i < count; i++) {
		enum err e;

		make();
		poke(h[i].at, h[i].value, h[i].width);
		e = load_copy(&g, size);
		if (e != h[i].want || strstr(why.words, h[i].words) == NULL) {
			test_fail(__FILE__, __LINE__, "0x%lx = 0x%lx: got %s, \"%s\"; want %s, \"%s\"", h[i].at, h[i].value,
				  err_words(e), why.words, err_words(h[i].want), h[i].words);
		}
	}
	ram_free(&g);
}
