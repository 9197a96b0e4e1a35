/* SPDX-License-Identifier: BSD-2-Clause */
/* What the test guests share. */
#include "tests/guests/guest.h"

#define UART_LSR	5u
#define LSR_THR_EMPTY	0x20u

void guest_putc(char c)
{
	if (c == '\n') {
		guest_putc('\r');
	}
	/* Bounded: a guest without a UART (reads all ones) must not hang here either. */
	for (unsigned i = 0; i < 1000000 && (guest_in8(GUEST_PORT_COM1 + UART_LSR) & LSR_THR_EMPTY) == 0; i++) {
		guest_pause();
	}
	guest_out8(GUEST_PORT_COM1, (uint8_t)c);
}

void guest_puts(const char *s)
{
	while (*s != '\0') {
		guest_putc(*s++);
	}
}

static void digits(uint64_t v, unsigned base)
{
	char buf[24];
	unsigned n = sizeof(buf);

	buf[--n] = '\0';
	do {
		buf[--n] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v != 0);
	guest_puts(&buf[n]);
}

void guest_dec(uint64_t v)
{
	digits(v, 10);
}

void guest_hex(uint64_t v)
{
	guest_puts("0x");
	digits(v, 16);
}

void guest_exit(uint32_t code)
{
	guest_out32(GUEST_PORT_EXIT, code);
	for (;;) {
		guest_cli();
		__asm__ volatile("hlt");
	}
}

uint64_t guest_tsc_per_ms(void)
{
	struct guest_cpuid r = guest_cpuid(0x40000000, 0);

	if (r.eax >= GUEST_LEAF_TIMING && r.eax < 0x40010000) {
		r = guest_cpuid(GUEST_LEAF_TIMING, 0);
		if (r.eax != 0) {
			return r.eax;
		}
	}
	if (guest_cpuid(0, 0).eax >= 0x15) {
		r = guest_cpuid(0x15, 0);
		if (r.eax != 0 && r.ebx != 0 && r.ecx != 0) {
			return (uint64_t)r.ecx * r.ebx / r.eax / 1000;
		}
	}
	return 1000000;
}
