/* SPDX-License-Identifier: BSD-2-Clause */
/* What arch needs to know of the machine's fixed hardware, gathered from ACPI (kernel/platform.c); plain values. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "kernel/topology.h"

#define PLATFORM_IOAPIC_MAX	16u
#define PLATFORM_PCI_MAX	32u

struct platform {
	uint16_t pm_timer;		/* I/O port; 0: none */
	uint16_t pm1a_control, pm1b_control;
	bool has_s5;
	uint8_t s5_type_a, s5_type_b;
	uint32_t smi_command;		/* port; 0: the machine is always in ACPI mode */
	uint8_t acpi_enable;
	bool has_reset;			/* an I/O port or memory register */
	bool reset_is_memory;
	uint64_t reset_address;
	uint8_t reset_value;
	uint8_t century;		/* the century's register in the CMOS clock; 0: none */
	bool has_8259;
	uint16_t serial_port;		/* COM1, or the I/O port that SPCR names */
	uint32_t serial_gsi;
	bool serial_level, serial_low;
	unsigned ioapic_count;
	struct {
		uint64_t address;
		uint32_t gsi_base;
	} ioapic[PLATFORM_IOAPIC_MAX];
	unsigned pci_count;		/* configuration spaces in memory, of the segments that no I/O port reaches: all but 0 */
	struct {
		uint64_t base;		/* of bus 0 */
		uint8_t first_bus, last_bus;
	} pci[PLATFORM_PCI_MAX];
};

/*
 * Reads the tables that rsdp leads to (0: none), through the direct map of direct_size bytes: fills p with defaults of
 * a PC where a table is missing, and *tables with where MADT, SRAT and SLIT lie. Says on the log what is wrong.
 */
void platform_read(struct platform *p, struct topology_tables *tables, uint64_t rsdp, uint64_t direct_size);
