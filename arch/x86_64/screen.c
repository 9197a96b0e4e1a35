/* SPDX-License-Identifier: BSD-2-Clause */
/* The screen: kernel/textscreen.h on the framebuffer that firmware left. */
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "kernel/arch.h"
#include "kernel/log.h"
#include "kernel/textscreen.h"

static struct textscreen screen;

void screen_init(const struct boot_framebuffer *fb)
{
	if (fb->base != 0 && fb->stride >= fb->width) {
		textscreen_init(&screen, fb->width, fb->height);
	}
}

void screen_map(const struct boot_framebuffer *fb)
{
	void *pixels;

	if (screen.cols == 0) {
		return;
	}
	pixels = paging_map_framebuffer(hpa(fb->base),
					(size_t)fb->stride * fb->height * sizeof(uint32_t));
	if (pixels != NULL) {
		textscreen_set_pixels(&screen, pixels, fb->stride);
	}
	log_printf("screen: %u by %u pixels, %u by %u characters%s", fb->width, fb->height,
		   screen.cols, screen.rows, pixels == NULL ? ": no memory to map it" : "");
}

void arch_screen_putc(char c)
{
	textscreen_put(&screen, (uint8_t)c);
}

bool arch_screen_draw(unsigned cells)
{
	return textscreen_draw(&screen, cells);
}
