/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest is told by CPUID: a table of leaves and masks over the host's own answers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86_64/virt.h"

/* TSC and APIC timer of guests: CPUID 15H says TSC = crystal * 8, and the crystal drives the APIC timer. */
#define VCPUID_TSC_PER_CRYSTAL	8u

struct vcpuid_facts {
	uint32_t apic_id;
	unsigned vcpus;
	uint64_t tsc_hz;
	uint64_t cr4;		/* the guest's, for OSXSAVE */
	uint64_t xcr0_allowed;
	uint32_t xsave_bytes;	/* vcpuid_xsave_bytes(xcr0_allowed, false) */
	uint32_t compact_bytes;	/* the same of the guest's XCR0 as it is, true */
	bool has_rdtscp, has_invpcid;
};

/* The answer to leaf, subleaf. host(leaf, subleaf) is the cpu's own. Pure. */
struct virt_cpuid vcpuid_answer(uint32_t leaf, uint32_t subleaf, const struct vcpuid_facts *f,
				struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf));
/* Bytes of an XSAVE area, in standard or compacted form, for all of xcr0; 0 for none. */
uint32_t vcpuid_xsave_bytes(uint64_t xcr0, bool compacted, struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf));
/* The CR4 bits that go with the features a guest is offered (SDM 3A 2.5). */
uint64_t vcpuid_cr4_allowed(struct virt_cpuid (*host)(uint32_t leaf, uint32_t subleaf));
