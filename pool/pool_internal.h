/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of pool/ share beside pool.h. */
#pragma once

#include "pool/pool.h"

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

/* e's domain is held for all of these. */
static inline const struct sched_ops *pool_ops(const struct pool *p)
{
	return p->sched.ops;
}

static inline void pool_make_runnable(struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	e->runnable = true;
	e->blocked_ns += ns_since(e->blocked_since_ns, now_ns);
	e->runnable_since_ns = now_ns;
	pool_ops(e->pool)->wake(&e->pool->sched, e, now_ns, out);
}

static inline void pool_make_blocked(struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	e->runnable = false;
	e->blocked_since_ns = now_ns;
	pool_ops(e->pool)->block(&e->pool->sched, e, now_ns, out);
}
