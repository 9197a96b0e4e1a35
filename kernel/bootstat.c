/* SPDX-License-Identifier: BSD-2-Clause */
/* See bootstat.h. */
#include "kernel/bootstat.h"

#include "kernel/log.h"

static struct {
	uint64_t handoff_ticks;
	uint64_t reached[BOOTSTAT_MARK_COUNT];		/* since the hand-off */
	uint64_t spent[BOOTSTAT_SPENT_COUNT];
	uint64_t spent_at_ready[BOOTSTAT_SPENT_COUNT];
} boot;

void bootstat_begin(uint64_t handoff_ticks)
{
	boot.handoff_ticks = handoff_ticks;
}

void bootstat_mark(enum bootstat_mark mark, uint64_t now_ticks)
{
	if (boot.reached[mark] != 0) {
		return;
	}
	boot.reached[mark] = now_ticks - boot.handoff_ticks;
	for (unsigned i = 0; mark == BOOTSTAT_READY && i < BOOTSTAT_SPENT_COUNT; i++) {
		boot.spent_at_ready[i] = boot.spent[i];
	}
}

void bootstat_spend(enum bootstat_spent what, uint64_t ticks)
{
	boot.spent[what] += ticks;
}

void bootstat_print(void)
{
	static const char *const marks[] = {
#define BOOTSTAT_MARK_WORDS(name, words) [BOOTSTAT_##name] = (words),
		BOOTSTAT_MARK_TABLE(BOOTSTAT_MARK_WORDS)
#undef BOOTSTAT_MARK_WORDS
	};
	static const char *const spent[] = {
#define BOOTSTAT_SPENT_WORDS(name, words) [BOOTSTAT_##name] = (words),
		BOOTSTAT_SPENT_TABLE(BOOTSTAT_SPENT_WORDS)
#undef BOOTSTAT_SPENT_WORDS
	};

	con_printf("%-24s  %14s\n", "TSC ticks", "since hand-off");
	for (unsigned i = 0; i < BOOTSTAT_MARK_COUNT; i++) {
		con_printf("%-24s  %14lu\n", marks[i], boot.reached[i]);
	}
	con_printf("%-24s  %14s  %14s\n", "of that", "until ready", "until now");
	for (unsigned i = 0; i < BOOTSTAT_SPENT_COUNT; i++) {
		con_printf("%-24s  %14lu  %14lu\n", spent[i], boot.spent_at_ready[i], boot.spent[i]);
	}
}
