/* SPDX-License-Identifier: BSD-2-Clause */
/* From ACPI's tables to struct platform; see platform.h. */
#include "kernel/platform.h"

#include "acpi/acpi.h"
#include "acpi/fadt.h"
#include "acpi/madt.h"
#include "acpi/mcfg.h"
#include "acpi/s5.h"
#include "acpi/slit.h"
#include "acpi/spcr.h"
#include "acpi/srat.h"
#include "kernel/arch.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

#define COM1_PORT	0x3f8u
#define COM1_IRQ	4u
#define ISA_IRQS	16u
#define IOAPIC_ADDRESS	0xfec00000ul

struct window {
	uint64_t size;		/* bytes of physical memory that arch_direct() reaches now */
};

static const void *map_direct(void *ctx, uint64_t phys, size_t size)
{
	const struct window *w = ctx;

	return phys < w->size && size <= w->size - phys ? arch_direct(hpa(phys)) : NULL;
}

/* A table that may be missing. False, said on the log when it is there and bad, where it cannot be used. */
static bool find(const struct acpi *a, const char *signature, struct acpi_table *out)
{
	enum err e = acpi_find(a, signature, 0, out);

	if (e != ERR_OK && e != ERR_NOENT) {
		log_printf("acpi: table %s is not used: %s", signature, err_words(e));
	}
	return e == ERR_OK;
}

static uint16_t io_port(const struct acpi_gas *g)
{
	return g->space == ACPI_SPACE_IO && g->address <= UINT16_MAX ? (uint16_t)g->address : 0;
}

static void read_s5(struct platform *p, const struct acpi *a, uint64_t dsdt)
{
	struct acpi_table t;
	struct s5 s5;

	if (acpi_at(a, dsdt, "DSDT", &t) == ERR_OK && s5_find(&s5, t.bytes, t.size) == ERR_OK) {
		p->has_s5 = true;
		p->s5_type_a = s5.type_a;
		p->s5_type_b = s5.type_b;
		return;
	}
	log_printf("acpi: no \\_S5 in the DSDT: poweroff will only halt");
}

static void read_fadt(struct platform *p, const struct acpi *a)
{
	struct acpi_table t;
	struct fadt f;

	if (!find(a, FADT_SIGNATURE, &t) || fadt_read(&f, t.bytes, t.size) != ERR_OK) {
		return;
	}
	p->pm_timer = io_port(&f.pm_timer);
	p->pm1a_control = io_port(&f.pm1a_control);
	p->pm1b_control = io_port(&f.pm1b_control);
	p->smi_command = f.smi_command;
	p->acpi_enable = f.acpi_enable;
	p->reset_is_memory = f.reset.space == ACPI_SPACE_MEMORY;
	p->has_reset = f.has_reset && (p->reset_is_memory || io_port(&f.reset) != 0);
	p->reset_address = f.reset.address;
	p->reset_value = f.reset_value;
	p->century = f.century;
	read_s5(p, a, f.dsdt);
}

/* How the console's interrupt is named: by the ISA line that MADT may override, or by SPCR as a GSI. */
struct console_irq {
	unsigned isa;
	bool gsi_known;
};

/* Does the override speak of the console's line? */
static bool overrides(const struct madt_entry *e, const struct platform *p, const struct console_irq *irq)
{
	return irq->gsi_known ? e->override.gsi == p->serial_gsi : e->override.irq == irq->isa;
}

static void read_madt(struct platform *p, const struct acpi_table *t, const struct console_irq *irq)
{
	struct madt m;
	struct madt_entry e;

	if (madt_open(&m, t->bytes, t->size) != ERR_OK) {
		return;
	}
	p->has_8259 = m.has_8259;
	p->ioapic_count = 0;
	while (madt_next(&m, &e)) {
		if (e.kind == MADT_IOAPIC && p->ioapic_count < PLATFORM_IOAPIC_MAX) {
			p->ioapic[p->ioapic_count].address = e.ioapic.address;
			p->ioapic[p->ioapic_count++].gsi_base = e.ioapic.gsi_base;
		} else if (e.kind == MADT_OVERRIDE && overrides(&e, p, irq)) {
			p->serial_gsi = e.override.gsi;
			p->serial_level = MADT_TRIGGER(e.override.flags) == MADT_LOW_OR_LEVEL;
			p->serial_low = MADT_POLARITY(e.override.flags) == MADT_LOW_OR_LEVEL;
		}
	}
}

static void read_spcr(struct platform *p, const struct acpi *a, struct console_irq *irq)
{
	struct acpi_table t;
	struct spcr s;

	if (!find(a, SPCR_SIGNATURE, &t) || spcr_read(&s, t.bytes, t.size) != ERR_OK || s.base.address == 0) {
		return;
	}
	if (!s.is_16550 || io_port(&s.base) == 0 || s.stride_bytes != 1) {
		log_printf("acpi: SPCR names a console that is not a 16550 at I/O ports: COM1 is used");
		return;
	}
	p->serial_port = io_port(&s.base);
	irq->gsi_known = s.has_gsi && s.gsi != 0;
	if (s.has_irq && p->serial_port != COM1_PORT) {
		irq->isa = s.irq;
		p->serial_gsi = s.irq;
	}
	if (irq->gsi_known) {
		p->serial_gsi = s.gsi;
		/* SPCR does not tell how the line signals: past ISA's ones, as PCI's do. */
		p->serial_level = p->serial_low = s.gsi >= ISA_IRQS;
	}
}

static void read_mcfg(struct platform *p, const struct acpi *a)
{
	struct acpi_table t;
	struct mcfg m;
	struct mcfg_range r;

	if (!find(a, MCFG_SIGNATURE, &t) || mcfg_open(&m, t.bytes, t.size) != ERR_OK) {
		return;
	}
	while (mcfg_next(&m, &r)) {
		if (r.segment == 0) {
			continue;
		}
		if (r.base == 0 || !is_aligned(r.base, MIB) || r.base >> 52 != 0) {
			log_printf("acpi: MCFG puts PCI segment %u at 0x%lx: left out", r.segment, r.base);
			continue;
		}
		if (p->pci_count == PLATFORM_PCI_MAX) {
			log_printf("acpi: MCFG has more than %u ranges: the rest is left out", PLATFORM_PCI_MAX);
			return;
		}
		p->pci[p->pci_count].base = r.base;
		p->pci[p->pci_count].first_bus = r.first_bus;
		p->pci[p->pci_count++].last_bus = r.last_bus;
	}
}

void platform_read(struct platform *p, struct topology_tables *tables, uint64_t rsdp, uint64_t direct_size)
{
	struct window window = { direct_size };
	struct console_irq irq = { .isa = COM1_IRQ };
	struct acpi acpi;
	struct acpi_table t;
	enum err e;

	*p = (struct platform){
		.has_8259 = true, .serial_port = COM1_PORT, .serial_gsi = COM1_IRQ,
		.ioapic_count = 1, .ioapic = { { .address = IOAPIC_ADDRESS } },
	};
	*tables = (struct topology_tables){ 0 };
	if (rsdp == 0) {
		log_printf("acpi: the firmware publishes no tables");
		return;
	}
	e = acpi_open(&acpi, map_direct, &window, rsdp);
	if (e != ERR_OK) {
		log_printf("acpi: the RSDP at 0x%lx leads to no tables: %s", rsdp, err_words(e));
		return;
	}
	read_spcr(p, &acpi, &irq);
	if (find(&acpi, MADT_SIGNATURE, &t)) {
		read_madt(p, &t, &irq);
		tables->madt = t.bytes;
		tables->madt_size = t.size;
	}
	if (find(&acpi, SRAT_SIGNATURE, &t)) {
		tables->srat = t.bytes;
		tables->srat_size = t.size;
	}
	if (find(&acpi, SLIT_SIGNATURE, &t)) {
		tables->slit = t.bytes;
		tables->slit_size = t.size;
	}
	read_fadt(p, &acpi);
	read_mcfg(p, &acpi);
}
