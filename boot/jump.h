/* SPDX-License-Identifier: BSD-2-Clause */
/* boot/jump.asm: the few instructions that C has no words for. */
#pragma once

#include <stdint.h>
#include <stdnoreturn.h>

uint64_t boot_read_cr4(void);
void boot_interrupts_off(void);

/* A page of its own, so that it alone is mapped executable in the kernel's first tables. */
extern const uint8_t boot_jump_page[4096];

/* Lies at the start of boot_jump_page. Sets NXE, WP and a plain CR4, loads CR3, goes to entry with info in RDI. */
noreturn void boot_jump(uint64_t info, uint64_t cr3, uint64_t entry, uint64_t stack_top);

/* The kernel's ELF file, without symbols, as linked into this program. */
extern const uint8_t boot_kernel_elf[], boot_kernel_elf_end[];
