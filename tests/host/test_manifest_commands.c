/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands about manifests: manifest show, check. */
#include "tests/host/test.h"

#include "kernel/console.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/shell.h"
#include "tests/fake/machine.h"
#include "tests/fake/serial.h"

static const char good[] = "[pool web]\r\nsched = rr\ncpus = 1\n[vm v]\npool = web\nkernel = two\nmemory = 4M\033[2J";
static const char bad[] = "[pool web]\nsched = nosuch\n[pool far]\ncpus = 9\n[vm v]\nkernel = three\nmemory = 4M\n";

static struct boot_file files[2];
static struct boot_info boot;

static void reset(const char *manifest)
{
	fake_machine_init(2);
	fake_serial_reset();
	console_set_polled(true);
	console_set_plain(true);
	con_write("\n", 1);
	console_flush();
	shell_init();
	files[0] = (struct boot_file){ .name = "bad.conf", .base = (uint64_t)bad, .size = sizeof(bad) - 1 };
	files[1] = (struct boot_file){ .name = "two", .base = (uint64_t)good, .size = 13 };
	boot = (struct boot_info){ .file_count = 2, .manifest = (uint64_t)manifest,
				   .manifest_size = manifest != NULL ? strlen(manifest) : 0 };
	machine.boot = &boot;
	machine.files = files;
}

static void end(void)
{
	machine.boot = NULL;
	CHECK_EQ(fake.heap_blocks, 0);
	fake_machine_fini();
}

static const char *says(const char *line)
{
	fake_serial_forget();
	shell_run(line);
	console_flush();
	return fake_serial.sent;
}

TEST(show, "manifest show prints the text line by line, and nothing in it commands the terminal")
{
	reset(good);
	CHECK_STR(says("manifest show"), "[pool web]\r\nsched = rr\r\ncpus = 1\r\n[vm v]\r\npool = web\r\nkernel = two\r\n"
		  "memory = 4M\r\nok\r\n");
	CHECK_STR(says("manifest show two"), "[pool web]\r\ns\r\nok\r\n");
	CHECK_STR(says("manifest show three"), "error: three: found no file of that name, expected one of `file list`\r\n");
	CHECK_STR(says("manifest show a b"), "error: manifest show: usage: manifest show [FILE]\r\n");
	end();
	reset(NULL);
	CHECK_STR(says("manifest show"), "error: tarn.conf: there was none at boot\r\n");
	CHECK_STR(says("manifest check"), "error: tarn.conf: there was none at boot\r\n");
	end();
}

TEST(check, "manifest check lists every error with its place, as at a boot of this machine")
{
	const char *said;

	reset("[pool web]\ncpus = 1\n[vm v]\npool = web\nkernel = two\nmemory = 4M\n");
	CHECK_STR(says("manifest check"), "2 pools, 1 VM, 0 warnings\r\nok\r\n");
	said = says("manifest check bad.conf");
	CHECK(strstr(said, "bad.conf:2:9: unknown scheduler \"nosuch\"") != NULL);
	CHECK(strstr(said, "bad.conf:4:8: ") != NULL);
	CHECK(strstr(said, "bad.conf:6:10: kernel: found no file \"three\"") != NULL);
	CHECK(strstr(said, "3 pools, 1 VM, 0 warnings\r\nerror: bad.conf: 3 errors\r\n") != NULL);
	fake.heap_fail_in = 1;
	CHECK(strstr(says("manifest check"), "error: tarn.conf: no memory for the command: ") != NULL);
	end();
}
