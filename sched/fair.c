/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair shares: who waits, who runs next and for how long. See fair.h. */
#include "sched/fair.h"

#define TRIES		4u		/* slots that a waker looks at */
#define BATCH		4u		/* entities that one pick may park or let go on */

/* --- Waiting. */

/* The first of that class, of which some wait, that may run on slot; or NULL. */
static inline struct fair_entity *first_for(const struct fair *f, unsigned class, unsigned slot)
{
	return fair_may_run(f->first[class], slot) ? f->first[class] : fair_search(&f->class[class], slot);
}

static inline void line_up(struct fair_entity *fe, uint64_t key, struct list *prev, struct list *next)
{
	fe->place = FAIR_LINE;
	fe->node.key = key;
	fe->line.next = next;
	fe->line.prev = prev;
	prev->next = next->prev = &fe->line;
}

/*
 * fe, which may run everywhere, is not behind all in the line. Those in a class of wakers are served as they came, though the
 * clock, and so their start, goes back a little with each. Whose turn was cut short goes on before the others, and if it is
 * over, waits till after them. So a tree is needed only if its start is far from that of the first and of the last one. ran: it
 * comes off a slot.
 */
static INLINE void enqueue_amid(struct fair *f, struct fair_class *class, struct fair_entity *fe, const bool ran)
{
	const uint64_t near = ran && fe->place != FAIR_CUT ? f->request / 2 : f->request, start = fe->start;
	const uint64_t front = f->first[class->number]->node.key, back = fair_line_last(class)->node.key;

	if (!ran && class != fe->ordinary && back <= f->clock) {
		fe->due += back - fe->start;
		fe->start = back;
		line_up(fe, back, class->line.prev, &class->line);
	} else if (start <= front || (ran && fe->v != start && start - front <= near)) {
		f->first[class->number] = fe;
		line_up(fe, MIN(start, front), &class->line, class->line.next);
	} else if (back - start <= near) {
		line_up(fe, back, class->line.prev, &class->line);
	} else {
		fair_insert(f, fe);
	}
}

static APART void enqueue_woken_amid(struct fair *f, struct fair_class *class, struct fair_entity *fe)
{
	enqueue_amid(f, class, fe, false);
}

/* fe, which may run everywhere, waits. */
static INLINE void enqueue(struct fair *f, struct fair_entity *fe, const bool ran)
{
	struct fair_class *class = fe->class;
	struct list *line = &class->line, *last = line->prev;

	if (last == line) {
		if ((f->waiting & class->bit) == 0 || fe->start <= f->first[class->number]->node.key) {
			f->first[class->number] = fe;
			f->waiting |= class->bit;
		}
		line_up(fe, fe->start, line, line);
	} else if (fe->start >= LIST_ENTRY(last, struct fair_entity, line)->node.key) {
		line_up(fe, fe->start, last, line);
	} else if (ran) {
		enqueue_amid(f, class, fe, true);
	} else {
		enqueue_woken_amid(f, class, fe);
	}
}

static APART void enqueue_any(struct fair *f, struct fair_entity *fe, bool ran)
{
	if (fe->full) {
		enqueue(f, fe, ran);
	} else {
		fair_insert(f, fe);
	}
}

/* --- Slots, by what they run. */

static inline void unlist(struct fair *f, struct fair_slot *fs)
{
	struct list *next = fs->link.next, *prev = fs->link.prev;

	next->prev = prev;
	prev->next = next;
	if (next == prev) {
		f->running ^= fs->class->bit;
	}
	fs->class = NULL;
}

static inline void list_as(struct fair *f, struct fair_slot *fs, struct fair_class *class)
{
	fs->class = class;
	list_push_back(&class->slots, &fs->link);
	f->running |= class->bit;
}

static void take_off(struct fair *f, struct fair_slot *fs)
{
	if (fs->on != NULL) {
		fs->on->group->running -= fs->on->capped;
		fs->on = NULL;
	}
	if (fs->class != NULL) {
		unlist(f, fs);
	}
}

/* Waits for a slot that runs a brief request, no longer than its own: the next waker takes another. */
static inline bool claim(struct fair *f, const struct fair_entity *fe)
{
	unsigned brief = f->running & ((2u << fe->class->shift) - 1);
	struct fair_slot *fs;

	if (brief == 0) {
		return false;
	}
	fs = LIST_ENTRY(f->class[__builtin_ctz(brief)].slots.next, struct fair_slot, link);
	if (!fair_may_run(fe, fs->slot)) {
		return false;
	}
	unlist(f, fs);
	return true;
}

/* fe takes fs, if what runs there is due later. */
static INLINE bool take(struct fair *f, struct fair_slot *fs, const struct fair_entity *fe, struct sched_out *out)
{
	if (fs->on->due <= fe->due || !fair_may_run(fe, fs->slot)) {
		return false;
	}
	unlist(f, fs);
	sched_poke(out, fs->slot);
	return true;
}

/* One of the first few that run requests of the longest of these classes. */
static APART void preempt(struct fair *f, unsigned classes, const struct fair_entity *fe, struct sched_out *out)
{
	unsigned tries = 0;

	for (unsigned class; classes != 0; classes ^= 1u << class) {
		class = 31 - (unsigned)__builtin_clz(classes);
		LIST_FOREACH(n, &f->class[class].slots) {
			if (take(f, LIST_ENTRY(n, struct fair_slot, link), fe, out) || ++tries == TRIES) {
				return;
			}
		}
	}
}

/* Where fe, which may not run everywhere, ran last: waits for who runs a brief request there, or takes the place. */
static APART bool take_last(const struct sched *s, struct fair *f, const struct fair_entity *fe, struct sched_out *out)
{
	struct fair_slot *fs = cpuset_has(&s->slots, fe->entity->slot) ? fair_slot(s, fe->entity->slot) : NULL;
	bool brief;

	if (fs == NULL || fs->class == NULL || !fair_may_run(fe, fs->slot)) {
		return false;
	}
	brief = fs->class->number <= fe->class->shift;
	if (!brief && fs->on->due <= fe->due) {
		return false;
	}
	unlist(f, fs);
	if (!brief) {
		sched_poke(out, fs->slot);
	}
	return true;
}

/* Some slot for fe, which waits and is eligible. */
static inline void compete(struct fair *f, const struct fair_entity *fe, struct sched_out *out)
{
	unsigned longer = f->running & (fe->class == fe->ordinary ? -fe->class->bit : -fe->class->bit << 1);

	if (!claim(f, fe) && longer != 0) {
		struct list *first = f->class[31 - (unsigned)__builtin_clz(longer)].slots.next;

		if (!take(f, LIST_ENTRY(first, struct fair_slot, link), fe, out)) {
			preempt(f, longer, fe, out);
		}
	}
}

/* fe waits from now on. Who is not eligible is found by a later pick. */
void fair_requeue(const struct sched *s, struct fair_entity *fe, struct sched_out *out)
{
	struct fair *f = s->priv;

	enqueue_any(f, fe, false);
	if ((f->idle_count == 0 || !fair_poke_idle(f, fe, out)) && fe->start <= f->clock &&
	    (fe->full || !take_last(s, f, fe, out))) {
		compete(f, fe, out);
	}
}

/* --- What entities do. */

void fair_wake(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;

	(void)now_ns;
	fair_start(f, fe);
	fe->start = fe->woken = fe->v;
	f->policy->woken(f, fe);
	if (e->on_slot) {
		return;				/* released() will */
	}
	if (RARE(!fe->full)) {
		fair_requeue(s, fe, out);
		return;
	}
	enqueue(f, fe, false);
	if ((f->idle_count == 0 || !fair_poke_idle(f, fe, out)) && fe->start <= f->clock) {
		compete(f, fe, out);
	}
}

void fair_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;

	(void)now_ns, (void)out;
	if (fair_waits(fe)) {
		fair_dequeue(f, fe);
	} else if (fair_is_on(s, fe)) {
		take_off(f, fair_slot(s, e->slot));
	}
	fe->burst = fe->v - fe->woken;
	if (e->parked != SCHED_NOT_PARKED) {
		fair_unpark(f, fe);
	} else {
		fair_stop(f, fe);
	}
}

void fair_yield(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	(void)now_ns, (void)out;
	((struct fair_entity *)e->priv)->place = FAIR_CUT;
	fair_slot(s, e->slot)->yielded = true;
	fair_slot(s, e->slot)->end_ns = fair_slot(s, e->slot)->held_ns = 0;
}

/* Its slot has just preferred another, or it may not run there any more. */
static APART void released_any(const struct sched *s, struct fair_entity *fe, struct sched_out *out)
{
	struct fair *f = s->priv;

	if (fe->entity->parked != SCHED_NOT_PARKED) {
		return;
	}
	if (!fair_may_run(fe, fe->entity->slot)) {
		fair_requeue(s, fe, out);
		return;
	}
	enqueue_any(f, fe, true);
	if (f->idle_count > 0) {
		(void)fair_poke_idle(f, fe, out);
	}
}

void fair_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;

	(void)now_ns;
	if (!e->runnable) {
		return;
	}
	if (RARE(f->straight_ns == 0)) {
		released_any(s, e->priv, out);
	} else {
		enqueue(f, e->priv, true);
	}
}

/* --- Picking. */

/* The one to run on slot, on among them, who goes on between equals if his request is begun. */
static APART struct fair_entity *choose(struct fair *f, unsigned slot, struct fair_entity *on)
{
	struct fair_entity *best = on;

	for (unsigned classes = f->waiting; classes != 0; classes &= classes - 1) {
		unsigned class = (unsigned)__builtin_ctz(classes);
		struct fair_entity *fe = f->found[class] = first_for(f, class, slot);

		if (fe == NULL) {
			continue;
		}
		if (best == NULL || best->start > f->clock || best->class->number == class) {
			if (best == NULL || fe->start < best->start + (best->v == best->start)) {
				best = fe;
			}
		} else if (fe->start <= f->clock && fe->due < best->due) {
			best = fe;
		}
	}
	return best;
}

/* For a slot whose entity yields, or if best has a cap and there is no budget for him. on: who runs there and may go on. */
static APART struct fair_entity *choose_again(struct fair *f, struct fair_slot *fs, struct fair_entity *on,
					      struct fair_entity *best, uint64_t now_ns)
{
	for (unsigned n = 0; n < BATCH; n++) {
		if (fs->yielded) {
			best = choose(f, fs->slot, NULL);
			best = best == NULL ? on : best;	/* nobody waits to whom it could give way */
		}
		if (best == NULL || !best->capped || fair_fund(f->sched, best, now_ns, &fs->funded_ns)) {
			fs->yielded = false;
			return best;
		}
		fair_park(f, best, fs->funded_ns);
		on = best == on ? NULL : on;
		best = choose(f, fs->slot, on);
	}
	fs->again = true;
	return NULL;
}

/* on had its turn. If it was that of a waker, it knows no place among the others yet. */
static inline void turn_over(const struct fair *f, struct fair_entity *on)
{
	if (on->class != on->ordinary) {
		on->place = FAIR_CUT;
	}
	fair_renew(f, on);
}

/* Is less than half of its request left? */
static inline bool nearly_over(const struct fair_entity *fe)
{
	return 2 * fe->v - fe->start > fe->due;
}

/* Until when, if of these classes, of shorter requests, the first that may run on fs become eligible in between. */
static INLINE uint64_t sooner(const struct fair *f, unsigned classes, struct fair_entity *const *first, uint64_t until_ns,
			     uint64_t now_ns)
{
	for (; classes != 0; classes &= classes - 1) {
		const struct fair_entity *fe = first[__builtin_ctz(classes)];

		if (fe != NULL && fe->start > f->clock) {
			uint64_t ns = (fe->start - f->clock) * f->weight / FAIR_ONE;

			until_ns = MIN(until_ns, now_ns + MAX(ns, FAIR_SLICE_MIN_NS));
		}
	}
	return until_ns;
}

/* Nobody may run on fs. */
static APART struct sched_pick idle(struct fair *f, struct fair_slot *fs, uint64_t now_ns)
{
	take_off(f, fs);
	fair_set_idle(f, fs->slot, true);
	fs->yielded = false;
	return (struct sched_pick){ .until_ns = fair_carry(f, fs->slot, NS_NEVER, now_ns) };
}

/* Who runs on fs is protected by the ratelimit: for the rest of his turn, or if somebody waits for his place, of that. */
static APART struct sched_pick hold(struct fair *f, const struct fair_slot *fs, uint64_t now_ns)
{
	uint64_t until_ns = fs->class == NULL ? fs->held_ns : fs->end_ns;

	until_ns = fair_carry(f, fs->slot, fs->on->capped ? MIN(until_ns, fs->funded_ns) : until_ns, now_ns);
	return (struct sched_pick){ .entity = fs->on->entity, .until_ns = until_ns };
}

/*
 * The turn of who is on fs now begins, or goes on, to the end it has at the latest: else a slot that picks more often than the
 * shortest turn lasts would never come to it.
 */
static inline void begin(struct fair *f, struct fair_slot *fs, uint64_t latest_ns, uint64_t now_ns)
{
	const struct fair_entity *on = fs->on;
	int64_t ns = (int64_t)((on->due - on->v) * on->weight) >> FAIR_ONE_LOG2;

	ns = MAX(MIN(ns, (int64_t)f->stretch_ns), (int64_t)f->least_ns);
	fs->end_ns = MIN(latest_ns, now_ns + (uint64_t)ns);
	if (fs->class != on->class) {
		if (fs->class != NULL) {
			unlist(f, fs);
		}
		list_as(f, fs, on->class);
	}
}

/* The turn of next, who is on fs or waits. */
static APART void go_on(struct fair *f, struct fair_slot *fs, struct fair_entity *next, uint64_t now_ns)
{
	struct fair_entity *on = fs->on;
	bool over = now_ns >= fs->end_ns;

	fs->yielded = false;
	if (next == on) {
		begin(f, fs, over ? NS_NEVER : fs->end_ns, now_ns);
		return;
	}
	if (on != NULL) {
		if (!over && nearly_over(on)) {
			fair_renew(f, on);
			on->place = FAIR_CUT;
		}
		on->group->running -= on->capped;
	} else if (f->idle_count > 0) {
		fair_set_idle(f, fs->slot, false);
	}
	fair_dequeue(f, next);
	next->group->running += next->capped;
	fs->on = next;
	fs->held_ns = now_ns + f->ratelimit_ns;
	begin(f, fs, NS_NEVER, now_ns);
}

static APART struct sched_pick pick_any(struct fair *f, struct fair_slot *fs, uint64_t now_ns, struct sched_out *out)
{
	struct fair_entity *on, *next;
	uint64_t until_ns;

	if (f->parked_count > 0) {
		fair_unpark_due(f->sched, fs->slot, now_ns, out);
	}
	on = fs->on;
	if (on != NULL) {
		if (now_ns >= fs->end_ns) {
			turn_over(f, on);
		} else if (now_ns < fs->held_ns && fair_may_run(on, fs->slot) &&
			   (!on->capped || fair_fund(f->sched, on, now_ns, &fs->funded_ns))) {
			return hold(f, fs, now_ns);
		}
		if (!fair_may_run(on, fs->slot)) {
			on = NULL;
		}
	}
	next = choose(f, fs->slot, on);
	if (next == NULL || next->capped || fs->yielded) {
		next = choose_again(f, fs, on, next, now_ns);
		if (fs->again) {
			fs->again = false;
			sched_poke(out, fs->slot);
		}
		if (next == NULL) {
			const struct sched_pick nobody = idle(f, fs, now_ns);

			if (f->waiting != 0) {		/* it may have come for one who is parked now */
				fair_poke_for_waiters(f, out);
			}
			return nobody;
		}
	}
	go_on(f, fs, next, now_ns);
	if (f->idle_count > 0 && next != on) {
		fair_poke_for_waiters(f, out);
	}
	until_ns = sooner(f, f->waiting & (next->class->bit - 1), f->found, fs->end_ns, now_ns);
	if (next->capped) {
		until_ns = MIN(until_ns, fs->funded_ns);
	}
	if (f->parked_count > 0) {
		until_ns = fair_carry(f, fs->slot, until_ns, now_ns);
	}
	return (struct sched_pick){ .entity = next->entity, .until_ns = until_ns };
}

static APART struct sched_pick look_and_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;

	if (now_ns >= f->look_ns) {
		fair_draw_in(f, now_ns);
		if (now_ns < f->straight_ns) {
			return fair_pick(s, slot, now_ns, out);
		}
	}
	return pick_any(f, fair_slot(s, slot), now_ns, out);
}

/* next, the first of a line, goes onto fs: go_on() in few steps. */
static INLINE void put_on(struct fair *f, struct fair_slot *fs, struct fair_entity *next, uint64_t now_ns)
{
	struct fair_class *class = next->class;
	struct list *behind = next->line.next, *line = next->line.prev;
	struct fair_entity *on = fs->on;

	if (on != NULL && now_ns < fs->end_ns && nearly_over(on)) {
		fair_renew(f, on);
		on->place = FAIR_CUT;
	}
	next->place = FAIR_OUT;
	line->next = behind;
	behind->prev = line;
	if (behind != line) {
		f->first[class->number] = LIST_ENTRY(behind, struct fair_entity, line);
	} else {
		f->first[class->number] = NULL;
		f->waiting ^= class->bit;
	}
	fs->yielded = false;
	fs->on = next;
	fs->held_ns = now_ns + f->ratelimit_ns;
	begin(f, fs, NS_NEVER, now_ns);
}

/* The turn of who is on fs, until he has had it or one of these classes may go first. */
static APART struct sched_pick until_sooner(struct fair *f, struct fair_slot *fs, unsigned classes, uint64_t now_ns)
{
	const uint64_t until_ns = sooner(f, classes & f->waiting, f->first, fs->end_ns, now_ns);

	return (struct sched_pick){ .entity = fs->on->entity, .until_ns = until_ns };
}

/* next goes on, or comes out of a tree. */
static APART struct sched_pick go_on_straight(struct fair *f, struct fair_slot *fs, struct fair_entity *next, uint64_t now_ns)
{
	go_on(f, fs, next, now_ns);
	return until_sooner(f, fs, next->class->bit - 1, now_ns);
}

/* Nobody who waits is eligible. */
static APART struct sched_pick pick_earliest(struct fair *f, struct fair_slot *fs, uint64_t now_ns)
{
	struct fair_entity *next = choose(f, fs->slot, fs->yielded ? NULL : fs->on);

	next = next == NULL ? fs->on : next;
	return next == NULL ? idle(f, fs, now_ns) : go_on_straight(f, fs, next, now_ns);
}

/* In few steps where no slot idles, nobody has a cap and none that is restricted waits or runs. */
struct sched_pick fair_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_slot *fs = fair_slot(s, slot);
	struct fair_entity *best = fs->on, *fe;
	unsigned classes = f->waiting;
	uint64_t due = UINT64_MAX, before = 0;

	if (RARE(now_ns >= f->straight_ns)) {
		return look_and_pick(s, slot, now_ns, out);
	}
	if (best != NULL) {
		before = best->start;
		if (now_ns >= fs->end_ns) {
			turn_over(f, best);
			before = best->start + 1;
			best = fs->yielded ? NULL : best;
		} else if (RARE(now_ns < fs->held_ns)) {
			return hold(f, fs, now_ns);
		}
	}
	if (best != NULL) {
		if ((classes & best->class->bit) != 0) {
			classes ^= best->class->bit;
			fe = f->first[best->class->number];
			if (fe->start < before) {
				best = fe;
			}
		}
		if (best->start <= f->clock) {
			due = best->due;
		} else {
			f->later_ns = now_ns;
		}
	}
	for (; classes != 0; classes &= classes - 1) {
		fe = f->first[__builtin_ctz(classes)];
		if (fe->start > f->clock) {
			f->later_ns = now_ns;
		} else if (fe->due < due) {
			due = fe->due;
			best = fe;
		}
	}
	if (RARE(due == UINT64_MAX)) {
		return pick_earliest(f, fs, now_ns);
	}
	if (RARE(best == fs->on || best->class->treed)) {
		return go_on_straight(f, fs, best, now_ns);
	}
	put_on(f, fs, best, now_ns);
	if (RARE(f->later_ns == now_ns)) {
		return until_sooner(f, fs, best->class->bit - 1, now_ns);
	}
	return (struct sched_pick){ .entity = best->entity, .until_ns = fs->end_ns };
}
