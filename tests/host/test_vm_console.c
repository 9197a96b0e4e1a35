/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs' consoles together with the shell and a slow serial port: floods, pastes, attachments. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"
#include "vm/vmap.h"

#define PASTE_BYTES	10240u
#define PORT_DATA	0x3f8u

static const struct fake_step halts[] = { { .kind = FAKE_CLI }, FAKE_HLT };

static struct vm *start(const char *name)
{
	struct vm_config c = fixture_config(name);

	return fixture_start(&c);
}

static void type(const char *s)
{
	while (*s != '\0') {
		shell_input((uint8_t)*s++);
	}
}

static void flood(struct vm *vm, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		vconsole_put(vm->console, i % 16 == 15 ? '\n' : 'f');
	}
}

/* A round of housekeeping with a port that takes n bytes. */
static void round_of(unsigned n)
{
	fake_serial.endless = false;
	fake_serial.room = n;
	vm_housekeeping();
	(void)shell_poll();
	console_pump();
	fake_serial.endless = true;
}

TEST(flood, "beside a guest that floods, another's line and the shell's answer come within a second at 115200")
{
	struct vm *noisy, *quiet;
	unsigned rounds = 0;

	fixture_make(1, halts, ARRAY_SIZE(halts));
	noisy = start("noisy");
	quiet = start("quiet");
	shell_start();
	console_set_polled(false);
	for (unsigned i = 0; i < 300; i++) {
		flood(noisy, 2000);
		round_of(115);
	}
	for (const char *s = "a quiet line\n"; *s != '\0'; s++) {
		vconsole_put(quiet->console, (uint8_t)*s);
	}
	type("vm list\r");
	fake_serial_forget();
	while (strstr(fake_serial.sent, "[quiet] a quiet line") == NULL || strstr(fake_serial.sent, "ok\r\n") == NULL) {
		flood(noisy, 2000);
		round_of(115);
		if (++rounds == 100) {		/* of 10 ms */
			break;
		}
	}
	CHECK(rounds < 100);
	CHECK(noisy->console->dropped > 0);
	CHECK_EQ(quiet->console->dropped, 0);
	/* Nothing is lost silently: what the guest wrote is shown, kept or counted. */
	CHECK_EQ(atomic_load(&noisy->console->written), (300 + rounds) * 2000ul);
	CHECK(noisy->console->seen + VCONSOLE_OUT_BYTES >= (300 + rounds) * 2000ul);
	CHECK(fixture_times("vm noisy:") <= 1);
	console_set_polled(true);
	fixture_end();
}

TEST(attached_flood, "attached to a guest that floods, Ctrl-] answers within a second")
{
	struct vm *vm;
	unsigned rounds = 0;

	fixture_make(1, halts, ARRAY_SIZE(halts));
	vm = start("v");
	shell_start();
	console_set_polled(false);
	type("vm console v\r");
	for (unsigned i = 0; i < 300; i++) {
		flood(vm, 2000);
		round_of(115);
	}
	CHECK(console_attached_to(vm));
	fake_serial_forget();
	type("\x1d");
	while (strstr(fake_serial.sent, "\r\nok\r\n") == NULL && ++rounds < 100) {
		flood(vm, 2000);
		round_of(115);
	}
	CHECK(rounds < 100);
	CHECK(!console_attached());
	console_set_polled(true);
	fixture_end();
}

TEST(paste, "10 KB pasted at an attached console reach a guest that reads the port slowly, all of them, in order")
{
	static char paste[PASTE_BYTES + 1];
	struct vm *vm;
	uint32_t value;

	fixture_make(1, halts, ARRAY_SIZE(halts));
	vm = start("v");
	fixture_run(2);
	shell_start();
	type("vm console v\r");
	round_of(1000);
	for (unsigned i = 0; i < PASTE_BYTES; i++) {
		paste[i] = (char)(' ' + i * 31 % 90);
	}
	type(paste);
	round_of(1000);
	CHECK_EQ(vm->console->in_dropped, 0);
	vplatform_feed(&vm->platform);
	for (unsigned i = 0; i < PASTE_BYTES; i++) {
		CHECK(vplatform_port(&vm->platform, PORT_DATA + 5, 1, false, &value));
		CHECK_EQ(value & 3, 1);		/* data, no overrun */
		CHECK(vplatform_port(&vm->platform, PORT_DATA, 1, false, &value));
		CHECK_EQ((uint8_t)value, (uint8_t)paste[i]);
	}
	CHECK(vplatform_port(&vm->platform, PORT_DATA + 5, 1, false, &value));
	CHECK_EQ(value & 3, 0);
	type("\x1d");
	round_of(1000);
	CHECK(!console_attached());
	fixture_end();
}

TEST(no_reader, "a guest that reads nothing loses what does not fit, counted and said, and Ctrl-] still leaves")
{
	struct vm *vm;

	fixture_make(1, halts, ARRAY_SIZE(halts));
	vm = start("v");
	shell_start();
	type("vm console v\r");
	round_of(1000);
	for (unsigned i = 0; i < VCONSOLE_IN_BYTES + 500; i++) {
		shell_input('k');
	}
	type("\x1d");
	round_of(100000);
	CHECK(!console_attached());
	CHECK(vm->console->in_dropped >= 480 && vm->console->in_dropped <= 500);	/* the 16550's FIFO took some */
	round_of(100000);
	CHECK(fixture_says("typed bytes were dropped: it does not read them"));
	fake_serial_forget();
	(void)shell_run("vm show v");
	CHECK(fixture_says(" typed bytes dropped;") && !fixture_says("; 0 typed bytes"));
	fixture_end();
}

TEST(scrollback, "an attachment shows the last 64 KiB, whole, at the pace of the port, and nothing is dropped")
{
	struct vm *vm;

	fixture_make(1, halts, ARRAY_SIZE(halts));
	vm = start("v");
	shell_start();
	console_set_plain(true);
	flood(vm, VCONSOLE_KEPT_BYTES);
	for (unsigned i = 0; i < 200; i++) {
		round_of(100000);
	}
	CHECK_EQ(vm->console->shown, VCONSOLE_KEPT_BYTES);
	type("vm console v\r");
	console_set_polled(false);
	round_of(1000);
	fake_serial_forget();
	for (unsigned i = 0; i < 1000 && fake_serial.sent_len < VCONSOLE_KEPT_BYTES - 2000; i++) {
		round_of(115);
	}
	CHECK(vm->console->shown > VCONSOLE_KEPT_BYTES / 2);
	CHECK_EQ(vm->console->dropped, 0);
	CHECK(!fixture_says("dropped"));
	console_set_polled(true);
	fixture_end();
}
