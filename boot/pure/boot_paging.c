/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds 4-level page tables (Intel SDM volume 3, section 4.5). */
#include "boot/pure/boot_paging.h"

#include "kernel/lib/addr.h"

#define PTE_PRESENT	(1ul << 0)
#define PTE_WRITE	(1ul << 1)
#define PTE_LARGE	(1ul << 7)
#define PTE_NX		(1ul << 63)
#define PTE_ADDRESS	0x000ffffffffff000ul

/* Bytes that one entry of a level maps; level 0 is the page table, 3 the PML4. */
static uint64_t level_bytes(unsigned level)
{
	return PAGE_SIZE << (9 * level);
}

enum err boot_paging_init(struct boot_paging *p)
{
	p->root = p->alloc(p->context);
	return p->root == 0 ? ERR_NOMEM : ERR_OK;
}

/* The entry for va at `level`, with the tables above it made where they are missing. NULL with *e set otherwise. */
static uint64_t *entry_at(struct boot_paging *p, uint64_t va, unsigned level, enum err *e)
{
	uint64_t table = p->root;

	for (unsigned l = 3;; l--) {
		uint64_t *entry = &p->at(p->context, table)[(va >> (PAGE_SHIFT + 9 * l)) & 511];

		if (l == level) {
			return entry;
		}
		if (*entry == 0) {
			uint64_t page = p->alloc(p->context);

			if (page == 0) {
				*e = ERR_NOMEM;
				return NULL;
			}
			/* Permissions are decided by the last level: upper ones allow everything. */
			*entry = page | PTE_PRESENT | PTE_WRITE;
		} else if ((*entry & PTE_LARGE) != 0) {
			*e = ERR_EXIST;
			return NULL;
		}
		table = *entry & PTE_ADDRESS;
	}
}

static unsigned largest_level(const struct boot_paging *p, uint64_t va, uint64_t pa, uint64_t bytes)
{
	unsigned level = p->giant ? 2 : 1;

	while (level > 0 && (bytes < level_bytes(level) || !is_aligned(va | pa, level_bytes(level)))) {
		level--;
	}
	return level;
}

enum err boot_paging_map(struct boot_paging *p, uint64_t va, uint64_t pa, uint64_t bytes, unsigned flags)
{
	uint64_t bits = PTE_PRESENT;

	if (!is_aligned(va | pa | bytes, PAGE_SIZE) || flags == (BOOT_PAGING_WRITE | BOOT_PAGING_EXEC)) {
		return ERR_INVAL;
	}
	bits |= (flags & BOOT_PAGING_WRITE) != 0 ? PTE_WRITE : 0;
	bits |= (flags & BOOT_PAGING_EXEC) != 0 ? 0 : PTE_NX;
	while (bytes > 0) {
		unsigned level = largest_level(p, va, pa, bytes);
		enum err e = ERR_EXIST;
		uint64_t *entry = entry_at(p, va, level, &e);

		if (entry == NULL || *entry != 0) {
			return e;
		}
		*entry = pa | bits | (level > 0 ? PTE_LARGE : 0);
		va += level_bytes(level);
		pa += level_bytes(level);
		bytes -= level_bytes(level);
	}
	return ERR_OK;
}
