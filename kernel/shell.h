/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell: commands register themselves in a linker section and run on the housekeeping cpu, one at a time.
 * A command prints its result with con_printf() and returns; the shell then prints `ok` or `error: WHAT: WHY`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/lib/err.h"

#define SHELL_ARGS_MAX	32

struct shell_args {
	int count;			/* words after the command's own name */
	const char *word[SHELL_ARGS_MAX];
	bool json;			/* -j was given (and taken out of the words) */
};

/* What Tab can complete in an argument's place. */
enum shell_complete { SHELL_NOTHING, SHELL_POOL, SHELL_VM, SHELL_FILE, SHELL_SCHED, SHELL_COMMAND_NAME };

struct shell_command {
	const char *name;		/* "pool list": one or two words */
	const char *usage;		/* arguments, "[-c]" or "P SET" */
	const char *help;		/* one sentence */
	const char *alias;		/* Xen users' name, or NULL */
	enum shell_complete complete;
	/* Returns ERR_OK, or an error after shell_fail() has said what and why (else the error's own words are used). */
	enum err (*run)(const struct shell_args *args);
};

#define SHELL_COMMAND(ident, ...) \
	static const struct shell_command shell_command_##ident \
	__attribute__((used, section("shell_commands"), aligned(8))) = { __VA_ARGS__ }

/* Says what failed and why: `error: WHAT: WHY`; returns e for `return shell_fail(ERR_NOENT, "pool x", ...)`. */
enum err shell_fail(enum err e, const char *what, const char *why_fmt, ...) __attribute__((format(printf, 3, 4)));

/* Runs one command line as if typed (manifest `run =`). Prints prompt-less. Returns the command's error. */
enum err shell_run(const char *line);
