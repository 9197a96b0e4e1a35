/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs' lives over scripted guests: making, starting, ending, giving everything back. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"

#define MAKE(cpus, script)	fixture_make(cpus, script, ARRAY_SIZE(script))

SCRIPT(spin, { .kind = FAKE_SPIN });
SCRIPT(debug_exit, FAKE_OUT(0xf4, 4, 7));
SCRIPT(poweroff, FAKE_OUT(0x604, 2, 5u << 10 | 1u << 13));
SCRIPT(reset_port, FAKE_OUT(0xcf9, 1, 6));
SCRIPT(reset_kbd, FAKE_OUT(0x64, 1, 0xfe));
SCRIPT(triple, FAKE_SIMPLE(TRIPLE_FAULT));

TEST(rounds, "1,000 rounds of create, start, stop and destroy leave exactly the same memory free")
{
	struct vm_config c;

	MAKE(2, spin);
	c = fixture_config("v");
	for (unsigned i = 0; i < 1000; i++) {
		struct vm *vm = fixture_start(&c);

		CHECK(vm_any_running());
		if (i % 100 == 0) {
			fixture_run(2);
		}
		if (i % 3 == 0) {
			CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
			CHECK_EQ(vm->state, VM_STOPPED);
			CHECK_STR(vm->reason, "by command");
		} else if (i % 3 == 1) {
			CHECK_EQ(vm_pause(vm, &fixture_why), ERR_OK);
		}
		vm_destroy(vm);
		fixture_check_empty();
		fake_serial_forget();
	}
	fixture_end();
}

TEST(states, "each control operation is refused in a state that it does not fit, which is named")
{
	struct vm_config c;
	struct vm *vm;

	MAKE(1, spin);
	c = fixture_config("v");
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_OK);
	CHECK_EQ(vm->state, VM_STOPPED);
	CHECK_EQ(vm_stop(vm, &fixture_why), ERR_STATE);
	CHECK_STR(fixture_why.words, "it is stopped, expected running or paused");
	CHECK_EQ(vm_pause(vm, &fixture_why), ERR_STATE);
	CHECK_EQ(vm_resume(vm, &fixture_why), ERR_STATE);
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_STATE);
	CHECK_STR(fixture_why.words, "it is running, expected stopped or crashed");
	CHECK_EQ(vm_resume(vm, &fixture_why), ERR_STATE);
	CHECK_EQ(vm_pause(vm, &fixture_why), ERR_OK);
	CHECK(!vm_any_running());
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_STATE);
	CHECK_STR(fixture_why.words, "it is paused, expected stopped or crashed");
	fixture_run(3);
	CHECK_EQ(fixture_guest(vm)->runs, 0);
	CHECK_EQ(vm_resume(vm, &fixture_why), ERR_OK);
	fixture_run(3);
	CHECK(fixture_guest(vm)->runs > 0);
	CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
	fixture_run(1);
	CHECK_EQ(fixture_guest(vm)->resets, 2);
	fixture_end();
}

TEST(refused, "a VM that cannot be made is refused with the reason, and nothing stays behind")
{
	struct vm_config c;
	struct vm *vm;
	const struct virt_ops *was;

	MAKE(1, spin);
	c = fixture_config("v");
	c.vcpus = VM_VCPUS_MAX + 1;
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_LIMIT);
	CHECK(strstr(fixture_why.words, "vcpus: found ") != NULL);
	c.vcpus = 0;
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_LIMIT);
	c = fixture_config("v");
	c.memory_bytes = 0;
	CHECK(vm_create(&c, pool_at(0), &vm, &fixture_why) != ERR_OK);
	c.memory_bytes = FIXTURE_RAM + 1;
	CHECK(vm_create(&c, pool_at(0), &vm, &fixture_why) != ERR_OK);
	c.memory_bytes = 30 * MIB;
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_NOMEM);
	CHECK_STR(fixture_why.words, "its pool's nodes have 12 MiB of 30 MiB in free 2 MiB pages");
	cpuset_add(&c.affinity, 9);
	c.memory_bytes = FIXTURE_RAM;
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_INVAL);
	fixture_check_empty();
	was = virt;
	virt = NULL;
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_NOTSUP);
	CHECK_STR(fixture_why.words, "the fake vendor is off");
	virt = was;
	c = fixture_config("v");
	fixture_start(&c);
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_EXIST);
	CHECK_EQ(vm_count(), 1);
	fixture_end();
}

TEST(prefer, "strict memory stays on its node; prefer takes the rest from another, and gives each page back where it was")
{
	struct vm_config c;
	struct vm *vm;

	MAKE(1, spin);
	c = fixture_config("v");
	c.memory_bytes = 14 * MIB;
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_NOMEM);
	fixture_check_empty();
	c.memory_policy = MEM_PREFER;
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_OK);
	CHECK_EQ(mem_node_of(&mem, vm->mem.block[0]), 0);
	CHECK_EQ(mem_node_of(&mem, vm->mem.block[6]), 1);
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
	fixture_end();
}

TEST(heap_fails, "whichever allocation of a creation fails, nothing stays behind, and the next creation works")
{
	struct vm_config c;
	struct vm *vm;
	unsigned n = 1;

	MAKE(2, spin);
	c = fixture_config("v");
	c.vcpus = 3;
	for (;; n++) {
		enum err e;

		fake.heap_fail_in = n;
		fixture_why.words[0] = '\0';
		e = vm_create(&c, pool_at(0), &vm, &fixture_why);
		fake.heap_fail_in = 0;
		if (e == ERR_OK) {
			break;
		}
		CHECK_EQ(e, ERR_NOMEM);
		CHECK(fixture_why.words[0] != '\0');
		fixture_check_empty();
	}
	CHECK(n > 6);
	vm_destroy(vm);
	fixture_check_empty();
	fixture_end();
}

TEST(pages_fail, "with any number of pages left, a creation works or gives all of them back")
{
	static hpa_t held[FIXTURE_CHUNKS * LARGE_PAGES];
	struct vm_config c;
	struct vm *vm;
	unsigned count = 0, made = 0;
	uint64_t whole;

	MAKE(1, spin);
	c = fixture_config("v");
	c.memory_bytes = 128 * KIB;
	whole = fixture_free_pages;
	while (!hpa_is_none(held[count] = mem_alloc(&mem, 0, 1, MEM_STRICT))) {
		count++;
	}
	/* 32 pages of RAM, two of tables, one of the vCPU: given back one by one. */
	for (unsigned left = 0; left < 80; left++) {
		enum err e;

		fixture_free_pages = left;
		e = vm_create(&c, pool_at(0), &vm, &fixture_why);
		if (e == ERR_OK) {
			made++;
			vm_destroy(vm);
		} else {
			CHECK_EQ(e, ERR_NOMEM);
		}
		fixture_check_empty();
		mem_free(&mem, held[--count], 1);
	}
	CHECK(made > 10 && made < 80 - 34);
	while (count > 0) {
		mem_free(&mem, held[--count], 1);
	}
	fixture_free_pages = whole;
	fixture_end();
}

static void check_ending(const struct fake_step *script, unsigned count, enum vm_state state, const char *reason)
{
	struct vm_config c;
	struct vm *vm;

	fixture_make(2, script, count);
	c = fixture_config("v");
	c.on_reboot = MANIFEST_STOP;
	vm = fixture_start(&c);
	fixture_run(4);
	CHECK_EQ(vm->state, state);
	CHECK_STR(vm->reason, reason);
	CHECK(fixture_says("vm v: "));
	CHECK(!vm_any_running());
	CHECK(!vm->vcpu[0]->entity.on_slot && !vm->vcpu[0]->entity.runnable);
	/* And once more. */
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
	CHECK_STR(vm->reason, "");
	fixture_run(4);
	CHECK_EQ(vm->state, state);
	CHECK_EQ(fixture_guest(vm)->resets, 2);
	fixture_end();
}

#define ENDING(script, state, reason)	check_ending(script, ARRAY_SIZE(script), state, reason)

TEST(endings, "power-off, reset, debug exit and triple fault end a VM with their state and reason")
{
	ENDING(debug_exit, VM_STOPPED, "the guest exited with code 7");
	ENDING(poweroff, VM_STOPPED, "the guest powered off");
	ENDING(reset_port, VM_STOPPED, "the guest reset itself");
	ENDING(reset_kbd, VM_STOPPED, "the guest reset itself");
	ENDING(triple, VM_CRASHED, "triple fault");
}

TEST(crashes, "an exit that has no meaning crashes the VM with its registers on the log")
{
	SCRIPT(nowhere, { .exit = VIRT_EXIT_MMIO, .info = { .gpa = { 0xd0000000 }, .write = true } });
	SCRIPT(fetch, { .exit = VIRT_EXIT_MMIO, .info = { .gpa = { 0xfee00000 }, .fetch = true } });
	SCRIPT(delivery, { .exit = VIRT_EXIT_MMIO, .info = { .gpa = { 0xfee00000 }, .in_delivery = true } });
	SCRIPT(entry, { .exit = VIRT_EXIT_ENTRY_FAILED, .info = { .reason = 0x80000021, .qualification = 4 } });
	SCRIPT(other, { .exit = VIRT_EXIT_OTHER, .info = { .reason = 49 } });
	SCRIPT(machine_check, { .exit = VIRT_EXIT_EXCEPTION, .info = { .vector = 18 } });

	ENDING(nowhere, VM_CRASHED, "write at guest-physical 0xd0000000, where it has neither memory nor a device");
	ENDING(fetch, VM_CRASHED, "instruction fetch at guest-physical 0xfee00000, where it has neither memory nor a device");
	ENDING(delivery, VM_CRASHED, "read at guest-physical 0xfee00000, where it has neither memory nor a device");
	ENDING(entry, VM_CRASHED, "the cpu refused to enter the guest (reason 0x80000021, qualification 0x4)");
	ENDING(other, VM_CRASHED, "unexpected exit, reason 0x31, qualification 0x0");
	ENDING(machine_check, VM_CRASHED, "exception 18");
	CHECK(fixture_says("] vm v: vCPU 0: exception 18\r\n"));
	CHECK(fixture_says("] vm v: fake step 0\r\n"));
	CHECK(fixture_says("] vm v: fake rax 0\r\n"));
}

TEST(first_counts, "of two endings the first counts, with its own words")
{
	struct vm_config c;
	struct vm *vm;

	MAKE(1, spin);
	c = fixture_config("v");
	vm = fixture_start(&c);
	vm_end(vm, VM_ENDING_EXIT, 3, "first %u", 1u);
	vm_end(vm, VM_ENDING_CRASH, 4, "second");
	fixture_run(2);
	CHECK_EQ(vm->state, VM_STOPPED);
	CHECK_STR(vm->reason, "first 1");
	CHECK_EQ(vm->exit_code, 3);
	fixture_end();
}

static struct vm *end_with(enum manifest_action action, unsigned cpus)
{
	struct vm_config c;
	struct vm *vm;

	MAKE(cpus, debug_exit);
	c = fixture_config("v");
	c.on_poweroff = action;
	vm = fixture_start(&c);
	fake_be_cpu(0);
	for (unsigned i = 0; i < 6; i++) {
		fixture_run(5);
		fake.now_ns += 2 * NS_PER_S;		/* a start that comes soon after the last waits */
	}
	return vm;
}

TEST(restart, "on-poweroff = restart starts the guest again each time it ends")
{
	for (unsigned cpus = 1; cpus <= 3; cpus++) {
		struct vm *vm = end_with(MANIFEST_RESTART, cpus);

		CHECK_EQ(vm_count(), 1);
		CHECK(fixture_guest(vm)->resets >= 3);
		CHECK(fixture_times("the guest exited with code 7") >= 2);
		fixture_end();
	}
}

TEST(restart_runs, "each start of a guest that restarts is one run of it: it says hello as often as it ends")
{
	SCRIPT(hello, FAKE_OUT(0x3f8, 1, 'h'), FAKE_OUT(0x3f8, 1, 'i'), FAKE_OUT(0x3f8, 1, '\n'), FAKE_OUT(0xf4, 4, 7));

	for (unsigned cpus = 1; cpus <= 3; cpus++) {
		struct vm_config c;
		struct vm *vm;

		MAKE(cpus, hello);
		c = fixture_config("v");
		c.on_poweroff = MANIFEST_RESTART;
		vm = fixture_start(&c);
		fake_be_cpu(0);
		for (unsigned i = 0; i < 6; i++) {
			fixture_run(5);
			fake.now_ns += 2 * NS_PER_S;
		}
		CHECK(fixture_times("[v] hi\r\n") >= 3);
		CHECK_EQ(fixture_times("[v] hi\r\n"), fixture_times("the guest exited with code 7"));
		CHECK_EQ(fixture_guest(vm)->resets, fixture_times("the guest exited with code 7"));
		fixture_end();
	}
}

TEST(flood_end, "a guest that ends with much output holds up the console no longer than one that goes on")
{
	struct vm_config c;
	struct vm *vm;
	size_t free_before;

	MAKE(1, spin);
	c = fixture_config("v");
	vm = fixture_start(&c);
	free_before = console_guest_room();
	for (unsigned i = 0; i < 60000; i++) {
		vconsole_put(vm->console, i % 10 == 9 ? '\n' : 'x');
	}
	CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
	CHECK(free_before > 0 && fixture_times("xxxxxxxxx") <= free_before / 10);
	fixture_run(200);
	CHECK_EQ(fixture_times("[v] xxxxxxxxx\r\n"), 6000);
	CHECK_EQ(vm->console->dropped, 0);
	vm_destroy(vm);
	fixture_end();
}

TEST(destroy, "on-poweroff = destroy gives everything back, wherever the guest ran")
{
	for (unsigned cpus = 1; cpus <= 3; cpus++) {
		end_with(MANIFEST_DESTROY, cpus);
		fixture_check_empty();
		fixture_end();
	}
}

TEST(last_words, "what a guest wrote before it ended is shown before the news of its end, also when it is destroyed")
{
	SCRIPT(words, FAKE_OUT(0x3f8, 1, 'b'), FAKE_OUT(0x3f8, 1, 'y'), FAKE_OUT(0x3f8, 1, 'e'), FAKE_OUT(0x3f8, 1, '\n'),
	       FAKE_OUT(0xf4, 1, 0));

	for (unsigned i = 0; i < 2; i++) {
		struct vm_config c;
		const char *bye, *news;

		MAKE(2, words);
		c = fixture_config("v");
		c.on_poweroff = i == 0 ? MANIFEST_STOP : MANIFEST_DESTROY;
		fixture_start(&c);
		fixture_run(5);
		bye = strstr(fixture_said(), "[v] bye\r\n");
		news = strstr(fixture_said(), "vm v: stopped: the guest exited with code 0");
		CHECK(bye != NULL && news != NULL && bye < news);
		fixture_end();
	}
}

TEST(many_words, "a destroyed VM's last output is shown, also when it is more than a round shows")
{
	struct vm_config c;
	struct vm *vm;

	MAKE(1, spin);
	c = fixture_config("v");
	vm = fixture_start(&c);
	for (unsigned i = 0; i < 20000; i++) {
		vconsole_put(vm->console, i % 10 == 9 ? '\n' : 'x');
	}
	vm_destroy(vm);
	CHECK_EQ(fixture_times("[v] xxxxxxxxx\r\n"), 2000);
	fixture_end();
}

static void ignore(void *ctx, uint8_t byte)
{
}

TEST(attached_words, "attached to a VM that ends, its last words come too: at the port's pace, or at once when it is destroyed")
{
	for (unsigned i = 0; i < 2; i++) {
		struct vm_config c;
		struct vm *vm;

		MAKE(1, spin);
		c = fixture_config("v");
		vm = fixture_start(&c);
		console_attach(ignore, vm);
		for (unsigned n = 0; n < 20000; n++) {
			vconsole_put(vm->console, n % 10 == 9 ? '\n' : 'x');
		}
		if (i == 0) {
			CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
			CHECK(fixture_times("xxxxxxxxx\n") < 2000);
			fixture_run(40);
			CHECK_EQ(fixture_times("xxxxxxxxx\n"), 2000);
			CHECK_EQ(vm->console->dropped, 0);
		}
		vm_destroy(vm);
		console_attach_end();
		CHECK_EQ(fixture_times("xxxxxxxxx\n"), 2000);
		fixture_end();
	}
}

TEST(crash_action, "on-crash and on-reboot have their own actions")
{
	struct vm_config c;

	MAKE(2, triple);
	c = fixture_config("v");
	c.on_crash = MANIFEST_DESTROY;
	fixture_start(&c);
	fixture_run(4);
	fixture_check_empty();
	fake_virt_script(reset_port, 1);
	fixture_start(&c);
	fixture_run(4);
	fake.now_ns += NS_PER_S;
	fixture_run(4);
	CHECK_EQ(vm_count(), 1);
	CHECK(fixture_guest(vm_at(0))->resets >= 2);
	fixture_end();
}

TEST(race_destroy, "a VM that ends by itself while a command stops or destroys it goes once")
{
	for (unsigned action = MANIFEST_STOP; action <= MANIFEST_DESTROY; action++) {
		for (unsigned what = 0; what < 4; what++) {
			struct vm_config c;
			struct vm *vm;

			MAKE(2, debug_exit);
			c = fixture_config("v");
			c.on_poweroff = action;
			cpuset_add(&c.affinity, 1);
			vm = fixture_start(&c);
			if (what % 2 == 0) {
				fake_run_cpu(1);	/* it has ended, and cpu 0 has not heard of it */
			}				/* else it ends while the command waits for cpu 1 */
			if (what < 2) {
				vm_destroy(vm);
			} else {
				CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
				CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
				CHECK_EQ(vm->state, VM_RUNNING);
				fake_virt_script(spin, 1);
				CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
				CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
				fixture_run(4);
				CHECK_EQ(vm->state, VM_RUNNING);	/* nobody ended this one */
			}
			fixture_run(3);
			CHECK_EQ(vm_count(), what < 2 ? 0 : 1);
			fixture_end();
		}
	}
}
