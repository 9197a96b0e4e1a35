/* SPDX-License-Identifier: BSD-2-Clause */
/* arch/x86_64/vmx/pure/controls: capability MSRs in, control values or named missing features out. */
#include "tests/host/test.h"

#include "arch/x86_64/vmx/pure/controls.h"
#include "arch/x86_64/vmx/vmx.h"
#include "kernel/lib/util.h"

/*
 * Values of real models. The TRUE forms of a real Skylake let the default-1 controls of CR3, debug and so on be 0 (SDM 3D
 * A.2): must-be-one 0x16, 0x04006172, 0x36dfb, 0x11fb.
 */
static const struct vmx_caps skylake = {
	.basic = 0x00d810000000002b, .pin = 0x0000007f00000016, .proc = 0xf7f9fffe04006172, .proc2 = 0x02177fff00000000,
	.exit = 0x007fffff00036dfb, .entry = 0x0000ffff000011fb, .misc = 0x600401e0, .ept_vpid = 0x00000f0106334141,
	.cr4_fixed0 = 0x2000, .cr4_fixed1 = 0x3727ff,
};

static char words[1000];

static enum err resolve(const struct vmx_caps *caps, struct vmx_controls *c)
{
	struct text why = text_make(words, sizeof(words));

	return vmx_controls_resolve(caps, c, &why);
}

static bool within(uint32_t value, uint64_t cap)
{
	return (value & (uint32_t)cap) == (uint32_t)cap && (value & ~(uint32_t)(cap >> 32)) == 0;
}

static void check_legal(const struct vmx_caps *caps, const struct vmx_controls *c)
{
	CHECK(within(c->pin, caps->pin));
	CHECK(within(c->proc, caps->proc));
	CHECK(within(c->proc2, caps->proc2));
	CHECK(within(c->exit, caps->exit));
	CHECK(within(c->entry, caps->entry));
}

TEST(skylake, "a Skylake gives all that is needed, with legal values and nothing on that is not wanted")
{
	struct vmx_controls c;

	CHECK_EQ(resolve(&skylake, &c), ERR_OK);
	CHECK_STR(words, "");
	check_legal(&skylake, &c);
	CHECK_EQ(c.pin, 0x16 | PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER);
	CHECK_EQ(c.proc & (PROC_CR3_LOAD | PROC_CR3_STORE | PROC_INVLPG | PROC_RDTSC | PROC_PAUSE), 0);
	CHECK_EQ(c.proc & (PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW | PROC_MTF | PROC_CR8_LOAD | PROC_CR8_STORE), 0);
	CHECK_EQ(c.proc & PROC_TPR_SHADOW, PROC_TPR_SHADOW);
	CHECK_EQ(c.proc2, PROC2_EPT | PROC2_UNRESTRICTED | PROC2_VPID | PROC2_WBINVD | PROC2_RDTSCP | PROC2_PAUSE_LOOP | PROC2_INVPCID |
		 PROC2_APIC_REGISTERS | PROC2_INTERRUPT_DELIVERY);
	CHECK(c.apic);
	CHECK_EQ(c.exit & (EXIT_ACK_INTERRUPT | EXIT_SAVE_PREEMPTION), 0);
	CHECK_EQ(c.entry & ENTRY_GUEST_64, 0);	/* a vCPU's own, by its mode */
}

TEST(optional, "without INVPCID, RDTSCP and PAUSE-loop exiting (older models) it still works, with those off")
{
	struct vmx_caps caps = skylake;
	struct vmx_controls c;

	caps.proc2 &= ~((uint64_t)(PROC2_INVPCID | PROC2_RDTSCP | PROC2_PAUSE_LOOP) << 32);
	CHECK_EQ(resolve(&caps, &c), ERR_OK);
	CHECK_EQ(c.proc2 & (PROC2_INVPCID | PROC2_RDTSCP | PROC2_PAUSE_LOOP), 0);
	check_legal(&caps, &c);
	caps.proc2 |= (uint64_t)PROC2_INVPCID << 32;
	CHECK_EQ(resolve(&caps, &c), ERR_OK);
	CHECK_EQ(c.proc2 & (PROC2_INVPCID | PROC2_RDTSCP), PROC2_INVPCID);
}

#define CR8_EXITS	(PROC_CR8_LOAD | PROC_CR8_STORE)
#define APIC_CONTROLS	(PROC2_APIC_ACCESSES | PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_INTERRUPT_DELIVERY)

TEST(apic, "local APICs are by the cpu only where it offers every part of that; else CR8 exits and none of it is on")
{
	static const struct { size_t field; uint64_t bit; } parts[] = {
		{ offsetof(struct vmx_caps, proc), PROC_TPR_SHADOW }, { offsetof(struct vmx_caps, proc2), PROC2_APIC_ACCESSES },
		{ offsetof(struct vmx_caps, proc2), PROC2_X2APIC }, { offsetof(struct vmx_caps, proc2), PROC2_APIC_REGISTERS },
		{ offsetof(struct vmx_caps, proc2), PROC2_INTERRUPT_DELIVERY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct vmx_caps caps = skylake;
		struct vmx_controls c;

		*(uint64_t *)(void *)((char *)&caps + parts[i].field) &= ~(parts[i].bit << 32);
		CHECK_EQ(resolve(&caps, &c), ERR_OK);
		CHECK(!c.apic);
		CHECK_EQ(c.proc & (CR8_EXITS | PROC_TPR_SHADOW), CR8_EXITS);
		CHECK_EQ(c.proc2 & APIC_CONTROLS, 0);
		check_legal(&caps, &c);
	}
}

TEST(old_msr, "the plain capability MSRs, which force CR3 exits, are refused by the names of those exits")
{
	struct vmx_caps caps = skylake;
	struct vmx_controls c;

	caps.proc = 0xf7f9fffe0401e172;
	CHECK_EQ(resolve(&caps, &c), ERR_NOTSUP);
	CHECK_STR(words, "guests without CR3-load exiting, guests without CR3-store exiting");
}

static const struct need {
	size_t field;
	uint32_t bit;
	bool off;		/* must be allowed to be 0 */
	const char *name;
} needs[] = {
#define CAP(f)	offsetof(struct vmx_caps, f)
	{ CAP(pin), PIN_EXTERNAL_INTERRUPT, false, "external-interrupt exiting" },
	{ CAP(pin), PIN_NMI, false, "NMI exiting" },
	{ CAP(pin), PIN_VIRTUAL_NMI, false, "virtual NMIs" },
	{ CAP(pin), PIN_PREEMPTION_TIMER, false, "VMX-preemption timer" },
	{ CAP(proc), PROC_TSC_OFFSET, false, "TSC offsetting" },
	{ CAP(proc), PROC_HLT, false, "HLT exiting" },
	{ CAP(proc), PROC_MWAIT, false, "MWAIT exiting" },
	{ CAP(proc), PROC_RDPMC, false, "RDPMC exiting" },
	{ CAP(proc), PROC_CR8_LOAD, false, "CR8-load exiting" },
	{ CAP(proc), PROC_CR8_STORE, false, "CR8-store exiting" },
	{ CAP(proc), PROC_IO_BITMAPS, false, "I/O bitmaps" },
	{ CAP(proc), PROC_MSR_BITMAPS, false, "MSR bitmaps" },
	{ CAP(proc), PROC_MONITOR, false, "MONITOR exiting" },
	{ CAP(proc), PROC_SECONDARY, false, "secondary processor-based controls" },
	{ CAP(proc), PROC_INVLPG, true, "guests without INVLPG exiting" },
	{ CAP(proc), PROC_RDTSC, true, "guests without RDTSC exiting" },
	{ CAP(proc), PROC_CR3_LOAD, true, "guests without CR3-load exiting" },
	{ CAP(proc), PROC_CR3_STORE, true, "guests without CR3-store exiting" },
	{ CAP(proc), PROC_MOV_DR, false, "MOV-DR exiting" },
	{ CAP(proc), PROC_PAUSE, true, "guests without PAUSE exiting" },
	{ CAP(proc2), PROC2_EPT, false, "EPT" },
	{ CAP(proc2), PROC2_UNRESTRICTED, false, "unrestricted guest" },
	{ CAP(proc2), PROC2_VPID, false, "VPID" },
	{ CAP(proc2), PROC2_WBINVD, false, "WBINVD exiting" },
	{ CAP(exit), EXIT_SAVE_DEBUG, false, "save debug controls" },
	{ CAP(exit), EXIT_HOST_64, false, "64-bit host" },
	{ CAP(exit), EXIT_SAVE_PAT, false, "save IA32_PAT" },
	{ CAP(exit), EXIT_LOAD_PAT, false, "load IA32_PAT at exit" },
	{ CAP(exit), EXIT_SAVE_EFER, false, "save IA32_EFER" },
	{ CAP(exit), EXIT_LOAD_EFER, false, "load IA32_EFER at exit" },
	{ CAP(exit), EXIT_ACK_INTERRUPT, true, "exits without interrupt acknowledgement" },
	{ CAP(exit), EXIT_SAVE_PREEMPTION, true, "exits without saving the preemption timer" },
	{ CAP(entry), ENTRY_LOAD_DEBUG, false, "load debug controls" },
	{ CAP(entry), ENTRY_LOAD_PAT, false, "load IA32_PAT at entry" },
	{ CAP(entry), ENTRY_LOAD_EFER, false, "load IA32_EFER at entry" },
};

static uint64_t *cap_at(struct vmx_caps *caps, size_t field)
{
	return (uint64_t *)(void *)((char *)caps + field);
}

TEST(each_control, "each needed control, taken away alone, is the one that is named")
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		struct vmx_caps caps = skylake;
		struct vmx_controls c;
		uint64_t *cap = cap_at(&caps, needs[i].field);

		*cap = needs[i].off ? *cap | needs[i].bit : *cap & ~((uint64_t)needs[i].bit << 32) & ~(uint64_t)needs[i].bit;
		CHECK_EQ(resolve(&caps, &c), ERR_NOTSUP);
		CHECK_STR(words, needs[i].name);
		/* Nothing is on that the cpu forbids, so that a caller that goes on cannot fail an entry. */
		CHECK(within(c.pin, caps.pin) && within(c.proc, caps.proc) && within(c.exit, caps.exit) &&
		      within(c.entry, caps.entry));
	}
}

TEST(each_ept, "each needed ability of EPT and VPID, taken away alone, is the one that is named")
{
	static const struct { unsigned bit; const char *name; } abilities[] = {
		{ 6, "EPT with 4 levels" }, { 14, "EPT tables in write-back memory" }, { 16, "EPT 2 MiB pages" }, { 20, "INVEPT" },
		{ 25, "INVEPT of one context" }, { 32, "INVVPID" }, { 41, "INVVPID of one context" },
	};

	for (unsigned bit = 0; bit < 64; bit++) {
		struct vmx_caps caps = skylake;
		struct vmx_controls c;
		const char *name = "";

		for (size_t i = 0; i < ARRAY_SIZE(abilities); i++) {
			name = abilities[i].bit == bit ? abilities[i].name : name;
		}
		caps.ept_vpid &= ~(1ul << bit);
		CHECK_EQ(resolve(&caps, &c), name[0] == '\0' ? ERR_OK : ERR_NOTSUP);
		CHECK_STR(words, name);
	}
}

TEST(nothing, "a cpu that allows nothing gets every name, separated by commas")
{
	struct vmx_caps caps = { 0 };
	struct vmx_controls c;
	unsigned commas = 0, wanted = 0;

	CHECK_EQ(resolve(&caps, &c), ERR_NOTSUP);
	for (const char *s = words; *s != '\0'; s++) {
		commas += *s == ',';
	}
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		wanted += !needs[i].off && needs[i].field != CAP(proc2);
		CHECK(needs[i].off || needs[i].field == CAP(proc2) || strstr(words, needs[i].name) != NULL);
	}
	CHECK_EQ(commas + 1, wanted);
	CHECK_EQ(c.proc2, 0);
}

TEST(property, "whatever the cpu allows, the values are legal, and OK means that every need is met")
{
	struct test_rng r = { 9 };
	unsigned ok = 0;

	for (unsigned round = 0; round < 50000; round++) {
		struct vmx_caps caps = skylake;
		struct vmx_controls c;
		uint64_t *cap = cap_at(&caps, needs[test_rand_below(&r, ARRAY_SIZE(needs))].field);
		unsigned bit = (unsigned)test_rand_below(&r, 32);

		if (test_rand_below(&r, 2) == 0) {
			*cap |= 1ul << bit | 1ul << (bit + 32);		/* fixed to 1 */
		} else {
			*cap &= ~(1ul << bit | 1ul << (bit + 32));	/* fixed to 0 */
		}
		if (resolve(&caps, &c) != ERR_OK) {
			CHECK(words[0] != '\0');
			continue;
		}
		ok++;
		check_legal(&caps, &c);
		for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
			uint32_t value = needs[i].field == CAP(pin) ? c.pin : needs[i].field == CAP(proc) ? c.proc :
					 needs[i].field == CAP(proc2) ? c.proc2 : needs[i].field == CAP(exit) ? c.exit : c.entry;

			CHECK_EQ((value & needs[i].bit) == 0,
				 needs[i].off || (c.apic && needs[i].field == CAP(proc) && (needs[i].bit & CR8_EXITS) != 0));
		}
	}
	CHECK(ok > 10000);
}

TEST(least, "the shortest entry is two counts of the preemption timer or more, however coarse it is")
{
	for (unsigned shift = 0; shift < 32; shift++) {		/* VMX_MISC[4:0] */
		CHECK(vmx_least_ticks(shift) >> shift >= 2 && vmx_least_ticks(shift) >= 64);
	}
	CHECK_EQ(vmx_least_ticks(5), 64);
}
