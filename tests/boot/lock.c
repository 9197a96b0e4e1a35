/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For a machine test: does what a firmware does whose set-up has VT-x switched off (locks IA32_FEATURE_CONTROL on every
 * cpu with VMX disabled, SDM 3C 23.7), then starts Tarn, which the image holds as \tarn\BOOTX64.EFI.
 */
#include "boot/uefi.h"

#define MSR_FEATURE_CONTROL	0x3a
#define FEATURE_CONTROL_LOCK	1u
#define MP_SERVICES_GUID	{ 0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } }

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* UEFI PI 1.7 II-13.4: the part of EFI_MP_SERVICES_PROTOCOL that is used here. */
struct mp_services {
	void *get_count;
	void *get_info;
	EFI_STATUS (EFIAPI *start_all)(struct mp_services *self, void (EFIAPI *procedure)(void *argument), BOOLEAN one_by_one,
				       EFI_EVENT event, UINTN timeout_us, void *argument, UINTN **failed);
};

static void EFIAPI lock(void *argument)
{
	(void)argument;
	__asm__ volatile("wrmsr" : : "c"(MSR_FEATURE_CONTROL), "a"(FEATURE_CONTROL_LOCK), "d"(0));
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static EFI_GUID guid = MP_SERVICES_GUID;
	struct uefi fw = { .image = image, .table = table, .bs = table->BootServices };
	struct mp_services *mp = NULL;
	EFI_STATUS status = fw.bs->LocateProtocol(&guid, NULL, (void **)&mp);

	if (!EFI_ERROR(status)) {
		status = mp->start_all(mp, lock, FALSE, NULL, 0, NULL, NULL);
	}
	lock(NULL);
	uefi_say(&fw, "lock: VT-x is off and locked; other cpus: %s\n", uefi_status_words(status));
	status = uefi_start(&fw, L"\\tarn\\BOOTX64.EFI");
	uefi_say(&fw, "lock: Tarn did not start or came back: %s\n", uefi_status_words(status));
	return status;
}
