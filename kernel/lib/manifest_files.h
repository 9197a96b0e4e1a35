/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files of \tarn\ a manifest's text names, for the loader, which must read them while the firmware is still there
 * and long before anybody judges the manifest. Needs no memory but the caller's cursor: each call reads the text anew.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/lib/string.h"

#define MANIFEST_FILE_MAX	64u	/* bytes of a name with its NUL: BOOT_NAME_MAX */
#define MANIFEST_FILE_FORM	"a file name of at most 63 letters, digits and . _ + -"

/* Between two names of a list. */
static inline bool manifest_file_separates(char c)
{
	return is_blank(c) || c == ',';
}

/* Is that a name the loader will take? Starting with "." is not: "." and ".." are no files. */
bool manifest_file_ok(const char *name, size_t length);

/*
 * The next file that text names: `kernel`, `initrd` and `module` of [vm NAME], `files` of [boot]; each name once, in
 * the order of the text. *cursor is 0 at first and means nothing to the caller. False when there is no more. What is no
 * name for a file is left out here and reported by the manifest parser.
 */
bool manifest_next_file(const char *text, size_t size, size_t *cursor, char name[MANIFEST_FILE_MAX]);
