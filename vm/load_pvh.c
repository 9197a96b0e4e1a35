/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads an ELF32 or ELF64 with a PVH entry note (Xen docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h):
 * segments to their physical addresses, entry in flat 32-bit protected mode without paging, EBX at hvm_start_info.
 */
#include "vm/load.h"
#include "vm/load_layout.h"

#define NOTES_MAX	256u
#define PT_NOTE		4u
#define NOTE_PHYS32_ENTRY 18u	/* XEN_ELFNOTE_PHYS32_ENTRY */

#define START_MAGIC	0x336ec578u
#define START_BYTES	56u
#define MODULE_BYTES	32u
#define MAP_BYTES	24u

/* Looks for the entry in one PT_NOTE; each note: sizes of name and content, type, then both padded. */
static bool find_note(struct reader notes, uint64_t align, uint64_t *entry)
{
	uint64_t pad = align == 8 ? 8 : 4;

	for (unsigned i = 0; i < NOTES_MAX && reader_left(&notes) >= 12; i++) {
		uint32_t name_bytes = reader_u32(&notes), desc_bytes = reader_u32(&notes), type = reader_u32(&notes);
		struct reader name = reader_sub(&notes, name_bytes), desc;

		reader_skip(&notes, align_up(notes.at, pad) - notes.at);
		desc = reader_sub(&notes, desc_bytes);
		if (name.overrun || desc.overrun) {
			return false;
		}
		if (type == NOTE_PHYS32_ENTRY && name_bytes == 4 && memcmp(name.base, "Xen", 4) == 0 &&
		    (desc_bytes == 4 || desc_bytes == 8)) {
			*entry = reader_take(&desc, desc_bytes);
			return true;
		}
		reader_skip(&notes, align_up(notes.at, pad) - notes.at);
	}
	return false;
}

bool load_pvh_entry(struct reader *r, uint64_t *entry)
{
	struct load_elf f = load_elf_open(r);

	for (unsigned i = 0; i < MIN(f.phnum, LOAD_ELF_SEGMENTS_MAX); i++) {
		struct load_elf_segment s = load_elf_segment(&f, i);
		struct reader notes = *r;

		if (s.type != PT_NOTE || s.offset > r->size) {
			continue;
		}
		notes.at = 0;
		reader_skip(&notes, s.offset);
		notes = reader_sub(&notes, MIN(s.file_bytes, r->size - s.offset));
		if (find_note(notes, s.align, entry)) {
			return true;
		}
	}
	return false;
}

/* --- hvm_start_info: the structure, then the module list, then the memory map, in one page. */

struct out {
	uint8_t *page;
	size_t at;
};

static void put(struct out *o, uint64_t value, unsigned width)
{
	load_set(o->page, o->at, value, width);
	o->at += width;
}

static enum err put_module(struct load *l, struct out *o, const char *what, const struct image_blob *blob)
{
	uint64_t at, cmdline;
	enum err e = load_blob(l, what, blob, &at);

	if (e == ERR_OK) {
		e = load_cmdline(l, what, blob->cmdline, LOAD_CMDLINE_BYTES, &cmdline);
	}
	if (e == ERR_OK) {
		put(o, at, 8);
		put(o, blob->size, 8);
		put(o, cmdline, 8);
		put(o, 0, 8);
	}
	return e;
}

_Static_assert(START_BYTES + (IMAGE_MODULES_MAX + 1) * MODULE_BYTES + LOAD_MAP_MAX * MAP_BYTES <= LOAD_INFO_BYTES,
	       "start info fits its page");

static enum err put_start_info(struct load *l, uint8_t *page)
{
	const struct image_files *f = l->files;
	unsigned modules = f->module_count + (f->initrd.size != 0);
	struct load_range map[LOAD_MAP_MAX];
	unsigned ranges = load_map(l->mem, map);
	struct out o = { page, START_BYTES };
	uint64_t cmdline;
	enum err e = load_cmdline(l, "cmdline", f->cmdline, LOAD_CMDLINE_BYTES, &cmdline);

	if (e == ERR_OK && f->initrd.size != 0) {
		e = put_module(l, &o, "initrd", &f->initrd);
	}
	for (unsigned i = 0; i < f->module_count && e == ERR_OK; i++) {
		e = put_module(l, &o, "module", &f->modules[i]);
	}
	if (e != ERR_OK) {
		return e;
	}
	for (unsigned i = 0; i < ranges; i++) {
		put(&o, map[i].base, 8);
		put(&o, map[i].size, 8);
		put(&o, map[i].type, 8);	/* and 4 reserved bytes */
	}
	o.at = 0;
	put(&o, START_MAGIC, 4);
	put(&o, 1, 4);				/* version */
	put(&o, 0, 4);				/* flags */
	put(&o, modules, 4);
	put(&o, modules == 0 ? 0 : LOAD_INFO + START_BYTES, 8);
	put(&o, cmdline, 8);
	put(&o, l->rsdp.v, 8);
	put(&o, LOAD_INFO + START_BYTES + modules * MODULE_BYTES, 8);
	put(&o, ranges, 8);			/* and 4 reserved bytes */
	return ERR_OK;
}

enum err load_pvh(struct load *l)
{
	struct reader r = reader_make(l->files->kernel.data, l->files->kernel.size);
	struct load_elf f = load_elf_open(&r);
	uint64_t entry = 0;
	uint8_t *page;
	enum err e;

	if (!load_pvh_entry(&r, &entry)) {
		return load_fail(l, ERR_FORMAT, "ELF: no PVH entry note");
	}
	e = load_elf(l, &f, "PVH entry", entry);
	if (e != ERR_OK) {
		return e;
	}
	l->top = align_down(l->mem->low_size, PAGE_SIZE);
	page = gmem_ptr(l->mem, gpa(LOAD_INFO), LOAD_INFO_BYTES);
	if (page == NULL) {
		return load_fail(l, ERR_NOMEM, "start info: no RAM at 0x%lx", LOAD_INFO);
	}
	memset(page, 0, LOAD_INFO_BYTES);
	e = put_start_info(l, page);
	return e != ERR_OK ? e : load_start(l, VIRT_MODE_PROTECTED32, entry);
}
