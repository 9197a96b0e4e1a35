/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cross-calls: work that one cpu leaves for another, done in that cpu's loop, where it holds no lock and its guest's
 * exit is complete. Posting is lock-free: a list that many push to and the owner takes whole.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct call {
	struct call *next;
	void (*fn)(void *arg);
	void *arg;
	_Atomic bool pending;		/* set by call_post(), cleared by the target when fn has returned */
};

static inline void call_init(struct call *c, void (*fn)(void *arg), void *arg)
{
	*c = (struct call){ .fn = fn, .arg = arg };
}

/*
 * Leaves c to cpu and pokes it. False when c is still pending from before (then fn will run anyway, or is running).
 * c must live until it is no longer pending.
 */
bool call_post(unsigned cpu, struct call *c);
/* Runs what others left for this cpu, oldest first. True when there was any. */
bool call_run(void);
/*
 * Runs fn(arg) on cpu and returns when it has returned; on the calling cpu itself directly. Incoming calls are run
 * while it waits, so two cpus that call each other both get through. No lock may be held, and not from inside
 * dispatch_ops.run(): a call may take the current entity off. Panics after 5 s.
 */
void call_sync(unsigned cpu, void (*fn)(void *arg), void *arg);
/* What is to be done again and again while call_sync() waits long; any cpu. */
void call_set_waiting(void (*fn)(void));
