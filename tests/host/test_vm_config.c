/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that make VMs and change them, and the figures that are shown of them. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"

static const struct fake_step spin[] = { { .kind = FAKE_SPIN } };
static const struct fake_step busy_halt[] = {
	{ .kind = FAKE_STI }, { .kind = FAKE_BUSY, .ns = 3 * NS_PER_MS }, { .exit = VIRT_EXIT_CPUID, .rax = 1 }, FAKE_HLT,
};

/* The console's answer to one command. */
static const char *says(const char *line)
{
	fake_serial_forget();
	(void)shell_run(line);
	return fixture_said();
}

static void make(unsigned cpus, const struct fake_step *script, unsigned count)
{
	fixture_make(cpus, script, count);
}

#define MAKE(cpus, script)	make(cpus, script, ARRAY_SIZE(script))

TEST(create, "vm create makes a stopped VM of what its words say, and autostart=yes starts it")
{
	const struct vm *vm;

	MAKE(2, spin);
	CHECK_STR(says("vm create a pool=p memory=6M kernel=kernel cmdline=\"a b=c\" vcpus=2 on-crash=destroy affinity=0"),
		  "ok\r\n");
	vm = vm_find("a");
	CHECK(vm != NULL && vm->state == VM_STOPPED && vm->vcpu_count == 2 && vm->config.memory_bytes == 6 * MIB);
	CHECK_STR(vm->config.cmdline, "a b=c");
	CHECK(vm->config.on_crash == MANIFEST_DESTROY && vm->config.on_reboot == MANIFEST_RESTART);
	CHECK(cpuset_count(&vm->vcpu[0]->entity.hard) == 1 && cpuset_has(&vm->vcpu[0]->entity.hard, 0));
	CHECK_STR(says("vm create b pool=p memory=2M kernel=kernel autostart=yes"), "ok\r\n");
	CHECK_EQ(vm_find("b")->state, VM_RUNNING);
	CHECK_STR(says("vm destroy a"), "ok\r\n");
	CHECK(strstr(says("vm destroy b"), "\nok\r\n") != NULL);
	fixture_end();
}

static const struct {
	const char *line, *answer;
} bad[] = {
	{ "vm create", "error: vm create: usage: vm create V key=value...\r\n" },
	{ "vm create a", "also wrong: vm a: found no key \"kernel\"" },
	{ "vm create a", "error: a: vm a: found no key \"memory\", expected memory = " },
	{ "vm create a pool=p memory=3 kernel=kernel", "error: a: memory: found \"3\", expected " },
	{ "vm create a pool=p memory=4M kernel=nokernel", "error: a: kernel: found no file \"nokernel\"" },
	{ "vm create a pool=nopool memory=4M kernel=kernel", "error: a: unknown pool \"nopool\", expected one of: p, empty\r\n" },
	{ "vm create a pool=p memory=4M kernel=kernel vcpus=65", "error: a: vcpus: found \"65\", expected a number from 1 to 64" },
	{ "vm create a pool=p memory=4M kernel=kernel size=1", "error: a: unknown key \"size\", expected one of: pool, vcpus" },
	{ "vm create a pool=p memory=4M kernel=kernel on-crash=go", "error: a: on-crash: found \"go\", expected one of: stop" },
	{ "vm create a pool=p memory=4M memory=4M kernel=kernel", "error: a: found key \"memory\" again" },
	{ "vm create a pool=p memory=4M kernel=kernel affinity=7", "error: a: affinity: " },
	{ "vm create a pool=p memory=4M kernel", "error: kernel: found no \"=\", expected key=value" },
	{ "vm create a pool=p memory=4M kernel=kernel #weight=5", "error: #weight=5: found no key before \"=\"" },
	{ "vm create a pool=p memory=4M kernel=kernel =5", "error: =5: found no key before \"=\", expected key=value" },
	{ "vm create a pool=p memory=4M kernel=kernel \"[boot]=1\"", "error: [boot]=1: found no key before \"=\"" },
	{ "vm create a pool=p memory=4M kernel=kernel vcpus=0", "error: a: vcpus: found \"0\", expected a number from 1 to 64" },
	{ "vm create a/b pool=p memory=4M kernel=kernel", "error: a/b: expected a name" },
	{ "vm create \"a b\" pool=p memory=4M kernel=kernel", "error: a b: expected a name" },
	{ "vm create a234567890123456789012345678901b pool=p memory=4M kernel=kernel", "expected a name" },
	{ "vm create a pool=p memory=99999999999999G kernel=kernel", "error: a: memory: found \"99999999999999G\"" },
	{ "vm create a pool=p memory=-4M kernel=kernel", "error: a: memory: found \"-4M\"" },
	{ "vm create a pool=p memory=4M kernel=kernel initrd=none", "error: a: initrd: found no file \"none\"" },
	{ "vm create a pool=p memory=4M kernel=kernel autostart=maybe", "error: a: autostart: found \"maybe\", expected " },
	{ "vm create -a pool=p memory=4M kernel=kernel", "error: -a: expected a name of at most 31 letters" },
	{ "vm create a] pool=p memory=4M kernel=kernel", "error: a]: expected a name of at most 31 letters" },
	{ "vm create a pool=p memory=900M kernel=kernel", "error: a: " },
	{ "vm create v pool=p memory=4M kernel=kernel", "error: v: a VM of that name exists already" },
	{ "vm create a pool=p memory=4M kernel=text autostart=yes", "error: a: text: " },
	{ "vm set v", "error: vm set: usage" },
	{ "vm set nov on-crash=stop", "error: nov: there is no VM of that name" },
	{ "vm set v on-crash", "error: on-crash: found no \"=\", expected key=value" },
	{ "vm set v on-crash=x", "error: on-crash=x: on-crash: found \"x\", expected one of: stop, restart, destroy" },
	{ "vm set v on-crash=destroy memory=2M", "error: memory=2M: cannot change in a VM that exists" },
	{ "vm set v on-crash=stop on-crash=restart", "error: on-crash=restart: found its key again, expected it once" },
	{ "vm set v pool=p", "error: pool=p: use `vm migrate v POOL`" },
	{ "vm set v affinity=0", "error: affinity=0: use `vcpu pin v N HARD SOFT`" },
	{ "vm set v budget=1ms", "error: budget=1ms: scheduler rr of pool p does not have it" },
	{ "vm set v timeslice=1ms", "error: timeslice=1ms: belongs to the pool: use `pool set p`" },
	{ "vm set v nokey=1", "error: nokey=1: unknown key \"nokey\", expected one of: on-poweroff, on-reboot, on-crash" },
	{ "vm migrate v", "error: vm migrate: usage" },
	{ "vm migrate nov p", "error: nov: there is no VM of that name" },
	{ "vm migrate v nop", "error: nop: there is no pool of that name" },
	{ "vm migrate v p", "error: v: it is in pool p already" },
	{ "vm migrate v p --memory", "error: --memory: not built yet" },
	{ "vm migrate v empty", "error: v: pool empty has no cpu" },
	{ "vcpu pin v 0", "error: vcpu pin: usage" },
	{ "vcpu pin v 1 0", "error: 1: expected the number of a vCPU, 0 to 0" },
	{ "vcpu pin v 0 9", "error: 9: column 1: " },
	{ "vcpu pin v 0 free", "error: free: names no cpu" },
	{ "stats nov", "error: nov: there is no VM and no pool of that name" },
	{ "file list x", "error: file list: usage: file list [-j]" },
};

TEST(refused, "what cannot be made or changed is refused with key, found and expected, and changes nothing")
{
	struct pool *empty;
	struct vm_config c;
	struct vm *vm;
	uint64_t pages;
	long blocks;

	MAKE(1, spin);
	CHECK_EQ(pool_create("empty", sched_policy_find("rr"), NULL, 0, &empty, &fixture_why), ERR_OK);
	c = fixture_config("v");
	vm = fixture_start(&c);
	pages = mem.node[0].free_pages;
	blocks = fake.heap_blocks;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *said = says(bad[i].line);

		if (strstr(said, bad[i].answer) == NULL) {
			fprintf(stderr, "%s said: %s", bad[i].line, said);
		}
		CHECK(strstr(said, bad[i].answer) != NULL);
		CHECK_EQ(vm_count(), 1);
		CHECK_EQ(mem.node[0].free_pages, pages);
		CHECK_EQ(fake.heap_blocks, blocks);
	}
	CHECK(vm->config.on_crash == MANIFEST_STOP && vm->pool == pool_at(0) && vm->state == VM_RUNNING);
	CHECK_EQ(pool_destroy(empty, &fixture_why), ERR_OK);
	fixture_end();
}

TEST(no_memory, "vm create says so when there is no memory for any of its parts, and keeps nothing")
{
	bool made = false;

	MAKE(1, spin);
	for (long n = 1; n < 64 && !made; n++) {
		fake.heap_fail_in = n;
		made = strcmp(says("vm create a pool=p memory=2M kernel=kernel"), "ok\r\n") == 0;
		fake.heap_fail_in = 0;
		if (!made) {
			CHECK(fixture_says("error: a: no memory") || fixture_says("error: a: its pool's nodes have 0 MiB"));
			fixture_check_empty();
		}
	}
	CHECK(made);
	fixture_end();
}

TEST(set, "vm set changes what may change, also while the VM runs")
{
	struct vm_config c;
	struct vm *vm;

	MAKE(1, spin);
	c = fixture_config("v");
	vm = fixture_start(&c);
	CHECK_STR(says("vm set v on-crash=restart on-poweroff=destroy on-reboot=stop"), "ok\r\n");
	CHECK(vm->config.on_crash == MANIFEST_RESTART && vm->config.on_poweroff == MANIFEST_DESTROY &&
	      vm->config.on_reboot == MANIFEST_STOP);
	CHECK(strstr(says("vm show v"), "on-poweroff destroy, on-reboot stop, on-crash restart\r\n") != NULL);
	fixture_end();
}

TEST(migrate, "a running VM moves to another pool and goes on there; its memory stays")
{
	struct vm_config c;
	struct pool *q;
	struct vm *vm;
	unsigned runs;

	MAKE(2, spin);
	CHECK_EQ(pool_create("q", sched_policy_find("null"), NULL, 0, &q, &fixture_why), ERR_OK);
	CHECK_EQ(pool_move_cpu(pool_find("p"), q, 1, &fixture_why), ERR_OK);
	c = fixture_config("v");
	vm = fixture_start(&c);
	fixture_run(4);
	CHECK_EQ(fixture_guest(vm)->on_cpu, 0);
	runs = fixture_guest(vm)->runs;
	CHECK_STR(says("vm migrate v q"), "ok\r\n");
	fixture_run(4);
	CHECK_EQ(fixture_guest(vm)->on_cpu, 1);
	CHECK(fixture_guest(vm)->runs > runs);
	CHECK(vm->pool == q && q->group_count == 1 && pool_find("p")->group_count == 0);
	CHECK_EQ(vm->node, 0);
	CHECK(pool_check(q, &fixture_why));
	CHECK(strstr(says("vm list"), "q  ") != NULL);
	CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
	CHECK_STR(says("cpupool-migrate v p"), "ok\r\n");
	CHECK_STR(says("vm start v"), "ok\r\n");
	fixture_run(4);
	CHECK_EQ(fixture_guest(vm)->on_cpu, 0);
	CHECK_EQ(pool_destroy(q, &fixture_why), ERR_OK);
	CHECK_EQ(pool_add_cpu(pool_find("p"), 1, &fixture_why), ERR_OK);
	fixture_end();
}

TEST(values, "vm show has a VM's scheduler values; what another pool's scheduler does not take is said by vm migrate")
{
	struct pool *c, *s;
	struct vm_config config;

	MAKE(3, spin);
	CHECK_EQ(pool_create("c", sched_policy_find("credit2"), NULL, 0, &c, &fixture_why), ERR_OK);
	CHECK_EQ(pool_create("s", sched_policy_find("sedf"), NULL, 0, &s, &fixture_why), ERR_OK);
	CHECK_EQ(pool_move_cpu(pool_find("p"), c, 1, &fixture_why), ERR_OK);
	CHECK_EQ(pool_move_cpu(pool_find("p"), s, 2, &fixture_why), ERR_OK);
	config = fixture_config("v");
	(void)fixture_start(&config);
	CHECK_STR(says("vm migrate v c"), "ok\r\n");
	CHECK_STR(says("vm set v weight=512 cap=50"), "ok\r\n");
	CHECK(strstr(says("vm show v"), "\n  scheduler credit2, weight 512, cap 50%\r\n") != NULL);
	CHECK(strstr(says("vm set v latency-nice=3"), "error: latency-nice=3: scheduler credit2 of pool c does not have it\r\n") != NULL);
	CHECK_STR(says("vm migrate v s"), "warning: cap 50% is lost: scheduler sedf does not have it\r\nok\r\n");
	CHECK(strstr(says("vm show v"), "affinity all, soft-affinity all, period 100ms, slice 0ns, extratime yes, latency 0ns, weight 512\r\n")
	      != NULL);
	CHECK_STR(says("vm migrate v p"), "warning: weight 512 is lost: scheduler rr does not have it\r\nok\r\n");
	CHECK(strstr(says("vm show v"), "\n  scheduler rr\r\n") != NULL);
	CHECK_EQ(pool_destroy(c, &fixture_why), ERR_OK);
	CHECK_EQ(pool_destroy(s, &fixture_why), ERR_OK);
	CHECK_EQ(pool_add_cpu(pool_find("p"), 1, &fixture_why), ERR_OK);
	CHECK_EQ(pool_add_cpu(pool_find("p"), 2, &fixture_why), ERR_OK);
	fixture_end();
}

TEST(pin, "vcpu pin names the cpus a vCPU may run on, and it goes there")
{
	struct vm_config c;
	struct vm *vm;

	MAKE(3, spin);
	c = fixture_config("v");
	vm = fixture_start(&c);
	CHECK_STR(says("vcpu pin v 0 2 1-2"), "warning: soft-affinity: scheduler rr does not honour it\r\nok\r\n");
	CHECK(strstr(says("vm show v"), "\n    affinity 2, soft-affinity 1-2\r\n") != NULL);
	fixture_run(4);
	CHECK_EQ(fixture_guest(vm)->on_cpu, 2);
	CHECK_EQ(cpuset_count(&vm->vcpu[0]->entity.hard), 1);
	CHECK_EQ(cpuset_count(&vm->vcpu[0]->entity.soft), 2);
	fixture_end();
}

TEST(times, "run, wait and blocked time add up to the time since the start, and a pause is in none of them")
{
	struct vm_config c;
	struct vm *vm;
	struct pool_entity_times t;
	uint64_t start, paused;

	MAKE(1, busy_halt);
	c = fixture_config("v");
	vm = fixture_start(&c);
	start = vm->start_ns;
	fixture_run(4);
	fake.now_ns += 50 * NS_PER_MS;
	t = pool_entity_times(&vm->vcpu[0]->entity);
	CHECK_EQ(t.run_ns, 3 * NS_PER_MS);
	CHECK(t.blocked_ns >= 50 * NS_PER_MS);
	CHECK_EQ(t.run_ns + t.wait_ns + t.blocked_ns, fake.now_ns - start);
	CHECK_EQ(vm_pause(vm, &fixture_why), ERR_OK);
	paused = fake.now_ns;
	fake.now_ns += 70 * NS_PER_MS;
	CHECK_EQ(pool_entity_times(&vm->vcpu[0]->entity).blocked_ns, t.blocked_ns);
	CHECK_EQ(vm_resume(vm, &fixture_why), ERR_OK);
	fake.now_ns += 5 * NS_PER_MS;
	t = pool_entity_times(&vm->vcpu[0]->entity);
	CHECK_EQ(t.run_ns + t.wait_ns + t.blocked_ns, fake.now_ns - start - 70 * NS_PER_MS);
	CHECK(paused < fake.now_ns);
	fixture_end();
}

TEST(stats, "stats shows where time went, exits by kind and interrupts, of all or of one, and as JSON")
{
	struct vm_config c;
	struct vm *vm;

	MAKE(2, busy_halt);
	c = fixture_config("web");
	vm = fixture_start(&c);
	fixture_run(4);
	vm->vcpu[0]->injected = 42;
	fake_serial_forget();
	(void)shell_run("stats");
	CHECK(fixture_says("pool                    busy ms"));
	CHECK(fixture_says("web                           3"));
	CHECK(!fixture_says("exits: "));
	fake_serial_forget();
	(void)shell_run("stats web");
	CHECK(fixture_says("  exits: cpuid                             1\r\n"));
	CHECK(fixture_says("  exits: hlt                               1\r\n"));
	CHECK(!fixture_says("busy ms"));
	fake_serial_forget();
	(void)shell_run("stats p");
	CHECK(fixture_says("  cpu 1   "));
	CHECK(fixture_says("web                           3"));
	CHECK(!fixture_says("exits: "));
	fake_serial_forget();
	(void)shell_run("pool create empty sched=rr");
	(void)shell_run("stats empty");
	CHECK(!fixture_says("web"));
	(void)shell_run("pool destroy empty");
	fake_serial_forget();
	(void)shell_run("stats web -j");
	CHECK(fixture_says("\"run_ns\":3000000,"));
	CHECK(fixture_says("\"interrupts\":42,\"eoi_exits\":0,\"exits\":{\"cpuid\":1,\"hlt\":1"));
	CHECK(fixture_says("\"pools\":[]"));
	fixture_end();
}

TEST(files, "file list shows every file that was read at boot with its size")
{
	MAKE(1, spin);
	CHECK_STR(says("file list"), "file                                    bytes\r\n"
		  "kernel                                   1280  1.2K\r\n"
		  "text                                       10  10B\r\nok\r\n");
	CHECK(strstr(says("file list -j"), "{\"file\":\"text\",\"bytes\":10}") != NULL);
	fixture_end();
}

TEST(names, "names of pools, VMs and files can be asked for one by one, for completion")
{
	struct vm_config c;

	MAKE(1, spin);
	c = fixture_config("v");
	(void)fixture_start(&c);
	CHECK_STR(pool_name_at(0), "p");
	CHECK(pool_name_at(1) == NULL);
	CHECK_STR(vm_name_at(0), "v");
	CHECK(vm_name_at(1) == NULL);
	CHECK_STR(machine_file_name_at(1), "text");
	CHECK(machine_file_name_at(2) == NULL);
	fixture_end();
}
