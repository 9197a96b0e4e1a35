/* SPDX-License-Identifier: BSD-2-Clause */
/* Offsets that assembly needs: compiled to assembler text, from which the build makes build/gen/offsets.inc. */
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/virt.h"
#include "arch/x86_64/vmx/vmx_private.h"

void offsets(void);

#define OFFSET(name, type, member)	__asm__ volatile("#OFFSET " #name " %c0" : : "i"(offsetof(type, member)))
#define OFFSET_GPR(reg)			__asm__ volatile("#OFFSET GPR_" #reg " %c0" : : \
						"i"(offsetof(struct virt_vcpu, gpr) + 8 * VIRT_##reg))

void offsets(void)
{
	OFFSET(PERCPU_POKED, struct percpu, cpu.remote.poked);
	OFFSET(PERCPU_LAUNCHED, struct percpu, launched);
	OFFSET(VMX_GUARD, struct vmx_vcpu, guard);
	OFFSET(VMX_LEAVE_CODE, struct vmx_vcpu, virt.leave_code);
	OFFSET(START_APIC_ID, struct start_mailbox, apic_id);
	OFFSET(START_CLAIM, struct start_mailbox, claim);
	OFFSET(START_STACK, struct start_mailbox, stack);
	OFFSET(START_PERCPU, struct start_mailbox, percpu);
	OFFSET(START_ENTRY, struct start_mailbox, entry);
	OFFSET_GPR(RAX);
	OFFSET_GPR(RCX);
	OFFSET_GPR(RDX);
	OFFSET_GPR(RBX);
	OFFSET_GPR(RBP);
	OFFSET_GPR(RSI);
	OFFSET_GPR(RDI);
	OFFSET_GPR(R8);
	OFFSET_GPR(R9);
	OFFSET_GPR(R10);
	OFFSET_GPR(R11);
	OFFSET_GPR(R12);
	OFFSET_GPR(R13);
	OFFSET_GPR(R14);
	OFFSET_GPR(R15);
}
