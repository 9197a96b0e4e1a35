/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair shares: who waits, who runs next and for how long. See fair.h. */
#include "sched/fair.h"

#define TRIES		4u		/* slots that a waker looks at */
#define BATCH		4u		/* entities that one pick may park or let go on */

static APART bool some_may_run(const struct fair_entity *fe, unsigned slot)
{
	return cpuset_has(&fe->entity->hard, slot);
}

static inline bool may_run(const struct fair_entity *fe, unsigned slot)
{
	return fe->full || some_may_run(fe, slot);
}

/* --- Waiting. */

/* In a pool of up to 64 slots the first found may run there. */
static APART struct fair_entity *search(const struct fair_queue *q, unsigned slot)
{
	const uint64_t wanted = 1ul << slot % 64;
	struct tree_node *n = tree_first_fit(&q->tree, wanted);

	while (n != NULL && !may_run(fair_of(n), slot)) {
		n = tree_next_fit(n, wanted);
	}
	return fair_of(n);
}

/* The first in q that may run on slot, or NULL. */
static inline struct fair_entity *queue_first(const struct fair_queue *q, unsigned slot)
{
	struct fair_entity *a = fair_line_first(q), *b = fair_of(tree_first(&q->tree));

	if (b == NULL) {
		return a;
	}
	if (!may_run(b, slot)) {
		b = search(q, slot);
	}
	return a == NULL || (b != NULL && b->start < a->start) ? b : a;
}

static inline struct fair_entity *line_last(const struct fair_queue *q)
{
	return LIST_ENTRY(q->line.prev, struct fair_entity, line);
}

static inline void insert(struct fair_queue *q, struct fair_entity *fe)
{
	fe->place = FAIR_TREE;
	fe->node.key = fe->start;
	tree_insert(&q->tree, &fe->node);
}

/*
 * Not at the end of the line. Those in a class of wakers are served as they came, though the clock, and so their start,
 * goes back a little with each that wakes.
 */
static APART void enqueue_amid(struct fair *f, struct fair_queue *q, struct fair_entity *fe)
{
	if (fe->full && fe->class != fe->ordinary && line_last(q)->start <= f->clock) {
		fe->due += line_last(q)->start - fe->start;
		fe->start = line_last(q)->start;
		fe->place = FAIR_LINE;
		list_push_back(&q->line, &fe->line);
	} else {
		insert(q, fe);
	}
}

static inline void enqueue(struct fair *f, struct fair_entity *fe)
{
	struct fair_queue *q = &f->queue[fe->class];

	f->waiting |= 1u << fe->class;
	if (fe->full && (list_empty(&q->line) || line_last(q)->start <= fe->start)) {
		fe->place = FAIR_LINE;
		list_push_back(&q->line, &fe->line);
	} else {
		enqueue_amid(f, q, fe);
	}
}

static inline void dequeue(struct fair *f, struct fair_entity *fe)
{
	struct fair_queue *q = &f->queue[fe->class];

	if (fe->place == FAIR_LINE) {
		list_remove(&fe->line);
	} else {
		tree_remove(&q->tree, &fe->node);
	}
	fe->place = FAIR_OUT;
	if (list_empty(&q->line) && tree_first(&q->tree) == NULL) {
		f->waiting &= ~(1u << fe->class);
	}
}

void fair_dequeue(struct fair *f, struct fair_entity *fe)
{
	dequeue(f, fe);
}

/* --- Slots, by what they run. */

static inline void unlist(struct fair *f, struct fair_slot *fs)
{
	list_remove(&fs->link);
	if (list_empty(&f->slots[fs->class])) {
		f->running &= ~(1u << fs->class);
	}
	fs->class = FAIR_CLASSES;
}

static void list_as(struct fair *f, struct fair_slot *fs, unsigned class)
{
	if (fs->class != FAIR_CLASSES) {
		unlist(f, fs);
	}
	fs->class = class;
	list_push_back(&f->slots[class], &fs->link);
	f->running |= 1u << class;
}

static void take_off(struct fair *f, struct fair_slot *fs)
{
	if (fs->on != NULL) {
		fs->on->group->running--;
		fs->on = NULL;
	}
	if (fs->class != FAIR_CLASSES) {
		unlist(f, fs);
	}
}

/* Waits for a slot that runs a brief request, no longer than its own: the next waker takes another. */
static inline bool claim(struct fair *f, const struct fair_entity *fe)
{
	unsigned brief = f->running & ((2u << fe->class % FAIR_BRIEF) - 1);
	struct fair_slot *fs;

	if (brief == 0) {
		return false;
	}
	fs = LIST_ENTRY(f->slots[__builtin_ctz(brief)].next, struct fair_slot, link);
	if (!may_run(fe, fs->slot)) {
		return false;
	}
	unlist(f, fs);
	return true;
}

/* Of the first few that run requests of the longest of these classes one that is due later than fe. */
static APART void preempt(struct fair *f, unsigned classes, const struct fair_entity *fe, struct sched_out *out)
{
	unsigned tries = 0;

	for (unsigned class; classes != 0; classes ^= 1u << class) {
		class = 31 - (unsigned)__builtin_clz(classes);
		LIST_FOREACH(n, &f->slots[class]) {
			struct fair_slot *fs = LIST_ENTRY(n, struct fair_slot, link);

			if (fs->on->due > fe->due && may_run(fe, fs->slot)) {
				unlist(f, fs);
				sched_poke(out, fs->slot);
				return;
			}
			if (++tries == TRIES) {
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

	if (fs == NULL || fs->class == FAIR_CLASSES || !may_run(fe, fs->slot)) {
		return false;
	}
	brief = fs->class <= fe->class % FAIR_BRIEF;
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
	unsigned longer = f->running & ~0u << fe->class << (fe->class != fe->ordinary);

	if (!claim(f, fe) && longer != 0) {
		preempt(f, longer, fe, out);
	}
}

static APART void queue_up_some(const struct sched *s, struct fair_entity *fe, struct sched_out *out)
{
	struct fair *f = s->priv;

	enqueue(f, fe);
	if ((f->idle_count == 0 || !fair_poke_idle(f, fe, out)) && fe->start <= f->clock && !take_last(s, f, fe, out)) {
		compete(f, fe, out);
	}
}

/* fe waits from now on. Who is not eligible is found by a later pick. */
static inline __attribute__((always_inline)) void queue_up(const struct sched *s, struct fair_entity *fe,
							    struct sched_out *out)
{
	struct fair *f = s->priv;

	if (!fe->full) {
		queue_up_some(s, fe, out);
		return;
	}
	enqueue(f, fe);
	if ((f->idle_count == 0 || !fair_poke_idle(f, fe, out)) && fe->start <= f->clock) {
		compete(f, fe, out);
	}
}

void fair_requeue(const struct sched *s, struct fair_entity *fe, struct sched_out *out)
{
	queue_up(s, fe, out);
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
	if (!e->on_slot) {
		queue_up(s, fe, out);		/* else released() will */
	}
}

void fair_block(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;

	(void)now_ns, (void)out;
	if (fe->place != FAIR_OUT) {
		dequeue(f, fe);
	} else if (e->on_slot && fair_slot(s, e->slot)->on == fe) {
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
	fair_slot(s, e->slot)->yielded = true;
	fair_slot(s, e->slot)->end_ns = fair_slot(s, e->slot)->held_ns = 0;
}

/* Its slot has just preferred another, or it may not run there any more. */
static APART void released_elsewhere(const struct sched *s, struct fair_entity *fe, struct sched_out *out)
{
	if (!may_run(fe, fe->entity->slot)) {
		fair_requeue(s, fe, out);
		return;
	}
	enqueue(s->priv, fe);
	(void)fair_poke_idle(s->priv, fe, out);
}

void fair_released(struct sched *s, struct sched_entity *e, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_entity *fe = e->priv;

	(void)now_ns;
	if (!e->runnable || e->parked != SCHED_NOT_PARKED) {
		return;
	}
	if (f->idle_count == 0 && fe->full) {
		enqueue(f, fe);
	} else {
		released_elsewhere(s, fe, out);
	}
}

/* --- Picking. */

/* The one to run on slot, on among them, who goes on between equals if his request is begun. */
static inline struct fair_entity *choose(struct fair *f, unsigned slot, struct fair_entity *on)
{
	struct fair_entity *best = on;

	for (unsigned classes = f->waiting; classes != 0; classes &= classes - 1) {
		unsigned class = (unsigned)__builtin_ctz(classes);
		struct fair_entity *fe = f->first[class] = queue_first(&f->queue[class], slot);

		if (fe == NULL) {
			continue;
		}
		if (best == NULL || best->start > f->clock || best->class == class) {
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
static APART struct fair_entity *choose_again(struct sched *s, struct fair_slot *fs, struct fair_entity *on,
					     struct fair_entity *best, uint64_t now_ns)
{
	struct fair *f = s->priv;

	for (unsigned n = 0; n < BATCH; n++) {
		if (fs->yielded) {
			best = choose(f, fs->slot, NULL);
			best = best == NULL ? on : best;	/* nobody waits to whom it could give way */
		}
		if (best == NULL || !best->capped || fair_fund(s, best, now_ns, &fs->funded_ns)) {
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

/* next goes onto fs, in place of who is there. */
static inline void put_on(struct fair *f, struct fair_slot *fs, struct fair_entity *next, uint64_t now_ns, struct sched_out *out)
{
	struct fair_entity *on = fs->on;

	if (on == NULL) {
		fair_set_idle(f, fs->slot, false);
	} else {
		on->group->running--;
		if (now_ns < fs->end_ns && (int64_t)(on->due - on->v) < (int64_t)(on->v - on->start)) {
			fair_renew(f, on);
		}
	}
	dequeue(f, next);
	next->group->running++;
	fs->on = next;
	fs->held_ns = now_ns + f->ratelimit_ns;
	if (f->idle_count > 0) {
		fair_poke_for_waiters(f, out);
	}
}

/* What may end a turn before the request is over: a cap, a shorter request that becomes eligible, the end of another's park. */
static inline uint64_t sooner(struct fair *f, const struct fair_slot *fs, uint64_t until_ns, uint64_t now_ns)
{
	unsigned shorter = f->waiting & ((1u << fs->on->class) - 1);

	for (; shorter != 0; shorter &= shorter - 1) {
		const struct fair_entity *fe = f->first[__builtin_ctz(shorter)];

		if (fe != NULL && fe->start > f->clock) {
			uint64_t ns = (fe->start - f->clock) * f->weight / FAIR_ONE;

			until_ns = MIN(until_ns, now_ns + MAX(ns, FAIR_SLICE_MIN_NS));
		}
	}
	if (fs->on->capped) {
		until_ns = MIN(until_ns, fs->funded_ns);
	}
	return f->parked_count > 0 ? fair_carry(f, fs->slot, until_ns, now_ns) : until_ns;
}

/* Nobody may run on fs. */
static APART struct sched_pick idle(struct fair *f, struct fair_slot *fs, uint64_t now_ns, struct sched_out *out)
{
	take_off(f, fs);
	fair_set_idle(f, fs->slot, true);
	fs->yielded = false;
	if (fs->again) {
		fs->again = false;
		sched_poke(out, fs->slot);
	}
	return (struct sched_pick){ .until_ns = fair_carry(f, fs->slot, NS_NEVER, now_ns) };
}

/* Who runs on fs is protected by the ratelimit: for the rest of his turn, or if somebody waits for his place, of that. */
static APART uint64_t hold(struct fair *f, const struct fair_slot *fs, uint64_t now_ns)
{
	uint64_t until_ns = fs->class == FAIR_CLASSES ? fs->held_ns : fs->end_ns;

	return fair_carry(f, fs->slot, fs->on->capped ? MIN(until_ns, fs->funded_ns) : until_ns, now_ns);
}

/*
 * The turn of who is on fs now begins, or goes on, to the end it has at the latest: else a slot that picks more often than the
 * shortest turn lasts would never come to it. Returns its end.
 */
static inline uint64_t begin(const struct fair *f, struct fair_slot *fs, uint64_t latest_ns, uint64_t now_ns)
{
	int64_t ns = (int64_t)((fs->on->due - fs->on->v) * fs->on->weight) >> FAIR_ONE_LOG2;

	ns = MAX(MIN(ns, (int64_t)f->stretch_ns), (int64_t)f->least_ns);
	return fs->end_ns = MIN(latest_ns, now_ns + (uint64_t)ns);
}

/* The usual change, in few steps: a turn is over, no cap or idle slot is there, all who wait are in one line. */
static inline bool usual(const struct fair *f, const struct fair_slot *fs, uint64_t now_ns)
{
	const struct fair_entity *on = fs->on;

	return on != NULL && now_ns >= fs->end_ns && (f->idle_count | f->capped) == 0 && !fs->yielded && on->full &&
	       fs->class == on->ordinary && f->waiting == 1u << fs->class && tree_first(&f->queue[fs->class].tree) == NULL;
}

static APART struct sched_pick pick_usual(struct fair *f, struct fair_slot *fs, uint64_t now_ns)
{
	struct fair_entity *on = fs->on, *next;
	struct fair_queue *q = &f->queue[fs->class];

	fair_renew(f, on);
	next = fair_line_first(q);
	if (next->start <= on->start) {
		list_remove(&next->line);
		if (list_empty(&q->line)) {
			f->waiting = 0;
		}
		next->place = FAIR_OUT;
		on->group->running--;
		next->group->running++;
		fs->on = next;
		fs->held_ns = now_ns + f->ratelimit_ns;
	}
	return (struct sched_pick){ .entity = fs->on->entity, .until_ns = begin(f, fs, NS_NEVER, now_ns) };
}

/*
 * Since a waiter was charged the clock may have gone back, or requests become shorter, so that he is
 * further ahead now than anybody may be. Such are last in their queues. A pick draws one in, and the
 * next looks again; when there is none, one does that is a slice later: what moves the clock and the
 * request is too frequent to see to it.
 */
static APART void draw_in(struct fair *f, uint64_t now_ns)
{
	const uint64_t limit = f->clock + FAIR_AHEAD * f->request;

	for (unsigned classes = f->waiting; classes != 0; classes &= classes - 1) {
		struct fair_queue *q = &f->queue[__builtin_ctz(classes)];
		struct fair_entity *fe = fair_of(tree_last(&q->tree));

		if (!list_empty(&q->line) && (fe == NULL || line_last(q)->start > fe->start)) {
			fe = line_last(q);
		}
		if (fe->start > limit) {
			dequeue(f, fe);
			fair_settle(f, fe);
			f->waiting |= classes & -classes;
			insert(q, fe);
			return;
		}
	}
	f->look_ns = now_ns + f->slice_ns;
}

static APART struct sched_pick pick_any(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct fair *f = s->priv;
	struct fair_slot *fs = fair_slot(s, slot);
	struct fair_entity *on, *next;
	uint64_t latest_ns = NS_NEVER;

	if (RARE(now_ns >= f->look_ns)) {
		draw_in(f, now_ns);
	}
	if (f->parked_count > 0) {
		fair_unpark_due(s, slot, now_ns, out);
	}
	on = fs->on;
	if (on != NULL) {
		if (now_ns >= fs->end_ns) {
			fair_renew(f, on);
		} else if (now_ns < fs->held_ns && may_run(on, slot) &&
			   (!on->capped || fair_fund(s, on, now_ns, &fs->funded_ns))) {
			return (struct sched_pick){ .entity = on->entity, .until_ns = hold(f, fs, now_ns) };
		} else {
			latest_ns = fs->end_ns;
		}
		if (!may_run(on, slot)) {
			on = NULL;
		}
	}
	next = choose(f, slot, on);
	if (next == NULL || next->capped || fs->yielded) {
		next = choose_again(s, fs, on, next, now_ns);
		if (next == NULL) {
			return idle(f, fs, now_ns, out);
		}
	}
	if (next != fs->on) {
		put_on(f, fs, next, now_ns, out);
		latest_ns = NS_NEVER;
	}
	if (fs->class != next->class) {
		list_as(f, fs, next->class);
	}
	return (struct sched_pick){ .entity = next->entity, .until_ns = sooner(f, fs, begin(f, fs, latest_ns, now_ns), now_ns) };
}

struct sched_pick fair_pick(struct sched *s, unsigned slot, uint64_t now_ns, struct sched_out *out)
{
	struct fair_slot *fs = fair_slot(s, slot);

	return usual(s->priv, fs, now_ns) ? pick_usual(s->priv, fs, now_ns) : pick_any(s, slot, now_ns, out);
}
