/* SPDX-License-Identifier: BSD-2-Clause */
/* The fake machine: cpus, clock, IPIs, memory, panic. Serial line, screen and power button are in serial.c. */
#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/call.h"
#include "kernel/heap.h"
#include "kernel/lib/format.h"
#include "kernel/log.h"
#include "kernel/stuck.h"
#include "pool/dispatch.h"

struct fake_machine fake;

static jmp_buf panic_out;
static char panic_words[256];

static struct cpu *new_cpu(unsigned id)
{
	struct cpu *c = aligned_alloc(CPU_LINE, sizeof(*c));

	memset(c, 0, sizeof(*c));
	cpu_init(c, id);
	c->apic_id = id * 2;
	c->core = c->llc = id / 2;
	c->package = c->node = id / 4;
	c->housekeeping = id == 0;
	atomic_store(&c->state, CPU_ONLINE);
	return c;
}

void fake_machine_init(unsigned cpus)
{
	fake_machine_fini();
	fake.cpu_count = cpus;
	fake.now_ns = NS_PER_S;
	fake.relax_runs_others = true;
	for (unsigned id = 0; id < cpus; id++) {
		fake.cpu[id].cpu = new_cpu(id);
		cpu_install(fake.cpu[id].cpu);
	}
}

void fake_machine_fini(void)
{
	cpu_uninstall_all();
	for (unsigned id = 0; id < fake.cpu_count; id++) {
		free(fake.cpu[id].cpu);
	}
	fake = (struct fake_machine){ 0 };
}

void fake_be_cpu(unsigned cpu)
{
	fake.this_cpu = cpu;
}

void fake_take_nmi(void)
{
	if (stuck_verdict(cpu_this())) {
		stuck_end();
	}
}

void fake_run_cpu(unsigned cpu)
{
	volatile unsigned was = fake.this_cpu;

	fake.this_cpu = cpu;
	fake.cpu[cpu].busy = true;
	fake.cpu[cpu].idle_until_ns = 0;
	if (setjmp(fake.cpu[cpu].restart) == 0) {
		dispatch_once();
	}
	fake.cpu[cpu].busy = false;
	fake.this_cpu = was;
}

void fake_run_all(void)
{
	for (unsigned id = 0; id < fake.cpu_count; id++) {
		fake_run_cpu(id);
	}
}

/* --- kernel/arch.h */

uint64_t arch_ticks(void)
{
	return fake.now_ns;
}

uint64_t arch_now_ns(void)
{
	return fake.now_ns;
}

unsigned arch_this_cpu(void)
{
	return fake.this_cpu;
}

/* What the others do while one waits: a round of the loop, or, where they wait themselves, the calls left for them. */
static void run_other(unsigned id)
{
	if (!fake.cpu[id].busy) {
		fake_run_cpu(id);
	} else if (fake.cpu[id].waiting) {
		fake.this_cpu = id;
		call_run();
	}
}

void arch_relax(void)
{
	unsigned self = fake.this_cpu;
	struct fake_cpu was = fake.cpu[self];

	fake.now_ns += FAKE_RELAX_NS;
	fake.cpu[self].busy = true;
	fake.cpu[self].waiting = true;
	for (unsigned id = 0; id < fake.cpu_count && fake.relax_runs_others; id++) {
		if (id != self && !fake.cpu[id].stuck) {
			run_other(id);
			fake.this_cpu = self;
		}
	}
	fake.cpu[self].busy = was.busy;
	fake.cpu[self].waiting = was.waiting;
}

void arch_idle(uint64_t until_ns)
{
	fake.cpu[fake.this_cpu].idle_until_ns = until_ns;
	fake.cpu[fake.this_cpu].idles++;
}

void arch_poke(unsigned cpu)
{
	fake.cpu[cpu].pokes++;
}

void arch_poke_nmi(unsigned cpu)
{
	fake.cpu[cpu].nmis++;
}

uint64_t arch_wall_clock_s(void)
{
	return 1767225600 + fake.now_ns / NS_PER_S;	/* from 2026-01-01 */
}

const char *arch_virtualization(void)
{
	return "none: a fake machine";
}

const char *arch_mitigations(void)
{
	return "none: a fake machine";
}

void arch_mitigations_taken(unsigned cpu, struct text *to)
{
	text_printf(to, "none on fake cpu %u", cpu);
}

void arch_zero(void *at, size_t bytes)
{
	memset(at, 0, bytes);
}

void *arch_direct(hpa_t at)
{
	return (void *)at.v;	/* the test's own address space is its RAM */
}

hpa_t arch_direct_hpa(const void *ptr)
{
	return hpa((uintptr_t)ptr);
}

void arch_backtrace(struct text *to)
{
	text_puts(to, "backtrace");
}

noreturn void arch_restart(void (*fn)(void))
{
	(void)fn;
	longjmp(fake.cpu[fake.this_cpu].restart, 1);
}

noreturn void arch_halt_all(void)
{
	panic("halt");
}

/* --- kernel/heap.h */

void *heap_alloc(size_t bytes, unsigned node)
{
	void *ptr;

	(void)node;
	if (fake.heap_fail_in > 0 && --fake.heap_fail_in == 0) {
		return NULL;
	}
	bytes = (bytes + CPU_LINE - 1) / CPU_LINE * CPU_LINE;
	ptr = aligned_alloc(CPU_LINE, bytes);
	memset(ptr, 0, bytes);
	fake.heap_bytes += (long)bytes;
	fake.heap_blocks++;
	return ptr;
}

void heap_free(void *ptr, size_t bytes)
{
	if (ptr != NULL) {
		fake.heap_bytes -= (long)((bytes + CPU_LINE - 1) / CPU_LINE * CPU_LINE);
		fake.heap_blocks--;
		free(ptr);
	}
}

/* --- kernel/log.h: a panic fails the test, unless it is what the test wants. */

noreturn void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(panic_words, sizeof(panic_words), fmt, args);
	va_end(args);
	if (fake.panic_expected) {
		longjmp(panic_out, 1);
	}
	test_fail(__FILE__, __LINE__, "panic: %s", panic_words);
}

const char *fake_panic_of(void (*fn)(void *arg), void *arg)
{
	const char *volatile words = NULL;

	fake.panic_expected = true;
	if (setjmp(panic_out) == 0) {
		fn(arg);
	} else {
		words = panic_words;
	}
	fake.panic_expected = false;
	return words;
}
