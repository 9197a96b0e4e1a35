/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual cpu's life: created on a node, loaded on the cpu that runs it, put when another cpu may take it.
 *
 * The hypervisor uses no FPU, no debug registers and none of the SYSCALL MSRs, so the guest's stay in place over exits
 * and are switched only when another virtual cpu comes (load and put).
 */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/mitigate.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_ops.h"
#include "arch/x86_64/vmx/vmx_private.h"
#include "kernel/heap.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/mem.h"

#define FCW_RESET	0x037fu
#define MXCSR_RESET	0x1f80u
#define FPU_FCW		0
#define FPU_MXCSR	24
#define VECTOR_NMI	2u
#define VECTOR_PF	14u
#define DR6_RESET	0xffff0ff0u

static unsigned fpu_pages(void)
{
	return (unsigned)((vmx.fpu_bytes + PAGE_SIZE - 1) / PAGE_SIZE);
}

/* 0: all are taken. One that was given back may be used again at once: vmx_load() invalidates it before its first entry. */
static uint16_t vpid_take(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vmx.vpid_used); i++) {
		if (vmx.vpid_used[i] != ~0ul) {
			unsigned bit = (unsigned)__builtin_ctzl(~vmx.vpid_used[i]);

			vmx.vpid_used[i] |= 1ul << bit;
			return (uint16_t)(i * 64 + bit);
		}
	}
	return 0;
}

static void vpid_give(uint16_t vpid)
{
	if (vpid != 0) {
		vmx.vpid_used[vpid / 64] &= ~(1ul << vpid % 64);
	}
}

static enum err vcpu_create(const struct virt_config *c, struct virt_vcpu **out)
{
	struct vmx_vcpu *v = heap_alloc(sizeof(*v), c->node);
	hpa_t fpu = HPA_NONE;

	if (v == NULL) {
		return ERR_NOMEM;
	}
	v->vmcs = mem_alloc(&mem, c->node, 1, MEM_STRICT);
	fpu = mem_alloc(&mem, c->node, fpu_pages(), MEM_STRICT);
	v->vpid = vpid_take();
	if (hpa_is_none(v->vmcs) || hpa_is_none(fpu) || v->vpid == 0) {
		goto fail;
	}
	v->fpu = arch_direct(fpu);
	v->node = c->node;
	v->space = c->space;
	v->apic = c->apic_page;
	v->last_cpu = CPU_NONE;
	v->cr4_allowed = c->cr4_allowed & vmx.caps.cr4_fixed1 & ~CR4_VMXE;
	v->xcr0_allowed = c->xcr0_allowed & vmx.xcr0;
	v->proc_controls = vmx.controls.proc;
	v->virt.handlers = c->handlers;
	v->virt.before_entry = c->before_entry;
	v->virt.owner = c->owner;
	v->virt.until_tsc = v->virt.deadline_tsc = UINT64_MAX;
	insn_fill64(arch_direct(v->vmcs), 0, PAGE_SIZE / 8);
	*(uint32_t *)arch_direct(v->vmcs) = (uint32_t)(vmx.caps.basic & VMX_BASIC_REVISION);
	*out = &v->virt;
	return ERR_OK;
fail:
	vpid_give(v->vpid);
	if (!hpa_is_none(fpu)) {
		mem_free(&mem, fpu, fpu_pages());
	}
	if (!hpa_is_none(v->vmcs)) {
		mem_free(&mem, v->vmcs, 1);
	}
	heap_free(v, sizeof(*v));
	return ERR_NOMEM;
}

static void vcpu_destroy(struct virt_vcpu *virt_v)
{
	struct vmx_vcpu *v = vmx_of(virt_v);

	vpid_give(v->vpid);
	mem_free(&mem, arch_direct_hpa(v->fpu), fpu_pages());
	mem_free(&mem, v->vmcs, 1);
	heap_free(v, sizeof(*v));
}

static uint64_t vcpu_bytes(void)
{
	return sizeof(struct vmx_vcpu) + PAGE_SIZE * (1 + fpu_pages());
}

static void fpu_reset(struct vmx_vcpu *v)
{
	uint8_t *area = v->fpu;
	uint16_t fcw = FCW_RESET;
	uint32_t mxcsr = MXCSR_RESET;

	memset(area, 0, vmx.fpu_bytes);
	memcpy(area + FPU_FCW, &fcw, sizeof(fcw));
	memcpy(area + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
}

/* What this cpu's tables and stacks make of the host state (SDM 3C 26.2.3). */
static void write_host_cpu(const struct percpu *p)
{
	vmwrite(VMCS_HOST_GS_BASE, (uint64_t)p);
	vmwrite(VMCS_HOST_TR_BASE, (uint64_t)&p->tss);
	vmwrite(VMCS_HOST_GDTR_BASE, (uint64_t)p->gdt);
	vmwrite(VMCS_HOST_IDTR_BASE, desc_idt_base());
}

static void load_registers(const struct vmx_vcpu *v)
{
	insn_write_cr2(v->cr2);
	insn_write_dr0(v->dr[0]);
	insn_write_dr1(v->dr[1]);
	insn_write_dr2(v->dr[2]);
	insn_write_dr3(v->dr[3]);
	insn_write_dr6(v->dr6);
	insn_wrmsr(MSR_STAR, v->star);
	insn_wrmsr(MSR_LSTAR, v->lstar);
	insn_wrmsr(MSR_CSTAR, v->cstar);
	insn_wrmsr(MSR_FMASK, v->fmask);
	insn_wrmsr(MSR_KERNEL_GS_BASE, v->kernel_gs_base);
	if (vmx.has_tsc_aux) {
		insn_wrmsr(MSR_TSC_AUX, v->tsc_aux);
	}
	if (vmx.xcr0 != 0) {
		insn_xrstor(v->fpu, vmx.xcr0);
		insn_xsetbv(0, v->xcr0);
	} else {
		insn_fxrstor(v->fpu);
	}
}

static void save_registers(struct vmx_vcpu *v)
{
	v->cr2 = insn_read_cr2();
	v->dr[0] = insn_read_dr0();
	v->dr[1] = insn_read_dr1();
	v->dr[2] = insn_read_dr2();
	v->dr[3] = insn_read_dr3();
	v->dr6 = insn_read_dr6();
	v->star = insn_rdmsr(MSR_STAR);
	v->lstar = insn_rdmsr(MSR_LSTAR);
	v->cstar = insn_rdmsr(MSR_CSTAR);
	v->fmask = insn_rdmsr(MSR_FMASK);
	v->kernel_gs_base = insn_rdmsr(MSR_KERNEL_GS_BASE);
	if (vmx.has_tsc_aux) {
		v->tsc_aux = insn_rdmsr(MSR_TSC_AUX);
	}
	if (vmx.xcr0 != 0) {
		insn_xsetbv(0, vmx.xcr0);
		insn_xsave(v->fpu, vmx.xcr0);
	} else {
		insn_fxsave(v->fpu);
	}
}

void vmx_load(struct vmx_vcpu *v)
{
	struct percpu *p = percpu_this();
	bool stayed = v->last_cpu == p->cpu.id;

	ASSERT(p->loaded == NULL && p->vmx_on);
	if (vmptrld(v->vmcs) != 0) {
		panic("VMPTRLD of a VMCS at 0x%lx failed", v->vmcs.v);
	}
	p->loaded = v;
	p->launched = false;
	if (!stayed) {
		/* Its last run on this cpu, or another owner of this VPID or EPT root, may have left translations behind. */
		write_host_cpu(p);
		invvpid(INV_SINGLE_CONTEXT, v->vpid);
		invept(INV_SINGLE_CONTEXT, vmx_ept_pointer(v->space));
		v->last_cpu = p->cpu.id;
	}
	mitigate_loaded(&v->guard);
	if (stayed && p->in_place == v) {
		if (vmx.xcr0 != 0) {
			insn_xsetbv(0, v->xcr0);	/* saving wanted another one */
		}
		return;
	}
	p->in_place = v;
	load_registers(v);
}

static void vcpu_put(struct virt_vcpu *virt_v)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	struct percpu *p = percpu_this();

	if (p->loaded != v) {
		return;
	}
	save_registers(v);
	mitigate_unloaded();
	(void)vmclear(v->vmcs);
	p->loaded = NULL;
}

/* The VMCS must be current to be written, so a reset borrows this cpu for it. */
static void vcpu_reset(struct virt_vcpu *virt_v, const struct virt_start *start)
{
	struct vmx_vcpu *v = vmx_of(virt_v);

	ASSERT(percpu_this()->loaded == NULL);
	fpu_reset(v);
	memset(v->dr, 0, sizeof(v->dr));
	v->dr6 = DR6_RESET;
	v->cr2 = v->star = v->lstar = v->cstar = v->fmask = v->kernel_gs_base = v->tsc_aux = 0;
	v->xcr0 = 1;
	mitigate_reset(&v->guard);
	v->proc_controls = vmx.controls.proc;
	vmx_cpuid_flush(v);
	v->last_cpu = CPU_NONE;
	memcpy(v->virt.gpr, start->gpr, sizeof(v->virt.gpr));
	(void)vmclear(v->vmcs);
	if (vmptrld(v->vmcs) != 0) {
		panic("VMPTRLD of a new VMCS at 0x%lx failed", v->vmcs.v);
	}
	vmx_vmcs_init(v);
	vmx_vmcs_reset(v, start);
	(void)vmclear(v->vmcs);
}

static int vcpu_run(struct virt_vcpu *virt_v)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	struct percpu *p = percpu_this();

	if (p->loaded != v) {
		vmx_load(v);
	}
	mitigate_run_vm(v->space->vm);
	do {
		v->again = false;
		v->virt.leave_code = VIRT_LEFT_POKED;
		vmx_recheck(v);
		if (v->guard.guarded) {
			mitigate_before_entry(&v->guard);
		}
		vmx_enter(v);
		if (v->guard.guarded) {
			mitigate_loaded(&v->guard);	/* it may have come back without an exit */
		}
	} while (v->again);
	return virt_v->leave_code;
}

static bool interrupts_on(struct virt_vcpu *v)
{
	(void)v;
	return (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) != 0;
}

static bool can_inject(struct virt_vcpu *v)
{
	return interrupts_on(v) &&
	       (vmread(VMCS_GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) == 0 &&
	       (vmread(VMCS_ENTRY_INTERRUPTION) & EVENT_VALID) == 0;
}

static void set_controls(struct vmx_vcpu *v, uint32_t controls)
{
	if (controls != v->proc_controls) {
		v->proc_controls = controls;
		vmwrite(VMCS_PROC_CONTROLS, controls);
	}
}

static bool inject_nmi(struct virt_vcpu *virt_v)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	uint32_t blocking = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI;
	bool now = (vmread(VMCS_GUEST_INTERRUPTIBILITY) & blocking) == 0 &&
		   (vmread(VMCS_ENTRY_INTERRUPTION) & EVENT_VALID) == 0;

	if (now) {
		vmwrite(VMCS_ENTRY_INTERRUPTION, EVENT_VALID | EVENT_TYPE_NMI | VECTOR_NMI);
	}
	set_controls(v, now ? v->proc_controls & ~PROC_NMI_WINDOW : v->proc_controls | PROC_NMI_WINDOW);
	return now;
}

static void inject(struct virt_vcpu *v, uint8_t vector)
{
	(void)v;
	vmwrite(VMCS_ENTRY_INTERRUPTION, EVENT_VALID | EVENT_TYPE_EXTERNAL | vector);
}

static void inject_exception(struct virt_vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
	/* In real mode no exception pushes an error code (SDM 3C 26.2.1.3). */
	bool push = has_error && (vmread(VMCS_GUEST_CR0) & CR0_PE) != 0;

	(void)v;
	vmwrite(VMCS_ENTRY_INTERRUPTION, EVENT_VALID | EVENT_TYPE_EXCEPTION | (push ? EVENT_HAS_ERROR : 0) | vector);
	vmwrite(VMCS_ENTRY_ERROR_CODE, error);
}

static void inject_page_fault(struct virt_vcpu *v, uint64_t linear, uint32_t error)
{
	insn_write_cr2(linear);
	inject_exception(v, VECTOR_PF, true, error);
}

static void want_window(struct virt_vcpu *virt_v, bool on)
{
	struct vmx_vcpu *v = vmx_of(virt_v);

	set_controls(v, on ? v->proc_controls | PROC_INTERRUPT_WINDOW : v->proc_controls & ~PROC_INTERRUPT_WINDOW);
}

static void get_state(struct virt_vcpu *v, struct virt_state *s)
{
	uint32_t access = (uint32_t)vmread(VMCS_GUEST_CS_ACCESS);

	*s = (struct virt_state){
		.rip = vmread(VMCS_GUEST_RIP), .rsp = vmread(VMCS_GUEST_RSP), .rflags = vmread(VMCS_GUEST_RFLAGS),
		.cr0 = vmread(VMCS_GUEST_CR0), .cr2 = insn_read_cr2(), .cr3 = vmread(VMCS_GUEST_CR3),
		.cr4 = vmx_read_cr4(v), .efer = vmread(VMCS_GUEST_EFER),
		.cs_base = vmread(VMCS_GUEST_CS_BASE), .ds_base = vmread(VMCS_GUEST_DS_BASE),
		.es_base = vmread(VMCS_GUEST_ES_BASE), .fs_base = vmread(VMCS_GUEST_FS_BASE),
		.gs_base = vmread(VMCS_GUEST_GS_BASE), .ss_base = vmread(VMCS_GUEST_SS_BASE),
		.cs = (uint16_t)vmread(VMCS_GUEST_CS),
		.cpl = (unsigned)vmread(VMCS_GUEST_SS_ACCESS) >> 5 & 3,
	};
	s->code_bits = (s->efer & EFER_LMA) != 0 && (access & 1u << 13) != 0 ? 64 : (access & 1u << 14) != 0 ? 32 : 16;
}

static unsigned string_operand(struct virt_vcpu *v, uint64_t *linear)
{
	(void)v;
	*linear = vmread(VMCS_GUEST_LINEAR);
	/* Bits 9:7 of the instruction information: 0, 1, 2 are 16, 32, 64 (SDM 3C table 27-8). */
	return vmx.has_insn_info ? 16u << (vmread(VMCS_EXIT_INSN_INFO) >> 7 & 3) : 0;
}

static void skip(struct virt_vcpu *v, unsigned bytes)
{
	(void)v;
	vmx_skip(bytes);
}

static void set_rflags(struct virt_vcpu *v, uint64_t rflags)
{
	(void)v;
	vmwrite(VMCS_GUEST_RFLAGS, rflags | RFLAGS_FIXED);
}

static void set_tsc_offset(struct virt_vcpu *v, uint64_t offset)
{
	v->tsc_offset = offset;
	vmwrite(VMCS_TSC_OFFSET, offset);
}

static uint64_t read_xcr0(struct virt_vcpu *v)
{
	return vmx_of(v)->xcr0;
}

/* SDM 1 13.3: bit 0 stays on, AVX needs SSE, AVX-512's three go together and need AVX. */
static bool write_xcr0(struct virt_vcpu *virt_v, uint64_t value)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	uint64_t avx512 = value & 0xe0;

	if ((value & 1) == 0 || (value & ~v->xcr0_allowed) != 0 || ((value & 4) != 0 && (value & 2) == 0) ||
	    (avx512 != 0 && (avx512 != 0xe0 || (value & 4) == 0))) {
		return false;
	}
	v->xcr0 = value;
	insn_xsetbv(0, value);
	vmx_cpuid_flush(v);
	return true;
}

static uint64_t read_spec_ctrl(struct virt_vcpu *v)
{
	return vmx_of(v)->guard.spec_ctrl;
}

static void write_spec_ctrl(struct virt_vcpu *virt_v, uint64_t value)
{
	struct vmx_vcpu *v = vmx_of(virt_v);

	mitigate_written(&v->guard, value);
	vmx_vmcs_guard(v);
	v->again = true;
}

static void dump(struct virt_vcpu *virt_v, struct text *t)
{
	const uint64_t *g = virt_v->gpr;
	struct virt_state s;

	get_state(virt_v, &s);
	text_printf(t, "rip %016lx rsp %016lx rflags %08lx cs %04x cpl %u %u-bit\n", s.rip, s.rsp, s.rflags, s.cs, s.cpl,
		    s.code_bits);
	text_printf(t, "rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", g[VIRT_RAX], g[VIRT_RBX], g[VIRT_RCX], g[VIRT_RDX]);
	text_printf(t, "rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", g[VIRT_RSI], g[VIRT_RDI], g[VIRT_RBP], g[VIRT_R8]);
	text_printf(t, "r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", g[VIRT_R9], g[VIRT_R10], g[VIRT_R11], g[VIRT_R12]);
	text_printf(t, "r13 %016lx r14 %016lx r15 %016lx efer %lx\n", g[VIRT_R13], g[VIRT_R14], g[VIRT_R15], s.efer);
	text_printf(t, "cr0 %lx cr2 %lx cr3 %lx cr4 %lx; exit reason 0x%x qualification 0x%lx\n", s.cr0, s.cr2, s.cr3, s.cr4,
		    virt_v->info.reason, virt_v->info.qualification);
}

static bool offers(enum virt_feature f)
{
	return f == VIRT_APIC ? vmx.controls.apic :
	       (vmx.controls.proc2 & (f == VIRT_RDTSCP ? PROC2_RDTSCP : PROC2_INVPCID)) != 0;
}

const struct virt_ops vmx_ops = {
	.name = "VT-x",
	.probe = vmx_probe,
	.cpu_prepare = vmx_cpu_prepare,
	.cpu_on = vmx_cpu_on,
	.space_create = vmx_space_create,
	.space_map = vmx_space_map,
	.space_map_apic = vmx_space_map_apic,
	.space_destroy = vmx_space_destroy,
	.space_pages = vmx_space_pages,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.vcpu_bytes = vcpu_bytes,
	.vcpu_reset = vcpu_reset,
	.run = vcpu_run,
	.put = vcpu_put,
	.can_inject = can_inject,
	.inject = inject,
	.apic_sync = vmx_apic_sync,
	.apic_raise = vmx_apic_raise,
	.inject_nmi = inject_nmi,
	.want_window = want_window,
	.inject_exception = inject_exception,
	.inject_page_fault = inject_page_fault,
	.interrupts_on = interrupts_on,
	.get_state = get_state,
	.string_operand = string_operand,
	.skip = skip,
	.set_rflags = set_rflags,
	.set_tsc_offset = set_tsc_offset,
	.write_efer = vmx_write_efer,
	.read_efer = vmx_read_efer,
	.write_xcr0 = write_xcr0,
	.read_xcr0 = read_xcr0,
	.read_spec_ctrl = read_spec_ctrl,
	.write_spec_ctrl = write_spec_ctrl,
	.read_cr4 = vmx_read_cr4,
	.offers = offers,
	.dump = dump,
};
