/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads ELF64 headers (System V ABI, "Object files") and refuses all that the loader could not map as asked. */
#include "boot/pure/boot_elf.h"

#include "kernel/lib/addr.h"
#include "kernel/lib/reader.h"
#include "kernel/lib/string.h"

enum {
	EHDR_BYTES = 64, PHDR_BYTES = 56,
	EHDR_TYPE = 16, EHDR_MACHINE = 18, EHDR_ENTRY = 24, EHDR_PHOFF = 32, EHDR_PHENTSIZE = 54, EHDR_PHNUM = 56,
	PHDR_TYPE = 0, PHDR_FLAGS = 4, PHDR_OFFSET = 8, PHDR_VADDR = 16, PHDR_FILESZ = 32, PHDR_MEMSZ = 40,
	ET_EXEC = 2, EM_X86_64 = 62, PT_LOAD = 1, PF_X = 1, PF_W = 2,
	PHDRS_MAX = 64,
};

static enum err check_header(struct reader *r, struct text *why)
{
	/* 0x7f E L F, 64-bit, little-endian, version 1 */
	if (r->size < EHDR_BYTES || reader_peek(r, 0, 7) != 0x010102464c457ful) {
		text_printf(why, "%zu bytes that do not begin as an ELF64 file", r->size);
		return ERR_SIGNATURE;
	}
	if (reader_peek(r, EHDR_TYPE, 2) != ET_EXEC || reader_peek(r, EHDR_MACHINE, 2) != EM_X86_64) {
		text_printf(why, "ELF type %lu machine %lu, want %d and %d", reader_peek(r, EHDR_TYPE, 2),
			    reader_peek(r, EHDR_MACHINE, 2), ET_EXEC, EM_X86_64);
		return ERR_FORMAT;
	}
	if (reader_peek(r, EHDR_PHENTSIZE, 2) != PHDR_BYTES || reader_peek(r, EHDR_PHNUM, 2) > PHDRS_MAX) {
		text_printf(why, "%lu program headers of %lu bytes, want at most %d of %d", reader_peek(r, EHDR_PHNUM, 2),
			    reader_peek(r, EHDR_PHENTSIZE, 2), PHDRS_MAX, PHDR_BYTES);
		return ERR_FORMAT;
	}
	return ERR_OK;
}

/* at: one program header of type PT_LOAD. */
static enum err read_segment(struct reader *r, size_t at, struct boot_elf_segment *seg, struct text *why)
{
	uint64_t flags = reader_peek(r, at + PHDR_FLAGS, 4);
	uint64_t mem_bytes = reader_peek(r, at + PHDR_MEMSZ, 8);

	*seg = (struct boot_elf_segment){
		.vaddr = reader_peek(r, at + PHDR_VADDR, 8),
		.file_offset = reader_peek(r, at + PHDR_OFFSET, 8),
		.file_bytes = reader_peek(r, at + PHDR_FILESZ, 8),
		.write = (flags & PF_W) != 0,
		.exec = (flags & PF_X) != 0,
	};
	if (seg->write && seg->exec) {
		text_printf(why, "the segment at 0x%lx is both writable and executable", seg->vaddr);
		return ERR_INVAL;
	}
	if (!is_aligned(seg->vaddr, PAGE_SIZE) || seg->vaddr < BOOT_KERNEL_BASE || mem_bytes > BOOT_KERNEL_MAX ||
	    seg->vaddr - BOOT_KERNEL_BASE > BOOT_KERNEL_MAX - mem_bytes) {
		text_printf(why, "a segment of 0x%lx bytes at 0x%lx, want whole pages from 0x%lx to 0x%lx", mem_bytes,
			    seg->vaddr, BOOT_KERNEL_BASE, BOOT_KERNEL_BASE + BOOT_KERNEL_MAX);
		return ERR_RANGE;
	}
	if (seg->file_bytes > mem_bytes || seg->file_offset > r->size || seg->file_bytes > r->size - seg->file_offset) {
		text_printf(why, "the segment at 0x%lx takes bytes 0x%lx to 0x%lx of a file of 0x%zx", seg->vaddr,
			    seg->file_offset, seg->file_offset + seg->file_bytes, r->size);
		return ERR_TRUNCATED;
	}
	seg->mem_bytes = align_up(mem_bytes, PAGE_SIZE);
	return ERR_OK;
}

/* Segments must ascend, as the ABI demands of PT_LOAD, and share no page. */
static enum err add_segment(struct boot_elf *plan, const struct boot_elf_segment *seg, struct text *why)
{
	uint64_t offset = seg->vaddr - BOOT_KERNEL_BASE;

	if (seg->mem_bytes == 0) {
		return ERR_OK;
	}
	if (plan->count == BOOT_ELF_SEGMENTS_MAX) {
		text_printf(why, "more than %u segments to load", BOOT_ELF_SEGMENTS_MAX);
		return ERR_LIMIT;
	}
	if (offset < plan->size) {
		text_printf(why, "the segment at 0x%lx begins before the end of the one before it", seg->vaddr);
		return ERR_FORMAT;
	}
	plan->segments[plan->count++] = *seg;
	plan->size = offset + seg->mem_bytes;
	return ERR_OK;
}

static bool entry_executable(const struct boot_elf *plan)
{
	for (unsigned i = 0; i < plan->count; i++) {
		const struct boot_elf_segment *seg = &plan->segments[i];

		if (seg->exec && plan->entry >= seg->vaddr && plan->entry - seg->vaddr < seg->file_bytes) {
			return true;
		}
	}
	return false;
}

enum err boot_elf_plan(const void *file, size_t size, struct boot_elf *plan, struct text *why)
{
	struct reader r = reader_make(file, size);
	enum err e = check_header(&r, why);

	if (e != ERR_OK) {
		return e;
	}
	uint64_t table = reader_peek(&r, EHDR_PHOFF, 8);
	uint64_t count = reader_peek(&r, EHDR_PHNUM, 2);

	memset(plan, 0, sizeof(*plan));
	plan->entry = reader_peek(&r, EHDR_ENTRY, 8);
	if (table > size || count * PHDR_BYTES > size - table) {
		text_printf(why, "%lu program headers at 0x%lx of a file of 0x%zx bytes", count, table, size);
		return ERR_TRUNCATED;
	}
	for (uint64_t i = 0; i < count; i++) {
		size_t at = table + i * PHDR_BYTES;
		struct boot_elf_segment seg;

		if (reader_peek(&r, at + PHDR_TYPE, 4) != PT_LOAD) {
			continue;
		}
		e = read_segment(&r, at, &seg, why);
		e = e != ERR_OK ? e : add_segment(plan, &seg, why);
		if (e != ERR_OK) {
			return e;
		}
	}
	if (!entry_executable(plan)) {
		text_printf(why, "the entry point 0x%lx is in no executable segment", plan->entry);
		return ERR_RANGE;
	}
	return ERR_OK;
}
