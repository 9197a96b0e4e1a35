/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of pool/ share beside pool.h. */
#pragma once

#include "kernel/cpu.h"
#include "pool/pool.h"

/* What covers an entity of p whose slot this is; domain 0 where there is no such slot: none yet, or one that a policy made up. */
static inline struct spinlock *pool_lock_of(const struct pool *p, unsigned slot)
{
	return &p->domain[slot < p->width ? __atomic_load_n(&p->slot_domain[slot], __ATOMIC_RELAXED) : 0].lock;
}

/* All domains of p, in index order. */
void pool_lock_all(struct pool *p);
void pool_unlock_all(struct pool *p);
/*
 * Asks p's policy: see admit() in sched.h. With admission = warn a refusal is logged, with what happens nevertheless, and
 * forgotten.
 */
enum err pool_ask(struct pool *p, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
		  const char *what, struct sched_reason *why);
/* Panics unless this is the housekeeping cpu. */
void pool_assert_control(void);
/* Waits until every online cpu has been through its loop, so that none still looks at what it found before. */
void pool_wait_all_cpus(void);

/* One of these is in struct cpu: which op this cpu asked a policy for last. */
#define POOL_OP_TABLE(X) \
	X(init) X(fini) X(join) X(leave) X(admit) X(validate) X(check_table) X(add) X(remove) X(set_affinity) X(wake) X(block) X(yield) \
	X(charge) X(pick) X(released) X(tune) X(export) X(import) X(describe) X(check) X(wait_bound_ns) X(pull)

enum pool_op {
	POOL_OP_none,
#define POOL_OP_ENUM(name) POOL_OP_##name,
	POOL_OP_TABLE(POOL_OP_ENUM)
#undef POOL_OP_ENUM
};

/* p's policy at this moment: it may be condemned at any, so two looks at it may differ unless all domains are held. */
static inline const struct sched_ops *pool_ops(const struct pool *p)
{
	return __atomic_load_n(&p->sched.ops, __ATOMIC_RELAXED);
}

/* Asks p's policy; self is this cpu, which holds what the op wants held. An op that may be NULL is looked at before. */
#define POOL_ASK(self, p, op_, ...)	((self)->op = POOL_OP_##op_, pool_ops(p)->op_(__VA_ARGS__))

/*
 * The same off the hot paths, in the middle of a command or a call, which cannot be abandoned: should the op loop, it alone
 * is, its answer is `otherwise`, and the caller goes on as after any answer of a policy that is condemned meanwhile.
 */
#define POOL_GUARD(statement) \
	do { \
		struct cpu *guarded_ = cpu_this(); \
		if (__builtin_setjmp(guarded_->back) == 0) { \
			guarded_->can_go_back = true; \
			statement; \
		} \
		cpu_this()->can_go_back = false; \
	} while (0)
#define POOL_TRY(p, op_, otherwise, ...) \
	({ \
		__typeof__(otherwise) answer_ = otherwise; \
		POOL_GUARD(answer_ = POOL_ASK(cpu_this(), p, op_, __VA_ARGS__)); \
		answer_; \
	})
/* For what changes who waits how long. */
#define POOL_TELL(p, op_, ...) \
	do { \
		(p)->changed_ns = arch_now_ns(); \
		POOL_GUARD(POOL_ASK(cpu_this(), p, op_, __VA_ARGS__)); \
	} while (0)
/*
 * What changes nothing, with an enum err for an answer, is asked with no domain held, so that nobody waits for it:
 * pool_asking is held for the watchdog to look at. ERR_TIMEOUT: the op looped.
 */
#define POOL_QUESTION(p, why, op_, ...) \
	({ \
		enum err err_; \
		pool_question_begin(p, why); \
		err_ = POOL_TRY(p, op_, ERR_TIMEOUT, __VA_ARGS__); \
		pool_question_end(p, err_, why); \
		err_; \
	})
extern struct spinlock pool_asking;
void pool_question_begin(struct pool *p, struct sched_reason *why);
void pool_question_end(struct pool *p, enum err e, struct sched_reason *why);
/* validate(), where there is one. */
enum err pool_validate(struct pool *p, const struct sched_values *values, enum sched_scope scope, struct sched_reason *why);

static inline struct sched_place pool_place_of(const struct cpu *c)
{
	return (struct sched_place){ c->core, c->llc, c->package, c->node };
}

/* --- Private memory: a block holds the policy's, and behind it rr's, so that the fall needs none. */
enum pool_private { POOL_PRIVATE_OBJECT, POOL_PRIVATE_SLOT, POOL_PRIVATE_GROUP, POOL_PRIVATE_ENTITY };

/* False when there is no memory. *to may be NULL where neither wants any. */
bool pool_private_new(const struct pool *p, enum pool_private what, unsigned node, void **to);
void pool_private_free(const struct pool *p, enum pool_private what, void *ptr);

/* Makes values of one policy another's, in place. */
void pool_translate(const struct sched_ops *from, const struct sched_ops *to, struct sched_values *values);

/* --- The fall: fall.c. */
/*
 * p's policy broke the contract in op, about e if that is not NULL: from here on none of its ops is called any more. Any cpu,
 * a domain of p held or not. The first word stands.
 */
void pool_condemn(struct pool *p, enum pool_op op, const struct sched_entity *e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Gives every condemned pool to rr. */
void pool_fall_all(void);
const char *pool_op_name(unsigned op);
/* What pick() should not have answered. */
void pool_condemn_pick(struct cpu *self, struct pool *p, const struct sched_pick *next, uint64_t now_ns);

/* p goes: nobody looks at its locks any more when this returns. */
void pool_watch_forget(const struct pool *p);

/* --- e's domain is held for these; self is this cpu. */

/* One of e's pauses is over: pool_entity_resume(). */
void pool_end_pause(struct sched_entity *e, uint64_t now_ns, struct sched_out *out);

/* Of the wait of e, which is runnable and off every slot: what it was, or is, parked for. */
static inline uint64_t pool_parked_ns(const struct sched_entity *e, uint64_t now_ns)
{
	return ns_since(e->runnable_since_ns, MIN(now_ns, e->parked_until_ns));
}

static inline void pool_make_runnable(struct cpu *self, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	e->runnable = true;
	e->blocked_ns += ns_since(e->blocked_since_ns, now_ns);
	e->runnable_since_ns = now_ns;
	POOL_ASK(self, e->pool, wake, &e->pool->sched, e, now_ns, out);
}

static inline void pool_make_blocked(struct cpu *self, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	e->runnable = false;
	e->blocked_since_ns = now_ns;
	POOL_ASK(self, e->pool, block, &e->pool->sched, e, now_ns, out);
}
