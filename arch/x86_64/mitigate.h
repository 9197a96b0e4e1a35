/* SPDX-License-Identifier: BSD-2-Clause */
/* The measures of arch/x86_64/pure/mitigate.h on this machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Boot cpu, before the first VM: decides what is taken, and says it. off: nothing (manifest). */
void mitigate_init(bool off);
/* A number for a new VM's second-level tables, never given twice. Control plane. */
uint64_t mitigate_new_vm(void);
/* A vCPU of that VM is loaded on this cpu now. */
void mitigate_load(uint64_t vm);
