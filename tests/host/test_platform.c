/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/platform: the machine's fixed hardware out of tables made here, right ones and broken ones. */
#include "tests/host/test.h"

#include "acpi/madt.h"
#include "kernel/console.h"
#include "kernel/platform.h"
#include "tests/fake/machine.h"
#include "tests/fake/serial.h"
#include "tests/host/acpi_build.h"

#define TABLES_MAX	8u

static struct build b;
static struct platform p;
static struct topology_tables tables;
static uint8_t *copies[TABLES_MAX + 2];
static unsigned copy_count;
static uint64_t root[TABLES_MAX];
static unsigned root_count;

static void reset(void)
{
	fake_machine_init(1);
	fake_serial_reset();
	console_set_polled(true);
	root_count = copy_count = 0;
}

static uint64_t keep(void)
{
	copies[copy_count] = build_copy(&b, b.size);
	return (uint64_t)copies[copy_count++];
}

/* Finishes the table being built and puts it in the root. */
static void add(void)
{
	build_end(&b);
	root[root_count++] = keep();
}

static uint64_t make_rsdp(void)
{
	uint64_t xsdt;

	build_start(&b, "XSDT", 1);
	for (unsigned i = 0; i < root_count; i++) {
		build_put(&b, root[i], 8);
	}
	build_end(&b);
	xsdt = keep();
	b.size = 0;
	for (const char *s = "RSD PTR "; *s != '\0'; s++) {
		build_put(&b, (uint8_t)*s, 1);
	}
	build_zero(&b, 7);
	build_put(&b, 2, 1);
	build_put(&b, 0, 4);
	build_put(&b, 36, 4);
	build_put(&b, xsdt, 8);
	build_zero(&b, 4);
	build_sum(&b, 8, 20);
	build_sum(&b, 32, 36);
	return keep();
}

static void read_tables(void)
{
	memset(&p, 0xee, sizeof(p));
	memset(&tables, 0xee, sizeof(tables));
	platform_read(&p, &tables, make_rsdp(), UINT64_MAX);
}

static void end(void)
{
	while (copy_count > 0) {
		free(copies[--copy_count]);
	}
	fake_machine_fini();
}

static bool said(const char *words)
{
	return strstr(fake_serial.sent, words) != NULL;
}

static void put_gas(uint8_t space, uint64_t address)
{
	build_put(&b, space, 1);
	build_put(&b, 8, 1);
	build_put(&b, 0x100, 2);
	build_put(&b, address, 8);
}

static void madt_override(uint8_t irq, uint32_t gsi, uint16_t flags)
{
	build_put(&b, 0x0a02, 2);
	build_put(&b, 0, 1);
	build_put(&b, irq, 1);
	build_put(&b, gsi, 4);
	build_put(&b, flags, 2);
}

static void madt_ioapic(uint32_t address, uint32_t gsi_base)
{
	build_put(&b, 0x0c01, 2);
	build_put(&b, 2, 2);
	build_put(&b, address, 4);
	build_put(&b, gsi_base, 4);
}

static void add_spcr(uint8_t type, uint8_t space, uint64_t address, uint8_t irq_type, uint8_t irq, uint32_t gsi)
{
	build_start(&b, "SPCR", 2);
	build_put(&b, type, 4);
	put_gas(space, address);
	build_put(&b, irq_type, 1);
	build_put(&b, irq, 1);
	build_put(&b, gsi, 4);
	build_put(&b, 7, 1);
	build_zero(&b, 5);
	build_put(&b, 0xffffffff, 4);
	build_zero(&b, 12);
	add();
}

static void check_defaults(void)
{
	CHECK_EQ(p.serial_port, 0x3f8);
	CHECK_EQ(p.serial_gsi, 4);
	CHECK(!p.serial_level && !p.serial_low && p.has_8259);
	CHECK_EQ(p.ioapic_count, 1);
	CHECK_EQ(p.ioapic[0].address, 0xfec00000);
	CHECK_EQ(p.ioapic[0].gsi_base, 0);
	CHECK(p.pm_timer == 0 && p.pm1a_control == 0 && !p.has_s5 && !p.has_reset && p.smi_command == 0);
	CHECK(tables.madt == NULL && tables.srat == NULL && tables.slit == NULL);
	CHECK_EQ(tables.madt_size + tables.srat_size + tables.slit_size, 0);
}

TEST(none, "without tables the machine is a plain PC, and the log says why")
{
	reset();
	memset(&p, 0xee, sizeof(p));
	platform_read(&p, &tables, 0, UINT64_MAX);
	check_defaults();
	CHECK(said("acpi: the firmware publishes no tables"));
	fake_serial_forget();
	read_tables();		/* an empty root */
	check_defaults();
	CHECK_EQ(fake_serial.sent_len, 0);
	end();
}

TEST(bad_rsdp, "an RSDP outside the direct map or with a wrong sum leads to no tables")
{
	uint64_t rsdp;

	reset();
	rsdp = make_rsdp();
	platform_read(&p, &tables, rsdp, rsdp);
	check_defaults();
	CHECK(said("leads to no tables"));
	fake_serial_forget();
	copies[copy_count - 1][9] ^= 1;
	platform_read(&p, &tables, rsdp, UINT64_MAX);
	check_defaults();
	CHECK(said("leads to no tables"));
	end();
}

TEST(madt, "the MADT gives I/O APICs, the 8259 and where COM1's interrupt goes")
{
	reset();
	build_madt(&b);
	build_lapic(&b, 0, 1);
	madt_override(0, 2, 0);
	madt_override(9, 9, 0xd);
	madt_override(4, 20, 0xf);
	madt_ioapic(0xfec00000, 0);
	madt_ioapic(0xfec01000, 24);
	add();
	read_tables();
	CHECK(p.has_8259);
	CHECK_EQ(p.serial_gsi, 20);
	CHECK(p.serial_level && p.serial_low);
	CHECK_EQ(p.ioapic_count, 2);
	CHECK_EQ(p.ioapic[1].address, 0xfec01000);
	CHECK_EQ(p.ioapic[1].gsi_base, 24);
	CHECK_EQ(tables.madt_size, 44 + 8 + 30 + 24);
	CHECK(tables.madt == (void *)root[0]);
	end();
}

TEST(madt_many, "I/O APICs over the limit are left out; an override that conforms is edge and high")
{
	reset();
	build_madt(&b);
	build_poke(&b, 40, 0, 4);
	for (unsigned i = 0; i < PLATFORM_IOAPIC_MAX + 3; i++) {
		madt_ioapic(0xfec00000 + i * 0x1000, i * 24);
	}
	madt_override(4, 7, 0);
	add();
	read_tables();
	CHECK_EQ(p.ioapic_count, PLATFORM_IOAPIC_MAX);
	CHECK(!p.has_8259 && !p.serial_level && !p.serial_low);
	CHECK_EQ(p.serial_gsi, 7);
	end();
}

TEST(spcr, "SPCR's port and interrupt are the console's, and COM1's override says nothing of them")
{
	reset();
	build_madt(&b);
	madt_override(4, 20, 0xf);
	add();
	add_spcr(0, 1, 0x2f8, 3, 3, 3);
	read_tables();
	CHECK_EQ(p.serial_port, 0x2f8);
	CHECK_EQ(p.serial_gsi, 3);
	CHECK(!p.serial_level && !p.serial_low);
	end();
	reset();
	add_spcr(0x12, 1, 0xe000, 1, 11, 0);	/* only the 8259's line is named */
	read_tables();
	CHECK_EQ(p.serial_port, 0xe000);
	CHECK_EQ(p.serial_gsi, 11);
	end();
	reset();
	build_madt(&b);
	madt_override(3, 19, 0xf);
	add();
	add_spcr(0, 1, 0x2f8, 1, 3, 0);
	read_tables();
	CHECK_EQ(p.serial_gsi, 19);		/* that line's own override counts */
	CHECK(p.serial_level && p.serial_low);
	end();
}

TEST(spcr_gsi, "a console interrupt past ISA's that SPCR names is level-triggered and low, unless MADT says otherwise")
{
	reset();
	build_madt(&b);
	madt_override(4, 20, 0x5);
	add();
	add_spcr(0, 1, 0xe000, 2, 0, 19);
	read_tables();
	CHECK_EQ(p.serial_gsi, 19);
	CHECK(p.serial_level && p.serial_low);	/* COM1's line is another */
	end();
	reset();
	build_madt(&b);
	madt_override(4, 20, 0x5);
	add();
	add_spcr(0, 1, 0x3f8, 2, 0, 20);
	read_tables();
	CHECK_EQ(p.serial_gsi, 20);
	CHECK(!p.serial_level && !p.serial_low);
	end();
}

TEST(spcr_com1, "an SPCR that names COM1 keeps where MADT says its interrupt goes")
{
	reset();
	build_madt(&b);
	madt_override(4, 20, 0xf);
	add();
	add_spcr(0, 1, 0x3f8, 1, 4, 0);
	read_tables();
	CHECK_EQ(p.serial_port, 0x3f8);
	CHECK_EQ(p.serial_gsi, 20);
	CHECK(p.serial_level && p.serial_low);
	end();
}

TEST(spcr_other, "a console that is no 16550 at ports leaves COM1, which is said; one that is off is passed over")
{
	static const struct { uint8_t type, space; uint64_t address; bool said; } odd[] = {
		{ 3, 0, 0xfe034000, true }, { 0, 0, 0xfe034000, true }, { 0, 2, 0x3f8, true }, { 0, 1, 0x10000, true }, { 0, 1, 0, false },
	};

	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		reset();
		add_spcr(odd[i].type, odd[i].space, odd[i].address, 3, 5, 33);
		read_tables();
		check_defaults();
		CHECK_EQ(said("COM1 is used"), odd[i].said);
		end();
	}
}

static uint64_t add_dsdt(uint8_t type_a, uint8_t type_b)
{
	static const char s5[] = { 0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x0a };

	build_start(&b, "DSDT", 2);
	build_zero(&b, 5);
	for (unsigned i = 0; i < sizeof(s5); i++) {
		build_put(&b, (uint8_t)s5[i], 1);
	}
	build_put(&b, type_a, 1);
	build_put(&b, 0x0a, 1);
	build_put(&b, type_b, 1);
	build_end(&b);
	return keep();
}

/* Revision 5; the PM blocks at ports of ACPI 1.0 kind. */
static void start_fadt(uint64_t dsdt)
{
	build_start(&b, "FACP", 5);
	build_zero(&b, 268 - 36);
	build_poke(&b, 48, 0xb2, 4);
	build_poke(&b, 52, 0xa1, 1);
	build_poke(&b, 64, 0x604, 4);
	build_poke(&b, 76, 0x608, 4);
	build_poke(&b, 140, dsdt, 8);
}

static void fadt_reset(uint8_t space, uint64_t address, uint8_t value, bool supported)
{
	build_poke(&b, 112, supported ? 1u << 10 : 0, 4);
	build_poke(&b, 116, space, 1);
	build_poke(&b, 117, 8, 1);
	build_poke(&b, 120, address, 8);
	build_poke(&b, 128, value, 1);
}

TEST(fadt, "the FADT gives power, timer and reset registers, the DSDT \\_S5's sleep types")
{
	uint64_t dsdt;

	reset();
	dsdt = add_dsdt(5, 6);
	start_fadt(dsdt);
	fadt_reset(1, 0xcf9, 6, true);
	add();
	read_tables();
	CHECK_EQ(p.pm_timer, 0x608);
	CHECK_EQ(p.pm1a_control, 0x604);
	CHECK_EQ(p.pm1b_control, 0);
	CHECK_EQ(p.smi_command, 0xb2);
	CHECK_EQ(p.acpi_enable, 0xa1);
	CHECK(p.has_s5 && p.s5_type_a == 5 && p.s5_type_b == 6);
	CHECK(p.has_reset && !p.reset_is_memory);
	CHECK_EQ(p.reset_address, 0xcf9);
	CHECK_EQ(p.reset_value, 6);
	CHECK_EQ(fake_serial.sent_len, 0);
	end();
}

TEST(reset_register, "a reset register in memory is taken, one in PCI space, past the ports or not supported is not")
{
	static const struct { uint8_t space; uint64_t address; bool supported, has, memory; } kinds[] = {
		{ 0, 0xfed01234, true, true, true }, { 0, 0xfed01234, false, false, true }, { 1, 0xcf9, false, false, false },
		{ 1, 0x10cf9, true, false, false }, { 2, 0xcf9, true, false, false }, { 0, 0, true, false, true },
	};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		reset();
		start_fadt(0);
		fadt_reset(kinds[i].space, kinds[i].address, 0x0e, kinds[i].supported);
		add();
		read_tables();
		CHECK_EQ(p.has_reset, kinds[i].has);
		CHECK_EQ(p.reset_is_memory, kinds[i].memory);
		CHECK(!p.has_s5 && said("poweroff will only halt"));
		end();
	}
}

static void mcfg_range(uint64_t base, uint16_t segment, uint8_t first_bus, uint8_t last_bus)
{
	build_put(&b, base, 8);
	build_put(&b, segment, 2);
	build_put(&b, first_bus, 1);
	build_put(&b, last_bus, 1);
	build_put(&b, 0, 4);
}

TEST(mcfg, "MCFG's PCI segments but the first are handed on; one at no megabyte is left out, and so are too many")
{
	reset();
	build_start(&b, "MCFG", 1);
	build_zero(&b, 8);
	mcfg_range(0xe0000000, 0, 0, 255);
	mcfg_range(0x380000000000, 2, 0x40, 0x7f);
	mcfg_range(0, 3, 0, 255);
	mcfg_range(0xd0000800, 4, 0, 255);
	add();
	read_tables();
	CHECK_EQ(p.pci_count, 1);
	CHECK(p.pci[0].base == 0x380000000000 && p.pci[0].first_bus == 0x40 && p.pci[0].last_bus == 0x7f);
	CHECK(said("segment 3") && said("segment 4"));
	end();
	reset();
	build_start(&b, "MCFG", 1);
	build_zero(&b, 8);
	for (unsigned i = 0; i < 2 * PLATFORM_PCI_MAX; i++) {
		mcfg_range(0x380000000000 + i * 0x10000000ul, (uint16_t)(i + 1), 0, 255);
	}
	add();
	read_tables();
	CHECK_EQ(p.pci_count, PLATFORM_PCI_MAX);
	end();
}

TEST(broken, "a table with a wrong sum is named and its values stay a PC's")
{
	uint64_t dsdt;

	reset();
	build_madt(&b);
	madt_override(4, 20, 0xf);
	add();
	add_spcr(0, 1, 0x2f8, 3, 3, 3);
	dsdt = add_dsdt(5, 5);
	start_fadt(dsdt);
	add();
	build_srat(&b, 3);
	add();
	for (unsigned i = 0; i < root_count; i++) {
		((uint8_t *)root[i])[9] ^= 0x55;
	}
	read_tables();
	check_defaults();
	CHECK(said("table APIC is not used") && said("table SPCR is not used") && said("table FACP is not used") &&
	      said("table SRAT is not used"));
	end();
}

TEST(fuzz, "whatever bytes stand in the tables, nothing outside them is read")
{
	struct test_rng r = { 31 };

	for (unsigned round = 0; round < 1500; round++) {
		uint64_t dsdt;

		reset();
		build_madt(&b);
		build_lapic(&b, 0, 1);
		madt_ioapic(0xfec00000, 0);
		madt_override(4, 20, 0xf);
		add();
		add_spcr(0, 1, 0x2f8, 3, 3, 3);
		dsdt = add_dsdt(5, 5);
		start_fadt(dsdt);
		add();
		for (unsigned t = 0; t < root_count; t++) {
			uint8_t *at = (uint8_t *)root[t];
			uint32_t size;

			memcpy(&size, at + 4, 4);
			for (unsigned k = 0; k < 3; k++) {
				/* Not the signature and length, nor the FADT's pointers to the DSDT. */
				uint32_t i = 36 + (uint32_t)test_rand_below(&r, size - 36);

				at[i] = t == 2 && ((i >= 40 && i < 44) || (i >= 140 && i < 148)) ? at[i] : (uint8_t)test_rand(&r);
			}
			memcpy(b.bytes, at, size);
			build_sum(&b, 9, size);
			at[9] = b.bytes[9];
		}
		read_tables();
		CHECK(p.serial_port != 0 && p.ioapic_count <= PLATFORM_IOAPIC_MAX);
		end();
	}
}
