; SPDX-License-Identifier: BSD-2-Clause
; Entry stubs of all 256 vectors: each leaves a struct trap_frame (trap.h) on the stack and calls trap_handle().

bits 64
default rel

extern trap_handle
global trap_stubs

section .text

; Vectors whose exception pushes an error code (SDM 3A 6.13): 8 10 11 12 13 14 17 21 29 30.
%define HAS_ERROR ((1<<8)|(1<<10)|(1<<11)|(1<<12)|(1<<13)|(1<<14)|(1<<17)|(1<<21)|(1<<29)|(1<<30))

; 256 stubs of 16 bytes each.
align 16
trap_stubs:
%assign vector 0
%rep 256
	align	16
%if vector < 32 && ((HAS_ERROR >> vector) & 1)
	nop
	nop
%else
	push	byte 0
%endif
	push	dword vector
	jmp	near trap_common
%assign vector vector + 1
%endrep

; Stack at entry: vector, error, then rip cs rflags rsp ss as the cpu pushed them.
trap_common:
	push	rax
	push	rcx
	push	rdx
	push	rbx
	push	rbp
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld
	mov	rdi, rsp		; struct trap_frame *
	mov	rbx, rsp
	and	rsp, -16
	call	trap_handle
	mov	rsp, rbx
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rdi
	pop	rsi
	pop	rbp
	pop	rbx
	pop	rdx
	pop	rcx
	pop	rax
	add	rsp, 16
	iretq
