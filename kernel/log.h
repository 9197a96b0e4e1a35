/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ways to say something. log_printf() is for what happens (kept in a ring for the `log` command, shown on the
 * console, stamped with seconds since hand-off); any cpu may call it. con_printf() is for the answer to a command
 * and is called only on the housekeeping cpu, by a command. Neither waits for another cpu's guest.
 */
#pragma once

#include <stdarg.h>
#include <stdnoreturn.h>

/* One line without "\n" a call. */
void log_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void con_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints message, registers if any, cpu and backtrace, by polling; stops the machine. */
noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define ASSERT(cond) \
	do { \
		if (!(cond)) { \
			panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__); \
		} \
	} while (0)
