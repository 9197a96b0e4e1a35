; SPDX-License-Identifier: BSD-2-Clause
; Entering the guest and coming back. vmx_enter() loops: enter, exit, vmx_exit_fast(), enter again, until something wants to
; leave. Between VM entries rsp is the same, so HOST_RSP is written once a call.
;
; A fast exit saves and loads only the registers that C may clobber, and rbx for CPUID: C gives rbp and r12-r15 back as they were.
; Those five are saved (SAVE_REST) before anything else may look at them: on the full path and when leaving.
;
; A vCPU whose exits or entries have measures to take against leaks (guarded: pure/mitigate_steps.h) has an exit point of its own,
; so that all others pay nothing. Its first entry of a call is guarded by the caller; a handler that made it guarded says so.

bits 64
default rel

%include "offsets.inc"

%define VMCS_HOST_RSP	0x6c14
%define ENTER_AGAIN	0		; enum vmx_after
%define LEAVE		1
%define NEED_ALL	2		; above it: ENTER_GUARDED

extern vmx_exit_fast
extern vmx_exit_full
extern vmx_entry_failed
extern mitigate_after_exit
extern mitigate_before_entry
extern mitigate_loaded
global vmx_enter
global vmx_exit_point
global vmx_exit_point_guarded
global virt_entry_window_start
global virt_entry_window_end
global virt_entry_window_abort

%macro SAVE_REST 0
	mov	[rdi + GPR_RBP], rbp
	mov	[rdi + GPR_R12], r12
	mov	[rdi + GPR_R13], r13
	mov	[rdi + GPR_R14], r14
	mov	[rdi + GPR_R15], r15
%endmacro

%macro LOAD_REST 0
	mov	rbp, [rdi + GPR_RBP]
	mov	r12, [rdi + GPR_R12]
	mov	r13, [rdi + GPR_R13]
	mov	r14, [rdi + GPR_R14]
	mov	r15, [rdi + GPR_R15]
%endmacro

; rdi comes last: it is the pointer.
%macro LOAD_FAST 0
	mov	rax, [rdi + GPR_RAX]
	mov	rcx, [rdi + GPR_RCX]
	mov	rdx, [rdi + GPR_RDX]
	mov	rbx, [rdi + GPR_RBX]
	mov	rsi, [rdi + GPR_RSI]
	mov	r8,  [rdi + GPR_R8]
	mov	r9,  [rdi + GPR_R9]
	mov	r10, [rdi + GPR_R10]
	mov	r11, [rdi + GPR_R11]
	mov	rdi, [rdi + GPR_RDI]
%endmacro

; At an exit: rsp as at entry, all general registers the guest's. After: rdi = vcpu.
%macro SAVE_FAST 0
	push	rdi
	mov	rdi, [rsp + 8]
	mov	[rdi + GPR_RAX], rax
	mov	[rdi + GPR_RCX], rcx
	mov	[rdi + GPR_RDX], rdx
	mov	[rdi + GPR_RBX], rbx
	mov	[rdi + GPR_RSI], rsi
	mov	[rdi + GPR_R8],  r8
	mov	[rdi + GPR_R9],  r9
	mov	[rdi + GPR_R10], r10
	mov	[rdi + GPR_R11], r11
	pop	qword [rdi + GPR_RDI]
%endmacro

section .text

; In:  rdi = struct vmx_vcpu * (its virt.gpr first), loaded on this cpu; interrupts off; gs = struct percpu.
; Out: eax = leave_code; all of the guest's registers are in the struct.
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
enter_all:
	LOAD_REST
	cmp	byte [gs:PERCPU_LAUNCHED], 0
	je	launch_fast
enter_fast:
	LOAD_FAST
; An NMI from here to the end of the window must not be lost: trap.c sends it to the abort label.
virt_entry_window_start:
	cmp	dword [gs:PERCPU_POKED], 0
	jne	virt_entry_window_abort
	vmresume
	jmp	virt_entry_window_end
launch:
	cmp	dword [gs:PERCPU_POKED], 0
	jne	virt_entry_window_abort
	mov	byte [gs:PERCPU_LAUNCHED], 1
	vmlaunch
; Neither entered nor exited: vmx_entry_failed() tells whether to try again (the launch state was not what we thought).
virt_entry_window_end:
	mov	rdi, [rsp]			; the guest's own rdi is in memory still
	SAVE_REST
	call	vmx_entry_failed
	mov	rdi, [rsp]
	cmp	eax, ENTER_AGAIN
	je	enter_all
	jmp	leave_saved

launch_fast:
	LOAD_FAST
	jmp	launch

; Nothing ran since the fast registers were loaded from memory; the others may be in the cpu only.
virt_entry_window_abort:
	mov	rdi, [rsp]
leave:
	SAVE_REST
leave_saved:
	cmp	byte [rdi + VMX_GUARD], 0
	jne	leave_guarded
leave_last:
	mov	eax, [rdi + VMX_LEAVE_CODE]
	pop	rdi
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret

leave_guarded:				; it may have come here without an exit
	lea	rdi, [rdi + VMX_GUARD]
	call	mitigate_loaded
	mov	rdi, [rsp]
	jmp	leave_last

; HOST_RIP.
align 16
vmx_exit_point:
	SAVE_FAST
	call	vmx_exit_fast			; eax = enum vmx_after
	mov	rdi, [rsp]
	test	eax, eax
	jz	enter_fast
leave_or_full:
	cmp	eax, NEED_ALL
	jb	leave
	ja	enter_guarded
	SAVE_REST
	xor	ebp, ebp			; backtraces end here
	call	vmx_exit_full
	mov	rdi, [rsp]
	cmp	eax, LEAVE
	je	leave_saved
	LOAD_REST
	cmp	byte [rdi + VMX_GUARD], 0
	je	enter_fast
enter_guarded:
	lea	rdi, [rdi + VMX_GUARD]
	call	mitigate_before_entry
	mov	rdi, [rsp]
	jmp	enter_fast

; The other HOST_RIP. No indirect branch and no RET without its CALL comes before the measures.
align 16
vmx_exit_point_guarded:
	SAVE_FAST
	lea	rdi, [rdi + VMX_GUARD]
	call	mitigate_after_exit
	mov	rdi, [rsp]
	call	vmx_exit_fast
	mov	rdi, [rsp]
	test	eax, eax
	jz	enter_guarded
	jmp	leave_or_full
