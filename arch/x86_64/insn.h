/* SPDX-License-Identifier: BSD-2-Clause */
/* Every inline-assembly statement of the hypervisor outside VMX (those are in vmx/vmx_insn.h), one function each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid insn_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t insn_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void insn_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/*
 * Every entry of the return stack buffer, 32 at most, predicts the loop that a speculated return gets stuck in (Intel,
 * "Retpoline: A Branch Target Injection Mitigation", RSB stuffing).
 */
static inline void insn_rsb_fill(void)
{
	uint64_t rounds = 16;

	__asm__ volatile("1:	call	3f\n"
			 "2:	pause\n"
			 "	lfence\n"
			 "	jmp	2b\n"
			 "3:	call	5f\n"
			 "4:	pause\n"
			 "	lfence\n"
			 "	jmp	4b\n"
			 "5:	dec	%0\n"
			 "	jnz	1b\n"
			 "	add	$256, %%rsp\n"
			 "	lfence" : "+r"(rounds) : : "cc", "memory");
}

/*
 * Where a cpu keeps a guest's return stack buffer out of the hypervisor but for its last entry (PBRSB): one CALL that has retired
 * before any RET without one of its own (Intel, "Post-barrier Return Stack Buffer Predictions").
 */
static inline void insn_rsb_one(void)
{
	__asm__ volatile("	call	2f\n"
			 "1:	pause\n"
			 "	lfence\n"
			 "	jmp	1b\n"
			 "2:	add	$8, %%rsp\n"
			 "	lfence" : : : "cc", "memory");
}

/*
 * Taken branches, more than the history of a cpu holds that has no BHI_DIS_S; inner calls, so that the loops are not seen as such
 * (Intel, "Branch History Injection", software BHB-clearing sequence).
 */
static inline void insn_bhb_clear(void)
{
	uint32_t outer = 5, inner;

	__asm__ volatile("	call	1f\n"
			 "	jmp	5f\n"
			 "1:	call	2f\n"
			 "	ret\n"
			 "2:	mov	$5, %1\n"
			 "3:	jmp	4f\n"
			 "	nop\n"
			 "4:	dec	%1\n"
			 "	jnz	3b\n"
			 "	dec	%0\n"
			 "	jnz	1b\n"
			 "	ret\n"
			 "5:	lfence" : "+r"(outer), "=&r"(inner) : : "cc", "memory");
}

/* With a writable data segment's selector: clears the buffers that MDS reads, where the cpu says MD_CLEAR. */
static inline void insn_verw(uint16_t selector)
{
	__asm__ volatile("verw %0" : : "m"(selector) : "cc");
}

/* Not serializing: a few ticks early or late do not matter to any caller. */
static inline uint64_t insn_rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* Not before what comes before it, nor after what follows (SDM 2B, RDTSC). */
static inline uint64_t insn_rdtsc_ordered(void)
{
	uint32_t low, high;

	__asm__ volatile("mfence; lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

#define INSN_PORT(bits, letter) \
	static inline uint##bits##_t insn_in##bits(uint16_t port) \
	{ \
		uint##bits##_t v; \
		__asm__ volatile("in" letter " %1, %0" : "=a"(v) : "Nd"(port)); \
		return v; \
	} \
	static inline void insn_out##bits(uint16_t port, uint##bits##_t v) \
	{ \
		__asm__ volatile("out" letter " %0, %1" : : "a"(v), "Nd"(port)); \
	}

INSN_PORT(8, "b")
INSN_PORT(16, "w")
INSN_PORT(32, "l")

#define INSN_CR(n) \
	static inline uint64_t insn_read_cr##n(void) \
	{ \
		uint64_t v; \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)); \
		return v; \
	} \
	static inline void insn_write_cr##n(uint64_t v) \
	{ \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory"); \
	}

INSN_CR(0)
INSN_CR(2)
INSN_CR(3)
INSN_CR(4)

#define INSN_DR(n) \
	static inline uint64_t insn_read_dr##n(void) \
	{ \
		uint64_t v; \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(v)); \
		return v; \
	} \
	static inline void insn_write_dr##n(uint64_t v) \
	{ \
		__asm__ volatile("mov %0, %%dr" #n : : "r"(v)); \
	}

INSN_DR(0)
INSN_DR(1)
INSN_DR(2)
INSN_DR(3)
INSN_DR(6)

static inline uint64_t insn_xgetbv(uint32_t index)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

static inline void insn_xsetbv(uint32_t index, uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* area: 64-byte aligned, as large as CPUID 0xD says for XCR0. */
static inline void insn_xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static inline void insn_xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static inline void insn_fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void insn_fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

struct insn_table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static inline void insn_lgdt(const struct insn_table *t)
{
	__asm__ volatile("lgdt %0" : : "m"(*t));
}

static inline void insn_lidt(const struct insn_table *t)
{
	__asm__ volatile("lidt %0" : : "m"(*t));
}

static inline void insn_ltr(uint16_t selector)
{
	__asm__ volatile("ltr %0" : : "r"(selector));
}

static inline void insn_lldt(uint16_t selector)
{
	__asm__ volatile("lldt %0" : : "r"(selector));
}

/* Reloads CS with code and the data segments with data; FS and GS with 0 (their bases are MSRs). */
static inline void insn_load_segments(uint16_t code, uint16_t data)
{
	__asm__ volatile("pushq %0\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmovl %1, %%ds\n\t"
			 "movl %1, %%es\n\t"
			 "movl %1, %%ss\n\t"
			 "movl %2, %%fs\n\t"
			 "movl %2, %%gs\n"
			 : : "r"((uint64_t)code), "r"((uint32_t)data), "r"(0) : "rax", "memory");
}

/* value * to / from; the result must fit in 64 bits, else #DE. */
static inline uint64_t insn_muldiv(uint64_t value, uint64_t to, uint64_t from)
{
	uint64_t quotient, high;

	__asm__("mulq %3; divq %4" : "=&a"(quotient), "=&d"(high) : "0"(value), "r"(to), "r"(from) : "cc");
	return quotient;
}

static inline void insn_mfence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static inline void insn_lfence(void)
{
	__asm__ volatile("lfence" : : : "memory");
}

static inline void insn_pause(void)
{
	__asm__ volatile("pause");
}

/* Lets pending interrupts in for one instruction. */
static inline void insn_interrupt_window(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

/* Waits for an interrupt with no gap between enabling and halting; interrupts are off again after. */
static inline void insn_sti_hlt_cli(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline noreturn void insn_halt_forever(void)
{
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

/* Runs the NMI handler as the cpu would, so that its IRET unblocks further NMIs. */
static inline void insn_int_nmi(void)
{
	__asm__ volatile("int $2" : : : "memory");
}

/* A machine check that exited from a guest, told to the host's own handler. */
static inline void insn_int_machine_check(void)
{
	__asm__ volatile("int $18" : : : "memory");
}

static inline uint64_t insn_frame_pointer(void)
{
	uint64_t v;

	__asm__ volatile("mov %%rbp, %0" : "=r"(v));
	return v;
}

/* The word at gs:[offset], offset a constant. */
#define insn_gs_u64(offset) ({ \
	uint64_t gs_value_; \
	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(gs_value_) : "i"(offset)); \
	gs_value_; })

/* Fills count 8-byte words; one instruction, so that a large clear costs little on any cpu. */
static inline void insn_fill64(void *to, uint64_t value, uint64_t count)
{
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}
