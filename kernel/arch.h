/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine, as the kernel sees it: all that kernel/ and pool/ ask of a real cpu. arch/x86_64 implements it on
 * hardware, tests/fake on the host (clock by hand, IPIs recorded).
 *
 * Interrupts are off everywhere in the hypervisor but inside arch_idle(); handlers only acknowledge. So no lock
 * needs to disable them, and whatever a poke wants done is done by the loop in pool/dispatch.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "kernel/lib/addr.h"
#include "kernel/lib/err.h"

struct text;

/* --- Time: nanoseconds since the hand-off from firmware; monotonic, the same on all cpus. */
uint64_t arch_now_ns(void);

/* The cpu's cycle counter as it is; on the host, the clock. For counting what something cost. */
uint64_t arch_ticks(void);

uint64_t arch_wall_clock_s(void);	/* UTC seconds since 1970, as the machine's own clock has it */

/* --- This cpu. */
unsigned arch_this_cpu(void);		/* its number, 0..CPU_MAX-1 */
void arch_relax(void);			/* PAUSE, in every spin loop */
/*
 * Halts this cpu until an interrupt, an NMI or until_ns (NS_NEVER: no time). Returns at once when a poke arrived
 * since the caller last cleared cpu_remote.poked. May return early for no reason.
 */
void arch_idle(uint64_t until_ns);

/* --- Other cpus. Neither call waits. cpu must be online; poking oneself is allowed. */
void arch_poke(unsigned cpu);		/* fixed-vector IPI: leaves guest mode, ends arch_idle() */
void arch_poke_nmi(unsigned cpu);	/* the same by NMI, for a guest that blocks interrupts */

/* --- Memory: all of RAM is mapped at a fixed offset, writable, never executable. */
void *arch_direct(hpa_t at);
hpa_t arch_direct_hpa(const void *ptr);	/* the inverse, for pointers from arch_direct() only */

/* Clears bytes (a multiple of 8) at an 8-byte aligned address, as fast as the machine can. */
void arch_zero(void *at, size_t bytes);

/* --- Serial console (COM1 or what SPCR names). Any cpu may call; the caller holds the console's lock. */
bool arch_serial_present(void);
unsigned arch_serial_tx_room(void);	/* bytes that arch_serial_tx() takes without waiting */
void arch_serial_tx(uint8_t byte);
int arch_serial_rx(void);		/* -1: none */
bool arch_serial_overrun(void);		/* the port lost input since this was asked last */
void arch_serial_want_tx_irq(bool on);	/* interrupt the housekeeping cpu when there is room again */

/* --- Framebuffer text (second output); does nothing where there is none. One caller at a time, as kernel/console.c has it. */
void arch_screen_putc(char c);		/* into memory: cheap */
bool arch_screen_draw(unsigned cells);	/* draws at most so many characters that have changed; true: some are left */

/* --- How VMs are run here, in words. */
const char *arch_virtualization(void);

/* --- What is done against one VM learning of another through the cpu, in words. */
const char *arch_mitigations(void);
void arch_mitigations_taken(unsigned cpu, struct text *to);	/* how often, on that cpu */

/* --- Who called whom up to here, on one line, innermost first. */
void arch_backtrace(struct text *to);
/* Forgets all that this cpu was doing and calls fn, which must not return, on an empty stack. */
noreturn void arch_restart(void (*fn)(void));

/* --- The end. */
noreturn void arch_poweroff(void);
noreturn void arch_reboot(void);
/* Stops every other cpu (by NMI) and halts this one for good. */
noreturn void arch_halt_all(void);
