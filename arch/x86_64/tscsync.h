/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do two cpus' TSCs agree? One clock for all is what arch_now_ns() promises. Measured while a cpu starts and only told:
 * a TSC that is written is worse than one that is off (deadline timers count in it, and firmware may set it back).
 */
#pragma once

#include <stdint.h>

#include "kernel/lib/util.h"

/*
 * Ticks by which a cpu is ahead (behind: negative) for sure, if it read `theirs` after we read `before` and before we
 * read `after`.
 */
static inline int64_t tscsync_off(uint64_t before, uint64_t theirs, uint64_t after)
{
	if (theirs < before) {
		return -(int64_t)(before - theirs);
	}
	return theirs > after ? (int64_t)(theirs - after) : 0;
}

/* On the cpu that starts: answers the other one's questions; it ends when they end or stay away. */
void tscsync_answer(void);
/* On the cpu that started `cpu` and found it online: asks it, and says on the log when it is off. */
void tscsync_ask(unsigned cpu);
