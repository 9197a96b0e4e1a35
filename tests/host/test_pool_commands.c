/* SPDX-License-Identifier: BSD-2-Clause */
/* The shell commands of pools and schedulers, from the typed line to what is printed. */
#include "tests/host/test.h"

#include <stdio.h>

#include "kernel/console.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "pool/pool_internal.h"
#include "pool/pool_manifest.h"
#include "tests/fake/guest.h"
#include "tests/fake/machine.h"
#include "tests/fake/serial.h"

static void reset(void)
{
	fake_machine_init(6);
	fake_guest_init();
	fake_serial_reset();
	console_set_polled(true);
	console_set_plain(true);
	con_write("\n", 1);
	console_flush();
	shell_init();
	pool_set_default(sched_policy_find("credit2"));
}

static void end(void)
{
	struct sched_reason why;

	while (pool_at(0) != NULL) {
		CHECK_EQ(pool_destroy(pool_at(0), &why), ERR_OK);
	}
	CHECK_EQ(fake.heap_blocks, 0);
	fake_machine_fini();
}

/* Runs a line; what it printed, with plain line ends. */
static const char *says(const char *line)
{
	static char buf[16384];
	size_t n = 0;

	fake_serial_forget();
	shell_run(line);
	console_flush();
	for (const char *c = fake_serial.sent; *c != '\0' && n + 1 < sizeof(buf); c++) {
		if (*c != '\r') {
			buf[n++] = *c;
		}
	}
	buf[n] = '\0';
	return buf;
}

TEST(list, "pool list shows pools in the order they were made, with -c their cpus as ranges")
{
	reset();
	CHECK_STR(says("pool create a cpus=0-2,5"), "ok\n");
	CHECK_STR(says("pool create b sched=null"), "ok\n");
	CHECK_STR(says("pool list"),
		  "Name                  CPUs  Sched       VMs\n"
		  "a                        4  credit2       0\n"
		  "b                        0  null          0\n"
		  "ok\n");
	CHECK(strstr(says("cpupool-list -c"), "credit2       0  0-2,5\n") != NULL);
	CHECK(strstr(says("pool list b"), "a  ") == NULL);
	CHECK(strstr(says("pool list -j"),
		     "{\"name\":\"a\",\"cpus\":4,\"cpu_list\":\"0-2,5\",\"sched\":\"credit2\",\"failed\":\"\",\"vms\":0,\"vcpus\":0}") !=
	      NULL);
	end();
}

TEST(failed, "pool list and pool show tell that a pool fell back to rr: from what, when and why")
{
	struct fake_vm vm;
	struct pool *p;

	reset();
	says("pool create a sched=credit cpus=1-2");
	p = pool_find("a");
	fake_vm_init(&vm, "web", 2);
	fake_vm_start(&vm, p);
	fake.now_ns = 12345678 * NS_PER_US;
	pool_condemn(p, POOL_OP_check, NULL, "I have lost count");
	pool_fall_all();
	CHECK(strstr(says("pool list -c"), "a                        2  rr            1  1-2  (credit failed)\n") != NULL);
	CHECK(strstr(says("pool list -j"), "\"sched\":\"rr\",\"failed\":\"credit\",") != NULL);
	CHECK(strstr(says("pool show a"), "sched        rr\n"
		     "failed       [  12.345678] scheduler credit failed: check on cpu 0: I have lost count; rr takes over\n") != NULL);
	CHECK(strstr(says("pool show a -j"), "\"failed\":\"[  12.345678] scheduler credit failed: ") != NULL);
	pool_condemn(p, POOL_OP_check, NULL, "me too");
	CHECK(strstr(says("pool show a"), "(a failed") == NULL);	/* what it says before the housekeeping is of no matter */
	pool_fall_all();
	CHECK(strstr(says("pool show a"), "scheduler rr failed: check on cpu 0: me too; its VMs are held\n") != NULL);
	CHECK(strstr(says("pool numa-split"), "error: ") != NULL);
	pool_group_remove(&vm.g);
	end();
}

TEST(admission, "pool create and pool set take admission: what does not fit is refused, or let in and logged")
{
	struct fake_vm vm[2];
	struct sched_entity *e[2];
	struct sched_reason why;

	reset();
	CHECK_STR(says("pool create a sched=null cpus=1 admission=maybe"),
		  "error: admission=maybe: found \"maybe\", expected refuse or warn\n");
	CHECK_STR(says("pool create a sched=null cpus=1 admission=warn"), "ok\n");
	CHECK(strstr(says("pool show a"), "admission    warn\n") != NULL);
	CHECK_STR(says("pool set a admission=refuse"), "ok\n");
	CHECK(strstr(says("pool show a -j"), "\"admission\":\"refuse\"") != NULL);
	for (unsigned i = 0; i < 2; i++) {
		fake_vm_init(&vm[i], i == 0 ? "x" : "y", 1);
		e[i] = &vm[i].v[0].e;
	}
	CHECK_EQ(pool_group_add(pool_find("a"), &vm[0].g, &e[0], 1, &why), ERR_OK);
	CHECK_EQ(pool_group_add(pool_find("a"), &vm[1].g, &e[1], 1, &why), ERR_ADMISSION);
	CHECK(strstr(says("pool set a admission=warn timeslice=1ms"), "error: ") != NULL);
	CHECK_EQ(pool_group_add(pool_find("a"), &vm[1].g, &e[1], 1, &why), ERR_ADMISSION);
	CHECK_STR(says("pool set a admission=warn"), "ok\n");
	fake_serial_forget();
	CHECK_EQ(pool_group_add(pool_find("a"), &vm[1].g, &e[1], 1, &why), ERR_OK);
	console_flush();
	CHECK(strstr(fake_serial.sent, "pool a: y, although null gives each vCPU a cpu") != NULL);
	pool_group_remove(&vm[0].g);
	pool_group_remove(&vm[1].g);
	end();
}

TEST(table, "windows are given with a pool, replaced as a whole, refused with the arithmetic, and shown; no table is leaked")
{
	struct fake_vm vm;

	reset();
	CHECK_STR(says("pool create t sched=arinc653 cpus=1-2 frame=20ms window=\"1 a.0 15ms; 2 a.0 5ms\""),
		  "error: t: a.0 has slots 1 and 2 at once, from 0 us of the frame on\n");
	CHECK_STR(says("pool create t sched=arinc653 cpus=1-2 frame=20ms window=\"1 a.0 15ms\" window=2,idle,1ms window=2,b.1,2ms"),
		  "ok\n");
	CHECK(strstr(says("pool show t"), "frame        20ms\nwindow       1 a.0 15ms\nwindow       2 idle 1ms\nwindow       2 b.1 2ms\n") != NULL);
	CHECK(strstr(says("pool show t -j"), "\"frame\":\"20ms\",\"window\":[\"1 a.0 15ms\",\"2 idle 1ms\",\"2 b.1 2ms\"]") != NULL);
	CHECK_STR(says("pool set t frame=10ms"), "error: t: slot 1: its windows up to that of a.0 last 15000 us, the frame 10000 us\n");
	CHECK_STR(says("pool set t window=3,a.0,1ms"), "error: t: cpu 3 has a window, but is not in pool t\n");
	for (unsigned i = 0; i < 3; i++) {
		CHECK_STR(says("pool set t frame=10ms window=1,a.0,9ms"), "ok\n");
		fake.now_ns += 4 * NS_PER_MS;
		fake_run_all();
	}
	CHECK(strstr(says("pool show t"), "frame        10ms\nwindow       1 a.0 9ms\nVMs") != NULL);
	CHECK(strstr(says("sched dump t"), "1 a.0 9ms (not there)") != NULL);
	fake_vm_init(&vm, "a", 1);
	fake_vm_start(&vm, pool_find("t"));
	CHECK_STR(says("pool set t window=1,b.0,9ms"), "warning: window: none is for a.0\nok\n");
	fake.now_ns += 10 * NS_PER_MS;
	fake_run_all();
	CHECK(strstr(says("sched dump t"), "frame 10ms, over ") != NULL);
	CHECK(strstr(says("sched dump t"), "parked: a.0, outside its windows, for ever\n") != NULL);
	pool_group_remove(&vm.g);
	CHECK_STR(says("pool create u sched=rr window=1,a.0,9ms"),
		  "error: window=1,a.0,9ms: scheduler rr does not have it\n");
	end();
}

TEST(create, "pool create makes the whole pool or nothing, and says what was wrong")
{
	reset();
	CHECK_STR(says("pool create a sched=rr cpus=0-1 timeslice=5ms"), "ok\n");
	CHECK(strstr(says("pool show a"), "timeslice    5ms\n") != NULL);
	CHECK_STR(says("pool create b cpus=3,1"), "error: b: cpu 1 is in pool a\n");
	CHECK_STR(says("pool create b sched=cfs"), "error: cfs: there is no scheduler of that name, see `sched list`\n");
	CHECK_STR(says("pool create b sched=rr timeslice=5s"),
		  "error: timeslice=5s: timeslice: found 5s, expected 100us to 1s\n");
	CHECK(strstr(says("pool create b sched=null timeslice=5ms"), "error: timeslice=5ms: scheduler null does not have it") != NULL);
	CHECK(strstr(says("pool create b sched=credit2 weight=5"), "error: weight=5: belongs to a VM: use `vm set`") != NULL);
	CHECK(strstr(says("pool create b sched=null colour"), "error: colour: null knows no such pool setting; expected key=") != NULL);
	CHECK(strstr(says("pool create b cpus=9"), "error: 9: column 1") != NULL);
	CHECK(strstr(says("pool create b cpus="), "error: \"\": column 1: found the end") != NULL);
	CHECK_STR(says("pool create b cpus=0-1,^0-1"), "error: 0-1,^0-1: names no cpu\n");
	CHECK_STR(says("pool create b sched=rr cpus=3 sched=null"), "error: sched=null: found its key again, expected it once\n");
	CHECK_STR(says("pool set a timeslice=5ms timeslice=6ms"), "error: timeslice=6ms: found its key again, expected it once\n");
	CHECK_STR(says("pool create b granularity=core"), "error: granularity=core: not built yet\n");
	CHECK_STR(says("pool set a cpus=1"), "error: cpus=1: a pool's cpus change by pool cpu-add and pool cpu-remove\n");
	CHECK_STR(says("pool set a sched=null"), "error: sched=null: a pool keeps its scheduler\n");
	CHECK_STR(says("pool list -x"), "error: pool list: usage: pool list [-c] [P] [-j]\n");
	CHECK_STR(says("pool create a"), "error: a: pool a exists already\n");
	CHECK_EQ(pool_count(), 1);
	CHECK(pool_of_cpu(3) == NULL);
	end();
}

TEST(times, "a time is read back as it is shown, with decimals, and 0 needs no unit")
{
	reset();
	CHECK_STR(says("pool create a sched=eevdf timeslice=1.5ms"), "ok\n");
	CHECK(strstr(says("pool show a"), "timeslice    1.500ms\n") != NULL);
	CHECK_STR(says("pool set a timeslice=2.500ms"), "ok\n");
	CHECK_STR(says("pool create b sched=credit2 ratelimit=0"), "ok\n");
	CHECK_STR(says("pool set a timeslice=0"), "error: timeslice=0: timeslice: found 0ns, expected 100us to 100ms\n");
	CHECK_STR(says("pool set a timeslice=-1ms"),
		  "error: timeslice=-1ms: timeslice: found \"-1ms\", expected a time such as 500us, 10ms or 1s\n");
	end();
}

TEST(default_sched, "pool create without sched takes the manifest's default-sched, as a pool of the manifest does")
{
	static struct manifest m;

	reset();
	m.boot.default_ops = sched_policy_find("rr");
	pool_manifest_build(&m);
	CHECK_STR(says("pool create a cpus=1 timeslice=7ms"), "ok\n");
	CHECK_STR(says("pool create b sched=null"), "ok\n");
	CHECK(strstr(says("pool list"), "a                        1  rr ") != NULL);
	CHECK(strstr(says("pool list"), "b                        0  null ") != NULL);
	end();
}

TEST(cpus, "cpu-add and cpu-remove move all of a set or none")
{
	reset();
	says("pool create a cpus=0-1");
	says("pool create b");
	CHECK_STR(says("pool cpu-add b 2-3"), "ok\n");
	CHECK_STR(says("pool cpu-add b 4,1"), "error: b: cpu 1 is in pool a\n");
	CHECK(pool_of_cpu(4) == NULL);
	CHECK_STR(says("pool cpu-remove b 2-4"), "error: b: cpu 4 is not in pool b\n");
	CHECK(pool_of_cpu(2) == pool_find("b") && pool_of_cpu(3) == pool_find("b"));
	CHECK_STR(says("pool cpu-remove b all,^0,^1,^4,^5"), "ok\n");
	CHECK_STR(says("pool cpu-add b free"), "ok\n");
	CHECK_EQ(cpuset_count(&pool_find("b")->cpus), 4);
	CHECK(strstr(says("pool cpu-add c 1"), "error: c: ") != NULL);
	CHECK(strstr(says("pool cpu-add b"), "error: ") != NULL);
	end();
}

static const char *const capping[] = { "credit", "credit2", "eevdf" };

/* A busy VM with a cap of 25% in pool a, which has one cpu. Where the cap stands among the values. */
static unsigned start_capped(struct fake_vm *vm, const char *policy)
{
	char line[64];
	struct text t = text_make(line, sizeof(line));
	struct sched_reason why;
	unsigned cap;

	text_printf(&t, "pool create a sched=%s cpus=0 cap-period=100ms", policy);
	CHECK_STR(says(line), "ok\n");
	fake_vm_init(vm, "web", 1);
	fake_vm_defaults(vm, pool_find("a"));
	CHECK(sched_tunable_find(pool_find("a")->sched.ops, "cap", &cap) != NULL);
	vm->g.values.v[cap] = 25;
	CHECK_EQ(pool_group_add(pool_find("a"), &vm->g, vm->list, 1, &why), ERR_OK);
	pool_entity_start(vm->list[0]);
	return cap;
}

TEST(parked, "sched dump says who has work and may not run, why, and for how long yet, whatever the policy")
{
	for (unsigned i = 0; i < ARRAY_SIZE(capping); i++) {
		struct fake_vm vm;

		reset();
		start_capped(&vm, capping[i]);
		fake_guest_run(20 * NS_PER_MS, NS_PER_MS);
		CHECK(strstr(says("sched dump a"), "parked") == NULL);
		fake_guest_run(20 * NS_PER_MS, NS_PER_MS);
		CHECK(strstr(says("sched dump a"), "parked: web.0, its cap is reached, for 60ms\nok\n") != NULL);
		fake_guest_run(200 * NS_PER_MS, NS_PER_MS);
		CHECK_EQ(pool_entity_times(vm.list[0]).parked_ns, 165 * NS_PER_MS);
		CHECK_EQ(pool_entity_times(vm.list[0]).wait_ns, 0);
		pool_group_remove(&vm.g);
		end();
	}
}

TEST(cap_again, "what ran while a cap was lifted is not held against it when the same cap is set again")
{
	for (unsigned i = 0; i < ARRAY_SIZE(capping); i++) {
		struct fake_vm vm;
		struct sched_values values;
		struct sched_reason why;
		unsigned cap;
		uint64_t used_ns;

		reset();
		cap = start_capped(&vm, capping[i]);
		fake_guest_run(200 * NS_PER_MS, NS_PER_MS);
		values = vm.g.values;
		values.v[cap] = 0;
		CHECK_EQ(pool_group_tune(&vm.g, &values, &why), ERR_OK);
		fake_guest_run(NS_PER_S, NS_PER_MS);
		values.v[cap] = 25;
		CHECK_EQ(pool_group_tune(&vm.g, &values, &why), ERR_OK);
		used_ns = vm.v[0].e.used_ns;
		fake_guest_run(400 * NS_PER_MS, NS_PER_MS);
		CHECK_EQ((vm.v[0].e.used_ns - used_ns) / (2 * NS_PER_MS), 50);	/* a step of the fake cpu more or less */
		pool_group_remove(&vm.g);
		end();
	}
}

TEST(change, "pools are renamed, set and destroyed by name; a pool with VMs stays")
{
	struct fake_vm vm;

	reset();
	says("pool create a sched=rr cpus=0-1");
	CHECK_STR(says("pool rename a z"), "ok\n");
	CHECK_STR(says("pool set z timeslice=1ms"), "ok\n");
	CHECK_EQ(pool_find("z")->sched.values.v[0], NS_PER_MS);
	CHECK(strstr(says("pool set z weight=1"), "error: ") != NULL);
	fake_vm_init(&vm, "web", 3);
	fake_vm_start(&vm, pool_find("z"));
	CHECK_STR(says("pool destroy z"), "error: z: 1 VM is in it\n");
	fake_guest_run(10 * NS_PER_MS, NS_PER_MS);
	CHECK(strstr(says("pool show z -j"), "\"vms\":[\"web\"]") != NULL);
	CHECK(strstr(says("sched dump z"), "slot 0: web.") != NULL);
	pool_group_remove(&vm.g);
	CHECK_STR(says("pool destroy z"), "ok\n");
	CHECK_EQ(pool_count(), 0);
	CHECK(strstr(says("sched dump z"), "error: z: ") != NULL);
	end();
}

TEST(numa_split, "pool numa-split makes a pool like the first of each other node's cpus, or nothing")
{
	unsigned tries;

	reset();
	says("pool create a sched=rr cpus=all timeslice=7ms");
	says("pool create node1");
	CHECK_STR(says("pool numa-split"), "error: node1: pool node1 exists already\n");
	CHECK(cpuset_count(&pool_find("a")->cpus) == 6 && pool_count() == 2);
	says("pool destroy node1");
	for (tries = 1;; tries++) {
		fake.heap_fail_in = tries;
		if (strcmp(says("pool numa-split"), "ok\n") == 0) {
			break;
		}
		CHECK(pool_count() == 1 && cpuset_count(&pool_find("a")->cpus) == 6);
	}
	CHECK(tries > 5);
	fake.heap_fail_in = 0;
	CHECK_STR(says("pool list -c"), "Name                  CPUs  Sched       VMs  CPU list\n"
		  "a                        4  rr            0  0-3\n"
		  "node1                    2  rr            0  4-5\nok\n");
	CHECK(pool_find("node1")->node == 1 && pool_find("node1")->sched.values.v[0] == 7 * NS_PER_MS);
	CHECK_STR(says("pool numa-split"), "error: a: found cpus of no other node than 0 in it\n");
	CHECK_STR(says("pool numa-split x"), "error: pool numa-split: usage: pool numa-split\n");
	says("pool destroy a");
	says("pool destroy node1");
	CHECK_STR(says("pool numa-split"), "error: pool numa-split: there is no pool\n");
	end();
}

TEST(scheds, "sched list shows every policy with its settings, defaults and ranges")
{
	reset();
	CHECK(strstr(says("sched list"), "timeslice      pool   time   default 10ms, 100us to 1s, live: ") != NULL);
	CHECK(strstr(says("sched list"), "runqueue       pool   word   default llc, of cpu|core|llc|node|all: which ") != NULL);
	CHECK(strstr(says("sched list"), "\n    honours affinity, soft-affinity\nrr ") != NULL);
	CHECK(strstr(says("sched list"), "each period; 0: extra time only (or budget)\n") != NULL);
	CHECK(strstr(says("sched list -j"), "{\"name\":\"null\",\"summary\":") != NULL);
	CHECK(strstr(says("sched list -j"), "\"words\":[\"cpu\",\"core\",\"llc\",\"node\",\"all\"],\"live\":false,\"help\":\"which") != NULL);
	end();
}
