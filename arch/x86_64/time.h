/* SPDX-License-Identifier: BSD-2-Clause */
/* The TSC as the machine's clock: calibrated once against a timer of known rate, never written. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86_64/pure/tscclock.h"

/*
 * Measures the TSC against the ACPI PM timer at port pm_timer (0: there is none), else against PIT channel 2; only where
 * neither counts is CPUID 15H believed. zero_tsc is the TSC value that counts as time 0.
 */
void time_init(uint16_t pm_timer, uint64_t zero_tsc);
uint64_t time_tsc_hz(void);
extern struct tscclock time_clock;		/* constant after time_init() */
/* Nanoseconds since time 0 to a TSC value, never before that time, and back. NS_NEVER and UINT64_MAX map to each other. */
uint64_t time_ns_to_tsc(uint64_t ns);
uint64_t time_tsc_to_ns(uint64_t tsc);
/* Spins for us microseconds. */
void time_wait_us(uint64_t us);
