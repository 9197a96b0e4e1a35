/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers that the masks make exit (SDM 3C 25.1.3): CR0 bits that VMX fixes or that would reach the real cache,
 * CR4 bits the guest's CPUID does not offer, CR8. And EFER, which belongs to the same paging decisions.
 */
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_private.h"

#define CR_NUMBER(q)	((unsigned)(q) & 15)	/* exit qualification (SDM 3C table 27-3) */
#define CR_ACCESS(q)	((unsigned)(q) >> 4 & 3)
#define CR_GPR(q)	((unsigned)(q) >> 8 & 15)
#define CR_LMSW(q)	((uint64_t)(q) >> 16 & 0xffff)
enum { ACCESS_TO_CR, ACCESS_FROM_CR, ACCESS_CLTS, ACCESS_LMSW };

#define VECTOR_GP	13u
#define CR0_DEFINED	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | 1ul << 18 | CR0_NW | CR0_CD | CR0_PG)

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

/* Long mode on or off follows CR0.PG and EFER.LME (SDM 3A 9.8.5); the entry control must agree with EFER.LMA. */
static void follow_long_mode(uint64_t cr0)
{
	uint64_t efer = vmread(VMCS_GUEST_EFER);
	uint64_t entry = vmread(VMCS_ENTRY_CONTROLS);

	if ((efer & EFER_LME) != 0 && (cr0 & CR0_PG) != 0) {
		efer |= EFER_LMA;
		entry |= ENTRY_GUEST_64;
	} else {
		efer &= ~EFER_LMA;
		entry &= ~(uint64_t)ENTRY_GUEST_64;
	}
	vmwrite(VMCS_GUEST_EFER, efer);
	vmwrite(VMCS_ENTRY_CONTROLS, entry);
}

static bool cr0_is_legal(uint64_t value, uint64_t efer, uint64_t cr4)
{
	if ((value & ~CR0_DEFINED) != 0 || ((value & CR0_PG) != 0 && (value & CR0_PE) == 0) ||
	    ((value & CR0_NW) != 0 && (value & CR0_CD) == 0)) {
		return false;
	}
	return (value & CR0_PG) == 0 || (efer & EFER_LME) == 0 || (cr4 & CR4_PAE) != 0;
}

static unsigned write_cr0(struct vmx_vcpu *v, uint64_t value)
{
	uint64_t cr4 = vmread(VMCS_GUEST_CR4), old = vmread(VMCS_GUEST_CR0);

	value |= CR0_ET;
	if (!cr0_is_legal(value, vmread(VMCS_GUEST_EFER), cr4)) {
		return general_protection(v);
	}
	vmwrite(VMCS_CR0_SHADOW, value);
	/* NE stays on for VMX; CD and NW are the guest's to see only: its memory is write-back whatever it says. */
	vmwrite(VMCS_GUEST_CR0, (value | CR0_NE) & ~(CR0_CD | CR0_NW));
	if (((old ^ value) & CR0_PG) != 0) {
		follow_long_mode(value);
		invvpid(INV_SINGLE_CONTEXT, v->vpid);
	}
	return VIRT_SKIP;
}

static unsigned write_cr4(struct vmx_vcpu *v, uint64_t value)
{
	bool long_mode = (vmread(VMCS_GUEST_EFER) & EFER_LMA) != 0;

	if ((value & ~v->cr4_allowed) != 0 || (long_mode && (value & CR4_PAE) == 0)) {
		return general_protection(v);
	}
	vmwrite(VMCS_CR4_SHADOW, value);
	vmwrite(VMCS_GUEST_CR4, value | CR4_VMXE | (vmx.caps.cr4_fixed0 & ~v->cr4_allowed));
	invvpid(INV_SINGLE_CONTEXT, v->vpid);
	vmx_cpuid_flush(v);
	return VIRT_SKIP;
}

unsigned vmx_handle_cr(struct vmx_vcpu *v)
{
	uint64_t q = vmread(VMCS_EXIT_QUALIFICATION);
	unsigned number = CR_NUMBER(q);
	uint64_t seen_cr0 = (vmread(VMCS_GUEST_CR0) & ~vmx.cr0_guest_mask) |
			    (vmread(VMCS_CR0_SHADOW) & vmx.cr0_guest_mask);

	switch (CR_ACCESS(q)) {
	case ACCESS_TO_CR:
		if (number == 0) {
			return write_cr0(v, read_gpr(v, CR_GPR(q)));
		}
		if (number == 4) {
			return write_cr4(v, read_gpr(v, CR_GPR(q)));
		}
		v->virt.info.qualification = read_gpr(v, CR_GPR(q));
		v->virt.info.write = true;
		return v->virt.handlers[VIRT_EXIT_CR](&v->virt);	/* CR8: the TPR is vm/'s */
	case ACCESS_FROM_CR: {
		unsigned next;

		v->virt.info.write = false;
		next = v->virt.handlers[VIRT_EXIT_CR](&v->virt);
		write_gpr(v, CR_GPR(q), v->virt.info.qualification);
		return next;
	}
	case ACCESS_CLTS:
		return write_cr0(v, seen_cr0 & ~CR0_TS);
	default:
		/* LMSW sets PE, MP, EM, TS and cannot clear PE (SDM 2A). */
		return write_cr0(v, (seen_cr0 & ~0xeul) | (CR_LMSW(q) & 0xf));
	}
}

bool vmx_write_efer(struct virt_vcpu *v, uint64_t value)
{
	uint64_t old = vmread(VMCS_GUEST_EFER), allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	bool paging = (vmread(VMCS_GUEST_CR0) & CR0_PG) != 0;

	(void)v;
	if ((value & ~allowed) != 0 || (paging && ((old ^ value) & EFER_LME) != 0)) {
		return false;
	}
	vmwrite(VMCS_GUEST_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
	return true;
}

uint64_t vmx_read_efer(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_GUEST_EFER);
}

uint64_t vmx_read_cr4(struct virt_vcpu *v)
{
	uint64_t mask = ~vmx_of(v)->cr4_allowed | CR4_OSXSAVE;

	return (vmread(VMCS_GUEST_CR4) & ~mask) | (vmread(VMCS_CR4_SHADOW) & mask);
}
