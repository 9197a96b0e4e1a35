/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtualization vendor whose guests are scripts: arch/x86_64/virt.h over the fake machine. Each step is an exit, or
 * something that a guest does without one; handlers are called as arch/x86_64/vmx/exit.c calls them. The TSC runs at
 * 2 GHz with the machine's clock. fake_virt_init() makes `virt` it.
 *
 * With fake_virt_apic it virtualizes local APICs: it delivers from the page, by what apic_sync() last told it of IRR and ISR, and
 * FAKE_APIC_EOI, FAKE_APIC_TPR do not exit unless they must.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86_64/virt.h"

#define FAKE_TSC_PER_NS		2ul
#define FAKE_TAKEN_MAX		64u
#define FAKE_SCRIPT_MAX		64u

enum fake_step_kind {
	FAKE_EXIT,		/* leaves for `exit` */
	FAKE_STI, FAKE_CLI,
	FAKE_BUSY,		/* computes for `ns`, in pieces where it is interrupted */
	FAKE_SPIN,		/* for ever */
	FAKE_APIC_EOI, FAKE_APIC_TPR,	/* TPR: of rax */
	FAKE_APIC_WRITE,	/* rax to the register at info.offset, and exits */
};

struct fake_step {
	enum fake_step_kind kind;
	enum virt_exit exit;
	uint64_t rax, rcx, rdx, ns;
	struct virt_exit_info info;
	uint64_t rip;			/* MMIO: where its instruction stands */
};

/* Short hands for scripts. */
#define FAKE_OUT(port_, size_, value_)	\
	{ .exit = VIRT_EXIT_IO, .rax = (value_), .info = { .io = VIRT_IO(port_, size_) } }
#define FAKE_IN(port_, size_)		{ .exit = VIRT_EXIT_IO, .info = { .io = VIRT_IO(port_, size_) | VIRT_IO_IN } }
#define FAKE_RDMSR(msr_)		{ .exit = VIRT_EXIT_RDMSR, .rcx = (msr_) }
#define FAKE_WRMSR(msr_, value_)	{ .exit = VIRT_EXIT_WRMSR, .rcx = (msr_), .rax = (uint32_t)(value_), .rdx = (value_) >> 32 }
#define FAKE_HLT			{ .exit = VIRT_EXIT_HLT }
#define FAKE_SIMPLE(kind_)		{ .exit = VIRT_EXIT_##kind_ }

struct fake_taken {
	uint8_t vector;
	bool exception;
	uint32_t error;
	uint64_t at_ns;
	unsigned step;			/* the script stood here */
};

struct fake_virt_vcpu {
	struct virt_vcpu virt;
	struct virt_config config;
	struct virt_start start;
	const struct fake_step *script;	/* a run past its end spins */
	unsigned step_count, at;
	uint64_t done_ns;		/* of a FAKE_BUSY */
	bool interrupts;		/* RFLAGS.IF */
	bool shadow;			/* of STI: the next instruction comes before any interrupt */
	bool window;
	bool in_nmi;			/* a test sets it: NMIs are blocked */
	enum virt_apic apic_mode;
	uint8_t rvi, svi;		/* highest requested and in service, as the cpu knows them */
	uint32_t eoi_exit[8];
	int entry_vector;		/* injected, taken at the next entry; -1: none */
	bool entry_exception;
	uint32_t entry_error;
	bool skipped;			/* by the skip op */
	uint64_t rflags, cr4, efer, xcr0, spec_ctrl;
	struct virt_state state;	/* what get_state() adds to */
	unsigned taken_count;
	struct fake_taken taken[FAKE_TAKEN_MAX];
	uint64_t result[FAKE_SCRIPT_MAX][4];	/* RAX, RBX, RCX, RDX after each step's exit */
	unsigned resets, runs;
	unsigned on_cpu;		/* whose registers hold it; CPU_NONE: memory */
	hpa_t page;
};

/* A fresh vendor; every vCPU made from now on runs this script. */
void fake_virt_init(const struct fake_step *script, unsigned count);
/* Also those there are, from their next reset on. */
void fake_virt_script(const struct fake_step *script, unsigned count);
/* Called when a vCPU is put, for what another cpu may do meanwhile. */
extern void (*fake_virt_on_put)(void);
/* The vCPUs and spaces there are now. */
extern unsigned fake_virt_vcpus, fake_virt_spaces;
/* Off after fake_virt_init(): does the cpu virtualize local APICs? */
extern unsigned fake_virt_no_tables;	/* a node without room for page tables; NODE_NONE */
extern bool fake_virt_apic;
extern uint64_t fake_virt_never_tsc;	/* from here on a TSC is too far for nanoseconds, as on a slow cpu; UINT64_MAX */
/* The host's CPUID; NULL: every bit set. */
extern uint64_t fake_virt_capabilities;	/* IA32_ARCH_CAPABILITIES of the host */
extern struct virt_cpuid (*fake_virt_cpuid)(uint32_t leaf, uint32_t subleaf);

static inline struct fake_virt_vcpu *fake_virt_of(struct virt_vcpu *v)
{
	return (struct fake_virt_vcpu *)v;
}
