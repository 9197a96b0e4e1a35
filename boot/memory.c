/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader's allocations, each recorded with what the kernel shall take it for. */
#include "boot/loader.h"

#include "boot/jump.h"
#include "kernel/lib/addr.h"
#include "kernel/lib/string.h"

static void record(struct loader *l, uint64_t base, uint64_t bytes, enum boot_mem_kind kind)
{
	l->own[l->own_count++] = (struct boot_mem){ .base = base, .length = bytes, .kind = kind };
}

/* On a boundary of align, a multiple of a page. */
static uint64_t alloc(struct loader *l, uint64_t bytes, uint64_t align, enum boot_mem_kind kind)
{
	EFI_PHYSICAL_ADDRESS at = 0;
	uint64_t length = align_up(bytes, PAGE_SIZE), room = length + align - PAGE_SIZE, base, head, tail;

	if (l->own_count == LOADER_OWN_MAX || room < bytes || length == 0 ||
	    EFI_ERROR(l->fw.bs->AllocatePages(AllocateAnyPages, EfiLoaderData, room / PAGE_SIZE, &at))) {
		return 0;
	}
	/* Give back what lies before and behind the aligned part. */
	base = align_up(at, align);
	head = base - at;
	tail = room - head - length;
	if (head > 0) {
		l->fw.bs->FreePages(at, head / PAGE_SIZE);
	}
	if (tail > 0) {
		l->fw.bs->FreePages(base + length, tail / PAGE_SIZE);
	}
	record(l, base, length, kind);
	return base;
}

uint64_t memory_alloc(struct loader *l, uint64_t bytes, enum boot_mem_kind kind)
{
	return alloc(l, bytes, PAGE_SIZE, kind);
}

uint64_t memory_alloc_large(struct loader *l, uint64_t bytes, enum boot_mem_kind kind)
{
	return alloc(l, bytes, LARGE_SIZE, kind);
}

void memory_free_last(struct loader *l)
{
	const struct boot_mem *m = &l->own[--l->own_count];

	l->fw.bs->FreePages(m->base, m->length / PAGE_SIZE);
}

void memory_begin(struct loader *l)
{
	l->own_count = 0;
	record(l, (uint64_t)boot_jump_page, PAGE_SIZE, BOOT_MEM_RECLAIM);
}

void memory_free_all(struct loader *l)
{
	while (l->own_count > 1) {
		memory_free_last(l);
	}
}
