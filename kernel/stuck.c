/* SPDX-License-Identifier: BSD-2-Clause */
/* See stuck.h. */
#include "kernel/stuck.h"

#include "kernel/cpu.h"
#include "kernel/log.h"

static void (*end)(void);

void stuck_set_end(void (*fn)(void))
{
	end = fn;
}

/* Two who accuse at once may mix their words up: then those fit no hold, and the holder takes no notice. */
static void accuse(unsigned cpu, const struct spinlock *l, uint32_t serving)
{
	struct cpu *holder = cpu_get(cpu);

	if (holder == NULL) {
		return;
	}
	atomic_store_explicit(&holder->stuck.serving, serving, memory_order_relaxed);
	/* Release: pairs with the exchange in stuck_verdict(). */
	atomic_store_explicit(&holder->stuck.lock, l, memory_order_release);
	arch_poke_nmi(holder->id);
}

void stuck_look(const struct spinlock *l, struct stuck_seen *seen)
{
	uint32_t serving = atomic_load_explicit(&l->serving, memory_order_relaxed);
	uint32_t owner = atomic_load_explicit(&l->owner, memory_order_relaxed);
	uint64_t now_ns = arch_now_ns();

	if (owner == 0 || serving != seen->serving || seen->since_ns == 0) {
		*seen = (struct stuck_seen){ .since_ns = now_ns, .serving = serving };
	} else if (ns_since(seen->since_ns, now_ns) >= STUCK_LOOK_NS && owner != arch_this_cpu() + 1) {
		seen->since_ns = now_ns;
		accuse(owner - 1, l, serving);
	}
}

bool stuck_verdict(struct cpu *self)
{
	struct cpu_stuck *s = &self->stuck;
	const struct spinlock *l = atomic_exchange_explicit(&s->lock, NULL, memory_order_acquire);
	uint32_t serving = atomic_load_explicit(&s->serving, memory_order_relaxed);
	uint64_t now_ns;

	if (l == NULL || s->waits || atomic_load_explicit(&l->owner, memory_order_relaxed) != self->id + 1 ||
	    atomic_load_explicit(&l->serving, memory_order_relaxed) != serving) {
		return false;
	}
	now_ns = arch_now_ns();
	if (s->strike_lock != l || s->strike_serving != serving) {
		s->strikes = 0;
	} else if (now_ns - s->strike_ns < STUCK_LOOK_NS / 2) {
		return false;		/* several look at the same lock */
	}
	s->strike_lock = l;
	s->strike_serving = serving;
	s->strike_ns = now_ns;
	return ++s->strikes == STUCK_STRIKES && end != NULL;
}

noreturn void stuck_end(void)
{
	end();
	panic("a cpu that was stuck came back");
}
