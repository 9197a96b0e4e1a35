/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MADT: local APICs, I/O APICs and how interrupts are wired (ACPI 6.5, 5.2.12). An iterator, so any number of
 * entries is seen. Copy a struct madt to walk it again.
 */
#pragma once

#include "acpi/acpi.h"
#include "acpi/entries.h"

#define MADT_SIGNATURE	"APIC"
#define MADT_SIZE_MIN	44u		/* bytes: header, local APIC address, flags */
#define MADT_UID_ALL	0xffffffffu	/* a local NMI that is wired to every cpu */

enum madt_kind {
	MADT_CPU,		/* types 0 and 9 */
	MADT_IOAPIC,		/* type 1 */
	MADT_OVERRIDE,		/* type 2: an ISA interrupt that is wired elsewhere */
	MADT_NMI_SOURCE,	/* type 3 */
	MADT_LAPIC_NMI,		/* types 4 and 10 */
	MADT_LAPIC_ADDRESS,	/* type 5; already in struct madt */
	MADT_SHORT,		/* a known type whose fields do not fit its length: to be passed over */
	MADT_OTHER,
};

struct madt_cpu {
	uint32_t apic_id;
	uint32_t uid;		/* the ACPI processor id, as the NMI entries and PPTT name it */
	bool enabled;
	bool online_capable;
	bool x2apic;		/* type 9 */
};

struct madt_ioapic {
	uint8_t id;
	uint32_t address;
	uint32_t gsi_base;
};

/* Interrupt flags (MPS INTI): polarity in bits 0-1, trigger mode in bits 2-3. 0 is what the bus does. */
#define MADT_POLARITY(flags)	((flags) & 3u)
#define MADT_TRIGGER(flags)	((flags) >> 2 & 3u)
#define MADT_HIGH_OR_EDGE	1u
#define MADT_LOW_OR_LEVEL	3u

struct madt_override {
	uint8_t irq;
	uint32_t gsi;
	uint16_t flags;
};

struct madt_nmi_source {
	uint32_t gsi;
	uint16_t flags;
};

struct madt_lapic_nmi {
	uint32_t uid;		/* MADT_UID_ALL: every cpu */
	uint16_t flags;
	uint8_t lint;
};

struct madt_entry {
	enum madt_kind kind;
	uint8_t type;
	size_t at;		/* offset in the table */
	union {
		struct madt_cpu cpu;
		struct madt_ioapic ioapic;
		struct madt_override override;
		struct madt_nmi_source nmi_source;
		struct madt_lapic_nmi lapic_nmi;
		uint64_t lapic_address;
	};
};

struct madt {
	struct entries entries;
	uint64_t lapic_address;		/* the header's, or that of a type 5 entry */
	bool has_8259;			/* flags bit 0, PCAT_COMPAT: to be masked before the APICs are used */
	uint8_t revision;
};

/* table is whole and has passed acpi_check(); size is its length. */
enum err madt_open(struct madt *m, const void *table, size_t size);
/* The next entry; false at the end, and then m->entries.end says whether the walk ended early. */
bool madt_next(struct madt *m, struct madt_entry *e);
/* Firmware pads the list with entries of this id (enabled or not) that stand for no cpu. */
bool madt_is_placeholder(const struct madt_cpu *cpu);
