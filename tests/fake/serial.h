/* SPDX-License-Identifier: BSD-2-Clause */
/* The fake machine's serial port, screen and power button, as tests see them. */
#pragma once

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_SERIAL_BYTES	(1u << 20)

struct fake_serial {
	bool present;
	unsigned room;			/* what tx_room() answers; each byte sent takes one */
	bool endless;			/* room never ends */
	bool tx_irq;
	char sent[FAKE_SERIAL_BYTES];	/* terminated */
	size_t sent_len;
	char screen[FAKE_SERIAL_BYTES];
	size_t screen_len;
	const uint8_t *rx;		/* bytes to be received */
	size_t rx_len;
	bool overrun;			/* input was lost in the port */
	jmp_buf off;			/* arch_poweroff() and arch_reboot() come back here with 1 and 2 */
};

extern struct fake_serial fake_serial;

/* A present port with endless room, nothing sent. */
void fake_serial_reset(void);
/* Forgets what was sent. */
void fake_serial_forget(void);
