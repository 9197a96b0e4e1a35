/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What start-up cost, in ticks of the cycle counter, for `version -v` and `make bench`: when the milestones were reached,
 * and what of the time was spent waiting for the machine or clearing memory. On an emulator that counts instructions as
 * ticks the figures repeat exactly.
 *
 * The boot cpu writes, before it enters its loop; what the console adds is added under the console's lock.
 */
#pragma once

#include <stdint.h>

#define BOOTSTAT_MARK_TABLE(X) \
	X(ENTRY,	"kernel's entry") \
	X(READY,	"ready") \
	X(FIRST_VM,	"first VM started")

#define BOOTSTAT_SPENT_TABLE(X) \
	X(CALIBRATION,	"wait: clock calibration") \
	X(DELAY,	"wait: fixed delays") \
	X(ANSWER,	"wait: other cpus") \
	X(CONSOLE,	"wait: serial port") \
	X(ZEROING,	"clearing guest memory")

enum bootstat_mark {
#define BOOTSTAT_MARK_ENUM(name, words) BOOTSTAT_##name,
	BOOTSTAT_MARK_TABLE(BOOTSTAT_MARK_ENUM)
#undef BOOTSTAT_MARK_ENUM
	BOOTSTAT_MARK_COUNT
};

enum bootstat_spent {
#define BOOTSTAT_SPENT_ENUM(name, words) BOOTSTAT_##name,
	BOOTSTAT_SPENT_TABLE(BOOTSTAT_SPENT_ENUM)
#undef BOOTSTAT_SPENT_ENUM
	BOOTSTAT_SPENT_COUNT
};

/* What ticks are counted from: the hand-off from firmware. */
void bootstat_begin(uint64_t handoff_ticks);
/* Reached now (arch_ticks()). The first time counts. */
void bootstat_mark(enum bootstat_mark mark, uint64_t now_ticks);
void bootstat_spend(enum bootstat_spent what, uint64_t ticks);
/* Prints all of it, by con_printf(). */
void bootstat_print(void);
