/* SPDX-License-Identifier: BSD-2-Clause */
/* What arch keeps for each cpu around the kernel's struct cpu. GS base points at it. */
#pragma once

#include <stdint.h>

#include "arch/x86_64/insn.h"
#include "arch/x86_64/pure/mitigate.h"
#include "kernel/cpu.h"

struct vmx_vcpu;

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];		/* ist[0] is IST1 */
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map;
} __attribute__((packed));

_Static_assert(sizeof(struct tss) == 104, "SDM 3A 8.7, 64-bit TSS");

/* What a starting cpu reads before it has a stack (trampoline.asm); one for each, so that none can take another's. */
struct start_mailbox {
	uint32_t apic_id;			/* whose it is */
	_Atomic uint32_t claim;			/* enum start_claim: taken from OPEN once, by compare and swap */
	uint64_t stack;
	struct percpu *percpu;
	void (*entry)(struct percpu *p);
};

/* OPEN -> CLAIMED by the cpu that starts, OPEN -> GIVEN_UP by the one that waits for it. */
enum start_claim { START_OPEN, START_CLAIMED, START_GIVEN_UP };

/* What is in the MSRs that vmx/kept.c knows of. Equal numbers name equal values, but for TSC_AUX; 0 names zeros. */
enum percpu_msr { PERCPU_STAR, PERCPU_LSTAR, PERCPU_CSTAR, PERCPU_FMASK, PERCPU_TSC_AUX, PERCPU_MSRS };

struct percpu_msrs {
	uint64_t number;
	uint64_t value[PERCPU_MSRS];
};

struct percpu {
	struct cpu cpu;				/* offset 0: cpu.remote.poked is gs:[0] */
	struct percpu *self;
	uint64_t gdt[5];			/* null, code, data, TSS (two) */
	struct tss tss;
	uint64_t stack_top;
	struct start_mailbox start;
	void *vmx_region;			/* VMXON region, NULL: not allocated */
	bool vmx_on;
	bool launched;				/* the current VMCS's launch state, for enter.asm */
	struct vmx_vcpu *loaded;		/* whose VMCS is current here; NULL: none */
	/* Whose other registers were loaded here last: if it ran nowhere else, they are still here. */
	const struct vmx_vcpu *in_place;
	struct percpu_msrs msrs;
	uint64_t msrs_named;			/* how many numbers were given here */
	uint64_t kernel_gs_base;		/* the MSR's while no vCPU is loaded: a guest changes it without an exit */
	struct mitigate_cpu mitigate;
};

/* This cpu's. Valid from desc_load() on. */
static inline struct percpu *percpu_this(void)
{
	return (struct percpu *)insn_gs_u64(offsetof(struct percpu, self));
}

struct percpu *percpu_of(unsigned cpu);
/* The boot cpu's, which exists before there is memory. */
extern struct percpu percpu_boot;

/* Loads GDT, TSS, IDT and GS base for p on this cpu. */
void desc_load(struct percpu *p);
/* Fills p's GDT and TSS; ist tops of NMI, double fault, machine check. */
void desc_init(struct percpu *p, const uint64_t ist_top[3]);
/* Fills the interrupt table; once. */
void desc_init_idt(void);
/* The interrupt table's address, for a VMCS's host state. */
uint64_t desc_idt_base(void);
