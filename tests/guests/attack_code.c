/* SPDX-License-Identifier: BSD-2-Clause */
/* Attack: code that changes under itself: the next instruction, over a page end, through an alias, and all exits from one place. */
#include "tests/guests/trap.h"

#define WINDOW	0x40000000ul

static uint8_t page[2][4096] __attribute__((aligned(4096)));

static unsigned enter(uint64_t rip, struct trap_regs *r)
{
	r->rip = rip;
	r->cs = TRAP_CODE;
	r->ss = TRAP_DATA;
	r->rflags |= 2;
	r->gpr[RSP] = (uint64_t)&page[1][4096];
	return trap_enter(r);
}

static void put(uint8_t *at, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		at[i] = bytes[i];
	}
}

/* mov byte [rdi], 0xf9 (STC) over a CLC that comes next; then INT. */
static const uint8_t patch[] = { 0xc6, 0x07, 0xf9, 0xf8, 0xcd, TRAP_END };

static void patches(const char *what, uint64_t code, uint64_t write)
{
	struct trap_regs r = { .gpr[RDI] = write + 3 };

	attack_check(enter(code, &r) == TRAP_END && (r.rflags & 1) != 0, what, code, r.rflags);
}

void guest_main(const void *start_info)
{
	static const uint8_t exits[][2] = { { 0x0f, 0xa2 }, { 0x0f, 0x32 }, { 0xec, 0x90 }, { 0x0f, 0x0b }, { 0xee, 0x90 }, { 0x0f, 0x08 } };
	static const unsigned want[] = { TRAP_END, TRAP_GP, TRAP_END, TRAP_UD, TRAP_END, TRAP_END };

	(void)start_info;
	trap_init();
	trap_map(WINDOW, (uint64_t)page[0], 3);
	trap_map(WINDOW + 4096, (uint64_t)page[1], 3);
	trap_map(WINDOW + 8192, (uint64_t)page[0], 3);
	attack_step("patches");
	for (unsigned at = 0; at < 64; at++) {
		put(page[0] + at, patch, sizeof(patch));
		patches("the next instruction", WINDOW + at, WINDOW + at);
		put(page[0] + at, patch, sizeof(patch));
		patches("through an alias", WINDOW + at, WINDOW + 8192 + at);
		put(page[0] + at, patch, sizeof(patch));
		patches("through the identity map", WINDOW + at, (uint64_t)page[0] + at);
	}
	for (unsigned back = 1; back < 6; back++) {
		put(page[0] + 4096 - back, patch, sizeof(patch));
		patches("over a page end", WINDOW + 4096 - back, WINDOW + 4096 - back);
	}
	attack_step("exits from one place");
	for (unsigned i = 0; i < 6000; i++) {
		struct trap_regs r = { .gpr[RCX] = 0x12345678, .gpr[RDX] = 0x80 };

		put(page[0], exits[i % 6], 2);
		put(page[0] + 2, &patch[4], 2);
		attack_check(enter(WINDOW, &r) == want[i % 6], "exit", i % 6, r.vector);
	}
	attack_done("code");
}
