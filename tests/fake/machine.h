/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine made of a test's memory: kernel/arch.h over simulated cpus in one thread. The clock moves by hand; IPIs and
 * NMIs are recorded. A cpu runs when the test says so (fake_run_cpu), or while another one waits: arch_relax() moves
 * the clock by FAKE_RELAX_NS and lets every online cpu that is not waiting itself go once round its loop.
 */
#pragma once

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpu.h"

#define FAKE_CPU_MAX	64u
#define FAKE_RELAX_NS	1000ul

struct fake_cpu {
	struct cpu *cpu;
	bool busy;			/* in its loop */
	bool waiting;			/* in arch_relax(): takes calls, but not another round */
	bool stuck;			/* never acknowledges: not run while another waits */
	unsigned pokes, nmis;		/* IPIs and NMIs received */
	uint64_t idle_until_ns;		/* of the last arch_idle(); 0: it did not idle in its last round */
	unsigned idles;
	jmp_buf restart;		/* the top of its loop, for arch_restart() */
};

struct fake_machine {
	uint64_t now_ns;
	unsigned this_cpu;
	unsigned cpu_count;
	struct fake_cpu cpu[FAKE_CPU_MAX];
	long heap_bytes, heap_blocks;	/* now allocated */
	long heap_fail_in;		/* the allocation that fails: 0: none, 1: the next one, ... */
	bool panic_expected;
	bool relax_runs_others;		/* arch_relax() lets others run (default) */
};

extern struct fake_machine fake;

/* A fresh machine of n online cpus, cpu 0 doing housekeeping; core = llc = id / 2, package = node = id / 4. */
void fake_machine_init(unsigned cpus);
/* Frees it. */
void fake_machine_fini(void);
/* Makes cpu the one that runs now: what kernel code called next believes to be on. */
void fake_be_cpu(unsigned cpu);
/* One round of dispatch_once() on cpu; then this cpu is again what it was. */
void fake_run_cpu(unsigned cpu);
/* This cpu takes its NMI: if that ends what it is in the middle of, it does not return. */
void fake_take_nmi(void);
/* One round on every online cpu. */
void fake_run_all(void);
/* Runs fn(arg), which must panic: returns what it said, or NULL when it came back. */
const char *fake_panic_of(void (*fn)(void *arg), void *arg);
