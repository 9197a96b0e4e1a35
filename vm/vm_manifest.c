/* SPDX-License-Identifier: BSD-2-Clause */
/* See vm_manifest.h. */
#include "vm/vm_manifest.h"

#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "pool/pool.h"

void vm_manifest_config(struct vm_config *c, const struct manifest_vm *mv)
{
	memset(c, 0, sizeof(*c));
	(void)str_copy(c->name, sizeof(c->name), mv->name);
	(void)str_copy(c->kernel, sizeof(c->kernel), mv->kernel.text);
	(void)str_copy(c->initrd, sizeof(c->initrd), mv->initrd.text);
	(void)str_copy(c->cmdline, sizeof(c->cmdline), mv->cmdline.text);
	c->module_count = mv->module_count;
	for (unsigned i = 0; i < mv->module_count; i++) {
		(void)str_copy(c->module[i].file, sizeof(c->module[i].file), mv->module[i].file.text);
		(void)str_copy(c->module[i].args, sizeof(c->module[i].args), mv->module[i].args);
	}
	c->vcpus = mv->vcpus.value;
	c->memory_bytes = mv->memory_bytes;
	c->memory_policy = mv->memory_policy == MANIFEST_PREFER ? MEM_PREFER : MEM_STRICT;
	c->on_poweroff = mv->on_poweroff;
	c->on_reboot = mv->on_reboot;
	c->on_crash = mv->on_crash;
	c->values = mv->values;
	c->affinity = mv->affinity_set;
	c->soft_affinity = mv->soft_set;
}

_Static_assert(VM_MODULES_MAX >= MANIFEST_MODULE_MAX && VM_ARGS_LEN >= MANIFEST_ARGS_MAX, "a VM takes what a manifest says");

static const char *words_of(const struct sched_reason *why, enum err e)
{
	return why->words[0] != '\0' ? why->words : err_words(e);
}

static void build_one(const struct manifest *m, const struct manifest_vm *mv)
{
	static struct vm_config config;	/* 7 KiB of command lines: too much for the stack */
	struct sched_reason why = { "" };
	struct pool *p = pool_find(m->pool[mv->pool_index].name);
	struct vm *vm;
	enum err e;

	if (p == NULL) {
		log_printf("vm %s: left out, for its pool %s was not made", mv->name, m->pool[mv->pool_index].name);
		return;
	}
	vm_manifest_config(&config, mv);
	e = vm_create(&config, p, &vm, &why);
	if (e != ERR_OK) {
		log_printf("vm %s: not made: %s", mv->name, words_of(&why, e));
		return;
	}
	if (mv->autostart) {
		e = vm_start(vm, &why);
		if (e != ERR_OK) {
			log_printf("vm %s: not started: %s", mv->name, words_of(&why, e));
		}
	}
}

void vm_manifest_build(const struct manifest *m)
{
	for (unsigned i = 0; i < m->vm_count; i++) {
		if (m->vm[i].usable && m->vm[i].pool_index < m->pool_count) {
			build_one(m, &m->vm[i]);
		} else {
			log_printf("vm %s: left out, for its section has an error", m->vm[i].name);
		}
	}
}
