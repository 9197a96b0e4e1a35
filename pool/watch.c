/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The watchdog of the policies. What it finds, and who looks:
 *
 *      pick() answers what it may not          the cpu that asked, at once (dispatch.c)
 *      a cpu is poked to pick without end      that cpu, after a thousand times (dispatch.c)
 *      an entity waits beyond its bound,       the housekeeping cpu, once a second
 *      or is parked beyond its time
 *      check() says no, or what is the core's  the housekeeping cpu, every ten
 *      to write is not as the core wrote it
 *      an op does not come back                whoever waits for the domain; the housekeeping cpu, which looks at all of them;
 *                                              and for that one a neighbour, which a timer has look at it once a second
 *
 * All end in pool_condemn(). A cpu that loops is told so by NMI (kernel/stuck.h) and ends itself. Called by its dispatch loop,
 * the op is abandoned with the whole round, which is nothing but the stack and the domain: the loop starts anew. Asked by
 * POOL_TRY() and its like, as control operations do, the op alone is abandoned: they go on, or refuse, as after any answer.
 * What is left is wake in the middle of something else, such as a guest's exit that woke another vCPU: it is too frequent to be
 * asked so. There is more to be undone than anyone knows: then the machine stops, and says why.
 */
#include "pool/pool_internal.h"

#include "kernel/call.h"
#include "kernel/console.h"
#include "kernel/log.h"
#include "pool/dispatch.h"

#define WAITS_EVERY_NS	NS_PER_S
#define CHECK_EVERY_NS	(10 * NS_PER_S)
#define GUARD_EVERY_NS	NS_PER_S
#define CHUNK		32u	/* entities looked at in one hold of a pool's domains */

struct spinlock pool_asking = SPINLOCK_INIT(SPIN_RANK_DOMAIN);

static struct timer guard;		/* a neighbour's look at the housekeeping cpu */
static _Atomic bool guarding;
static uint64_t next_look_ns;

/* --- Locks. */

static void look_at_locks(void)
{
	struct pool *p;

	if (!cpu_this()->housekeeping) {
		return;
	}
	for (unsigned i = 0; (p = pool_at(i)) != NULL; i++) {
		for (unsigned k = 0; k < p->domain_count; k++) {
			stuck_look(&p->domain[k].lock, &p->domain[k].seen);
		}
	}
}

/* Waits until cpu, which holds l, does not any more. */
static void wait_out(const struct spinlock *l, const struct cpu *cpu)
{
	uint32_t serving = atomic_load_explicit(&l->serving, memory_order_relaxed);
	struct stuck_seen seen = { 0 };

	while (atomic_load_explicit(&l->owner, memory_order_relaxed) == cpu->id + 1 &&
	       atomic_load_explicit(&l->serving, memory_order_relaxed) == serving) {
		stuck_look(l, &seen);
		arch_relax();
	}
}

/* On the neighbour. The pool may go while we look at it: pool_watch_forget() waits for us. */
static void look_at_housekeeper(void *unused)
{
	const struct cpu *house = cpu_get(cpu_housekeeping());
	const struct pool *p;

	(void)unused;
	/* Sequentially consistent, as in pool_watch_forget(): it sees the flag, or we see the pool no more. */
	atomic_store(&guarding, true);
	p = __atomic_load_n(&house->asked, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; p != NULL && i < p->domain_count; i++) {
		wait_out(&p->domain[i].lock, house);
	}
	wait_out(&pool_asking, house);
	atomic_store_explicit(&guarding, false, memory_order_release);
}

void pool_watch_forget(const struct pool *p)
{
	struct cpu *self = cpu_this();

	if (self->asked == p) {
		__atomic_store_n(&self->asked, NULL, __ATOMIC_SEQ_CST);
	}
	while (atomic_load(&guarding)) {
		arch_relax();
	}
}

/* What a look at the housekeeping cpu disturbs there, the least first. */
enum disturbs { DISTURBS_FREE, DISTURBS_OWN, DISTURBS_OTHERS, DISTURBS_UNDISTURBED, DISTURBS_NO_CPU };

static enum disturbs disturbs(unsigned id, const struct pool *own)
{
	const struct pool *p = pool_of_cpu(id);

	if (p == NULL) {
		return DISTURBS_FREE;
	}
	if ((pool_ops(p)->honours & SCHED_UNDISTURBED) != 0) {
		return DISTURBS_UNDISTURBED;
	}
	return p == own ? DISTURBS_OWN : DISTURBS_OTHERS;
}

/* Who watches the housekeeping cpu: the first of those whom it disturbs least. */
static unsigned neighbour(const struct cpu *self)
{
	const struct pool *own = pool_of_cpu(self->id);
	enum disturbs least = DISTURBS_NO_CPU;
	unsigned best = CPU_NONE;

	for (unsigned id = 0; id < cpu_count(); id++) {
		if (id != self->id && cpu_is_online(id) && disturbs(id, own) < least) {
			least = disturbs(id, own);
			best = id;
		}
	}
	return best;
}

static void set_guard(uint64_t now_ns)
{
	unsigned id = timer_is_set(&guard) ? CPU_NONE : neighbour(cpu_this());

	if (id != CPU_NONE) {
		timer_set(&guard, id, now_ns + GUARD_EVERY_NS);
	}
}

/* --- A cpu that was found to loop ends here, on top of the op's own stack. */

static void give_domains_back(struct cpu *self, struct pool *p)
{
	for (unsigned i = p->domain_count; i > 0; i--) {
		if (spin_held(&p->domain[i - 1].lock)) {
			spin_unlock(&p->domain[i - 1].lock);
		}
	}
	ASSERT(self->held.ranks == 0);
}

static void end_stuck(void)
{
	struct cpu *self = cpu_this();
	struct pool *p = self->asked;
	char trace[400];
	struct text t = text_make(trace, sizeof(trace));

	if (!self->can_go_back && (self->held.ranks != 1u << SPIN_RANK_DOMAIN || self->in_run || self->in_chore ||
				   self->op == POOL_OP_wake)) {
		panic("pool %s: scheduler %s loops in its op %s, in the middle of what cannot be abandoned", p->name,
		      pool_ops(p)->name, pool_op_name(self->op));
	}
	arch_backtrace(&t);
	pool_condemn(p, self->op, NULL, "it did not come back in %lu ms", STUCK_STRIKES * STUCK_LOOK_NS / NS_PER_MS);
	log_printf("cpu %u: an op of a scheduler looped, and was abandoned; %s", self->id, trace);
	if (self->can_go_back) {
		__builtin_longjmp(self->back, 1);
	}
	if (self->leaving != NULL) {
		self->leaving->on_slot = false;
		self->leaving = NULL;
	}
	give_domains_back(self, p);
	arch_restart(dispatch_loop);
}

/* --- Waits and invariants. */

/* More than the bound is no proof: this cpu may have been busy with a command. Twice the bound, and a second look, is. */
static bool waits_too_long(struct pool *p, struct sched_entity *e, uint64_t now_ns)
{
	uint64_t since_ns = MAX(e->runnable_since_ns, p->changed_ns), bound_ns;

	/* Parked beyond its time is forgotten; but a window may be on a cpu that its pins forbid. */
	if (!e->runnable || e->on_slot || e->parked == SCHED_PARK_WINDOW ||
	    (e->parked != SCHED_NOT_PARKED && e->parked_until_ns > now_ns)) {
		e->late_ns = 0;
		return false;
	}
	since_ns = e->parked_until_ns <= now_ns ? MAX(since_ns, e->parked_until_ns) : since_ns;
	bound_ns = POOL_TRY(p, wait_bound_ns, NS_NEVER, &p->sched, e);
	if (bound_ns == NS_NEVER || ns_since(since_ns, now_ns) <= bound_ns) {
		e->late_ns = 0;
		return false;
	}
	if (e->late_ns < since_ns) {
		e->late_ns = now_ns;
	}
	if (now_ns - e->late_ns < MAX(bound_ns, WAITS_EVERY_NS)) {
		return false;
	}
	pool_condemn(p, POOL_OP_pick, e, "it waits for %lu ms already, and %lu ms is the longest", (now_ns - since_ns) / NS_PER_MS,
		     bound_ns / NS_PER_MS);
	return true;
}

/* Only this cpu changes the list, so it may be left and taken up again. */
static void look_at_waits(struct pool *p)
{
	struct list *node = p->entities.next;

	while (node != &p->entities && pool_ops(p)->wait_bound_ns != NULL) {
		uint64_t now_ns = arch_now_ns();

		pool_lock_all(p);
		for (unsigned i = 0; i < CHUNK && node != &p->entities; i++, node = node->next) {
			if (waits_too_long(p, LIST_ENTRY(node, struct sched_entity, link), now_ns)) {
				break;
			}
		}
		pool_unlock_all(p);
	}
}

/* Also the core's own, of what a policy reads and must not write. */
static void look_at_invariants(struct pool *p)
{
	struct sched_reason why = { "" };

	if (!pool_check(p, &why)) {
		pool_condemn(p, POOL_OP_check, NULL, "%s", why.words);
	}
}

static void look_at_pools(uint64_t now_ns)
{
	struct pool *p;

	for (unsigned i = 0; (p = pool_at(i)) != NULL; i++) {
		console_catch();	/* many pools in a row take longer than a serial port keeps what is typed */
		if (now_ns >= p->waits_ns) {
			look_at_waits(p);
			p->waits_ns = now_ns + WAITS_EVERY_NS;
		}
		if (now_ns >= p->check_ns) {
			look_at_invariants(p);
			p->check_ns = now_ns + CHECK_EVERY_NS;
		}
	}
}

void pool_watch(void)
{
	uint64_t now_ns = arch_now_ns();

	if (now_ns >= next_look_ns) {
		next_look_ns = now_ns + STUCK_LOOK_NS;
		look_at_locks();
		look_at_pools(now_ns);
		set_guard(now_ns);
	}
	pool_fall_all();
}

void pool_watch_init(void)
{
	timer_init(&guard, look_at_housekeeper, NULL);
	next_look_ns = 0;
	stuck_set_end(end_stuck);
	call_set_waiting(look_at_locks);
}
