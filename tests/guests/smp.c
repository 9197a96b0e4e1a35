/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts all its other vCPUs with one INIT and SIPI to all but itself, and waits until each of them has counted a while. */
#include "tests/guests/guest.h"

#define LAPIC_SVR	(*(volatile uint32_t *)0xfee000f0ul)
#define LAPIC_ICR	(*(volatile uint32_t *)0xfee00300ul)
#define LAPIC_ON	0x1ffu
#define INIT_OTHERS	0x000c4500u
#define SIPI_OTHERS	0x000c4600u
#define AP_PAGE		8u
#define COUNTERS	((volatile uint32_t *)0x9000ul)
#define ENOUGH		1000u

extern const uint8_t ap_start[], ap_end[];

/* Counts of those that have reached n. */
static unsigned reached(unsigned vcpus, uint32_t n)
{
	unsigned count = 0;

	for (unsigned i = 1; i < vcpus; i++) {
		count += COUNTERS[i] >= n;
	}
	return count;
}

void guest_main(const void *start_info)
{
	unsigned vcpus = guest_cpuid(0xb, 1).ebx;
	uint64_t end = guest_tsc() + 60000 * guest_tsc_per_ms();

	(void)start_info;
	for (size_t i = 0; i < (size_t)(ap_end - ap_start); i++) {
		((volatile uint8_t *)(uintptr_t)(AP_PAGE << 12))[i] = ap_start[i];
	}
	for (unsigned i = 0; i < vcpus; i++) {
		COUNTERS[i] = 0;
	}
	LAPIC_SVR = LAPIC_ON;
	LAPIC_ICR = INIT_OTHERS;
	LAPIC_ICR = SIPI_OTHERS | AP_PAGE;
	while (reached(vcpus, ENOUGH) != vcpus - 1 && guest_tsc() < end) {
		guest_pause();
	}
	guest_puts("vCPUs that count: ");
	guest_dec(1 + reached(vcpus, ENOUGH));
	guest_puts(" of ");
	guest_dec(vcpus);
	guest_puts("\n");
	guest_exit(reached(vcpus, ENOUGH) == vcpus - 1 ? 0 : 1);
}
