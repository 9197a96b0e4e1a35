/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A's registers (National PC16550D data sheet, 8.0 "Registers"). */
#include "vm/vuart.h"

#include <stddef.h>

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RX		0x01
#define IER_TX		0x02
#define IER_LINE	0x04
#define IER_MODEM	0x08
#define IER_MASK	0x0f

#define IIR_MODEM	0x00
#define IIR_NONE	0x01
#define IIR_TX		0x02
#define IIR_RX		0x04
#define IIR_LINE	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_TRIGGER	0xc0

#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_MASK	0x1f

#define LSR_DATA	0x01
#define LSR_OVERRUN	0x02
#define LSR_TX_EMPTY	0x60	/* holding register and shift register */

#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

static unsigned capacity(const struct vuart *u)
{
	return (u->fcr & FCR_ENABLE) ? VUART_FIFO_BYTES : 1;
}

static unsigned trigger(const struct vuart *u)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return levels[(u->fcr & FCR_TRIGGER) >> 6];
}

/* The upper half of MSR: a terminal that is always there, or in loopback our own outputs. */
static uint8_t modem_lines(const struct vuart *u)
{
	unsigned lines = 0;

	if (!(u->mcr & MCR_LOOP)) {
		return MSR_CTS | MSR_DSR | MSR_DCD;
	}
	lines |= (u->mcr & MCR_DTR) ? MSR_DSR : 0;
	lines |= (u->mcr & MCR_RTS) ? MSR_CTS : 0;
	lines |= (u->mcr & MCR_OUT1) ? MSR_RI : 0;
	lines |= (u->mcr & MCR_OUT2) ? MSR_DCD : 0;
	return (uint8_t)lines;
}

/* The cause with the highest priority, among those enabled. */
static uint8_t cause(const struct vuart *u)
{
	if ((u->ier & IER_LINE) && u->lsr_errors != 0) {
		return IIR_LINE;
	}
	if ((u->ier & IER_RX) && u->fifo_used > 0) {
		return (u->fcr & FCR_ENABLE) && u->fifo_used < trigger(u) ? IIR_TIMEOUT : IIR_RX;
	}
	if ((u->ier & IER_TX) && u->thr_pending) {
		return IIR_TX;
	}
	if ((u->ier & IER_MODEM) && u->msr_delta != 0) {
		return IIR_MODEM;
	}
	return IIR_NONE;
}

static void update(struct vuart *u)
{
	/* OUT2 enables the line driver on a PC's board; in loopback the pin is inactive. */
	bool level = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && cause(u) != IIR_NONE;

	if (level != u->line) {
		u->line = level;
		u->config.irq(u->config.ctx, u->config.gsi, level);
	}
}

static void push(struct vuart *u, uint8_t byte)
{
	if (u->fifo_used < capacity(u)) {
		u->fifo[(u->fifo_first + u->fifo_used) % VUART_FIFO_BYTES] = byte;
		u->fifo_used++;
		return;
	}
	u->lsr_errors |= LSR_OVERRUN;
	if (!(u->fcr & FCR_ENABLE)) {
		u->fifo[u->fifo_first] = byte;	/* without FIFO the new byte overwrites the old one */
	}
}

static uint8_t read_data(struct vuart *u)
{
	uint8_t byte = u->fifo[u->fifo_first];

	if (u->fifo_used == 0) {
		return 0;
	}
	u->fifo_first = (uint8_t)((u->fifo_first + 1u) % VUART_FIFO_BYTES);
	u->fifo_used--;
	update(u);
	if (u->fifo_used == 0 && u->config.drained != NULL && !(u->mcr & MCR_LOOP)) {
		u->config.drained(u->config.ctx);
	}
	return byte;
}

static uint8_t read_iir(struct vuart *u)
{
	uint8_t iir = cause(u);

	if (iir == IIR_TX) {
		u->thr_pending = false;
		update(u);
	}
	return iir | ((u->fcr & FCR_ENABLE) ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct vuart *u)
{
	uint8_t lsr = (uint8_t)(LSR_TX_EMPTY | u->lsr_errors | (u->fifo_used > 0 ? LSR_DATA : 0));

	u->lsr_errors = 0;
	update(u);
	return lsr;
}

static uint8_t read_msr(struct vuart *u)
{
	uint8_t msr = modem_lines(u) | u->msr_delta;

	u->msr_delta = 0;
	update(u);
	return msr;
}

static void write_data(struct vuart *u, uint8_t byte)
{
	/* Writing takes the interrupt back and the byte's leaving raises it: an edge for drivers that skip IIR. */
	u->thr_pending = false;
	update(u);
	if (u->mcr & MCR_LOOP) {
		push(u, byte);
	} else {
		u->config.tx(u->config.ctx, byte);
	}
	u->thr_pending = true;
	update(u);
}

static void write_ier(struct vuart *u, uint8_t value)
{
	/* Enabled while the register is empty: the interrupt comes at once. */
	if ((value & IER_TX) && !(u->ier & IER_TX)) {
		u->thr_pending = true;
	}
	u->ier = value & IER_MASK;
	update(u);
}

static void write_fcr(struct vuart *u, uint8_t value)
{
	bool cleared = ((value ^ u->fcr) & FCR_ENABLE) || (value & (FCR_ENABLE | FCR_CLEAR_RX)) ==
		(FCR_ENABLE | FCR_CLEAR_RX);

	/* The other bits are only programmed while bit 0 is written as one. */
	u->fcr = (value & FCR_ENABLE) ? (value & (FCR_ENABLE | FCR_TRIGGER)) : 0;
	if (cleared) {
		u->fifo_used = 0;
	}
	update(u);
	if (cleared && u->config.drained != NULL && !(u->mcr & MCR_LOOP)) {
		u->config.drained(u->config.ctx);
	}
}

static void write_mcr(struct vuart *u, uint8_t value)
{
	uint8_t before = modem_lines(u), changed;
	bool left_loop = (u->mcr & MCR_LOOP) && !(value & MCR_LOOP);

	u->mcr = value & MCR_MASK;
	changed = before ^ modem_lines(u);
	/* Delta bits follow their lines, but RI's counts only its end (the trailing edge). */
	if (changed & MSR_RI) {
		changed &= (uint8_t)~((before & MSR_RI) ? 0 : MSR_RI);
	}
	u->msr_delta |= changed >> 4;
	update(u);
	if (left_loop && u->fifo_used == 0 && u->config.drained != NULL) {
		u->config.drained(u->config.ctx);
	}
}

void vuart_init(struct vuart *u, const struct vuart_config *config)
{
	*u = (struct vuart){ .config = *config, .divisor_low = 1 };
}

uint8_t vuart_read(struct vuart *u, unsigned reg)
{
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA:
		return dlab ? u->divisor_low : read_data(u);
	case REG_IER:
		return dlab ? u->divisor_high : u->ier;
	case REG_IIR_FCR:
		return read_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return read_lsr(u);
	case REG_MSR:
		return read_msr(u);
	case REG_SCR:
		return u->scr;
	default:
		return 0xff;
	}
}

void vuart_write(struct vuart *u, unsigned reg, uint8_t value)
{
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA:
		if (dlab) {
			u->divisor_low = value;
		} else {
			write_data(u, value);
		}
		break;
	case REG_IER:
		if (dlab) {
			u->divisor_high = value;
		} else {
			write_ier(u, value);
		}
		break;
	case REG_IIR_FCR:
		write_fcr(u, value);
		break;
	case REG_LCR:
		u->lcr = value;
		break;
	case REG_MCR:
		write_mcr(u, value);
		break;
	case REG_SCR:
		u->scr = value;
		break;
	default:	/* LSR and MSR are read-only */
		break;
	}
}

unsigned vuart_room(const struct vuart *u)
{
	return (u->mcr & MCR_LOOP) ? 0 : capacity(u) - u->fifo_used;
}

void vuart_receive(struct vuart *u, uint8_t byte)
{
	if (u->mcr & MCR_LOOP) {
		return;		/* the receiver's pin is disconnected */
	}
	push(u, byte);
	update(u);
}
