/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own page tables. Nothing is ever mapped writable and executable at once, and the direct map's alias
 * of the kernel's code and constants is read-only too.
 *
 *	ffff8000_00000000	direct map of RAM (free, kept, ACPI)	RW NX
 *	ffffc000_00000000	device registers, uncached		RW NX
 *	ffffd000_00000000	stacks, 64 KiB apart, guard pages between	RW NX
 *	ffffffff_80000000	kernel: text RX, constants R NX, data RW NX
 *
 * Another cpu starts on a root of its own (paging_make_start_root), which also maps the start-up code:
 *	one page below 1 MiB	trampoline, identity			RX
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/boot_info.h"
#include "kernel/lib/addr.h"

#define DIRECT_BASE	BOOT_DIRECT_BASE
#define MMIO_BASE	0xffffc00000000000ul
#define STACK_BASE	0xffffd00000000000ul
#define STACK_STRIDE	0x10000ul
#define STACK_PAGES	4u		/* 16 KiB: the deepest path is a panic inside a shell command */
#define STACK_KINDS	4u		/* main, NMI, double fault, machine check */

/* Builds the tables from the boot memory map and switches this cpu to them. mem must be up. */
void paging_init(const struct boot_info *info);
/* Loads the same tables and protection bits on an application processor. */
void paging_init_cpu(void);
uint64_t paging_cr3(void);

/* Maps size bytes of device registers uncached; for good. NULL when there is no memory for tables. */
void *paging_map_mmio(hpa_t at, size_t size);
/* The same, write-combining. */
void *paging_map_framebuffer(hpa_t at, size_t size);
/* A stack of STACK_PAGES from node, with unmapped pages on both sides. Its top, or 0 when there is no memory. */
uint64_t paging_map_stack(unsigned cpu, unsigned kind, unsigned node);
/* Is va inside the guard pages of some stack? */
bool paging_is_guard(uint64_t va);
/*
 * Makes the page `root` a top table like the hypervisor's that also maps the page `code` at its own address, readable
 * and executable. For good: a cpu that starts late still finds it. False when there is no memory for tables.
 */
bool paging_make_start_root(hpa_t root, hpa_t code);
