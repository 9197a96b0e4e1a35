/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cross-calls. The list is a stack that producers push to by compare-and-swap; the owner takes all of it at once, so
 * there is no ABA, and turns it round to run calls in the order they came.
 */
#include "kernel/call.h"

#include "kernel/cpu.h"
#include "kernel/log.h"

#define WAIT_MAX_NS	(5 * NS_PER_S)

static void (*waiting)(void);

void call_set_waiting(void (*fn)(void))
{
	waiting = fn;
}

static void push(struct cpu *target, struct call *c)
{
	struct call *head = atomic_load_explicit(&target->remote.calls, memory_order_relaxed);

	do {
		c->next = head;
		/* Release: c and what its fn reads; pairs with the acquire exchange in call_run(). */
	} while (!atomic_compare_exchange_weak_explicit(&target->remote.calls, &head, c, memory_order_release,
							memory_order_relaxed));
}

bool call_post(unsigned cpu, struct call *c)
{
	ASSERT(cpu_get(cpu) != NULL);
	if (atomic_exchange_explicit(&c->pending, true, memory_order_acq_rel)) {
		return false;
	}
	push(cpu_get(cpu), c);
	if (cpu == arch_this_cpu()) {
		/* Its loop looks for calls when it was poked. */
		atomic_store_explicit(&cpu_this()->remote.poked, 1, memory_order_relaxed);
	} else {
		cpu_poke(cpu);
	}
	return true;
}

static struct call *take_all(struct cpu *self)
{
	struct call *newest = atomic_exchange_explicit(&self->remote.calls, NULL, memory_order_acquire);
	struct call *oldest = NULL;

	while (newest != NULL) {
		struct call *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

bool call_run(void)
{
	struct cpu *self = cpu_this();

	if (atomic_load_explicit(&self->remote.calls, memory_order_relaxed) == NULL) {
		return false;
	}
	spin_assert_none();
	for (struct call *c = take_all(self), *next; c != NULL; c = next) {
		next = c->next;		/* c may be gone, or posted again, once it is no longer pending */
		c->fn(c->arg);
		/* Release: what fn did is seen by who waits; pairs with the acquire load in call_sync(). */
		atomic_store_explicit(&c->pending, false, memory_order_release);
	}
	return true;
}

static void wait_for(const struct call *c, unsigned cpu)
{
	struct cpu *self = cpu_this();
	uint64_t start_ns = arch_now_ns();
	bool urged = false, poked = false;

	while (atomic_load_explicit(&c->pending, memory_order_acquire)) {
		uint64_t waited_ns = arch_now_ns() - start_ns;

		poked |= cpu_poke_ack(self);
		call_run();
		if (!urged && waited_ns >= CPU_NMI_AFTER_NS) {
			arch_poke_nmi(cpu);
			urged = true;
		}
		if (urged && waiting != NULL) {
			waiting();
		}
		if (waited_ns > WAIT_MAX_NS) {
			panic("cpu %u waited 5 s for cpu %u, which does not answer its calls", self->id, cpu);
		}
		arch_relax();
	}
	if (poked) {
		/* It may have meant "pick again", or housekeeping: the loop shall not miss it. */
		atomic_store_explicit(&self->remote.poked, 1, memory_order_relaxed);
	}
}

void call_sync(unsigned cpu, void (*fn)(void *arg), void *arg)
{
	struct call c;

	spin_assert_none();
	if (cpu == arch_this_cpu()) {
		fn(arg);
		return;
	}
	ASSERT(cpu_is_online(cpu) && !cpu_this()->in_run);
	call_init(&c, fn, arg);
	call_post(cpu, &c);
	wait_for(&c, cpu);
}
