/* SPDX-License-Identifier: BSD-2-Clause */
/* Attack: every port, every size, read and written; string I/O over page ends; ports at CPL 3. */
#include "tests/guests/trap.h"

#define WINDOW	0x40000000ul	/* linear addresses without memory behind them until mapped */

struct range {
	uint16_t first, last;
};

/* What has a device (docs of vm/vmap.h, written down again so that a port opened by mistake is seen). */
static const struct range devices[] = {
	{ 0x20, 0x21 }, { 0x40, 0x43 }, { 0x61, 0x61 }, { 0x64, 0x64 }, { 0x70, 0x71 }, { 0xa0, 0xa1 }, { 0xf4, 0xf7 },
	{ 0x3f8, 0x3ff }, { 0x4d0, 0x4d1 }, { 0x600, 0x605 }, { 0x608, 0x60b }, { 0xcf9, 0xcf9 },
};

/* Writes here end the VM. */
static const struct range ends[] = { { 0x64, 0x64 }, { 0xf4, 0xf7 }, { 0x600, 0x605 }, { 0xcf9, 0xcf9 } };

static uint8_t page[2][4096] __attribute__((aligned(4096)));

static bool touches(const struct range *r, size_t count, unsigned port, unsigned size)
{
	for (size_t i = 0; i < count; i++) {
		if (port <= r[i].last && port + size > r[i].first) {
			return true;
		}
	}
	return false;
}

/* Every access by in() and out() is counted here: what was never tried is printed from it, not from a list. */
static uint8_t hit[2][0x10000];
static uint64_t accesses;

static void count(bool write, unsigned port, unsigned size)
{
	accesses++;
	for (unsigned i = 0; i < size; i++) {
		hit[write][(port + i) & 0xffff] |= (uint8_t)size;
	}
}

static void never(bool write)
{
	guest_puts(write ? "ports never written:" : "ports never read:");
	for (unsigned port = 0, last; port < 0x10000; port = last + 1) {
		for (last = port; hit[write][port] == 0 && last < 0xffff && hit[write][last + 1] == 0; last++) {
		}
		if (hit[write][port] == 0) {
			guest_puts(" ");
			guest_hex(port);
			guest_puts("-");
			guest_hex(last);
		}
	}
	guest_putc('\n');
}

static uint64_t in(unsigned port, unsigned size)
{
	uint64_t rax = 0x123456789abcdef0;

	count(false, port, size);

	switch (size) {
	case 1: __asm__ volatile("inb %w1, %b0" : "+a"(rax) : "d"(port)); break;
	case 2: __asm__ volatile("inw %w1, %w0" : "+a"(rax) : "d"(port)); break;
	default: __asm__ volatile("inl %w1, %k0" : "+a"(rax) : "d"(port)); break;
	}
	return rax;
}

static void out(unsigned port, unsigned size, uint32_t value)
{
	count(true, port, size);
	switch (size) {
	case 1: __asm__ volatile("outb %b0, %w1" : : "a"(value), "d"(port)); break;
	case 2: __asm__ volatile("outw %w0, %w1" : : "a"(value), "d"(port)); break;
	default: __asm__ volatile("outl %k0, %w1" : : "a"(value), "d"(port)); break;
	}
}

static void uart_again(void)
{
	guest_out8(GUEST_PORT_COM1 + 3, 3);
	guest_out8(GUEST_PORT_COM1 + 1, 0);
	guest_out8(GUEST_PORT_COM1 + 4, 3);
}

static void reads(void)
{
	static const uint64_t keep[5] = { 0, ~0xfful, ~0xfffful, 0, 0 };

	for (unsigned port = 0; port < 0x10000; port++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			uint64_t got = in(port, size), mask = keep[size], old = 0x123456789abcdef0;

			if ((got & mask) != (old & mask) || (size == 4 && got >> 32 != 0)) {
				attack_check(false, "RAX's other bytes after IN of port", port, got);
			}
			if (port + size <= 0x10000 && !touches(devices, sizeof(devices) / sizeof(devices[0]), port, size)) {
				uint64_t want = size == 4 ? 0xffffffff : old | ((1ul << 8 * size) - 1);

				attack_check(got == want, "IN of port", port, got);
			}
		}
	}
}

static void writes(unsigned end, uint32_t pattern, bool random)
{
	for (unsigned port = 0; port < end; port++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			if (!touches(ends, sizeof(ends) / sizeof(ends[0]), port, size)) {
				out(port, size, random ? (uint32_t)guest_random() : pattern);
			}
		}
	}
	uart_again();
}

/* REP INSB from port 0x80, count bytes up or down from where in the window. */
static void ins(uint64_t at, uint64_t count, bool down, unsigned want, uint64_t left, uint64_t cr2)
{
	struct trap_regs r = {
		.gpr[RDX] = 0x80, .gpr[RDI] = at, .gpr[RCX] = count, .rflags = down ? 0x400 : 0,
	};
	unsigned got = TRAP_RUN(&r, false, 0xf3, 0x6c);

	attack_check(got == want, "REP INSB: exception", at, got);
	attack_check(r.gpr[RCX] == left, "REP INSB: count left", at, r.gpr[RCX]);
	attack_check(want != TRAP_PF || r.cr2 == cr2, "REP INSB: CR2", at, r.cr2);
	__asm__ volatile("cld");
}

static void strings(void)
{
	struct trap_regs r = { .gpr[RDX] = 0x80, .gpr[RSI] = WINDOW, .gpr[RCX] = 4096 };

	trap_map(WINDOW - 4096, 0, 0);
	trap_map(WINDOW, (uint64_t)page[0], 3);
	trap_map(WINDOW + 4096, 0, 0);
	ins(WINDOW, 16, false, TRAP_END, 0, 0);
	attack_check(page[0][15] == 0xff && page[0][16] == 0, "REP INSB: bytes", 16, page[0][15]);
	ins(WINDOW + 4096 - 8, 16, false, TRAP_PF, 8, WINDOW + 4096);
	ins(WINDOW + 7, 16, true, TRAP_PF, 8, WINDOW - 1);
	ins(WINDOW, 0, false, TRAP_END, 0, 0);
	ins(0x8000000000000000, 4, false, TRAP_GP, 4, 0);
	attack_check(TRAP_RUN(&r, false, 0xf3, 0x6e) == TRAP_END, "REP OUTSB", 0, r.vector);
	r = (struct trap_regs){ .gpr[RDX] = 0x80, .gpr[RSI] = WINDOW + 4094, .gpr[RCX] = 1 };
	attack_check(TRAP_RUN(&r, false, 0x6f) == TRAP_PF && r.cr2 == WINDOW + 4096, "OUTSD over a page end", 0, r.cr2);
	trap_map(WINDOW, (uint64_t)page[0], 1);
	__asm__ volatile("mov %%cr0, %%rax; bts $16, %%rax; mov %%rax, %%cr0" : : : "rax");	/* WP */
	ins(WINDOW, 1, false, TRAP_PF, 1, WINDOW);
	r = (struct trap_regs){ .gpr[RDX] = 0x3f8, .gpr[RDI] = WINDOW, .gpr[RCX] = ~0ul };
	attack_check(TRAP_RUN(&r, false, 0xf3, 0x6d) == TRAP_PF, "REP INSD, 2^64 - 1 times", 0, r.vector);
}

void guest_main(const void *start_info)
{
	(void)start_info;
	trap_init();
	attack_step("reads");
	reads();
	attack_step("writes of ones and zeros");
	writes(0x1000, UINT32_MAX, false);	/* all devices are there */
	writes(0x1000, 0, false);
	attack_step("random writes");
	writes(0x10000, 0, true);
	attack_step("strings");
	strings();
	attack_step("CPL 3");
	EXPECT("IN at CPL 3", TRAP_GP, true, 0xec);
	EXPECT("OUT at CPL 3", TRAP_GP, true, 0xee);
	EXPECT("INSB at CPL 3", TRAP_GP, true, 0x6c);
	EXPECT("CLI at CPL 3", TRAP_GP, true, 0xfa);
	never(false);
	never(true);
	guest_puts("port accesses: ");
	guest_dec(accesses);
	guest_putc('\n');
	attack_done("ports");
}
