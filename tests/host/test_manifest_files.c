/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel/lib/manifest_files: the files a manifest names, as the loader reads them. */
#include "tests/host/test.h"

#include <stdlib.h>

#include "kernel/lib/format.h"
#include "kernel/lib/manifest_files.h"

static const char *files_of(const char *text)
{
	static char list[8192];
	struct text t = text_make(list, sizeof(list));
	size_t size = strlen(text), cursor = 0;
	char *exact = malloc(size + 1), name[MANIFEST_FILE_MAX];

	memcpy(exact + 1, text, size);
	while (manifest_next_file(exact + 1, size, &cursor, name)) {
		text_printf(&t, "%s ", name);
	}
	CHECK(!manifest_next_file(exact + 1, size, &cursor, name));
	free(exact);
	return list;
}

TEST(files, "the files a manifest names are found once each, in order")
{
	CHECK_STR(files_of(""), "");
	CHECK_STR(files_of("\xef\xbb\xbf[boot]\r\nfiles = a b, c\r\n[vm x]\r\nkernel = k1 # no\r\ninitrd = \"i.gz\"\r\n"
			   "module = a\r\nmodule = m-1\r\nmemory = 1M\r\n[vm y]\r\nkernel=k1\r\ninitrd=i+2"),
		  "a b c k1 i.gz m-1 i+2 ");
	CHECK_STR(files_of("kernel = no\n[pool x]\nkernel = no\n[boot]\nkernel = no\n[vm\n[vm z]\nfiles = no\n"
			   "kernel = ../x\ninitrd = a/b\nmodule = ok"), "ok ");
	CHECK_STR(files_of("[vm a]\nkernel = 123456789012345678901234567890123456789012345678901234567890123\n"),
		  "123456789012345678901234567890123456789012345678901234567890123 ");
	CHECK_STR(files_of("[vm a]\nkernel = 1234567890123456789012345678901234567890123456789012345678901234\n"), "");
	CHECK_STR(files_of("[vm a]\nmodule = vmlinuz console=hvc0 x\nmodule = y \"a b\"\nmodule = \"z a\"\nkernel = k l\n"),
		  "vmlinuz y z k ");
	/* What follows a section's bad head belongs to no section. */
	CHECK_STR(files_of("[vm a]\nkernel = k\n[vm b\x01]\nmemory = 2M\nkernel = not-this\n"), "k ");
}
