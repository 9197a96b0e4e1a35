/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What keeps one VM from learning of another through the cpu's predictors and buffers: which measures this cpu needs and offers
 * (a pure function of what it enumerates), and the steps when a VM comes on a cpu. Bits as in SDM 4, table 2-2, and Intel's
 * guidance "Affected Processors: Transient Execution Attacks".
 *
 * A cpu remembers the VM that ran on it last, by a number that is never given twice: the measures are taken whenever that was
 * another one, whoever ran here before (compare XSA-479: the last *vCPU* is not enough). Between two entries of one VM a cpu
 * handles that VM's data only, so what Intel describes for each entry is done at the same point. Not covered: what the
 * housekeeping cpu handles for other VMs (console bytes, files being loaded) between two entries of the VM that runs there, and
 * what VMs on the threads of one core learn of each other while both run. Pools with cores of their own keep those apart.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/format.h"

#define MITIGATE_NO_VM	0ul

struct mitigate_facts {
	bool intel;
	unsigned family, model;		/* displayed ones (SDM 2A, CPUID) */
	uint32_t leaf7_ebx, leaf7_edx;
	uint64_t arch_capabilities;	/* IA32_ARCH_CAPABILITIES; 0 where it is not enumerated */
};

struct mitigate {
	bool ibpb_on_switch;		/* branch predictions: IA32_PRED_CMD */
	bool rsb_fill;			/* return predictions, which IBPB need not clear */
	bool verw_on_entry;		/* store, fill and load buffers, register files: MDS, TAA, RFDS */
	bool l1d_flush_on_entry;	/* L1TF: IA32_FLUSH_CMD */
	bool spec_ctrl_as_guest_state;	/* IA32_SPEC_CTRL is there to be the guest's own */
	bool ssbd;			/* SSBD in it does something that is needed */
	/* Needed, and the cpu's microcode offers no means. */
	bool spectre_open, mds_open, l1tf_open;
};

struct mitigate mitigate_decide(const struct mitigate_facts *f);
/* "IBPB, RSB fill, VERW, L1D flush where another VM comes on a cpu", and what stays open. */
void mitigate_print(const struct mitigate *m, struct text *to);

/* One cpu's. Zero: no VM was here. */
struct mitigate_cpu {
	uint64_t last_vm;
};

struct mitigate_ops {
	void (*wrmsr)(uint32_t msr, uint64_t value);
	void (*rsb_fill)(void);
	void (*verw)(void);
};

/* A vCPU of that VM is about to be loaded on this cpu. */
void mitigate_switch(const struct mitigate *m, struct mitigate_cpu *cpu, uint64_t vm, const struct mitigate_ops *ops);
