/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's RAM over blocks of host memory. */
#include "vm/gmem.h"

#include "kernel/arch.h"
#include "kernel/lib/string.h"

enum err gmem_init(struct gmem *g, uint64_t size, hpa_t *block, unsigned block_count)
{
	if (size == 0 || !is_aligned(size, PAGE_SIZE)) {
		return ERR_INVAL;
	}
	if (gmem_blocks(size) != block_count) {
		return ERR_RANGE;
	}
	*g = (struct gmem){
		.size = size,
		.low_size = MIN(size, GMEM_LOW_MAX),
		.block = block,
		.block_count = block_count,
	};
	return ERR_OK;
}

/* How many bytes of RAM lie at and above `at` without a hole; *offset is where in RAM they start. */
static uint64_t run_at(const struct gmem *g, gpa_t at, uint64_t *offset)
{
	if (at.v < g->low_size) {
		*offset = at.v;
		return g->low_size - at.v;
	}
	if (at.v >= GMEM_HIGH_BASE && at.v < gmem_high_end(g)) {
		*offset = g->low_size + (at.v - GMEM_HIGH_BASE);
		return g->size - *offset;
	}
	return 0;
}

bool gmem_contains(const struct gmem *g, gpa_t at, uint64_t len)
{
	uint64_t offset;

	return run_at(g, at, &offset) >= len;
}

hpa_t gmem_hpa(const struct gmem *g, gpa_t at)
{
	uint64_t offset;
	hpa_t base;

	if (run_at(g, at, &offset) == 0) {
		return HPA_NONE;
	}
	base = g->block[offset / LARGE_SIZE];
	return hpa_is_none(base) ? HPA_NONE : hpa(base.v + offset % LARGE_SIZE);
}

void *gmem_ptr(const struct gmem *g, gpa_t at, size_t len)
{
	hpa_t start;

	/* Blocks are aligned in guest-physical space too: both parts of RAM start on a 2 MiB boundary. */
	if (len == 0 || len > LARGE_SIZE - at.v % LARGE_SIZE || !gmem_contains(g, at, len)) {
		return NULL;
	}
	start = gmem_hpa(g, at);
	return hpa_is_none(start) ? NULL : arch_direct(start);
}

static uint64_t piece_len(gpa_t at, uint64_t len)
{
	return MIN(len, LARGE_SIZE - at.v % LARGE_SIZE);
}

/* RAM, and with memory behind every block of it? */
static bool backed(const struct gmem *g, gpa_t at, uint64_t len)
{
	if (!gmem_contains(g, at, len)) {
		return false;
	}
	while (len > 0) {
		uint64_t piece = piece_len(at, len);

		if (hpa_is_none(gmem_hpa(g, at))) {
			return false;
		}
		at.v += piece;
		len -= piece;
	}
	return true;
}

bool gmem_read(const struct gmem *g, gpa_t at, void *to, size_t len)
{
	uint8_t *out = to;

	if (!backed(g, at, len)) {
		return false;
	}
	while (len > 0) {
		size_t piece = piece_len(at, len);

		memcpy(out, gmem_ptr(g, at, piece), piece);
		at.v += piece;
		out += piece;
		len -= piece;
	}
	return true;
}

bool gmem_write(const struct gmem *g, gpa_t at, const void *from, size_t len)
{
	const uint8_t *in = from;

	if (!backed(g, at, len)) {
		return false;
	}
	while (len > 0) {
		size_t piece = piece_len(at, len);

		memcpy(gmem_ptr(g, at, piece), in, piece);
		at.v += piece;
		in += piece;
		len -= piece;
	}
	return true;
}

bool gmem_zero(const struct gmem *g, gpa_t at, uint64_t len)
{
	if (!backed(g, at, len)) {
		return false;
	}
	while (len > 0) {
		size_t piece = piece_len(at, len);

		memset(gmem_ptr(g, at, piece), 0, piece);
		at.v += piece;
		len -= piece;
	}
	return true;
}
