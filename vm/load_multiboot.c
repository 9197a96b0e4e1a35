/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads a Multiboot 1 image (Multiboot Specification 0.6.96): an ELF, or any file whose header says where it goes.
 * Entry in flat 32-bit protected mode without paging, EAX the loader's magic, EBX at the information structure.
 *
 * An ELF64 is taken too where its entry is 32-bit code, as GNU Mach's is. Modules lie right above the image in their
 * order, each on a page; command lines start with the file's name, which kernels expect to skip.
 */
#include "vm/load.h"
#include "vm/load_layout.h"
#include "vm/vmap.h"

/* The header (3.1), offsets from its start. */
#define HEADER_MAGIC		0x1badb002u
#define HEADER_SEARCH		8192u	/* it lies in the first 8 KiB, on a 4-byte line */
#define HEADER_BYTES		12u
#define HEADER_FLAGS		4u
#define HEADER_CHECKSUM		8u
#define HEADER_ADDR		12u
#define HEADER_LOAD_ADDR	16u
#define HEADER_LOAD_END_ADDR	20u
#define HEADER_BSS_END_ADDR	24u
#define HEADER_ENTRY_ADDR	28u
#define HEADER_ADDRESSES_END	32u

/* Its flags: the lower 16 must be understood. Pages and memory map are always given. */
#define FLAG_PAGE_ALIGN		0x00000001u
#define FLAG_MEMORY		0x00000002u
#define FLAG_VIDEO		0x00000004u
#define FLAG_ADDRESSES		0x00010000u
#define FLAGS_REQUIRED		0x0000ffffu

/* The information structure (3.3): memory, command line, modules, memory map, loader's name. */
#define ENTRY_MAGIC		0x2badb002u
#define INFO_FLAGS		0u
#define INFO_MEM_LOWER		4u
#define INFO_MEM_UPPER		8u
#define INFO_CMDLINE		16u
#define INFO_MODS_COUNT		20u
#define INFO_MODS_ADDR		24u
#define INFO_MMAP_LENGTH	44u
#define INFO_MMAP_ADDR		48u
#define INFO_LOADER_NAME	64u
#define INFO_BYTES		120u
#define HAS_MEMORY		0x001u
#define HAS_CMDLINE		0x004u
#define HAS_MODS		0x008u
#define HAS_MMAP		0x040u
#define HAS_LOADER_NAME		0x200u

#define MODULE_BYTES		16u
#define MAP_BYTES		24u	/* its own size, 20, which does not count itself; base, size, type */

static const char loader_name[] = "Tarn";

_Static_assert(INFO_BYTES + IMAGE_MODULES_MAX * MODULE_BYTES + LOAD_MAP_MAX * MAP_BYTES + sizeof(loader_name) <=
	       LOAD_INFO_BYTES, "the information fits its page");

bool load_multiboot_header(struct reader *r, size_t *at)
{
	for (*at = 0; *at + HEADER_BYTES <= MIN(r->size, HEADER_SEARCH); *at += 4) {
		uint64_t flags = reader_peek(r, *at + HEADER_FLAGS, 4), sum = reader_peek(r, *at + HEADER_CHECKSUM, 4);

		if (reader_peek(r, *at, 4) == HEADER_MAGIC && ((HEADER_MAGIC + flags + sum) & 0xffffffff) == 0) {
			return true;
		}
	}
	return false;
}

static enum err check_flags(struct load *l, uint64_t flags)
{
	uint64_t unknown = flags & FLAGS_REQUIRED & ~(uint64_t)(FLAG_PAGE_ALIGN | FLAG_MEMORY | FLAG_VIDEO);

	if (unknown != 0) {
		return load_fail(l, ERR_NOTSUP, "Multiboot: flags: 0x%lx, of which 0x%lx is required and not known", flags,
				 unknown);
	}
	if ((flags & FLAG_VIDEO) != 0) {
		return load_fail(l, ERR_NOTSUP, "Multiboot: flags: 0x%lx, bit 2 requires a video mode, and there is no screen",
				 flags);
	}
	return ERR_OK;
}

/* What the header's address fields say, once checked. */
struct flat {
	uint64_t offset;	/* in the file */
	uint64_t at, file_bytes, mem_bytes, entry;
};

static enum err check_flat(struct load *l, struct reader *r, size_t header, struct flat *f)
{
	uint64_t header_addr = reader_peek(r, header + HEADER_ADDR, 4), at = reader_peek(r, header + HEADER_LOAD_ADDR, 4);
	uint64_t end = reader_peek(r, header + HEADER_LOAD_END_ADDR, 4), bss = reader_peek(r, header + HEADER_BSS_END_ADDR, 4);

	*f = (struct flat){ .at = at, .entry = reader_peek(r, header + HEADER_ENTRY_ADDR, 4) };
	if (header + HEADER_ADDRESSES_END > r->size) {
		return load_fail(l, ERR_TRUNCATED, "Multiboot: entry_addr: the file ends at 0x%zx, within the header", r->size);
	}
	if (at > header_addr || header_addr - at > header) {
		return load_fail(l, ERR_FORMAT, "Multiboot: load_addr: 0x%lx, expected 0x%lx to header_addr 0x%lx", at,
				 header_addr - MIN(header, header_addr), header_addr);
	}
	f->offset = header - (header_addr - at);
	if (end != 0 && end < header_addr) {
		return load_fail(l, ERR_FORMAT, "Multiboot: load_end_addr: 0x%lx is below header_addr 0x%lx", end, header_addr);
	}
	f->file_bytes = end == 0 ? r->size - f->offset : end - at;
	if (f->file_bytes > r->size - f->offset) {
		return load_fail(l, ERR_TRUNCATED, "Multiboot: load_end_addr: 0x%lx bytes from 0x%lx, but the file has 0x%zx",
				 f->file_bytes, f->offset, r->size);
	}
	if (bss != 0 && bss < at + f->file_bytes) {
		return load_fail(l, ERR_FORMAT, "Multiboot: bss_end_addr: 0x%lx is below the end of the data, 0x%lx", bss,
				 at + f->file_bytes);
	}
	f->mem_bytes = bss == 0 ? f->file_bytes : bss - at;
	if (f->entry < at || f->entry - at >= f->file_bytes) {
		return load_fail(l, ERR_FORMAT, "Multiboot: entry_addr: 0x%lx lies outside the image, 0x%lx to 0x%lx", f->entry, at,
				 at + f->file_bytes);
	}
	return load_check_range(l, "Multiboot: load_addr, bss_end_addr", at, f->mem_bytes);
}

static enum err load_flat(struct load *l, struct reader *r, size_t header, uint64_t *entry)
{
	struct flat f;
	enum err e = check_flat(l, r, header, &f);

	if (e != ERR_OK) {
		return e;
	}
	if (!load_put(l, f.at, r->base + f.offset, f.file_bytes) ||
	    !gmem_zero(l->mem, gpa(f.at + f.file_bytes), f.mem_bytes - f.file_bytes)) {
		return load_fail(l, ERR_NOMEM, "Multiboot: load_addr: no RAM at 0x%lx", f.at);
	}
	l->image_end = f.at + f.mem_bytes;
	*entry = f.entry;
	return ERR_OK;
}

/* Entry points are physical; those of kernels linked high are sometimes linear: the segment tells. */
static uint64_t physical_entry(struct load_elf *f)
{
	for (unsigned i = 0; i < MIN(f->phnum, LOAD_ELF_SEGMENTS_MAX); i++) {
		struct load_elf_segment s = load_elf_segment(f, i);

		if (s.type == LOAD_ELF_PT_LOAD && f->entry >= s.linear && f->entry - s.linear < s.mem_bytes) {
			return f->entry - s.linear + s.at;
		}
	}
	return f->entry;
}

static enum err load_image(struct load *l, uint64_t *entry)
{
	struct reader r = reader_make(l->files->kernel.data, l->files->kernel.size);
	struct load_elf f;
	size_t header = 0;
	uint64_t flags;
	enum err e;

	if (!load_multiboot_header(&r, &header)) {
		return load_fail(l, ERR_FORMAT, "Multiboot: no header in the first %u bytes", HEADER_SEARCH);
	}
	flags = reader_peek(&r, header + HEADER_FLAGS, 4);
	e = check_flags(l, flags);
	if (e != ERR_OK) {
		return e;
	}
	if ((flags & FLAG_ADDRESSES) != 0) {
		return load_flat(l, &r, header, entry);
	}
	if (reader_peek(&r, 0, 4) != LOAD_ELF_MAGIC) {
		return load_fail(l, ERR_NOTSUP, "Multiboot: flags: 0x%lx without bit 16 (address fields), and the file is no ELF",
				 flags);
	}
	f = load_elf_open(&r);
	*entry = physical_entry(&f);
	return load_elf(l, &f, "e_entry", *entry);
}

/* An initrd is the first module. */
static enum err put_modules(struct load *l, uint8_t *page, size_t list)
{
	const struct image_files *f = l->files;
	unsigned initrds = f->initrd.size != 0, count = f->module_count + initrds;

	for (unsigned i = 0; i < count; i++) {
		const struct image_blob *blob = i < initrds ? &f->initrd : &f->modules[i - initrds];
		const char *what = i < initrds ? "initrd" : "module";
		size_t to = list + i * MODULE_BYTES;
		uint64_t at, words;
		enum err e = load_blob_above(l, what, blob, &at);

		if (e == ERR_OK) {
			e = load_command(l, what, blob->name, blob->cmdline, &words);
		}
		if (e != ERR_OK) {
			return e;
		}
		load_set(page, to, at, 4);
		load_set(page, to + 4, at + blob->size, 4);
		load_set(page, to + 8, words, 4);
	}
	load_set(page, INFO_MODS_COUNT, count, 4);
	load_set(page, INFO_MODS_ADDR, LOAD_INFO + list, 4);
	return ERR_OK;
}

static size_t put_map(struct load *l, uint8_t *page, size_t list)
{
	struct load_range map[LOAD_MAP_MAX];
	unsigned count = load_map(l->mem, map);

	for (unsigned i = 0; i < count; i++) {
		size_t to = list + i * MAP_BYTES;

		load_set(page, to, MAP_BYTES - 4, 4);
		load_set(page, to + 4, map[i].base, 8);
		load_set(page, to + 12, map[i].size, 8);
		load_set(page, to + 20, map[i].type, 4);
	}
	load_set(page, INFO_MMAP_LENGTH, count * MAP_BYTES, 4);
	load_set(page, INFO_MMAP_ADDR, LOAD_INFO + list, 4);
	return list + count * MAP_BYTES;
}

/* The structure, then memory map, loader's name and module list, in one page. */
static enum err put_info(struct load *l, uint8_t *page)
{
	const struct image_files *f = l->files;
	size_t at = put_map(l, page, INFO_BYTES);
	uint64_t cmdline;
	enum err e = load_command(l, "cmdline", f->kernel.name, f->cmdline, &cmdline);

	if (e != ERR_OK) {
		return e;
	}
	load_set(page, INFO_FLAGS, HAS_MEMORY | HAS_CMDLINE | HAS_MODS | HAS_MMAP | HAS_LOADER_NAME, 4);
	load_set(page, INFO_MEM_LOWER, VMAP_LOW_RAM_END / KIB, 4);
	load_set(page, INFO_MEM_UPPER, (l->mem->low_size - VMAP_HIGH_RAM_BASE) / KIB, 4);
	load_set(page, INFO_CMDLINE, cmdline, 4);
	memcpy(page + at, loader_name, sizeof(loader_name));
	load_set(page, INFO_LOADER_NAME, LOAD_INFO + at, 4);
	return put_modules(l, page, align_up(at + sizeof(loader_name), 8));
}

enum err load_multiboot(struct load *l)
{
	uint64_t entry = 0;
	uint8_t *page;
	enum err e = load_image(l, &entry);

	if (e != ERR_OK) {
		return e;
	}
	l->top = align_down(l->mem->low_size, PAGE_SIZE);
	page = gmem_ptr(l->mem, gpa(LOAD_INFO), LOAD_INFO_BYTES);
	if (page == NULL) {
		return load_fail(l, ERR_NOMEM, "Multiboot information: no RAM at 0x%lx", LOAD_INFO);
	}
	memset(page, 0, LOAD_INFO_BYTES);
	e = put_info(l, page);
	if (e == ERR_OK) {
		e = load_start(l, VIRT_MODE_PROTECTED32, entry);
		l->start->gpr[VIRT_RAX] = ENTRY_MAGIC;
	}
	return e;
}
