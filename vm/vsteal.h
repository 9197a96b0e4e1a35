/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stolen time, told to a guest as KVM tells it (Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME): the guest names
 * 64 bytes of its RAM for each vCPU, and finds there for how long that vCPU could have run and did not.
 *
 *	0	u64	steal, in ns, ever growing
 *	8	u32	version: odd while the rest changes
 *	12	u32	flags, 0
 *	16	u8	preempted: 1 while the vCPU is on no cpu
 *	17	...	0
 *
 * Whatever the guest does to these bytes harms itself only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/gmem.h"

#define VSTEAL_MSR		0x4b564d03u
#define VSTEAL_LEAF_SIGNATURE	0x40000100u	/* CPUID: "KVMKVMKVM", then a leaf of features */
#define VSTEAL_LEAF_FEATURES	0x40000101u
#define VSTEAL_FEATURE		(1u << 5)
#define VSTEAL_BYTES		64u

/* A vCPU's; zero: off. All of it is the running cpu's. */
struct vsteal {
	uint64_t msr;			/* as the guest wrote it */
	uint64_t told_ns;		/* of the waiting time, what was added to the guest's figure or came before it asked */
};

/* WRMSR. waited_ns: how long this vCPU has waited for a cpu, ever. False: #GP is due, nothing changed. */
bool vsteal_write(struct vsteal *s, const struct gmem *g, uint64_t value, uint64_t waited_ns);

static inline bool vsteal_is_on(const struct vsteal *s)
{
	return s->msr != 0;
}

/* While on. The vCPU comes on a cpu, having waited that long, ever; it goes off one. */
void vsteal_run(struct vsteal *s, const struct gmem *g, uint64_t waited_ns);
void vsteal_put(const struct vsteal *s, const struct gmem *g);
