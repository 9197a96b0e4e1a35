; SPDX-License-Identifier: BSD-2-Clause
; Start-up of the test guests: from the PVH entry to guest_main() in long mode.
;
; Entry (PVH): 32-bit flat protected mode, paging off, interrupts off, EBX = hvm_start_info.
; guest_main(): long mode, the low 4 GiB mapped to themselves by 2 MiB pages, own GDT, no IDT, interrupts off,
; RDI = hvm_start_info, stack aligned as the ABI has it. When it returns the guest exits with code 0.

global	start32
global	guest_first_tsc
extern	guest_main
extern	guest_exit

PTE_TABLE	equ	0x03		; present, writable
PTE_LARGE	equ	0x83		; and a 2 MiB page
STACK_BYTES	equ	0x4000

section .note.pvh note alloc noexec nowrite align=4
	dd	4, 4, 18		; sizes of name and content; XEN_ELFNOTE_PHYS32_ENTRY
	db	"Xen", 0
	dd	start32

section .text
bits 32
start32:
	rdtsc
	mov	[guest_first_tsc], eax
	mov	[guest_first_tsc + 4], edx
	mov	esp, stack_top
	mov	esi, ebx

	; PML4[0] -> PDPT; PDPT[0..3] -> 4 page directories
	mov	dword [pml4], pdpt + PTE_TABLE
	mov	eax, pd + PTE_TABLE
	xor	ecx, ecx
.pdpt:	mov	[pdpt + ecx * 8], eax
	add	eax, 0x1000
	inc	ecx
	cmp	ecx, 4
	jb	.pdpt
	mov	eax, PTE_LARGE
	xor	ecx, ecx
.pd:	mov	[pd + ecx * 8], eax
	add	eax, 0x200000
	inc	ecx
	cmp	ecx, 4 * 512
	jb	.pd

	mov	eax, cr4
	or	eax, 1 << 5		; PAE
	mov	cr4, eax
	mov	eax, pml4
	mov	cr3, eax
	mov	ecx, 0xc0000080		; EFER
	rdmsr
	or	eax, 1 << 8		; LME
	wrmsr
	mov	eax, cr0
	or	eax, 0x80000001		; PG, PE
	mov	cr0, eax
	lgdt	[gdt_pointer]
	jmp	0x08:start64

bits 64
start64:
	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	mov	edi, esi
	call	guest_main
	xor	edi, edi
	call	guest_exit

section .rodata
align 8
gdt:
	dq	0
	dq	0x00af9b000000ffff	; 0x08: 64-bit code
	dq	0x00cf93000000ffff	; 0x10: data
gdt_pointer:
	dw	$ - gdt - 1
	dd	gdt

section .bss nobits alloc noexec write align=4096
pml4:	resb	0x1000
pdpt:	resb	0x1000
pd:	resb	4 * 0x1000
	resb	STACK_BYTES
stack_top:
guest_first_tsc:
	resq	1
