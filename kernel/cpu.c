/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cpu table and pokes. A poke is one flag and at most one IPI: whoever turns `poked` from 0 to 1 sends it and
 * watches for the acknowledgement; all others rely on that. A guest with interrupts blocked takes no IPI only where
 * external interrupts do not exit, but the watch costs little and covers every such case: after 50 us an NMI goes out.
 * Nobody waits for it: the poker remembers whom it poked and looks again in its own loop.
 */
#include "kernel/cpu.h"

#include "kernel/log.h"

struct cpu *cpu_table[CPU_MAX];

static unsigned count;
static unsigned housekeeping = CPU_NONE;

void cpu_init(struct cpu *c, unsigned id)
{
	c->id = id;
	atomic_store_explicit(&c->state, CPU_ABSENT, memory_order_relaxed);
	timer_queue_init(&c->timers);
}

void cpu_install(struct cpu *c)
{
	ASSERT(c->id < CPU_MAX && cpu_table[c->id] == NULL);
	cpu_table[c->id] = c;
	count = MAX(count, c->id + 1);
	if (c->housekeeping) {
		housekeeping = c->id;
	}
}

void cpu_uninstall_all(void)
{
	for (unsigned i = 0; i < count; i++) {
		cpu_table[i] = NULL;
	}
	count = 0;
	housekeeping = CPU_NONE;
}

unsigned cpu_count(void)
{
	return count;
}

struct cpuset cpu_set_of_node(unsigned node)
{
	struct cpuset set = { 0 };

	for (unsigned i = 0; i < count; i++) {
		if (cpu_table[i] != NULL && cpu_table[i]->node == node) {
			cpuset_add(&set, i);
		}
	}
	return set;
}

unsigned cpu_housekeeping(void)
{
	return housekeeping;
}

void cpu_set_housekeeping(unsigned id)
{
	ASSERT(cpu_is_online(id));
	cpu_this()->housekeeping = false;
	housekeeping = id;
	cpu_table[id]->housekeeping = true;
	cpu_poke(id);
}

static bool acknowledged(const struct cpu_poke *p)
{
	/* Acquire: pairs with the exchange in cpu_poke_ack(); nothing is read after it yet, but waiters may rely on it. */
	return atomic_load_explicit(&cpu_table[p->cpu]->remote.poked, memory_order_acquire) == 0;
}

/* Keeps those that are neither acknowledged nor older than limit_ns; the old ones get their NMI. */
static void sweep(struct cpu *self, uint64_t now_ns, uint64_t limit_ns)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < self->poke_count; i++) {
		struct cpu_poke p = self->poke[i];

		if (acknowledged(&p)) {
			continue;
		}
		if (now_ns - p.since_ns >= limit_ns) {
			arch_poke_nmi(p.cpu);
			continue;
		}
		self->poke[kept++] = p;
	}
	self->poke_count = kept;
}

static void watch(struct cpu *self, unsigned target)
{
	uint64_t now_ns = arch_now_ns();

	for (unsigned i = 0; i < self->poke_count; i++) {
		if (self->poke[i].cpu == target) {
			self->poke[i].since_ns = now_ns;	/* the earlier one was acknowledged, or we had not sent another */
			return;
		}
	}
	if (self->poke_count == CPU_POKES_MAX) {
		sweep(self, now_ns, CPU_NMI_AFTER_NS);
	}
	if (self->poke_count == CPU_POKES_MAX) {
		/* No room to remember all: an NMI too early does no harm, one forgotten would. */
		sweep(self, now_ns, 0);
	}
	self->poke[self->poke_count++] = (struct cpu_poke){ .cpu = target, .since_ns = now_ns };
}

struct cpu_times cpu_times(const struct cpu *c)
{
	struct cpu_times t = { cpu_read(&c->busy_ns), cpu_read(&c->idle_ns), cpu_read(&c->switches) };
	/* After the sums, and before the start: see begin() of dispatch.c. A run that ends meanwhile is not counted twice. */
	bool runs = __atomic_load_n(&c->in_run, __ATOMIC_ACQUIRE), halts = __atomic_load_n(&c->halts, __ATOMIC_ACQUIRE);
	uint64_t present_ns = ns_since(__atomic_load_n(&c->run_start_ns, __ATOMIC_ACQUIRE), arch_now_ns());

	t.busy_ns += runs ? present_ns : 0;
	t.idle_ns += halts ? present_ns : 0;
	return t;
}

void cpu_poke(unsigned id)
{
	struct cpu *target = cpu_get(id);
	struct cpu *self = cpu_this();

	if (target == NULL || !cpu_is_online(id)) {
		return;
	}
	if (target == self && !self->in_run) {
		self->again = true;
		return;
	}
	/* Release: what the target is to find is written before. Pairs with the exchange in cpu_poke_ack(). */
	if (atomic_exchange_explicit(&target->remote.poked, 1, memory_order_acq_rel) != 0 || target == self) {
		return;		/* on its way already; one's own flag is tested before a guest is entered */
	}
	arch_poke(id);
	if (self != NULL) {
		watch(self, id);
	}
}

void cpu_poke_check(struct cpu *self, uint64_t now_ns)
{
	if (self->poke_count > 0) {
		sweep(self, now_ns, CPU_NMI_AFTER_NS);
	}
}

uint64_t cpu_poke_next(const struct cpu *self)
{
	uint64_t next_ns = NS_NEVER;

	for (unsigned i = 0; i < self->poke_count; i++) {
		next_ns = MIN(next_ns, self->poke[i].since_ns + CPU_NMI_AFTER_NS);
	}
	return next_ns;
}
