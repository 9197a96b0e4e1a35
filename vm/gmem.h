/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's RAM: where it lies for the guest and which host memory is behind it.
 *
 *	guest-physical	0 .. min(size, 3 GiB)		RAM
 *			3 GiB .. 4 GiB			no RAM: I/O APIC, local APIC, whatever devices want
 *			4 GiB .. 4 GiB + rest		RAM
 *
 * Block i holds bytes [i * 2 MiB, (i + 1) * 2 MiB) of RAM, counted without the hole; the last one may be shorter.
 * All accesses by the hypervisor go through here, so nothing outside the VM's own RAM can be named.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/addr.h"
#include "kernel/lib/err.h"
#include "kernel/lib/util.h"

#define GMEM_LOW_MAX	(3 * GIB)	/* RAM below 4 GiB ends here at the latest */
#define GMEM_HIGH_BASE	(4 * GIB)

struct gmem {
	uint64_t size;			/* bytes of RAM, page multiple */
	uint64_t low_size;		/* bytes of it below 4 GiB */
	hpa_t *block;			/* the caller's array; HPA_NONE: nothing there (yet) */
	unsigned block_count;
};

/* Blocks that size bytes of RAM take. */
static inline uint64_t gmem_blocks(uint64_t size)
{
	return size / LARGE_SIZE + (size % LARGE_SIZE != 0);
}

/* Where RAM above 4 GiB ends (GMEM_HIGH_BASE when there is none). */
static inline uint64_t gmem_high_end(const struct gmem *g)
{
	return GMEM_HIGH_BASE + (g->size - g->low_size);
}

/* ERR_INVAL: size is 0 or not a page multiple; ERR_RANGE: block_count is not what size takes. */
enum err gmem_init(struct gmem *g, uint64_t size, hpa_t *block, unsigned block_count);

/* Is all of [at, at + len) RAM? True for len 0 anywhere. */
bool gmem_contains(const struct gmem *g, gpa_t at, uint64_t len);

/* The host-physical address behind one guest-physical one; HPA_NONE outside RAM. */
hpa_t gmem_hpa(const struct gmem *g, gpa_t at);

/* A pointer to [at, at + len), len > 0; NULL outside RAM or where it crosses a block. */
void *gmem_ptr(const struct gmem *g, gpa_t at, size_t len);

/* Copies that may cross blocks. False, with nothing changed, when part of the range is not RAM. */
bool gmem_read(const struct gmem *g, gpa_t at, void *to, size_t len);
bool gmem_write(const struct gmem *g, gpa_t at, const void *from, size_t len);
bool gmem_zero(const struct gmem *g, gpa_t at, uint64_t len);
