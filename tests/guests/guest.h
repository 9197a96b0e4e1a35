/* SPDX-License-Identifier: BSD-2-Clause */
/* What the test guests share: machine instructions, printing on COM1 by polling, exit through isa-debug-exit. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define GUEST_PORT_COM1		0x3f8u
#define GUEST_PORT_EXIT		0xf4u
#define GUEST_LEAF_TIMING	0x40000010u	/* EAX: TSC kHz, where a hypervisor offers it */

struct guest_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline void guest_out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void guest_out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t guest_in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint64_t guest_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline struct guest_cpuid guest_cpuid(uint32_t leaf, uint32_t sub)
{
	struct guest_cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(sub) : "memory");
	return r;
}

static inline void guest_pause(void)
{
	__asm__ volatile("pause");
}

static inline void guest_cli(void)
{
	__asm__ volatile("cli");
}

static inline void guest_sti(void)
{
	__asm__ volatile("sti");
}

/* Ends in a triple fault: an exception without an IDT. */
static inline void guest_triple_fault(void)
{
	static const struct { uint16_t limit; uint64_t base; } __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0\n\tud2" : : "m"(none));
}

/* A test guest is this function; start.asm calls it. */
void guest_main(const void *start_info);

/* The TSC at the guest's first instruction. */
extern uint64_t guest_first_tsc;

void guest_putc(char c);
void guest_puts(const char *s);
void guest_dec(uint64_t v);
void guest_hex(uint64_t v);		/* with 0x */
noreturn void guest_exit(uint32_t code);

/* TSC ticks a millisecond: as CPUID tells (hypervisor's timing leaf, then leaf 0x15), else a million. */
uint64_t guest_tsc_per_ms(void);
