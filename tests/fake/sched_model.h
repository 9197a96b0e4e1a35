/* SPDX-License-Identifier: BSD-2-Clause */
/* A conformance check for policies, used on every registered one and on mutants. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"

#define SCHED_MODEL_SLOTS	5u

/*
 * Puts ops through that many random operations and through a stretch in which every entity wants to run. Returns what
 * it did wrong, in words, or "": an entity lost, on two slots, run while blocked, parked, unreleased or forbidden;
 * starved; a slot idle beside a waiting one (SCHED_WORK_CONSERVING); until not after now; check() false; pokes without
 * end. mutant: ops is expected to be wrong, and its memory stays valid to the end of the run.
 */
const char *sched_conform(const struct sched_ops *ops, uint64_t seed, unsigned steps, bool mutant);
