; SPDX-License-Identifier: BSD-2-Clause
; The kernel's ELF file inside the loader. KERNEL_ELF is defined by the build.

global boot_kernel_elf:data hidden
global boot_kernel_elf_end:data hidden

section .rodata progbits alloc noexec nowrite align=16
boot_kernel_elf:
	incbin	KERNEL_ELF
boot_kernel_elf_end:

section .note.GNU-stack noalloc noexec nowrite progbits
