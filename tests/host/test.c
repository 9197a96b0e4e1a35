/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the tests of one program; an argument keeps only sentences that contain it. */
#include "tests/host/test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

extern const struct test __start_host_tests[], __stop_host_tests[];

static jmp_buf out;
static const char *running;

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	printf("FAIL %s\n  %s:%d: ", running, file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	longjmp(out, 1);
}

uint64_t test_rand(struct test_rng *r)
{
	/* splitmix64 */
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ul);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
	return z ^ (z >> 31);
}

uint64_t test_rand_below(struct test_rng *r, uint64_t n)
{
	return test_rand(r) % n;
}

int main(int argc, char **argv)
{
	volatile unsigned passed = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct test *volatile t = __start_host_tests; t < __stop_host_tests; t++) {
		if (argc > 1 && strstr(t->sentence, argv[1]) == NULL) {
			continue;
		}
		running = t->sentence;
		if (setjmp(out) == 0) {
			t->run();
			printf("ok   %s\n", t->sentence);
			passed++;
		} else {
			failed++;
		}
	}
	printf("%s: %u passed, %u failed\n", argv[0], passed, failed);
	return failed != 0;
}
