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

#define EPT_WRITE		(1ul << 1)	/* table 27-7 */
#define EPT_FETCH		(1ul << 2)
#define EPT_LINEAR_VALID	(1ul << 7)
#define EPT_OF_LINEAR		(1ul << 8)	/* with the one before: the access itself, not a step of its page walk */
#define EPT_NMI_UNBLOCKED	(1ul << 12)
#define NOTIFY_INVALID		(1ul << 0)	/* the VMCS does not tell where the guest stood */

/* The exit qualification of an I/O instruction is laid out as VIRT_IO_... (SDM 3C table 27-5). */
static inline void read_io(struct vmx_vcpu *v)
{
	v->virt.info.io = (uint32_t)vmread(VMCS_EXIT_QUALIFICATION);
}

/* Puts back an event that was being delivered when the exit came (SDM 3C 27.2.4). */
bool vmx_requeue_event(void)
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
	v->virt.info.walk = (q & (EPT_LINEAR_VALID | EPT_OF_LINEAR)) == EPT_LINEAR_VALID;
	v->virt.info.qualification = q;
	v->virt.info.in_delivery = vmx_requeue_event();
	if (!v->virt.info.in_delivery && (q & EPT_NMI_UNBLOCKED) != 0) {
		/* The IRET that faulted had ended NMI blocking; it will run again (SDM 3C 27.2.3). */
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
	}
}

/* The lock may have been part of a delivery (SDM 3C 27.2.4). */
static void read_bus_lock(struct vmx_vcpu *v)
{
	(void)v;
	(void)vmx_requeue_event();
}

static void read_raw(struct vmx_vcpu *v)
{
	v->virt.info.qualification = vmread(VMCS_EXIT_QUALIFICATION);
}

static void read_apic_eoi(struct vmx_vcpu *v)
{
	v->virt.info.vector = (uint8_t)vmread(VMCS_EXIT_QUALIFICATION);
}

static void read_apic_write(struct vmx_vcpu *v)
{
	v->virt.info.offset = (uint16_t)(vmread(VMCS_EXIT_QUALIFICATION) & PAGE_MASK);
}

/* A reason's row: the kind that vm/ knows, what to read for it, and whether its handler makes do with the fast registers. */
static const struct row {
	void (*read)(struct vmx_vcpu *v);
	uint8_t kind;
	bool known, fast;
} rows[REASON_COUNT] = {
	[REASON_EXCEPTION_NMI]		= { NULL, VIRT_EXIT_EXCEPTION, true, false },
	[REASON_EXTERNAL_INTERRUPT]	= { NULL, VIRT_EXIT_INTERRUPT, true, false },
	[REASON_TRIPLE_FAULT]		= { NULL, VIRT_EXIT_TRIPLE_FAULT, true, false },
	[REASON_INTERRUPT_WINDOW]	= { NULL, VIRT_EXIT_INJECT_WINDOW, true, true },
	[REASON_NMI_WINDOW]		= { NULL, VIRT_EXIT_INJECT_WINDOW, true, true },
	[REASON_CPUID]			= { NULL, VIRT_EXIT_CPUID, true, true },
	[REASON_GETSEC]			= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_HLT]			= { NULL, VIRT_EXIT_HLT, true, true },
	[REASON_INVD]			= { NULL, VIRT_EXIT_WBINVD, true, false },
	[REASON_RDPMC]			= { NULL, VIRT_EXIT_RDPMC, true, false },
	[REASON_VMCALL]			= { NULL, VIRT_EXIT_HYPERCALL, true, true },
	[REASON_VMCLEAR ... REASON_VMXON]	= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_CR]			= { NULL, VIRT_EXIT_CR, true, false },
	[REASON_DR]			= { NULL, VIRT_EXIT_DR, true, false },
	[REASON_IO]			= { read_io, VIRT_EXIT_IO, true, true },
	[REASON_RDMSR]			= { NULL, VIRT_EXIT_RDMSR, true, true },
	[REASON_WRMSR]			= { NULL, VIRT_EXIT_WRMSR, true, true },
	[REASON_ENTRY_GUEST_STATE]	= { read_raw, VIRT_EXIT_ENTRY_FAILED, true, false },
	[REASON_ENTRY_MSR_LOAD]		= { read_raw, VIRT_EXIT_ENTRY_FAILED, true, false },
	[REASON_MWAIT]			= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_MONITOR]		= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_PAUSE]			= { NULL, VIRT_EXIT_PAUSE, true, true },
	[REASON_ENTRY_MACHINE_CHECK]	= { read_raw, VIRT_EXIT_ENTRY_FAILED, true, false },
	[REASON_APIC_ACCESS]		= { vmx_read_apic_access, VIRT_EXIT_MMIO, true, false },
	[REASON_VIRTUALIZED_EOI]	= { read_apic_eoi, VIRT_EXIT_APIC_EOI, true, true },
	[REASON_EPT_VIOLATION]		= { read_ept, VIRT_EXIT_MMIO, true, false },
	[REASON_INVEPT]			= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_INVVPID]		= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_WBINVD]			= { NULL, VIRT_EXIT_WBINVD, true, false },
	[REASON_XSETBV]			= { NULL, VIRT_EXIT_XSETBV, true, true },
	[REASON_ENCLS]			= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_ENCLV]			= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_BUS_LOCK]		= { read_bus_lock, VIRT_EXIT_BUS_LOCK, true, false },
	[REASON_SEAMCALL]		= { NULL, VIRT_EXIT_INVALID_OP, true, false },	/* no control keeps a guest from these */
	[REASON_TDCALL]			= { NULL, VIRT_EXIT_INVALID_OP, true, false },
	[REASON_APIC_WRITE]		= { read_apic_write, VIRT_EXIT_APIC_WRITE, true, true },
};

/* What is rare after an instruction, or one round of a repeated one: RF was for it alone, and under TF a trap becomes due. */
static __attribute__((noinline)) void end_of_instruction(uint64_t rflags, bool whole)
{
	if (whole) {
		vmwrite(VMCS_GUEST_RFLAGS, rflags & ~RFLAGS_RF);
	}
	if ((rflags & RFLAGS_TF) != 0) {
		vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
	}
}

/* Outside 64-bit code RIP wraps at 4 GiB; entry refuses more than 32 bits there, and CPL 3 gets to the end (SDM 3C 26.3.1.4). */
static __attribute__((noinline, cold)) void wrap_rip(uint64_t rip)
{
	if ((vmread(VMCS_GUEST_EFER) & EFER_LMA) == 0 || (vmread(VMCS_GUEST_CS_ACCESS) & CS_LONG) == 0) {
		vmwrite(VMCS_GUEST_RIP, (uint32_t)rip);
	}
}

/* Past the instruction that exited: its shadow ends, and a single-step trap becomes due (SDM 3C 31.3, 24.4.2). */
static inline __attribute__((always_inline)) void skip(uint64_t bytes)
{
	uint32_t shadow = (uint32_t)vmread(VMCS_GUEST_INTERRUPTIBILITY);
	uint64_t rip = vmread(VMCS_GUEST_RIP) + bytes, rflags;

	vmwrite(VMCS_GUEST_RIP, rip);
	if ((uint32_t)rip < bytes) {
		wrap_rip(rip);
	}
	if ((shadow & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) != 0) {
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, shadow & ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
	}
	rflags = vmread(VMCS_GUEST_RFLAGS);
	if ((rflags & (RFLAGS_TF | RFLAGS_RF)) != 0) {
		end_of_instruction(rflags, bytes > 0);
	}
}

void vmx_skip(uint64_t bytes)
{
	skip(bytes);
}

/* The preemption timer counts from the entry on, so it is set from the absolute time at every entry. */
static void arm_timer(const struct vmx_vcpu *v)
{
	uint64_t now = insn_rdtsc();

	vmwrite(VMCS_PREEMPTION_TIMER, v->limit_tsc > now ? (v->limit_tsc - now) >> vmx.preemption_shift : 0);
}

/*
 * Events may have changed. A deadline of the guest's own is at least vmx.least_ticks away, or a period shorter than its exit would
 * let it execute nothing for ever: an entry with 0 exits before the first instruction (SDM 3C 25.5.1).
 * The end of its turn is not, or a guest whose every instruction comes here would keep the cpu.
 */
void vmx_recheck(struct vmx_vcpu *v)
{
	uint64_t now;

	v->virt.before_entry(&v->virt, insn_rdtsc());
	now = insn_rdtsc();
	vmx_limit(v, now, MAX(v->virt.deadline_tsc, now + vmx.least_ticks));
}

static bool cpuid_from_slot(struct vmx_vcpu *v)
{
	uint32_t leaf = (uint32_t)v->virt.gpr[VIRT_RAX], subleaf = (uint32_t)v->virt.gpr[VIRT_RCX];
	const struct virt_cpuid_slot *slot = &v->virt.cpuid[virt_cpuid_slot(leaf, subleaf)];

	if (slot->leaf != leaf || slot->subleaf != subleaf) {
		return false;
	}
	v->virt.gpr[VIRT_RAX] = slot->answer.eax;
	v->virt.gpr[VIRT_RBX] = slot->answer.ebx;
	v->virt.gpr[VIRT_RCX] = slot->answer.ecx;
	v->virt.gpr[VIRT_RDX] = slot->answer.edx;
	return true;
}

/* What a handler asked for, when it is not just to go on behind the instruction. */
static __attribute__((noinline)) unsigned after_rare(struct vmx_vcpu *v, unsigned next)
{
	if ((next & VIRT_SKIP) != 0) {
		vmx_skip(vmread(VMCS_EXIT_INSN_LENGTH));
	}
	if ((next & VIRT_LEAVE) != 0) {
		atomic_store_explicit(&v->virt.news, true, memory_order_relaxed);
		return VMX_LEAVE;
	}
	if ((next & VIRT_RECHECK) != 0) {
		vmx_recheck(v);
	} else {
		arm_timer(v);
	}
	return v->guard.guarded ? VMX_ENTER_GUARDED : VMX_ENTER_AGAIN;	/* it may be since this exit */
}

static inline unsigned after(struct vmx_vcpu *v, unsigned next)
{
	if (next != VIRT_SKIP) {
		return after_rare(v, next);
	}
	skip(vmread(VMCS_EXIT_INSN_LENGTH));
	arm_timer(v);
	return VMX_ENTER_AGAIN;
}

static inline unsigned handle(struct vmx_vcpu *v, enum virt_exit kind)
{
	v->virt.exits[kind]++;
	return after(v, v->virt.handlers[kind](&v->virt));
}

static __attribute__((noinline)) unsigned exit_by_table(struct vmx_vcpu *v, uint32_t reason)
{
	const struct row *row = &rows[reason < REASON_COUNT ? reason : 0];

	if (!row->fast) {
		return VMX_NEED_ALL;
	}
	if (row->read != NULL) {
		row->read(v);
	}
	return handle(v, row->kind);
}

/* Each of the commonest exits has a function of its own: what is constant in it costs nothing. */
static __attribute__((noinline)) unsigned exit_hypercall(struct vmx_vcpu *v)
{
	return handle(v, VIRT_EXIT_HYPERCALL);
}

static __attribute__((noinline)) unsigned exit_rdmsr(struct vmx_vcpu *v)
{
	return handle(v, VIRT_EXIT_RDMSR);
}

static __attribute__((noinline)) unsigned exit_io(struct vmx_vcpu *v)
{
	read_io(v);
	return handle(v, VIRT_EXIT_IO);
}

static __attribute__((noinline)) unsigned exit_timer(struct vmx_vcpu *v)
{
	v->virt.exits[VIRT_EXIT_TIMER]++;
	if (insn_rdtsc() < v->virt.until_tsc) {
		vmx_recheck(v);
		return VMX_ENTER_AGAIN;
	}
	v->virt.leave_code = VIRT_LEFT_TIME;
	return VMX_LEAVE;
}

/*
 * After every exit, with the fast registers in v. VMX_NEED_ALL: this reason's handler wants the others too; nothing has
 * been done yet.
 */
unsigned vmx_exit_fast(struct vmx_vcpu *v)
{
	uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);

	if (reason == REASON_CPUID && cpuid_from_slot(v)) {
		v->virt.exits[VIRT_EXIT_CPUID]++;
		skip(vmread(VMCS_EXIT_INSN_LENGTH));
		arm_timer(v);
		return VMX_ENTER_AGAIN;
	}
	if (reason == REASON_IO) {
		return exit_io(v);
	}
	if (reason == REASON_RDMSR) {
		return exit_rdmsr(v);
	}
	if (reason == REASON_VMCALL) {
		return exit_hypercall(v);
	}
	if (reason == REASON_PREEMPTION_TIMER) {
		return exit_timer(v);
	}
	return exit_by_table(v, reason);
}

/* An interrupt or NMI of the host's: let it be taken, then go through the loop. */
static unsigned host_event(struct vmx_vcpu *v, bool nmi)
{
	if (nmi) {
		insn_int_nmi();
	} else {
		insn_interrupt_window();
	}
	v->virt.exits[nmi ? VIRT_EXIT_NMI : VIRT_EXIT_INTERRUPT]++;
	v->virt.leave_code = VIRT_LEFT_POKED;
	return VMX_LEAVE;
}

/* After an exit that vmx_exit_fast() did not handle, with all registers in v. */
unsigned vmx_exit_full(struct vmx_vcpu *v)
{
	static const struct row other = { read_raw, VIRT_EXIT_OTHER, true, false };
	uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON), basic = reason & 0xffff;
	const struct row *row = basic < REASON_COUNT && rows[basic].known ? &rows[basic] : &other;

	v->virt.info.reason = reason;
	if (basic == REASON_EXTERNAL_INTERRUPT) {
		return host_event(v, false);
	}
	if (basic == REASON_EXCEPTION_NMI && (vmread(VMCS_EXIT_INTERRUPTION) & EVENT_TYPE) == EVENT_TYPE_NMI) {
		return host_event(v, true);
	}
	/* No interrupt could be taken for long: what is pending is taken here. Context lost: the VM ends below. */
	if (basic == REASON_NOTIFY && (vmread(VMCS_EXIT_QUALIFICATION) & NOTIFY_INVALID) == 0) {
		(void)vmx_requeue_event();
		return host_event(v, false);
	}
	if (basic == REASON_ENTRY_MACHINE_CHECK) {
		insn_int_machine_check();
	}
	v->virt.exits[row->kind]++;
	if (row->read != NULL) {
		row->read(v);
	}
	if (row->kind == VIRT_EXIT_MMIO && v->virt.info.fetch && vmx_space_execute(v->space, v->virt.info.gpa)) {
		return after(v, 0);
	}
	switch (row->kind) {
	case VIRT_EXIT_CR:
		return after(v, vmx_handle_cr(v));
	case VIRT_EXIT_DR:
		vmx_debug_open(v);		/* now it runs */
		return after(v, VIRT_RESUME);
	case VIRT_EXIT_EXCEPTION:
		return after(v, vmx_reflect_exception(v));
	default:
		return after(v, v->virt.handlers[row->kind](&v->virt));
	}
}

/*
 * VMLAUNCH or VMRESUME did not enter and did not exit. Where only the launch state was not what we thought (an NMI may
 * come between noting a launch and doing it), the other instruction is due; else the VMCS itself is wrong (SDM 3C 30.4).
 */
unsigned vmx_entry_failed(struct vmx_vcpu *v)
{
	uint64_t error = vmread(VMCS_INSN_ERROR);

	if (error == INSN_ERROR_NOT_LAUNCHED || error == INSN_ERROR_NOT_CLEAR) {
		percpu_this()->launched = error == INSN_ERROR_NOT_CLEAR;
		return VMX_ENTER_AGAIN;
	}
	v->virt.info.reason = REASON_ENTRY_FAILED;
	v->virt.info.qualification = error;
	v->virt.exits[VIRT_EXIT_ENTRY_FAILED]++;
	(void)v->virt.handlers[VIRT_EXIT_ENTRY_FAILED](&v->virt);
	return VMX_LEAVE;
}
