/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's own commands. */
#include "kernel/commands.h"

#include "kernel/arch.h"
#include "kernel/bootstat.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/lib/format.h"
#include "kernel/lib/parse.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"
#include "kernel/manifest.h"
#include "kernel/shell.h"
#include "kernel/version.h"

#define USAGE_COLUMNS	34u
#define CODE_MAX	255u

/* --- help */

/* help's headings, and the first words of the commands below each; the last takes all others. */
static const struct group {
	const char *title;
	const char *words[5];
} groups[] = {
	{ "topology", { "cpu", "node", "mem" } },
	{ "pools", { "pool" } },
	{ "VMs", { "vm", "vcpu" } },
	{ "schedulers", { "sched" } },
	{ "manifest", { "manifest", "file" } },
	{ "seeing", { "stats", "top", "trace", "log" } },
	{ "machine", { NULL } },
};

static bool starts_with_word(const char *name, const char *word)
{
	size_t len = strlen(word);

	return strncmp(name, word, len) == 0 && (name[len] == '\0' || name[len] == ' ');
}

static const struct group *group_of(const struct shell_command *cmd)
{
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
		for (unsigned w = 0; w < ARRAY_SIZE(groups[i].words) && groups[i].words[w] != NULL; w++) {
			if (starts_with_word(cmd->name, groups[i].words[w])) {
				return &groups[i];
			}
		}
	}
	return &groups[ARRAY_SIZE(groups) - 1];
}

/* Is it wanted? By group, by first word, or, with neither, any. */
static bool help_wants(const struct shell_command *cmd, const struct group *group, const char *word)
{
	return (group == NULL || group_of(cmd) == group) && (word == NULL || starts_with_word(cmd->name, word));
}

/* The linker orders commands by file; people want them by name: the least name above `above`. */
static const struct shell_command *help_next(const struct group *group, const char *word, const char *above)
{
	const struct shell_command *next = NULL;

	SHELL_FOREACH(cmd) {
		if (help_wants(cmd, group, word) && strcmp(cmd->name, above) > 0 &&
		    (next == NULL || strcmp(cmd->name, next->name) < 0)) {
			next = cmd;
		}
	}
	return next;
}

static void help_line(const struct shell_command *cmd)
{
	char buf[160];
	struct text t = text_make(buf, sizeof(buf));

	text_printf(&t, "%s%s%s", cmd->name, cmd->usage[0] != '\0' ? " " : "", cmd->usage);
	if (t.len <= USAGE_COLUMNS) {
		con_printf("  %-*s  %s\n", (int)USAGE_COLUMNS, buf, cmd->help);
	} else {
		con_printf("  %s\n  %*s  %s\n", buf, (int)USAGE_COLUMNS, "", cmd->help);
	}
}

static void help_lines(const struct group *group, const char *word)
{
	const char *above = "";

	for (const struct shell_command *c; (c = help_next(group, word, above)) != NULL; above = c->name) {
		help_line(c);
	}
}

static void help_keys(enum manifest_section section)
{
	char buf[160];

	for (unsigned i = 0; i < manifest_key_count; i++) {
		struct text t = text_make(buf, sizeof(buf));

		if (manifest_keys[i].section == section && manifest_keys[i].built) {
			manifest_describe_key(&manifest_keys[i], &t);
			con_printf("  %s\n", buf);
		}
	}
	con_printf("  and the settings of the pool's scheduler: see sched list\n");
}

static void help_one(const struct shell_command *cmd)
{
	con_printf("%s%s%s\n  %s\n", cmd->name, cmd->usage[0] != '\0' ? " " : "", cmd->usage, cmd->help);
	if (cmd->alias != NULL) {
		con_printf("  alias: %s\n", cmd->alias);
	}
	if (cmd->keys != SHELL_NO_KEYS) {
		help_keys(cmd->keys == SHELL_POOL_KEYS ? MANIFEST_POOL : MANIFEST_VM);
	}
}

static enum err run_help(const struct shell_args *args)
{
	const char *first = args->count > 0 ? args->word[0] : NULL;
	const struct shell_command *cmd;
	int words = 0;

	if (first == NULL) {
		for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
			if (help_next(&groups[i], NULL, "") != NULL) {
				con_printf("%s\n", groups[i].title);
				help_lines(&groups[i], NULL);
			}
		}
		return ERR_OK;
	}
	cmd = shell_find(first, args->count > 1 ? args->word[1] : NULL, &words);
	if (cmd != NULL && words == args->count) {
		help_one(cmd);
	} else if (args->count == 1 && shell_is_group(first)) {
		help_lines(NULL, first);
	} else {
		return shell_fail(ERR_NOENT, args->word[args->count - 1], "no such command; try help");
	}
	return ERR_OK;
}

SHELL_COMMAND(help, .name = "help", .usage = "[command]", .help = "Lists the commands, or explains one.",
	      .most = 2, .complete = SHELL_COMMAND_NAME, .run = run_help);

/* --- version, log, console */

static void print_mitigations(void)
{
	con_printf("mitigations: %s\n", arch_mitigations());
	for (unsigned i = 0; i < cpu_count(); i++) {
		char buf[160];
		struct text t = text_make(buf, sizeof(buf));

		arch_mitigations_taken(i, &t);
		con_printf("taken on cpu %u: %s\n", i, buf);
	}
}

static enum err run_version(const struct shell_args *args)
{
	if (args->count > 0 && !str_eq(args->word[0], "-v")) {
		return shell_usage();
	}
	con_printf("Tarn %s\n", TARN_VERSION);
	if (args->count > 0) {
		con_printf("virtualization: %s\n", arch_virtualization());
		print_mitigations();
		bootstat_print();
	}
	return ERR_OK;
}

SHELL_COMMAND(version, .name = "version", .usage = "[-v]", .most = 1, .run = run_version,
	      .help = "Prints Tarn's version; -v also virtualization, mitigations and what start-up cost, in TSC ticks.");

static enum err run_log(const struct shell_args *args)
{
	char line[LOG_LINE_MAX];
	uint64_t at = 0, end = log_end();
	size_t len;

	while (at < end && log_read(&at, line, &len)) {
		con_write(line, len);
		con_write("\n", 1);
	}
	return ERR_OK;
}

SHELL_COMMAND(log, .name = "log", .usage = "", .help = "Prints what happened, oldest first.", .run = run_log);

static enum err run_plain(const struct shell_args *args)
{
	console_set_plain(true);
	return ERR_OK;
}

SHELL_COMMAND(plain, .name = "console plain", .usage = "", .run = run_plain,
	      .help = "For scripts: no redrawing, no escape sequences, no guests' lines.");

static enum err run_rich(const struct shell_args *args)
{
	console_set_plain(false);
	return ERR_OK;
}

SHELL_COMMAND(rich, .name = "console rich", .usage = "", .run = run_rich,
	      .help = "For people: line editing, guests' lines above the prompt.");

/* --- the end */

noreturn void commands_poweroff(unsigned code)
{
	con_end_line();
	con_printf("tarn: exit %u\n", code);
	console_flush();
	arch_poweroff();
}

noreturn void commands_reboot(void)
{
	con_end_line();
	con_printf("tarn: reboot\n");
	console_flush();
	arch_reboot();
}

static enum err run_poweroff(const struct shell_args *args)
{
	uint64_t code = 0;

	if (args->count == 1 && (parse_u64(args->word[0], &code) != ERR_OK || code > CODE_MAX)) {
		return shell_fail(ERR_RANGE, "poweroff", "CODE is %s, must be 0 to %u", args->word[0], CODE_MAX);
	}
	commands_poweroff((unsigned)code);
}

SHELL_COMMAND(poweroff, .name = "poweroff", .usage = "[CODE]", .most = 1, .run = run_poweroff,
	      .help = "Switches the machine off, after printing `tarn: exit CODE` (0).");

static enum err run_reboot(const struct shell_args *args)
{
	commands_reboot();
}

SHELL_COMMAND(reboot, .name = "reboot", .usage = "", .help = "Restarts the machine.", .run = run_reboot);
