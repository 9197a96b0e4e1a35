; SPDX-License-Identifier: BSD-2-Clause
; Other vCPUs of attack_smp: from SIPI to attack_ap_main() in long mode, and handlers that skip what faulted.

global	attack_ap_begin
global	attack_ap_end
global	attack_ap_cr3
global	attack_ap_skip
global	attack_ap_skip_error
global	attack_ap_return
global	attack_ap_nmi
global	attack_ap_ipi
extern	attack_ap_main
extern	attack_ap_stacks
extern	attack_ap_nmis
extern	attack_ap_ipis

BASE		equ	0x8000		; where it is copied to
STACK_LOG2	equ	12
LAPIC_EOI	equ	0xfee000b0

section .text
bits 16
attack_ap_begin:
	cli
	mov	ax, cs
	mov	ds, ax
	o32 lgdt [gdt_pointer - attack_ap_begin]
	mov	eax, cr0
	or	eax, 1
	mov	cr0, eax
	jmp	dword 0x18:BASE + start32 - attack_ap_begin
bits 32
start32:
	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	eax, cr4
	or	eax, 1 << 5
	mov	cr4, eax
	mov	eax, [BASE + attack_ap_cr3 - attack_ap_begin]
	mov	cr3, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	eax, 1 << 8
	wrmsr
	mov	eax, 0x80000011
	mov	cr0, eax
	jmp	0x08:BASE + start64 - attack_ap_begin
bits 64
start64:
	mov	eax, 1
	cpuid
	shr	ebx, 24
	mov	edi, ebx
	shl	ebx, STACK_LOG2
	lea	rsp, [rbx + attack_ap_stacks + (1 << STACK_LOG2)]
	mov	rax, attack_ap_main
	call	rax
	hlt
align 8
gdt:	dq	0
	dq	0x00af9b000000ffff
	dq	0x00cf93000000ffff
	dq	0x00cf9b000000ffff
gdt_pointer:
	dw	$ - gdt - 1
	dd	BASE + gdt - attack_ap_begin
attack_ap_cr3:
	dd	0
attack_ap_end:

; What faults is two bytes long.
attack_ap_skip_error:
	add	rsp, 8
attack_ap_skip:
	add	qword [rsp], 2
attack_ap_return:
	iretq

attack_ap_nmi:
	lock inc qword [attack_ap_nmis]
	iretq

attack_ap_ipi:
	lock inc qword [attack_ap_ipis]
	push	rax
	mov	eax, LAPIC_EOI
	mov	dword [rax], 0
	pop	rax
	iretq
