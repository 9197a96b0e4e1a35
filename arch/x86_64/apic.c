/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APIC (SDM 3A 10). Destinations are always physical and single: logical mode would need per-cluster state and
 * wins nothing for pokes. The timer is TSC-deadline where the cpu has it, else the count-down timer at divide by 1.
 */
#include "arch/x86_64/apic.h"

#include "arch/x86_64/insn.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/vectors.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

/* Register offsets of the xAPIC page (SDM 3A table 10-1); x2APIC MSR = 0x800 + offset / 16. */
#define REG_ID			0x020
#define REG_VERSION		0x030
#define  VERSION_LVT_MAX(v)	((v) >> 16 & 0xff)	/* entries of the local vector table, less one */
#define REG_TPR			0x080
#define REG_EOI			0x0b0
#define REG_SVR			0x0f0
#define  SVR_ENABLE		(1u << 8)
#define REG_ESR			0x280
#define REG_ICR			0x300
#define  ICR_PENDING		(1u << 12)
#define  ICR_ASSERT		(1u << 14)
#define REG_ICR_HIGH		0x310
#define REG_LVT_CMCI		0x2f0
#define REG_LVT_TIMER		0x320
#define  LVT_MASKED		(1u << 16)
#define  LVT_TSC_DEADLINE	(2u << 17)
#define REG_LVT_THERMAL		0x330
#define REG_LVT_PERF		0x340
#define REG_LVT_LINT0		0x350
#define REG_LVT_LINT1		0x360
#define REG_LVT_ERROR		0x370
#define REG_TIMER_INITIAL	0x380
#define REG_TIMER_CURRENT	0x390
#define REG_TIMER_DIVIDE	0x3e0
#define  DIVIDE_BY_1		0xbu

#define ICR_IDLE_SPINS		1000000u

static struct {
	bool x2apic;
	bool deadline;
	uint64_t ticks_per_ms;		/* of the count-down timer */
	volatile uint32_t *page;
} apic;

static uint32_t reg_read(unsigned reg)
{
	return apic.x2apic ? (uint32_t)insn_rdmsr(MSR_X2APIC_BASE + reg / 16) : apic.page[reg / 4];
}

static void reg_write(unsigned reg, uint32_t value)
{
	if (apic.x2apic) {
		insn_wrmsr(MSR_X2APIC_BASE + reg / 16, value);
	} else {
		apic.page[reg / 4] = value;
	}
}

void apic_init(hpa_t registers)
{
	struct cpuid c = insn_cpuid(1, 0);

	apic.x2apic = (c.ecx & CPUID1_ECX_X2APIC) != 0;
	apic.deadline = (c.ecx & CPUID1_ECX_TSC_DEADLINE) != 0;
	if (!apic.x2apic) {
		apic.page = paging_map_mmio(registers, PAGE_SIZE);
		ASSERT(apic.page != NULL);
	}
}

/* Ticks of the count-down timer in 1 ms, against the TSC. */
static uint64_t timer_measure(void)
{
	uint64_t start, took, ticks;

	reg_write(REG_TIMER_INITIAL, UINT32_MAX);
	start = insn_rdtsc();
	while (insn_rdtsc() - start < time_tsc_hz() / 1000) {
		insn_pause();
	}
	ticks = UINT32_MAX - reg_read(REG_TIMER_CURRENT);
	took = insn_rdtsc() - start;
	reg_write(REG_TIMER_INITIAL, 0);
	return MAX(1, ticks * (time_tsc_hz() / 1000) / took);
}

/* What firmware may have left in entries that newer cpus have (SDM 3A 10.4.8: writing one that is not there faults). */
static void mask_optional(void)
{
	static const struct {
		unsigned lvt_max;	/* from which on there is reg */
		unsigned reg;
	} optional[] = { { 4, REG_LVT_PERF }, { 5, REG_LVT_THERMAL }, { 6, REG_LVT_CMCI } };
	unsigned lvt_max = VERSION_LVT_MAX(reg_read(REG_VERSION));

	for (unsigned i = 0; i < ARRAY_SIZE(optional); i++) {
		if (lvt_max >= optional[i].lvt_max) {
			reg_write(optional[i].reg, LVT_MASKED);
		}
	}
}

void apic_init_cpu(void)
{
	uint64_t base = insn_rdmsr(MSR_APIC_BASE) | APIC_BASE_EN;

	insn_wrmsr(MSR_APIC_BASE, base);
	if (apic.x2apic) {
		insn_wrmsr(MSR_APIC_BASE, base | APIC_BASE_EXTD);
	}
	reg_write(REG_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	reg_write(REG_TPR, 0);
	reg_write(REG_LVT_TIMER, LVT_MASKED);
	reg_write(REG_LVT_LINT0, LVT_MASKED);
	reg_write(REG_LVT_LINT1, APIC_NMI);	/* the platform's NMI line: a fault worth stopping for */
	reg_write(REG_LVT_ERROR, LVT_MASKED);
	mask_optional();
	reg_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
	if (!apic.deadline && apic.ticks_per_ms == 0) {
		apic.ticks_per_ms = timer_measure();
	}
	reg_write(REG_LVT_TIMER, VECTOR_TIMER | (apic.deadline ? LVT_TSC_DEADLINE : 0));
	insn_mfence();	/* WRMSR of a deadline may overtake that write to memory and be lost (SDM 3A 10.5.4.1) */
}

bool apic_is_x2apic(void)
{
	return apic.x2apic;
}

uint32_t apic_id(void)
{
	struct cpuid c = insn_cpuid(0, 0);

	if (c.eax >= 0xb) {
		c = insn_cpuid(0xb, 0);
		if (c.ebx != 0) {
			return c.edx;
		}
	}
	return insn_cpuid(1, 0).ebx >> 24;
}

void apic_eoi(void)
{
	reg_write(REG_EOI, 0);
}

void apic_send(uint32_t to, uint32_t message)
{
	message |= ICR_ASSERT;
	if (apic.x2apic) {
		/* Else it may arrive before what it is to tell of can be seen there (SDM 3A 10.12.3). */
		insn_mfence();
		insn_lfence();
		insn_wrmsr(MSR_X2APIC_BASE + REG_ICR / 16, (uint64_t)to << 32 | message);
		return;
	}
	for (unsigned i = 0; (reg_read(REG_ICR) & ICR_PENDING) != 0 && i < ICR_IDLE_SPINS; i++) {
		insn_pause();
	}
	reg_write(REG_ICR_HIGH, to << 24);
	reg_write(REG_ICR, message);
}

void apic_timer_arm(uint64_t tsc)
{
	uint64_t now, ticks;

	if (apic.deadline) {
		insn_wrmsr(MSR_TSC_DEADLINE, tsc == UINT64_MAX ? 0 : tsc);
		return;
	}
	if (tsc == UINT64_MAX) {
		reg_write(REG_TIMER_INITIAL, 0);
		return;
	}
	now = insn_rdtsc();
	ticks = tsc <= now ? 1 : insn_muldiv(tsc - now, apic.ticks_per_ms, time_tsc_hz() / 1000) + 1;
	reg_write(REG_TIMER_INITIAL, (uint32_t)MIN(ticks, UINT32_MAX));
}
