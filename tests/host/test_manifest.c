/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/manifest and kernel/lib/manifest_files: the manifest's grammar, its messages, its meaning. */
#include "tests/host/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/lib/ini.h"
#include "kernel/lib/manifest_files.h"
#include "kernel/lib/util.h"
#include "kernel/manifest.h"

/* --- A policy of our own, so that the test knows every tunable ---------------------------------------------------- */

enum { T_SLICE, T_MODE, T_SHARE, T_PERIOD, T_BUDGET };

static const char *const modes[] = { "calm", "eager", NULL };
static const struct sched_tunable tunables[] = {
	[T_SLICE] = { "t-slice", SCHED_TIME, SCHED_POOL, true, NULL, 1000, 1000000000, 10000000, NULL, "slice", NULL },
	[T_MODE] = { "t-mode", SCHED_ENUM, SCHED_POOL, true, NULL, 0, 1, 0, modes, "mode", NULL },
	[T_SHARE] = { "t-share", SCHED_INT, SCHED_GROUP, true, NULL, 1, 1000, 100, NULL, "share", NULL },
	[T_PERIOD] = { "t-period", SCHED_TIME, SCHED_ENTITY, true, NULL, 0, 1000000000, 10000000, NULL, "period", NULL },
	[T_BUDGET] = { "t-budget", SCHED_TIME, SCHED_ENTITY, true, NULL, 0, 1000000000, 1000000, NULL, "budget", NULL },
};

static enum err validate(const struct sched_values *set, enum sched_scope scope, struct sched_reason *why)
{
	if (scope == SCHED_ENTITY && set->v[T_BUDGET] > set->v[T_PERIOD]) {
		snprintf(why->words, sizeof(why->words), "t-budget is longer than t-period");
		return ERR_INVAL;
	}
	return ERR_OK;
}

SCHED_POLICY(test_policy, .name = "tt", .summary = "test", .tunables = tunables, .tunable_count = ARRAY_SIZE(tunables),
	     .honours = SCHED_HONOURS_HARD_AFFINITY, .validate = validate);
static const struct sched_tunable plain_tunables[] = {
	{ "t-other", SCHED_INT, SCHED_GROUP, true, NULL, 0, 9, 0, NULL, "other", NULL },
};
SCHED_POLICY(plain_policy, .name = "plain", .summary = "test", .tunables = plain_tunables, .tunable_count = 1);
SCHED_POLICY(default_policy, .name = "credit2", .summary = "the default");

/* --- Reading a text and keeping what was said --------------------------------------------------------------------- */

static struct manifest m;
static struct manifest_errors errors;
static char said[65536];
static struct text said_text;

static unsigned node_of(const void *context, unsigned cpu)
{
	return cpu / 2;
}

static bool has_file(const void *context, const char *name)
{
	return strcmp(name, "lost") != 0;
}

/* 4 cpus in 2 nodes. */
static const struct manifest_facts four = { { .cpu_count = 4, .node_of = node_of }, has_file, NULL };

static void keep_report(void *context, const struct manifest_error *e)
{
	CHECK(context == &said_text);
	manifest_error_print(e, "f", &said_text);
	text_putc(&said_text, '\n');
}

/* The text lies in memory of exactly its size: a read past it is found by ASan. */
static void read_bytes(const char *bytes, size_t size)
{
	char *text = malloc(size > 0 ? size : 1);

	memcpy(text, bytes, size);
	said_text = text_make(said, sizeof(said));
	errors = (struct manifest_errors){ keep_report, &said_text, 0, 0 };
	manifest_parse(&m, size > 0 ? text : text + 1, size, &errors);
	free(text);
	manifest_check(&m, &four, &errors);
}

static const char *read_text(const char *text)
{
	read_bytes(text, strlen(text));
	return said;
}

#define VM(name)	"[vm " name "]\nmemory = 1M\nkernel = k\n"

static const struct manifest_pool *pool(const char *name)
{
	unsigned i = manifest_pool_find(&m, name);

	CHECK(i < m.pool_count);
	return &m.pool[i];
}

static const char *cpus_of(const char *name)
{
	static char buf[256];
	struct text t = text_make(buf, sizeof(buf));

	cpusetexpr_print(&pool(name)->cpu_set, &t);
	return buf;
}

/* --- What is right ------------------------------------------------------------------------------------------------ */

TEST(empty, "no manifest is a good one: pool0 has every cpu")
{
	CHECK_STR(read_text("[boot]\ndefault-sched = tt\n"), "");
	CHECK_EQ(m.pool_count, 1);
	CHECK(m.pool[0].usable);
	CHECK_STR(m.pool[0].name, "pool0");
	CHECK_STR(cpus_of("pool0"), "0-3");
	CHECK_STR(m.pool[0].ops->name, "tt");
	read_bytes("", 0);
	CHECK_EQ(errors.errors, 0);
	CHECK(m.pool[0].usable);
	CHECK_STR(m.pool[0].ops->name, "credit2");
}

TEST(whole, "a whole manifest means what it says")
{
	CHECK_STR(read_text("# demo\n"
			    "[boot]\ndefault-sched = plain\nhousekeeping = 2\nfiles = a.img, b.img\n"
			    "run = pool list -c\nrun = vm list ; twice\n"
			    "[pool rt]\nsched = tt\nt-slice = 5ms\nt-mode = eager\ncpus = 1\n"
			    "[pool web]\ncpus = node:1 # two\nlend = off\n"
			    "[vm sensor]\npool = rt\nmemory = 128M\nkernel = vmlinuz\ninitrd = initrd.gz\n"
			    "cmdline = \"console=ttyS0 # quiet\"\nautostart = no\naffinity = 0-1\n"
			    "memory-policy = prefer\non-crash = restart\nt-share = 7\nt-budget = 2ms\n"),
		  "");
	CHECK_STR(m.boot.run[0].text, "pool list -c");
	CHECK_STR(m.boot.run[1].text, "vm list");
	CHECK_EQ(m.boot.run_count, 2);
	CHECK_STR(m.boot.file[1].text, "b.img");
	CHECK_EQ(m.boot.file[1].column, 16);
	CHECK_EQ(m.boot.housekeeping.value, 2);
	CHECK_EQ(m.pool_count, 3);
	CHECK_STR(cpus_of("pool0"), "0");
	CHECK_STR(cpus_of("rt"), "1");
	CHECK_STR(cpus_of("web"), "2-3");
	CHECK_STR(pool("rt")->ops->name, "tt");
	CHECK_STR(pool("web")->ops->name, "plain");
	CHECK_EQ(pool("rt")->values.v[T_SLICE], 5000000);
	CHECK_EQ(pool("rt")->values.v[T_MODE], 1);
	const struct manifest_vm *vm = &m.vm[0];
	CHECK(vm->usable && !vm->autostart);
	CHECK_STR(vm->name, "sensor");
	CHECK_STR(m.pool[vm->pool_index].name, "rt");
	CHECK_EQ(vm->memory_bytes, 128 * MIB);
	CHECK_STR(vm->kernel.text, "vmlinuz");
	CHECK_STR(vm->initrd.text, "initrd.gz");
	CHECK_STR(vm->cmdline.text, "console=ttyS0 # quiet");
	CHECK_EQ(vm->vcpus.value, 1);
	CHECK_EQ(vm->memory_policy, MANIFEST_PREFER);
	CHECK_EQ(vm->on_poweroff, MANIFEST_STOP);
	CHECK_EQ(vm->on_reboot, MANIFEST_RESTART);
	CHECK_EQ(vm->on_crash, MANIFEST_RESTART);
	CHECK_EQ(vm->values.v[T_SHARE], 7);
	CHECK_EQ(vm->values.v[T_BUDGET], 2000000);
	CHECK_EQ(vm->affinity_set.word[0], 3);
	CHECK(cpuset_empty(&vm->soft_set));
}

TEST(lexical, "line ends, byte order mark, comments, blanks and quotes are taken as documented")
{
	CHECK_STR(read_text("\xef\xbb\xbf[vm a]\r\n; comment\r\n  # comment\r\n\r\n\tmemory=2M\r\n"
			    " kernel\t =  k#1 \r\n"),
		  "f:6:13: kernel: found \"k#1\", expected a file name of at most 63 letters, digits and . _ + -\n");
	CHECK_EQ(m.vm[0].memory_bytes, 2 * MIB);
	CHECK_STR(read_text(VM("a") "cmdline = a;b c#d \"x  # y\" ;z"), "");
	CHECK_STR(m.vm[0].cmdline.text, "a;b c#d \"x  # y\"");
	CHECK_STR(read_text(VM("a") "cmdline = \"  a b \" # c\n"), "");
	CHECK_STR(m.vm[0].cmdline.text, "  a b ");
	CHECK_STR(read_text(VM("a") "cmdline =\n"), "");
	CHECK_STR(m.vm[0].cmdline.text, "");
	CHECK_STR(read_text(VM("a") "cmdline = a = b # no newline at the end"), "");
	CHECK_STR(m.vm[0].cmdline.text, "a = b");
	CHECK_STR(read_text("[ vm \t a ] ; c\nmemory = 1M\nkernel = k"), "");
	CHECK_STR(m.vm[0].name, "a");
}

/* --- What is wrong: every message once, with its place ------------------------------------------------------------ */

static const struct wrong {
	const char *text, *message;
} wrong[] = {
	/* lines */
	{ "[boot\n", "f:1:1: found no \"]\", expected [SECTION] or [SECTION NAME]\n" },
	{ "  []\n", "f:1:3: found \"[]\", expected one or two words between [ and ]\n" },
	{ "[vm a b]\n", "f:1:1: found \"[vm a b]\", expected one or two words between [ and ]\n" },
	{ "[boot] x\n", "f:1:8: found \"x\", expected the end of the line after \"]\"\n" },
	{ "[boot]\nnonsense here\n", "f:2:1: found \"nonsense here\", expected KEY = VALUE or [SECTION]\n" },
	{ "[boot]\n = 1\n", "f:2:2: found \"=\", expected a key of letters, digits, - and _ before \"=\"\n" },
	{ "[boot]\na b = 1\n", "f:2:1: found \"a b\", expected a key of letters, digits, - and _ before \"=\"\n" },
	{ "[boot]\nrun = \"a\n", "f:2:7: found a quote without its end, expected a second \"\n" },
	{ "[boot]\nrun = \xc3\xa4\xc3\xb6 \"a\n", "f:2:10: found a quote without its end, expected a second \"\n" },
	{ "[boot]\nrun = \"a\" b\n", "f:2:11: found \"b\", expected the end of the line after the closing quote\n" },
	{ "[boot]\nrun = a\x01\n", "f:2:8: found a control character (0x01), expected text\n" },
	{ "[boot]\rrun = a\n", "f:1:7: found a control character (0x0d), expected text\n" },
	/* sections */
	{ "run = x\n",
	  "f:1:1: found key \"run\" before any section, expected [boot], [pool NAME] or [vm NAME] first\n" },
	{ "[foo]\nx = 1\n", "f:1:2: unknown section \"foo\", expected one of: boot, pool, vm\n" },
	{ "[boot x]\n", "f:1:7: found \"x\", expected [boot] without a name\n" },
	{ "[pool]\n", "f:1:6: found no name, expected a name of at most 31 letters, digits and . _ -\n" },
	{ "[vm a/b]\n", "f:1:5: found \"a/b\", expected a name of at most 31 letters, digits and . _ -\n" },
	{ "[vm abcdefghijabcdefghijabcdefghijab]\n",
	  "f:1:5: found \"abcdefghijabcdefghijabcdefghijab\", expected a name of at most 31 letters, digits "
	  "and . _ -\n" },
	{ "[boot]\n\n[boot]\n", "f:3:2: found section [boot] again, expected it once: first in line 1\n" },
	{ "[pool a]\n[pool a]\ncpus = x\n",
	  "f:2:2: found section [pool a] again, expected it once: first in line 1\n" },
	{ VM("a") "[vm a]\n", "f:4:2: found section [vm a] again, expected it once: first in line 1\n" },
	{ "[pool pool0]\n[pool pool0]\n",
	  "f:2:2: found section [pool pool0] again, expected it once: first in line 1\n" },
	/* keys and values */
	{ "[boot]\nruns = x\n",
	  "f:2:1: unknown key \"runs\", expected one of: default-sched, housekeeping, numa-split, mitigations, files, run\n" },
	{ "[pool a]\nlend = no\n\nlend = no\n",
	  "f:4:1: found key \"lend\" again, expected it once: first given in line 2\n" },
	{ "[pool a]\nsched = tt\nt-slice = 1ms\nt-slice = 1ms\n",
	  "f:4:1: found key \"t-slice\" again, expected it once: first given in line 3\n" },
	{ "[boot]\nrun =\n", "f:2:6: run: found nothing, expected a shell command\n" },
	{ "[boot]\nhousekeeping = x\n", "f:2:16: housekeeping: found \"x\", expected a number from 0 to 1023\n" },
	{ "[boot]\nhousekeeping = 4\n",
	  "f:2:16: housekeeping: found cpu 4, expected a cpu that the machine has (0-3)\n" },
	{ "[boot]\nfiles = a, b/c\n",
	  "f:2:12: files: found \"b/c\", expected a file name of at most 63 letters, digits and . _ + -\n" },
	{ "[boot]\nfiles = lost\n", "f:2:9: files: found no file \"lost\", expected it in \\tarn\\\n" },
	{ "[pool a]\nlend = maybe\n", "f:2:8: lend: found \"maybe\", expected yes or no\n" },
	{ "[pool a]\ngranularity = thread\n", "f:2:15: granularity: found \"thread\", expected one of: cpu, core\n" },
	{ VM("a") "pool = a b\n",
	  "f:4:8: pool: found \"a b\", expected a name of at most 31 letters, digits and . _ -\n" },
	{ VM("a") "vcpus = 0\n", "f:4:9: vcpus: found \"0\", expected a number from 1 to 64\n" },
	{ "[vm a]\nkernel = k\nmemory = 128\n",
	  "f:3:10: memory: found \"128\", expected a size such as 128M (K, M, G, T), "
	  "at least 1M, a multiple of 4K\n" },
	{ "[vm a]\nkernel = k\nmemory = 1025K\n", "f:3:10: memory: found \"1025K\", expected a size such as 128M "
	  "(K, M, G, T), at least 1M, a multiple of 4K\n" },
	{ "[vm a]\nkernel = k\nmemory = 99999999999T\n",
	  "f:3:10: memory: found \"99999999999T\", expected a size such as "
	  "128M (K, M, G, T), at least 1M, a multiple of 4K\n" },
	{ "[vm a]\nkernel = \nmemory = 1M\n",
	  "f:2:10: kernel: found nothing, expected a file name of at most 63 letters, digits and . _ + -\n" },
	{ "\n[vm a]\n",
	  "f:2:2: vm a: found no key \"memory\", expected memory = a size such as 128M (K, M, G, T), at least "
	  "1M, a multiple of 4K\nf:2:2: vm a: found no key \"kernel\", expected kernel = a file name of at most 63 "
	  "letters, digits and . _ + -\n" },
	{ VM("a") "initrd = lost\n", "f:4:10: initrd: found no file \"lost\", expected it in \\tarn\\\n" },
	/* pools and cpus */
	{ "[pool a]\ncpus = 0,x\n",
	  "f:2:10: cpus: found \"x\", expected a cpu (3), a range (0-3), node:N, core:N, free or "
	  "all\n" },
	{ "[pool a]\ncpus = \"3-4\"\n", "f:2:11: cpus: found cpu 4, expected a cpu that the machine has (0-3)\n" },
	{ "[pool a]\ncpus = 1,^1\n", "f:2:8: cpus: found no cpu in \"1,^1\", expected at least one\n" },
	{ "[pool a]\ncpus = 1\n[pool b]\ncpus = 0-1\n",
	  "f:4:8: cpus: found cpu 1, expected one that pool a (line 1) has not\n" },
	{ "[vm a]\nmemory = 1M\nkernel = k\npool = b\n[pool c]\n",
	  "f:4:8: unknown pool \"b\", expected one of: pool0, c\n" },
	{ "[pool b]\ncpus = x\n" VM("a") "pool = b\n",
	  "f:2:8: cpus: found \"x\", expected a cpu (3), a range (0-3), node:N, "
	  "core:N, free or all\nf:6:8: pool: found b, which is not built, expected a pool without errors "
	  "(see line 1)\n" },
	{ "[pool b]\nsched = tt\ncpus = 1\n" VM("a") "pool = b\naffinity = 2-3\n",
	  "f:8:12: affinity: found no cpu of pool b, expected at least one\n" },
	/* scheduler values */
	{ "[pool b]\nsched = tt\nt-share = 1\n",
	  "f:3:1: found key \"t-share\" here, expected it in a section [vm NAME]\n" },
	{ "[pool b]\nsched = tt\ncpus = 1\n" VM("a") "pool = b\nt-slice = 1ms\n",
	  "f:8:1: found key \"t-slice\" here, expected it in a section [pool NAME]\n" },
	{ "[pool b]\nsched = tt\ntmeslice = 1\n", "f:3:1: unknown key \"tmeslice\", expected one of: sched, cpus, "
	  "granularity, admission, lend; or of scheduler tt: t-slice, t-mode\n" },
	{ "[pool b]\nsched = tt\ncpus = 1\n" VM("a") "pool = b\nt-period = 1ms\nt-budget = 2ms\n",
	  "f:4:2: a: t-budget is longer than t-period\n" },
	/* warnings */
	{ "[boot]\nnuma-split = yes\n", "f:2:1: warning: key numa-split: not built yet, ignored\n" },
	{ "[pool b]\ngranularity = core\n", "f:2:1: warning: key granularity: not built yet, ignored\n" },
	{ "[pool b]\nlend = on\n", "f:2:1: warning: key lend: not built yet, ignored\n" },
	{ "[pool b]\nsched = tt\nframe = 10ms\nwindow = 0 a.0 1ms\nwindow = 1 a.0 1ms\n",
	  "f:3:1: warning: key frame: scheduler tt does not have it, ignored\n"
	  "f:4:1: warning: key window: scheduler tt does not have it, ignored\n"
	  "f:5:1: warning: key window: scheduler tt does not have it, ignored\n" },
	{ "[pool b]\nsched = arinc653\ncpus = 1\nframe = 10ms\nwindow = 1 a.0 6ms\nwindow = 1 b.0 5ms\n",
	  "f:1:2: b: slot 1: its windows up to that of b.0 last 11000 us, the frame 10000 us\n" },
	{ "[pool b]\nsched = arinc653\ncpus = 1\nwindow = 0 a.0 6ms\nwindow = 1 b.0 5ms\n",
	  "f:1:2: b: cpu 0 has a window, expected one of the pool's cpus\n" },
	{ "[pool b]\nsched = arinc653\ncpus = 1\nwindow = 1 a 6ms\n",
	  "f:4:10: window: found \"1 a 6ms\", expected SLOT VM.VCPU TIME, or SLOT idle TIME\n" },
	{ VM("a") "vcpus = 2\nmemory-follows = yes\n", "f:5:1: warning: key memory-follows: not built yet, ignored\n" },
	{ VM("a") "module = m\nmodule = ../n quiet\n",
	  "f:5:10: module: found \"../n quiet\", expected a file name, perhaps with a blank and at most 511 bytes of "
	  "arguments after it\n" },
	{ "[pool b]\nsched = tt\ncpus = 1\n" VM("a") "pool = b\nt-other = 1\n",
	  "f:8:1: warning: key t-other: scheduler tt does not have it, ignored\n" },
	{ "[pool b]\nsched = tt\ncpus = 1\n" VM("a") "pool = b\nsoft-affinity = 1\n",
	  "f:8:17: warning: soft-affinity: scheduler tt does not honour it\n" },
	{ "[pool b]\nsched = plain\ncpus = 1\n" VM("a") "pool = b\naffinity = 1\n",
	  "f:8:12: warning: affinity: scheduler plain does not honour it\n" },
	{ "[pool b]\nsched = tt\n" VM("a") "pool = b\n",
	  "f:6:8: warning: pool b has no cpu: vm a waits until it gets one\n" },
};

TEST(messages, "every error and warning names line, column, what was found and what was expected")
{
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK_STR(read_text(wrong[i].text), wrong[i].message);
		CHECK_EQ(errors.errors > 0, strstr(said, "warning") == NULL);
	}
}

TEST(scheds, "an unknown scheduler is named with those there are, and a wrong value with its reason")
{
	static const char *const starts[] = { "f:2:17: unknown scheduler \"foo\", expected one of: ",
					      "f:4:9: unknown scheduler \"foo\", expected one of: ",
					      "f:7:11: t-slice: " };
	char *at = said;

	read_text("[boot]\ndefault-sched = foo\n[pool a]\nsched = foo\n[pool b]\nsched = tt\nt-slice = 5\n");
	for (unsigned i = 0; i < ARRAY_SIZE(starts); i++) {
		if (strncmp(at, starts[i], strlen(starts[i])) != 0) {
			test_fail(__FILE__, __LINE__, "want %s, got %s", starts[i], at);
		}
		CHECK(i == 2 || strstr(at, "tt") != NULL);
		at = strchr(at, '\n') + 1;
	}
	CHECK_STR(at, "");
	CHECK(!pool("a")->usable && !pool("b")->usable && pool("pool0")->usable);
	CHECK_STR(pool("pool0")->ops->name, "credit2");
}

TEST(nul, "a NUL byte and a line of more than 1024 bytes are errors of that line only")
{
	static const char nul[] = "[boot]\nrun = a\0b\nrun = c\n";
	static char line[3000];

	read_bytes(nul, sizeof(nul) - 1);
	CHECK_STR(said, "f:2:8: found a control character (0x00), expected text\n");
	CHECK_STR(m.boot.run[0].text, "c");
	for (unsigned length = 1024; length <= 1025; length++) {
		memset(line, 'x', sizeof(line));
		memcpy(line, "[boot]\nrun = ", 13);
		memcpy(line + 7 + length, "\nrun = c\n", 9);
		read_bytes(line, 7 + length + 9);
		CHECK_STR(said, length == 1024 ? "" :
			  "f:2:1025: found a line of more than 1024 bytes, expected a shorter one\n");
		CHECK_EQ(m.boot.run_count, length == 1024 ? 2 : 1);
	}
}

TEST(all_errors, "all errors are listed, and what is right is built beside them")
{
	read_text("[pool bad]\nsched = nope\ncpus = 1\n[pool good]\nsched = tt\ncpus = 2\n"
		  "[vm one]\npool = good\nmemory = 1M\nkernel = k\n[vm two\npool = bad\n"
		  "[vm three]\npool = bad\nmemory = 1M\nkernel = k\n[vm four]\nmemory = 0\nkernel = /x\n");
	CHECK_EQ(errors.errors, 5);
	CHECK(strstr(said, "f:11:1: ") && strstr(said, "f:18:10: ") && strstr(said, "f:19:10: ") &&
	      strstr(said, "f:2:9: ") && strstr(said, "f:14:8: "));
	CHECK_EQ(m.vm_count, 3);
	CHECK(pool("good")->usable && !pool("bad")->usable);
	CHECK(m.vm[0].usable && !m.vm[1].usable && !m.vm[2].usable);
	/* What a pool that is not built asked for stays free. */
	CHECK_STR(cpus_of("pool0"), "0,3");
}

TEST(pool0, "pool0 is always made, with defaults where its section is wrong")
{
	read_text("[boot]\ndefault-sched = tt\n[pool a]\ncpus = 1\n[pool pool0]\nsched = plain\ncpus = 0-1\n");
	CHECK_EQ(errors.errors, 1);
	CHECK(m.pool[0].usable);
	CHECK_STR(m.pool[0].ops->name, "tt");
	CHECK_STR(cpus_of("pool0"), "0,2-3");
	read_text("[pool pool0]\nsched = tt\nt-slice = 5\ncpus = 0\n[pool a]\ncpus = 1\n");
	CHECK_EQ(errors.errors, 1);
	CHECK_STR(cpus_of("pool0"), "0");
	CHECK_STR(read_text("[pool pool0]\nsched = tt\nt-mode = eager\n[pool a]\nsched = tt\ncpus = free,^3\n"
			    "[pool b]\ncpus = free\n"), "");
	CHECK_EQ(m.pool[0].values.v[T_MODE], 1);
	CHECK_STR(cpus_of("a"), "0-2");
	CHECK_STR(cpus_of("b"), "3");
	CHECK_STR(cpus_of("pool0"), "none");
}

/* A text made of count copies of a line with its number in it. */
static char *repeat(const char *head, const char *fmt, unsigned count)
{
	static char big[400000];
	size_t at = (size_t)snprintf(big, sizeof(big), "%s", head);

	for (unsigned i = 0; i < count; i++) {
		at += (size_t)snprintf(big + at, sizeof(big) - at, fmt, i);
	}
	return big;
}

TEST(limits, "over each limit there is one error with its line, and nothing is lost below it")
{
	CHECK_STR(read_text(repeat("", "[pool p%u]\n", 64)), "f:64:2: found one pool too many, expected at most 64\n");
	CHECK_EQ(m.pool_count, 64);
	CHECK_STR(read_text(repeat("", VM("v%u"), 129)), "f:385:2: found one VM too many, expected at most 128\n");
	CHECK_EQ(m.vm_count, 128);
	CHECK_STR(read_text(repeat("[boot]\n", "run = x%u\n", 65)),
		  "f:66:7: run: found one too many, expected at most 64\n");
	read_text(repeat(VM("a"), "x%u = 1\n", 513));
	CHECK(strstr(said, "f:516:1: found one too many scheduler values, expected at most 512\n") != NULL);
	CHECK_EQ(m.tunable_count, 512);
	read_text(repeat("[vm a]\n", "x%1$u = %1$01000u\n", 70));
	CHECK(strstr(said, "found a manifest of more than 65536 bytes of values, expected a shorter one\n") != NULL);
	CHECK(!m.vm[0].usable);
}

/* --- Keys and files ----------------------------------------------------------------------------------------------- */

TEST(keys, "every key has a help of one line, a good default, and is found")
{
	uint64_t number;

	for (unsigned i = 0; i < manifest_key_count; i++) {
		const struct manifest_key *key = &manifest_keys[i];
		char line[160];
		struct text t = text_make(line, sizeof(line));

		manifest_describe_key(key, &t);
		CHECK(!t.cut && strncmp(line, key->name, strlen(key->name)) == 0 && strstr(line, key->help) != NULL);
		CHECK(manifest_key_find(key->section, key->name) == key);
		CHECK(key->def == NULL || manifest_key_value(key, key->def, &number));
		CHECK(key->built || key->def != NULL || key->repeatable || key->type == MANIFEST_TUNABLE);
	}
}

TEST(modules, "a module is a file and the arguments that follow it, with or without quotes")
{
	static const char text[] = VM("a") "module = vmlinuz console=hvc0 panic=-1\nmodule = i.gz\nmodule = x  \"a b\"\n"
				   "module = \"y a\"\nmodule = z a=\"b\" \"c\"\n";
	static const struct { const char *file, *args; } want[] = {
		{ "vmlinuz", "console=hvc0 panic=-1" }, { "i.gz", "" }, { "x", "a b" }, { "y", "a" }, { "z", "a=\"b\" \"c\"" },
	};

	CHECK_STR(read_text(text), "");
	CHECK_EQ(m.vm[0].module_count, ARRAY_SIZE(want));
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		CHECK_STR(m.vm[0].module[i].file.text, want[i].file);
		CHECK_STR(m.vm[0].module[i].args, want[i].args);
	}
}

TEST(bad_heads, "what follows a section's bad head belongs to no section")
{
	static const char text[] = VM("a") "[vm b\x01]\nmemory = 2M\nkernel = not-this\nbogus\n";

	CHECK_STR(read_text(text), "f:4:6: found a control character (0x01), expected text\n"
				   "f:7:1: found \"bogus\", expected KEY = VALUE or [SECTION]\n");
	CHECK(m.vm_count == 1 && m.vm[0].usable && m.vm[0].memory_bytes == MIB);
}

/* A file of the tree, or a failure: tests run in its root. */
static const char *tree_file(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "rb");

	if (f == NULL) {
		test_fail(__FILE__, __LINE__, "cannot open %s", path);
	}
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

TEST(examples, "the example manifests are without error or warning on 4 cpus in 2 nodes")
{
	CHECK_STR(read_text(tree_file("manifests/demo.conf")), "");
	CHECK_STR(cpus_of("pool0"), "0");
	CHECK_STR(cpus_of("rt"), "1");
	CHECK_STR(cpus_of("shared"), "2");
	CHECK_EQ(m.vm_count, 3);
	CHECK_STR(read_text(tree_file("manifests/minimal.conf")), "");
	CHECK_STR(cpus_of("pool0"), "0-3");
	CHECK_STR(read_text(tree_file("manifests/numa.conf")), "");
	CHECK_STR(cpus_of("node1"), "2-3");
}

TEST(documented, "the user's page has every key, and its whole example is without error")
{
	static const char fence[] = "```ini\n";
	const char *page = tree_file("docs/manifest.md"), *start = strstr(page, fence);
	char quoted[40];

	for (unsigned i = 0; i < manifest_key_count; i++) {
		snprintf(quoted, sizeof(quoted), "`%s`", manifest_keys[i].name);
		if (strstr(page, quoted) == NULL) {
			test_fail(__FILE__, __LINE__, "no %s in docs/manifest.md", quoted);
		}
	}
	CHECK(start != NULL);
	start += strlen(fence);
	read_bytes(start, (size_t)(strstr(start, "```") - start));
	CHECK_STR(said, "");
	CHECK_EQ(m.vm_count, 1);
}

/* --- Fuzz --------------------------------------------------------------------------------------------------------- */

static const char good[] =
	"\xef\xbb\xbf# demo\n[boot]\ndefault-sched = tt\nfiles = a b\nrun = pool list -c\n\n[pool rt]\nsched = tt\n"
	"cpus = 1,^2\nt-slice = 10ms\n[pool web]\ncpus = node:1\r\nlend = no\n"
	"[vm s]\npool = rt\nmemory = 128M\nkernel = vmlinuz\n"
	"initrd = initrd.gz\ncmdline = \"console=ttyS0 quiet\"  ; c\nt-budget = 1ms\naffinity = 0-1,node:0\n";

/* What must hold of any bytes: the parser stays inside, every message is whole, every usable thing is complete. */
static void check_any(const char *bytes, size_t size)
{
	char name[MANIFEST_FILE_MAX], *exact = malloc(size + 1);
	size_t cursor = 0, count = 0;

	read_bytes(bytes, size);
	CHECK_EQ(m.pool[0].usable, true);
	for (unsigned i = 0; i < m.pool_count; i++) {
		CHECK(!m.pool[i].usable || m.pool[i].ops != NULL);
		for (unsigned k = 0; k < i; k++) {
			CHECK(!m.pool[i].usable || !m.pool[k].usable ||
			      !cpuset_intersects(&m.pool[i].cpu_set, &m.pool[k].cpu_set));
		}
	}
	for (unsigned i = 0; i < m.vm_count; i++) {
		const struct manifest_vm *vm = &m.vm[i];

		CHECK(!vm->usable || (vm->memory_bytes >= MIB && vm->kernel.text[0] != '\0' &&
				      m.pool[vm->pool_index].usable));
	}
	CHECK_EQ(errors.errors + errors.warnings > 0, said[0] != '\0');
	memcpy(exact + 1, bytes, size);
	while (manifest_next_file(exact + 1, size, &cursor, name)) {
		CHECK(manifest_file_ok(name, strlen(name)) && ++count <= size);
	}
	free(exact);
}

TEST(fuzz_bytes, "random bytes never lead the parser out of the text")
{
	static const char letters[] = "[]=\"#; \n\n\r\tabvmpool boot0123456789^,-\0\xef\xbb";
	struct test_rng rng = { 5 };
	char bytes[160];

	for (int i = 0; i < 2000; i++) {
		size_t size = test_rand_below(&rng, sizeof(bytes));

		for (size_t k = 0; k < size; k++) {
			uint64_t r = test_rand(&rng);

			bytes[k] = i % 2 == 0 ? (char)r : letters[r % (sizeof(letters) - 1)];
		}
		check_any(bytes, size);
	}
}

TEST(fuzz_mutated, "mutated and cut good manifests keep every promise")
{
	struct test_rng rng = { 6 };
	char bytes[sizeof(good) + 64];

	check_any(good, sizeof(good) - 1);
	CHECK_EQ(errors.errors, 0);
	for (int i = 0; i < 3000; i++) {
		size_t size = sizeof(good) - 1;

		memcpy(bytes, good, size);
		for (unsigned k = 0, n = 1 + (unsigned)test_rand_below(&rng, 6); k < n; k++) {
			size_t at = test_rand_below(&rng, size), from = test_rand_below(&rng, size);
			size_t length = test_rand_below(&rng, MIN(size - at, size - from));

			switch (test_rand_below(&rng, 3)) {
			case 0:
				bytes[at] = (char)test_rand(&rng);
				break;
			case 1:
				memmove(bytes + at, bytes + from, MIN(length, (size_t)40));
				break;
			default:
				bytes[at] = "[]=\"#;\n\r ,^"[test_rand_below(&rng, 11)];
				break;
			}
		}
		check_any(bytes, test_rand_below(&rng, 4) == 0 ? test_rand_below(&rng, size) : size);
	}
}
