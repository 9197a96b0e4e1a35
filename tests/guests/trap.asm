; SPDX-License-Identifier: BSD-2-Clause
; Entering code that may raise exceptions, and coming back from any of them. Offsets are those of struct trap_regs.

global	trap_enter
global	trap_stubs
global	trap_counts
global	trap_passive
global	trap_x2apic
global	trap_once
global	trap_early

R_RFLAGS	equ	128
R_RIP		equ	136
R_CS		equ	144
R_SS		equ	152
R_VECTOR	equ	160
R_ERROR		equ	168
R_CR2		equ	176
VECTOR_NMI	equ	2
VECTOR_END	equ	0x81
MSR_X2_EOI	equ	0x80b
LAPIC_EOI	equ	0xfee000b0

bits 64
section .text

; In: rdi = struct trap_regs. Out: eax = vector. The callee-saved registers are kept.
trap_enter:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[saved_rsp], rsp
	mov	[regs], rdi
	push	qword [rdi + R_SS]
	push	qword [rdi + 32]
	push	qword [rdi + R_RFLAGS]
	push	qword [rdi + R_CS]
	push	qword [rdi + R_RIP]
	mov	rax, [rdi]
	mov	rcx, [rdi + 8]
	mov	rdx, [rdi + 16]
	mov	rbx, [rdi + 24]
	mov	rbp, [rdi + 40]
	mov	rsi, [rdi + 48]
	mov	r8, [rdi + 64]
	mov	r9, [rdi + 72]
	mov	r10, [rdi + 80]
	mov	r11, [rdi + 88]
	mov	r12, [rdi + 96]
	mov	r13, [rdi + 104]
	mov	r14, [rdi + 112]
	mov	r15, [rdi + 120]
	mov	rdi, [rdi + 56]
	iretq

; Entry of every vector: [rsp] vector, error, rip, cs, rflags, rsp, ss; on the stack of an IST.
taken:
	cmp	qword [rsp], VECTOR_NMI
	je	passive
	cmp	qword [rsp], 32
	jb	leave_code
	cmp	qword [rsp], VECTOR_END
	je	leave_code
	cmp	qword [trap_passive], 0
	jne	passive
leave_code:
	push	rax
	mov	rax, [regs]
	mov	[rax + 8], rcx
	pop	qword [rax]
	mov	[rax + 16], rdx
	mov	[rax + 24], rbx
	mov	[rax + 40], rbp
	mov	[rax + 48], rsi
	mov	[rax + 56], rdi
	mov	[rax + 64], r8
	mov	[rax + 72], r9
	mov	[rax + 80], r10
	mov	[rax + 88], r11
	mov	[rax + 96], r12
	mov	[rax + 104], r13
	mov	[rax + 112], r14
	mov	[rax + 120], r15
	pop	qword [rax + R_VECTOR]
	pop	qword [rax + R_ERROR]
	pop	qword [rax + R_RIP]
	pop	qword [rax + R_CS]
	pop	qword [rax + R_RFLAGS]
	pop	qword [rax + 32]
	pop	qword [rax + R_SS]
	mov	rcx, cr2
	mov	[rax + R_CR2], rcx
	mov	rsp, [saved_rsp]
	push	2
	popfq
	mov	ecx, 0x10
	mov	ds, ecx
	mov	es, ecx
	mov	ss, ecx
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	mov	eax, [rax + R_VECTOR]
	ret

passive:
	push	rax
	mov	rax, [rsp + 8]
	inc	qword [trap_counts + rax * 8]
	cmp	rax, VECTOR_NMI
	je	.back
	test	qword [rsp + 40], 0x200		; RFLAGS in the frame: IF
	jnz	.due
	inc	qword [trap_early]
.due:	cmp	qword [trap_x2apic], 0
	jne	.x2
	mov	eax, LAPIC_EOI
	mov	dword [rax], 0
	jmp	.back
.x2:	push	rcx
	push	rdx
	mov	ecx, MSR_X2_EOI
	xor	eax, eax
	xor	edx, edx
	wrmsr
	pop	rdx
	pop	rcx
.back:	cmp	qword [trap_once], 0
	je	.same
	and	qword [rsp + 40], ~0x200	; IF in the frame
.same:	pop	rax
	add	rsp, 16
	iretq

; 16 bytes each.
align 16
trap_stubs:
%assign v 0
%rep 256
%if v != 8 && v != 10 && v != 11 && v != 12 && v != 13 && v != 14 && v != 17 && v != 21 && v != 29 && v != 30
	push	qword 0
%endif
	push	qword v
	jmp	near taken
	align	16
%assign v v + 1
%endrep

section .bss nobits alloc noexec write align=16
saved_rsp:	resq	1
regs:		resq	1
trap_passive:	resq	1
trap_x2apic:	resq	1
trap_once:	resq	1
trap_early:	resq	1
trap_counts:	resq	256
