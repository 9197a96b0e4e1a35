/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's own page tables, walked as its cpu would (SDM volume 3, 4.3 to 4.5): linear to guest-physical. It is used
 * to fetch an instruction that touched a device and to reach the memory operand of a string instruction, so it sets
 * no accessed or dirty bits and knows neither SMAP nor protection keys.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64/virt.h"
#include "vm/gmem.h"

enum gwalk_access { GWALK_READ, GWALK_WRITE, GWALK_FETCH };

/* Page-fault error code (SDM volume 3, 4.7). */
#define GWALK_FAULT_PRESENT	(1u << 0)
#define GWALK_FAULT_WRITE	(1u << 1)
#define GWALK_FAULT_USER	(1u << 2)
#define GWALK_FAULT_RESERVED	(1u << 3)
#define GWALK_FAULT_FETCH	(1u << 4)
#define GWALK_FAULT_GP		(1u << 31)	/* ours: the address is not canonical, #GP(0) is due and no page fault */

struct gwalk {
	gpa_t at;		/* where the linear address lies; need not be RAM */
	uint64_t page_bytes;	/* size of the page it is in */
	uint32_t fault;		/* ERR_NOENT: the error code a #PF for this access carries */
};

/* ERR_NOENT: the guest's tables say page fault; ERR_RANGE: a table lies outside the guest's RAM. */
enum err gwalk_translate(const struct gmem *g, const struct virt_state *s, uint64_t linear, enum gwalk_access access,
			 struct gwalk *out);

/* Instruction bytes from a linear address; returns how many could be had, at most len. */
size_t gwalk_fetch(const struct gmem *g, const struct virt_state *s, uint64_t linear, void *to, size_t len);
