/* SPDX-License-Identifier: BSD-2-Clause */
/* HPET: where the event timer block lies (IA-PC HPET 1.0a, 3.2.4). */
#pragma once

#include "acpi/acpi.h"

#define HPET_SIGNATURE	"HPET"
#define HPET_SIZE_MIN	56u	/* bytes */

struct hpet {
	uint32_t id;			/* bits 31-16 vendor, 13: 64-bit counter, 12-8 comparators - 1, 7-0 revision */
	struct acpi_gas base;
	uint8_t number;
	uint16_t min_tick;		/* counts; below that a periodic timer may lose ticks */
};

/* table is whole and has passed acpi_check(); size is its length. */
enum err hpet_read(struct hpet *h, const void *table, size_t size);
