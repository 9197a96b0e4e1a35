/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair shares: idle slots; slots, entities and values come, go and change; looking inside. See fair.h. */
#include "sched/fair.h"

#define CLOCK_BEGIN	(1ul << 50)	/* far from 0, so that nothing is before it */

/* --- Idle slots. */

void fair_set_idle(struct fair *f, unsigned slot, bool idle)
{
	if (cpuset_has(&f->idle, slot) == idle) {
		return;
	}
	if (idle) {
		cpuset_add(&f->idle, slot);
		f->idle_count++;
	} else {
		cpuset_del(&f->idle, slot);
		f->idle_count--;
	}
	fair_set_straight(f);
}

static unsigned find_idle(const struct fair *f, const struct sched_entity *e)
{
	unsigned any = CPU_NONE;

	if (e->slot < CPU_MAX) {
		unsigned i = e->slot / 64;

		if ((f->idle.word[i] & e->hard.word[i] & e->soft.word[i]) >> e->slot % 64 & 1) {
			return e->slot;
		}
	}
	for (unsigned i = 0; i < f->idle_words; i++) {
		uint64_t able = f->idle.word[i] & e->hard.word[i], wanted = able & e->soft.word[i];

		if (wanted != 0) {
			return i * 64 + (unsigned)__builtin_ctzl(wanted);
		}
		if (able != 0 && any == CPU_NONE) {
			any = i * 64 + (unsigned)__builtin_ctzl(able);
		}
	}
	return any;
}

bool fair_poke_idle(struct fair *f, const struct fair_entity *fe, struct sched_out *out)
{
	unsigned slot = find_idle(f, fe->entity);

	if (slot == CPU_NONE) {
		return false;
	}
	fair_set_idle(f, slot, false);
	sched_poke(out, slot);
	return true;
}

void fair_poke_for_waiters(struct fair *f, struct sched_out *out)
{
	for (unsigned classes = f->waiting; classes != 0 && f->idle_count > 0; classes &= classes - 1) {
		const struct fair_class *class = &f->class[__builtin_ctz(classes)];
		const struct fair_entity *fe = fair_line_first(&class->line);
		uint64_t mask = 0;

		if (fe != NULL) {
			(void)fair_poke_idle(f, fe, out);
		}
		for (unsigned i = 0; i < f->idle_words; i++) {
			mask |= f->idle.word[i];
		}
		for (struct tree_node *n = tree_first_fit(&class->tree, mask);
		     n != NULL && !fair_poke_idle(f, fair_of(n), out); n = tree_next_fit(n, mask)) {
		}
	}
}

/* --- Coming and going. */

void fair_init(struct sched *s, const struct fair_policy *policy)
{
	struct fair *f = s->priv;

	f->policy = policy;
	f->sched = s;
	f->clock = CLOCK_BEGIN;
	f->request = (uint64_t)s->values.v[FAIR_TIMESLICE];
	fair_set_slice(f, f->request, 0);
	f->carrier = SCHED_NO_SLOT;
	tree_init(&f->parked, false);
	for (unsigned i = 0; i < FAIR_CLASSES; i++) {
		f->class[i].name = policy->classes[i];
		f->class[i].number = i;
		f->class[i].bit = 1u << i;
		f->class[i].shift = i % FAIR_BRIEF;
		list_init(&f->class[i].line);
		list_init(&f->class[i].slots);
		tree_init(&f->class[i].tree, true);
	}
}

unsigned fair_join(struct sched *s, unsigned slot, const struct sched_place *place, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_slot *fs = fair_slot(s, slot);

	(void)place, (void)now_ns;
	fs->slot = slot;
	f->idle_words = MAX(f->idle_words, slot / 64 + 1);
	sched_poke(out, slot);
	return 0;
}

/* The parks that slot was to see the end of pass to another one. */
void fair_leave(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	unsigned other = cpuset_first(&s->slots);

	(void)now_ns;
	fair_set_idle(f, slot, false);
	if (f->carrier == slot) {
		f->carrier = SCHED_NO_SLOT;
		other = other == slot ? cpuset_next(&s->slots, slot + 1) : other;
		if (other != CPU_NONE) {
			sched_poke(out, other);
		}
	}
	fair_poke_for_waiters(f, out);
}

static void set_masks(struct fair *f, struct fair_entity *fe)
{
	bool full = cpuset_full(&fe->entity->hard);

	if (full != fe->full && (fe->counted || fe->apart)) {
		fair_set_masked(f, full ? -1 : 1);
	}
	fe->full = full;
	fe->node.mask = cpuset_fold(&fe->entity->hard);
}

void fair_add(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;
	struct fair_group *fg = e->group->priv;

	(void)out;
	if (fg->entities++ == 0) {
		fg->epoch_ns = now_ns;
		list_init(&fg->members);
	}
	fe->entity = e;
	fe->group = fg;
	fe->v = f->clock;
	fe->burst = UINT64_MAX;		/* not known yet */
	fe->weight = (uint32_t)e->group->values.v[FAIR_WEIGHT];
	fair_set_kind(f, fe);
	list_push_back(&fg->members, &fe->link);
	f->entities++;
	fe->full = true;
	set_masks(f, fe);
}

void fair_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;

	(void)now_ns, (void)out;
	list_remove(&fe->link);
	fe->group->entities--;
	f->entities--;
	f->capped -= fe->capped;
	fair_set_straight(f);
}

void fair_set_affinity(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;

	(void)now_ns;
	if (fair_waits(fe)) {
		fair_dequeue(f, fe);
		set_masks(f, fe);
		fair_requeue(s, fe, out);
		return;
	}
	set_masks(f, fe);
	if (e->on_slot && !cpuset_has(&e->hard, e->slot)) {
		sched_poke(out, e->slot);
	}
}

/* Weight and cap of g may have changed: that holds at once. */
static void tune_group(struct sched *s, struct sched_group *g, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_group *fg = g->priv;

	if (fg->entities == 0) {
		return;
	}
	if (g->values.v[FAIR_CAP] == 0) {
		fg->budget_ns = 0;		/* what runs from here on is not of the next cap's, though it be the same */
	}
	fg->running = 0;
	LIST_FOREACH(node, &fg->members) {
		struct fair_entity *fe = LIST_ENTRY(node, struct fair_entity, link);
		const struct sched_entity *e = fe->entity;
		bool waits = fair_waits(fe);

		if (waits) {
			fair_dequeue(f, fe);
		}
		fair_reweigh(f, fe);
		fair_set_kind(f, fe);
		fg->running += fe->capped && fair_is_on(s, fe);
		if (waits) {
			fair_renew(f, fe);
			fair_requeue(s, fe, out);
		} else if (e->parked != SCHED_NOT_PARKED) {
			fair_let_go(s, fe, out);		/* it may have budget now */
		}
	}
}

void fair_tune(struct sched *s, struct sched_group *g, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;

	(void)e, (void)now_ns;
	if (g != NULL) {
		tune_group(s, g, out);
		return;
	}
	fair_set_slice(f, (uint64_t)s->values.v[FAIR_TIMESLICE], f->ratelimit_ns);
	CPUSET_FOREACH(slot, &s->slots) {
		fair_slot(s, slot)->end_ns = fair_slot(s, slot)->held_ns = 0;
		sched_poke(out, slot);
	}
}

void fair_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to)
{
	(void)s;
	to->weight = e->group->values.v[FAIR_WEIGHT];
	to->cap = e->group->values.v[FAIR_CAP];
}

void fair_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns)
{
	int64_t *v = e->group->values.v;

	(void)now_ns;
	if (from->weight > 0) {
		v[FAIR_WEIGHT] = MIN(from->weight, FAIR_WEIGHT_MAX);
		fair_reweigh(s->priv, e->priv);
	}
	if (from->cap > 0) {
		v[FAIR_CAP] = MIN(from->cap, (int64_t)FAIR_CAP_MAX);
	}
	fair_set_kind(s->priv, e->priv);
}

/* --- Looking inside. */

/* See fair.h. */
uint64_t fair_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct fair *f = s->priv;
	uint64_t slices = ((FAIR_BEHIND + FAIR_AHEAD) << 4) + (1u << f->longest % FAIR_BRIEF);		/* in 16ths */
	uint64_t first_ns = MAX(f->stretch_ns, f->least_ns);

	(void)e;
	return f->entities * (first_ns + (slices * f->slice_ns >> 4) + f->least_ns);
}

/* A line: who it is, and what it is owed or owes. */
static void describe(const struct fair *f, const struct fair_entity *fe, struct text *to)
{
	text_printf(to, "%s.%u, %s ", fe->entity->group->name, fe->entity->number, fe->v > f->clock ? "owes" : "owed");
	text_ns(to, (fe->v > f->clock ? fe->v - f->clock : f->clock - fe->v) * fe->weight / FAIR_ONE);
	text_puts(to, fe->start <= f->clock ? ", its turn has come\n" : "\n");
}

void fair_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	struct fair *f = s->priv;

	(void)now_ns;
	CPUSET_FOREACH(slot, &s->slots) {
		const struct fair_entity *on = fair_slot(s, slot)->on;

		text_printf(to, "slot %u: %s", slot, on == NULL ? "idle\n" : "");
		if (on != NULL) {
			describe(f, on, to);
		}
	}
	for (unsigned classes = f->waiting; classes != 0; classes &= classes - 1) {
		const struct fair_class *class = &f->class[__builtin_ctz(classes)];

		text_printf(to, "%s:\n", class->name);
		LIST_FOREACH(node, &class->line) {
			text_puts(to, "    ");
			describe(f, LIST_ENTRY(node, struct fair_entity, line), to);
		}
		for (struct tree_node *n = tree_first(&class->tree); n != NULL; n = tree_next(n)) {
			text_puts(to, "    ");
			describe(f, fair_of(n), to);
		}
	}
}

static bool may_wait(const struct fair_entity *fe, const struct fair_class *class, enum fair_place place)
{
	const struct sched_entity *e = fe->entity;

	return e->runnable && !e->on_slot && e->parked == SCHED_NOT_PARKED && fe->place == place && fe->class == class &&
	       (fe->counted || fe->apart);
}

static bool class_check(const struct fair *f, const struct fair_class *class, unsigned *masked)
{
	const struct tree *tree = &class->tree;
	const struct fair_entity *last = NULL, *first = fair_line_first(&class->line);
	unsigned n = 0;

	LIST_FOREACH(node, &class->line) {
		const struct fair_entity *fe = LIST_ENTRY(node, struct fair_entity, line);

		if (!may_wait(fe, class, FAIR_LINE) || !fe->full || (last != NULL && last->node.key > fe->node.key)) {
			return false;
		}
		last = fe;
	}
	for (struct tree_node *at = tree_first(tree); at != NULL; at = tree_next(at), n++) {
		if (!may_wait(fair_of(at), class, FAIR_TREE) || at->key != fair_of(at)->start) {
			return false;
		}
		*masked += !fair_of(at)->full;
	}
	if (n > 0 && (first == NULL || tree_first(tree)->key < first->node.key)) {
		first = fair_of(tree_first(tree));
	}
	return tree_check(tree, n) && f->first[class->number] == first && class->treed == (n > 0) &&
	       ((f->waiting & class->bit) != 0) == (first != NULL) &&
	       ((f->running & class->bit) == 0) == list_empty(&class->slots);
}

bool fair_check(struct sched *s, struct sched_reason *why)
{
	const struct fair *f = s->priv;
	unsigned masked = 0;

	for (unsigned i = 0; i < FAIR_CLASSES; i++) {
		if (!class_check(f, &f->class[i], &masked)) {
			return sched_refuse(ERR_STATE, why, "class %u is in disorder", i) == ERR_OK;
		}
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct fair_entity *on = fair_slot(s, slot)->on;

		if (on != NULL && (!on->entity->runnable || fair_waits(on) || on->entity->slot != slot ||
				   cpuset_has(&f->idle, slot))) {
			return sched_refuse(ERR_STATE, why, "slot %u: runs one that cannot be there", slot) == ERR_OK;
		}
		masked += on != NULL && !on->full;
	}
	if (!tree_check(&f->parked, f->parked_count) || cpuset_count(&f->idle) != f->idle_count || masked > f->masked ||
	    (f->runnable_weight == 0) != (f->runnable == 0) || f->rest >= MAX(f->weight, 1ul) || f->weight > f->runnable_weight ||
	    f->straight_ns != ((f->idle_count | f->capped | f->masked) == 0 ? f->look_ns : 0)) {
		return sched_refuse(ERR_STATE, why, "%u run or wait, %u are parked, %u slots idle: one is not true", f->runnable,
				    f->parked_count, f->idle_count) == ERR_OK;
	}
	return true;
}
