/* SPDX-License-Identifier: BSD-2-Clause */
/* The manifest's second pass: what it says, compared with the machine and with the schedulers that are there. */
#include "kernel/manifest.h"

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

struct checking {
	struct manifest *m;
	const struct manifest_facts *facts;
	struct manifest_errors *errors;
	struct cpuset claimed;			/* by the pools checked so far */
};

#define FAULT(c, usable, at, ...) \
	do { \
		manifest_report((c)->errors, false, (at)->line, (at)->column, __VA_ARGS__); \
		*(usable) = false; \
	} while (0)

/* --- Schedulers and their values ---------------------------------------------------------------------------------- */

static void put_policies(struct text *to)
{
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		text_printf(to, "%s%s", i > 0 ? ", " : "", sched_policy_at(i)->name);
	}
}

static void put_tunables(const struct sched_ops *ops, enum manifest_section section, struct text *to)
{
	const char *between = "";

	for (unsigned i = 0; i < ops->tunable_count; i++) {
		if ((ops->tunables[i].scope == SCHED_POOL) == (section == MANIFEST_POOL)) {
			text_printf(to, "%s%s", between, ops->tunables[i].name);
			between = ", ";
		}
	}
	if (between[0] == '\0') {
		text_puts(to, "none");
	}
}

static const struct sched_ops *find_policy(struct checking *c, const struct manifest_text *name, bool *usable)
{
	const struct sched_ops *ops = sched_policy_find(name->text);
	char names[128];
	struct text t = text_make(names, sizeof(names));

	if (ops == NULL) {
		put_policies(&t);
		FAULT(c, usable, name, "unknown scheduler \"%.40s\", expected one of: %s", name->text, names);
	}
	return ops;
}

static void unknown_tunable(struct checking *c, const struct sched_ops *ops, enum manifest_section section,
			    const struct manifest_tunable *t, bool *usable)
{
	char keys[160], tunables[80];
	struct text k = text_make(keys, sizeof(keys)), u = text_make(tunables, sizeof(tunables));
	const struct manifest_text at = { t->key, t->value.line, t->key_column };

	if (sched_tunable_known(t->key, section == MANIFEST_POOL)) {
		manifest_report(c->errors, true, at.line, at.column, "key %s: scheduler %s does not have it, ignored",
				t->key, ops->name);
		return;
	}
	if (manifest_key_find(section, t->key) != NULL) {
		manifest_report(c->errors, true, at.line, at.column, "key %s: not built yet, ignored", t->key);
		return;
	}
	if (sched_tunable_known(t->key, section != MANIFEST_POOL)) {
		FAULT(c, usable, &at, "found key \"%s\" here, expected it in a section [%s NAME]", t->key,
		      section == MANIFEST_POOL ? "vm" : "pool");
		return;
	}
	manifest_key_names(section, &k);
	put_tunables(ops, section, &u);
	FAULT(c, usable, &at, "unknown key \"%.40s\", expected one of: %s; or of scheduler %s: %s", t->key, keys,
	      ops->name, tunables);
}

static void check_tunable(struct checking *c, const struct sched_ops *ops, enum manifest_section section,
			  const struct manifest_tunable *t, struct sched_values *values, bool *usable)
{
	unsigned index;
	const struct sched_tunable *known = sched_tunable_find(ops, t->key, &index);
	struct sched_reason why = { "" };
	int64_t value;

	if (known == NULL || (known->scope == SCHED_POOL) != (section == MANIFEST_POOL)) {
		unknown_tunable(c, ops, section, t, usable);
	} else if (sched_value_parse(known, t->value.text, &value, &why) != ERR_OK) {
		FAULT(c, usable, &t->value, "%s", why.words);	/* begins with the key */
	} else {
		values->v[index] = value;
	}
}

/* All tunables of a section, then the whole set. */
static void check_values(struct checking *c, const struct sched_ops *ops, enum manifest_section section, unsigned first,
			 unsigned count, const struct manifest_text *head, struct sched_values *values, bool *usable)
{
	struct sched_reason why = { "" };
	bool good = true;

	sched_values_default(ops, values);
	for (unsigned i = 0; i < count; i++) {
		check_tunable(c, ops, section, &c->m->tunable[first + i], values, &good);
	}
	*usable = *usable && good;
	if (!good || ops->validate == NULL) {
		return;
	}
	for (unsigned scope = SCHED_POOL; scope <= SCHED_ENTITY; scope++) {
		if ((scope == SCHED_POOL) == (section == MANIFEST_POOL) &&
		    ops->validate(values, (enum sched_scope)scope, &why) != ERR_OK) {
			FAULT(c, usable, head, "%s: %s", head->text, why.words);
		}
	}
}

/* --- Cpus --------------------------------------------------------------------------------------------------------- */

static unsigned node_of(const void *context, unsigned cpu)
{
	const struct cpusetexpr_facts *f = &((const struct checking *)context)->facts->cpus;

	return f->node_of(f->context, cpu);
}

static unsigned core_of(const void *context, unsigned cpu)
{
	const struct cpusetexpr_facts *f = &((const struct checking *)context)->facts->cpus;

	return f->core_of != NULL ? f->core_of(f->context, cpu) : cpu;
}

/* In a manifest a cpu is free when no pool above has it. */
static bool is_free(const void *context, unsigned cpu)
{
	const struct checking *c = context;
	const struct cpusetexpr_facts *f = &c->facts->cpus;

	return !cpuset_has(&c->claimed, cpu) && (f->is_free == NULL || f->is_free(f->context, cpu));
}

static bool check_cpus(struct checking *c, const char *key, const struct manifest_text *expr, struct cpuset *set,
		       bool *usable)
{
	struct cpusetexpr_facts facts = { c->facts->cpus.cpu_count, node_of, core_of, is_free, c };
	struct cpusetexpr_error e;
	struct manifest_text at = *expr;

	if (!cpusetexpr_parse(expr->text, &facts, set, &e)) {
		at.column += e.column - 1;
		FAULT(c, usable, &at, "%s: %s", key, e.words);
		return false;
	}
	if (cpuset_empty(set)) {
		FAULT(c, usable, expr, "%s: found no cpu in \"%.40s\", expected at least one", key, expr->text);
		return false;
	}
	return true;
}

/* Names the pool that has a cpu of this one already; true when there is none. */
static bool check_claims(struct checking *c, struct manifest_pool *pool)
{
	const struct manifest *m = c->m;
	unsigned cpu, owner;
	struct cpuset both = pool->cpu_set;

	cpuset_and(&both, &c->claimed);
	cpu = cpuset_first(&both);
	if (cpu == CPU_NONE) {
		return true;
	}
	for (owner = 0; owner < m->pool_count; owner++) {
		if (&m->pool[owner] != pool && cpuset_has(&m->pool[owner].cpu_set, cpu)) {
			break;
		}
	}
	if (owner < m->pool_count) {
		FAULT(c, &pool->usable, &pool->cpus, "cpus: found cpu %u, expected one that pool %s (line %u) has not",
		      cpu, m->pool[owner].name, m->pool[owner].line);
	}
	return false;
}

/*
 * True when the pool names cpus and may have them. A pool with an error keeps its claim: its cpus stay free, so that
 * the pool can be made by hand. Not so pool0, which then takes what is left.
 */
static bool check_pool_cpus(struct checking *c, struct manifest_pool *pool)
{
	bool own;

	if (pool->cpus.line == 0 || !check_cpus(c, "cpus", &pool->cpus, &pool->cpu_set, &pool->usable)) {
		return false;
	}
	own = check_claims(c, pool);
	if (own || pool != &c->m->pool[0]) {
		cpuset_or(&c->claimed, &pool->cpu_set);
	}
	return own;
}

/* --- Sections ----------------------------------------------------------------------------------------------------- */

static void check_boot(struct checking *c)
{
	struct manifest_boot *boot = &c->m->boot;
	bool good = true;

	boot->default_ops = find_policy(c, &boot->default_sched, &good);
	if (boot->default_ops == NULL) {
		boot->default_ops = sched_policy_find(manifest_key_find(MANIFEST_BOOT, "default-sched")->def);
	}
	if (boot->housekeeping.value >= c->facts->cpus.cpu_count) {
		if (boot->housekeeping.line != 0) {
			FAULT(c, &good, &boot->housekeeping,
			      "housekeeping: found cpu %u, expected a cpu that the machine has (0-%u)",
			      boot->housekeeping.value, c->facts->cpus.cpu_count - 1);
		}
		boot->housekeeping.value = 0;
	}
}

static void check_file(struct checking *c, const char *key, const struct manifest_text *file, bool *usable)
{
	if (file->text[0] != '\0' && c->facts->has_file != NULL &&
	    !c->facts->has_file(c->facts->context, file->text)) {
		FAULT(c, usable, file, "%s: found no file \"%s\", expected it in \\tarn\\", key, file->text);
	}
}

/* True when the cpus it names are its own. */
static bool check_pool(struct checking *c, struct manifest_pool *pool)
{
	const struct manifest_text head = { pool->name, pool->line, pool->column };

	pool->ops = pool->sched.line != 0 ? find_policy(c, &pool->sched, &pool->usable) : c->m->boot.default_ops;
	if (pool->ops != NULL) {
		check_values(c, pool->ops, MANIFEST_POOL, pool->tunable_first, pool->tunable_count, &head,
			     &pool->values, &pool->usable);
	}
	return check_pool_cpus(c, pool);
}

bool manifest_pool_table(const struct manifest *m, const struct manifest_pool *pool, struct sched_table *t,
			 struct sched_reason *why)
{
	const struct sched_tunable *list = sched_list_of(pool->ops);

	for (unsigned i = 0; list != NULL && i < pool->tunable_count; i++) {
		const struct manifest_tunable *row = &m->tunable[pool->tunable_first + i];

		if (str_eq(row->key, list->name) && sched_table_add(list, t, row->value.text, why) != ERR_OK) {
			return false;
		}
	}
	sched_table_finish(t);
	return true;
}

/* The rows of a list as a whole, when the pool's cpus are known. */
static void check_table(struct checking *c, struct manifest_pool *pool)
{
	static struct {
		struct sched_table table;
		struct sched_row row[SCHED_ROWS_MAX];
	} room;			/* too large for a stack */
	const struct manifest_text head = { pool->name, pool->line, pool->column };
	struct sched_reason why = { "" };

	if (!pool->usable || pool->ops == NULL || pool->ops->check_table == NULL) {
		return;
	}
	memset(&room, 0, sizeof(room));
	room.table.room = SCHED_ROWS_MAX;
	if (!manifest_pool_table(c->m, pool, &room.table, &why) ||
	    pool->ops->check_table(&pool->values, &room.table, &why) != ERR_OK) {
		FAULT(c, &pool->usable, &head, "%s: %s", head.text, why.words);
		return;
	}
	for (unsigned i = 0; i < room.table.count; i++) {
		if (!cpuset_has(&pool->cpu_set, room.table.row[i].slot)) {
			FAULT(c, &pool->usable, &head, "%s: cpu %u has a window, expected one of the pool's cpus", head.text,
			      room.table.row[i].slot);
			return;
		}
	}
}

/* pool0 is there whatever its section says, and without cpus of its own has what nobody else wants. */
static void finish_pool0(struct checking *c, struct manifest_pool *pool, bool own_cpus)
{
	if (!pool->usable) {
		pool->ops = c->m->boot.default_ops;
		pool->granularity = MANIFEST_CPU;
		pool->admission = MANIFEST_REFUSE;
		pool->lend = false;
		pool->tunable_count = 0;
		pool->usable = pool->ops != NULL;
	}
	if (pool->usable && pool->tunable_count == 0) {
		sched_values_default(pool->ops, &pool->values);
	}
	if (!own_cpus) {
		cpuset_fill(&pool->cpu_set, c->facts->cpus.cpu_count);
		cpuset_andnot(&pool->cpu_set, &c->claimed);
	}
}

/* In the order of the text: where two pools want a cpu, the first has it. */
static void check_pools(struct checking *c)
{
	struct manifest *m = c->m;
	struct manifest_pool *pool0 = &m->pool[0];
	bool done = false, own_cpus = false;

	for (unsigned i = 1; i < m->pool_count; i++) {
		if (!done && pool0->line != 0 && pool0->line < m->pool[i].line) {
			own_cpus = check_pool(c, pool0);
			done = true;
		}
		check_pool(c, &m->pool[i]);
	}
	if (!done) {
		own_cpus = check_pool(c, pool0);
	}
	finish_pool0(c, pool0, own_cpus);
	for (unsigned i = 0; i < m->pool_count; i++) {
		check_table(c, &m->pool[i]);
	}
}

/* Index of the VM's pool; without one that will be there the VM is not usable. */
static void check_vm_pool(struct checking *c, struct manifest_vm *vm)
{
	struct manifest *m = c->m;
	const struct manifest_text head = { vm->name, vm->line, vm->column };
	const struct manifest_text *at = vm->pool.line != 0 ? &vm->pool : &head;
	unsigned i = manifest_pool_find(m, vm->pool.text);
	char names[160];
	struct text t = text_make(names, sizeof(names));

	if (i == MANIFEST_POOL_MAX) {
		for (unsigned k = 0; k < m->pool_count; k++) {
			text_printf(&t, "%s%s", k > 0 ? ", " : "", m->pool[k].name);
		}
		FAULT(c, &vm->usable, at, "unknown pool \"%.31s\", expected one of: %s", vm->pool.text, names);
		return;
	}
	vm->pool_index = i;
	if (!m->pool[i].usable) {
		FAULT(c, &vm->usable, at,
		      "pool: found %s, which is not built, expected a pool without errors (see line %u)",
		      m->pool[i].name, m->pool[i].line);
	} else if (cpuset_empty(&m->pool[i].cpu_set)) {
		manifest_report(c->errors, true, at->line, at->column,
				"pool %s has no cpu: vm %s waits until it gets one",
				m->pool[i].name, vm->name);
	}
}

static void check_vm_affinity(struct checking *c, struct manifest_vm *vm, const struct manifest_pool *pool)
{
	unsigned honours = pool != NULL && pool->ops != NULL ? pool->ops->honours : ~0u;
	bool resolved = true;

	cpuset_fill(&vm->affinity_set, c->facts->cpus.cpu_count);
	if (vm->affinity.line != 0) {
		resolved = check_cpus(c, "affinity", &vm->affinity, &vm->affinity_set, &vm->usable);
		if ((honours & SCHED_HONOURS_HARD_AFFINITY) == 0) {
			manifest_report(c->errors, true, vm->affinity.line, vm->affinity.column,
					"affinity: scheduler %s does not honour it", pool->ops->name);
		}
	}
	if (vm->soft_affinity.line != 0) {
		check_cpus(c, "soft-affinity", &vm->soft_affinity, &vm->soft_set, &vm->usable);
		if ((honours & SCHED_HONOURS_SOFT_AFFINITY) == 0) {
			manifest_report(c->errors, true, vm->soft_affinity.line, vm->soft_affinity.column,
					"soft-affinity: scheduler %s does not honour it", pool->ops->name);
		}
	}
	if (resolved && pool != NULL && pool->usable && !cpuset_empty(&pool->cpu_set) &&
	    !cpuset_intersects(&vm->affinity_set, &pool->cpu_set)) {
		FAULT(c, &vm->usable, &vm->affinity, "affinity: found no cpu of pool %s, expected at least one",
		      pool->name);
	}
}

static void check_vm(struct checking *c, struct manifest_vm *vm)
{
	const struct manifest_text head = { vm->name, vm->line, vm->column };
	const struct manifest_pool *pool;

	check_vm_pool(c, vm);
	pool = vm->pool_index < MANIFEST_POOL_MAX ? &c->m->pool[vm->pool_index] : NULL;
	if (pool != NULL && pool->ops != NULL) {
		check_values(c, pool->ops, MANIFEST_VM, vm->tunable_first, vm->tunable_count, &head, &vm->values,
			     &vm->usable);
	}
	check_vm_affinity(c, vm, pool);
	check_file(c, "kernel", &vm->kernel, &vm->usable);
	check_file(c, "initrd", &vm->initrd, &vm->usable);
	for (unsigned i = 0; i < vm->module_count; i++) {
		check_file(c, "module", &vm->module[i].file, &vm->usable);
	}
}

void manifest_check(struct manifest *m, const struct manifest_facts *facts, struct manifest_errors *errors)
{
	struct checking c = { .m = m, .facts = facts, .errors = errors };
	bool good = true;

	check_boot(&c);
	for (unsigned i = 0; i < m->boot.file_count; i++) {
		check_file(&c, "files", &m->boot.file[i], &good);
	}
	check_pools(&c);
	for (unsigned i = 0; i < m->vm_count; i++) {
		check_vm(&c, &m->vm[i]);
	}
}

void manifest_check_vm(struct manifest *m, struct manifest_vm *vm, const struct manifest_facts *facts,
		       struct manifest_errors *errors)
{
	struct checking c = { .m = m, .facts = facts, .errors = errors };

	for (unsigned i = 0; i < m->pool_count; i++) {
		cpuset_or(&c.claimed, &m->pool[i].cpu_set);
	}
	check_vm(&c, vm);
}
