/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/call, kernel/cpu's pokes, kernel/spinlock's order. */
#include "tests/host/test.h"

#include "kernel/call.h"
#include "kernel/spinlock.h"
#include "tests/fake/machine.h"

#define WORD(s)	((void *)(uintptr_t)(s))

static char order[16];
static unsigned order_len;
static unsigned ran_on;

static void note(void *arg)
{
	order[order_len++] = *(const char *)arg;
	order[order_len] = '\0';
	ran_on = arch_this_cpu();
}

static void reset(unsigned cpus)
{
	fake_machine_init(cpus);
	fake_be_cpu(0);
	order_len = 0;
}

TEST(fifo, "calls run in the order they were posted, on the cpu they were posted to, with one IPI for all")
{
	struct call c[3];

	reset(2);
	for (unsigned i = 0; i < 3; i++) {
		call_init(&c[i], note, WORD(&"abc"[i]));
		CHECK(call_post(1, &c[i]));
	}
	CHECK(!call_post(1, &c[1]));
	CHECK_EQ(fake.cpu[1].pokes, 1);
	fake_run_cpu(1);
	CHECK_STR(order, "abc");
	CHECK_EQ(ran_on, 1);
	CHECK(!atomic_load(&c[2].pending) && call_post(1, &c[1]));
	CHECK_EQ(fake.cpu[1].pokes, 2);
	fake_run_cpu(1);
	CHECK_STR(order, "abcb");
	fake_machine_fini();
}

static struct call chain;

static void post_next(void *arg)
{
	note(WORD("x"));
	if (order_len < 3) {
		call_init(&chain, post_next, NULL);
		call_post(arch_this_cpu(), &chain);
	}
}

TEST(repost, "a call that posts to its own cpu runs again in the next round, not in the same")
{
	struct call first;

	reset(2);
	call_init(&first, post_next, NULL);
	call_post(1, &first);
	fake_run_cpu(1);
	CHECK_STR(order, "x");
	fake_run_cpu(1);
	fake_run_cpu(1);
	CHECK_STR(order, "xxx");
	fake_machine_fini();
}

static void call_back(void *arg)
{
	note(WORD("1"));
	call_sync(0, note, WORD("0"));
	note(WORD("2"));
}

TEST(mutual, "two cpus that wait for each other's calls both get through")
{
	reset(2);
	call_sync(1, call_back, NULL);
	CHECK_STR(order, "102");
	call_sync(0, note, WORD("s"));
	CHECK_STR(order, "102s");
	CHECK_EQ(ran_on, 0);
	fake_machine_fini();
}

static void sync_with_1(void *arg)
{
	call_sync(1, note, arg);
}

TEST(stuck, "a cpu that does not answer gets an NMI after 50 us, and after 5 s a panic names it")
{
	const char *words;
	uint64_t start_ns;

	reset(2);
	fake.cpu[1].stuck = true;
	start_ns = fake.now_ns;
	words = fake_panic_of(sync_with_1, WORD("s"));
	CHECK(words != NULL && strstr(words, "cpu 0") != NULL && strstr(words, "for cpu 1") != NULL);
	CHECK(fake.cpu[1].nmis >= 1);
	CHECK(fake.now_ns - start_ns > 5 * NS_PER_S);
	fake_machine_fini();
}

TEST(nmi, "a poke is followed by one NMI when it is older than 50 us and not acknowledged, by none otherwise")
{
	struct cpu *self;

	reset(3);
	self = cpu_get(0);
	cpu_poke(1);
	cpu_poke(1);
	cpu_poke(2);
	CHECK_EQ(fake.cpu[1].pokes, 1);
	CHECK_EQ(cpu_poke_next(self), fake.now_ns + CPU_NMI_AFTER_NS);
	cpu_poke_ack(cpu_get(2));
	fake.now_ns += CPU_NMI_AFTER_NS - 1;
	cpu_poke_check(self, fake.now_ns);
	CHECK_EQ(fake.cpu[1].nmis, 0);
	fake.now_ns++;
	cpu_poke_check(self, fake.now_ns);
	cpu_poke_check(self, fake.now_ns + NS_PER_S);
	CHECK_EQ(fake.cpu[1].nmis, 1);
	CHECK_EQ(fake.cpu[2].nmis, 0);
	CHECK_EQ(cpu_poke_next(self), NS_NEVER);
	fake_machine_fini();
}

TEST(many, "no unacknowledged poke is forgotten when there are more than a cpu can remember")
{
	const unsigned cpus = CPU_POKES_MAX * 2;

	reset(cpus);
	for (unsigned id = 1; id < cpus; id++) {
		cpu_poke(id);
	}
	fake.now_ns += NS_PER_MS;
	cpu_poke_check(cpu_get(0), fake.now_ns);
	for (unsigned id = 1; id < cpus; id++) {
		CHECK_EQ(fake.cpu[id].nmis, 1);
	}
	fake_machine_fini();
}

TEST(offline, "a cpu that is not online is not poked")
{
	reset(2);
	atomic_store(&cpu_get(1)->state, CPU_DEAD);
	cpu_poke(1);
	cpu_poke(77);
	CHECK_EQ(fake.cpu[1].pokes, 0);
	fake_machine_fini();
}

/* --- Locks. */

static struct spinlock low = SPINLOCK_INIT(SPIN_RANK_DOMAIN), low2 = SPINLOCK_INIT(SPIN_RANK_DOMAIN),
		       high = SPINLOCK_INIT(SPIN_RANK_TIMER);

static void take(void *arg)
{
	spin_lock(arg);
}

static void drop(void *arg)
{
	spin_unlock(arg);
}

static void sync_holding(void *arg)
{
	call_sync(1, note, WORD("x"));
}

TEST(ranks, "taking a lock out of order, twice, or giving back one that is not held panics with words")
{
	const char *words;

	reset(2);
	spin_lock(&low);
	spin_lock_next(&low2);
	spin_lock(&high);
	CHECK(spin_held(&low) && spin_held(&high));
	spin_unlock(&low2);
	CHECK(fake_panic_of(take, &low2) != NULL);
	spin_unlock(&high);
	CHECK(fake_panic_of(take, &low2) != NULL);	/* low of the same rank is still held */
	CHECK(fake_panic_of(take, &low) != NULL);
	words = fake_panic_of(sync_holding, NULL);
	CHECK(words != NULL && strstr(words, "scheduler domain") != NULL);
	spin_unlock(&low);
	CHECK(fake_panic_of(drop, &low) != NULL);
	CHECK(fake_panic_of(take, &low2) == NULL);
	spin_unlock(&low2);
	spin_assert_none();
	fake_machine_fini();
}
