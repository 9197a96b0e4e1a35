/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: what an exit and the way back cost, in TSC ticks; on Bochs with one cpu a tick is an
 * instruction. Each figure is the least of ROUNDS, less the same sequence without the instruction:
 * so it counts that instruction and all that the hypervisor executes before the next one. The end
 * of an interrupt is that of one in service. `make bench` reads the lines.
 */
#include "tests/guests/lapic.h"
#include "tests/guests/trap.h"

#define ROUNDS		1000u
#define WARM_UP		16u
#define PORT_NOTHING	0x80u
#define MSR_MISC_ENABLE	0x1a0u
#define MSR_APIC_BASE	0x1bu
#define FAR		0x40000000u	/* a count and half a deadline that do not come */

/*
 * Ticks between two RDTSC with INSN in between, after EAX, ECX and EDX were set as INSN wants them.
 */
#define TICKS(insn, a, c, d) ({ \
	uint32_t before_, after_; \
	__asm__ volatile("rdtsc\n\tmov %%eax, %[before]\n\tmov %[a_], %%eax\n\tmov %[c_], %%ecx\n\tmov %[d_], %%edx\n\t" \
			 insn "\n\trdtsc" \
			 : [before] "=&r"(before_), "=&a"(after_) \
			 : [a_] "i"(a), [c_] "i"(c), [d_] "i"(d) : "ebx", "ecx", "edx", "memory"); \
	after_ - before_; \
})

#define MEASURE(name, insn, a, c, d) MEASURE_AFTER((void)0, name, insn, a, c, d)
#define MEASURE_AFTER(prepare, name, insn, a, c, d) do { \
	uint32_t least_ = UINT32_MAX; \
	for (unsigned i_ = 0; i_ < ROUNDS + WARM_UP; i_++) { \
		prepare; \
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

/* How a kernel ends an interrupt and sets its timer: in xAPIC mode, then in x2APIC mode. */
static void local_apic(void)
{
	MEASURE("tpr-read", "mov (%%rcx), %%eax", 0, APIC_PAGE + APIC_TPR, 0);
	MEASURE_AFTER(lapic_self_ipi(), "eoi", "mov %%eax, (%%rcx)", 0, APIC_PAGE + APIC_EOI, 0);
	lapic_set_timer(APIC_ONE_SHOT);
	MEASURE("tmict", "mov %%eax, (%%rcx)", FAR, APIC_PAGE + APIC_TMICT, 0);
	lapic_set_timer(APIC_DEADLINE);
	MEASURE("deadline", "wrmsr", 0, APIC_MSR_DEADLINE, FAR);
}

static void x2apic(void)
{
	lapic_enter_x2();
	MEASURE("x2-tpr-read", "rdmsr", 0, APIC_MSR(APIC_TPR), 0);
	MEASURE_AFTER(lapic_self_ipi(), "x2-eoi", "wrmsr", 0, APIC_MSR(APIC_EOI), 0);
	lapic_set_timer(APIC_ONE_SHOT);
	MEASURE("x2-tmict", "wrmsr", FAR, APIC_MSR(APIC_TMICT), 0);
	lapic_set_timer(APIC_DEADLINE);
	MEASURE("x2-deadline", "wrmsr", 0, APIC_MSR_DEADLINE, FAR);
}

void guest_main(const void *start_info)
{
	(void)start_info;
	print("first", guest_first_tsc);
	trap_init();
	lapic_start();
	MEASURE("nop", "nop", 0, 0, 0);
	MEASURE("cpuid", "cpuid", 0, 0, 0);
	MEASURE("cpuid-1", "cpuid", 1, 0, 0);
	MEASURE("hypercall", "vmcall", 0, 0, 0);
	MEASURE("rdmsr", "rdmsr", 0, MSR_MISC_ENABLE, 0);
	MEASURE("rdmsr-apic-base", "rdmsr", 0, MSR_APIC_BASE, 0);
	MEASURE("port-0x80", "outb %%al, %%dx", 0, 0, PORT_NOTHING);
	local_apic();
	x2apic();
	guest_exit(0);
}
