/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pair of 8259A interrupt controllers of a PC, the slave on the master's input 2, with the edge/level control
 * registers at 0x4d0. Lines come in by vpic_set(); the one line out is vpic_output(), which the owner looks at after
 * every call; the cpu's acknowledge cycle is vpic_ack().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vpic_chip {
	uint8_t irr, isr, imr;
	uint8_t lines;		/* level of the inputs */
	uint8_t elcr;		/* 1: level-triggered */
	uint8_t base;		/* ICW2 */
	uint8_t priority;	/* input that comes first */
	uint8_t init_step;	/* 0: running; 2, 3, 4: that ICW comes next */
	bool icw4_follows, single, auto_eoi, rotate_auto_eoi, special_mask, special_nested, read_isr, poll;
};

struct vpic {
	struct vpic_chip chip[2];	/* master, slave */
};

void vpic_init(struct vpic *p);
/* port: 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1. */
uint8_t vpic_read(struct vpic *p, uint16_t port);
void vpic_write(struct vpic *p, uint16_t port, uint8_t value);
/* Level of ISA line irq (0-15, not 2). */
void vpic_set(struct vpic *p, unsigned irq, bool level);
/* Is the INT pin up? */
bool vpic_output(const struct vpic *p);
/* INTA: the vector. With nothing to deliver (any more) the master's, or the slave's, spurious input 7. */
uint8_t vpic_ack(struct vpic *p);
