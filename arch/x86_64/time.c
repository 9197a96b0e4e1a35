/* SPDX-License-Identifier: BSD-2-Clause */
/* TSC calibration and conversion; see time.h. */
#include "arch/x86_64/time.h"

#include "arch/x86_64/insn.h"
#include "kernel/arch.h"
#include "kernel/bootstat.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"

#define PM_TIMER_HZ		3579545ul	/* ACPI 6.4 4.8.2.1 */
#define PM_TIMER_MASK		0xfffffful	/* 24 bits are always there */
#define PIT_HZ			1193182ul
#define PIT_CHANNEL2		0x42
#define PIT_COMMAND		0x43
#define PIT_GATE		0x61
#define  GATE_ON		0x01
#define  GATE_SPEAKER		0x02
#define  GATE_OUT		0x20
#define CALIBRATE_MS		10ul
#define CALIBRATE_POLLS		1000000ul	/* a read of a port takes about 1 us: a second at most */
#define TSC_LEAF		0x15u
#define TSC_HZ_MIN		1000000ul

static uint64_t clock_hz;
struct tscclock time_clock;

/* TSC ticks a second by the PM timer; 0 when it does not move. */
static uint64_t measure_pm(uint16_t port)
{
	uint64_t want = PM_TIMER_HZ * CALIBRATE_MS / 1000;
	uint64_t first = insn_in32(port) & PM_TIMER_MASK, start, passed = 0;

	for (unsigned long i = 0; (insn_in32(port) & PM_TIMER_MASK) == first; i++) {
		if (i == CALIBRATE_POLLS / 10) {
			return 0;
		}
	}
	first = insn_in32(port) & PM_TIMER_MASK;
	start = insn_rdtsc();
	for (unsigned long i = 0; passed < want && i < CALIBRATE_POLLS; i++) {
		passed = ((insn_in32(port) & PM_TIMER_MASK) - first) & PM_TIMER_MASK;
	}
	return passed < want ? 0 : (insn_rdtsc() - start) * PM_TIMER_HZ / passed;
}

/* The same by PIT channel 2 in mode 0: OUT rises when the count is done. */
static uint64_t measure_pit(void)
{
	uint64_t count = PIT_HZ * CALIBRATE_MS / 1000, start, took;
	uint8_t gate = (uint8_t)((insn_in8(PIT_GATE) & ~GATE_SPEAKER) | GATE_ON);

	insn_out8(PIT_GATE, gate);
	insn_out8(PIT_COMMAND, 0xb0);
	insn_out8(PIT_CHANNEL2, (uint8_t)count);
	insn_out8(PIT_CHANNEL2, (uint8_t)(count >> 8));
	start = insn_rdtsc();
	for (unsigned long i = 0; (insn_in8(PIT_GATE) & GATE_OUT) == 0; i++) {
		if (i == CALIBRATE_POLLS) {
			return 0;
		}
	}
	took = insn_rdtsc() - start;
	return took * PIT_HZ / count;
}

/*
 * What the cpu says of itself (SDM 2A, CPUID 15h): crystal clock ECX times EBX / EAX; 0 when it does not tell. Last,
 * because emulators answer with the real chip's figures and count at a speed of their own.
 */
static uint64_t told_by_cpu(void)
{
	struct cpuid c;

	if (insn_cpuid(0, 0).eax < TSC_LEAF) {
		return 0;
	}
	c = insn_cpuid(TSC_LEAF, 0);
	return c.eax == 0 || c.ebx == 0 || c.ecx == 0 ? 0 : (uint64_t)c.ecx * c.ebx / c.eax;
}

void time_init(uint16_t pm_timer, uint64_t zero_tsc)
{
	const char *how = "measured against the ACPI PM timer";
	uint64_t start = insn_rdtsc();
	uint64_t hz = pm_timer != 0 ? measure_pm(pm_timer) : 0;

	if (hz < TSC_HZ_MIN) {
		how = "measured against the PIT";
		hz = measure_pit();
	}
	bootstat_spend(BOOTSTAT_CALIBRATION, insn_rdtsc() - start);
	if (hz < TSC_HZ_MIN) {
		how = "CPUID says so; nothing here measures it";
		hz = told_by_cpu();
	}
	if (hz < TSC_HZ_MIN) {
		panic("cannot calibrate the TSC: neither the ACPI PM timer (port 0x%x) nor the PIT counts, and CPUID 15h is silent",
		      pm_timer);
	}
	clock_hz = hz;
	time_clock.zero = zero_tsc;
	time_clock.to_ns = insn_muldiv(NS_PER_S, 1ul << TSCCLOCK_SHIFT, hz);
	time_clock.to_tsc = insn_muldiv(hz, 1ul << TSCCLOCK_SHIFT, NS_PER_S);
	log_printf("time: TSC runs at %lu.%03lu MHz (%s)", hz / 1000000, hz / 1000 % 1000, how);
}

uint64_t time_tsc_hz(void)
{
	return clock_hz;
}

uint64_t time_tsc_to_ns(uint64_t tsc)
{
	return tscclock_ns(&time_clock, tsc);
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
	return tscclock_tsc(&time_clock, ns);
}

uint64_t arch_ticks(void)
{
	return insn_rdtsc();
}

uint64_t arch_now_ns(void)
{
	return tscclock_now(&time_clock, insn_rdtsc());
}

void time_wait_us(uint64_t us)
{
	uint64_t start = insn_rdtsc(), end = start + clock_hz * us / 1000000;

	while (insn_rdtsc() < end) {
		insn_pause();
	}
	bootstat_spend(BOOTSTAT_DELAY, insn_rdtsc() - start);
}
