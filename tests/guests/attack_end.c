/* SPDX-License-Identifier: BSD-2-Clause */
/* Attack: ways for a VM to end, or to hang for good; the command line names one (docs/attacks.md). */
#include "tests/guests/trap.h"

#define LAPIC		0xfee00000ul
#define OUTSIDE		0xd0000000ul
#define WINDOW		0x40000000ul
#define WRITABLE	3ul

void attack_end_ac(void);	/* attack_ac.asm */
void attack_end_task(void);

static uint64_t cr3(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}

static void set_cr3(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static void idt(void)
{
	guest_triple_fault();
}

static void idt_outside(void)
{
	static const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) at = { 4095, OUTSIDE };

	__asm__ volatile("lidt %0\n\tud2" : : "m"(at));
}

static void stack_outside(void)
{
	__asm__ volatile("mov %0, %%rsp\n\tpush %%rax" : : "r"(OUTSIDE + 64));
}

static void ist_outside(void)
{
	trap_set_gate(TRAP_UD, (const void *)0x100000, 0, 0);
	__asm__ volatile("mov %0, %%rsp\n\tud2" : : "r"(OUTSIDE + 64));
}

static void ist_device(void)
{
	trap_set_gate(TRAP_UD, (const void *)0x100000, 0, 0);
	__asm__ volatile("mov %0, %%rsp\n\tud2" : : "r"(LAPIC + 0x100));
}

static void fetch_device(void)
{
	((void (*)(void))LAPIC)();
}

static void fetch_outside(void)
{
	((void (*)(void))OUTSIDE)();
}

static void cross(void)
{
	*(volatile uint32_t *)(LAPIC + 0xffe) = 0;
}

static void cr3_outside(void)
{
	set_cr3(OUTSIDE);
}

static void cr3_device(void)
{
	set_cr3(LAPIC);
}

static void cr3_top(void)
{
	set_cr3((1ul << (guest_cpuid(0x80000008, 0).eax & 0xff)) - 4096);
}

/* A table at the local APIC: a data access then walks through it. */
static void pt_device(void)
{
	uint64_t *pml4 = (uint64_t *)(cr3() & ~4095ul);

	pml4[1] = LAPIC | WRITABLE;
	(void)*(volatile uint32_t *)(1ul << 39);
}

/* The same, where the page offsets of operand and entry agree. */
static void pt_device_same(void)
{
	uint64_t *pml4 = (uint64_t *)(cr3() & ~4095ul);

	pml4[1] = LAPIC | WRITABLE;
	(void)*(volatile uint32_t *)((1ul << 39) + (16ul << 30) + 0x80);
}

static void pt_outside(void)
{
	uint64_t *pml4 = (uint64_t *)(cr3() & ~4095ul);

	pml4[1] = OUTSIDE | WRITABLE;
	(void)*(volatile uint32_t *)(1ul << 39);
}

static void hlt(void)
{
	__asm__ volatile("cli\n\thlt");
	guest_puts("woke\n");
}

static void form(void)
{
	__asm__ volatile("mov %%cr4, %%rax; bts $9, %%rax; mov %%rax, %%cr4; movups %%xmm0, (%0)" : : "r"(LAPIC + 0x80) : "rax");
}

static void init(void)
{
	*(volatile uint32_t *)(LAPIC + 0xf0) = 0x1ff;
	*(volatile uint32_t *)(LAPIC + 0x310) = 0;
	*(volatile uint32_t *)(LAPIC + 0x300) = 0x4500;
	guest_puts("went on after INIT\n");
}

/* Each delivery of #DB writes where the breakpoint watches: the next is due before the handler's first instruction. */
static void db(void)
{
	static uint64_t stack[64] __attribute__((aligned(64)));
	uint64_t *top = &stack[48];

	trap_set_gate(TRAP_DB, (const void *)db, 7, 0);
	trap_set_ist(7, (uint64_t)top);
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7; .byte 0xf1" : : "r"(top - 1), "r"(0xd0001ul | 0x400));
	guest_puts("left the loop\n");
}

/* A handler of #DB that sets TF again for good. */
static void icebp(void)
{
	for (;;) {
		(void)TRAP_RUN(&(struct trap_regs){ .rflags = 0x100 }, false, 0x90, 0xf1);
	}
}

/* Handlers that raise what they handle: no instruction completes, and #UD and #PF never exit. */
__attribute__((naked)) static void ud_again(void)
{
	__asm__ volatile("ud2");
}

__attribute__((naked)) static void pf_again(void)
{
	__asm__ volatile("movabs $0x40100000, %rax; mov (%rax), %rax");
}

__attribute__((naked)) static void gp_again(void)
{
	__asm__ volatile("mov $0x12345678, %ecx; rdmsr");
}

static void again(unsigned vector, void (*handler)(void))
{
	static uint64_t stack[64] __attribute__((aligned(64)));

	trap_map(0x40100000, 0, 0);
	trap_set_gate(vector, (const void *)handler, 7, 0);
	trap_set_ist(7, (uint64_t)&stack[64]);
	handler();
}

static void ud(void)
{
	again(TRAP_UD, ud_again);
}

static void pf(void)
{
	again(TRAP_PF, pf_again);
}

static void gp(void)
{
	again(TRAP_GP, gp_again);
}

static void nmi(void)
{
	*(volatile uint32_t *)(LAPIC + 0xf0) = 0x1ff;
	*(volatile uint32_t *)(LAPIC + 0x310) = 0;
	for (;;) {
		*(volatile uint32_t *)(LAPIC + 0x300) = 0x4400;
	}
}

static void task(void)
{
	struct trap_regs r = { 0 };

	/* There are no task switches in 64-bit mode: a far call to a TSS is #GP. */
	attack_check(TRAP_RUN(&r, false, 0x6a, TRAP_TSS, 0x6a, 0x00, 0x48, 0xff, 0x2c, 0x24) == TRAP_GP, "a far jump to a TSS", 0,
		     r.vector);
	attack_done("end");
}

static const struct {
	const char *name;
	void (*go)(void);
} ends[] = {
	{ "task32", attack_end_task }, { "ud", ud }, { "pf", pf }, { "gp", gp }, { "nmi", nmi },
	{ "idt", idt }, { "idt-outside", idt_outside }, { "stack-outside", stack_outside }, { "ist-outside", ist_outside },
	{ "ist-device", ist_device }, { "fetch-device", fetch_device }, { "fetch-outside", fetch_outside }, { "cross", cross },
	{ "cr3-outside", cr3_outside }, { "cr3-device", cr3_device }, { "cr3-top", cr3_top }, { "pt-device", pt_device },
	{ "pt-same", pt_device_same }, { "pt-outside", pt_outside }, { "hlt", hlt }, { "form", form }, { "init", init },
	{ "db", db }, { "icebp", icebp }, { "task", task }, { "ac", attack_end_ac },
};

/* A read or a write of a physical address; through page tables, for a linear address has but 48 bits. */
static void touch(uint64_t at, bool writes)
{
	trap_map(WINDOW, at & ~4095ul, 3);
	guest_puts("touching ");
	guest_hex(at);
	guest_putc('\n');
	if (writes) {
		*(volatile uint64_t *)(WINDOW + (at & 4095)) = 0;
	} else {
		(void)*(volatile uint64_t *)(WINDOW + (at & 4095));
	}
	guest_puts("memory is there\n");
	guest_exit(0);
}

void guest_main(const void *start_info)
{
	const char *line = guest_cmdline(start_info);

	trap_init();
	guest_puts("end: ");
	guest_puts(line);
	guest_putc('\n');
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (guest_has_word(line, ends[i].name)) {
			ends[i].go();
			guest_puts("survived\n");
			guest_exit(1);
		}
	}
	if (guest_has_word(line, "at")) {
		touch(guest_number_after(line, "at", 0), guest_has_word(line, "write"));
	}
	guest_puts("no such end\n");
	guest_exit(2);
}
