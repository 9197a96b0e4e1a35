; SPDX-License-Identifier: BSD-2-Clause
; Entering the guest and coming back. One function that loops: enter, exit, vmx_handle_exit(), enter again until that says
; leave. Between VM entries rsp is the same, so HOST_RSP is written once a call.

bits 64
default rel

%include "offsets.inc"

%define VMCS_HOST_RSP	0x6c14

extern vmx_handle_exit
extern vmx_entry_failed
global vmx_enter
global vmx_exit_point
global virt_entry_window_start
global virt_entry_window_end
global virt_entry_window_abort

section .text

; In:  rdi = struct vmx_vcpu * (its virt.gpr first), loaded on this cpu; interrupts off; gs = struct percpu.
; Out: nothing; why it left is in the struct.
align 16
vmx_enter:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi				; [rsp] = vcpu from here to the end
	mov	eax, VMCS_HOST_RSP
	vmwrite	rax, rsp
enter_again:
	mov	rax, [rdi + GPR_RAX]
	mov	rcx, [rdi + GPR_RCX]
	mov	rdx, [rdi + GPR_RDX]
	mov	rbx, [rdi + GPR_RBX]
	mov	rbp, [rdi + GPR_RBP]
	mov	rsi, [rdi + GPR_RSI]
	mov	r8,  [rdi + GPR_R8]
	mov	r9,  [rdi + GPR_R9]
	mov	r10, [rdi + GPR_R10]
	mov	r11, [rdi + GPR_R11]
	mov	r12, [rdi + GPR_R12]
	mov	r13, [rdi + GPR_R13]
	mov	r14, [rdi + GPR_R14]
	mov	r15, [rdi + GPR_R15]
	mov	rdi, [rdi + GPR_RDI]
; An NMI from here on must not be lost: trap.c sends it to the abort label.
virt_entry_window_start:
	cmp	dword [gs:PERCPU_POKED], 0
	jne	virt_entry_window_abort
	cmp	byte [gs:PERCPU_LAUNCHED], 0
	je	launch
	vmresume
	jmp	virt_entry_window_end
launch:
	vmlaunch
virt_entry_window_end:
	mov	rdi, [rsp]
	call	vmx_entry_failed
; Nothing ran: the guest's registers in memory are still the right ones.
virt_entry_window_abort:
	pop	rdi
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret

; HOST_RIP. rsp as at entry, all general registers the guest's.
align 16
vmx_exit_point:
	push	rdi
	mov	rdi, [rsp + 8]
	mov	[rdi + GPR_RAX], rax
	mov	[rdi + GPR_RCX], rcx
	mov	[rdi + GPR_RDX], rdx
	mov	[rdi + GPR_RBX], rbx
	mov	[rdi + GPR_RBP], rbp
	mov	[rdi + GPR_RSI], rsi
	mov	[rdi + GPR_R8],  r8
	mov	[rdi + GPR_R9],  r9
	mov	[rdi + GPR_R10], r10
	mov	[rdi + GPR_R11], r11
	mov	[rdi + GPR_R12], r12
	mov	[rdi + GPR_R13], r13
	mov	[rdi + GPR_R14], r14
	mov	[rdi + GPR_R15], r15
	pop	qword [rdi + GPR_RDI]
	mov	byte [gs:PERCPU_LAUNCHED], 1
	xor	ebp, ebp			; backtraces end here
	call	vmx_handle_exit			; al = 1: enter again
	mov	rdi, [rsp]
	test	al, al
	jnz	enter_again
	jmp	virt_entry_window_abort
