/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel: the console's ring and lines, the log, what is printable, JSON. */
#include "tests/host/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/console.h"
#include "kernel/json.h"
#include "kernel/log.h"
#include "kernel/printable.h"
#include "kernel/utf8.h"
#include "tests/fake/serial.h"

#define ERASE "\r\033[K"

static void fresh(void)
{
	fake_serial_reset();
	console_attach_end();
	console_edit_close();
	console_set_plain(false);
	console_hold(false);
	console_set_receiver(NULL);
	con_end_line();
	console_set_polled(false);
	console_flush();
	log_show();
	while (console_pump()) {
	}
	fake_serial_forget();
}

static void draw_prompt(void)
{
	console_edit_write("\rtarn> ab\033[K", 12);
}

static void pump_all(void)
{
	while (console_pump()) {
	}
}

/* What was sent, the stamps of log lines replaced by "[T]". */
static const char *sent_unstamped(void)
{
	static char out[FAKE_SERIAL_BYTES];
	size_t n = 0;

	for (const char *s = fake_serial.sent; *s != '\0'; s++) {
		if (*s == '[' && strlen(s) > 13 && s[5] == '.' && s[12] == ']') {
			n += (size_t)sprintf(out + n, "[T]");
			s += 12;
		} else {
			out[n++] = *s;
		}
	}
	out[n] = '\0';
	return out;
}

TEST(polled, "before the loop runs every write is sent before it returns")
{
	fresh();
	console_set_polled(true);
	console_write("a\nb\n", 4);
	CHECK_STR(fake_serial.sent, "a\r\nb\r\n");
	CHECK_STR(fake_serial.screen, "a\r\nb\r\n");
}

TEST(pumped, "the pump sends what the port takes and asks for an interrupt while bytes remain")
{
	fresh();
	fake_serial.endless = false;
	console_write("hello\n", 6);
	CHECK_STR(fake_serial.sent, "");
	CHECK(console_pump());
	CHECK(fake_serial.tx_irq);
	fake_serial.room = 3;
	CHECK(console_pump());
	CHECK_STR(fake_serial.sent, "hel");
	fake_serial.room = 16;
	CHECK(!console_pump());
	CHECK_STR(fake_serial.sent, "hello\r\n");
	CHECK_STR(fake_serial.screen, "hello\r\n");
	CHECK(!fake_serial.tx_irq);
}

TEST(no_port, "without a serial port the screen alone gets everything")
{
	fresh();
	fake_serial.present = false;
	for (unsigned i = 0; i < 500; i++) {
		console_write("0123456789\n", 11);
	}
	pump_all();
	CHECK_EQ(fake_serial.screen_len, 6000);
	CHECK_EQ(fake_serial.sent_len, 0);
}

TEST(dropped, "log lines that find the ring full are dropped whole, counted and told later")
{
	unsigned long dropped = 0;
	size_t lines = 0;
	const char *note;

	fresh();
	fake_serial.endless = false;
	for (unsigned i = 0; i < 3000; i++) {
		console_line("0123456789012345678901234567890123456789", 40);
	}
	fake_serial.endless = true;
	pump_all();
	note = strstr(fake_serial.sent, "[console: ");
	CHECK(note != NULL);
	CHECK(sscanf(note, "[console: %lu bytes dropped]", &dropped) == 1);
	for (const char *s = fake_serial.sent; (s = strstr(s, "0123456789012345678901234567890123456789\r\n")) != NULL; s++) {
		lines++;
	}
	CHECK_EQ(lines * 41 + dropped, 3000 * 41);
	CHECK(lines > 1000);
}

TEST(command_waits, "a command's output waits for room and loses nothing while the port moves")
{
	static char line[101];

	fresh();
	memset(line, 'x', 99);
	line[99] = '\n';
	for (unsigned i = 0; i < 2000; i++) {
		con_printf("%s", line);
	}
	pump_all();
	CHECK_EQ(fake_serial.sent_len, 2000 * 101);
	CHECK(strstr(fake_serial.sent, "dropped") == NULL);
}

TEST(stuck_port, "a port that takes nothing costs a command a bounded wait, and the loss is told")
{
	fresh();
	fake_serial.endless = false;
	for (unsigned i = 0; i < 3000; i++) {
		con_printf("0123456789012345678901234567890123456789\n");
	}
	CHECK_EQ(fake_serial.sent_len, 0);
	fake_serial.endless = true;
	pump_all();
	CHECK(strstr(fake_serial.sent, "bytes dropped]") != NULL);
	console_set_polled(true);
	fake_serial.endless = false;
	con_printf("gone\n");
	fake_serial.endless = true;
	con_printf("back\n");
	CHECK(strstr(fake_serial.sent, "back\r\n") != NULL);
	console_pump();
	CHECK(strstr(fake_serial.sent, "[console: 6 bytes dropped]") != NULL);
}

TEST(log_stamp, "a log line has a stamp and ends once, whatever its text")
{
	char line[LOG_LINE_MAX];
	uint64_t at;
	size_t len;

	fresh();
	at = log_end();
	log_printf("one\n");
	log_printf("t\033[31mwo\ax %d", 2);
	pump_all();
	CHECK_STR(sent_unstamped(), "[T] one\r\n[T] two.x 2\r\n");
	CHECK(log_read(&at, line, &len));
	CHECK_EQ(len, 17);
	CHECK(line[0] == '[' && line[5] == '.' && memcmp(line + 12, "] one", 5) == 0);
	CHECK(log_read(&at, line, &len));
	CHECK(!log_read(&at, line, &len));
	CHECK_EQ(at, log_end());
}

TEST(log_long, "a log line that is too long is cut and says so")
{
	static char text[2000];

	fresh();
	memset(text, 'y', sizeof(text) - 1);
	log_printf("%s", text);
	pump_all();
	CHECK_EQ(fake_serial.sent_len, LOG_LINE_MAX - 1 + 2);
	CHECK_STR(fake_serial.sent + fake_serial.sent_len - 6, "y...\r\n");
}

TEST(log_wraps, "the log keeps the newest lines whole when it wraps")
{
	char line[LOG_LINE_MAX];
	struct test_rng rng = { 7 };
	unsigned first = 0, seen = 0, n;
	uint64_t at = 0;
	size_t len;

	fresh();
	for (unsigned i = 0; i < 5000; i++) {
		log_printf("%u %.*s|", i, (int)test_rand_below(&rng, 80),
			   "..................................................................................");
	}
	while (log_read(&at, line, &len)) {
		CHECK(line[0] == '[' && line[len - 1] == '|');
		line[len - 1] = '\0';
		n = (unsigned)strtoul(strchr(line, ']') + 2, NULL, 10);
		first = seen == 0 ? n : first;
		CHECK_EQ(n, first + seen);
		seen++;
	}
	CHECK_EQ(first + seen, 5000);
	CHECK(seen > 32768 / 120);
}

TEST(redraw, "a log line erases the edited line, which is drawn again after it")
{
	fresh();
	console_edit_open(draw_prompt);
	pump_all();
	CHECK_STR(fake_serial.sent, "\rtarn> ab\033[K");
	fake_serial_forget();
	log_printf("x");
	log_printf("y");
	/* Typed before the redraw: not shown twice. */
	console_edit_write("c", 1);
	pump_all();
	CHECK_STR(sent_unstamped(), ERASE "[T] x\r\n[T] y\r\n\rtarn> ab\033[K");
	fake_serial_forget();
	console_edit_write("c", 1);
	pump_all();
	CHECK_STR(fake_serial.sent, "c");
}

TEST(plain, "in plain mode a line begins on its own row, no escape sequence, guests are silent")
{
	fresh();
	console_set_plain(true);
	console_edit_open(draw_prompt);
	pump_all();
	fake_serial_forget();
	log_printf("x");
	console_guest_line("vm1", "hello", 5);
	pump_all();
	CHECK_STR(sent_unstamped(), "\r\n[T] x\r\n");
}

TEST(partial, "a line never begins within another one")
{
	fresh();
	console_write("half", 4);
	console_guest_line("vm1", "guest", 5);
	con_printf("a command's ");
	log_printf("log");
	con_printf("line\n");
	pump_all();
	CHECK_STR(sent_unstamped(), "half\r\n[vm1] guest\r\n[T] log\r\na command's line\r\n");
}

TEST(guest, "a guest's line cannot command the terminal")
{
	const char *evil = "a\033[2Jb\033]0;title\007c\033(Bd\tE\bF\rG\xff" "\xc2\x9b" "31m \xc3\xa9\033P1$q\033\\h\033";

	fresh();
	console_guest_line("vm1", evil, strlen(evil));
	console_guest_line("vm2", "a\0b\nc", 5);
	pump_all();
	CHECK_STR(fake_serial.sent, "[vm1] abcd\tE.FG..31m \xc3\xa9h\r\n[vm2] ab.c\r\n");
}

TEST(printable_fuzz, "what is printable is UTF-8 without control characters and never longer")
{
	struct test_rng rng = { 3 };

	for (unsigned round = 0; round < 20000; round++) {
		uint8_t in[40], out[40];
		size_t len = test_rand_below(&rng, sizeof(in)), n = 0;
		struct printable p;
		int byte;

		for (size_t i = 0; i < len; i++) {
			static const uint8_t likely[] = { 0x1b, '[', ']', 0xc2, 0x9b, 0xe2, 0x80, 'm', 7, '\\', 'P', '1' };

			in[i] = test_rand_below(&rng, 3) == 0 ? (uint8_t)test_rand(&rng) :
				likely[test_rand_below(&rng, sizeof(likely))];
		}
		p = printable_make(in, len);
		while ((byte = printable_next(&p)) >= 0) {
			CHECK(n < len);
			out[n++] = (uint8_t)byte;
		}
		for (size_t i = 0; i < n;) {
			unsigned length = utf8_length(out + i, n - i);

			CHECK(length > 0);
			CHECK(out[i] >= 0x20 || out[i] == '\t');
			CHECK(out[i] != 0x7f && !(out[i] == 0xc2 && out[i + 1] < 0xa0));
			i += length;
		}
	}
}

static uint8_t got[16];
static unsigned got_count;

static void attached_input(void *ctx, uint8_t byte)
{
	CHECK(ctx == got);
	got[got_count++ % sizeof(got)] = byte;
}

TEST(attach, "an attached guest has the console to itself; log lines come when it ends")
{
	fresh();
	got_count = 0;
	console_raw_write((const uint8_t *)"no", 2);
	console_attach(attached_input, got);
	CHECK(console_attached() && console_attached_to(got) && !console_attached_to(&got_count));
	console_raw_write((const uint8_t *)"raw\033[1m\n", 8);
	log_printf("late");
	console_guest_line("vm1", "guest", 5);
	console_attach_feed('k');
	pump_all();
	CHECK_STR(fake_serial.sent, "raw\033[1m\n");
	CHECK_EQ(got_count, 1);
	console_detach();
	CHECK(console_detach_wanted());
	console_attach_end();
	CHECK(!console_detach_wanted() && !console_attached());
	fake_serial_forget();
	log_show();
	log_show();
	log_printf("now");
	pump_all();
	CHECK_STR(sent_unstamped(), "[T] late\r\n[T] now\r\n");
}

TEST(hold, "log lines held back appear once, in order, with those that came in between")
{
	fresh();
	console_hold(true);
	log_printf("1");
	console_hold(false);
	log_printf("2");
	pump_all();
	CHECK_STR(fake_serial.sent, "");
	log_show();
	log_printf("3");
	pump_all();
	CHECK_STR(sent_unstamped(), "[T] 1\r\n[T] 2\r\n[T] 3\r\n");
}

static char received[64];
static size_t received_len;

static void receive(uint8_t byte)
{
	received[received_len++] = (char)byte;
	received[received_len] = '\0';
}

TEST(flood, "a guest that floods the console leaves room for the log")
{
	fresh();
	fake_serial.endless = false;
	for (unsigned i = 0; i < 3000; i++) {
		console_guest_line("vm1", "0123456789012345678901234567890123456789", 40);
	}
	log_printf("important");
	fake_serial.endless = true;
	pump_all();
	CHECK(strstr(fake_serial.sent, "] important\r\n[console: ") != NULL);
}

#define CPUS 3
#define LINES 200

static void *one_cpu(void *arg)
{
	unsigned cpu = *(unsigned *)arg;
	char line[32];

	for (unsigned i = 0; i < LINES; i++) {
		log_printf("log %u %u", cpu, i);
		console_guest_line("vm", line, (size_t)snprintf(line, sizeof(line), "guest %u %u", cpu, i));
	}
	return NULL;
}

TEST(many_cpus, "lines of several cpus come whole, each cpu's in order, while the prompt is redrawn")
{
	static unsigned ids[CPUS] = { 0, 1, 2 };
	unsigned next_log[CPUS] = { 0 }, next_guest[CPUS] = { 0 }, cpu, n, total = 0;
	pthread_t threads[CPUS];

	fresh();
	console_edit_open(draw_prompt);
	for (unsigned i = 0; i < CPUS; i++) {
		CHECK(pthread_create(&threads[i], NULL, one_cpu, &ids[i]) == 0);
	}
	for (unsigned i = 0; i < 2000; i++) {
		console_pump();
		console_edit_write("k", 1);
	}
	for (unsigned i = 0; i < CPUS; i++) {
		pthread_join(threads[i], NULL);
		pump_all();
	}
	for (char *line = strtok(fake_serial.sent, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char *log = strstr(line, "] log "), *guest = strstr(line, "[vm] guest ");
		int end = 0;

		if (log != NULL) {
			CHECK(sscanf(log, "] log %u %u\r%n", &cpu, &n, &end) == 2 && log[end] == '\0');
			CHECK_EQ(n, next_log[cpu]++);
			total++;
		} else if (guest != NULL) {
			CHECK(sscanf(guest, "[vm] guest %u %u\r%n", &cpu, &n, &end) == 2 && guest[end] == '\0');
			CHECK_EQ(n, next_guest[cpu]++);
			total++;
		}
	}
	CHECK_EQ(total, CPUS * LINES * 2);
}

TEST(receive, "input is taken in while output waits for room")
{
	fresh();
	received_len = 0;
	console_set_receiver(receive);
	fake_serial.rx = (const uint8_t *)"typed";
	fake_serial.rx_len = 5;
	fake_serial.endless = false;
	for (unsigned i = 0; i < 3000; i++) {
		con_printf("0123456789012345678901234567890123456789\n");
	}
	CHECK_STR(received, "typed");
	fake_serial.endless = true;
	pump_all();
}

TEST(caught, "bytes that come while many lines are logged are taken out of the port, and received later in their order")
{
	fresh();
	received_len = 0;
	memset(received, 0, sizeof(received));
	console_set_receiver(receive);
	fake_serial.rx = (const uint8_t *)"one";
	fake_serial.rx_len = 3;
	log_printf("crash report, line 1");
	CHECK_EQ(fake_serial.rx_len, 0);
	fake_serial.rx = (const uint8_t *)"two";
	fake_serial.rx_len = 3;
	log_printf("crash report, line 2");
	CHECK_EQ(fake_serial.rx_len, 0);
	CHECK_EQ(received_len, 0);
	console_receive();
	CHECK_STR(received, "onetwo");
}

TEST(long_output, "one con_printf that is too long is cut, con_write is not")
{
	static char text[5000];

	fresh();
	memset(text, 'z', sizeof(text) - 1);
	con_printf("%s", text);
	pump_all();
	CHECK_EQ(fake_serial.sent_len, 1023 + 3 + 2);
	fake_serial_forget();
	con_write(text, sizeof(text) - 1);
	con_end_line();
	con_end_line();
	pump_all();
	CHECK_EQ(fake_serial.sent_len, sizeof(text) - 1 + 2);
}

TEST(json, "JSON has an element a line, commas between, strings escaped")
{
	struct json j;

	fresh();
	json_begin(&j);
	json_object(&j, NULL);
	json_string(&j, "name", "a\"b\\c\n\xff\xc3\xa9");
	json_uint(&j, "n", 18446744073709551615ul);
	json_array(&j, "cpus");
	json_int(&j, NULL, -1);
	json_bool(&j, NULL, true);
	json_end(&j);
	json_string(&j, "none", NULL);
	json_end(&j);
	json_object(&j, NULL);
	json_finish(&j);
	json_begin(&j);
	json_finish(&j);
	pump_all();
	CHECK_STR(fake_serial.sent,
		  "[\r\n{\"name\":\"a\\\"b\\\\c\\u000a\\ufffd\xc3\xa9\",\"n\":18446744073709551615,"
		  "\"cpus\":[-1,true],\"none\":null},\r\n{}\r\n]\r\n[\r\n]\r\n");
}
