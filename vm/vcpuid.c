/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID policy. A leaf that has no row reads as zeros. A row gives for each register the bits that the host's answer may show
 * and the bits that are always set; `fix` does what no mask can. A feature that is not named here is not offered.
 */
#include "vm/vcpuid.h"

#include <stdbool.h>
#include <stddef.h>

#include "kernel/lib/util.h"
#include "vm/vspec.h"
#include "vm/vsteal.h"

#define BIT(n)		(1u << (n))
#define LEAF_MAX	0x16u
#define LEAF_EXT_MAX	0x80000008u
#define LEAF_TIMING	0x40000010u
#define INTERFACE	1u		/* version of Tarn's own leaves and hypercalls */

/* Leaf 1. Left out: VMX, SMX, MONITOR, DTES64, DS-CPL, EST, TM2, PDCM, DCA, MCE, MCA, HTT, thermal and debug store. */
#define LEAF1_ECX	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | \
			 BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define LEAF1_ECX_SET	(BIT(21) | BIT(24) | BIT(31))	/* x2APIC and TSC-deadline are emulated; hypervisor present */
#define LEAF1_EDX	(BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(11) | BIT(12) | BIT(13) | \
			 BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27))
#define LEAF1_ECX_XSAVE		BIT(26)
#define LEAF1_ECX_OSXSAVE	BIT(27)
#define LEAF1_ECX_PCID		BIT(17)
/* FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F AVX512DQ RDSEED ADX SMAP IFMA CLFLUSHOPT CLWB CD SHA BW VL */
#define LEAF7_EBX	(BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(17) | BIT(18) | \
			 BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31))
#define LEAF7_ECX	(BIT(1) | BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14))
#define LEAF7_EDX	(BIT(4) | VSPEC_LEAF7_EDX)	/* FSRM */
#define LEAF7_EBX_FSGSBASE	BIT(0)
#define LEAF7_EBX_TSC_ADJUST	BIT(1)
#define LEAF7_EBX_SMEP		BIT(7)
#define LEAF7_EBX_SMAP		BIT(20)
#define LEAF7_ECX_UMIP		BIT(2)
#define XCR0_AVX	(1ul << 2)
#define XCR0_AVX512	(7ul << 5)
#define LEAF_D1_EAX	(BIT(0) | BIT(1) | BIT(2))	/* XSAVEOPT, XSAVEC, XGETBV of 1; not XSAVES */
#define LEAF_D1_EAX_XSAVEC	BIT(1)
#define EXT1_ECX	(BIT(0) | BIT(5) | BIT(8))
#define EXT1_EDX_RDTSCP	BIT(27)
#define LEAF7_EBX_INVPCID	BIT(10)
#define EXT1_EDX	(BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))

struct row {
	uint32_t leaf;
	struct virt_cpuid show, set;	/* bits that may show, and that always do */
	void (*fix)(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f);
};

#define LEAF_XSAVE	0xdu

static void fix_1(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	c->ebx = (c->ebx & 0xff00) | f->vcpus << 16 | f->apic_id << 24;
	if (f->vcpus > 1) {
		c->edx |= BIT(28);
	}
	if ((f->xcr0_allowed & XCR0_AVX) == 0) {
		c->ecx &= ~(BIT(12) | BIT(28) | BIT(29));	/* FMA, AVX, F16C */
	}
	if (f->xcr0_allowed == 0) {
		c->ecx &= ~LEAF1_ECX_XSAVE;
	} else if ((f->cr4 & 1ul << 18) != 0) {
		c->ecx |= LEAF1_ECX_OSXSAVE;
	}
}

/* Caches: no cpu shares one with another as far as a guest can tell. */
static void fix_4(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	if ((c->eax & 31) != 0) {
		c->eax = (c->eax & 0x3fff) | (f->vcpus - 1) << 26;
	}
}

/* Subleaf 2 is only asked for where subleaf 0 says that it is there: others answer with zeros (SDM 2A, CPUID). */
static void fix_7(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	if (subleaf != 0) {
		*c = (struct virt_cpuid){ .edx = subleaf == 2 ? c->edx & VSPEC_LEAF7_2_EDX : 0 };
		return;
	}
	/*
	 * Emulated. Without it Linux holds the TSC against its count of jiffies while it boots, finds that those of a vCPU that waited
	 * for its cpu fell behind, and gives the TSC up.
	 */
	c->ebx |= LEAF7_EBX_TSC_ADJUST;
	c->eax = c->eax >= 2 ? 2 : 0;			/* of subleaf 1 nothing is offered */
	c->edx &= LEAF7_EDX;
	if (!f->has_invpcid) {
		c->ebx &= ~LEAF7_EBX_INVPCID;
	}
	if ((f->xcr0_allowed & XCR0_AVX) == 0) {
		c->ebx &= ~BIT(5);			/* AVX2 */
		c->ecx &= ~(BIT(9) | BIT(10));		/* VAES, VPCLMULQDQ */
	}
	if ((f->xcr0_allowed & XCR0_AVX512) == 0) {	/* no AVX-512 state: none of its instructions */
		c->ebx &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31));
		c->ecx &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));
	}
}

/* Extended topology: every vCPU is a core of one package. */
static void fix_topology(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	*c = (struct virt_cpuid){ .ecx = subleaf & 0xff, .edx = f->apic_id };
	if (subleaf == 0) {
		c->ebx = 1;
		c->ecx |= 1u << 8;		/* SMT level, one thread */
	} else if (subleaf == 1) {
		c->eax = log2_ceil(f->vcpus);
		c->ebx = f->vcpus;
		c->ecx |= 2u << 8;		/* core level */
	}
}

/* The host's EBX is the size for what XCR0 holds now, which is the guest's value. */
static void fix_xsave(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	if (f->xcr0_allowed == 0 || (subleaf >= 2 && (subleaf >= 32 || (f->xcr0_allowed >> subleaf & 1) == 0))) {
		*c = (struct virt_cpuid){ 0 };
	} else if (subleaf == 0) {
		c->eax = (uint32_t)f->xcr0_allowed;
		c->ecx = f->xsave_bytes;
		c->edx = (uint32_t)(f->xcr0_allowed >> 32);
	} else if (subleaf == 1) {
		/* EBX goes with XSAVEC; XSS is 0. Linux does without XSAVE where this is not the sum of its parts. */
		c->eax &= LEAF_D1_EAX;
		*c = (struct virt_cpuid){ .eax = c->eax, .ebx = (c->eax & LEAF_D1_EAX_XSAVEC) != 0 ? f->compact_bytes : 0 };
	}
}

static void fix_ext_features(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	if (!f->has_rdtscp) {
		c->edx &= ~EXT1_EDX_RDTSCP;
	}
}

static void fix_tsc(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	c->ecx = (uint32_t)(f->tsc_hz / VCPUID_TSC_PER_CRYSTAL);
}

static void fix_frequency(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	c->eax = c->ebx = (uint32_t)(f->tsc_hz / 1000000);
}

/* TSC and APIC timer in kHz, where other hypervisors have them too. */
static void fix_timing(struct virt_cpuid *c, uint32_t subleaf, const struct vcpuid_facts *f)
{
	c->eax = (uint32_t)(f->tsc_hz / 1000);
	c->ebx = (uint32_t)(f->tsc_hz / VCPUID_TSC_PER_CRYSTAL / 1000);
}

#define ALL	UINT32_MAX

#define HOST	{ ALL, ALL, ALL, ALL }
#define NAME(a, b, c, d)	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define TARN	NAME('T', 'a', 'r', 'n')

/*
 * By leaf, ascending. The APIC timer is emulated and never stops (leaf 6: ARAT), whatever the host's does. Of KVM's interface there
 * is no more than stolen time: Linux asks for each part by its bit.
 */
static const struct row rows[] = {
	{ 0x00000000, .show = { 0, ALL, ALL, ALL }, .set = { .eax = LEAF_MAX } },
	{ 0x00000001, .show = { ALL, ALL, LEAF1_ECX, LEAF1_EDX }, .set = { .ecx = LEAF1_ECX_SET }, .fix = fix_1 },
	{ 0x00000002, .show = HOST },
	{ 0x00000004, .show = HOST, .fix = fix_4 },
	{ 0x00000006, .set = { .eax = BIT(2) } },
	{ 0x00000007, .show = { ALL, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX | VSPEC_LEAF7_2_EDX }, .fix = fix_7 },
	{ 0x0000000b, .fix = fix_topology },
	{ 0x0000000d, .show = HOST, .fix = fix_xsave },
	{ 0x00000015, .set = { .eax = 1, .ebx = VCPUID_TSC_PER_CRYSTAL }, .fix = fix_tsc },
	{ 0x00000016, .fix = fix_frequency },
	{ 0x40000000, .set = { LEAF_TIMING, TARN, TARN, TARN } },
	{ 0x40000001, .set = { .eax = INTERFACE } },
	{ 0x40000010, .fix = fix_timing },
	{ VSTEAL_LEAF_SIGNATURE,
	  .set = { VSTEAL_LEAF_FEATURES, NAME('K', 'V', 'M', 'K'), NAME('V', 'M', 'K', 'V'), NAME('M', 0, 0, 0) } },
	{ VSTEAL_LEAF_FEATURES, .set = { .eax = VSTEAL_FEATURE } },
	{ 0x80000000, .set = { .eax = LEAF_EXT_MAX } },
	{ 0x80000001, .show = { 0, 0, EXT1_ECX, EXT1_EDX }, .fix = fix_ext_features },
	{ 0x80000002, .show = HOST },					/* brand string */
	{ 0x80000003, .show = HOST },
	{ 0x80000004, .show = HOST },
	{ 0x80000006, .show = { 0, 0, ALL, 0 } },				/* L2 */
	{ 0x80000007, .show = { 0, 0, 0, BIT(8) } },			/* invariant TSC */
	{ 0x80000008, .show = { 0xffff, 0, 0, 0 } },			/* address widths */
};

static const struct row *find(uint32_t leaf)
{
	size_t low = 0, high = ARRAY_SIZE(rows);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (rows[mid].leaf < leaf) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low < ARRAY_SIZE(rows) && rows[low].leaf == leaf ? &rows[low] : NULL;
}

struct virt_cpuid vcpuid_answer(uint32_t leaf, uint32_t subleaf, const struct vcpuid_facts *f,
				struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf))
{
	const struct row *r = find(leaf);
	struct virt_cpuid c = { 0 };

	if (r == NULL) {
		return c;
	}
	if ((r->show.eax | r->show.ebx | r->show.ecx | r->show.edx) != 0) {
		c = host(leaf, subleaf);
		c.eax &= r->show.eax;
		c.ebx &= r->show.ebx;
		c.ecx &= r->show.ecx;
		c.edx &= r->show.edx;
	}
	c.eax |= r->set.eax;
	c.ebx |= r->set.ebx;
	c.ecx |= r->set.ecx;
	c.edx |= r->set.edx;
	if (r->fix != NULL) {
		r->fix(&c, subleaf, f);
	}
	return c;
}

uint32_t vcpuid_xsave_bytes(uint64_t xcr0, bool compacted, struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf))
{
	uint32_t bytes = 576;		/* x87 and SSE with the header (SDM 1 13.4) */

	for (unsigned i = 2; xcr0 != 0 && i < 63; i++) {
		if ((xcr0 >> i & 1) != 0) {
			struct virt_cpuid c = host(LEAF_XSAVE, i);

			if (compacted) {	/* one after the other, those with ECX[1] on a line of 64 (SDM 1 13.4.3) */
				bytes = ((c.ecx & BIT(1)) != 0 ? (uint32_t)align_up(bytes, 64) : bytes) + c.eax;
			} else {
				bytes = MAX(bytes, c.ebx + c.eax);
			}
		}
	}
	return xcr0 == 0 ? 0 : bytes;
}

uint64_t vcpuid_cr4_allowed(struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf))
{
	/* VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT: MCE is harmless, and kernels set it. */
	uint64_t cr4 = 0x7ff;
	struct virt_cpuid one = host(1, 0), seven = host(7, 0);

	cr4 |= (one.ecx & LEAF1_ECX_PCID) != 0 ? 1ul << 17 : 0;
	cr4 |= (one.ecx & LEAF1_ECX_XSAVE) != 0 ? 1ul << 18 : 0;
	cr4 |= (seven.ebx & LEAF7_EBX_FSGSBASE) != 0 ? 1ul << 16 : 0;
	cr4 |= (seven.ebx & LEAF7_EBX_SMEP) != 0 ? 1ul << 20 : 0;
	cr4 |= (seven.ebx & LEAF7_EBX_SMAP) != 0 ? 1ul << 21 : 0;
	cr4 |= (seven.ecx & LEAF7_ECX_UMIP) != 0 ? 1ul << 11 : 0;
	return cr4;
}
