/* SPDX-License-Identifier: BSD-2-Clause */
/* Attack: local APIC and I/O APIC: storms, bad commands, absent targets, garbage in every register, extreme deadlines. */
#include "tests/guests/trap.h"

#define LAPIC		0xfee00000ul
#define IOAPIC		0xfec00000ul
#define REG_ID		0x20u
#define REG_TPR		0x80u
#define REG_EOI		0xb0u
#define REG_SVR		0xf0u
#define REG_ESR		0x280u
#define REG_ICR		0x300u
#define REG_ICR_HIGH	0x310u
#define REG_TIMER	0x320u
#define REG_ERROR	0x370u
#define REG_INITIAL	0x380u
#define REG_DIVIDE	0x3e0u
#define ESR_SEND_ILLEGAL	0x20u
#define LVT_MASKED	0x10000u
#define MSR_BASE	0x1bu
#define MSR_DEADLINE	0x6e0u
#define MSR_TSC		0x10u
#define MSR_ICR		0x830u
#define MSR_SELF	0x83fu
#define VECTOR		0xc1u
#define STORM		1000u

static uint32_t get(unsigned offset)
{
	return *(volatile uint32_t *)(LAPIC + offset);
}

static void set(unsigned offset, uint32_t v)
{
	*(volatile uint32_t *)(LAPIC + offset) = v;
}

static uint64_t wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
	return v;
}

static void spin(uint64_t ticks)
{
	uint64_t begin = guest_tsc();

	while (guest_tsc() - begin < ticks) {
		guest_pause();
	}
}

static void settle(void)
{
	guest_sti();
	spin(20000);
	guest_cli();
}

static uint64_t all_counts(void)
{
	uint64_t sum = 0;

	for (unsigned v = 0; v < 256; v++) {
		sum += trap_counts[v];
	}
	return sum;
}

static void storm(bool x2)
{
	uint64_t before[2] = { trap_counts[VECTOR], trap_counts[2] };

	guest_sti();
	for (unsigned i = 0; i < STORM; i++) {
		uint32_t vector = 0x20 + i % 0xe0;

		vector = vector == TRAP_END ? VECTOR : vector;
		if (x2 && i % 2 != 0) {
			wrmsr(MSR_SELF, vector);
		} else if (x2) {
			wrmsr(MSR_ICR, 0x40000 | vector);
		} else {
			set(REG_ICR, 0x40000 | vector);
		}
	}
	settle();
	attack_check(trap_counts[VECTOR] > before[0], "self-IPIs came", x2, trap_counts[VECTOR]);
	for (unsigned i = 0; i < STORM; i++) {		/* NMIs to itself, by its own id */
		if (x2) {
			wrmsr(MSR_ICR, 0x4400);
		} else {
			set(REG_ICR_HIGH, 0);
			set(REG_ICR, 0x4400);
		}
	}
	settle();
	attack_check(trap_counts[2] > before[1], "NMIs came", x2, trap_counts[2]);
}

static void send(bool x2, uint32_t low, uint32_t dest)
{
	if (x2) {
		struct trap_regs r = { .gpr[RCX] = MSR_ICR, .gpr[RAX] = low, .gpr[RDX] = dest };
		unsigned got = TRAP_RUN(&r, false, 0x0f, 0x30);

		attack_check(got == TRAP_END || got == TRAP_GP, "ICR", low, got);
	} else {
		set(REG_ICR_HIGH, dest << 24);
		set(REG_ICR, low);
	}
}

/* Every mode, level, trigger and shorthand, but INIT and SIPI that reach this very vCPU. */
static void commands(bool x2)
{
	static const uint8_t vectors[] = { 0, 15, 32, 47 };	/* 16 to 31 are legal, but this guest's exceptions */

	for (uint32_t bits = 0; bits < 0x100; bits++) {
		uint32_t mode = bits & 7, hand = bits >> 6;
		uint32_t low = mode << 8 | (bits >> 3 & 1) << 11 | (bits >> 4 & 1) << 14 | (bits >> 5 & 1) << 15 | hand << 18;
		bool starts = mode == 5 || mode == 6;

		for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
			uint32_t vector = vectors[i];

			if (starts) {		/* by its own logical id, or to all, it would restart the VM */
				low = (low & ~0x800u) | (hand == 2 ? 0x40000u : 0);
			} else {
				send(x2, low | vector, 0);
			}
			send(x2, low | vector, 1);
			send(x2, low | vector, x2 ? 1u << 31 : 1u << 7);
		}
	}
	settle();
	if (!x2) {
		set(REG_ESR, 0);
		set(REG_ICR, 0x40000 | 5);
		set(REG_ESR, 0);
		attack_check((get(REG_ESR) & ESR_SEND_ILLEGAL) != 0, "ESR after vector 5", 5, get(REG_ESR));
	} else {
		attack_check(trap_wrmsr(MSR_SELF, 0x100) == TRAP_GP, "SELF_IPI with reserved bits", 0x100, 0);
	}
}

static void absent(bool x2)
{
	uint64_t before = all_counts();

	for (unsigned bit = x2 ? 1 : 1; bit < (x2 ? 32u : 8u); bit++) {
		send(x2, 0x4000 | VECTOR, x2 ? (1u << bit) - (bit == 1) + 1 : (1u << bit) | 2);
		send(x2, 0x4500, 1u << bit | 2);
		send(x2, 0x4600 | 8, 1u << bit | 2);
		send(x2, 0x4400, 1u << bit | 2);
	}
	settle();
	attack_check(all_counts() == before, "IPIs to absent vCPUs came here", before, all_counts());
}

static void garbage(void)
{
	for (unsigned round = 0; round < 1; round++) {
		for (unsigned offset = 0; offset < 0x1000; offset += 4) {
			volatile uint8_t *at = (volatile uint8_t *)(LAPIC + offset);

			(void)*(volatile uint32_t *)at;
			if (offset == REG_ICR || offset % 16 != 0) {
				continue;
			}
			*(volatile uint32_t *)at = (uint32_t)guest_random();
			*(volatile uint64_t *)at = guest_random();
			*(volatile uint16_t *)(at + 2) = (uint16_t)guest_random();
			*(at + 1) = (uint8_t)guest_random();
		}
		for (unsigned at = 0; at < 0x1000 - 8; at += 7) {
			(void)*(volatile uint8_t *)(LAPIC + at);
			(void)*(volatile uint16_t *)(LAPIC + at);
			(void)*(volatile uint64_t *)(LAPIC + at);
		}
	}
	for (unsigned lvt = REG_TIMER; lvt <= REG_ERROR; lvt += 16) {
		for (unsigned i = 0; i < 64; i++) {
			set(lvt, (uint32_t)guest_random());
			set(REG_INITIAL, 1u << i % 32);
			set(REG_DIVIDE, i);
		}
	}
	for (unsigned lvt = REG_TIMER; lvt <= REG_ERROR; lvt += 16) {
		set(lvt, LVT_MASKED);
	}
	set(REG_TPR, 0);
	set(REG_SVR, 0x1ff);
	set(REG_INITIAL, 0);
	guest_sti();
	for (unsigned i = 0; i < 512; i++) {
		set(REG_EOI, 0);
	}
	guest_cli();
	attack_check(get(REG_ID) == 0, "the local APIC's id", 0, get(REG_ID));
}

/* On a slow machine the next period is over before the handler is: so one interrupt at a time. */
static void timer(void)
{
	uint64_t before = trap_counts[VECTOR];

	trap_once = 1;
	for (uint32_t mode = 0; mode < 4; mode++) {
		set(REG_DIVIDE, 0xb);
		set(REG_TIMER, VECTOR | mode << 17);
		set(REG_INITIAL, 1);
		for (unsigned i = 0; i < 50; i++) {
			guest_sti();
			spin(2000);
		}
		guest_cli();
		set(REG_INITIAL, 0);
	}
	trap_once = 0;
	attack_check(trap_counts[VECTOR] > before + 10, "the periodic timer of 1 tick", 0, trap_counts[VECTOR]);
	set(REG_TIMER, LVT_MASKED);
}

static uint64_t fires(uint64_t deadline)
{
	uint64_t before = trap_counts[VECTOR];

	guest_sti();
	wrmsr(MSR_DEADLINE, deadline);
	spin(50000);
	guest_cli();
	wrmsr(MSR_DEADLINE, 0);
	return trap_counts[VECTOR] - before;
}

static void deadlines(void)
{
	static const uint64_t tscs[] = { 0, 1, 1ul << 32, 1ul << 62, (1ul << 63) - 1000, 1ul << 63 };

	set(REG_TIMER, VECTOR | 2u << 17);
	for (unsigned i = 0; i < sizeof(tscs) / sizeof(tscs[0]); i++) {
		uint64_t now;

		wrmsr(MSR_TSC, tscs[i]);
		now = guest_tsc();
		attack_check(now - tscs[i] < 1ul << 32, "the TSC after it was set to", tscs[i], now);
		attack_check(fires(0) == 0, "deadline 0 fired, TSC", tscs[i], 0);
		attack_check(fires(now - 1) == 1, "a past deadline, TSC", tscs[i], now);
		attack_check(fires(1) == 1, "deadline 1, TSC", tscs[i], now);
		attack_check(fires(guest_tsc() + 1) == 1, "a near deadline, TSC", tscs[i], now);
		attack_check(fires(~0ul) == 0, "deadline of all ones fired, TSC", tscs[i], now);
		attack_check(fires(~0ul - 1) == 0, "deadline of all ones less 1 fired, TSC", tscs[i], now);
	}
	wrmsr(MSR_TSC, ~0ul - 20000);		/* the TSC wraps */
	spin(1000);
	wrmsr(MSR_DEADLINE, ~0ul - 1);
	for (unsigned i = 0; i < 100000; i++) {
		guest_pause();
	}
	attack_check(guest_tsc() < 1ul << 40, "the TSC after its wrap", 0, guest_tsc());
	wrmsr(MSR_DEADLINE, 0);
	wrmsr(MSR_TSC, 0);
	set(REG_TIMER, LVT_MASKED);
}

static void ioapic(void)
{
	volatile uint32_t *select = (volatile uint32_t *)IOAPIC, *window = (volatile uint32_t *)(IOAPIC + 0x10);

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned reg = 0; reg < 256; reg++) {
			*select = reg;
			(void)*window;
			/* Delivery modes 5 and 7 (INIT, ExtINT) would be this vCPU's end, or need the 8259. */
			*window = (uint32_t)guest_random() & ~(reg % 2 == 0 && reg >= 0x10 ? 0x100u : 0);
		}
		for (unsigned vector = 0; vector < 256; vector++) {
			*(volatile uint32_t *)(IOAPIC + 0x40) = vector;
		}
		guest_out8(0x40, 1);
		guest_out8(GUEST_PORT_COM1 + 1, (uint8_t)round & 3);
	}
	guest_out8(GUEST_PORT_COM1 + 1, 0);
	for (unsigned offset = 0; offset < 0xff8; offset += 3) {
		(void)*(volatile uint64_t *)(IOAPIC + offset);
		if (offset > 0x20) {
			*(volatile uint32_t *)(IOAPIC + offset) = (uint32_t)guest_random();
		}
	}
	for (unsigned pin = 0; pin < 24; pin++) {
		*select = 0x10 + 2 * pin;
		*window = LVT_MASKED;
	}
	*select = 1;
	attack_check((*window & 0xff) != 0xff, "the I/O APIC's version", 1, *window);
}

void guest_main(const void *start_info)
{
	guest_seed(guest_number_after(guest_cmdline(start_info), "seed", 1));
	trap_init();
	trap_passive = 1;
	guest_out8(0x21, 0xff);		/* the 8259s stay out of it */
	guest_out8(0xa1, 0xff);
	set(REG_SVR, 0x1ff);
	attack_step("storm");
	storm(false);
	attack_step("commands");
	commands(false);
	absent(false);
	attack_step("deadlines");
	deadlines();
	attack_step("timer");
	timer();
	attack_step("I/O APIC");
	ioapic();
	attack_step("garbage");
	garbage();
	attack_step("x2APIC");
	wrmsr(MSR_BASE, LAPIC | 0xd00);
	trap_x2apic = 1;
	storm(true);
	commands(true);
	absent(true);
	attack_check(trap_early == 0, "interrupts that came with interrupts off", 0, trap_early);
	attack_done("apic");
}
