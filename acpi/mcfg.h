/* SPDX-License-Identifier: BSD-2-Clause */
/* MCFG: where PCI configuration space is memory mapped (PCI Firmware Specification 3.3, 4.1.2). */
#pragma once

#include "acpi/acpi.h"

#define MCFG_SIGNATURE	"MCFG"
#define MCFG_SIZE_MIN	44u	/* bytes: header and 8 reserved ones */

struct mcfg_range {
	uint64_t base;			/* of bus 0, also where first_bus is not 0 */
	uint16_t segment;
	uint8_t first_bus, last_bus;	/* last_bus is part of the range */
};

struct mcfg {
	struct reader ranges;
};

/* table is whole and has passed acpi_check(); size is its length. */
enum err mcfg_open(struct mcfg *m, const void *table, size_t size);
/* The next range; false at the end. One that ends before it begins is passed over. */
bool mcfg_next(struct mcfg *m, struct mcfg_range *range);
