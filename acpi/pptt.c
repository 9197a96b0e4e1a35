/* SPDX-License-Identifier: BSD-2-Clause */
/* The PPTT's nodes, and climbing from a cpu to its package. */
#include "acpi/pptt.h"

#include "kernel/lib/util.h"

#define PROCESSOR_SIZE		20u
#define TYPE_CACHE		1u
#define CACHE_SIZE		24u

#define PROCESSOR_PACKAGE	(1u << 0)
#define PROCESSOR_UID_VALID	(1u << 1)
#define PROCESSOR_THREAD	(1u << 2)
#define PROCESSOR_LEAF		(1u << 3)
#define CACHE_SIZE_VALID	(1u << 0)
#define CACHE_LINE_VALID	(1u << 6)

enum err pptt_open(struct pptt *p, const void *table, size_t size)
{
	struct reader r;
	enum err e = acpi_reader(&r, table, size, PPTT_SIGNATURE, PPTT_SIZE_MIN);

	*p = (struct pptt){ .table = table, .size = e == ERR_OK ? size : 0 };
	p->entries = entries_make(table, p->size, p->size == 0 ? 0 : PPTT_SIZE_MIN);
	return e;
}

static void read_processor(struct reader *r, struct pptt_entry *e)
{
	uint32_t flags = (uint32_t)reader_peek(r, 4, 4);

	e->kind = PPTT_PROCESSOR;
	e->processor = (struct pptt_processor){
		.parent = (uint32_t)reader_peek(r, 8, 4),
		.uid = (uint32_t)reader_peek(r, 12, 4),
		.has_uid = (flags & PROCESSOR_UID_VALID) != 0,
		.is_package = (flags & PROCESSOR_PACKAGE) != 0,
		.is_thread = (flags & PROCESSOR_THREAD) != 0,
		.is_leaf = (flags & PROCESSOR_LEAF) != 0,
	};
}

static void read_cache(struct reader *r, struct pptt_entry *e)
{
	uint32_t flags = (uint32_t)reader_peek(r, 4, 4);

	e->kind = PPTT_CACHE;
	e->cache = (struct pptt_cache){
		.has_size = (flags & CACHE_SIZE_VALID) != 0,
		.size_bytes = (uint32_t)reader_peek(r, 12, 4),
		.has_line_size = (flags & CACHE_LINE_VALID) != 0,
		.line_bytes = (uint16_t)reader_peek(r, 22, 2),
	};
}

bool pptt_next(struct pptt *p, struct pptt_entry *e)
{
	struct entry raw;

	if (!entries_next(&p->entries, &raw)) {
		return false;
	}
	*e = (struct pptt_entry){ .kind = PPTT_OTHER, .type = raw.type, .at = (uint32_t)raw.at };
	if (raw.type > TYPE_CACHE) {
		return true;
	}
	if (raw.length < (raw.type == TYPE_CACHE ? CACHE_SIZE : PROCESSOR_SIZE)) {
		e->kind = PPTT_SHORT;
	} else if (raw.type == TYPE_CACHE) {
		read_cache(&raw.r, e);
	} else {
		read_processor(&raw.r, e);
	}
	return true;
}

enum err pptt_at(const struct pptt *p, uint32_t at, struct pptt_entry *e)
{
	struct pptt walk;

	if (p->size == 0 || pptt_open(&walk, p->table, p->size) != ERR_OK) {
		return ERR_NOENT;
	}
	while (pptt_next(&walk, e)) {
		if (e->at == at) {
			return ERR_OK;
		}
	}
	return ERR_NOENT;
}

uint32_t pptt_package(const struct pptt *p, uint32_t at)
{
	for (unsigned i = 0; i < PPTT_DEPTH_MAX && at != 0; i++) {
		struct pptt_entry e;

		if (pptt_at(p, at, &e) != ERR_OK || e.kind != PPTT_PROCESSOR) {
			return 0;
		}
		if (e.processor.is_package) {
			return at;
		}
		at = e.processor.parent;
	}
	return 0;
}
