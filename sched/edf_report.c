/* SPDX-License-Identifier: BSD-2-Clause */
/* What `rtds` and `sedf` share beside time: settings, standing, text, invariants. */
#include "sched/edf.h"

enum err edf_validate(const struct sched_values *v, enum sched_scope scope, struct sched_reason *why)
{
	char period[24], budget[24];
	struct text p = text_make(period, sizeof(period)), b = text_make(budget, sizeof(budget));

	if (scope == SCHED_POOL || v->v[EDF_BUDGET] <= v->v[EDF_PERIOD]) {
		return ERR_OK;
	}
	text_ns(&p, (uint64_t)v->v[EDF_PERIOD]);
	text_ns(&b, (uint64_t)v->v[EDF_BUDGET]);
	return sched_refuse(ERR_RANGE, why, "a budget of %s does not fit a period of %s", budget, period);
}

void edf_export(struct sched *s, const struct sched_entity *e, struct sched_snapshot *to)
{
	const struct edf_entity *ee = e->priv;

	(void)s;
	if (ee->budget_ns > 0) {
		to->period_ns = (int64_t)ee->period_ns;
		to->budget_ns = (int64_t)ee->budget_ns;
		to->deadline_ns = ee->deadline_ns;
		to->left_ns = ee->spent ? 0 : ee->left_ns;
	}
}

/* What was used elsewhere of this period stays used. The reservation itself comes as values, which were admitted. */
void edf_import(struct sched *s, struct sched_entity *e, const struct sched_snapshot *from, uint64_t now_ns)
{
	struct edf_entity *ee = e->priv;

	if (ee->budget_ns == 0 || from->deadline_ns <= now_ns) {
		return;
	}
	ee->deadline_ns = from->deadline_ns;
	ee->left_ns = from->left_ns;
	ee->spent = ee->left_ns == 0;
	edf_retime(ee, from->period_ns > 0 ? edf_use_of(from->budget_ns, from->period_ns) : EDF_ONE, now_ns);
	edf_note_special(ee);
	if (ee->spent) {
		ee->left_ns = ee->quantum_ns;
		ee->vtime = ((struct edf *)s->priv)->vtime;
	}
}

/*
 * Also under overload and after any change: used up, it waits, unless it is parked, for its deadline, at most a period away,
 * and has one at most a period away then; once that is over, whatever else comes is due later, for a lag is cut to now. So only
 * what each of the others has left of one budget comes before it, on its home, or on all slots but those of urgent ones. Extra
 * time alone promises nothing: reservations may take all.
 */
uint64_t edf_wait_bound_ns(struct sched *s, const struct sched_entity *e)
{
	const struct edf *x = s->priv;
	const struct edf_entity *ee = e->priv;
	const struct edf_slot *home = x->homes ? ee->home_slot : NULL;
	uint64_t others_ns = (home != NULL ? home->budgets_ns : x->budgets_ns) - ee->budget_ns;

	others_ns /= x->alike && x->slot_count > x->urgent ? x->slot_count - x->urgent : 1;
	return ee->budget_ns > 0 ? (ee->extratime ? 2 : 1) * ee->period_ns + others_ns : NS_NEVER;
}

/* --- What there would be. */

static void mark(const struct edf_question *q, bool on)
{
	for (unsigned i = 0; q->g != NULL && i < q->g->want_count; i++) {
		if (q->g->want[i].instead != NULL) {
			((struct edf_entity *)q->g->want[i].instead->priv)->want = on ? &q->g->want[i] : NULL;
		}
	}
}

struct edf_question edf_ask(struct sched *s, const struct sched_group *g, unsigned entities, const struct cpuset *slots)
{
	const struct edf_question q = { s, g, g != NULL && g->want_count > 0 ? g->want_count : entities, slots };

	mark(&q, true);
	return q;
}

void edf_unask(const struct edf_question *q)
{
	mark(q, false);
}

uint64_t edf_use_asked(const struct edf_question *q, unsigned i)
{
	return edf_use(q->g->want_count > 0 ? &q->g->want[i].values : &q->g->values);
}

const struct cpuset *edf_hard_asked(const struct edf_question *q, unsigned i)
{
	return q->g->want_count > 0 ? q->g->want[i].hard : NULL;
}

uint64_t edf_use_there(const struct edf_question *q)
{
	uint64_t use = ((const struct edf *)q->s->priv)->use;

	for (unsigned i = 0; q->g != NULL && i < q->g->want_count; i++) {
		const struct sched_entity *e = q->g->want[i].instead;

		use -= e != NULL ? ((const struct edf_entity *)e->priv)->use : 0;
	}
	return use;
}

/* The largest of those asked about that is smaller than `below`, or as large and comes after number `after`. */
static unsigned next_asked(const struct edf_question *q, uint64_t below, unsigned after)
{
	unsigned best = UINT32_MAX;

	for (unsigned i = 0; i < q->asked; i++) {
		uint64_t use = edf_use_asked(q, i);

		if (use > 0 && (use < below || (use == below && i > after)) &&
		    (best == UINT32_MAX || use > edf_use_asked(q, best))) {
			best = i;
		}
	}
	return best;
}

struct edf_walk edf_walk(const struct edf_question *q)
{
	const struct edf *x = q->s->priv;

	return (struct edf_walk){ .q = q, .next = tree_first(&x->by_use), .next_asked = next_asked(q, UINT64_MAX, 0) };
}

bool edf_walk_on(struct edf_walk *w)
{
	const struct edf_question *q = w->q;
	uint64_t use = w->next_asked != UINT32_MAX ? edf_use_asked(q, w->next_asked) : 0;

	while (w->next != NULL && TREE_ENTRY(w->next, struct edf_entity, by_use)->want != NULL) {
		w->next = tree_next(w->next);		/* asked about */
	}
	w->ee = w->next != NULL ? TREE_ENTRY(w->next, struct edf_entity, by_use) : NULL;
	if (w->ee != NULL && w->ee->use >= use) {
		w->use = w->ee->use;
		w->hard = &w->ee->entity->hard;
		w->next = tree_next(w->next);
		return true;
	}
	w->ee = NULL;
	if (use == 0) {
		return false;
	}
	w->use = use;
	w->hard = edf_hard_asked(q, w->next_asked);
	w->next_asked = next_asked(q, use, w->next_asked);
	return true;
}

/* --- Text and invariants. */

static void describe_entity(const struct edf_entity *ee, bool homes, uint64_t now_ns, struct text *to)
{
	const struct sched_entity *e = ee->entity;

	text_printf(to, "%s.%u: ", e->group->name, e->number);
	if (ee->budget_ns > 0) {
		text_ns(to, ee->budget_ns);
		text_puts(to, " in ");
		text_ns(to, ee->period_ns);
		text_puts(to, ", left ");
		text_ns(to, ee->spent ? 0 : ee->left_ns);
		text_puts(to, ee->deadline_ns >= now_ns ? ", deadline in " : ", deadline over for ");
		text_ns(to, ee->deadline_ns >= now_ns ? ee->deadline_ns - now_ns : now_ns - ee->deadline_ns);
	} else {
		text_puts(to, "extra time only");
	}
	if (homes && ee->home != SCHED_NO_SLOT) {
		text_printf(to, ", home %u", ee->home);
	}
	text_puts(to, !e->runnable ? ", asleep\n" : e->on_slot ? ", runs\n" :
		      e->parked != SCHED_NOT_PARKED ? ", parked\n" : ee->spent ? ", waits for extra time\n" : ", waits\n");
}

void edf_describe(struct sched *s, uint64_t now_ns, struct text *to)
{
	struct edf *x = s->priv;

	CPUSET_FOREACH(slot, &s->slots) {
		const struct edf_slot *es = edf_slot_of(s, slot);

		text_printf(to, "slot %u: ", slot);
		if (es->running == NULL) {
			text_puts(to, "idle");
		} else {
			text_printf(to, "%s.%u%s", es->running->entity->group->name, es->running->entity->number,
				    es->running->spent ? " in extra time" : "");
		}
		if (x->homes) {
			text_printf(to, ", reserved " EDF_FMT, EDF_ARG(es->load));
		}
		text_putc(to, '\n');
	}
	LIST_FOREACH(node, &x->entities) {
		describe_entity(LIST_ENTRY(node, struct edf_entity, link), x->homes, now_ns, to);
	}
}

static const char *wrong_entity(const struct edf *x, const struct edf_entity *ee)
{
	const struct sched_entity *e = ee->entity;
	bool waits = e->runnable && !e->on_slot && e->parked == SCHED_NOT_PARKED;
	bool extra = ee->in == &x->extra.anywhere || ee->in == &x->extra.pinned;

	return (ee->in != NULL) + !list_empty(&ee->turn) + (ee->promised_by != NULL) != waits ||
	       ee->node.linked != (ee->in != NULL) ? "waits and is not queued, or the other way round" :
	       ee->in != NULL && (ee->node.key != edf_key(ee) || extra != ee->spent) ? "is in the wrong place or queue" :
	       ee->refill.linked != (e->runnable && ee->spent && ee->budget_ns > 0) ? "waits for a budget it has, or for none" :
	       e->parked != SCHED_NOT_PARKED && (!e->runnable || !ee->spent || ee->extratime) ? "is parked without reason" :
	       !ee->spent && ee->left_ns - 1 >= ee->budget_ns ? "has more than its budget, or none and is not spent" : NULL;
}

bool edf_check(struct sched *s, struct sched_reason *why)
{
	struct edf *x = s->priv;
	unsigned queued[4] = { 0 }, refills = 0, fresh = 0, ranked = 0;

	LIST_FOREACH(node, &x->entities) {
		const struct edf_entity *ee = LIST_ENTRY(node, struct edf_entity, link);
		const char *wrong = wrong_entity(x, ee);

		if (wrong != NULL) {
			return sched_refuse(ERR_STATE, why, "%s.%u %s", ee->entity->group->name, ee->entity->number, wrong) ==
			       ERR_OK;
		}
		queued[0] += ee->in == &x->ready.anywhere;
		queued[1] += ee->in == &x->extra.anywhere;
		queued[2] += ee->in == &x->extra.pinned;
		queued[3] += ee->in == &x->ready.pinned;
		refills += ee->refill.linked;
		fresh += !list_empty(&ee->turn);
	}
	CPUSET_FOREACH(slot, &s->slots) {
		const struct edf_slot *es = edf_slot_of(s, slot);
		const struct edf_entity *ee = es->running;

		if (ee != NULL && (!ee->entity->runnable || !ee->entity->on_slot || ee->entity->slot != slot)) {
			return sched_refuse(ERR_STATE, why, "slot %u: runs one that cannot be there", slot) == ERR_OK;
		}
		ranked += es->rank.linked;
		if (es->rank.linked != edf_is_ranked(x, es->rank.key) || (es->straight && (!x->apart || !edf_is_busy(es->rank.key) || es->promised != NULL)) ||
		    cpuset_has(&x->low[EDF_RANK_IDLE], slot) != (es->rank.key == EDF_RANK_IDLE) ||
		    cpuset_has(&x->low[EDF_RANK_EXTRA], slot) != (!x->apart && es->rank.key == EDF_RANK_EXTRA) ||
		    (es->promised != NULL && (es->promised->promised_by != es || !es->promised->entity->runnable))) {
			return sched_refuse(ERR_STATE, why, "slot %u: has the wrong rank or promise", slot) == ERR_OK;
		}
	}
	if (!tree_check(&x->ready.anywhere, queued[0]) || !tree_check(&x->extra.anywhere, queued[1]) ||
	    !tree_check(&x->extra.pinned, queued[2]) || !tree_check(&x->ready.pinned, queued[3]) ||
	    !tree_check(&x->refill, refills) ||
	    x->refill_ns != (refills == 0 ? NS_NEVER : MAX(tree_first(&x->refill)->key, x->batch_ns)) ||
	    !tree_check(&x->slots, ranked) ||
	    !list_check(&x->fresh, fresh)) {
		return sched_refuse(ERR_STATE, why, "a queue is broken") == ERR_OK;
	}
	return true;
}
