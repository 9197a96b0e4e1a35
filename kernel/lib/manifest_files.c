/* SPDX-License-Identifier: BSD-2-Clause */
/* The files a manifest's text names. */
#include "kernel/lib/manifest_files.h"

#include "kernel/lib/ini.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

/* A walk over all names, repeated ones too. */
struct walk {
	struct ini ini;
	bool in_boot, in_vm;
	const char *at, *end;	/* what is left of the value in hand */
	size_t number;		/* names returned so far */
};

bool manifest_file_ok(const char *name, size_t length)
{
	return length > 0 && length < MANIFEST_FILE_MAX && name[0] != '.' && str_is_name(name, length, "._+-");
}

/* What follows the name of a module is for the guest. */
static const char *names_end(const struct walk *w, const struct ini_span *value)
{
	const char *at = value->at, *end = at + value->len;

	if (w->in_boot) {
		return end;
	}
	while (at < end && !manifest_file_separates(*at)) {
		at++;
	}
	return at;
}

static bool names_files(const struct walk *w, const struct ini_span *key)
{
	static const char *const of_vm[] = { "kernel", "initrd", "module" };

	for (unsigned i = 0; w->in_vm && i < ARRAY_SIZE(of_vm); i++) {
		if (ini_span_is(key, of_vm[i])) {
			return true;
		}
	}
	return w->in_boot && ini_span_is(key, "files");
}

static bool walk_value(struct walk *w)
{
	struct ini_line line;

	while (ini_next(&w->ini, &line)) {
		if (line.opens) {
			w->in_boot = line.kind == INI_SECTION && ini_span_is(&line.head, "boot");
			w->in_vm = line.kind == INI_SECTION && ini_span_is(&line.head, "vm");
		} else if (line.kind == INI_ENTRY && names_files(w, &line.head)) {
			w->at = line.body.at;
			w->end = names_end(w, &line.body);
			return true;
		}
	}
	return false;
}

static bool walk_next(struct walk *w, const char **name, size_t *length)
{
	const char *start;

	for (;;) {
		while (w->at < w->end && manifest_file_separates(*w->at)) {
			w->at++;
		}
		if (w->at == w->end) {
			if (!walk_value(w)) {
				return false;
			}
			continue;
		}
		for (start = w->at; w->at < w->end && !manifest_file_separates(*w->at); w->at++) {
		}
		if (manifest_file_ok(start, (size_t)(w->at - start))) {
			*name = start;
			*length = (size_t)(w->at - start);
			w->number++;
			return true;
		}
	}
}

/* Does a name before the number-th equal this one? */
static bool seen_before(const char *text, size_t size, size_t number, const char *name, size_t length)
{
	struct walk w = { .ini = ini_make(text, size) };
	const char *other;
	size_t other_length;

	while (w.number + 1 < number && walk_next(&w, &other, &other_length)) {
		if (other_length == length && memcmp(other, name, length) == 0) {
			return true;
		}
	}
	return false;
}

bool manifest_next_file(const char *text, size_t size, size_t *cursor, char name[MANIFEST_FILE_MAX])
{
	struct walk w = { .ini = ini_make(text, size) };
	const char *found;
	size_t length;

	while (walk_next(&w, &found, &length)) {
		if (w.number <= *cursor || seen_before(text, size, w.number, found, length)) {
			continue;
		}
		memcpy(name, found, length);
		name[length] = '\0';
		*cursor = w.number;
		return true;
	}
	return false;
}
