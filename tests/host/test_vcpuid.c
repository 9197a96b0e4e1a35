/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vcpuid: what guests are told on several cpu families. */
#include "tests/host/test.h"

#include "kernel/lib/util.h"
#include "vm/vcpuid.h"
#include "vm/vspec.h"

#define BIT(n)	(1u << (n))

/* Raw answers of three families; a leaf above the highest gives the highest one's, as Intel's do (SDM 2A, CPUID). */
struct answer {
	uint32_t leaf, subleaf;
	struct virt_cpuid c;
};

static const struct answer skylake[] = {
	{ 0, 0, { 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 } },
	{ 1, 0, { 0x50654, 0x05200800, 0x7ffefbff, 0xbfebfbff } },
	{ 2, 0, { 0x76036301, 0x00f0b5ff, 0, 0x00c30000 } },
	{ 4, 0, { 0x1c004121, 0x01c0003f, 0x3f, 0 } },
	{ 4, 1, { 0x1c004122, 0x01c0003f, 0x3f, 0 } },
	{ 4, 2, { 0x1c004143, 0x03c0003f, 0x3ff, 0 } },
	{ 4, 3, { 0x1c03c163, 0x0280003f, 0x6fff, 4 } },
	{ 5, 0, { 0x40, 0x40, 3, 0x2020 } },
	{ 6, 0, { 0x77, 2, 9, 0 } },
	{ 7, 0, { 0, 0xd39ffffb, 0x00000008, 0xbc000400 } },
	{ 0xa, 0, { 0x07300404, 0, 0, 0x603 } },
	{ 0xb, 0, { 1, 2, 0x100, 5 } },
	{ 0xb, 1, { 5, 16, 0x201, 5 } },
	{ 0xd, 0, { 0x2ff, 0xa80, 0xa88, 0 } },
	{ 0xd, 1, { 0xf, 0xa00, 0x100, 0 } },
	{ 0xd, 2, { 0x100, 0x240, 0, 0 } },
	{ 0xd, 5, { 0x40, 0x440, 0, 0 } },
	{ 0xd, 6, { 0x200, 0x480, 0, 0 } },
	{ 0xd, 7, { 0x400, 0x680, 0, 0 } },
	{ 0xd, 9, { 8, 0xa80, 0, 0 } },
	{ 0x15, 0, { 2, 0xa8, 0, 0 } },
	{ 0x16, 0, { 0x834, 0xe74, 0x64, 0 } },
	{ 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
	{ 0x80000001, 0, { 0, 0, 0x121, 0x2c100800 } },
	{ 0x80000002, 0, { 0x65746e49, 0x2952286c, 0x6f655820, 0x2952286e } },
	{ 0x80000006, 0, { 0, 0, 0x01006040, 0 } },
	{ 0x80000007, 0, { 0, 0, 0, 0x100 } },
	{ 0x80000008, 0, { 0x302e, 0, 0, 0 } },
};

static const struct answer haswell[] = {
	{ 0, 0, { 0xd, 0x756e6547, 0x6c65746e, 0x49656e69 } },
	{ 1, 0, { 0x306c3, 0x02100800, 0x7ffafbff, 0xbfebfbff } },
	{ 2, 0, { 0x76036301, 0x00f0b5ff, 0, 0x00c10000 } },
	{ 4, 0, { 0x1c004121, 0x01c0003f, 0x3f, 0 } },
	{ 6, 0, { 0x77, 2, 9, 0 } },
	{ 7, 0, { 0, 0x000027ab, 0, 0x9c000400 } },
	{ 0xb, 0, { 1, 2, 0x100, 2 } },
	{ 0xd, 0, { 7, 0x340, 0x340, 0 } },
	{ 0xd, 1, { 1, 0, 0, 0 } },
	{ 0xd, 2, { 0x100, 0x240, 0, 0 } },
	{ 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
	{ 0x80000001, 0, { 0, 0, 0x21, 0x2c100800 } },
	{ 0x80000007, 0, { 0, 0, 0, 0x100 } },
	{ 0x80000008, 0, { 0x3027, 0, 0, 0 } },
};

/* No XSAVE, no leaf 0DH; its highest leaf, 0BH, answers for all above. */
static const struct answer atom[] = {
	{ 0, 0, { 0xb, 0x756e6547, 0x6c65746e, 0x49656e69 } },
	{ 1, 0, { 0x50678, 0x00100800, 0x41d8e3bf, 0xbfebfbff } },
	{ 2, 0, { 0x61b3a001, 0x0000ffc2, 0, 0 } },
	{ 4, 0, { 0x1c000121, 0x0140003f, 0x3f, 1 } },
	{ 5, 0, { 0x40, 0x40, 3, 0x33000020 } },
	{ 6, 0, { 7, 2, 9, 0 } },
	{ 7, 0, { 0, 0x2282, 0, 0 } },
	{ 0xb, 0, { 1, 1, 0x100, 0 } },
	{ 0xb, 1, { 4, 4, 0x201, 0 } },
	{ 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
	{ 0x80000001, 0, { 0, 0, 0x101, 0x28100800 } },
	{ 0x80000007, 0, { 0, 0, 0, 0x100 } },
	{ 0x80000008, 0, { 0x3024, 0, 0, 0 } },
};

static const struct family {
	const char *name;
	const struct answer *answers;
	size_t count;
	uint64_t xcr0;
} families[] = {
	{ "skylake", skylake, ARRAY_SIZE(skylake), 0xe7 }, { "haswell", haswell, ARRAY_SIZE(haswell), 7 },
	{ "atom", atom, ARRAY_SIZE(atom), 0 },
	{ "skylake without AVX state", skylake, ARRAY_SIZE(skylake), 3 },
	{ "skylake without AVX-512 state", skylake, ARRAY_SIZE(skylake), 7 },
	{ "skylake without XSAVE", skylake, ARRAY_SIZE(skylake), 0 },
};

static const struct family *now;
static bool all_ones;		/* a host that has every bit there is */

static struct virt_cpuid host(uint32_t leaf, uint32_t subleaf)
{
	if (all_ones) {
		return (struct virt_cpuid){ ~0u, ~0u, ~0u, ~0u };
	}
	if (leaf < 0x40000000 && leaf > now->answers[0].c.eax) {
		leaf = now->answers[0].c.eax;
	}
	for (size_t i = 0; i < now->count; i++) {
		const struct answer *a = &now->answers[i];
		bool by_subleaf = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;

		if (a->leaf == leaf && (!by_subleaf || a->subleaf == subleaf)) {
			return a->c;
		}
	}
	return (struct virt_cpuid){ 0 };
}

static struct vcpuid_facts facts(unsigned family)
{
	now = &families[family];
	all_ones = false;
	return (struct vcpuid_facts){
		.vcpus = 1, .tsc_hz = 2600000000ul, .xcr0_allowed = now->xcr0, .has_rdtscp = true, .has_invpcid = true,
		.xsave_bytes = vcpuid_xsave_bytes(now->xcr0, false, host),
		.compact_bytes = vcpuid_xsave_bytes(now->xcr0, true, host),
	};
}

static struct virt_cpuid ask(const struct vcpuid_facts *f, uint32_t leaf, uint32_t subleaf)
{
	return vcpuid_answer(leaf, subleaf, f, host);
}

static void check_zero(struct virt_cpuid c)
{
	CHECK_EQ(c.eax | c.ebx | c.ecx | c.edx, 0);
}

#define FAMILIES(i, f)	\
	for (unsigned i = 0; i < ARRAY_SIZE(families); i++) \
		for (struct vcpuid_facts f = facts(i), *once = &f; once != NULL; once = NULL)

TEST(never, "what a guest cannot use is never offered: VMX, SMX, MONITOR, MTRR, MCA, thermal, debug store, PDCM, TSX, SGX, PT")
{
	/* 3 MONITOR, 5 VMX, 6 SMX, 7 EST, 8 TM2, 2 DTES64, 4 DS-CPL, 15 PDCM, 18 DCA, 14 xTPR, 10 CNXT-ID, 11 SDBG */
	const uint32_t ecx = BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(10) | BIT(11) | BIT(14) |
			     BIT(15) | BIT(18);
	/* 7 MCE, 12 MTRR, 14 MCA, 18 PSN, 21 DS, 22 ACPI, 28 HTT, 29 TM, 31 PBE */
	const uint32_t edx = BIT(7) | BIT(14) | BIT(18) | BIT(21) | BIT(22) | BIT(28) | BIT(29) | BIT(31);
	/* 2 SGX, 4 HLE, 11 RTM, 12 RDT, 14 MPX, 15 RDT allocation, 25 PT */
	const uint32_t ebx7 = BIT(2) | BIT(4) | BIT(11) | BIT(12) | BIT(14) | BIT(15) | BIT(25);

	FAMILIES(i, f) {
		for (unsigned ones = 0; ones < 2; ones++) {
			all_ones = ones != 0;
			CHECK_EQ(ask(&f, 1, 0).ecx & ecx, 0);
			CHECK_EQ(ask(&f, 1, 0).edx & edx, 0);
			CHECK_EQ(ask(&f, 7, 0).ebx & ebx7, 0);
			CHECK_EQ(ask(&f, 7, 0).ecx & (BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16) | BIT(22)), 0); /* PKU WAITPKG CET LA57 RDPID */
			check_zero(ask(&f, 7, 1));
			check_zero(ask(&f, 5, 0));		/* MONITOR */
			check_zero(ask(&f, 0xa, 0));		/* performance counters */
			check_zero(ask(&f, 0x12, 0));
			check_zero(ask(&f, 0x14, 0));
			CHECK_EQ(ask(&f, 6, 0).ecx | ask(&f, 6, 0).ebx | (ask(&f, 6, 0).eax & ~BIT(2)), 0);
		}
	}
}

TEST(speculation, "speculation controls show where the cpu has them, and with them the bits that a guest may set")
{
	struct vcpuid_facts f = facts(0);

	CHECK_EQ(ask(&f, 7, 0).edx, 0xbc000400);	/* MD_CLEAR, IBRS, STIBP, L1D_FLUSH, ARCH_CAPABILITIES, SSBD */
	CHECK_EQ(ask(&f, 7, 0).eax, 0);
	check_zero(ask(&f, 7, 2));
	CHECK_EQ(vspec_ctrl_allowed(host), 7);
	f = facts(1);
	CHECK_EQ(ask(&f, 7, 0).edx, 0x9c000400);
	f = facts(2);
	CHECK_EQ(ask(&f, 7, 0).edx, 0);
	CHECK_EQ(vspec_ctrl_allowed(host), 0);
	all_ones = true;
	CHECK_EQ(ask(&f, 7, 0).eax, 2);
	CHECK_EQ(ask(&f, 7, 2).edx, 0x3f);
	CHECK_EQ(ask(&f, 7, 2).eax | ask(&f, 7, 2).ebx | ask(&f, 7, 2).ecx, 0);
	check_zero(ask(&f, 7, 3));
	CHECK_EQ(vspec_ctrl_allowed(host), 0x5ff);
	/* No capability that offers another MSR: 7 9 10 11 12 18 21 23 25. */
	CHECK_EQ(vspec_capabilities(~0ul), 0x400000001d1ae17ful);
}

TEST(set, "x2APIC, TSC-deadline, TSC_ADJUST and the hypervisor bit always show, for they are emulated")
{
	FAMILIES(i, f) {
		CHECK_EQ(ask(&f, 1, 0).ecx & (BIT(21) | BIT(24) | BIT(31)), BIT(21) | BIT(24) | BIT(31));
		CHECK(ask(&f, 7, 0).ebx & BIT(1));
	}
}

TEST(osxsave, "OSXSAVE follows the guest's CR4, where it has XSAVE at all")
{
	FAMILIES(i, f) {
		bool has = f.xcr0_allowed != 0;

		CHECK_EQ((ask(&f, 1, 0).ecx & BIT(26)) != 0, has);
		CHECK_EQ(ask(&f, 1, 0).ecx & BIT(27), 0);
		f.cr4 = 1ul << 18;
		CHECK_EQ((ask(&f, 1, 0).ecx & BIT(27)) != 0, has);
		f.cr4 = ~(1ul << 18);
		CHECK_EQ(ask(&f, 1, 0).ecx & BIT(27), 0);
	}
}

TEST(avx, "an instruction set is offered only with the state it needs")
{
	FAMILIES(i, f) {
		struct virt_cpuid one = ask(&f, 1, 0), seven = ask(&f, 7, 0);

		if ((f.xcr0_allowed & 4) == 0) {
			CHECK_EQ(one.ecx & (BIT(12) | BIT(28) | BIT(29)), 0);			/* FMA AVX F16C */
			CHECK_EQ(seven.ebx & BIT(5), 0);					/* AVX2 */
			CHECK_EQ(seven.ecx & (BIT(9) | BIT(10)), 0);				/* VAES VPCLMULQDQ */
		}
		if ((f.xcr0_allowed & 0xe0) == 0) {
			CHECK_EQ(seven.ebx & (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31)), 0);
		}
		all_ones = true;
		seven = ask(&f, 7, 0);
		CHECK((f.xcr0_allowed & 4) != 0 || (seven.ecx & (BIT(9) | BIT(10))) == 0);
		CHECK((f.xcr0_allowed & 0xe0) != 0 || (seven.ecx & (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))) == 0);
		CHECK((f.xcr0_allowed & 0xe0) != 0 || (seven.edx & (BIT(2) | BIT(3) | BIT(8))) == 0);
	}
	struct vcpuid_facts f = facts(0);

	CHECK_EQ(ask(&f, 7, 0).ebx, 0xd19f07ab);
	CHECK_EQ(ask(&f, 1, 0).ecx & (BIT(12) | BIT(28) | BIT(29)), BIT(12) | BIT(28) | BIT(29));
}

TEST(topology, "leaf 0BH names one thread a core and all vCPUs in one package, and ends there")
{
	struct vcpuid_facts f = facts(0);

	for (f.vcpus = 1; f.vcpus <= 64; f.vcpus++) {
		f.apic_id = f.vcpus - 1;
		struct virt_cpuid smt = ask(&f, 0xb, 0), core = ask(&f, 0xb, 1);

		CHECK_EQ(smt.eax, 0);
		CHECK_EQ(smt.ebx, 1);
		CHECK_EQ(smt.ecx, 0x100);
		CHECK(1u << core.eax >= f.vcpus && (core.eax == 0 || 1u << (core.eax - 1) < f.vcpus));
		CHECK_EQ(core.ebx, f.vcpus);
		CHECK_EQ(core.ecx, 0x201);
		CHECK_EQ(core.edx, f.apic_id);
		CHECK_EQ(ask(&f, 1, 0).ebx, 0x0800 | f.vcpus << 16 | f.apic_id << 24);
		CHECK_EQ((ask(&f, 1, 0).edx & BIT(28)) != 0, f.vcpus > 1);
		CHECK_EQ(ask(&f, 4, 0).eax >> 26, f.vcpus - 1);
		CHECK_EQ(ask(&f, 4, 0).eax & 0x03ffc000, 0);
	}
	/* ECX[7:0] is the level asked for, and the type of any other level is 0, whatever the level's number. */
	for (uint32_t level = 2; level < 0x2000; level += level < 16 ? 1 : 0xff) {
		struct virt_cpuid c = ask(&f, 0xb, level);

		CHECK_EQ(c.ecx, level & 0xff);
		CHECK_EQ(c.eax | c.ebx, 0);
	}
	check_zero(ask(&f, 4, 4));
}

TEST(xsave, "leaf 0DH shows what XCR0 may hold and nothing of supervisor state")
{
	FAMILIES(i, f) {
		struct virt_cpuid c = ask(&f, 0xd, 0);

		CHECK_EQ(c.eax, f.xcr0_allowed);
		CHECK_EQ(c.edx, 0);
		if (f.xcr0_allowed == 0) {
			check_zero(c);
			check_zero(ask(&f, 0xd, 1));
		} else {
			CHECK_EQ(ask(&f, 0xd, 1).eax, host(0xd, 1).eax & 7);
			CHECK_EQ(ask(&f, 0xd, 1).ecx | ask(&f, 0xd, 1).edx, 0);
			/* 576 + AVX 256, + opmask 64, ZMM_Hi256 512, Hi16_ZMM 1024 where they are */
			CHECK_EQ(ask(&f, 0xd, 1).ebx, i == 0 ? 2432 : i == 3 ? 576 : i == 4 ? 832 : 0);
		}
		for (uint32_t s = 2; s < 70; s++) {
			c = ask(&f, 0xd, s);
			if (s >= 32 || (f.xcr0_allowed >> s & 1) == 0) {
				check_zero(c);
			} else {
				CHECK_EQ(c.eax, host(0xd, s).eax);
				CHECK_EQ(c.ebx, host(0xd, s).ebx);
			}
		}
	}
}

TEST(time, "the TSC's frequency is told in all three places alike")
{
	FAMILIES(i, f) {
		struct virt_cpuid tsc = ask(&f, 0x15, 0);

		CHECK_EQ((uint64_t)tsc.ecx * tsc.ebx / tsc.eax, f.tsc_hz);
		CHECK_EQ(ask(&f, 0x16, 0).eax, 2600);
		CHECK_EQ(ask(&f, 0x40000010, 0).eax, 2600000);
		CHECK_EQ(ask(&f, 0x40000010, 0).ebx, tsc.ecx / 1000);
		CHECK_EQ(ask(&f, 0x80000007, 0).edx, host(0x80000007, 0).edx & BIT(8));
	}
}

TEST(leaves, "the highest leaves are told, what lies beyond or between is zero, the signature is Tarn's")
{
	FAMILIES(i, f) {
		struct virt_cpuid c = ask(&f, 0x40000000, 0);

		CHECK_EQ(ask(&f, 0, 0).eax, 0x16);
		CHECK_EQ(ask(&f, 0, 0).ebx, 0x756e6547);
		CHECK_EQ(ask(&f, 0x80000000, 0).eax, 0x80000008);
		CHECK_EQ(c.eax, 0x40000010);
		CHECK_EQ(memcmp(&c.ebx, "TarnTarnTarn", 12), 0);
		CHECK_EQ(ask(&f, 0x40000001, 0).eax, 1);
		c = ask(&f, 0x40000100, 0);
		CHECK_EQ(c.eax, 0x40000101);
		CHECK_EQ(memcmp(&c.ebx, "KVMKVMKVM\0\0\0", 12), 0);
		c = ask(&f, 0x40000101, 0);
		CHECK_EQ(c.eax, 1u << 5);
		CHECK_EQ(c.ebx | c.ecx | c.edx, 0);
		CHECK_EQ(ask(&f, 0x80000008, 0).eax, host(0x80000008, 0).eax & 0xffff);
		CHECK_EQ(ask(&f, 0x80000008, 0).ebx | ask(&f, 0x80000008, 0).ecx, 0);
		all_ones = true;
		for (uint32_t leaf = 0x17; leaf < 0x100; leaf++) {
			check_zero(ask(&f, leaf, 0));
			if (leaf != 0xf0 && leaf != 0xf1) {	/* KVM's */
				check_zero(ask(&f, 0x40000010 + leaf, 0));
			}
			check_zero(ask(&f, 0x80000000 + leaf, 0));
		}
		check_zero(ask(&f, 3, 0));
		check_zero(ask(&f, 0x20000000, 0));
		check_zero(ask(&f, UINT32_MAX, 0));
	}
}

TEST(sorted, "every leaf of the table is found: it is sorted")
{
	static const uint32_t known[] = { 0, 1, 2, 4, 6, 7, 0xb, 0xd, 0x15, 0x16, 0x40000000, 0x40000001, 0x40000010, 0x40000100,
					  0x40000101, 0x80000000,
					  0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000006, 0x80000007, 0x80000008 };
	struct vcpuid_facts f = facts(0);

	all_ones = true;
	f.vcpus = 2;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct virt_cpuid c = ask(&f, known[i], 0);

		if ((c.eax | c.ebx | c.ecx | c.edx) == 0) {
			test_fail(__FILE__, __LINE__, "leaf 0x%x is not found", known[i]);
		}
	}
}

/* Leaves that are Tarn's own words, not the host's, and bits of others that are. */
static bool own(uint32_t leaf)
{
	return leaf == 0xb || leaf == 0x15 || leaf == 0x16 || leaf == 0x80000000 || leaf >> 28 == 4;
}

static void check_subset(const struct vcpuid_facts *f, uint32_t leaf, uint32_t subleaf)
{
	struct virt_cpuid got = ask(f, leaf, subleaf), has = host(leaf, subleaf);

	switch (leaf) {
	case 0:
		has.eax |= 0x16;
		break;
	case 1:
		has.ebx |= 0xffff0000;
		has.ecx |= BIT(21) | BIT(24) | BIT(31) | ((f->cr4 & 1ul << 18) != 0 ? BIT(27) : 0);
		has.edx |= BIT(28);
		break;
	case 6:
		has.eax |= BIT(2);			/* ARAT: the timer is emulated */
		break;
	case 0xd:
		has.ecx = subleaf == 0 ? f->xsave_bytes : has.ecx;
		has.ebx = subleaf == 1 ? f->compact_bytes : has.ebx;
		break;
	case 4:
		has.eax |= (f->vcpus - 1) << 26;
		break;
	}
	if (((got.eax & ~has.eax) | (got.ebx & ~has.ebx) | (got.ecx & ~has.ecx) | (got.edx & ~has.edx)) != 0) {
		test_fail(__FILE__, __LINE__, "%s: leaf 0x%x.%u: %08x %08x %08x %08x has bits that the host has not", now->name, leaf,
			  subleaf, got.eax, got.ebx, got.ecx, got.edx);
	}
}

TEST(property, "no answer has a bit that neither the host has nor the policy sets")
{
	FAMILIES(i, f) {
		for (unsigned vcpus = 1; vcpus <= 4; vcpus++) {
			f.vcpus = vcpus;
			f.cr4 = vcpus % 2 == 0 ? ~0ul : 0;
			for (uint32_t leaf = 0; leaf < 0x30; leaf++) {
				for (uint32_t subleaf = 0; subleaf < 66; subleaf++) {
					if (!own(leaf)) {
						check_subset(&f, leaf, subleaf);
					}
					if (!own(0x80000000 + leaf)) {
						check_subset(&f, 0x80000000 + leaf, subleaf);
					}
				}
			}
		}
	}
}

TEST(cr4, "the CR4 bits a guest may set are those of the features it is offered")
{
	FAMILIES(i, f) {
		struct virt_cpuid one = ask(&f, 1, 0), seven = ask(&f, 7, 0);
		uint64_t cr4 = vcpuid_cr4_allowed(host);

		CHECK_EQ(cr4 & 0x7ff, 0x7ff);
		CHECK_EQ(cr4 >> 17 & 1, (one.ecx & BIT(17)) != 0);	/* PCID */
		CHECK(f.xcr0_allowed == 0 || (cr4 >> 18 & 1) == ((one.ecx & BIT(26)) != 0));
		CHECK_EQ(cr4 >> 16 & 1, (seven.ebx & BIT(0)) != 0);	/* FSGSBASE */
		CHECK_EQ(cr4 >> 20 & 1, (seven.ebx & BIT(7)) != 0);	/* SMEP */
		CHECK_EQ(cr4 >> 21 & 1, (seven.ebx & BIT(20)) != 0);	/* SMAP */
		CHECK_EQ(cr4 >> 11 & 1, (seven.ecx & BIT(2)) != 0);	/* UMIP */
		/* 12 LA57, 13 VMXE, 14 SMXE, 19 KL, 22 PKE, 23 CET, 24 PKS */
		CHECK_EQ(cr4 & ~0x3707fful & ~(1ul << 11), 0);
	}
}
