/* SPDX-License-Identifier: BSD-2-Clause */
/* 4-level page tables, built through an abstract page allocator so that the host can build and walk them too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/err.h"

enum {
	BOOT_PAGING_WRITE	= 1u << 0,
	BOOT_PAGING_EXEC	= 1u << 1,
};

struct boot_paging {
	/* A zeroed page's physical address, or 0: no memory. */
	uint64_t (*alloc)(void *context);
	/* Where the builder can write the page at that address. */
	uint64_t *(*at)(void *context, uint64_t page);
	void *context;
	bool giant;	/* 1 GiB pages may be used (CPUID 80000001H EDX[26]) */
	uint64_t root;	/* physical address of the top table (CR3) */
};

/* Makes an empty top table. */
enum err boot_paging_init(struct boot_paging *p);

/*
 * Maps [va, va + bytes) to [pa, pa + bytes) with the largest pages that alignment allows. ERR_INVAL: not whole pages,
 * or W and X at once; ERR_EXIST: part of it is mapped already; ERR_NOMEM. After an error the tables are of no use.
 */
enum err boot_paging_map(struct boot_paging *p, uint64_t va, uint64_t pa, uint64_t bytes, unsigned flags);
