/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attack with three vCPUs: storms of exceptions and IPIs on two of them while the first one works; INIT and SIPI in races;
 * code and page tables that another vCPU changes while a device is accessed through them.
 */
#include "tests/guests/trap.h"

#define LAPIC		0xfee00000ul
#define REG_SVR		0xf0u
#define REG_ICR		0x300u
#define REG_ICR_HIGH	0x310u
#define ICR_NMI		0x4400u
#define ICR_INIT	0x4500u
#define ICR_STARTUP	0x4600u
#define TRAMPOLINE	0x8000ul
#define WINDOW		0x40000000ul
#define IPI		0x51u
#define APS		2u
#define MS		((unsigned)(guest_tsc_per_ms()))

enum role { IDLE, UD, PF, GP, DB, AC, CPUIDS, HALT, IPIS, NMIS, INITS, CODE, PAGES, ROLES };
static const char *const names[ROLES] = {
	"nothing", "#UD", "#PF", "#GP", "#DB by TF", "#AC on a misaligned stack", "CPUID", "HLT with interrupts off", "IPIs", "NMIs",
	"INIT and SIPI to each other", "code that changes", "page tables that change",
};

extern const uint8_t attack_ap_begin[], attack_ap_end[];
extern uint32_t attack_ap_cr3;
void attack_ap_skip(void);
void attack_ap_skip_error(void);
void attack_ap_return(void);
void attack_ap_nmi(void);
void attack_ap_ipi(void);
void attack_end_ac(void);
noreturn void attack_ap_main(uint32_t id);

uint8_t attack_ap_stacks[APS + 1][4096] __attribute__((aligned(4096)));
volatile uint64_t attack_ap_nmis, attack_ap_ipis;
static struct trap_gate idt[256];
static volatile uint64_t beats[APS + 1], starts[APS + 1];
static volatile enum role roles[APS + 1];
static uint8_t page[4096] __attribute__((aligned(4096)));
static volatile uint8_t code[4096] __attribute__((aligned(4096)));
static volatile uint64_t *pte;

static void set(unsigned offset, uint32_t v)
{
	*(volatile uint32_t *)(LAPIC + offset) = v;
}

static void send(uint32_t low, uint32_t dest)
{
	set(REG_ICR_HIGH, dest << 24);
	set(REG_ICR, low);
}

static void spin(uint64_t ticks)
{
	uint64_t begin = guest_tsc();

	while (guest_tsc() - begin < ticks) {
		guest_pause();
	}
}

static void ap_gate(unsigned vector, void (*handler)(void))
{
	uint64_t at = (uint64_t)handler;

	idt[vector] = (struct trap_gate){
		.low = (uint16_t)at, .selector = TRAP_CODE, .type = 0x8e, .mid = (uint16_t)(at >> 16), .high = (uint32_t)(at >> 32),
	};
}

/* --- What the others do, for ever. */

static void once(uint32_t id, enum role role)
{
	static const uint64_t to[] = { LAPIC | 0x1b, 0, 0 };
	uint32_t other = APS + 1 - id;

	switch (role) {
	case UD: __asm__ volatile("ud2"); break;
	case PF: __asm__ volatile("movb (%0), %%al" : : "D"(WINDOW + 0x100000) : "rax"); break;
	case GP: __asm__ volatile("rdmsr" : : "c"(0x12345678) : "rax", "rdx"); break;
	case DB: __asm__ volatile("push $0x102; popf; nop"); break;
	case AC: attack_end_ac(); break;
	case CPUIDS: (void)guest_cpuid((uint32_t)beats[id], (uint32_t)beats[id]); break;
	case HALT: __asm__ volatile("cli; hlt"); break;
	case IPIS: send(0x4000 | IPI, 0); send(0x4000 | IPI, other); guest_sti(); break;
	case NMIS: send(ICR_NMI, 0); send(ICR_NMI, other); break;
	case INITS: send(ICR_INIT, other); send(ICR_STARTUP | TRAMPOLINE >> 12, other); break;
	case CODE: code[0] ^= 0x89 ^ 0x8b; break;		/* mov [rdi], eax and mov eax, [rdi] */
	case PAGES: *pte = beats[id] % 3 == 0 ? to[0] : beats[id] % 3 == 1 ? (uint64_t)page | 3 : 0; break;
	default: guest_pause(); break;
	}
}

noreturn void attack_ap_main(uint32_t id)
{
	static const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) at = { sizeof(idt) - 1, (uint64_t)idt };

	__asm__ volatile("lidt %0" : : "m"(at));
	set(REG_SVR, 0x1ff);
	starts[id]++;
	for (;;) {
		beats[id]++;
		once(id, roles[id]);
	}
}

/* --- The first vCPU. */

static bool starts_up(uint32_t ap)
{
	uint64_t before = starts[ap], end = guest_tsc() + 500 * MS;

	send(ICR_INIT, ap);
	spin(MS);
	send(ICR_STARTUP | TRAMPOLINE >> 12, ap);
	while (starts[ap] == before && guest_tsc() < end) {
		guest_pause();
	}
	return starts[ap] != before;
}

/* What this vCPU does meanwhile comes out right. */
static void work(enum role role)
{
	for (unsigned i = 0; i < 100; i++) {
		struct trap_regs r = { .gpr[RAX] = 0x40000000 }, d = { .gpr[RDI] = WINDOW + 0x80, .gpr[RAX] = 0 };
		unsigned got;

		attack_check(TRAP_RUN(&r, false, 0x0f, 0xa2) == TRAP_END && r.gpr[RBX] == 0x6e726154, "CPUID beside it", role, r.gpr[RBX]);
		EXPECT("UD2 beside it", TRAP_UD, false, 0x0f, 0x0b);
		EXPECT("OUT beside it", TRAP_END, false, 0xe6, 0x80);
		if (role == CODE) {
			d.gpr[RDI] = LAPIC + 0x80;
			d.rip = (uint64_t)code;
			d.cs = TRAP_CODE;
			d.ss = TRAP_DATA;
			d.rflags = 2;
			d.gpr[RSP] = (uint64_t)&page[4096];
			got = trap_enter(&d);
			attack_check(got == TRAP_END, "a device through code that changes", role, got);
		} else if (role == PAGES) {
			got = TRAP_RUN(&d, false, 0x8b, 0x07);
			attack_check(got == TRAP_END || got == TRAP_PF, "a device through a page that changes", role, got);
			d = (struct trap_regs){ .gpr[RSI] = WINDOW + 0x80, .gpr[RDI] = (uint64_t)page };
			got = TRAP_RUN(&d, false, 0xa5);
			attack_check(got == TRAP_END || got == TRAP_PF, "MOVS through a page that changes", role, got);
			trap_invlpg(WINDOW);
		}
	}
}

static bool beats_on(uint32_t ap)
{
	uint64_t before = beats[ap], end = guest_tsc() + 500 * MS;

	while (beats[ap] == before && guest_tsc() < end) {
		guest_pause();
	}
	return beats[ap] != before;
}

static void beside(enum role role)
{
	bool stands = role == HALT || role == AC || role == INITS;	/* they do nothing, or not for long */
	uint64_t before;

	attack_step(names[role]);
	for (uint32_t ap = 1; ap <= APS; ap++) {
		attack_check(starts_up(ap), "a vCPU started by INIT and SIPI", ap, role);
	}
	roles[1] = roles[2] = role;	/* not before: an NMI before its IDT is there would end it */
	work(role);
	guest_sti();
	spin(5 * MS);
	for (uint32_t ap = 1; ap <= APS; ap++) {
		attack_check(stands || beats_on(ap), "another vCPU's storm goes on", ap, role);
	}
	for (unsigned i = 0; i < 200 && role != INITS; i++) {
		send(i % 2 != 0 ? ICR_NMI : 0x4000 | IPI, 1 + i / 2 % APS);
	}
	for (uint32_t round = 0; round < 2; round++) {	/* the first of two that start each other is started again */
		for (uint32_t ap = 1; ap <= APS; ap++) {
			roles[ap] = IDLE;
			send(ICR_INIT, ap);
		}
		spin(20 * MS);
	}
	guest_cli();
	before = beats[1] + beats[2];
	spin(20 * MS);
	attack_check(beats[1] + beats[2] == before, "INIT ends whatever runs", role, beats[1] + beats[2] - before);
}

static void races(void)
{
	attack_step("INIT and SIPI in any order");
	roles[1] = roles[2] = INITS;
	for (unsigned i = 0; i < 500; i++) {
		uint64_t r = guest_random();

		send((r & 3) == 0 ? ICR_INIT : (r & 3) == 1 ? 0x4000 | IPI : ICR_STARTUP | TRAMPOLINE >> 12, 1 + (r >> 2 & 1));
		if ((r >> 3 & 3) == 0) {
			spin(r >> 8 & 4095);
		}
	}
	roles[1] = roles[2] = IDLE;
	spin(20 * MS);
	attack_check(starts_up(1) && beats_on(1), "the second vCPU starts after all that", starts[1], 0);
	attack_check(starts_up(2) && beats_on(2), "the third vCPU starts after all that", starts[2], 0);
}

static void prepare(void)
{
	uint64_t cr3, *t;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	attack_ap_cr3 = (uint32_t)cr3;
	for (const uint8_t *p = attack_ap_begin; p < attack_ap_end; p++) {
		((volatile uint8_t *)TRAMPOLINE)[p - attack_ap_begin] = *p;
	}
	ap_gate(TRAP_DB, attack_ap_return);
	ap_gate(2, attack_ap_nmi);
	ap_gate(TRAP_UD, attack_ap_skip);
	ap_gate(TRAP_GP, attack_ap_skip_error);
	ap_gate(TRAP_PF, attack_ap_skip_error);
	ap_gate(IPI, attack_ap_ipi);
	trap_map(WINDOW, (uint64_t)page, 3);
	trap_map(WINDOW + 0x100000, 0, 0);
	t = (uint64_t *)(cr3 & ~4095ul);
	t = (uint64_t *)(t[WINDOW >> 39 & 511] & 0x000ffffffffff000ul);
	t = (uint64_t *)(t[WINDOW >> 30 & 511] & 0x000ffffffffff000ul);
	t = (uint64_t *)(t[WINDOW >> 21 & 511] & 0x000ffffffffff000ul);
	pte = &t[WINDOW >> 12 & 511];
	code[0] = 0x8b;
	code[1] = 0x07;
	code[2] = 0xcd;
	code[3] = TRAP_END;
}

void guest_main(const void *start_info)
{
	guest_seed(guest_number_after(guest_cmdline(start_info), "seed", 1));
	trap_init();
	trap_passive = 1;
	guest_out8(0x21, 0xff);
	guest_out8(0xa1, 0xff);
	set(REG_SVR, 0x1ff);
	prepare();
	for (enum role role = UD; role < ROLES; role++) {
		beside(role);
	}
	attack_check(trap_counts[2] > 100 && trap_counts[IPI] > 100, "NMIs and IPIs from the others", trap_counts[2], trap_counts[IPI]);
	races();
	attack_check(trap_early == 0, "interrupts that came with interrupts off", 0, trap_early);
	attack_done("smp");
}
