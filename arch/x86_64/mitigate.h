/* SPDX-License-Identifier: BSD-2-Clause */
/* The measures of arch/x86_64/pure/mitigate_steps.h on this machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mitigate_vcpu;

/* Boot cpu, before the first VM: decides what is taken, and says it. off: nothing (manifest). */
void mitigate_init(bool off);
/* Each cpu, before its first VM: IA32_SPEC_CTRL as the books say. */
void mitigate_cpu_on(void);
/* A number for a new VM's second-level tables, never given twice. Control plane. */
uint64_t mitigate_new_vm(void);
/* May guests' RAM not be executable in 2 MiB pages? */
bool mitigate_small_code(void);
/* This cpu is about to run a vCPU of that VM. Does nothing where mitigate_at_run is not set. */
void mitigate_run_vm(uint64_t vm);
extern bool mitigate_at_run;

/* Around a halt. */
void mitigate_before_halt(void);
void mitigate_after_halt(void);

/* The steps of one vCPU, on the cpu where it is loaded. */
void mitigate_reset(struct mitigate_vcpu *v);				/* any cpu */
void mitigate_loaded(const struct mitigate_vcpu *v);
void mitigate_unloaded(void);
/* By the guest: v->guarded and v->open may change. */
void mitigate_written(struct mitigate_vcpu *v, uint64_t spec_ctrl);
/* enter.asm, where it is guarded. */
void mitigate_after_exit(struct mitigate_vcpu *v);
void mitigate_before_entry(struct mitigate_vcpu *v);
