/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended page tables (SDM 3C 28.3): 4 levels, leaves of 4 KiB and 2 MiB, write-back. */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/mitigate.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_private.h"
#include "kernel/heap.h"
#include "kernel/log.h"
#include "kernel/mem.h"

#define EPT_RW			3ul
#define EPT_RWX			7ul
#define EPT_MEMORY_WB		(6ul << 3)
#define EPT_IGNORE_PAT		(1ul << 6)	/* or a guest maps its RAM uncached and stalls the bus for all */
#define EPT_LEAF		(1ul << 7)
#define EPT_ADDRESS		0x000ffffffffff000ul
#define EPT_ENTRIES		512u
#define EPT_TOP			3u		/* 0 is a table of 4 KiB leaves */
#define EPTP_WB			6ul
#define EPTP_WALK_4		(3ul << 3)

static hpa_t table_alloc(struct virt_space *s)
{
	hpa_t at = mem_alloc(&mem, s->node, 1, MEM_STRICT);

	if (!hpa_is_none(at)) {
		insn_fill64(arch_direct(at), 0, PAGE_SIZE / 8);
		s->pages++;
	}
	return at;
}

uint64_t vmx_ept_pointer(const struct virt_space *s)
{
	return s->root.v | EPTP_WB | EPTP_WALK_4;
}

enum err vmx_space_create(unsigned node, struct virt_space **out)
{
	struct virt_space *s = heap_alloc(sizeof(*s), node);

	if (s == NULL) {
		return ERR_NOMEM;
	}
	s->node = node;
	s->vm = mitigate_new_vm();
	s->apic_page = HPA_NONE;
	s->root = table_alloc(s);
	if (hpa_is_none(s->root)) {
		heap_free(s, sizeof(*s));
		return ERR_NOMEM;
	}
	*out = s;
	return ERR_OK;
}

/* The entry for gpa at `level`; NULL when there is no memory for a table. */
static uint64_t *entry_for(struct virt_space *s, uint64_t at, unsigned level)
{
	hpa_t table = s->root;

	for (unsigned k = EPT_TOP;; k--) {
		uint64_t *e = (uint64_t *)arch_direct(table) + (at >> (PAGE_SHIFT + 9 * k)) % EPT_ENTRIES;

		if (k == level) {
			return e;
		}
		if ((*e & EPT_RWX) == 0) {
			hpa_t next = table_alloc(s);

			if (hpa_is_none(next)) {
				return NULL;
			}
			*e = next.v | EPT_RWX;
		}
		ASSERT((*e & EPT_LEAF) == 0);
		table = hpa(*e & EPT_ADDRESS);
	}
}

enum err vmx_space_map(struct virt_space *s, gpa_t at, hpa_t to, uint64_t size)
{
	for (uint64_t done = 0; done < size;) {
		bool large = is_aligned(at.v + done, LARGE_SIZE) && is_aligned(to.v + done, LARGE_SIZE) &&
			     size - done >= LARGE_SIZE;
		uint64_t *e = entry_for(s, at.v + done, large ? 1 : 0);

		if (e == NULL) {
			return ERR_NOMEM;
		}
		ASSERT((*e & EPT_RWX) == 0);
		*e = (to.v + done) | EPT_RWX | EPT_MEMORY_WB | EPT_IGNORE_PAT | (large ? EPT_LEAF : 0);
		done += large ? LARGE_SIZE : PAGE_SIZE;
	}
	return ERR_OK;
}

/*
 * Every vCPU of the space maps the one page; the cpu turns accesses by those in xAPIC mode to their own virtual-APIC pages (SDM
 * 3C 29.4). To the others it is memory, of this VM alone.
 */
enum err vmx_space_map_apic(struct virt_space *s, gpa_t at)
{
	uint64_t *e = entry_for(s, at.v, 0);

	s->apic_at = at;
	s->apic_page = table_alloc(s);
	if (e == NULL || hpa_is_none(s->apic_page)) {
		return ERR_NOMEM;
	}
	*e = s->apic_page.v | EPT_RW | EPT_MEMORY_WB | EPT_IGNORE_PAT;
	return ERR_OK;
}

static void table_free(struct virt_space *s, hpa_t table, unsigned level)
{
	const uint64_t *e = arch_direct(table);

	for (unsigned i = 0; level > 0 && i < EPT_ENTRIES; i++) {
		if ((e[i] & EPT_RWX) != 0 && (e[i] & EPT_LEAF) == 0) {
			table_free(s, hpa(e[i] & EPT_ADDRESS), level - 1);
		}
	}
	mem_free(&mem, table, 1);
	s->pages--;
}

/*
 * Stale translations of this space stay in some cpu's TLB under its EPT pointer; nobody uses them again unless a later
 * space gets the same root page, and vmx_load() invalidates that context before the first entry of every vCPU on a cpu.
 */
void vmx_space_destroy(struct virt_space *s)
{
	if (!hpa_is_none(s->apic_page)) {
		mem_free(&mem, s->apic_page, 1);
	}
	table_free(s, s->root, EPT_TOP);
	heap_free(s, sizeof(*s));
}

uint64_t vmx_space_pages(const struct virt_space *s)
{
	return s->pages;
}
