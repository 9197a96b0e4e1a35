/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a cpu: one loop that does what others asked, asks its pool's scheduler whom to run, and runs it. What
 * an entity is, is vm/'s affair, behind struct dispatch_ops.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "sched/sched.h"

/* Why run() came back. */
enum dispatch_why {
	DISPATCH_TIME,		/* until was reached */
	DISPATCH_POKED,		/* cpu_remote.poked was set, or an interrupt or NMI came */
	DISPATCH_BLOCKED,	/* nothing to do until pool_entity_wake(); void if one came since the last pick */
	DISPATCH_YIELDED,	/* gives way once */
	DISPATCH_STOPPED,	/* must not run until pool_entity_wake(), even if one came meanwhile: its VM died */
};

struct dispatch_ops {
	/*
	 * Runs e on this cpu until until_ns at the latest (NS_NEVER: no limit of the scheduler's). No lock is held. It looks
	 * for pending events of e after it was called: a wake before that is not told again. It returns at once, without
	 * running guest code, when cpu_remote.poked is set.
	 */
	enum dispatch_why (*run)(struct sched_entity *e, uint64_t until_ns);
	/* Makes all of e's state memory, so that another cpu may run it. On the cpu that ran it; no lock is held. */
	void (*put)(struct sched_entity *e);
};

/* vm/ registers itself; once, before any entity runs. */
void dispatch_set_ops(const struct dispatch_ops *ops);
/*
 * What the housekeeping cpu does now and then (console, shell): when it was poked, after calls, and
 * wait_ns after the last time; busy: a guest runs there meanwhile. wait_ns NULL: every round.
 */
void dispatch_set_housekeeping(void (*fn)(void), uint64_t (*wait_ns)(bool busy));

/* The loop. This cpu must be installed and online. */
noreturn void dispatch_loop(void);
/* One round of it. */
void dispatch_once(void);
/*
 * Takes the current entity, if there is one, off this cpu: charged, its state in memory, ready to run elsewhere, or
 * blocked if that is what it asked for. For control code that runs in a call or a command on this cpu.
 */
void dispatch_drop_current(void);
