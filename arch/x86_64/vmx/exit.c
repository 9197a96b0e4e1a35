/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From an exit reason to a handler. What a handler needs to know of its exit is read here, by reason, and nothing else:
 * a VMREAD costs as much as ten instructions. An event whose delivery the exit interrupted is put back for the next entry.
 */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_private.h"

#define IO_SIZE			7ul		/* exit qualification (SDM 3C table 27-5) */
#define IO_IN			(1ul << 3)
#define IO_STRING		(1ul << 4)
#define IO_REP			(1ul << 5)
#define EPT_WRITE		(1ul << 1)	/* table 27-7 */
#define EPT_FETCH		(1ul << 2)
#define EPT_NMI_UNBLOCKED	(1ul << 12)

static void read_nothing(struct vmx_vcpu *v)
{
	(void)v;
}

static void read_io(struct vmx_vcpu *v)
{
	uint64_t q = vmread(VMCS_EXIT_QUALIFICATION);

	v->virt.info.port = (uint16_t)(q >> 16);
	v->virt.info.io_size = (uint8_t)((q & IO_SIZE) + 1);
	v->virt.info.io_in = (q & IO_IN) != 0;
	v->virt.info.io_string = (q & IO_STRING) != 0;
	v->virt.info.io_rep = (q & IO_REP) != 0;
}

/* Puts back an event that was being delivered when the exit came (SDM 3C 27.2.4). */
static bool requeue_event(void)
{
	uint32_t info = (uint32_t)vmread(VMCS_IDT_VECTORING);
	uint32_t type = info & EVENT_TYPE;

	if ((info & EVENT_VALID) == 0) {
		return false;
	}
	if (type == EVENT_TYPE_NMI) {	/* it is delivered again, so it does not block itself (SDM 3C 26.3.1.5) */
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)INTERRUPTIBILITY_NMI);
	}
	vmwrite(VMCS_ENTRY_INTERRUPTION, info & ~(1u << 12));
	if ((info & EVENT_HAS_ERROR) != 0) {
		vmwrite(VMCS_ENTRY_ERROR_CODE, vmread(VMCS_IDT_VECTORING_ERROR));
	}
	if (type >= EVENT_TYPE_SOFT_INTERRUPT && type <= EVENT_TYPE_SOFT_EXCEPTION) {
		vmwrite(VMCS_ENTRY_INSN_LENGTH, vmread(VMCS_EXIT_INSN_LENGTH));
	}
	return true;
}

static void read_ept(struct vmx_vcpu *v)
{
	uint64_t q = vmread(VMCS_EXIT_QUALIFICATION);

	v->virt.info.gpa = gpa(vmread(VMCS_GUEST_PHYSICAL));
	v->virt.info.write = (q & EPT_WRITE) != 0;
	v->virt.info.fetch = (q & EPT_FETCH) != 0;
	v->virt.info.qualification = q;
	v->virt.info.in_delivery = requeue_event();
	if (!v->virt.info.in_delivery && (q & EPT_NMI_UNBLOCKED) != 0) {
		/* The IRET that faulted had ended NMI blocking; it will run again (SDM 3C 27.2.3). */
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
	}
}

static void read_raw(struct vmx_vcpu *v)
{
	v->virt.info.qualification = vmread(VMCS_EXIT_QUALIFICATION);
}

static void read_exception(struct vmx_vcpu *v)
{
	uint32_t info = (uint32_t)vmread(VMCS_EXIT_INTERRUPTION);

	v->virt.info.vector = (uint8_t)info;
	v->virt.info.error_code = (uint32_t)vmread(VMCS_EXIT_ERROR_CODE);
}

/* A reason's row: the kind that vm/ knows, and what to read for it. */
static const struct row {
	uint8_t kind;
	void (*read)(struct vmx_vcpu *v);
} rows[REASON_COUNT] = {
	[REASON_EXCEPTION_NMI]		= { VIRT_EXIT_EXCEPTION,	read_exception },
	[REASON_EXTERNAL_INTERRUPT]	= { VIRT_EXIT_INTERRUPT,	read_nothing },
	[REASON_TRIPLE_FAULT]		= { VIRT_EXIT_TRIPLE_FAULT,	read_nothing },
	[REASON_INTERRUPT_WINDOW]	= { VIRT_EXIT_INJECT_WINDOW,	read_nothing },
	[REASON_NMI_WINDOW]		= { VIRT_EXIT_INJECT_WINDOW,	read_nothing },
	[REASON_CPUID]			= { VIRT_EXIT_CPUID,		read_nothing },
	[REASON_GETSEC]			= { VIRT_EXIT_INVALID_OP,	read_nothing },
	[REASON_HLT]			= { VIRT_EXIT_HLT,		read_nothing },
	[REASON_INVD]			= { VIRT_EXIT_WBINVD,		read_nothing },
	[REASON_RDPMC]			= { VIRT_EXIT_INVALID_OP,	read_nothing },
	[REASON_VMCALL]			= { VIRT_EXIT_HYPERCALL,	read_nothing },
	[REASON_VMCLEAR ... REASON_VMXON] = { VIRT_EXIT_INVALID_OP,	read_nothing },
	[REASON_CR]			= { VIRT_EXIT_CR,		read_nothing },
	[REASON_IO]			= { VIRT_EXIT_IO,		read_io },
	[REASON_RDMSR]			= { VIRT_EXIT_RDMSR,		read_nothing },
	[REASON_WRMSR]			= { VIRT_EXIT_WRMSR,		read_nothing },
	[REASON_ENTRY_GUEST_STATE]	= { VIRT_EXIT_ENTRY_FAILED,	read_raw },
	[REASON_ENTRY_MSR_LOAD]		= { VIRT_EXIT_ENTRY_FAILED,	read_raw },
	[REASON_MWAIT]			= { VIRT_EXIT_INVALID_OP,	read_nothing },
	[REASON_MONITOR]		= { VIRT_EXIT_INVALID_OP,	read_nothing },
	[REASON_PAUSE]			= { VIRT_EXIT_PAUSE,		read_nothing },
	[REASON_ENTRY_MACHINE_CHECK]	= { VIRT_EXIT_ENTRY_FAILED,	read_raw },
	[REASON_EPT_VIOLATION]		= { VIRT_EXIT_MMIO,		read_ept },
	[REASON_INVEPT]			= { VIRT_EXIT_INVALID_OP,	read_nothing },
	[REASON_PREEMPTION_TIMER]	= { VIRT_EXIT_TIMER,		read_nothing },
	[REASON_INVVPID]		= { VIRT_EXIT_INVALID_OP,	read_nothing },
	[REASON_WBINVD]			= { VIRT_EXIT_WBINVD,		read_nothing },
	[REASON_XSETBV]			= { VIRT_EXIT_XSETBV,		read_nothing },
};

static const struct row *row_of(uint32_t basic)
{
	static const struct row other = { VIRT_EXIT_OTHER, read_raw };

	return basic < REASON_COUNT && rows[basic].read != NULL ? &rows[basic] : &other;
}

/* Past the instruction that exited: its shadow ends, and a single-step trap becomes due (SDM 3C 31.3, 24.4.2). */
void vmx_skip(uint64_t bytes)
{
	uint32_t shadow = (uint32_t)vmread(VMCS_GUEST_INTERRUPTIBILITY);

	vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + bytes);
	if ((shadow & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) != 0) {
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, shadow & ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
	}
	if ((vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF) != 0) {
		vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
	}
}

/* The preemption timer counts from the entry on, so it is set from the absolute time at every entry. */
static bool arm_timer(struct vmx_vcpu *v)
{
	uint64_t until = MIN(v->virt.until_tsc, v->virt.deadline_tsc), now = insn_rdtsc();
	uint64_t ticks = until > now ? (until - now) >> vmx.preemption_shift : 0;

	vmwrite(VMCS_PREEMPTION_TIMER, MIN(ticks, UINT32_MAX));
	return true;
}

/* An interrupt or NMI of the host's: let it be taken, then go through the loop. */
static bool host_event(struct vmx_vcpu *v)
{
	insn_interrupt_window();
	v->virt.leave_code = VIRT_LEFT_POKED;
	return false;
}

static bool exception_or_nmi(struct vmx_vcpu *v)
{
	uint32_t info = (uint32_t)vmread(VMCS_EXIT_INTERRUPTION);

	if ((info & EVENT_TYPE) == EVENT_TYPE_NMI) {
		v->virt.exits[VIRT_EXIT_NMI]++;
		insn_int_nmi();
		v->virt.leave_code = VIRT_LEFT_POKED;
		return true;
	}
	return false;
}

/*
 * Called by enter.asm after every exit, with the guest's registers in v. True: enter again, the timer is armed. False:
 * vmx_run() looks at what to do.
 */
bool vmx_handle_exit(struct vmx_vcpu *v)
{
	uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON), basic = reason & 0xffff;
	const struct row *row = row_of(basic);
	unsigned next;

	v->virt.info.reason = reason;
	if (basic == REASON_EXCEPTION_NMI && exception_or_nmi(v)) {
		return false;
	}
	v->virt.exits[row->kind]++;
	if (basic == REASON_EXTERNAL_INTERRUPT) {
		return host_event(v);
	}
	row->read(v);
	next = row->kind == VIRT_EXIT_CR ? vmx_handle_cr(v) : v->virt.handlers[row->kind](&v->virt);
	if ((next & VIRT_SKIP) != 0) {
		vmx_skip(vmread(VMCS_EXIT_INSN_LENGTH));
	}
	if ((next & (VIRT_RECHECK | VIRT_LEAVE)) == 0) {
		return arm_timer(v);
	}
	v->recheck = (next & VIRT_LEAVE) == 0;
	return false;
}

/* VMLAUNCH or VMRESUME did not enter and did not exit: the VMCS itself is wrong (SDM 3C 30.4). */
void vmx_entry_failed(struct vmx_vcpu *v)
{
	v->virt.info.reason = REASON_ENTRY_FAILED;
	v->virt.info.qualification = vmread(VMCS_INSN_ERROR);
	v->virt.exits[VIRT_EXIT_ENTRY_FAILED]++;
	v->virt.handlers[VIRT_EXIT_ENTRY_FAILED](&v->virt);
	v->entry_failed = true;
}
