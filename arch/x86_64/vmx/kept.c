/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest registers that most switches between virtual cpus need not touch.
 *
 * SYSCALL's MSRs and TSC_AUX are written once, when a guest boots: those writes exit, so their values are known and never read
 * back, and a cpu knows what its own hold. Sets of SYSCALL's values have numbers, so that one comparison tells of all: a set
 * gets a new one when it is written, and takes that of a set it turns out to equal. So virtual cpus of one guest come to share
 * it. TSC_AUX tells them apart, so it is in no set.
 *
 * Debug registers: few guests use them. Naming one exits; then they are the guest's until it is put with no breakpoint enabled.
 * DR7 itself is in the VMCS.
 */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/mitigate.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx_private.h"

#define DR7_BREAKPOINTS		0xfful		/* L0..G3 (SDM 3B 17.2.4) */

enum width { ANY, LOW_HALF, CANONICAL };

static const struct { uint32_t number; enum width width; } kept[PERCPU_MSRS] = {
	[PERCPU_STAR] = { MSR_STAR, ANY }, [PERCPU_LSTAR] = { MSR_LSTAR, CANONICAL }, [PERCPU_CSTAR] = { MSR_CSTAR, CANONICAL },
	[PERCPU_FMASK] = { MSR_FMASK, LOW_HALF }, [PERCPU_TSC_AUX] = { MSR_TSC_AUX, LOW_HALF },
};

static bool is_there(unsigned i)
{
	return i != PERCPU_TSC_AUX || vmx.has_tsc_aux;
}

void vmx_msrs_on(struct percpu *p)
{
	for (unsigned i = 0; i < PERCPU_MSRS; i++) {
		if (is_there(i)) {
			insn_wrmsr(kept[i].number, 0);
		}
	}
	insn_wrmsr(MSR_KERNEL_GS_BASE, 0);
	p->msrs = (struct percpu_msrs){ 0 };
	p->kernel_gs_base = 0;
}

void vmx_msrs_open(uint8_t *bitmap)
{
	for (unsigned i = 0; i < PERCPU_MSRS; i++) {
		if (is_there(i)) {
			vmx_msr_open(bitmap, kept[i].number, VMX_MSR_READ);
		}
	}
}

void vmx_msrs_load(struct vmx_vcpu *v, struct percpu *p)
{
	bool same = true;

	for (unsigned i = 0; i < PERCPU_TSC_AUX; i++) {
		if (p->msrs.value[i] != v->msrs.value[i]) {
			p->msrs.value[i] = v->msrs.value[i];
			insn_wrmsr(kept[i].number, v->msrs.value[i]);
			same = false;
		}
	}
	if (same) {
		v->msrs.number = p->msrs.number;
	} else {
		p->msrs.number = v->msrs.number;
	}
}

/* Would the cpu take it? It looks at as many bits of an address as it has, whatever the paging mode. */
static bool fits(uint64_t value, enum width width)
{
	unsigned above = 64 - vmx.linear_bits;

	return width == ANY || (width == LOW_HALF ? value >> 32 == 0 : (uint64_t)((int64_t)(value << above) >> above) == value);
}

enum err vmx_write_msr(struct virt_vcpu *virt_v, uint32_t msr, uint64_t value)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	struct percpu *p = percpu_this();
	unsigned i = 0;

	while (i < PERCPU_MSRS && (kept[i].number != msr || !is_there(i))) {
		i++;
	}
	if (i == PERCPU_MSRS) {
		return ERR_NOENT;
	}
	if (!fits(value, kept[i].width)) {
		return ERR_INVAL;
	}
	if (value != v->msrs.value[i]) {
		insn_wrmsr(msr, value);
		v->msrs.value[i] = value;
		if (i != PERCPU_TSC_AUX) {
			v->msrs.number = ++p->msrs_named * CPU_MAX + p->cpu.id;
		}
		p->msrs = v->msrs;
	}
	return ERR_OK;
}

void vmx_judge(struct vmx_vcpu *v)
{
	v->plain = !v->debug_open && !v->guard.guarded && v->guard.spec_ctrl == 0 && !mitigate_at_run && vmx.xcr0 != 0;
}

void vmx_debug_load(const struct vmx_vcpu *v)
{
	insn_write_dr0(v->dr[0]);
	insn_write_dr1(v->dr[1]);
	insn_write_dr2(v->dr[2]);
	insn_write_dr3(v->dr[3]);
	insn_write_dr6(v->dr6);
}

void vmx_debug_open(struct vmx_vcpu *v)
{
	if (!v->debug_open) {
		v->debug_open = true;
		vmx_set_controls(v, v->proc_controls & ~PROC_MOV_DR);
		vmx_debug_load(v);
		vmx_judge(v);
	}
}

void vmx_debug_save(struct vmx_vcpu *v)
{
	v->dr[0] = insn_read_dr0();
	v->dr[1] = insn_read_dr1();
	v->dr[2] = insn_read_dr2();
	v->dr[3] = insn_read_dr3();
	v->dr6 = insn_read_dr6();
	if ((vmread(VMCS_GUEST_DR7) & DR7_BREAKPOINTS) == 0) {
		v->debug_open = false;
		vmx_set_controls(v, v->proc_controls | PROC_MOV_DR);
		vmx_judge(v);
	}
}
