/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the index of ports and carries accesses out, split into bytes where needed. */
#include "vm/vports.h"

static bool takes(const struct vports_row *row, uint16_t port, unsigned size)
{
	return (row->sizes & size) && port + size - 1 <= row->last;
}

enum err vports_init(struct vports *v, const struct vports_row *rows, size_t count, void *ctx)
{
	*v = (struct vports){ .rows = rows, .end = rows, .ctx = ctx };
	if (count > VPORTS_ROWS_MAX) {
		return ERR_LIMIT;
	}
	v->end = rows + count;
	for (unsigned i = 0; i < count; i++) {
		const struct vports_row *row = &rows[i];

		if (row->first > row->last || row->sizes == 0 || (i > 0 && row->first <= rows[i - 1].last)) {
			return ERR_INVAL;
		}
		for (unsigned g = row->first >> VPORTS_GRANULE_SHIFT; g <= row->last >> VPORTS_GRANULE_SHIFT; g++) {
			v->index[g] = v->index[g] != 0 ? v->index[g] : (uint8_t)(i + 1);
		}
	}
	return ERR_OK;
}

static uint32_t read_row(struct vports *v, const struct vports_row *row, uint16_t port, unsigned size)
{
	if (row == NULL || row->read == NULL) {
		return vports_ones(size);
	}
	return row->read(v->ctx, port, size) & vports_ones(size);
}

static void write_row(struct vports *v, const struct vports_row *row, uint16_t port, unsigned size, uint32_t value)
{
	if (row != NULL && row->write != NULL) {
		row->write(v->ctx, port, size, value & vports_ones(size));
	}
}

bool vports_read(struct vports *v, uint16_t port, unsigned size, uint32_t *value)
{
	const struct vports_row *row = vports_find(v, port);

	if (row == NULL) {
		vports_count_unclaimed(v);
		*value = vports_ones(size);
		return false;
	}
	if (takes(row, port, size)) {
		*value = read_row(v, row, port, size);
		return true;
	}
	*value = 0;
	for (unsigned i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(port + i);

		row = vports_find(v, at);
		*value |= (row != NULL && !takes(row, at, 1) ? 0xff : read_row(v, row, at, 1)) << (8 * i);
	}
	return true;
}

bool vports_write(struct vports *v, uint16_t port, unsigned size, uint32_t value)
{
	const struct vports_row *row = vports_find(v, port);

	if (row == NULL) {
		vports_count_unclaimed(v);
		return false;
	}
	if (takes(row, port, size)) {
		write_row(v, row, port, size, value);
		return true;
	}
	for (unsigned i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(port + i);

		row = vports_find(v, at);
		if (row != NULL && takes(row, at, 1)) {
			write_row(v, row, at, 1, value >> (8 * i));
		}
	}
	return true;
}
