; SPDX-License-Identifier: BSD-2-Clause
; Entry of the hand-off test's kernel: keeps the registers it was started with, takes a stack of its own, calls C.

bits 64
default rel

extern boottest_main
global kernel_entry

; rdi = physical address of struct boot_info (boot/boot_info.h)
section .text.entry progbits alloc exec nowrite align=16
kernel_entry:
	pushfq
	pop	rsi			; RFLAGS
	mov	rdx, cr0
	mov	rcx, cr3
	mov	r8, cr4
	mov	r9, rsp			; the loader's stack
	lea	rsp, [stack_end]
	xor	ebp, ebp
	call	boottest_main
.halt:	cli
	hlt
	jmp	.halt

; rdi = value -> bytes of port 0x3f8 and the power-off ports
global boottest_in8, boottest_out8, boottest_out16, boottest_efer
section .text progbits alloc exec nowrite align=16
boottest_in8:				; di = port
	mov	edx, edi
	in	al, dx
	movzx	eax, al
	ret
boottest_out8:				; di = port, sil = value
	mov	edx, edi
	mov	eax, esi
	out	dx, al
	ret
boottest_out16:
	mov	edx, edi
	mov	eax, esi
	out	dx, ax
	ret
boottest_efer:
	mov	ecx, 0xc0000080
	rdmsr
	shl	rdx, 32
	or	rax, rdx
	ret

section .bss nobits alloc noexec write align=16
	resb	16384
stack_end:
