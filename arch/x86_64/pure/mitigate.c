/* SPDX-License-Identifier: BSD-2-Clause */
/* See mitigate.h. */
#include "arch/x86_64/pure/mitigate.h"

#include <stddef.h>

#include "kernel/lib/util.h"

/* CPUID leaf 7 (SDM 2A, CPUID) */
#define EBX_RTM			(1u << 11)
#define EDX_SRBDS_CTRL		(1u << 9)
#define EDX_MD_CLEAR		(1u << 10)
#define EDX_IBRS_IBPB		(1u << 26)
#define EDX_L1D_FLUSH		(1u << 28)
#define EDX2_BHI_CTRL		(1u << 4)	/* subleaf 2 */

/* IA32_ARCH_CAPABILITIES (SDM 4, table 2-2) */
#define CAP_RDCL_NO		(1ul << 0)
#define CAP_IBRS_ALL		(1ul << 1)
#define CAP_SKIP_L1DFL		(1ul << 3)
#define CAP_MDS_NO		(1ul << 5)
#define CAP_PSCHANGE_MC_NO	(1ul << 6)
#define CAP_TAA_NO		(1ul << 8)
#define CAP_BHI_NO		(1ul << 20)
#define CAP_PBRSB_NO		(1ul << 24)
#define CAP_GDS_CTRL		(1ul << 25)
#define CAP_GDS_NO		(1ul << 26)
#define CAP_RFDS_NO		(1ul << 27)
#define CAP_RFDS_CLEAR		(1ul << 28)
#define CAP_ITS_NO		(1ul << 62)

/*
 * What a model of family 6 has, or has not, although it may not say so in IA32_ARCH_CAPABILITIES,
 * which it lacks or which is older than the flaw. One that is not here has L1TF and MDS unless it
 * says otherwise.
 */
enum { NO_L1TF = 1, NO_MDS = 2, GDS = 4, SRBDS = 8, RFDS = 16, ITS = 32 };

static const struct {
	uint8_t model, stepping;	/* that and higher ones; the last row that fits counts */
	uint8_t flaws;
} models[] = {
	/* Ivy Bridge, Haswell, Broadwell: clients */
	{ 0x3a, 0, SRBDS }, { 0x3c, 0, SRBDS }, { 0x45, 0, SRBDS }, { 0x46, 0, SRBDS },
	{ 0x3d, 0, SRBDS }, { 0x47, 0, SRBDS },
	/* Skylake client; server, and from stepping 6 Cascade Lake */
	{ 0x4e, 0, SRBDS | GDS }, { 0x5e, 0, SRBDS | GDS },
	{ 0x55, 0, GDS }, { 0x55, 6, GDS | ITS },
	/* Kaby to Comet Lake */
	{ 0x8e, 0, SRBDS | GDS }, { 0x8e, 0xc, SRBDS | GDS | ITS },
	{ 0x9e, 0, SRBDS | GDS }, { 0x9e, 0xd, SRBDS | GDS | ITS },
	{ 0xa5, 0, GDS | ITS }, { 0xa6, 0, GDS | ITS },
	/* Ice Lake client and server, Rocket Lake, Tiger Lake */
	{ 0x7d, 0, GDS | NO_MDS }, { 0x7e, 0, GDS | NO_MDS },
	{ 0x6a, 0, GDS | NO_MDS }, { 0x6c, 0, GDS | NO_MDS },
	{ 0xa7, 0, GDS | NO_MDS }, { 0x8c, 0, GDS }, { 0x8d, 0, GDS },
	/* Alder Lake, Raptor Lake, Gracemont alone */
	{ 0x97, 0, RFDS }, { 0x9a, 0, RFDS }, { 0xb7, 0, RFDS }, { 0xba, 0, RFDS },
	{ 0xbf, 0, RFDS }, { 0xbe, 0, RFDS },
	/* Silvermont, Airmont, Xeon Phi */
	{ 0x37, 0, NO_L1TF }, { 0x4a, 0, NO_L1TF }, { 0x4d, 0, NO_L1TF }, { 0x5a, 0, NO_L1TF },
	{ 0x5d, 0, NO_L1TF }, { 0x4c, 0, NO_L1TF }, { 0x75, 0, NO_L1TF }, { 0x57, 0, NO_L1TF },
	{ 0x85, 0, NO_L1TF },
	/* Goldmont, Goldmont Plus, Tremont */
	{ 0x5c, 0, NO_L1TF | NO_MDS | RFDS }, { 0x5f, 0, NO_L1TF | NO_MDS | RFDS },
	{ 0x7a, 0, NO_L1TF | NO_MDS | RFDS }, { 0x86, 0, NO_L1TF | NO_MDS | RFDS },
	{ 0x96, 0, NO_L1TF | NO_MDS | RFDS }, { 0x9c, 0, NO_L1TF | NO_MDS | RFDS },
};

static unsigned flaws_of(const struct mitigate_facts *f)
{
	unsigned flaws = f->family == 6 ? 0 : NO_L1TF | NO_MDS;

	for (size_t i = 0; f->family == 6 && i < ARRAY_SIZE(models); i++) {
		if (models[i].model == f->model && f->stepping >= models[i].stepping) {
			flaws = models[i].flaws;
		}
	}
	return flaws;
}

static bool has(const struct mitigate_facts *f, uint64_t cap)
{
	return (f->arch_capabilities & cap) != 0;
}

static void leave_open(struct mitigate *m, enum mitigate_open what, bool is)
{
	m->open |= is ? 1u << what : 0;
}

/* Who trains what the hypervisor, or another VM, then follows. */
static void decide_branches(const struct mitigate_facts *f, unsigned flaws, struct mitigate *m)
{
	m->at_change |= MITIGATE_BIT(RSB_FILL);		/* IBPB need not clear it */
	if ((f->leaf7_edx & EDX_IBRS_IBPB) == 0) {
		/* With its branches open to guests, guarding its RETs would close nothing. */
		leave_open(m, MITIGATE_OPEN_BRANCHES, true);
		return;
	}
	m->at_change |= MITIGATE_BIT(IBPB);
	m->spec_ctrl = SPEC_CTRL_IBRS;
	if (!has(f, CAP_IBRS_ALL)) {
		m->at_exit |= MITIGATE_BIT(IBRS) | MITIGATE_BIT(RSB_FILL);
		return;
	}
	m->at_exit |= has(f, CAP_PBRSB_NO) ? 0 : MITIGATE_BIT(RSB_ONE);
	if (!has(f, CAP_BHI_NO)) {
		bool dis = (f->leaf7_2_edx & EDX2_BHI_CTRL) != 0;

		m->spec_ctrl |= dis ? SPEC_CTRL_BHI_DIS_S : 0;
		m->at_exit |= dis ? 0 : MITIGATE_BIT(BHB_CLEAR);
	}
	leave_open(m, MITIGATE_OPEN_ITS, (flaws & ITS) != 0 && !has(f, CAP_ITS_NO));
}

/*
 * What earlier loads and stores left in buffers and the first-level cache. TAA: a guest has RTM
 * whatever its CPUID says.
 */
static void decide_data(const struct mitigate_facts *f, unsigned flaws, struct mitigate *m)
{
	bool clears = (f->leaf7_edx & EDX_MD_CLEAR) != 0;
	bool flushes = (f->leaf7_edx & EDX_L1D_FLUSH) != 0;
	bool srbds = (f->leaf7_edx & EDX_SRBDS_CTRL) == 0;
	bool mds = !has(f, CAP_MDS_NO) && (flaws & NO_MDS) == 0;
	bool taa = (f->leaf7_ebx & EBX_RTM) != 0 && !has(f, CAP_TAA_NO);
	bool rfds = (has(f, CAP_RFDS_CLEAR) || (flaws & RFDS) != 0) && !has(f, CAP_RFDS_NO);
	bool l1tf = !has(f, CAP_RDCL_NO | CAP_SKIP_L1DFL) && (flaws & NO_L1TF) == 0;

	if (((mds || taa) && clears) || (rfds && has(f, CAP_RFDS_CLEAR))) {
		m->at_entry |= MITIGATE_BIT(VERW);
	}
	if (l1tf && flushes) {
		m->at_change |= MITIGATE_BIT(L1D_FLUSH);
		m->at_run |= MITIGATE_BIT(L1D_FLUSH);
	}
	leave_open(m, MITIGATE_OPEN_MDS, (mds || taa) && !clears);
	leave_open(m, MITIGATE_OPEN_RFDS, rfds && !has(f, CAP_RFDS_CLEAR));
	leave_open(m, MITIGATE_OPEN_L1TF, l1tf && !flushes);
	leave_open(m, MITIGATE_OPEN_GDS, (flaws & GDS) != 0 && !has(f, CAP_GDS_NO | CAP_GDS_CTRL));
	leave_open(m, MITIGATE_OPEN_SRBDS, (flaws & SRBDS) != 0 && !has(f, CAP_MDS_NO) && srbds);
}

struct mitigate mitigate_decide(const struct mitigate_facts *f)
{
	struct mitigate m = { .at_change = 0 };

	if (f->intel) {
		decide_branches(f, flaws_of(f), &m);
		decide_data(f, flaws_of(f), &m);
		/* CVE-2018-12207. Of the models listed, the same ones are free of it as of L1TF or MDS. */
		m.small_code = !has(f, CAP_PSCHANGE_MC_NO) && (flaws_of(f) & (NO_L1TF | NO_MDS)) == 0;
	}
	return m;
}

static const char *const measures[] = {
#define MITIGATE_WORDS(name, words) [MITIGATE_##name] = words,
	MITIGATE_TABLE(MITIGATE_WORDS)
};

static const char *const flaws_open[] = {
#define MITIGATE_OPEN_WORDS(name, words) [MITIGATE_OPEN_##name] = words,
	MITIGATE_OPEN_TABLE(MITIGATE_OPEN_WORDS)
};

/* "; at each exit IBRS, RSB fill" */
static void put_set(struct text *to, const char *when, unsigned set, const char *const *names,
		    const char **between)
{
	const char *comma = "";

	if (set == 0) {
		return;
	}
	text_printf(to, "%s%s", *between, when);
	for (unsigned i = 0; set >> i != 0; i++) {
		if ((set >> i & 1) != 0) {
			text_printf(to, "%s %s", comma, names[i]);
			comma = ",";
		}
	}
	*between = "; ";
}

void mitigate_print(const struct mitigate *m, struct text *to)
{
	const char *between = "";

	put_set(to, "at a change of VM", m->at_change, measures, &between);
	put_set(to, "at a return to one", m->at_run, measures, &between);
	put_set(to, "at each entry", m->at_entry, measures, &between);
	put_set(to, "at each exit", m->at_exit, measures, &between);
	if (m->spec_ctrl != 0) {
		text_printf(to, "%sthe hypervisor runs with IBRS%s", between,
			    (m->spec_ctrl & SPEC_CTRL_BHI_DIS_S) != 0 ? " and BHI_DIS_S" : "");
		between = "; ";
	}
	if (m->small_code) {
		text_printf(to, "%sguests' code in 4 KiB pages", between);
		between = "; ";
	}
	if (between[0] == '\0') {
		text_puts(to, "none needed");
		between = "; ";
	}
	put_set(to, "without help from microcode:", m->open, flaws_open, &between);
}

void mitigate_print_taken(const struct mitigate_cpu *cpu, struct text *to)
{
	const char *comma = "";

	for (unsigned i = 0; i < MITIGATE_COUNT; i++) {
		if (cpu->taken[i] != 0) {
			text_printf(to, "%s%s %lu", comma, measures[i], cpu->taken[i]);
			comma = ", ";
		}
	}
	text_puts(to, comma[0] == '\0' ? "none" : "");
}
