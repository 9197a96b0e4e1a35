/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests made of a function, for tests of pool/: what a vCPU does when it runs is its `act`. It must be on one cpu at a
 * time and be put before another runs it; the fake panics otherwise. fake_guest_step() lets all cpus run side by side.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/dispatch.h"
#include "pool/pool.h"

#define FAKE_VCPUS_MAX	8u

struct fake_vcpu {
	struct sched_entity e;
	/* Moves fake.now_ns by what it runs, not past until_ns, and says why it stops. NULL: busy for ever. */
	enum dispatch_why (*act)(struct fake_vcpu *v, uint64_t until_ns);
	unsigned on_cpu;		/* where its state is; CPU_NONE: in memory */
	bool event;			/* for acts: something to do */
	unsigned runs, puts, handled;
};

struct fake_vm {
	struct sched_group g;
	struct fake_vcpu v[FAKE_VCPUS_MAX];
	struct sched_entity *list[FAKE_VCPUS_MAX];
	unsigned count;
};

/* Registers the fake guests with the loop. */
void fake_guest_init(void);
/* A VM with n busy vCPUs, in no pool. */
void fake_vm_init(struct fake_vm *vm, const char *name, unsigned n);
/* Its values become the defaults of p's policy. */
void fake_vm_defaults(struct fake_vm *vm, const struct pool *p);
/* Into p with defaults, all vCPUs started; must succeed. */
void fake_vm_start(struct fake_vm *vm, struct pool *p);
/* Lets every cpu run for ns, all from the same time on; then the clock is ns later. */
void fake_guest_step(uint64_t ns);
/* As many steps as it takes. */
void fake_guest_run(uint64_t ns, uint64_t step_ns);
/* The end of the present step: acts do not run past it. */
uint64_t fake_step_end(uint64_t until_ns);

/* Acts. Busy runs to until. Server handles v->event in 10 us, and blocks when there is none. */
enum dispatch_why fake_act_busy(struct fake_vcpu *v, uint64_t until_ns);
enum dispatch_why fake_act_server(struct fake_vcpu *v, uint64_t until_ns);
/* v->event, then a wake, as if by cpu `from`. */
void fake_event(struct fake_vcpu *v, unsigned from);
