; SPDX-License-Identifier: BSD-2-Clause
; What an application processor runs after SIPI: copied to a page below 1 MiB, from real mode to long mode in one go.
; The page is mapped identity, executable and read-only in the tables at trampoline_cr3, so nothing here is written
; (the descriptors' accessed bits are set beforehand). Those tables lie below 1 MiB, for there are 32 bits to name them:
; the kernel's own root may lie above 4 GiB, and smp_ap_entry loads it.

%include "offsets.inc"

bits 16
global trampoline_start
global trampoline_end
global trampoline_cr3
global trampoline_gdt_base
global trampoline_far
global trampoline_turn

section .rodata.trampoline align=16

%define AT(label) (label - trampoline_start)

; In: CS = page / 16, IP = 0.
trampoline_start:
	cli
	cld
	mov	ax, cs
	mov	ds, ax
	o32 lgdt [AT(gdt_pointer)]
	mov	eax, cr4
	or	eax, (1 << 5) | (1 << 7)	; PAE, PGE
	mov	cr4, eax
	mov	eax, [AT(trampoline_cr3)]
	mov	cr3, eax
	mov	ecx, 0xc0000080			; EFER
	rdmsr
	or	eax, (1 << 8) | (1 << 11)	; LME, NXE
	wrmsr
	mov	eax, 0x80010021			; PG, WP, NE, PE: straight to long mode
	mov	cr0, eax
	jmp	far dword [AT(trampoline_far)]

align 4
trampoline_far:
	dd	0				; physical address of long_mode, filled in by smp.c
	dw	0x08
	dw	0
gdt_pointer:
	dw	gdt_end - trampoline_gdt - 1
trampoline_gdt_base:
	dd	0				; physical address of gdt, filled in by smp.c
	dw	0
align 8
global trampoline_gdt
trampoline_gdt:
	dq	0
	dq	0x00af9b000000ffff		; 64-bit code, accessed
	dq	0x00cf93000000ffff		; data, accessed
gdt_end:

bits 64
align 8
global trampoline_long_mode
trampoline_long_mode:
	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	; Whose turn is it? A cpu that comes late, after it was given up, must not go on: the claim tells.
	xor	eax, eax
	cpuid
	cmp	eax, 0x0b
	jb	.leaf1
	mov	eax, 0x0b
	xor	ecx, ecx
	cpuid
	test	ebx, ebx			; leaf 0xB not populated: fall back (SDM 2A, CPUID)
	jz	.leaf1
	mov	edi, edx
	jmp	.compare
.leaf1:
	mov	eax, 1
	cpuid
	shr	ebx, 24
	mov	edi, ebx
.compare:
	mov	rsi, [rel trampoline_turn]
	mov	rsi, [rsi]			; struct start_mailbox * of whoever's turn it is, or NULL
	test	rsi, rsi
	jz	.park
	cmp	edi, [rsi + START_APIC_ID]
	jne	.park
	xor	eax, eax			; START_OPEN
	mov	ecx, 1				; START_CLAIMED
	lock cmpxchg [rsi + START_CLAIM], ecx
	jne	.park
	mov	rsp, [rsi + START_STACK]
	mov	rdi, [rsi + START_PERCPU]
	mov	rax, [rsi + START_ENTRY]
	xor	ebp, ebp
	call	rax
	; This page and these tables are never given to anything else. There is no IDT here: panic sends no NMI to a cpu
	; that is not online.
.park:
	cli
	hlt
	jmp	.park

align 8
trampoline_turn:
	dq	0				; where smp.c keeps whose turn it is, filled in by smp.c
trampoline_cr3:
	dd	0
	dd	0
trampoline_end:
