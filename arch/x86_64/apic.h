/* SPDX-License-Identifier: BSD-2-Clause */
/* This cpu's local APIC, in xAPIC or x2APIC mode: EOI, IPIs by physical destination, the one-shot timer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/addr.h"

/* Chooses the mode for the machine (x2APIC where the cpu has it) and maps the registers; once, on the boot cpu. */
void apic_init(hpa_t registers);
/* Switches this cpu's APIC on in that mode, everything masked but what Tarn uses. */
void apic_init_cpu(void);
bool apic_is_x2apic(void);
uint32_t apic_id(void);		/* this cpu's; before apic_init(), too */
void apic_eoi(void);

/* A message to one cpu: a vector, or one of these (SDM 3A 10.6.1). */
void apic_send(uint32_t apic_id, uint32_t message);
#define APIC_NMI		(4u << 8)
#define APIC_INIT		(5u << 8)
#define APIC_STARTUP(page)	(6u << 8 | (page))

/* Arms the one-shot timer for an absolute TSC value (VECTOR_TIMER); UINT64_MAX disarms. */
void apic_timer_arm(uint64_t tsc);
