/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool whose policy broke the contract falls back to rr.
 *
 *      trusted ──pool_condemn()──► condemned: limbo ──pool_fall_all(), housekeeping cpu──► fallen: rr
 *
 * Limbo is an op table that does nothing and picks nobody. Taking the policy's place costs one store, on the cpu that found it
 * out and at once: ops run under a domain's lock and look at the table anew in each hold, so from that store on no op of the
 * policy is called again; one that runs on another cpu, under another domain, is the last of that cpu. The pool's cpus idle
 * meanwhile. Only the core's own fields of an entity change in limbo (awake, pauses, and by these runnable), and they stay true.
 *
 * The housekeeping cpu then makes each cpu of the pool pass a safe point by a call: its entity comes off, and its domain is 0
 * from there on, since rr has one. When all are through nothing is on a slot and all go by domain 0; what a waker still does
 * under an old one is over once all are held. Under them all rr gets slots, entities, and a wake for whom it should run.
 *
 * Nothing is allocated: each block of private memory has rr's part behind the policy's. The policy's part is kept as long.
 */
#include "pool/pool_internal.h"

#include "kernel/call.h"
#include "kernel/heap.h"
#include "kernel/log.h"
#include "pool/dispatch.h"

#define PART_ALIGN	16u

static _Atomic bool any_condemned;

extern const struct sched_ops sched_rr;

/* --- Private memory. */

static size_t size_for(const struct sched_ops *ops, enum pool_private what)
{
	switch (what) {
	case POOL_PRIVATE_OBJECT:
		return ops->object_size;
	case POOL_PRIVATE_SLOT:
		return ops->slot_size;
	case POOL_PRIVATE_GROUP:
		return ops->group_size;
	default:
		return ops->entity_size;
	}
}

static size_t spare_at(const struct pool *p, enum pool_private what)
{
	return (size_for(p->made_for, what) + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

static size_t block_size(const struct pool *p, enum pool_private what)
{
	return spare_at(p, what) + size_for(&sched_rr, what);
}

bool pool_private_new(const struct pool *p, enum pool_private what, unsigned node, void **to)
{
	const size_t bytes = block_size(p, what);
	uint8_t *block = bytes > 0 ? heap_alloc(bytes, node) : NULL;

	*to = block != NULL && p->fallen ? block + spare_at(p, what) : block;
	return block != NULL || bytes == 0;
}

void pool_private_free(const struct pool *p, enum pool_private what, void *ptr)
{
	if (ptr != NULL) {
		heap_free((uint8_t *)ptr - (p->fallen ? spare_at(p, what) : 0), block_size(p, what));
	}
}

static void *spare_of(const struct pool *p, enum pool_private what, void *ptr)
{
	return ptr == NULL ? NULL : (uint8_t *)ptr + spare_at(p, what);
}

/* --- Limbo. */

static void limbo_slot(struct sched *, unsigned, uint64_t, struct sched_out *) { }
static void limbo_entity(struct sched *, struct sched_entity *, uint64_t, struct sched_out *) { }
static void limbo_charge(struct sched *, struct sched_entity *, uint64_t, uint64_t, struct sched_out *) { }
static void limbo_tune(struct sched *, struct sched_group *, struct sched_entity *, uint64_t, struct sched_out *) { }
static void limbo_export(struct sched *, const struct sched_entity *, struct sched_snapshot *) { }
static void limbo_import(struct sched *, struct sched_entity *, const struct sched_snapshot *, uint64_t) { }
static void limbo_pull(struct sched *, unsigned, unsigned, uint64_t, struct sched_out *) { }
static void limbo_fini(struct sched *) { }

static unsigned limbo_join(struct sched *, unsigned, const struct sched_place *, uint64_t, struct sched_out *)
{
	return 0;
}

static struct sched_pick limbo_pick(struct sched *, unsigned, uint64_t, struct sched_out *)
{
	return (struct sched_pick){ .entity = NULL, .until_ns = NS_NEVER };
}

static enum err limbo_admit(struct sched *, const struct sched_group *g, unsigned, const struct cpuset *, struct sched_reason *why)
{
	return g == NULL ? ERR_OK : sched_refuse(ERR_STATE, why, "its scheduler has failed");
}

static enum err limbo_validate(const struct sched_values *, enum sched_scope, struct sched_reason *)
{
	return ERR_OK;
}

static enum err limbo_check_table(const struct sched_values *, const struct sched_table *, struct sched_reason *why)
{
	return sched_refuse(ERR_STATE, why, "its scheduler has failed");
}

static void limbo_describe(struct sched *, uint64_t, struct text *to)
{
	text_puts(to, "failed: nobody is picked\n");
}

static bool limbo_check(struct sched *, struct sched_reason *)
{
	return true;
}

static uint64_t limbo_wait_bound_ns(struct sched *, const struct sched_entity *)
{
	return NS_NEVER;
}

/* Names, sizes and tunables stay the policy's. None is NULL: who looked before the change may call after it. */
static void limbo_init(struct pool *p)
{
	struct sched_ops *l = &p->limbo;

	*l = *p->sched.ops;
	l->fini = limbo_fini;
	l->join = limbo_join;
	l->leave = limbo_slot;
	l->admit = limbo_admit;
	l->validate = limbo_validate;
	l->check_table = limbo_check_table;
	l->add = l->remove = l->set_affinity = limbo_entity;
	l->wake = l->block = l->yield = l->released = limbo_entity;
	l->charge = limbo_charge;
	l->pick = limbo_pick;
	l->tune = limbo_tune;
	l->export = limbo_export;
	l->import = limbo_import;
	l->describe = limbo_describe;
	l->check = limbo_check;
	l->wait_bound_ns = limbo_wait_bound_ns;
	l->pull = limbo_pull;
}

/* --- The verdict. */

const char *pool_op_name(unsigned op)
{
	static const char *const names[] = {
		[POOL_OP_none] = "no op",
#define POOL_OP_NAME(name) [POOL_OP_##name] = #name,
		POOL_OP_TABLE(POOL_OP_NAME)
#undef POOL_OP_NAME
	};

	return op < ARRAY_SIZE(names) ? names[op] : "?";
}

void pool_condemn(struct pool *p, enum pool_op op, const struct sched_entity *e, const char *fmt, ...)
{
	struct pool_fault *f = &p->fault;
	unsigned trusted = POOL_TRUSTED;
	struct cpu *self = cpu_this();
	struct text name, words;
	va_list args;

	if (!atomic_compare_exchange_strong(&p->trust, &trusted, POOL_ACCUSED)) {
		return;
	}
	limbo_init(p);
	/* Release: the table; who reads the pointer reads by it. */
	__atomic_store_n(&p->sched.ops, &p->limbo, __ATOMIC_RELEASE);
	f->op = op;
	f->cpu = self->id;
	f->at_ns = arch_now_ns();
	name = text_make(f->entity, sizeof(f->entity));		/* not before: these empty what is there */
	words = text_make(f->words, sizeof(f->words));
	if (e != NULL) {
		text_printf(&name, "%s.%u", e->group != NULL ? e->group->name : "?", e->number);
	}
	va_start(args, fmt);
	text_vprintf(&words, fmt, args);
	va_end(args);
	/* Release: the words; pairs with the acquire load in pool_fall_all(). */
	atomic_store_explicit(&p->trust, POOL_CONDEMNED, memory_order_release);
	atomic_store_explicit(&any_condemned, true, memory_order_release);
	if (self->housekeeping) {
		self->house_due_ns = 0;
	}
	cpu_poke(cpu_housekeeping());
}

void pool_condemn_pick(struct cpu *self, struct pool *p, const struct sched_pick *next, uint64_t now_ns)
{
	const struct sched_entity *e = next->entity;

	if (next->until_ns <= now_ns) {
		pool_condemn(p, POOL_OP_pick, e, "until is %lu ns, which is not later than now, %lu ns", next->until_ns, now_ns);
	} else if (e->pool != p) {
		pool_condemn(p, POOL_OP_pick, e, "not an entity of this pool");
	} else if (!e->runnable) {
		pool_condemn(p, POOL_OP_pick, e, "not runnable");
	} else if (e->parked != SCHED_NOT_PARKED) {
		pool_condemn(p, POOL_OP_pick, e, "parked");
	} else if (!cpuset_has(&e->hard, self->id)) {
		pool_condemn(p, POOL_OP_pick, e, "may not run on cpu %u", self->id);
	} else if (e->on_slot) {
		pool_condemn(p, POOL_OP_pick, e, "still on cpu %u", e->slot);
	} else {
		pool_condemn(p, POOL_OP_pick, e, "in the lock domain of slot %u, not in that of cpu %u", e->slot, self->id);
	}
}

/* --- rr takes over. */

static void come_off(void *arg)
{
	struct pool *p = arg;
	struct cpu *self = cpu_this();

	dispatch_drop_current();
	self->domain = &p->domain[0].lock;
}

static void give_entities(struct pool *p, const struct sched_ops *from, uint64_t now_ns, struct sched_out *out)
{
	LIST_FOREACH(node, &p->groups) {
		struct sched_group *g = LIST_ENTRY(node, struct sched_group, link);

		g->priv = spare_of(p, POOL_PRIVATE_GROUP, g->priv);
		pool_translate(from, &sched_rr, &g->values);
	}
	LIST_FOREACH(node, &p->entities) {
		struct sched_entity *e = LIST_ENTRY(node, struct sched_entity, link);
		bool runnable = e->awake && e->pauses == 0;	/* whatever the policy made of it */

		e->priv = spare_of(p, POOL_PRIVATE_ENTITY, e->priv);
		pool_translate(from, &sched_rr, &e->values);
		e->runnable = e->on_slot = false;
		e->parked = SCHED_NOT_PARKED;
		e->parked_until_ns = e->late_ns = 0;
		__atomic_store_n(&e->slot, SCHED_NO_SLOT, __ATOMIC_RELAXED);
		POOL_TELL(p, add, &p->sched, e, now_ns, out);
		if (runnable) {
			e->runnable = true;
			POOL_ASK(cpu_this(), p, wake, &p->sched, e, now_ns, out);
		}
	}
}

/* All domains are held, and nobody is on a slot. */
static void give_to_rr(struct pool *p, struct sched_out *out)
{
	const struct sched_ops *from = p->made_for;
	uint64_t now_ns = arch_now_ns();

	p->sched.ops = &sched_rr;
	pool_translate(from, &sched_rr, &p->sched.values);
	p->sched.priv = spare_of(p, POOL_PRIVATE_OBJECT, p->sched.priv);
	cpuset_clear(&p->sched.slots);
	POOL_ASK(cpu_this(), p, init, &p->sched);
	CPUSET_FOREACH(cpu, &p->cpus) {
		const struct sched_place place = pool_place_of(cpu_get(cpu));

		p->sched.slot_priv[cpu] = spare_of(p, POOL_PRIVATE_SLOT, p->sched.slot_priv[cpu]);
		cpuset_add(&p->sched.slots, cpu);
		__atomic_store_n(&p->slot_domain[cpu], 0, __ATOMIC_RELAXED);
		POOL_TELL(p, join, &p->sched, cpu, &place, now_ns, out);
	}
	p->fallen = true;
	give_entities(p, from, now_ns, out);
}

const char *pool_failed(const struct pool *p)
{
	/* Acquire: the words; while it is only accused they are being written. */
	return p->fallen || atomic_load_explicit(&p->trust, memory_order_acquire) >= POOL_CONDEMNED ? p->made_for->name : NULL;
}

void pool_fault_print(const struct pool *p, struct text *to)
{
	bool held = p->trust == POOL_FALLEN;
	const struct pool_fault *f = &p->fault;

	text_printf(to, "scheduler %s failed: %s on cpu %u%s%s: %s; %s", held ? sched_rr.name : p->made_for->name,
		    pool_op_name(f->op), f->cpu, f->entity[0] != '\0' ? ", " : "", f->entity, f->words,
		    held ? "its VMs are held" : "rr takes over");
}

static void report(const struct pool *p)
{
	char words[300];
	struct text t = text_make(words, sizeof(words));

	pool_fault_print(p, &t);
	log_printf("pool %s: %s", p->name, words);
}

static void fall(struct pool *p)
{
	struct sched_out out;

	if (p->fallen) {
		atomic_store_explicit(&p->trust, POOL_FALLEN, memory_order_relaxed);
		report(p);
		return;			/* in limbo, for good: they can be moved to another pool */
	}
	report(p);
	CPUSET_FOREACH(cpu, &p->cpus) {
		call_sync(cpu, come_off, p);
	}
	sched_out_init(&out);
	pool_lock_all(p);
	give_to_rr(p, &out);
	atomic_store_explicit(&p->trust, POOL_TRUSTED, memory_order_relaxed);
	pool_unlock_all(p);
	pool_send_pokes(&out);
}

void pool_fall_all(void)
{
	struct pool *p;

	/* Exchanged, so that no look at a pool below comes before it: who is condemned after its look sets the flag anew. */
	if (!atomic_load_explicit(&any_condemned, memory_order_relaxed) || !atomic_exchange(&any_condemned, false)) {
		return;
	}
	pool_assert_control();
	for (unsigned i = 0; (p = pool_at(i)) != NULL; i++) {
		if (atomic_load_explicit(&p->trust, memory_order_acquire) == POOL_CONDEMNED) {
			fall(p);
		}
	}
}
