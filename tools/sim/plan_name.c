/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of pools and VMs in a plan. */
#include "tools/sim/plan_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define NAME_CHARS	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

void plan_read_name(struct reader *r, const struct section *sec, char *to, size_t size)
{
	if (!str_copy(to, size, sec->name)) {
		plan_fault(r, sec->line, sec->column,
			   "found a name of %zu characters, expected at most %zu",
			   strlen(sec->name), size - 1);
	}
	if (sec->name[strspn(sec->name, NAME_CHARS)] != '\0') {
		plan_fault(r, sec->line, sec->column,
			   "found \"%s\", expected a name of letters, digits, - _ and .", to);
	}
}

/* Is one of the copies of `many` called as vm is, or as its first copy? */
static bool is_copy_of(const struct plan_vm *many, const struct plan_vm *vm)
{
	const size_t len = strlen(many->name);
	char name[sizeof(vm->name) + 8], copy[sizeof(name)];

	snprintf(name, sizeof(name), vm->copies > 1 ? "%s0" : "%s", vm->name);
	snprintf(copy, sizeof(copy), "%s%lu", many->name, strtoul(name + MIN(len, strlen(name)), NULL, 10));
	return many->copies > 1 && str_eq(copy, name) && strtoul(name + len, NULL, 10) < many->copies;
}

void plan_check_name(struct reader *r, const struct section *sec, const struct plan_vm *vm)
{
	for (unsigned i = 0; i < r->plan->vms; i++) {
		const struct plan_vm *other = &r->plan->vm[i];

		if (str_eq(other->name, vm->name)) {
			plan_fault(r, sec->line, sec->column, "found a second VM %s, expected one", vm->name);
			return;
		}
		if (is_copy_of(other, vm) || is_copy_of(vm, other)) {
			plan_fault(r, sec->line, sec->column, "found VM %s beside copies of %s, expected other names",
				   vm->name, other->name);
			return;
		}
	}
}
