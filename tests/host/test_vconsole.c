/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vconsole: a guest's output as lines, raw, and again; what is typed for it. */
#include "tests/host/test.h"

#include <pthread.h>
#include <stdio.h>

#include "kernel/console.h"
#include "kernel/log.h"
#include "tests/fake/machine.h"
#include "tests/fake/serial.h"
#include "vm/vconsole.h"

static struct vconsole *c;

static void reset(void)
{
	fake_machine_init(1);
	fake_serial_reset();
	console_attach_end();
	console_edit_close();
	console_set_plain(false);
	console_set_polled(true);
	con_end_line();
	console_flush();
	fake_serial_forget();
	c = vconsole_create(0);
}

static void end(void)
{
	console_attach_end();
	vconsole_destroy(c);
	CHECK_EQ(fake.heap_blocks, 0);
	fake_machine_fini();
}

static void put(const char *s)
{
	while (*s != '\0') {
		vconsole_put(c, (uint8_t)*s++);
	}
}

static void show(void)
{
	vconsole_show(c, "v", false, 4096);
	console_flush();
}

static void ignore(void *ctx, uint8_t byte)
{
}

TEST(lines, "only whole lines show, with the name in front; CR is dropped")
{
	reset();
	put("one\r\ntw");
	show();
	CHECK_STR(fake_serial.sent, "[v] one\r\n");
	put("o\r\n\r\nthree");
	show();
	CHECK_STR(fake_serial.sent, "[v] one\r\n[v] two\r\n[v] \r\n");
	end();
}

TEST(long_line, "a line over the limit is shown in pieces of the limit, a line of just the limit in one")
{
	char text[2 * VCONSOLE_LINE_MAX + 2];
	unsigned lines = 0, letters = 0;

	for (unsigned len = VCONSOLE_LINE_MAX - 1; len <= 2 * VCONSOLE_LINE_MAX + 1; len += len == VCONSOLE_LINE_MAX + 1 ? 511 : 1) {
		reset();
		lines = letters = 0;
		memset(text, 'x', len);
		text[len] = '\0';
		put(text);
		put("\n");
		show();
		for (const char *s = fake_serial.sent; *s != '\0'; s++) {
			lines += *s == '\n';
			letters += *s == 'x';
		}
		CHECK_EQ(lines, (len + VCONSOLE_LINE_MAX - 1) / VCONSOLE_LINE_MAX);
		CHECK_EQ(letters, len);
		end();
	}
}

TEST(budget, "no more than the budget is shown in a call, and nothing twice")
{
	unsigned calls = 0;

	reset();
	for (unsigned i = 0; i < 1000; i++) {
		put("0123456\n");
	}
	do {
		fake_serial_forget();
		vconsole_show(c, "v", false, 80);
		console_flush();
		CHECK(fake_serial.sent_len <= 10 * 13);
		calls++;
	} while (fake_serial.sent_len > 0);
	CHECK_EQ(calls, 101);
	CHECK_EQ(c->dropped, 0);
	end();
}

TEST(flood, "a guest that floods loses its oldest output, exactly counted, and keeps the newest")
{
	char line[24];
	unsigned first = 0, seen = 0, n;
	const char *s;

	reset();
	for (unsigned i = 0; i < 30000; i++) {
		snprintf(line, sizeof(line), "%010u!\n", i);
		put(line);
	}
	vconsole_show(c, "v", false, 0);
	CHECK_EQ(c->dropped, 30000 * 12 - VCONSOLE_KEPT_BYTES);
	vconsole_show(c, "v", false, UINT32_MAX);
	console_flush();
	for (s = fake_serial.sent; (s = strchr(s, '[')) != NULL; s++) {
		if (sscanf(s, "[v] %010u!", &n) == 1 && strchr(s, '!') - s == 14) {
			first = seen == 0 ? n : first;
			CHECK_EQ(n, first + seen);
			seen++;
		}
	}
	CHECK_EQ(first + seen, 30000);
	CHECK_EQ(seen, VCONSOLE_KEPT_BYTES / 12);
	CHECK_EQ(c->dropped, 30000 * 12 - VCONSOLE_KEPT_BYTES);
	end();
}

TEST(attached, "attached, bytes come raw, escape sequences and all, and no line is made of them")
{
	reset();
	put("par");
	show();
	console_attach(ignore, c);
	put("\033[1mtial\r\n");
	vconsole_show(c, "v", true, 4096);
	console_flush();
	CHECK_STR(fake_serial.sent, "\033[1mtial\r\n");
	end();
}

TEST(replay, "an attachment begins with what is kept: what was shown before, oldest first, nothing of it as lines again")
{
	reset();
	put("one\r\ntwo\r\nlogin: ");
	show();
	console_attach(ignore, c);
	fake_serial_forget();
	vconsole_replay(c);
	put("!");
	vconsole_show(c, "v", true, 4096);
	console_flush();
	CHECK_STR(fake_serial.sent, "one\r\ntwo\r\nlogin: !");
	console_attach_end();
	fake_serial_forget();
	put("x\n");
	show();
	CHECK_STR(fake_serial.sent, "\r\n[v] x\r\n");	/* on a row of its own */
	end();
}

TEST(replay_all, "a replay of the whole past reaches the terminal complete, also where the port is slow")
{
	reset();
	for (unsigned i = 0; i < 20000; i++) {
		put("0123456\n");
	}
	vconsole_show(c, "v", false, UINT32_MAX);
	console_flush();
	console_set_polled(false);
	fake_serial_forget();
	console_attach(ignore, c);
	vconsole_replay(c);
	vconsole_show(c, "v", true, UINT32_MAX);
	console_flush();
	CHECK_EQ(fake_serial.sent_len, VCONSOLE_KEPT_BYTES);
	CHECK(memcmp(fake_serial.sent, "0123456\n0123456\n", 16) == 0);
	console_set_polled(true);
	end();
}

TEST(replay_cut, "a replay that a flood overtakes or a detachment ends counts nothing as lost that was shown before")
{
	reset();
	for (unsigned i = 0; i < VCONSOLE_KEPT_BYTES / 8; i++) {
		put("0123456\n");
	}
	vconsole_show(c, "v", false, UINT32_MAX);
	console_attach(ignore, c);
	vconsole_replay(c);
	vconsole_show(c, "v", true, 80);
	for (unsigned i = 0; i < 1000; i++) {
		put("abcdefg\n");
	}
	vconsole_show(c, "v", true, 80);
	CHECK_EQ(c->dropped, 0);
	console_attach_end();
	console_flush();
	fake_serial_forget();
	vconsole_show(c, "v", false, UINT32_MAX);
	console_flush();
	CHECK_EQ(c->dropped, 0);
	CHECK(strstr(fake_serial.sent, "0123456") == NULL);
	CHECK_EQ(fake_serial.sent_len, 1000 * strlen("[v] abcdefg\r\n"));
	end();
}

TEST(replay_marks, "who attaches is told what is no longer kept, and then what a flood made of the replay, once a second")
{
	reset();
	for (unsigned i = 0; i < VCONSOLE_KEPT_BYTES + 5; i++) {
		vconsole_put(c, 'x');
	}
	console_attach(ignore, c);
	CHECK_EQ(vconsole_replay(c), 5);
	CHECK_EQ(c->dropped, 5);
	vconsole_show(c, "v", true, 80);
	vconsole_tell_dropped(c, "v", true);
	console_flush();
	CHECK(strstr(fake_serial.sent, "tarn") == NULL);
	for (unsigned i = 0; i < 200; i++) {
		vconsole_put(c, 'y');
		vconsole_show(c, "v", true, 0);
		vconsole_tell_dropped(c, "v", true);
	}
	CHECK(vconsole_has_news(c));
	fake.now_ns += NS_PER_S;
	vconsole_tell_dropped(c, "v", true);
	console_flush();
	/* 80 of the 200 were shown; the first of the other 120 was told at once. */
	CHECK(strstr(fake_serial.sent, "\r\n[tarn: 1 bytes dropped]\r\n\r\n[tarn: 119 bytes dropped]\r\n") != NULL);
	CHECK_EQ(c->missed, 120);
	console_attach_end();
	end();
}

TEST(told, "what was dropped, both ways, is said with its count, and again at most every ten seconds")
{
	reset();
	log_show();
	fake_serial_forget();
	vconsole_tell_dropped(c, "v", false);
	console_flush();
	CHECK_EQ(fake_serial.sent_len, 0);
	for (unsigned i = 0; i < VCONSOLE_KEPT_BYTES + 100; i++) {
		vconsole_put(c, 'x');
	}
	for (unsigned i = 0; i < VCONSOLE_IN_BYTES + 7; i++) {
		CHECK_EQ(vconsole_type(c, 'y'), i < VCONSOLE_IN_BYTES);
	}
	vconsole_show(c, "v", false, 0);
	CHECK_EQ(c->dropped, 100);
	CHECK_EQ(c->in_dropped, 7);
	vconsole_tell_dropped(c, "v", false);
	vconsole_type(c, 'y');
	vconsole_tell_dropped(c, "v", false);
	console_flush();
	CHECK(strstr(fake_serial.sent, "vm v: 100 bytes of its output were dropped") != NULL);
	CHECK(strstr(fake_serial.sent, "vm v: 7 typed bytes were dropped") != NULL);
	fake_serial_forget();
	fake.now_ns += 10 * NS_PER_S;
	vconsole_tell_dropped(c, "v", false);
	vconsole_tell_dropped(c, "v", false);
	console_flush();
	CHECK(strstr(fake_serial.sent, "vm v: 1 typed bytes were dropped") != NULL);
	CHECK(strstr(fake_serial.sent, "output") == NULL);
	end();
}

TEST(typed, "what is typed comes out in order; what finds the ring full is refused")
{
	reset();
	CHECK_EQ(vconsole_get(c), -1);
	for (unsigned i = 0; i < VCONSOLE_IN_BYTES; i++) {
		CHECK(vconsole_type(c, (uint8_t)(i * 7)));
	}
	CHECK(atomic_load(&c->in_waiting));
	CHECK(!vconsole_type(c, 'x'));
	for (unsigned i = 0; i < VCONSOLE_IN_BYTES; i++) {
		CHECK_EQ(vconsole_get(c), (uint8_t)(i * 7));
	}
	CHECK_EQ(vconsole_get(c), -1);
	end();
}

TEST(no_memory, "without memory there is no console")
{
	reset();
	fake.heap_fail_in = 1;
	CHECK(vconsole_create(0) == NULL);
	end();
}

#define RACE_LINES	20000u

static void *write_lines(void *arg)
{
	char line[24];

	for (unsigned i = 0; i < RACE_LINES; i++) {
		snprintf(line, sizeof(line), "%010u!\n", i);
		put(line);
	}
	return NULL;
}

TEST(race, "a writer on another cpu and the reader never make a line that was not written; bytes add up")
{
	pthread_t writer;
	unsigned last = 0, n;
	uint64_t shown;

	reset();
	CHECK(pthread_create(&writer, NULL, write_lines, NULL) == 0);
	for (shown = 0; shown < RACE_LINES * 12ul; shown = c->shown) {
		fake_serial_forget();
		vconsole_show(c, "v", false, 8192);
		console_flush();
		for (const char *s = fake_serial.sent; (s = strstr(s, "[v] ")) != NULL; s++) {
			if (strcspn(s, "\r") == 15) {
				CHECK(sscanf(s, "[v] %010u!", &n) == 1 && n >= last);
				last = n;
			}
		}
	}
	pthread_join(writer, NULL);
	CHECK_EQ(last, RACE_LINES - 1);
	CHECK(c->dropped < RACE_LINES * 12ul);
	end();
}
