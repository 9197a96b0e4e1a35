/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The effect of a decoded instruction whose memory operand is a device. The caller has the exit's guest-physical
 * address; the walk of the guest's tables is needed only for the instruction's bytes, for string instructions and for
 * operands that cross a page.
 *
 *	n = emulate_decode(mem, state, bytes, &d)	bytes at CS:RIP -> d
 *	emulate_mmio(&e, &d, fault)			ERR_OK: RIP += e.repeat ? 0 : d.length, RFLAGS = e.rflags
 */
#pragma once

#include "arch/x86_64/virt.h"
#include "vm/decode.h"
#include "vm/gmem.h"

#define EMULATE_STRING_BATCH	256u	/* elements of a REP string done in one exit, so that pokes are not kept waiting */

struct emulate {
	const struct gmem *mem;
	const struct virt_state *state;		/* gives RSP, segments, paging; not changed */
	uint64_t *gpr;				/* [VIRT_GPR_COUNT], changed; RSP's element is not used */
	uint64_t rflags;			/* in and out */
	/* Accesses to what is not RAM, of 1, 2, 4 or 8 bytes. An error ends the instruction and is returned. */
	enum err (*mmio_read)(void *ctx, gpa_t at, unsigned bytes, uint64_t *value);
	enum err (*mmio_write)(void *ctx, gpa_t at, unsigned bytes, uint64_t value);
	void *ctx;
	/* Out. */
	bool repeat;				/* a REP string is not finished: RIP stays on the instruction */
	uint64_t fault_linear;			/* ERR_NOENT: inject #PF with this CR2 ... */
	uint32_t fault_code;			/* ... and this error code, RIP stays */
};

/*
 * Fetches and decodes the instruction at CS:RIP; bytes gets what was fetched, *count how many, for a message when it
 * fails. Errors are decode_insn()'s.
 */
enum err emulate_decode(const struct gmem *mem, const struct virt_state *state, uint8_t bytes[DECODE_BYTES_MAX],
			size_t *count, struct decode *out);

/*
 * Does the instruction. fault is the guest-physical address of the access that left the guest. Besides the callbacks'
 * errors: ERR_NOENT (page fault, see above), ERR_RANGE (page tables outside RAM), ERR_NOTSUP (RSP as a destination).
 * After an error general registers are those of the string elements done so far.
 */
enum err emulate_mmio(struct emulate *e, const struct decode *d, gpa_t fault);
