/* SPDX-License-Identifier: BSD-2-Clause */
/* Puts the embedded kernel into memory and maps its segments. */
#include "boot/loader.h"

#include "boot/jump.h"
#include "kernel/lib/string.h"

bool kernel_load(struct loader *l)
{
	size_t size = (size_t)(boot_kernel_elf_end - boot_kernel_elf);
	struct boot_info *info = &l->payload->info;
	char why_text[160];
	struct text why = text_make(why_text, sizeof(why_text));
	enum err e = boot_elf_plan(boot_kernel_elf, size, &l->elf, &why);

	if (e != ERR_OK) {
		uefi_say(&l->fw, "tarn: the kernel in this file is damaged: %s: %s\n", err_words(e), why_text);
		return false;
	}
	info->kernel_size = l->elf.size;
	info->kernel_base = memory_alloc_large(l, l->elf.size, BOOT_MEM_KEPT);
	if (info->kernel_base == 0) {
		uefi_say(&l->fw, "tarn: no %lu KiB of contiguous memory for the kernel\n", l->elf.size >> 10);
		return false;
	}
	memset((void *)info->kernel_base, 0, l->elf.size);
	for (unsigned i = 0; i < l->elf.count; i++) {
		const struct boot_elf_segment *seg = &l->elf.segments[i];

		memcpy((void *)(info->kernel_base + seg->vaddr - BOOT_KERNEL_BASE), boot_kernel_elf + seg->file_offset,
		       seg->file_bytes);
	}
	return true;
}
