/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers whose masks make a write exit (SDM 3C 25.1.3): CR0 bits that VMX fixes or that would reach the real cache,
 * CR4 bits that the guest's CPUID does not offer, that show in CPUID, or that the host keeps on; and CR8, and EFER.
 *
 * A legal write is not emulated: the masked bits of the read shadow are set to what the guest writes, and the instruction
 * runs again. Now it differs from the shadow in no masked bit, does not exit, and the cpu itself does the rest: consistency
 * checks, long mode, PDPTEs, TLB.
 */
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_private.h"

#define CR_NUMBER(q)	((unsigned)(q) & 15)	/* exit qualification (SDM 3C table 27-3) */
#define CR_ACCESS(q)	((unsigned)(q) >> 4 & 3)
#define CR_GPR(q)	((unsigned)(q) >> 8 & 15)
enum { ACCESS_TO_CR, ACCESS_FROM_CR };

#define VECTOR_GP	13u

static unsigned general_protection(struct vmx_vcpu *v)
{
	virt->inject_exception(&v->virt, VECTOR_GP, true, 0);
	return VIRT_RESUME;
}

static uint64_t read_gpr(struct vmx_vcpu *v, unsigned gpr)
{
	return gpr == VIRT_RSP ? vmread(VMCS_GUEST_RSP) : v->virt.gpr[gpr];
}

static void write_gpr(struct vmx_vcpu *v, unsigned gpr, uint64_t value)
{
	if (gpr == VIRT_RSP) {
		vmwrite(VMCS_GUEST_RSP, value);
	} else {
		v->virt.gpr[gpr] = value;
	}
}

/*
 * What the cpu will refuse when the instruction runs again (SDM 3A 2.5, 4.1): then the shadow must not have changed. Not among
 * it: PAE paging switched on over malformed PDPTEs.
 */
static bool cr0_refused(uint64_t value)
{
	uint64_t old = vmread(VMCS_GUEST_CR0), cr4 = vmread(VMCS_GUEST_CR4), efer = vmread(VMCS_GUEST_EFER);
	bool long_code = (vmread(VMCS_GUEST_CS_ACCESS) & CS_LONG) != 0;

	if (value >> 32 != 0 || ((value & CR0_NW) != 0 && (value & CR0_CD) == 0) ||
	    ((value & CR0_PG) != 0 && (value & CR0_PE) == 0)) {
		return true;
	}
	if ((old & CR0_PG) != 0 && (value & CR0_PG) == 0) {
		return ((efer & EFER_LMA) != 0 && long_code) || (cr4 & CR4_PCIDE) != 0;
	}
	return (old & CR0_PG) == 0 && (value & CR0_PG) != 0 && (efer & EFER_LME) != 0 && ((cr4 & CR4_PAE) == 0 || long_code);
}

static bool cr4_refused(const struct vmx_vcpu *v, uint64_t value)
{
	uint64_t old = vmread(VMCS_GUEST_CR4);
	bool long_mode = (vmread(VMCS_GUEST_EFER) & EFER_LMA) != 0;

	return (value & ~v->cr4_allowed) != 0 || (long_mode && (value & CR4_PAE) == 0) ||
	       ((value & ~old & CR4_PCIDE) != 0 && (!long_mode || (vmread(VMCS_GUEST_CR3) & 0xfff) != 0));
}

/* NE stays on for VMX; CD and NW are the guest's to see only: its memory is write-back whatever it says. */
static unsigned write_cr0(struct vmx_vcpu *v, uint64_t value)
{
	if (cr0_refused(value)) {
		return general_protection(v);
	}
	vmwrite(VMCS_CR0_SHADOW, (vmread(VMCS_CR0_SHADOW) & ~vmx.cr0_guest_mask) | (value & vmx.cr0_guest_mask));
	return VIRT_RESUME;
}

uint64_t vmx_cr4_mask(const struct vmx_vcpu *v)
{
	return ~v->cr4_allowed | CR4_OSXSAVE | CR4_MCE;
}

static unsigned write_cr4(struct vmx_vcpu *v, uint64_t value)
{
	uint64_t mask = vmx_cr4_mask(v);

	if (cr4_refused(v, value)) {
		return general_protection(v);
	}
	vmwrite(VMCS_CR4_SHADOW, (vmread(VMCS_CR4_SHADOW) & ~mask) | (value & mask));
	vmwrite(VMCS_GUEST_CR4, (vmread(VMCS_GUEST_CR4) & ~CR4_OSXSAVE) | (value & CR4_OSXSAVE));
	vmx_cpuid_flush(v);
	return VIRT_RESUME;
}

unsigned vmx_handle_cr(struct vmx_vcpu *v)
{
	uint64_t q = vmread(VMCS_EXIT_QUALIFICATION);
	unsigned number = CR_NUMBER(q), next;

	if (CR_ACCESS(q) == ACCESS_TO_CR && number == 0) {
		return write_cr0(v, read_gpr(v, CR_GPR(q)));
	}
	if (CR_ACCESS(q) == ACCESS_TO_CR && number == 4) {
		return write_cr4(v, read_gpr(v, CR_GPR(q)));
	}
	/* CR8, whose value is vm/'s. CLTS, LMSW and CR3 do not exit: no mask and no control covers what they change. */
	v->virt.info.write = CR_ACCESS(q) == ACCESS_TO_CR;
	v->virt.info.qualification = read_gpr(v, CR_GPR(q));
	next = v->virt.handlers[VIRT_EXIT_CR](&v->virt);
	if (!v->virt.info.write) {
		write_gpr(v, CR_GPR(q), v->virt.info.qualification);
	}
	return next;
}

bool vmx_write_efer(struct virt_vcpu *v, uint64_t value)
{
	uint64_t old = vmread(VMCS_GUEST_EFER), allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	bool paging = (vmread(VMCS_GUEST_CR0) & CR0_PG) != 0;

	if ((value & ~allowed) != 0 || (paging && ((old ^ value) & EFER_LME) != 0)) {
		return false;
	}
	vmwrite(VMCS_GUEST_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
	return true;
}

uint64_t vmx_read_efer(struct virt_vcpu *v)
{
	return vmread(VMCS_GUEST_EFER);
}

uint64_t vmx_read_cr4(struct virt_vcpu *v)
{
	uint64_t mask = vmx_cr4_mask(vmx_of(v));

	return (vmread(VMCS_GUEST_CR4) & ~mask) | (vmread(VMCS_CR4_SHADOW) & mask);
}
