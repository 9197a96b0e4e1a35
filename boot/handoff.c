/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaving the firmware: page tables, the last memory map, ExitBootServices, the jump.
 *
 * Everything the kernel gets is allocated before the last GetMemoryMap(), since an allocation in between changes the
 * map and ExitBootServices() then refuses (UEFI 2.10 section 7.4.6). A refusal is normal, firmware events allocate
 * too: a fresh map is fetched into the same buffer, which has room for more, and tried again.
 */
#include "boot/loader.h"

#include "boot/jump.h"
#include "boot/pure/boot_map.h"
#include "kernel/lib/addr.h"
#include "kernel/lib/string.h"
#include "kernel/lib/util.h"

#define EXIT_TRIES		8u
/* Descriptors that may come between sizing the buffer and the last map: each file splits a free range. */
#define DESCRIPTORS_SLACK	(2u * BOOT_FILES_MAX + 128u)
#define TABLE_CHUNK_PAGES	32u
#define STACK_BYTES		(16ul << 10)
#define DIRECT_MIN		(4ul << 30)

void handoff_find_framebuffer(struct loader *l)
{
	static EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	struct boot_framebuffer *fb = &l->payload->info.framebuffer;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = NULL;
	EFI_STATUS status;

	/* The console's own one, where several cards have one each. */
	status = l->fw.bs->HandleProtocol(l->fw.table->ConsoleOutHandle, &guid, (void **)&gop);
	if (EFI_ERROR(status)) {
		status = l->fw.bs->LocateProtocol(&guid, NULL, (void **)&gop);
	}
	if (EFI_ERROR(status) || gop->Mode == NULL || gop->Mode->Info == NULL) {
		return;
	}
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode = gop->Mode->Info;

	/* Bit masks and cards without a linear framebuffer: text goes to the serial line only. */
	if (mode->PixelFormat > PixelBlueGreenRedReserved8BitPerColor) {
		return;
	}
	*fb = (struct boot_framebuffer){
		.base = gop->Mode->FrameBufferBase,
		.width = mode->HorizontalResolution,
		.height = mode->VerticalResolution,
		.stride = mode->PixelsPerScanLine,
		.bgr = mode->PixelFormat == PixelBlueGreenRedReserved8BitPerColor,
	};
}

/* --- Page tables. */

static uint64_t table_alloc(void *context)
{
	struct loader *l = context;

	if (l->table_pages_left == 0) {
		l->table_pages = memory_alloc(l, TABLE_CHUNK_PAGES * PAGE_SIZE, BOOT_MEM_RECLAIM);
		if (l->table_pages == 0) {
			return 0;
		}
		l->table_pages_left = TABLE_CHUNK_PAGES;
	}
	uint64_t page = l->table_pages;

	l->table_pages += PAGE_SIZE;
	l->table_pages_left--;
	memset((void *)page, 0, PAGE_SIZE);
	return page;
}

static uint64_t *table_at(void *context, uint64_t page)
{
	/* the firmware maps all memory at its physical address */
	return (uint64_t *)page;
}

static enum err build_tables(struct loader *l)
{
	const struct boot_info *info = &l->payload->info;
	uint64_t jump = (uint64_t)boot_jump_page;
	enum err e;

	l->paging = (struct boot_paging){
		.alloc = table_alloc, .at = table_at, .context = l, .giant = l->giant_pages,
	};
	e = boot_paging_init(&l->paging);
	e = e != ERR_OK ? e : boot_paging_map(&l->paging, BOOT_DIRECT_BASE, 0, info->direct_size, BOOT_PAGING_WRITE);
	e = e != ERR_OK ? e : boot_paging_map(&l->paging, jump, jump, PAGE_SIZE, BOOT_PAGING_EXEC);
	for (unsigned i = 0; i < l->elf.count && e == ERR_OK; i++) {
		const struct boot_elf_segment *seg = &l->elf.segments[i];
		unsigned flags = (seg->write ? BOOT_PAGING_WRITE : 0) | (seg->exec ? BOOT_PAGING_EXEC : 0);

		e = boot_paging_map(&l->paging, seg->vaddr, info->kernel_base + seg->vaddr - BOOT_KERNEL_BASE,
				    seg->mem_bytes, flags);
	}
	return e;
}

/* --- Memory map. */

static EFI_STATUS get_map(struct loader *l, UINTN *key)
{
	UINT32 version;

	l->descriptors_bytes = l->descriptors_room;
	return l->fw.bs->GetMemoryMap(&l->descriptors_bytes, l->descriptors, key, &l->stride, &version);
}

static bool make_map_buffers(struct loader *l)
{
	UINTN bytes = 0, key, stride = 0;
	UINT32 version;

	if (l->fw.bs->GetMemoryMap(&bytes, NULL, &key, &stride, &version) != EFI_BUFFER_TOO_SMALL || stride == 0) {
		return false;
	}
	l->descriptors_room = bytes + DESCRIPTORS_SLACK * stride;
	l->work_max = l->descriptors_room / stride + LOADER_OWN_MAX;
	l->map_max = BOOT_MAP_OUT_MAX(l->work_max);
	l->descriptors = (void *)memory_alloc(l, l->descriptors_room, BOOT_MEM_RECLAIM);
	l->work = (struct boot_mem *)memory_alloc(l, l->work_max * sizeof(*l->work), BOOT_MEM_RECLAIM);
	l->map = (struct boot_mem *)memory_alloc(l, l->map_max * sizeof(*l->map), BOOT_MEM_KEPT);
	return l->descriptors != NULL && l->work != NULL && l->map != NULL;
}

static enum err convert_map(struct loader *l)
{
	const struct boot_map_source source = {
		.descriptors = l->descriptors, .bytes = l->descriptors_bytes, .stride = l->stride,
		.own = l->own, .own_count = l->own_count,
	};
	size_t count;
	enum err e = boot_map_convert(&source, l->work, l->work_max, l->map, l->map_max, &count);

	l->payload->info.mem = (uint64_t)l->map;
	l->payload->info.mem_count = (uint32_t)count;
	return e;
}

bool handoff_prepare(struct loader *l)
{
	struct boot_info *info = &l->payload->info;
	uint64_t stack = memory_alloc(l, STACK_BYTES, BOOT_MEM_RECLAIM);
	EFI_STATUS status = EFI_OUT_OF_RESOURCES;
	UINTN key;
	enum err e;

	if (!is_aligned((uint64_t)boot_jump_page, PAGE_SIZE)) {
		uefi_say(&l->fw, "tarn: the firmware loaded this program at 0x%lx, want whole pages\n",
			 (uint64_t)boot_jump_page);
		return false;
	}
	if (stack != 0 && make_map_buffers(l)) {
		status = get_map(l, &key);
	}
	if (EFI_ERROR(status)) {
		uefi_say(&l->fw, "tarn: cannot get the memory map: %s (0x%lx)\n", uefi_status_words(status), status);
		return false;
	}
	e = convert_map(l);
	info->direct_size = align_up(MAX(boot_map_ram_end(l->map, info->mem_count), DIRECT_MIN), GIB);
	l->stack_top = BOOT_DIRECT_BASE + stack + STACK_BYTES;
	e = e != ERR_OK ? e : build_tables(l);
	if (e != ERR_OK) {
		uefi_say(&l->fw, "tarn: cannot build the page tables: %s\n", err_words(e));
		return false;
	}
	return true;
}

bool handoff_leave(struct loader *l)
{
	struct boot_info *info = &l->payload->info;
	EFI_STATUS status = EFI_INVALID_PARAMETER;
	UINTN key;

	for (unsigned i = 0; i < EXIT_TRIES && EFI_ERROR(status); i++) {
		status = get_map(l, &key);
		if (!EFI_ERROR(status)) {
			status = l->fw.bs->ExitBootServices(l->fw.image, key);
		}
	}
	if (EFI_ERROR(status)) {
		uefi_say(&l->fw, "tarn: the firmware refused to hand over %u times: %s (0x%lx)\n", EXIT_TRIES,
			 uefi_status_words(status), status);
		return false;
	}
	info->handoff_tsc = __builtin_ia32_rdtsc();
	boot_interrupts_off();
	/* The buffers are sized for all descriptors that GetMemoryMap() had room for: this cannot fail. */
	convert_map(l);
	boot_jump((uint64_t)info, l->paging.root, l->elf.entry, l->stack_top);
}
