/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the manifest and the files it names from \tarn\ into memory that the kernel keeps. */
#include "boot/loader.h"

#include "kernel/lib/manifest_files.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define FOLDER		"\\tarn\\"
#define MANIFEST	"tarn.conf"
#define MANIFEST_MAX	(1ul << 20)
#define PROGRESS_DOTS	7u

_Static_assert(MANIFEST_FILE_MAX == BOOT_NAME_MAX, "a name that the manifest gives fits the kernel's list");

/* 14,186,432 */
static const char *grouped(uint64_t value, char buf[32])
{
	char *at = buf + 31;
	unsigned digits = 0;

	*at = '\0';
	do {
		if (digits != 0 && digits % 3 == 0) {
			*--at = ',';
		}
		*--at = (char)('0' + value % 10);
		value /= 10;
		digits++;
	} while (value != 0);
	return at;
}

/* In chunks, a dot for each: reading from a stick takes its time. */
static EFI_STATUS read_with_progress(struct loader *l, EFI_FILE_PROTOCOL *file, uint64_t to, uint64_t bytes)
{
	uint64_t chunk = bytes / PROGRESS_DOTS + 1;
	EFI_STATUS status = EFI_SUCCESS;

	for (uint64_t done = 0; done < bytes && !EFI_ERROR(status); done += chunk) {
		status = uefi_read(file, (void *)(to + done), MIN(chunk, bytes - done));
		uefi_say(&l->fw, ".");
	}
	return status;
}

/*
 * Reads \tarn\NAME; a NUL follows the bytes. Says what becomes of it, in one line. False: nothing was read and
 * nothing is allocated.
 */
static bool read_file(struct loader *l, EFI_FILE_PROTOCOL *root, const char *name, uint64_t limit,
		      struct boot_file *out)
{
	char path[sizeof(FOLDER) + BOOT_NAME_MAX], digits[32];
	struct text t = text_make(path, sizeof(path));
	EFI_FILE_PROTOCOL *file = NULL;
	EFI_STATUS status;
	bool ok = false;

	text_printf(&t, FOLDER "%s", name);
	status = uefi_open(root, path, &file);
	if (!EFI_ERROR(status)) {
		status = uefi_file_size(file, &out->size);
	}
	if (EFI_ERROR(status)) {
		uefi_say(&l->fw, "  %-20s left out: %s (0x%lx)\n", name, uefi_status_words(status), status);
		goto out_close;
	}
	uefi_say(&l->fw, "  %-20s %13s bytes  ", name, grouped(out->size, digits));
	if (out->size > limit) {
		uefi_say(&l->fw, "left out: the limit is %s\n", grouped(limit, digits));
		goto out_close;
	}
	out->base = memory_alloc(l, out->size + 1, BOOT_MEM_KEPT);
	if (out->base == 0) {
		uefi_say(&l->fw, "left out: not enough memory\n");
		goto out_close;
	}
	status = read_with_progress(l, file, out->base, out->size);
	if (EFI_ERROR(status)) {
		uefi_say(&l->fw, " left out: %s (0x%lx)\n", uefi_status_words(status), status);
		memory_free_last(l);
		goto out_close;
	}
	((char *)out->base)[out->size] = '\0';
	str_copy(out->name, sizeof(out->name), name);
	uefi_say(&l->fw, " done\n");
	ok = true;
out_close:
	if (file != NULL) {
		file->Close(file);
	}
	return ok;
}

static void load_named(struct loader *l, EFI_FILE_PROTOCOL *root)
{
	struct loader_payload *payload = l->payload;
	char name[BOOT_NAME_MAX];
	size_t cursor = 0;

	while (manifest_next_file((const char *)payload->info.manifest, payload->info.manifest_size, &cursor, name)) {
		if (payload->info.file_count == BOOT_FILES_MAX) {
			uefi_say(&l->fw, "  %-20s left out: more than %u files\n", name, BOOT_FILES_MAX);
			continue;
		}
		if (read_file(l, root, name, UINT64_MAX >> 1, &payload->files[payload->info.file_count])) {
			payload->info.file_count++;
		}
	}
}

bool files_load(struct loader *l)
{
	EFI_FILE_PROTOCOL *root = uefi_open_volume(&l->fw);
	struct boot_info *info = &l->payload->info;
	struct boot_file manifest;

	if (root == NULL) {
		return false;
	}
	info->files = (uint64_t)l->payload->files;
	if (read_file(l, root, MANIFEST, MANIFEST_MAX, &manifest)) {
		info->manifest = manifest.base;
		info->manifest_size = manifest.size;
		load_named(l, root);
	}
	root->Close(root);
	return true;
}
