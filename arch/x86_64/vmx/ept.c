/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended page tables (SDM 3C 28.3): 4 levels, leaves of 4 KiB and 2 MiB, write-back.
 *
 * Where a cpu may machine-check when the page size of code changes under its cached translations (pure/mitigate.h), 2 MiB leaves
 * are not executable. A page directory is then two pages: in the second one, at the place of each large leaf, stands the entry of
 * a table made with it that maps the same in executable 4 KiB leaves. A fetch copies that entry over the leaf: one store, the same
 * from any vCPU, that needs no memory, no lock and no invalidation. The violation dropped what this cpu had cached (28.4.3.1);
 * another cpu may go on with the leaf for data, and its own fetch comes here too.
 */
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
#define EPT_DIRECTORY		1u		/* a table of 2 MiB leaves */
#define EPT_EXECUTE		(1ul << 2)
#define EPTP_WB			6ul
#define EPTP_WALK_4		(3ul << 3)

static unsigned table_pages(const struct virt_space *s, unsigned level)
{
	return s->small_code && level == EPT_DIRECTORY ? 2 : 1;
}

static hpa_t table_alloc(struct virt_space *s, unsigned level, unsigned node)
{
	unsigned pages = table_pages(s, level);
	hpa_t at = mem_alloc(&mem, node, pages, MEM_STRICT);

	if (!hpa_is_none(at)) {
		insn_fill64(arch_direct(at), 0, pages * PAGE_SIZE / 8);
		s->pages += pages;
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
	s->small_code = mitigate_small_code();
	s->root = table_alloc(s, EPT_TOP, node);
	if (hpa_is_none(s->root)) {
		heap_free(s, sizeof(*s));
		return ERR_NOMEM;
	}
	*out = s;
	return ERR_OK;
}

/* The entry for gpa at `level`; NULL when there is no memory for a table on that node. */
static uint64_t *entry_for(struct virt_space *s, uint64_t at, unsigned level, unsigned node)
{
	hpa_t table = s->root;

	for (unsigned k = EPT_TOP;; k--) {
		uint64_t *e = (uint64_t *)arch_direct(table) + (at >> (PAGE_SHIFT + 9 * k)) % EPT_ENTRIES;

		if (k == level) {
			return e;
		}
		if ((*e & EPT_RWX) == 0) {
			hpa_t next = table_alloc(s, k - 1, node);

			if (hpa_is_none(next)) {
				return NULL;
			}
			*e = next.v | EPT_RWX;
		}
		ASSERT((*e & EPT_LEAF) == 0);
		table = hpa(*e & EPT_ADDRESS);
	}
}

/* A large leaf's entry in the second page of its directory. */
static enum err prepare_small(struct virt_space *s, uint64_t *leaf, hpa_t to)
{
	hpa_t table = table_alloc(s, 0, mem_node_of(&mem, to));
	uint64_t *e;

	if (hpa_is_none(table)) {
		return ERR_NOMEM;
	}
	e = arch_direct(table);
	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		e[i] = (to.v + i * PAGE_SIZE) | EPT_RWX | EPT_MEMORY_WB | EPT_IGNORE_PAT;
	}
	leaf[EPT_ENTRIES] = table.v | EPT_RWX;
	return ERR_OK;
}

bool vmx_space_execute(struct virt_space *s, gpa_t at)
{
	hpa_t table = s->root;

	for (unsigned k = EPT_TOP;; k--) {
		uint64_t *e = (uint64_t *)arch_direct(table) + (at.v >> (PAGE_SHIFT + 9 * k)) % EPT_ENTRIES;
		uint64_t v = __atomic_load_n(e, __ATOMIC_RELAXED);

		if (k == EPT_DIRECTORY && s->small_code && e[EPT_ENTRIES] != 0) {
			__atomic_store_n(e, e[EPT_ENTRIES], __ATOMIC_RELEASE);
			return true;
		}
		if ((v & EPT_EXECUTE) == 0 || k == 0) {
			return false;
		}
		table = hpa(v & EPT_ADDRESS);
	}
}

enum err vmx_space_map(struct virt_space *s, gpa_t at, hpa_t to, uint64_t size)
{
	for (uint64_t done = 0; done < size;) {
		bool large = is_aligned(at.v + done, LARGE_SIZE) && is_aligned(to.v + done, LARGE_SIZE) &&
			     size - done >= LARGE_SIZE;
		bool small_code = large && s->small_code;
		uint64_t *e = entry_for(s, at.v + done, large ? EPT_DIRECTORY : 0, mem_node_of(&mem, to));

		if (e == NULL || (small_code && prepare_small(s, e, hpa(to.v + done)) != ERR_OK)) {
			return ERR_NOMEM;
		}
		ASSERT((*e & EPT_RWX) == 0);
		*e = (to.v + done) | (small_code ? EPT_RW : EPT_RWX) | EPT_MEMORY_WB | EPT_IGNORE_PAT | (large ? EPT_LEAF : 0);
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
	uint64_t *e = entry_for(s, at.v, 0, s->node);

	s->apic_at = at;
	s->apic_page = table_alloc(s, 0, s->node);
	if (e == NULL || hpa_is_none(s->apic_page)) {
		return ERR_NOMEM;
	}
	*e = s->apic_page.v | EPT_RW | EPT_MEMORY_WB | EPT_IGNORE_PAT;
	return ERR_OK;
}

static void table_free(struct virt_space *s, hpa_t table, unsigned level)
{
	const uint64_t *e = arch_direct(table);
	unsigned pages = table_pages(s, level);

	for (unsigned i = 0; level > 0 && i < EPT_ENTRIES; i++) {
		uint64_t v = pages == 2 && e[i + EPT_ENTRIES] != 0 ? e[i + EPT_ENTRIES] : e[i];

		if ((v & EPT_RWX) != 0 && (v & EPT_LEAF) == 0) {
			table_free(s, hpa(v & EPT_ADDRESS), level - 1);
		}
	}
	mem_free(&mem, table, pages);
	s->pages -= pages;
}

/*
 * Stale translations of this space stay in some cpu's TLB under its EPT pointer; nobody uses them again unless a later
 * space gets the same root page, and load() (vcpu.c) invalidates that context before the first entry of every vCPU on a cpu.
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
