/* SPDX-License-Identifier: BSD-2-Clause */
/* Until kernel/lib/manifest_files.c is here: the values of kernel, initrd, module and files. */
#include "boot/manifest_files.h"

#include "kernel/lib/string.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == ',' || c == '"';
}

bool manifest_next_file(const char *text, size_t size, size_t *cursor, char name[64])
{
	static const char *const keys[] = { "kernel", "initrd", "module", "files" };
	size_t at = *cursor;

	while (at < size) {
		size_t start = at, eol = at, v;
		bool names_file = false;

		while (start > 0 && text[start - 1] != '\n') {
			start--;
		}
		while (eol < size && text[eol] != '\n' && text[eol] != '#' && text[eol] != ';') {
			eol++;
		}
		while (start < eol && blank(text[start])) {
			start++;
		}
		for (unsigned k = 0; k < 4; k++) {
			size_t n = strlen(keys[k]);

			if (eol - start > n && strncmp(text + start, keys[k], n) == 0 &&
			    (blank(text[start + n]) || text[start + n] == '=')) {
				names_file = true;
			}
		}
		for (v = start; v < eol && text[v] != '='; v++) {
		}
		v = v + 1 > at ? v + 1 : at;
		while (v < eol && blank(text[v])) {
			v++;
		}
		if (names_file && v < eol) {
			size_t n = 0;

			while (v < eol && !blank(text[v]) && n < 63) {
				name[n++] = text[v++];
			}
			name[n] = '\0';
			*cursor = v;
			return true;
		}
		while (eol < size && text[eol] != '\n') {
			eol++;
		}
		at = eol + 1;
	}
	*cursor = size;
	return false;
}
