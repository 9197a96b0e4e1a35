/* SPDX-License-Identifier: BSD-2-Clause */
/* See vm_files.h. */
#include "vm/vm_files.h"

#include "kernel/arch.h"
#include "kernel/machine.h"
#include "vm/image.h"
#include "vm/vm_memory.h"
#include "vm/vm_numa.h"

static enum err file_blob(const char *key, const char *name, struct image_blob *blob, struct sched_reason *why)
{
	const struct boot_file *f = machine_file(name);

	if (f == NULL) {
		return sched_refuse(ERR_NOENT, why, "%s: there is no file \"%s\" (see the boot log for why it was left out)", key, name);
	}
	*blob = (struct image_blob){ .data = arch_direct(hpa(f->base)), .size = f->size, .name = name };
	return ERR_OK;
}

enum err vm_files_load(struct vm *vm, struct virt_start *start, struct sched_reason *why)
{
	struct image_blob modules[VM_MODULES_MAX];
	struct guest_numa numa;
	struct image_files files = {
		.cmdline = vm->config.cmdline, .modules = modules, .module_count = vm->config.module_count,
		.numa = &numa,
	};
	struct load_error error = { "" };
	enum err e = file_blob("kernel", vm->config.kernel, &files.kernel, why);

	if (e == ERR_OK && vm->config.initrd[0] != '\0') {
		e = file_blob("initrd", vm->config.initrd, &files.initrd, why);
	}
	for (unsigned i = 0; i < vm->config.module_count && e == ERR_OK; i++) {
		e = file_blob("module", vm->config.module[i].file, &modules[i], why);
		modules[i].cmdline = vm->config.module[i].args;
	}
	if (e != ERR_OK) {
		return e;
	}
	vm_memory_zero(vm);
	vm_numa_describe(vm, &numa);
	e = image_load(&vm->mem, &files, vm->vcpu_count, start, &error);
	return e == ERR_OK ? ERR_OK : sched_refuse(e, why, "%s: %s", vm->config.kernel, error.words);
}
