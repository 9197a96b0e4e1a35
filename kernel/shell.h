/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell: commands register themselves in a linker section and run on the housekeeping cpu, one at a time.
 * A command prints its result with con_printf() and returns; the shell then prints `ok` or `error: WHAT: WHY`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "sched/sched.h"

#define SHELL_ARGS_MAX	32

struct shell_args {
	int count;			/* words after the command's own name */
	const char *word[SHELL_ARGS_MAX];
	bool json;			/* -j was given (and taken out of the words) */
};

/* What Tab can complete in an argument's place. */
enum shell_complete {
	SHELL_NOTHING, SHELL_POOL, SHELL_VM, SHELL_FILE, SHELL_SCHED, SHELL_COMMAND_NAME, SHELL_COMPLETE_KINDS
};

/* Which section of the manifest has the keys that a command takes as key=value; `help` lists them. */
enum shell_keys { SHELL_NO_KEYS, SHELL_POOL_KEYS, SHELL_VM_KEYS };

struct shell_command {
	const char *name;		/* "pool list": one or two words */
	const char *usage;		/* arguments, "[-c]" or "P SET" */
	int least, most;		/* how many words it takes, -j not counted: else the shell answers with its usage */
	const char *help;		/* one sentence */
	const char *alias;		/* Xen users' name, or NULL */
	enum shell_complete complete;	/* of every argument */
	enum shell_keys keys;
	/* Returns ERR_OK, or an error after shell_fail() has said what and why (else the error's own words are used). */
	enum err (*run)(const struct shell_args *args);
};

#define SHELL_COMMAND(ident, ...) \
	static const struct shell_command shell_command_##ident \
	__attribute__((used, section("shell_commands"), aligned(8))) = { __VA_ARGS__ }

/* Says what failed and why: `error: WHAT: WHY`; returns e for `return shell_fail(ERR_NOENT, "pool x", ...)`. */
enum err shell_fail(enum err e, const char *what, const char *why_fmt, ...) __attribute__((format(printf, 3, 4)));

/* Fails with the running command's usage: `return shell_usage();` where a word is none that it takes. */
enum err shell_usage(void);

/* What became of e: as shell_fail() with why's words, or with its own where there are none; ERR_OK passes. */
enum err shell_result(enum err e, const char *what, const struct sched_reason *why);

struct json;
/*
 * A list command: rows 0, 1, ... below the heading; with -j (j not NULL) each is an object. False: there is no such row, or
 * none after it.
 */
enum err shell_list(const struct shell_args *args, const char *heading,
		    bool (*row)(const struct shell_args *args, unsigned i, struct json *j));

/* Runs one command line as if typed (manifest `run =`). Prints prompt-less. Returns the command's error. */
enum err shell_run(const char *line);

/* --- For main: shell_init() once, shell_start() prints the first prompt, then the housekeeping loop. */
void shell_init(void);
void shell_start(void);
/* Keeps a received byte; nothing runs. */
void shell_input(uint8_t byte);
/* Edits with what was kept, or hands it to the attached guest; runs at most one line. True: call again, more waits. */
bool shell_poll(void);

/* nth(0), nth(1), ... name what can be completed, NULL ends; called on the housekeeping cpu. */
void shell_set_names(enum shell_complete kind, const char *(*nth)(unsigned i));

/* --- For help and completion. */
extern const struct shell_command __start_shell_commands[], __stop_shell_commands[];

#define SHELL_FOREACH(cmd) \
	for (const struct shell_command *cmd = __start_shell_commands; cmd < __stop_shell_commands; cmd++)

/* The command that these words begin with, two words before one; second may be NULL. *words says how many it has. */
const struct shell_command *shell_find(const char *first, const char *second, int *words);
/* Is this the first of a command's two words? */
bool shell_is_group(const char *first);

struct lineedit;
/* Completes what stands before the cursor, or shows the choices. */
void shell_complete(void *ctx, struct lineedit *e);
