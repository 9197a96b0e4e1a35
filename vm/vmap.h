/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands where in a guest: physical memory, ports, interrupt lines. The virtual devices answer here and the
 * loader writes the guest's e820 map and ACPI tables from here; nothing else names one of these numbers.
 *
 *	0x00000000  RAM                                     0xc0000000  hole: nothing (reads all ones)
 *	0x0009fc00  reserved (EBDA)                         0xfec00000  I/O APIC
 *	0x000a0000  VGA hole: plain memory, not in e820     0xfee00000  local APIC (of the cpu that looks)
 *	0x000e0000  ACPI tables (reserved in e820)          0x100000000 RAM that did not fit below the hole
 *	0x00100000  RAM
 */
#pragma once

/* --- Memory. END is the first byte after. */
#define VMAP_LOW_RAM_END	0x0009fc00ul	/* e820: RAM from 0 to here */
#define VMAP_EBDA_END		0x000a0000ul	/* e820: reserved */
#define VMAP_ACPI_BASE		0x000e0000ul	/* e820: reserved; RSDP on a 16-byte line, so a search finds it */
#define VMAP_ACPI_END		0x00100000ul
#define VMAP_HIGH_RAM_BASE	0x00100000ul	/* e820: RAM from here on */
#define VMAP_HOLE_BASE		0xc0000000ul	/* RAM below 4 GiB ends here at the latest */
#define VMAP_HOLE_END		0x100000000ul	/* and goes on here */

#define VMAP_IOAPIC_BASE	0xfec00000ul
#define VMAP_IOAPIC_BYTES	0x1000ul
#define VMAP_IOAPIC_ID		0u
#define VMAP_IOAPIC_PINS	24u		/* GSI 0 to 23 */
#define VMAP_LAPIC_BASE		0xfee00000ul
#define VMAP_LAPIC_BYTES	0x1000ul

/* --- Ports. */
#define VMAP_PORT_PIC_MASTER	0x020u		/* 2 ports */
#define VMAP_PORT_PIT		0x040u		/* 4 ports */
#define VMAP_PORT_SYSCTL_B	0x061u		/* PIT channel 2's gate and output, speaker */
#define VMAP_PORT_KBD_COMMAND	0x064u		/* no keyboard controller; a write of 0xfe resets. Reads all ones but "busy" */
#define VMAP_PORT_RTC		0x070u		/* index, data */
#define VMAP_PORT_PIC_SLAVE	0x0a0u		/* 2 ports */
#define VMAP_PORT_DEBUG_EXIT	0x0f4u		/* isa-debug-exit, 1 to 4 bytes */
#define VMAP_PORT_COM1		0x3f8u		/* 8 ports */
#define VMAP_PORT_ELCR		0x4d0u		/* 2 ports: edge/level of the 8259s' lines */
#define VMAP_PORT_RESET		0xcf9u		/* reset control */

/* ACPI fixed hardware (ACPI 6.5, 4.8.3). SMI_CMD is 0 in the FADT: the machine is always in ACPI mode. */
#define VMAP_PORT_PM1A_EVT	0x600u		/* PM1_EVT_LEN 4: status word, enable word */
#define VMAP_PORT_PM1A_CNT	0x604u		/* PM1_CNT_LEN 2 */
#define VMAP_PORT_PM_TIMER	0x608u		/* PM_TMR_LEN 4; 32 bits count: set TMR_VAL_EXT in the FADT's flags */
#define VMAP_PM1_EVT_BYTES	4u
#define VMAP_PM1_CNT_BYTES	2u
#define VMAP_PM_TIMER_BYTES	4u
#define VMAP_S5_SLP_TYP		5u		/* \_S5's first element: SLP_TYPa for power-off */
#define VMAP_RESET_VALUE	6u		/* FADT RESET_REG = VMAP_PORT_RESET (I/O, 8 bits), RESET_REG_SUP set */

/* --- Interrupt lines. An ISA IRQ is the GSI of the same number, but for the PIT. */
#define VMAP_IRQ_PIT		0u		/* at the 8259 */
#define VMAP_GSI_PIT		2u		/* at the I/O APIC: MADT override, bus 0 source 0 -> GSI 2, conforming */
#define VMAP_IRQ_CASCADE	2u		/* slave 8259 on the master */
#define VMAP_GSI_COM1		4u		/* edge, active high */
#define VMAP_GSI_SCI		9u		/* level, active high: MADT override, flags 0xd; FADT SCI_INT */
#define VMAP_ISA_IRQS		16u

/* --- CMOS: index of the century in the RTC's memory (FADT CENTURY). */
#define VMAP_RTC_CENTURY	0x32u

/* Offset of the local APIC's registers as x2APIC MSRs (SDM 3A 11.12.1.2). */
#define VMAP_X2APIC_MSR_BASE	0x800u
#define VMAP_X2APIC_MSR_LAST	0x8ffu
