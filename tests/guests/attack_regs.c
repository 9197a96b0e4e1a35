/* SPDX-License-Identifier: BSD-2-Clause */
/* Attack: control and debug registers with every reserved bit and every forbidden combination. */
#include "tests/guests/trap.h"

#define CR0_PE	(1ul << 0)
#define CR0_NE	(1ul << 5)
#define CR0_NW	(1ul << 29)
#define CR0_CD	(1ul << 30)
#define CR0_PG	(1ul << 31)
#define CR0_RESERVED	0x1ffaffc0ul
#define CR4_DE	(1ul << 3)
#define CR4_PAE	(1ul << 5)
#define CR4_MCE	(1ul << 6)
#define CR4_OSXSAVE	(1ul << 18)

#define READER(name, reg) \
	static uint64_t name(void) \
	{ \
		uint64_t v; \
		__asm__ volatile("mov %%" reg ", %0" : "=r"(v)); \
		return v; \
	}
READER(cr0, "cr0")
READER(cr3, "cr3")
READER(cr4, "cr4")
READER(cr8, "cr8")

static unsigned write(const uint8_t *bytes, size_t count, uint64_t value)
{
	struct trap_regs r = { .gpr[RAX] = value };

	return trap_run(bytes, count, &r, false);
}
#define WRITE(value, ...) ({ static const uint8_t b_[] = { __VA_ARGS__ }; write(b_, sizeof(b_), value); })
#define TO_CR0	0x0f, 0x22, 0xc0
#define TO_CR3	0x0f, 0x22, 0xd8
#define TO_CR4	0x0f, 0x22, 0xe0
#define TO_CR8	0x44, 0x0f, 0x22, 0xc0
#define TO_DR4	0x0f, 0x23, 0xe0
#define TO_DR6	0x0f, 0x23, 0xf0
#define TO_DR7	0x0f, 0x23, 0xf8

static void bad_cr0(uint64_t value)
{
	uint64_t before = cr0();

	attack_check(WRITE(value, TO_CR0) == TRAP_GP, "taken: CR0", value, cr0());
	attack_check(cr0() == before, "changed by a refused write: CR0", value, cr0());
}

static void control0(void)
{
	uint64_t old = cr0();

	for (unsigned bit = 32; bit < 64; bit++) {
		bad_cr0(old | 1ul << bit);
	}
	bad_cr0(old & ~CR0_PE);
	bad_cr0(old & ~CR0_PG);
	bad_cr0((old | CR0_NW) & ~CR0_CD);
	/* Legal in what exits, forbidden in what the cpu checks. */
	bad_cr0((old & ~CR0_PE) ^ CR0_CD);
	bad_cr0((old & ~CR0_PE) ^ CR0_NE);
	bad_cr0((old & ~CR0_PG) ^ CR0_CD);
	for (unsigned bit = 0; bit < 32; bit++) {
		if ((CR0_RESERVED >> bit & 1) != 0) {
			attack_check(WRITE(old ^ 1ul << bit, TO_CR0) == TRAP_END, "a reserved bit refused: CR0", bit, 0);
			attack_check(cr0() == old, "a reserved bit kept: CR0", bit, cr0());
		}
	}
	attack_check(WRITE(old | CR0_CD, TO_CR0) == TRAP_END && cr0() == (old | CR0_CD), "CR0.CD", 0, cr0());
	attack_check(WRITE(old ^ CR0_NE, TO_CR0) == TRAP_END && cr0() == (old ^ CR0_NE), "CR0.NE", 0, cr0());
	attack_check(WRITE(old, TO_CR0) == TRAP_END && cr0() == old, "CR0 as it was", 0, cr0());
}

static void control3(void)
{
	uint64_t old = cr3();
	unsigned width = guest_cpuid(0x80000008, 0).eax & 0xff;

	for (unsigned bit = width; bit < 64; bit++) {
		attack_check(WRITE(old | 1ul << bit, TO_CR3) == TRAP_GP, "taken: CR3 with bit", bit, cr3());
		attack_check(cr3() == old, "changed by a refused write: CR3", bit, cr3());
		__asm__ volatile("mov %0, %%cr3" : : "r"(old) : "memory");
	}
}

static void bad_cr4(uint64_t value)
{
	uint64_t before = cr4();

	attack_check(WRITE(value, TO_CR4) == TRAP_GP, "taken: CR4", value, cr4());
	attack_check(cr4() == before, "changed by a refused write: CR4", value, cr4());
	__asm__ volatile("mov %0, %%cr4" : : "r"(before) : "memory");
}

static void control4(void)
{
	struct guest_cpuid one = guest_cpuid(1, 0), seven = guest_cpuid(7, 0);
	uint64_t allowed = 0x7ff, old = cr4();

	allowed |= (seven.ecx & 1u << 2) != 0 ? 1ul << 11 : 0;
	allowed |= (seven.ebx & 1u << 0) != 0 ? 1ul << 16 : 0;
	allowed |= (one.ecx & 1u << 17) != 0 ? 1ul << 17 : 0;
	allowed |= (one.ecx & 1u << 26) != 0 ? CR4_OSXSAVE : 0;
	allowed |= (seven.ebx & 1u << 7) != 0 ? 1ul << 20 : 0;
	allowed |= (seven.ebx & 1u << 20) != 0 ? 1ul << 21 : 0;
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((allowed >> bit & 1) == 0) {
			bad_cr4(old | 1ul << bit);
			bad_cr4((old ^ CR4_MCE ^ (allowed & CR4_OSXSAVE)) | 1ul << bit);
		}
	}
	bad_cr4(old & ~CR4_PAE);
	bad_cr4((old & ~CR4_PAE) ^ CR4_MCE);
	bad_cr4((old & ~CR4_PAE) ^ (allowed & CR4_OSXSAVE));
	for (unsigned bit = 0; bit < 64; bit++) {
		/* PAE must stay; SMEP and SMAP would forbid the pages this guest stands on, PCIDE needs a clean CR3. */
		if ((allowed >> bit & 1) != 0 && bit != 5 && bit != 20 && bit != 21) {
			attack_check(WRITE(old ^ 1ul << bit, TO_CR4) == TRAP_END, "refused: CR4 bit", bit, cr4());
			attack_check(cr4() == (old ^ 1ul << bit), "CR4 after bit", bit, cr4());
			attack_check(WRITE(old, TO_CR4) == TRAP_END && cr4() == old, "CR4 as it was", bit, cr4());
		}
	}
}

static void control8(void)
{
	for (uint64_t v = 0; v < 16; v++) {
		attack_check(WRITE(v, TO_CR8) == TRAP_END && cr8() == v, "CR8", v, cr8());
	}
	for (unsigned bit = 4; bit < 64; bit++) {
		attack_check(WRITE(1ul << bit, TO_CR8) == TRAP_GP && cr8() == 15, "taken: CR8 bit", bit, cr8());
	}
	(void)WRITE(0, TO_CR8);
}

static void debug(void)
{
	struct trap_regs r = { 0 };
	uint64_t old = cr4();

	for (unsigned bit = 32; bit < 64; bit++) {
		attack_check(WRITE(1ul << bit, TO_DR6) == TRAP_GP, "taken: DR6 bit", bit, 0);
		attack_check(WRITE(1ul << bit | 0x400, TO_DR7) == TRAP_GP, "taken: DR7 bit", bit, 0);
	}
	attack_check(WRITE(old | CR4_DE, TO_CR4) == TRAP_END, "CR4.DE", 0, cr4());
	attack_check(WRITE(0, TO_DR4) == TRAP_UD, "DR4 with CR4.DE", 0, 0);
	(void)WRITE(old, TO_CR4);
	attack_check(WRITE(0xffff0ff0, TO_DR4) == TRAP_END, "DR4 as DR6", 0, 0);
	/* GD: the next MOV of a debug register is #DB, with BD, and GD is off in the handler. */
	attack_check(TRAP_RUN(&r, false, 0xb8, 0x00, 0x24, 0x00, 0x00, 0x0f, 0x23, 0xf8, 0x0f, 0x21, 0xf0) == TRAP_DB, "DR7.GD", 0,
		     r.vector);
	r = (struct trap_regs){ 0 };
	attack_check(TRAP_RUN(&r, false, 0x0f, 0x21, 0xf0) == TRAP_END && (r.gpr[RAX] & 0x2000) != 0, "DR6.BD", 0, r.gpr[RAX]);
	r = (struct trap_regs){ 0 };
	attack_check(TRAP_RUN(&r, false, 0x0f, 0x21, 0xf8) == TRAP_END && (r.gpr[RAX] & 0x2000) == 0, "DR7.GD off", 0,
		     r.gpr[RAX]);
	attack_check(WRITE(0x400, TO_DR7) == TRAP_END, "DR7", 0, 0);
}

void guest_main(const void *start_info)
{
	(void)start_info;
	trap_init();
	attack_step("CR0");
	control0();
	attack_step("CR3");
	control3();
	attack_step("CR4");
	control4();
	attack_step("CR8");
	control8();
	attack_step("debug registers");
	debug();
	EXPECT("CR0 at CPL 3", TRAP_GP, true, TO_CR0);
	EXPECT("CR3 at CPL 3", TRAP_GP, true, TO_CR3);
	EXPECT("CR4 at CPL 3", TRAP_GP, true, TO_CR4);
	EXPECT("CR8 at CPL 3", TRAP_GP, true, TO_CR8);
	EXPECT("DR7 at CPL 3", TRAP_GP, true, TO_DR7);
	attack_done("regs");
}
