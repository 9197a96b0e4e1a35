/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What keeps one VM from learning of another, or of the hypervisor, through the cpu's predictors
 * and buffers: which measures this cpu needs and offers, a pure function of what it enumerates.
 * mitigate_steps.h takes them. Bits as in SDM 4, table 2-2; who is affected as in Intel's
 * guidance, "Affected Processors: Transient Execution Attacks". Flaw by flaw:
 *
 * Branch target injection: IBPB when another VM comes. In the hypervisor IBRS: always on where
 *	that is enough (IBRS_ALL), else written at each exit, which also stops RETs from using the
 *	BTB (Retbleed, RSBA). No retpolines: they do not help RETs, and every cpu would pay for
 *	them. RRSBA: RETs use what this mode trained only, as IBRS_ALL says.
 * Return stack buffer: filled when another VM comes, and without IBRS_ALL at each exit. PBRSB:
 *	one guarded CALL after the exit.
 * Branch history (BHI): BHI_DIS_S in the hypervisor, else the history is overwritten after each
 *	exit.
 * ITS, guest to hypervisor: open where the cpu is affected: it would take every indirect branch
 *	and RET in the upper half of a line, and cost every cpu a jump for each.
 * MDS, TAA, RFDS: VERW before each entry, and before a halt hands buffers to the core's other
 *	thread.
 * L1TF: L1D flush when another VM comes, and whenever the cpu did anything but this VM's exits:
 *	console and files of other VMs, calls, a scheduler's books. An exit's handler touches no
 *	other VM's data.
 * MMIO stale data: nothing: no guest reaches a device of the machine's.
 * SRBDS, GDS: microcode, on after reset; open where it lacks. Guests cannot reach the MSRs that
 *	turn it off.
 * iTLB multihit: guests' RAM is not executable in 2 MiB pages. The first fetch from one makes it 4 KiB
 *	pages (vmx/ept.c).
 * Speculative store bypass: SSBD is the guest's own; the hypervisor runs nobody's code but its own.
 *
 * A cpu remembers the VM that ran on it last, by a number that is never given twice: the measures
 * are taken whenever that was another one, whoever ran here before (compare XSA-479: the last
 * *vCPU* is not enough). Not covered: what VMs on the threads of one core learn of each other
 * while both run. Pools with cores of their own keep those apart.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/format.h"

/* What can be done, in the order in which it is done. */
#define MITIGATE_TABLE(X) \
	X(IBRS, "IBRS") X(IBPB, "IBPB") X(RSB_FILL, "RSB fill") X(RSB_ONE, "RSB guard") \
	X(BHB_CLEAR, "BHB clear") X(L1D_FLUSH, "L1D flush") X(VERW, "VERW")

/* What is needed, and the cpu's microcode offers no means. */
#define MITIGATE_OPEN_TABLE(X) \
	X(BRANCHES, "branch prediction") X(MDS, "MDS") X(L1TF, "L1TF") X(RFDS, "RFDS") \
	X(GDS, "GDS") X(SRBDS, "SRBDS") X(ITS, "ITS")

enum mitigate_measure {
#define MITIGATE_ENUM(name, words) MITIGATE_##name,
	MITIGATE_TABLE(MITIGATE_ENUM)
#undef MITIGATE_ENUM
	MITIGATE_COUNT
};

enum mitigate_open {
#define MITIGATE_OPEN_ENUM(name, words) MITIGATE_OPEN_##name,
	MITIGATE_OPEN_TABLE(MITIGATE_OPEN_ENUM)
#undef MITIGATE_OPEN_ENUM
	MITIGATE_OPEN_COUNT
};

#define MITIGATE_BIT(name)	(1u << MITIGATE_##name)

/* What may be due when: code at the other points is left out. */
#define MITIGATE_AT_RUN		(MITIGATE_BIT(IBPB) | MITIGATE_BIT(RSB_FILL) | MITIGATE_BIT(L1D_FLUSH))
#define MITIGATE_AT_ENTRY	MITIGATE_BIT(VERW)
#define MITIGATE_AT_EXIT	(MITIGATE_BIT(RSB_FILL) | MITIGATE_BIT(RSB_ONE) | MITIGATE_BIT(BHB_CLEAR))

/* IA32_SPEC_CTRL (SDM 4, table 2-2) */
#define SPEC_CTRL_IBRS		(1ul << 0)
#define SPEC_CTRL_BHI_DIS_S	(1ul << 10)

struct mitigate_facts {
	bool intel;
	unsigned family, model, stepping;	/* displayed ones (SDM 2A, CPUID) */
	uint32_t leaf7_ebx, leaf7_edx, leaf7_2_edx;
	uint64_t arch_capabilities;	/* IA32_ARCH_CAPABILITIES; 0 where it is not enumerated */
};

/* Sets of MITIGATE_BIT(), by when they are due. */
struct mitigate {
	unsigned at_change;		/* another VM comes on the cpu */
	unsigned at_run;		/* the same comes back after the cpu did other things */
	unsigned at_entry, at_exit;	/* each */
	uint64_t spec_ctrl;		/* the hypervisor's own IA32_SPEC_CTRL */
	unsigned open;			/* 1 << MITIGATE_OPEN_... */
	bool small_code;		/* guests execute from 4 KiB pages only */
};

struct mitigate mitigate_decide(const struct mitigate_facts *f);
/* "at a change of VM IBPB, RSB fill; at each entry VERW", and what stays open. */
void mitigate_print(const struct mitigate *m, struct text *to);

/* One cpu's. Zero: no VM was here, and IA32_SPEC_CTRL is 0. */
struct mitigate_cpu {
	uint64_t last_vm;
	uint64_t spec_ctrl;		/* what the MSR holds */
	uint64_t taken[MITIGATE_COUNT];
};

/* "IBPB 3, VERW 40": what was taken on a cpu. */
void mitigate_print_taken(const struct mitigate_cpu *cpu, struct text *to);
