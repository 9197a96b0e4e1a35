/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 timer of a PC and port 0x61. Channel 0's output is IRQ 0, channel 2's is bit 5 of port 0x61.
 *
 * Nothing counts: a channel keeps the clock tick at which its count was loaded, and what it shows is computed from
 * the time passed in. The clock starts with the VM (now_ns = 0 is tick 0). A count is loaded with the clock pulse
 * after the write, so no deadline is early.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VPIT_HZ		1193182u

struct vpit_channel {
	uint64_t start_tick;	/* first tick with the full count; while counting */
	uint64_t held_ticks;	/* elapsed when the gate went down; while !gate */
	uint32_t count;		/* 1..65536 (10000 in BCD) */
	uint16_t latch;
	uint8_t mode, access;	/* 0-5; 1 low, 2 high, 3 low then high */
	uint8_t status_latch, write_low;
	bool bcd, gate, loaded, armed;	/* armed: modes 1 and 5 have seen their trigger */
	bool latched, status_latched, high_read, high_write;
};

struct vpit {
	struct vpit_channel channel[3];
	uint64_t irq_tick;	/* next rise of channel 0's output; UINT64_MAX: none */
	bool speaker;
	bool line;		/* channel 0's output as last told */
	void *ctx;
	void (*irq)(void *ctx, unsigned gsi, bool level);
};

/* irq is called with VMAP_IRQ_PIT; the owner routes it to the 8259 and, by another number, to the I/O APIC. */
void vpit_init(struct vpit *p, void (*irq)(void *ctx, unsigned gsi, bool level), void *ctx);
/* port: 0x40 to 0x43 or 0x61. */
uint8_t vpit_read(struct vpit *p, uint16_t port, uint64_t now_ns);
void vpit_write(struct vpit *p, uint16_t port, uint8_t value, uint64_t now_ns);
/* When channel 0 next raises its line; NS_NEVER. */
uint64_t vpit_deadline(const struct vpit *p);
/* Raises what is due. Ticks that were missed are one interrupt; the grid stays. */
void vpit_expire(struct vpit *p, uint64_t now_ns);
