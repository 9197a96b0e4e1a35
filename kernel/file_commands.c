/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the files of \tarn\ that were read at boot: file list. */
#include "kernel/json.h"
#include "kernel/lib/format.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/shell.h"

static bool file_row(const struct shell_args *args, unsigned i, struct json *j)
{
	const struct boot_file *f = &machine.files[i];

	if (machine_file_name_at(i) == NULL) {
		return false;
	}
	if (j != NULL) {
		json_object(j, NULL);
		json_string(j, "file", f->name);
		json_uint(j, "bytes", f->size);
		json_end(j);
		return true;
	}
	con_printf("%-32s %12lu  %s\n", f->name, f->size, text_of_bytes(f->size).s);
	return true;
}

static enum err file_list(const struct shell_args *args)
{
	return shell_list(args, "file                                    bytes\n", file_row);
}

SHELL_COMMAND(file_list, .name = "file list", .usage = "[-j]", .run = file_list,
	      .help = "Lists the files that were read at boot, for VMs to use.");
