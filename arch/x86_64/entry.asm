; SPDX-License-Identifier: BSD-2-Clause
; The kernel's first instructions, and the switch to a stack with a guard page.

bits 64
default rel

extern arch_entry
global kernel_entry
global entry_switch_stack

section .text.entry

; In:  rdi = physical address of struct boot_info, state as in boot/boot_info.h.
; Out: does not return.
kernel_entry:
	cli
	cld
	lea	rsp, [boot_stack_top]
	xor	ebp, ebp
	call	arch_entry
	ud2

; In:  rdi = new top of stack (16-byte aligned), rsi = function to call there, which must not return.
entry_switch_stack:
	mov	rsp, rdi
	xor	ebp, ebp
	call	rsi
	ud2

section .bss align=16
boot_stack:
	resb	16384
boot_stack_top:
