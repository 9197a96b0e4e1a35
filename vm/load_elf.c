/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads ELF32 and ELF64 images (System V ABI, chapters 4 and 5) and puts their PT_LOAD segments at their physical
 * addresses. For PVH and Multiboot, which differ in where the entry point stands.
 */
#include "vm/load.h"

#define EM_386		3u
#define EM_X86_64	62u

/* A program header's size, by the file's class. */
static unsigned header_bytes(const struct load_elf *f)
{
	return f->wide ? 56 : 32;
}

struct load_elf load_elf_open(struct reader *r)
{
	struct load_elf f = { .file = *r };

	f.wide = reader_peek(r, 4, 1) == 2;
	f.machine = (unsigned)reader_peek(r, 18, 2);
	f.entry = reader_peek(r, 24, f.wide ? 8 : 4);
	f.phoff = f.wide ? reader_peek(r, 32, 8) : reader_peek(r, 28, 4);
	f.phentsize = (unsigned)reader_peek(r, f.wide ? 54 : 42, 2);
	f.phnum = (unsigned)reader_peek(r, f.wide ? 56 : 44, 2);
	return f;
}

struct load_elf_segment load_elf_segment(struct load_elf *f, unsigned i)
{
	struct reader *r = &f->file;
	uint64_t at, need = header_bytes(f);

	if (f->phoff > r->size || f->phentsize < need ||
	    (uint64_t)f->phentsize * i + need > r->size - f->phoff) {
		return (struct load_elf_segment){ 0 };
	}
	at = f->phoff + (uint64_t)f->phentsize * i;
	if (f->wide) {
		return (struct load_elf_segment){
			.type = reader_peek(r, at, 4), .offset = reader_peek(r, at + 8, 8),
			.linear = reader_peek(r, at + 16, 8), .at = reader_peek(r, at + 24, 8),
			.file_bytes = reader_peek(r, at + 32, 8), .mem_bytes = reader_peek(r, at + 40, 8),
			.align = reader_peek(r, at + 48, 8),
		};
	}
	return (struct load_elf_segment){
		.type = reader_peek(r, at, 4), .offset = reader_peek(r, at + 4, 4),
		.linear = reader_peek(r, at + 8, 4), .at = reader_peek(r, at + 12, 4),
		.file_bytes = reader_peek(r, at + 16, 4), .mem_bytes = reader_peek(r, at + 20, 4),
		.align = reader_peek(r, at + 28, 4),
	};
}

/* May segment i be loaded? Those before it have been. */
static enum err check_segment(struct load *l, struct load_elf *f, unsigned i, const struct load_elf_segment *s)
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
		struct load_elf_segment o = load_elf_segment(f, k);

		if (o.type == LOAD_ELF_PT_LOAD && o.mem_bytes != 0 && s->at < o.at + o.mem_bytes && o.at < s->at + s->mem_bytes) {
			return load_fail(l, ERR_FORMAT, "ELF: segment %u: p_paddr 0x%lx overlaps segment %u at 0x%lx", i, s->at,
					 k, o.at);
		}
	}
	return ERR_OK;
}

static enum err load_segments(struct load *l, struct load_elf *f, const char *what, uint64_t entry)
{
	bool inside = false;

	for (unsigned i = 0; i < f->phnum; i++) {
		struct load_elf_segment s = load_elf_segment(f, i);
		enum err e;

		if (s.type != LOAD_ELF_PT_LOAD || s.mem_bytes == 0) {
			continue;
		}
		e = check_segment(l, f, i, &s);
		if (e != ERR_OK) {
			return e;
		}
		if (!load_put(l, s.at, f->file.base + s.offset, s.file_bytes) ||
		    !gmem_zero(l->mem, gpa(s.at + s.file_bytes), s.mem_bytes - s.file_bytes)) {
			return load_fail(l, ERR_NOMEM, "ELF: segment %u: no RAM at 0x%lx", i, s.at);
		}
		inside = inside || (entry >= s.at && entry - s.at < s.mem_bytes);
		l->image_end = MAX(l->image_end, s.at + s.mem_bytes);
	}
	if (!inside) {
		return load_fail(l, ERR_FORMAT, "ELF: %s 0x%lx lies in no PT_LOAD segment", what, entry);
	}
	return ERR_OK;
}

static enum err check_elf(struct load *l, const struct load_elf *f)
{
	if (f->machine != EM_386 && f->machine != EM_X86_64) {
		return load_fail(l, ERR_NOTSUP, "ELF: e_machine: %u, expected %u (i386) or %u (x86-64)", f->machine, EM_386,
				 EM_X86_64);
	}
	if (f->phnum > LOAD_ELF_SEGMENTS_MAX) {
		return load_fail(l, ERR_LIMIT, "ELF: e_phnum: %u, at most %u are taken", f->phnum, LOAD_ELF_SEGMENTS_MAX);
	}
	if (f->phentsize < header_bytes(f)) {
		return load_fail(l, ERR_FORMAT, "ELF: e_phentsize: %u, expected at least %u", f->phentsize, header_bytes(f));
	}
	if (f->phoff > f->file.size || (uint64_t)f->phnum * f->phentsize > f->file.size - f->phoff) {
		return load_fail(l, ERR_TRUNCATED, "ELF: e_phoff: %u program headers at 0x%lx, but the file has 0x%zx bytes",
				 f->phnum, f->phoff, f->file.size);
	}
	return ERR_OK;
}

enum err load_elf(struct load *l, struct load_elf *f, const char *what, uint64_t entry)
{
	enum err e = check_elf(l, f);

	return e != ERR_OK ? e : load_segments(l, f, what, entry);
}
