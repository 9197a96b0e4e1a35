/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket locks. A holder's release store of `serving` pairs with the acquire load of the next in line, so what was
 * written under the lock is seen under the lock. Early at start-up, before a cpu is installed, ranks are not checked.
 */
#include "kernel/spinlock.h"

#include "kernel/cpu.h"
#include "kernel/log.h"

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

static void note_taken(struct spinlock *l, struct cpu *self)
{
	atomic_store_explicit(&l->owner, arch_this_cpu() + 1, memory_order_relaxed);
	if (self != NULL) {
		self->held.ranks |= 1u << l->rank;
		self->held.count[l->rank]++;
	}
}

/* above: every bit a rank that may not be held already. */
static void take(struct spinlock *l, uint32_t above)
{
	struct cpu *self = cpu_this();
	uint32_t ticket;

	if (self != NULL && (self->held.ranks & above) != 0) {
		panic("lock order: cpu %u wants a %s lock while it holds a %s lock", self->id, rank_name(l->rank),
		      rank_name(31u - (uint32_t)__builtin_clz(self->held.ranks)));
	}
	ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
	while (atomic_load_explicit(&l->serving, memory_order_acquire) != ticket) {
		arch_relax();
	}
	note_taken(l, self);
}

void spin_lock(struct spinlock *l)
{
	take(l, ~0u << l->rank);
}

void spin_lock_next(struct spinlock *l)
{
	/* Shifted twice: a rank of 31 would make one shift by 32. */
	take(l, ~0u << l->rank << 1);
}

bool spin_try(struct spinlock *l)
{
	uint32_t ticket = atomic_load_explicit(&l->serving, memory_order_acquire);

	if (!atomic_compare_exchange_strong_explicit(&l->next, &ticket, ticket + 1, memory_order_acquire,
						     memory_order_relaxed)) {
		return false;
	}
	note_taken(l, cpu_this());
	return true;
}

void spin_unlock(struct spinlock *l)
{
	struct cpu *self = cpu_this();

	ASSERT(spin_held(l));
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	if (self != NULL && self->held.count[l->rank] > 0 && --self->held.count[l->rank] == 0) {
		self->held.ranks &= ~(1u << l->rank);
	}
	atomic_store_explicit(&l->serving, atomic_load_explicit(&l->serving, memory_order_relaxed) + 1,
			      memory_order_release);
}

void spin_assert_none(void)
{
	const struct cpu *self = cpu_this();

	if (self != NULL && self->held.ranks != 0) {
		panic("cpu %u would wait while it holds a %s lock", self->id,
		      rank_name(31u - (uint32_t)__builtin_clz(self->held.ranks)));
	}
}
