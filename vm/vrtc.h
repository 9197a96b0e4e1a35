/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MC146818 clock and its 128 bytes of memory. Time of day is a base given at the start plus the VM's own
 * nanoseconds; a guest that sets the clock moves the base. It raises no interrupts: alarm, update and periodic
 * flags stay clear, which drivers take for an RTC without an IRQ line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VRTC_BYTES	128u

struct vrtc {
	int64_t base_s;			/* UTC seconds since 1970 at now_ns = 0 */
	uint8_t index;
	uint8_t memory[VRTC_BYTES];	/* time registers in it are valid only while register B's SET is on */
};

void vrtc_init(struct vrtc *r, int64_t base_s);
/* port: 0x70 (index, write-only) or 0x71 (data). */
uint8_t vrtc_read(struct vrtc *r, uint16_t port, uint64_t now_ns);
void vrtc_write(struct vrtc *r, uint16_t port, uint8_t value, uint64_t now_ns);
