/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader's state and its steps, in the order in which main.c takes them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot_info.h"
#include "boot/pure/boot_elf.h"
#include "boot/pure/boot_paging.h"
#include "boot/uefi.h"

/* Allocations: the files, and a few of the loader's own (page tables come in chunks). */
#define LOADER_OWN_MAX	(BOOT_FILES_MAX + 64)

/* What is handed over, in one piece of kept memory. */
struct loader_payload {
	struct boot_info info;
	struct boot_file files[BOOT_FILES_MAX];
};

struct loader {
	struct uefi fw;
	struct text log;
	struct loader_payload *payload;
	struct boot_elf elf;
	bool giant_pages;
	struct boot_mem own[LOADER_OWN_MAX];
	unsigned own_count;
	struct boot_paging paging;
	uint64_t table_pages;		/* the chunk of page-table pages in use, and what is left of it */
	unsigned table_pages_left;
	uint64_t stack_top;		/* virtual, in the direct map */
	/* The memory map's buffers, made before leaving boot services because nothing can be made after. */
	void *descriptors;
	UINTN descriptors_room, descriptors_bytes, stride;
	struct boot_mem *work, *map;
	size_t work_max, map_max;
};

/* memory.c: whole pages, recorded in `own` so that the map handed over says what they are. 0: no memory. */
void memory_begin(struct loader *l);	/* own[0] is the jump page, a part of this program */
uint64_t memory_alloc(struct loader *l, uint64_t bytes, enum boot_mem_kind kind);
uint64_t memory_alloc_large(struct loader *l, uint64_t bytes, enum boot_mem_kind kind);	/* 2 MiB aligned */
/* Gives all of it back, when the boot failed. */
void memory_free_all(struct loader *l);
/* Takes back the most recent allocation. */
void memory_free_last(struct loader *l);

/* cpu.c: what the cpu must have. False, and said why, where it has not. */
bool cpu_check(struct loader *l);

/* kernel.c: the embedded kernel into memory. */
bool kernel_load(struct loader *l);

/* handoff.c */
bool handoff_prepare(struct loader *l);		/* page tables, map buffers, stack */
void handoff_find_framebuffer(struct loader *l);
bool handoff_leave(struct loader *l);		/* returns only where boot services could not be left */

/* files.c: the manifest and the files it names. What cannot be read is reported and left out. */
bool files_load(struct loader *l);
