/* SPDX-License-Identifier: BSD-2-Clause */
/* Local APICs that the cpu virtualizes: scripted guests beside a fake cpu that delivers and ends interrupts itself. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"
#include "vm/vmap.h"

#define MSR_BASE	0x1bu
#define X2APIC_SVR	0x80fu
#define X2APIC_ON	FAKE_WRMSR(MSR_BASE, 0xfee00d00ul), FAKE_WRMSR(X2APIC_SVR, 0x1fful)

#define START(script)	fixture_start_assisted(script, ARRAY_SIZE(script), 1)
#define X2APIC_ICR	0x830u
#define BUSY		{ .kind = FAKE_BUSY, .ns = 1 }
#define AT(reg)		page[(reg) / 4]

TEST(assisted_order, "the cpu delivers by priority, and neither EOI nor TPR nor delivery exits")
{
	SCRIPT(script, X2APIC_ON, { .kind = FAKE_APIC_TPR, .rax = 0x60 }, FAKE_WRMSR(X2APIC_ICR, 0x40061ul),
	       FAKE_WRMSR(X2APIC_ICR, 0x40072ul), { .kind = FAKE_STI }, BUSY, BUSY, { .kind = FAKE_APIC_EOI }, BUSY,
	       { .kind = FAKE_APIC_TPR }, BUSY, { .kind = FAKE_APIC_EOI }, END);
	struct vm *vm = START(script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fixture_run(3);
	CHECK_STR(vm->reason, "the guest exited with code 0");
	CHECK_EQ(g->taken_count, 2);
	CHECK(g->taken[0].vector == 0x72 && g->taken[0].step == 6);
	CHECK(g->taken[1].vector == 0x61 && g->taken[1].step == 11);
	CHECK_EQ(g->virt.exits[VIRT_EXIT_WRMSR], 4);
	CHECK_EQ(g->virt.exits[VIRT_EXIT_INJECT_WINDOW] + g->virt.exits[VIRT_EXIT_APIC_EOI], 0);
	CHECK_EQ(vm->vcpu[0]->injected, 2);
	CHECK_EQ(vm->vcpu[0]->lapic.eoi_exits, 0);
	fixture_end();
}

TEST(assisted_level, "the EOI of a level-triggered vector exits, and brings the next one while the line is high")
{
	SCRIPT(script, X2APIC_ON, { .kind = FAKE_STI }, FAKE_HLT, { .kind = FAKE_APIC_EOI }, BUSY, FAKE_HLT);
	struct vm *vm = START(script);
	struct fake_virt_vcpu *g = fixture_guest(vm);
	uint64_t value = 0x10 + 2 * 10;

	fixture_run(3);
	CHECK(vm->vcpu[0]->halted);
	CHECK(vplatform_mmio(&vm->platform, 0, gpa(VMAP_IOAPIC_BASE), 4, true, &value));
	value = 0x8045;
	CHECK(vplatform_mmio(&vm->platform, 0, gpa(VMAP_IOAPIC_BASE + 0x10), 4, true, &value));
	vioapic_set(&vm->platform.ioapic, 10, true);
	fixture_run(4);
	CHECK_EQ(g->taken_count, 2);
	CHECK(g->taken[0].vector == 0x45 && g->taken[1].vector == 0x45);
	CHECK_EQ(g->virt.exits[VIRT_EXIT_APIC_EOI], 1);
	CHECK_EQ(vm->vcpu[0]->lapic.eoi_exits, 1);
	CHECK(vm->vcpu[0]->halted && vm->state == VM_RUNNING);
	fixture_end();
}

TEST(assisted_post, "what others send does not touch the page until the vCPU has left the guest, then it is delivered")
{
	SCRIPT(script, X2APIC_ON, { .kind = FAKE_STI });
	struct vm *vm = START(script);
	struct vlapic *l = &vm->vcpu[0]->lapic;
	uint32_t before[VLAPIC_PAGE_BYTES / 4];

	fixture_run(3);
	memcpy(before, l->page, sizeof(before));
	vplatform_ipi(&vm->platform, &(struct vlapic_ipi){ .mode = VAPIC_FIXED, .vector = 0x55 });
	vplatform_ipi(&vm->platform, &(struct vlapic_ipi){ .mode = VAPIC_FIXED, .vector = 0x99, .level = true });
	CHECK_EQ(memcmp(before, l->page, sizeof(before)), 0);
	fixture_run(3);
	CHECK_EQ(fixture_guest(vm)->taken_count, 1);
	CHECK_EQ(fixture_guest(vm)->taken[0].vector, 0x99);
	CHECK_EQ(l->AT(0x220), 1u << (0x55 - 0x40));
	CHECK_EQ(l->AT(0x140), 1u << (0x99 - 0x80));
	fixture_end();
}

TEST(assisted_write, "registers written in the xAPIC's page do what they do, and keep what is read-only")
{
	SCRIPT(script, { .kind = FAKE_APIC_WRITE, .rax = 0x1ff, .info = { .offset = 0xf0 } },
	       { .kind = FAKE_APIC_WRITE, .rax = 0x77000000, .info = { .offset = 0x20 } },
	       { .kind = FAKE_APIC_WRITE, .rax = 0x1234, .info = { .offset = 0xe0 } },
	       { .kind = FAKE_APIC_WRITE, .rax = 0x5030, .info = { .offset = 0x320 } },
	       { .kind = FAKE_APIC_WRITE, .rax = 0x40005, .info = { .offset = 0x300 } },
	       { .kind = FAKE_APIC_WRITE, .rax = 0, .info = { .offset = 0x280 } },
	       { .kind = FAKE_APIC_WRITE, .rax = 1000, .info = { .offset = 0x380 } },
	       { .kind = FAKE_STI }, { .kind = FAKE_BUSY, .ns = 50000000 });
	struct vm *vm = START(script);
	struct fake_virt_vcpu *g = fixture_guest(vm);
	struct vlapic *l = &vm->vcpu[0]->lapic;

	fixture_run(9);
	CHECK_EQ(g->taken_count, 1);
	CHECK(g->taken[0].vector == 0x30 && g->taken[0].at_ns >= 1000);
	CHECK(vlapic_has(l, VLAPIC_ACCEPTING) && g->apic_mode == VIRT_XAPIC);
	CHECK_EQ(l->AT(0x20), 0);
	CHECK_EQ(l->AT(0xe0), 0x0fffffff);
	CHECK_EQ(l->AT(0x320), 0x30);
	CHECK_EQ(l->AT(0x280), 0x20);		/* vector 5 was illegal to send */
	CHECK_EQ(g->virt.exits[VIRT_EXIT_APIC_WRITE], 7);
	fixture_end();
}

TEST(assisted_modes, "the cpu follows the APIC's mode, which INIT keeps and which off and on again resets")
{
	SCRIPT(script, X2APIC_ON, FAKE_WRMSR(X2APIC_ICR, 0x40061ul), FAKE_WRMSR(MSR_BASE, 0xfee00100ul),
	       FAKE_WRMSR(MSR_BASE, 0xfee00900ul), { .kind = FAKE_STI });
	SCRIPT(second, X2APIC_ON, FAKE_WRMSR(X2APIC_ICR, 0x40061ul));
	struct vlapic_ipi init = { .mode = VAPIC_INIT, .dest = 1 }, startup = { .mode = VAPIC_STARTUP, .dest = 1, .vector = 1 };
	struct vm *vm = START(script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fixture_run(3);
	CHECK_EQ(g->apic_mode, VIRT_XAPIC);
	CHECK_EQ(g->rvi, 0);
	CHECK_EQ(g->taken_count, 0);
	fixture_end();
	vm = fixture_start_assisted(second, ARRAY_SIZE(second), 2);
	g = fake_virt_of(vm->vcpu[1]->virt);
	vplatform_ipi(&vm->platform, &init);
	vplatform_ipi(&vm->platform, &startup);
	fixture_run(4);
	CHECK(g->apic_mode == VIRT_X2APIC && g->rvi == 0x61);
	fake_virt_script(NULL, 0);
	vplatform_ipi(&vm->platform, &init);
	fixture_run(3);
	vplatform_ipi(&vm->platform, &startup);
	fixture_run(4);
	CHECK(g->resets == 2 && g->apic_mode == VIRT_X2APIC && g->rvi == 0);
	CHECK_EQ(vm->vcpu[1]->lapic.AT(0xf0), 0xff);
	fixture_end();
}
