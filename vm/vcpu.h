/* SPDX-License-Identifier: BSD-2-Clause */
/* One virtual cpu: how the dispatch loop runs it, and how events reach it. */
#pragma once

#include "pool/dispatch.h"
#include "vm/vm.h"

/* What vm/ registers with the loop. */
extern const struct dispatch_ops vcpu_dispatch;
/* A row for each kind of exit (vexit.c). */
extern virt_handler *const vexit_handlers[VIRT_EXIT_COUNT];

/* Makes vCPU `index` of vm, asleep; NULL: no memory. vcpu_destroy() gives it back; it must be in no pool. */
struct vcpu *vcpu_create(struct vm *vm, unsigned index);
void vcpu_destroy(struct vcpu *v);
/* As at power-up, then as start says; NULL: waiting for INIT-SIPI. Control plane, while it is off every cpu. */
void vcpu_reset(struct vcpu *v, const struct virt_start *start);
/* Memory a vCPU takes, in bytes. */
uint64_t vcpu_bytes(void);

/* Something is there for v: it looks at its interrupts and its console input soon. Any cpu. */
void vcpu_kick(struct vcpu *v);

/* INIT, SIPI and NMI from another vCPU's local APIC. Any cpu. */
void vcpu_init_signal(struct vcpu *v);
void vcpu_startup_signal(struct vcpu *v, uint8_t page);
void vcpu_nmi(struct vcpu *v);

/* R: the guest's TSC now. */
static inline uint64_t vcpu_tsc(const struct vcpu *v)
{
	return virt_host_tsc() + v->virt->tsc_offset;
}

/* R: it stays halted, and wakes at its deadline, if there is one. */
enum dispatch_why vcpu_block(struct vcpu *v);
/* R: it locked the bus, and pauses. */
enum dispatch_why vcpu_hold(struct vcpu *v);

/* R: an NMI is requested. Does it end a halt at once? */
bool vcpu_nmi_waits(struct vcpu *v);
/* R: does an interrupt wait that the local APIC or the 8259 would deliver now? */
bool vcpu_event_waits(struct vcpu *v);
