/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and interrupts taken while the hypervisor itself runs. */
#pragma once

#include <stdint.h>

/* What trap.asm pushes, lowest address first. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Called by trap.asm with interrupts off. Returns for interrupts and NMIs; a fault panics with a register dump. */
void trap_handle(struct trap_frame *f);
