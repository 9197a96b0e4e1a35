/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Test guest: how late an interrupt and another vCPU come, in TSC ticks. Two vCPUs, which share the
 * VM's TSC, on one cpu. The second stays in real mode: while the first measures its timer it is not
 * started; then it notes the TSC in a loop, and so does the first: what lies between the last note
 * of one and the first of the other is a switch. Last it waits for an IPI. A figure is the median
 * of ROUNDS. `make bench` reads the lines.
 */
#include "tests/guests/lapic.h"
#include "tests/guests/trap.h"

#define ROUNDS		101u
#define SOON		20000u		/* ticks to a deadline: past all that setting it takes */
#define AWAY		60u		/* ticks between two notes: another vCPU may have run */

#define AP_CODE		0x8000u
#define AP_STAMP	0x9000u		/* its last TSC, or its handler's */
#define AP_HALTS	0x9004u		/* not 0: wait for IPIs */
#define AP_HANDLER	(AP_CODE + 0x80)
#define AP_IVT		(4 * APIC_VECTOR)
#define ICR_INIT	0x4500u
#define ICR_STARTUP	(0x4600u | AP_CODE >> 12)
#define TO_AP		(1ul << 32)


/* x2APIC on, then for ever a note of the TSC, or a halt. Interrupts are let in by the halt only. */
__asm__(".section .rodata\nap_code:\n.code16\n"
	"xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp\n"
	"mov $0x1b, %ecx; rdmsr; or $0x400, %eax; wrmsr\n"
	"mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr\n"
	"1: rdtsc; mov %eax, 0x9000; cmpb $0, 0x9004; je 1b\n"
	"2: sti; hlt; cli; jmp 2b\n"
	".org ap_code + 0x80\n"
	"rdtsc; mov %eax, 0x9000; mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; iret\n"
	".code64\nap_end:\n.text\n");
extern const uint8_t ap_code[], ap_end[];

static volatile uint32_t *ap_stamp, *ap_halts;
static uint32_t figure[ROUNDS];

/* Guest memory: the compiler takes such low addresses for a slip. */
static volatile void *low(uint64_t at)
{
	__asm__("" : "+r"(at));
	return (volatile void *)at;
}

static void print(const char *name)
{
	for (unsigned i = 1; i < ROUNDS; i++) {
		for (unsigned j = i; j > 0 && figure[j] < figure[j - 1]; j--) {
			uint32_t swap = figure[j];

			figure[j] = figure[j - 1];
			figure[j - 1] = swap;
		}
	}
	guest_puts("latency: ");
	guest_puts(name);
	guest_putc(' ');
	guest_dec(figure[ROUNDS / 2]);
	guest_puts(" of ");
	guest_dec(figure[0]);
	guest_puts("..");
	guest_dec(figure[ROUNDS - 1]);
	guest_putc('\n');
}

static void timer(const char *name, void (*wait)(void))
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t deadline = guest_tsc() + SOON + i;

		lapic_stamp = 0;
		lapic_set_deadline(deadline);
		wait();
		figure[i] = (uint32_t)(lapic_stamp - deadline);
		lapic_eoi();
	}
	print(name);
}

static void start_ap(void)
{
	volatile uint8_t *to = low(AP_CODE);
	volatile uint32_t *ivt = low(AP_IVT);

	for (const uint8_t *from = ap_code; from < ap_end; from++) {
		*to++ = *from;
	}
	*ivt = AP_HANDLER;
	ap_stamp = low(AP_STAMP);
	ap_halts = low(AP_HALTS);
	*ap_stamp = *ap_halts = 0;
	lapic_write(APIC_ICR, TO_AP | ICR_INIT);
	lapic_write(APIC_ICR, TO_AP | ICR_STARTUP);
	while (*ap_stamp == 0) {
		guest_pause();
	}
}

/* Both are busy: from the other's last note to the first one here. */
static void preempted(void)
{
	uint32_t last = (uint32_t)guest_tsc();

	for (unsigned i = 0; i < ROUNDS;) {
		uint32_t now = (uint32_t)guest_tsc(), other = *ap_stamp;

		if (now - last > AWAY && other - last < now - last) {
			figure[i++] = now - other;
		}
		last = now;
	}
	print("preempt");
}

/* The other one is halted; this one sends and halts, until its timer wakes it. */
static void woken(void)
{
	*ap_halts = 1;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t before;

		lapic_stamp = 0;
		lapic_set_deadline(guest_tsc() + SOON);
		lapic_halt();		/* so long that the other one is halted too */
		lapic_eoi();
		lapic_stamp = 0;
		lapic_set_deadline(guest_tsc() + SOON);
		before = (uint32_t)guest_tsc();
		lapic_write(APIC_ICR, TO_AP | APIC_VECTOR);
		lapic_halt();
		figure[i] = *ap_stamp - before;
		lapic_eoi();
	}
	print("ipi-wake");
}

void guest_main(const void *start_info)
{
	(void)start_info;
	trap_init();
	lapic_start();
	lapic_enter_x2();
	lapic_set_timer(APIC_DEADLINE);
	timer("timer-running", lapic_run);
	timer("timer-halted", lapic_halt);
	start_ap();
	preempted();
	woken();
	guest_exit(0);
}
