/* SPDX-License-Identifier: BSD-2-Clause */
/* Attack: instructions of hypervisors and systems, XSETBV, hypercalls, CPUID, and shadows before exits. */
#include "tests/guests/trap.h"

#define RFLAGS_TF	0x100u
#define RFLAGS_IF	0x200u

struct form {
	const char *name;
	uint8_t count;
	uint8_t bytes[8];
	unsigned at_0, at_3;		/* exceptions at CPL 0 and 3 */
};

static const struct form forms[] = {
	{ "VMXON", 4, { 0xf3, 0x0f, 0xc7, 0x30 }, TRAP_UD, TRAP_UD },
	{ "VMXOFF", 3, { 0x0f, 0x01, 0xc4 }, TRAP_UD, TRAP_UD },
	{ "VMCLEAR", 4, { 0x66, 0x0f, 0xc7, 0x30 }, TRAP_UD, TRAP_UD },
	{ "VMPTRLD", 3, { 0x0f, 0xc7, 0x30 }, TRAP_UD, TRAP_UD },
	{ "VMPTRST", 3, { 0x0f, 0xc7, 0x38 }, TRAP_UD, TRAP_UD },
	{ "VMREAD", 3, { 0x0f, 0x78, 0xc1 }, TRAP_UD, TRAP_UD },
	{ "VMREAD memory", 3, { 0x0f, 0x78, 0x08 }, TRAP_UD, TRAP_UD },
	{ "VMWRITE", 3, { 0x0f, 0x79, 0xc1 }, TRAP_UD, TRAP_UD },
	{ "VMLAUNCH", 3, { 0x0f, 0x01, 0xc2 }, TRAP_UD, TRAP_UD },
	{ "VMRESUME", 3, { 0x0f, 0x01, 0xc3 }, TRAP_UD, TRAP_UD },
	{ "INVEPT", 5, { 0x66, 0x0f, 0x38, 0x80, 0x08 }, TRAP_UD, TRAP_UD },
	{ "INVVPID", 5, { 0x66, 0x0f, 0x38, 0x81, 0x08 }, TRAP_UD, TRAP_UD },
	{ "VMFUNC", 3, { 0x0f, 0x01, 0xd4 }, TRAP_UD, TRAP_UD },
	{ "GETSEC", 2, { 0x0f, 0x37 }, TRAP_UD, TRAP_UD },
	{ "VMRUN", 3, { 0x0f, 0x01, 0xd8 }, TRAP_UD, TRAP_UD },
	{ "VMMCALL", 3, { 0x0f, 0x01, 0xd9 }, TRAP_UD, TRAP_UD },
	{ "SKINIT", 3, { 0x0f, 0x01, 0xde }, TRAP_UD, TRAP_UD },
	{ "RSM", 2, { 0x0f, 0xaa }, TRAP_UD, TRAP_UD },
	{ "MONITOR", 3, { 0x0f, 0x01, 0xc8 }, TRAP_UD, TRAP_UD },
	{ "MWAIT", 3, { 0x0f, 0x01, 0xc9 }, TRAP_UD, TRAP_UD },
	{ "ENCLS", 3, { 0x0f, 0x01, 0xcf }, TRAP_UD, TRAP_UD },
	{ "PCONFIG", 3, { 0x0f, 0x01, 0xc5 }, TRAP_UD, TRAP_UD },
	{ "XSAVES", 4, { 0x48, 0x0f, 0xc7, 0x28 }, TRAP_UD, TRAP_UD },
	{ "XRSTORS", 4, { 0x48, 0x0f, 0xc7, 0x18 }, TRAP_UD, TRAP_UD },
	{ "ENCLU", 3, { 0x0f, 0x01, 0xd7 }, TRAP_UD, TRAP_UD },
	{ "ENCLV", 3, { 0x0f, 0x01, 0xc0 }, TRAP_UD, TRAP_UD },
	{ "SEAMCALL", 4, { 0x66, 0x0f, 0x01, 0xcf }, TRAP_UD, 0 },
	{ "TDCALL", 4, { 0x66, 0x0f, 0x01, 0xcc }, TRAP_UD, 0 },
	{ "UMONITOR", 4, { 0xf3, 0x0f, 0xae, 0xf0 }, TRAP_UD, TRAP_UD },
	{ "UMWAIT", 4, { 0xf2, 0x0f, 0xae, 0xf0 }, TRAP_UD, TRAP_UD },
	{ "TPAUSE", 4, { 0x66, 0x0f, 0xae, 0xf0 }, TRAP_UD, TRAP_UD },
	{ "WRPKRU", 3, { 0x0f, 0x01, 0xef }, TRAP_UD, TRAP_UD },
	{ "SETSSBSY", 4, { 0xf3, 0x0f, 0x01, 0xe8 }, TRAP_UD, TRAP_UD },
	{ "CLUI", 4, { 0xf3, 0x0f, 0x01, 0xee }, TRAP_UD, TRAP_UD },
	{ "SENDUIPI", 4, { 0xf3, 0x0f, 0xc7, 0xf0 }, TRAP_UD, TRAP_UD },
	{ "LOADIWKEY", 5, { 0xf3, 0x0f, 0x38, 0xdc, 0xc1 }, TRAP_UD, TRAP_UD },
	{ "WBNOINVD", 3, { 0xf3, 0x0f, 0x09 }, TRAP_END, TRAP_GP },
	{ "RDPMC", 2, { 0x0f, 0x33 }, TRAP_GP, TRAP_GP },
	{ "WBINVD", 2, { 0x0f, 0x09 }, TRAP_END, TRAP_GP },
	{ "INVD", 2, { 0x0f, 0x08 }, TRAP_END, TRAP_GP },
	{ "HLT at CPL 3", 1, { 0xf4 }, 0, TRAP_GP },
	{ "VMCALL", 3, { 0x0f, 0x01, 0xc1 }, TRAP_END, TRAP_END },
	{ "UD2", 2, { 0x0f, 0x0b }, TRAP_UD, TRAP_UD },
	{ "ICEBP", 1, { 0xf1 }, TRAP_DB, TRAP_DB },
	{ "INT3", 1, { 0xcc }, 3, TRAP_GP },
	{ "LMSW", 3, { 0x0f, 0x01, 0xf0 }, 0, TRAP_GP },
	{ "CLTS", 2, { 0x0f, 0x06 }, TRAP_END, TRAP_GP },
	{ "INVLPG", 3, { 0x0f, 0x01, 0x38 }, TRAP_END, TRAP_GP },
	{ "SWAPGS twice", 6, { 0x0f, 0x01, 0xf8, 0x0f, 0x01, 0xf8 }, TRAP_END, TRAP_GP },
	{ "PAUSE", 2, { 0xf3, 0x90 }, TRAP_END, TRAP_END },
	{ "VMCALL with LOCK", 4, { 0xf0, 0x0f, 0x01, 0xc1 }, TRAP_UD, TRAP_UD },
	{ "seven prefixes and a NOP", 8, { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90 }, TRAP_END, TRAP_END },
	{ "CPUID with REP", 3, { 0xf3, 0x0f, 0xa2 }, TRAP_END, TRAP_END },
};

static void every_form(void)
{
	static uint64_t word;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];

		for (unsigned user = 0; user < 2; user++) {
			struct trap_regs r = { .gpr[RAX] = (uint64_t)&word };
			unsigned want = user ? f->at_3 : f->at_0, got;

			if (want == 0) {
				continue;
			}
			got = trap_run(f->bytes, f->count, &r, user);
			attack_check(got == want, f->name, user ? 3 : 0, got);
		}
	}
}

static unsigned xsetbv(uint32_t index, uint64_t value)
{
	struct trap_regs r = { .gpr[RCX] = index, .gpr[RAX] = (uint32_t)value, .gpr[RDX] = value >> 32 };

	return TRAP_RUN(&r, false, 0x0f, 0x01, 0xd1);
}

static uint64_t xgetbv(void)
{
	struct trap_regs r = { 0 };

	(void)TRAP_RUN(&r, false, 0x0f, 0x01, 0xd0);
	return r.gpr[RDX] << 32 | (uint32_t)r.gpr[RAX];
}

static void xcr0(void)
{
	struct guest_cpuid d = guest_cpuid(0xd, 0);
	uint64_t have = (uint64_t)d.edx << 32 | d.eax;

	if (have == 0) {
		attack_check(xsetbv(0, 1) == TRAP_UD, "XSETBV without XSAVE", 0, 0);
		return;
	}
	attack_check(xsetbv(0, 1) == TRAP_UD, "XSETBV without CR4.OSXSAVE", 0, 0);
	__asm__ volatile("mov %%cr4, %%rax; bts $18, %%rax; mov %%rax, %%cr4" : : : "rax");
	attack_check(xsetbv(0, have) == TRAP_END && xgetbv() == have, "XSETBV of all there is", have, xgetbv());
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = have ^ 1ul << bit;
		bool legal = (value & 1) != 0 && (value & ~have) == 0 && ((value & 4) == 0 || (value & 2) != 0) &&
			     ((value & 0xe0) == 0 || ((value & 0xe0) == 0xe0 && (value & 4) != 0)) &&
			     ((value & 0x18) == 0 || (value & 0x18) == 0x18);

		attack_check(xsetbv(0, value) == (legal ? TRAP_END : TRAP_GP), "XSETBV of", value, xgetbv());
		attack_check(xgetbv() == (legal ? value : have), "XCR0 after XSETBV of", value, xgetbv());
		(void)xsetbv(0, have);
		attack_check(xsetbv(1u << bit % 32, have) == TRAP_GP, "XSETBV of XCR", 1u << bit % 32, 0);
	}
	EXPECT("XSETBV at CPL 3", TRAP_GP, true, 0x0f, 0x01, 0xd1);
}

/* Arguments: all `args`, or random where it is 1. */
static void hypercall_with(uint64_t function, uint64_t args, uint64_t want, bool user)
{
	struct trap_regs r = { .gpr[RAX] = function }, before;

	for (unsigned i = RCX; i <= R15; i++) {
		r.gpr[i] = i == RSP ? 0 : args == 1 ? guest_random() : args;
	}
	before = r;
	attack_check(TRAP_RUN(&r, user, 0x0f, 0x01, 0xc1) == TRAP_END, "VMCALL", function, r.vector);
	attack_check(r.gpr[RAX] == want, "VMCALL's answer", function, r.gpr[RAX]);
	for (unsigned i = RCX; i <= R15; i++) {
		attack_check(i == RSP || r.gpr[i] == before.gpr[i], "a register after VMCALL", i, r.gpr[i]);
	}
}

static void hypercall(uint64_t function, uint64_t want, bool user)
{
	hypercall_with(function, 1, want, user);
}

static void hypercalls(void)
{
	for (uint64_t function = 0; function < 64; function++) {
		hypercall_with(function, 0, function == 0 ? 1 : ~0ul, false);
		hypercall_with(function, ~0ul, function == 0 ? 1 : ~0ul, true);
		hypercall_with(function, 1ul << 63, function == 0 ? 1 : ~0ul, false);
		hypercall_with(function, 0x7ff, function == 0 ? 1 : ~0ul, true);
	}

	hypercall(0, 1, false);
	hypercall(0, 1, true);
	for (unsigned bit = 0; bit < 32; bit++) {
		hypercall(1ul << bit, ~0ul, bit % 2 != 0);
		hypercall((2ul << bit) - 1, ~0ul, false);
	}
	for (unsigned i = 0; i < 100; i++) {
		hypercall(guest_random() | 1, ~0ul, i % 2 != 0);
	}
}

static void cpuids(void)
{
	for (uint32_t leaf = 0; leaf < 0x100; leaf++) {
		for (uint32_t sub = 0; sub < 40; sub++) {
			(void)guest_cpuid(leaf, sub);
		}
		(void)guest_cpuid(0x40000000 + leaf, leaf);
		(void)guest_cpuid(0x80000000 + leaf, leaf);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		(void)guest_cpuid(1u << bit, UINT32_MAX);
	}
	(void)guest_cpuid(UINT32_MAX, UINT32_MAX);
	attack_check((guest_cpuid(1, 0).ecx & (1u << 5 | 1u << 6 | 1u << 3)) == 0, "CPUID shows VMX, SMX or MONITOR", 1,
		     guest_cpuid(1, 0).ecx);
	attack_check((guest_cpuid(1, 0).ecx & 1u << 31) != 0, "CPUID hides the hypervisor", 1, guest_cpuid(1, 0).ecx);
}

/* An exit in the shadow of MOV SS, with a trap pending, and with a fault given back. */
static void shadows(void)
{
	struct trap_regs r = { .gpr[RAX] = 0x10, .gpr[RCX] = 0x12345678, .rflags = RFLAGS_TF };
	unsigned got = TRAP_RUN(&r, false, 0x8e, 0xd0, 0x0f, 0x32);

	attack_check(got == TRAP_GP, "MOV SS, RDMSR that faults, with TF", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10, .rflags = RFLAGS_TF };
	got = TRAP_RUN(&r, false, 0x8e, 0xd0, 0x0f, 0xa2);
	attack_check(got == TRAP_DB, "MOV SS, CPUID, with TF", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10, .rflags = RFLAGS_TF };
	got = TRAP_RUN(&r, false, 0x8e, 0xd0, 0x0f, 0x01, 0xc4);
	attack_check(got == TRAP_UD, "MOV SS, VMXOFF, with TF", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10, .gpr[RCX] = 0x12345678 };
	got = TRAP_RUN(&r, false, 0xfb, 0x0f, 0x32);
	attack_check(got == TRAP_GP, "STI, RDMSR that faults", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10, .gpr[RCX] = 0x12345678, .rflags = RFLAGS_TF };
	got = TRAP_RUN(&r, false, 0xfb, 0x0f, 0x32);
	attack_check(got == TRAP_DB, "STI with TF", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10, .gpr[RDX] = 0x80, .rflags = RFLAGS_TF };
	got = TRAP_RUN(&r, false, 0x8e, 0xd0, 0xec);
	attack_check(got == TRAP_DB, "MOV SS, IN, with TF", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10, .gpr[RDI] = 0xfee00080, .rflags = RFLAGS_TF };
	got = TRAP_RUN(&r, false, 0x8e, 0xd0, 0x8b, 0x07);
	attack_check(got == TRAP_DB, "MOV SS, a read of the local APIC, with TF", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10, .rflags = RFLAGS_TF };
	got = TRAP_RUN(&r, false, 0x8e, 0xd0, 0xf1);
	attack_check(got == TRAP_DB, "MOV SS, ICEBP, with TF", 0, got);
	r = (struct trap_regs){ .gpr[RAX] = 0x10 };
	got = TRAP_RUN(&r, false, 0x8e, 0xd0, 0xf1);
	attack_check(got == TRAP_DB, "MOV SS, ICEBP", 0, got);
}

static unsigned step(const uint8_t *bytes, size_t count, struct trap_regs *r, uint64_t *went)
{
	static const uint8_t nop = 0x90;
	struct trap_regs first = { .rflags = RFLAGS_TF };
	unsigned got = trap_run(&nop, 1, &first, false);

	attack_check(got == TRAP_DB, "NOP with TF", TRAP_DB, got);
	r->rflags |= RFLAGS_TF;
	got = trap_run(bytes, count, r, false);
	*went = r->rip - (first.rip - 1);
	return got;
}

/* Single-step: the trap comes behind each instruction that exits, and each round of a repeated one, before any interrupt. */
static void steps(void)
{
	static const struct { const char *name; uint8_t count, bytes[3], went; uint64_t rcx, left; } row[] = {
		{ "TF, CPUID", 2, { 0x0f, 0xa2 }, 2, 0, 0 }, { "TF, HLT", 1, { 0xf4 }, 1, 0, 0 },
		{ "TF, RDMSR", 2, { 0x0f, 0x32 }, 2, 0x10, 0x10 }, { "TF, WBINVD", 2, { 0x0f, 0x09 }, 2, 0, 0 },
		{ "TF, VMCALL", 3, { 0x0f, 0x01, 0xc1 }, 3, 0, 0 }, { "TF, IN", 1, { 0xec }, 1, 0, 0 },
		{ "TF, REP OUTS", 2, { 0xf3, 0x6e }, 0, 3, 2 }, { "TF, the last of REP OUTS", 2, { 0xf3, 0x6e }, 2, 1, 0 },
		{ "TF, REP STOS to the local APIC", 2, { 0xf3, 0xab }, 0, 3, 2 },
	};
	volatile uint32_t *svr = (volatile uint32_t *)0xfee000f0ul;
	static const uint8_t self_ipi[] = { 0x89, 0x07, 0x90, 0x90 };
	struct trap_regs r = { .gpr[RAX] = 0x40099, .gpr[RDI] = 0xfee00300, .rflags = RFLAGS_IF };
	uint64_t went, before = trap_counts[0x99];
	unsigned got;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct trap_regs s = { .gpr[RDX] = 0x80, .gpr[RCX] = row[i].rcx, .gpr[RSI] = (uint64_t)row,
				       .gpr[RDI] = 0xfee00080 };

		got = step(row[i].bytes, row[i].count, &s, &went);
		attack_check(got == TRAP_DB && went == row[i].went, row[i].name, row[i].went, went);
		attack_check(row[i].rcx == 0 || s.gpr[RCX] == row[i].left, row[i].name, row[i].left, s.gpr[RCX]);
	}
	*svr = 0x1ff;
	trap_passive = 1;
	got = step(self_ipi, sizeof(self_ipi), &r, &went);
	attack_check(got == TRAP_DB && went == 2, "TF, an IPI to itself: the trap", 2, went);
	attack_check(trap_counts[0x99] == before, "TF, an IPI to itself: the interrupt before it", 0, trap_counts[0x99] - before);
	r = (struct trap_regs){ .rflags = RFLAGS_IF };
	(void)TRAP_RUN(&r, false, 0x90, 0x90);
	attack_check(trap_counts[0x99] == before + 1, "TF, an IPI to itself: the interrupt behind it", 1, trap_counts[0x99] - before);
	trap_passive = 0;
}

/* An instruction that exits as the last two bytes below 4 GiB in 32-bit code: EIP goes on at 0. CPL 3 can do it, too. */
static void wrap(void)
{
	static uint8_t top[4096] __attribute__((aligned(4096))), bottom[4096] __attribute__((aligned(4096)));

	top[4094] = 0x0f;
	top[4095] = 0xa2;
	bottom[0] = 0xcd;
	bottom[1] = TRAP_END;
	trap_map(0xfffff000, (uint64_t)top, 7);
	trap_map(0, (uint64_t)bottom, 7);
	for (unsigned user = 0; user < 2; user++) {
		struct trap_regs r = {
			.rip = 0xfffffffe, .cs = user ? TRAP_USER_CODE32 : TRAP_CODE32, .ss = user ? TRAP_USER_DATA : TRAP_DATA,
			.rflags = 2, .gpr[RSP] = 0x1000,
		};

		attack_check(trap_enter(&r) == TRAP_END && r.rip == 2, "CPUID at the end of 4 GiB in 32-bit code, CPL",
			     user ? 3 : 0, r.rip);
	}
}

void guest_main(const void *start_info)
{
	(void)start_info;
	trap_init();
	attack_step("forms");
	every_form();
	attack_step("XCR0");
	xcr0();
	attack_step("hypercalls");
	hypercalls();
	attack_step("CPUID");
	cpuids();
	attack_step("shadows");
	shadows();
	steps();
	attack_step("wrap");
	wrap();
	attack_done("insns");
}
