/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The load that SMP Linux guests run in their initramfs: `load ROUNDS`. Beside it every cpu has a pinned counter.
 *
 * A round is: fork and exec of this file, a block through two pipes and back, changed by the child; a signal that the child
 * waits for; its exit code. Then a thread pinned to every cpu reads pages that the first one protects and drops meanwhile: once
 * madvise() has returned, a reader that still finds the old contents used a translation that should be gone.
 *
 * Whatever is not as it must be ends it with status 1 and a line that says what was seen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CPUS_MAX	64
#define BLOCK		4096	/* a pipe takes it whole */
#define PAGES		8
#define PAGE		4096
#define REPORT_EVERY	100
#define COUNT_US	20000

static unsigned cpus;
static volatile uint32_t *shared;	/* PAGES pages, all with the number of the round in their first word */
static _Atomic uint64_t *counter;	/* one a cpu, each in a line of its own */
static _Atomic uint32_t go, dropped, seen[CPUS_MAX], done[CPUS_MAX];

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("load: FAILED: ");
	vprintf(fmt, args);
	printf(" (errno %d)\n", errno);
	exit(1);
}

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		fail("cpu %u cannot be used", cpu);
	}
}

static void set_policy(int policy, int priority)
{
	if (sched_setscheduler(0, policy, &(struct sched_param){ .sched_priority = priority }) != 0) {
		fail("policy %d is refused", policy);
	}
}

static uint8_t pattern(unsigned round, unsigned i)
{
	return (uint8_t)(round * 31 + i * 7 + (i >> 8));
}

/* --- The child of a round: SIGUSR1 is blocked since before the fork. */
static int child(void)
{
	uint8_t block[BLOCK];
	size_t got = 0;
	sigset_t set;
	int sig;

	while (got < BLOCK) {
		ssize_t n = read(0, block + got, BLOCK - got);

		if (n <= 0) {
			return 250;
		}
		got += (size_t)n;
	}
	for (unsigned i = 0; i < BLOCK; i++) {
		block[i] ^= 0x5a;
	}
	if (write(1, block, BLOCK) != BLOCK) {
		return 251;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigwait(&set, &sig) == 0 ? block[0] & 0x7f : 252;
}

static pid_t start_child(int in[2], int out[2])
{
	pid_t pid;

	if (pipe(in) != 0 || pipe(out) != 0) {
		fail("no pipe");
	}
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		execl("/proc/self/exe", "load", "child", (char *)NULL);
		_exit(253);
	}
	close(in[0]);
	close(out[1]);
	if (pid < 0) {
		fail("no process");
	}
	return pid;
}

static void processes(unsigned round)
{
	uint8_t block[BLOCK];
	int in[2], out[2], status;
	pid_t pid = start_child(in, out);
	size_t got = 0;

	for (unsigned i = 0; i < BLOCK; i++) {
		block[i] = pattern(round, i);
	}
	if (write(in[1], block, BLOCK) != BLOCK) {
		fail("round %u: the pipe takes no block", round);
	}
	while (got < BLOCK) {
		ssize_t n = read(out[0], block + got, BLOCK - got);

		if (n <= 0) {
			fail("round %u: the pipe ends after %zu bytes", round, got);
		}
		got += (size_t)n;
	}
	for (unsigned i = 0; i < BLOCK; i++) {
		if (block[i] != (pattern(round, i) ^ 0x5a)) {
			fail("round %u: byte %u came back as %02x", round, i, block[i]);
		}
	}
	if (kill(pid, SIGUSR1) != 0 || waitpid(pid, &status, 0) != pid) {
		fail("round %u: the child is not there", round);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != (block[0] & 0x7f)) {
		fail("round %u: the child ended with status %x", round, status);
	}
	close(in[1]);
	close(out[0]);
}

/* --- Translations. */

/* Each page in turn holds `value`. */
static bool all_are(uint32_t value)
{
	for (unsigned i = 0; i < PAGES; i++) {
		if (shared[i * PAGE / 4] != value) {
			return false;
		}
	}
	return true;
}

static void wait_for(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load(word) != value) {
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value - 1, NULL, NULL, 0);
	}
}

static void tell(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, CPUS_MAX, NULL, NULL, 0);
}

/* On every cpu but the first one's: keeps the pages in the TLB until they are dropped, then must find them gone. */
static void *reader(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	pin(me);
	for (uint32_t round = 1;; round++) {
		wait_for(&go, round);
		if (!all_are(round)) {
			fail("round %u: cpu %u does not see what the first cpu wrote", round, me);
		}
		tell(&seen[me], round);
		while (atomic_load(&dropped) != round) {
			(void)all_are(round);
		}
		if (!all_are(0)) {
			fail("round %u: cpu %u still sees a page that was dropped", round, me);
		}
		tell(&done[me], round);
	}
	return NULL;
}

static void translations(uint32_t round)
{
	void *pages = (void *)(uintptr_t)shared;

	for (unsigned i = 0; i < PAGES; i++) {
		shared[i * PAGE / 4] = round;
	}
	tell(&go, round);
	for (unsigned i = 1; i < cpus; i++) {
		wait_for(&seen[i], round);
	}
	if (mprotect(pages, PAGES * PAGE, PROT_READ) != 0 || mprotect(pages, PAGES * PAGE, PROT_READ | PROT_WRITE) != 0 ||
	    madvise(pages, PAGES * PAGE, MADV_DONTNEED) != 0) {
		fail("round %u: the pages cannot be changed", round);
	}
	atomic_store(&dropped, round);
	for (unsigned i = 1; i < cpus; i++) {
		wait_for(&done[i], round);
	}
}

/* --- Progress and figures. */

static void start_counters(pid_t *pids)
{
	for (unsigned i = 0; i < cpus; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			pin(i);
			set_policy(SCHED_OTHER, 0);
			for (;;) {
				atomic_fetch_add_explicit(&counter[8 * i], 1, memory_order_relaxed);
			}
		}
	}
}

/* Sum over the cpus of a row of /proc/interrupts; prints the row, too. */
static uint64_t interrupts(const char *name, bool say)
{
	char line[2048], *at;
	uint64_t sum = 0;
	FILE *f = fopen("/proc/interrupts", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		at = strstr(line, name);
		if (at == NULL) {
			continue;
		}
		at += strlen(name);
		if (say) {
			printf("load: %s", name);
		}
		for (unsigned i = 0; i < cpus; i++) {
			uint64_t n = strtoull(at, &at, 10);

			sum += n;
			if (say) {
				printf(" %lu", (unsigned long)n);
			}
		}
		if (say) {
			printf("\n");
		}
	}
	if (f != NULL) {
		fclose(f);
	}
	return sum;
}

static const char *const rows[] = { "LOC:", "RES:", "CAL:", "TLB:" };

/* The load is ahead of the counters, so they get the cpus for a while; then each must have got on. */
static void check_counters(void)
{
	static uint64_t last[CPUS_MAX];

	usleep(COUNT_US);
	for (unsigned i = 0; i < cpus; i++) {
		uint64_t n = atomic_load(&counter[8 * i]);

		if (n == last[i]) {
			fail("cpu %u did not run what is pinned to it", i);
		}
		last[i] = n;
	}
}

static void check_interrupts(const uint64_t before[4], unsigned rounds)
{
	for (unsigned i = 0; i < cpus; i++) {
		printf("load: cpu %u counted %lu\n", i, (unsigned long)atomic_load(&counter[8 * i]));
	}
	for (unsigned i = 0; i < 4; i++) {
		uint64_t after = interrupts(rows[i], true);

		/* One cpu has nobody to send to. Every round drops pages that the others have in use. */
		if (cpus > 1 && i != 1 && after - before[i] < (i == 3 ? rounds / 2 : 1)) {
			fail("%s went from %lu to %lu", rows[i], (unsigned long)before[i], (unsigned long)after);
		}
	}
}

static void set_up(pid_t *pids)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_ANONYMOUS;
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	counter = mmap(NULL, CPUS_MAX * 64, prot, flags, -1, 0);
	shared = mmap(NULL, PAGES * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (counter == MAP_FAILED || (void *)(uintptr_t)shared == MAP_FAILED) {
		fail("no memory");
	}
	start_counters(pids);
	for (unsigned i = 1; i < cpus; i++) {
		if (pthread_create(&thread, NULL, reader, (void *)(uintptr_t)i) != 0) {
			fail("no thread");
		}
	}
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	pid_t pids[CPUS_MAX];
	uint64_t before[4];
	struct timespec t0, t1;

	if (argc > 1 && strcmp(argv[1], "child") == 0) {
		return child();
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	for (unsigned i = 0; i < 4; i++) {
		before[i] = interrupts(rows[i], false);
	}
	/* Among equals a process that was just forked waits for the next tick while a counter has the cpu. */
	set_policy(SCHED_RR, 1);
	set_up(pids);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (unsigned round = 1; round <= rounds; round++) {
		processes(round);
		translations(round);
		if (round % REPORT_EVERY == 0) {
			check_counters();
			clock_gettime(CLOCK_MONOTONIC, &t1);
			printf("load: %u rounds, %ld ms\n", round,
			       (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000);
		}
	}
	check_interrupts(before, rounds);
	for (unsigned i = 0; i < cpus; i++) {
		kill(pids[i], SIGKILL);
	}
	printf("load: all %u rounds were right on %u cpus\n", rounds, cpus);
	return rounds > 0 ? 0 : 1;
}
