/* SPDX-License-Identifier: BSD-2-Clause */
/* SRAT entries into plain structs. */
#include "acpi/srat.h"

#define SRAT_REVISION_AT	8u
#define TYPE_LAPIC		0u
#define TYPE_LAPIC_SIZE		16u
#define TYPE_MEMORY		1u
#define TYPE_MEMORY_SIZE	40u
#define TYPE_X2APIC		2u
#define TYPE_X2APIC_SIZE	24u

#define FLAG_ENABLED		(1u << 0)
#define MEMORY_HOTPLUG		(1u << 1)

enum err srat_open(struct srat *s, const void *table, size_t size)
{
	struct reader r;
	enum err e = acpi_reader(&r, table, size, SRAT_SIGNATURE, SRAT_SIZE_MIN);

	*s = (struct srat){ .entries = entries_make(table, e == ERR_OK ? size : 0, 0) };
	if (e != ERR_OK) {
		return e;
	}
	s->entries = entries_make(table, size, SRAT_SIZE_MIN);
	s->revision = (uint8_t)reader_peek(&r, SRAT_REVISION_AT, 1);
	return ERR_OK;
}

static void read_lapic(struct reader *r, struct srat_entry *e)
{
	e->kind = SRAT_CPU;
	/* The domain's low byte and its upper three lie apart: the latter came with revision 2. */
	e->pxm = (uint32_t)(reader_peek(r, 2, 1) | reader_peek(r, 9, 3) << 8);
	e->apic_id = (uint32_t)reader_peek(r, 3, 1);
	e->enabled = (reader_peek(r, 4, 4) & FLAG_ENABLED) != 0;
}

static void read_x2apic(struct reader *r, struct srat_entry *e)
{
	e->kind = SRAT_CPU;
	e->pxm = (uint32_t)reader_peek(r, 4, 4);
	e->apic_id = (uint32_t)reader_peek(r, 8, 4);
	e->enabled = (reader_peek(r, 12, 4) & FLAG_ENABLED) != 0;
}

static void read_memory(struct reader *r, struct srat_entry *e)
{
	uint32_t flags = (uint32_t)reader_peek(r, 28, 4);

	e->kind = SRAT_MEMORY;
	e->pxm = (uint32_t)reader_peek(r, 2, 4);
	e->base = reader_peek(r, 8, 8);
	e->length = reader_peek(r, 16, 8);
	e->enabled = (flags & FLAG_ENABLED) != 0;
	e->hotplug = (flags & MEMORY_HOTPLUG) != 0;
}

bool srat_next(struct srat *s, struct srat_entry *e)
{
	static const struct {
		void (*read)(struct reader *r, struct srat_entry *e);
		uint8_t size;
	} types[] = {
		[TYPE_LAPIC] = { read_lapic, TYPE_LAPIC_SIZE },
		[TYPE_MEMORY] = { read_memory, TYPE_MEMORY_SIZE },
		[TYPE_X2APIC] = { read_x2apic, TYPE_X2APIC_SIZE },
	};
	struct entry raw;

	if (!entries_next(&s->entries, &raw)) {
		return false;
	}
	*e = (struct srat_entry){ .kind = SRAT_OTHER, .type = raw.type, .at = raw.at };
	if (raw.type > TYPE_X2APIC) {
		return true;
	}
	if (raw.length < types[raw.type].size) {
		e->kind = SRAT_SHORT;
		return true;
	}
	types[raw.type].read(&raw.r, e);
	if (s->revision < 2) {
		e->pxm &= 0xff;
	}
	return true;
}
