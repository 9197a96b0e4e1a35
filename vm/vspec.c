/* SPDX-License-Identifier: BSD-2-Clause */
/* See vspec.h. Bits as in SDM 4, table 2-2. */
#include "vm/vspec.h"

#include <stddef.h>

#include "kernel/lib/util.h"

#define MSR_SPEC_CTRL		0x48u
#define MSR_ARCH_CAPABILITIES	0x10au
#define LEAF			7u
#define EDX_ARCH_CAPABILITIES	(1u << 29)

/* A bit of IA32_SPEC_CTRL and the CPUID bit, of leaf 7 EDX, that offers it. */
static const struct {
	uint16_t bits;
	uint8_t subleaf, edx;
} controls[] = {
	{ 0x01, 0, 26 },		/* IBRS */
	{ 0x02, 0, 27 },		/* STIBP */
	{ 0x04, 0, 31 },		/* SSBD */
	{ 0x18, 2, 1 },			/* IPRED_DIS_U, IPRED_DIS_S */
	{ 0x60, 2, 2 },			/* RRSBA_DIS_U, RRSBA_DIS_S */
	{ 0x80, 2, 0 },			/* PSFD */
	{ 0x100, 2, 3 },		/* DDPD_U */
	{ 0x400, 2, 4 },		/* BHI_DIS_S */
};

/*
 * IA32_ARCH_CAPABILITIES: what is true of the cpu is true of a guest on it. Left out are the bits
 * that offer another MSR, of which none is given: MCU_CONTROL (9), MISC_PACKAGE_CTLS (10),
 * ENERGY_FILTERING_CTL (11), DOITM (12), FB_CLEAR_CTRL (18), XAPIC_DISABLE_STATUS (21),
 * OVERCLOCKING_STATUS (23), TSX_CTRL (7; RTM is not offered), GDS_CTRL (25; its lock is the
 * host's).
 */
static const uint8_t capabilities[] = {
	0,	/* RDCL_NO: no Meltdown inside the guest either */
	1,	/* IBRS_ALL: set it once; guests that do cost us nothing */
	2,	/* RSBA: so that a guest does not trust retpolines */
	3,	/* SKIP_L1DFL_VMENTRY */
	4,	/* SSB_NO */
	5,	/* MDS_NO */
	6,	/* IF_PSCHANGE_MC_NO */
	8,	/* TAA_NO */
	13, 14, 15,	/* SBDR_SSDP_NO, FBSDP_NO, PSDP_NO */
	17,	/* FB_CLEAR: VERW does it */
	19, 20,	/* RRSBA, BHI_NO */
	24,	/* PBRSB_NO */
	26,	/* GDS_NO */
	27, 28,	/* RFDS_NO, RFDS_CLEAR */
	62,	/* ITS_NO */
};

uint64_t vspec_ctrl_allowed(struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf))
{
	struct virt_cpuid zero = { 0 }, seven[3] = { 0 };
	uint64_t allowed = 0;

	seven[0] = host(0, 0).eax >= LEAF ? host(LEAF, 0) : zero;
	seven[2] = seven[0].eax >= 2 ? host(LEAF, 2) : zero;
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		bool offered = (seven[controls[i].subleaf].edx >> controls[i].edx & 1) != 0;

		allowed |= offered ? controls[i].bits : 0;
	}
	return (allowed & 1) != 0 ? allowed : 0;	/* the MSR is there with IBRS */
}

uint64_t vspec_capabilities(uint64_t host)
{
	uint64_t shown = 0;

	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		shown |= host & 1ul << capabilities[i];
	}
	return shown;
}

bool vspec_owns(uint32_t msr)
{
	return (msr == MSR_SPEC_CTRL && vspec_ctrl_allowed(virt_host_cpuid) != 0) ||
	       (msr == MSR_ARCH_CAPABILITIES && virt_host_cpuid(0, 0).eax >= LEAF &&
		(virt_host_cpuid(LEAF, 0).edx & EDX_ARCH_CAPABILITIES) != 0);
}

bool vspec_read(struct virt_vcpu *v, uint32_t msr, uint64_t *value)
{
	*value = msr == MSR_SPEC_CTRL ? virt->read_spec_ctrl(v) :
					vspec_capabilities(virt_host_arch_capabilities());
	return true;
}

bool vspec_write(struct virt_vcpu *v, uint32_t msr, uint64_t value)
{
	if (msr != MSR_SPEC_CTRL || (value & ~vspec_ctrl_allowed(virt_host_cpuid)) != 0) {
		return false;
	}
	virt->write_spec_ctrl(v, value);
	return true;
}
