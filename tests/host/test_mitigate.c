/* SPDX-License-Identifier: BSD-2-Clause */
/* arch/x86_64/pure/mitigate: what each family of cpus needs, and the steps at a change of VM, an exit, an entry. */
#include "tests/host/test.h"

#include <stdio.h>

#include "arch/x86_64/pure/mitigate_steps.h"
#include "kernel/lib/util.h"

/* CPUID leaf 7 EDX as microcode of 2018, of 2019, and one that also has IA32_ARCH_CAPABILITIES gives it. */
#define EDX_2018	0x9c000000u	/* IBRS/IBPB, STIBP, L1D_FLUSH, SSBD */
#define EDX_2019	0x9c000400u	/* and MD_CLEAR */
#define EDX_2020	0x9c000600u	/* and SRBDS_CTRL */
#define EDX_NEW		0xbc000400u	/* and ARCH_CAPABILITIES */
#define EDX_NEW_SRBDS	0xbc000600u
#define EDX2_BHI	0x10u		/* subleaf 2: BHI_CTRL */
#define RTM		(1u << 11)
#define RDCL_NO		0x1ul
#define IBRS_ALL	0x2ul
#define RSBA		0x4ul
#define SKIP_L1DFL	0x8ul
#define MDS_NO		0x20ul
#define PSCHANGE_MC_NO	0x40ul
#define TAA_NO		0x100ul
#define RRSBA		(1ul << 19)
#define BHI_NO		(1ul << 20)
#define PBRSB_NO	(1ul << 24)
#define GDS_CTRL	(1ul << 25)
#define GDS_NO		(1ul << 26)
#define RFDS_NO		(1ul << 27)
#define RFDS_CLEAR	(1ul << 28)
#define ITS_NO		(1ul << 62)
#define CLX		0xabul		/* RDCL_NO, IBRS_ALL, SKIP_L1DFL, MDS_NO, TSX_CTRL */
#define ICX		(0x16bul | GDS_CTRL)
#define ADL		0x816bul

/*
 * What is done. At a change of VM: I IBPB, R RSB fill; L L1D flush there and at each run; V VERW at each entry. At each exit:
 * i IBRS, r RSB fill, o one CALL, b history. H: IBRS, HB: BHI_DIS_S too, is the hypervisor's own. Open, behind a dash: s predictors,
 * m MDS, l L1TF, f RFDS, g GDS, d SRBDS, t ITS. x: guests' code in 4 KiB pages.
 */
static const struct {
	const char *name;
	struct mitigate_facts f;
	const char *want;
} cpus[] = {
	{ "Nehalem", { true, 6, 0x1a, 5, 0, 0, 0, 0 }, "Rx-sml" },
	{ "Westmere with microcode of 2018", { true, 6, 0x2c, 2, 0, EDX_2018, 0, 0 }, "IRLirHx-m" },
	{ "Sandy Bridge", { true, 6, 0x2a, 7, 0, EDX_2019, 0, 0 }, "IRLVirHx" },
	{ "Ivy Bridge", { true, 6, 0x3a, 9, 0, EDX_2020, 0, 0 }, "IRLVirHx" },
	{ "Ivy Bridge before the SRBDS microcode", { true, 6, 0x3a, 9, 0, EDX_2019, 0, 0 }, "IRLVirHx-d" },
	{ "Ivy Bridge server", { true, 6, 0x3e, 4, 0, EDX_2019, 0, 0 }, "IRLVirHx" },
	{ "Haswell without new microcode", { true, 6, 0x3c, 3, RTM, 0, 0, 0 }, "Rx-smld" },
	{ "Haswell with microcode of 2018", { true, 6, 0x3c, 3, 0, EDX_2018, 0, 0 }, "IRLirHx-md" },
	{ "Haswell, all microcode", { true, 6, 0x3f, 2, 0, EDX_2019, 0, 0 }, "IRLVirHx" },
	{ "Broadwell", { true, 6, 0x4f, 1, RTM, EDX_2019, 0, 0 }, "IRLVirHx" },
	{ "Broadwell client", { true, 6, 0x3d, 4, RTM, EDX_2020, 0, 0 }, "IRLVirHx" },
	{ "Skylake client", { true, 6, 0x5e, 3, 0, EDX_NEW_SRBDS, 0, RSBA | GDS_CTRL }, "IRLVirHx" },
	{ "Skylake client before the GDS microcode", { true, 6, 0x5e, 3, 0, EDX_2020, 0, 0 }, "IRLVirHx-g" },
	{ "Skylake server", { true, 6, 0x55, 4, RTM, EDX_NEW, 0, RSBA | GDS_CTRL }, "IRLVirHx" },
	{ "Coffee Lake with MDS_NO", { true, 6, 0x9e, 0xc, 0, EDX_NEW, 0, RDCL_NO | SKIP_L1DFL | MDS_NO | GDS_CTRL }, "IRirHx" },
	{ "Comet Lake", { true, 6, 0xa5, 2, 0, EDX_NEW, 0, 0x2bul | GDS_CTRL }, "IRobHx-t" },
	{ "Cascade Lake with transactions", { true, 6, 0x55, 7, RTM, EDX_NEW, 0, CLX | GDS_CTRL }, "IRVobHx-t" },
	{ "Cascade Lake without transactions", { true, 6, 0x55, 7, 0, EDX_NEW, 0, CLX | GDS_CTRL }, "IRobHx-t" },
	{ "Cascade Lake as microcode of 2025 may say", { true, 6, 0x55, 7, 0, EDX_NEW, 0, CLX | GDS_CTRL | ITS_NO | PBRSB_NO }, "IRbHx" },
	{ "Ice Lake client", { true, 6, 0x7e, 5, 0, EDX_NEW, 0, 0x2bul | GDS_CTRL }, "IRobH" },
	{ "Ice Lake server", { true, 6, 0x6a, 6, RTM, EDX_NEW, 0, ICX | PBRSB_NO }, "IRbH" },
	{ "Ice Lake server with BHI_DIS_S", { true, 6, 0x6a, 6, RTM, EDX_NEW, EDX2_BHI, ICX | PBRSB_NO }, "IRHB" },
	{ "Tiger Lake", { true, 6, 0x8c, 1, RTM, EDX_NEW, 0, 0x16bul | GDS_CTRL }, "IRobH" },
	{ "Rocket Lake", { true, 6, 0xa7, 1, 0, EDX_NEW, 0, 0x16bul }, "IRobH-g" },
	{ "Alder Lake before the RFDS microcode", { true, 6, 0x97, 2, 0, EDX_NEW, EDX2_BHI, ADL }, "IRoHB-f" },
	{ "Alder Lake", { true, 6, 0x97, 2, 0, EDX_NEW, EDX2_BHI, ADL | RRSBA | RFDS_CLEAR }, "IRVoHB" },
	{ "Raptor Lake", { true, 6, 0xb7, 1, 0, EDX_NEW, EDX2_BHI, ADL | RRSBA | RFDS_CLEAR }, "IRVoHB" },
	{ "Alder Lake-N", { true, 6, 0xbe, 0, 0, EDX_NEW, EDX2_BHI, ADL | RFDS_CLEAR }, "IRVoHB" },
	{ "Meteor Lake", { true, 6, 0xaa, 4, 0, EDX_NEW, EDX2_BHI, ADL | RRSBA | PBRSB_NO | RFDS_NO }, "IRHB" },
	{ "Sapphire Rapids", { true, 6, 0x8f, 8, RTM, EDX_NEW, EDX2_BHI, ADL | RRSBA | RFDS_NO }, "IRoHB" },
	{ "Emerald Rapids", { true, 6, 0xcf, 2, RTM, EDX_NEW, EDX2_BHI, ADL | RRSBA | PBRSB_NO | RFDS_NO }, "IRHB" },
	{ "Granite Rapids", { true, 6, 0xad, 1, RTM, EDX_NEW, EDX2_BHI, ADL | RRSBA | PBRSB_NO | GDS_NO | RFDS_NO | ITS_NO }, "IRHB" },
	{ "Sierra Forest", { true, 6, 0xaf, 3, 0, EDX_NEW, EDX2_BHI, ADL | PBRSB_NO | GDS_NO | RFDS_NO | ITS_NO }, "IRHB" },
	{ "a cpu of later days that has no flaw", { true, 6, 0xdd, 0, 0, EDX_NEW, EDX2_BHI, ADL | BHI_NO | PBRSB_NO | RFDS_NO }, "IRH" },
	{ "Silvermont without new microcode", { true, 6, 0x37, 8, 0, 0, 0, 0 }, "R-sm" },
	{ "Silvermont", { true, 6, 0x4d, 8, 0, EDX_2019, 0, 0 }, "IRVirH" },
	{ "Airmont", { true, 6, 0x4c, 4, 0, EDX_2019, 0, 0 }, "IRVirH" },
	{ "Goldmont before the RFDS microcode", { true, 6, 0x5c, 9, 0, EDX_2018, 0, 0 }, "IRirH-f" },
	{ "Goldmont Plus", { true, 6, 0x7a, 8, 0, EDX_NEW, 0, 0x69 | RFDS_CLEAR }, "IRVirH" },
	{ "Tremont", { true, 6, 0x86, 5, 0, EDX_NEW, 0, 0x16b | PBRSB_NO | RFDS_CLEAR }, "IRVbH" },
	{ "Xeon Phi", { true, 6, 0x57, 1, 0, EDX_2019, 0, 0 }, "IRVirH" },
	{ "Bochs' icelake_u", { true, 6, 0x7e, 5, 0, 0xbc000000, 0, 0x1f }, "IRobH-g" },
	{ "Bochs' tigerlake", { true, 6, 0x8c, 1, 0, EDX_NEW, 0, 0x1f }, "IRVobHx-g" },
	{ "Bochs' skylake_x", { true, 6, 0x55, 4, 0, 0, 0, 0 }, "Rx-smlg" },
	{ "an Intel family to come", { true, 19, 1, 0, 0, EDX_NEW, EDX2_BHI, ADL | BHI_NO | PBRSB_NO | RFDS_NO }, "IRH" },
	{ "another vendor's", { false, 25, 1, 0, 0, EDX_NEW, 0, 0 }, "" },
};

static const struct mitigate_facts *cpu_named(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		if (strcmp(cpus[i].name, name) == 0) {
			return &cpus[i].f;
		}
	}
	test_fail(__FILE__, __LINE__, "no such cpu: %s", name);
}

static const char *letters(const struct mitigate *m)
{
	static char out[32];
	const struct { char c; bool on; } all[] = {
		{ 'I', (m->at_change & MITIGATE_BIT(IBPB)) != 0 }, { 'R', (m->at_change & MITIGATE_BIT(RSB_FILL)) != 0 },
		{ 'L', (m->at_change & m->at_run & MITIGATE_BIT(L1D_FLUSH)) != 0 }, { 'V', (m->at_entry & MITIGATE_BIT(VERW)) != 0 },
		{ 'i', (m->at_exit & MITIGATE_BIT(IBRS)) != 0 }, { 'r', (m->at_exit & MITIGATE_BIT(RSB_FILL)) != 0 },
		{ 'o', (m->at_exit & MITIGATE_BIT(RSB_ONE)) != 0 }, { 'b', (m->at_exit & MITIGATE_BIT(BHB_CLEAR)) != 0 },
		{ 'H', (m->spec_ctrl & 1) != 0 }, { 'B', (m->spec_ctrl & 0x400) != 0 }, { 'x', m->small_code }, { '-', m->open != 0 },
		{ 's', (m->open >> MITIGATE_OPEN_BRANCHES & 1) != 0 }, { 'm', (m->open >> MITIGATE_OPEN_MDS & 1) != 0 },
		{ 'l', (m->open >> MITIGATE_OPEN_L1TF & 1) != 0 }, { 'f', (m->open >> MITIGATE_OPEN_RFDS & 1) != 0 },
		{ 'g', (m->open >> MITIGATE_OPEN_GDS & 1) != 0 }, { 'd', (m->open >> MITIGATE_OPEN_SRBDS & 1) != 0 },
		{ 't', (m->open >> MITIGATE_OPEN_ITS & 1) != 0 },
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
			true, 6, (unsigned)test_rand_below(&rng, 256), (unsigned)test_rand_below(&rng, 16), (uint32_t)test_rand(&rng),
			(uint32_t)test_rand(&rng), (uint32_t)test_rand(&rng), test_rand(&rng),
		};
		struct mitigate a = mitigate_decide(&f), b;
		bool open_mds = (a.open >> MITIGATE_OPEN_MDS & 1) != 0, open_l1tf = (a.open >> MITIGATE_OPEN_L1TF & 1) != 0;

		CHECK(((a.at_change & MITIGATE_BIT(IBPB)) == 0) == (a.open >> MITIGATE_OPEN_BRANCHES & 1));
		CHECK((a.at_change & MITIGATE_BIT(RSB_FILL)) != 0 && (a.at_run & ~a.at_change) == 0);
		CHECK(!open_l1tf || (a.at_change & MITIGATE_BIT(L1D_FLUSH)) == 0);
		CHECK((a.at_change & ~MITIGATE_AT_RUN) == 0 && (a.at_entry & ~MITIGATE_AT_ENTRY) == 0);
		CHECK((a.at_exit & ~(MITIGATE_AT_EXIT | MITIGATE_BIT(IBRS))) == 0);
		/* What is not there to be written is not written. */
		CHECK(a.spec_ctrl == 0 ? (a.at_exit & MITIGATE_BIT(IBRS)) == 0 : (f.leaf7_edx & 1u << 26) != 0);
		CHECK((a.spec_ctrl & 0x400) == 0 || (f.leaf7_2_edx & EDX2_BHI) != 0);
		CHECK(!a.small_code || (f.arch_capabilities & PSCHANGE_MC_NO) == 0);
		f.leaf7_edx |= EDX_2020;
		b = mitigate_decide(&f);
		CHECK((b.open & ~(1u << MITIGATE_OPEN_RFDS | 1u << MITIGATE_OPEN_GDS | 1u << MITIGATE_OPEN_ITS)) == 0);
		CHECK(((b.at_entry & MITIGATE_BIT(VERW)) != 0) == ((a.at_entry & MITIGATE_BIT(VERW)) != 0 || open_mds));
		CHECK(((b.at_run & MITIGATE_BIT(L1D_FLUSH)) != 0) == ((a.at_run & MITIGATE_BIT(L1D_FLUSH)) != 0 || open_l1tf));
	}
}

/* --- Steps, as a machine would see them: two cpus, MSRs that hold what was written. */

static char steps[256];
static struct mitigate_cpu cpu[2];
static uint64_t spec_ctrl[2];
static unsigned here;

static void note(const char *what)
{
	strncat(steps, what, sizeof(steps) - strlen(steps) - 1);
}

static void fake_wrmsr(uint32_t msr, uint64_t value)
{
	char s[32];

	snprintf(s, sizeof(s), "%x=%lx ", msr, value);
	note(s);
	if (msr == MSR_SPEC_CTRL) {
		spec_ctrl[here] = value;
	}
}

static uint64_t fake_rdmsr(uint32_t msr)
{
	CHECK(msr == MSR_SPEC_CTRL);
	return spec_ctrl[here];
}

#define FAKE_STEP(name) static void fake_##name(void) { note(#name " "); }
FAKE_STEP(rsb)
FAKE_STEP(one)
FAKE_STEP(bhb)
FAKE_STEP(verw)

static const struct mitigate_ops ops = { fake_wrmsr, fake_rdmsr, fake_rsb, fake_one, fake_bhb, fake_verw };

static void fresh(void)
{
	memset(cpu, 0, sizeof(cpu));
	memset(spec_ctrl, 0, sizeof(spec_ctrl));
	here = 0;
}

static const char *run(const struct mitigate *m, unsigned on, uint64_t vm)
{
	steps[0] = '\0';
	here = on;
	mitigate_run(m, &cpu[on], vm, &ops);
	return steps;
}

TEST(switches, "IBPB and its like are taken whenever the VM that was here last is another, and only then")
{
	struct mitigate m = mitigate_decide(cpu_named("Haswell, all microcode")), off = { .at_change = 0 };

	fresh();
	CHECK_STR(run(&m, 0, 1), "49=1 rsb 10b=1 ");
	CHECK_STR(run(&m, 0, 1), "10b=1 ");		/* its other vCPU, or the same: the cpu did other things between */
	CHECK_STR(run(&m, 0, 2), "49=1 rsb 10b=1 ");
	CHECK_STR(run(&m, 0, 1), "49=1 rsb 10b=1 ");	/* the vCPU that was here before: XSA-479 */
	CHECK_STR(run(&off, 0, 2), "");
	m = mitigate_decide(cpu_named("Cascade Lake without transactions"));
	CHECK_STR(run(&m, 0, 1), "49=1 rsb ");
	CHECK_STR(run(&m, 0, 1), "");
	CHECK_EQ(cpu[0].taken[MITIGATE_IBPB], 4);
	CHECK_EQ(cpu[1].taken[MITIGATE_IBPB], 0);
}

TEST(migration, "a vCPU that comes back to a cpu where another VM ran meanwhile finds it cleared, one that meets its own VM does not")
{
	struct mitigate m = mitigate_decide(cpu_named("Sapphire Rapids"));

	fresh();
	CHECK_STR(run(&m, 0, 1), "49=1 rsb ");		/* VM 1 here, then on the other cpu, then back */
	CHECK_STR(run(&m, 1, 1), "49=1 rsb ");
	CHECK_STR(run(&m, 0, 1), "");			/* nobody was here meanwhile */
	CHECK_STR(run(&m, 1, 2), "49=1 rsb ");
	CHECK_STR(run(&m, 1, 1), "49=1 rsb ");
	CHECK_STR(run(&m, 0, 2), "49=1 rsb ");
	CHECK_STR(run(&m, 0, 1), "49=1 rsb ");
	CHECK_STR(run(&m, 1, 1), "");
	/* VM 1 is destroyed, a new one gets its memory, its VPID, all but its number. */
	CHECK_STR(run(&m, 0, 3), "49=1 rsb ");
	CHECK_STR(run(&m, 1, 3), "49=1 rsb ");
}

/* One exit and the entry after it; the guest may write the MSR between, when it has it. */
static const char *round_trip(const struct mitigate *m, struct mitigate_vcpu *v)
{
	steps[0] = '\0';
	if (v->guarded) {
		mitigate_exit(m, &cpu[here], v, &ops);
		note("| ");
		mitigate_enter(m, &cpu[here], v, &ops);
	}
	return steps;
}

static void load(const struct mitigate *m, struct mitigate_vcpu *v)
{
	mitigate_settle(m, &cpu[here], v, &ops);
	if (v->guarded) {
		mitigate_enter(m, &cpu[here], v, &ops);
	}
}

TEST(exits, "each exit and entry takes what the cpu needs, and one that needs nothing has neither")
{
	struct mitigate m = mitigate_decide(cpu_named("another vendor's"));
	struct mitigate_vcpu v = { 0 };

	fresh();
	mitigate_judge(&m, &v);
	CHECK(!v.guarded);
	m = mitigate_decide(cpu_named("Tremont"));
	mitigate_judge(&m, &v);
	load(&m, &v);
	CHECK_STR(round_trip(&m, &v), "48=1 bhb | verw 48=0 ");
	m = mitigate_decide(cpu_named("Haswell, all microcode"));
	CHECK_STR(round_trip(&m, &v), "48=1 rsb | verw 48=0 ");
	v.spec_ctrl = 1;	/* IBRS on before the exit does not help there: written all the same */
	load(&m, &v);
	CHECK_STR(round_trip(&m, &v), "48=1 rsb | verw ");
}

TEST(halts, "before a halt the buffers are cleared, and IBRS goes off where it would slow the core's other thread")
{
	struct mitigate m = mitigate_decide(cpu_named("Haswell, all microcode"));

	fresh();
	mitigate_put(&m, &cpu[0], &ops);
	steps[0] = '\0';
	mitigate_halt(&m, &cpu[0], &ops);
	mitigate_halted(&m, &cpu[0], &ops);
	CHECK_STR(steps, "48=0 verw 48=1 ");
	m = mitigate_decide(cpu_named("Alder Lake"));
	steps[0] = '\0';
	mitigate_halt(&m, &cpu[0], &ops);
	mitigate_halted(&m, &cpu[0], &ops);
	CHECK_STR(steps, "verw ");
}

TEST(spec_ctrl_kept, "a guest that has IBRS on for good costs no write at an exit, and its other bits stay with it")
{
	struct mitigate m = mitigate_decide(cpu_named("a cpu of later days that has no flaw"));
	struct mitigate_vcpu v = { 0 }, w = { 0 };

	fresh();
	mitigate_judge(&m, &v);
	mitigate_judge(&m, &w);
	load(&m, &v);
	CHECK(v.guarded);
	CHECK_STR(round_trip(&m, &v), "48=1 | 48=0 ");
	mitigate_exit(&m, &cpu[0], &v, &ops);
	mitigate_write(&m, &cpu[0], &v, 5, &ops);	/* IBRS and SSBD */
	CHECK(!v.guarded && !v.open);
	CHECK_EQ(spec_ctrl[0], 5);
	CHECK_STR(round_trip(&m, &v), "");
	mitigate_put(&m, &cpu[0], &ops);
	CHECK_EQ(spec_ctrl[0], 1);
	load(&m, &w);
	CHECK_EQ(spec_ctrl[0], 0);
	mitigate_exit(&m, &cpu[0], &w, &ops);
	mitigate_put(&m, &cpu[0], &ops);
	here = 1;
	load(&m, &v);
	CHECK_EQ(spec_ctrl[1], 5);
}

TEST(spec_ctrl_open, "a guest that writes IA32_SPEC_CTRL often gets it, keeps what it wrote last, and the hypervisor has its own")
{
	struct mitigate m = mitigate_decide(cpu_named("Skylake server"));
	struct mitigate_vcpu v = { 0 };

	fresh();
	mitigate_judge(&m, &v);
	load(&m, &v);
	for (unsigned i = 0; i < MITIGATE_WRITES_MAX; i++) {
		CHECK(!v.open);
		mitigate_exit(&m, &cpu[0], &v, &ops);
		mitigate_write(&m, &cpu[0], &v, i & 1, &ops);
		CHECK_EQ(spec_ctrl[0], 1);
		mitigate_enter(&m, &cpu[0], &v, &ops);
		CHECK_EQ(spec_ctrl[0], i & 1);
	}
	CHECK(v.open && v.guarded);
	spec_ctrl[0] = 4;			/* by the guest */
	CHECK_STR(round_trip(&m, &v), "48=1 rsb | verw 48=4 ");
	CHECK_EQ(v.spec_ctrl, 4);
	spec_ctrl[0] = 0;
	mitigate_exit(&m, &cpu[0], &v, &ops);
	mitigate_put(&m, &cpu[0], &ops);
	CHECK_EQ(v.spec_ctrl, 0);
	CHECK_EQ(spec_ctrl[0], 1);
}

TEST(spec_ctrl_random, "over random loads, writes and exits a guest runs with its own IA32_SPEC_CTRL, the hypervisor at least with its own")
{
	struct test_rng rng = { 9 };

	for (unsigned round = 0; round < 400; round++) {
		struct mitigate m = mitigate_decide(&cpus[test_rand_below(&rng, ARRAY_SIZE(cpus))].f);
		struct mitigate_vcpu v[3] = { 0 };
		uint64_t guest[3] = { 0 };

		if (m.spec_ctrl == 0) {
			continue;
		}
		fresh();
		for (unsigned i = 0; i < 3; i++) {
			mitigate_judge(&m, &v[i]);
		}
		for (unsigned i = 0; i < 60; i++) {
			unsigned n = (unsigned)test_rand_below(&rng, 3);

			here = (unsigned)test_rand_below(&rng, 2);
			mitigate_run(&m, &cpu[here], n + 1, &ops);
			load(&m, &v[n]);
			for (unsigned k = (unsigned)test_rand_below(&rng, 5); k > 0; k--) {
				CHECK_EQ(spec_ctrl[here], guest[n]);
				guest[n] = test_rand_below(&rng, 3) == 0 ? test_rand_below(&rng, 8) : guest[n];
				if (v[n].open) {
					spec_ctrl[here] = guest[n];
				}
				if (v[n].guarded) {
					mitigate_exit(&m, &cpu[here], &v[n], &ops);
				}
				CHECK((m.spec_ctrl & ~spec_ctrl[here]) == 0);
				if (!v[n].open && guest[n] != v[n].spec_ctrl) {
					mitigate_write(&m, &cpu[here], &v[n], guest[n], &ops);
				}
				CHECK((m.spec_ctrl & ~spec_ctrl[here]) == 0);
				if (v[n].guarded) {
					mitigate_enter(&m, &cpu[here], &v[n], &ops);
				}
			}
			CHECK_EQ(spec_ctrl[here], guest[n]);
			if (v[n].guarded) {
				mitigate_exit(&m, &cpu[here], &v[n], &ops);
			}
			mitigate_put(&m, &cpu[here], &ops);
			CHECK_EQ(spec_ctrl[here], m.spec_ctrl);
		}
	}
}

TEST(words, "the log line names what is on, when, and what stays open")
{
	char buf[320];
	struct text t = text_make(buf, sizeof(buf));
	struct mitigate m = mitigate_decide(cpu_named("Haswell, all microcode"));

	mitigate_print(&m, &t);
	CHECK_STR(buf, "at a change of VM IBPB, RSB fill, L1D flush; at a return to one L1D flush; at each entry VERW; "
		  "at each exit IBRS, RSB fill; the hypervisor runs with IBRS; guests' code in 4 KiB pages");
	t = text_make(buf, sizeof(buf));
	m = mitigate_decide(cpu_named("Haswell without new microcode"));
	mitigate_print(&m, &t);
	CHECK_STR(buf, "at a change of VM RSB fill; guests' code in 4 KiB pages; without help from microcode: branch prediction, MDS, L1TF, SRBDS");
	t = text_make(buf, sizeof(buf));
	m = mitigate_decide(cpu_named("another vendor's"));
	mitigate_print(&m, &t);
	CHECK_STR(buf, "none needed");
	t = text_make(buf, sizeof(buf));
	fresh();
	mitigate_print_taken(&cpu[0], &t);
	CHECK_STR(buf, "none");
	t = text_make(buf, sizeof(buf));
	m = mitigate_decide(cpu_named("Sapphire Rapids"));
	(void)run(&m, 0, 1);
	mitigate_print_taken(&cpu[0], &t);
	CHECK_STR(buf, "IBPB 1, RSB fill 1");
}
