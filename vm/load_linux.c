/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads a Linux bzImage by its 64-bit boot protocol (Linux Documentation/arch/x86/boot.rst and zero-page.rst). The
 * part after the setup sectors goes to pref_address, where init_size bytes are its own until it has unpacked itself;
 * it starts 0x200 bytes in, in long mode, with RSI at boot_params, which hold a copy of the image's header.
 */
#include "vm/load.h"
#include "vm/load_layout.h"

/* Header fields: the same offsets in the image and in boot_params. */
#define HDR_SETUP_SECTS		0x1f1u	/* 1 */
#define HDR_SYSSIZE		0x1f4u	/* 4, units of 16 bytes */
#define HDR_JUMP_LENGTH		0x201u	/* 1: where the header ends, counted from 0x202 */
#define HDR_VERSION		0x206u	/* 2 */
#define HDR_TYPE_OF_LOADER	0x210u	/* 1 */
#define HDR_LOADFLAGS		0x211u	/* 1 */
#define HDR_CODE32_START	0x214u	/* 4 */
#define HDR_RAMDISK_IMAGE	0x218u	/* 4 */
#define HDR_RAMDISK_SIZE	0x21cu	/* 4 */
#define HDR_CMD_LINE_PTR	0x228u	/* 4 */
#define HDR_INITRD_ADDR_MAX	0x22cu	/* 4 */
#define HDR_KERNEL_ALIGNMENT	0x230u	/* 4 */
#define HDR_RELOCATABLE		0x234u	/* 1 */
#define HDR_XLOADFLAGS		0x236u	/* 2 */
#define HDR_CMDLINE_SIZE	0x238u	/* 4 */
#define HDR_SETUP_DATA		0x250u	/* 8 */
#define HDR_PREF_ADDRESS	0x258u	/* 8 */
#define HDR_INIT_SIZE		0x260u	/* 4 */
#define HDR_MIN_END		0x264u	/* a header of version 2.12 holds all of the above */
#define HDR_MAX_END		0x290u	/* what boot_params have room for */

/* Fields of boot_params outside the header. */
#define BP_ACPI_RSDP		0x070u	/* 8 */
#define BP_ALT_MEM_K		0x1e0u	/* 4 */
#define BP_E820_ENTRIES		0x1e8u	/* 1 */
#define BP_E820_TABLE		0x2d0u	/* 20 bytes each: base 8, size 8, type 4 */

#define VERSION_MIN		0x20cu	/* 2.12 has xloadflags: older ones have no 64-bit entry */
#define LOADED_HIGH		0x01u
#define XLF_KERNEL_64		0x01u
#define ENTRY_64		0x200u
#define LOADER_UNKNOWN		0xffu

/* What the header says, once it is checked. */
struct header {
	uint64_t setup_bytes;	/* what comes before the part to load */
	uint64_t load_bytes;	/* the part to load */
	uint64_t load_at;
	uint64_t room;		/* bytes it needs there */
	uint64_t initrd_top;	/* first byte an initrd may not use */
	uint64_t cmdline_max;
	uint64_t end;		/* of the header in the image */
};

static enum err check_sizes(struct load *l, struct reader *r, struct header *h)
{
	uint64_t sects = reader_peek(r, HDR_SETUP_SECTS, 1), syssize = reader_peek(r, HDR_SYSSIZE, 4) * 16;

	h->setup_bytes = ((sects == 0 ? 4 : sects) + 1) * 512;	/* 0 means 4, for old boot loaders */
	h->end = 0x202 + reader_peek(r, HDR_JUMP_LENGTH, 1);
	if (h->end < HDR_MIN_END || h->end > HDR_MAX_END) {
		return load_fail(l, ERR_FORMAT, "bzImage: header ends at 0x%lx, expected 0x%x to 0x%x", h->end,
				 HDR_MIN_END, HDR_MAX_END);
	}
	if (r->size <= h->setup_bytes + ENTRY_64) {
		return load_fail(l, ERR_TRUNCATED, "bzImage: setup_sects: file of %zu bytes ends before its kernel at 0x%lx",
				 r->size, h->setup_bytes);
	}
	h->load_bytes = r->size - h->setup_bytes;
	if (syssize > align_up(h->load_bytes, 16)) {
		return load_fail(l, ERR_TRUNCATED, "bzImage: syssize: %lu bytes, but the file has %lu (truncated?)", syssize,
				 h->load_bytes);
	}
	return ERR_OK;
}

static enum err check_address(struct load *l, struct reader *r, struct header *h)
{
	uint64_t alignment = reader_peek(r, HDR_KERNEL_ALIGNMENT, 4), pref = reader_peek(r, HDR_PREF_ADDRESS, 8);
	uint64_t init_size = reader_peek(r, HDR_INIT_SIZE, 4);

	h->load_at = pref;
	if (reader_peek(r, HDR_RELOCATABLE, 1) != 0) {
		if (alignment < PAGE_SIZE || alignment > GIB || (alignment & (alignment - 1)) != 0) {
			return load_fail(l, ERR_FORMAT, "bzImage: kernel_alignment: 0x%lx, expected a power of two from 4K to 1G",
					 alignment);
		}
		if (pref > l->mem->low_size) {
			return load_fail(l, ERR_NOMEM, "bzImage: pref_address: 0x%lx, but RAM ends at 0x%lx", pref,
					 l->mem->low_size);
		}
		h->load_at = align_up(pref, MAX(alignment, LARGE_SIZE));
	}
	h->room = MAX(init_size, h->load_bytes);
	return load_check_range(l, "bzImage: pref_address, init_size", h->load_at, h->room);
}

static enum err check_header(struct load *l, struct reader *r, struct header *h)
{
	uint64_t version = reader_peek(r, HDR_VERSION, 2), flags = reader_peek(r, HDR_LOADFLAGS, 1);
	uint64_t xflags = reader_peek(r, HDR_XLOADFLAGS, 2), initrd_max = reader_peek(r, HDR_INITRD_ADDR_MAX, 4);
	enum err e;

	if (r->size < HDR_MAX_END) {
		return load_fail(l, ERR_TRUNCATED, "bzImage: header: file has %zu bytes, expected at least %u", r->size,
				 HDR_MAX_END);
	}
	if (version < VERSION_MIN) {
		return load_fail(l, ERR_NOTSUP, "bzImage: version: %lu.%02lu has a 16-bit entry only, expected 2.12 or later",
				 version >> 8, version & 0xff);
	}
	if ((flags & LOADED_HIGH) == 0) {
		return load_fail(l, ERR_NOTSUP, "bzImage: loadflags: 0x%lx, a zImage; expected bit 0 (load high)", flags);
	}
	if ((xflags & XLF_KERNEL_64) == 0) {
		return load_fail(l, ERR_NOTSUP, "bzImage: xloadflags: 0x%lx, no 64-bit entry; expected bit 0", xflags);
	}
	h->cmdline_max = reader_peek(r, HDR_CMDLINE_SIZE, 4);
	h->initrd_top = MIN(initrd_max + 1, l->mem->low_size);
	e = check_sizes(l, r, h);
	return e != ERR_OK ? e : check_address(l, r, h);
}

static void set_e820(const struct gmem *g, uint8_t *params)
{
	struct load_range map[LOAD_MAP_MAX];
	unsigned n = load_map(g, map);

	for (unsigned i = 0; i < n; i++) {
		size_t at = BP_E820_TABLE + 20 * i;

		load_set(params, at, map[i].base, 8);
		load_set(params, at + 8, map[i].size, 8);
		load_set(params, at + 16, map[i].type, 4);
	}
	load_set(params, BP_E820_ENTRIES, n, 1);
	load_set(params, BP_ALT_MEM_K, (g->low_size - MIB) / KIB, 4);
}

/* boot_params: the header's copy and what a boot loader fills in. params is one zeroed page. */
static void set_params(struct load *l, const struct header *h, uint64_t initrd, uint64_t cmdline, uint8_t *params)
{
	memcpy(params + HDR_SETUP_SECTS, (const uint8_t *)l->files->kernel.data + HDR_SETUP_SECTS,
	       h->end - HDR_SETUP_SECTS);
	load_set(params, HDR_TYPE_OF_LOADER, LOADER_UNKNOWN, 1);
	load_set(params, HDR_CODE32_START, h->load_at, 4);
	load_set(params, HDR_RAMDISK_IMAGE, initrd, 4);
	load_set(params, HDR_RAMDISK_SIZE, initrd == 0 ? 0 : l->files->initrd.size, 4);
	load_set(params, HDR_CMD_LINE_PTR, cmdline, 4);
	load_set(params, HDR_SETUP_DATA, 0, 8);
	load_set(params, BP_ACPI_RSDP, l->rsdp.v, 8);
	set_e820(l->mem, params);
}

enum err load_linux(struct load *l)
{
	const struct image_files *f = l->files;
	struct reader r = reader_make(f->kernel.data, f->kernel.size);
	uint64_t initrd = 0, cmdline = 0;
	struct header h = { 0 };
	uint8_t *params;
	enum err e;

	e = check_header(l, &r, &h);
	if (e == ERR_OK && f->module_count != 0) {
		e = load_fail(l, ERR_INVAL, "module: found %u, but a bzImage takes none (initrd = is for its initramfs)",
			      f->module_count);
	}
	if (e == ERR_OK) {
		e = load_cmdline(l, "cmdline", f->cmdline, h.cmdline_max, &cmdline);
	}
	if (e != ERR_OK) {
		return e;
	}
	l->image_end = h.load_at + h.room;
	l->top = align_down(h.initrd_top, PAGE_SIZE);
	if (f->initrd.size != 0) {
		e = load_blob(l, "initrd", &f->initrd, &initrd);
		if (e != ERR_OK) {
			return e;
		}
	}
	params = gmem_ptr(l->mem, gpa(LOAD_INFO), LOAD_INFO_BYTES);
	if (params == NULL || !load_put(l, h.load_at, r.base + h.setup_bytes, h.load_bytes)) {
		return load_fail(l, ERR_NOMEM, "bzImage: no RAM at 0x%lx", h.load_at);
	}
	memset(params, 0, LOAD_INFO_BYTES);
	set_params(l, &h, initrd, cmdline, params);
	return load_start(l, VIRT_MODE_LONG64, h.load_at + ENTRY_64);
}
