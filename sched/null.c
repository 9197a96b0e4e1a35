/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * null: no scheduling. Each entity has a slot of its own for ever, so it runs whenever it wants to and nothing of ours
 * ever interrupts it: no slice, no queue, `until` is never, no watching of other cpus where others can (SCHED_UNDISTURBED). A
 * pool takes no more entities than it has slots.
 *
 * Homes change only when somebody comes, goes or is pinned: an entity whose slot leaves, or is forbidden to it, goes to a
 * free one. Where affinities leave it none, others move over for it, if that gives all of them one: see reach(). Admission
 * asks the same. Under `admission = warn` there may be more than can have one; those wait for a slot to become free.
 */
#include "sched/sched.h"

struct null_sched {
	struct list homeless;		/* of null_entity.link */
	unsigned entity_count;
};

struct null_slot {
	struct sched_entity *owner;
	/*
	 * Scratch of admission and of what changes homes, not of check(): whom it would have, by what he may use (NULL: nobody);
	 * the slot that it was reached from, and the next to look from.
	 */
	const struct cpuset *trial;
	unsigned from, next;
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

/* --- Who would live where: `trial`, while it is decided. */

static void set_trials(struct sched *s, const struct cpuset *slots)
{
	CPUSET_FOREACH(slot, slots) {
		const struct sched_entity *owner = slot_of(s, slot)->owner;

		slot_of(s, slot)->trial = owner != NULL ? &owner->hard : NULL;
	}
}

/*
 * A free one of slots, from which owners can move, each to a slot that it may use, until one of hard is free: back along
 * `from`. The shortest way is found first, so a slot of hard that is free itself. Else SCHED_NO_SLOT, and `left` has the slots
 * that were not reached: whoever lives on the others may use none of these.
 */
static unsigned reach(struct sched *s, const struct cpuset *slots, const struct cpuset *hard, struct cpuset *left)
{
	unsigned from = SCHED_NO_SLOT, first = SCHED_NO_SLOT, last = SCHED_NO_SLOT;
	struct cpuset new = *hard;

	*left = *slots;
	for (;;) {
		cpuset_and(&new, left);
		cpuset_andnot(left, &new);
		CPUSET_FOREACH(slot, &new) {
			struct null_slot *ns = slot_of(s, slot);

			ns->from = from;
			ns->next = SCHED_NO_SLOT;
			if (ns->trial == NULL) {
				return slot;
			}
			*(last == SCHED_NO_SLOT ? &first : &slot_of(s, last)->next) = slot;
			last = slot;
		}
		from = from == SCHED_NO_SLOT ? first : slot_of(s, from)->next;
		if (from == SCHED_NO_SLOT) {
			return SCHED_NO_SLOT;
		}
		new = *slot_of(s, from)->trial;
	}
}

/* Has one who may use hard a slot, if others move over? Then he has it from now on. */
static bool try(struct sched *s, const struct cpuset *slots, const struct cpuset *hard, struct sched_reason *why)
{
	struct cpuset left;
	unsigned slot = reach(s, slots, hard, &left), reached;

	if (slot == SCHED_NO_SLOT) {
		reached = cpuset_count(slots) - cpuset_count(&left);
		(void)sched_refuse(ERR_ADMISSION, why, "null gives each vCPU a cpu: %u vCPUs are bound to %u of the cpus", reached + 1,
				   reached);
		return false;
	}
	for (unsigned from = slot_of(s, slot)->from; from != SCHED_NO_SLOT; slot = from, from = slot_of(s, slot)->from) {
		slot_of(s, slot)->trial = slot_of(s, from)->trial;
	}
	slot_of(s, slot)->trial = hard;
	return true;
}

/* --- Homes. */

/* The owner of `from` lives on `to` from now on, which is free. */
static void move_over(struct sched *s, unsigned from, unsigned to, struct sched_out *out)
{
	struct sched_entity *e = slot_of(s, from)->owner;

	slot_of(s, from)->owner = NULL;
	give_home(s, e->priv, to, out);
	sched_poke(out, from);
}

/* Finds ne, who has none, a slot: a free one in its soft set, any free one, one from which others move over. */
static void find_home(struct sched *s, struct null_entity *ne, const struct cpuset *slots, struct sched_out *out)
{
	const struct sched_entity *e = ne->entity;
	unsigned home = SCHED_NO_SLOT;
	struct cpuset left;

	CPUSET_FOREACH(slot, slots) {
		if (slot_of(s, slot)->owner == NULL && cpuset_has(&e->hard, slot) && cpuset_has(&e->soft, slot)) {
			home = slot;
			break;
		}
	}
	if (home == SCHED_NO_SLOT) {
		set_trials(s, slots);
		home = reach(s, slots, &e->hard, &left);
		for (unsigned from; home != SCHED_NO_SLOT && (from = slot_of(s, home)->from) != SCHED_NO_SLOT; home = from) {
			move_over(s, from, home, out);
		}
	}
	if (home != SCHED_NO_SLOT) {
		give_home(s, ne, home, out);
	}
}

/* Slots or sets have changed: those who wait may have a slot now. */
static void house_all(struct sched *s, struct sched_out *out)
{
	LIST_FOREACH_SAFE(node, &((struct null_sched *)s->priv)->homeless) {
		find_home(s, LIST_ENTRY(node, struct null_entity, link), &s->slots, out);
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
	(void)slot, (void)place, (void)now_ns;
	house_all(s, out);
	return 0;
}

static void null_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct sched_entity *owner = slot_of(s, slot)->owner;
	struct cpuset rest = s->slots;

	(void)now_ns;
	cpuset_del(&rest, slot);
	if (owner != NULL) {
		take_home(s, owner->priv);
		find_home(s, owner->priv, &rest, out);
	}
}

static enum err null_admit(struct sched *s, const struct sched_group *g, unsigned entities,
			   const struct cpuset *slots, struct sched_reason *why)
{
	const struct null_sched *ns = s->priv;
	unsigned have = cpuset_count(slots), wanted = g == NULL ? 0 : g->want_count > 0 ? g->want_count : entities;
	bool fit = true;

	if (ns->entity_count + entities > have) {
		return sched_refuse(ERR_ADMISSION, why, "null gives each vCPU a cpu: %u there + %u new > %u cpus",
				    ns->entity_count, entities, have);
	}
	set_trials(s, &s->slots);
	for (unsigned i = 0; i < wanted && g->want_count > 0; i++) {
		const struct sched_entity *e = g->want[i].instead;

		if (e != NULL && ((const struct null_entity *)e->priv)->home != SCHED_NO_SLOT) {
			slot_of(s, ((const struct null_entity *)e->priv)->home)->trial = NULL;
		}
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct cpuset *hard = slot_of(s, slot)->trial;

		fit = fit && (hard == NULL || cpuset_has(slots, slot) || try(s, slots, hard, why));
	}
	for (unsigned i = 0; i < wanted && fit; i++) {
		fit = try(s, slots, g->want_count > 0 ? g->want[i].hard : slots, why);
	}
	return fit ? ERR_OK : ERR_ADMISSION;
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
	find_home(s, ne, &s->slots, out);
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
		house_all(s, out);
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
	}
	house_all(s, out);
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
