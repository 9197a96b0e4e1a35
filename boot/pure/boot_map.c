/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conversion of the firmware's memory map. Firmware maps are nearly sorted and rarely overlap, but nothing promises it:
 * all ranges are sorted by base, then a sweep goes from boundary to boundary and gives each stretch the worst kind of
 * the ranges that cover it.
 */
#include "boot/pure/boot_map.h"

#include <stdbool.h>

#include "kernel/lib/addr.h"
#include "kernel/lib/reader.h"
#include "kernel/lib/util.h"

/* UEFI 2.10 section 7.2.1, EFI_MEMORY_TYPE; whatever is not named here is reserved. */
static uint32_t kind_of_type(uint64_t type)
{
	static const uint8_t kinds[] = {
		[1] = BOOT_MEM_FREE,		/* EfiLoaderCode */
		[2] = BOOT_MEM_FREE,		/* EfiLoaderData: what must stay is in `own` */
		[3] = BOOT_MEM_FREE,		/* EfiBootServicesCode */
		[4] = BOOT_MEM_FREE,		/* EfiBootServicesData */
		[5] = BOOT_MEM_RESERVED,	/* EfiRuntimeServicesCode */
		[6] = BOOT_MEM_RESERVED,	/* EfiRuntimeServicesData */
		[7] = BOOT_MEM_FREE,		/* EfiConventionalMemory */
		[8] = BOOT_MEM_RESERVED,	/* EfiUnusableMemory */
		[9] = BOOT_MEM_ACPI,		/* EfiACPIReclaimMemory */
		[10] = BOOT_MEM_ACPI,		/* EfiACPIMemoryNVS */
		[11] = BOOT_MEM_MMIO,		/* EfiMemoryMappedIO */
		[12] = BOOT_MEM_MMIO,		/* EfiMemoryMappedIOPortSpace */
	};

	return type == 0 || type >= ARRAY_SIZE(kinds) ? BOOT_MEM_RESERVED : kinds[type];
}

/* The worse a kind is for whoever would write there, the higher it ranks. */
static unsigned rank(uint32_t kind)
{
	static const uint8_t ranks[] = {
		[BOOT_MEM_FREE] = 0, [BOOT_MEM_RECLAIM] = 1, [BOOT_MEM_KEPT] = 2,
		[BOOT_MEM_ACPI] = 3, [BOOT_MEM_RESERVED] = 4, [BOOT_MEM_MMIO] = 5,
	};

	return ranks[kind];
}

#define ATTRIBUTE_WB	(1ul << 3)	/* EFI_MEMORY_WB */
#define ATTRIBUTE_SP	(1ul << 18)	/* EFI_MEMORY_SP: set aside for a special purpose */

/* One EFI_MEMORY_DESCRIPTOR: type u32 @0, physical start u64 @8, pages u64 @24, attributes u64 @32. */
static struct boot_mem read_descriptor(struct reader *r, size_t at)
{
	uint64_t base = reader_peek(r, at + 8, 8);
	uint64_t pages = reader_peek(r, at + 24, 8);
	uint64_t attributes = reader_peek(r, at + 32, 8);
	uint32_t kind = kind_of_type(reader_peek(r, at, 4));
	uint64_t end;

	if (base >= BOOT_MAP_LIMIT) {
		return (struct boot_mem){ 0 };
	}
	end = pages > (BOOT_MAP_LIMIT - base) / PAGE_SIZE ? BOOT_MAP_LIMIT : base + pages * PAGE_SIZE;
	if (kind == BOOT_MEM_FREE && ((attributes & ATTRIBUTE_WB) == 0 || (attributes & ATTRIBUTE_SP) != 0)) {
		kind = BOOT_MEM_RESERVED;
	}
	if (kind == BOOT_MEM_FREE) {
		base = align_up(base, PAGE_SIZE);
		end = align_down(end, PAGE_SIZE);
	} else {
		base = align_down(base, PAGE_SIZE);
		end = align_up(end, PAGE_SIZE);
	}
	return (struct boot_mem){ .base = base, .length = end > base ? end - base : 0, .kind = kind };
}

/* Insertion sort: firmware gives the map nearly sorted. */
static void insert_sorted(struct boot_mem *ranges, size_t count, struct boot_mem range)
{
	for (; count > 0 && ranges[count - 1].base > range.base; count--) {
		ranges[count] = ranges[count - 1];
	}
	ranges[count] = range;
}

static enum err gather(const struct boot_map_source *source, struct boot_mem *work, size_t work_max, size_t *count)
{
	struct reader r = reader_make(source->descriptors, source->bytes);

	*count = 0;
	for (size_t at = 0; source->bytes - at >= source->stride; at += source->stride) {
		struct boot_mem range = read_descriptor(&r, at);

		if (range.length == 0) {
			continue;
		}
		if (*count == work_max) {
			return ERR_LIMIT;
		}
		insert_sorted(work, (*count)++, range);
	}
	for (size_t i = 0; i < source->own_count; i++) {
		if (*count == work_max) {
			return ERR_LIMIT;
		}
		insert_sorted(work, (*count)++, source->own[i]);
	}
	return ERR_OK;
}

/*
 * The stretch that begins at `at`: its end, and the worst kind that covers it. False where nothing does, and then the
 * stretch ends where the next range begins (0: none does).
 */
static bool stretch_at(const struct boot_mem *ranges, size_t count, uint64_t at, uint64_t *end, uint32_t *kind)
{
	bool covered = false;

	*end = 0;
	for (size_t i = 0; i < count; i++) {
		const struct boot_mem *m = &ranges[i];
		uint64_t m_end = m->base + m->length;

		if (m_end <= at) {
			continue;
		}
		uint64_t boundary = m->base > at ? m->base : m_end;

		*end = *end == 0 ? boundary : MIN(*end, boundary);
		if (m->base > at) {
			break;
		}
		if (!covered || rank(m->kind) > rank(*kind)) {
			*kind = m->kind;
		}
		covered = true;
	}
	return covered;
}

static enum err append(struct boot_mem *out, size_t out_max, size_t *count, struct boot_mem range)
{
	struct boot_mem *last = *count == 0 ? NULL : &out[*count - 1];

	if (last != NULL && last->kind == range.kind && last->base + last->length == range.base) {
		last->length += range.length;
		return ERR_OK;
	}
	if (*count == out_max) {
		return ERR_LIMIT;
	}
	out[(*count)++] = range;
	return ERR_OK;
}

enum err boot_map_convert(const struct boot_map_source *source, struct boot_mem *work, size_t work_max,
			  struct boot_mem *out, size_t out_max, size_t *out_count)
{
	size_t count = 0, first = 0;
	uint64_t at = 0, end;
	uint32_t kind = 0;
	enum err e;

	*out_count = 0;
	if (source->stride < 40) {
		return ERR_FORMAT;
	}
	e = gather(source, work, work_max, &count);
	while (e == ERR_OK && first < count) {
		if (stretch_at(work + first, count - first, at, &end, &kind)) {
			e = append(out, out_max, out_count,
				   (struct boot_mem){ .base = at, .length = end - at, .kind = kind });
		}
		at = end;
		while (first < count && work[first].base + work[first].length <= at) {
			first++;
		}
	}
	return e;
}

uint64_t boot_map_ram_end(const struct boot_mem *map, size_t count)
{
	uint64_t end = 0;

	for (size_t i = 0; i < count; i++) {
		if (map[i].kind != BOOT_MEM_RESERVED && map[i].kind != BOOT_MEM_MMIO) {
			end = map[i].base + map[i].length;
		}
	}
	return end;
}
