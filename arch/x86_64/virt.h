/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual-cpu contract: all that vm/ knows of hardware virtualization. arch/x86_64/vmx implements it; a second
 * vendor is a second folder with another `const struct virt_ops`.
 *
 * A virtual cpu is created on a node, run on whatever cpu its scheduler picked, and put (its state made memory) before
 * another cpu may run it. run() returns to the caller only when a handler asked for it; all other exits are handled
 * inside, by the row of `handlers` for the exit's kind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/addr.h"
#include "kernel/lib/err.h"

/* Why the guest left. Order is free; every kind has a row in the handler table. */
#define VIRT_EXIT_TABLE(X) \
	X(CPUID, "cpuid") X(RDMSR, "rdmsr") X(WRMSR, "wrmsr") X(HYPERCALL, "hypercall") X(IO, "io") \
	X(HLT, "hlt") X(MMIO, "memory access") X(XSETBV, "xsetbv") X(TIMER, "timer") X(INTERRUPT, "interrupt") \
	X(NMI, "nmi") X(INJECT_WINDOW, "injection window") X(TRIPLE_FAULT, "triple fault") X(CR, "control register") \
	X(DR, "debug register") X(PAUSE, "pause") X(EXCEPTION, "exception") X(INVALID_OP, "refused instruction") \
	X(WBINVD, "wbinvd") X(ENTRY_FAILED, "failed entry") X(OTHER, "other")

enum virt_exit {
#define VIRT_EXIT_ENUM(name, words) VIRT_EXIT_##name,
	VIRT_EXIT_TABLE(VIRT_EXIT_ENUM)
#undef VIRT_EXIT_ENUM
	VIRT_EXIT_COUNT
};

/* What a handler wants next. SKIP: the instruction is done, go past it. */
enum virt_next { VIRT_RESUME, VIRT_SKIP, VIRT_LEAVE, VIRT_SKIP_LEAVE };

/* Index of a general register in struct virt_regs.gpr, in the cpu's encoding order. */
enum virt_gpr {
	VIRT_RAX, VIRT_RCX, VIRT_RDX, VIRT_RBX, VIRT_RSP, VIRT_RBP, VIRT_RSI, VIRT_RDI,
	VIRT_R8, VIRT_R9, VIRT_R10, VIRT_R11, VIRT_R12, VIRT_R13, VIRT_R14, VIRT_R15, VIRT_GPR_COUNT
};

/* Start state of a virtual cpu, as a loader wants it. Segments are flat: cs_base for real mode starts only. */
enum virt_mode { VIRT_MODE_REAL, VIRT_MODE_PROTECTED32, VIRT_MODE_LONG64 };

struct virt_start {
	enum virt_mode mode;
	uint64_t rip;
	uint64_t rsp;
	uint64_t gpr[VIRT_GPR_COUNT];	/* rsp in it is not used */
	uint64_t cr3;			/* LONG64: page tables in guest memory */
	uint64_t gdt_base;		/* LONG64, PROTECTED32: a GDT in guest memory; code selector 0x10, data 0x18 */
	uint16_t gdt_limit;
	uint16_t cs_selector;		/* REAL: selector = base / 16 */
};

/* State outside the general registers that a decoder or a register dump needs. */
struct virt_state {
	uint64_t rip, rsp, rflags, cr0, cr2, cr3, cr4, efer;
	uint64_t cs_base, ds_base, es_base, fs_base, gs_base, ss_base;
	uint16_t cs;
	unsigned code_bits;		/* 16, 32 or 64 */
	unsigned cpl;
};
