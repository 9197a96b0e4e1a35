/* SPDX-License-Identifier: BSD-2-Clause */
/* The firmware's memory map turned into struct boot_mem[]: merged, ascending, not overlapping, page aligned. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/boot_info.h"
#include "kernel/lib/err.h"

/* Addresses from here on do not fit the direct map (its 127 TiB end where the kernel's 512 GiB slot would begin). */
#define BOOT_MAP_LIMIT	(127ul << 40)

/* Ranges made from at most n descriptors and loader ranges: what out and work must hold. */
#define BOOT_MAP_OUT_MAX(n)	(2 * (n) + 1)

struct boot_map_source {
	const void *descriptors;	/* EFI_MEMORY_DESCRIPTOR[] as GetMemoryMap() gave them */
	size_t bytes;			/* all of them */
	size_t stride;			/* DescriptorSize */
	const struct boot_mem *own;	/* what the loader allocated: these replace "free" in the firmware's map */
	size_t own_count;
};

/*
 * Where ranges overlap, the less usable kind wins; free ranges shrink to whole pages, others grow. Descriptors that
 * wrap around or lie above BOOT_MAP_LIMIT are cut there. work holds (descriptors + own_count) entries, out
 * BOOT_MAP_OUT_MAX of that. ERR_FORMAT: the stride is none; ERR_LIMIT: one of the two is too small.
 */
enum err boot_map_convert(const struct boot_map_source *source, struct boot_mem *work, size_t work_max,
			  struct boot_mem *out, size_t out_max, size_t *out_count);

/* End of the highest range that the direct map must cover (RAM and ACPI tables; not reserved, not MMIO). */
uint64_t boot_map_ram_end(const struct boot_mem *map, size_t count);
