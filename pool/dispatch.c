/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop of every cpu:
 *
 *      acknowledge pokes -> calls -> housekeeping (one cpu) -> timers -> schedule -> run or halt -> again
 *
 * A run is charged in the schedule of the next round, in one hold of the slot's domain with block or yield and pick.
 * So what calls, commands and timers cost in between is charged to nobody. If pick returns the same entity it simply
 * goes on; else the old one is put (its state made memory) with no lock held, and then released in a second hold.
 *
 *      current == e, on_slot   from the pick of e to the pick of another
 *      on_slot alone           until released: on its way off; no other cpu may pick it
 *
 * On this path a cpu touches its own struct cpu, the entity, and what its pool's domain covers; nothing that two pools
 * share is locked or written.
 */
#include "pool/dispatch.h"

#include "kernel/call.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "pool/pool_internal.h"

static const struct dispatch_ops *guest;
static void (*housekeeping)(void);
static uint64_t (*housekeeping_wait_ns)(bool busy);

void dispatch_set_ops(const struct dispatch_ops *ops)
{
	guest = ops;
}

void dispatch_set_housekeeping(void (*fn)(void), uint64_t (*wait_ns)(bool busy))
{
	housekeeping = fn;
	housekeeping_wait_ns = wait_ns;
}

/* Adds to a counter that only this cpu writes. */
static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* The slot's domain, in few instructions. */
static inline __attribute__((always_inline)) void lock_domain(struct cpu *self)
{
	spin_lock_rank(self->domain, SPIN_RANK_DOMAIN, &self->held, self->id + 1);
	self->asked = atomic_load_explicit(&self->pool, memory_order_relaxed);
}

static inline __attribute__((always_inline)) void unlock_domain(struct cpu *self)
{
	spin_unlock_rank(self->domain, SPIN_RANK_DOMAIN, &self->held, self->id + 1);
}

/* Books the last run of the current entity: time, and why it ended. The domain is held. */
static inline void settle(struct cpu *self, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct pool *p = e->pool;
	unsigned why = self->why;

	if (!self->uncharged) {
		why = DISPATCH_POKED;
	} else {
		uint64_t ran_ns = self->run_end_ns - self->run_start_ns;

		self->uncharged = false;
		e->used_ns += ran_ns;
		if (pool_ops(p)->charge != NULL) {
			POOL_ASK(self, p, charge, &p->sched, e, ran_ns, now_ns, out);
		}
	}
	if (why == DISPATCH_STOPPED || (why == DISPATCH_BLOCKED && !e->wake_pending)) {
		e->awake = false;
	}
	if (e->runnable && (!e->awake || e->pauses > 0)) {
		pool_make_blocked(self, e, now_ns, out);
	} else if (why == DISPATCH_YIELDED) {
		POOL_ASK(self, p, yield, &p->sched, e, now_ns, out);
	}
}

/* e is on this cpu from now on. The domain is held. */
static void take_on(struct cpu *self, struct sched_entity *e, uint64_t now_ns)
{
	e->on_slot = true;
	__atomic_store_n(&e->slot, self->id, __ATOMIC_RELAXED);
	e->wait_ns += ns_since(e->runnable_since_ns, now_ns);	/* the waker's clock, and ours from before the lock */
	e->switches++;
	count(&self->switches, 1);
}

/* e, no longer current, goes off this cpu. No lock is held. */
static void release(struct cpu *self, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	guest->put(e);
	lock_domain(self);
	if (e->runnable && e->pauses > 0) {
		self->leaving = e;
		pool_make_blocked(self, e, now_ns, out);	/* paused since its pick was over */
		self->leaving = NULL;
	}
	e->on_slot = false;
	POOL_ASK(self, e->pool, released, &e->pool->sched, e, now_ns, out);
	if (e->awake && e->pauses == 0 && !e->runnable) {
		pool_make_runnable(self, e, now_ns, out);	/* dispatch_drop_current() took it off against its will */
	}
	unlock_domain(self);
}

/*
 * Asks the policy a second time, after it could fetch from another domain what it wants to run. Both domains are taken in index
 * order, so this cpu's own is dropped first; the slot may be gone by then, or in this domain: then there is nothing to fetch.
 */
static __attribute__((noinline, cold)) struct sched_pick pull_and_pick(struct cpu *self, struct pool *p, unsigned from,
								       uint64_t now_ns, struct sched_out *out)
{
	struct spinlock *own = self->domain, *other;

	ASSERT(p->sched.ops->pull != NULL && from < p->width);
	unlock_domain(self);
	other = &p->domain[__atomic_load_n(&p->slot_domain[from], __ATOMIC_RELAXED)].lock;
	spin_lock(MIN(own, other));
	if (other != own) {
		spin_lock_next(MAX(own, other));
		if (cpuset_has(&p->sched.slots, from) && other == &p->domain[p->slot_domain[from]].lock) {
			POOL_ASK(self, p, pull, &p->sched, from, self->id, now_ns, out);
		}
		spin_unlock(other);
	}
	return POOL_ASK(self, p, pick, &p->sched, self->id, now_ns, out);
}

/* What pick() promises: runnable, not parked, ours, on no other slot, allowed here; and until is later. */
static inline __attribute__((always_inline)) bool is_sound(const struct cpu *self, const struct pool *p,
							   const struct sched_pick *next, uint64_t now_ns)
{
	const struct sched_entity *e = next->entity;

	return next->until_ns > now_ns &&
	       (e == NULL || (e->pool == p && e->runnable && e->parked == SCHED_NOT_PARKED &&
			      e->on_slot == (e == self->current) && cpuset_has(&e->hard, self->id)));
}

static inline struct sched_pick schedule(struct cpu *self, uint64_t now_ns)
{
	struct pool *p = atomic_load_explicit(&self->pool, memory_order_relaxed);
	struct sched_entity *last = self->current;
	struct sched_pick next;
	struct sched_out out;

	self->again = false;
	if (p == NULL) {
		return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
	}
	sched_out_init(&out);
	lock_domain(self);
	if (last != NULL) {
		settle(self, last, now_ns, &out);
	}
	next = POOL_ASK(self, p, pick, &p->sched, self->id, now_ns, &out);
	if (__builtin_expect(next.pull, 0)) {
		next = pull_and_pick(self, p, next.from, now_ns, &out);
	}
	if (__builtin_expect(!is_sound(self, p, &next, now_ns), 0)) {
		pool_condemn_pick(self, p, &next, now_ns);
		next = (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
	}
	if (next.entity != NULL) {
		next.entity->wake_pending = false;
		if (next.entity != last) {
			take_on(self, next.entity, now_ns);
		}
	}
	if (last != NULL && last != next.entity && last->runnable) {
		last->runnable_since_ns = now_ns;
	}
	unlock_domain(self);
	self->current = next.entity;
	if (last != NULL && last != next.entity) {
		release(self, last, now_ns, &out);
	}
	if (out.any) {
		pool_send_pokes(&out);
	}
	return next;
}

void dispatch_drop_current(void)
{
	struct cpu *self = cpu_this();
	struct sched_entity *e = self->current;
	uint64_t now_ns = arch_now_ns();
	struct sched_out out;

	if (e == NULL) {
		return;
	}
	ASSERT(!self->in_run);
	sched_out_init(&out);
	lock_domain(self);
	settle(self, e, now_ns, &out);
	if (e->runnable) {
		pool_make_blocked(self, e, now_ns, &out);
	}
	self->current = NULL;
	unlock_domain(self);
	release(self, e, now_ns, &out);
	pool_send_pokes(&out);
}

static void run(struct cpu *self, struct sched_entity *e, uint64_t now_ns, uint64_t until_ns)
{
	self->run_start_ns = now_ns;
	self->in_run = true;
	self->why = guest->run(e, until_ns);
	self->in_run = false;
	self->run_end_ns = arch_now_ns();
	self->uncharged = true;
	count(&self->busy_ns, self->run_end_ns - now_ns);
}

static void idle(struct cpu *self, uint64_t now_ns, uint64_t until_ns)
{
	arch_idle(until_ns);
	count(&self->idle_ns, arch_now_ns() - now_ns);
}

/* When it is due depends on whether a guest will run: both are kept, so that few rounds ask. */
static void keep_house(struct cpu *self)
{
	self->in_chore = true;
	housekeeping();
	self->in_chore = false;
	if (housekeeping_wait_ns != NULL) {
		uint64_t now_ns = arch_now_ns();

		self->house_busy_ns = now_ns + housekeeping_wait_ns(true);
		self->house_idle_ns = now_ns + housekeeping_wait_ns(false);
	}
}

/* Urged: poked by whoever leaves it work, or its serial port; after calls, which may be work. */
static bool house_is_due(const struct cpu *self, bool urged, uint64_t now_ns)
{
	return housekeeping != NULL && (urged || now_ns >= self->house_due_ns);
}

static bool run_calls(struct cpu *self)
{
	bool any;

	self->in_chore = true;
	any = call_run();
	self->in_chore = false;
	return any;
}

static bool run_timers(struct cpu *self, uint64_t now_ns)
{
	bool any;

	self->in_chore = true;
	any = timer_expire(&self->timers, now_ns);
	self->in_chore = false;
	return any;
}

static inline __attribute__((always_inline)) void round_of(struct cpu *self)
{
	bool poked = cpu_poke_ack(self);
	bool worked = atomic_load_explicit(&self->remote.calls, memory_order_relaxed) != NULL && run_calls(self);
	uint64_t now_ns = self->uncharged && !worked ? self->run_end_ns : arch_now_ns(), until_ns;
	struct sched_pick next;

	if (self->housekeeping && house_is_due(self, poked || worked, now_ns)) {
		keep_house(self);
		now_ns = arch_now_ns();
	}
	if (timer_next(&self->timers) <= now_ns && run_timers(self, now_ns)) {
		now_ns = arch_now_ns();
	}
	if (self->poke_count > 0) {
		cpu_poke_check(self, now_ns);
	}

	next = schedule(self, now_ns);
	if (self->again) {
		return;
	}

	until_ns = MIN(next.until_ns, timer_next(&self->timers));
	if (self->poke_count > 0) {
		until_ns = MIN(until_ns, cpu_poke_next(self));
	}
	if (self->housekeeping && housekeeping_wait_ns != NULL) {
		self->house_due_ns = next.entity != NULL ? self->house_busy_ns : self->house_idle_ns;
		until_ns = MIN(until_ns, self->house_due_ns);
	}
	if (next.entity != NULL) {
		run(self, next.entity, now_ns, until_ns);
	} else {
		idle(self, now_ns, until_ns);
	}
}

void dispatch_once(void)
{
	round_of(cpu_this());
}

noreturn void dispatch_loop(void)
{
	struct cpu *self = cpu_this();

	for (;;) {
		round_of(self);
	}
}
