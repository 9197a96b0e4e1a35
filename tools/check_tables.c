/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints the main fields of the tables other than the topology's as JSON: one object a table that is there. */
#include <stdio.h>

#include "acpi/fadt.h"
#include "acpi/hpet.h"
#include "acpi/madt.h"
#include "acpi/mcfg.h"
#include "acpi/pptt.h"
#include "acpi/s5.h"
#include "acpi/spcr.h"
#include "acpi/srat.h"
#include "kernel/lib/util.h"
#include "tools/check_topology.h"
#include "tools/tables.h"

static const char *word(bool b) { return b ? "true" : "false"; }

/* The text before item number *index of a list, and the counting. */
static const char *item(unsigned *index) { return (*index)++ > 0 ? ", " : ""; }

static void print_gas(const char *name, const struct acpi_gas *gas)
{
	printf(", \"%s\": {\"space\": %u, \"address\": %lu}", name, gas->space, gas->address);
}

static void print_madt_kind(struct madt madt, enum madt_kind kind)
{
	struct madt_entry e;
	unsigned n = 0;

	while (madt_next(&madt, &e)) {
		if (e.kind != kind) {
			continue;
		}
		printf("%s", item(&n));
		if (kind == MADT_IOAPIC) {
			printf("{\"id\": %u, \"address\": %u, \"gsi_base\": %u}", e.ioapic.id, e.ioapic.address,
			       e.ioapic.gsi_base);
		} else if (kind == MADT_OVERRIDE) {
			printf("{\"irq\": %u, \"gsi\": %u, \"flags\": %u}", e.override.irq, e.override.gsi,
			       e.override.flags);
		} else {
			printf("{\"uid\": %u, \"flags\": %u, \"lint\": %u}", e.lapic_nmi.uid, e.lapic_nmi.flags,
			       e.lapic_nmi.lint);
		}
	}
}

static void print_madt(const void *table, size_t size)
{
	struct madt madt;

	madt_open(&madt, table, size);
	printf("{\"pcat_compat\": %s, \"ioapics\": [", word(madt.has_8259));
	print_madt_kind(madt, MADT_IOAPIC);
	printf("], \"overrides\": [");
	print_madt_kind(madt, MADT_OVERRIDE);
	printf("], \"lapic_nmis\": [");
	print_madt_kind(madt, MADT_LAPIC_NMI);
	printf("]}");
}

static void print_srat(const void *table, size_t size)
{
	struct srat srat, walk;
	struct srat_entry e;
	unsigned entries = 0, n = 0;

	srat_open(&srat, table, size);
	for (walk = srat; srat_next(&walk, &e);) {
		entries++;
	}
	printf("{\"revision\": %u, \"entries\": %u, \"cpu_affinity\": [", srat.revision, entries);
	for (walk = srat; srat_next(&walk, &e);) {
		if (e.kind == SRAT_CPU && e.enabled) {
			printf("%s[%u, %u]", item(&n), e.apic_id, e.pxm);
		}
	}
	printf("]}");
}

static void print_fadt(const void *table, size_t size)
{
	struct fadt f;

	fadt_read(&f, table, size);
	printf("{\"revision\": %u, \"sci_int\": %u, \"pm1a_evt\": %lu, \"pm1a_cnt\": %lu, \"pm1b_cnt\": %lu, "
	       "\"pm_tmr\": %lu, \"iapc_boot_arch\": %u, \"flags\": %u, \"dsdt\": %lu", f.revision, f.sci_irq,
	       f.pm1a_event.address, f.pm1a_control.address, f.pm1b_control.address, f.pm_timer.address,
	       f.boot_flags, f.flags, f.dsdt);
	if (f.has_reset) {
		printf(", \"reset\": {\"space\": %u, \"address\": %lu, \"value\": %u}", f.reset.space, f.reset.address,
		       f.reset_value);
	}
	if (f.hw_reduced) {
		print_gas("sleep_control", &f.sleep_control);
		print_gas("sleep_status", &f.sleep_status);
	}
	printf("}");
}

static void print_dsdt(const void *table, size_t size)
{
	struct s5 s5;

	if (s5_find(&s5, table, size) == ERR_OK) {
		printf("{\"s5\": [%u, %u]}", s5.type_a, s5.type_b);
	} else {
		printf("{\"s5\": null}");
	}
}

static void print_hpet(const void *table, size_t size)
{
	struct hpet h;

	hpet_read(&h, table, size);
	printf("{\"id\": %u, \"address\": %lu, \"number\": %u, \"min_tick\": %u}", h.id, h.base.address, h.number,
	       h.min_tick);
}

static void print_mcfg(const void *table, size_t size)
{
	struct mcfg m;
	struct mcfg_range range;
	unsigned n = 0;

	mcfg_open(&m, table, size);
	printf("[");
	while (mcfg_next(&m, &range)) {
		printf("%s{\"base\": %lu, \"segment\": %u, \"start\": %u, \"end\": %u}", item(&n), range.base,
		       range.segment, range.first_bus, range.last_bus);
	}
	printf("]");
}

static void print_spcr(const void *table, size_t size)
{
	struct spcr s;

	spcr_read(&s, table, size);
	printf("{\"type\": %u, \"is_16550\": %s, \"baud\": %u, \"irq\": %u, \"gsi\": %u, \"stride\": %u", s.type,
	       word(s.is_16550), s.baud, s.irq, s.gsi, s.stride_bytes);
	print_gas("base", &s.base);
	printf("}");
}

static void print_pptt(const void *table, size_t size)
{
	struct pptt p, walk;
	struct pptt_entry e;
	unsigned n = 0, caches = 0;

	pptt_open(&p, table, size);
	printf("{\"processors\": [");
	for (walk = p; pptt_next(&walk, &e);) {
		caches += e.kind == PPTT_CACHE ? 1 : 0;
		if (e.kind == PPTT_PROCESSOR) {
			printf("%s{\"at\": %u, \"parent\": %u, \"uid\": %u, \"leaf\": %s, \"package\": %u}", item(&n),
			       e.at, e.processor.parent, e.processor.uid, word(e.processor.is_leaf),
			       pptt_package(&p, e.at));
		}
	}
	printf("], \"caches\": %u}", caches);
}

int check_tables(const char *dir)
{
	static const struct {
		const char *signature, *name;
		void (*print)(const void *table, size_t size);
	} rows[] = {
		{ MADT_SIGNATURE, "madt", print_madt }, { SRAT_SIGNATURE, "srat", print_srat },
		{ FADT_SIGNATURE, "fadt", print_fadt }, { "DSDT", "dsdt", print_dsdt },
		{ HPET_SIGNATURE, "hpet", print_hpet }, { MCFG_SIGNATURE, "mcfg", print_mcfg },
		{ SPCR_SIGNATURE, "spcr", print_spcr }, { PPTT_SIGNATURE, "pptt", print_pptt },
	};
	static struct tables tables;
	const char *comma = "";

	if (!tables_load(&tables, dir)) {
		return 1;
	}
	printf("{");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct table_file *file = tables_find(&tables, rows[i].signature);

		if (file != NULL) {
			printf("%s\n  \"%s\": ", comma, rows[i].name);
			rows[i].print(file->bytes, file->size);
			comma = ",";
		}
	}
	printf("\n}\n");
	tables_free(&tables);
	return 0;
}
