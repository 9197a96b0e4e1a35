/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that make a VM and change what it is: vm create, set, migrate. `vm create` writes its words as a section of
 * a manifest and has the manifest's own parser and checks look at it, so that both know the same keys and say the same.
 */
#include "kernel/heap.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "pool/args.h"
#include "vm/vcpu.h"
#include "vm/vm_commands.h"
#include "vm/vm_manifest.h"
#include "vm/vm_memory.h"

#define SECTION_MAX	2048u	/* bytes of text that a command line can become */

/* A command's private memory: too much for the stack. */
struct wish {
	struct manifest manifest;
	struct vm_config config;
	char text[SECTION_MAX];
	char wrong[256];		/* what was wrong first; empty: nothing */
};

/* --- vm create */

/* The first error ends the command; the others are said above it. */
static void report(void *context, const struct manifest_error *error)
{
	struct wish *w = context;

	if (error->warning) {
		con_printf("warning: %s\n", error->words);
	} else if (w->wrong[0] == '\0') {
		(void)str_copy(w->wrong, sizeof(w->wrong), error->words);
	} else {
		con_printf("also wrong: %s\n", error->words);
	}
}

/* The words as `key = "value"` lines. Quotes cannot be in a value: the shell takes them out. */
static enum err write_section(const struct shell_args *args, struct wish *w)
{
	struct text t = text_make(w->text, sizeof(w->text));

	text_printf(&t, "[vm %s]\n", args->word[0]);
	for (int i = 1; i < args->count; i++) {
		const char *equals = strchr(args->word[i], '=');

		if (equals == NULL) {
			return shell_fail(ERR_INVAL, args->word[i], "found no \"=\", expected key=value");
		}
		/* What a manifest would take for a comment, a section or nothing at all is no key either. */
		if (args->word[i][0] < 'a' || args->word[i][0] > 'z') {
			return shell_fail(ERR_INVAL, args->word[i], "found no key before \"=\", expected key=value");
		}
		text_printf(&t, "%.*s = \"%s\"\n", (int)(equals - args->word[i]), args->word[i], equals + 1);
	}
	return ERR_OK;
}

static void put_pool(struct manifest_pool *mp, const struct pool *p)
{
	memset(mp, 0, sizeof(*mp));
	(void)str_copy(mp->name, sizeof(mp->name), p->name);
	mp->usable = true;
	mp->ops = p->sched.ops;
	mp->cpu_set = p->cpus;
}

/* The pool that is named, or, for the message, those there are. */
static void put_pools(struct manifest *m)
{
	const struct pool *p = pool_find(m->vm[0].pool.text);

	m->pool_count = 0;
	if (p != NULL) {
		put_pool(&m->pool[m->pool_count++], p);
		return;
	}
	for (unsigned i = 0; m->pool_count < MANIFEST_POOL_MAX && (p = pool_at(i)) != NULL; i++) {
		put_pool(&m->pool[m->pool_count++], p);
	}
}

static enum err read_wish(const struct shell_args *args, struct wish *w)
{
	const struct manifest_facts facts = args_facts();
	struct manifest_errors errors = { .report = report, .context = w };
	struct manifest *m = &w->manifest;
	enum err e = write_section(args, w);

	if (e != ERR_OK) {
		return e;
	}
	manifest_parse(m, w->text, strlen(w->text), &errors);
	if (m->vm_count == 1) {
		put_pools(m);
		manifest_check_vm(m, &m->vm[0], &facts, &errors);
	}
	return errors.errors == 0 ? ERR_OK : shell_fail(ERR_INVAL, args->word[0], "%s", w->wrong);
}

/* By command a VM is started only when that is asked for: `vm start` follows. */
static bool asks_for_start(const struct shell_args *args, const struct manifest_vm *mv)
{
	for (int i = 1; i < args->count; i++) {
		if (strncmp(args->word[i], "autostart=", strlen("autostart=")) == 0) {
			return mv->autostart;
		}
	}
	return false;
}

static enum err create_wished(const struct shell_args *args, struct wish *w)
{
	struct sched_reason why = { "" };
	struct vm *vm;
	enum err e = read_wish(args, w);

	if (e != ERR_OK) {
		return e;
	}
	vm_manifest_config(&w->config, &w->manifest.vm[0]);
	e = vm_create(&w->config, pool_find(w->manifest.vm[0].pool.text), &vm, &why);
	if (e == ERR_OK && asks_for_start(args, &w->manifest.vm[0])) {
		e = vm_start(vm, &why);
		if (e != ERR_OK) {
			vm_destroy(vm);
		}
	}
	return shell_result(e, args->word[0], &why);
}

static enum err create(const struct shell_args *args)
{
	struct wish *w;
	enum err e;

	/* Before it becomes a section's head, where a manifest would say other things about it. */
	if (!manifest_name_ok(args->word[0], strlen(args->word[0]))) {
		return shell_fail(ERR_INVAL, args->word[0], "expected a name of at most %u letters, digits and . _ -",
				  MANIFEST_NAME_MAX - 1);
	}
	w = heap_alloc(sizeof(*w), cpu_this()->node);
	if (w == NULL) {
		return shell_fail(ERR_NOMEM, args->word[0], "no memory for the command: %lu bytes on node %u", sizeof(*w),
				  cpu_this()->node);
	}
	e = create_wished(args, w);
	heap_free(w, sizeof(*w));
	return e;
}

SHELL_COMMAND(vm_create, .name = "vm create", .usage = "V key=value...", .least = 1, .most = SHELL_ARGS_MAX, .run = create,
	      .keys = SHELL_VM_KEYS,
	      .help = "Makes a VM, stopped (autostart=yes: running), by the keys of the manifest's [vm V].");

/* --- vm set */

/* What `vm set` may change, gathered before anything changes. */
struct change {
	struct vm *vm;
	enum manifest_action on_poweroff, on_reboot, on_crash;
	struct sched_values values;	/* where given is set */
	bool given[SCHED_TUNABLE_MAX];
	bool of_group, of_entity;
};

static enum err set_tunable(struct change *c, const struct sched_tunable *t, unsigned index, const char *word,
			    const char *value)
{
	struct sched_reason why = { "" };
	enum err e;

	if (t->scope == SCHED_POOL) {
		return shell_fail(ERR_INVAL, word, "belongs to the pool: use `pool set %s`", c->vm->pool->name);
	}
	if (!t->live) {
		return shell_fail(ERR_STATE, word, "cannot change in a VM that exists: destroy it and create it anew");
	}
	e = sched_value_parse(t, value, &c->values.v[index], &why);
	if (e != ERR_OK) {
		return shell_result(e, word, &why);
	}
	c->given[index] = true;
	*(t->scope == SCHED_GROUP ? &c->of_group : &c->of_entity) = true;
	return ERR_OK;
}

static enum err set_action(enum manifest_action *action, const struct manifest_key *key, const char *word, const char *value)
{
	char form[80];
	struct text t = text_make(form, sizeof(form));
	uint64_t number;

	if (!manifest_key_value(key, value, &number)) {
		manifest_key_form(key, &t);
		return shell_fail(ERR_INVAL, word, "%s: found \"%.40s\", expected %s", key->name, value, form);
	}
	*action = (enum manifest_action)number;
	return ERR_OK;
}

/* The keys there are to set, for a message. */
static void put_settable(const struct sched_ops *ops, struct text *to)
{
	text_puts(to, "on-poweroff, on-reboot, on-crash");
	for (unsigned i = 0; i < ops->tunable_count; i++) {
		if (ops->tunables[i].scope != SCHED_POOL && ops->tunables[i].live) {
			text_printf(to, ", %s", ops->tunables[i].name);
		}
	}
}

/* A key that the manifest has and that is settled when the VM is made. */
static enum err set_fixed(const struct change *c, const char *name, const char *word)
{
	char keys[160];
	struct text t = text_make(keys, sizeof(keys));

	if (str_eq(name, "pool")) {
		return shell_fail(ERR_INVAL, word, "use `vm migrate %s POOL`", c->vm->config.name);
	}
	if (str_eq(name, "affinity") || str_eq(name, "soft-affinity")) {
		return shell_fail(ERR_INVAL, word, "use `vcpu pin %s N HARD SOFT`", c->vm->config.name);
	}
	if (sched_tunable_known(name, false)) {
		return shell_fail(ERR_INVAL, word, "scheduler %s of pool %s does not have it", c->vm->pool->sched.ops->name,
				  c->vm->pool->name);
	}
	if (manifest_key_find(MANIFEST_VM, name) != NULL) {
		return shell_fail(ERR_STATE, word, "cannot change in a VM that exists: destroy it and create it anew");
	}
	put_settable(c->vm->pool->sched.ops, &t);
	return shell_fail(ERR_INVAL, word, "unknown key \"%.40s\", expected one of: %s", name, keys);
}

static enum err set_one(struct change *c, const char *word)
{
	const struct sched_tunable *tunable;
	const char *equals = strchr(word, '=');
	char name[MANIFEST_NAME_MAX + 16];
	unsigned index;

	if (equals == NULL) {
		return shell_fail(ERR_INVAL, word, "found no \"=\", expected key=value");
	}
	(void)str_copy(name, MIN(sizeof(name), (size_t)(equals - word) + 1), word);
	if (str_eq(name, "on-poweroff")) {
		return set_action(&c->on_poweroff, manifest_key_find(MANIFEST_VM, name), word, equals + 1);
	}
	if (str_eq(name, "on-reboot")) {
		return set_action(&c->on_reboot, manifest_key_find(MANIFEST_VM, name), word, equals + 1);
	}
	if (str_eq(name, "on-crash")) {
		return set_action(&c->on_crash, manifest_key_find(MANIFEST_VM, name), word, equals + 1);
	}
	tunable = sched_tunable_find(c->vm->pool->sched.ops, name, &index);
	return tunable != NULL ? set_tunable(c, tunable, index, word, equals + 1) : set_fixed(c, name, word);
}

static struct sched_values merged(const struct change *c, const struct sched_values *old)
{
	struct sched_values v = *old;

	for (unsigned i = 0; i < SCHED_TUNABLE_MAX; i++) {
		if (c->given[i]) {
			v.v[i] = c->values.v[i];
		}
	}
	return v;
}

/* Gives every vCPU its values; where one refuses, those before it get theirs back. */
static enum err tune_entities(const struct change *c, struct sched_reason *why)
{
	struct sched_values old[VM_VCPUS_MAX];
	struct sched_reason ignored;

	for (unsigned i = 0; i < c->vm->vcpu_count; i++) {
		struct sched_entity *entity = &c->vm->vcpu[i]->entity;
		struct sched_values v = merged(c, &entity->values);
		enum err e;

		old[i] = entity->values;
		e = pool_entity_tune(entity, &v, why);
		if (e != ERR_OK) {
			while (i-- > 0) {
				(void)pool_entity_tune(&c->vm->vcpu[i]->entity, &old[i], &ignored);
			}
			return e;
		}
	}
	return ERR_OK;
}

static enum err apply(const struct change *c, struct sched_reason *why)
{
	struct vm *vm = c->vm;
	struct sched_values old = vm->group.values, v = merged(c, &old);
	struct sched_reason ignored;
	enum err e = c->of_group ? pool_group_tune(&vm->group, &v, why) : ERR_OK;

	if (e == ERR_OK && c->of_entity) {
		e = tune_entities(c, why);
		if (e != ERR_OK && c->of_group) {
			(void)pool_group_tune(&vm->group, &old, &ignored);
		}
	}
	if (e == ERR_OK) {
		vm->config.on_poweroff = c->on_poweroff;
		vm->config.on_reboot = c->on_reboot;
		vm->config.on_crash = c->on_crash;
	}
	return e;
}

static enum err set(const struct shell_args *args)
{
	struct vm *vm = vm_named(args->word[0]);
	struct sched_reason why = { "" };
	struct change c = { .vm = vm };
	enum err e = ERR_OK;

	if (vm == NULL) {
		return ERR_NOENT;
	}
	c.on_poweroff = vm->config.on_poweroff;
	c.on_reboot = vm->config.on_reboot;
	c.on_crash = vm->config.on_crash;
	e = args_once(args, vm->pool->sched.ops);
	for (int i = 1; i < args->count && e == ERR_OK; i++) {
		e = set_one(&c, args->word[i]);
	}
	return e != ERR_OK ? e : shell_result(apply(&c, &why), args->word[0], &why);
}

SHELL_COMMAND(vm_set, .name = "vm set", .usage = "V key=value...", .least = 2, .most = SHELL_ARGS_MAX, .run = set,
	      .complete = SHELL_VM,
	      .help = "Changes what may change in a VM that exists: scheduler values, on-poweroff, on-reboot, on-crash.");

/* --- vm migrate */

/* What a VM had of its own under another scheduler: values of the VM, and, which are alike, of its vCPUs. */
struct standing {
	const struct sched_ops *ops;
	struct sched_values group, entity;
};

static struct standing standing_of(const struct vm *vm)
{
	return (struct standing){ vm->pool->sched.ops, vm->group.values, vm->vcpu[0]->entity.values };
}

/* Says which of them its new pool's scheduler has not, or not like that. */
static void report_lost(const struct standing *was, const struct standing *is)
{
	for (unsigned i = 0; i < was->ops->tunable_count; i++) {
		const struct sched_tunable *t = &was->ops->tunables[i], *now;
		int64_t value = (t->scope == SCHED_GROUP ? &was->group : &was->entity)->v[i];
		char words[80];
		struct text text = text_make(words, sizeof(words));
		unsigned k = 0;

		if (t->scope == SCHED_POOL || value == t->def) {
			continue;
		}
		now = sched_tunable_find(is->ops, t->name, &k);
		text_printf(&text, "%s ", t->name);
		sched_value_print(t, value, &text);
		if (now == NULL || now->scope == SCHED_POOL) {
			con_printf("warning: %s is lost: scheduler %s does not have it\n", words, is->ops->name);
		} else if ((now->scope == SCHED_GROUP ? &is->group : &is->entity)->v[k] != value) {
			text_puts(&text, " becomes ");
			sched_value_print(now, (now->scope == SCHED_GROUP ? &is->group : &is->entity)->v[k], &text);
			con_printf("warning: %s under scheduler %s\n", words, is->ops->name);
		}
	}
}

static enum err migrate(const struct shell_args *args)
{
	struct sched_reason why = { "" };
	struct standing was, is;
	struct pool *to;
	struct vm *vm;
	enum err e;

	if (args->count == 3 && str_eq(args->word[2], "--memory")) {
		return shell_fail(ERR_NOTSUP, "--memory", "not built yet: a VM's memory stays where it is");
	}
	if (args->count != 2) {
		return shell_usage();
	}
	if ((vm = vm_named(args->word[0])) == NULL || (to = args_pool(args->word[1])) == NULL) {
		return ERR_NOENT;
	}
	if (to == vm->pool) {
		return shell_fail(ERR_STATE, args->word[0], "it is in pool %s already", to->name);
	}
	was = standing_of(vm);
	e = vm_move(vm, to, &why);
	if (e != ERR_OK) {
		return shell_result(e, args->word[0], &why);
	}
	is = standing_of(vm);
	report_lost(&was, &is);
	if (!vm_memory_is_near(vm)) {
		con_printf("its memory stays on node %u, where pool %s has no cpu\n", vm->node, to->name);
	}
	return ERR_OK;
}

SHELL_COMMAND(vm_migrate, .name = "vm migrate", .usage = "V P [--memory]", .least = 2, .most = 3, .run = migrate,
	      .complete = SHELL_VM, .alias = "cpupool-migrate", .help = "Moves a VM to another pool while it runs; its memory stays where it is.");
