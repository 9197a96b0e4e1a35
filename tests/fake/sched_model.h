/* SPDX-License-Identifier: BSD-2-Clause */
/* A conformance check for policies, used on every registered one and on mutants. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

#define SCHED_MODEL_SLOTS	5u
#define SCHED_MODEL_SLOTS_MAX	256u
#define SCHED_MODEL_ENTITIES_MAX 512u

struct sched_conform {
	const struct sched_ops *ops;
	const struct sched_ops *other;	/* now and then all moves to an object of this policy, and back; NULL: of the same */
	unsigned slots, entities;	/* at most */
	unsigned steps, check_every;	/* operations; of those that are followed by check(), 0: all */
	uint64_t seed;
	unsigned kept_in;		/* of so many sets of slots one is not all that there can be; 0: two of three */
	bool mutant;			/* ops is expected to be wrong: its memory stays valid to the end of the run */
};

/*
 * Puts ops through that many random operations and through a stretch of life, in which slots ask only when they said so or
 * are poked. Returns what it did wrong, in words, or "": an entity lost, on two slots, run while blocked, parked,
 * unreleased or forbidden; waiting beyond the policy's own bound; a slot idle beside a waiting one
 * (SCHED_WORK_CONSERVING); until not after now; check() false; pokes without end.
 */
const char *sched_conform_of(const struct sched_conform *how);
/* The same on 5 slots with 14 entities. */
const char *sched_conform(const struct sched_ops *ops, uint64_t seed, unsigned steps, bool mutant);
