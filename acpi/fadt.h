/* SPDX-License-Identifier: BSD-2-Clause */
/* FADT: power, reset and timer registers (ACPI 6.5, 5.2.9). Takes every revision, from ACPI 1.0's 116 bytes on. */
#pragma once

#include "acpi/acpi.h"

#define FADT_SIGNATURE	"FACP"
#define FADT_SIZE_MIN	116u	/* bytes, revision 1 */

struct fadt {
	uint8_t revision;
	uint16_t sci_irq;
	uint32_t smi_command;			/* port; 0: the machine is always in ACPI mode */
	uint8_t acpi_enable;		/* what to write to it */
	/* Wide fields where they are there and not 0, else the 32-bit ports. address 0: not there. */
	struct acpi_gas pm1a_event;
	struct acpi_gas pm1a_control, pm1b_control;
	struct acpi_gas pm_timer;
	bool pm_timer_is_32bit;			/* else 24 bits count */
	bool has_reset;
	struct acpi_gas reset;
	uint8_t reset_value;
	bool hw_reduced;			/* no PM1 blocks, no PM timer: the sleep registers instead */
	struct acpi_gas sleep_control, sleep_status;
	uint64_t dsdt;				/* physical address */
	uint32_t flags;
	bool has_boot_flags;			/* false in ACPI 1.0's table: then all legacy devices are there */
	bool has_legacy_devices, has_8042, no_vga;
	uint16_t boot_flags;
	uint8_t century;			/* its index in the RTC's RAM, or 0 */
};

/* table is whole and has passed acpi_check(); size is its length. */
enum err fadt_read(struct fadt *f, const void *table, size_t size);
