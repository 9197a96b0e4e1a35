/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local APICs that the cpu virtualizes (SDM 3C 29): what of the virtual-APIC page it keeps in the
 * VMCS, and what it may do without an exit. With virtual-interrupt delivery on there is no exit for
 * the TPR threshold.
 */
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "arch/x86_64/vmx/vmx_private.h"

/* Registers by offset / 16, as an x2APIC MSR less 0x800 (SDM 3A 10.4.1, 10.12.1.2) */
enum {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_PPR = 0x0a, REG_EOI = 0x0b,
	REG_LDR = 0x0d, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20,
	REG_IRR_LAST = 0x27, REG_ESR = 0x28, REG_ICR = 0x30, REG_LVT = 0x32, REG_INITIAL = 0x38,
	REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f
};

#define X2APIC_MSR		0x800u
#define SVR_ENABLE		0x100u
#define SVI_SHIFT		8

/* APIC-access exits (table 27-6) */
#define ACCESS_OFFSET		0xffful
#define ACCESS_TYPE(q)		((unsigned)((q) >> 12) & 15)
enum { ACCESS_WRITE = 1, ACCESS_FETCH = 2, ACCESS_PHYSICAL_DELIVERY = 10, ACCESS_PHYSICAL = 15 };

static inline uint32_t reg(const struct vmx_vcpu *v, unsigned number)
{
	return v->apic[number * 4];
}

void vmx_apic_init(struct vmx_vcpu *v)
{
	v->apic_mode = VIRT_APIC_OFF;
	vmwrite(VMCS_VIRTUAL_APIC, arch_direct_hpa(v->apic).v);
	vmwrite(VMCS_APIC_ACCESS, v->space->apic_page.v);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	vmwrite(VMCS_GUEST_INTERRUPT_STATUS, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(v->eoi_exits); i++) {
		v->eoi_exits[i] = 0;
		vmwrite(VMCS_EOI_EXIT0 + 2 * i, 0);
	}
}

static void set_mode(struct vmx_vcpu *v, enum virt_apic mode)
{
	static const uint32_t control[] = {
		[VIRT_XAPIC] = PROC2_APIC_ACCESSES, [VIRT_X2APIC] = PROC2_X2APIC,
	};

	v->apic_mode = mode;
	vmwrite(VMCS_PROC_CONTROLS2, vmx.controls.proc2 | control[mode]);
	vmx_vmcs_msr_bitmap(v);
	/* The cpu may keep the page's translation from when it was memory (28.3.3.4). */
	invvpid(INV_SINGLE_CONTEXT, v->vpid);
	invept(INV_SINGLE_CONTEXT, vmx_ept_pointer(v->space));
}

/*
 * The priorities follow at the entry (29.1.3). A vector that is level-triggered is one whose EOI
 * the I/O APIC waits for.
 */
void vmx_apic_sync(struct virt_vcpu *virt_v, enum virt_apic mode)
{
	struct vmx_vcpu *v = vmx_of(virt_v);
	bool enabled = (reg(v, REG_SVR) & SVR_ENABLE) != 0;
	unsigned request = enabled ? virt_apic_highest(v->apic, REG_IRR) : 0;
	unsigned service = virt_apic_highest(v->apic, REG_ISR);

	if (mode != v->apic_mode) {
		set_mode(v, mode);
	}
	vmwrite(VMCS_GUEST_INTERRUPT_STATUS, request | service << SVI_SHIFT);
	for (unsigned i = 0; i < ARRAY_SIZE(v->eoi_exits); i++) {
		uint64_t high = reg(v, REG_TMR + 2 * i + 1);
		uint64_t level = high << 32 | reg(v, REG_TMR + 2 * i);

		if (level != v->eoi_exits[i]) {
			v->eoi_exits[i] = level;
			vmwrite(VMCS_EOI_EXIT0 + 2 * i, level);
		}
	}
}

void vmx_apic_raise(struct virt_vcpu *virt_v, uint8_t vector)
{
	uint64_t status = vmread(VMCS_GUEST_INTERRUPT_STATUS);

	if ((uint8_t)status < vector) {
		vmwrite(VMCS_GUEST_INTERRUPT_STATUS, (status & ~0xfful) | vector);
	}
}

static void open_range(uint8_t *bitmap, unsigned first, unsigned last, unsigned access)
{
	for (unsigned number = first; number <= last; number++) {
		vmx_msr_open(bitmap, X2APIC_MSR + number, access);
	}
}

/*
 * Reads of what the page has and x2APIC mode has: an MSR that is open is read from the page whether
 * there is such a register or not. Writes of the three that are virtualized: any other that is open
 * would reach the real APIC (29.5).
 */
void vmx_apic_open(uint8_t *bitmap)
{
	open_range(bitmap, REG_ID, REG_VERSION, VMX_MSR_READ);
	open_range(bitmap, REG_TPR, REG_TPR, VMX_MSR_READ | VMX_MSR_WRITE);
	open_range(bitmap, REG_PPR, REG_PPR, VMX_MSR_READ);
	open_range(bitmap, REG_EOI, REG_EOI, VMX_MSR_WRITE);
	open_range(bitmap, REG_LDR, REG_LDR, VMX_MSR_READ);
	open_range(bitmap, REG_SVR, REG_IRR_LAST, VMX_MSR_READ);
	open_range(bitmap, REG_ESR, REG_ESR, VMX_MSR_READ);
	open_range(bitmap, REG_ICR, REG_ICR, VMX_MSR_READ);
	open_range(bitmap, REG_LVT, REG_INITIAL, VMX_MSR_READ);
	open_range(bitmap, REG_DIVIDE, REG_DIVIDE, VMX_MSR_READ);
	open_range(bitmap, REG_SELF_IPI, REG_SELF_IPI, VMX_MSR_WRITE);
}

/* An access to the xAPIC's page that the cpu leaves to us: as one that the space does not map. */
void vmx_read_apic_access(struct vmx_vcpu *v)
{
	uint64_t q = vmread(VMCS_EXIT_QUALIFICATION);
	unsigned type = ACCESS_TYPE(q);

	v->virt.info.gpa = gpa(v->space->apic_at.v | (q & ACCESS_OFFSET));
	v->virt.info.write = type == ACCESS_WRITE;
	v->virt.info.fetch = type == ACCESS_FETCH;
	v->virt.info.walk = type == ACCESS_PHYSICAL || type == ACCESS_PHYSICAL_DELIVERY;
	v->virt.info.qualification = q;
	v->virt.info.in_delivery = vmx_requeue_event();
}
