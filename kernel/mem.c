/* SPDX-License-Identifier: BSD-2-Clause */
/* Page allocator over 2 MiB chunks; see mem.h. */
#include "kernel/mem.h"

#include "kernel/arch.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"

#define BITMAP_WORDS	(LARGE_PAGES / 64)
#define PIECE_MIN	(64 * KIB)	/* below this the books cost more than the memory is worth */
#define RUN_SCAN_MAX	32u		/* partial chunks looked at for a run of pages while a whole one could be opened */

struct mem_chunk {
	struct list link;		/* in its node's whole or partial list; self-linked when full */
	uint64_t used[BITMAP_WORDS];	/* one bit a page; also set for pages outside the piece */
	uint64_t base;			/* physical address of its first page */
	uint32_t free;			/* pages */
};

struct mem mem;

static bool bit_used(const struct mem_chunk *c, unsigned page)
{
	return (c->used[page / 64] >> (page % 64) & 1) != 0;
}

/* The bits of the word that page is in, from page's on, at most count of them. */
static uint64_t mask_from(unsigned page, unsigned count)
{
	return (count < 64 ? (1ul << count) - 1 : ~0ul) << (page % 64);
}

static void bits_set(struct mem_chunk *c, unsigned page, unsigned count, bool used)
{
	for (unsigned end = page + count; page < end; page = (page / 64 + 1) * 64) {
		uint64_t mask = mask_from(page, end - page);

		c->used[page / 64] = used ? c->used[page / 64] | mask : c->used[page / 64] & ~mask;
	}
}

static bool bits_all_used(const struct mem_chunk *c, unsigned page, unsigned count)
{
	for (unsigned end = page + count; page < end; page = (page / 64 + 1) * 64) {
		if ((~c->used[page / 64] & mask_from(page, end - page)) != 0) {
			return false;
		}
	}
	return true;
}

/* Puts c on the list that its count of free pages asks for. */
static void chunk_file(struct mem_node *n, struct mem_chunk *c)
{
	list_remove(&c->link);
	if (c->free == LARGE_PAGES) {
		list_push_back(&n->whole, &c->link);
	} else if (c->free > 0) {
		list_push_front(&n->partial, &c->link);
	}
}

void mem_init(struct mem *m, const struct topology *t)
{
	*m = (struct mem){ .node_count = t->node_count };
	for (unsigned i = 0; i < t->node_count; i++) {
		list_init(&m->node[i].whole);
		list_init(&m->node[i].partial);
		topology_fallback(t, i, m->node[i].fallback);
	}
}

static unsigned piece_insert(struct mem *m, const struct mem_piece *new)
{
	unsigned at = m->piece_count++;

	for (; at > 0 && m->piece[at - 1].base > new->base; at--) {
		m->piece[at] = m->piece[at - 1];
	}
	m->piece[at] = *new;
	return at;
}

/* Marks the pages of c that lie outside its piece as used. */
static void chunk_clip(struct mem_chunk *c, const struct mem_piece *p)
{
	for (unsigned page = 0; page < LARGE_PAGES; page++) {
		uint64_t at = c->base + page * PAGE_SIZE;

		if (at < p->base || at >= p->end) {
			bits_set(c, page, 1, true);
			c->free--;
		}
	}
}

static void chunks_init(struct mem *m, const struct mem_piece *p, uint64_t count)
{
	struct mem_node *n = &m->node[p->node];

	for (uint64_t i = 0; i < count; i++) {
		struct mem_chunk *c = &p->chunk[i];

		memset(c, 0, sizeof(*c));
		list_init(&c->link);
		c->base = p->chunk_base + i * LARGE_SIZE;
		c->free = LARGE_PAGES;
		if (c->base < p->base || c->base + LARGE_SIZE > p->end) {
			chunk_clip(c, p);
		}
		n->total_pages += c->free;
		n->free_pages += c->free;
		chunk_file(n, c);
	}
}

void mem_add(struct mem *m, uint64_t base, uint64_t length, unsigned node)
{
	struct mem_piece p = { .base = base, .end = base + length, .node = node };
	uint64_t count = (align_up(p.end, LARGE_SIZE) - align_down(base, LARGE_SIZE)) / LARGE_SIZE;
	uint64_t books = align_up(count * sizeof(struct mem_chunk), PAGE_SIZE);

	if (length < PIECE_MIN || length < 2 * books || m->piece_count == MEM_PIECES_MAX) {
		m->dropped_pages += length / PAGE_SIZE;
		return;
	}
	p.chunk = arch_direct(hpa(base));
	p.base += books;
	p.chunk_base = align_down(p.base, LARGE_SIZE);
	count = (align_up(p.end, LARGE_SIZE) - p.chunk_base) / LARGE_SIZE;
	m->node[node].own_pages += books / PAGE_SIZE;
	chunks_init(m, &m->piece[piece_insert(m, &p)], count);
}

/* The piece that holds address at, or NULL. */
static const struct mem_piece *piece_of(const struct mem *m, uint64_t at)
{
	unsigned low = 0, high = m->piece_count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (at >= m->piece[mid].end) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low < m->piece_count && at >= m->piece[low].base ? &m->piece[low] : NULL;
}

/* First page of a free aligned run in c, or LARGE_PAGES. */
static unsigned chunk_find(const struct mem_chunk *c, unsigned pages, unsigned step)
{
	for (unsigned i = 0; pages == 1 && i < BITMAP_WORDS; i++) {
		if (c->used[i] != ~0ul) {
			return i * 64 + (unsigned)__builtin_ctzl(~c->used[i]);
		}
	}
	for (unsigned first = 0; pages > 1 && first + pages <= LARGE_PAGES; first += step) {
		unsigned n = 0;

		while (n < pages && !bit_used(c, first + n)) {
			n++;
		}
		if (n == pages) {
			return first;
		}
	}
	return LARGE_PAGES;
}

static hpa_t chunk_take(struct mem_node *n, struct mem_chunk *c, unsigned first, unsigned pages)
{
	bits_set(c, first, pages, true);
	c->free -= pages;
	n->free_pages -= pages;
	chunk_file(n, c);
	return hpa(c->base + first * PAGE_SIZE);
}

static hpa_t node_alloc(struct mem_node *n, unsigned pages)
{
	unsigned step = 1, seen = 0;
	struct list *whole;

	while (step < pages) {
		step *= 2;
	}
	if (pages < LARGE_PAGES) {
		LIST_FOREACH(node, &n->partial) {
			struct mem_chunk *c = LIST_ENTRY(node, struct mem_chunk, link);
			unsigned first = chunk_find(c, pages, step);

			if (first < LARGE_PAGES) {
				return chunk_take(n, c, first, pages);
			}
			if (++seen >= RUN_SCAN_MAX && !list_empty(&n->whole)) {
				break;
			}
		}
	}
	whole = list_first(&n->whole);
	return whole == NULL ? HPA_NONE : chunk_take(n, LIST_ENTRY(whole, struct mem_chunk, link), 0, pages);
}

hpa_t mem_alloc(struct mem *m, unsigned node, unsigned pages, enum mem_policy policy)
{
	ASSERT(node < m->node_count && pages >= 1 && pages <= LARGE_PAGES);
	for (unsigned i = 0; i < m->node_count; i++) {
		hpa_t at = node_alloc(&m->node[m->node[node].fallback[i]], pages);

		if (!hpa_is_none(at) || policy == MEM_STRICT) {
			return at;
		}
	}
	return HPA_NONE;
}

void mem_free(struct mem *m, hpa_t at, unsigned pages)
{
	const struct mem_piece *p = piece_of(m, at.v);
	struct mem_chunk *c;
	unsigned first = (unsigned)(at.v % LARGE_SIZE / PAGE_SIZE);

	ASSERT(p != NULL && is_aligned(at.v, PAGE_SIZE) && first + pages <= LARGE_PAGES);
	ASSERT(at.v + pages * PAGE_SIZE <= p->end);	/* pages past the piece look taken, too */
	c = &p->chunk[(at.v - p->chunk_base) / LARGE_SIZE];
	ASSERT(bits_all_used(c, first, pages));
	bits_set(c, first, pages, false);
	c->free += pages;
	m->node[p->node].free_pages += pages;
	chunk_file(&m->node[p->node], c);
}

uint64_t mem_free_chunks(const struct mem *m, unsigned node)
{
	uint64_t count = 0;

	LIST_FOREACH(at, (struct list *)(uintptr_t)&m->node[node].whole) {
		count++;
	}
	return count;
}

unsigned mem_node_of(const struct mem *m, hpa_t at)
{
	const struct mem_piece *p = piece_of(m, at.v);

	return p == NULL ? NODE_NONE : p->node;
}

bool mem_check(const struct mem *m)
{
	uint64_t free[NODE_MAX] = { 0 };

	for (unsigned i = 0; i < m->piece_count; i++) {
		const struct mem_piece *p = &m->piece[i];

		for (uint64_t k = 0; p->chunk_base + k * LARGE_SIZE < p->end; k++) {
			unsigned n = 0;

			for (unsigned page = 0; page < LARGE_PAGES; page++) {
				n += !bit_used(&p->chunk[k], page);
			}
			if (n != p->chunk[k].free || list_empty(&p->chunk[k].link) != (n == 0)) {
				return false;
			}
			free[p->node] += n;
		}
	}
	for (unsigned i = 0; i < m->node_count; i++) {
		if (free[i] != m->node[i].free_pages) {
			return false;
		}
	}
	return true;
}
