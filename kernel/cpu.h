/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cpu table: one struct cpu for each logical processor, allocated on its own node and installed by main().
 * Everything in it belongs to its cpu and is touched by that cpu's loop only, but `remote`, the timer queue (which has
 * a lock) and what is marked.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/arch.h"
#include "kernel/lib/cpuset.h"
#include "kernel/lib/util.h"
#include "kernel/spinlock.h"
#include "kernel/timer.h"

struct call;
struct pool;
struct sched_entity;

#define CPU_LINE		64u
#define CPU_POKES_MAX		16u
#define CPU_NMI_AFTER_NS	(50 * NS_PER_US)

enum cpu_state { CPU_ABSENT, CPU_STARTING, CPU_ONLINE, CPU_DEAD };

/*
 * What other cpus write. `poked` is first: assembly tests it (32 bits) right before it enters a guest, with interrupts
 * off. Pokers set it to 1; the loop of the cpu clears it at its top, before it looks at anything else.
 */
struct cpu_remote {
	_Atomic uint32_t poked;
	_Atomic(struct call *) calls;		/* newest first; pushed by anyone, taken whole by the owner */
} __attribute__((aligned(CPU_LINE)));

/* This cpu stands accused of holding a lock for too long: kernel/stuck.h. */
struct cpu_stuck {
	const struct spinlock *_Atomic lock;	/* written by others, with `serving`: before they send an NMI */
	_Atomic uint32_t serving;

	/* The NMI handler's. */
	uint32_t strike_serving;
	const struct spinlock *strike_lock;
	uint64_t strike_ns;
	unsigned strikes;
	bool waits;				/* for such a lock itself, so another one is to blame */
};

/* A poke that was sent and not seen acknowledged. */
struct cpu_poke {
	unsigned cpu;
	uint64_t since_ns;
};

struct cpu {
	struct cpu_remote remote;		/* offset 0 */

	/* Written at start-up, then constant; `state` by the starting cpu and by this one. */
	unsigned id;				/* 0..cpu_count()-1 */
	uint32_t apic_id;
	unsigned core, llc, package, node;	/* numbers, machine-wide */
	_Atomic unsigned state;			/* enum cpu_state */
	bool housekeeping;			/* exactly one cpu has it set; changed at start-up only */

	/* The dispatch loop's (pool/dispatch.c). pool and domain change in a call on this cpu only; others may read. */
	struct pool *_Atomic pool;		/* NULL: free */
	struct spinlock *domain;		/* lock of this slot's domain; NULL where pool is */
	struct sched_entity *current;		/* whose state is on this cpu */
	unsigned why;				/* enum dispatch_why of the run that is not charged yet */
	bool uncharged;				/* current runs, or ran since it was charged */
	bool in_run;				/* inside dispatch_ops.run(): current cannot be taken off */
	bool in_chore;				/* in calls, housekeeping or timers: what they do must not be abandoned */
	bool again;				/* poked by itself since its last pick, not in run() */
	unsigned agains;			/* so often in a row since */
	uint64_t again_after_ns;		/* the run or halt that began then */
	uint64_t turn_end_ns;			/* when current will likely be replaced, by how it went before; NS_NEVER: who knows */
	unsigned op;				/* enum pool_op: what its policy was asked last, */
	struct pool *asked;			/* and the pool whose domain was locked last */
	struct sched_entity *leaving;		/* blocked on its way off: should the op be abandoned it is off */
	bool can_go_back;			/* the op was asked by POOL_TRY(): should it be abandoned, */
	void *back[5];				/* this is where to (__builtin_setjmp) */
	uint64_t house_due_ns;			/* of the housekeeping cpu: when it is due, */
	uint64_t house_busy_ns, house_idle_ns;	/* and would be with a guest to run, and without */
	uint64_t run_start_ns, run_end_ns;	/* run_start_ns: of a halt too */
	bool halts;				/* in arch_idle() */
	/* Written by this cpu, not as atomics, so that it is one instruction; read by anyone: cpu_read(). */
	uint64_t busy_ns, idle_ns;
	uint64_t switches;			/* entities taken on */

	/* Pokes of mine to watch. */
	unsigned poke_count;
	struct cpu_poke poke[CPU_POKES_MAX];

	struct spin_held held;
	struct cpu_stuck stuck;
	struct timer_queue timers;
	void *arch;				/* the machine's own per-cpu data, or NULL */
} __attribute__((aligned(CPU_LINE)));

_Static_assert(offsetof(struct cpu, remote) == 0 && offsetof(struct cpu_remote, poked) == 0, "assembly tests poked");
_Static_assert(sizeof(struct cpu_remote) == CPU_LINE, "remote has a line of its own");

extern struct cpu *cpu_table[CPU_MAX];

/* Fills a zeroed struct with what every cpu starts from; state CPU_ABSENT. */
void cpu_init(struct cpu *c, unsigned id);
/* Puts c at c->id of the table. Once for each id, in any order, before another cpu looks it up. */
void cpu_install(struct cpu *c);
/* Forgets all cpus: for tests. */
void cpu_uninstall_all(void);
/* Highest installed number + 1. */
unsigned cpu_count(void);
/* Its installed cpus. */
struct cpuset cpu_set_of_node(unsigned node);
/* The housekeeping cpu's number, CPU_NONE before there is one. */
unsigned cpu_housekeeping(void);
/* Hands the housekeeping to another online cpu. Start-up's last act: from here on the caller controls nothing any more. */
void cpu_set_housekeeping(unsigned id);

/* NULL where there is none of that number. */
static inline struct cpu *cpu_get(unsigned id)
{
	return id < CPU_MAX ? cpu_table[id] : NULL;
}

/* One of the counters that only its cpu writes. */
static inline uint64_t cpu_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* What it did since it came up; the run or halt that it is in counts up to now. */
struct cpu_times {
	uint64_t busy_ns, idle_ns, switches;
};

struct cpu_times cpu_times(const struct cpu *c);

/* NULL early at start-up. */
static inline struct cpu *cpu_this(void)
{
	return cpu_table[arch_this_cpu()];
}

static inline bool cpu_is_online(unsigned id)
{
	const struct cpu *c = cpu_get(id);

	return c != NULL && atomic_load_explicit(&c->state, memory_order_acquire) == CPU_ONLINE;
}

/* Makes cpu id go through its loop soon: leave its guest, end its halt. Any cpu, any lock held; does not wait. */
void cpu_poke(unsigned id);
/* The same, where self is known to be this cpu. */
static inline void cpu_poke_by(struct cpu *self, unsigned id)
{
	if (id == self->id && !self->in_run) {
		self->again = true;	/* its loop picks again before it runs or halts */
	} else {
		cpu_poke(id);
	}
}
static inline bool cpu_is_poked(const struct cpu *self)
{
	return atomic_load_explicit(&self->remote.poked, memory_order_relaxed) != 0;
}
/* Top of the loop: clears this cpu's poked. True when it was set. */
static inline bool cpu_poke_ack(struct cpu *self)
{
	if (atomic_load_explicit(&self->remote.poked, memory_order_relaxed) == 0) {
		return false;	/* set after this look: then its IPI ends the guest or the halt that follows */
	}
	/* Acquire: what the poker wrote before; pairs with the exchange in cpu_poke(). */
	atomic_exchange_explicit(&self->remote.poked, 0, memory_order_acq_rel);
	return true;
}
/* Sends an NMI to those I poked more than 50 us ago that have not acknowledged. Forgets those that have. */
void cpu_poke_check(struct cpu *self, uint64_t now_ns);
/* When cpu_poke_check() has work again; NS_NEVER: nothing outstanding. */
uint64_t cpu_poke_next(const struct cpu *self);
