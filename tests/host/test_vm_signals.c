/* SPDX-License-Identifier: BSD-2-Clause */
/* NMIs, INIT and SIPI: what they end, where they wait, and what they find. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"

#define MAKE(cpus, script)	fixture_make(cpus, script, ARRAY_SIZE(script))
#define X2APIC_ON	FAKE_WRMSR(0x1b, 0xfee00d00ul), FAKE_WRMSR(0x80f, 0x1fful)
#define START(cpus, script)	fixture_start_script(cpus, script, ARRAY_SIZE(script))

TEST(nmi, "an NMI ends any halt, also one with interrupts off")
{
	SCRIPT(script, { .kind = FAKE_CLI }, FAKE_HLT, END);
	struct vm *vm = START(2, script);

	fixture_run(3);
	CHECK(vm->vcpu[0]->halted && vm->state == VM_RUNNING);
	fake_be_cpu(0);
	vcpu_nmi(vm->vcpu[0]);
	fixture_run(4);
	CHECK_EQ(fixture_guest(vm)->taken[0].vector, 2);
	CHECK_EQ(fixture_guest(vm)->taken_count, 1);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
}

/* A guest that is about to execute the script with an NMI requested, in the state given. */
static struct vm *with_nmi(const struct fake_step *script, unsigned count, bool shadow, bool in_nmi)
{
	struct vm *vm = fixture_start_script(1, script, count);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	g->interrupts = true;
	g->shadow = shadow;
	g->in_nmi = in_nmi;
	vcpu_nmi(vm->vcpu[0]);
	return vm;
}

TEST(nmi_shadow, "an NMI that finds STI's shadow comes behind it: a HLT there does not sleep over it, nor does a CLI hide it")
{
	SCRIPT(halt, FAKE_HLT, { .kind = FAKE_BUSY, .ns = 1 }, END);
	SCRIPT(cli, { .kind = FAKE_CLI }, { .kind = FAKE_BUSY, .ns = 50000 }, END);
	SCRIPT(busy, { .kind = FAKE_BUSY, .ns = 50000 }, END);
	static const struct { const struct fake_step *script; unsigned count, late_ns; } row[] = {
		{ halt, ARRAY_SIZE(halt), 0 }, { cli, ARRAY_SIZE(cli), 5000 }, { busy, ARRAY_SIZE(busy), 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		struct vm *vm = with_nmi(row[i].script, row[i].count, true, false);
		struct fake_virt_vcpu *g = fixture_guest(vm);

		fixture_run(5);
		CHECK_EQ(vm->state, VM_STOPPED);
		CHECK_EQ(g->taken_count, 1);
		CHECK_EQ(g->taken[0].vector, 2);
		CHECK(g->taken[0].at_ns - vm->start_ns <= row[i].late_ns);
		CHECK(g->virt.exits[VIRT_EXIT_TIMER] <= 1 && g->virt.exits[VIRT_EXIT_INJECT_WINDOW] <= 1);
		fixture_end();
	}
}

TEST(nmi_held, "an NMI that another's handler holds back ends no HLT there; an interrupt does, and then it comes")
{
	SCRIPT(script, X2APIC_ON, FAKE_HLT, { .kind = FAKE_BUSY, .ns = 1 }, END);
	struct vm *vm = with_nmi(script, ARRAY_SIZE(script), false, true);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fixture_run(5);
	vcpu_kick(vm->vcpu[0]);
	fixture_run(5);
	CHECK(vm->vcpu[0]->halted && g->taken_count == 0 && !vm->vcpu[0]->entity.runnable);
	g->in_nmi = false;
	vplatform_ipi(&vm->platform, &(struct vlapic_ipi){ .mode = VAPIC_FIXED, .vector = 0x55 });
	fixture_run(5);
	CHECK_EQ(g->taken_count, 2);
	CHECK(g->taken[0].vector == 2 && g->taken[1].vector == 0x55);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
}

TEST(nmi_init, "INIT forgets an NMI that was still to come")
{
	SCRIPT(script, { .kind = FAKE_SPIN });
	struct vlapic_ipi init = { .mode = VAPIC_INIT, .dest = 1 }, startup = { .mode = VAPIC_STARTUP, .dest = 1, .vector = 1 };
	struct fake_virt_vcpu *second;
	struct vm_config c;
	struct vm *vm;

	MAKE(2, script);
	c = fixture_config("v");
	c.vcpus = 2;
	vm = fixture_start(&c);
	second = fake_virt_of(vm->vcpu[1]->virt);
	for (unsigned i = 0; i < 2; i++) {
		vplatform_ipi(&vm->platform, &init);
		vplatform_ipi(&vm->platform, &startup);
		fixture_run(4);
		CHECK(second->resets == i + 1 && second->taken_count == 0);
		second->in_nmi = i == 0;
		vcpu_nmi(vm->vcpu[1]);
		fixture_run(3);
		CHECK_EQ(second->taken_count, i);
		second->in_nmi = false;
	}
	fixture_end();
}

TEST(hlt_step, "HLT under TF does not halt, as a debug exception ends it")
{
	SCRIPT(script, FAKE_HLT, END);
	struct vm *vm = START(1, script);

	fixture_guest(vm)->rflags |= 1u << 8;
	fixture_run(4);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
}

TEST(sipi, "a second vCPU waits for INIT and SIPI, starts once in real mode at the page named, and INIT ends it again")
{
	SCRIPT(script, { .kind = FAKE_SPIN });
	struct vlapic_ipi init = { .mode = VAPIC_INIT, .dest = 1 }, startup = { .mode = VAPIC_STARTUP, .dest = 1, .vector = 0x9a };
	struct vm_config c;
	struct vm *vm;
	struct fake_virt_vcpu *second;

	MAKE(2, script);
	c = fixture_config("v");
	c.vcpus = 2;
	vm = fixture_start(&c);
	second = fake_virt_of(vm->vcpu[1]->virt);
	fixture_run(3);
	CHECK_EQ(second->runs, 0);
	vplatform_ipi(&vm->platform, &init);
	vplatform_ipi(&vm->platform, &startup);
	vplatform_ipi(&vm->platform, &startup);
	fixture_run(4);
	CHECK(second->runs > 0);
	CHECK_EQ(second->resets, 1);
	CHECK_EQ(second->start.mode, VIRT_MODE_REAL);
	CHECK_EQ(second->start.cs_selector, 0x9a00);
	vplatform_ipi(&vm->platform, &startup);		/* to one that runs: nothing */
	fixture_run(3);
	CHECK_EQ(second->resets, 1);
	vplatform_ipi(&vm->platform, &init);
	fixture_run(3);
	CHECK(!vm->vcpu[1]->entity.runnable && vm->state == VM_RUNNING);
	vplatform_ipi(&vm->platform, &startup);
	fixture_run(3);
	CHECK_EQ(second->resets, 2);
	fixture_end();
}

static struct vm *racing;

static void startup_meanwhile(void)
{
	struct vlapic_ipi startup = { .mode = VAPIC_STARTUP, .dest = 1, .vector = 0x9a };

	fake_virt_on_put = NULL;
	vplatform_ipi(&racing->platform, &startup);
}

TEST(sipi_race, "a SIPI that comes while the vCPU takes an INIT starts it")
{
	SCRIPT(script, { .kind = FAKE_SPIN });
	struct vlapic_ipi init = { .mode = VAPIC_INIT, .dest = 1 }, startup = { .mode = VAPIC_STARTUP, .dest = 1, .vector = 0x9a };
	struct vm_config c;

	MAKE(2, script);
	c = fixture_config("v");
	c.vcpus = 2;
	racing = fixture_start(&c);
	vplatform_ipi(&racing->platform, &init);
	vplatform_ipi(&racing->platform, &startup);
	fixture_run(4);
	CHECK_EQ(fake_virt_of(racing->vcpu[1]->virt)->resets, 1);
	vplatform_ipi(&racing->platform, &init);
	fake_virt_on_put = startup_meanwhile;
	fixture_run(4);
	CHECK(fake_virt_on_put == NULL);
	CHECK_EQ(fake_virt_of(racing->vcpu[1]->virt)->resets, 2);
	fixture_end();
}
