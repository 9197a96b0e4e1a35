/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/cpusetexpr: cpu sets from text and to text. */
#include "tests/host/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/cpusetexpr.h"
#include "kernel/lib/util.h"

/* 8 cpus, 2 nodes of 4, 4 cores of 2; cpus 0 and 5 are taken. */
static unsigned node_of(const void *context, unsigned cpu)
{
	CHECK(context != NULL);
	return cpu / 4;
}

static unsigned core_of(const void *context, unsigned cpu)
{
	CHECK(context != NULL);
	return cpu / 2;
}

static bool is_free(const void *context, unsigned cpu)
{
	CHECK(context != NULL);
	return cpu != 0 && cpu != 5;
}

static const struct cpusetexpr_facts eight = { 8, node_of, core_of, is_free, "" };
static char out[CPU_MAX * 6];

static const char *meaning(const char *expr)
{
	struct cpuset set;
	struct cpusetexpr_error e;
	struct text t = text_make(out, sizeof(out));

	if (cpusetexpr_parse(expr, &eight, &set, &e)) {
		cpusetexpr_print(&set, &t);
	} else {
		text_printf(&t, "%u: %s", e.column, e.words);
	}
	return out;
}

TEST(items, "every kind of item means its cpus")
{
	CHECK_STR(meaning("3"), "3");
	CHECK_STR(meaning("0-3,5"), "0-3,5");
	CHECK_STR(meaning("7-7"), "7");
	CHECK_STR(meaning("0x2-0x3"), "2-3");
	CHECK_STR(meaning("node:1"), "4-7");
	CHECK_STR(meaning("nodes:0-1,^4"), "0-3,5-7");
	CHECK_STR(meaning("core:2"), "4-5");
	CHECK_STR(meaning("cores:0-1"), "0-3");
	CHECK_STR(meaning("free"), "1-4,6-7");
	CHECK_STR(meaning("all"), "0-7");
	CHECK_STR(meaning("all,^free"), "0,5");
	CHECK_STR(meaning(" 1 ,\t3 "), "1,3");
}

TEST(order, "items count from left to right")
{
	CHECK_STR(meaning("0-3,5,^1"), "0,2-3,5");
	CHECK_STR(meaning("^1,0-3"), "0-3");
	CHECK_STR(meaning("0-3,^1,1"), "0-3");
	CHECK_STR(meaning("all,^node:0,^core:3,2"), "2,4-5");
	CHECK_STR(meaning("1,^1"), "none");
	CHECK_STR(meaning("^1"), "none");
}

TEST(errors, "errors name column, found and expected")
{
	CHECK_STR(meaning(""), "1: found the end, expected a cpu (3), a range (0-3), node:N, core:N, free or all");
	CHECK_STR(meaning("0,"), "3: found the end, expected a cpu (3), a range (0-3), node:N, core:N, free or all");
	CHECK_STR(meaning("0,,1"), "3: found \",\", expected a cpu (3), a range (0-3), node:N, core:N, free or all");
	CHECK_STR(meaning("0-3, x"), "6: found \"x\", expected a cpu (3), a range (0-3), node:N, core:N, free or all");
	CHECK_STR(meaning("-1"), "1: found \"-1\", expected a cpu (3), a range (0-3), node:N, core:N, free or all");
	CHECK_STR(meaning("1-"), "3: found the end, expected a number");
	CHECK_STR(meaning("1-b"), "3: found \"b\", expected a number");
	CHECK_STR(meaning("node:"), "6: found the end, expected a number");
	CHECK_STR(meaning("2,3-1"), "3: found \"3-1\", expected a range from the lower to the higher number");
	CHECK_STR(meaning("0-3x"), "4: found \"x\", expected \",\" or the end");
	CHECK_STR(meaning("allx"), "4: found \"x\", expected \",\" or the end");
	CHECK_STR(meaning("1 2"), "3: found \"2\", expected \",\" or the end");
	CHECK_STR(meaning("0,^all"), "4: found \"all\", expected something less than all after \"^\"");
	CHECK_STR(meaning("^^1"), "2: found \"^1\", expected a cpu (3), a range (0-3), node:N, core:N, free or all");
	CHECK_STR(meaning("99999999999999999999"), "1: found \"99999999999999999999\", expected a smaller number");
}

TEST(lacking, "cpus, nodes and cores the machine lacks are named, in ranges and after ^ too")
{
	CHECK_STR(meaning("8"), "1: found cpu 8, expected a cpu that the machine has (0-7)");
	CHECK_STR(meaning("4-8"), "3: found cpu 8, expected a cpu that the machine has (0-7)");
	CHECK_STR(meaning("0-18446744073709551615"),
		  "3: found cpu 18446744073709551615, expected a cpu that the machine has (0-7)");
	CHECK_STR(meaning("node:2"), "6: found node 2, expected a node that the machine has (0-1)");
	CHECK_STR(meaning("all,^core:4"), "11: found core 4, expected a core that the machine has (0-3)");
}

TEST(untouched, "a refused expression leaves the set alone")
{
	struct cpuset set = { { 42 } };
	struct cpusetexpr_error e;

	CHECK(!cpusetexpr_parse("1,2,x", &eight, &set, &e));
	CHECK_EQ(set.word[0], 42);
}

TEST(round_trip, "a printed set is read back as the same set")
{
	static const struct cpusetexpr_facts all = { CPU_MAX, node_of, core_of, NULL, "" };
	struct test_rng rng = { 11 };
	struct cpusetexpr_error e;

	for (int i = 0; i < 400; i++) {
		struct cpuset set = { { 1ul << (i % 64) } }, back;
		struct text t = text_make(out, sizeof(out));
		unsigned runs = 1 + (unsigned)test_rand_below(&rng, 20);

		for (unsigned k = 0; k < runs; k++) {
			unsigned cpu = (unsigned)test_rand_below(&rng, CPU_MAX);
			unsigned length = (unsigned)test_rand_below(&rng, 70);

			for (; length > 0 && cpu < CPU_MAX; length--, cpu++) {
				cpuset_add(&set, cpu);
			}
		}
		cpusetexpr_print(&set, &t);
		CHECK(!t.cut);
		if (!cpusetexpr_parse(out, &all, &back, &e)) {
			test_fail(__FILE__, __LINE__, "%s: %u: %s", out, e.column, e.words);
		}
		CHECK(cpuset_equal(&set, &back));
	}
}

TEST(fuzz, "no text makes the reader leave it, and every error has a column inside it")
{
	static const char letters[] = "0123456789-,^: \tnodescrfalx";
	struct test_rng rng = { 3 };

	for (int i = 0; i < 50000; i++) {
		size_t length = test_rand_below(&rng, 14);
		char *text = malloc(length + 1);
		struct cpuset set, machine;
		struct cpusetexpr_error e = { 0 };

		for (size_t k = 0; k < length; k++) {
			text[k] = letters[test_rand_below(&rng, sizeof(letters) - 1)];
		}
		text[length] = '\0';
		if (cpusetexpr_parse(text, &eight, &set, &e)) {
			cpuset_fill(&machine, 8);
			cpuset_andnot(&set, &machine);
			CHECK(cpuset_empty(&set));
		} else {
			CHECK(e.column >= 1 && e.column <= length + 1);
			CHECK(strstr(e.words, "found ") != NULL && strstr(e.words, ", expected ") != NULL);
		}
		free(text);
	}
}
