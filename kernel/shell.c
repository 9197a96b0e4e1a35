/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell: takes lines from the editor (or from the manifest), finds the command, runs it and says how it ended.
 * Input waits in a ring until shell_poll() looks at it, so what is typed or pasted while a command runs is neither
 * lost nor seen too early: the bytes behind `vm console V` go to that guest, those behind Ctrl-] to the shell.
 */
#include "kernel/shell.h"

#include <stdarg.h>

#include "kernel/arch.h"
#include "kernel/console.h"
#include "kernel/json.h"
#include "kernel/lib/format.h"
#include "kernel/lib/ring.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"
#include "kernel/lineedit.h"
#include "kernel/log.h"

#define PROMPT		"tarn> "
#define INPUT_BYTES	(32 * KIB)
#define SAY_EVERY_NS	(10 * NS_PER_S)
#define DETACH_KEY	0x1d		/* Ctrl-] */
#define WHAT_MAX	128u
#define WHY_MAX		384u

/* Housekeeping cpu only. */
static struct {
	uint8_t input_data[INPUT_BYTES];
	struct ring input;
	bool input_lost;
	bool overrun;			/* input was lost in the port: to be said, when it is time */
	uint64_t overrun_say_ns;
	bool attached;			/* the last command attached; it ends with the attachment */
	struct lineedit edit;
	const struct shell_command *running;
	bool failed;			/* shell_fail() filled these */
	char what[WHAT_MAX], why[WHY_MAX];
} shell;

enum err shell_fail(enum err e, const char *what, const char *why_fmt, ...)
{
	struct text t = text_make(shell.why, sizeof(shell.why));
	va_list args;

	va_start(args, why_fmt);
	text_vprintf(&t, why_fmt, args);
	va_end(args);
	str_copy(shell.what, sizeof(shell.what), what);
	shell.failed = true;
	return e;
}

enum err shell_usage(void)
{
	const struct shell_command *cmd = shell.running;

	return shell_fail(ERR_INVAL, cmd->name, "usage: %s%s%s", cmd->name, cmd->usage[0] != '\0' ? " " : "", cmd->usage);
}

enum err shell_result(enum err e, const char *what, const struct sched_reason *why)
{
	return e == ERR_OK ? e : shell_fail(e, what, "%s", why->words[0] != '\0' ? why->words : err_words(e));
}

enum err shell_list(const struct shell_args *args, const char *heading,
		    bool (*row)(const struct shell_args *args, unsigned i, struct json *j))
{
	struct json j;

	if (args->json) {
		json_begin(&j);
	} else {
		con_printf("%s", heading);
	}
	for (unsigned i = 0; row(args, i, args->json ? &j : NULL); i++) {
	}
	if (args->json) {
		json_finish(&j);
	}
	return ERR_OK;
}

/* --- Words. */

/* Takes the word at *at out, without its quotes, terminated in place; *at moves behind it. False: open quote. */
static bool take_word(char **at, const char **word)
{
	char *from = *at, *to = *at;
	bool quoted = false, more;

	*word = to;
	while (*from != '\0' && (quoted || !is_blank(*from))) {
		if (*from == '"') {
			quoted = !quoted;
		} else {
			*to++ = *from;
		}
		from++;
	}
	more = *from != '\0';
	*to = '\0';
	*at = from + more;
	return !quoted;
}

/* Splits line in place; the words of a command's name and its arguments together. */
static enum err split(char *line, struct shell_args *args)
{
	const char *word;

	args->count = 0;
	args->json = false;
	for (;;) {
		while (is_blank(*line)) {
			line++;
		}
		if (*line == '\0') {
			return ERR_OK;
		}
		if (args->count == SHELL_ARGS_MAX) {
			return shell_fail(ERR_LIMIT, "line", "more than %d words", SHELL_ARGS_MAX);
		}
		if (!take_word(&line, &word)) {
			return shell_fail(ERR_FORMAT, "line", "a quote is not closed");
		}
		args->word[args->count++] = word;
	}
}

/* Takes the first n words away, and every -j. */
static void drop_words(struct shell_args *args, int n)
{
	int to = 0;

	for (int from = n; from < args->count; from++) {
		if (str_eq(args->word[from], "-j")) {
			args->json = true;
		} else {
			args->word[to++] = args->word[from];
		}
	}
	args->count = to;
}

/* --- Commands. */

/* Is name the words first and second, a blank between? */
static bool is_two_words(const char *name, const char *first, const char *second)
{
	size_t len = strlen(first);

	return strncmp(name, first, len) == 0 && name[len] == ' ' && str_eq(name + len + 1, second);
}

const struct shell_command *shell_find(const char *first, const char *second, int *words)
{
	if (second != NULL) {
		SHELL_FOREACH(cmd) {
			if (is_two_words(cmd->name, first, second)) {
				*words = 2;
				return cmd;
			}
		}
	}
	SHELL_FOREACH(cmd) {
		if (str_eq(cmd->name, first) || (cmd->alias != NULL && str_eq(cmd->alias, first))) {
			*words = 1;
			return cmd;
		}
	}
	return NULL;
}

bool shell_is_group(const char *first)
{
	size_t len = strlen(first);

	SHELL_FOREACH(cmd) {
		if (strncmp(cmd->name, first, len) == 0 && cmd->name[len] == ' ') {
			return true;
		}
	}
	return false;
}

static enum err fail_unknown(const struct shell_args *args)
{
	char name[WHAT_MAX];
	struct text t = text_make(name, sizeof(name));

	text_puts(&t, args->word[0]);
	if (shell_is_group(args->word[0])) {
		if (args->count == 1) {
			return shell_fail(ERR_NOENT, name, "expected one more word; try help %s", name);
		}
		text_printf(&t, " %s", args->word[1]);
	}
	return shell_fail(ERR_NOENT, name, "no such command; try help");
}

static enum err run_command(const struct shell_command *cmd, const struct shell_args *args)
{
	const struct shell_command *outer = shell.running;
	enum err e;

	shell.running = cmd;
	if (outer == NULL) {
		console_hold(args->json);
	}
	e = args->count >= cmd->least && args->count <= cmd->most ? cmd->run(args) : shell_usage();
	con_end_line();
	shell.running = outer;
	if (e != ERR_OK && !shell.failed) {
		shell_fail(e, cmd->name, "%s", err_words(e));
	}
	return e;
}

static enum err run_words(char *line)
{
	struct shell_args args;
	const struct shell_command *cmd;
	enum err e = split(line, &args);
	int words;

	if (e != ERR_OK || args.count == 0) {
		return e;
	}
	cmd = shell_find(args.word[0], args.count > 1 ? args.word[1] : NULL, &words);
	if (cmd == NULL) {
		return fail_unknown(&args);
	}
	drop_words(&args, words);
	return run_command(cmd, &args);
}

static bool is_empty(const char *line)
{
	while (is_blank(*line)) {
		line++;
	}
	return *line == '\0';
}

/* The log lines that a command's output or an attachment held back. */
static void show_held(void)
{
	console_hold(false);
	if (!console_attached()) {
		log_show();
	}
}

enum err shell_run(const char *line)
{
	char copy[LINEEDIT_MAX + 1];
	enum err e;

	if (is_empty(line)) {
		return ERR_OK;
	}
	shell.failed = false;
	e = str_copy(copy, sizeof(copy), line) ?
		run_words(copy) : shell_fail(ERR_LIMIT, "line", "longer than %u bytes", LINEEDIT_MAX);
	con_end_line();
	if (e != ERR_OK) {
		console_attach_end();
		con_printf("error: %s: %s\n", shell.what, shell.why);
	} else if (!console_attached()) {
		con_printf("ok\n");
	}
	shell.failed = false;
	if (shell.running == NULL) {
		show_held();
	}
	return e;
}

/* --- Input. */

static void edit_out(void *ctx, const char *bytes, size_t len)
{
	console_edit_write(bytes, len);
}

static void redraw(void)
{
	lineedit_draw(&shell.edit);
}

static void prompt(void)
{
	shell.edit.plain = console_is_plain();
	lineedit_begin(&shell.edit);
	console_edit_open(redraw);
}

void shell_init(void)
{
	static const struct lineedit_ops ops = { .out = edit_out, .complete = shell_complete };

	ring_init(&shell.input, shell.input_data, sizeof(shell.input_data));
	lineedit_init(&shell.edit, &ops, NULL, PROMPT);
	shell.attached = shell.failed = shell.input_lost = shell.overrun = false;
	shell.overrun_say_ns = 0;
	shell.running = NULL;
	console_set_receiver(shell_input);
}

void shell_start(void)
{
	/* A `run =` line of the manifest may have attached already. */
	if (console_attached()) {
		shell.attached = true;
	} else {
		prompt();
	}
}

void shell_input(uint8_t byte)
{
	if (!ring_put(&shell.input, byte)) {
		shell.input_lost = true;
	}
}

static void run_typed(void)
{
	console_edit_close();
	if (shell.edit.overflow) {
		/* Part of it is missing: running the rest might do harm. */
		con_printf("error: line: longer than %u bytes\n", LINEEDIT_MAX);
	} else {
		lineedit_remember(&shell.edit, shell.edit.line);
		shell_run(shell.edit.line);
	}
	shell_start();
}

static void detach(void)
{
	console_attach_end();
	shell.attached = false;
	con_printf("\nok\n");
	log_show();
	prompt();
}

/* True: a line ran, or an attachment ended. */
static bool take_input(uint8_t byte)
{
	if (!shell.attached) {
		if (lineedit_feed(&shell.edit, byte) == LINEEDIT_LINE) {
			run_typed();
			return true;
		}
		return false;
	}
	if (byte == DETACH_KEY) {
		detach();
		return true;
	}
	console_attach_feed(byte);
	return false;
}

static void tell_lost(void)
{
	if (shell.input_lost) {
		shell.input_lost = false;
		log_printf("console: input was lost, more than %lu bytes were waiting", INPUT_BYTES);
	}
	shell.overrun |= arch_serial_overrun();
	/* Seldom: a port that is gone reads as all ones. */
	if (shell.overrun && arch_now_ns() >= shell.overrun_say_ns) {
		shell.overrun = false;
		shell.overrun_say_ns = arch_now_ns() + SAY_EVERY_NS;
		log_printf("console: input was lost, the serial port was not read in time");
	}
}

bool shell_poll(void)
{
	int byte;
	bool ran = false;

	tell_lost();
	if (console_detach_wanted()) {
		detach();
	}
	if (ring_used(&shell.input) > 0) {
		console_edit_sync();
	}
	while (!ran && (byte = ring_get(&shell.input)) >= 0) {
		ran = take_input((uint8_t)byte);
	}
	return ring_used(&shell.input) > 0;
}
