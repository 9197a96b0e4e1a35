/* SPDX-License-Identifier: BSD-2-Clause */
/* Filling a VMCS (SDM 3C 26): controls and host state once, guest state at every reset. It must be current. */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_private.h"

#define ACCESS_CODE64		0xa09bu
#define ACCESS_CODE32		0xc09bu
#define ACCESS_CODE16		0x009bu
#define ACCESS_DATA		0xc093u
#define ACCESS_DATA16		0x0093u
#define ACCESS_LDT		0x0082u
#define ACCESS_TSS		0x008bu
#define SEGMENT_CS		1u
#define SEGMENT_COUNT		6u		/* ES CS SS DS FS GS */
#define GUEST_CODE		0x10u
#define GUEST_DATA		0x18u
#define DR7_RESET		0x400u
#define PAT_RESET		0x0007040600070406ul
/* TSC ticks: PAUSEs closer than GAP are one loop; a loop longer than WINDOW gives way (SDM 3C 25.1.3). */
#define PLE_GAP			128u
#define PLE_WINDOW		4096u
#define NOTIFY_WINDOW		100000u	/* TSC ticks without a boundary where an interrupt could come (25.2) */

void vmx_exit_point(void);
void vmx_exit_point_guarded(void);

void vmx_vmcs_msr_bitmap(const struct vmx_vcpu *v)
{
	unsigned kind = (v->apic_mode == VIRT_X2APIC ? VMX_MSR_BITMAP_X2APIC : 0) + (v->guard.open ? VMX_MSR_BITMAP_SPEC_CTRL : 0);

	vmwrite(VMCS_MSR_BITMAP, vmx.msr_bitmaps.v + kind * PAGE_SIZE);
}

void vmx_vmcs_guard(const struct vmx_vcpu *v)
{
	vmwrite(VMCS_HOST_RIP, (uint64_t)(v->guard.guarded ? vmx_exit_point_guarded : vmx_exit_point));
	vmx_vmcs_msr_bitmap(v);
}

static void init_controls(struct vmx_vcpu *v)
{
	vmwrite(VMCS_PIN_CONTROLS, vmx.controls.pin);
	vmwrite(VMCS_PROC_CONTROLS, v->proc_controls);
	vmwrite(VMCS_PROC_CONTROLS2, vmx.controls.proc2);
	vmwrite(VMCS_EXIT_CONTROLS, vmx.controls.exit);
	vmwrite(VMCS_ENTRY_CONTROLS, vmx.controls.entry);
	/*
	 * #AC and #DB can be raised without end while they are delivered; no timer, interrupt or NMI breaks that loop, only an exit
	 * does. A machine check is the host's, whoever runs.
	 */
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DEBUG | 1u << VECTOR_ALIGNMENT | 1u << VECTOR_MC);
	vmwrite(VMCS_PAGE_FAULT_MASK, 0);	/* with bit 14 of the bitmap 0: no page fault exits (SDM 3C 24.6.3) */
	vmwrite(VMCS_PAGE_FAULT_MATCH, 0);
	vmwrite(VMCS_IO_BITMAP_A, vmx.io_bitmap.v);
	vmwrite(VMCS_IO_BITMAP_B, vmx.io_bitmap.v + PAGE_SIZE);
	vmwrite(VMCS_VPID, v->vpid);
	vmwrite(VMCS_EPT_POINTER, vmx_ept_pointer(v->space));
	vmwrite(VMCS_TSC_OFFSET, v->virt.tsc_offset);
	vmwrite(VMCS_LINK_POINTER, ~0ul);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	if ((vmx.controls.proc2 & PROC2_PAUSE_LOOP) != 0) {
		vmwrite(VMCS_PLE_GAP, PLE_GAP);
		vmwrite(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
	/* SGX is not offered, but the cpu would still do what needs no page of it (EUPDATESVN). */
	if ((vmx.controls.proc2 & PROC2_ENCLS) != 0) {
		vmwrite(VMCS_ENCLS_BITMAP, ~0ul);
	}
	if ((vmx.controls.proc2 & PROC2_ENCLV) != 0) {
		vmwrite(VMCS_ENCLV_BITMAP, ~0ul);
	}
	if ((vmx.controls.proc2 & PROC2_NOTIFY) != 0) {
		vmwrite(VMCS_NOTIFY_WINDOW, NOTIFY_WINDOW);
	}
	if (vmx.controls.apic) {
		vmx_apic_init(v);
	}
	vmwrite(VMCS_CR0_MASK, vmx.cr0_guest_mask);
	vmwrite(VMCS_CR4_MASK, vmx_cr4_mask(v));
}

/* What does not depend on the cpu; load() (vcpu.c) writes the rest. */
static void init_host(void)
{
	vmwrite(VMCS_HOST_CR0, insn_read_cr0());
	vmwrite(VMCS_HOST_CR3, paging_cr3());
	vmwrite(VMCS_HOST_CR4, insn_read_cr4());
	vmwrite(VMCS_HOST_CS, SELECTOR_CODE);
	vmwrite(VMCS_HOST_SS, SELECTOR_DATA);
	vmwrite(VMCS_HOST_DS, SELECTOR_DATA);
	vmwrite(VMCS_HOST_ES, SELECTOR_DATA);
	vmwrite(VMCS_HOST_FS, 0);
	vmwrite(VMCS_HOST_GS, 0);
	vmwrite(VMCS_HOST_TR, SELECTOR_TSS);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_EFER, insn_rdmsr(MSR_EFER));
	vmwrite(VMCS_HOST_PAT, PAT_VALUE);
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
}

void vmx_vmcs_init(struct vmx_vcpu *v)
{
	init_controls(v);
	init_host();
	vmx_vmcs_guard(v);
}

static void reset_segments(const struct virt_start *s)
{
	bool real = s->mode == VIRT_MODE_REAL;
	uint32_t code = s->mode == VIRT_MODE_LONG64 ? ACCESS_CODE64 : real ? ACCESS_CODE16 : ACCESS_CODE32;

	for (unsigned i = 0; i < SEGMENT_COUNT; i++) {
		bool is_code = i == SEGMENT_CS;
		uint16_t selector = real ? (is_code ? s->cs_selector : 0) : is_code ? GUEST_CODE : GUEST_DATA;

		vmwrite(VMCS_GUEST_ES + 2 * i, selector);
		vmwrite(VMCS_GUEST_ES_BASE + 2 * i, real ? (uint64_t)selector << 4 : 0);
		vmwrite(VMCS_GUEST_ES_LIMIT + 2 * i, real ? 0xffff : UINT32_MAX);
		vmwrite(VMCS_GUEST_ES_ACCESS + 2 * i, is_code ? code : real ? ACCESS_DATA16 : ACCESS_DATA);
	}
	for (unsigned i = 6; i < 8; i++) {	/* LDTR, TR */
		vmwrite(VMCS_GUEST_ES + 2 * i, 0);
		vmwrite(VMCS_GUEST_ES_BASE + 2 * i, 0);
		vmwrite(VMCS_GUEST_ES_LIMIT + 2 * i, 0xffff);
		vmwrite(VMCS_GUEST_ES_ACCESS + 2 * i, i == 6 ? ACCESS_LDT : ACCESS_TSS);
	}
	vmwrite(VMCS_GUEST_GDTR_BASE, real ? 0 : s->gdt_base);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, real ? 0xffff : s->gdt_limit);
	vmwrite(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, real ? 0xffff : 0);
}

static void reset_control_registers(const struct vmx_vcpu *v, const struct virt_start *s)
{
	uint64_t cr0 = CR0_ET | CR0_NE, cr4 = 0, efer = 0;
	uint32_t entry = vmx.controls.entry;

	if (s->mode != VIRT_MODE_REAL) {
		cr0 |= CR0_PE;
	}
	if (s->mode == VIRT_MODE_LONG64) {
		cr0 |= CR0_PG;
		cr4 |= CR4_PAE;
		efer |= EFER_LME | EFER_LMA;
		entry |= ENTRY_GUEST_64;
	}
	vmwrite(VMCS_ENTRY_CONTROLS, entry);
	vmwrite(VMCS_GUEST_CR0, cr0);
	vmwrite(VMCS_CR0_SHADOW, cr0);
	vmwrite(VMCS_GUEST_CR3, s->mode == VIRT_MODE_LONG64 ? s->cr3 : 0);
	vmwrite(VMCS_GUEST_CR4, cr4 | CR4_VMXE | CR4_MCE | (vmx.caps.cr4_fixed0 & ~v->cr4_allowed));
	vmwrite(VMCS_CR4_SHADOW, cr4);
	vmwrite(VMCS_GUEST_EFER, efer);
	vmwrite(VMCS_GUEST_PAT, PAT_RESET);
}

void vmx_vmcs_reset(struct vmx_vcpu *v, const struct virt_start *s)
{
	reset_segments(s);
	reset_control_registers(v, s);
	vmwrite(VMCS_GUEST_RIP, s->rip);
	vmwrite(VMCS_GUEST_RSP, s->rsp);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmwrite(VMCS_GUEST_DR7, DR7_RESET);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_ENTRY_INTERRUPTION, 0);
	vmwrite(VMCS_ENTRY_ERROR_CODE, 0);
	vmwrite(VMCS_ENTRY_INSN_LENGTH, 0);
	for (unsigned i = 0; i < 4; i++) {
		vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, 0);
	}
	vmwrite(VMCS_PROC_CONTROLS, v->proc_controls);
	vmwrite(VMCS_TSC_OFFSET, v->virt.tsc_offset);
}
