; SPDX-License-Identifier: BSD-2-Clause
; The jump from the firmware's page tables to the kernel's first ones, and the registers C cannot reach.

bits 64
default rel

MSR_EFER	equ 0xc0000080
EFER_NXE	equ 1 << 11
CR0_WP		equ 1 << 16
CR4_PAE		equ 1 << 5

global boot_jump:function hidden
global boot_jump_page:data hidden
global boot_read_cr4:function hidden
global boot_interrupts_off:function hidden

; boot_jump(rdi = boot_info, rsi = CR3, rdx = entry, rcx = stack top), System V. Does not return.
; The page is mapped at the same address in both tables; the stack is not used until the new one is there.
section .text.jump progbits alloc exec nowrite align=4096
boot_jump_page:
boot_jump:
	cli
	mov	r8, rdx
	mov	r9, rcx
	mov	ecx, MSR_EFER		; before CR3: bit 63 of an entry is reserved without it
	rdmsr
	or	eax, EFER_NXE
	wrmsr
	; Clears PGE (so that CR3 drops every cached translation), PCIDE, CET, SMEP, SMAP: the kernel decides on those.
	mov	eax, CR4_PAE
	mov	cr4, rax
	mov	rax, cr0
	or	rax, CR0_WP
	mov	cr0, rax
	mov	cr3, rsi
	mov	rsp, r9
	xor	ebp, ebp
	cld
	push	rbp			; as after a call: no return address
	jmp	r8
	align	4096, db 0xcc

section .text progbits alloc exec nowrite align=16
boot_read_cr4:
	mov	rax, cr4
	ret

boot_interrupts_off:
	cli
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
