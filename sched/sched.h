/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler contract.
 *
 * A pool owns one `struct sched`: a const table of ops and the policy's private state. A policy orders *entities* on
 * *slots*. It knows no VM, no VMCS, no register; it reads no clock, takes no lock, sends no IPI, allocates and prints
 * nothing. Time comes in as now_ns; decisions go out as return values and as slots to poke in `struct sched_out`. The
 * same source file runs in the hypervisor, in unit tests and in the simulator.
 *
 * Locks belong to the core (pool/). Every slot is in one lock domain, given by join(); every entity is in the domain
 * of `entity->slot`, or in domain 0 before it has one. An op that names a slot or an entity is called with that
 * domain held; fini, join, leave, add, remove, set_affinity, tune, import, export, describe, wait_bound_ns and check are
 * called with all domains held. init, admit, validate and check_table are called with none, by the one cpu that calls those
 * that change what they look at. `out->poke` is acted on after the locks are dropped.
 *
 * Life of an entity, as the core calls the ops:
 *
 *      add ──► blocked ──wake──► runnable ──pick──► running (on_slot) ──charge──► still runnable, or block, or yield
 *                 ▲                  ▲                    │
 *                 └──────block───────┴────────────────────┘   then released(), when its state has left the slot's cpu
 *
 * charge, then block or yield or neither, then pick are one lock hold on the slot. An entity that pick() did not
 * return again stays on_slot until released(): pick() on any other slot must not return it before. The core sets
 * and clears `runnable` and `on_slot` before it calls the op that tells of it; a policy reads them, never writes.
 *
 * Adding a policy is adding one file to sched/ that ends in SCHED_POLICY(...).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/cpuset.h"
#include "kernel/lib/err.h"
#include "kernel/lib/format.h"
#include "kernel/lib/list.h"
#include "kernel/lib/util.h"

#define SCHED_TUNABLE_MAX	12u
#define SCHED_NO_SLOT		UINT32_MAX
#define SCHED_NAME_LEN		16u

struct sched;
struct pool;

/* --- Tunables: the table is the only place that names one. ----------------------------------------------------- */

enum sched_type { SCHED_INT, SCHED_TIME, SCHED_BOOL, SCHED_ENUM, SCHED_LIST };
enum sched_scope { SCHED_POOL, SCHED_GROUP, SCHED_ENTITY };

struct sched_tunable {
	const char *name;
	enum sched_type type;
	enum sched_scope scope;
	bool live;			/* may change while entities run */
	const char *unit;		/* "%", or NULL; times are in ns inside, typed with us, ms, s */
	int64_t min, max, def;
	const char *const *words;	/* SCHED_ENUM: the names of 0, 1, ..., ending in NULL */
	const char *help;
	const char *also;		/* another policy's name for the same thing, accepted here too; or NULL */
};

/* Values by index in ops->tunables, whatever their scope. */
struct sched_values {
	int64_t v[SCHED_TUNABLE_MAX];
};

/* --- Tables: the value of a SCHED_LIST, of which a policy has one at most. ------------------------------------------ */

#define SCHED_ROWS_MAX	256u
#define SCHED_ROW_FORM	"SLOT VM.VCPU TIME, or SLOT idle TIME"

struct sched_row {
	unsigned slot, number;
	char group[32];			/* the entity is known by its names: it may not be there yet. Empty: nobody */
	uint64_t length_ns;
	uint64_t start_ns;		/* behind the rows before it on its slot: sched_table_finish() */

	/* The policy's own, zeroed. */
	struct sched_entity *entity;
	const struct sched_row *next;
};

/* Constant but for what is the policy's. The core keeps one until the policy uses another. */
struct sched_table {
	unsigned count, room;
	struct sched_row row[];		/* in order of slots */
};

/* What admit() is asked about one entity. */
struct sched_want {
	struct sched_values values;
	const struct cpuset *hard;
	const struct sched_entity *instead;	/* in s already, it would be so; NULL: a new one */
};

/* --- What a policy orders. ------------------------------------------------------------------------------------- */

/* Owner of several entities (a VM embeds one): weight, cap and budget belong to it. */
struct sched_group {
	struct sched_values values;	/* written by the core before tune() */
	void *priv;			/* ops->group_size bytes, zeroed by the core before the first add() */
	char name[32];			/* for describe() */
	/* During admit(): each entity asked about, new ones and those that would change; none: the new ones have g->values. */
	const struct sched_want *want;
	unsigned want_count;

	/* The core's own (pool/); a policy does not look at it. */
	struct pool *pool;		/* NULL: in none */
	struct list link;		/* among the groups of the pool */
	unsigned entity_count;
};

/* Why a runnable entity may not run now. */
enum sched_park { SCHED_NOT_PARKED, SCHED_PARK_BUDGET, SCHED_PARK_CAP, SCHED_PARK_WINDOW };

struct sched_entity {
	/* Set by the core before add(), constant until remove(). */
	struct sched_group *group;
	void *priv;			/* ops->entity_size bytes, zeroed */
	unsigned number;		/* within its group */

	/* Written by the core under the entity's domain, before the op that tells of it. */
	struct sched_values values;
	struct cpuset hard, soft;	/* slots it may and would rather run on; hard meets the pool's slots */
	bool runnable;
	bool on_slot;			/* running on `slot`, or left it and not yet released() */
	/* A policy with several domains may write it too, off slot, in join, leave, add, set_affinity and pull: sched_set_slot(). */
	unsigned slot;			/* where it runs or last ran, or SCHED_NO_SLOT */
	uint64_t runnable_since_ns;
	uint64_t used_ns;		/* time charged since creation */
	uint64_t wait_ns, switches;	/* time that it was runnable and did not run, also parked */

	/* Written by the policy under the entity's domain. */
	enum sched_park parked;
	uint64_t parked_until_ns;

	/* The core's own (pool/), under the entity's domain; a policy does not look at it. runnable = awake and not paused. */
	struct pool *pool;		/* NULL: in none */
	struct list link;		/* among all entities of the pool */
	bool awake;			/* its guest has something to do */
	bool wake_pending;		/* woken while awake: its next block is void; cleared at pick */
	unsigned pauses;		/* how many want it held */
	uint64_t blocked_ns;		/* time that it slept and nobody held it */
	uint64_t parked_ns;		/* of wait_ns */
	uint64_t late_ns;		/* when the watchdog found that it waits too long; 0: it did not */
	uint64_t blocked_since_ns;	/* while it sleeps and nobody holds it */
};

/* Where a slot is in the machine. Numbers are machine-wide. */
struct sched_place {
	unsigned core, llc, package, node;
};

/* Whose lock covers e changes with this: cpus that look for it read slot without any. */
static inline void sched_set_slot(struct sched_entity *e, unsigned slot)
{
	__atomic_store_n(&e->slot, slot, __ATOMIC_RELAXED);
}

/* The one of `slots` that e may run on, its last one before others; CPU_NONE: there is none. */
static inline unsigned sched_slot_among(const struct cpuset *slots, const struct sched_entity *e)
{
	if (cpuset_has(slots, e->slot) && cpuset_has(&e->hard, e->slot)) {
		return e->slot;
	}
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		if ((slots->word[i] & e->hard.word[i]) != 0) {
			return i * 64 + (unsigned)__builtin_ctzl(slots->word[i] & e->hard.word[i]);
		}
	}
	return CPU_NONE;
}

/* An entity's standing, for another policy, which takes what it knows. Affinity is the entity's. */
struct sched_snapshot {
	int64_t weight, cap;		/* group values, 0: unset */
	int64_t period_ns, budget_ns;	/* reservation, 0: unset */
	uint64_t deadline_ns, left_ns;	/* where its period ends, and what it may still use of the budget until then */
	int64_t latency;		/* latency class, 0: ordinary */
	uint64_t used_ns;
};

/* --- Decisions. ------------------------------------------------------------------------------------------------- */

struct sched_out {
	bool any, many;			/* many: poke has them all; else it is not even cleared */
	unsigned first;
	struct cpuset poke;		/* slots that must pick again now: sched_poked() */
};

/* Empty. Costs nothing until something is poked: most calls poke nobody. */
static inline void sched_out_init(struct sched_out *out)
{
	out->any = out->many = false;
}

/* All that are poked, of which there is at least one. */
static inline struct cpuset *sched_poked(struct sched_out *out)
{
	if (!out->many) {
		out->many = true;
		cpuset_clear(&out->poke);
		cpuset_add(&out->poke, out->first);
	}
	return &out->poke;
}

static inline void sched_poke(struct sched_out *out, unsigned slot)
{
	if (!out->any) {
		out->any = true;
		out->first = slot;
	}
	if (out->first != slot || out->many) {
		cpuset_add(sched_poked(out), slot);
	}
}

static inline bool sched_pokes(const struct sched_out *out, unsigned slot)
{
	return out->many ? cpuset_has(&out->poke, slot) : out->any && out->first == slot;
}

struct sched_pick {
	struct sched_entity *entity;	/* NULL: nothing to run on that slot */
	uint64_t until_ns;		/* ask again then at the latest; NS_NEVER: only when poked */
};

/*
 * Policies with several domains, as the answer's entity: before anything runs, the core should call pull(from, slot) under both
 * domains and pick again; from is until_ns. So a pick that asks changes nothing; one that asks again has nobody to run. Between
 * the two another cpu may have called ops of this domain. `from` may be gone by then: pull is left out.
 */
#define SCHED_PULL	((struct sched_entity *)UINTPTR_MAX)

/* A refusal in words, with the arithmetic. */
struct sched_reason {
	char words[160];
};

/* --- The policy. ------------------------------------------------------------------------------------------------- */

enum sched_honours {			/* capability flags: what else is set is reported as without effect */
	SCHED_HONOURS_WEIGHT		= 1 << 0,
	SCHED_HONOURS_CAP		= 1 << 1,
	SCHED_HONOURS_RESERVATION	= 1 << 2,
	SCHED_HONOURS_HARD_AFFINITY	= 1 << 3,
	SCHED_HONOURS_SOFT_AFFINITY	= 1 << 4,
	SCHED_HONOURS_YIELD		= 1 << 5,
	SCHED_HONOURS_PER_ENTITY	= 1 << 6,
	/* No slot idles beside an entity that is runnable, not parked, off every slot, and may run there. */
	SCHED_WORK_CONSERVING		= 1 << 7,
	/* Its slots are given no work of others' that can be done elsewhere. */
	SCHED_UNDISTURBED		= 1 << 8,
};

/* init, join, leave, add, set_affinity, wake, block, yield, pick, released, describe and check are never NULL. */
struct sched_ops {
	const char *name;		/* as in `sched =`, shorter than SCHED_NAME_LEN */
	const char *summary;		/* one line for `sched list` */
	unsigned honours;
	const struct sched_tunable *tunables;
	unsigned tunable_count;
	/* Private sizes; the core allocates them zeroed, for sched.priv, slot_priv(), group.priv, entity.priv. */
	size_t object_size, slot_size, group_size, entity_size;

	/* Makes an empty object from s->values. May refuse. Paired with fini(). */
	enum err (*init)(struct sched *s);
	/* Called with no slot and no entity left. NULL op: nothing to undo. */
	void (*fini)(struct sched *s);

	/*
	 * slot starts to belong to s; nothing runs there yet. Returns its lock domain: 0, or for a policy with a queue per
	 * LLC that queue's number, the lowest that was free when its first slot joined. It stays the same while slot is joined.
	 */
	unsigned (*join)(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			 struct sched_out *out);
	/*
	 * slot stops; nothing is on it. Entities queued there go to other slots of s; when none is left they wait in s.
	 * A policy with several domains points `slot` of each entity that names this one at another; what still names it
	 * afterwards the core sets to SCHED_NO_SLOT. An event of the policy's own that this slot's `until` carried gets a
	 * new owner in out.
	 */
	void (*leave)(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);

	/*
	 * Would g with these values and that many new entities fit beside what is there? Changes nothing. slots: the slots the
	 * pool would have. g->want tells of each, and of those there that would change. g NULL, entities 0: would what is there fit on those slots (a slot wants to leave)?
	 * ERR_ADMISSION with the arithmetic in why. NULL op: everything fits.
	 */
	enum err (*admit)(struct sched *s, const struct sched_group *g, unsigned entities,
			  const struct cpuset *slots, struct sched_reason *why);
	/* Is this whole set of values sensible (budget <= period)? NULL op: ranges are enough. */
	enum err (*validate)(const struct sched_values *set, enum sched_scope scope, struct sched_reason *why);

	/*
	 * Is t sensible with this set of pool values? Asked before either changes; the change is told by tune(). NULL op: there is
	 * no list among the tunables.
	 */
	enum err (*check_table)(const struct sched_values *set, const struct sched_table *t, struct sched_reason *why);

	/* e comes, blocked, off every slot. */
	void (*add)(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
	/* e goes; the core has blocked it and it is off every slot. NULL op: a blocked entity is in none of our lists. */
	void (*remove)(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
	/* e->hard or e->soft changed; if e is on a slot outside hard the policy pokes that slot. */
	void (*set_affinity)(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);

	/*
	 * e became runnable (e->runnable was set). Pokes the slot that should pick it, if one should at once. e may still be
	 * on_slot, blocked a moment ago: then released() follows, and chooses the slot.
	 */
	void (*wake)(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
	/*
	 * e stopped being runnable (e->runnable was cleared): in the hold of its slot's charge, or while it waits (pause),
	 * which includes the time between the pick of another and released(). To take a runnable e off a slot for reasons
	 * of its own the core calls charge, block, released, wake.
	 */
	void (*block)(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);
	/* The running e gives way once. Followed by pick() on its slot. */
	void (*yield)(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);

	/* e ran on e->slot for ran_ns up to now. Called before block, yield or pick, once a run. NULL op: not counted. */
	void (*charge)(struct sched *s, struct sched_entity *e, uint64_t ran_ns, uint64_t now_ns,
		       struct sched_out *out);
	/*
	 * Whom slot runs next, and until when. The entity that ran there may be returned again. Never returns one that
	 * is not runnable, is parked, is on another slot, or whose hard set lacks slot. until_ns > now_ns.
	 */
	struct sched_pick (*pick)(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out);
	/* e's state has left the cpu (e->on_slot was cleared): any slot may pick it from now on, and should if it waits. */
	void (*released)(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out);

	/* Values of that scope changed: s->values, g->values (e NULL) or e->values. NULL op: values are read when needed. */
	void (*tune)(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns,
		     struct sched_out *out);
	/*
	 * The standing of e in s, beside the used time, which the core fills in; then, in another s, what add()
	 * made of e is adjusted to it. e is blocked. NULL op: nothing to carry.
	 */
	void (*export)(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to);
	void (*import)(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns);

	/* Writes the policy's own view of itself (queues) for `sched dump`. */
	void (*describe)(struct sched *s, uint64_t now_ns, struct text *to);
	/* Verifies the invariants. False, with words, when one is broken. */
	bool (*check)(struct sched *s, struct sched_reason *why);
	/*
	 * The longest that e, runnable, not parked and allowed on a slot of s, waits for it when nothing else changes; NS_NEVER:
	 * none is promised (null's surplus). With all domains held. The watchdog holds the policy to it. NULL op: no promise.
	 */
	uint64_t (*wait_bound_ns)(struct sched *s, const struct sched_entity *e);
	/*
	 * Policies with several domains: moves what pick() asked for from one domain to the other, under both, locked in index
	 * order. What it saw when it asked may have changed: it may move nothing. NULL for policies with one.
	 */
	void (*pull)(struct sched *s, unsigned from_slot, unsigned to_slot, uint64_t now_ns, struct sched_out *out);
};

/* A pool's scheduler object. */
struct sched {
	const struct sched_ops *ops;
	struct sched_values values;	/* of scope SCHED_POOL */
	void *priv;			/* ops->object_size bytes */
	struct cpuset slots;		/* joined slots; the core changes it before join() and after leave() */
	/* With a SCHED_LIST: the one that was set last, by the core before tune(); NULL: none. And the one in use, by the policy. */
	struct sched_table *table, *table_used;
	void **slot_priv;		/* by slot number, ops->slot_size bytes each, NULL where not joined */
};

#define SCHED_POLICY(ident, ...) \
	const struct sched_ops ident __attribute__((used, section("sched_policies"), aligned(8))) = { __VA_ARGS__ }

/* Writes words into why and returns e: for `return sched_refuse(ERR_ADMISSION, why, "...", ...)`. */
enum err sched_refuse(enum err e, struct sched_reason *why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Every policy that is linked in: sched/registry.c. */
unsigned sched_policy_count(void);
const struct sched_ops *sched_policy_at(unsigned i);
const struct sched_ops *sched_policy_find(const char *name);	/* NULL: none of that name */

/* The tunable of that name, or NULL; *index is its place in values. */
const struct sched_tunable *sched_tunable_find(const struct sched_ops *ops, const char *name, unsigned *index);
/* Has any policy one of that name, of the pool's scope, or else of a group's or entity's? */
bool sched_tunable_known(const char *name, bool of_pool);
/* Fills defaults of all scopes. */
void sched_values_default(const struct sched_ops *ops, struct sched_values *values);
/* Text to a value with type and range checked; why names what was found and expected. */
enum err sched_value_parse(const struct sched_tunable *t, const char *text, int64_t *value, struct sched_reason *why);
/* Adds the rows of text, with ; between, to t; commas count as blanks. ERR_LIMIT: t has no room. */
enum err sched_table_add(const struct sched_tunable *list, struct sched_table *t, const char *text, struct sched_reason *why);
/* Brings them in order of slots, those of one slot in the order they came, and fills in their starts. */
void sched_table_finish(struct sched_table *t);
void sched_row_print(const struct sched_row *row, struct text *to);
/* The tunable that is a list, or NULL. */
const struct sched_tunable *sched_list_of(const struct sched_ops *ops);
/* A value as a person types it. */
void sched_value_print(const struct sched_tunable *t, int64_t value, struct text *to);
