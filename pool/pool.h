/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools: a set of cpus, one scheduler object, the groups (VMs) and entities (vCPUs) that run there.
 *
 * Control operations (all but pool_entity_wake()) run on the housekeeping cpu only, one at a time: so the list of pools
 * and a pool's lists need no lock. What they do to a cpu they do by a call on that cpu. Each either succeeds or changes
 * nothing and says why. They may run other calls and take entities off cpus: hold no lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpu.h"
#include "kernel/spinlock.h"
#include "kernel/stuck.h"
#include "sched/sched.h"

#define POOL_NAME_LEN	32u
#define POOL_MAX	256u

struct pool_domain {
	struct spinlock lock;
	struct stuck_seen seen;		/* the housekeeping cpu's, which looks at the lock now and then */
} __attribute__((aligned(CPU_LINE)));

/* What a policy did that no policy may. */
struct pool_fault {
	unsigned op;			/* enum pool_op */
	unsigned cpu;			/* found out there */
	uint64_t at_ns;
	char entity[40];		/* "VM.vCPU", or empty */
	char words[128];
};

enum pool_trust { POOL_TRUSTED, POOL_ACCUSED, POOL_CONDEMNED, POOL_FALLEN };

struct pool {
	char name[POOL_NAME_LEN];
	struct list link;		/* in order of creation */
	struct sched sched;
	struct cpuset cpus;		/* members; equals sched.slots */
	unsigned node;			/* where its memory comes from */
	unsigned width;			/* cpu_count() at creation: bound of the arrays below */
	unsigned domain_count;		/* domains ever used: 0..domain_count-1 are what "all domains" means */
	_Atomic unsigned trust;		/* enum pool_trust; fall.c */
	struct pool_domain *domain;	/* [width], by domain number */
	unsigned *slot_domain;		/* [width], by slot */
	struct list groups, entities;
	unsigned group_count, entity_count;
	bool warn;			/* admission: what does not fit is reported, and let in */
	bool had_entities;		/* a waker may still look at its locks: wait for every cpu before freeing */
	bool fallen;			/* rr has taken over; `fault` says why: fall.c */
	struct sched_table *old_table;	/* one that the policy may still use; NULL: none */
	/* The watchdog's: watch.c, fall.c. */
	const struct sched_ops *made_for;	/* the policy that the private memory was allocated for */
	struct sched_ops limbo;		/* in place of a policy that failed, until rr takes over */
	struct pool_fault fault;
	uint64_t changed_ns;		/* when its cpus, entities or values last did */
	uint64_t waits_ns, check_ns;	/* when the waits, and the policy's own invariants, are looked at next */
};

_Static_assert(sizeof(struct pool) <= 1024, "larger objects take, and clear, a page");

/* --- Pools. */
/*
 * Makes an empty pool, without cpus. values: of scope SCHED_POOL, in ops->tunables order; NULL: defaults. The memory
 * comes from node. ERR_EXIST, ERR_LIMIT, ERR_INVAL (name), ERR_RANGE or what the policy says, ERR_NOMEM.
 */
enum err pool_create(const char *name, const struct sched_ops *ops, const struct sched_values *values, unsigned node,
		     struct pool **out, struct sched_reason *why);
/* ERR_BUSY while a group is in it. Its cpus become free. p is gone afterwards. */
enum err pool_destroy(struct pool *p, struct sched_reason *why);
/* admission = warn, or refuse (what a new pool does). */
void pool_set_warn(struct pool *p, bool warn);
enum err pool_rename(struct pool *p, const char *name, struct sched_reason *why);
struct pool *pool_find(const char *name);	/* NULL: none */
struct pool *pool_at(unsigned i);		/* in order of creation; NULL: i is past the last */
unsigned pool_count(void);
const char *pool_name_at(unsigned i);		/* NULL: i is past the last */
/* The policy of pools that name none: the manifest's default-sched. */
void pool_set_default(const struct sched_ops *ops);
const struct sched_ops *pool_default(void);

/* --- Cpus. */
/* The pool of a cpu; NULL: free, or no such cpu. */
struct pool *pool_of_cpu(unsigned cpu);
/* cpu must be online and free. */
enum err pool_add_cpu(struct pool *p, unsigned cpu, struct sched_reason *why);
/* cpu becomes free. ERR_BUSY: last cpu of a pool with groups, or some entity may run nowhere else. */
enum err pool_remove_cpu(struct pool *p, unsigned cpu, struct sched_reason *why);
/* In one step: from one pool (NULL: free) to another (NULL: free). */
enum err pool_move_cpu(struct pool *from, struct pool *to, unsigned cpu, struct sched_reason *why);
/* New pool values, checked by the caller for range; ERR_STATE: one that is not live changed while cpus or groups are there. */
enum err pool_tune(struct pool *p, const struct sched_values *values, struct sched_reason *why);
/*
 * The same with another table: t, finished, is copied. Its slots must be cpus of p. ERR_NOTSUP: p's policy has none. ERR_NOMEM.
 */
enum err pool_tune_table(struct pool *p, const struct sched_values *values, const struct sched_table *t,
			 struct sched_reason *why);
/* Room for a table while it is put together; NULL: no memory. */
struct sched_table *pool_table_new(unsigned rows);
void pool_table_free(struct sched_table *t);

/* --- Groups and entities. */
/*
 * Takes g and its n entities into p. The caller has set g->name, g->values, each e->values (sched_values_default() and
 * what was asked for), e->number, and e->hard and e->soft (empty, or all cpus there are, means anywhere). Private memory is allocated here,
 * on p's node. The entities are asleep and held by one pause; pool_entity_start() lets them go.
 * ERR_STATE: p has no cpu. ERR_INVAL: some e->hard meets no cpu of p. ERR_ADMISSION: the policy's refusal.
 */
enum err pool_group_add(struct pool *p, struct sched_group *g, struct sched_entity *const *e, unsigned n,
			struct sched_reason *why);
/*
 * Takes g and all its entities out of its pool; pauses them first. The caller sees to it that nobody wakes them any
 * more. Does nothing when g is in no pool.
 */
void pool_group_remove(struct sched_group *g);
/* Moves g with its entities, their standing carried along; running ones go on there. */
enum err pool_group_move(struct sched_group *g, struct pool *to, struct sched_reason *why);
/* Gives g (e NULL) or e new values, checked by the caller for range. */
enum err pool_group_tune(struct sched_group *g, const struct sched_values *values, struct sched_reason *why);
enum err pool_entity_tune(struct sched_entity *e, const struct sched_values *values, struct sched_reason *why);
/* ERR_INVAL: hard meets no cpu of the pool. */
enum err pool_entity_pin(struct sched_entity *e, const struct cpuset *hard, const struct cpuset *soft,
			 struct sched_reason *why);

/*
 * Something happened that e must see: wakes it if it sleeps; if it runs on another cpu, makes it leave its guest;
 * if it is just about to block, keeps it from that. Any cpu, also a device's exit path; takes the lock of e's domain
 * only (rank SPIN_RANK_DOMAIN). What happened must be written before the call.
 */
void pool_entity_wake(struct sched_entity *e);
/* Lets e run: drops the pause it has since pool_group_add(), and wakes it. */
void pool_entity_start(struct sched_entity *e);
/* Holds e. When it returns e is on no cpu and its state is memory. Pauses add up. Works for a current entity too. */
void pool_entity_pause(struct sched_entity *e);
/* Takes one pause back. e goes on if it had something to do, or was woken meanwhile. */
void pool_entity_resume(struct sched_entity *e);

/*
 * Where e's time went since it was made, up to now: it ran, waited for a cpu, was parked (out of budget, over its cap, outside
 * its windows), or slept. What control operations held it for is in none of them. Any cpu but one that holds a domain.
 */
struct pool_entity_times {
	uint64_t run_ns, wait_ns, parked_ns, blocked_ns, switches;
};

struct pool_entity_times pool_entity_times(struct sched_entity *e);

/* --- Watching the policies: pool/watch.c. */
/* Once, before the first pool. */
void pool_watch_init(void);
/* The policy that p had and that failed, or NULL. And what it did, where and when, and what became of the pool. */
const char *pool_failed(const struct pool *p);
void pool_fault_print(const struct pool *p, struct text *to);
/*
 * What the housekeeping cpu does again and again: a pool whose policy was caught breaking the contract gets rr; locks that are
 * held too long, entities that wait too long and now and then each policy's invariants are looked at.
 */
void pool_watch(void);

/* --- For the loop and for pool.c. */
/* Locks e's domain and returns its lock; NULL, with nothing locked, when e is in no pool. */
struct spinlock *pool_entity_lock(struct sched_entity *e);
/* Pokes what out names and empties it. No domain is held. */
void pool_send_pokes(struct sched_out *out);
/* All invariants of p and its policy; panics never. For tests and `sched dump`. */
bool pool_check(struct pool *p, struct sched_reason *why);
