/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loaders share: memory map, placing of blobs and command lines, tables for the start. */
#include "vm/load.h"

#include "kernel/console.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "vm/load_layout.h"
#include "vm/vmap.h"

#define GDT_CODE32	0x00cf9b000000fffful	/* present, execute/read, accessed, 4 GiB, 32-bit */
#define GDT_CODE64	0x00af9b000000fffful	/* the same, long mode */
#define GDT_DATA	0x00cf93000000fffful

#define PTE_TABLE	0x3ul			/* present, writable */
#define PTE_LARGE	0x83ul			/* and a page */

enum err load_fail(struct load *l, enum err e, const char *fmt, ...)
{
	struct text t = text_make(l->why->words, sizeof(l->why->words));
	va_list args;

	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	return e;
}

unsigned load_map(const struct gmem *g, struct load_range map[LOAD_MAP_MAX])
{
	unsigned n = 0;

	map[n++] = (struct load_range){ 0, VMAP_LOW_RAM_END, LOAD_MAP_RAM };
	map[n++] = (struct load_range){ VMAP_LOW_RAM_END, VMAP_EBDA_END - VMAP_LOW_RAM_END, LOAD_MAP_RESERVED };
	map[n++] = (struct load_range){ VMAP_ACPI_BASE, VMAP_ACPI_END - VMAP_ACPI_BASE, LOAD_MAP_RESERVED };
	map[n++] = (struct load_range){ VMAP_HIGH_RAM_BASE, g->low_size - VMAP_HIGH_RAM_BASE, LOAD_MAP_RAM };
	if (g->size > g->low_size) {
		map[n++] = (struct load_range){ GMEM_HIGH_BASE, g->size - g->low_size, LOAD_MAP_RAM };
	}
	return n;
}

enum err load_check_range(struct load *l, const char *what, uint64_t at, uint64_t size)
{
	if (at < VMAP_HIGH_RAM_BASE) {
		return load_fail(l, ERR_FORMAT, "%s: at 0x%lx, expected 0x%lx or above (low memory is taken)", what, at,
				 VMAP_HIGH_RAM_BASE);
	}
	if (at > l->mem->low_size || size > l->mem->low_size - at) {
		return load_fail(l, ERR_NOMEM, "%s: 0x%lx bytes at 0x%lx, but RAM ends at 0x%lx", what, size, at,
				 l->mem->low_size);
	}
	return ERR_OK;
}

bool load_put(struct load *l, uint64_t at, const void *data, size_t size)
{
	for (size_t done = 0; done < size; done += CONSOLE_CATCH_BYTES) {
		if (!gmem_write(l->mem, gpa(at + done), (const uint8_t *)data + done, MIN(size - done, CONSOLE_CATCH_BYTES))) {
			return false;
		}
		console_catch();
	}
	return true;
}

static enum err put_blob(struct load *l, const char *what, const struct image_blob *blob, uint64_t at)
{
	return load_put(l, at, blob->data, blob->size) ? ERR_OK : load_fail(l, ERR_NOMEM, "%s: no RAM at 0x%lx", what, at);
}

enum err load_blob(struct load *l, const char *what, const struct image_blob *blob, uint64_t *at)
{
	uint64_t floor = align_up(l->image_end, PAGE_SIZE);

	if (l->top < floor || blob->size > l->top - floor) {
		return load_fail(l, ERR_NOMEM, "%s: %zu bytes, but only %lu are free between the kernel and 0x%lx", what,
				 blob->size, l->top < floor ? 0 : l->top - floor, l->top);
	}
	*at = l->top = align_down(l->top - blob->size, PAGE_SIZE);
	return put_blob(l, what, blob, *at);
}

enum err load_blob_above(struct load *l, const char *what, const struct image_blob *blob, uint64_t *at)
{
	*at = align_up(l->image_end, PAGE_SIZE);
	if (*at > l->top || blob->size > l->top - *at) {
		return load_fail(l, ERR_NOMEM, "%s: %zu bytes, but only %lu are free between 0x%lx and 0x%lx", what, blob->size,
				 *at > l->top ? 0 : l->top - *at, *at, l->top);
	}
	l->image_end = *at + blob->size;
	return put_blob(l, what, blob, *at);
}

enum err load_command(struct load *l, const char *what, const char *name, const char *text, uint64_t *at)
{
	size_t name_len = name == NULL ? 0 : strlen(name), len = text == NULL ? 0 : strlen(text);
	uint64_t left = LOAD_CMDLINE_BYTES - l->cmdline_used, to = LOAD_CMDLINE + l->cmdline_used;

	/* The name, a blank where both are there, the text, a terminator. */
	if (name_len >= left || len >= left - name_len || name_len + len + 2 > left) {
		return load_fail(l, ERR_LIMIT, "%s: %zu bytes, %lu are left for command lines", what, name_len + len + 2, left);
	}
	*at = to;
	if (!gmem_write(l->mem, gpa(to), name, name_len) || !gmem_write(l->mem, gpa(to + name_len), " ", 1) ||
	    !gmem_write(l->mem, gpa(to + name_len + 1), text, len) ||
	    !gmem_zero(l->mem, gpa(to + name_len + (len != 0 ? 1 + len : 0)), 1)) {
		return load_fail(l, ERR_NOMEM, "%s: no RAM at 0x%lx", what, to);
	}
	l->cmdline_used += name_len + len + 2;
	return ERR_OK;
}

enum err load_cmdline(struct load *l, const char *what, const char *text, size_t limit, uint64_t *at)
{
	size_t len = text == NULL ? 0 : strlen(text);

	*at = 0;
	if (len > limit) {
		return load_fail(l, ERR_LIMIT, "%s: %zu bytes, the image takes at most %zu", what, len, limit);
	}
	if (len >= LOAD_CMDLINE_BYTES - l->cmdline_used) {
		return load_fail(l, ERR_LIMIT, "%s: %zu bytes, %lu are left for command lines", what, len,
				 LOAD_CMDLINE_BYTES - l->cmdline_used - 1);
	}
	if (len == 0) {
		return ERR_OK;
	}
	*at = LOAD_CMDLINE + l->cmdline_used;
	l->cmdline_used += len + 1;
	/* With the terminator: the area need not be zero before. */
	return gmem_write(l->mem, gpa(*at), text, len + 1) ? ERR_OK :
	       load_fail(l, ERR_NOMEM, "%s: no RAM at 0x%lx", what, *at);
}

bool load_bios_area(struct gmem *g)
{
	/* push bp; mov bp, sp; or byte [bp + 6], 1 (the flags that iret takes back: carry); pop bp; iret */
	static const uint8_t stub[] = { 0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xcf };
	uint32_t vector[256];
	uint16_t com1 = VMAP_PORT_COM1, ebda = VMAP_LOW_RAM_END >> 4, base_kib = VMAP_LOW_RAM_END / KIB;

	for (unsigned i = 0; i < ARRAY_SIZE(vector); i++) {
		vector[i] = LOAD_BIOS_STUB;	/* offset, segment 0 */
	}
	return gmem_write(g, gpa(0), vector, sizeof(vector)) && gmem_write(g, gpa(LOAD_BIOS_STUB), stub, sizeof(stub)) &&
	       gmem_write(g, gpa(LOAD_BDA_COM1), &com1, 2) && gmem_write(g, gpa(LOAD_BDA_EBDA), &ebda, 2) &&
	       gmem_write(g, gpa(LOAD_BDA_BASE_KIB), &base_kib, 2);
}

/* Linear = physical for the low 4 GiB, by 2 MiB pages: PML4, PDPT, 4 page directories, one after the other. */
static bool write_page_tables(struct gmem *g)
{
	uint64_t pdpt = LOAD_PAGE_TABLES + PAGE_SIZE, pd = pdpt + PAGE_SIZE;
	uint64_t entry = pdpt | PTE_TABLE;
	bool good = gmem_zero(g, gpa(LOAD_PAGE_TABLES), 6 * PAGE_SIZE) &&
		    gmem_write(g, gpa(LOAD_PAGE_TABLES), &entry, 8);

	for (unsigned i = 0; i < 4; i++) {
		entry = (pd + i * PAGE_SIZE) | PTE_TABLE;
		good = good && gmem_write(g, gpa(pdpt + 8 * i), &entry, 8);
	}
	for (unsigned i = 0; i < 4 * 512; i++) {
		entry = i * LARGE_SIZE | PTE_LARGE;
		good = good && gmem_write(g, gpa(pd + 8 * i), &entry, 8);
	}
	return good;
}

enum err load_start(struct load *l, enum virt_mode mode, uint64_t rip)
{
	bool long64 = mode == VIRT_MODE_LONG64;
	uint64_t gdt[LOAD_GDT_BYTES / 8] = { [2] = long64 ? GDT_CODE64 : GDT_CODE32, [3] = GDT_DATA };

	if (!gmem_write(l->mem, gpa(LOAD_GDT), gdt, sizeof(gdt)) || (long64 && !write_page_tables(l->mem))) {
		return load_fail(l, ERR_NOMEM, "start tables: no RAM below 0x%lx", LOAD_STACK_TOP);
	}
	*l->start = (struct virt_start){
		.mode = mode,
		.rip = rip,
		.rsp = LOAD_STACK_TOP,
		.gpr = { [VIRT_RSI] = long64 ? LOAD_INFO : 0, [VIRT_RBX] = long64 ? 0 : LOAD_INFO },
		.cr3 = long64 ? LOAD_PAGE_TABLES : 0,
		.gdt_base = LOAD_GDT,
		.gdt_limit = LOAD_GDT_BYTES - 1,
	};
	return ERR_OK;
}
