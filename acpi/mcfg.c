/* SPDX-License-Identifier: BSD-2-Clause */
/* The MCFG's ranges. */
#include "acpi/mcfg.h"

#define RANGE_SIZE	16u

enum err mcfg_open(struct mcfg *m, const void *table, size_t size)
{
	enum err e = acpi_reader(&m->ranges, table, size, MCFG_SIGNATURE, MCFG_SIZE_MIN);

	if (e == ERR_OK) {
		reader_skip(&m->ranges, MCFG_SIZE_MIN);
	}
	return e;
}

bool mcfg_next(struct mcfg *m, struct mcfg_range *range)
{
	while (reader_left(&m->ranges) >= RANGE_SIZE) {
		struct reader r = reader_sub(&m->ranges, RANGE_SIZE);

		range->base = reader_u64(&r);
		range->segment = reader_u16(&r);
		range->first_bus = reader_u8(&r);
		range->last_bus = reader_u8(&r);
		if (range->first_bus <= range->last_bus) {
			return true;
		}
	}
	return false;
}
