/* SPDX-License-Identifier: BSD-2-Clause */
/* The SPCR's fields. */
#include "acpi/spcr.h"

#include "kernel/lib/util.h"

#define REVISION_AT		8u
#define TYPE_AT			36u
#define BASE_AT			40u
#define IRQ_TYPE_AT		52u
#define IRQ_AT			53u
#define GSI_AT			54u
#define BAUD_AT			58u
#define PCI_DEVICE_ID_AT	64u
#define PCI_BUS_AT		68u
#define PCI_DEVICE_AT		69u
#define PCI_FUNCTION_AT		70u
#define PRECISE_BAUD_AT		80u	/* since revision 4 */

#define TYPE_16550_FULL		0x00u
#define TYPE_16550_SUBSET	0x01u	/* revision 1's "16450 compatible" */
#define TYPE_16550_GAS		0x12u	/* register size and stride as the address says */
#define IRQ_8259		(1u << 0)
#define IRQ_IOAPIC		(1u << 1)

static uint32_t baud(struct reader *r, uint8_t revision)
{
	static const uint32_t rates[] = { [3] = 9600, [4] = 19200, [6] = 57600, [7] = 115200 };
	uint64_t code = reader_peek(r, BAUD_AT, 1);
	uint32_t precise = revision >= 4 ? (uint32_t)reader_peek(r, PRECISE_BAUD_AT, 4) : 0;

	if (precise != 0) {
		return precise;
	}
	return code < ARRAY_SIZE(rates) ? rates[code] : 0;
}

/* A type 0x12 port spaces its registers by the access size; the others are packed (ports) or told by bit_width. */
static uint32_t stride_bytes(const struct spcr *s)
{
	if (s->base.space == ACPI_SPACE_IO) {
		return 1;
	}
	return s->base.bit_width >= 16 ? s->base.bit_width / 8u : 1;
}

enum err spcr_read(struct spcr *s, const void *table, size_t size)
{
	struct reader r;
	enum err e = acpi_reader(&r, table, size, SPCR_SIGNATURE, SPCR_SIZE_MIN);
	uint8_t irq_type;

	*s = (struct spcr){ 0 };
	if (e != ERR_OK) {
		return e;
	}
	s->revision = (uint8_t)reader_peek(&r, REVISION_AT, 1);
	s->type = (uint8_t)reader_peek(&r, TYPE_AT, 1);
	s->is_16550 = s->type == TYPE_16550_FULL || s->type == TYPE_16550_SUBSET || s->type == TYPE_16550_GAS;
	s->base = acpi_gas(&r, BASE_AT);
	s->stride_bytes = stride_bytes(s);
	s->baud = baud(&r, s->revision);
	irq_type = (uint8_t)reader_peek(&r, IRQ_TYPE_AT, 1);
	s->has_irq = (irq_type & IRQ_8259) != 0;
	s->has_gsi = (irq_type & IRQ_IOAPIC) != 0;
	s->irq = (uint8_t)reader_peek(&r, IRQ_AT, 1);
	s->gsi = (uint32_t)reader_peek(&r, GSI_AT, 4);
	s->is_pci = reader_peek(&r, PCI_DEVICE_ID_AT, 2) != 0xffff;
	s->bus = (uint8_t)reader_peek(&r, PCI_BUS_AT, 1);
	s->device = (uint8_t)reader_peek(&r, PCI_DEVICE_AT, 1);
	s->function = (uint8_t)reader_peek(&r, PCI_FUNCTION_AT, 1);
	return ERR_OK;
}
