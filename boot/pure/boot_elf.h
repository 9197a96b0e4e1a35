/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's ELF file: checked, and turned into a plan of what to copy where with which permissions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "kernel/lib/format.h"

#define BOOT_KERNEL_BASE	0xffffffff80000000ul	/* where linker.ld links it */
#define BOOT_KERNEL_MAX		(256ul << 20)		/* bytes from there on */
#define BOOT_ELF_SEGMENTS_MAX	8u

struct boot_elf_segment {
	uint64_t vaddr;		/* page aligned */
	uint64_t file_offset;
	uint64_t file_bytes;
	uint64_t mem_bytes;	/* page multiple; what the file does not fill is zero */
	bool write, exec;	/* never both */
};

struct boot_elf {
	uint64_t entry;		/* virtual, inside an executable segment */
	uint64_t size;		/* bytes from BOOT_KERNEL_BASE to the end of the last segment, page multiple */
	unsigned count;
	struct boot_elf_segment segments[BOOT_ELF_SEGMENTS_MAX];	/* ascending, not overlapping */
};

/* ERR_OK, or what is wrong with the file, with the details appended to why. */
enum err boot_elf_plan(const void *file, size_t size, struct boot_elf *plan, struct text *why);
