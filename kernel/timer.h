/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: each cpu has a queue of absolute times; the loop calls what is due. A timer fires once, on the cpu it was
 * set for, with no lock held. Setting and cancelling are safe from any cpu.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/cpuset.h"
#include "kernel/lib/util.h"
#include "kernel/spinlock.h"

struct timer {
	void (*fn)(void *arg);
	void *arg;
	/* Under the queue's lock of `cpu`. */
	_Atomic unsigned cpu;			/* CPU_NONE: in no queue. Changes under the lock of the queue it is in */
	uint64_t at_ns;
	struct timer *child, *sibling, *prev;	/* pairing heap; prev: elder sibling, or parent of a first child */
};

struct timer_queue {
	struct spinlock lock;
	struct timer *root;
	_Atomic uint64_t next_ns;		/* of root, NS_NEVER when empty: read without the lock */
	struct timer *_Atomic firing;		/* whose fn its cpu is in; NULL: none's */
};

void timer_queue_init(struct timer_queue *q);

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg);
/*
 * (Re-)arms t on cpu; an earlier setting, there or elsewhere, is void. NS_NEVER only cancels. Calls for one timer come
 * from one cpu at a time. When cpu is another one and its next event got nearer, it is poked.
 */
void timer_set(struct timer *t, unsigned cpu, uint64_t at_ns);
/* True: t was set and will not fire. False: it was not set; fn may be running on its cpu right now. */
bool timer_cancel(struct timer *t);
/*
 * Cancels, and when it returns fn is not running on any other cpu, so t may go. The caller has seen to it that nobody sets
 * t again. May wait: no lock may be held, not from inside dispatch_ops.run().
 */
void timer_cancel_sync(struct timer *t);

static inline bool timer_is_set(const struct timer *t)
{
	return atomic_load_explicit(&t->cpu, memory_order_relaxed) != CPU_NONE;
}

/* Calls what is due on this cpu, a bounded number of them. True when any was. */
bool timer_expire(struct timer_queue *q, uint64_t now_ns);
/* When the earliest is due, or NS_NEVER. */
static inline uint64_t timer_next(const struct timer_queue *q)
{
	return atomic_load_explicit(&q->next_ns, memory_order_relaxed);
}
/* Verifies the heap order. Takes the lock. */
bool timer_check(struct timer_queue *q);
