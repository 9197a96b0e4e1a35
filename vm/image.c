/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells guest images apart by content and loads them. */
#include "vm/image.h"

#include "kernel/lib/string.h"
#include "vm/guest_acpi.h"
#include "vm/load.h"
#include "vm/load_layout.h"

static bool is_bzimage(struct reader *r)
{
	return reader_peek(r, 0x202, 4) == 0x53726448u && reader_peek(r, 0x1fe, 2) == 0xaa55u;	/* "HdrS" */
}

/* What an image that cannot be loaded looks like. */
static const char *looks_like(struct reader *r)
{
	static const struct {
		const char *magic;
		size_t len;
		const char *words;
	} known[] = {
		{ "\x7f" "ELF", 4, "an ELF file without a PVH entry note or Multiboot header" },
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
	size_t header;

	*found = "";
	if (is_bzimage(&r)) {
		return IMAGE_BZIMAGE;
	}
	if (reader_peek(&r, 0, 4) == LOAD_ELF_MAGIC && load_pvh_entry(&r, &entry)) {
		return IMAGE_PVH;
	}
	if (load_multiboot_header(&r, &header)) {
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
	if (!load_bios_area(l->mem)) {
		return load_fail(l, ERR_NOMEM, "memory: no RAM below 0x%lx", LOAD_GDT);
	}
	e = guest_acpi_write(l->mem, vcpus, l->files->numa, &l->rsdp);
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
		return load_multiboot(&l);
	default:
		return load_fail(&l, ERR_NOTSUP,
				 "kernel: found %s, expected a Linux bzImage, an ELF with a PVH entry note or a Multiboot image",
				 found);
	}
}
