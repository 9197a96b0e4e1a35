/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices of one VM put together: who answers which port and page, and how interrupt lines and messages reach the
 * vCPUs' local APICs.
 *
 * Locking: the devices are covered by the VM's lock. Every function here that is marked L takes it just where it needs it:
 * not for a port nobody answers, not for the LAPIC page, not for an IPI. So nobody calls these functions with the lock
 * held, and the callbacks called under it (all but now_ns, now_tsc and, for IPIs, kick, nmi, init, startup) must not
 * call back.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/addr.h"
#include "vm/vapic.h"
#include "vm/vioapic.h"
#include "vm/vlapic.h"
#include "vm/vm_event.h"
#include "vm/vpic.h"
#include "vm/vpit.h"
#include "vm/vpm.h"
#include "vm/vports.h"
#include "vm/vrtc.h"
#include "vm/vuart.h"

#define VPLATFORM_VCPUS_MAX	64u

struct vplatform_ops {
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx);
	/* Messages to vCPUs; from any cpu. kick: something became pending, look at it (wake it, or make it exit). */
	void (*kick)(void *ctx, unsigned vcpu);
	void (*nmi)(void *ctx, unsigned vcpu);
	void (*init)(void *ctx, unsigned vcpu);		/* then the vCPU calls vlapic_reset() on its own */
	void (*startup)(void *ctx, unsigned vcpu, uint8_t page);
	/* The outside world. */
	void (*tx)(void *ctx, uint8_t byte);		/* a byte the guest sent on COM1 */
	int (*rx)(void *ctx);				/* the next byte for COM1, -1: none */
	void (*event)(void *ctx, enum vm_event event, uint32_t code);
	uint64_t (*now_ns)(void *ctx);			/* of the VM: 0 is its start */
	uint64_t (*now_tsc)(void *ctx, unsigned vcpu);	/* as that guest cpu reads it */
};

struct vplatform_config {
	const struct vplatform_ops *ops;
	void *ctx;
	uint64_t tsc_hz, timer_hz;	/* of the local APICs: see vlapic_config */
	bool apic_assisted;
	int64_t rtc_base_s;		/* UTC seconds since 1970 at now_ns = 0 */
};

struct vplatform {
	struct vplatform_config config;
	unsigned vcpu_count;
	struct vlapic *lapic[VPLATFORM_VCPUS_MAX];
	struct vports ports;
	/* Published under the lock, read by anybody. */
	_Atomic uint64_t deadline_ns;
	_Atomic bool intr;		/* the 8259s' output */
	/* Under the VM's lock. */
	struct vuart uart;
	struct vioapic ioapic;
	struct vpic pic;
	struct vpit pit;
	struct vrtc rtc;
	struct vpm pm;
};

/* Also the way to reset the platform: then add the vCPUs again. INVAL: the port table is wrong. */
enum err vplatform_init(struct vplatform *p, const struct vplatform_config *config);
/* Adds vCPUs in order of their index and initialises their local APIC. The first is the BSP. LIMIT: too many. */
enum err vplatform_add_vcpu(struct vplatform *p, struct vlapic *lapic, uint32_t apic_id);

/* The part of vplatform_port() for ports that somebody answers. L */
bool vplatform_port_answered(struct vplatform *p, uint16_t port, unsigned size, bool write, uint32_t *value);

/*
 * A guest's IN or OUT of size 1, 2 or 4. Reads set *value, zero-extended. False: nobody answered, and reads are all
 * ones; here, inline and without the lock (the table never changes), as guests write to port 0x80 often. L
 */
static inline bool vplatform_port(struct vplatform *p, uint16_t port, unsigned size, bool write, uint32_t *value)
{
	if (vports_find(&p->ports, port) != NULL) {
		return vplatform_port_answered(p, port, size, write, value);
	}
	vports_count_unclaimed(&p->ports);
	if (!write) {
		*value = vports_ones(size);
	}
	return false;
}

/* A guest's access of size 1, 2, 4 or 8 to memory that is not RAM. False: nothing there. L for the I/O APIC's page;
 * the LAPIC page is the vCPU's own business (after a write: see vlapic.h). */
bool vplatform_mmio(struct vplatform *p, unsigned vcpu, gpa_t gpa, unsigned size, bool write, uint64_t *value);

/* When vplatform_expire() is next due, absolute; NS_NEVER. Any vCPU may wait for it; no lock. */
static inline uint64_t vplatform_deadline(const struct vplatform *p)
{
	return atomic_load_explicit(&p->deadline_ns, memory_order_relaxed);
}

void vplatform_expire(struct vplatform *p, uint64_t now_ns);				/* L */

/* Feeds COM1 from ops->rx: call when bytes came to where there were none; from then on it asks itself. L */
void vplatform_feed(struct vplatform *p);

/* Does the 8259 want this vCPU (only the first is wired)? Cheap, no lock. Then, when it can take it: the vector. */
static inline bool vplatform_extint(const struct vplatform *p, unsigned vcpu)
{
	return vcpu == 0 && atomic_load_explicit(&p->intr, memory_order_acquire) && vlapic_takes_extint(p->lapic[0]);
}

uint8_t vplatform_extint_ack(struct vplatform *p);					/* L */

/* The callbacks of the local APICs (ctx is the platform): vplatform_add_vcpu() sets them. */
void vplatform_ipi(void *ctx, const struct vlapic_ipi *ipi);				/* no lock */
void vplatform_eoi(void *ctx, uint8_t vector);						/* L */
