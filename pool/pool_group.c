/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups come, go, move and change their values. Each operation asks and allocates first; from the point where
 * something changes, nothing can fail. An entity that changes hands is paused: then only the core's own fields are
 * touched by a wake, whichever pool it finds.
 */
#include "pool/pool_internal.h"

#include "kernel/heap.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"

/* --- Private memory of a group and its entities: one block each. */

struct passage {
	void *priv;
	struct sched_snapshot standing;		/* in the pool it came from, if any */
};

struct memory {
	void *group;
	struct passage *entity;			/* [n], for as long as the operation takes */
	struct passage one;			/* most VMs have 1 vCPU */
	unsigned n;
};

static void free_passages(struct memory *m)
{
	if (m->entity != &m->one) {
		heap_free(m->entity, m->n * sizeof(m->entity[0]));
	}
}

static void free_memory(const struct pool *p, struct memory *m)
{
	for (unsigned i = 0; m->entity != NULL && i < m->n; i++) {
		pool_private_free(p, POOL_PRIVATE_ENTITY, m->entity[i].priv);
	}
	free_passages(m);
	pool_private_free(p, POOL_PRIVATE_GROUP, m->group);
}

static enum err allocate(const struct pool *p, unsigned n, struct memory *m, struct sched_reason *why)
{
	*m = (struct memory){ .n = n };
	m->entity = n > 1 ? heap_alloc(n * sizeof(m->entity[0]), p->node) : &m->one;
	if (m->entity == NULL || !pool_private_new(p, POOL_PRIVATE_GROUP, p->node, &m->group)) {
		goto fail;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!pool_private_new(p, POOL_PRIVATE_ENTITY, p->node, &m->entity[i].priv)) {
			goto fail;
		}
	}
	return ERR_OK;
fail:
	free_memory(p, m);
	return sched_refuse(ERR_NOMEM, why, "no memory for %u vCPUs on node %u", n, p->node);
}

/* --- Asking. */

/* A group with those values. */
static enum err may_enter(struct pool *p, const struct sched_values *values, struct sched_reason *why)
{
	if (cpuset_empty(&p->cpus)) {
		return sched_refuse(ERR_STATE, why, "pool %s has no cpu", p->name);
	}
	return pool_validate(p, values, SCHED_GROUP, why);
}

/* Do the n entities that are wanted of a group fit, all of them new, or none? Frees want. */
static enum err fits(struct pool *p, const char *name, const struct sched_values *values, struct sched_want *want, unsigned n,
		     struct sched_reason *why)
{
	struct sched_group probe = { .values = *values, .want = want, .want_count = n };
	enum err e;

	(void)str_copy(probe.name, sizeof(probe.name), name);
	e = pool_ask(p, &probe, want[0].instead == NULL ? n : 0, &p->cpus, name, why);
	heap_free(want, n * sizeof(*want));
	return e;
}

static struct sched_want *new_wants(const struct pool *p, unsigned n, struct sched_reason *why)
{
	struct sched_want *want = heap_alloc(n * sizeof(*want), p->node);

	if (want == NULL) {
		(void)sched_refuse(ERR_NOMEM, why, "no memory for %u vCPUs on node %u", n, p->node);
	}
	return want;
}

/* With those values. */
static enum err may_run_there(struct pool *p, const struct sched_entity *e, const struct sched_values *values,
			      struct sched_reason *why)
{
	if (!cpuset_empty(&e->hard) && !cpuset_intersects(&e->hard, &p->cpus)) {
		return sched_refuse(ERR_INVAL, why, "vCPU %u is pinned to cpus that pool %s lacks", e->number, p->name);
	}
	return pool_validate(p, values, SCHED_ENTITY, why);
}

/* --- Coming and going. */

static void enter(struct pool *p, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	e->runnable = false;
	e->on_slot = false;
	e->parked = SCHED_NOT_PARKED;
	e->parked_until_ns = e->late_ns = 0;
	e->blocked_since_ns = now_ns;
	__atomic_store_n(&e->slot, SCHED_NO_SLOT, __ATOMIC_RELAXED);
	__atomic_store_n(&e->pool, p, __ATOMIC_RELEASE);
	POOL_TELL(p, add, &p->sched, e, now_ns, out);
	list_push_back(&p->entities, &e->link);
	p->entity_count++;
}

/* e, paused, goes; it is in p's list no more. */
static void go(struct pool *p, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	if (p->sched.ops->remove != NULL) {
		POOL_TELL(p, remove, &p->sched, e, now_ns, out);
	}
	p->entity_count--;
}

static void list_group(struct pool *p, struct sched_group *g)
{
	list_push_back(&p->groups, &g->link);
	g->pool = p;
	p->group_count++;
	p->had_entities = true;
}

static void unlist_group(struct sched_group *g)
{
	list_remove(&g->link);
	g->pool->group_count--;
	g->pool = NULL;
}

/* The first entity of g at or after node in p's list; they need not lie together. */
static struct sched_entity *next_of(struct pool *p, const struct sched_group *g, struct list *node)
{
	for (; node != &p->entities; node = node->next) {
		struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);

		if (e->group == g) {
			return e;
		}
	}
	return NULL;
}

#define FOREACH_OF_GROUP(e, p, g) \
	for (struct sched_entity *e = next_of(p, g, (p)->entities.next); e != NULL; e = next_of(p, g, e->link.next))

/* Pauses all of g and moves them from p's list, which is the control plane's, to another: to find them no lock is held. */
static void gather(struct pool *p, struct sched_group *g, struct list *to)
{
	struct sched_entity *e = next_of(p, g, p->entities.next), *next;

	list_init(to);
	for (; e != NULL; e = next) {
		next = next_of(p, g, e->link.next);
		pool_entity_pause(e);
		list_remove(&e->link);
		list_push_back(to, &e->link);
	}
}

/* Empty, or all cpus that there are, is all that there can be: policies tell at one look that it is not pinned. */
static struct cpuset widened(const struct cpuset *s)
{
	struct cpuset all, left;

	cpuset_fill(&left, cpu_count());
	cpuset_andnot(&left, s);
	if (cpuset_empty(s) || cpuset_empty(&left)) {
		cpuset_fill(&all, CPU_MAX);
		return all;
	}
	return *s;
}

static enum err may_be_added(struct pool *p, const struct sched_group *g, struct sched_entity *const *e, unsigned n,
			     struct sched_reason *why)
{
	enum err err = may_enter(p, &g->values, why);
	struct sched_want *want;

	for (unsigned i = 0; i < n && err == ERR_OK; i++) {
		err = may_run_there(p, e[i], &e[i]->values, why);
	}
	if (err != ERR_OK || n == 0 || p->sched.ops->admit == NULL) {
		return err;
	}
	want = new_wants(p, n, why);
	if (want == NULL) {
		return ERR_NOMEM;
	}
	for (unsigned i = 0; i < n; i++) {
		e[i]->hard = widened(&e[i]->hard);
		want[i] = (struct sched_want){ .values = e[i]->values, .hard = &e[i]->hard };
	}
	return fits(p, g->name, &g->values, want, n, why);
}

enum err pool_group_add(struct pool *p, struct sched_group *g, struct sched_entity *const *e, unsigned n,
			struct sched_reason *why)
{
	struct memory m;
	struct sched_out out;
	enum err err;

	pool_assert_control();
	ASSERT(g->pool == NULL);
	err = may_be_added(p, g, e, n, why);
	err = err == ERR_OK ? allocate(p, n, &m, why) : err;
	if (err != ERR_OK) {
		return err;
	}
	g->priv = m.group;
	g->entity_count = n;
	list_group(p, g);
	sched_out_init(&out);
	pool_lock_all(p);
	for (unsigned i = 0; i < n; i++) {
		e[i]->group = g;
		e[i]->priv = m.entity[i].priv;
		e[i]->awake = false;
		e[i]->wake_pending = false;
		e[i]->pauses = 1;
		e[i]->hard = widened(&e[i]->hard);
		e[i]->soft = widened(&e[i]->soft);
		enter(p, e[i], arch_now_ns(), &out);
	}
	pool_unlock_all(p);
	free_passages(&m);
	pool_send_pokes(&out);
	return ERR_OK;
}

void pool_group_remove(struct sched_group *g)
{
	struct pool *p = g->pool;
	struct sched_out out;
	struct list leaving;

	pool_assert_control();
	if (p == NULL) {
		return;
	}
	gather(p, g, &leaving);
	sched_out_init(&out);
	LIST_FOREACH(node, &leaving) {
		struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);

		pool_lock_all(p);
		go(p, e, arch_now_ns(), &out);
		__atomic_store_n(&e->pool, NULL, __ATOMIC_RELEASE);
		pool_unlock_all(p);
		pool_private_free(p, POOL_PRIVATE_ENTITY, e->priv);
		e->priv = NULL;
	}
	pool_private_free(p, POOL_PRIVATE_GROUP, g->priv);
	g->priv = NULL;
	g->entity_count = 0;
	unlist_group(g);
	pool_send_pokes(&out);
}

/* --- Moving. */

/*
 * Values of one policy as another's: those of the same name, type and scope that are in range; else
 * the default. Returns them where they are already, or in room.
 */
static const struct sched_values *translate(const struct sched_ops *from, const struct sched_ops *to,
					    const struct sched_values *values, struct sched_values *room)
{
	if (from == to) {
		return values;
	}
	sched_values_default(to, room);
	for (unsigned i = 0; i < to->tunable_count; i++) {
		const struct sched_tunable *t = &to->tunables[i];
		unsigned at = 0;
		const struct sched_tunable *old = sched_tunable_find(from, t->name, &at);

		if (old != NULL && old->type == t->type && old->scope == t->scope && values->v[at] >= t->min &&
		    values->v[at] <= t->max) {
			room->v[i] = values->v[at];
		}
	}
	return room;
}

void pool_translate(const struct sched_ops *from, const struct sched_ops *to,
		    struct sched_values *values)
{
	struct sched_values room;

	if (from != to) {
		*values = *translate(from, to, values, &room);
	}
}

/* Those in transit, paused, leave `from`. A wake finds them in `to` from here on, held, and only notes itself. */
static void leave_pool(struct pool *from, struct pool *to, const struct memory *m, const struct list *transit)
{
	struct sched_out out;
	unsigned i = 0;

	sched_out_init(&out);
	pool_lock_all(from);
	LIST_FOREACH(node, transit) {
		struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);
		struct sched_snapshot *s = &m->entity[i++].standing;

		s->used_ns = e->used_ns;
		if (from->sched.ops->export != NULL) {
			POOL_GUARD(POOL_ASK(cpu_this(), from, export, &from->sched, e, s));
		}
		go(from, e, arch_now_ns(), &out);
		/* This order: who finds the new pool shall not find the old slot. */
		__atomic_store_n(&e->slot, SCHED_NO_SLOT, __ATOMIC_RELAXED);
		__atomic_store_n(&e->pool, to, __ATOMIC_RELEASE);
	}
	pool_unlock_all(from);
	pool_send_pokes(&out);
}

static void enter_pool(struct pool *from, struct pool *to, const struct memory *m, struct list *transit)
{
	const uint64_t now_ns = arch_now_ns();
	struct sched_out out;
	struct list *node;
	unsigned i = 0;

	sched_out_init(&out);
	pool_lock_all(to);
	while ((node = list_first(transit)) != NULL) {
		struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);

		list_remove(node);
		e->priv = m->entity[i].priv;
		pool_translate(from->sched.ops, to->sched.ops, &e->values);
		enter(to, e, now_ns, &out);
		if (to->sched.ops->import != NULL) {
			POOL_GUARD(POOL_ASK(cpu_this(), to, import, &to->sched, e, &m->entity[i].standing, now_ns));
		}
		pool_end_pause(e, now_ns, &out);
		i++;
	}
	pool_unlock_all(to);
	pool_send_pokes(&out);
}

/* Nothing here can fail. */
static void change_hands(struct pool *from, struct pool *to, struct sched_group *g, const struct memory *m)
{
	struct list transit;

	gather(from, g, &transit);
	leave_pool(from, to, m, &transit);
	LIST_FOREACH(node, &transit) {
		pool_private_free(from, POOL_PRIVATE_ENTITY,
				  LIST_ENTRY(node, struct sched_entity, link)->priv);
	}
	pool_private_free(from, POOL_PRIVATE_GROUP, g->priv);
	g->priv = m->group;
	pool_translate(from->sched.ops, to->sched.ops, &g->values);
	unlist_group(g);
	list_group(to, g);
	enter_pool(from, to, m, &transit);
}

/* May g come to `to`, with its values as that policy knows them? */
static enum err ask_move(struct sched_group *g, struct pool *to, struct sched_reason *why)
{
	const struct sched_ops *from = g->pool->sched.ops;
	struct sched_values room;
	enum err err = may_enter(to, translate(from, to->sched.ops, &g->values, &room), why);
	struct sched_want *want;
	unsigned n = 0;

	FOREACH_OF_GROUP(e, g->pool, g) {
		err = err == ERR_OK ? may_run_there(to, e, translate(from, to->sched.ops, &e->values, &room), why) : err;
	}
	if (err != ERR_OK || g->entity_count == 0 || to->sched.ops->admit == NULL) {
		return err;
	}
	want = new_wants(to, g->entity_count, why);
	if (want == NULL) {
		return ERR_NOMEM;
	}
	FOREACH_OF_GROUP(e, g->pool, g) {
		want[n++] = (struct sched_want){ .values = *translate(from, to->sched.ops, &e->values, &room), .hard = &e->hard };
	}
	return fits(to, g->name, translate(from, to->sched.ops, &g->values, &room), want, n, why);
}

enum err pool_group_move(struct sched_group *g, struct pool *to, struct sched_reason *why)
{
	struct pool *from = g->pool;
	struct memory m;
	enum err err;

	pool_assert_control();
	ASSERT(from != NULL);
	if (from == to) {
		return ERR_OK;
	}
	err = ask_move(g, to, why);
	err = err == ERR_OK ? allocate(to, g->entity_count, &m, why) : err;
	if (err != ERR_OK) {
		return err;
	}
	change_hands(from, to, g, &m);
	free_passages(&m);
	return ERR_OK;
}

/* --- Values and affinity. */

static void tell_tune(struct pool *p, struct sched_group *g, struct sched_entity *e, struct sched_out *out)
{
	if (p->sched.ops->tune != NULL) {
		POOL_TELL(p, tune, &p->sched, g, e, arch_now_ns(), out);
	}
}

/* May e be so? */
static enum err ask_change(struct sched_entity *e, const struct sched_values *values, const struct cpuset *hard,
			   struct sched_reason *why)
{
	struct sched_want *want = new_wants(e->pool, 1, why);

	if (want == NULL) {
		return ERR_NOMEM;
	}
	want[0] = (struct sched_want){ .values = *values, .hard = hard, .instead = e };
	return fits(e->pool, e->group->name, &e->group->values, want, 1, why);
}

/* May g have these values, and its entities their own? */
static enum err ask_retune(struct sched_group *g, const struct sched_values *values, struct sched_reason *why)
{
	struct sched_want *want;
	unsigned n = 0;

	if (g->entity_count == 0) {
		return ERR_OK;
	}
	want = new_wants(g->pool, g->entity_count, why);
	if (want == NULL) {
		return ERR_NOMEM;
	}
	FOREACH_OF_GROUP(e, g->pool, g) {
		want[n++] = (struct sched_want){ .values = e->values, .hard = &e->hard, .instead = e };
	}
	return fits(g->pool, g->name, values, want, n, why);
}

enum err pool_group_tune(struct sched_group *g, const struct sched_values *values, struct sched_reason *why)
{
	struct pool *p = g->pool;
	struct sched_out out;
	enum err err;

	pool_assert_control();
	ASSERT(p != NULL);
	err = pool_validate(p, values, SCHED_GROUP, why);
	err = err == ERR_OK ? ask_retune(g, values, why) : err;
	if (err != ERR_OK) {
		return err;
	}
	sched_out_init(&out);
	pool_lock_all(p);
	g->values = *values;
	tell_tune(p, g, NULL, &out);
	pool_unlock_all(p);
	pool_send_pokes(&out);
	return ERR_OK;
}

enum err pool_entity_tune(struct sched_entity *e, const struct sched_values *values, struct sched_reason *why)
{
	struct pool *p = e->pool;
	struct sched_out out;
	enum err err;

	pool_assert_control();
	ASSERT(p != NULL);
	err = pool_validate(p, values, SCHED_ENTITY, why);
	err = err == ERR_OK ? ask_change(e, values, &e->hard, why) : err;
	if (err != ERR_OK) {
		return err;
	}
	sched_out_init(&out);
	pool_lock_all(p);
	e->values = *values;
	tell_tune(p, e->group, e, &out);
	pool_unlock_all(p);
	pool_send_pokes(&out);
	return ERR_OK;
}

enum err pool_entity_pin(struct sched_entity *e, const struct cpuset *hard, const struct cpuset *soft,
			 struct sched_reason *why)
{
	const struct cpuset wide = widened(hard);
	struct pool *p = e->pool;
	struct sched_out out;
	enum err err;

	pool_assert_control();
	ASSERT(p != NULL);
	if (!cpuset_intersects(hard, &p->cpus)) {
		return sched_refuse(ERR_INVAL, why, "pool %s has none of these cpus", p->name);
	}
	err = ask_change(e, &e->values, &wide, why);
	if (err != ERR_OK) {
		return err;
	}
	sched_out_init(&out);
	pool_lock_all(p);
	e->hard = wide;
	e->soft = widened(soft);
	POOL_TELL(p, set_affinity, &p->sched, e, arch_now_ns(), &out);
	pool_unlock_all(p);
	pool_send_pokes(&out);
	return ERR_OK;
}
