/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs that exit: a table of what a guest may read and write. Whatever has no row is #GP. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* False: #GP is due. R: on the cpu that runs v. */
bool vmsr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool vmsr_write(struct vcpu *v, uint32_t msr, uint64_t value);
