/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of start-up that main.c calls, in this order. The rest of arch is reached through kernel/arch.h. */
#pragma once

#include <stdnoreturn.h>

#include "boot/boot_info.h"
#include "kernel/lib/addr.h"
#include "kernel/platform.h"
#include "kernel/topology.h"

/* Called by entry.asm; ends in kernel_main() with the boot cpu's tables loaded and its struct cpu installed as cpu 0. */
noreturn void arch_entry(uint64_t boot_info_hpa);
/* The kernel's main, in kernel/main.c. */
noreturn void kernel_main(const struct boot_info *info);

/* The serial port at its usual address, so that there is a console from the first line on. */
void serial_init(uint16_t port);
/* Waits, within bounds, until the last byte has left the port: a machine that goes off at once loses it. */
void serial_drain(void);
void serial_interrupt(void);		/* its vector came */
/* Routes the port's interrupt to one cpu; without, the console is polled every few milliseconds. */
bool serial_init_irq(const struct platform *p, uint32_t apic_id);

/* The screen: cells in memory from the first call on, pixels from the second on, which needs paging_init(). */
void screen_init(const struct boot_framebuffer *fb);
void screen_map(const struct boot_framebuffer *fb);
/* Reads the CMOS clock. After time_init(). */
void rtc_init(const struct platform *p);
/* Remembers how to power off and reset. */
void power_init(const struct platform *p);
/* Masks both 8259s and every I/O APIC pin; clears Bus Master of all PCI functions: nothing of ours drives any. */
void machine_quiesce(const struct platform *p);

/*
 * Lowest two free pages below 1 MiB outside what the firmware keeps: start-up code, and a top page table that a CR3 of
 * 32 bits reaches. They stay in use. HPA_NONE where there are none.
 */
hpa_t smp_find_trampoline(const struct boot_info *info);
/*
 * Starts every cpu of t but this one, which becomes the cpu of its APIC id. Those that do not answer are `dead`. Returns the
 * number online. entry runs on each on its own stack, and must not return.
 */
unsigned smp_start(const struct topology *t, hpa_t trampoline, void (*entry)(void));

/* Gives the boot cpu its number and node in t; before anything is kept by cpu number. */
void machine_adopt_boot_cpu(const struct topology *t);
/* Continues in fn on a stack with guard pages. */
noreturn void machine_leave_boot_stack(void (*fn)(void));
/* As a call: takes this cpu out for good, dead and halted. It is in no pool. */
void machine_retire_cpu(void *unused);
