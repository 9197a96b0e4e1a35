/* SPDX-License-Identifier: BSD-2-Clause */
/* SPCR: the serial port that the firmware uses as its console (Microsoft, Serial Port Console Redirection Table). */
#pragma once

#include "acpi/acpi.h"

#define SPCR_SIGNATURE	"SPCR"
#define SPCR_SIZE_MIN	80u	/* bytes, revision 1 */

struct spcr {
	uint8_t revision;
	uint8_t type;			/* the raw interface type */
	bool is_16550;			/* it takes a 16550's registers */
	struct acpi_gas base;		/* address 0: redirection is off */
	uint32_t stride_bytes;		/* from one register to the next */
	uint32_t baud;			/* 0: leave as it is */
	bool has_irq, has_gsi;
	uint8_t irq;			/* of the 8259s */
	uint32_t gsi;
	bool is_pci;
	uint8_t bus, device, function;
};

/* table is whole and has passed acpi_check(); size is its length. */
enum err spcr_read(struct spcr *s, const void *table, size_t size);
