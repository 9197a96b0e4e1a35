/* SPDX-License-Identifier: BSD-2-Clause */
/* The console's 16550 (COM1 or what SPCR names) at 115200 8N1. */
#include <stdatomic.h>

#include "arch/x86_64/insn.h"
#include "arch/x86_64/ioapic.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/vectors.h"
#include "kernel/arch.h"

/* Registers (16550 data sheet) */
#define REG_DATA		0
#define REG_IER			1
#define  IER_RX			0x01
#define  IER_TX			0x02
#define REG_FCR			2
#define  FCR_ON_CLEAR_TRIGGER8	0x87
#define REG_LCR			3
#define  LCR_8N1		0x03
#define  LCR_DLAB		0x80
#define REG_MCR			4
#define  MCR_DTR_RTS_OUT2	0x0b	/* OUT2 lets the interrupt line out on a PC */
#define  MCR_LOOPBACK		0x1e
#define REG_LSR			5
#define  LSR_DATA		0x01
#define  LSR_OVERRUN		0x02	/* cleared by being read */
#define  LSR_THR_EMPTY		0x20
#define  LSR_ALL_SENT		0x40
#define DRAIN_SPINS		10000000u
#define FIFO_SIZE		16u
#define DIVISOR_115200		1

static struct {
	uint16_t port;
	bool present;
	bool irq;
	unsigned room;		/* bytes that still fit since the FIFO was last seen empty */
	uint8_t ier;
	_Atomic bool fired;	/* an interrupt came since the line was last let down */
	_Atomic bool overrun;	/* set by whoever reads LSR, cleared by arch_serial_overrun() */
} serial;

static uint8_t reg_read(unsigned reg)
{
	return insn_in8((uint16_t)(serial.port + reg));
}

static void reg_write(unsigned reg, uint8_t v)
{
	insn_out8((uint16_t)(serial.port + reg), v);
}

static uint8_t line_status(void)
{
	uint8_t lsr = reg_read(REG_LSR);

	if ((lsr & LSR_OVERRUN) != 0) {
		atomic_store_explicit(&serial.overrun, true, memory_order_relaxed);
	}
	return lsr;
}

/* A byte sent in loop-back comes back only where there is a UART. */
static bool answers(void)
{
	reg_write(REG_MCR, MCR_LOOPBACK);
	reg_write(REG_DATA, 0xae);
	for (unsigned i = 0; i < 100000; i++) {
		if ((reg_read(REG_LSR) & LSR_DATA) != 0) {
			return reg_read(REG_DATA) == 0xae;
		}
	}
	return false;
}

void serial_init(uint16_t port)
{
	serial.port = port;
	reg_write(REG_IER, 0);
	reg_write(REG_LCR, LCR_DLAB);
	reg_write(REG_DATA, DIVISOR_115200);
	reg_write(REG_IER, 0);
	reg_write(REG_LCR, LCR_8N1);
	reg_write(REG_FCR, FCR_ON_CLEAR_TRIGGER8);
	serial.present = answers();
	reg_write(REG_MCR, MCR_DTR_RTS_OUT2);
}

bool serial_init_irq(const struct platform *p, uint32_t apic_id)
{
	if (!serial.present ||
	    !ioapic_route(p, p->serial_gsi, VECTOR_SERIAL, apic_id, p->serial_level, p->serial_low)) {
		return false;
	}
	serial.irq = true;
	serial.ier = IER_RX;
	reg_write(REG_IER, serial.ier);
	return true;
}

bool arch_serial_present(void)
{
	return serial.present;
}

unsigned arch_serial_tx_room(void)
{
	if (serial.room == 0 && serial.present && (line_status() & LSR_THR_EMPTY) != 0) {
		serial.room = FIFO_SIZE;
	}
	return serial.room;
}

void arch_serial_tx(uint8_t byte)
{
	if (serial.room > 0) {
		serial.room--;
	}
	reg_write(REG_DATA, byte);
}

void serial_drain(void)
{
	for (unsigned i = 0; serial.present && i < DRAIN_SPINS && (reg_read(REG_LSR) & LSR_ALL_SENT) == 0; i++) {
	}
}

int arch_serial_rx(void)
{
	if (!serial.present || (line_status() & LSR_DATA) == 0) {
		return -1;
	}
	return reg_read(REG_DATA);
}

bool arch_serial_overrun(void)
{
	return atomic_load_explicit(&serial.overrun, memory_order_relaxed) &&
	       atomic_exchange_explicit(&serial.overrun, false, memory_order_relaxed);
}

void serial_interrupt(void)
{
	atomic_store_explicit(&serial.fired, true, memory_order_relaxed);
	atomic_store_explicit(&percpu_this()->cpu.remote.poked, 1, memory_order_relaxed);	/* housekeeping is due */
}

/*
 * The line is high while any cause is there, and only its rise interrupts. A byte that comes while room for output is
 * told, after the last look for bytes and before the output is written, keeps the line high: nothing would ever tell of
 * it. So after an interrupt the line is let down once; what still waits raises it again.
 */
void arch_serial_want_tx_irq(bool on)
{
	uint8_t ier = (uint8_t)(on ? serial.ier | IER_TX : serial.ier & ~IER_TX);
	bool fired;

	if (!serial.irq) {
		return;
	}
	fired = atomic_exchange_explicit(&serial.fired, false, memory_order_relaxed);
	if (fired) {
		reg_write(REG_IER, 0);
	}
	if (fired || ier != serial.ier) {
		serial.ier = ier;
		reg_write(REG_IER, ier);
	}
}
