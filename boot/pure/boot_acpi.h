/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables that the front program installs: which of the firmware's and of the given ones make the new list, and the
 * few bytes that tie them together (ACPI 6.5 sections 5.2.5 RSDP, 5.2.8 XSDT, 5.2.9 FADT).
 * Addresses are those of memory mapped one to one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/err.h"

#define BOOT_ACPI_TABLES_MAX	96u
#define BOOT_ACPI_NAME_BYTES	4u
/* RSDP at 0 and XSDT at 64: what boot_acpi_publish() writes, at most. */
#define BOOT_ACPI_ROOT_BYTES	(64u + 36u + 8u * BOOT_ACPI_TABLES_MAX)

struct boot_acpi_table {
	char name[BOOT_ACPI_NAME_BYTES];	/* of the file, or the signature of the firmware's */
	uint64_t at;
	uint64_t size;				/* of the file; 0 for the firmware's */
};

struct boot_acpi_list {
	unsigned count;
	struct boot_acpi_table tables[BOOT_ACPI_TABLES_MAX];
};

/* Tables that the firmware's root pointer leads to. Nothing is taken from a root that makes no sense. */
void boot_acpi_firmware(uint64_t rsdp, struct boot_acpi_list *list);

/* ERR_LIMIT: the list is full. */
enum err boot_acpi_add(struct boot_acpi_list *list, struct boot_acpi_table table);
const struct boot_acpi_table *boot_acpi_find(const struct boot_acpi_list *list, const char name[4]);

/* True for those that stay the machine's own: FACP, DSDT, FACS, and the roots. */
bool boot_acpi_machine_owned(const char name[4]);

/*
 * out: the machine's tables without those that `given` names too, then all of `given`; of `given`, none that stays the
 * machine's own.
 */
enum err boot_acpi_merge(const struct boot_acpi_list *machine, const struct boot_acpi_list *given,
			 struct boot_acpi_list *out);

/* Points a FADT of that many bytes at DSDT and FACS (below 4 GiB). ERR_TRUNCATED: it is too short to hold them. */
enum err boot_acpi_patch_fadt(void *fadt, size_t size, uint64_t dsdt, uint64_t facs);

/* Writes RSDP (at root) and XSDT for the list; DSDT and FACS are left out, as FADT leads to them. */
void boot_acpi_publish(void *root, const struct boot_acpi_list *list);
