/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: what an exit and the way back cost, in TSC ticks; on Bochs with one cpu a tick is an instruction. Each figure
 * is the least of ROUNDS, less the same sequence without the instruction: so it counts that instruction and all that
 * the hypervisor executes before the next one. `make bench` reads the lines.
 */
#include "tests/guests/guest.h"

#define ROUNDS		1000u
#define WARM_UP		16u
#define PORT_NOTHING	0x80u
#define MSR_MISC_ENABLE	0x1a0u
#define MSR_APIC_BASE	0x1bu

/* Ticks between two RDTSC with INSN in between, after EAX, ECX and EDX were set as INSN wants them. */
#define TICKS(insn, a, c, d) ({ \
	uint32_t before_, after_; \
	__asm__ volatile("rdtsc\n\tmov %%eax, %[before]\n\tmov %[a_], %%eax\n\tmov %[c_], %%ecx\n\tmov %[d_], %%edx\n\t" \
			 insn "\n\trdtsc" \
			 : [before] "=&r"(before_), "=&a"(after_) \
			 : [a_] "i"(a), [c_] "i"(c), [d_] "i"(d) : "ebx", "ecx", "edx", "memory"); \
	after_ - before_; \
})

#define MEASURE(name, insn, a, c, d) do { \
	uint32_t least_ = UINT32_MAX; \
	for (unsigned i_ = 0; i_ < ROUNDS + WARM_UP; i_++) { \
		uint32_t with_ = TICKS(insn, a, c, d), without_ = TICKS("", a, c, d); \
		if (i_ >= WARM_UP && with_ - without_ < least_) { \
			least_ = with_ - without_; \
		} \
	} \
	print(name, least_); \
} while (0)

static void print(const char *name, uint64_t ticks)
{
	guest_puts("exitcost: ");
	guest_puts(name);
	guest_putc(' ');
	guest_dec(ticks);
	guest_putc('\n');
}

void guest_main(const void *start_info)
{
	(void)start_info;
	print("first", guest_first_tsc);
	MEASURE("nop", "nop", 0, 0, 0);
	MEASURE("cpuid", "cpuid", 0, 0, 0);
	MEASURE("cpuid-1", "cpuid", 1, 0, 0);
	MEASURE("hypercall", "vmcall", 0, 0, 0);
	MEASURE("rdmsr", "rdmsr", 0, MSR_MISC_ENABLE, 0);
	MEASURE("rdmsr-apic-base", "rdmsr", 0, MSR_APIC_BASE, 0);
	MEASURE("port-0x80", "outb %%al, %%dx", 0, 0, PORT_NOTHING);
	guest_exit(0);
}
