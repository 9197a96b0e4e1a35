/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host tests' frame. A test is a sentence of what must hold:
 *
 *	TEST(free_pages_are_counted, "free pages are counted exactly") { CHECK_EQ(mem_free(...), 3); }
 *
 * A failed check prints what it saw and ends that test; the others go on. A program's last line is "N passed, N failed".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct test {
	const char *sentence;
	void (*run)(void);
};

#define TEST(ident, sentence_) \
	static void test_##ident(void); \
	static const struct test test_row_##ident \
	__attribute__((used, section("host_tests"), aligned(8))) = { sentence_, test_##ident }; \
	static void test_##ident(void)

/* Ends the running test as failed (longjmp). */
void test_fail(const char *file, int line, const char *fmt, ...) __attribute__((noreturn, format(printf, 3, 4)));

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			test_fail(__FILE__, __LINE__, "%s", #cond); \
		} \
	} while (0)

#define CHECK_EQ(got, want) \
	do { \
		long long got_ = (long long)(got), want_ = (long long)(want); \
		if (got_ != want_) { \
			test_fail(__FILE__, __LINE__, "%s: got %lld (0x%llx), want %lld (0x%llx)", #got, got_, got_, \
				  want_, want_); \
		} \
	} while (0)

#define CHECK_STR(got, want) \
	do { \
		const char *got_ = (got), *want_ = (want); \
		if (strcmp(got_, want_) != 0) { \
			test_fail(__FILE__, __LINE__, "%s: got \"%s\", want \"%s\"", #got, got_, want_); \
		} \
	} while (0)

/* Repeatable random numbers: one stream per seed. */
struct test_rng { uint64_t state; };
uint64_t test_rand(struct test_rng *r);				/* 64 bits */
uint64_t test_rand_below(struct test_rng *r, uint64_t n);	/* 0..n-1 */
