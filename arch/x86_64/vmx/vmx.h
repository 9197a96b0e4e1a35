/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX as the manual has it: capability MSRs, VMCS fields, controls, exit reasons (SDM 3C 24, 27; 3D A, B, C). */
#pragma once

/* --- Capability MSRs (SDM 3D A) */
#define MSR_VMX_BASIC			0x480
#define MSR_VMX_PINBASED		0x481
#define MSR_VMX_PROCBASED		0x482
#define MSR_VMX_EXIT			0x483
#define MSR_VMX_ENTRY			0x484
#define MSR_VMX_MISC			0x485
#define MSR_VMX_CR0_FIXED0		0x486
#define MSR_VMX_CR0_FIXED1		0x487
#define MSR_VMX_CR4_FIXED0		0x488
#define MSR_VMX_CR4_FIXED1		0x489
#define MSR_VMX_PROCBASED2		0x48b
#define MSR_VMX_EPT_VPID		0x48c
#define MSR_VMX_TRUE_PINBASED		0x48d
#define MSR_VMX_TRUE_PROCBASED		0x48e
#define MSR_VMX_TRUE_EXIT		0x48f
#define MSR_VMX_TRUE_ENTRY		0x490

#define VMX_BASIC_REVISION		0x7ffffffful
#define VMX_BASIC_INSN_INFO		(1ul << 54)
#define VMX_BASIC_TRUE_CONTROLS		(1ul << 55)
#define VMX_MISC_PREEMPTION_SHIFT	0x1ful
#define EPT_CAP_WALK_4			(1ul << 6)
#define EPT_CAP_WB			(1ul << 14)
#define EPT_CAP_2M			(1ul << 16)
#define EPT_CAP_INVEPT			(1ul << 20)
#define EPT_CAP_INVEPT_SINGLE		(1ul << 25)
#define EPT_CAP_INVVPID			(1ul << 32)
#define EPT_CAP_INVVPID_SINGLE		(1ul << 41)

/* --- VMCS fields (SDM 3D B) */
#define VMCS_VPID			0x0000
#define VMCS_GUEST_ES			0x0800	/* then CS SS DS FS GS LDTR TR, 2 apart */
#define VMCS_GUEST_CS			0x0802
#define VMCS_GUEST_LDTR			0x080c
#define VMCS_GUEST_TR			0x080e
#define VMCS_GUEST_INTERRUPT_STATUS	0x0810	/* RVI, SVI above it (24.4.2) */
#define VMCS_HOST_ES			0x0c00
#define VMCS_HOST_CS			0x0c02
#define VMCS_HOST_SS			0x0c04
#define VMCS_HOST_DS			0x0c06
#define VMCS_HOST_FS			0x0c08
#define VMCS_HOST_GS			0x0c0a
#define VMCS_HOST_TR			0x0c0c
#define VMCS_IO_BITMAP_A		0x2000
#define VMCS_IO_BITMAP_B		0x2002
#define VMCS_MSR_BITMAP			0x2004
#define VMCS_TSC_OFFSET			0x2010
#define VMCS_VIRTUAL_APIC		0x2012
#define VMCS_APIC_ACCESS		0x2014
#define VMCS_EPT_POINTER		0x201a
#define VMCS_EOI_EXIT0			0x201c	/* then 1, 2, 3, 2 apart */
#define VMCS_ENCLS_BITMAP		0x202e
#define VMCS_ENCLV_BITMAP		0x2036
#define VMCS_GUEST_PHYSICAL		0x2400
#define VMCS_LINK_POINTER		0x2800
#define VMCS_GUEST_DEBUGCTL		0x2802
#define VMCS_GUEST_PAT			0x2804
#define VMCS_GUEST_EFER			0x2806
#define VMCS_GUEST_PDPTE0		0x280a
#define VMCS_HOST_PAT			0x2c00
#define VMCS_HOST_EFER			0x2c02
#define VMCS_PIN_CONTROLS		0x4000
#define VMCS_PROC_CONTROLS		0x4002
#define VMCS_EXCEPTION_BITMAP		0x4004
#define VMCS_PAGE_FAULT_MASK		0x4006
#define VMCS_PAGE_FAULT_MATCH		0x4008
#define VMCS_CR3_TARGET_COUNT		0x400a
#define VMCS_EXIT_CONTROLS		0x400c
#define VMCS_EXIT_MSR_STORE_COUNT	0x400e
#define VMCS_EXIT_MSR_LOAD_COUNT	0x4010
#define VMCS_ENTRY_CONTROLS		0x4012
#define VMCS_ENTRY_MSR_LOAD_COUNT	0x4014
#define VMCS_ENTRY_INTERRUPTION		0x4016
#define VMCS_ENTRY_ERROR_CODE		0x4018
#define VMCS_ENTRY_INSN_LENGTH		0x401a
#define VMCS_TPR_THRESHOLD		0x401c
#define VMCS_PROC_CONTROLS2		0x401e
#define VMCS_PLE_GAP			0x4020
#define VMCS_PLE_WINDOW			0x4022
#define VMCS_NOTIFY_WINDOW		0x4024
#define VMCS_INSN_ERROR			0x4400
#define VMCS_EXIT_REASON		0x4402
#define VMCS_EXIT_INTERRUPTION		0x4404
#define VMCS_EXIT_ERROR_CODE		0x4406
#define VMCS_IDT_VECTORING		0x4408
#define VMCS_IDT_VECTORING_ERROR	0x440a
#define VMCS_EXIT_INSN_LENGTH		0x440c
#define VMCS_EXIT_INSN_INFO		0x440e
#define VMCS_GUEST_ES_LIMIT		0x4800	/* then as the selectors */
#define VMCS_GUEST_GDTR_LIMIT		0x4810
#define VMCS_GUEST_IDTR_LIMIT		0x4812
#define VMCS_GUEST_ES_ACCESS		0x4814	/* then as the selectors */
#define VMCS_GUEST_CS_ACCESS		0x4816
#define VMCS_GUEST_SS_ACCESS		0x4818
#define VMCS_GUEST_INTERRUPTIBILITY	0x4824
#define VMCS_GUEST_ACTIVITY		0x4826
#define VMCS_GUEST_SYSENTER_CS		0x482a
#define VMCS_PREEMPTION_TIMER		0x482e
#define VMCS_HOST_SYSENTER_CS		0x4c00
#define VMCS_CR0_MASK			0x6000
#define VMCS_CR4_MASK			0x6002
#define VMCS_CR0_SHADOW			0x6004
#define VMCS_CR4_SHADOW			0x6006
#define VMCS_EXIT_QUALIFICATION		0x6400
#define VMCS_GUEST_LINEAR		0x640a
#define VMCS_GUEST_CR0			0x6800
#define VMCS_GUEST_CR3			0x6802
#define VMCS_GUEST_CR4			0x6804
#define VMCS_GUEST_ES_BASE		0x6806	/* then as the selectors */
#define VMCS_GUEST_CS_BASE		0x6808
#define VMCS_GUEST_SS_BASE		0x680a
#define VMCS_GUEST_DS_BASE		0x680c
#define VMCS_GUEST_FS_BASE		0x680e
#define VMCS_GUEST_GS_BASE		0x6810
#define VMCS_GUEST_GDTR_BASE		0x6816
#define VMCS_GUEST_IDTR_BASE		0x6818
#define VMCS_GUEST_DR7			0x681a
#define VMCS_GUEST_RSP			0x681c
#define VMCS_GUEST_RIP			0x681e
#define VMCS_GUEST_RFLAGS		0x6820
#define VMCS_GUEST_PENDING_DEBUG	0x6822
#define VMCS_GUEST_SYSENTER_ESP		0x6824
#define VMCS_GUEST_SYSENTER_EIP		0x6826
#define VMCS_HOST_CR0			0x6c00
#define VMCS_HOST_CR3			0x6c02
#define VMCS_HOST_CR4			0x6c04
#define VMCS_HOST_FS_BASE		0x6c06
#define VMCS_HOST_GS_BASE		0x6c08
#define VMCS_HOST_TR_BASE		0x6c0a
#define VMCS_HOST_GDTR_BASE		0x6c0c
#define VMCS_HOST_IDTR_BASE		0x6c0e
#define VMCS_HOST_SYSENTER_ESP		0x6c10
#define VMCS_HOST_SYSENTER_EIP		0x6c12
#define VMCS_HOST_RSP			0x6c14
#define VMCS_HOST_RIP			0x6c16

/* --- Pin-based controls (SDM 3C 24.6.1) */
#define PIN_EXTERNAL_INTERRUPT		(1u << 0)
#define PIN_NMI				(1u << 3)
#define PIN_VIRTUAL_NMI			(1u << 5)
#define PIN_PREEMPTION_TIMER		(1u << 6)

/* --- Primary processor-based controls (24.6.2) */
#define PROC_INTERRUPT_WINDOW		(1u << 2)
#define PROC_TSC_OFFSET			(1u << 3)
#define PROC_HLT			(1u << 7)
#define PROC_INVLPG			(1u << 9)
#define PROC_MWAIT			(1u << 10)
#define PROC_RDPMC			(1u << 11)
#define PROC_RDTSC			(1u << 12)
#define PROC_CR3_LOAD			(1u << 15)
#define PROC_CR3_STORE			(1u << 16)
#define PROC_CR8_LOAD			(1u << 19)
#define PROC_CR8_STORE			(1u << 20)
#define PROC_TPR_SHADOW			(1u << 21)
#define PROC_NMI_WINDOW			(1u << 22)
#define PROC_MOV_DR			(1u << 23)
#define PROC_IO_BITMAPS			(1u << 25)
#define PROC_MTF			(1u << 27)
#define PROC_MSR_BITMAPS		(1u << 28)
#define PROC_MONITOR			(1u << 29)
#define PROC_PAUSE			(1u << 30)
#define PROC_SECONDARY			(1u << 31)

/* --- Secondary processor-based controls (24.6.2) */
#define PROC2_APIC_ACCESSES		(1u << 0)
#define PROC2_EPT			(1u << 1)
#define PROC2_RDTSCP			(1u << 3)
#define PROC2_X2APIC			(1u << 4)
#define PROC2_VPID			(1u << 5)
#define PROC2_WBINVD			(1u << 6)
#define PROC2_UNRESTRICTED		(1u << 7)
#define PROC2_APIC_REGISTERS		(1u << 8)
#define PROC2_INTERRUPT_DELIVERY	(1u << 9)
#define PROC2_PAUSE_LOOP		(1u << 10)
#define PROC2_INVPCID			(1u << 12)
#define PROC2_ENCLS			(1u << 15)
#define PROC2_ENCLV			(1u << 28)
#define PROC2_BUS_LOCK			(1u << 30)
#define PROC2_NOTIFY			(1u << 31)

/* --- VM-exit controls (24.7.1) */
#define EXIT_SAVE_DEBUG			(1u << 2)
#define EXIT_HOST_64			(1u << 9)
#define EXIT_ACK_INTERRUPT		(1u << 15)
#define EXIT_SAVE_PAT			(1u << 18)
#define EXIT_LOAD_PAT			(1u << 19)
#define EXIT_SAVE_EFER			(1u << 20)
#define EXIT_LOAD_EFER			(1u << 21)
#define EXIT_SAVE_PREEMPTION		(1u << 22)

/* --- VM-entry controls (24.8.1) */
#define ENTRY_LOAD_DEBUG		(1u << 2)
#define ENTRY_GUEST_64			(1u << 9)
#define ENTRY_LOAD_PAT			(1u << 14)
#define ENTRY_LOAD_EFER			(1u << 15)

/* --- Event information (24.8.3, 24.9.2) */
#define EVENT_VALID			(1u << 31)
#define EVENT_HAS_ERROR			(1u << 11)
#define EVENT_TYPE			(7u << 8)
#define EVENT_TYPE_EXTERNAL		(0u << 8)
#define EVENT_TYPE_NMI			(2u << 8)
#define EVENT_TYPE_EXCEPTION		(3u << 8)
#define EVENT_TYPE_SOFT_INTERRUPT	(4u << 8)
#define EVENT_TYPE_ICEBP		(5u << 8)	/* privileged software exception: INT1 */
#define EVENT_TYPE_SOFT_EXCEPTION	(6u << 8)

/* --- Access rights of a segment (24.4.1) */
#define CS_LONG				(1u << 13)	/* 64-bit code */

/* --- Guest interruptibility and activity (24.4.2) */
#define INTERRUPTIBILITY_STI		(1u << 0)
#define INTERRUPTIBILITY_MOV_SS		(1u << 1)
#define INTERRUPTIBILITY_NMI		(1u << 3)
#define PENDING_DEBUG_BS		(1ul << 14)

/* --- VM-instruction errors (SDM 3C 30.4) */
#define INSN_ERROR_NOT_CLEAR		4	/* VMLAUNCH of a launched VMCS */
#define INSN_ERROR_NOT_LAUNCHED		5	/* VMRESUME of one that is not */

/* --- Exit reasons (SDM 3D C) */
#define REASON_EXCEPTION_NMI		0
#define REASON_EXTERNAL_INTERRUPT	1
#define REASON_TRIPLE_FAULT		2
#define REASON_INTERRUPT_WINDOW		7
#define REASON_NMI_WINDOW		8
#define REASON_CPUID			10
#define REASON_GETSEC			11
#define REASON_HLT			12
#define REASON_INVD			13
#define REASON_RDPMC			15
#define REASON_VMCALL			18
#define REASON_VMCLEAR			19	/* 19..27: VMX instructions */
#define REASON_VMXON			27
#define REASON_CR			28
#define REASON_DR			29
#define REASON_IO			30
#define REASON_RDMSR			31
#define REASON_WRMSR			32
#define REASON_ENTRY_GUEST_STATE	33
#define REASON_ENTRY_MSR_LOAD		34
#define REASON_MWAIT			36
#define REASON_MONITOR			39
#define REASON_PAUSE			40
#define REASON_ENTRY_MACHINE_CHECK	41
#define REASON_APIC_ACCESS		44
#define REASON_VIRTUALIZED_EOI		45
#define REASON_EPT_VIOLATION		48
#define REASON_INVEPT			50
#define REASON_PREEMPTION_TIMER		52
#define REASON_INVVPID			53
#define REASON_WBINVD			54
#define REASON_XSETBV			55
#define REASON_APIC_WRITE		56
#define REASON_ENCLS			60
#define REASON_ENCLV			70
#define REASON_BUS_LOCK			74
#define REASON_NOTIFY			75
#define REASON_SEAMCALL			76
#define REASON_TDCALL			77
#define REASON_COUNT			78
#define REASON_ENTRY_FAILED		(1u << 31)
