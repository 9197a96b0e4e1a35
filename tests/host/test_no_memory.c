/* SPDX-License-Identifier: BSD-2-Clause */
/* pool/, vm/: whatever allocation fails in whatever command, it says so, and all is as it was. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"

static const struct fake_step spin[] = { { .kind = FAKE_SPIN } };

/* All free pages but those given back: node 0's first, the highest first, so that they lie together. */
static hpa_t held[FIXTURE_CHUNKS * LARGE_PAGES];
static unsigned held_count;

static void hold_all(void)
{
	held_count = 0;
	for (unsigned node = mem.node_count; node-- > 0;) {
		while (mem.node[node].free_pages > 0) {
			held[held_count++] = mem_alloc(&mem, node, 1, MEM_STRICT);
		}
	}
}

static void give_back(unsigned count)
{
	while (count-- > 0 && held_count > 0) {
		mem_free(&mem, held[--held_count], 1);
	}
}

struct standing {
	long blocks, bytes;
	uint64_t free[2];
	unsigned pools, vms, vcpus, spaces;
	unsigned cpus[2];		/* of the first two pools */
	unsigned vms_in[2];
};

static struct standing standing(void)
{
	struct standing s = {
		.blocks = fake.heap_blocks, .bytes = fake.heap_bytes, .free = { mem.node[0].free_pages, mem.node[1].free_pages },
		.pools = pool_count(), .vms = vm_count(), .vcpus = fake_virt_vcpus, .spaces = fake_virt_spaces,
	};

	for (unsigned i = 0; i < 2 && pool_at(i) != NULL; i++) {
		s.cpus[i] = cpuset_count(&pool_at(i)->cpus);
		s.vms_in[i] = pool_at(i)->group_count;
		CHECK(pool_check(pool_at(i), &fixture_why));
	}
	CHECK(mem_check(&mem));
	return s;
}

static bool says_ok(const char *line)
{
	bool ok;

	fake_serial_forget();
	ok = shell_run(line) == ERR_OK;
	if (!ok && !fixture_says("no memory") && !fixture_says("its pool's nodes have")) {
		test_fail(__FILE__, __LINE__, "%s: %s", line, fixture_said());
	}
	return ok;
}

/* The running VMs' vCPUs all go on. */
static void all_run(void)
{
	uint64_t used[8];
	unsigned n = 0;

	for (unsigned i = 0; vm_at(i) != NULL; i++) {
		used[n++] = vm_at(i)->vcpu[0]->entity.used_ns;
	}
	for (unsigned i = 0; i < 200; i++) {
		uint64_t next = NS_NEVER;

		fake_run_all();
		for (unsigned id = 0; id < fake.cpu_count; id++) {
			next = MIN(next, fake.cpu[id].idle_until_ns);	/* 0: it is busy */
		}
		fake.now_ns = next != NS_NEVER ? MAX(fake.now_ns, next) : fake.now_ns;
	}
	for (unsigned i = 0; i < n; i++) {
		CHECK(vm_at(i)->state != VM_RUNNING || vm_at(i)->vcpu[0]->entity.used_ns > used[i]);
	}
}

/* Each allocation of the command fails in turn; then it succeeds. Returns how many there are. */
static unsigned fail_each_block(const char *line)
{
	const struct standing before = standing();

	for (unsigned n = 1;; n++) {
		struct standing after;

		fake.heap_fail_in = n;
		if (says_ok(line)) {
			fake.heap_fail_in = 0;
			return n - 1;
		}
		fake.heap_fail_in = 0;
		after = standing();
		CHECK(memcmp(&before, &after, sizeof(before)) == 0);
		CHECK(n < 200);
		if (n % 8 == 1) {
			all_run();
		}
	}
}

/* The same with so many pages left: each one more, until they are enough. Returns how many that are. */
static unsigned fail_each_page(const char *line)
{
	struct standing before, after;
	unsigned left = 0;

	for (;; left++) {
		hold_all();
		give_back(left);
		before = standing();
		if (says_ok(line)) {
			give_back(held_count);
			return left;
		}
		after = standing();
		CHECK(memcmp(&before, &after, sizeof(before)) == 0);
		give_back(held_count);
		CHECK(left < 400);
	}
}

/* Nothing of it is left. */
static void end(void)
{
	while (vm_at(0) != NULL) {
		vm_destroy(vm_at(0));
	}
	while (pool_at(0) != NULL) {
		CHECK_EQ(pool_destroy(pool_at(0), &fixture_why), ERR_OK);
	}
	CHECK(fake_virt_vcpus == 0 && fake_virt_spaces == 0);
	CHECK_EQ(mem.node[0].free_pages, fixture_free_pages);
	CHECK_EQ(fake.heap_blocks, 0);
	dispatch_set_housekeeping(NULL, NULL);
	arena_free(&fixture_arena);
	fake_machine_fini();
}

static bool has_table(const struct sched_ops *ops)
{
	return sched_list_of(ops) != NULL;
}

/* Of two cpus; one whose policy has a table gives each of v's vCPUs one. */
static void make_pool(const char *name, const struct sched_ops *ops, unsigned first)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "pool create %s sched=%s cpus=%u-%u", name, ops->name, first, first + 1);

	if (has_table(ops)) {
		snprintf(line + n, sizeof(line) - (size_t)n, " frame=100ms \"window=%u v.0 30ms\" \"window=%u v.1 30ms\"",
			 first, first + 1);
	}
	CHECK(says_ok(line));
}

TEST(pools, "pool create, cpu-add, cpu-remove and set, of every policy, change nothing where any of their allocations fails")
{
	char line[160];

	fixture_make(8, spin, ARRAY_SIZE(spin));
	CHECK(says_ok("pool cpu-remove p 2-7"));
	for (unsigned i = 0; i < sched_policy_count(); i++) {
		bool table = has_table(sched_policy_at(i));

		snprintf(line, sizeof(line), "pool create q sched=%s cpus=2-4%s", sched_policy_at(i)->name,
			 table ? " frame=100ms \"window=2 v.0 30ms\"" : "");
		CHECK(fail_each_block(line) >= 7);
		CHECK_EQ(fail_each_block("pool cpu-add q 5-7"), 3);
		if (table) {
			CHECK_EQ(fail_each_block("pool set q \"window=3 v.0 30ms\""), 2);
		}
		CHECK_EQ(fail_each_block("pool cpu-remove q 5-6"), 0);
		CHECK(says_ok("pool destroy q"));
	}
	end();
}

TEST(vms, "vm create, with and without a start, changes nothing where any of its allocations fails, and the next one runs")
{
	fixture_make(2, spin, ARRAY_SIZE(spin));
	CHECK(says_ok("vm create n pool=p memory=2M kernel=kernel autostart=yes"));
	CHECK(fail_each_block("vm create v pool=p vcpus=3 memory=2M kernel=kernel autostart=yes") > 10);
	all_run();
	vm_destroy(vm_find("v"));
	CHECK(fail_each_page("vm create v pool=p vcpus=3 memory=1M kernel=kernel") > 256);
	vm_destroy(vm_find("v"));
	/* Loading, and starting again, need no memory. */
	CHECK(says_ok("vm create v pool=p vcpus=3 memory=2M kernel=kernel"));
	hold_all();
	CHECK_EQ(fail_each_block("vm start v"), 0);
	give_back(held_count);
	all_run();
	end();
}

TEST(moves, "a VM that cannot move or be pinned for want of memory runs on where it was, under every pair of policies")
{
	fixture_make(4, spin, ARRAY_SIZE(spin));
	for (unsigned i = 0; i < sched_policy_count() * sched_policy_count(); i++) {
		const struct sched_ops *from = sched_policy_at(i / sched_policy_count());
		const struct sched_ops *to = sched_policy_at(i % sched_policy_count());

		CHECK(says_ok("pool destroy p"));
		make_pool("p", from, 0);
		make_pool("q", to, 2);
		CHECK(says_ok("vm create v pool=p vcpus=2 memory=2M kernel=kernel autostart=yes"));
		CHECK(fail_each_block("vm migrate v q") >= 2);
		if (!has_table(to)) {
			CHECK_EQ(fail_each_block("vcpu pin v 1 3"), 1);
			CHECK_EQ(fail_each_block("vcpu pin v 1 all"), 1);
		}
		CHECK(fail_each_block("vm migrate v p") >= 2);
		all_run();
		CHECK(says_ok("vm destroy v"));
		CHECK(says_ok("pool destroy q"));
	}
	end();
}
