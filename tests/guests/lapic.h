/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For guests that measure: the local APIC in either mode, and one vector whose handler notes the
 * TSC and does not end it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define APIC_PAGE		0xfee00000u
#define APIC_TPR		0x080u
#define APIC_EOI		0x0b0u
#define APIC_SVR		0x0f0u
#define APIC_ICR		0x300u
#define APIC_ICR2		0x310u
#define APIC_LVT_TIMER		0x320u
#define APIC_TMICT		0x380u
#define APIC_DIVIDE		0x3e0u
#define APIC_MSR(reg)		(0x800u + (reg) / 16)
#define APIC_MSR_DEADLINE	0x6e0u

#define APIC_ONE_SHOT		0u
#define APIC_DEADLINE		(2u << 17)
#define APIC_VECTOR		0x50u

/*
 * TSC at the first instruction of the handler. It clobbers RAX and RDX and ends no interrupt: wait
 * by lapic_run() or lapic_halt().
 */
extern volatile uint64_t lapic_stamp;

void lapic_start(void);			/* after trap_init(); xAPIC mode */
void lapic_enter_x2(void);
void lapic_write(unsigned reg, uint64_t value);
void lapic_eoi(void);
void lapic_set_timer(uint32_t mode);
void lapic_set_deadline(uint64_t tsc);
void lapic_self_ipi(void);		/* and takes it: in service on return */
void lapic_run(void);			/* spins until the interrupt has come */
void lapic_halt(void);			/* the same, halted */
