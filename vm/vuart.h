/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 16550A serial port. What the guest sends is gone at once (the transmitter is always empty), what it is to receive
 * waits in a FIFO of 16 bytes; the owner keeps the rest and feeds it when `drained` says there is room again.
 *
 * The receive timeout of the chip (4 character times) is over at once here: bytes below the trigger level are
 * reported as a timeout interrupt. As on a PC, OUT2 gates the interrupt line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VUART_FIFO_BYTES	16u

struct vuart_config {
	void *ctx;
	unsigned gsi;
	void (*irq)(void *ctx, unsigned gsi, bool level);	/* only called when the level changes */
	void (*tx)(void *ctx, uint8_t byte);			/* takes the byte; cannot refuse */
	void (*drained)(void *ctx);	/* the guest emptied the receiver; may call vuart_receive(). May be NULL */
};

struct vuart {
	struct vuart_config config;
	uint8_t ier, fcr, lcr, mcr, lsr_errors, msr_delta, scr;
	uint8_t divisor_low, divisor_high;
	uint8_t fifo[VUART_FIFO_BYTES];
	uint8_t fifo_first, fifo_used;
	bool thr_pending;	/* set: THR went empty, or its interrupt was enabled; cleared: IIR read saw it */
	bool line;
};

void vuart_init(struct vuart *u, const struct vuart_config *config);
uint8_t vuart_read(struct vuart *u, unsigned reg);
void vuart_write(struct vuart *u, unsigned reg, uint8_t value);

/* Bytes that vuart_receive() takes now; 0 in loopback. */
unsigned vuart_room(const struct vuart *u);
/* One byte from the line. Without room it is lost and the overrun error set, as on the chip. */
void vuart_receive(struct vuart *u, uint8_t byte);
