/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attack: seeded random instructions. Command line: seed=N count=N (instructions to execute at least), and "ring0" for
 * CPL 0, where the guest may end or hang. Half of an instruction stream are forms that mostly run, so that streams are long;
 * the rest are random bytes.
 */
#include "tests/guests/trap.h"

#define SANDBOX		0x40000000ul	/* linear: a page of code, 4 of data, around them nothing */
#define DATA_PAGES	4u
#define STREAM		400u		/* bytes of a stream */
#define RUNS		12u		/* of each stream, with other registers */
#define WATCHDOG	0xe0u
#define WATCHDOG_COUNT	100000u
#define CANARY		0x5a5a1234c0ffee00ul

static uint8_t code[4096] __attribute__((aligned(4096)));
static uint8_t data[DATA_PAGES][4096] __attribute__((aligned(4096)));
static uint64_t canary[512];
static uint16_t starts[STREAM], number_at[4096];	/* of instructions; of bytes: which instruction's */
static unsigned start_count;
static uint64_t executed, streams, vectors[256];

static unsigned put(unsigned at, unsigned n, uint64_t bytes)
{
	for (unsigned i = 0; i < n; i++) {
		code[at + i] = (uint8_t)(bytes >> 8 * i);
	}
	return at + n;
}

/* ModRM with a register, or memory by rbx, rsi, rdi with disp8. */
static unsigned modrm(unsigned at, uint64_t r)
{
	static const uint8_t bases[] = { 3, 6, 7 };

	if ((r & 1) != 0) {
		return put(at, 1, 0xc0 | (r >> 1 & 0x3f));
	}
	at = put(at, 1, 0x40 | (r >> 1 & 7) << 3 | bases[(r >> 4) % 3]);
	return put(at, 1, r >> 8);
}

/* One instruction; most run. */
static unsigned emit(unsigned at)
{
	static const uint8_t alu[] = { 0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x11, 0x13, 0x19, 0x1b, 0x21, 0x23, 0x29, 0x2b,
				       0x31, 0x33, 0x39, 0x3b, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0xd1, 0xd3, 0xfe };
	static const uint8_t two[] = { 0x40, 0x45, 0x4f, 0x90, 0x9e, 0xa3, 0xa4, 0xa5, 0xab, 0xac, 0xaf, 0xb0, 0xb1, 0xb3, 0xb6,
				       0xb7, 0xbb, 0xbc, 0xbd, 0xbe, 0xc0, 0xc1, 0x10, 0x11, 0x28, 0x29, 0x58, 0x6f, 0x7f, 0xef };
	static const uint16_t system[] = { 0x010f, 0x000f, 0x200f, 0x220f, 0x210f, 0x230f, 0x320f, 0x300f, 0xa20f, 0x310f, 0xc70f,
					   0xae0f, 0x780f, 0x790f, 0x090f, 0x330f, 0x340f, 0x050f, 0x070f, 0x380f, 0x3a0f };
	uint64_t r = guest_random(), kind = r % 16, bits = r >> 8;

	if (kind < 6) {
		at = (bits & 3) == 0 ? put(at, 1, 0x48 | (bits >> 2 & 7)) : at;
		return modrm(put(at, 1, alu[(bits >> 8) % sizeof(alu)]), bits >> 16);
	}
	if (kind < 9) {
		at = (bits & 3) == 0 ? put(at, 1, 0x66) : at;
		at = put(at, 2, 0x0f | (uint64_t)two[(bits >> 8) % sizeof(two)] << 8);
		return modrm(at, bits >> 16);
	}
	if (kind < 10) {
		return put(at, 2, 0x70 | (bits & 15));		/* Jcc to the next: what runs can be counted */
	}
	if (kind < 12) {
		return put(at, 1, 0x90 | (bits & 7));
	}
	if (kind < 13) {
		return put(at, 6, 0xb848 | (bits & 7) << 8 | bits >> 16 << 16);
	}
	if (kind < 15) {
		return put(at, 3, system[bits % (sizeof(system) / 2)] | bits >> 8 << 16);
	}
	return put(at, 1 + bits % 8, bits >> 4);
}

static void fill(void)
{
	unsigned at = 0;

	start_count = 0;
	while (at < STREAM - 16) {
		unsigned end = emit(at);

		starts[start_count] = (uint16_t)at;
		for (; at < end; at++) {
			number_at[at] = (uint16_t)start_count;
		}
		start_count++;
	}
	for (unsigned i = at; i < sizeof(code); i++) {
		number_at[i] = (uint16_t)start_count;
	}
	starts[start_count++] = (uint16_t)at;
	while (at < sizeof(code)) {
		at = put(at, 2, 0xcd | TRAP_END << 8);
		at = at > sizeof(code) - 2 ? sizeof(code) : at;
	}
}

/* RBX, RSI, RDI and RSP point into the data, so that most operands are there. */
static void point(struct trap_regs *r)
{
	static const uint8_t gprs[] = { RBX, RSI, RDI, RSP };

	for (unsigned i = 0; i < sizeof(gprs); i++) {
		r->gpr[gprs[i]] = SANDBOX + 0x2000 + (guest_random() & 0x1ff8);
	}
}

/*
 * Runs the stream to its end: whatever an instruction raises, the one after it is next. Counted are the instructions emitted
 * between an entry and where the exception came from: jumps forward in random bytes count too many, loops too few.
 */
static void run(bool ring0)
{
	struct trap_regs r = { 0 };
	unsigned first = 0;

	for (unsigned i = 0; i < 16; i++) {
		uint64_t v = guest_random();

		r.gpr[i] = v >> (v & 56);
	}
	for (unsigned traps = 0; traps < start_count && first + 1 < start_count; traps++) {
		uint64_t at;

		point(&r);
		r.rip = SANDBOX + starts[first];
		r.cs = ring0 ? TRAP_CODE : TRAP_USER_CODE;
		r.ss = ring0 ? TRAP_DATA : TRAP_USER_DATA;
		r.rflags = 0x202 | (guest_random() & ((guest_random() & 63) == 0 ? 0x40dd5 : 0x8d5));	/* TF and AC, rarely */
		vectors[trap_enter(&r) & 255]++;
		if (ring0) {
			trap_load_tables();
		}
		if (r.vector == WATCHDOG) {
			*(volatile uint32_t *)0xfee000b0 = 0;
		}
		at = r.rip - SANDBOX;
		if (at >= sizeof(code)) {
			break;		/* it jumped out */
		}
		executed += number_at[at] > first ? number_at[at] - first : 0;
		first = (number_at[at] > first ? number_at[at] : first) + 1;
	}
	streams++;
}

static void report(void)
{
	guest_puts("random: ");
	guest_dec(executed);
	guest_puts(" instructions in ");
	guest_dec(streams);
	guest_puts(" streams;");
	for (unsigned v = 0; v < 256; v++) {
		if (vectors[v] != 0) {
			guest_puts(" ");
			guest_dec(v);
			guest_puts(":");
			guest_dec(vectors[v]);
		}
	}
	guest_putc('\n');
}

/* CPL 0: no memory but the guest's own first 2 MiB and the local APIC, or the first stray access would end the VM. */
static void unmap(void)
{
	uint64_t *pd, cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	pd = (uint64_t *)(*(uint64_t *)(*(uint64_t *)(cr3 & ~4095ul) & ~4095ul) & ~4095ul);
	for (unsigned i = 1; i < 2048; i++) {
		pd[i] = i == 0xfee00000u >> 21 ? pd[i] : 0;	/* start.asm has the four directories in a row */
	}
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

void guest_main(const void *start_info)
{
	const char *line = guest_cmdline(start_info);
	uint64_t count = guest_number_after(line, "count", 100000), said = count / 4;
	bool ring0 = guest_has_word(line, "ring0");

	guest_seed(guest_number_after(line, "seed", 1));
	trap_init();
	guest_out8(0x21, 0xff);
	guest_out8(0xa1, 0xff);
	*(volatile uint32_t *)0xfee000f0 = 0x1ff;
	*(volatile uint32_t *)0xfee003e0 = 0xb;
	*(volatile uint32_t *)0xfee00320 = WATCHDOG | 1u << 17;		/* periodic: ends loops */
	*(volatile uint32_t *)0xfee00380 = WATCHDOG_COUNT;
	/* SSE, so that its forms run. */
	__asm__ volatile("mov %%cr4, %%rax; or $0x600, %%rax; mov %%rax, %%cr4" : : : "rax");
	if (ring0) {
		unmap();
	}
	trap_map(SANDBOX, (uint64_t)code, ring0 ? 3 : 7);
	for (unsigned i = 0; i < DATA_PAGES; i++) {
		trap_map(SANDBOX + 4096 * (i + 1), (uint64_t)data[i], ring0 ? 3 : 7);
	}
	for (unsigned i = 0; i < 512; i++) {
		canary[i] = CANARY + i;
	}
	while (executed < count) {
		fill();
		for (unsigned i = 0; i < RUNS; i++) {
			run(ring0);
		}
		if (ring0) {
			report();	/* it may not come to another */
		}
		if (executed >= said) {
			report();
			said += count / 4;
		}
	}
	report();
	for (unsigned i = 0; i < 512; i++) {
		attack_check(ring0 || canary[i] == CANARY + i, "memory outside the sandbox", i, canary[i]);
	}
	attack_check(executed >= count, "instructions", count, executed);
	attack_done("random");
}
