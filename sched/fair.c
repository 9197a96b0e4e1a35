/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair shares: see fair.h. */
#include "sched/fair.h"

#define CLOCK_BEGIN	(1ul << 50)	/* far from 0, so that nothing is before it */

void fair_init(struct fair *f, uint64_t slice_ns)
{
	f->clock = CLOCK_BEGIN;
	f->slice_ns = slice_ns;
	f->request = slice_ns;
	f->carrier = SCHED_NO_SLOT;
	tree_init(&f->parked, false);
}

void fair_queue_init(struct fair_queue *q)
{
	tree_init(&q->full, false);
	tree_init(&q->some, true);
}

void fair_add(struct fair *f, struct fair_entity *fe, struct sched_entity *e, uint64_t now_ns)
{
	struct fair_group *fg = e->group->priv;

	if (fg->entities++ == 0) {
		fg->epoch_ns = now_ns;
		list_init(&fg->members);
	}
	fe->entity = e;
	fe->group = fg;
	fe->v = fe->start = f->clock;
	fe->weight = (uint32_t)e->group->values.v[FAIR_WEIGHT];
	list_push_back(&fg->members, &fe->link);
	f->entities++;
	f->total_weight += fe->weight;
	fair_set_affinity(fe);
}

void fair_remove(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;

	(void)now_ns, (void)out;
	list_remove(&fe->link);
	fe->group->entities--;
	f->entities--;
	f->total_weight -= fe->weight;
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
}

/* --- The account. */

static void set_request(struct fair *f)
{
	if (f->weight > 0) {
		f->request = MAX(f->slice_ns * FAIR_ONE * f->count / f->weight, 1ul);
	}
}

void fair_set_slice(struct fair *f, uint64_t slice_ns)
{
	f->slice_ns = slice_ns;
	set_request(f);
}

/* fe, which weighs that much, comes into the mean (or goes out of it); with the rest carried along that is exact. */
static void move_clock(struct fair *f, const struct fair_entity *fe, bool in)
{
	const int64_t far = 1l << 44, weight = (int64_t)f->weight;
	int64_t away = (int64_t)(fe->v - f->clock), sum;

	away = MAX(MIN(away, far), -far);
	sum = (in ? away : -away) * (int64_t)fe->weight + (int64_t)f->rest;
	f->rest = 0;
	if (weight > 0) {
		int64_t by = sum / weight - (sum % weight < 0);

		f->clock += (uint64_t)by;
		f->rest = (uint64_t)(sum - by * weight);
	}
}

static void count_in(struct fair *f, struct fair_entity *fe)
{
	fe->counted = true;
	fe->apart = false;
	f->weight += fe->weight;
	f->count++;
	move_clock(f, fe, true);
	set_request(f);
}

static void count_out(struct fair *f, struct fair_entity *fe)
{
	fe->counted = false;
	f->weight -= fe->weight;
	f->count--;
	move_clock(f, fe, false);
	set_request(f);
}

/* No further than that behind the clock, or ahead of it. */
static void clip(const struct fair *f, struct fair_entity *fe, uint64_t behind, uint64_t ahead)
{
	uint64_t v = MIN(MAX(fe->v, f->clock - behind), f->clock + ahead);

	fe->start += v - fe->v;
	fe->v = v;
}

void fair_start(struct fair *f, struct fair_entity *fe)
{
	clip(f, fe, f->request / 2, FAIR_BEHIND * f->request);
	count_in(f, fe);
}

void fair_stop(struct fair *f, struct fair_entity *fe)
{
	if (fe->counted) {
		count_out(f, fe);
	}
	fe->apart = false;
}

void fair_reweigh(struct fair *f, struct fair_entity *fe)
{
	const int64_t far = 1l << 44, was = (int64_t)fe->weight, is = fe->entity->group->values.v[FAIR_WEIGHT];
	int64_t away = (int64_t)(fe->v - f->clock), had = (int64_t)(fe->v - fe->start);
	const uint64_t clock = f->clock;
	bool counted = fe->counted;

	if (was == is) {
		return;
	}
	if (counted) {
		count_out(f, fe);
	}
	fe->v = clock + (uint64_t)(MAX(MIN(away, far), -far) * was / is);
	fe->start = fe->v - (uint64_t)(MIN(had, far) * was / is);
	fe->weight = (uint32_t)is;
	fe->rest = 0;
	f->total_weight += (uint64_t)(is - was);
	if (counted) {
		count_in(f, fe);
	}
}

/* fe is too far from the clock, or was and may be near it again. */
void fair_settle(struct fair *f, struct fair_entity *fe)
{
	if (fe->counted && f->count > 1) {
		count_out(f, fe);
		fe->apart = true;
	}
	if (fe->apart) {
		uint64_t low = f->clock - FAIR_BEHIND / 2 * f->request;

		clip(f, fe, FAIR_BEHIND * f->request, FAIR_AHEAD * f->request);
		if (f->count == 0 || fe->v - low <= (FAIR_BEHIND + FAIR_AHEAD) / 2 * f->request) {
			count_in(f, fe);
		}
	}
}

uint64_t fair_bound_ns(const struct fair *f, const struct fair_entity *fe)
{
	uint64_t ahead = fe->start > f->clock ? (fe->start - f->clock) / f->request : 0;

	return (ahead + FAIR_BEHIND + FAIR_AHEAD + 2) * (f->request * f->total_weight / FAIR_ONE + f->entities * f->slice_ns);
}

/* --- Queues. */

void fair_set_affinity(struct fair_entity *fe)
{
	uint64_t all = ~0ul;

	fe->node.mask = 0;
	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		all &= fe->entity->hard.word[i];
		fe->node.mask |= fe->entity->hard.word[i];
	}
	fe->full = all == ~0ul;
}

/* In a pool of up to 64 slots the first found may run there. */
struct fair_entity *fair_first_some(const struct fair_queue *q, unsigned slot)
{
	const uint64_t wanted = 1ul << slot % 64;
	struct tree_node *n = tree_first_fit(&q->some, wanted);

	while (n != NULL && !cpuset_has(&fair_of(n)->entity->hard, slot)) {
		n = tree_next_fit(n, wanted);
	}
	return fair_of(n);
}

/* --- Idle slots. */

void fair_join(struct fair *f, unsigned slot)
{
	f->idle_words = MAX(f->idle_words, slot / 64 + 1);
}

void fair_leave(struct sched *s, struct fair *f, unsigned slot, struct sched_out *out)
{
	fair_set_idle(f, slot, false);
	if (f->carrier != slot) {
		return;
	}
	f->carrier = SCHED_NO_SLOT;
	CPUSET_FOREACH(other, &s->slots) {
		if (other != slot) {
			sched_poke(out, other);
			return;
		}
	}
}

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
}

static unsigned find_idle(const struct fair *f, const struct sched_entity *e)
{
	unsigned any = CPU_NONE;

	if (cpuset_has(&f->idle, e->slot) && cpuset_has(&e->hard, e->slot) && cpuset_has(&e->soft, e->slot)) {
		return e->slot;
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

bool fair_find_idle(struct fair *f, const struct fair_entity *fe, struct sched_out *out)
{
	unsigned slot = find_idle(f, fe->entity);

	if (slot == CPU_NONE) {
		return false;
	}
	fair_set_idle(f, slot, false);
	sched_poke(out, slot);
	return true;
}

static uint64_t idle_mask(const struct fair *f)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < f->idle_words; i++) {
		mask |= f->idle.word[i];
	}
	return mask;
}

/* Each step but the last takes a slot out of the idle ones, in a pool of up to 64. */
void fair_poke_for(struct fair *f, struct fair_queue *q, struct sched_out *out)
{
	struct tree_node *n;

	for (n = tree_first(&q->full); n != NULL && fair_poke_idle(f, fair_of(n), out); n = tree_next(n)) {
	}
	for (n = tree_first_fit(&q->some, idle_mask(f)); n != NULL && f->idle_count > 0;
	     n = tree_next_fit(n, idle_mask(f))) {
		(void)fair_poke_idle(f, fair_of(n), out);
	}
}

/* --- Caps. */

/* Periods that are over take their budgets off what was used. What was used under another cap is forgotten. */
static void turn(struct fair_group *fg, uint64_t period, int64_t budget_ns, int64_t save_ns)
{
	int64_t passed = (int64_t)(period - fg->period);

	if (budget_ns != fg->budget_ns) {
		fg->budget_ns = budget_ns;
		fg->used_ns = 0;
	} else if (passed < 0 || passed > (fg->used_ns + save_ns) / budget_ns) {
		fg->used_ns = -save_ns;
	} else {
		fg->used_ns -= passed * budget_ns;
	}
	fg->period = period;
}

static void park(struct fair *f, struct fair_entity *fe, uint64_t until_ns)
{
	if (fe->queue != NULL) {
		fair_dequeue(f, fe);
	}
	fair_stop(f, fe);
	fe->entity->parked = SCHED_PARK_CAP;
	fe->entity->parked_until_ns = until_ns;
	fe->node.key = until_ns;
	tree_insert(&f->parked, &fe->node);
	f->parked_count++;
}

bool fair_fund(struct sched *s, struct fair_entity *fe, int64_t save_ns, uint64_t now_ns, uint64_t *end_ns)
{
	const uint64_t period_ns = (uint64_t)s->values.v[FAIR_CAP_PERIOD];
	const int64_t budget_ns = (int64_t)period_ns * fe->entity->group->values.v[FAIR_CAP] / 100;
	struct fair_group *fg = fe->group;
	uint64_t period = ns_since(fg->epoch_ns, now_ns) / period_ns;

	if (period != fg->period || budget_ns != fg->budget_ns) {
		turn(fg, period, budget_ns, save_ns);
	}
	if (fg->used_ns < budget_ns) {
		*end_ns = now_ns + MAX((uint64_t)(budget_ns - fg->used_ns) / (fg->running + 1), 1ul);
		return true;
	}
	period += (uint64_t)(fg->used_ns / budget_ns);
	park(s->priv, fe, MAX(fg->epoch_ns + period * period_ns, now_ns + 1));
	return false;
}

void fair_unpark(struct fair *f, struct fair_entity *fe)
{
	fe->entity->parked = SCHED_NOT_PARKED;
	tree_remove(&f->parked, &fe->node);
	if (--f->parked_count == 0) {
		f->carrier = SCHED_NO_SLOT;
	}
}

static void let_go(struct fair *f, const struct fair_hooks *h, struct fair_entity *fe, struct sched_out *out)
{
	fair_unpark(f, fe);
	fair_start(f, fe);
	h->unparked(f, fe, out);
}

void fair_unpark_due(struct fair *f, const struct fair_hooks *h, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct fair_entity *fe;

	for (unsigned n = 0; (fe = fair_of(tree_first(&f->parked))) != NULL && fe->node.key <= now_ns; n++) {
		if (n == FAIR_BATCH) {
			sched_poke(out, slot);
			return;
		}
		let_go(f, h, fe, out);
	}
}

void fair_tune_group(struct fair *f, const struct fair_hooks *h, struct sched_group *g, struct sched_out *out)
{
	struct fair_group *fg = g->priv;

	if (fg->entities == 0) {
		return;
	}
	if (g->values.v[FAIR_CAP] == 0) {
		fg->budget_ns = 0;		/* what runs from here on is not of the next cap's, though it be the same */
	}
	LIST_FOREACH(node, &fg->members) {
		struct fair_entity *fe = LIST_ENTRY(node, struct fair_entity, link);
		bool waits = fe->queue != NULL;

		if (waits) {
			h->dequeue(f, fe);
		}
		fair_reweigh(f, fe);
		if (waits) {
			h->enqueue(f, fe);
		} else if (fe->entity->parked != SCHED_NOT_PARKED) {
			let_go(f, h, fe, out);		/* it may have budget now */
		}
	}
}

uint64_t fair_carry_park(struct fair *f, unsigned slot, uint64_t until_ns, uint64_t now_ns)
{
	const struct tree_node *n = tree_first(&f->parked);

	if (f->carrier != slot && f->carrier != SCHED_NO_SLOT && n->key >= f->carried_ns) {
		return until_ns;
	}
	f->carrier = slot;
	f->carried_ns = n->key;
	return MIN(until_ns, MAX(n->key, now_ns + 1));
}

/* --- Looking inside. */

void fair_describe(const struct fair *f, const struct fair_entity *fe, struct text *to)
{
	if (fe == NULL) {
		text_puts(to, "idle\n");
		return;
	}
	text_printf(to, "%s.%u, %s ", fe->entity->group->name, fe->entity->number, fe->v > f->clock ? "owes" : "owed");
	text_ns(to, (fe->v > f->clock ? fe->v - f->clock : f->clock - fe->v) * fe->weight / FAIR_ONE);
	text_puts(to, fe->start <= f->clock ? ", its turn has come\n" : "\n");
}

void fair_queue_describe(const struct fair *f, const struct fair_queue *q, struct text *to)
{
	const struct tree *trees[] = { &q->full, &q->some };

	for (unsigned i = 0; i < ARRAY_SIZE(trees); i++) {
		for (struct tree_node *n = tree_first(trees[i]); n != NULL; n = tree_next(n)) {
			text_puts(to, "    ");
			fair_describe(f, fair_of(n), to);
		}
	}
}

bool fair_queue_check(const struct fair_queue *q, unsigned *count, struct sched_reason *why)
{
	const struct tree *trees[] = { &q->full, &q->some };

	for (unsigned i = 0; i < ARRAY_SIZE(trees); i++) {
		unsigned n = 0;

		for (struct tree_node *at = tree_first(trees[i]); at != NULL; at = tree_next(at), n++) {
			const struct fair_entity *fe = fair_of(at);
			const struct sched_entity *e = fe->entity;

			if (!e->runnable || e->on_slot || e->parked != SCHED_NOT_PARKED || fe->queue != q ||
			    fe->full != (i == 0) || !(fe->counted || fe->apart)) {
				return sched_refuse(ERR_STATE, why, "%s.%u waits, and may not", e->group->name,
						    e->number) == ERR_OK;
			}
		}
		if (!tree_check(trees[i], n)) {
			return sched_refuse(ERR_STATE, why, "a queue's tree is broken") == ERR_OK;
		}
		*count += n;
	}
	return true;
}

bool fair_check(const struct fair *f, struct sched_reason *why)
{
	if (!tree_check(&f->parked, f->parked_count) || cpuset_count(&f->idle) != f->idle_count ||
	    (f->weight == 0) != (f->count == 0) || f->rest >= MAX(f->weight, 1ul) || f->count > f->entities) {
		return sched_refuse(ERR_STATE, why, "%u count, %u are parked, %u slots idle: one is not true", f->count,
				    f->parked_count, f->idle_count) == ERR_OK;
	}
	return true;
}

bool fair_slot_check(const struct fair *f, const struct fair_entity *on, unsigned slot, struct sched_reason *why)
{
	return on == NULL || (on->entity->runnable && on->queue == NULL && on->entity->slot == slot && !cpuset_has(&f->idle, slot)) ||
	       sched_refuse(ERR_STATE, why, "slot %u: runs one that cannot be there", slot) == ERR_OK;
}
