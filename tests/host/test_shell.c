/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/shell: words, commands, results, completion, input while something runs, attachment. */
#include "tests/host/test.h"

#include <setjmp.h>

#include "kernel/bootstat.h"
#include "kernel/commands.h"
#include "kernel/console.h"
#include "kernel/lib/util.h"
#include "kernel/lineedit.h"
#include "kernel/log.h"
#include "kernel/shell.h"
#include "tests/fake/machine.h"
#include "tests/fake/serial.h"

#define PROMPT "\rtarn> \033[K"

static struct shell_args got;
static unsigned runs;

static enum err run_list(const struct shell_args *args)
{
	got = *args;
	runs++;
	for (int i = 0; i < args->count; i++) {
		con_printf("<%s>", args->word[i]);
	}
	con_printf("%s\n", args->json ? " json" : "");
	return ERR_OK;
}

static enum err run_fail(const struct shell_args *args)
{
	con_printf("half a line");
	return shell_fail(ERR_NOENT, "pool web", "no pool of that name, there are %d", 3);
}

static enum err run_bare(const struct shell_args *args)
{
	return ERR_BUSY;
}

static enum err run_log_while(const struct shell_args *args)
{
	con_printf("[\n");
	log_printf("between");
	con_printf("]\n");
	return ERR_OK;
}

static enum err run_nested(const struct shell_args *args)
{
	return shell_run("pool bare x") == ERR_BUSY ? ERR_OK : ERR_INVAL;
}

static char guest_got[64];
static size_t guest_len;

static void guest_input(void *ctx, uint8_t byte)
{
	guest_got[guest_len++] = (char)byte;
	guest_got[guest_len] = '\0';
}

static enum err run_console(const struct shell_args *args)
{
	guest_len = 0;
	guest_got[0] = '\0';
	console_attach(guest_input, guest_got);
	return ERR_OK;
}

SHELL_COMMAND(t_list, .name = "pool list", .usage = "[-c]", .help = "Lists.", .alias = "cpupool-list",
	      .most = SHELL_ARGS_MAX, .complete = SHELL_POOL, .run = run_list);
SHELL_COMMAND(t_load, .name = "pool load", .usage = "P", .help = "Loads.", .most = SHELL_ARGS_MAX, .complete = SHELL_VM,
	      .run = run_list);
SHELL_COMMAND(t_fail, .name = "pool fail", .usage = "", .help = "Fails.", .run = run_fail);
SHELL_COMMAND(t_bare, .name = "pool bare", .usage = "P", .help = "Fails barely.", .least = 1, .most = 1, .run = run_bare);
SHELL_COMMAND(t_mem, .name = "mem", .usage = "", .help = "Shows memory.", .most = SHELL_ARGS_MAX, .run = run_list);
SHELL_COMMAND(t_while, .name = "trace while", .usage = "", .help = "Logs.", .run = run_log_while);
SHELL_COMMAND(t_nested, .name = "trace nested", .usage = "", .help = "Runs another.", .run = run_nested);
SHELL_COMMAND(t_console, .name = "vm console", .usage = "V", .help = "Attaches.", .most = 1, .run = run_console);
SHELL_COMMAND(t_long, .name = "vm create", .usage = "V key=value... and a good many more words",
	      .help = "Creates.", .most = SHELL_ARGS_MAX, .run = run_list);

static const char *nth_pool(unsigned i)
{
	static const char *const names[] = { "pool0", "web", "webs", NULL };

	return names[i];
}

static void fresh(void)
{
	/* Keeps the object with the built-in commands in the program. */
	void (*volatile keep)(unsigned code) = commands_poweroff;

	CHECK(keep != NULL);
	fake_serial_reset();
	console_attach_end();
	console_edit_close();
	console_set_plain(false);
	console_hold(false);
	console_set_polled(true);
	con_write("\n", 1);
	console_flush();
	fake_serial_forget();
	shell_init();
	runs = 0;
}

/* Runs one line; what it printed. */
static const char *says(const char *line)
{
	fake_serial_forget();
	shell_run(line);
	return fake_serial.sent;
}

static void type(const char *s)
{
	while (*s != '\0') {
		shell_input((uint8_t)*s++);
	}
}

static void poll_all(void)
{
	while (shell_poll()) {
	}
	console_pump();
}

/* Types s; what is on the line then. */
static const char *completes(const char *s)
{
	shell_init();
	shell_start();
	fake_serial_forget();
	type(s);
	poll_all();
	console_edit_sync();
	return fake_serial.sent;
}

TEST(words, "a line is cut into words, quotes keep blanks, -j is taken out")
{
	fresh();
	CHECK_STR(says("pool list a  \"b c\"\td=\"e f\" \"\" -j g "), "<a><b c><d=e f><><g> json\r\nok\r\n");
	CHECK_EQ(got.count, 5);
	CHECK_STR(says("pool list \"open"), "error: line: a quote is not closed\r\n");
	CHECK_STR(says("pool list 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3"),
		  "error: line: more than 32 words\r\n");
	CHECK_STR(says("  "), "");
	CHECK_EQ(runs, 1);
}

TEST(finds, "two-word names, one-word names and aliases are found, others are said")
{
	fresh();
	CHECK_STR(says("mem x"), "<x>\r\nok\r\n");
	CHECK_STR(says("cpupool-list y"), "<y>\r\nok\r\n");
	CHECK_STR(says("foo bar"), "error: foo: no such command; try help\r\n");
	CHECK_STR(says("pool frobnicate"), "error: pool frobnicate: no such command; try help\r\n");
	CHECK_STR(says("pool"), "error: pool: expected one more word; try help pool\r\n");
	CHECK_EQ(shell_run("pool"), ERR_NOENT);
}

TEST(results, "an error is a line of its own and names what and why")
{
	fresh();
	CHECK_STR(says("pool fail"), "half a line\r\nerror: pool web: no pool of that name, there are 3\r\n");
	CHECK_STR(says("pool bare"), "error: pool bare: usage: pool bare P\r\n");
	CHECK_STR(says("pool bare x"), "error: pool bare: busy\r\n");
	CHECK_STR(says("trace nested"), "error: pool bare: busy\r\nok\r\n");
}

TEST(hold, "a log line waits until JSON is complete")
{
	const char *said;

	fresh();
	said = says("trace while -j");
	CHECK(strncmp(said, "[\r\n]\r\nok\r\n[", 11) == 0);
	CHECK(strstr(said, "between") != NULL);
	said = says("trace while");
	CHECK(strstr(said, "between\r\n]\r\nok\r\n") != NULL);
}

TEST(help, "help lists by group and by name, and explains one command")
{
	const char *said, *pools;

	fresh();
	said = says("help");
	pools = strstr(said, "pools\r\n  pool bare P ");
	CHECK(pools != NULL);
	CHECK(strstr(said, "topology\r\n  mem") == said);
	CHECK(strstr(said, "\r\nmachine\r\n  console plain") > pools);
	CHECK(strstr(said, "  vm create V key=value... and a good many more words\r\n          ") != NULL);
	CHECK_STR(says("help pool list"), "pool list [-c]\r\n  Lists.\r\n  alias: cpupool-list\r\nok\r\n");
	CHECK_STR(says("help cpupool-list"), "pool list [-c]\r\n  Lists.\r\n  alias: cpupool-list\r\nok\r\n");
	CHECK(strstr(says("help vm"), "  vm console V ") == fake_serial.sent);
	CHECK_STR(says("help frob"), "error: frob: no such command; try help\r\n");
	CHECK_STR(says("help a b c"), "error: help: usage: help [command]\r\n");
}

TEST(version, "version and log print, and refuse words they do not know")
{
	fresh();
	CHECK_STR(says("version"), "Tarn 0.1\r\nok\r\n");
	CHECK_STR(says("version x"), "error: version: usage: version [-v]\r\n");
	bootstat_begin(1000);
	bootstat_spend(BOOTSTAT_CONSOLE, 30);
	bootstat_mark(BOOTSTAT_READY, 1500);
	bootstat_mark(BOOTSTAT_READY, 1600);
	bootstat_spend(BOOTSTAT_CONSOLE, 12);
	CHECK(strstr(says("version -v"), "\nready                                500\r\n") != NULL);
	CHECK(strstr(fake_serial.sent, "\nwait: serial port                     30              42\r\nclearing") != NULL);
	log_printf("a mark");
	CHECK(strstr(says("log"), "] a mark\r\nok\r\n") != NULL);
}

TEST(prompt, "typed lines run one a poll, each behind its prompt")
{
	fresh();
	shell_start();
	CHECK_STR(fake_serial.sent, PROMPT);
	fake_serial_forget();
	type("mem 1\rmem 2\rme");
	CHECK_EQ(runs, 0);
	CHECK(shell_poll());
	CHECK_EQ(runs, 1);
	CHECK_STR(fake_serial.sent, "mem 1\r\n<1>\r\nok\r\n" PROMPT);
	fake_serial_forget();
	CHECK(shell_poll());
	CHECK(!shell_poll());
	CHECK_STR(fake_serial.sent, "mem 2\r\n<2>\r\nok\r\n" PROMPT "me");
}

TEST(plain, "a plain session has no control sequence, only echo, results and prompts")
{
	fresh();
	shell_start();
	type("console plain\r");
	poll_all();
	fake_serial_forget();
	type("mem a\r\npool\t\033[Afail\rlog x\r");
	console_guest_line("vm1", "noise", 5);
	poll_all();
	CHECK_STR(fake_serial.sent,
		  "mem a\r\n<a>\r\nok\r\ntarn> "
		  "pool fail\r\nhalf a line\r\nerror: pool web: no pool of that name, there are 3\r\ntarn> "
		  "log x\r\nerror: log: usage: log\r\ntarn> ");
	type("console rich\r");
	poll_all();
	CHECK(strstr(fake_serial.sent, "ok\r\n" PROMPT) != NULL);
}

TEST(too_long, "a line that lost characters is not run")
{
	fresh();
	shell_start();
	type("mem ");
	for (unsigned i = 0; i < LINEEDIT_MAX; i++) {
		shell_input('x');
	}
	type("\r");
	poll_all();
	CHECK_EQ(runs, 0);
	CHECK(strstr(fake_serial.sent, "\r\nerror: line: longer than 512 bytes\r\n") != NULL);
}

TEST(paste, "10 KB pasted at once runs every line")
{
	fresh();
	shell_start();
	for (unsigned i = 0; i < 640; i++) {
		type("mem 123456 7890\r");
	}
	poll_all();
	CHECK_EQ(runs, 640);
	CHECK(strstr(fake_serial.sent, "input was lost") == NULL);
}

TEST(input_lost, "input beyond all bounds is told as lost")
{
	fresh();
	shell_start();
	for (unsigned i = 0; i < 40000; i++) {
		shell_input('\r');
	}
	poll_all();
	CHECK(strstr(fake_serial.sent, "input was lost") != NULL);
}

TEST(overrun, "input that the port lost is told, at most every ten seconds")
{
	fresh();
	shell_start();
	fake_serial.overrun = true;
	poll_all();
	CHECK(strstr(fake_serial.sent, "input was lost, the serial port") != NULL);
	fake_serial_forget();
	fake_serial.overrun = true;
	poll_all();
	CHECK(strstr(fake_serial.sent, "input was lost") == NULL);
	fake.now_ns += 10 * NS_PER_S;
	poll_all();
	CHECK(strstr(fake_serial.sent, "input was lost") != NULL);
}

TEST(attach, "bytes behind the attaching command go to the guest, those behind Ctrl-] to the shell")
{
	fresh();
	shell_start();
	fake_serial_forget();
	type("vm console x\rroot\r\003\x1dmem 9\r");
	poll_all();
	CHECK_STR(guest_got, "root\r\003");
	CHECK_STR(fake_serial.sent, "vm console x\r\n\r\nok\r\n" PROMPT "mem 9\r\n<9>\r\nok\r\n" PROMPT);
}

TEST(detach, "an attachment that its guest ends gives the prompt back")
{
	fresh();
	shell_start();
	type("vm console x\r");
	poll_all();
	fake_serial_forget();
	console_raw_write((const uint8_t *)"login: ", 7);
	console_detach();
	poll_all();
	CHECK_STR(fake_serial.sent, "login: \r\nok\r\n" PROMPT);
	shell_poll();
	CHECK_STR(fake_serial.sent, "login: \r\nok\r\n" PROMPT);
}

TEST(complete, "Tab completes commands, then names, and shows choices")
{
	fresh();
	shell_set_names(SHELL_POOL, nth_pool);
	CHECK_STR(completes("poo\t"), "pool ");
	CHECK_STR(completes("mem\t"), "mem ");
	CHECK_STR(completes("pool\tli\t"), "pool list ");
	CHECK_STR(completes("pool list w\t"), "pool list web");
	CHECK_STR(completes("pool list web\t"), "pool list web\r\033[Kweb  webs\r\n\rtarn> pool list web\033[K");
	CHECK_STR(completes("pool list po\t"), "pool list pool0 ");
	CHECK_STR(completes("cpupool-list webs\t"), "cpupool-list webs ");
	CHECK_STR(completes("mem pool=po\t"), "mem pool=pool0 ");
	CHECK_STR(completes("mem vcpus=po\t"), "mem vcpus=po");
	CHECK_STR(completes("mem =po\t"), "mem =po");
	CHECK_STR(completes("pool load \t"), "pool load ");
	CHECK_STR(completes("help tr\tn\t"), "help trace nested ");
	CHECK_STR(completes("cpup\t"), "cpupool-list ");
	CHECK_STR(completes("pool l\t"), "pool l\r\033[Klist  load\r\n\rtarn> pool l\033[K");
	CHECK_STR(completes("x\""), "x\"");
	CHECK_STR(completes("nothing such \t"), "nothing such ");
}

TEST(ends, "poweroff and reboot say so first, and check the code")
{
	fresh();
	console_set_polled(false);
	if (setjmp(fake_serial.off) == 0) {
		shell_run("poweroff 33");
	}
	CHECK_STR(fake_serial.sent, "tarn: exit 33\r\n");
	console_set_polled(true);
	fake_serial_forget();
	if (setjmp(fake_serial.off) == 0) {
		shell_run("reboot");
	}
	CHECK_STR(fake_serial.sent, "tarn: reboot\r\n");
	CHECK_STR(says("poweroff 256"), "error: poweroff: CODE is 256, must be 0 to 255\r\n");
	CHECK_STR(says("poweroff -1"), "error: poweroff: CODE is -1, must be 0 to 255\r\n");
}

TEST(fuzz, "random input never brings the shell down or its prompt away")
{
	static const char *const keys[] = {
		"pool ", "list ", "\t", "\t", "\r", "\r", "\"", "-j ", "mem ", "help ", "\033[A", "\033[D", "\010",
		"\025", "vm console x\r", "\x1d", "trace while -j\r", "console plain\r", "console rich\r", "\xc3\xa9",
	};
	struct test_rng rng = { 9 };

	fresh();
	shell_set_names(SHELL_POOL, nth_pool);
	shell_start();
	for (unsigned i = 0; i < 20000; i++) {
		if (test_rand_below(&rng, 4) == 0) {
			shell_input((uint8_t)test_rand(&rng));
		} else {
			type(keys[test_rand_below(&rng, sizeof(keys) / sizeof(keys[0]))]);
		}
		if (test_rand_below(&rng, 8) == 0) {
			log_printf("log %u", i);
			console_guest_line("vm", "line\033[1m", 8);
		}
		poll_all();
		guest_len = 0;
		fake_serial_forget();
	}
	type("\x1d\025\r\003mem end\r");
	poll_all();
	CHECK(strstr(fake_serial.sent, "<end>\r\nok\r\n") != NULL);
}
