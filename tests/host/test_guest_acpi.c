/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/guest_acpi: the tables a guest finds. */
#include "tests/host/test.h"

#include <stdio.h>
#include <unistd.h>

#include "acpi/fadt.h"
#include "acpi/madt.h"
#include "acpi/s5.h"
#include "acpi/slit.h"
#include "acpi/srat.h"
#include "tests/host/ram.h"
#include "vm/guest_acpi.h"
#include "vm/vmap.h"

static bool sums_to_zero(const struct gmem *g, uint64_t at, uint64_t len)
{
	uint8_t sum = 0;

	for (uint64_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + ram_get(g, at + i, 1));
	}
	return sum == 0;
}

/* The table of that signature by the XSDT; checks its header. */
static uint64_t find(const struct gmem *g, uint64_t rsdp, const char *signature)
{
	uint64_t xsdt = ram_get(g, rsdp + 24, 8), len = ram_get(g, xsdt + 4, 4);

	CHECK(memcmp(gmem_ptr(g, gpa(xsdt), 4), "XSDT", 4) == 0 && sums_to_zero(g, xsdt, len));
	for (uint64_t at = 36; at < len; at += 8) {
		uint64_t table = ram_get(g, xsdt + at, 8);

		CHECK_EQ(ram_get(g, ram_get(g, rsdp + 16, 4) + 36 + (at - 36) / 2, 4), table);
		if (memcmp(gmem_ptr(g, gpa(table), 4), signature, 4) == 0) {
			CHECK(sums_to_zero(g, table, ram_get(g, table + 4, 4)));
			return table;
		}
	}
	return 0;
}

TEST(rsdp, "the RSDP is on a 16-byte line below 1 MiB with both checksums right")
{
	struct gmem g = ram_make(LARGE_SIZE);
	gpa_t rsdp;

	CHECK_EQ(guest_acpi_write(&g, 1, NULL, &rsdp), ERR_OK);
	CHECK(rsdp.v % 16 == 0 && rsdp.v >= 0xe0000 && rsdp.v < 0x100000);
	CHECK_EQ(memcmp(gmem_ptr(&g, rsdp, 8), "RSD PTR ", 8), 0);
	CHECK(sums_to_zero(&g, rsdp.v, 20) && sums_to_zero(&g, rsdp.v, 36));
	CHECK(sums_to_zero(&g, ram_get(&g, rsdp.v + 16, 4), 36 + 8));
	ram_free(&g);
}

TEST(fadt, "the FADT names the ports and lines of the devices")
{
	struct gmem g = ram_make(LARGE_SIZE);
	uint64_t fadt, dsdt, facs;
	gpa_t rsdp;

	CHECK_EQ(guest_acpi_write(&g, 1, NULL, &rsdp), ERR_OK);
	fadt = find(&g, rsdp.v, "FACP");
	CHECK(fadt != 0);
	CHECK_EQ(ram_get(&g, fadt + 4, 4), 276);
	facs = ram_get(&g, fadt + 36, 4);
	dsdt = ram_get(&g, fadt + 40, 4);
	CHECK(facs % 64 == 0 && memcmp(gmem_ptr(&g, gpa(facs), 4), "FACS", 4) == 0);
	CHECK(memcmp(gmem_ptr(&g, gpa(dsdt), 4), "DSDT", 4) == 0 && sums_to_zero(&g, dsdt, ram_get(&g, dsdt + 4, 4)));
	CHECK_EQ(ram_get(&g, fadt + 140, 8), dsdt);
	CHECK_EQ(ram_get(&g, fadt + 46, 2), VMAP_GSI_SCI);
	CHECK_EQ(ram_get(&g, fadt + 56, 4), VMAP_PORT_PM1A_EVT);
	CHECK_EQ(ram_get(&g, fadt + 64, 4), VMAP_PORT_PM1A_CNT);
	CHECK_EQ(ram_get(&g, fadt + 76, 4), VMAP_PORT_PM_TIMER);
	CHECK_EQ(ram_get(&g, fadt + 88, 4), 0x04000204);
	CHECK_EQ(ram_get(&g, fadt + 108, 1), VMAP_RTC_CENTURY);
	CHECK_EQ(ram_get(&g, fadt + 109, 2), 5);
	CHECK_EQ(ram_get(&g, fadt + 112, 4), 0x575);
	CHECK_EQ(ram_get(&g, fadt + 116, 4), 0x01000801);
	CHECK_EQ(ram_get(&g, fadt + 120, 8), VMAP_PORT_RESET);
	CHECK_EQ(ram_get(&g, fadt + 128, 1), VMAP_RESET_VALUE);
	CHECK_EQ(ram_get(&g, fadt + 152, 8), VMAP_PORT_PM1A_EVT);
	CHECK_EQ(ram_get(&g, fadt + 176, 8), VMAP_PORT_PM1A_CNT);
	CHECK_EQ(ram_get(&g, fadt + 212, 8), VMAP_PORT_PM_TIMER);
	ram_free(&g);
}

/* Counts MADT entries by type; each must have a length that stays inside. */
static void count_madt(const struct gmem *g, uint64_t madt, unsigned count[16])
{
	uint64_t end = madt + ram_get(g, madt + 4, 4), at = madt + 44;

	while (at < end) {
		uint64_t type = ram_get(g, at, 1), len = ram_get(g, at + 1, 1);

		CHECK(type < 16 && len >= 6 && at + len <= end);
		count[type]++;
		at += len;
	}
}

TEST(madt, "the MADT lists each cpu once, large APIC ids as x2APIC entries")
{
	static const unsigned vcpus[] = { 1, 4, 255, 256, 1024 };
	struct gmem g = ram_make(LARGE_SIZE);
	gpa_t rsdp;

	for (unsigned i = 0; i < ARRAY_SIZE(vcpus); i++) {
		unsigned count[16] = { 0 };
		uint64_t madt;

		CHECK_EQ(guest_acpi_write(&g, vcpus[i], NULL, &rsdp), ERR_OK);
		madt = find(&g, rsdp.v, "APIC");
		CHECK(madt != 0);
		CHECK_EQ(ram_get(&g, madt + 36, 4), VMAP_LAPIC_BASE);
		count_madt(&g, madt, count);
		CHECK_EQ(count[0], MIN(vcpus[i], 255u));
		CHECK_EQ(count[0] + count[9], vcpus[i]);
		CHECK(count[1] == 1 && count[2] == 2 && count[4] == 1);
	}
	CHECK_EQ(guest_acpi_write(&g, 100000, NULL, &rsdp), ERR_LIMIT);
	ram_free(&g);
}

static const void *map(void *ctx, uint64_t phys, size_t size)
{
	return gmem_ptr(ctx, gpa(phys), size);
}

TEST(own_reader, "the reader that Tarn uses on real machines finds cpus, ports, power-off and reset in them")
{
	struct gmem g = ram_make(LARGE_SIZE);
	struct acpi_table t;
	struct madt_entry e;
	struct acpi a;
	struct fadt f;
	struct madt m;
	struct s5 s5;
	unsigned cpus = 0, nmis = 0;
	gpa_t rsdp;

	CHECK_EQ(guest_acpi_write(&g, 300, NULL, &rsdp), ERR_OK);
	CHECK_EQ(acpi_open(&a, map, &g, rsdp.v), ERR_OK);
	CHECK_EQ(a.pointer_size, 8);
	CHECK_EQ(acpi_find(&a, FADT_SIGNATURE, 0, &t), ERR_OK);
	CHECK_EQ(fadt_read(&f, t.bytes, t.size), ERR_OK);
	CHECK(f.pm1a_control.address == VMAP_PORT_PM1A_CNT && f.pm1b_control.address == 0 && !f.hw_reduced);
	CHECK(f.pm_timer.address == VMAP_PORT_PM_TIMER && f.pm_timer_is_32bit && f.smi_command == 0);
	CHECK(f.has_reset && f.reset.address == VMAP_PORT_RESET && f.reset_value == VMAP_RESET_VALUE);
	CHECK(f.has_legacy_devices && !f.has_8042 && f.no_vga);
	CHECK_EQ(acpi_at(&a, f.dsdt, "DSDT", &t), ERR_OK);
	CHECK_EQ(s5_find(&s5, t.bytes, t.size), ERR_OK);
	CHECK(s5.type_a == VMAP_S5_SLP_TYP && s5.type_b == VMAP_S5_SLP_TYP);
	CHECK_EQ(acpi_find(&a, MADT_SIGNATURE, 0, &t), ERR_OK);
	CHECK_EQ(madt_open(&m, t.bytes, t.size), ERR_OK);
	CHECK(m.has_8259 && m.lapic_address == VMAP_LAPIC_BASE);
	while (madt_next(&m, &e)) {
		CHECK(e.kind != MADT_SHORT && e.kind != MADT_OTHER);
		CHECK(e.kind != MADT_CPU || (e.cpu.enabled && e.cpu.apic_id == cpus && !madt_is_placeholder(&e.cpu)));
		CHECK(e.kind != MADT_IOAPIC || (e.ioapic.address == VMAP_IOAPIC_BASE && e.ioapic.gsi_base == 0));
		CHECK(e.kind != MADT_OVERRIDE || e.override.irq != 0 || e.override.gsi == VMAP_GSI_PIT);
		cpus += e.kind == MADT_CPU;
		nmis += e.kind == MADT_LAPIC_NMI && e.lapic_nmi.uid == MADT_UID_ALL;
	}
	CHECK_EQ(cpus, 300);
	CHECK_EQ(nmis, 1);
	ram_free(&g);
}

TEST(small, "RAM that does not reach the tables' area is refused")
{
	struct gmem g = ram_make(VMAP_ACPI_END - PAGE_SIZE);
	gpa_t rsdp;

	CHECK_EQ(guest_acpi_write(&g, 1, NULL, &rsdp), ERR_RANGE);
	ram_free(&g);
}

static const struct guest_numa two_nodes = {
	.node_count = 3, .vcpu_nodes = 2, .range_count = 3,
	.range = { { 0, 0x3000000, 0 }, { 0x3000000, 0x5000000, 1 }, { 0x100000000, 0x200000, 2 } },
	.distance = { { 10, 21, 30 }, { 21, 10, 31 }, { 30, 31, 10 } },
};

TEST(numa, "SRAT gives each vCPU and each range of memory its node, SLIT the distances; with one node there are none")
{
	struct gmem g = ram_make(LARGE_SIZE);
	unsigned cpus = 0, ranges = 0;
	struct srat_entry e;
	struct srat srat;
	struct slit slit;
	uint64_t at;
	gpa_t rsdp;

	CHECK_EQ(guest_acpi_write(&g, 258, &two_nodes, &rsdp), ERR_OK);
	at = find(&g, rsdp.v, "SRAT");
	CHECK_EQ(srat_open(&srat, gmem_ptr(&g, gpa(at), 1), ram_get(&g, at + 4, 4)), ERR_OK);
	while (srat_next(&srat, &e)) {
		CHECK(e.enabled && (e.kind == SRAT_CPU || e.kind == SRAT_MEMORY));
		if (e.kind == SRAT_CPU) {
			CHECK_EQ(e.apic_id, cpus);
			CHECK_EQ(e.type, cpus < 255 ? 0 : 2);
			CHECK_EQ(e.pxm, cpus++ < 129 ? 0 : 1);
		} else {
			CHECK_EQ(e.base, two_nodes.range[ranges].base);
			CHECK_EQ(e.length, two_nodes.range[ranges].length);
			CHECK_EQ(e.pxm, two_nodes.range[ranges++].node);
		}
	}
	CHECK(cpus == 258 && ranges == 3);
	at = find(&g, rsdp.v, "SLIT");
	CHECK_EQ(slit_open(&slit, gmem_ptr(&g, gpa(at), 1), ram_get(&g, at + 4, 4)), ERR_OK);
	CHECK_EQ(slit.count, 3);
	for (unsigned i = 0; i < 9; i++) {
		CHECK_EQ(slit_distance(&slit, i / 3, i % 3), two_nodes.distance[i / 3][i % 3]);
	}
	CHECK_EQ(guest_acpi_write(&g, 2, &(struct guest_numa){ .node_count = 1 }, &rsdp), ERR_OK);
	CHECK(find(&g, rsdp.v, "SRAT") == 0 && find(&g, rsdp.v, "SLIT") == 0);
	ram_free(&g);
}

/* Saves a table and has iasl disassemble it; false when its words are not in the result. */
static bool iasl_says(const struct gmem *g, const char *dir, const char *name, uint64_t at, const char *words)
{
	char cmd[512];
	uint64_t len = ram_get(g, at + 4, 4);
	FILE *f;

	snprintf(cmd, sizeof(cmd), "%s/%s.dat", dir, name);
	f = fopen(cmd, "wb");
	CHECK(f != NULL && fwrite(gmem_ptr(g, gpa(at), len), 1, len, f) == len);
	fclose(f);
	snprintf(cmd, sizeof(cmd), "cd %s && iasl -d %s.dat >log 2>&1 && ! grep -qiE 'error|warning|invalid' log %s.dsl && "
		 "grep -q '%s' %s.dsl || { cat log %s.dsl; false; }", dir, name, name, words, name, name);
	return system(cmd) == 0;
}

TEST(iasl, "iasl, where it is installed, disassembles every table without complaint")
{
	struct gmem g = ram_make(LARGE_SIZE);
	char dir[] = "/tmp/tarn-acpi-XXXXXX", cmd[64];
	uint64_t fadt;
	gpa_t rsdp;

	if (system("iasl -v >/dev/null 2>&1") != 0) {
		ram_free(&g);
		return;
	}
	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(guest_acpi_write(&g, 300, NULL, &rsdp), ERR_OK);
	fadt = find(&g, rsdp.v, "FACP");
	CHECK(iasl_says(&g, dir, "facp", fadt, "PM Timer Block"));
	CHECK(iasl_says(&g, dir, "apic", find(&g, rsdp.v, "APIC"), "Processor x2Apic ID"));
	CHECK(iasl_says(&g, dir, "dsdt", ram_get(&g, fadt + 40, 4), "Name (_HID, EisaId (\"PNP0501\")"));
	CHECK(iasl_says(&g, dir, "dsdt", ram_get(&g, fadt + 40, 4), "Name (._S5, Package (0x04)"));
	CHECK(iasl_says(&g, dir, "facs", ram_get(&g, fadt + 36, 4), "FACS"));
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	CHECK_EQ(system(cmd), 0);
	ram_free(&g);
}
