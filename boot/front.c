/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front program of disk images: installs ACPI tables from \tarn\acpi, then starts Tarn (\EFI\tarn\TARN.EFI).
 *
 *   \tarn\acpi\*.dat       the tables
 *   \tarn\acpi\REPLACE     a marker: they take the place of the firmware's of the same name. Without it they are used
 *                          only where the firmware publishes no ACPI at all (OVMF under Bochs)
 *   \tarn\acpi\base\*.dat  the machine's own FACP and DSDT, for a firmware without ACPI when REPLACE is there
 *
 * FACP, DSDT and FACS say where this machine's power ports are, so those of \tarn\acpi are not taken when REPLACE is
 * there: they are another machine's. Tables are installed as they are, damaged or not; only a FACP that is used where
 * the firmware has none gets the addresses of its DSDT and FACS.
 */
#include "boot/pure/boot_acpi.h"
#include "boot/uefi.h"
#include "kernel/lib/addr.h"
#include "kernel/lib/string.h"

#define TABLES_FOLDER	"\\tarn\\acpi"
#define BASE_FOLDER	"\\tarn\\acpi\\base"
#define MARKER		"\\tarn\\acpi\\REPLACE"
#define TABLE_MAX	(16ul << 20)
#define FAIL_SECONDS	10u

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* Zeroed pages below 4 GiB, where 32-bit pointers reach. */
static void *alloc(struct uefi *fw, uint64_t bytes, EFI_MEMORY_TYPE type)
{
	EFI_PHYSICAL_ADDRESS at = 0xffffffff;
	UINTN pages = align_up(bytes, PAGE_SIZE) / PAGE_SIZE;

	if (EFI_ERROR(fw->bs->AllocatePages(AllocateMaxAddress, type, pages, &at))) {
		uefi_say(fw, "front: no memory for %lu bytes of tables\n", bytes);
		return NULL;
	}
	memset((void *)at, 0, pages * PAGE_SIZE);
	return (void *)at;
}

static char upper(CHAR16 c)
{
	return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

/* NAME.dat or NAME1.dat: the table's name is the first four characters. */
static bool table_name(const EFI_FILE_INFO *info, char name[4])
{
	size_t length = 0;

	while (length < 64 && info->FileName[length] != 0) {
		length++;
	}
	if ((info->Attribute & EFI_FILE_DIRECTORY) != 0 || length < 8 || info->FileName[length - 4] != '.' ||
	    upper(info->FileName[length - 3]) != 'D' || upper(info->FileName[length - 2]) != 'A' ||
	    upper(info->FileName[length - 1]) != 'T') {
		return false;
	}
	for (unsigned i = 0; i < 4; i++) {
		name[i] = upper(info->FileName[i]);
	}
	return true;
}

static void read_table(struct uefi *fw, EFI_FILE_PROTOCOL *folder, EFI_FILE_INFO *info, struct boot_acpi_list *list)
{
	struct boot_acpi_table table = { .size = info->FileSize };
	EFI_FILE_PROTOCOL *file = NULL;
	EFI_STATUS status;
	void *to;

	if (!table_name(info, table.name)) {
		return;
	}
	/* At least a header's room, so that a reader of a short one finds zeros. */
	if (table.size > TABLE_MAX || (to = alloc(fw, table.size + 36, EfiACPIReclaimMemory)) == NULL) {
		uefi_say(fw, "front: %.4s left out: %lu bytes\n", table.name, table.size);
		return;
	}
	table.at = (uint64_t)to;
	status = folder->Open(folder, &file, info->FileName, EFI_FILE_MODE_READ, 0);
	status = EFI_ERROR(status) ? status : uefi_read(file, to, table.size);
	if (EFI_ERROR(status)) {
		uefi_say(fw, "front: %.4s left out: %s\n", table.name, uefi_status_words(status));
	} else if (boot_acpi_add(list, table) != ERR_OK) {
		uefi_say(fw, "front: %.4s left out: more than %u tables\n", table.name, BOOT_ACPI_TABLES_MAX);
	}
	if (file != NULL) {
		file->Close(file);
	}
}

static void read_folder(struct uefi *fw, EFI_FILE_PROTOCOL *root, const char *path, struct boot_acpi_list *list)
{
	static union { EFI_FILE_INFO info; UINT8 room[sizeof(EFI_FILE_INFO) + 2 * 256]; } entry;
	EFI_FILE_PROTOCOL *folder;
	UINTN bytes;

	list->count = 0;
	if (EFI_ERROR(uefi_open(root, path, &folder))) {
		return;
	}
	/* A folder's end reads as no bytes; the bound is for a damaged file system. */
	for (unsigned i = 0; i < 1024; i++) {
		bytes = sizeof(entry);
		if (EFI_ERROR(folder->Read(folder, &bytes, &entry)) || bytes == 0) {
			break;
		}
		read_table(fw, folder, &entry.info, list);
	}
	folder->Close(folder);
}

/* Gives the FACP of a firmware-less machine its DSDT and an empty FACS. */
static void complete_fadt(struct uefi *fw, const struct boot_acpi_list *list)
{
	const struct boot_acpi_table *fadt = boot_acpi_find(list, "FACP");
	const struct boot_acpi_table *dsdt = boot_acpi_find(list, "DSDT");
	uint8_t *facs;

	if (fadt == NULL || dsdt == NULL) {
		uefi_say(fw, "front: no FACP and DSDT: this machine will not power off\n");
		return;
	}
	facs = alloc(fw, 64, EfiACPIMemoryNVS);
	if (facs == NULL) {
		return;
	}
	memcpy(facs, "FACS", 4);
	facs[4] = 64;	/* length */
	facs[32] = 2;	/* version */
	if (boot_acpi_patch_fadt((void *)fadt->at, fadt->size, dsdt->at, (uint64_t)facs) != ERR_OK) {
		uefi_say(fw, "front: the FACP of %lu bytes is too short\n", fadt->size);
	}
}

static void publish(struct uefi *fw, const struct boot_acpi_list *list)
{
	static EFI_GUID guid = ACPI_20_TABLE_GUID;
	void *root = alloc(fw, BOOT_ACPI_ROOT_BYTES, EfiACPIReclaimMemory);

	if (root == NULL) {
		return;
	}
	boot_acpi_publish(root, list);
	EFI_STATUS status = fw->bs->InstallConfigurationTable(&guid, root);

	uefi_say(fw, "front: %u ACPI tables installed: %s\n", list->count, uefi_status_words(status));
}

static void install_tables(struct uefi *fw, EFI_FILE_PROTOCOL *root)
{
	static struct boot_acpi_list machine, given, merged;
	EFI_FILE_PROTOCOL *marker = NULL;
	bool replace = !EFI_ERROR(uefi_open(root, MARKER, &marker));
	bool has_acpi = uefi_find_rsdp(fw) != 0;

	if (marker != NULL) {
		marker->Close(marker);
	}
	if (has_acpi && !replace) {
		return;
	}
	read_folder(fw, root, TABLES_FOLDER, &given);
	if (given.count == 0) {
		return;
	}
	if (!replace) {
		complete_fadt(fw, &given);
		publish(fw, &given);
		return;
	}
	if (has_acpi) {
		boot_acpi_firmware(uefi_find_rsdp(fw), &machine);
	} else {
		read_folder(fw, root, BASE_FOLDER, &machine);
		complete_fadt(fw, &machine);
	}
	for (unsigned i = 0; i < given.count; i++) {
		if (boot_acpi_machine_owned(given.tables[i].name)) {
			uefi_say(fw, "front: %.4s not taken: the machine's own stays\n", given.tables[i].name);
		}
	}
	if (boot_acpi_merge(&machine, &given, &merged) != ERR_OK) {
		uefi_say(fw, "front: more than %u ACPI tables\n", BOOT_ACPI_TABLES_MAX);
	}
	publish(fw, &merged);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	struct uefi fw = { .image = image, .table = table, .bs = table->BootServices };
	EFI_FILE_PROTOCOL *root = uefi_open_volume(&fw);
	EFI_STATUS status;

	if (root != NULL) {
		install_tables(&fw, root);
		root->Close(root);
	}
	status = uefi_start(&fw, L"\\EFI\\tarn\\TARN.EFI");
	uefi_say(&fw, "front: \\EFI\\tarn\\TARN.EFI did not start or came back: %s (0x%lx)\n", uefi_status_words(status),
		 status);
	uefi_wait_key(&fw, FAIL_SECONDS);
	return status;
}
