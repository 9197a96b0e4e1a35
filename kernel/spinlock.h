/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spinlocks: ticket order, so no cpu starves, with an owner and a rank.
 *
 * The lock order of the whole hypervisor is the order of enum spin_rank: a cpu that holds a lock may take only locks
 * of a higher rank. Two locks of one rank are held together only by spin_lock_next(), in ascending address (a pool's
 * domains lie in one array, so that is index order). Both rules are checked at every lock; breaking one panics.
 * No lock is held across call_sync(), run() of a guest, or arch_idle().
 *
 * Interrupts are off everywhere in the hypervisor, so no lock masks them; NMI handlers take none.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SPIN_RANK_TABLE(X) \
	X(VM,		"vm") \
	X(DEVICE,	"device") \
	X(DOMAIN,	"scheduler domain") \
	X(TIMER,	"timer queue") \
	X(MEMORY,	"memory") \
	X(TRACE,	"trace") \
	X(LOG,		"log") \
	X(CONSOLE,	"console")

enum spin_rank {
#define SPIN_RANK_ENUM(name, words) SPIN_RANK_##name,
	SPIN_RANK_TABLE(SPIN_RANK_ENUM)
#undef SPIN_RANK_ENUM
	SPIN_RANK_COUNT
};

/* What a cpu holds; a member of struct cpu. */
struct spin_held {
	uint32_t ranks;				/* bit r: count[r] > 0 */
	uint16_t count[SPIN_RANK_COUNT];
};

struct spinlock {
	_Atomic uint32_t next;			/* ticket to draw */
	_Atomic uint32_t serving;		/* ticket whose turn it is */
	_Atomic uint32_t owner;			/* cpu + 1; 0: free. Written by the holder only */
	uint32_t rank;
};

#define SPINLOCK_INIT(rank_)	{ .rank = (rank_) }

void spin_init(struct spinlock *l, enum spin_rank rank);
void spin_lock(struct spinlock *l);
/* Another lock of the rank that was taken last, at a higher address than all of that rank held. */
void spin_lock_next(struct spinlock *l);
/* False when it is held; order is not checked, for it does not wait. */
bool spin_try(struct spinlock *l);
void spin_unlock(struct spinlock *l);

/* Does this cpu hold it? For ASSERT. */
bool spin_held(const struct spinlock *l);
/* Panics when this cpu holds any lock. For what may wait or leave the hypervisor. */
void spin_assert_none(void);
