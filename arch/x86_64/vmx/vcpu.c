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
#include "arch/x86_64/time.h"
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
#define XSAVE_ALL	~0ul		/* all that XCR0 has on */
#define ALWAYS_INLINE	inline __attribute__((always_inline))

static unsigned fpu_pages(void)
{
	return (unsigned)((vmx.fpu_bytes + PAGE_SIZE - 1) / PAGE_SIZE);
}

/* 0: all are taken. One that was given back may be used again at once: load() invalidates it before its first entry. */
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
	atomic_store_explicit(&v->virt.news, true, memory_order_relaxed);
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

/* Its last run on this cpu, or another owner of this VPID or EPT root, may have left translations behind. */
static __attribute__((noinline)) void come_here(struct vmx_vcpu *v, struct percpu *p)
{
	write_host_cpu(p);
	invvpid(INV_SINGLE_CONTEXT, v->vpid);
	invept(INV_SINGLE_CONTEXT, vmx_ept_pointer(v->space));
	v->last_cpu = p->cpu.id;
	p->in_place = NULL;
}

static ALWAYS_INLINE void load_registers(struct vmx_vcpu *v, struct percpu *p, bool has_xsave)
{
	insn_write_cr2(v->cr2);
	if (v->kernel_gs_base != p->kernel_gs_base) {
		insn_wrmsr(MSR_KERNEL_GS_BASE, v->kernel_gs_base);
	}
	if (v->msrs.value[PERCPU_TSC_AUX] != p->msrs.value[PERCPU_TSC_AUX]) {
		p->msrs.value[PERCPU_TSC_AUX] = v->msrs.value[PERCPU_TSC_AUX];
		insn_wrmsr(MSR_TSC_AUX, v->msrs.value[PERCPU_TSC_AUX]);
	}
	if (has_xsave) {
		insn_xrstor(v->fpu, XSAVE_ALL);
	} else {
		insn_fxrstor(v->fpu);
	}
}

static ALWAYS_INLINE void save_registers(struct vmx_vcpu *v, struct percpu *p, bool has_xsave)
{
	v->cr2 = insn_read_cr2();
	v->kernel_gs_base = p->kernel_gs_base = insn_rdmsr(MSR_KERNEL_GS_BASE);
	if (v->xcr0 != vmx.xcr0) {
		insn_xsetbv(0, (uint32_t)vmx.xcr0);
	}
	if (has_xsave) {
		insn_xsave(v->fpu, XSAVE_ALL);
	} else {
		insn_fxsave(v->fpu);
	}
}

static ALWAYS_INLINE void take_vmcs(struct vmx_vcpu *v, struct percpu *p)
{
	ASSERT(p->loaded == NULL);
	if (vmptrld(&v->vmcs)) {
		panic("VMPTRLD of a VMCS at 0x%lx failed", v->vmcs.v);
	}
	p->loaded = v;
	p->launched = false;
}

static ALWAYS_INLINE void set_xcr0(const struct vmx_vcpu *v)
{
	if (v->xcr0 != vmx.xcr0) {
		insn_xsetbv(0, (uint32_t)v->xcr0);
	}
}

/* Whatever there is of it, and wherever it ran last. */
static void load(struct vmx_vcpu *v, struct percpu *p)
{
	take_vmcs(v, p);
	if (v->last_cpu != p->cpu.id) {
		come_here(v, p);
	}
	if (v->msrs.number != p->msrs.number) {
		vmx_msrs_load(v, p);
	}
	if (p->in_place != v) {
		p->in_place = v;
		load_registers(v, p, vmx.xcr0 != 0);
		if (v->debug_open) {
			vmx_debug_load(v);
		}
	}
	set_xcr0(v);
	mitigate_loaded(&v->guard);
}

/* Nothing but what every switch does; nor does what the cpu ran before need more. */
static ALWAYS_INLINE bool is_plain(const struct vmx_vcpu *v, const struct percpu *p)
{
	return v->plain && p->mitigate.spec_ctrl == 0;
}

static __attribute__((noinline)) void put_slowly(struct vmx_vcpu *v, struct percpu *p)
{
	save_registers(v, p, vmx.xcr0 != 0);
	if (v->debug_open) {
		vmx_debug_save(v);
	}
	mitigate_unloaded();
	(void)vmclear(&v->vmcs);
	p->loaded = NULL;
}

static void vcpu_put(struct virt_vcpu *virt_v)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	struct percpu *p = percpu_this();

	if (p->loaded != v) {
		return;
	}
	if (!is_plain(v, p)) {
		put_slowly(v, p);
		return;
	}
	save_registers(v, p, true);
	(void)vmclear(&v->vmcs);
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
	v->debug_open = false;
	v->cr2 = v->kernel_gs_base = 0;
	v->msrs = (struct percpu_msrs){ 0 };
	v->xcr0 = vmx.xcr0 & 1;
	mitigate_reset(&v->guard);
	vmx_judge(v);
	v->proc_controls = vmx.controls.proc;
	vmx_cpuid_flush(v);
	v->last_cpu = CPU_NONE;
	memcpy(v->virt.gpr, start->gpr, sizeof(v->virt.gpr));
	(void)vmclear(&v->vmcs);
	if (vmptrld(&v->vmcs)) {
		panic("VMPTRLD of a new VMCS at 0x%lx failed", v->vmcs.v);
	}
	vmx_vmcs_init(v);
	vmx_vmcs_reset(v, start);
	(void)vmclear(&v->vmcs);
}

static __attribute__((noinline)) int look_and_enter(struct vmx_vcpu *v)
{
	/* Acquire: pairs with who set it. An exchange, so that what comes from now on is not taken for seen. */
	(void)atomic_exchange_explicit(&v->virt.news, false, memory_order_acq_rel);
	vmx_recheck(v);
	if (v->guard.guarded) {
		mitigate_before_entry(&v->guard);
	}
	return vmx_enter(v);
}

/* Unless something came since it ran last, or its deadline is near, the last before_entry() still holds. */
static ALWAYS_INLINE int enter(struct vmx_vcpu *v)
{
	uint64_t now = insn_rdtsc();

	v->virt.leave_code = VIRT_LEFT_POKED;
	if (atomic_load_explicit(&v->virt.news, memory_order_relaxed) || now + vmx.least_ticks >= v->virt.deadline_tsc) {
		return look_and_enter(v);
	}
	vmx_limit(v, now, v->virt.deadline_tsc);
	return vmx_enter(v);
}

static __attribute__((noinline)) int run_slowly(struct vmx_vcpu *v, struct percpu *p)
{
	if (p->loaded != v) {
		load(v, p);
	}
	mitigate_run_vm(v->space->vm);
	if (v->guard.guarded) {
		v->virt.leave_code = VIRT_LEFT_POKED;
		return look_and_enter(v);
	}
	return enter(v);
}

static int vcpu_run(struct virt_vcpu *virt_v, uint64_t until_ns)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	struct percpu *p = percpu_this();

	v->virt.until_tsc = tscclock_tsc(&time_clock, until_ns);
	if (!is_plain(v, p) || p->in_place == v || v->last_cpu != p->cpu.id || v->msrs.number != p->msrs.number) {
		return run_slowly(v, p);
	}
	take_vmcs(v, p);
	p->in_place = v;
	load_registers(v, p, true);
	set_xcr0(v);
	return enter(v);
}

static uint64_t get_rflags(struct virt_vcpu *v)
{
	(void)v;
	return vmread(VMCS_GUEST_RFLAGS);
}

/*
 * A debug trap of the last instruction comes before interrupts and NMIs, but an entry that injects one forgets it (SDM 3C 26.6.3).
 * Both windows wait for it.
 */
static bool trap_waits(const struct vmx_vcpu *v, uint64_t rflags)
{
	return ((rflags & RFLAGS_TF) != 0 || v->debug_open) && vmread(VMCS_GUEST_PENDING_DEBUG) != 0;
}

static bool can_inject(struct virt_vcpu *v)
{
	uint64_t rflags = vmread(VMCS_GUEST_RFLAGS);

	return (rflags & RFLAGS_IF) != 0 &&
	       (vmread(VMCS_GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) == 0 &&
	       (vmread(VMCS_ENTRY_INTERRUPTION) & EVENT_VALID) == 0 && !trap_waits(vmx_of(v), rflags);
}

static bool nmi_blocked(struct virt_vcpu *v)
{
	return (vmread(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI) != 0;
}

/*
 * In STI's shadow a cpu may refuse to enter with an NMI (SDM 3C 26.3.1.5), and yet open the NMI window there: that would be an
 * exit after the other, so it stays shut.
 */
static enum virt_nmi inject_nmi(struct virt_vcpu *virt_v)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	uint32_t state = (uint32_t)vmread(VMCS_GUEST_INTERRUPTIBILITY);
	enum virt_nmi what = VIRT_NMI_GIVEN;

	if ((state & (INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI)) != 0 ||
	    (vmread(VMCS_ENTRY_INTERRUPTION) & EVENT_VALID) != 0 || trap_waits(v, vmread(VMCS_GUEST_RFLAGS))) {
		what = VIRT_NMI_BLOCKED;
	} else if ((state & INTERRUPTIBILITY_STI) != 0) {
		what = VIRT_NMI_SHADOWED;
	} else {
		vmwrite(VMCS_ENTRY_INTERRUPTION, EVENT_VALID | EVENT_TYPE_NMI | VECTOR_NMI);
	}
	vmx_set_controls(v, what == VIRT_NMI_BLOCKED ? v->proc_controls | PROC_NMI_WINDOW : v->proc_controls & ~PROC_NMI_WINDOW);
	return what;
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

	vmx_set_controls(v, on ? v->proc_controls | PROC_INTERRUPT_WINDOW : v->proc_controls & ~PROC_INTERRUPT_WINDOW);
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
	vmx_judge(v);
	vmx_vmcs_guard(v);
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
	.nmi_blocked = nmi_blocked,
	.want_window = want_window,
	.inject_exception = inject_exception,
	.inject_page_fault = inject_page_fault,
	.get_rflags = get_rflags,
	.get_state = get_state,
	.string_operand = string_operand,
	.skip = skip,
	.set_rflags = set_rflags,
	.set_tsc_offset = set_tsc_offset,
	.write_efer = vmx_write_efer,
	.read_efer = vmx_read_efer,
	.write_msr = vmx_write_msr,
	.write_xcr0 = write_xcr0,
	.read_xcr0 = read_xcr0,
	.read_spec_ctrl = read_spec_ctrl,
	.write_spec_ctrl = write_spec_ctrl,
	.read_cr4 = vmx_read_cr4,
	.offers = offers,
	.dump = dump,
};
