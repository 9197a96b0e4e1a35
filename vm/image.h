/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads a guest: tells what `kernel =` holds by its content, puts it with initrd, modules, command line and ACPI
 * tables into the VM's RAM, and says how the first virtual cpu starts. All of it is outside data: whatever is wrong
 * is an error that names the field, what was found and what was expected.
 */
#pragma once

#include <stddef.h>

#include "arch/x86_64/virt.h"
#include "kernel/lib/err.h"
#include "vm/gmem.h"

#define IMAGE_MODULES_MAX	32u

struct image_blob {
	const void *data;
	size_t size;
	const char *name;	/* of its file, where a command line starts with it; NULL: none */
	const char *cmdline;	/* of a module; NULL: none */
};

struct image_files {
	struct image_blob kernel;
	struct image_blob initrd;		/* size 0: none */
	const struct image_blob *modules;
	unsigned module_count;
	const char *cmdline;			/* NULL: empty */
	const struct guest_numa *numa;		/* NULL: one node */
};

enum image_kind { IMAGE_BZIMAGE, IMAGE_PVH, IMAGE_MULTIBOOT, IMAGE_UNKNOWN };

struct load_error {
	char words[160];
};

/* What the content is. For IMAGE_UNKNOWN *found says what it looks like instead (never NULL). */
enum image_kind image_kind(const void *data, size_t size, const char **found);

/*
 * Loads into RAM that the caller has zeroed; on success *start is complete. On failure `why` has the words and RAM
 * may hold part of the guest. ERR_NOTSUP: a kind or entry that cannot be started; ERR_FORMAT, ERR_TRUNCATED: the
 * image is wrong; ERR_NOMEM: RAM is too small; ERR_LIMIT, ERR_INVAL: the manifest asks for what the image cannot.
 */
enum err image_load(struct gmem *g, const struct image_files *files, unsigned vcpus, struct virt_start *start,
		    struct load_error *why);
