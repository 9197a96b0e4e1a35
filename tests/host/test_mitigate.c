/* SPDX-License-Identifier: BSD-2-Clause */
/* arch/x86_64/pure/mitigate: what each family of cpus needs, and the steps where another VM comes. */
#include "tests/host/test.h"

#include <stdio.h>

#include "arch/x86_64/pure/mitigate.h"
#include "kernel/lib/util.h"

/* CPUID leaf 7 EDX as microcode of 2018, of 2019, and one that also has IA32_ARCH_CAPABILITIES gives it. */
#define EDX_2018	0x9c000000u	/* IBRS/IBPB, STIBP, L1D_FLUSH, SSBD */
#define EDX_2019	0x9c000400u	/* and MD_CLEAR */
#define EDX_NEW		0xbc000400u	/* and ARCH_CAPABILITIES */
#define RTM		(1u << 11)
#define RDCL_NO		0x1ul
#define SKIP_L1DFL	0x8ul
#define SSB_NO		0x10ul
#define MDS_NO		0x20ul
#define TAA_NO		0x100ul
#define RFDS_NO		(1ul << 27)
#define RFDS_CLEAR	(1ul << 28)

/* What is on: I IBPB, R RSB fill, V VERW, L L1D flush, S SPEC_CTRL, D SSBD; open: s predictors, m MDS, l L1TF. */
static const struct {
	const char *name;
	struct mitigate_facts f;
	const char *want;
} cpus[] = {
	{ "Haswell without new microcode", { true, 6, 0x3c, RTM, 0, 0 }, "Rsml" },
	{ "Haswell with microcode of 2018", { true, 6, 0x3c, 0, EDX_2018, 0 }, "IRLSDm" },
	{ "Haswell, all microcode", { true, 6, 0x3f, 0, EDX_2019, 0 }, "IRVLSD" },
	{ "Broadwell", { true, 6, 0x4f, RTM, EDX_2019, 0 }, "IRVLSD" },
	{ "Skylake client", { true, 6, 0x5e, RTM, EDX_2019, 0 }, "IRVLSD" },
	{ "Skylake server", { true, 6, 0x55, RTM, EDX_NEW, 0x2000c04 }, "IRVLSD" },
	{ "Coffee Lake with MDS_NO", { true, 6, 0x9e, 0, EDX_NEW, RDCL_NO | SKIP_L1DFL | MDS_NO }, "IRSD" },
	{ "Cascade Lake with transactions", { true, 6, 0x55, RTM, EDX_NEW, 0xab }, "IRVSD" },
	{ "Cascade Lake without transactions", { true, 6, 0x55, 0, EDX_NEW, 0xab }, "IRSD" },
	{ "Ice Lake client", { true, 6, 0x7e, 0, EDX_NEW, RDCL_NO | SKIP_L1DFL | MDS_NO }, "IRSD" },
	{ "Ice Lake server", { true, 6, 0x6a, RTM, EDX_NEW, RDCL_NO | SKIP_L1DFL | MDS_NO | TAA_NO }, "IRSD" },
	{ "Tiger Lake", { true, 6, 0x8c, RTM, EDX_NEW, RDCL_NO | SKIP_L1DFL | MDS_NO | TAA_NO }, "IRSD" },
	{ "Alder Lake before the RFDS microcode", { true, 6, 0x97, 0, EDX_NEW, 0xd6b }, "IRSD" },
	{ "Alder Lake", { true, 6, 0x97, 0, EDX_NEW, 0xd6b | RFDS_CLEAR }, "IRVSD" },
	{ "Alder Lake-N", { true, 6, 0xbe, 0, EDX_NEW, 0xd6b | RFDS_CLEAR }, "IRVSD" },
	{ "Sapphire Rapids", { true, 6, 0x8f, RTM, EDX_NEW, 0xd6b | RFDS_NO }, "IRSD" },
	{ "a cpu of later days that has no flaw", { true, 6, 0xcf, 0, EDX_NEW, 0xd7b | RFDS_NO }, "IRS" },
	{ "Silvermont without new microcode", { true, 6, 0x37, 0, 0, 0 }, "Rsm" },
	{ "Silvermont", { true, 6, 0x4d, 0, EDX_2019, 0 }, "IRVSD" },
	{ "Goldmont before the RFDS microcode", { true, 6, 0x5c, 0, EDX_2018, 0 }, "IRSD" },
	{ "Goldmont Plus", { true, 6, 0x7a, 0, EDX_NEW, 0x69 | RFDS_CLEAR }, "IRVSD" },
	{ "Tremont", { true, 6, 0x86, 0, EDX_NEW, 0xd6b | RFDS_CLEAR }, "IRVSD" },
	{ "Xeon Phi", { true, 6, 0x57, 0, EDX_2019, 0 }, "IRVSD" },
	{ "an Intel family to come", { true, 19, 1, 0, EDX_NEW, 0xd7b | RFDS_NO }, "IRS" },
	{ "another vendor's", { false, 25, 1, 0, EDX_NEW, 0 }, "" },
};

static const char *letters(const struct mitigate *m)
{
	static char out[16];
	const struct { char c; bool on; } all[] = {
		{ 'I', m->ibpb_on_switch }, { 'R', m->rsb_fill }, { 'V', m->verw_on_entry }, { 'L', m->l1d_flush_on_entry },
		{ 'S', m->spec_ctrl_as_guest_state }, { 'D', m->ssbd }, { 's', m->spectre_open }, { 'm', m->mds_open },
		{ 'l', m->l1tf_open },
	};
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i].on) {
			out[n++] = all[i].c;
		}
	}
	out[n] = '\0';
	return out;
}

TEST(families, "each family of cpus gets what it needs and offers, and what it cannot have is called open")
{
	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		struct mitigate m = mitigate_decide(&cpus[i].f);

		if (strcmp(letters(&m), cpus[i].want) != 0) {
			fprintf(stderr, "%s:\n", cpus[i].name);
		}
		CHECK_STR(letters(&m), cpus[i].want);
	}
}

TEST(flags, "a bit that says a flaw is not there, or a means is, never makes less safe what it does not speak of")
{
	struct test_rng rng = { 4 };

	for (unsigned i = 0; i < 20000; i++) {
		struct mitigate_facts f = {
			true, 6, (unsigned)test_rand_below(&rng, 256), (uint32_t)test_rand(&rng), (uint32_t)test_rand(&rng), test_rand(&rng),
		};
		struct mitigate a = mitigate_decide(&f), b;

		CHECK(!(a.verw_on_entry && a.mds_open) && !(a.l1d_flush_on_entry && a.l1tf_open));
		CHECK(a.ibpb_on_switch != a.spectre_open && a.rsb_fill);
		CHECK(!a.ssbd || a.spec_ctrl_as_guest_state);
		f.leaf7_edx |= EDX_2019;
		b = mitigate_decide(&f);
		CHECK(!b.spectre_open && !b.mds_open && !b.l1tf_open);
		CHECK(b.verw_on_entry == (a.verw_on_entry || a.mds_open));
		CHECK(b.l1d_flush_on_entry == (a.l1d_flush_on_entry || a.l1tf_open));
	}
}

/* --- Steps, as a machine would see them. */

static char steps[256];

static void note(const char *what)
{
	strncat(steps, what, sizeof(steps) - strlen(steps) - 1);
}

static void fake_wrmsr(uint32_t msr, uint64_t value)
{
	char s[32];

	snprintf(s, sizeof(s), "%x=%lx ", msr, value);
	note(s);
}

static void fake_rsb(void)
{
	note("rsb ");
}

static void fake_verw(void)
{
	note("verw ");
}

static const struct mitigate_ops ops = { fake_wrmsr, fake_rsb, fake_verw };
static struct mitigate_cpu cpu;

static const char *load(const struct mitigate *m, uint64_t vm)
{
	steps[0] = '\0';
	mitigate_switch(m, &cpu, vm, &ops);
	return steps;
}

TEST(switches, "the MSRs are written whenever the VM that was here last is another, and only then")
{
	struct mitigate m = mitigate_decide(&cpus[4].f);
	struct mitigate off = { .ibpb_on_switch = false };

	cpu = (struct mitigate_cpu){ MITIGATE_NO_VM };
	CHECK_STR(load(&m, 1), "49=1 rsb 10b=1 verw ");
	CHECK_STR(load(&m, 1), "");			/* its other vCPU, or the same */
	CHECK_STR(load(&m, 2), "49=1 rsb 10b=1 verw ");
	CHECK_STR(load(&m, 1), "49=1 rsb 10b=1 verw ");	/* the vCPU that was here before: XSA-479 */
	CHECK_STR(load(&off, 2), "");
	m = mitigate_decide(&cpus[8].f);
	CHECK_STR(load(&m, 1), "49=1 rsb ");
}

TEST(words, "the log line names what is on and what stays open")
{
	char buf[200];
	struct text t = text_make(buf, sizeof(buf));
	struct mitigate m = mitigate_decide(&cpus[2].f);

	mitigate_print(&m, &t);
	CHECK_STR(buf, "IBPB, RSB fill, VERW, L1D flush where another VM comes on a cpu");
	t = text_make(buf, sizeof(buf));
	m = mitigate_decide(&cpus[0].f);
	mitigate_print(&m, &t);
	CHECK_STR(buf, "RSB fill where another VM comes on a cpu; without help from microcode: branch prediction, MDS, L1TF");
	t = text_make(buf, sizeof(buf));
	m = mitigate_decide(&cpus[ARRAY_SIZE(cpus) - 1].f);
	mitigate_print(&m, &t);
	CHECK_STR(buf, "none");
}
