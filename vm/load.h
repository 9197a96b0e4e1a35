/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loaders share: between vm/image.c and vm/load*.c only. */
#pragma once

#include "kernel/lib/reader.h"
#include "kernel/lib/string.h"
#include "vm/image.h"

/* A part of guest memory, as memory maps tell it; the types of e820 and of PVH's memory map are the same. */
#define LOAD_MAP_RAM		1u
#define LOAD_MAP_RESERVED	2u
#define LOAD_MAP_MAX		6u

struct load_range {
	uint64_t base, size;
	uint32_t type;
};

struct load {
	struct gmem *mem;
	const struct image_files *files;
	struct virt_start *start;
	struct load_error *why;
	gpa_t rsdp;
	uint64_t image_end;	/* first byte after the image in RAM: initrd and modules lie above */
	uint64_t top;		/* blobs are placed downwards from here */
	uint64_t cmdline_used;	/* bytes of the command line area */
};

/* Each notes the reason and returns e. */
enum err load_fail(struct load *l, enum err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Fills map with the guest's memory map; returns how many. */
unsigned load_map(const struct gmem *g, struct load_range map[LOAD_MAP_MAX]);

/* Reserves nothing, checks only: may `what` lie at [at, at + size) (above 1 MiB, in RAM below 4 GiB)? */
enum err load_check_range(struct load *l, const char *what, uint64_t at, uint64_t size);

/* Copies what may be large to RAM. False: not all of it is RAM. */
bool load_put(struct load *l, uint64_t at, const void *data, size_t size);

/* Sets a field of the information that a kernel is started with: the low width bytes. */
static inline void load_set(uint8_t *page, size_t at, uint64_t value, unsigned width)
{
	memcpy(page + at, &value, width);
}

/* Copies a blob page aligned below l->top and above the image; *at says where. */
enum err load_blob(struct load *l, const char *what, const struct image_blob *blob, uint64_t *at);

/* The same, upwards: right above the image, which then ends after the blob. */
enum err load_blob_above(struct load *l, const char *what, const struct image_blob *blob, uint64_t *at);

/* Copies a command line of at most limit bytes; *at is 0 for an empty one. */
enum err load_cmdline(struct load *l, const char *what, const char *text, size_t limit, uint64_t *at);

/* Copies a command line that starts with a file's name, as Multiboot loaders pass it. */
enum err load_command(struct load *l, const char *what, const char *name, const char *text, uint64_t *at);

/*
 * What kernels that started under a BIOS look for below 1 MiB: where low memory ends, and interrupt vectors whose
 * handler says "no such function" (carry set), for there is no BIOS behind them.
 */
bool load_bios_area(struct gmem *g);

/* Flat GDT and start state: selectors 0x10 and 0x18; for LONG64 also the identity map of the low 4 GiB. */
enum err load_start(struct load *l, enum virt_mode mode, uint64_t rip);

enum err load_linux(struct load *l);
enum err load_pvh(struct load *l);
enum err load_multiboot(struct load *l);

/* Where a Multiboot header lies in the file; false when it has none. */
bool load_multiboot_header(struct reader *r, size_t *at);

/* Finds the PVH entry point; false when the ELF has no such note. */
bool load_pvh_entry(struct reader *r, uint64_t *entry);

/* --- load_elf.c: program headers of either class, in one form. */
#define LOAD_ELF_MAGIC		0x464c457fu	/* "\177ELF" */
#define LOAD_ELF_SEGMENTS_MAX	64u
#define LOAD_ELF_PT_LOAD	1u

struct load_elf {
	struct reader file;
	bool wide;		/* ELF64 */
	uint64_t entry, phoff;
	unsigned phnum, phentsize, machine;
};

struct load_elf_segment {
	uint64_t type, offset, linear, at, file_bytes, mem_bytes, align;
};

struct load_elf load_elf_open(struct reader *r);
/* Program header i; type 0 (PT_NULL) where the file ends before it. */
struct load_elf_segment load_elf_segment(struct load_elf *f, unsigned i);
/* Checks the headers and loads the PT_LOAD segments; `what` is the entry's name, which must lie in one. */
enum err load_elf(struct load *l, struct load_elf *f, const char *what, uint64_t entry);
