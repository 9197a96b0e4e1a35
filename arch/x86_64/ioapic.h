/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's I/O APICs: all pins masked but those routed here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/platform.h"

/* Masks every pin of every I/O APIC of p. */
void ioapic_mask_all(const struct platform *p);
/* Sends gsi to one cpu as a fixed interrupt. False when no I/O APIC has that pin, or the cpu's id is above 254. */
bool ioapic_route(const struct platform *p, uint32_t gsi, uint8_t vector, uint32_t apic_id, bool level, bool low);
