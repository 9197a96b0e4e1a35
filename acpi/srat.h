/* SPDX-License-Identifier: BSD-2-Clause */
/* SRAT: which proximity domain cpus and memory ranges belong to (ACPI 6.5, 5.2.16). Copy the struct to walk again. */
#pragma once

#include "acpi/acpi.h"
#include "acpi/entries.h"

#define SRAT_SIGNATURE	"SRAT"
#define SRAT_SIZE_MIN	48u	/* bytes: header and 12 reserved ones */

enum srat_kind {
	SRAT_CPU,		/* types 0 and 2 */
	SRAT_MEMORY,		/* type 1 */
	SRAT_SHORT,		/* one of these whose fields do not fit its length: to be passed over */
	SRAT_OTHER,
};

struct srat_entry {
	enum srat_kind kind;
	uint8_t type;
	size_t at;		/* offset in the table */
	uint32_t pxm;		/* proximity domain */
	bool enabled;		/* an entry that is not says nothing */
	uint32_t apic_id;	/* SRAT_CPU */
	uint64_t base, length;	/* SRAT_MEMORY, bytes */
	bool hotplug;		/* SRAT_MEMORY: may be empty now and filled later */
};

struct srat {
	struct entries entries;
	uint8_t revision;	/* 1: domains have 8 bits */
};

/* table is whole and has passed acpi_check(); size is its length. */
enum err srat_open(struct srat *s, const void *table, size_t size);
/* The next entry, disabled and unknown ones too; false at the end: s->entries.end says whether that came early. */
bool srat_next(struct srat *s, struct srat_entry *e);
