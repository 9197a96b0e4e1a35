/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a loader puts what it hands to a guest: low memory that guests treat as free once they have read it. The
 * image itself, initrd and modules lie at or above VMAP_HIGH_RAM_BASE.
 *
 *	0x00000  real mode vectors: all at the stub
 *	0x00400  BIOS data: port of COM1, where low memory ends
 *	0x00500  stub: what answers calls of a BIOS that is not there
 *	0x01000  GDT
 *	0x02000  boot_params (Linux) or hvm_start_info, module list, memory map (PVH)
 *	0x03000  page tables: PML4, PDPT, 4 page directories (long mode start)
 *	0x0a000  start-up stack, downwards
 *	0x0a000  command line, then those of modules
 *	0x10000  free
 */
#pragma once

#define LOAD_BDA_COM1		0x00400ul	/* 2: port */
#define LOAD_BDA_EBDA		0x0040eul	/* 2: segment of the extended BIOS data area */
#define LOAD_BDA_BASE_KIB	0x00413ul	/* 2: KiB of low memory */
#define LOAD_BIOS_STUB		0x00500ul
#define LOAD_GDT		0x01000ul
#define LOAD_INFO		0x02000ul
#define LOAD_INFO_BYTES		0x01000ul
#define LOAD_PAGE_TABLES	0x03000ul	/* 6 pages */
#define LOAD_STACK_TOP		0x0a000ul
#define LOAD_CMDLINE		0x0a000ul
#define LOAD_CMDLINE_BYTES	0x06000ul	/* all of them, with their terminators */
#define LOAD_MIN_BYTES		0x100000ul	/* RAM a guest must have at the least */

#define LOAD_GDT_BYTES		0x20u		/* selectors: 0x10 code, 0x18 data */
