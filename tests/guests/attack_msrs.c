/* SPDX-License-Identifier: BSD-2-Clause */
/* Attack: MSRs, read, written back, written with random and with malformed values. */
#include "tests/guests/trap.h"

#define NONCANONICAL	0x0000800000000000ul

/* Those a guest has. Later cpus and mitigations may add those of `may`. */
static const uint32_t have[] = {
	0x10, 0x17, 0x1b, 0x3a, 0x3b, 0x8b, 0x174, 0x175, 0x176, 0x1a0, 0x1d9, 0x277, 0x6e0, 0xc0000080, 0xc0000081, 0xc0000082,
	0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103,
};
static const uint32_t may[] = {
	0x179, 0x17a, 0x17b, 0x48, 0x49, 0xcf, 0x10a, 0x10b, 0x9b, 0xda0, 0xd90,
	/* MTRRs, which are plain storage here */
	0xfe, 0x2ff, 0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f,
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};
/* The ground the guest stands on. */
static const uint32_t ground[] = { 0x1b, 0xc0000080, 0xc0000100, 0xc0000101 };

static bool in(const uint32_t *list, size_t count, uint32_t msr)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i] == msr) {
			return true;
		}
	}
	return false;
}
#define IN(list, msr) in(list, sizeof(list) / sizeof(list[0]), msr)

static void one(uint32_t msr)
{
	uint64_t old = 0, now;
	bool there = trap_rdmsr(msr, &old);

	if (IN(have, msr)) {
		attack_check(there, "RDMSR refused", msr, 0);
	} else if (!IN(may, msr)) {
		attack_check(!there, "RDMSR of what a guest has not", msr, old);
		attack_check(trap_wrmsr(msr, old) == TRAP_GP, "WRMSR 0 of what a guest has not", msr, 0);
		attack_check(trap_wrmsr(msr, guest_random()) == TRAP_GP, "random WRMSR of what a guest has not", msr, 0);
		return;
	}
	if (!there || IN(ground, msr)) {
		return;
	}
	(void)trap_wrmsr(msr, old);
	for (unsigned i = 0; i < 32; i++) {
		uint64_t value = guest_random() >> (i & 31) * 2;
		unsigned got = trap_wrmsr(msr, value);

		attack_check(got == TRAP_END || got == TRAP_GP, "random WRMSR", msr, got);
		attack_check(trap_rdmsr(msr, &now), "RDMSR after a random write", msr, got);
		attack_check(got != TRAP_GP || now == old || msr == 0x10, "a refused WRMSR changed", msr, now);
		if (got == TRAP_END) {
			old = now;
		}
	}
	(void)trap_wrmsr(msr, msr == 0x277 ? 0x0007040600070406ul : 0);
}

static void addresses(void)
{
	static const uint32_t list[] = { 0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102 };

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		uint64_t before, after;

		(void)trap_rdmsr(list[i], &before);
		attack_check(trap_wrmsr(list[i], NONCANONICAL) == TRAP_GP, "a non-canonical address in MSR", list[i], 0);
		(void)trap_rdmsr(list[i], &after);
		attack_check(after == before, "a refused address changed MSR", list[i], after);
	}
}

static void refused(uint32_t msr, uint64_t value)
{
	uint64_t before, after;
	unsigned got;

	(void)trap_rdmsr(msr, &before);
	got = trap_wrmsr(msr, value);
	(void)trap_rdmsr(msr, &after);
	attack_check(got == TRAP_GP, "taken: WRMSR of a bad value to", msr, value);
	attack_check(before == after, "changed by a refused WRMSR", msr, after);
}

static void bad_values(void)
{
	uint64_t efer, base;

	(void)trap_rdmsr(0xc0000080, &efer);
	(void)trap_rdmsr(0x1b, &base);
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((0xd01ul >> bit & 1) == 0) {
			refused(0xc0000080, efer | 1ul << bit);
		}
		if (bit != 8 && bit != 10 && bit != 11) {
			refused(0x1b, base ^ 1ul << bit);
		}
	}
	refused(0xc0000080, efer & ~0x100ul);
	refused(0x1b, (base | 0x400) & ~0x800ul);
	for (unsigned i = 0; i < 8; i++) {
		refused(0x277, 2ul << 8 * i);
		refused(0x277, 0x80ul << 8 * i);
	}
	attack_check(trap_wrmsr(0x1b, base | 0x400) == TRAP_END, "into x2APIC mode", 0x1b, base);
	refused(0x1b, base);
}

/* Where the cpu has them: SPEC_CTRL, PRED_CMD, FLUSH_CMD, ARCH_CAPABILITIES. */
static void speculation(void)
{
	uint32_t edx = guest_cpuid(7, 0).edx;
	uint64_t value;

	attack_check(trap_rdmsr(0x48, &value) == (edx >> 26 & 1), "SPEC_CTRL by CPUID", 0x48, edx);
	attack_check(trap_rdmsr(0x10a, &value) == (edx >> 29 & 1), "ARCH_CAPABILITIES by CPUID", 0x10a, edx);
	attack_check(!trap_rdmsr(0x49, &value) && !trap_rdmsr(0x10b, &value), "a write-only MSR was read", 0x49, value);
	attack_check((trap_wrmsr(0x49, 1) == TRAP_END) == (edx >> 26 & 1), "IBPB", 0x49, edx);
	attack_check((trap_wrmsr(0x10b, 1) == TRAP_END) == (edx >> 28 & 1), "L1D flush", 0x10b, edx);
	for (unsigned bit = 11; bit < 64; bit++) {
		attack_check(trap_wrmsr(0x48, 1ul << bit) == TRAP_GP, "taken: a reserved bit of", 0x48, bit);
		attack_check(trap_wrmsr(0x49, 1ul << bit) == TRAP_GP, "taken: a reserved bit of", 0x49, bit);
	}
	attack_check(trap_wrmsr(0x10a, 0) == TRAP_GP, "taken: WRMSR of the read-only", 0x10a, 0);
}

static const uint32_t x2_have[] = { 0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, 0x810, 0x820, 0x828, 0x830, 0x832, 0x835, 0x837,
				    0x838, 0x839, 0x83e };

/* In x2APIC mode now: its MSRs, all of them. ICR and SELF_IPI with random values belong to attack_apic. */
static void x2apic(void)
{
	for (uint32_t msr = 0x800; msr < 0x900; msr++) {
		uint64_t value;
		bool there = trap_rdmsr(msr, &value);

		attack_check(!there || msr != 0x80b, "RDMSR of the write-only EOI", msr, value);
		attack_check(there || !IN(x2_have, msr), "RDMSR of x2APIC", msr, 0);
		for (unsigned i = 0; i < 8 && msr != 0x830 && msr != 0x83f; i++) {
			unsigned got = trap_wrmsr(msr, guest_random() >> 8 * i);

			attack_check(got == TRAP_END || got == TRAP_GP, "random WRMSR of x2APIC", msr, got);
		}
	}
}

void guest_main(const void *start_info)
{
	guest_seed(guest_number_after(guest_cmdline(start_info), "seed", 1));
	trap_init();
	attack_step("0 to 0x2000");
	for (uint32_t msr = 0; msr <= 0x2000; msr++) {
		one(msr);
	}
	attack_step("0xc0000000 to 0xc0002000");
	for (uint32_t msr = 0xc0000000; msr <= 0xc0002000; msr++) {
		one(msr);
	}
	attack_step("powers of two");
	for (unsigned bit = 14; bit < 32; bit++) {
		one(1u << bit);
		one((1u << bit) - 1);
	}
	one(UINT32_MAX);
	attack_step("addresses");
	addresses();
	attack_step("bad values");
	bad_values();
	attack_step("speculation");
	speculation();
	attack_step("x2APIC");
	x2apic();
	EXPECT("RDMSR at CPL 3", TRAP_GP, true, 0x0f, 0x32);
	EXPECT("WRMSR at CPL 3", TRAP_GP, true, 0x0f, 0x30);
	attack_done("msrs");
}
