/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's serial console: what the guest wrote, kept for scrollback (the last 64 KiB), and what was typed for it. The vCPU writes and the
 * housekeeping cpu reads `out`; `in` is the other way round. Neither waits for the other: a guest that floods loses its oldest
 * output, which is counted when it had not been shown yet.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "kernel/lib/ring.h"

#define VCONSOLE_OUT_BYTES	(64u * 1024u)
#define VCONSOLE_IN_BYTES	(16u * 1024u)
#define VCONSOLE_LINE_MAX	512u

struct vconsole {
	/* The guest's side. */
	_Atomic uint64_t written;	/* bytes ever; out[written % VCONSOLE_OUT_BYTES] is next */
	struct ring in;
	_Atomic bool in_waiting;	/* bytes came since the vCPU last looked */
	/* The housekeeping cpu's side. */
	uint64_t shown;			/* bytes ever looked at */
	uint64_t dropped;		/* bytes overwritten before that */
	unsigned line_len;
	uint8_t line[VCONSOLE_LINE_MAX];
	uint8_t in_bytes[VCONSOLE_IN_BYTES];
	uint8_t out[VCONSOLE_OUT_BYTES];
};

struct vconsole *vconsole_create(unsigned node);	/* NULL: no memory */
void vconsole_destroy(struct vconsole *c);
/* Guest's side: takes the byte, always. */
void vconsole_put(struct vconsole *c, uint8_t byte);
/* Guest's side: a typed byte, or -1. */
int vconsole_get(struct vconsole *c);
/* Housekeeping: one typed byte; false when full. The caller wakes the vCPU. */
bool vconsole_type(struct vconsole *c, uint8_t byte);
/* Housekeeping: shows at most `budget` new bytes, as lines with name in front, or raw where attached. */
void vconsole_show(struct vconsole *c, const char *name, bool attached, unsigned budget);
/* Housekeeping: writes what is kept of the past, raw. */
void vconsole_replay(struct vconsole *c);
