/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's serial console: what the guest wrote, kept for scrollback (the last 64 KiB), and what was typed for it. The vCPU writes
 * and the housekeeping cpu reads `out`; `in` is the other way round. Neither waits for the other: a guest that floods loses its
 * oldest output, and one that does not read loses what is typed. Both are counted and said.
 *
 * `out` has no lock. The reader copies a piece, then looks at `written` again: what the writer may have been at meanwhile (all
 * up to the byte it is about to publish) is lost, not shown. VCONSOLE_SLACK makes that rare.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/err.h"
#include "kernel/lib/ring.h"

#define VCONSOLE_KEPT_BYTES	(64u * 1024u)
#define VCONSOLE_SLACK_BYTES	4096u
#define VCONSOLE_OUT_BYTES	(VCONSOLE_KEPT_BYTES + VCONSOLE_SLACK_BYTES)
#define VCONSOLE_IN_BYTES	(16u * 1024u)
#define VCONSOLE_LINE_MAX	512u

struct vconsole {
	/* The guest's side. */
	_Atomic uint64_t written;	/* bytes ever; out[written % VCONSOLE_OUT_BYTES] is next */
	struct ring in;
	_Atomic bool in_waiting;	/* bytes came since the vCPU last looked */
	/* The housekeeping cpu's side. */
	uint64_t shown;			/* where to go on */
	uint64_t seen;			/* bytes ever shown or dropped; more than shown: a replay is under way */
	uint64_t dropped;		/* bytes overwritten before that */
	uint64_t in_dropped;		/* typed bytes that found `in` full */
	uint64_t said_dropped, said_in_dropped;	/* of which the log knows */
	uint64_t said_ns;		/* when it was told */
	uint64_t missed, said_missed;	/* bytes overwritten before who is attached saw them; of which that one knows */
	uint64_t said_missed_ns;
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
/* Housekeeping: one typed byte; false when full: then it is dropped and counted. The caller wakes the vCPU. */
bool vconsole_type(struct vconsole *c, uint8_t byte);
/* Housekeeping: shows at most `budget` new bytes, as lines with name in front, or raw where attached. */
void vconsole_show(struct vconsole *c, const char *name, bool attached, unsigned budget);
/* Housekeeping, while attached: vconsole_show() begins with what is kept of the past. Returns how much is no longer kept. */
uint64_t vconsole_replay(struct vconsole *c);
/* Housekeeping: is there anything for the two calls around this one to do? */
static inline bool vconsole_has_news(const struct vconsole *c)
{
	return atomic_load_explicit(&c->written, memory_order_relaxed) != c->shown ||
	       c->dropped + c->in_dropped != c->said_dropped + c->said_in_dropped || c->missed != c->said_missed;
}
/*
 * Housekeeping, once a round: tells the log what was dropped since it was told last, at most every ten seconds, and who is
 * attached what is missing in between, at most every second.
 */
void vconsole_tell_dropped(struct vconsole *c, const char *name, bool attached);
