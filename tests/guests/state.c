/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: fills all the state a cpu has with a pattern of its own seed, and checks for good that nothing else shows up.
 * The first wrong class is named, and the guest exits with its number. Command line: seed=N; "narrow": XCR0 of x87 and SSE only.
 */
#include "tests/guests/trap.h"

#define CLASSES(X) \
	X(X87) X(SSE) X(AVX) X(AVX512) X(DR) X(DR6) X(DR7) X(CR2) X(CR8) X(PAT) X(EFER) X(SYSENTER_CS) X(SYSENTER_ESP) \
	X(SYSENTER_EIP) X(STAR) X(LSTAR) X(CSTAR) X(FMASK) X(FS_BASE) X(GS_BASE) X(KERNEL_GS_BASE) X(TSC_AUX) X(XCR0) X(CR0) X(CR4) \
	X(SPEC_CTRL)

enum class {
	CLASS_NONE,
#define CLASS_ENUM(name) CLASS_##name,
	CLASSES(CLASS_ENUM)
	CLASS_COUNT
};

static const char *const names[] = {
	"none",
#define CLASS_NAME(name) #name,
	CLASSES(CLASS_NAME)
};

#define XSAVE_BYTES	4096u
#define XSTATE_BV	512u
#define SAY_MS		500u
#define MSR_SPEC_CTRL	0x48u
#define SPEC_CTRL_OFTEN	40u		/* writes: more than it takes to get it without exits */

static uint8_t want[XSAVE_BYTES] __attribute__((aligned(64))), got[XSAVE_BYTES] __attribute__((aligned(64)));
static uint64_t xcr0, word[CLASS_COUNT], dr[4];
static const struct { enum class class; uint32_t msr; } msrs[] = {
	{ CLASS_PAT, 0x277 }, { CLASS_SYSENTER_CS, 0x174 }, { CLASS_SYSENTER_ESP, 0x175 }, { CLASS_SYSENTER_EIP, 0x176 },
	{ CLASS_STAR, 0xc0000081 }, { CLASS_LSTAR, 0xc0000082 }, { CLASS_CSTAR, 0xc0000083 }, { CLASS_FMASK, 0xc0000084 },
	{ CLASS_FS_BASE, 0xc0000100 }, { CLASS_GS_BASE, 0xc0000101 }, { CLASS_KERNEL_GS_BASE, 0xc0000102 },
	{ CLASS_TSC_AUX, 0xc0000103 }, { CLASS_EFER, 0xc0000080 },
};

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

/* A canonical address. */
static uint64_t address(void)
{
	return (uint64_t)((int64_t)(guest_random() << 16) >> 16);
}

static uint64_t pat(void)
{
	static const uint8_t types[] = { 0, 1, 4, 5, 6, 7 };
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++) {
		v = v << 8 | types[guest_random() % sizeof(types)];
	}
	return v;
}

static void fill_xsave(void)
{
	for (unsigned i = 0; i < XSAVE_BYTES; i++) {
		want[i] = i >= XSTATE_BV && i < XSTATE_BV + 64 ? 0 : (uint8_t)guest_random();
	}
	/* FCW with all exceptions masked, FSW and FTW of full registers, MXCSR masked with a rounding of its own. */
	want[0] = 0x7f;
	want[1] = (uint8_t)(guest_random() % 4 << 2 | 3);
	want[2] = want[3] = 0;
	want[4] = 0xff;
	want[5] = want[6] = want[7] = 0;
	*(uint32_t *)&want[24] = 0x1f80 | (uint32_t)(guest_random() % 4) << 13;
	*(uint64_t *)&want[XSTATE_BV] = xcr0;
	__asm__ volatile("xrstor64 %0" : : "m"(want), "a"((uint32_t)xcr0), "d"(0) : "memory");
}

/* Not what a hypervisor would have of its own (IBRS alone). "narrow": written once, so that it stays with the hypervisor. */
static void fill_spec_ctrl(bool narrow)
{
	if ((guest_cpuid(7, 0).edx & 1u << 26) == 0) {
		return;
	}
	word[CLASS_SPEC_CTRL] = 2 | (guest_random() & 5);
	for (unsigned i = 0; i < (narrow ? 1 : SPEC_CTRL_OFTEN); i++) {
		wrmsr(MSR_SPEC_CTRL, word[CLASS_SPEC_CTRL]);
	}
}

static void fill(bool narrow)
{
	struct guest_cpuid d = guest_cpuid(0xd, 0);

	__asm__ volatile("mov %%cr4, %%rax; or $0x40600, %%rax; mov %%rax, %%cr4" : : : "rax");
	xcr0 = narrow ? 3 : d.eax;
	__asm__ volatile("xsetbv" : : "a"((uint32_t)xcr0), "d"(0), "c"(0));
	fill_xsave();
	for (unsigned i = 0; i < 4; i++) {
		dr[i] = address();
	}
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
			 : : "r"(dr[0]), "r"(dr[1]), "r"(dr[2]), "r"(dr[3]));
	word[CLASS_DR6] = 0xffff0ff0 | guest_random() % 16;
	word[CLASS_DR7] = 0x400 | (guest_random() & 0xcccc0000) | 0x11110000;
	word[CLASS_CR2] = guest_random();
	word[CLASS_CR8] = guest_random() % 16;
	__asm__ volatile("mov %0, %%dr6; mov %1, %%dr7; mov %2, %%cr2; mov %3, %%cr8" : : "r"(word[CLASS_DR6]),
			 "r"(word[CLASS_DR7]), "r"(word[CLASS_CR2]), "r"(word[CLASS_CR8]));
	word[CLASS_PAT] = pat();
	word[CLASS_SYSENTER_CS] = (uint32_t)guest_random();
	word[CLASS_STAR] = guest_random();
	word[CLASS_FMASK] = (uint32_t)guest_random();
	word[CLASS_TSC_AUX] = (uint32_t)guest_random();
	word[CLASS_EFER] = rdmsr(0xc0000080) | narrow;
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		uint64_t *v = &word[msrs[i].class];

		*v = *v == 0 ? address() : *v;
		wrmsr(msrs[i].msr, *v);
	}
	fill_spec_ctrl(narrow);
	/* CR0.TS and CR0.MP tell the two apart; TS would fault, so MP and AM. */
	__asm__ volatile("mov %%cr0, %0" : "=r"(word[CLASS_CR0]));
	word[CLASS_CR0] = narrow ? word[CLASS_CR0] ^ 0x40002 : word[CLASS_CR0];
	__asm__ volatile("mov %0, %%cr0" : : "r"(word[CLASS_CR0]));
	__asm__ volatile("mov %%cr4, %0" : "=r"(word[CLASS_CR4]));
	word[CLASS_CR4] |= narrow ? 0x80 : 0;
	__asm__ volatile("mov %0, %%cr4" : : "r"(word[CLASS_CR4]));
}

static bool same(unsigned from, unsigned bytes)
{
	for (unsigned i = from; i < from + bytes; i += 2) {
		if (*(uint16_t *)&want[i] != *(uint16_t *)&got[i]) {
			return false;
		}
	}
	return true;
}

static bool component(unsigned bit)
{
	struct guest_cpuid d = guest_cpuid(0xd, bit);

	return (xcr0 >> bit & 1) == 0 || same(d.ebx, d.eax);
}

static enum class xsave_wrong(void)
{
	__asm__ volatile("xsave64 %0" : "=m"(got) : "a"((uint32_t)xcr0), "d"(0) : "memory");
	if (!same(0, 2) || !same(4, 1)) {
		return CLASS_X87;
	}
	for (unsigned i = 0; i < 8; i++) {
		if (!same(32 + 16 * i, 10)) {
			return CLASS_X87;
		}
	}
	if (!same(24, 4) || !same(160, 256)) {
		return CLASS_SSE;
	}
	if (!component(2)) {
		return CLASS_AVX;
	}
	return component(5) && component(6) && component(7) ? CLASS_NONE : CLASS_AVX512;
}

static enum class registers_wrong(void)
{
	uint64_t v[4], low;

	__asm__ volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
			 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]));
	for (unsigned i = 0; i < 4; i++) {
		if (v[i] != dr[i]) {
			return CLASS_DR;
		}
	}
	__asm__ volatile("mov %%dr6, %0; mov %%dr7, %1; mov %%cr2, %2; mov %%cr8, %3"
			 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]));
	for (unsigned i = 0; i < 4; i++) {
		static const enum class classes[] = { CLASS_DR6, CLASS_DR7, CLASS_CR2, CLASS_CR8 };

		if (v[i] != word[classes[i]]) {
			return classes[i];
		}
	}
	__asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(v[0]), "=r"(v[1]));
	if (v[0] != word[CLASS_CR0] || v[1] != word[CLASS_CR4]) {
		return v[0] != word[CLASS_CR0] ? CLASS_CR0 : CLASS_CR4;
	}
	__asm__ volatile("xgetbv" : "=a"(low) : "c"(0) : "rdx");
	return low != xcr0 ? CLASS_XCR0 : CLASS_NONE;
}

static enum class msrs_wrong(void)
{
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		if (rdmsr(msrs[i].msr) != word[msrs[i].class]) {
			return msrs[i].class;
		}
	}
	if (word[CLASS_SPEC_CTRL] != 0 && rdmsr(MSR_SPEC_CTRL) != word[CLASS_SPEC_CTRL]) {
		return CLASS_SPEC_CTRL;
	}
	return CLASS_NONE;
}

void guest_main(const void *start_info)
{
	const char *line = guest_cmdline(start_info);
	uint64_t rounds = 0, next = 0;

	guest_seed(guest_number_after(line, "seed", 1));
	fill(guest_has_word(line, "narrow"));
	for (;;) {
		enum class wrong = xsave_wrong();

		wrong = wrong == CLASS_NONE ? registers_wrong() : wrong;
		wrong = wrong == CLASS_NONE ? msrs_wrong() : wrong;
		if (wrong != CLASS_NONE) {
			guest_puts("state: not mine: ");
			guest_puts(names[wrong]);
			guest_putc('\n');
			guest_exit(wrong);
		}
		rounds++;
		if (guest_tsc() >= next) {
			guest_puts("state: mine after ");
			guest_dec(rounds);
			guest_puts(" rounds\n");
			next = guest_tsc() + guest_tsc_per_ms() * SAY_MS;
		}
	}
}
