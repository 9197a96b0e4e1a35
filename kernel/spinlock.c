/* SPDX-License-Identifier: BSD-2-Clause */
/* Ticket locks: the part that need not be inline, and what is said when a rule is broken. */
#include "kernel/spinlock.h"

#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/stuck.h"

#define STUCK_TURNS	256u	/* between two looks at whom we wait for */

static const char *rank_name(uint32_t rank)
{
	static const char *const names[SPIN_RANK_COUNT] = {
#define SPIN_RANK_NAME(name, words) [SPIN_RANK_##name] = (words),
		SPIN_RANK_TABLE(SPIN_RANK_NAME)
#undef SPIN_RANK_NAME
	};

	return rank < SPIN_RANK_COUNT ? names[rank] : "?";
}

void spin_init(struct spinlock *l, enum spin_rank rank)
{
	atomic_store_explicit(&l->next, 0, memory_order_relaxed);
	atomic_store_explicit(&l->serving, 0, memory_order_relaxed);
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	l->rank = rank;
}

bool spin_held(const struct spinlock *l)
{
	return atomic_load_explicit(&l->owner, memory_order_relaxed) == arch_this_cpu() + 1;
}

/* Early at start-up there is no struct cpu yet: ranks of that one cpu are kept here. */
static struct spin_held early;

static struct spin_held *held_here(void)
{
	struct cpu *self = cpu_this();

	return self != NULL ? &self->held : &early;
}

void spin_wait(struct spinlock *l, uint32_t ticket)
{
	struct cpu *self = l->rank == SPIN_RANK_DOMAIN ? cpu_this() : NULL;
	struct stuck_seen seen = { 0 };

	if (self != NULL) {
		self->stuck.waits = true;
	}
	for (unsigned turn = 1; atomic_load_explicit(&l->serving, memory_order_acquire) != ticket; turn++) {
		arch_relax();
		if (turn % STUCK_TURNS == 0 && self != NULL) {
			stuck_look(l, &seen);
		}
	}
	if (self != NULL) {
		self->stuck.waits = false;
	}
}

static uint32_t highest(const struct spin_held *held)
{
	return 31u - (uint32_t)__builtin_clz(held->ranks);
}

_Noreturn void spin_panic_order(const struct spinlock *l, const struct spin_held *held)
{
	panic("lock order: cpu %u wants a %s lock while it holds a %s lock", arch_this_cpu(), rank_name(l->rank),
	      rank_name(highest(held)));
}

_Noreturn void spin_panic_owner(const struct spinlock *l)
{
	panic("cpu %u gives back a %s lock that it does not hold", arch_this_cpu(), rank_name(l->rank));
}

void spin_lock(struct spinlock *l)
{
	struct cpu *self = cpu_this();

	if (self != NULL) {
		spin_lock_as(l, &self->held, self->id + 1);
	} else {
		spin_lock_as(l, &early, arch_this_cpu() + 1);
	}
}

void spin_lock_next(struct spinlock *l)
{
	struct spin_held *held = held_here();
	uint32_t ticket;

	if (held->ranks >> l->rank != 1) {
		spin_panic_order(l, held);
	}
	held->more[l->rank]++;
	ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
	spin_wait(l, ticket);
	atomic_store_explicit(&l->owner, arch_this_cpu() + 1, memory_order_relaxed);
}

void spin_unlock(struct spinlock *l)
{
	struct cpu *self = cpu_this();

	if (self != NULL) {
		spin_unlock_as(l, &self->held, self->id + 1);
	} else {
		spin_unlock_as(l, &early, arch_this_cpu() + 1);
	}
}

void spin_assert_none(void)
{
	const struct spin_held *held = held_here();

	if (held->ranks != 0) {
		panic("cpu %u would wait while it holds a %s lock", arch_this_cpu(), rank_name(highest(held)));
	}
}
