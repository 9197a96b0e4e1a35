/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools as objects: made, found, renamed, tuned, checked, destroyed. */
#include "pool/pool_internal.h"

#include "kernel/call.h"
#include "kernel/heap.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"

static struct list pools = { &pools, &pools };
static unsigned count;
static const struct sched_ops *default_ops;

void pool_assert_control(void)
{
	ASSERT(arch_this_cpu() == cpu_housekeeping());
	spin_assert_none();
}

void pool_lock_all(struct pool *p)
{
	spin_lock(&p->domain[0].lock);
	cpu_this()->asked = p;
	for (unsigned i = 1; i < p->domain_count; i++) {
		spin_lock_next(&p->domain[i].lock);
	}
}

void pool_unlock_all(struct pool *p)
{
	for (unsigned i = p->domain_count; i > 0; i--) {
		spin_unlock(&p->domain[i - 1].lock);
	}
}

void pool_send_pokes(struct sched_out *out)
{
	if (!out->any) {
		return;
	}
	if (!out->many) {
		cpu_poke(out->first);
	} else {
		CPUSET_FOREACH(slot, &out->poke) {
			cpu_poke(slot);
		}
	}
	sched_out_init(out);
}

static void pass_by(void *arg)
{
	(void)arg;
}

void pool_wait_all_cpus(void)
{
	for (unsigned id = 0; id < cpu_count(); id++) {
		if (cpu_is_online(id)) {
			call_sync(id, pass_by, NULL);
		}
	}
}

/* --- The list. */

struct pool *pool_at(unsigned i)
{
	LIST_FOREACH(node, &pools) {
		if (i-- == 0) {
			return LIST_ENTRY(node, struct pool, link);
		}
	}
	return NULL;
}

struct pool *pool_find(const char *name)
{
	LIST_FOREACH(node, &pools) {
		struct pool *p = LIST_ENTRY(node, struct pool, link);

		if (str_eq(p->name, name)) {
			return p;
		}
	}
	return NULL;
}

void pool_set_default(const struct sched_ops *ops)
{
	default_ops = ops;
}

const struct sched_ops *pool_default(void)
{
	return default_ops;
}

unsigned pool_count(void)
{
	return count;
}

const char *pool_name_at(unsigned i)
{
	const struct pool *p = pool_at(i);

	return p != NULL ? p->name : NULL;
}

/* A name is a word that no cpu set and no option looks like. */
static enum err check_name(const char *name, struct sched_reason *why)
{
	size_t len = strlen(name);

	if (len == 0 || len >= POOL_NAME_LEN || name[0] == '-') {
		return sched_refuse(ERR_INVAL, why, "a name has 1 to %u characters and does not start with -",
				    POOL_NAME_LEN - 1);
	}
	for (const char *c = name; *c != '\0'; c++) {
		bool word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			    *c == '-' || *c == '_' || *c == '.';

		if (!word) {
			return sched_refuse(ERR_INVAL, why, "a name is made of letters, digits, - _ and .");
		}
	}
	if (str_eq(name, "free") || str_eq(name, "all")) {
		return sched_refuse(ERR_INVAL, why, "\"%s\" names a set of cpus", name);
	}
	if (pool_find(name) != NULL) {
		return sched_refuse(ERR_EXIST, why, "pool %s exists already", name);
	}
	return ERR_OK;
}

/* --- Making and freeing. */

static void free_parts(struct pool *p)
{
	pool_private_free(p, POOL_PRIVATE_OBJECT, p->sched.priv);
	pool_table_free(p->sched.table);
	if (p->old_table != p->sched.table) {
		pool_table_free(p->old_table);
	}
	heap_free(p->sched.slot_priv, p->width * sizeof(p->sched.slot_priv[0]));
	heap_free(p->slot_domain, p->width * sizeof(p->slot_domain[0]));
	heap_free(p->domain, p->width * sizeof(p->domain[0]));
	heap_free(p, sizeof(*p));
}

static struct pool *allocate(const struct sched_ops *ops, unsigned node)
{
	struct pool *p = heap_alloc(sizeof(*p), node);

	if (p == NULL) {
		return NULL;
	}
	p->node = node;
	p->width = cpu_count();
	p->sched.ops = p->made_for = ops;
	p->domain = heap_alloc(p->width * sizeof(p->domain[0]), node);
	p->slot_domain = heap_alloc(p->width * sizeof(p->slot_domain[0]), node);
	p->sched.slot_priv = heap_alloc(p->width * sizeof(p->sched.slot_priv[0]), node);
	if (p->domain == NULL || p->slot_domain == NULL || p->sched.slot_priv == NULL ||
	    !pool_private_new(p, POOL_PRIVATE_OBJECT, node, &p->sched.priv)) {
		free_parts(p);
		return NULL;
	}
	for (unsigned i = 0; i < p->width; i++) {
		spin_init(&p->domain[i].lock, SPIN_RANK_DOMAIN);
	}
	p->domain_count = 1;
	list_init(&p->groups);
	list_init(&p->entities);
	return p;
}

void pool_question_begin(struct pool *p, struct sched_reason *why)
{
	why->words[0] = '\0';
	spin_lock(&pool_asking);
	cpu_this()->asked = p;
}

void pool_question_end(struct pool *p, enum err e, struct sched_reason *why)
{
	spin_unlock(&pool_asking);
	if (e == ERR_TIMEOUT) {
		(void)sched_refuse(e, why, "scheduler %s did not come back from its op %s", pool_ops(p)->name,
				   pool_op_name(p->fault.op));
	} else if (e != ERR_OK && why->words[0] == '\0') {
		(void)sched_refuse(e, why, "scheduler %s: %s", pool_ops(p)->name, err_words(e));
	}
}

enum err pool_validate(struct pool *p, const struct sched_values *values, enum sched_scope scope, struct sched_reason *why)
{
	return pool_ops(p)->validate == NULL ? ERR_OK : POOL_QUESTION(p, why, validate, values, scope, why);
}

static enum err check_values(struct pool *p, const struct sched_values *values, struct sched_reason *why)
{
	const struct sched_ops *ops = pool_ops(p);

	for (unsigned i = 0; i < ops->tunable_count; i++) {
		const struct sched_tunable *t = &ops->tunables[i];

		if ((t->type == SCHED_INT || t->type == SCHED_TIME) && t->scope == SCHED_POOL &&
		    (values->v[i] < t->min || values->v[i] > t->max)) {
			return sched_refuse(ERR_RANGE, why, "%s is out of range", t->name);
		}
	}
	return pool_validate(p, values, SCHED_POOL, why);
}

enum err pool_create(const char *name, const struct sched_ops *ops, const struct sched_values *values, unsigned node,
		     struct pool **out, struct sched_reason *why)
{
	struct pool *p;
	enum err e = check_name(name, why);

	pool_assert_control();
	if (e != ERR_OK) {
		return e;
	}
	if (count == POOL_MAX) {
		return sched_refuse(ERR_LIMIT, why, "there are %u pools already", POOL_MAX);
	}
	p = allocate(ops, node);
	if (p == NULL) {
		return sched_refuse(ERR_NOMEM, why, "no memory for a pool on node %u", node);
	}
	str_copy(p->name, sizeof(p->name), name);
	if (values == NULL) {
		sched_values_default(ops, &p->sched.values);
	} else {
		p->sched.values = *values;
	}
	e = check_values(p, &p->sched.values, why);
	if (e == ERR_OK) {
		e = POOL_QUESTION(p, why, init, &p->sched);
	}
	if (e != ERR_OK) {
		pool_watch_forget(p);
		free_parts(p);
		return e;
	}
	list_push_back(&pools, &p->link);
	count++;
	*out = p;
	return ERR_OK;
}

enum err pool_destroy(struct pool *p, struct sched_reason *why)
{
	pool_assert_control();
	if (p->group_count > 0) {
		return sched_refuse(ERR_BUSY, why, "%u VM%s in it", p->group_count, p->group_count == 1 ? " is" : "s are");
	}
	/* Without a group nothing in here can refuse: leaving needs no memory. */
	while (!cpuset_empty(&p->cpus)) {
		enum err e = pool_remove_cpu(p, cpuset_first(&p->cpus), why);

		ASSERT(e == ERR_OK);
	}
	if (p->had_entities) {
		pool_wait_all_cpus();
	}
	if (p->sched.ops->fini != NULL) {
		pool_lock_all(p);
		POOL_GUARD(POOL_ASK(cpu_this(), p, fini, &p->sched));
		pool_unlock_all(p);
	}
	pool_watch_forget(p);
	list_remove(&p->link);
	count--;
	free_parts(p);
	return ERR_OK;
}

enum err pool_rename(struct pool *p, const char *name, struct sched_reason *why)
{
	enum err e;

	pool_assert_control();
	if (str_eq(p->name, name)) {
		return ERR_OK;
	}
	e = check_name(name, why);
	if (e == ERR_OK) {
		str_copy(p->name, sizeof(p->name), name);
	}
	return e;
}

void pool_set_warn(struct pool *p, bool warn)
{
	pool_assert_control();
	p->warn = warn;
}

enum err pool_ask(struct pool *p, const struct sched_group *g, unsigned entities, const struct cpuset *slots,
		  const char *what, struct sched_reason *why)
{
	struct sched *s = &p->sched;
	enum err e = pool_ops(p)->admit == NULL ? ERR_OK : POOL_QUESTION(p, why, admit, s, g, entities, slots, why);

	if (e == ERR_ADMISSION && p->warn) {
		log_printf("pool %s: %s, although %s", p->name, what, why->words);
		return ERR_OK;
	}
	return e;
}

/* --- Values and tables. */

struct sched_table *pool_table_new(unsigned rows)
{
	struct sched_table *t = heap_alloc(sizeof(*t) + rows * sizeof(t->row[0]), 0);

	if (t != NULL) {
		t->room = rows;
	}
	return t;
}

void pool_table_free(struct sched_table *t)
{
	if (t != NULL) {
		heap_free(t, sizeof(*t) + t->room * sizeof(t->row[0]));
	}
}

static struct sched_table *copy_table(const struct sched_table *t)
{
	struct sched_table *copy = pool_table_new(t->count);

	if (copy != NULL) {
		copy->count = t->count;
		memcpy(copy->row, t->row, t->count * sizeof(t->row[0]));
	}
	return copy;
}

static void free_table_unless_used(const struct pool *p, struct sched_table *t)
{
	if (t != p->sched.table && t != p->sched.table_used) {
		pool_table_free(t);
	}
}

static enum err may_tune(struct pool *p, const struct sched_values *values, const struct sched_table *t,
			 struct sched_reason *why)
{
	const struct sched_ops *ops = pool_ops(p);
	enum err e = check_values(p, values, why);

	if (e == ERR_OK && t != NULL && ops->check_table != NULL) {
		e = POOL_QUESTION(p, why, check_table, values, t, why);
	}
	for (unsigned i = 0; i < ops->tunable_count && e == ERR_OK; i++) {
		if (!ops->tunables[i].live && values->v[i] != p->sched.values.v[i] &&
		    (p->group_count > 0 || !cpuset_empty(&p->cpus))) {
			e = sched_refuse(ERR_STATE, why, "%s cannot change while cpus or VMs are in the pool",
					 ops->tunables[i].name);
		}
	}
	return e;
}

/* t NULL: the table stays. */
static void commit_tune(struct pool *p, const struct sched_values *values, struct sched_table *t)
{
	struct sched_table *before = p->sched.table, *older = p->old_table;
	struct sched_out out;

	sched_out_init(&out);
	pool_lock_all(p);
	p->sched.values = *values;
	p->sched.table = t != NULL ? t : before;
	if (p->sched.ops->tune != NULL) {
		POOL_TELL(p, tune, &p->sched, NULL, NULL, arch_now_ns(), &out);
	}
	p->old_table = p->sched.table_used;
	pool_unlock_all(p);
	pool_send_pokes(&out);
	free_table_unless_used(p, before);
	if (older != before) {
		free_table_unless_used(p, older);
	}
}

enum err pool_tune_table(struct pool *p, const struct sched_values *values, const struct sched_table *t,
			 struct sched_reason *why)
{
	struct sched_table *copy;
	enum err e;

	pool_assert_control();
	if (sched_list_of(p->sched.ops) == NULL) {
		return sched_refuse(ERR_NOTSUP, why, "%s has no table", p->sched.ops->name);
	}
	for (unsigned i = 0; i < t->count; i++) {
		if (!cpuset_has(&p->cpus, t->row[i].slot)) {
			return sched_refuse(ERR_INVAL, why, "cpu %u has a window, but is not in pool %s", t->row[i].slot, p->name);
		}
	}
	e = may_tune(p, values, t, why);
	if (e != ERR_OK) {
		return e;
	}
	copy = copy_table(t);
	if (copy == NULL) {
		return sched_refuse(ERR_NOMEM, why, "no memory for a table of %u rows", t->count);
	}
	commit_tune(p, values, copy);
	return ERR_OK;
}

enum err pool_tune(struct pool *p, const struct sched_values *values, struct sched_reason *why)
{
	enum err e;

	pool_assert_control();
	e = may_tune(p, values, p->sched.table, why);
	if (e == ERR_OK) {
		commit_tune(p, values, NULL);
	}
	return e;
}

/* --- Invariants. */

static bool check_entity(const struct pool *p, const struct sched_entity *e, struct sched_reason *why)
{
	if (e->pool != p || e->group->pool != p) {
		return sched_refuse(ERR_STATE, why, "%s.%u: points to another pool", e->group->name, e->number) == ERR_OK;
	}
	if (e->slot != SCHED_NO_SLOT && !cpuset_has(&p->cpus, e->slot)) {
		return sched_refuse(ERR_STATE, why, "%s.%u: on a slot not ours", e->group->name, e->number) == ERR_OK;
	}
	if (e->runnable && !(e->awake && e->pauses == 0) && !e->on_slot) {
		return sched_refuse(ERR_STATE, why, "%s.%u: runnable, but held", e->group->name, e->number) == ERR_OK;
	}
	if (!e->runnable && e->awake && e->pauses == 0) {
		return sched_refuse(ERR_STATE, why, "%s.%u: forgotten", e->group->name, e->number) == ERR_OK;
	}
	return true;
}

static bool check_cpus(const struct pool *p, struct sched_reason *why)
{
	for (unsigned id = 0; id < p->width; id++) {
		bool member = cpuset_has(&p->cpus, id);

		if (member != (pool_of_cpu(id) == p) || member != cpuset_has(&p->sched.slots, id)) {
			return sched_refuse(ERR_STATE, why, "cpu %u: membership is not agreed on", id) == ERR_OK;
		}
		if (member != (p->sched.slot_priv[id] != NULL)) {
			return sched_refuse(ERR_STATE, why, "cpu %u: private memory does not match", id) == ERR_OK;
		}
	}
	return true;
}

bool pool_check(struct pool *p, struct sched_reason *why)
{
	unsigned entities = 0;
	bool right = check_cpus(p, why);

	pool_lock_all(p);
	LIST_FOREACH(node, &p->entities) {
		right = right && check_entity(p, LIST_ENTRY(node, struct sched_entity, link), why);
		entities++;
	}
	if (right && entities != p->entity_count) {
		right = sched_refuse(ERR_STATE, why, "%u entities, %u counted", entities, p->entity_count) == ERR_OK;
	}
	if (right) {
		(void)sched_refuse(ERR_STATE, why, "its check did not come back");
		right = POOL_TRY(p, check, false, &p->sched, why);
	}
	pool_unlock_all(p);
	return right;
}
