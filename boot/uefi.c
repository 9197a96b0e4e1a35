/* SPDX-License-Identifier: BSD-2-Clause */
/* UEFI's console and file protocols, as the loader and the front program use them. */
#include "boot/uefi.h"

#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define LINE_MAX_BYTES	256
#define PATH_CHARS_MAX	128

static void print(struct uefi *fw, const char *s)
{
	CHAR16 wide[2 * LINE_MAX_BYTES + 1];
	unsigned n = 0;

	for (; *s != '\0' && n + 2 < ARRAY_SIZE(wide); s++) {
		if (*s == '\n') {
			wide[n++] = '\r';
		}
		wide[n++] = (unsigned char)*s < 0x80 ? (CHAR16)*s : '?';
	}
	wide[n] = 0;
	fw->table->ConOut->OutputString(fw->table->ConOut, wide);
}

void uefi_say(struct uefi *fw, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	struct text text = text_make(line, sizeof(line));
	va_list args;

	va_start(args, fmt);
	text_vprintf(&text, fmt, args);
	va_end(args);
	print(fw, line);
	if (fw->log != NULL) {
		text_puts(fw->log, line);
	}
}

const char *uefi_status_words(EFI_STATUS status)
{
	static const struct { EFI_STATUS status; const char *words; } table[] = {
		{ EFI_SUCCESS, "ok" },
		{ EFI_LOAD_ERROR, "cannot be loaded" },
		{ EFI_INVALID_PARAMETER, "invalid parameter" },
		{ EFI_UNSUPPORTED, "not supported by the firmware" },
		{ EFI_BUFFER_TOO_SMALL, "buffer too small" },
		{ EFI_DEVICE_ERROR, "the device reports an error" },
		{ EFI_OUT_OF_RESOURCES, "not enough memory" },
		{ EFI_VOLUME_CORRUPTED, "the file system is damaged" },
		{ EFI_NO_MEDIA, "no medium" },
		{ EFI_MEDIA_CHANGED, "the medium was changed" },
		{ EFI_NOT_FOUND, "not found" },
		{ EFI_ACCESS_DENIED, "access denied" },
		{ EFI_TIMEOUT, "timed out" },
		{ EFI_SECURITY_VIOLATION, "refused by Secure Boot" },
		{ EFI_END_OF_FILE, "ends too early" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].status == status) {
			return table[i].words;
		}
	}
	return "firmware error";
}

void uefi_wait_key(struct uefi *fw, unsigned seconds)
{
	EFI_EVENT events[2] = { fw->table->ConIn->WaitForKey, NULL };
	UINTN which;

	if (EFI_ERROR(fw->bs->CreateEvent(EVT_TIMER, TPL_APPLICATION, NULL, NULL, &events[1]))) {
		return;
	}
	fw->bs->SetTimer(events[1], TimerRelative, seconds * 10000000ul);	/* in 100 ns */
	fw->bs->WaitForEvent(2, events, &which);
	fw->bs->CloseEvent(events[1]);
}

uint64_t uefi_find_rsdp(const struct uefi *fw)
{
	static const EFI_GUID guids[] = { ACPI_20_TABLE_GUID, ACPI_TABLE_GUID };

	for (unsigned g = 0; g < ARRAY_SIZE(guids); g++) {
		for (UINTN i = 0; i < fw->table->NumberOfTableEntries; i++) {
			const EFI_CONFIGURATION_TABLE *entry = &fw->table->ConfigurationTable[i];

			if (memcmp(&entry->VendorGuid, &guids[g], sizeof(EFI_GUID)) == 0) {
				return (uint64_t)entry->VendorTable;
			}
		}
	}
	return 0;
}

EFI_FILE_PROTOCOL *uefi_open_volume(struct uefi *fw)
{
	static EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	static EFI_GUID volume_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_LOADED_IMAGE_PROTOCOL *image = NULL;
	EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *volume = NULL;
	EFI_FILE_PROTOCOL *root = NULL;
	EFI_STATUS status;

	status = fw->bs->HandleProtocol(fw->image, &image_guid, (void **)&image);
	if (!EFI_ERROR(status)) {
		status = fw->bs->HandleProtocol(image->DeviceHandle, &volume_guid, (void **)&volume);
	}
	if (!EFI_ERROR(status)) {
		status = volume->OpenVolume(volume, &root);
	}
	if (EFI_ERROR(status)) {
		uefi_say(fw, "tarn: cannot open the file system this program came from: %s (0x%lx)\n",
			 uefi_status_words(status), status);
		return NULL;
	}
	return root;
}

EFI_STATUS uefi_open(EFI_FILE_PROTOCOL *root, const char *path, EFI_FILE_PROTOCOL **file)
{
	CHAR16 wide[PATH_CHARS_MAX];
	unsigned n;

	for (n = 0; path[n] != '\0'; n++) {
		if (n + 1 == ARRAY_SIZE(wide) || (unsigned char)path[n] >= 0x80) {
			return EFI_INVALID_PARAMETER;
		}
		wide[n] = path[n] == '/' ? '\\' : (CHAR16)path[n];
	}
	wide[n] = 0;
	return root->Open(root, file, wide, EFI_FILE_MODE_READ, 0);
}

EFI_STATUS uefi_file_size(EFI_FILE_PROTOCOL *file, uint64_t *bytes)
{
	static EFI_GUID guid = EFI_FILE_INFO_ID;
	/* The structure ends in the file's name, which FAT limits to 255 characters. */
	static union { EFI_FILE_INFO info; UINT8 room[sizeof(EFI_FILE_INFO) + 2 * 256]; } buffer;
	UINTN room = sizeof(buffer);
	EFI_STATUS status = file->GetInfo(file, &guid, &room, &buffer);

	if (EFI_ERROR(status)) {
		return status;
	}
	*bytes = buffer.info.FileSize;
	return (buffer.info.Attribute & EFI_FILE_DIRECTORY) != 0 ? EFI_INVALID_PARAMETER : EFI_SUCCESS;
}

EFI_STATUS uefi_read(EFI_FILE_PROTOCOL *file, void *to, uint64_t bytes)
{
	UINTN got = bytes;
	EFI_STATUS status = file->Read(file, &got, to);

	if (EFI_ERROR(status)) {
		return status;
	}
	return got == bytes ? EFI_SUCCESS : EFI_END_OF_FILE;
}
