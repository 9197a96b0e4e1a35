/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells guest images apart by content and loads them. */
#include "vm/image.h"

#include "kernel/lib/string.h"
#include "vm/guest_acpi.h"
#include "vm/load.h"
#include "vm/load_layout.h"

#define MULTIBOOT_MAGIC		0x1badb002u
#define MULTIBOOT_SEARCH	8192u		/* its header lies in the first 8 KiB, on a 4-byte line */

static bool is_bzimage(struct reader *r)
{
	return reader_peek(r, 0x202, 4) == 0x53726448u && reader_peek(r, 0x1fe, 2) == 0xaa55u;	/* "HdrS" */
}

static bool is_multiboot(struct reader *r)
{
	for (size_t at = 0; at + 12 <= MIN(r->size, MULTIBOOT_SEARCH); at += 4) {
		uint64_t flags = reader_peek(r, at + 4, 4), sum = reader_peek(r, at + 8, 4);

		if (reader_peek(r, at, 4) == MULTIBOOT_MAGIC && ((MULTIBOOT_MAGIC + flags + sum) & 0xffffffff) == 0) {
			return true;
		}
	}
	return false;
}

/* What an image that cannot be loaded looks like. */
static const char *looks_like(struct reader *r)
{
	static const struct {
		const char *magic;
		size_t len;
		const char *words;
	} known[] = {
		{ "\x7f" "ELF", 4, "an ELF file without a PVH entry note" },
		{ "\x1f\x8b", 2, "a gzip file (unpack it first)" },
		{ "\xfd" "7zXZ", 5, "an xz file (unpack it first)" },
		{ "\x28\xb5\x2f\xfd", 4, "a zstd file (unpack it first)" },
		{ "MZ", 2, "a UEFI program" },
		{ "070701", 6, "a cpio archive (an initrd?)" },
		{ "#!", 2, "a script" },
	};

	if (r->size == 0) {
		return "an empty file";
	}
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (r->size >= known[i].len && memcmp(r->base, known[i].magic, known[i].len) == 0) {
			return known[i].words;
		}
	}
	return "unknown content";
}

enum image_kind image_kind(const void *data, size_t size, const char **found)
{
	struct reader r = reader_make(data, size);
	uint64_t entry;

	*found = "";
	if (is_bzimage(&r)) {
		return IMAGE_BZIMAGE;
	}
	if (reader_peek(&r, 0, 4) == 0x464c457ful && load_pvh_entry(&r, &entry)) {	/* "\177ELF" */
		return IMAGE_PVH;
	}
	if (is_multiboot(&r)) {
		return IMAGE_MULTIBOOT;
	}
	*found = looks_like(&r);
	return IMAGE_UNKNOWN;
}

static enum err check_request(struct load *l, unsigned vcpus)
{
	enum err e;

	if (l->mem->size < LOAD_MIN_BYTES + PAGE_SIZE) {
		return load_fail(l, ERR_NOMEM, "memory: %lu bytes, expected more than 1M", l->mem->size);
	}
	if (l->files->module_count > IMAGE_MODULES_MAX) {
		return load_fail(l, ERR_LIMIT, "module: found %u, at most %u are taken", l->files->module_count,
				 IMAGE_MODULES_MAX);
	}
	e = guest_acpi_write(l->mem, vcpus, &l->rsdp);
	return e == ERR_OK ? e : load_fail(l, e, "acpi tables for %u vcpus: %s", vcpus, err_words(e));
}

enum err image_load(struct gmem *g, const struct image_files *files, unsigned vcpus, struct virt_start *start,
		    struct load_error *why)
{
	struct load l = { .mem = g, .files = files, .start = start, .why = why };
	const char *found;
	enum err e;

	why->words[0] = '\0';
	e = check_request(&l, vcpus);
	if (e != ERR_OK) {
		return e;
	}
	switch (image_kind(files->kernel.data, files->kernel.size, &found)) {
	case IMAGE_BZIMAGE:
		return load_linux(&l);
	case IMAGE_PVH:
		return load_pvh(&l);
	case IMAGE_MULTIBOOT:
		return load_fail(&l, ERR_NOTSUP, "kernel: found a Multiboot image: Multiboot: not built yet");
	default:
		return load_fail(&l, ERR_NOTSUP,
				 "kernel: found %s, expected a Linux bzImage or an ELF with a PVH entry note", found);
	}
}
