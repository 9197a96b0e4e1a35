/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding out what VMX offers and turning it on (SDM 3C 23.7), once for the machine and once for each cpu. */
#include "arch/x86_64/vmx/vmx.h"

#include "arch/x86_64/insn.h"
#include "arch/x86_64/mitigate.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_ops.h"
#include "arch/x86_64/vmx/vmx_private.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/mem.h"

#define MSR_BITMAP_WRITE	2048u		/* bytes: read bitmaps first, then write (SDM 3C 24.6.9) */
#define MSR_BITMAP_HIGH		1024u		/* MSRs from 0xc0000000 on */
#define FXSAVE_BYTES		512u

struct vmx_machine vmx;

static void read_caps(struct vmx_caps *c)
{
	c->basic = insn_rdmsr(MSR_VMX_BASIC);
	bool true_controls = (c->basic & VMX_BASIC_TRUE_CONTROLS) != 0;

	c->pin = insn_rdmsr(true_controls ? MSR_VMX_TRUE_PINBASED : MSR_VMX_PINBASED);
	c->proc = insn_rdmsr(true_controls ? MSR_VMX_TRUE_PROCBASED : MSR_VMX_PROCBASED);
	c->exit = insn_rdmsr(true_controls ? MSR_VMX_TRUE_EXIT : MSR_VMX_EXIT);
	c->entry = insn_rdmsr(true_controls ? MSR_VMX_TRUE_ENTRY : MSR_VMX_ENTRY);
	c->misc = insn_rdmsr(MSR_VMX_MISC);
	c->cr0_fixed0 = insn_rdmsr(MSR_VMX_CR0_FIXED0);
	c->cr0_fixed1 = insn_rdmsr(MSR_VMX_CR0_FIXED1);
	c->cr4_fixed0 = insn_rdmsr(MSR_VMX_CR4_FIXED0);
	c->cr4_fixed1 = insn_rdmsr(MSR_VMX_CR4_FIXED1);
	/* These two exist only where the secondary controls, EPT and VPID may be set (SDM 3D A.3.3, A.10). */
	if ((c->proc >> 32 & PROC_SECONDARY) != 0) {
		c->proc2 = insn_rdmsr(MSR_VMX_PROCBASED2);
		if ((c->proc2 >> 32 & (PROC2_EPT | PROC2_VPID)) != 0) {
			c->ept_vpid = insn_rdmsr(MSR_VMX_EPT_VPID);
		}
	}
}

/* IA32_FEATURE_CONTROL: unlocked is ours to set; locked without VMX is the firmware's decision (SDM 3C 23.7). */
static enum err unlock(struct text *why)
{
	uint64_t v = insn_rdmsr(MSR_FEATURE_CONTROL);

	if ((v & FEATURE_CONTROL_LOCK) == 0) {
		insn_wrmsr(MSR_FEATURE_CONTROL, v | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
		v = insn_rdmsr(MSR_FEATURE_CONTROL);
	}
	if ((v & FEATURE_CONTROL_VMX) == 0) {
		text_printf(why, "VT-x is switched off and locked by the firmware (IA32_FEATURE_CONTROL = 0x%lx): enter the machine's "
			    "set-up, enable \"Intel Virtualization Technology\" (VT-x, VMX) and power-cycle", v);
		return ERR_NOTSUP;
	}
	return ERR_OK;
}

void vmx_msr_open(uint8_t *bitmap, uint32_t msr, unsigned access)
{
	uint32_t bit = msr & 0x1fff;
	uint8_t *at = bitmap + (msr >= 0xc0000000 ? MSR_BITMAP_HIGH : 0) + bit / 8;

	if ((access & VMX_MSR_READ) != 0) {
		at[0] = (uint8_t)(at[0] & ~(1u << bit % 8));
	}
	if ((access & VMX_MSR_WRITE) != 0) {
		at[MSR_BITMAP_WRITE] = (uint8_t)(at[MSR_BITMAP_WRITE] & ~(1u << bit % 8));
	}
}

/*
 * IA32_PRED_CMD and IA32_FLUSH_CMD are commands: they act on this cpu's predictors and first-level cache, which other guests find
 * cleared anyway, take a bounded time, and keep no state. The cpu itself refuses to read them and bits that it does not know.
 */
static void open_commands(uint8_t *bitmap)
{
	uint32_t edx = insn_cpuid(0, 0).eax >= 7 ? insn_cpuid(7, 0).edx : 0;

	if ((edx & CPUID7_EDX_L1D_FLUSH) != 0) {
		vmx_msr_open(bitmap, MSR_FLUSH_CMD, VMX_MSR_WRITE);
	}
	if ((edx & CPUID7_EDX_IBRS_IBPB) != 0) {
		vmx_msr_open(bitmap, MSR_PRED_CMD, VMX_MSR_WRITE);
	}
}

/* MSRs that a guest may touch directly: those in the VMCS, and those that are switched with it (kept.c). */
static void open_switched(uint8_t *bitmap)
{
	static const uint32_t open[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(open); i++) {
		vmx_msr_open(bitmap, open[i], VMX_MSR_READ | VMX_MSR_WRITE);
	}
	vmx_msrs_open(bitmap);
}

static bool make_bitmaps(void)
{
	vmx.io_bitmap = mem_alloc(&mem, 0, 2, MEM_PREFER);
	vmx.msr_bitmaps = mem_alloc(&mem, 0, VMX_MSR_BITMAPS, MEM_PREFER);
	if (hpa_is_none(vmx.io_bitmap) || hpa_is_none(vmx.msr_bitmaps)) {
		return false;
	}
	insn_fill64(arch_direct(vmx.io_bitmap), ~0ul, 2 * PAGE_SIZE / 8);
	insn_fill64(arch_direct(vmx.msr_bitmaps), ~0ul, VMX_MSR_BITMAPS * PAGE_SIZE / 8);
	for (unsigned kind = 0; kind < VMX_MSR_BITMAPS; kind++) {
		uint8_t *bitmap = (uint8_t *)arch_direct(vmx.msr_bitmaps) + kind * PAGE_SIZE;

		open_switched(bitmap);
		open_commands(bitmap);
		if ((kind & VMX_MSR_BITMAP_X2APIC) != 0) {
			vmx_apic_open(bitmap);
		}
		if ((kind & VMX_MSR_BITMAP_SPEC_CTRL) != 0) {
			vmx_msr_open(bitmap, MSR_SPEC_CTRL, VMX_MSR_READ | VMX_MSR_WRITE);
		}
	}
	return true;
}

/* XCR0 = everything the cpu has but what needs more than saving it (PKRU, AMX tiles); the guest's own is below that. */
static uint64_t xcr0_wanted(void)
{
	struct cpuid d = insn_cpuid(0xd, 0);
	uint64_t wanted = 0xe7;			/* x87, SSE, AVX, AVX-512 */

	if ((insn_cpuid(1, 0).ecx & CPUID1_ECX_XSAVE) == 0) {
		return 0;
	}
	return wanted & ((uint64_t)d.edx << 32 | d.eax);
}

static void enable_fpu(void)
{
	uint64_t cr4 = insn_read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (vmx.xcr0 != 0) {
		insn_write_cr4(cr4 | CR4_OSXSAVE);
		insn_xsetbv(0, vmx.xcr0);
	} else {
		insn_write_cr4(cr4);
	}
}

enum err vmx_probe(struct text *why)
{
	if ((insn_cpuid(1, 0).ecx & CPUID1_ECX_VMX) == 0) {
		text_puts(why, "this cpu does not offer VT-x (CPUID.1:ECX.VMX is 0)");
		return ERR_NOTSUP;
	}
	if (unlock(why) != ERR_OK) {
		return ERR_NOTSUP;
	}
	read_caps(&vmx.caps);
	if (vmx_controls_resolve(&vmx.caps, &vmx.controls, why) != ERR_OK) {
		char missing[400];
		struct text t = text_make(missing, sizeof(missing));

		text_puts(&t, why->buf);
		*why = text_make(why->buf, why->size);
		text_printf(why, "this cpu's VT-x lacks: %s", missing);
		return ERR_NOTSUP;
	}
	vmx.preemption_shift = (unsigned)(vmx.caps.misc & VMX_MISC_PREEMPTION_SHIFT);
	vmx.least_ticks = vmx_least_ticks(vmx.preemption_shift);
	vmx.preemption_range = (uint64_t)UINT32_MAX << vmx.preemption_shift;
	vmx.has_tsc_aux = (vmx.controls.proc2 & PROC2_RDTSCP) != 0;
	vmx.cr0_guest_mask = CR0_NE | CR0_CD | CR0_NW | ~0xfffffffful;
	vmx.linear_bits = insn_cpuid(0x80000008, 0).eax >> 8 & 0xff;
	vmx.vpid_used[0] = 1;
	vmx.has_insn_info = (vmx.caps.basic & VMX_BASIC_INSN_INFO) != 0;
	vmx.xcr0 = xcr0_wanted();
	enable_fpu();
	vmx.fpu_bytes = vmx.xcr0 != 0 ? align_up(insn_cpuid(0xd, 0).ebx, 64) : FXSAVE_BYTES;
	if (!make_bitmaps()) {
		text_puts(why, "no memory for the I/O and MSR bitmaps");
		return ERR_NOMEM;
	}
	return ERR_OK;
}

enum err vmx_cpu_prepare(unsigned cpu, unsigned node)
{
	hpa_t region = mem_alloc(&mem, node, 1, MEM_PREFER);

	if (hpa_is_none(region)) {
		return ERR_NOMEM;
	}
	percpu_of(cpu)->vmx_region = arch_direct(region);
	*(uint32_t *)arch_direct(region) = (uint32_t)(vmx.caps.basic & VMX_BASIC_REVISION);
	return ERR_OK;
}

enum err vmx_cpu_on(struct text *why)
{
	struct percpu *p = percpu_this();
	hpa_t region = arch_direct_hpa(p->vmx_region);

	if (unlock(why) != ERR_OK) {
		return ERR_NOTSUP;
	}
	enable_fpu();
	insn_write_cr0((insn_read_cr0() | vmx.caps.cr0_fixed0) & vmx.caps.cr0_fixed1);
	insn_write_cr4((insn_read_cr4() | vmx.caps.cr4_fixed0 | CR4_VMXE) & vmx.caps.cr4_fixed1);
	if (vmxon(&region)) {
		text_puts(why, "VMXON failed");
		return ERR_NOTSUP;
	}
	mitigate_cpu_on();
	vmx_msrs_on(p);
	p->vmx_on = true;
	return ERR_OK;
}
