/* SPDX-License-Identifier: BSD-2-Clause */
/* MADT entries into plain structs. */
#include "acpi/madt.h"

#include "kernel/lib/util.h"

#define MADT_LAPIC_ADDRESS_AT	36u
#define MADT_FLAGS_AT		40u
#define MADT_REVISION_AT	8u

#define CPU_ENABLED		(1u << 0)
#define CPU_ONLINE_CAPABLE	(1u << 1)

static uint32_t u32(struct entry *e, size_t at) { return (uint32_t)reader_peek(&e->r, at, 4); }
static uint16_t u16(struct entry *e, size_t at) { return (uint16_t)reader_peek(&e->r, at, 2); }
static uint8_t u8(struct entry *e, size_t at) { return (uint8_t)reader_peek(&e->r, at, 1); }

static struct madt_cpu cpu(uint32_t apic_id, uint32_t uid, uint32_t flags, bool x2apic)
{
	return (struct madt_cpu){
		.apic_id = apic_id,
		.uid = uid,
		.enabled = (flags & CPU_ENABLED) != 0,
		.online_capable = (flags & CPU_ONLINE_CAPABLE) != 0,
		.x2apic = x2apic,
	};
}

static void read_lapic(struct entry *in, struct madt_entry *out)
{
	out->cpu = cpu(u8(in, 3), u8(in, 2), u32(in, 4), false);
}

static void read_x2apic(struct entry *in, struct madt_entry *out)
{
	out->cpu = cpu(u32(in, 4), u32(in, 12), u32(in, 8), true);
}

static void read_ioapic(struct entry *in, struct madt_entry *out)
{
	out->ioapic = (struct madt_ioapic){ .id = u8(in, 2), .address = u32(in, 4), .gsi_base = u32(in, 8) };
}

static void read_override(struct entry *in, struct madt_entry *out)
{
	out->override = (struct madt_override){ .irq = u8(in, 3), .gsi = u32(in, 4), .flags = u16(in, 8) };
}

static void read_nmi_source(struct entry *in, struct madt_entry *out)
{
	out->nmi_source = (struct madt_nmi_source){ .flags = u16(in, 2), .gsi = u32(in, 4) };
}

static void read_lapic_nmi(struct entry *in, struct madt_entry *out)
{
	uint8_t uid = u8(in, 2);

	out->lapic_nmi = (struct madt_lapic_nmi){
		.uid = uid == 0xff ? MADT_UID_ALL : uid, .flags = u16(in, 3), .lint = u8(in, 5),
	};
}

static void read_x2apic_nmi(struct entry *in, struct madt_entry *out)
{
	out->lapic_nmi = (struct madt_lapic_nmi){ .flags = u16(in, 2), .uid = u32(in, 4), .lint = u8(in, 8) };
}

static void read_lapic_address(struct entry *in, struct madt_entry *out)
{
	out->lapic_address = reader_peek(&in->r, 4, 8);
}

/* By type: ACPI 6.5, table 5.21. A row without a reader is a type that we do not use. */
static const struct {
	void (*read)(struct entry *in, struct madt_entry *out);
	enum madt_kind kind;
	uint8_t size;
} types[] = {
	[0] = { read_lapic, MADT_CPU, 8 },
	[1] = { read_ioapic, MADT_IOAPIC, 12 },
	[2] = { read_override, MADT_OVERRIDE, 10 },
	[3] = { read_nmi_source, MADT_NMI_SOURCE, 8 },
	[4] = { read_lapic_nmi, MADT_LAPIC_NMI, 6 },
	[5] = { read_lapic_address, MADT_LAPIC_ADDRESS, 12 },
	[9] = { read_x2apic, MADT_CPU, 16 },
	[10] = { read_x2apic_nmi, MADT_LAPIC_NMI, 12 },
};

bool madt_next(struct madt *m, struct madt_entry *e)
{
	struct entry raw;

	if (!entries_next(&m->entries, &raw)) {
		return false;
	}
	*e = (struct madt_entry){ .kind = MADT_OTHER, .type = raw.type, .at = raw.at };
	if (raw.type >= ARRAY_SIZE(types) || types[raw.type].read == NULL) {
		return true;
	}
	if (raw.length < types[raw.type].size) {
		e->kind = MADT_SHORT;
		return true;
	}
	e->kind = types[raw.type].kind;
	types[raw.type].read(&raw, e);
	return true;
}

enum err madt_open(struct madt *m, const void *table, size_t size)
{
	struct madt walk;
	struct madt_entry entry;
	struct reader r;
	enum err e = acpi_reader(&r, table, size, MADT_SIGNATURE, MADT_SIZE_MIN);

	*m = (struct madt){ .entries = entries_make(table, e == ERR_OK ? size : 0, 0) };
	if (e != ERR_OK) {
		return e;
	}
	m->entries = entries_make(table, size, MADT_SIZE_MIN);
	m->revision = (uint8_t)reader_peek(&r, MADT_REVISION_AT, 1);
	m->lapic_address = reader_peek(&r, MADT_LAPIC_ADDRESS_AT, 4);
	m->has_8259 = (reader_peek(&r, MADT_FLAGS_AT, 4) & 1) != 0;
	walk = *m;
	while (madt_next(&walk, &entry)) {
		if (entry.kind == MADT_LAPIC_ADDRESS) {
			m->lapic_address = entry.lapic_address;
		}
	}
	return ERR_OK;
}

bool madt_is_placeholder(const struct madt_cpu *c)
{
	/* 0xff is the broadcast id of an xAPIC but a cpu like any other to an x2APIC. */
	return c->apic_id == (c->x2apic ? 0xffffffffu : 0xffu);
}
