/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI fixed hardware of a VM (ACPI 6.5, 4.8.3): PM1a event and control blocks, the power management timer, sleep
 * state S5, the power button; and the reset control port. Always in ACPI mode (SCI_EN reads as one).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/vm_event.h"

#define VPM_TIMER_HZ	3579545u

struct vpm_config {
	void *ctx;
	void (*irq)(void *ctx, unsigned gsi, bool level);	/* the SCI; level-triggered, called on changes */
	void (*event)(void *ctx, enum vm_event event, uint32_t code);
};

struct vpm {
	struct vpm_config config;
	uint16_t status, enable, control;
	uint64_t timer_halves;	/* how often the timer's top bit had turned over when TMR_STS was last settled */
	uint8_t reset_control;
	bool line;
};

void vpm_init(struct vpm *p, const struct vpm_config *config);
/* port: in one of the VMAP_PORT_PM* blocks, size bytes all inside it; or VMAP_PORT_RESET, 1 byte. */
uint32_t vpm_read(struct vpm *p, uint16_t port, unsigned size, uint64_t now_ns);
void vpm_write(struct vpm *p, uint16_t port, unsigned size, uint32_t value, uint64_t now_ns);
/* When the timer's overflow next raises the SCI; NS_NEVER. */
uint64_t vpm_deadline(const struct vpm *p);
void vpm_expire(struct vpm *p, uint64_t now_ns);
