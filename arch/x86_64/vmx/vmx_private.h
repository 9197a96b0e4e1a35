/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of vmx/ share among themselves. */
#pragma once

#include "arch/x86_64/percpu.h"
#include "arch/x86_64/pure/mitigate_steps.h"
#include "arch/x86_64/virt.h"
#include "arch/x86_64/vmx/pure/controls.h"
#include "arch/x86_64/vmx/vmx.h"
#include "arch/x86_64/vmx/vmx_insn.h"
#include "kernel/lib/util.h"

/* Exceptions that exit. */
#define VECTOR_DEBUG		1u
#define VECTOR_ALIGNMENT	17u
#define VECTOR_MC		18u

struct virt_space {
	hpa_t root;			/* EPT PML4 */
	unsigned node;
	uint64_t vm;			/* its number for mitigate_run_vm() */
	uint64_t pages;			/* of tables, the root and this struct's own left out */
	bool small_code;		/* large leaves cannot be executed, and become small ones at the first fetch */
	hpa_t apic_page;		/* what lies at apic_at: seen by a guest whose APIC is not an xAPIC */
	gpa_t apic_at;
};

struct vmx_vcpu {
	struct virt_vcpu virt;		/* offset 0: enter.asm */
	hpa_t vmcs;
	uint16_t vpid;
	unsigned node;
	unsigned last_cpu;		/* whose TLB may hold its entries; CPU_NONE: never loaded */
	struct virt_space *space;
	uint32_t proc_controls;		/* as in the VMCS, so that the window bit costs no VMREAD */
	uint32_t *apic;			/* virtual-APIC page */
	enum virt_apic apic_mode;	/* as in the VMCS, like the next */
	uint64_t eoi_exits[4];
	uint64_t cr4_allowed, xcr0_allowed;
	uint64_t limit_tsc;		/* when the preemption timer ends this entry; at most its range away */
	/* Guest state that is in registers while loaded, here while put. */
	uint64_t cr2, kernel_gs_base;
	uint64_t dr[4], dr6;		/* in registers while debug_open only */
	bool debug_open;		/* the guest has the debug registers; else naming one exits */
	bool plain;			/* vmx_judge() */
	/* Here always: writes exit. */
	struct percpu_msrs msrs;
	uint64_t xcr0;
	struct mitigate_vcpu guard;	/* IA32_SPEC_CTRL, and whether exits and entries have measures to take */
	void *fpu;			/* XSAVE area, 64-byte aligned, fpu_bytes */
};

/* Which of the MSR bitmaps a vCPU has: the sum of what else is open in it. */
enum {
	VMX_MSR_BITMAP_X2APIC = 1,	/* x2APIC's MSRs that the cpu virtualizes */
	VMX_MSR_BITMAP_SPEC_CTRL = 2,	/* IA32_SPEC_CTRL, for guests that write it often (pure/mitigate_steps.h) */
	VMX_MSR_BITMAPS = 4
};

/* The machine's capabilities, controls, and the pages that all virtual cpus share. */
struct vmx_machine {
	struct vmx_caps caps;
	struct vmx_controls controls;
	hpa_t io_bitmap;		/* two pages, all ones: every port exits */
	hpa_t msr_bitmaps;		/* VMX_MSR_BITMAPS pages, closed but for what is switched with the guest */
	unsigned preemption_shift;	/* timer ticks = TSC ticks >> this */
	uint64_t least_ticks;		/* of an entry towards a deadline */
	uint64_t preemption_range;	/* TSC ticks that its 32 bits last */
	uint64_t xcr0;			/* host's full set; 0: no XSAVE */
	size_t fpu_bytes;
	bool has_tsc_aux;
	unsigned linear_bits;		/* of a canonical address */
	uint64_t cr0_guest_mask;	/* bits the host keeps */
	uint64_t vpid_used[65536 / 64];	/* one bit each; 0 is the host's own */
	bool has_insn_info;		/* INS and OUTS tell their address size (VMX_BASIC bit 54) */
};

extern struct vmx_machine vmx;

/* vmcs.c: fills a fresh, current VMCS. */
void vmx_vmcs_init(struct vmx_vcpu *v);
void vmx_vmcs_reset(struct vmx_vcpu *v, const struct virt_start *start);
/* Where exits arrive and which MSRs do: as v->guard says. */
void vmx_vmcs_guard(const struct vmx_vcpu *v);
void vmx_vmcs_msr_bitmap(const struct vmx_vcpu *v);	/* after apic_mode or guard.open changed */
/* kept.c */
void vmx_msrs_on(struct percpu *p);		/* a cpu's start: its MSRs get a known value */
void vmx_msrs_open(uint8_t *bitmap);
void vmx_msrs_load(struct vmx_vcpu *v, struct percpu *p);	/* where the numbers differ */
enum err vmx_write_msr(struct virt_vcpu *v, uint32_t msr, uint64_t value);
/* The debug registers become the guest's, which named one, or whose #DB sets DR6. */
void vmx_debug_open(struct vmx_vcpu *v);
void vmx_debug_load(const struct vmx_vcpu *v);	/* while open */
void vmx_debug_save(struct vmx_vcpu *v);
/* Of that on which it depends something changed: is there nothing to switch but what every switch does, and no measure to take? */
void vmx_judge(struct vmx_vcpu *v);
/* exit.c */
enum vmx_after { VMX_ENTER_AGAIN, VMX_LEAVE, VMX_NEED_ALL, VMX_ENTER_GUARDED };	/* values known to enter.asm */
unsigned vmx_exit_fast(struct vmx_vcpu *v);
unsigned vmx_exit_full(struct vmx_vcpu *v);
unsigned vmx_entry_failed(struct vmx_vcpu *v);
void vmx_skip(uint64_t bytes);
bool vmx_requeue_event(void);
/* exception.c: an exception that exits. */
unsigned vmx_reflect_exception(struct vmx_vcpu *v);
/* cr.c: an access to CR0, CR4 or CR8 that the masks made exit. */
unsigned vmx_handle_cr(struct vmx_vcpu *v);
/* CR4 bits whose change by the guest exits: what it may not have, what shows in CPUID, what the host keeps on. */
uint64_t vmx_cr4_mask(const struct vmx_vcpu *v);
bool vmx_write_efer(struct virt_vcpu *v, uint64_t value);
uint64_t vmx_read_efer(struct virt_vcpu *v);
uint64_t vmx_read_cr4(struct virt_vcpu *v);
/* ept.c */
uint64_t vmx_ept_pointer(const struct virt_space *s);
enum err vmx_space_create(unsigned node, struct virt_space **out);
enum err vmx_space_map(struct virt_space *s, gpa_t at, hpa_t to, uint64_t size);
/* A fetch from `at` was refused. True: it was RAM, and is executable now. Any vCPU of the space, at the same time. */
bool vmx_space_execute(struct virt_space *s, gpa_t at);
void vmx_space_destroy(struct virt_space *s);
uint64_t vmx_space_pages(const struct virt_space *s);
enum err vmx_space_map_apic(struct virt_space *s, gpa_t at);
/* apic.c */
void vmx_apic_init(struct vmx_vcpu *v);		/* a fresh, current VMCS: as with the APIC off */
void vmx_apic_sync(struct virt_vcpu *v, enum virt_apic mode);
void vmx_apic_raise(struct virt_vcpu *v, uint8_t vector);
void vmx_apic_open(uint8_t *msr_bitmap);	/* what x2APIC mode needs not exit for */
void vmx_read_apic_access(struct vmx_vcpu *v);
/* vmx.c */
enum vmx_msr_access { VMX_MSR_READ = 1, VMX_MSR_WRITE = 2 };
void vmx_msr_open(uint8_t *bitmap, uint32_t msr, unsigned access);
/* enter.asm: returns leave_code. */
int vmx_enter(struct vmx_vcpu *v);
/* before_entry() is due, and then what limits the coming entries. */
void vmx_recheck(struct vmx_vcpu *v);

/*
 * Sets the absolute end of the coming entries: of its turn, or its deadline; at most the timer's 32 bits away: where that is
 * earlier than asked, the handler finds nothing due and the limit is set anew.
 */
static inline void vmx_limit(struct vmx_vcpu *v, uint64_t now, uint64_t deadline_tsc)
{
	uint64_t limit = MIN(v->virt.until_tsc, deadline_tsc), left = limit > now ? limit - now : 0;

	if (__builtin_expect(left > vmx.preemption_range, 0)) {
		left = vmx.preemption_range;
		limit = now + left;
	}
	v->limit_tsc = limit;
	vmwrite(VMCS_PREEMPTION_TIMER, left >> vmx.preemption_shift);
}

/* Forgets the kept answers to CPUID: something they depend on changed. */
static inline void vmx_cpuid_flush(struct vmx_vcpu *v)
{
	for (unsigned i = 0; i < VIRT_CPUID_SLOTS; i++) {
		v->virt.cpuid[i].leaf = VIRT_CPUID_EMPTY;
	}
}

static inline void vmx_set_controls(struct vmx_vcpu *v, uint32_t controls)
{
	if (controls != v->proc_controls) {
		v->proc_controls = controls;
		vmwrite(VMCS_PROC_CONTROLS, controls);
	}
}

static inline struct vmx_vcpu *vmx_of(struct virt_vcpu *v)
{
	return (struct vmx_vcpu *)v;
}
