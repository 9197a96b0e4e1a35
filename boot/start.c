/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting another UEFI program of the volume we came from. */
#include "boot/uefi.h"
#include "kernel/lib/string.h"

/* The device's path with one node more: the file on it. NULL: no memory. */
static EFI_DEVICE_PATH *path_of_file(struct uefi *fw, EFI_DEVICE_PATH *device, const CHAR16 *name)
{
	EFI_DEVICE_PATH *end = device, *node;
	UINTN length, name_bytes = sizeof(CHAR16);
	uint8_t *path = NULL;

	for (const CHAR16 *c = name; *c != 0; c++) {
		name_bytes += sizeof(CHAR16);
	}
	while (!IsDevicePathEnd(end)) {
		end = NextDevicePathNode(end);
	}
	length = (UINTN)((uint8_t *)end - (uint8_t *)device);
	if (EFI_ERROR(fw->bs->AllocatePool(EfiLoaderData, length + 4 + name_bytes + 4, (void **)&path))) {
		return NULL;
	}
	memcpy(path, device, length);
	node = (EFI_DEVICE_PATH *)(path + length);
	node->Type = MEDIA_DEVICE_PATH;
	node->SubType = MEDIA_FILEPATH_DP;
	SetDevicePathNodeLength(node, 4 + name_bytes);
	memcpy(node + 1, name, name_bytes);
	SetDevicePathEndNode(NextDevicePathNode(node));
	return (EFI_DEVICE_PATH *)path;
}

/* By its path, not from a buffer: so the program knows the device it came from. */
EFI_STATUS uefi_start(struct uefi *fw, const CHAR16 *name)
{
	static EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID, path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_LOADED_IMAGE_PROTOCOL *self = NULL, *child = NULL;
	EFI_DEVICE_PATH *device = NULL, *path;
	EFI_HANDLE handle = NULL;
	EFI_STATUS status = fw->bs->HandleProtocol(fw->image, &image_guid, (void **)&self);

	if (!EFI_ERROR(status)) {
		status = fw->bs->HandleProtocol(self->DeviceHandle, &path_guid, (void **)&device);
	}
	if (EFI_ERROR(status)) {
		return status;
	}
	path = path_of_file(fw, device, name);
	if (path == NULL) {
		return EFI_OUT_OF_RESOURCES;
	}
	status = fw->bs->LoadImage(FALSE, fw->image, path, NULL, 0, &handle);
	if (!EFI_ERROR(status)) {
		status = fw->bs->HandleProtocol(handle, &image_guid, (void **)&child);
	}
	if (EFI_ERROR(status)) {
		return status;
	}
	child->LoadOptions = self->LoadOptions;
	child->LoadOptionsSize = self->LoadOptionsSize;
	return fw->bs->StartImage(handle, NULL, NULL);
}
