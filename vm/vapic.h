/* SPDX-License-Identifier: BSD-2-Clause */
/* What local APICs and the I/O APIC say to each other. */
#pragma once

#include <stdint.h>

/* Delivery modes, as in redirection entries, ICR and LVT (SDM 3A 11.6.1). */
enum vapic_mode {
	VAPIC_FIXED = 0, VAPIC_LOWEST = 1, VAPIC_SMI = 2, VAPIC_RESERVED = 3, VAPIC_NMI = 4, VAPIC_INIT = 5,
	VAPIC_STARTUP = 6, VAPIC_EXTINT = 7
};

/* A physical destination that means every local APIC; the 8-bit 0xff is made this by whoever sends. */
#define VAPIC_DEST_ALL		UINT32_MAX
#define VAPIC_DEST_ALL_8BIT	0xffu

/* Vectors below are reserved for exceptions: no APIC sends or accepts them. */
#define VAPIC_VECTOR_MIN	16u
