/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 24-pin I/O APIC (Intel 82093AA, version 0x20 with the EOI register). Edge pins deliver on the rise of their line,
 * level pins while it is high and the last one was acknowledged (remote IRR clear). "High" is asserted: the polarity
 * bits are kept and not looked at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/vapic.h"
#include "vm/vmap.h"

struct vioapic_msg {
	uint32_t dest;		/* 8 bits; as vlapic_match() wants it: a physical 0xff is made VAPIC_DEST_ALL */
	bool logical;
	enum vapic_mode mode;	/* as programmed: may be a reserved value */
	uint8_t vector;
	bool level;		/* level-triggered: TMR, and vioapic_eoi() is to be called on its EOI */
};

struct vioapic {
	uint64_t entry[VMAP_IOAPIC_PINS];
	uint32_t lines;		/* level of each pin's line */
	uint32_t remote;	/* pins with remote IRR: the EOI's short list */
	uint8_t select, id;
	void *ctx;
	void (*deliver)(void *ctx, const struct vioapic_msg *msg);
};

void vioapic_init(struct vioapic *io, void (*deliver)(void *ctx, const struct vioapic_msg *msg), void *ctx);
/* offset from VMAP_IOAPIC_BASE; 32-bit accesses. */
uint32_t vioapic_read(const struct vioapic *io, unsigned offset);
void vioapic_write(struct vioapic *io, unsigned offset, uint32_t value);
void vioapic_set(struct vioapic *io, unsigned pin, bool level);
/* A local APIC finished a level-triggered vector. */
void vioapic_eoi(struct vioapic *io, uint8_t vector);
