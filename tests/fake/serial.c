/* SPDX-License-Identifier: BSD-2-Clause */
/* The fake machine's serial port, screen and power button. The weak functions stand in until a test's own come. */
#include "tests/fake/serial.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/arch.h"
#include "kernel/log.h"

struct fake_serial fake_serial;

void fake_serial_forget(void)
{
	fake_serial.sent_len = fake_serial.screen_len = 0;
	fake_serial.sent[0] = fake_serial.screen[0] = '\0';
}

void fake_serial_reset(void)
{
	fake_serial_forget();
	fake_serial.present = fake_serial.endless = true;
	fake_serial.tx_irq = false;
	fake_serial.room = 0;
	fake_serial.rx_len = 0;
	fake_serial.overrun = false;
}

bool arch_serial_present(void)
{
	return fake_serial.present;
}

unsigned arch_serial_tx_room(void)
{
	return fake_serial.endless ? 16 : fake_serial.room;
}

void arch_serial_tx(uint8_t byte)
{
	if (!fake_serial.endless) {
		if (fake_serial.room == 0) {
			panic("fake serial: byte without room");
		}
		fake_serial.room--;
	}
	if (fake_serial.sent_len + 1 < FAKE_SERIAL_BYTES) {
		fake_serial.sent[fake_serial.sent_len++] = (char)byte;
		fake_serial.sent[fake_serial.sent_len] = '\0';
	}
}

int arch_serial_rx(void)
{
	if (fake_serial.rx_len == 0) {
		return -1;
	}
	fake_serial.rx_len--;
	return *fake_serial.rx++;
}

bool arch_serial_overrun(void)
{
	bool lost = fake_serial.overrun;

	fake_serial.overrun = false;
	return lost;
}

void arch_serial_want_tx_irq(bool on)
{
	fake_serial.tx_irq = on;
}

void arch_screen_putc(char c)
{
	if (fake_serial.screen_len + 1 < FAKE_SERIAL_BYTES) {
		fake_serial.screen[fake_serial.screen_len++] = c;
		fake_serial.screen[fake_serial.screen_len] = '\0';
	}
}

bool arch_screen_draw(unsigned cells)
{
	(void)cells;
	return false;
}

void arch_poweroff(void)
{
	longjmp(fake_serial.off, 1);
}

void arch_reboot(void)
{
	longjmp(fake_serial.off, 2);
}

/* A clock that a wait always reaches the end of: 10 us a look. */
__attribute__((weak)) uint64_t arch_now_ns(void)
{
	static _Atomic uint64_t now_ns;

	return now_ns += 10000;
}

__attribute__((weak)) void arch_relax(void)
{
}

__attribute__((weak)) void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}
