/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/lib: format, string, cpuset, list, reader, ring. */
#include "tests/host/test.h"

#include "kernel/lib/cpuset.h"
#include "kernel/lib/err.h"
#include "kernel/lib/format.h"
#include "kernel/lib/list.h"
#include "kernel/lib/reader.h"
#include "kernel/lib/ring.h"
#include "kernel/lib/string.h"

static char out[128];

#define FORMATS(want, ...) \
	do { \
		struct text t = text_make(out, sizeof(out)); \
		text_printf(&t, __VA_ARGS__); \
		CHECK_STR(out, want); \
	} while (0)

TEST(format, "format prints numbers, fields and strings as printf does")
{
	FORMATS("-5|  -5|-0005|-5  |", "%d|%4d|%05d|%-4d|", -5, -5, -5, -5);
	FORMATS("ff|00FF|0x10|18446744073709551615", "%x|%04X|%p|%lu", 255u, 255u, (void *)16, ~0ul);
	FORMATS("ab|  ab|ab  |a|%|x", "%s|%4s|%-4s|%.1s|%%|%c", "ab", "ab", "ab", "ab", 'x');
	FORMATS("-9223372036854775808", "%ld", INT64_MIN);
}

TEST(format_cut, "text that does not fit is cut, terminated and marked")
{
	char small[4];
	struct text t = text_make(small, sizeof(small));

	text_puts(&t, "abcdef");
	CHECK_STR(small, "abc");
	CHECK(t.cut);
}

TEST(units, "sizes and times print in people's units")
{
	struct text t = text_make(out, sizeof(out));

	text_bytes(&t, 512 * MIB);
	text_putc(&t, ' ');
	text_bytes(&t, 1536 * MIB);
	text_putc(&t, ' ');
	text_ns(&t, 10 * NS_PER_MS);
	text_putc(&t, ' ');
	text_ns(&t, 1500 * NS_PER_US);
	CHECK_STR(out, "512M 1.5G 10ms 1.500ms");
}

TEST(cpusets, "cpu sets agree with a plain array under random operations")
{
	struct test_rng rng = { 1 };
	struct cpuset s = { 0 };
	bool model[CPU_MAX] = { false };

	for (int i = 0; i < 20000; i++) {
		unsigned cpu = (unsigned)test_rand_below(&rng, CPU_MAX);
		unsigned from = (unsigned)test_rand_below(&rng, CPU_MAX), want = CPU_NONE;

		model[cpu] = test_rand_below(&rng, 3) == 0;
		(model[cpu] ? cpuset_add : cpuset_del)(&s, cpu);
		for (unsigned c = from; c < CPU_MAX && want == CPU_NONE; c++) {
			want = model[c] ? c : want;
		}
		CHECK_EQ(cpuset_next(&s, from), want);
	}
	cpuset_fill(&s, 65);
	CHECK_EQ(cpuset_count(&s), 65);
	CHECK(!cpuset_has(&s, 65) && cpuset_has(&s, 64) && !cpuset_has(&s, CPU_MAX));
}

TEST(lists, "lists keep order and pass their own check")
{
	struct list head, node[3];

	list_init(&head);
	CHECK(list_first(&head) == NULL);
	for (int i = 0; i < 3; i++) {
		list_push_back(&head, &node[i]);
	}
	list_remove(&node[1]);
	CHECK(list_first(&head) == &node[0] && node[0].next == &node[2] && list_check(&head, 2));
	CHECK(!list_check(&head, 1));
	node[2].prev = &node[1];
	CHECK(!list_check(&head, 5));
}

TEST(readers, "a reader never goes past its end and says so")
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5 };
	struct reader r = reader_make(bytes, sizeof(bytes));
	struct reader sub;

	CHECK_EQ(reader_u16(&r), 0x0201);
	sub = reader_sub(&r, 2);
	CHECK_EQ(reader_u16(&sub), 0x0403);
	CHECK(!r.overrun && !sub.overrun);
	CHECK_EQ(reader_u32(&r), 0);
	CHECK(r.overrun);
	CHECK_EQ(reader_left(&r), 0);
	CHECK_EQ(reader_peek(&r, SIZE_MAX, 8), 0);
}

TEST(rings, "a ring gives bytes back in order and refuses when full")
{
	uint8_t data[4];
	struct ring r;

	ring_init(&r, data, sizeof(data));
	for (int round = 0; round < 9; round++) {
		for (uint8_t i = 0; i < 4; i++) {
			CHECK(ring_put(&r, i));
		}
		CHECK(!ring_put(&r, 9));
		for (int i = 0; i < 4; i++) {
			CHECK_EQ(ring_get(&r), i);
		}
		CHECK_EQ(ring_get(&r), -1);
	}
}

TEST(errors, "every error has words")
{
	CHECK_STR(err_words(ERR_OK), "ok");
	CHECK_STR(err_words(ERR_ADMISSION), "does not fit");
	CHECK_STR(err_words((enum err)999), "unknown error");
}
