/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timer queues: a pairing heap a cpu. Setting is a few instructions, taking the earliest is logarithmic when spread
 * over all takes, cancelling too; the nodes lie in the timers, so nothing is allocated.
 *
 * t->cpu names the queue that t is in. It changes only under that queue's lock (or, from CPU_NONE, by the one cpu that
 * sets t), so who wants t's queue reads it, locks, and looks again.
 */
#include "kernel/timer.h"

#include "kernel/call.h"
#include "kernel/cpu.h"
#include "kernel/log.h"

#define EXPIRE_MAX	64u		/* a round; the rest waits for the next, so that one cannot hold up the loop */

/* --- The heap. A node's prev is its elder sibling, or its parent when it is the eldest child; NULL for the root. */

static struct timer *meld(struct timer *a, struct timer *b)
{
	struct timer *low, *high;

	if (a == NULL || b == NULL) {
		return a != NULL ? a : b;
	}
	low = b->at_ns < a->at_ns ? b : a;
	high = low == a ? b : a;
	high->prev = low;
	high->sibling = low->child;
	if (low->child != NULL) {
		low->child->prev = high;
	}
	low->child = high;
	low->prev = NULL;
	low->sibling = NULL;
	return low;
}

/* Melds a row of siblings into one heap: in pairs from the left, then all of them from the right. */
static struct timer *meld_row(struct timer *row)
{
	struct timer *pairs = NULL, *all = NULL;

	while (row != NULL) {
		struct timer *a = row, *b = row->sibling;

		row = b != NULL ? b->sibling : NULL;
		a->sibling = NULL;
		a->prev = NULL;
		if (b != NULL) {
			b->sibling = NULL;
			b->prev = NULL;
		}
		a = meld(a, b);
		a->sibling = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct timer *next = pairs->sibling;

		pairs->sibling = NULL;
		all = meld(all, pairs);
		pairs = next;
	}
	return all;
}

static void cut(struct timer_queue *q, struct timer *t)
{
	struct timer *below = meld_row(t->child);

	t->child = NULL;
	if (t == q->root) {
		q->root = below;
	} else {
		if (t->prev->child == t) {
			t->prev->child = t->sibling;
		} else {
			t->prev->sibling = t->sibling;
		}
		if (t->sibling != NULL) {
			t->sibling->prev = t->prev;
		}
		q->root = meld(q->root, below);
	}
	t->prev = NULL;
	t->sibling = NULL;
}

/* --- Queues. */

void timer_queue_init(struct timer_queue *q)
{
	spin_init(&q->lock, SPIN_RANK_TIMER);
	q->root = NULL;
	atomic_store_explicit(&q->next_ns, NS_NEVER, memory_order_relaxed);
}

static void publish_next(struct timer_queue *q)
{
	atomic_store_explicit(&q->next_ns, q->root != NULL ? q->root->at_ns : NS_NEVER, memory_order_relaxed);
}

/* The queue that t is in, locked; NULL: in none. */
static struct timer_queue *lock_queue_of(struct timer *t)
{
	for (;;) {
		unsigned cpu = atomic_load_explicit(&t->cpu, memory_order_acquire);
		struct timer_queue *q;

		if (cpu == CPU_NONE) {
			return NULL;
		}
		q = &cpu_get(cpu)->timers;
		spin_lock(&q->lock);
		if (atomic_load_explicit(&t->cpu, memory_order_relaxed) == cpu) {
			return q;
		}
		spin_unlock(&q->lock);
	}
}

static void take_out(struct timer_queue *q, struct timer *t)
{
	cut(q, t);
	publish_next(q);
	/* Release: pairs with lock_queue_of(); the heap's fields are free for another queue from here on. */
	atomic_store_explicit(&t->cpu, CPU_NONE, memory_order_release);
}

void timer_init(struct timer *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct timer){ .fn = fn, .arg = arg, .cpu = CPU_NONE };
}

bool timer_cancel(struct timer *t)
{
	struct timer_queue *q = lock_queue_of(t);

	if (q == NULL) {
		return false;
	}
	take_out(q, t);
	spin_unlock(&q->lock);
	return true;
}

void timer_set(struct timer *t, unsigned cpu, uint64_t at_ns)
{
	struct timer_queue *q;
	bool nearer;

	timer_cancel(t);
	if (at_ns == NS_NEVER) {
		return;
	}
	ASSERT(cpu_get(cpu) != NULL);
	q = &cpu_get(cpu)->timers;
	spin_lock(&q->lock);
	t->at_ns = at_ns;
	q->root = meld(q->root, t);
	atomic_store_explicit(&t->cpu, cpu, memory_order_release);
	nearer = q->root == t;
	publish_next(q);
	spin_unlock(&q->lock);
	if (nearer && cpu != arch_this_cpu()) {
		cpu_poke(cpu);
	}
}

static void pass_by(void *arg)
{
}

/*
 * Where it was set last is not all there is to look at: the cpu before that one may have taken it out, and be on its way to fn
 * still, while its owner went on elsewhere and set it anew.
 */
void timer_cancel_sync(struct timer *t)
{
	timer_cancel(t);
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		const struct cpu *c = cpu_get(cpu);

		/* fn runs in that cpu's loop, and so do calls: when this one is done, fn is. */
		if (c != NULL && cpu != arch_this_cpu() && atomic_load_explicit(&c->timers.firing, memory_order_acquire) == t) {
			call_sync(cpu, pass_by, NULL);
		}
	}
	timer_cancel(t);	/* fn set it a last time */
}

/* Takes the earliest out when it is due. On the way from a guest's deadline to its handler. */
static struct timer *take_due(struct timer_queue *q, uint64_t now_ns)
{
	struct cpu *self = cpu_this();
	struct timer *t;

	spin_lock_rank(&q->lock, SPIN_RANK_TIMER, &self->held, self->id + 1);
	t = q->root;
	if (t != NULL && t->at_ns <= now_ns) {
		/* Before take_out(): who finds t in no queue, or in another since, sees this too. */
		atomic_store_explicit(&q->firing, t, memory_order_relaxed);
		take_out(q, t);
	} else {
		t = NULL;
	}
	spin_unlock_rank(&q->lock, SPIN_RANK_TIMER, &self->held, self->id + 1);
	return t;
}

bool timer_expire(struct timer_queue *q, uint64_t now_ns)
{
	bool any = false;

	for (unsigned i = 0; i < EXPIRE_MAX && timer_next(q) <= now_ns; i++) {
		struct timer *t = take_due(q, now_ns);

		if (t == NULL) {
			break;
		}
		t->fn(t->arg);
		atomic_store_explicit(&q->firing, NULL, memory_order_release);
		any = true;
	}
	return any;
}

/* --- Check: walks the heap without a stack, by the links it verifies. */

bool timer_check(struct timer_queue *q)
{
	struct timer *t;
	bool right = true;

	spin_lock(&q->lock);
	t = q->root;
	right = t == NULL ? timer_next(q) == NS_NEVER : timer_next(q) == t->at_ns && t->prev == NULL && t->sibling == NULL;
	while (right && t != NULL) {
		if (t->child != NULL) {
			right = t->child->prev == t && t->child->at_ns >= t->at_ns;
			t = t->child;
			continue;
		}
		while (t != NULL && t->sibling == NULL) {
			/* Back to the eldest, whose prev is the parent. */
			while (t->prev != NULL && t->prev->child != t) {
				t = t->prev;
			}
			t = t->prev;
		}
		if (t != NULL) {
			struct timer *parent = t;

			while (parent->prev->child != parent) {
				parent = parent->prev;
			}
			right = t->sibling->prev == t && t->sibling->at_ns >= parent->prev->at_ns;
			t = t->sibling;
		}
	}
	spin_unlock(&q->lock);
	return right;
}
