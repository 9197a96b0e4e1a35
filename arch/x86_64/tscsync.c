/* SPDX-License-Identifier: BSD-2-Clause */
/* A question is an odd number in `turn`, its answer the even one after; one pair of cpus at a time. See tscsync.h. */
#include "arch/x86_64/tscsync.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "arch/x86_64/insn.h"
#include "arch/x86_64/time.h"
#include "kernel/log.h"

#define ROUNDS		8u
#define WAIT_US		20000u		/* for a question or an answer: a virtual cpu may be away for that long */
#define TOLERATED_NS	5000u
#define OFF_MAX		(1ul << 53)	/* ticks: weeks, and in ns still a number of 64 bits */

static _Atomic unsigned turn;
static uint64_t theirs;

/* Release and acquire: `theirs` is written before the even number shows. */
static bool wait_for(unsigned number)
{
	uint64_t start = insn_rdtsc();

	while (atomic_load_explicit(&turn, memory_order_acquire) != number) {
		if (insn_rdtsc() - start > time_tsc_hz() / 1000000 * WAIT_US) {
			return false;
		}
		insn_pause();
	}
	return true;
}

void tscsync_answer(void)
{
	for (unsigned round = 0; round < ROUNDS && wait_for(2 * round + 1); round++) {
		theirs = insn_rdtsc_ordered();
		atomic_store_explicit(&turn, 2 * round + 2, memory_order_release);
	}
}

/* The surest of all rounds. False when one was not answered. */
static bool measure(int64_t *off)
{
	*off = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t before = insn_rdtsc_ordered();
		int64_t now;

		atomic_store_explicit(&turn, 2 * round + 1, memory_order_release);
		if (!wait_for(2 * round + 2)) {
			return false;
		}
		now = tscsync_off(before, theirs, insn_rdtsc_ordered());
		if (now < 0 ? now < *off : now > *off) {
			*off = now;
		}
	}
	return true;
}

void tscsync_ask(unsigned cpu)
{
	uint64_t off_ns;
	int64_t off;

	if (!measure(&off)) {
		log_printf("cpu %u: its TSC could not be compared: no answer in %u ms", cpu, WAIT_US / 1000);
	}
	atomic_store(&turn, 0);
	off_ns = insn_muldiv(MIN((uint64_t)(off < 0 ? -off : off), OFF_MAX), NS_PER_S, time_tsc_hz());
	if (off_ns > TOLERATED_NS) {
		log_printf("cpu %u: its TSC is %lu.%03lu us %s that of this cpu: times measured on it are wrong by that much", cpu,
			   off_ns / 1000, off_ns % 1000, off < 0 ? "behind" : "ahead of");
	}
}
