/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the manifest: manifest show, check. FILE is tarn.conf, or a file of \tarn\ that was read at boot. */
#include "kernel/arch.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/heap.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/manifest.h"
#include "kernel/printable.h"
#include "kernel/shell.h"
#include "pool/args.h"

#define BOOT_MANIFEST	"tarn.conf"
#define PIECE_BYTES	128u

struct manifest_source {
	const char *name, *text;
	uint64_t size;
};

static enum err find_text(const struct shell_args *args, struct manifest_source *s)
{
	const struct boot_file *file;

	s->name = args->count == 1 ? args->word[0] : BOOT_MANIFEST;
	if (!str_eq(s->name, BOOT_MANIFEST)) {
		file = machine_file(s->name);
		if (file == NULL) {
			return shell_fail(ERR_NOENT, s->name, "found no file of that name, expected one of `file list`");
		}
		s->text = arch_direct(hpa(file->base));
		s->size = file->size;
		return ERR_OK;
	}
	if (machine.boot->manifest == 0) {
		return shell_fail(ERR_NOENT, s->name, "there was none at boot");
	}
	s->text = arch_direct(hpa(machine.boot->manifest));
	s->size = machine.boot->manifest_size;
	return ERR_OK;
}

/* printable.h leaves line ends to us: it is given what stands between them. */
static void show_line(const char *line, size_t len)
{
	struct printable p = printable_make(line, len);
	char piece[PIECE_BYTES];
	size_t n = 0;
	int byte;

	while ((byte = printable_next(&p)) >= 0) {
		piece[n++] = (char)byte;
		if (n == sizeof(piece)) {
			console_write(piece, n);
			n = 0;
		}
	}
	console_write(piece, n);
	console_write("\n", 1);
}

static enum err show(const struct shell_args *args)
{
	struct manifest_source s;
	enum err e = find_text(args, &s);

	for (uint64_t at = 0, end; e == ERR_OK && at < s.size; at = end + 1) {
		for (end = at; end < s.size && s.text[end] != '\n'; end++) {
		}
		show_line(s.text + at, end - at);
	}
	return e;
}

static void report(void *context, const struct manifest_error *error)
{
	char line[400];
	struct text t = text_make(line, sizeof(line));

	manifest_error_print(error, context, &t);
	con_printf("%s\n", line);
}

static enum err check_text(const struct manifest_source *s, struct manifest *m)
{
	struct manifest_errors errors = { .report = report, .context = (void *)(uintptr_t)s->name };
	struct manifest_facts facts = args_facts();

	facts.cpus.is_free = NULL;	/* what would be at a boot, not what is now */
	manifest_parse(m, s->text, s->size, &errors);
	manifest_check(m, &facts, &errors);
	con_printf("%u pool%s, %u VM%s, %u warning%s\n", m->pool_count, m->pool_count == 1 ? "" : "s", m->vm_count,
		   m->vm_count == 1 ? "" : "s", errors.warnings, errors.warnings == 1 ? "" : "s");
	return errors.errors == 0 ? ERR_OK : shell_fail(ERR_FORMAT, s->name, "%u error%s", errors.errors,
							errors.errors == 1 ? "" : "s");
}

static enum err check(const struct shell_args *args)
{
	struct manifest_source s;
	struct manifest *m;
	enum err e = find_text(args, &s);

	if (e != ERR_OK) {
		return e;
	}
	m = heap_alloc(sizeof(*m), cpu_this()->node);
	if (m == NULL) {
		return shell_fail(ERR_NOMEM, s.name, "no memory for the command: %lu bytes on node %u", sizeof(*m),
				  cpu_this()->node);
	}
	e = check_text(&s, m);
	heap_free(m, sizeof(*m));
	return e;
}

SHELL_COMMAND(manifest_show, .name = "manifest show", .usage = "[FILE]", .most = 1, .run = show, .complete = SHELL_FILE,
	      .help = "Prints the manifest as it was read at boot.");
SHELL_COMMAND(manifest_check, .name = "manifest check", .usage = "[FILE]", .most = 1, .run = check, .complete = SHELL_FILE,
	      .help = "Lists what is wrong with the manifest, on this machine.");
