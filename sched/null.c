/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * null: no scheduling. Each entity has a slot of its own for ever, so it runs whenever it wants to and nothing of ours
 * ever interrupts it: no slice, no queue, `until` is never, no watching of other cpus where others can (SCHED_UNDISTURBED). A
 * pool takes no more entities than it has slots.
 *
 * Homes change only when somebody comes or goes: an entity whose slot leaves, or is forbidden to it, goes to a free
 * one. Where affinities leave it none it waits, and takes the first slot that becomes free and that it may use.
 */
#include "sched/sched.h"

struct null_sched {
	struct list homeless;		/* of null_entity.link */
	unsigned entity_count;
};

struct null_slot {
	struct sched_entity *owner;
};

struct null_entity {
	struct sched_entity *entity;
	unsigned home;			/* SCHED_NO_SLOT: in `homeless` */
	struct list link;
};

static struct null_slot *slot_of(const struct sched *s, unsigned slot)
{
	return s->slot_priv[slot];
}

static void give_home(struct sched *s, struct null_entity *ne, unsigned slot, struct sched_out *out)
{
	ne->home = slot;
	list_remove(&ne->link);
	slot_of(s, slot)->owner = ne->entity;
	if (ne->entity->runnable && !ne->entity->on_slot) {
		sched_poke(out, slot);	/* else wake() or released() will */
	}
}

/* Finds ne a free slot, one in its soft set before others. */
static void find_home(struct sched *s, struct null_entity *ne, struct sched_out *out)
{
	unsigned best = SCHED_NO_SLOT;

	CPUSET_FOREACH(slot, &s->slots) {
		if (slot_of(s, slot)->owner != NULL || !cpuset_has(&ne->entity->hard, slot)) {
			continue;
		}
		if (cpuset_has(&ne->entity->soft, slot)) {
			best = slot;
			break;
		}
		best = MIN(best, slot);
	}
	if (best != SCHED_NO_SLOT) {
		give_home(s, ne, best, out);
	}
}

/* slot is free: the first of the homeless that may use it does. */
static void offer(struct sched *s, unsigned slot, struct sched_out *out)
{
	struct null_sched *ns = s->priv;

	LIST_FOREACH(node, &ns->homeless) {
		struct null_entity *ne = LIST_ENTRY(node, struct null_entity, link);

		if (cpuset_has(&ne->entity->hard, slot)) {
			give_home(s, ne, slot, out);
			return;
		}
	}
}

static void take_home(struct sched *s, struct null_entity *ne)
{
	struct null_sched *ns = s->priv;

	slot_of(s, ne->home)->owner = NULL;
	ne->home = SCHED_NO_SLOT;
	list_push_back(&ns->homeless, &ne->link);
}

static enum err null_init(struct sched *s)
{
	struct null_sched *ns = s->priv;

	list_init(&ns->homeless);
	return ERR_OK;
}

static unsigned null_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns,
			  struct sched_out *out)
{
	(void)place, (void)now_ns;
	offer(s, slot, out);
	return 0;
}

static void null_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *owner = slot_of(s, slot)->owner;

	(void)now_ns;
	if (owner != NULL) {
		take_home(s, owner->priv);
		slot_of(s, slot)->owner = owner;	/* not free: it leaves */
		find_home(s, owner->priv, out);
		slot_of(s, slot)->owner = NULL;
	}
}

static enum err null_admit(struct sched *s, const struct sched_group *g, unsigned entities,
			   const struct cpuset *slots, struct sched_reason *why)
{
	const struct null_sched *ns = s->priv;
	unsigned have = cpuset_count(slots);

	(void)g;
	if (ns->entity_count + entities > have) {
		return sched_refuse(ERR_ADMISSION, why, "null gives each vCPU a cpu: %u there + %u new > %u cpus",
				    ns->entity_count, entities, have);
	}
	return ERR_OK;
}

static void null_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct null_sched *ns = s->priv;
	struct null_entity *ne = e->priv;

	(void)now_ns;
	ne->entity = e;
	ne->home = SCHED_NO_SLOT;
	list_push_back(&ns->homeless, &ne->link);
	ns->entity_count++;
	find_home(s, ne, out);
}

static void null_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct null_sched *ns = s->priv;
	struct null_entity *ne = e->priv;
	unsigned home = ne->home;

	(void)now_ns;
	if (home != SCHED_NO_SLOT) {
		take_home(s, ne);
	}
	list_remove(&ne->link);
	ns->entity_count--;
	if (home != SCHED_NO_SLOT) {
		offer(s, home, out);
	}
}

static void null_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct null_entity *ne = e->priv;
	unsigned home = ne->home;

	(void)now_ns;
	if (home != SCHED_NO_SLOT && !cpuset_has(&e->hard, home)) {
		take_home(s, ne);
		sched_poke(out, home);
		offer(s, home, out);
	}
	if (ne->home == SCHED_NO_SLOT) {
		find_home(s, ne, out);
	}
}

/* wake and released: where e waits for its slot, the slot is told. */
static void null_ready(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	const struct null_entity *ne = e->priv;

	(void)s, (void)now_ns;
	if (e->runnable && !e->on_slot && ne->home != SCHED_NO_SLOT) {
		sched_poke(out, ne->home);
	}
}

/* block and yield: nobody waits for the slot. */
static void null_ignore(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)s, (void)e, (void)now_ns, (void)out;
}

static struct sched_pick null_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *e = slot_of(s, slot)->owner;

	(void)now_ns, (void)out;
	if (e == NULL || !e->runnable || (e->on_slot && e->slot != slot)) {
		return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };	/* one still on its old slot is announced by released() */
	}
	return (struct sched_pick){ .entity = e, .until_ns = NS_NEVER };
}

/* Whose slot it is has it at once; who has none may wait for ever. */
static uint64_t null_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	(void)s;
	return ((const struct null_entity *)e->priv)->home != SCHED_NO_SLOT ? 0 : NS_NEVER;
}

static void null_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	const struct null_sched *ns = s->priv;

	(void)now_ns;
	CPUSET_FOREACH(slot, &s->slots) {
		const struct sched_entity *e = slot_of(s, slot)->owner;

		if (e == NULL) {
			text_printf(to, "slot %u: free\n", slot);
		} else {
			text_printf(to, "slot %u: %s.%u\n", slot, e->group->name, e->number);
		}
	}
	for (const struct list *node = ns->homeless.next; node != &ns->homeless; node = node->next) {
		const struct sched_entity *e = LIST_ENTRY(node, struct null_entity, link)->entity;

		text_printf(to, "waits for a slot: %s.%u\n", e->group->name, e->number);
	}
}

static bool null_check(struct sched *s, struct sched_reason *why)
{
	const struct null_sched *ns = s->priv;
	unsigned found = 0;

	CPUSET_FOREACH(slot, &s->slots) {
		const struct sched_entity *e = slot_of(s, slot)->owner;

		if (e != NULL && (((struct null_entity *)e->priv)->home != slot || !cpuset_has(&e->hard, slot))) {
			return sched_refuse(ERR_STATE, why, "slot %u: its owner lives elsewhere", slot) == ERR_OK;
		}
		found += e != NULL;
	}
	LIST_FOREACH(node, (struct list *)&ns->homeless) {
		found++;
		CPUSET_FOREACH(slot, &s->slots) {
			if (slot_of(s, slot)->owner == NULL &&
			    cpuset_has(&LIST_ENTRY(node, struct null_entity, link)->entity->hard, slot)) {
				return sched_refuse(ERR_STATE, why, "slot %u is free beside one that waits", slot) == ERR_OK;
			}
		}
	}
	return found == ns->entity_count ||
	       sched_refuse(ERR_STATE, why, "%u entities, %u found", ns->entity_count, found) == ERR_OK;
}

SCHED_POLICY(sched_null,
	.name = "null",
	.summary = "one vCPU a cpu for ever, never interrupted",
	.honours = SCHED_HONOURS_HARD_AFFINITY | SCHED_HONOURS_SOFT_AFFINITY | SCHED_UNDISTURBED,
	.object_size = sizeof(struct null_sched), .slot_size = sizeof(struct null_slot),
	.entity_size = sizeof(struct null_entity),
	.init = null_init, .join = null_join, .leave = null_leave, .admit = null_admit,
	.add = null_add, .remove = null_remove, .set_affinity = null_set_affinity,
	.wake = null_ready, .block = null_ignore, .yield = null_ignore, .pick = null_pick, .released = null_ready,
	.describe = null_describe, .check = null_check, .wait_bound_ns = null_wait_bound_ns,
);
