/* SPDX-License-Identifier: BSD-2-Clause */
/* The HPET table's fields. */
#include "acpi/hpet.h"

#define ID_AT		36u
#define BASE_AT		40u
#define NUMBER_AT	52u
#define MIN_TICK_AT	53u

enum err hpet_read(struct hpet *h, const void *table, size_t size)
{
	struct reader r;
	enum err e = acpi_reader(&r, table, size, HPET_SIGNATURE, HPET_SIZE_MIN);

	*h = (struct hpet){ 0 };
	if (e != ERR_OK) {
		return e;
	}
	h->id = (uint32_t)reader_peek(&r, ID_AT, 4);
	h->base = acpi_gas(&r, BASE_AT);
	h->number = (uint8_t)reader_peek(&r, NUMBER_AT, 1);
	h->min_tick = (uint16_t)reader_peek(&r, MIN_TICK_AT, 2);
	return ERR_OK;
}
