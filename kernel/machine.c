/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's description, and its files. */
#include "kernel/machine.h"

#include "kernel/lib/string.h"

struct machine machine;

const struct boot_file *machine_file(const char *name)
{
	for (unsigned i = 0; machine.boot != NULL && i < machine.boot->file_count; i++) {
		if (str_eq(machine.files[i].name, name)) {
			return &machine.files[i];
		}
	}
	return NULL;
}

const char *machine_file_name_at(unsigned i)
{
	return machine.boot != NULL && i < machine.boot->file_count ? machine.files[i].name : NULL;
}
