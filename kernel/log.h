/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ways to say something. log_printf() is for what happens (kept in a ring for the `log` command, shown on the
 * console, stamped with seconds since hand-off); any cpu may call it. con_printf() is for the answer to a command
 * and is called only on the housekeeping cpu, by a command. Neither waits for another cpu's guest.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define LOG_LINE_MAX	512u	/* with its stamp; longer ones are cut and end in "..." */

/* One line without "\n" a call. */
void log_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* At most 1023 bytes a call (then "..." and a line's end); lines appear when their "\n" comes. */
void con_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for text of any length, as it is. */
void con_write(const char *s, size_t len);
/* Ends a line that con_printf() began. */
void con_end_line(void);

/*
 * Reads the log a line at a time: *at is 0 for the oldest and moves on; line has LOG_LINE_MAX bytes, *len of them are
 * filled, no terminator. False at the end. A reader that must end compares *at with a log_end() taken first.
 */
bool log_read(uint64_t *at, char *line, size_t *len);
uint64_t log_end(void);
/* Housekeeping cpu: shows the lines that the console held back, once it no longer does. */
void log_show(void);

/* Prints message, registers if any, cpu and backtrace, by polling; stops the machine. */
noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define ASSERT(cond) \
	do { \
		if (!(cond)) { \
			panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__); \
		} \
	} while (0)
