/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the files of \tarn\ that were read at boot: file list. */
#include "kernel/json.h"
#include "kernel/lib/format.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/shell.h"

static void file_row(const struct boot_file *f)
{
	char bytes[24];
	struct text t = text_make(bytes, sizeof(bytes));

	text_bytes(&t, f->size);
	con_printf("%-32s %12lu  %s\n", f->name, f->size, bytes);
}

static void file_json(struct json *j, const struct boot_file *f)
{
	json_object(j, NULL);
	json_string(j, "file", f->name);
	json_uint(j, "bytes", f->size);
	json_end(j);
}

static enum err file_list(const struct shell_args *args)
{
	struct json j;

	if (args->count > 0) {
		return shell_usage();
	}
	if (args->json) {
		json_begin(&j);
	} else {
		con_printf("%-32s %12s\n", "file", "bytes");
	}
	for (unsigned i = 0; machine_file_name_at(i) != NULL; i++) {
		if (args->json) {
			file_json(&j, &machine.files[i]);
		} else {
			file_row(&machine.files[i]);
		}
	}
	if (args->json) {
		json_finish(&j);
	}
	return ERR_OK;
}

SHELL_COMMAND(file_list, .name = "file list", .usage = "[-j]", .run = file_list,
	      .help = "Lists the files that were read at boot, for VMs to use.");
