/* SPDX-License-Identifier: BSD-2-Clause */
/* Power off by ACPI S5, reset by the FADT's register with the usual fallbacks, and a quiet machine at hand-off. */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/time.h"
#include "kernel/arch.h"
#include "kernel/console.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

#define PM1_SLP_EN		(1u << 13)	/* ACPI 6.4 4.8.3.2.1 */
#define PM1_SLP_TYP_SHIFT	10
#define PM1_SCI_EN		1u
#define PIC1_DATA		0x21
#define PIC2_DATA		0xa1
#define RESET_CONTROL		0xcf9
#define  RESET_SYSTEM		0x02
#define  RESET_CPU		0x06
#define KBC_COMMAND		0x64
#define  KBC_RESET		0xfe
#define PCI_ADDRESS		0xcf8
#define PCI_DATA		0xcfc
#define  PCI_ENABLE		(1u << 31)
#define  PCI_NONE		0xffffu
#define  PCI_COMMAND		0x04
#define  PCI_BUS_MASTER		(1u << 2)
#define  PCI_HEADER_TYPE	0x0c		/* in bits 23:16 of that register */
#define  PCI_MULTIFUNCTION	(1u << 23)
#define BUS_SIZE		MIB		/* of configuration space in memory (PCI Express 7.2.2) */

static struct platform how;
static volatile uint8_t *reset_register;

void power_init(const struct platform *p)
{
	how = *p;
	if (p->has_reset && p->reset_is_memory) {
		reset_register = paging_map_mmio(hpa(p->reset_address), 1);
	}
}

static void sleep_type(uint16_t port, uint8_t type)
{
	uint16_t v = (uint16_t)(insn_in16(port) & ~(7u << PM1_SLP_TYP_SHIFT | PM1_SLP_EN));

	v = (uint16_t)(v | (unsigned)type << PM1_SLP_TYP_SHIFT);
	insn_out16(port, v);
	insn_out16(port, (uint16_t)(v | PM1_SLP_EN));
}

static void enable_acpi(void)
{
	if (how.smi_command == 0 || how.acpi_enable == 0 || (insn_in16(how.pm1a_control) & PM1_SCI_EN) != 0) {
		return;
	}
	insn_out8((uint16_t)how.smi_command, how.acpi_enable);
	for (unsigned i = 0; i < 300 && (insn_in16(how.pm1a_control) & PM1_SCI_EN) == 0; i++) {
		time_wait_us(1000);
	}
}

void arch_poweroff(void)
{
	serial_drain();
	if (how.pm1a_control != 0 && how.has_s5) {
		enable_acpi();
		sleep_type(how.pm1a_control, how.s5_type_a);
		if (how.pm1b_control != 0) {
			sleep_type(how.pm1b_control, how.s5_type_b);
		}
		time_wait_us(1000000);
	}
	console_panic_puts("tarn: this machine has no ACPI power-off; switch it off by hand\n");
	arch_halt_all();
}

void arch_reboot(void)
{
	serial_drain();
	if (reset_register != NULL) {
		*reset_register = how.reset_value;
		time_wait_us(100000);
	} else if (how.has_reset) {
		insn_out8((uint16_t)how.reset_address, how.reset_value);
		time_wait_us(100000);
	}
	insn_out8(RESET_CONTROL, RESET_SYSTEM);
	insn_out8(RESET_CONTROL, RESET_CPU);
	time_wait_us(100000);
	insn_out8(KBC_COMMAND, KBC_RESET);
	time_wait_us(100000);
	console_panic_puts("tarn: this machine did not reset; switch it off by hand\n");
	arch_halt_all();
}

/* ecam: where configuration space lies in memory; NULL: segment 0, through its ports. function: bus, device, function. */
static uint32_t pci_read(volatile uint8_t *ecam, uint32_t function, unsigned reg)
{
	if (ecam != NULL) {
		return *(volatile uint32_t *)(ecam + ((uint64_t)function << 12 | reg));
	}
	insn_out32(PCI_ADDRESS, PCI_ENABLE | function << 8 | reg);
	return insn_in32(PCI_DATA);
}

/* 16 bits, for the other half clears what is written as one. */
static void pci_write_command(volatile uint8_t *ecam, uint32_t function, uint16_t command)
{
	if (ecam != NULL) {
		*(volatile uint16_t *)(ecam + ((uint64_t)function << 12 | PCI_COMMAND)) = command;
		return;
	}
	insn_out32(PCI_ADDRESS, PCI_ENABLE | function << 8 | PCI_COMMAND);
	insn_out16(PCI_DATA, command);
}

/* The firmware's drivers may have left a device writing to memory that is now ours. */
static unsigned clear_bus_masters(volatile uint8_t *ecam, unsigned buses)
{
	unsigned cleared = 0;

	for (uint32_t device = 0; device < buses * 32; device++) {
		unsigned functions = 1;

		for (uint32_t f = 0; f < functions; f++) {
			uint32_t at = device << 3 | f, command;

			if ((pci_read(ecam, at, 0) & 0xffff) == PCI_NONE) {
				continue;
			}
			if (f == 0 && (pci_read(ecam, at, PCI_HEADER_TYPE) & PCI_MULTIFUNCTION) != 0) {
				functions = 8;
			}
			command = pci_read(ecam, at, PCI_COMMAND);
			if ((command & PCI_BUS_MASTER) != 0) {
				pci_write_command(ecam, at, (uint16_t)(command & ~PCI_BUS_MASTER));
				cleared++;
			}
		}
	}
	return cleared;
}

static unsigned clear_all_bus_masters(const struct platform *p)
{
	unsigned cleared = clear_bus_masters(NULL, 256);

	for (unsigned i = 0; i < p->pci_count; i++) {
		unsigned buses = p->pci[i].last_bus - p->pci[i].first_bus + 1u;
		volatile uint8_t *ecam = paging_map_mmio(hpa(p->pci[i].base + p->pci[i].first_bus * BUS_SIZE),
							 buses * BUS_SIZE);

		if (ecam == NULL) {
			log_printf("pci: no memory to look for Bus Masters at 0x%lx", p->pci[i].base);
			continue;
		}
		cleared += clear_bus_masters(ecam, buses);
	}
	return cleared;
}

void machine_quiesce(const struct platform *p)
{
	unsigned cleared;

	if (p->has_8259) {
		insn_out8(PIC1_DATA, 0xff);
		insn_out8(PIC2_DATA, 0xff);
	}
	ioapic_mask_all(p);
	cleared = clear_all_bus_masters(p);
	if (cleared > 0) {
		log_printf("pci: Bus Master cleared on %u function%s", cleared, cleared == 1 ? "" : "s");
	}
}
