/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spinlocks: ticket order, so no cpu starves, with an owner and a rank.
 *
 * The lock order of the whole hypervisor is the order of enum spin_rank: a cpu that holds a lock may take only locks
 * of a higher rank. Two locks of one rank are held together only by spin_lock_next(), in ascending address (a pool's
 * domains lie in one array, so that is index order). Both rules are checked at every lock; breaking one panics.
 * No lock is held across call_sync(), run() of a guest, or arch_idle(). The locks of the log and of the console are
 * none of these: bare flags (kernel/console.c says why), taken last, in that order.
 *
 * Interrupts are off everywhere in the hypervisor, so no lock masks them; NMI handlers take none.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SPIN_RANK_TABLE(X) \
	X(VM,		"vm") \
	X(DOMAIN,	"scheduler domain") \
	X(TIMER,	"timer queue")

enum spin_rank {
#define SPIN_RANK_ENUM(name, words) SPIN_RANK_##name,
	SPIN_RANK_TABLE(SPIN_RANK_ENUM)
#undef SPIN_RANK_ENUM
	SPIN_RANK_COUNT
};

/* What a cpu holds; a member of struct cpu. */
struct spin_held {
	uint32_t ranks;				/* bit r: a lock of rank r */
	uint16_t more[SPIN_RANK_COUNT];		/* and so many by spin_lock_next() */
};

struct spinlock {
	_Atomic uint32_t next;			/* ticket to draw */
	_Atomic uint32_t serving;		/* ticket whose turn it is */
	_Atomic uint32_t owner;			/* cpu + 1; 0: free. Written by the holder only */
	uint32_t rank;
};

#define SPIN_INLINE		static inline __attribute__((always_inline))
#define SPINLOCK_INIT(rank_)	{ .rank = (rank_) }

void spin_init(struct spinlock *l, enum spin_rank rank);
void spin_lock(struct spinlock *l);
/* Another lock of the rank that was taken last, at a higher address than all of that rank held. */
void spin_lock_next(struct spinlock *l);
void spin_unlock(struct spinlock *l);

/*
 * The same for who knows where it is: held is this cpu's, owner its number + 1. For the dispatch path, where the few
 * instructions of finding that out count.
 */
SPIN_INLINE void spin_lock_as(struct spinlock *l, struct spin_held *held, uint32_t owner);
SPIN_INLINE void spin_unlock_as(struct spinlock *l, struct spin_held *held, uint32_t owner);
/* And who knows the lock's rank at compile time. */
SPIN_INLINE void spin_lock_rank(struct spinlock *l, uint32_t rank, struct spin_held *held, uint32_t owner);
SPIN_INLINE void spin_unlock_rank(struct spinlock *l, uint32_t rank, struct spin_held *held, uint32_t owner);

/* The same for who holds no other lock before and after. */
SPIN_INLINE void spin_lock_only(struct spinlock *l, uint32_t rank, struct spin_held *held, uint32_t owner);
SPIN_INLINE void spin_unlock_only(struct spinlock *l, struct spin_held *held);

/* Does this cpu hold it? For ASSERT. */
bool spin_held(const struct spinlock *l);
/* Panics when this cpu holds any lock. For what may wait or leave the hypervisor. */
void spin_assert_none(void);

/* --- The rest is how. A holder's release store of `serving` pairs with the acquire load of the next in line. */

void spin_wait(struct spinlock *l, uint32_t ticket);
_Noreturn void spin_panic_order(const struct spinlock *l, const struct spin_held *held);
_Noreturn void spin_panic_owner(const struct spinlock *l);

SPIN_INLINE void spin_take(struct spinlock *l, uint32_t owner)
{
	uint32_t ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

	if (__builtin_expect(atomic_load_explicit(&l->serving, memory_order_acquire) != ticket, 0)) {
		spin_wait(l, ticket);
	}
	atomic_store_explicit(&l->owner, owner, memory_order_relaxed);
}

SPIN_INLINE void spin_give(struct spinlock *l)
{
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	atomic_store_explicit(&l->serving, atomic_load_explicit(&l->serving, memory_order_relaxed) + 1,
			      memory_order_release);
}

SPIN_INLINE void spin_lock_rank(struct spinlock *l, uint32_t rank, struct spin_held *held, uint32_t owner)
{
	if (__builtin_expect(held->ranks >> rank != 0, 0)) {
		spin_panic_order(l, held);
	}
	held->ranks |= 1u << rank;
	spin_take(l, owner);
}

SPIN_INLINE void spin_lock_only(struct spinlock *l, uint32_t rank, struct spin_held *held, uint32_t owner)
{
	if (__builtin_expect(held->ranks != 0, 0)) {
		spin_panic_order(l, held);
	}
	held->ranks = 1u << rank;
	spin_take(l, owner);
}

SPIN_INLINE void spin_unlock_only(struct spinlock *l, struct spin_held *held)
{
	held->ranks = 0;
	spin_give(l);
}

SPIN_INLINE void spin_unlock_rank(struct spinlock *l, uint32_t rank, struct spin_held *held, uint32_t owner)
{
	if (__builtin_expect(atomic_load_explicit(&l->owner, memory_order_relaxed) != owner, 0)) {
		spin_panic_owner(l);
	}
	if (__builtin_expect(held->more[rank] > 0, 0)) {
		held->more[rank]--;
	} else {
		held->ranks &= ~(1u << rank);
	}
	spin_give(l);
}

SPIN_INLINE void spin_lock_as(struct spinlock *l, struct spin_held *held, uint32_t owner)
{
	spin_lock_rank(l, l->rank, held, owner);
}

SPIN_INLINE void spin_unlock_as(struct spinlock *l, struct spin_held *held, uint32_t owner)
{
	spin_unlock_rank(l, l->rank, held, owner);
}
