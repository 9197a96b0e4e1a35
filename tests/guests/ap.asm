; SPDX-License-Identifier: BSD-2-Clause
; What smp.c's other vCPUs run, in real mode at AP_PAGE << 12: counts in the word of its APIC id, for ever.

global	ap_start
global	ap_end

COUNTERS	equ	0x9000

section .rodata
bits 16
ap_start:
	xor	ax, ax
	mov	ds, ax
	mov	eax, 1
	cpuid				; EBX 31:24: initial APIC id
	shr	ebx, 24
	shl	bx, 2
	add	bx, COUNTERS
.count:	inc	dword [bx]
	pause
	jmp	.count
ap_end:
