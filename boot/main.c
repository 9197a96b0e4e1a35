/* SPDX-License-Identifier: BSD-2-Clause */
/* The UEFI application: collects what the kernel needs, leaves the firmware, starts the kernel. */
#include "boot/loader.h"

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define LOG_BYTES	(16ul << 10)
#define FAIL_SECONDS	10u

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

static bool begin(struct loader *l)
{
	uint64_t log, payload;

	memory_begin(l);
	l->fw.bs->SetWatchdogTimer(0, 0, 0, NULL);
	log = memory_alloc(l, LOG_BYTES, BOOT_MEM_KEPT);
	payload = memory_alloc(l, sizeof(*l->payload), BOOT_MEM_KEPT);
	if (log == 0 || payload == 0) {
		uefi_say(&l->fw, "tarn: not enough memory to begin with\n");
		return false;
	}
	l->log = text_make((char *)log, LOG_BYTES);
	l->fw.log = &l->log;
	l->payload = (struct loader_payload *)payload;
	memset(l->payload, 0, sizeof(*l->payload));
	l->payload->info = (struct boot_info){
		.magic = BOOT_INFO_MAGIC,
		.version = BOOT_INFO_VERSION,
		.size = sizeof(struct boot_info),
		.log = log,
	};
	uefi_say(&l->fw, "Tarn: microhypervisor for x86-64 with VT-x\n");
	return true;
}

static void report(struct loader *l)
{
	struct boot_info *info = &l->payload->info;

	if (info->rsdp == 0) {
		uefi_say(&l->fw, "  the firmware publishes no ACPI tables\n");
	}
	uefi_say(&l->fw, "  starting the kernel: %lu KiB at 0x%lx, %u files\n", info->kernel_size >> 10,
		 info->kernel_base, info->file_count);
	info->log_size = l->log.len;
}

static bool boot(struct loader *l)
{
	/* The files last: whatever their size, what the hand-off needs is there already. */
	if (!begin(l) || !cpu_check(l) || !kernel_load(l) || !handoff_prepare(l) || !files_load(l)) {
		return false;
	}
	l->payload->info.rsdp = uefi_find_rsdp(&l->fw);
	handoff_find_framebuffer(l);
	report(l);
	return handoff_leave(l);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static struct loader loader;

	loader.fw = (struct uefi){ .image = image, .table = table, .bs = table->BootServices };
	boot(&loader);
	uefi_say(&loader.fw, "tarn: not started; any key, or %u seconds, goes back to the firmware\n", FAIL_SECONDS);
	uefi_wait_key(&loader.fw, FAIL_SECONDS);
	memory_free_all(&loader);
	return EFI_LOAD_ERROR;
}
