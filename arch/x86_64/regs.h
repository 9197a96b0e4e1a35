/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers and bits of x86-64 that Tarn touches, in the manual's order. One place a register. */
#pragma once

/* --- Control registers (SDM 3A 2.5) */
#define CR0_PE			(1ul << 0)
#define CR0_MP			(1ul << 1)
#define CR0_EM			(1ul << 2)
#define CR0_TS			(1ul << 3)
#define CR0_ET			(1ul << 4)
#define CR0_NE			(1ul << 5)
#define CR0_WP			(1ul << 16)
#define CR0_NW			(1ul << 29)
#define CR0_CD			(1ul << 30)
#define CR0_PG			(1ul << 31)

#define CR4_PSE			(1ul << 4)
#define CR4_PAE			(1ul << 5)
#define CR4_MCE			(1ul << 6)
#define CR4_PGE			(1ul << 7)
#define CR4_OSFXSR		(1ul << 9)
#define CR4_OSXMMEXCPT		(1ul << 10)
#define CR4_LA57		(1ul << 12)
#define CR4_VMXE		(1ul << 13)
#define CR4_PCIDE		(1ul << 17)
#define CR4_OSXSAVE		(1ul << 18)

#define RFLAGS_FIXED		(1ul << 1)
#define RFLAGS_TF		(1ul << 8)
#define RFLAGS_IF		(1ul << 9)
#define RFLAGS_RF		(1ul << 16)

#define DR6_TRAPS		0xe00ful	/* B0-B3, BD, BS, BT (SDM 3B 17.2.3) */
#define DR7_GD			(1ul << 13)

/* --- MSRs (SDM 4) */
#define MSR_APIC_BASE		0x01b
#define  APIC_BASE_EXTD		(1ul << 10)
#define  APIC_BASE_EN		(1ul << 11)
#define MSR_FEATURE_CONTROL	0x03a
#define  FEATURE_CONTROL_LOCK	(1ul << 0)
#define  FEATURE_CONTROL_VMX	(1ul << 2)	/* VMX outside SMX */
#define MSR_ARCH_CAPABILITIES	0x10a
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_DEBUGCTL		0x1d9
#define MSR_PAT			0x277
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC_BASE		0x800
#define MSR_EFER		0xc0000080
#define  EFER_SCE		(1ul << 0)
#define  EFER_LME		(1ul << 8)
#define  EFER_LMA		(1ul << 10)
#define  EFER_NXE		(1ul << 11)
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_FMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103

/*
 * Page attribute table of the hypervisor: entries 0..3 as at reset (WB, WT, UC-, UC), 4 = WC for the framebuffer, the
 * rest as at reset (SDM 3A 12.12).
 */
#define PAT_VALUE		0x0007040100070406ul

/* --- CPUID leaf 7 EDX */
#define CPUID7_EDX_IBRS_IBPB	(1u << 26)
#define CPUID7_EDX_L1D_FLUSH	(1u << 28)
#define CPUID7_EDX_ARCH_CAPABILITIES	(1u << 29)

/* --- CPUID leaf 1 ECX */
#define CPUID1_ECX_VMX		(1u << 5)
#define CPUID1_ECX_X2APIC	(1u << 21)
#define CPUID1_ECX_TSC_DEADLINE	(1u << 24)
#define CPUID1_ECX_XSAVE	(1u << 26)

/* --- Page table entries (SDM 3A 4.5) */
#define PTE_P			(1ul << 0)
#define PTE_W			(1ul << 1)
#define PTE_PWT			(1ul << 3)
#define PTE_PCD			(1ul << 4)
#define PTE_A			(1ul << 5)
#define PTE_D			(1ul << 6)
#define PTE_PS			(1ul << 7)
#define PTE_G			(1ul << 8)
#define PTE_PAT			(1ul << 7)	/* in a 4 KiB entry: entries 4 to 7 of the PAT */
#define PTE_PAT_LARGE		(1ul << 12)	/* the same in a larger one */
#define PTE_NX			(1ul << 63)
#define PTE_ADDRESS		0x000ffffffffff000ul

/* --- Descriptors of Tarn's own GDT */
#define SELECTOR_CODE		0x08
#define SELECTOR_DATA		0x10
#define SELECTOR_TSS		0x18
