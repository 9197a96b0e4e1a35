/* SPDX-License-Identifier: BSD-2-Clause */
/* Size-class pages; see slab.h. */
#include "kernel/slab.h"

#include "kernel/arch.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"

#define CLASS_LARGEST	(SLAB_ALIGN << (SLAB_CLASSES - 1))

/* At the start of a page of objects; object 0 begins SLAB_ALIGN bytes in. */
struct slab_page {
	struct list link;	/* in partial while some object is free; self-linked when full */
	uint64_t free;		/* one bit an object */
	uint32_t class, node;
};

_Static_assert(sizeof(struct slab_page) <= SLAB_ALIGN, "header fits before the first object");

static unsigned class_of(size_t bytes)
{
	return bytes <= SLAB_ALIGN ? 0 : 64 - (unsigned)__builtin_clzl((bytes - 1) / SLAB_ALIGN);
}

static uint64_t all_free(unsigned class)
{
	unsigned count = (unsigned)((PAGE_SIZE - SLAB_ALIGN) / ((size_t)SLAB_ALIGN << class));

	return (1ul << count) - 1;
}

void slab_init(struct slab *s, struct mem *m)
{
	s->mem = m;
	for (unsigned node = 0; node < NODE_MAX; node++) {
		for (unsigned class = 0; class < SLAB_CLASSES; class++) {
			list_init(&s->partial[node][class]);
		}
	}
}

static void *pages_alloc(struct slab *s, size_t bytes, unsigned node)
{
	size_t pages = bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
	hpa_t at = pages > LARGE_PAGES ? HPA_NONE : mem_alloc(s->mem, node, (unsigned)pages, MEM_STRICT);

	return hpa_is_none(at) ? NULL : memset(arch_direct(at), 0, pages * PAGE_SIZE);
}

static struct slab_page *page_make(struct slab *s, unsigned class, unsigned node)
{
	hpa_t at = mem_alloc(s->mem, node, 1, MEM_STRICT);
	struct slab_page *p;

	if (hpa_is_none(at)) {
		return NULL;
	}
	p = arch_direct(at);
	*p = (struct slab_page){ .free = all_free(class), .class = class, .node = node };
	list_init(&p->link);
	list_push_back(&s->partial[node][class], &p->link);
	return p;
}

void *slab_alloc(struct slab *s, size_t bytes, unsigned node)
{
	unsigned class, i;
	struct list *first;
	struct slab_page *p;

	if (bytes > CLASS_LARGEST) {
		return pages_alloc(s, bytes, node);
	}
	class = class_of(bytes);
	first = list_first(&s->partial[node][class]);
	p = first != NULL ? LIST_ENTRY(first, struct slab_page, link) : page_make(s, class, node);
	if (p == NULL) {
		return NULL;
	}
	i = (unsigned)__builtin_ctzl(p->free);
	p->free &= p->free - 1;
	if (p->free == 0) {
		list_remove(&p->link);
	}
	return memset((uint8_t *)p + SLAB_ALIGN + ((size_t)i * SLAB_ALIGN << class), 0, bytes);
}

void slab_free(struct slab *s, void *ptr, size_t bytes)
{
	struct slab_page *p = (struct slab_page *)align_down((uintptr_t)ptr, PAGE_SIZE);
	size_t offset = (uintptr_t)ptr % PAGE_SIZE - SLAB_ALIGN;
	unsigned i;

	if (bytes > CLASS_LARGEST) {
		mem_free(s->mem, arch_direct_hpa(ptr), (unsigned)((bytes + PAGE_SIZE - 1) / PAGE_SIZE));
		return;
	}
	i = (unsigned)(offset / ((size_t)SLAB_ALIGN << p->class));
	ASSERT(p->class == class_of(bytes) && (p->free >> i & 1) == 0);
	if (p->free == 0) {
		list_push_back(&s->partial[p->node][p->class], &p->link);
	}
	p->free |= 1ul << i;
	if (p->free == all_free(p->class)) {
		list_remove(&p->link);
		mem_free(s->mem, arch_direct_hpa(p), 1);
	}
}
