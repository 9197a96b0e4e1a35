/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waking, pausing and resuming an entity.
 *
 * `awake` is what the guest wants, `pauses` what control operations want; the policy sees only runnable = awake and not
 * paused, told of by wake() and block(). While an entity is on a slot only that slot's cpu turns `runnable` off: at the
 * end of a run (dispatch.c) or when it is released.
 *
 * A wake that meets an awake entity sets wake_pending, and if the entity blocks before it is picked again the block is
 * void. pick clears it: run() looks for events after pick, so whatever the wake was for is seen.
 */
#include "pool/pool_internal.h"

#include "kernel/call.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "pool/dispatch.h"

static inline struct spinlock *lock_of(struct sched_entity *e, struct cpu *self)
{
	for (;;) {
		/* Both may change until the lock is held; a pool lives on until every cpu has been through its loop. */
		struct pool *p = __atomic_load_n(&e->pool, __ATOMIC_ACQUIRE);
		unsigned slot = __atomic_load_n(&e->slot, __ATOMIC_RELAXED);
		struct spinlock *lock;

		if (p == NULL) {
			return NULL;
		}
		lock = pool_lock_of(p, slot);
		spin_lock_rank(lock, SPIN_RANK_DOMAIN, &self->held, self->id + 1);
		/* The slot may have left and come back with another domain. */
		if (e->pool == p && e->slot == slot && lock == pool_lock_of(p, slot)) {
			self->asked = p;
			return lock;
		}
		spin_unlock_rank(lock, SPIN_RANK_DOMAIN, &self->held, self->id + 1);
	}
}

struct spinlock *pool_entity_lock(struct sched_entity *e)
{
	return lock_of(e, cpu_this());
}

void pool_entity_wake(struct sched_entity *e)
{
	struct cpu *self = cpu_this();
	unsigned kick = CPU_NONE;
	struct sched_out out;
	struct spinlock *lock = lock_of(e, self);

	if (lock == NULL) {
		return;
	}
	sched_out_init(&out);
	if (e->awake) {
		e->wake_pending = true;
		if (e->on_slot && e->slot != self->id) {
			kick = e->slot;
		}
	} else {
		e->awake = true;
		if (e->pauses == 0) {
			pool_make_runnable(self, e, arch_now_ns(), &out);
		}
	}
	spin_unlock_rank(lock, SPIN_RANK_DOMAIN, &self->held, self->id + 1);
	if (out.any && !out.many) {
		cpu_poke_by(self, out.first);
	} else if (out.any) {
		pool_send_pokes(&out);
	}
	if (kick != CPU_NONE) {
		cpu_poke(kick);
	}
}

/* On e's slot, at a safe point. Should e be on its way off, it is off by the time this runs. */
static void drop(void *arg)
{
	if (cpu_this()->current == arg) {
		dispatch_drop_current();
	}
}

void pool_entity_pause(struct sched_entity *e)
{
	unsigned on = CPU_NONE;
	struct sched_out out;
	struct spinlock *lock;
	uint64_t now_ns;

	pool_assert_control();
	lock = pool_entity_lock(e);
	ASSERT(lock != NULL);
	sched_out_init(&out);
	now_ns = arch_now_ns();
	e->pauses++;
	if (e->on_slot) {
		on = e->slot;
	} else if (e->runnable) {
		e->wait_ns += ns_since(e->runnable_since_ns, now_ns);
		e->parked_ns += pool_parked_ns(e, now_ns);
		POOL_GUARD(pool_make_blocked(cpu_this(), e, now_ns, &out));
	} else if (e->pauses == 1) {
		e->blocked_ns += ns_since(e->blocked_since_ns, now_ns);
	}
	spin_unlock(lock);
	pool_send_pokes(&out);
	if (on != CPU_NONE) {
		call_sync(on, drop, e);
	}
	ASSERT(!e->on_slot && !e->runnable);
}

void pool_end_pause(struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (--e->pauses == 0) {
		e->blocked_since_ns = now_ns;
		if (e->awake) {
			POOL_GUARD(pool_make_runnable(cpu_this(), e, now_ns, out));
		}
	}
}

void pool_entity_resume(struct sched_entity *e)
{
	struct sched_out out;
	struct spinlock *lock;

	pool_assert_control();
	lock = pool_entity_lock(e);
	ASSERT(lock != NULL && e->pauses > 0);
	sched_out_init(&out);
	pool_end_pause(e, arch_now_ns(), &out);
	spin_unlock(lock);
	pool_send_pokes(&out);
}

void pool_entity_start(struct sched_entity *e)
{
	pool_entity_wake(e);
	pool_entity_resume(e);
}

/* Of the run that is not charged yet; the domain is held, so that it is not charged meanwhile. */
static uint64_t uncharged_ns(const struct sched_entity *e, uint64_t now_ns)
{
	const struct cpu *c = cpu_get(e->slot);

	if (c->current != e || !__atomic_load_n(&c->uncharged, __ATOMIC_ACQUIRE)) {
		return 0;
	}
	return ns_since(c->run_start_ns, __atomic_load_n(&c->in_run, __ATOMIC_RELAXED) ? now_ns : c->run_end_ns);
}

struct pool_entity_times pool_entity_times(struct sched_entity *e)
{
	struct spinlock *lock = pool_entity_lock(e);
	uint64_t now_ns = arch_now_ns();
	struct pool_entity_times t = { e->used_ns, e->wait_ns - e->parked_ns, e->parked_ns, e->blocked_ns, e->switches };

	if (lock == NULL) {
		return t;
	}
	if (e->on_slot) {
		t.run_ns += uncharged_ns(e, now_ns);
	} else if (e->runnable) {
		t.wait_ns += ns_since(e->runnable_since_ns, now_ns) - pool_parked_ns(e, now_ns);
		t.parked_ns += pool_parked_ns(e, now_ns);
	} else if (e->pauses == 0) {
		t.blocked_ns += ns_since(e->blocked_since_ns, now_ns);
	}
	spin_unlock(lock);
	return t;
}
