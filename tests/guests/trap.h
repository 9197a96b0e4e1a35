/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For guests that provoke exceptions: an IDT whose every vector ends the piece of code at hand and comes back to its caller
 * with the registers, CPL 3, page tables of 4 KiB, and the count of checks and wrong outcomes of an attack.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/guests/guest.h"

#define TRAP_END	0x81u		/* the vector by which code ends: "no exception" */
#define TRAP_UD		6u
#define TRAP_DB		1u
#define TRAP_DF		8u
#define TRAP_GP		13u
#define TRAP_PF		14u
#define TRAP_AC		17u

#define TRAP_CODE	0x08u
#define TRAP_DATA	0x10u
#define TRAP_USER_DATA	0x1bu
#define TRAP_USER_CODE	0x23u
#define TRAP_TSS	0x28u
#define TRAP_CODE32	0x38u
#define TRAP_USER_CODE32	0x43u

enum trap_gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Offsets are known to trap.asm. */
struct trap_regs {
	uint64_t gpr[16];
	uint64_t rflags, rip, cs, ss;
	uint64_t vector, error, cr2;
};

struct trap_gate {
	uint16_t low, selector;
	uint8_t ist, type;
	uint16_t mid;
	uint32_t high, zero;
};

/* trap.asm */
unsigned trap_enter(struct trap_regs *r);	/* runs from r until an exception; r has what it left; the vector */
extern uint64_t trap_counts[256];		/* external interrupts taken while trap_passive, and NMIs */
extern uint64_t trap_passive;			/* 1: vectors from 32 on but TRAP_END are counted, EOI'd, and the code goes on */
extern uint64_t trap_x2apic;			/* 1: EOI by MSR */
extern uint64_t trap_early;			/* external interrupts that came with RFLAGS.IF = 0: must stay 0 */
extern uint64_t trap_once;			/* 1: the code goes on with interrupts off */
extern struct trap_gate trap_idt[256];

/* trap.c */
extern unsigned attack_checks, attack_wrong;

void trap_init(void);
void trap_load_tables(void);			/* GDT, IDT, TSS, CR3 as trap_init() made them */
void trap_set_gate(unsigned vector, const void *handler, unsigned ist, unsigned dpl);
void trap_set_ist(unsigned ist, uint64_t stack);
/* Maps a page; flags as in a page-table entry (1 present, 2 writable, 4 user). */
void trap_map(uint64_t linear, uint64_t physical, uint64_t flags);
void trap_invlpg(uint64_t linear);
/* Runs bytes, and the end after them, with the general registers (RSP too where not 0) and RFLAGS bits of r. */
unsigned trap_run(const uint8_t *bytes, size_t count, struct trap_regs *r, bool user);
#define TRAP_RUN(r, user, ...) ({ static const uint8_t code_[] = { __VA_ARGS__ }; trap_run(code_, sizeof(code_), r, user); })

void attack_step(const char *what);
/* Counts a check; says what was wrong. */
bool attack_check(bool right, const char *what, uint64_t number, uint64_t got);
/* A check of one instruction's exception. */
#define EXPECT(what, want, user, ...) do { \
	struct trap_regs r_ = { 0 }; \
	unsigned got_ = TRAP_RUN(&r_, user, __VA_ARGS__); \
	attack_check(got_ == (want), what, want, got_); \
} while (0)
noreturn void attack_done(const char *name);

const char *guest_cmdline(const void *start_info);
uint64_t guest_number_after(const char *text, const char *key, uint64_t otherwise);	/* of "key=123" */
bool guest_has_word(const char *text, const char *word);
uint64_t guest_random(void);
void guest_seed(uint64_t seed);

static inline bool trap_rdmsr(uint32_t msr, uint64_t *value)
{
	struct trap_regs r = { .gpr[RCX] = msr };
	unsigned vector = TRAP_RUN(&r, false, 0x0f, 0x32);

	*value = r.gpr[RDX] << 32 | (uint32_t)r.gpr[RAX];
	return vector == TRAP_END;
}

static inline unsigned trap_wrmsr(uint32_t msr, uint64_t value)
{
	struct trap_regs r = { .gpr[RCX] = msr, .gpr[RAX] = (uint32_t)value, .gpr[RDX] = value >> 32 };

	return TRAP_RUN(&r, false, 0x0f, 0x30);
}
