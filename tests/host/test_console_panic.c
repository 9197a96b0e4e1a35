/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/console: the way out for a panic; a program of its own, for nothing is sent after one. */
#include "tests/host/test.h"

#include "kernel/console.h"
#include "kernel/log.h"
#include "tests/fake/serial.h"

static void draw(void)
{
	console_edit_write("tarn> ", 6);
}

TEST(panic_goes_out, "a panic sends what waited, then its own text, and silences the rest")
{
	fake_serial_reset();
	console_set_polled(false);
	console_edit_open(draw);
	console_pump();
	fake_serial_forget();
	log_printf("before");
	console_panic_puts("panic: oh\n");
	console_panic_puts("rax 0\n");
	log_printf("after");
	con_printf("after\n");
	console_guest_line("vm", "after", 5);
	CHECK(!console_pump());
	console_flush();
	CHECK(strstr(fake_serial.sent, "before\r\npanic: oh\r\nrax 0\r\n") != NULL);
	CHECK(strstr(fake_serial.sent, "after") == NULL);
	CHECK_STR(fake_serial.screen, fake_serial.sent);
	fake_serial.endless = false;
	console_panic_puts("a dead port does not hang it\n");
}
