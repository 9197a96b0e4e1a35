/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's timers under a storm of exits: kept as absolute times, so that nothing shifts them.
 * Scripted guests, exact clocks. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"
#include "vm/vcpuid.h"

#define X2APIC_ON       FAKE_WRMSR(0x1bul, 0xfee00d00ul), FAKE_WRMSR(0x80ful, 0x1fful)
#define LVT_TIMER(mode) FAKE_WRMSR(0x832ul, (mode) << 17 | 0x41ul)
#define DIVIDE_BY_1     FAKE_WRMSR(0x83eul, 0xbul)
#define COUNT(n)        FAKE_WRMSR(0x838ul, n)
#define STEP_NS         130ul

/* Some time, then exits that look at interrupts and one that does not; EOI for what came. */
#define STORM1                                                                                     \
	{ .kind = FAKE_BUSY, .ns = STEP_NS }, { .exit = VIRT_EXIT_CPUID, .rax = 0x40000000 },      \
		FAKE_IN(0x61, 1), FAKE_OUT(0x20, 1, 0x20), FAKE_WRMSR(0x80bul, 0ul)
#define STORM8   STORM1, STORM1, STORM1, STORM1, STORM1, STORM1, STORM1, STORM1
#define STORM    STORM8, STORM8, STORM8, STORM8, STORM8, STORM8
#define STORM_NS (48 * STEP_NS)
#define SLICE_NS (10 * NS_PER_MS)	/* of rr, which the fixture's pool has */

#define RUN(assisted, name) run(assisted, name, ARRAY_SIZE(name))

/* Runs a script from its time 0 past its end. */
static const struct fake_virt_vcpu *run(bool assisted, const struct fake_step *script,
					unsigned count)
{
	struct vm_config c;
	struct vm *vm;

	fixture_make(1, script, count);
	fake_virt_apic = assisted;
	c = fixture_config("v");
	vm = fixture_start(&c);
	fixture_run(12);
	CHECK_EQ(vm->state, VM_RUNNING);
	return fixture_guest(vm);
}

static uint64_t taken_ns(const struct fake_virt_vcpu *g, unsigned i)
{
	const struct vcpu *v = g->virt.owner;

	CHECK(i < g->taken_count);
	return g->taken[i].at_ns - v->vm->start_ns;
}

TEST(one_shot,
     "a one-shot count and a TSC deadline fire at their time whatever the guest exits for, once")
{
	SCRIPT(one_shot, X2APIC_ON, DIVIDE_BY_1, LVT_TIMER(0ul), COUNT(1000ul),
	       { .kind = FAKE_STI }, STORM);
	SCRIPT(deadline, X2APIC_ON, LVT_TIMER(2ul), FAKE_WRMSR(0x6e0ul, 8001ul),
	       { .kind = FAKE_STI }, STORM);
	const struct fake_virt_vcpu *g;

	for (unsigned assisted = 0; assisted <= 1; assisted++) {
		g = RUN(assisted == 1, one_shot);
		CHECK_EQ(taken_ns(g, 0), 1000 * VCPUID_TSC_PER_CRYSTAL / FAKE_TSC_PER_NS);
		CHECK_EQ(g->taken_count, 1);
		fixture_end();
		g = RUN(assisted == 1, deadline);
		CHECK_EQ(taken_ns(g, 0), 8001 / FAKE_TSC_PER_NS + 1);
		CHECK_EQ(g->taken_count, 1);
		fixture_end();
	}
}

TEST(lead, "a cpu that comes before the deadline, by the lead it keeps, waits: the interrupt is not early and the lead shrinks")
{
	SCRIPT(busy, X2APIC_ON, LVT_TIMER(2ul), { .kind = FAKE_STI }, FAKE_WRMSR(0x6e0ul, 8000ul), STORM);
	SCRIPT(halt, X2APIC_ON, LVT_TIMER(2ul), { .kind = FAKE_STI }, FAKE_WRMSR(0x6e0ul, 8000ul), FAKE_HLT, STORM);

	for (unsigned halted = 0; halted <= 1; halted++) {
		struct vm_config c;
		struct vcpu *v;

		fixture_make(1, halted ? halt : busy, halted ? ARRAY_SIZE(halt) : ARRAY_SIZE(busy));
		c = fixture_config("v");
		v = fixture_start(&c)->vcpu[0];
		v->lead_tsc[halted ? VCPU_LEAD_HALTED : VCPU_LEAD_RUNNING] = 800;
		for (unsigned i = 0; i < 20; i++) {
			fixture_run(1);
			fake.now_ns = MAX(fake.now_ns, MIN(timer_next(&cpu_get(0)->timers), fake.now_ns + 1000));
		}
		CHECK_EQ(fake_virt_of(v->virt)->taken_count, 1);
		CHECK_EQ(taken_ns(fake_virt_of(v->virt), 0), 8000 / FAKE_TSC_PER_NS);
		CHECK(v->lead_tsc[halted ? VCPU_LEAD_HALTED : VCPU_LEAD_RUNNING] < 800);
		fixture_end();
	}
}

TEST(lead_neighbour, "what a vCPU came late because another had the cpu is no part of the way, and its lead does not grow by it")
{
	/* The other one has the cpu until 400 ns after the deadline: the halted one is woken meanwhile, the busy one is preempted. */
	SCRIPT(halt, X2APIC_ON, LVT_TIMER(2ul), { .kind = FAKE_STI }, FAKE_WRMSR(0x6e0ul, 8000ul), FAKE_HLT, STORM);
	SCRIPT(busy, X2APIC_ON, LVT_TIMER(2ul), { .kind = FAKE_STI }, FAKE_WRMSR(0x6e0ul, (SLICE_NS + 4000) * FAKE_TSC_PER_NS),
	       { .kind = FAKE_BUSY, .ns = 2 * SLICE_NS });
	SCRIPT(other, { .kind = FAKE_BUSY, .ns = 4400 }, FAKE_HLT);

	for (unsigned halted = 0; halted <= 1; halted++) {
		struct vm_config a, b;
		struct vcpu *v;

		fixture_make(1, halted ? halt : busy, halted ? ARRAY_SIZE(halt) : ARRAY_SIZE(busy));
		a = fixture_config("a");
		b = fixture_config("b");
		v = fixture_start(&a)->vcpu[0];
		fake_virt_script(other, ARRAY_SIZE(other));
		(void)fixture_start(&b);
		for (unsigned i = 0; i < 20 && fake_virt_of(v->virt)->taken_count == 0; i++) {
			fixture_run(1);
		}
		CHECK_EQ(taken_ns(fake_virt_of(v->virt), 0), (halted ? 0 : SLICE_NS) + 4400);
		CHECK_EQ(v->lead_tsc[halted ? VCPU_LEAD_HALTED : VCPU_LEAD_RUNNING], 0);
		fixture_end();
	}
}

TEST(periodic, "a periodic count keeps its grid through the storm: no expiry is early, none is "
	       "more than one step late")
{
	/* 100 counts of 8 TSC ticks: 400 ns would be thinned; 10.4 us are not. */
	SCRIPT(script, X2APIC_ON, DIVIDE_BY_1, LVT_TIMER(1ul), COUNT(2600ul), { .kind = FAKE_STI },
	       STORM, STORM, STORM, STORM, STORM, STORM, STORM, STORM);
	const uint64_t period = 2600 * VCPUID_TSC_PER_CRYSTAL / FAKE_TSC_PER_NS;
	const struct fake_virt_vcpu *g = RUN(false, script);

	CHECK(g->taken_count >= 8 * STORM_NS / period);
	for (unsigned i = 0; i < 8 * STORM_NS / period; i++) {
		CHECK_EQ(taken_ns(g, i), (i + 1) * period);
	}
	fixture_end();
}

TEST(pit, "the 8254's rate generator keeps its grid through the storm, by the 8259")
{
	SCRIPT(script, X2APIC_ON, FAKE_OUT(0x20, 1, 0x11), FAKE_OUT(0x21, 1, 0x20),
	       FAKE_OUT(0x21, 1, 4), FAKE_OUT(0x21, 1, 1), FAKE_OUT(0x21, 1, 0xfe),
	       FAKE_OUT(0x43, 1, 0x34), FAKE_OUT(0x40, 1, 12), FAKE_OUT(0x40, 1, 0),
	       { .kind = FAKE_STI }, STORM, STORM, STORM, STORM, STORM, STORM, STORM, STORM);
	const struct fake_virt_vcpu *g = RUN(false, script);
	uint64_t first = taken_ns(g, 0), hz = 1193182;

	/* Loaded at the tick after the write, a rate generator's output rises count ticks later. */
	CHECK(first * hz >= 12 * NS_PER_S && first * hz < 14 * NS_PER_S);
	CHECK(g->taken_count >= 4);
	for (unsigned i = 1; i < g->taken_count; i++) {
		uint64_t at = (taken_ns(g, i) - first) * hz;

		CHECK_EQ(g->taken[i].vector, 0x20);
		CHECK(at + hz >= i * 12 * NS_PER_S && at <= i * 12 * NS_PER_S + hz);
	}
	fixture_end();
}

TEST(pit_by_another, "an 8254 that another vCPU starts wakes the halted one in time that its interrupts go to")
{
	SCRIPT(script, X2APIC_ON, FAKE_OUT(0x20, 1, 0x11), FAKE_OUT(0x21, 1, 0x20), FAKE_OUT(0x21, 1, 4),
	       FAKE_OUT(0x21, 1, 1), FAKE_OUT(0x21, 1, 0xfe), { .kind = FAKE_STI }, FAKE_HLT, FAKE_HLT);
	static const struct { uint16_t port; uint32_t value; } start[] = { { 0x43, 0x34 }, { 0x40, 0 }, { 0x40, 1 } };
	const struct fake_virt_vcpu *g;
	struct vm_config c;
	struct vm *vm;

	fixture_make(2, script, ARRAY_SIZE(script));
	c = fixture_config("v");
	vm = fixture_start(&c);
	g = fixture_guest(vm);
	fixture_run(3);
	CHECK(vm->vcpu[0]->halted && g->taken_count == 0);
	fake_be_cpu(1);
	for (unsigned i = 0; i < ARRAY_SIZE(start); i++) {
		uint32_t value = start[i].value;

		CHECK(vplatform_port(&vm->platform, start[i].port, 1, true, &value));
	}
	fake_be_cpu(0);
	fixture_idle(3);
	CHECK(g->taken_count >= 1);
	fixture_end();
}

TEST(wrap, "a deadline that the guest's TSC wraps around before, unseen, is far away again and costs "
	   "no time")
{
	SCRIPT(script, X2APIC_ON, LVT_TIMER(2ul), FAKE_WRMSR(0x10ul, UINT64_MAX - NS_PER_S),
	       FAKE_WRMSR(0x6e0ul, UINT64_MAX - 1), { .kind = FAKE_STI }, FAKE_HLT, FAKE_HLT);
	const struct fake_virt_vcpu *g = RUN(false, script);

	fake.now_ns += NS_PER_S;	/* nobody looks while the deadline passes */
	fixture_run(3);
	CHECK(g->virt.deadline_tsc > virt_host_tsc() + NS_PER_S);
	CHECK_EQ(g->taken_count, 0);
	fixture_end();
}

TEST(halted,
     "a guest that waits in HLT for its timer uses no time of its cpu and is awake at its deadline")
{
	SCRIPT(script, X2APIC_ON, LVT_TIMER(2ul), FAKE_WRMSR(0x6e0ul, 2 * NS_PER_S),
	       { .kind = FAKE_STI }, FAKE_HLT, FAKE_HLT);
	const struct fake_virt_vcpu *g = RUN(false, script);
	struct vcpu *v = g->virt.owner;
	uint64_t used = pool_entity_times(&v->entity).run_ns;

	for (unsigned i = 0; i < 50; i++) {
		fake.now_ns += 10 * NS_PER_MS;
		fixture_run(1);
	}
	CHECK_EQ(pool_entity_times(&v->entity).run_ns, used);
	CHECK_EQ(g->taken_count, 0);
	fixture_idle(3);
	CHECK(taken_ns(g, 0) >= NS_PER_S && taken_ns(g, 0) <= NS_PER_S + 2);
	fixture_end();
}

TEST(far, "a halted guest whose deadline is too far for nanoseconds sleeps: its cpu is not woken for it")
{
	SCRIPT(script, X2APIC_ON, LVT_TIMER(2ul), FAKE_WRMSR(0x6e0ul, 1ul << 63), { .kind = FAKE_STI }, FAKE_HLT, FAKE_HLT);
	struct vm_config c;
	struct vcpu *v;

	fixture_make(1, script, ARRAY_SIZE(script));
	fake_virt_never_tsc = 1ul << 62;
	c = fixture_config("v");
	v = fixture_start(&c)->vcpu[0];
	fixture_run(3);
	CHECK(v->halted);
	CHECK(!timer_is_set(&v->timer));
	fixture_end();
}

/* The I/O APIC's pin of the 8254 gets that entry, and channel 0 one count after another. */
static void start_pit(struct vm *vm, uint32_t low, uint32_t high)
{
	const struct { unsigned reg; uint32_t value; } entry[] = { { 0x15, high }, { 0x14, low } };
	const struct { uint16_t port; uint32_t value; } count[] = { { 0x43, 0x34 }, { 0x40, 0 }, { 0x40, 1 } };

	for (unsigned i = 0; i < ARRAY_SIZE(entry); i++) {
		uint64_t reg = entry[i].reg, value = entry[i].value;

		CHECK(vplatform_mmio(&vm->platform, 0, gpa(0xfec00000), 4, true, &reg));
		CHECK(vplatform_mmio(&vm->platform, 0, gpa(0xfec00010), 4, true, &value));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(count); i++) {
		uint32_t value = count[i].value;

		CHECK(vplatform_port(&vm->platform, count[i].port, 1, true, &value));
	}
}

TEST(pit_for_another, "an 8254 goes on for another vCPU, never early, while the first is halted with interrupts off")
{
	SCRIPT(script, X2APIC_ON, FAKE_HLT);
	struct vlapic_ipi init = { .mode = VAPIC_INIT, .dest = 1 }, startup = { .mode = VAPIC_STARTUP, .dest = 1, .vector = 1 };
	struct vm_config c;
	uint64_t due_ns;
	struct vm *vm;

	fixture_make(2, script, ARRAY_SIZE(script));
	c = fixture_config("v");
	c.vcpus = 2;
	vm = fixture_start(&c);
	vplatform_ipi(&vm->platform, &init);
	vplatform_ipi(&vm->platform, &startup);
	fixture_run(5);
	CHECK(vm->vcpu[0]->halted && vm->vcpu[1]->halted);
	vm->vcpu[0]->lead_tsc[VCPU_LEAD_HALTED] = 800;
	start_pit(vm, 0x45, 1u << 24);
	fixture_run(2);
	due_ns = vm->start_ns + vplatform_deadline(&vm->platform);
	for (unsigned i = 0; i < 3 && (atomic_load(&vm->vcpu[1]->lapic.shared.posted[2]) & 1u << 5) == 0; i++) {
		fixture_idle(1);
	}
	CHECK((atomic_load(&vm->vcpu[1]->lapic.shared.posted[2]) & 1u << 5) != 0);
	CHECK(due_ns > vm->start_ns && fake.now_ns >= due_ns);
	fixture_end();
}

TEST(pit_nmi, "an 8254 wired as an NMI wakes a vCPU that halted with interrupts off")
{
	SCRIPT(script, X2APIC_ON, FAKE_HLT, FAKE_OUT(0xf4, 1, 0));
	struct vm_config c;
	struct vm *vm;

	fixture_make(1, script, ARRAY_SIZE(script));
	c = fixture_config("v");
	vm = fixture_start(&c);
	fixture_run(3);
	CHECK(vm->vcpu[0]->halted);
	start_pit(vm, 0x400, 0);
	fixture_run(2);
	fixture_idle(4);
	CHECK(fixture_guest(vm)->taken_count >= 1 && fixture_guest(vm)->taken[0].vector == 2);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
}
