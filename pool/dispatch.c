/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop of every cpu:
 *
 *      acknowledge pokes -> calls -> housekeeping (one cpu) -> timers -> schedule -> run or halt -> again
 *
 * A run is charged in the schedule of the next round, in one hold of the slot's domain with block or yield and pick.
 * So what calls, commands and timers cost in between is charged to nobody. If pick returns the same entity it simply
 * goes on; else the old one is put (its state made memory) with no lock held, and then released in a second hold. Where its
 * turn is over, and the one before ended with a switch, it is put before the first hold, which then does for both.
 *
 *      current == e, on_slot   from the pick of e to the pick of another
 *      on_slot alone           until released: on its way off; no other cpu may pick it
 *
 * On this path a cpu touches its own struct cpu, the entity, and what its pool's domain covers; nothing that two pools
 * share is locked or written, but
 * - when a VM ends, or first uses an MSR that it has not, and when a policy was caught: that is logged, or left to the
 *   housekeeping cpu with a poke;
 * - when a vCPU that halted has its timer on a cpu that became another pool's since, by a move of that cpu or of the VM: it fires
 *   there and wakes the vCPU, or is taken out of that cpu's queue, once.
 * And others write here: pokes and calls of control operations, and the watchdog, which has the domains for a moment each second.
 */
#include "pool/dispatch.h"

#include "kernel/call.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "pool/pool_internal.h"

#define AGAINS_MAX	1000u

static struct dispatch_ops guest;
static void (*housekeeping)(void);
static uint64_t (*housekeeping_wait_ns)(bool busy);

void dispatch_set_ops(const struct dispatch_ops *ops)
{
	guest = *ops;
}

void dispatch_set_housekeeping(void (*fn)(void), uint64_t (*wait_ns)(bool busy))
{
	housekeeping = fn;
	housekeeping_wait_ns = wait_ns;
}

#define ALWAYS_INLINE	static inline __attribute__((always_inline))

/* The slot's domain, in few instructions. */
ALWAYS_INLINE void lock_domain(struct cpu *self, struct pool *p)
{
	spin_lock_only(self->domain, SPIN_RANK_DOMAIN, &self->held, self->id + 1);
	self->asked = p;
}

ALWAYS_INLINE void unlock_domain(struct cpu *self)
{
	spin_unlock_only(self->domain, &self->held);
}

/* Its last run ended in more than the end of its time, or somebody wants it to stop. */
static __attribute__((noinline)) void settle_end(struct cpu *self, struct sched_entity *e, unsigned why, uint64_t now_ns,
						 struct sched_out *out)
{
	if (why == DISPATCH_STOPPED || (why == DISPATCH_BLOCKED && !e->wake_pending)) {
		e->awake = false;
	}
	if (e->runnable && (!e->awake || e->pauses > 0)) {
		pool_make_blocked(self, e, now_ns, out);
	} else if (why == DISPATCH_YIELDED) {
		POOL_ASK(self, e->pool, yield, &e->pool->sched, e, now_ns, out);
	}
}

/* Books the last run of the current entity: time, and why it ended. The domain is held. */
ALWAYS_INLINE void settle(struct cpu *self, struct pool *p, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	unsigned why = DISPATCH_POKED;

	if (__builtin_expect(self->uncharged, 1)) {
		uint64_t ran_ns = self->run_end_ns - self->run_start_ns;

		why = self->why;
		self->uncharged = false;
		e->used_ns += ran_ns;
		if (pool_ops(p)->charge != NULL) {
			POOL_ASK(self, p, charge, &p->sched, e, ran_ns, now_ns, out);
		}
	}
	if (why > DISPATCH_POKED || !e->awake || e->pauses > 0) {
		settle_end(self, e, why, now_ns, out);
	}
}

/* e is on this cpu from now on. The domain is held. */
ALWAYS_INLINE void take_on(struct cpu *self, struct sched_entity *e, uint64_t now_ns)
{
	e->on_slot = true;
	__atomic_store_n(&e->slot, self->id, __ATOMIC_RELAXED);
	e->wait_ns += ns_since(e->runnable_since_ns, now_ns);	/* the waker's clock, and ours from before the lock */
	if (__builtin_expect(e->parked_until_ns > e->runnable_since_ns, 0)) {
		e->parked_ns += pool_parked_ns(e, now_ns);
	}
	e->switches++;
	self->switches++;
}

/* e, which was put, goes off this cpu. The domain is held. */
ALWAYS_INLINE void let_go(struct cpu *self, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	e->on_slot = false;
	POOL_ASK(self, e->pool, released, &e->pool->sched, e, now_ns, out);
}

/* e, no longer current, goes off this cpu. No lock is held. */
static __attribute__((noinline)) void release(struct cpu *self, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	guest.put(e);
	lock_domain(self, atomic_load_explicit(&self->pool, memory_order_relaxed));
	if (e->runnable && e->pauses > 0) {
		self->leaving = e;
		pool_make_blocked(self, e, now_ns, out);	/* paused since its pick was over */
		self->leaving = NULL;
	}
	let_go(self, e, now_ns, out);
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
	struct spinlock *own = self->domain, *other = pool_lock_of(p, from);
	struct sched_pick again;

	if (pool_ops(p)->pull == NULL || from >= p->width) {
		pool_condemn(p, POOL_OP_pick, NULL, "it asks to pull from slot %u", from);
		return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
	}
	unlock_domain(self);
	spin_lock(MIN(own, other));
	if (other != own) {
		spin_lock_next(MAX(own, other));
		if (cpuset_has(&p->sched.slots, from) && other == pool_lock_of(p, from)) {
			POOL_ASK(self, p, pull, &p->sched, from, self->id, now_ns, out);
		}
		spin_unlock(other);
	}
	again = POOL_ASK(self, p, pick, &p->sched, self->id, now_ns, out);
	return again.entity != SCHED_PULL ? again : (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
}

static __attribute__((noinline)) bool is_covered(const struct cpu *self, const struct pool *p, const struct sched_entity *e)
{
	return pool_lock_of(p, e->slot) == self->domain;
}

/* What pick() promises: runnable, not parked, ours, allowed here, the last one or off all slots and covered by our lock; until is later. */
ALWAYS_INLINE bool is_sound(const struct cpu *self, const struct pool *p, const struct sched_entity *last, struct sched_pick next,
			    uint64_t now_ns)
{
	const struct sched_entity *e = next.entity;

	return next.until_ns > now_ns &&
	       (e == NULL || (e->pool == p && e->runnable && e->parked == SCHED_NOT_PARKED && cpuset_test(&e->hard, self->id) &&
			      (e == last || (!e->on_slot && (e->slot == self->id || is_covered(self, p, e))))));
}

/* Whom p's policy picks; nobody if that cannot be. The domain is held. */
ALWAYS_INLINE struct sched_pick pick(struct cpu *self, struct pool *p, const struct sched_entity *last, uint64_t now_ns,
				     struct sched_out *out)
{
	struct sched_pick next = POOL_ASK(self, p, pick, &p->sched, self->id, now_ns, out);

	if (__builtin_expect(next.entity == SCHED_PULL, 0)) {
		next = pull_and_pick(self, p, (unsigned)next.until_ns, now_ns, out);
	}
	if (__builtin_expect(!is_sound(self, p, last, next, now_ns), 0)) {
		struct sched_pick wrong = next;		/* a copy: next is in registers */

		pool_condemn_pick(self, p, &wrong, now_ns);
		return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
	}
	if (next.entity != NULL) {
		next.entity->wake_pending = false;
	}
	return next;
}

/* next is not last; either may be NULL. was_put: last. The domain is held. */
ALWAYS_INLINE void replace(struct cpu *self, struct sched_entity *last, struct sched_pick next, bool was_put, uint64_t now_ns,
			   struct sched_out *out)
{
	if (next.entity != NULL) {
		take_on(self, next.entity, now_ns);
	}
	self->turn_end_ns = last != NULL ? next.until_ns : NS_NEVER;
	if (last != NULL && last->runnable) {
		last->runnable_since_ns = now_ns;
	}
	self->current = next.entity;		/* before released(), which may be abandoned (watch.c) */
	if (was_put) {
		let_go(self, last, now_ns, out);
	}
}

/* was_put: last, which is not NULL then. Inlined for both, so that each knows what it need not ask. */
ALWAYS_INLINE struct sched_pick schedule(struct cpu *self, struct sched_entity *last, bool was_put, uint64_t now_ns)
{
	struct pool *p = atomic_load_explicit(&self->pool, memory_order_relaxed);
	struct sched_pick next = { .entity = NULL, .until_ns = NS_NEVER };
	struct sched_out out;

	self->again = false;
	if (p == NULL) {
		return next;
	}
	sched_out_init(&out);
	lock_domain(self, p);
	if (last != NULL) {
		settle(self, p, last, now_ns, &out);
	}
	next = pick(self, p, last, now_ns, &out);
	if (next.entity != last) {
		replace(self, last, next, was_put, now_ns, &out);
	} else if (was_put) {
		self->turn_end_ns = NS_NEVER;
	}
	unlock_domain(self);
	if (!was_put && last != NULL && last != next.entity) {
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
	lock_domain(self, atomic_load_explicit(&self->pool, memory_order_relaxed));
	POOL_GUARD(settle(self, e->pool, e, now_ns, &out));
	if (e->runnable) {
		POOL_GUARD(pool_make_blocked(self, e, now_ns, &out));
	}
	self->current = NULL;
	unlock_domain(self);
	POOL_GUARD(release(self, e, now_ns, &out));
	if (spin_held(self->domain)) {		/* an op in there was abandoned: e is off all the same */
		e->on_slot = false;
		self->leaving = NULL;
		unlock_domain(self);
	}
	pool_send_pokes(&out);
}

/* Others look at a run while it lasts, which may be long: who sees it begun must see when. x86 keeps stores in order. */
ALWAYS_INLINE void begin(struct cpu *self, uint64_t now_ns)
{
	self->run_start_ns = now_ns;
	atomic_signal_fence(memory_order_release);
}

ALWAYS_INLINE void run(struct cpu *self, struct sched_entity *e, uint64_t now_ns, uint64_t until_ns)
{
	begin(self, now_ns);
	self->in_run = true;
	self->uncharged = true;
	self->why = guest.run(e, until_ns);
	self->in_run = false;
	self->run_end_ns = arch_now_ns();
	self->busy_ns += self->run_end_ns - now_ns;
}

static void idle(struct cpu *self, uint64_t now_ns, uint64_t until_ns)
{
	begin(self, now_ns);
	self->halts = true;
	arch_idle(until_ns);
	self->halts = false;
	self->idle_ns += arch_now_ns() - now_ns;
}

/* When it is due depends on whether a guest will run: both are kept, so that few rounds ask. */
static __attribute__((noinline)) void keep_house(struct cpu *self)
{
	if (housekeeping == NULL) {
		return;
	}
	self->in_chore = true;
	housekeeping();
	self->in_chore = false;
	if (housekeeping_wait_ns != NULL) {
		uint64_t now_ns = arch_now_ns();

		self->house_busy_ns = now_ns + housekeeping_wait_ns(true);
		self->house_idle_ns = now_ns + housekeeping_wait_ns(false);
	}
}

/* Poked. True: answering took some time. Whoever leaves the housekeeping work pokes or calls, or its serial port does. */
static __attribute__((noinline)) bool answer(struct cpu *self)
{
	bool any;

	(void)cpu_poke_ack(self);
	self->in_chore = true;
	any = call_run();
	self->in_chore = false;
	self->house_due_ns = 0;
	return any;
}

static __attribute__((noinline)) bool run_timers(struct cpu *self, uint64_t now_ns)
{
	bool any;

	self->in_chore = true;
	any = timer_expire(&self->timers, now_ns);
	self->in_chore = false;
	return any;
}

/* The policy poked the cpu that was asking it. Once is right where a slice became shorter; a thousand times in a row nobody runs. */
static __attribute__((noinline)) void ask_again(struct cpu *self)
{
	if (self->again_after_ns != self->run_start_ns) {
		self->again_after_ns = self->run_start_ns;
		self->agains = 0;
	}
	if (++self->agains == AGAINS_MAX) {
		pool_condemn(self->pool, POOL_OP_pick, self->current, "%u times in a row cpu %u was poked to pick again", AGAINS_MAX,
			     self->id);
	}
}

ALWAYS_INLINE void round_of(struct cpu *self)
{
	bool worked = cpu_is_poked(self) && answer(self);
	uint64_t now_ns = self->uncharged && !worked ? self->run_end_ns : arch_now_ns(), until_ns;
	struct sched_entity *last;
	struct sched_pick next;

	if (self->housekeeping && now_ns >= self->house_due_ns) {
		keep_house(self);
		now_ns = arch_now_ns();
	}
	if (timer_next(&self->timers) <= now_ns && run_timers(self, now_ns)) {
		now_ns = arch_now_ns();
	}
	if (self->poke_count > 0) {
		cpu_poke_check(self, now_ns);
	}

	last = self->current;
	if (last != NULL && now_ns >= self->turn_end_ns) {
		guest.put(last);
		next = schedule(self, last, true, now_ns);
	} else {
		next = schedule(self, last, false, now_ns);
	}
	if (self->again) {
		ask_again(self);
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
	struct cpu *volatile self = cpu_this();		/* volatile: else what each round reads has its address kept on the stack */

	for (;;) {
		round_of(self);
	}
}
