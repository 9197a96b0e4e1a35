/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cpu changes its pool: ask -> allocate -> the cpu comes to a safe point -> leave -> join. The safe point is a call
 * on that cpu: its guest is off, it holds no lock, and its loop sees pool and domain change only between two rounds.
 * All that may fail is done before the call. The caller waits for the call with no lock held.
 */
#include "pool/pool_internal.h"

#include "kernel/call.h"
#include "kernel/log.h"
#include "pool/dispatch.h"

struct move {
	struct pool *from, *to;
	void *new_slot, *old_slot;	/* slot_priv of `to` and of `from` */
};

struct pool *pool_of_cpu(unsigned cpu)
{
	const struct cpu *c = cpu_get(cpu);

	return c == NULL ? NULL : atomic_load_explicit(&c->pool, memory_order_acquire);
}

static enum err may_leave(struct pool *p, unsigned cpu, struct sched_reason *why)
{
	struct cpuset rest = p->cpus;

	cpuset_del(&rest, cpu);
	if (p->group_count == 0) {
		return ERR_OK;
	}
	if (cpuset_empty(&rest)) {
		return sched_refuse(ERR_BUSY, why, "cpu %u is the last of pool %s, which has VMs", cpu, p->name);
	}
	LIST_FOREACH(node, &p->entities) {
		const struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);

		if (!cpuset_intersects(&e->hard, &rest)) {
			return sched_refuse(ERR_BUSY, why, "vCPU %u of %s may run nowhere else in pool %s", e->number,
					    e->group->name, p->name);
		}
	}
	return pool_ask(p, NULL, 0, &rest, "a cpu leaves", why);
}

static enum err check_cpu(const struct pool *from, const struct pool *to, unsigned cpu, struct sched_reason *why)
{
	const struct pool *now = pool_of_cpu(cpu);

	if (cpu_get(cpu) == NULL) {
		return sched_refuse(ERR_NOENT, why, "there is no cpu %u", cpu);
	}
	if (!cpu_is_online(cpu)) {
		return sched_refuse(ERR_STATE, why, "cpu %u is not online", cpu);
	}
	if (now != from && from == NULL) {
		return sched_refuse(ERR_BUSY, why, "cpu %u is in pool %s", cpu, now->name);
	}
	if (now != from) {
		return sched_refuse(ERR_STATE, why, "cpu %u is not in pool %s", cpu, from->name);
	}
	if (to != NULL && cpu >= to->width) {
		return sched_refuse(ERR_RANGE, why, "cpu %u came after pool %s was made", cpu, to->name);
	}
	return ERR_OK;
}

/* On the cpu itself, which runs nothing. */
static void leave(struct move *m, struct cpu *self, struct sched_out *out)
{
	struct pool *p = m->from;

	pool_lock_all(p);
	POOL_TELL(p, leave, &p->sched, self->id, arch_now_ns(), out);
	cpuset_del(&p->sched.slots, self->id);
	cpuset_del(&p->cpus, self->id);
	m->old_slot = p->sched.slot_priv[self->id];
	p->sched.slot_priv[self->id] = NULL;
	LIST_FOREACH(node, &p->entities) {
		struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);

		if (e->slot == self->id) {
			__atomic_store_n(&e->slot, SCHED_NO_SLOT, __ATOMIC_RELAXED);
		}
	}
	self->domain = NULL;
	atomic_store_explicit(&self->pool, NULL, memory_order_release);
	pool_unlock_all(p);
	pool_send_pokes(out);
}

static void join(struct move *m, struct cpu *self, struct sched_out *out)
{
	const struct sched_place place = pool_place_of(self);
	struct pool *p = m->to;
	unsigned domain;

	pool_lock_all(p);
	p->sched.slot_priv[self->id] = m->new_slot;
	cpuset_add(&p->sched.slots, self->id);
	cpuset_add(&p->cpus, self->id);
	p->changed_ns = arch_now_ns();
	domain = POOL_TRY(p, join, 0u, &p->sched, self->id, &place, p->changed_ns, out);
	if (domain >= p->width) {
		pool_condemn(p, POOL_OP_join, NULL, "it was given lock domain %u of %u", domain, p->width);
		domain = 0;
	}
	__atomic_store_n(&p->slot_domain[self->id], domain, __ATOMIC_RELAXED);
	self->domain = &p->domain[domain].lock;
	/* Release: the pool's data is complete for whoever finds the pool through this cpu. */
	atomic_store_explicit(&self->pool, p, memory_order_release);
	pool_unlock_all(p);
	/* Nobody takes "all domains" meanwhile: that is done on the housekeeping cpu, which waits for us, or here. */
	p->domain_count = MAX(p->domain_count, domain + 1);
	pool_send_pokes(out);
}

static void change_pool(void *arg)
{
	struct cpu *self = cpu_this();
	struct move *m = arg;
	struct sched_out out;

	sched_out_init(&out);
	if (m->from != NULL) {
		dispatch_drop_current();
		leave(m, self, &out);
	}
	if (m->to != NULL) {
		join(m, self, &out);
	}
	cpu_poke(self->id);	/* whatever it did before, it shall ask its scheduler next */
}

enum err pool_move_cpu(struct pool *from, struct pool *to, unsigned cpu, struct sched_reason *why)
{
	struct move m = { .from = from, .to = to };
	enum err e = check_cpu(from, to, cpu, why);

	pool_assert_control();
	if (e != ERR_OK || from == to) {
		return e;
	}
	e = from != NULL ? may_leave(from, cpu, why) : ERR_OK;
	if (e != ERR_OK) {
		return e;
	}
	if (to != NULL && !pool_private_new(to, POOL_PRIVATE_SLOT, cpu_get(cpu)->node, &m.new_slot)) {
		return sched_refuse(ERR_NOMEM, why, "no memory for cpu %u on node %u", cpu, cpu_get(cpu)->node);
	}
	call_sync(cpu, change_pool, &m);
	if (from != NULL) {
		pool_private_free(from, POOL_PRIVATE_SLOT, m.old_slot);
	}
	return ERR_OK;
}

enum err pool_add_cpu(struct pool *p, unsigned cpu, struct sched_reason *why)
{
	return pool_move_cpu(NULL, p, cpu, why);
}

enum err pool_remove_cpu(struct pool *p, unsigned cpu, struct sched_reason *why)
{
	return pool_move_cpu(p, NULL, cpu, why);
}
