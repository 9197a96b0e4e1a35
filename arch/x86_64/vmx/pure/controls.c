/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capability MSR says of each control whether it may be 0 (low half: bits that must be 1) and whether it may be 1 (high
 * half: bits that may be 1) (SDM 3D A.3). The tables here say of each control whether Tarn needs it on, needs it off, or
 * would like it on; everything else follows the cpu's default.
 */
#include "arch/x86_64/vmx/pure/controls.h"

#include <stddef.h>

#include "arch/x86_64/vmx/vmx.h"
#include "kernel/lib/util.h"

enum want { NEED_ON, NEED_OFF, LIKE_ON };

struct control {
	uint32_t bit;
	enum want want;
	const char *name;
};

static const struct control pin_controls[] = {
	{ PIN_EXTERNAL_INTERRUPT,	NEED_ON, "external-interrupt exiting" },
	{ PIN_NMI,			NEED_ON, "NMI exiting" },
	{ PIN_VIRTUAL_NMI,		NEED_ON, "virtual NMIs" },
	{ PIN_PREEMPTION_TIMER,		NEED_ON, "VMX-preemption timer" },
};

static const struct control proc_controls[] = {
	{ PROC_TSC_OFFSET,		NEED_ON, "TSC offsetting" },
	{ PROC_HLT,			NEED_ON, "HLT exiting" },
	{ PROC_INVLPG,			NEED_OFF, "guests without INVLPG exiting" },
	{ PROC_MWAIT,			NEED_ON, "MWAIT exiting" },
	{ PROC_RDPMC,			NEED_ON, "RDPMC exiting" },
	{ PROC_RDTSC,			NEED_OFF, "guests without RDTSC exiting" },
	{ PROC_CR3_LOAD,		NEED_OFF, "guests without CR3-load exiting" },
	{ PROC_CR3_STORE,		NEED_OFF, "guests without CR3-store exiting" },
	{ PROC_CR8_LOAD,		NEED_ON, "CR8-load exiting" },
	{ PROC_CR8_STORE,		NEED_ON, "CR8-store exiting" },
	{ PROC_MOV_DR,			NEED_ON, "MOV-DR exiting" },
	{ PROC_IO_BITMAPS,		NEED_ON, "I/O bitmaps" },
	{ PROC_MSR_BITMAPS,		NEED_ON, "MSR bitmaps" },
	{ PROC_MONITOR,			NEED_ON, "MONITOR exiting" },
	{ PROC_PAUSE,			NEED_OFF, "guests without PAUSE exiting" },
	{ PROC_SECONDARY,		NEED_ON, "secondary processor-based controls" },
};

static const struct control proc2_controls[] = {
	{ PROC2_EPT,			NEED_ON, "EPT" },
	{ PROC2_UNRESTRICTED,		NEED_ON, "unrestricted guest" },
	{ PROC2_VPID,			NEED_ON, "VPID" },
	{ PROC2_WBINVD,			NEED_ON, "WBINVD exiting" },
	{ PROC2_RDTSCP,			LIKE_ON, "RDTSCP" },
	{ PROC2_PAUSE_LOOP,		LIKE_ON, "PAUSE-loop exiting" },
	{ PROC2_INVPCID,		LIKE_ON, "INVPCID" },
	{ PROC2_ENCLS,			LIKE_ON, "ENCLS exiting" },
	{ PROC2_ENCLV,			LIKE_ON, "ENCLV exiting" },
	{ PROC2_BUS_LOCK,		LIKE_ON, "bus-lock exiting" },
	{ PROC2_NOTIFY,			LIKE_ON, "notify exiting" },
};

static const struct control exit_controls[] = {
	{ EXIT_SAVE_DEBUG,		NEED_ON, "save debug controls" },
	{ EXIT_HOST_64,			NEED_ON, "64-bit host" },
	{ EXIT_ACK_INTERRUPT,		NEED_OFF, "exits without interrupt acknowledgement" },
	{ EXIT_SAVE_PAT,		NEED_ON, "save IA32_PAT" },
	{ EXIT_LOAD_PAT,		NEED_ON, "load IA32_PAT at exit" },
	{ EXIT_SAVE_EFER,		NEED_ON, "save IA32_EFER" },
	{ EXIT_LOAD_EFER,		NEED_ON, "load IA32_EFER at exit" },
	{ EXIT_SAVE_PREEMPTION,		NEED_OFF, "exits without saving the preemption timer" },
};

static const struct control entry_controls[] = {
	{ ENTRY_LOAD_DEBUG,		NEED_ON, "load debug controls" },
	{ ENTRY_LOAD_PAT,		NEED_ON, "load IA32_PAT at entry" },
	{ ENTRY_LOAD_EFER,		NEED_ON, "load IA32_EFER at entry" },
};

static void name_missing(struct text *why, const char *name)
{
	if (why->len > 0) {
		text_puts(why, ", ");
	}
	text_puts(why, name);
}

static uint32_t resolve(uint64_t cap, const struct control *table, size_t count, struct text *why)
{
	uint32_t must = (uint32_t)cap, may = (uint32_t)(cap >> 32), value = must;

	for (size_t i = 0; i < count; i++) {
		const struct control *c = &table[i];

		if (c->want == NEED_OFF ? (must & c->bit) != 0 : c->want == NEED_ON && (may & c->bit) == 0) {
			name_missing(why, c->name);
		} else if (c->want != NEED_OFF && (may & c->bit) != 0) {
			value |= c->bit;
		}
	}
	return value;
}

static void check_ept(uint64_t cap, struct text *why)
{
	static const struct { uint64_t bit; const char *name; } needed[] = {
		{ EPT_CAP_WALK_4,		"EPT with 4 levels" },
		{ EPT_CAP_WB,			"EPT tables in write-back memory" },
		{ EPT_CAP_2M,			"EPT 2 MiB pages" },
		{ EPT_CAP_INVEPT,		"INVEPT" },
		{ EPT_CAP_INVEPT_SINGLE,	"INVEPT of one context" },
		{ EPT_CAP_INVVPID,		"INVVPID" },
		{ EPT_CAP_INVVPID_SINGLE,	"INVVPID of one context" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if ((cap & needed[i].bit) == 0) {
			name_missing(why, needed[i].name);
		}
	}
}

/*
 * Local APICs virtualized by the cpu: all of it or nothing, so that there are two paths and not six. The two modes exclude each
 * other (SDM 3C 26.2.1.1): a vCPU turns the one on that its APIC is in. CR8 then is the TPR in the virtual-APIC page.
 */
static void like_apic(const struct vmx_caps *caps, struct vmx_controls *c)
{
	const uint32_t proc = PROC_TPR_SHADOW, cr8 = PROC_CR8_LOAD | PROC_CR8_STORE;
	const uint32_t always = PROC2_APIC_REGISTERS | PROC2_INTERRUPT_DELIVERY, modes = PROC2_APIC_ACCESSES | PROC2_X2APIC;

	c->apic = (c->proc & PROC_SECONDARY) != 0 && (caps->proc >> 32 & proc) == proc && ((uint32_t)caps->proc & cr8) == 0 &&
		  (caps->proc2 >> 32 & (always | modes)) == (always | modes) && ((uint32_t)caps->proc2 & modes) == 0;
	if (c->apic) {
		c->proc = (c->proc & ~cr8) | proc;
		c->proc2 |= always;
	}
}

enum err vmx_controls_resolve(const struct vmx_caps *caps, struct vmx_controls *out, struct text *why)
{
	out->pin = resolve(caps->pin, pin_controls, ARRAY_SIZE(pin_controls), why);
	out->proc = resolve(caps->proc, proc_controls, ARRAY_SIZE(proc_controls), why);
	out->exit = resolve(caps->exit, exit_controls, ARRAY_SIZE(exit_controls), why);
	out->entry = resolve(caps->entry, entry_controls, ARRAY_SIZE(entry_controls), why);
	out->proc2 = 0;
	if ((out->proc & PROC_SECONDARY) != 0) {
		out->proc2 = resolve(caps->proc2, proc2_controls, ARRAY_SIZE(proc2_controls), why);
		if ((out->proc2 & PROC2_EPT) != 0) {
			check_ept(caps->ept_vpid, why);
		}
	}
	like_apic(caps, out);
	return why->len > 0 ? ERR_NOTSUP : ERR_OK;
}
