/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a guest's ACPI tables (ACPI 6.5, chapter 5 and, for the byte code of the DSDT, chapter 20). Everything that
 * can be told in fixed tables is; the DSDT has only what must be there: \_S5 for power-off and COM1.
 */
#include "vm/guest_acpi.h"

#include "kernel/lib/string.h"
#include "vm/vmap.h"

#define HEADER_BYTES	36u
#define X2APIC_FROM	255u	/* local APIC ids from here on do not fit a MADT entry of type 0 (5.2.12.2) */

/* Where the next byte goes. What does not fit is dropped and `overrun` set. */
struct area {
	uint8_t *bytes;
	size_t size, at;
	bool overrun;
};

static void put(struct area *a, uint64_t value, unsigned width)
{
	if (a->overrun || width > a->size - a->at) {
		a->overrun = true;
		return;
	}
	memcpy(a->bytes + a->at, &value, width);
	a->at += width;
}

static void put_text(struct area *a, const char *text)
{
	while (*text != '\0') {
		put(a, (uint8_t)*text++, 1);
	}
}

static void put_zeros(struct area *a, unsigned count)
{
	while (count-- > 0) {
		put(a, 0, 1);
	}
}

/* Overwrites bytes that were put before. */
static void patch(struct area *a, size_t at, uint64_t value, unsigned width)
{
	struct area old = { a->bytes, a->at, at, a->overrun };

	put(&old, value, width);
}

static void align(struct area *a, unsigned to)
{
	while (a->at % to != 0 && !a->overrun) {
		put(a, 0, 1);
	}
}

static uint32_t address(size_t at)
{
	return (uint32_t)(VMAP_ACPI_BASE + at);
}

/* Sets the byte at `where` so that all of [start, end) sums to zero. */
static void checksum(struct area *a, size_t start, size_t end, size_t where)
{
	uint8_t sum = 0;

	if (a->overrun) {
		return;
	}
	a->bytes[where] = 0;
	for (size_t i = start; i < end; i++) {
		sum = (uint8_t)(sum + a->bytes[i]);
	}
	a->bytes[where] = (uint8_t)-sum;
}

/* 5.2.6 System description table header; returns where it starts. */
static size_t table_begin(struct area *a, const char *signature, uint8_t revision)
{
	size_t start;

	align(a, 16);
	start = a->at;
	put_text(a, signature);
	put(a, 0, 4);			/*  4: length, by table_end() */
	put(a, revision, 1);
	put(a, 0, 1);			/*  9: checksum, by table_end() */
	put_text(a, "TARN  ");		/* 10: OEM id */
	put_text(a, "TARNVM  ");	/* 16: OEM table id */
	put(a, 1, 4);
	put_text(a, "TARN");		/* 28: creator id */
	put(a, 1, 4);
	return start;
}

static void table_end(struct area *a, size_t start)
{
	patch(a, start + 4, a->at - start, 4);
	checksum(a, start, a->at, start + 9);
}

/* --- AML: names and packages (20.2). */

/* Opens an object whose length is not known yet; aml_end() fills in the two-byte PkgLength (20.2.4). */
static size_t aml_begin(struct area *a, unsigned op, unsigned op_bytes)
{
	size_t at;

	put(a, op, op_bytes);
	at = a->at;
	put_zeros(a, 2);
	return at;
}

static void aml_end(struct area *a, size_t at)
{
	size_t len = a->at - at;

	patch(a, at, 0x40 | (len & 0xf), 1);
	patch(a, at + 1, len >> 4, 1);
}

static void aml_byte(struct area *a, uint8_t value)
{
	put(a, 0x0a, 1);	/* BytePrefix */
	put(a, value, 1);
}

static void aml_name(struct area *a, const char *name)
{
	put(a, 0x08, 1);	/* NameOp */
	put_text(a, name);
}

/* Name (\_S5, Package () { SLP_TYPa, SLP_TYPb, 0, 0 }): 16.1 */
static void aml_s5(struct area *a)
{
	size_t package;

	aml_name(a, "\\_S5_");
	package = aml_begin(a, 0x12, 1);
	put(a, 4, 1);
	aml_byte(a, VMAP_S5_SLP_TYP);
	aml_byte(a, VMAP_S5_SLP_TYP);
	aml_byte(a, 0);
	aml_byte(a, 0);
	aml_end(a, package);
}

/* Device (COM1) in \_SB: a 16550A (PNP0501) at its ports and line (6.4.2: small resource descriptors). */
static void aml_com1(struct area *a)
{
	size_t scope = aml_begin(a, 0x10, 1), device, buffer;

	put_text(a, "\\_SB_");
	device = aml_begin(a, 0x825b, 2);
	put_text(a, "COM1");
	aml_name(a, "_HID");
	put(a, 0x0c, 1);			/* DWordPrefix */
	put(a, 0x0105d041, 4);			/* EISAID ("PNP0501") */
	aml_name(a, "_UID");
	put(a, 0x01, 1);			/* OneOp */
	aml_name(a, "_CRS");
	buffer = aml_begin(a, 0x11, 1);
	aml_byte(a, 13);			/* bytes that follow */
	put(a, 0x0147, 2);			/* I/O port descriptor, 16-bit decoding */
	put(a, VMAP_PORT_COM1, 2);		/* lowest and highest base */
	put(a, VMAP_PORT_COM1, 2);
	put(a, 0x0801, 2);			/* alignment 1, 8 ports */
	put(a, 0x22, 1);			/* IRQ descriptor: edge, active high */
	put(a, 1u << VMAP_GSI_COM1, 2);
	put(a, 0x0079, 2);			/* end tag */
	aml_end(a, buffer);
	aml_end(a, device);
	aml_end(a, scope);
}

static size_t write_dsdt(struct area *a)
{
	size_t start = table_begin(a, "DSDT", 2);

	aml_s5(a);
	aml_com1(a);
	table_end(a, start);
	return start;
}

/* --- 5.2.10 Firmware ACPI control structure: no header of the usual kind, no checksum. */
static size_t write_facs(struct area *a)
{
	size_t start;

	align(a, 64);
	start = a->at;
	put_text(a, "FACS");
	put(a, 64, 4);
	put_zeros(a, 24);	/*  8: hardware signature, waking vector, global lock, flags, 64-bit waking vector */
	put(a, 2, 1);		/* 32: version */
	put_zeros(a, 31);
	return start;
}

/* --- 5.2.9 Fixed ACPI description table. */

#define FADT_BOOT_LEGACY_DEVICES	(1u << 0)	/* ISA devices; bit 1 (8042) and 5 (CMOS RTC absent) stay 0 */
#define FADT_BOOT_NO_VGA		(1u << 2)
#define FADT_WBINVD			(1u << 0)
#define FADT_PROC_C1			(1u << 2)
#define FADT_NO_PWR_BUTTON		(1u << 4)	/* no fixed power button, no fixed sleep button, no RTC wake */
#define FADT_NO_SLP_BUTTON		(1u << 5)
#define FADT_FIX_RTC			(1u << 6)
#define FADT_TMR_VAL_EXT		(1u << 8)
#define FADT_RESET_REG_SUP		(1u << 10)

/* 5.2.3.2 Generic address structure, in system I/O space. */
static void put_gas(struct area *a, unsigned port, unsigned bytes, unsigned access_bytes)
{
	put(a, 1, 1);
	put(a, 8 * bytes, 1);
	put(a, 0, 1);
	put(a, access_bytes == 4 ? 3 : access_bytes, 1);
	put(a, port, 8);
}

static void fadt_acpi1(struct area *a, size_t facs, size_t dsdt)
{
	put(a, address(facs), 4);		/*  36 */
	put(a, address(dsdt), 4);
	put(a, 0, 1);
	put(a, 4, 1);				/*  45: preferred profile: enterprise server */
	put(a, VMAP_GSI_SCI, 2);
	put(a, 0, 4);				/*  48: SMI_CMD 0: always in ACPI mode */
	put_zeros(a, 4);
	put(a, VMAP_PORT_PM1A_EVT, 4);		/*  56 */
	put(a, 0, 4);
	put(a, VMAP_PORT_PM1A_CNT, 4);
	put(a, 0, 8);				/*  68: PM1b, PM2 */
	put(a, VMAP_PORT_PM_TIMER, 4);
	put(a, 0, 8);				/*  80: GPE0, GPE1 */
	put(a, VMAP_PM1_EVT_BYTES, 1);
	put(a, VMAP_PM1_CNT_BYTES, 1);
	put(a, 0, 1);
	put(a, VMAP_PM_TIMER_BYTES, 1);
	put_zeros(a, 4);
	put(a, 101, 2);				/*  96: latencies that say there is no C2 and no C3 */
	put(a, 1001, 2);
	put_zeros(a, 8);			/* 100: flush size and stride, duty, alarms */
	put(a, VMAP_RTC_CENTURY, 1);
	put(a, FADT_BOOT_LEGACY_DEVICES | FADT_BOOT_NO_VGA, 2);
	put(a, 0, 1);
	put(a, FADT_WBINVD | FADT_PROC_C1 | FADT_NO_PWR_BUTTON | FADT_NO_SLP_BUTTON | FADT_FIX_RTC |
	    FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP, 4);
}

static size_t write_fadt(struct area *a, size_t facs, size_t dsdt)
{
	size_t start = table_begin(a, "FACP", 6);

	fadt_acpi1(a, facs, dsdt);
	put_gas(a, VMAP_PORT_RESET, 1, 1);	/* 116 */
	put(a, VMAP_RESET_VALUE, 1);
	put(a, 0, 2);
	put(a, 5, 1);				/* 131: minor version */
	put(a, 0, 8);				/* 132: X_FIRMWARE_CTRL must be 0 when the 32-bit field is used */
	put(a, address(dsdt), 8);
	put_gas(a, VMAP_PORT_PM1A_EVT, VMAP_PM1_EVT_BYTES, 2);
	put_zeros(a, 12);
	put_gas(a, VMAP_PORT_PM1A_CNT, VMAP_PM1_CNT_BYTES, 2);
	put_zeros(a, 24);			/* 184: PM1b, PM2 */
	put_gas(a, VMAP_PORT_PM_TIMER, VMAP_PM_TIMER_BYTES, 4);
	put_zeros(a, 48);			/* 220: GPEs, sleep registers of hardware-reduced machines */
	put_text(a, "TARN");			/* 268: hypervisor vendor identity */
	put(a, 0, 4);
	table_end(a, start);
	return start;
}

/* --- 5.2.12 Multiple APIC description table. */

static void madt_override(struct area *a, unsigned irq, unsigned gsi, unsigned flags)
{
	put(a, 2, 1);		/* interrupt source override, bus 0 = ISA */
	put(a, 10, 1);
	put(a, 0, 1);
	put(a, irq, 1);
	put(a, gsi, 4);
	put(a, flags, 2);
}

static void madt_cpu(struct area *a, unsigned id)
{
	if (id < X2APIC_FROM) {
		put(a, 0, 1);
		put(a, 8, 1);
		put(a, id, 1);		/* processor uid */
		put(a, id, 1);
		put(a, 1, 4);		/* enabled */
		return;
	}
	put(a, 9, 1);
	put(a, 16, 1);
	put(a, 0, 2);
	put(a, id, 4);
	put(a, 1, 4);
	put(a, id, 4);
}

static size_t write_madt(struct area *a, unsigned vcpus)
{
	size_t start = table_begin(a, "APIC", 5);

	put(a, VMAP_LAPIC_BASE, 4);
	put(a, 1, 4);					/* there are 8259s too */
	for (unsigned i = 0; i < vcpus && !a->overrun; i++) {
		madt_cpu(a, i);
	}
	put(a, 1, 1);					/* I/O APIC */
	put(a, 12, 1);
	put(a, VMAP_IOAPIC_ID, 1);
	put(a, 0, 1);
	put(a, VMAP_IOAPIC_BASE, 4);
	put(a, 0, 4);
	madt_override(a, VMAP_IRQ_PIT, VMAP_GSI_PIT, 0);
	madt_override(a, VMAP_GSI_SCI, VMAP_GSI_SCI, 0xd);	/* active high, level */
	put(a, 4, 1);					/* NMI at LINT1 of all cpus */
	put(a, 6, 1);
	put(a, 0xff, 1);
	put(a, 0, 2);
	put(a, 1, 1);
	table_end(a, start);
	return start;
}

/* --- 5.2.16 System resource affinity table. */

static void srat_cpu(struct area *a, unsigned id, unsigned node)
{
	if (id < X2APIC_FROM) {
		put(a, 0, 1);
		put(a, 16, 1);
		put(a, node, 1);
		put(a, id, 1);
		put(a, 1, 4);			/* enabled */
		put(a, 0, 8);			/* SAPIC, node's upper bytes, clock domain */
		return;
	}
	put(a, 2, 1);
	put(a, 24, 1);
	put(a, 0, 2);
	put(a, node, 4);
	put(a, id, 4);
	put(a, 1, 4);
	put(a, 0, 8);
}

static void srat_memory(struct area *a, const struct guest_numa_range *r)
{
	put(a, 1, 1);
	put(a, 40, 1);
	put(a, r->node, 4);
	put(a, 0, 2);
	put(a, r->base, 8);
	put(a, r->length, 8);
	put(a, 0, 4);
	put(a, 1, 4);				/* enabled */
	put(a, 0, 8);
}

static size_t write_srat(struct area *a, unsigned vcpus, const struct guest_numa *numa)
{
	size_t start = table_begin(a, "SRAT", 3);

	put(a, 1, 4);
	put(a, 0, 8);
	for (unsigned i = 0; i < vcpus && !a->overrun; i++) {
		srat_cpu(a, i, guest_numa_share(i, vcpus, numa->vcpu_nodes));
	}
	for (unsigned i = 0; i < numa->range_count; i++) {
		srat_memory(a, &numa->range[i]);
	}
	table_end(a, start);
	return start;
}

/* --- 5.2.17 System locality information table. */
static size_t write_slit(struct area *a, const struct guest_numa *numa)
{
	size_t start = table_begin(a, "SLIT", 1);

	put(a, numa->node_count, 8);
	for (unsigned i = 0; i < numa->node_count; i++) {
		for (unsigned k = 0; k < numa->node_count; k++) {
			put(a, numa->distance[i][k], 1);
		}
	}
	table_end(a, start);
	return start;
}

/* --- 5.2.7 RSDT and 5.2.8 XSDT: the same with 4 and 8 bytes an entry. */
static size_t write_root(struct area *a, const char *signature, unsigned width, const size_t *tables, unsigned count)
{
	size_t start = table_begin(a, signature, 1);

	for (unsigned i = 0; i < count; i++) {
		put(a, address(tables[i]), width);
	}
	table_end(a, start);
	return start;
}

/* --- 5.2.5.3 Root system description pointer; room for it was left at the start of the area. */
static void write_rsdp(struct area *a, size_t rsdt, size_t xsdt)
{
	struct area r = { a->bytes, 36, 0, a->overrun };

	put_text(&r, "RSD PTR ");
	put(&r, 0, 1);				/*  8: checksum of the first 20 bytes */
	put_text(&r, "TARN  ");
	put(&r, 2, 1);				/* 15: revision */
	put(&r, address(rsdt), 4);
	put(&r, 36, 4);
	put(&r, address(xsdt), 8);
	put(&r, 0, 4);				/* 32: checksum of all 36 */
	checksum(&r, 0, 20, 8);
	checksum(&r, 0, 36, 32);
}

enum err guest_acpi_write(const struct gmem *g, unsigned vcpus, const struct guest_numa *numa, gpa_t *rsdp)
{
	size_t size = VMAP_ACPI_END - VMAP_ACPI_BASE, dsdt, facs, rsdt, xsdt, tables[4];
	unsigned count = 0;
	struct area a = { gmem_ptr(g, gpa(VMAP_ACPI_BASE), size), size, 0, false };

	if (a.bytes == NULL) {
		return ERR_RANGE;
	}
	memset(a.bytes, 0, size);
	put_zeros(&a, HEADER_BYTES);		/* the RSDP's place */
	facs = write_facs(&a);
	dsdt = write_dsdt(&a);
	tables[count++] = write_fadt(&a, facs, dsdt);
	tables[count++] = write_madt(&a, vcpus);
	if (numa != NULL && numa->node_count > 1) {
		tables[count++] = write_srat(&a, vcpus, numa);
		tables[count++] = write_slit(&a, numa);
	}
	rsdt = write_root(&a, "RSDT", 4, tables, count);
	xsdt = write_root(&a, "XSDT", 8, tables, count);
	write_rsdp(&a, rsdt, xsdt);
	if (a.overrun) {
		memset(a.bytes, 0, size);
		return ERR_LIMIT;
	}
	*rsdp = gpa(VMAP_ACPI_BASE);
	return ERR_OK;
}
