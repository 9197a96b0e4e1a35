/* SPDX-License-Identifier: BSD-2-Clause */
/* The vm and vcpu commands, the manifest's VMs, and an attached terminal. */
#include "tests/host/test.h"

#include "kernel/manifest.h"
#include "tests/host/vm_fixture.h"
#include "vm/vm_manifest.h"

#define MAKE(cpus, script)	fixture_make(cpus, script, ARRAY_SIZE(script))

SCRIPT(spin, { .kind = FAKE_SPIN });
/* The 8259's vectors from 0x20, COM1's interrupt on; halts, and answers each byte with itself. */
SCRIPT(echo, FAKE_OUT(0x20, 1, 0x11), FAKE_OUT(0x21, 1, 0x20), FAKE_OUT(0x21, 1, 4), FAKE_OUT(0x21, 1, 1), FAKE_OUT(0x21, 1, 0xef),
       FAKE_OUT(0x3f9, 1, 1), FAKE_OUT(0x3fc, 1, 0x0b), { .kind = FAKE_STI }, FAKE_HLT, FAKE_IN(0x3f8, 1), FAKE_OUT(0x3f8, 1, 'K'),
       FAKE_OUT(0x20, 1, 0x20), FAKE_HLT, FAKE_IN(0x3f8, 1), FAKE_OUT(0x3f8, 1, 'L'), FAKE_OUT(0x20, 1, 0x20), FAKE_HLT);

/* Runs a line; what it printed, with plain line ends. */
static const char *says(const char *line)
{
	static char buf[16384];
	size_t n = 0;

	console_set_plain(true);
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

static struct vm *make(const char *name)
{
	struct vm_config c = fixture_config(name);
	struct vm *vm = NULL;

	snprintf(c.cmdline, sizeof(c.cmdline), "quiet \"x\"");
	CHECK_EQ(vm_create(&c, pool_at(0), &vm, &fixture_why), ERR_OK);
	return vm;
}

TEST(life, "vm start, pause, resume, stop and destroy say ok, and what is wrong when it does not fit")
{
	MAKE(1, spin);
	make("a");
	CHECK_STR(says("vm stop a"), "error: a: it is stopped, expected running or paused\n");
	CHECK_STR(says("vm start a"), "ok\n");
	CHECK_STR(says("vm start a"), "error: a: it is running, expected stopped or crashed\n");
	CHECK_STR(says("vm resume a"), "error: a: it is running, expected paused\n");
	CHECK_STR(says("vm pause a"), "ok\n");
	CHECK_STR(says("vm pause a"), "error: a: it is paused, expected running\n");
	CHECK_STR(says("vm resume a"), "ok\n");
	CHECK(strstr(says("vm stop a"), "vm a: stopped: by command\nok\n") != NULL);
	CHECK_STR(says("vm destroy a"), "ok\n");
	CHECK_STR(says("vm destroy a"), "error: a: there is no VM of that name\n");
	fixture_end();
}

TEST(usage, "each command without its VM, with one too many or with an unknown one says so")
{
	static const char *const verbs[] = { "start", "pause", "resume", "stop", "destroy", "show", "console" };
	char line[64];

	MAKE(1, spin);
	make("a");
	for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++) {
		snprintf(line, sizeof(line), "vm %s", verbs[i]);
		CHECK(strncmp(says(line), "error: ", 7) == 0);
		snprintf(line, sizeof(line), "vm %s a b", verbs[i]);
		CHECK(strncmp(says(line), "error: ", 7) == 0);
		snprintf(line, sizeof(line), "vm %s nobody", verbs[i]);
		CHECK_STR(says(line), "error: nobody: there is no VM of that name\n");
	}
	CHECK(strncmp(says("vm list a"), "error: ", 7) == 0);
	CHECK(strncmp(says("vcpu list a"), "error: ", 7) == 0);
	CHECK_EQ(vm_count(), 1);
	fixture_end();
}

TEST(files, "a kernel that is not there or is none leaves the VM stopped and names the key and the file")
{
	struct vm *vm;

	MAKE(1, spin);
	vm = make("a");
	(void)snprintf(vm->config.kernel, VM_FILE_LEN, "gone");
	CHECK_STR(says("vm start a"), "error: a: kernel: there is no file \"gone\" (see the boot log for why it was left out)\n");
	(void)snprintf(vm->config.kernel, VM_FILE_LEN, "text");
	CHECK(strstr(says("vm start a"), "error: a: text: kernel: found a script, expected ") != NULL);
	(void)snprintf(vm->config.kernel, VM_FILE_LEN, "kernel");
	(void)snprintf(vm->config.initrd, VM_FILE_LEN, "none");
	CHECK(strstr(says("vm start a"), "initrd: there is no file \"none\"") != NULL);
	CHECK_EQ(vm->state, VM_STOPPED);
	vm->config.initrd[0] = '\0';
	CHECK_STR(says("vm start a"), "ok\n");
	fixture_end();
}

TEST(list, "vm list and vcpu list show each VM's pool, memory, state and why it stands, in text and JSON")
{
	MAKE(2, spin);
	make("alpha");
	make("b");
	CHECK_STR(says("vm list"),
		  "vm                pool          vcpus  memory    state     used         why\n"
		  "alpha             p                 1        6M  stopped          0 ms  \n"
		  "b                 p                 1        6M  stopped          0 ms  \n"
		  "ok\n");
	says("vm start alpha");
	fixture_run(3);
	fake_be_cpu(0);
	CHECK(strstr(says("vm list"), "6M  running ") != NULL);
	CHECK(strstr(says("vcpu list"), "alpha               0  ") != NULL);
	CHECK(strstr(says("vcpu list"), "b                   0  stopped     -") != NULL);
	says("vm stop alpha");
	CHECK(strstr(says("vm list -j"), "{\"vm\":\"alpha\",\"pool\":\"p\",\"vcpus\":1,\"memory_bytes\":6291456,\"state\":\"stopped\","
		     "\"reason\":\"by command\",\"exit_code\":0,") != NULL);
	CHECK(strstr(says("vcpu list -j"), "{\"vm\":\"b\",\"vcpu\":0,\"state\":\"stopped\",\"cpu\":-1,") != NULL);
	fixture_end();
}

TEST(show, "vm show tells memory, files, output and exits")
{
	struct vm *vm;
	const char *text;

	MAKE(1, echo);
	vm = make("a");
	says("vm start a");
	fixture_run(3);
	vconsole_put(vm->console, 'x');
	text = says("vm show a");
	CHECK(strncmp(text, "vm a: running\n", 14) == 0);
	CHECK(strstr(text, "pool p, node 0, memory 6M in 3 blocks, page tables 4 KiB\n") != NULL);
	CHECK(strstr(text, "kernel kernel, initrd (none)\n  cmdline quiet \"x\"\n") != NULL);
	CHECK(strstr(text, "console: 1 bytes written, 0 dropped; 0 typed bytes dropped; unknown MSRs: 0\n") != NULL);
	CHECK(strstr(text, "exits hlt                    1\n") != NULL);
	CHECK(strstr(text, "exits io                     7\n") != NULL);
	fixture_end();
}

TEST(no_virt, "without VT-x vm start says why before it says that there is no such VM")
{
	MAKE(1, spin);
	virt = NULL;
	CHECK_STR(says("vm start a"), "error: a: VMs cannot run on this machine: the fake vendor is off\n");
	CHECK_STR(says("vm stop a"), "error: a: there is no VM of that name\n");
	fixture_end();
}

static void type(const char *s)
{
	while (*s != '\0') {
		shell_input((uint8_t)*s++);
	}
}

TEST(console, "vm console joins terminal and guest both ways, until Ctrl-]")
{
	MAKE(2, echo);
	make("a");
	says("vm start a");
	fixture_run(3);
	shell_start();
	type("vm console a\rx");
	fixture_run(6);
	CHECK(console_attached_to(vm_find("a")));
	CHECK(fixture_says("attached to a; Ctrl-] leaves\r\n"));
	CHECK(fixture_says("K"));
	type("\x1d");
	fixture_run(3);
	CHECK(!console_attached());
	CHECK(fixture_says("ok\r\n"));
	fixture_end();
}

TEST(paused, "a byte typed to a paused guest is seen once it is resumed")
{
	struct vm *vm;

	MAKE(2, echo);
	vm = make("a");
	says("vm start a");
	fixture_run(3);
	CHECK(vm->vcpu[0]->halted);
	CHECK_STR(says("vm pause a"), "ok\n");
	shell_start();
	type("vm console a\rx\x1d");
	fixture_run(3);
	CHECK_EQ(fixture_guest(vm)->taken_count, 0);
	fake_be_cpu(0);
	CHECK_EQ(vm_resume(vm, &fixture_why), ERR_OK);
	fixture_run(4);
	CHECK_EQ(fixture_guest(vm)->taken_count, 1);
	CHECK_EQ(fixture_guest(vm)->taken[0].vector, 0x24);
	fixture_end();
}

TEST(attached_dies, "a VM that is destroyed while a terminal is attached to it gives the terminal back")
{
	SCRIPT(end, { .kind = FAKE_BUSY, .ns = 50 * NS_PER_MS }, FAKE_OUT(0xf4, 1, 0));
	struct vm *vm;

	MAKE(2, end);
	vm = make("a");
	vm->config.on_poweroff = MANIFEST_DESTROY;
	says("vm start a");
	shell_start();
	type("vm console a\r");
	fixture_run(1);
	CHECK(console_attached());
	type("zzz");
	fixture_run(20);
	CHECK_EQ(vm_count(), 0);
	CHECK(!console_attached());
	fixture_check_empty();
	fixture_end();
}

static struct manifest manifest;

static void report(void *ctx, const struct manifest_error *e)
{
}

static unsigned zero_of(const void *ctx, unsigned cpu)
{
	return 0;
}

static bool has_file(const void *ctx, const char *name)
{
	return machine_file(name) != NULL;
}

TEST(manifest, "the manifest's VMs are made and started; what cannot be is told and left out")
{
	static const char text[] =
		"[pool p]\ncpus = 0\n[pool q]\n"
		"[vm one]\npool = p\nmemory = 2M\nkernel = kernel\ncmdline = \"a b\"\non-crash = restart\non-poweroff = destroy\n"
		"[vm two]\npool = p\nmemory = 2M\nkernel = kernel\nautostart = no\n"
		"[vm big]\npool = p\nmemory = 60M\nkernel = kernel\n"
		"[vm odd]\npool = p\nmemory = 2M\nkernel = text\n"
		"[vm lost]\npool = q\nmemory = 2M\nkernel = kernel\n"
		"[vm bad]\npool = p\nmemory = 3X\nkernel = kernel\n";
	struct manifest_errors errors = { .report = report };
	struct manifest_facts facts = {
		.cpus = { .cpu_count = 1, .node_of = zero_of, .core_of = zero_of }, .has_file = has_file,
	};

	MAKE(1, spin);
	manifest_parse(&manifest, text, sizeof(text) - 1, &errors);
	manifest_check(&manifest, &facts, &errors);
	fake_serial_forget();
	vm_manifest_build(&manifest);
	CHECK(vm_find("one") != NULL && vm_find("one")->state == VM_RUNNING);
	CHECK_STR(vm_find("one")->config.cmdline, "a b");
	CHECK(vm_find("one")->config.on_crash == MANIFEST_RESTART && vm_find("one")->config.on_poweroff == MANIFEST_DESTROY);
	CHECK(vm_find("one")->config.on_reboot == MANIFEST_RESTART);
	CHECK(vm_find("two") != NULL && vm_find("two")->state == VM_STOPPED);
	CHECK(vm_find("big") == NULL && fixture_says("vm big: not made: its pool's nodes have 8 MiB of 60 MiB in free 2 MiB pages"));
	CHECK(vm_find("odd") != NULL && fixture_says("vm odd: not started: text: kernel: found a script"));
	CHECK(vm_find("lost") == NULL && fixture_says("vm lost: left out, for its pool q was not made"));
	CHECK(vm_find("bad") == NULL && fixture_says("vm bad: left out, for its section has an error"));
	fixture_end();
}
