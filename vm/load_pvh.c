/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads an ELF32 or ELF64 with a PVH entry note (Xen docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h):
 * segments to their physical addresses, entry in flat 32-bit protected mode without paging, EBX at hvm_start_info.
 */
#include "kernel/lib/string.h"
#include "vm/load.h"
#include "vm/load_layout.h"

#define SEGMENTS_MAX	64u
#define NOTES_MAX	256u
#define PT_LOAD		1u
#define PT_NOTE		4u
#define EM_386		3u
#define EM_X86_64	62u
#define NOTE_PHYS32_ENTRY 18u	/* XEN_ELFNOTE_PHYS32_ENTRY */

#define START_MAGIC	0x336ec578u
#define START_BYTES	56u
#define MODULE_BYTES	32u
#define MAP_BYTES	24u

/* Program headers of either class, in one form. */
struct elf {
	struct reader file;
	bool wide;		/* ELF64 */
	uint64_t phoff;
	unsigned phnum, phentsize, machine;
};

struct segment {
	uint64_t type, offset, at, file_bytes, mem_bytes, align;
};

static struct elf elf_open(struct reader *r)
{
	struct elf f = { .file = *r };

	f.wide = reader_peek(r, 4, 1) == 2;
	f.machine = (unsigned)reader_peek(r, 18, 2);
	f.phoff = f.wide ? reader_peek(r, 32, 8) : reader_peek(r, 28, 4);
	f.phentsize = (unsigned)reader_peek(r, f.wide ? 54 : 42, 2);
	f.phnum = (unsigned)reader_peek(r, f.wide ? 56 : 44, 2);
	return f;
}

/* Program header i; type 0 (PT_NULL) where the file ends before it. */
static struct segment elf_segment(struct elf *f, unsigned i)
{
	struct reader *r = &f->file;
	uint64_t at, need = f->wide ? 56 : 32;

	if (f->phoff > r->size || f->phentsize < need ||
	    (uint64_t)f->phentsize * i + need > r->size - f->phoff) {
		return (struct segment){ 0 };
	}
	at = f->phoff + (uint64_t)f->phentsize * i;
	if (f->wide) {
		return (struct segment){
			.type = reader_peek(r, at, 4), .offset = reader_peek(r, at + 8, 8), .at = reader_peek(r, at + 24, 8),
			.file_bytes = reader_peek(r, at + 32, 8), .mem_bytes = reader_peek(r, at + 40, 8),
			.align = reader_peek(r, at + 48, 8),
		};
	}
	return (struct segment){
		.type = reader_peek(r, at, 4), .offset = reader_peek(r, at + 4, 4), .at = reader_peek(r, at + 12, 4),
		.file_bytes = reader_peek(r, at + 16, 4), .mem_bytes = reader_peek(r, at + 20, 4),
		.align = reader_peek(r, at + 28, 4),
	};
}

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
	struct elf f = elf_open(r);

	for (unsigned i = 0; i < MIN(f.phnum, SEGMENTS_MAX); i++) {
		struct segment s = elf_segment(&f, i);
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

/* May segment i be loaded? Those before it have been. */
static enum err check_segment(struct load *l, struct elf *f, unsigned i, const struct segment *s)
{
	enum err e;

	if (s->file_bytes > s->mem_bytes) {
		return load_fail(l, ERR_FORMAT, "ELF: segment %u: p_filesz 0x%lx is more than p_memsz 0x%lx", i,
				 s->file_bytes, s->mem_bytes);
	}
	if (s->offset > f->file.size || s->file_bytes > f->file.size - s->offset) {
		return load_fail(l, ERR_TRUNCATED, "ELF: segment %u: p_offset 0x%lx + p_filesz 0x%lx, but the file has 0x%zx",
				 i, s->offset, s->file_bytes, f->file.size);
	}
	e = load_check_range(l, "ELF: p_paddr, p_memsz", s->at, s->mem_bytes);
	if (e != ERR_OK) {
		return e;
	}
	for (unsigned k = 0; k < i; k++) {
		struct segment o = elf_segment(f, k);

		if (o.type == PT_LOAD && o.mem_bytes != 0 && s->at < o.at + o.mem_bytes && o.at < s->at + s->mem_bytes) {
			return load_fail(l, ERR_FORMAT, "ELF: segment %u: p_paddr 0x%lx overlaps segment %u at 0x%lx", i, s->at,
					 k, o.at);
		}
	}
	return ERR_OK;
}

static enum err load_segments(struct load *l, struct elf *f, uint64_t entry)
{
	bool inside = false;

	for (unsigned i = 0; i < f->phnum; i++) {
		struct segment s = elf_segment(f, i);
		enum err e;

		if (s.type != PT_LOAD || s.mem_bytes == 0) {
			continue;
		}
		e = check_segment(l, f, i, &s);
		if (e != ERR_OK) {
			return e;
		}
		if (!gmem_write(l->mem, gpa(s.at), f->file.base + s.offset, s.file_bytes) ||
		    !gmem_zero(l->mem, gpa(s.at + s.file_bytes), s.mem_bytes - s.file_bytes)) {
			return load_fail(l, ERR_NOMEM, "ELF: segment %u: no RAM at 0x%lx", i, s.at);
		}
		inside = inside || (entry >= s.at && entry - s.at < s.mem_bytes);
		l->image_end = MAX(l->image_end, s.at + s.mem_bytes);
	}
	if (!inside) {
		return load_fail(l, ERR_FORMAT, "ELF: PVH entry 0x%lx lies in no PT_LOAD segment", entry);
	}
	return ERR_OK;
}

static enum err check_elf(struct load *l, const struct elf *f)
{
	if (f->machine != EM_386 && f->machine != EM_X86_64) {
		return load_fail(l, ERR_NOTSUP, "ELF: e_machine: %u, expected %u (i386) or %u (x86-64)", f->machine, EM_386,
				 EM_X86_64);
	}
	if (f->phnum > SEGMENTS_MAX) {
		return load_fail(l, ERR_LIMIT, "ELF: e_phnum: %u, at most %u are taken", f->phnum, SEGMENTS_MAX);
	}
	return ERR_OK;
}

/* --- hvm_start_info: the structure, then the module list, then the memory map, in one page. */

struct out {
	uint8_t *page;
	size_t at;
};

static void put(struct out *o, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		o->page[o->at++] = (uint8_t)(value >> (8 * i));
	}
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
	struct elf f = elf_open(&r);
	uint64_t entry = 0;
	uint8_t *page;
	enum err e;

	if (!load_pvh_entry(&r, &entry)) {
		return load_fail(l, ERR_FORMAT, "ELF: no PVH entry note");
	}
	e = check_elf(l, &f);
	if (e == ERR_OK) {
		e = load_segments(l, &f, entry);
	}
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
