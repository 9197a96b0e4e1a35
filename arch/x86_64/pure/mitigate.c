/* SPDX-License-Identifier: BSD-2-Clause */
/* See mitigate.h. */
#include "arch/x86_64/pure/mitigate.h"

#include <stddef.h>

#include "kernel/lib/util.h"

/* CPUID leaf 7 (SDM 2A, CPUID) */
#define EBX_RTM			(1u << 11)
#define EDX_MD_CLEAR		(1u << 10)
#define EDX_IBRS_IBPB		(1u << 26)
#define EDX_L1D_FLUSH		(1u << 28)
#define EDX_SSBD		(1u << 31)

/* IA32_ARCH_CAPABILITIES (SDM 4, table 2-2) */
#define CAP_RDCL_NO		(1ul << 0)
#define CAP_SKIP_L1DFL		(1ul << 3)
#define CAP_SSB_NO		(1ul << 4)
#define CAP_MDS_NO		(1ul << 5)
#define CAP_TAA_NO		(1ul << 8)
#define CAP_RFDS_NO		(1ul << 27)
#define CAP_RFDS_CLEAR		(1ul << 28)

#define MSR_PRED_CMD		0x49u
#define  PRED_CMD_IBPB		1ul
#define MSR_FLUSH_CMD		0x10bu
#define  FLUSH_CMD_L1D		1ul

/*
 * Family 6 models that do not have a flaw although they may not say so in IA32_ARCH_CAPABILITIES, which they lack or which is
 * older than the flaw (Intel, "Affected Processors").
 */
enum { NO_L1TF = 1, NO_MDS = 2 };

static const struct {
	uint8_t model;
	uint8_t has_no;
} exceptions[] = {
	{ 0x37, NO_L1TF }, { 0x4a, NO_L1TF }, { 0x4d, NO_L1TF }, { 0x5a, NO_L1TF }, { 0x5d, NO_L1TF },	/* Silvermont */
	{ 0x4c, NO_L1TF }, { 0x75, NO_L1TF },						/* Airmont */
	{ 0x57, NO_L1TF }, { 0x85, NO_L1TF },						/* Xeon Phi */
	{ 0x5c, NO_L1TF | NO_MDS }, { 0x5f, NO_L1TF | NO_MDS }, { 0x7a, NO_L1TF | NO_MDS },	/* Goldmont, Goldmont Plus */
	{ 0x86, NO_L1TF | NO_MDS }, { 0x96, NO_L1TF | NO_MDS }, { 0x9c, NO_L1TF | NO_MDS },	/* Tremont */
};

static unsigned has_no(const struct mitigate_facts *f)
{
	for (size_t i = 0; f->family == 6 && i < ARRAY_SIZE(exceptions); i++) {
		if (exceptions[i].model == f->model) {
			return exceptions[i].has_no;
		}
	}
	return f->family == 6 ? 0 : NO_L1TF | NO_MDS;
}

/*
 * MDS, TAA (where transactions are offered), and on Atom cores RFDS: the same remedy. Stale data of MMIO needs it only where a
 * guest is given a device of the machine's, and none is.
 */
static bool needs_verw(const struct mitigate_facts *f)
{
	uint64_t cap = f->arch_capabilities;
	bool mds = (cap & CAP_MDS_NO) == 0 && (has_no(f) & NO_MDS) == 0;
	bool taa = (f->leaf7_ebx & EBX_RTM) != 0 && (cap & CAP_TAA_NO) == 0;
	bool rfds = (cap & CAP_RFDS_CLEAR) != 0 && (cap & CAP_RFDS_NO) == 0;

	return mds || taa || rfds;
}

static bool needs_l1d_flush(const struct mitigate_facts *f)
{
	return (f->arch_capabilities & (CAP_RDCL_NO | CAP_SKIP_L1DFL)) == 0 && (has_no(f) & NO_L1TF) == 0;
}

struct mitigate mitigate_decide(const struct mitigate_facts *f)
{
	/* RFDS_CLEAR says itself that VERW clears; for the others MD_CLEAR does. */
	bool verw_clears = (f->leaf7_edx & EDX_MD_CLEAR) != 0 || (f->arch_capabilities & CAP_RFDS_CLEAR) != 0;
	struct mitigate m = { .ibpb_on_switch = false };

	if (!f->intel) {
		return m;
	}
	m.ibpb_on_switch = (f->leaf7_edx & EDX_IBRS_IBPB) != 0;
	m.spectre_open = !m.ibpb_on_switch;
	m.rsb_fill = true;
	m.verw_on_entry = needs_verw(f) && verw_clears;
	m.mds_open = needs_verw(f) && !verw_clears;
	m.l1d_flush_on_entry = needs_l1d_flush(f) && (f->leaf7_edx & EDX_L1D_FLUSH) != 0;
	m.l1tf_open = needs_l1d_flush(f) && !m.l1d_flush_on_entry;
	m.spec_ctrl_as_guest_state = (f->leaf7_edx & EDX_IBRS_IBPB) != 0;
	m.ssbd = m.spec_ctrl_as_guest_state && (f->leaf7_edx & EDX_SSBD) != 0 && (f->arch_capabilities & CAP_SSB_NO) == 0;
	return m;
}

static void put_word(struct text *to, const char *word, bool on, const char **between)
{
	if (on) {
		text_printf(to, "%s%s", *between, word);
		*between = ", ";
	}
}

void mitigate_print(const struct mitigate *m, struct text *to)
{
	const char *between = "";

	put_word(to, "IBPB", m->ibpb_on_switch, &between);
	put_word(to, "RSB fill", m->rsb_fill, &between);
	put_word(to, "VERW", m->verw_on_entry, &between);
	put_word(to, "L1D flush", m->l1d_flush_on_entry, &between);
	text_puts(to, between[0] == '\0' ? "none" : " where another VM comes on a cpu");
	between = "; without help from microcode: ";
	put_word(to, "branch prediction", m->spectre_open, &between);
	put_word(to, "MDS", m->mds_open, &between);
	put_word(to, "L1TF", m->l1tf_open, &between);
}

void mitigate_switch(const struct mitigate *m, struct mitigate_cpu *cpu, uint64_t vm, const struct mitigate_ops *ops)
{
	if (cpu->last_vm == vm) {
		return;
	}
	cpu->last_vm = vm;
	if (m->ibpb_on_switch) {
		ops->wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
	}
	if (m->rsb_fill) {
		ops->rsb_fill();
	}
	if (m->l1d_flush_on_entry) {
		ops->wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);	/* clears the fill buffers too, but not the store buffer */
	}
	if (m->verw_on_entry) {
		ops->verw();
	}
}
