/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding a cpu that loops while it holds a scheduler domain's lock, which is only while it is inside an op of a policy or
 * near one.
 *
 * Nothing is noted on the way in or out: a ticket lock tells by itself whether this is still the same hold, for `serving`
 * changes with each. Whoever waits for such a lock looks at it now and then, and the housekeeping cpu looks at all of them.
 * One that is held on and on is brought to its holder's notice by an NMI each STUCK_LOOK_NS. A cpu may be slow for no fault of
 * its own: firmware stops it (SMI), or the machine below us is a guest itself and did not run for a while. So one NMI is only
 * a strike; the STUCK_STRIKESth in the same hold, half of STUCK_LOOK_NS apart by the holder's own clock, is the verdict.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "kernel/lib/util.h"
#include "kernel/spinlock.h"

#define STUCK_LOOK_NS	(25 * NS_PER_MS)
#define STUCK_STRIKES	4u

struct cpu;

/* What one who looks remembers of a lock; zeroed at first. */
struct stuck_seen {
	uint64_t since_ns;
	uint32_t serving;
};

/* Looks at l, whose rank is SPIN_RANK_DOMAIN. Any cpu, any lock held. */
void stuck_look(const struct spinlock *l, struct stuck_seen *seen);
/*
 * In the NMI handler: is this cpu stuck? Then what it does is to be abandoned: the handler makes it call stuck_end() as if
 * the interrupted code had.
 */
bool stuck_verdict(struct cpu *self);
noreturn void stuck_end(void);
/* What stuck_end() does, on the stack of what is stuck, with its locks held; once, at start-up. */
void stuck_set_end(void (*fn)(void));
