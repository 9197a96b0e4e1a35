/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions that exit: #DB and #AC, given back to the guest after a turn of this cpu's loop, so that a guest which raises them
 * without end costs no more than its slice; and machine checks, which are the host's.
 *
 * An event whose delivery raised the exception is given up: for a fault or a software interrupt its instruction runs again.
 */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_private.h"

/* What the cpu does to the debug registers when it delivers #DB and did not, for it exited (SDM 3C 27.1). */
static void set_debug_registers(struct vmx_vcpu *v)
{
	uint64_t q = vmread(VMCS_EXIT_QUALIFICATION);
	uint32_t shadow = (uint32_t)vmread(VMCS_GUEST_INTERRUPTIBILITY);

	vmx_debug_open(v);
	insn_write_dr6((insn_read_dr6() & ~0xful) | (q & DR6_TRAPS));
	vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~DR7_GD);
	/* Entry wants a single-step trap pending where a shadow and TF are set together (SDM 3C 26.3.1.5). */
	if ((shadow & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) != 0 &&
	    (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF) != 0) {
		vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
	}
}

unsigned vmx_reflect_exception(struct vmx_vcpu *v)
{
	uint32_t info = (uint32_t)vmread(VMCS_EXIT_INTERRUPTION);

	switch (info & 0xff) {
	case VECTOR_MC:
		insn_int_machine_check();
		return VIRT_RECHECK;
	case VECTOR_DEBUG:
		set_debug_registers(v);
		break;
	case VECTOR_ALIGNMENT:
		break;
	default:
		v->virt.info.vector = (uint8_t)info;
		return v->virt.handlers[VIRT_EXIT_EXCEPTION](&v->virt);
	}
	if ((info & EVENT_HAS_ERROR) != 0) {
		vmwrite(VMCS_ENTRY_ERROR_CODE, vmread(VMCS_EXIT_ERROR_CODE));
	}
	if ((info & EVENT_TYPE) == EVENT_TYPE_ICEBP) {
		vmwrite(VMCS_ENTRY_INSN_LENGTH, vmread(VMCS_EXIT_INSN_LENGTH));
	}
	vmwrite(VMCS_ENTRY_INTERRUPTION, info & (EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | 0xff));
	/*
	 * A loop of these lets the guest run no instruction, so the host's interrupts never make it exit: they are taken here, and
	 * the loop of this cpu gets its turn each time. Without that the housekeeping cpu's console would stand still.
	 */
	insn_interrupt_window();
	v->virt.leave_code = VIRT_LEFT_POKED;
	return VIRT_LEAVE;
}
