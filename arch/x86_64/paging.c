/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds and extends the hypervisor's page tables; see paging.h for the layout. */
#include "arch/x86_64/paging.h"

#include "arch/x86_64/insn.h"
#include "arch/x86_64/regs.h"
#include "kernel/arch.h"
#include "kernel/lib/util.h"
#include "kernel/log.h"
#include "kernel/mem.h"

#define TABLE_ENTRIES	512u
#define TOP_LEVEL	3u		/* PML4; 0 is a page table (SDM 3A 4.5) */

extern const char kernel_text_start[], kernel_text_end[], kernel_rodata_start[], kernel_rodata_end[];
extern const char kernel_data_start[], kernel_end[];

static struct {
	hpa_t root;
	bool has_1g;
	uint64_t mmio_next;		/* virtual address of the next device mapping */
	hpa_t kernel;			/* where the image lies */
} paging;

static uint64_t level_size(unsigned level)
{
	return PAGE_SIZE << (9 * level);
}

static hpa_t table_alloc(unsigned node)
{
	hpa_t at = mem_alloc(&mem, node, 1, MEM_PREFER);

	if (!hpa_is_none(at)) {
		insn_fill64(arch_direct(at), 0, PAGE_SIZE / 8);
	}
	return at;
}

/* The entry for va at `level`, making tables on the way; NULL when there is no memory. */
static uint64_t *entry_for(uint64_t va, unsigned level)
{
	hpa_t table = paging.root;

	for (unsigned at = TOP_LEVEL;; at--) {
		uint64_t *e = (uint64_t *)arch_direct(table) + (va >> (PAGE_SHIFT + 9 * at)) % TABLE_ENTRIES;

		if (at == level) {
			return e;
		}
		if ((*e & PTE_P) == 0) {
			hpa_t next = table_alloc(0);

			if (hpa_is_none(next)) {
				return NULL;
			}
			*e = next.v | PTE_P | PTE_W;
		}
		ASSERT((*e & PTE_PS) == 0);
		table = hpa(*e & PTE_ADDRESS);
	}
}

/* The largest page that fits at va -> pa with left bytes to go. */
static unsigned best_level(uint64_t va, uint64_t pa, uint64_t left)
{
	for (unsigned level = paging.has_1g ? 2 : 1; level > 0; level--) {
		if (is_aligned(va | pa, level_size(level)) && left >= level_size(level)) {
			return level;
		}
	}
	return 0;
}

static bool map(uint64_t va, uint64_t pa, uint64_t length, uint64_t flags)
{
	ASSERT((flags & PTE_W) == 0 || (flags & PTE_NX) != 0);	/* nothing is ever writable and executable */
	while (length > 0) {
		unsigned level = best_level(va, pa, length);
		uint64_t *e = entry_for(va, level);

		if (e == NULL) {
			return false;
		}
		ASSERT((*e & PTE_P) == 0);
		*e = pa | flags | PTE_P | PTE_A | PTE_D;
		if (level > 0) {
			*e |= PTE_PS | ((flags & PTE_PAT) != 0 ? PTE_PAT_LARGE : 0);
		}
		va += level_size(level);
		pa += level_size(level);
		length -= level_size(level);
	}
	return true;
}

static void map_or_die(uint64_t va, uint64_t pa, uint64_t length, uint64_t flags)
{
	if (!map(va, pa, length, flags)) {
		panic("no memory for the hypervisor's page tables");
	}
}

static uint64_t kernel_hpa(const char *symbol)
{
	return paging.kernel.v + (uint64_t)(symbol - kernel_text_start);
}

/* Maps [from, to) of the direct map, read-only where it is the kernel's code and constants. */
static void map_direct(uint64_t from, uint64_t to)
{
	uint64_t ro_from = kernel_hpa(kernel_text_start), ro_to = kernel_hpa(kernel_rodata_end);
	uint64_t cut[4] = { from, MIN(MAX(from, ro_from), to), MAX(from, MIN(to, ro_to)), to };

	if (ro_to <= from || ro_from >= to) {
		map_or_die(DIRECT_BASE + from, from, to - from, PTE_W | PTE_G | PTE_NX);
		return;
	}
	map_or_die(DIRECT_BASE + cut[0], cut[0], cut[1] - cut[0], PTE_W | PTE_G | PTE_NX);
	map_or_die(DIRECT_BASE + cut[1], cut[1], cut[2] - cut[1], PTE_G | PTE_NX);
	map_or_die(DIRECT_BASE + cut[2], cut[2], cut[3] - cut[2], PTE_W | PTE_G | PTE_NX);
}

static void map_kernel_part(const char *from, const char *to, uint64_t flags)
{
	map_or_die((uint64_t)from, kernel_hpa(from), align_up((uint64_t)(to - from), PAGE_SIZE), flags | PTE_G);
}

static bool in_direct_map(uint32_t kind)
{
	return kind == BOOT_MEM_FREE || kind == BOOT_MEM_RECLAIM || kind == BOOT_MEM_KEPT || kind == BOOT_MEM_ACPI;
}

void paging_init_cpu(void)
{
	insn_wrmsr(MSR_EFER, insn_rdmsr(MSR_EFER) | EFER_NXE);
	insn_wrmsr(MSR_PAT, PAT_VALUE);
	insn_write_cr4(insn_read_cr4() & ~CR4_PGE);
	insn_write_cr3(paging.root.v);
	/* Machine checks come as exceptions: without MCE they reset the machine without a word (SDM 3B 15.3). */
	insn_write_cr4(insn_read_cr4() | CR4_PGE | CR4_MCE);
	insn_write_cr0((insn_read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_CD | CR0_NW | CR0_EM | CR0_TS));
}

void paging_init(const struct boot_info *info)
{
	const struct boot_mem *map_of_boot = arch_direct(hpa(info->mem));
	uint64_t from = 0, to = 0;

	paging.has_1g = (insn_cpuid(0x80000001, 0).edx & 1u << 26) != 0;
	paging.mmio_next = MMIO_BASE;
	paging.kernel = hpa(info->kernel_base);
	paging.root = table_alloc(0);
	ASSERT(!hpa_is_none(paging.root));
	for (unsigned i = 0; i < info->mem_count; i++) {
		const struct boot_mem *m = &map_of_boot[i];

		if (!in_direct_map(m->kind)) {
			continue;
		}
		if (m->base != to) {		/* neighbours of different kinds become one mapping */
			map_direct(from, to);
			from = m->base;
		}
		to = m->base + m->length;
	}
	map_direct(from, to);
	map_kernel_part(kernel_text_start, kernel_text_end, 0);
	map_kernel_part(kernel_rodata_start, kernel_rodata_end, PTE_NX);
	map_kernel_part(kernel_data_start, kernel_end, PTE_W | PTE_NX);
	paging_init_cpu();
}

uint64_t paging_cr3(void)
{
	return paging.root.v;
}

static void *map_device(hpa_t at, size_t size, uint64_t flags)
{
	uint64_t first = align_down(at.v, PAGE_SIZE);
	uint64_t length = align_up(at.v + size, PAGE_SIZE) - first;
	uint64_t va = align_up(paging.mmio_next, LARGE_SIZE) + first % LARGE_SIZE;

	if (!map(va, first, length, flags | PTE_W | PTE_NX | PTE_G)) {
		return NULL;
	}
	paging.mmio_next = va + length;
	return (void *)(va + at.v % PAGE_SIZE);
}

void *paging_map_mmio(hpa_t at, size_t size)
{
	return map_device(at, size, PTE_PCD | PTE_PWT);
}

void *paging_map_framebuffer(hpa_t at, size_t size)
{
	return map_device(at, size, PTE_PAT);	/* entry 4: write-combining */
}

uint64_t paging_map_stack(unsigned cpu, unsigned kind, unsigned node)
{
	uint64_t va = STACK_BASE + ((uint64_t)cpu * STACK_KINDS + kind) * STACK_STRIDE + STACK_STRIDE / 2;
	hpa_t at = mem_alloc(&mem, node, STACK_PAGES, MEM_PREFER);

	if (hpa_is_none(at) || !map(va, at.v, STACK_PAGES * PAGE_SIZE, PTE_W | PTE_NX | PTE_G)) {
		return 0;
	}
	return va + STACK_PAGES * PAGE_SIZE;
}

bool paging_is_guard(uint64_t va)
{
	uint64_t end = STACK_BASE + (uint64_t)CPU_MAX * STACK_KINDS * STACK_STRIDE;
	uint64_t in = va % STACK_STRIDE;

	return va >= STACK_BASE && va < end &&
	       (in < STACK_STRIDE / 2 || in >= STACK_STRIDE / 2 + STACK_PAGES * PAGE_SIZE);
}

bool paging_make_start_root(hpa_t root, hpa_t code)
{
	uint64_t *own = arch_direct(paging.root), *copy = arch_direct(root);
	uint64_t *low = &own[code.v >> (PAGE_SHIFT + 9 * TOP_LEVEL)];
	bool mapped;

	ASSERT(*low == 0);
	mapped = map(code.v, code.v, PAGE_SIZE, 0);
	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		copy[i] = own[i];
	}
	*low = 0;
	insn_write_cr3(paging.root.v);	/* it may have been cached */
	return mapped;
}
