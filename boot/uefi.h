/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader and the front program both need of UEFI: the console, files of the volume we came from. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <efi.h>

#include "kernel/lib/format.h"

struct uefi {
	EFI_HANDLE image;
	EFI_SYSTEM_TABLE *table;
	EFI_BOOT_SERVICES *bs;
	struct text *log;	/* what was said is kept here too; NULL: nowhere */
};

/* Prints on the firmware's console and into the log. */
void uefi_say(struct uefi *fw, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The words for a status, for a person. */
const char *uefi_status_words(EFI_STATUS status);

/* Waits for a key, at most that many seconds. */
void uefi_wait_key(struct uefi *fw, unsigned seconds);

/* Physical address of the ACPI root pointer, the 2.0 one where there are both; 0: the firmware publishes none. */
uint64_t uefi_find_rsdp(const struct uefi *fw);

/* The root folder of the volume that this program was started from; NULL (and said why) where there is none. */
EFI_FILE_PROTOCOL *uefi_open_volume(struct uefi *fw);

/* Opens a file for reading by a path of plain characters ("\tarn\tarn.conf"); `/` may stand for `\`. */
EFI_STATUS uefi_open(EFI_FILE_PROTOCOL *root, const char *path, EFI_FILE_PROTOCOL **file);

/* Size in bytes of an open file. */
EFI_STATUS uefi_file_size(EFI_FILE_PROTOCOL *file, uint64_t *bytes);

/* Reads exactly that many bytes. */
EFI_STATUS uefi_read(EFI_FILE_PROTOCOL *file, void *to, uint64_t bytes);

/* Starts another program of that volume (start.c); comes back only when it does, or when it cannot be started. */
EFI_STATUS uefi_start(struct uefi *fw, const CHAR16 *name);
