/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/lib/parse: numbers, sizes, times, booleans, words. */
#include "tests/host/test.h"

#include "kernel/lib/format.h"
#include "kernel/lib/parse.h"
#include "kernel/lib/util.h"

#define UNTOUCHED	0x5555555555555555ul

#define IS(function, type, text, want) \
	do { \
		type got_value = (type)UNTOUCHED; \
		CHECK_STR(err_words(function(text, &got_value)), err_words(ERR_OK)); \
		CHECK_EQ(got_value, want); \
	} while (0)

#define REFUSES(function, type, text, error) \
	do { \
		type got_value = (type)UNTOUCHED; \
		CHECK_STR(err_words(function(text, &got_value)), err_words(error)); \
		CHECK_EQ(got_value, (type)UNTOUCHED); \
	} while (0)

TEST(numbers, "numbers are decimal or hexadecimal and fill 64 bits, no more")
{
	IS(parse_u64, uint64_t, "0", 0);
	IS(parse_u64, uint64_t, "010", 10);
	IS(parse_u64, uint64_t, "0xfF", 255);
	IS(parse_u64, uint64_t, "18446744073709551615", UINT64_MAX);
	IS(parse_u64, uint64_t, "0xffffffffffffffff", UINT64_MAX);
	REFUSES(parse_u64, uint64_t, "18446744073709551616", ERR_RANGE);
	REFUSES(parse_u64, uint64_t, "0x10000000000000000", ERR_RANGE);
	REFUSES(parse_u64, uint64_t, "99999999999999999999999", ERR_RANGE);
}

TEST(number_ends, "a number is the whole text")
{
	static const char *const wrong[] = { "", " 1", "1 ", "+1", "-1", "1a", "0x", "0xg", "x1", "1.0", "ff", "1-2" };

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		REFUSES(parse_u64, uint64_t, wrong[i], ERR_FORMAT);
	}
}

TEST(sizes, "sizes take K, M, G and T and refuse what does not fit")
{
	IS(parse_size, uint64_t, "512", 512);
	IS(parse_size, uint64_t, "4K", 4096);
	IS(parse_size, uint64_t, "128M", 128 * MIB);
	IS(parse_size, uint64_t, "2g", 2 * GIB);
	IS(parse_size, uint64_t, "1T", 1024 * GIB);
	IS(parse_size, uint64_t, "0x10M", 16 * MIB);
	IS(parse_size, uint64_t, "16777215T", 16777215ul << 40);
	REFUSES(parse_size, uint64_t, "16777216T", ERR_RANGE);
	REFUSES(parse_size, uint64_t, "128MB", ERR_FORMAT);
	REFUSES(parse_size, uint64_t, "1.5G", ERR_FORMAT);
	REFUSES(parse_size, uint64_t, "M", ERR_FORMAT);
	REFUSES(parse_size, uint64_t, "1 M", ERR_FORMAT);
	REFUSES(parse_size, uint64_t, "1P", ERR_FORMAT);
}

TEST(times, "times need their unit, except 0")
{
	IS(parse_time, uint64_t, "0", 0);
	IS(parse_time, uint64_t, "250us", 250000);
	IS(parse_time, uint64_t, "10ms", 10000000);
	IS(parse_time, uint64_t, "1.5ms", 1500000);
	IS(parse_time, uint64_t, "2s", 2000000000);
	IS(parse_time, uint64_t, "7ns", 7);
	REFUSES(parse_time, uint64_t, "10", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "00", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "10m", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "10 ms", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "10mss", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "1.ms", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "1.5ns", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "1.2345ms", ERR_FORMAT);
	REFUSES(parse_time, uint64_t, "18446744074s", ERR_RANGE);
	REFUSES(parse_time, uint64_t, "18446744073.999s", ERR_RANGE);
}

TEST(times_round, "a time with at most three decimals of its unit is read back as it was printed")
{
	struct test_rng rng = { 7 };
	char buf[32];

	for (int i = 0; i < 20000; i++) {
		static const uint64_t grain[] = { 1, NS_PER_US, NS_PER_MS };
		static const uint64_t below[] = { 1000000, 1000000, 1000000 };
		unsigned g = (unsigned)test_rand_below(&rng, 3);
		uint64_t ns = test_rand_below(&rng, below[g]) * grain[g];
		struct text t = text_make(buf, sizeof(buf));

		text_ns(&t, ns);
		if (ns != 0) {
			IS(parse_time, uint64_t, buf, (long long)ns);
		}
	}
}

TEST(booleans, "booleans are six words, nothing else")
{
	static const char *const yes[] = { "yes", "on", "true" }, *const no[] = { "no", "off", "false" };
	bool v;

	for (unsigned i = 0; i < 3; i++) {
		v = false;
		CHECK(parse_bool(yes[i], &v) == ERR_OK && v);
		CHECK(parse_bool(no[i], &v) == ERR_OK && !v);
	}
	CHECK_EQ(parse_bool("Yes", &v), ERR_FORMAT);
	CHECK_EQ(parse_bool("1", &v), ERR_FORMAT);
	CHECK_EQ(parse_bool("", &v), ERR_FORMAT);
	CHECK_EQ(parse_bool("yes ", &v), ERR_FORMAT);
}

TEST(words, "a word is found by its whole name")
{
	static const char *const words[] = { "stop", "restart", NULL };
	unsigned i = 9;

	CHECK_EQ(parse_word("restart", words, &i), ERR_OK);
	CHECK_EQ(i, 1);
	CHECK_EQ(parse_word("rest", words, &i), ERR_NOENT);
	CHECK_EQ(parse_word("", words, &i), ERR_NOENT);
	CHECK_EQ(i, 1);
}
