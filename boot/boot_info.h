/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the UEFI application hands to the kernel: the one contract between boot/ and the rest.
 *
 * At the kernel's entry point (ELF e_entry, a virtual address):
 *   RDI = physical address of struct boot_info; interrupts off; boot services are gone; long mode, 4-level paging,
 *   CR0.WP and EFER.NXE set; the stack is the loader's and small: the kernel switches to its own at once.
 *   CR3 = tables made by the loader:
 *     BOOT_DIRECT_BASE + p  ->  p for every physical p from 0 to boot_info.direct_size, writable, no-execute
 *     the kernel's ELF segments at their link addresses, with their own permissions (never W and X at once)
 *     one executable page, identity mapped, that holds the jump
 *   The kernel builds tables of its own and drops these.
 * All pointers are physical addresses, all texts are NUL-terminated, all memory named here is of kind BOOT_MEM_KEPT.
 */
#pragma once

#include <stdint.h>

#define BOOT_INFO_MAGIC		0x4f464e494e524154ul	/* "TARNINFO" */
#define BOOT_INFO_VERSION	1u
#define BOOT_DIRECT_BASE	0xffff800000000000ul
#define BOOT_NAME_MAX		64u
#define BOOT_FILES_MAX		64u

enum boot_mem_kind {
	BOOT_MEM_FREE,		/* conventional, boot services code and data, loader code */
	BOOT_MEM_RECLAIM,	/* the loader's own page tables and jump page: free once the kernel has its own tables */
	BOOT_MEM_KEPT,		/* kernel image, boot_info and all that it points to, guest files */
	BOOT_MEM_ACPI,		/* ACPI tables (reclaimable or NVS): readable RAM, never given out */
	BOOT_MEM_RESERVED,	/* RAM the firmware keeps (runtime services, unusable, persistent) */
	BOOT_MEM_MMIO,
};

struct boot_mem {
	uint64_t base;		/* page aligned, bytes */
	uint64_t length;	/* page multiple, bytes, > 0 */
	uint32_t kind;		/* enum boot_mem_kind */
	uint32_t reserved;
};

/* A file of \tarn\ read into memory. The data starts on a page boundary. */
struct boot_file {
	char name[BOOT_NAME_MAX];	/* as the manifest names it */
	uint64_t base;
	uint64_t size;			/* bytes */
};

/* Linear framebuffer, 32 bits a pixel; base 0 where there is none. */
struct boot_framebuffer {
	uint64_t base;
	uint32_t width, height;		/* pixels */
	uint32_t stride;		/* pixels a line */
	uint32_t bgr;			/* 1: blue is the lowest byte, 0: red is */
};

struct boot_info {
	uint64_t magic;
	uint32_t version;
	uint32_t size;			/* sizeof(struct boot_info) */
	uint64_t rsdp;			/* 0: the firmware publishes none */
	uint64_t kernel_base;		/* physical start of the loaded kernel image, contiguous, 2 MiB aligned */
	uint64_t kernel_size;		/* bytes, page multiple */
	uint64_t direct_size;		/* bytes that the direct map covers */
	uint64_t mem;			/* -> struct boot_mem[mem_count], ascending, not overlapping */
	uint32_t mem_count;
	uint32_t file_count;
	uint64_t files;			/* -> struct boot_file[file_count] */
	uint64_t manifest;		/* text of \tarn\tarn.conf; 0: there is none */
	uint64_t manifest_size;		/* bytes, without the NUL that follows */
	uint64_t log;			/* what the loader printed, text with \n */
	uint64_t log_size;		/* bytes, without the NUL that follows */
	uint64_t handoff_tsc;		/* TSC right after ExitBootServices */
	struct boot_framebuffer framebuffer;
};

_Static_assert(sizeof(struct boot_mem) == 24, "boot_mem layout");
_Static_assert(sizeof(struct boot_file) == 80, "boot_file layout");
_Static_assert(sizeof(struct boot_info) == 136, "boot_info layout");
