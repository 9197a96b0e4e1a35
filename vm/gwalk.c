/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks a guest's page tables: none, 32-bit, PAE, 4-level and 5-level. */
#include "vm/gwalk.h"

#define CR0_PG		(1ul << 31)
#define CR0_WP		(1ul << 16)
#define CR4_PSE		(1ul << 4)
#define CR4_PAE		(1ul << 5)
#define CR4_LA57	(1ul << 12)
#define CR4_SMEP	(1ul << 20)
#define EFER_LMA	(1ul << 10)
#define EFER_NXE	(1ul << 11)

#define PTE_P		(1ul << 0)
#define PTE_W		(1ul << 1)
#define PTE_U		(1ul << 2)
#define PTE_PS		(1ul << 7)
#define PTE_PAT_LARGE	(1ul << 12)
#define PTE_NX		(1ul << 63)
#define PTE_ADDR	0x000ffffffffff000ul

/* One paging mode: how many levels, index bits a level, bytes an entry. */
struct mode {
	unsigned levels, index_bits, entry_bytes;
	uint64_t root;
};

/* Permissions gathered on the way down. */
struct rights {
	bool write, user, exec;
};

static struct mode mode_of(const struct virt_state *s)
{
	if ((s->efer & EFER_LMA) != 0) {
		return (struct mode){ (s->cr4 & CR4_LA57) != 0 ? 5 : 4, 9, 8, s->cr3 & PTE_ADDR };
	}
	if ((s->cr4 & CR4_PAE) != 0) {
		return (struct mode){ 3, 9, 8, s->cr3 & 0xffffffe0ul };
	}
	return (struct mode){ 2, 10, 4, s->cr3 & 0xfffff000ul };
}

/* May the entry at this level (1 = page table) map a page itself? */
static bool large_allowed(const struct mode *m, const struct virt_state *s, unsigned level)
{
	if (m->entry_bytes == 4) {
		return level == 2 && (s->cr4 & CR4_PSE) != 0;
	}
	return level == 2 || (level == 3 && m->levels >= 4);
}

/* Bits that must be zero: NX where it is off, PS where no page may be, address bits below a large page. */
static bool reserved_set(const struct mode *m, const struct virt_state *s, unsigned level, uint64_t entry, bool large)
{
	unsigned shift = 12 + m->index_bits * (level - 1);

	if (m->entry_bytes == 4) {
		return large && (entry & (1ul << 21)) != 0;	/* 13..20 are address bits 32..39 (PSE-36) */
	}
	if (m->levels == 3 && level == 3) {
		return (entry & (PTE_NX | 0x7ff0000000000000ul | 0x1e6ul)) != 0;
	}
	if ((entry & PTE_NX) != 0 && (s->efer & EFER_NXE) == 0) {
		return true;
	}
	if (m->levels == 3 && (entry & 0x7ff0000000000000ul) != 0) {
		return true;
	}
	if (large) {
		return (entry & ((1ul << shift) - 1) & PTE_ADDR & ~PTE_PAT_LARGE) != 0;
	}
	return level >= 3 && (entry & PTE_PS) != 0;
}

static uint64_t large_base(const struct mode *m, unsigned shift, uint64_t entry)
{
	if (m->entry_bytes == 4) {
		return (entry & 0xffc00000ul) | (entry >> 13 & 0xff) << 32;
	}
	return entry & PTE_ADDR & ~((1ul << shift) - 1);
}

static uint32_t fault_code(const struct virt_state *s, enum gwalk_access access)
{
	uint32_t code = s->cpl == 3 ? GWALK_FAULT_USER : 0;

	if (access == GWALK_WRITE) {
		code |= GWALK_FAULT_WRITE;
	}
	if (access == GWALK_FETCH && ((s->efer & EFER_NXE) != 0 || (s->cr4 & CR4_SMEP) != 0)) {
		code |= GWALK_FAULT_FETCH;
	}
	return code;
}

static bool allowed(const struct virt_state *s, const struct rights *r, enum gwalk_access access)
{
	if (s->cpl == 3 && !r->user) {
		return false;
	}
	if (access == GWALK_WRITE) {
		return r->write || (s->cpl != 3 && (s->cr0 & CR0_WP) == 0);
	}
	if (access == GWALK_FETCH) {
		return r->exec && (s->cpl == 3 || !r->user || (s->cr4 & CR4_SMEP) == 0);
	}
	return true;
}

static bool canonical(const struct mode *m, uint64_t linear)
{
	unsigned bits = 12 + 9 * m->levels;
	int64_t high = (int64_t)linear >> (bits - 1);

	return high == 0 || high == -1;
}

/* The last level is reached: the page, if the rights suffice. */
static enum err finish(const struct virt_state *s, const struct rights *r, enum gwalk_access access, uint64_t base,
		       uint64_t linear, struct gwalk *out)
{
	if (!allowed(s, r, access)) {
		out->fault = fault_code(s, access) | GWALK_FAULT_PRESENT;
		return ERR_NOENT;
	}
	out->at = gpa(base | (linear & (out->page_bytes - 1)));
	return ERR_OK;
}

static enum err walk(const struct gmem *g, const struct virt_state *s, const struct mode *m, uint64_t linear,
		     enum gwalk_access access, struct gwalk *out)
{
	struct rights r = { true, true, true };
	uint64_t table = m->root;

	for (unsigned level = m->levels; level > 0; level--) {
		unsigned shift = 12 + m->index_bits * (level - 1);
		uint64_t index = linear >> shift & ((1ul << m->index_bits) - 1);
		uint64_t entry = 0;
		bool large;

		if (!gmem_read(g, gpa(table + index * m->entry_bytes), &entry, m->entry_bytes)) {
			return ERR_RANGE;
		}
		if ((entry & PTE_P) == 0) {
			out->fault = fault_code(s, access);
			return ERR_NOENT;
		}
		large = level > 1 && (entry & PTE_PS) != 0 && large_allowed(m, s, level);
		if (reserved_set(m, s, level, entry, large)) {
			out->fault = fault_code(s, access) | GWALK_FAULT_PRESENT | GWALK_FAULT_RESERVED;
			return ERR_NOENT;
		}
		/* The four PAE pointers carry no rights (SDM volume 3, 4.4.1). */
		if (m->levels != 3 || level != 3) {
			r.write = r.write && (entry & PTE_W) != 0;
			r.user = r.user && (entry & PTE_U) != 0;
			r.exec = r.exec && (m->entry_bytes == 4 || (entry & PTE_NX) == 0);
		}
		if (large || level == 1) {
			out->page_bytes = 1ul << shift;
			return finish(s, &r, access, large ? large_base(m, shift, entry) : entry & PTE_ADDR, linear,
				      out);
		}
		table = entry & PTE_ADDR;
	}
	return ERR_NOENT;
}

enum err gwalk_translate(const struct gmem *g, const struct virt_state *s, uint64_t linear, enum gwalk_access access,
			 struct gwalk *out)
{
	struct mode m = mode_of(s);

	*out = (struct gwalk){ .page_bytes = PAGE_SIZE };
	if ((s->efer & EFER_LMA) == 0) {
		linear &= 0xffffffff;
	}
	if ((s->cr0 & CR0_PG) == 0) {
		out->at = gpa(linear);
		return ERR_OK;
	}
	if (m.levels >= 4 && !canonical(&m, linear)) {
		out->fault = GWALK_FAULT_GP;
		return ERR_NOENT;
	}
	return walk(g, s, &m, linear, access, out);
}

size_t gwalk_fetch(const struct gmem *g, const struct virt_state *s, uint64_t linear, void *to, size_t len)
{
	uint8_t *out = to;
	size_t done = 0;

	while (done < len) {
		size_t piece = MIN(len - done, PAGE_SIZE - ((linear + done) & PAGE_MASK));
		struct gwalk w;

		if (gwalk_translate(g, s, linear + done, GWALK_FETCH, &w) != ERR_OK ||
		    !gmem_read(g, w.at, out + done, piece)) {
			break;
		}
		done += piece;
	}
	return done;
}
