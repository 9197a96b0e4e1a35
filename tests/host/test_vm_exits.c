/* SPDX-License-Identifier: BSD-2-Clause */
/* What exits do: scripted guests through vm/'s own handler table, timers, interrupts and typed bytes. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"
#include "vm/vmap.h"
#include "vm/vmsr.h"

#define MAKE(cpus, script)	fixture_make(cpus, script, ARRAY_SIZE(script))

#define LAPIC_SVR	0xf0u
#define X2APIC_EOI	0x80bu
#define X2APIC_SVR	0x80fu
#define X2APIC_SELF	0x83fu
#define X2APIC_LVT_TIMER 0x832u
#define X2APIC_DCR	0x83eu
#define X2APIC_COUNT	0x838u
#define MSR_BASE	0x1bu
#define MSR_DEADLINE	0x6e0u
#define X2APIC_ON	FAKE_WRMSR(MSR_BASE, 0xfee00d00ul), FAKE_WRMSR(X2APIC_SVR, 0x1fful)

#define START(cpus, script)	fixture_start_script(cpus, script, ARRAY_SIZE(script))

TEST(registers, "CPUID, RDMSR, WRMSR, IN and a hypercall change the registers they should and go on")
{
	SCRIPT(script, { .exit = VIRT_EXIT_CPUID, .rax = 0x40000000 }, { .exit = VIRT_EXIT_CPUID, .rax = 1 },
	       { .exit = VIRT_EXIT_HYPERCALL, .rax = 0 }, { .exit = VIRT_EXIT_HYPERCALL, .rax = 77 }, FAKE_RDMSR(0x3a),
	       FAKE_WRMSR(0xc0000080, 0x500ul), FAKE_RDMSR(0xc0000080), FAKE_RDMSR(MSR_BASE),
	       { .exit = VIRT_EXIT_IO, .rax = 0x1122334455667788, .info = { .io = VIRT_IO(0x1234, 1) | VIRT_IO_IN } },
	       { .exit = VIRT_EXIT_IO, .rax = 0x1122334455667788, .info = { .io = VIRT_IO(0x1234, 2) | VIRT_IO_IN } },
	       { .exit = VIRT_EXIT_IO, .rax = 0x1122334455667788, .info = { .io = VIRT_IO(0x1234, 4) | VIRT_IO_IN } },
	       { .exit = VIRT_EXIT_IO, .rax = 0x1122334455667788, .info = { .io = VIRT_IO(0x3fd, 1) | VIRT_IO_IN } },
	       FAKE_OUT(0x80, 1, 0x55), FAKE_SIMPLE(WBINVD), { .exit = VIRT_EXIT_XSETBV, .rax = 7 }, END);
	struct vm *vm = START(1, script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fixture_run(3);
	CHECK_STR(vm->reason, "the guest exited with code 0");
	CHECK_EQ(g->taken_count, 0);
	CHECK_EQ(g->result[0][1], 0x6e726154);			/* "Tarn" */
	CHECK((g->result[1][2] & 1u << 31) != 0);
	CHECK_EQ(g->result[2][0], 1);
	CHECK_EQ(g->result[3][0], UINT64_MAX);
	CHECK_EQ(g->result[4][0], 1);
	CHECK_EQ(g->result[6][0], 0x500);
	CHECK_EQ(g->result[7][0], 0xfee00900);
	CHECK_EQ(g->result[7][3], 0);
	CHECK_EQ(g->result[8][0], 0x11223344556677ff);
	CHECK_EQ(g->result[9][0], 0x112233445566ffff);
	CHECK_EQ(g->result[10][0], 0xffffffff);
	CHECK_EQ(g->result[11][0] & 0xff, 0x60);
	CHECK_EQ(g->xcr0, 7);
	fixture_end();
}

TEST(unknown_msr, "an unknown MSR is #GP, counted each time and told once for each number")
{
	SCRIPT(script, FAKE_RDMSR(0x1234), FAKE_WRMSR(0x4321, 1ul), FAKE_RDMSR(0x1234), FAKE_RDMSR(0x830), END);
	struct vm *vm = START(1, script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fixture_run(3);
	CHECK_EQ(g->taken_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(g->taken[i].exception && g->taken[i].vector == 13 && g->taken[i].error == 0);
	}
	CHECK_EQ(atomic_load(&vm->unknown_msrs), 3);		/* 0x830 is known, but not in this mode */
	CHECK_EQ(fixture_times("vm v: RDMSR of unknown MSR 0x1234: #GP"), 1);
	CHECK_EQ(fixture_times("vm v: WRMSR of unknown MSR 0x4321: #GP"), 1);
	CHECK_EQ(fixture_times("unknown MSR"), 2);
	fixture_end();
}

static struct virt_cpuid without_speculation(uint32_t leaf, uint32_t subleaf)
{
	return (struct virt_cpuid){ 0x16, ~0u, ~0u, leaf == 7 ? 0 : ~0u };
}

TEST(speculation, "IA32_SPEC_CTRL is the vCPU's own and IA32_ARCH_CAPABILITIES its cpu's, where there are any")
{
	SCRIPT(script, FAKE_WRMSR(0x48, 5ul), FAKE_RDMSR(0x48), FAKE_RDMSR(0x10a), FAKE_WRMSR(0x48, 1ul << 9), FAKE_WRMSR(0x10a, 0ul),
	       FAKE_RDMSR(0x49), FAKE_RDMSR(0x48), END);
	struct vm *vm = START(1, script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fake_virt_capabilities = 0x8000000000000ab;
	fixture_run(3);
	CHECK_EQ(g->result[1][0], 5);
	CHECK_EQ(g->result[2][0], 0x2b);
	CHECK_EQ(g->result[2][3], 0);
	CHECK_EQ(g->taken_count, 3);
	CHECK_EQ(g->result[6][0], 5);
	CHECK_EQ(g->spec_ctrl, 5);
	CHECK_EQ(fixture_times("unknown MSR"), 1);	/* reading PRED_CMD */
	fixture_end();
	START(1, script);
	fake_virt_cpuid = without_speculation;
	fixture_run(3);
	CHECK_EQ(fixture_times("of unknown MSR 0x48: #GP"), 1);
	CHECK_EQ(fixture_times("of unknown MSR 0x10a: #GP"), 1);
	fixture_end();
}

TEST(refusals, "what a guest may not do is #GP or #UD, and it goes on")
{
	SCRIPT(script, FAKE_WRMSR(0x3a, 5ul), FAKE_WRMSR(0xc0000080, 1ul << 40), { .exit = VIRT_EXIT_XSETBV, .rax = 6 },
	       { .exit = VIRT_EXIT_XSETBV, .rax = 1, .rcx = 1 }, FAKE_SIMPLE(INVALID_OP),
	       { .exit = VIRT_EXIT_CR, .info = { .write = true, .qualification = 16 } },
	       FAKE_SIMPLE(RDPMC), END);
	static const uint8_t vectors[] = { 13, 13, 13, 13, 6, 13, 13 };
	struct vm *vm = START(1, script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fixture_run(3);
	CHECK_STR(vm->reason, "the guest exited with code 0");
	CHECK_EQ(g->taken_count, ARRAY_SIZE(vectors));
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		CHECK_EQ(g->taken[i].vector, vectors[i]);
	}
	fixture_end();
}

TEST(bus_lock, "a guest that does nothing but lock the bus does it once in 100 us")
{
	SCRIPT(script, FAKE_SIMPLE(BUS_LOCK));		/* RIP stays: the fake does it again and again */
	struct vm *vm = START(1, script);
	uint64_t start_ns = fake.now_ns, locks;

	fixture_run(2);
	fixture_idle(20);
	locks = vm->vcpu[0]->virt->exits[VIRT_EXIT_BUS_LOCK];
	CHECK(locks >= 20 && vm->state == VM_RUNNING);
	CHECK(fake.now_ns - start_ns >= (locks - 1) * 100000);
	CHECK_EQ(fixture_guest(vm)->taken_count, 0);
	fixture_end();
}

TEST(bus_lock_woken, "who sends interrupts, NMIs or INIT and SIPI to a vCPU that locks the bus does not shorten its pauses")
{
	SCRIPT(script, FAKE_SIMPLE(BUS_LOCK));
	struct vlapic_ipi init = { .mode = VAPIC_INIT, .dest = 1 }, startup = { .mode = VAPIC_STARTUP, .dest = 1, .vector = 1 };
	uint64_t start_ns, locks;
	struct vm_config c;
	struct vm *vm;

	MAKE(2, script);
	c = fixture_config("v");
	c.vcpus = 2;
	vm = fixture_start(&c);
	start_ns = fake.now_ns;
	for (unsigned i = 0; i < 200; i++) {
		vcpu_kick(vm->vcpu[0]);
		if (i < 40) {			/* the fake notes 64 */
			vcpu_nmi(vm->vcpu[0]);
		}
		vplatform_ipi(&vm->platform, &init);
		vplatform_ipi(&vm->platform, &startup);
		fixture_run(2);
		fake.now_ns += 10000;
	}
	for (unsigned i = 0; i < 2; i++) {
		locks = vm->vcpu[i]->virt->exits[VIRT_EXIT_BUS_LOCK];
		CHECK(locks >= 15 && locks <= (fake.now_ns - start_ns) / 100000 + 1);
	}
	CHECK_EQ(vm->state, VM_RUNNING);
	fixture_end();
}

/* New lines in the log since `from` that hold words. */
static unsigned log_lines(uint64_t from, const char *words)
{
	char line[LOG_LINE_MAX + 1];
	unsigned n = 0;

	for (size_t len; from < log_end() && log_read(&from, line, &len);) {
		line[len] = '\0';
		n += strstr(line, words) != NULL;
	}
	return n;
}

TEST(unknown_msrs, "of a sweep 256 MSRs are named once each, and once that the rest is only counted; another VM has its own")
{
	SCRIPT(script, { .kind = FAKE_STI });
	struct vm *vm = START(1, script);
	struct vm_config c = fixture_config("w");
	unsigned named = 0, rest = 0;
	uint64_t value;

	for (uint32_t i = 0; i < 3 * 512; i++) {
		uint64_t from = log_end();

		CHECK(!vmsr_read(vm->vcpu[0], 0x1000 + i % 512 * 0x10001, &value));
		named += log_lines(from, "vm v: RDMSR of unknown MSR 0x");
		rest += log_lines(from, "vm v: 256 unknown MSRs named");
		CHECK(i != 255 || named == 256);
	}
	CHECK_EQ(named, 256);
	CHECK_EQ(rest, 1);
	CHECK_EQ(atomic_load(&vm->unknown_msrs), 3 * 512);
	CHECK(!vmsr_read(fixture_start(&c)->vcpu[0], 0x1000, &value));
	CHECK_EQ(fixture_times("vm w: RDMSR of unknown MSR 0x1000: #GP"), 1);
	fixture_end();
}

TEST(hlt_if, "HLT with interrupts on blocks until one comes; with one waiting it does not block")
{
	SCRIPT(script, X2APIC_ON, { .kind = FAKE_STI }, FAKE_HLT, END);
	SCRIPT(waiting, X2APIC_ON, FAKE_WRMSR(X2APIC_SELF, 0x40ul), { .kind = FAKE_STI }, FAKE_HLT, END);
	struct vm *vm = START(1, script);

	fixture_run(5);
	CHECK_EQ(vm->state, VM_RUNNING);
	CHECK(vm->vcpu[0]->halted && vm->vcpu[0]->halted_with_if && !vm->vcpu[0]->entity.runnable);
	vplatform_ipi(&vm->platform, &(struct vlapic_ipi){ .mode = VAPIC_FIXED, .vector = 0x55 });
	fixture_run(4);
	CHECK_EQ(fixture_guest(vm)->taken[0].vector, 0x55);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
	vm = START(1, waiting);
	fixture_run(3);
	CHECK_EQ(vm->state, VM_STOPPED);
	CHECK_EQ(fixture_guest(vm)->taken[0].vector, 0x40);
	fixture_end();
}

TEST(hlt_no_if, "HLT with interrupts off never ends, whatever comes, but for stop")
{
	SCRIPT(script, X2APIC_ON, FAKE_WRMSR(X2APIC_LVT_TIMER, 0x30ul), FAKE_WRMSR(X2APIC_COUNT, 1000ul), { .kind = FAKE_CLI },
	       FAKE_HLT, END);
	struct vm *vm = START(2, script);

	fixture_run(3);
	vplatform_ipi(&vm->platform, &(struct vlapic_ipi){ .mode = VAPIC_FIXED, .vector = 0x55 });
	for (unsigned i = 0; i < 50; i++) {
		fake.now_ns += NS_PER_MS;
		fixture_run(1);
	}
	CHECK_EQ(vm->state, VM_RUNNING);
	CHECK_EQ(fixture_guest(vm)->taken_count, 0);
	CHECK(!vm->vcpu[0]->entity.runnable);
	CHECK_EQ(vm_stop(vm, &fixture_why), ERR_OK);
	fixture_end();
}

/* The TSC-deadline timer at every odd distance, by a guest that halts or one that runs. */
static void check_deadline(bool halts, uint64_t ticks)
{
	static struct fake_step script[16];
	const struct fake_step begin[] = { X2APIC_ON, FAKE_WRMSR(X2APIC_LVT_TIMER, 0x40041ul), { .kind = FAKE_STI } };
	const struct fake_step halt = FAKE_HLT, spin = { .kind = FAKE_SPIN }, last = END;
	unsigned n = ARRAY_SIZE(begin);
	uint64_t due, taken_ns;
	struct vm *vm;

	memcpy(script, begin, sizeof(begin));
	script[n++] = (struct fake_step)FAKE_WRMSR(MSR_DEADLINE, ticks);
	script[n++] = halts ? halt : spin;
	script[n++] = last;
	vm = fixture_start_script(1, script, n);
	/* The guest's TSC is 0 at its start, and the clock stands while exits are handled. */
	due = vm->start_ns + (ticks + FAKE_TSC_PER_NS - 1) / FAKE_TSC_PER_NS;
	for (unsigned i = 0; i < 20 && fixture_guest(vm)->taken_count == 0; i++) {
		fixture_idle(1);
	}
	CHECK_EQ(fixture_guest(vm)->taken_count, 1);
	CHECK_EQ(fixture_guest(vm)->taken[0].vector, 0x41);
	taken_ns = fixture_guest(vm)->taken[0].at_ns;
	CHECK(taken_ns >= due);
	CHECK(taken_ns <= due + 2);
	fixture_end();
}

TEST(timer, "a timer is never early and at most two nanoseconds late, whether the guest halts or runs")
{
	struct test_rng r = { 41 };

	for (unsigned i = 0; i < 60; i++) {
		uint64_t ticks = i < 8 ? 1 + i : 1 + test_rand_below(&r, 1ul << (4 + i % 22));

		check_deadline(true, ticks);
		check_deadline(false, ticks);
	}
}

TEST(timer_busy, "a timer interrupts a guest that computes, and what it computed so far is kept")
{
	SCRIPT(script, X2APIC_ON, FAKE_WRMSR(X2APIC_LVT_TIMER, 0x40041ul), { .kind = FAKE_STI }, FAKE_WRMSR(MSR_DEADLINE, 6 * NS_PER_MS),
	       { .kind = FAKE_BUSY, .ns = 8 * NS_PER_MS }, FAKE_WRMSR(X2APIC_EOI, 0ul), END);
	struct vm *vm = START(1, script);
	uint64_t start_ns = fake.now_ns;

	for (unsigned i = 0; i < 10 && vm->state == VM_RUNNING; i++) {
		fixture_run(1);
	}
	CHECK_EQ(fixture_guest(vm)->taken_count, 1);
	CHECK_EQ(fixture_guest(vm)->taken[0].at_ns, start_ns + 3 * NS_PER_MS);
	CHECK_EQ(fixture_guest(vm)->taken[0].step, 5);
	CHECK_EQ(fake.now_ns, start_ns + 8 * NS_PER_MS);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
}

TEST(window, "an interrupt that comes while interrupts are off waits for the window")
{
	SCRIPT(script, X2APIC_ON, FAKE_WRMSR(X2APIC_SELF, 0x61ul), FAKE_WRMSR(X2APIC_SELF, 0x52ul), { .kind = FAKE_BUSY, .ns = 1000 },
	       { .kind = FAKE_STI }, { .kind = FAKE_BUSY, .ns = 1 }, FAKE_WRMSR(X2APIC_EOI, 0ul), FAKE_WRMSR(X2APIC_EOI, 0ul), END);
	struct vm *vm = START(1, script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	fixture_run(3);
	CHECK_EQ(g->taken_count, 2);
	CHECK_EQ(g->taken[0].vector, 0x61);
	CHECK_EQ(g->taken[0].step, 6);
	CHECK_EQ(g->taken[1].vector, 0x52);		/* lower: after the first one's EOI */
	CHECK_EQ(g->taken[1].step, 8);
	CHECK(g->virt.exits[VIRT_EXIT_INJECT_WINDOW] >= 1);
	CHECK(vlapic_check(&vm->vcpu[0]->lapic) == NULL);
	fixture_end();
}

TEST(cr8, "CR8 is the local APIC's task priority")
{
	SCRIPT(script, X2APIC_ON, { .exit = VIRT_EXIT_CR, .info = { .write = true, .qualification = 6 } },
	       FAKE_WRMSR(X2APIC_SELF, 0x61ul), { .kind = FAKE_STI }, { .kind = FAKE_BUSY, .ns = 1000 },
	       { .exit = VIRT_EXIT_CR, .info = { .write = true, .qualification = 5 } }, END);
	struct vm *vm = START(1, script);

	fixture_run(3);
	CHECK_EQ(fixture_guest(vm)->taken_count, 1);
	CHECK_EQ(fixture_guest(vm)->taken[0].step, 7);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
}

TEST(mmio, "an access to the local APIC's page is emulated by its instruction, which is gone past")
{
	/* mov eax, [0xfee000f0]; then mov dword [0xfee000f0], 0x1ff */
	static const uint8_t code[] = { 0xa1, 0xf0, 0x00, 0xe0, 0xfe, 0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0, 0 };
	SCRIPT(script, { .exit = VIRT_EXIT_MMIO, .rip = 0x200000, .info = { .gpa = { 0xfee000f0 } } },
	       { .exit = VIRT_EXIT_MMIO, .rip = 0x200005, .info = { .gpa = { 0xfee000f0 }, .write = true } }, END);
	struct vm *vm = START(1, script);

	CHECK(gmem_write(&vm->mem, gpa(0x200000), code, sizeof(code)));
	fixture_run(3);
	CHECK_STR(vm->reason, "the guest exited with code 0");
	CHECK_EQ(fixture_guest(vm)->result[0][0], 0xff);
	CHECK_EQ(vm->vcpu[0]->lapic.page[0xf0 / 4], 0x1ff);
	CHECK_EQ(fixture_guest(vm)->state.rip, 0x20000f);
	fixture_end();
}

TEST(mmio_odd, "an instruction that is not emulated crashes the VM with its bytes")
{
	SCRIPT(script, { .exit = VIRT_EXIT_MMIO, .rip = 0x200000, .info = { .gpa = { 0xfee000f0 } } });
	struct vm *vm = START(1, script);

	CHECK(gmem_write(&vm->mem, gpa(0x200000), "\x0f\x05", 2));
	fixture_run(3);
	CHECK_EQ(vm->state, VM_CRASHED);
	CHECK(strstr(vm->reason, "read at 0xfee000f0 by an instruction that is not emulated") != NULL);
	CHECK(strstr(vm->reason, " 0f 05") != NULL);
	fixture_end();
}

TEST(strings, "REP OUTS writes each byte, REP INS stores each, with their registers moved on")
{
	SCRIPT(script, { .exit = VIRT_EXIT_IO, .rcx = 3, .info = { .io = VIRT_IO(0x3f8, 1) | VIRT_IO_STRING | VIRT_IO_REP } },
	       { .kind = FAKE_SPIN });
	struct vm *vm = START(1, script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	CHECK(gmem_write(&vm->mem, gpa(0x300000), "abc", 3));
	g->virt.gpr[VIRT_RSI] = 0x300000;
	/* The fake sets RCX anew at each entry: one element each. */
	for (unsigned i = 0; i < 3; i++) {
		g->virt.gpr[VIRT_RCX] = 3 - i;
		g->virt.info = script[0].info;
		CHECK_EQ(vexit_handlers[VIRT_EXIT_IO](&g->virt), i < 2 ? VIRT_RECHECK : VIRT_SKIP | VIRT_RECHECK);
		CHECK_EQ(g->virt.gpr[VIRT_RCX], 2 - i);
	}
	CHECK_EQ(g->virt.gpr[VIRT_RSI], 0x300003);
	CHECK_EQ(memcmp(vm->console->out, "abc", 3), 0);
	g->virt.gpr[VIRT_RCX] = 0;
	CHECK_EQ(vexit_handlers[VIRT_EXIT_IO](&g->virt), VIRT_SKIP);
	CHECK_EQ(g->virt.gpr[VIRT_RSI], 0x300003);
	g->virt.gpr[VIRT_RDI] = 0x300010;
	g->rflags = 1u << 10;			/* downwards */
	g->virt.info = (struct virt_exit_info){ .io = VIRT_IO(0x1234, 4) | VIRT_IO_STRING | VIRT_IO_IN };
	CHECK_EQ(vexit_handlers[VIRT_EXIT_IO](&g->virt), VIRT_SKIP | VIRT_RECHECK);
	CHECK_EQ(g->virt.gpr[VIRT_RDI], 0x30000c);
	CHECK_EQ(memcmp(gmem_ptr(&vm->mem, gpa(0x300010), 4), "\xff\xff\xff\xff", 4), 0);
	fixture_end();
}

TEST(string_fault, "INS to a page that is absent takes nothing from the port: after the fault the byte is still there")
{
	SCRIPT(script, { .kind = FAKE_SPIN });
	struct vm *vm = START(1, script);
	struct fake_virt_vcpu *g = fixture_guest(vm);

	vconsole_type(vm->console, 'x');
	fixture_run(2);
	g->virt.gpr[VIRT_RDI] = 0x300000;
	g->virt.info = (struct virt_exit_info){ .io = VIRT_IO(0x3f8, 1) | VIRT_IO_STRING | VIRT_IO_IN };
	g->state.cr0 = 1ul << 31 | 1;
	g->state.cr3 = 0x200000;		/* no page at all */
	(void)vexit_handlers[VIRT_EXIT_IO](&g->virt);
	CHECK_EQ(g->entry_vector, 14);
	g->state.cr0 = 1;
	(void)vexit_handlers[VIRT_EXIT_IO](&g->virt);
	CHECK_EQ(*(char *)gmem_ptr(&vm->mem, gpa(0x300000), 1), 'x');
	fixture_end();
}

/* A guest with its 8259 set up (vectors from 0x20), COM1's interrupt on, halted. */
#define PIC_AND_UART \
	FAKE_OUT(0x20, 1, 0x11), FAKE_OUT(0x21, 1, 0x20), FAKE_OUT(0x21, 1, 4), FAKE_OUT(0x21, 1, 1), FAKE_OUT(0x21, 1, 0xef), \
	FAKE_OUT(0x3f9, 1, 1), FAKE_OUT(0x3fc, 1, 0x0b), { .kind = FAKE_STI }, FAKE_HLT
SCRIPT(serial, PIC_AND_UART, FAKE_IN(0x3f8, 1), FAKE_OUT(0x20, 1, 0x20), FAKE_HLT, END);

TEST(typed, "a byte that is typed wakes a halted guest with IRQ 4, which reads it")
{
	for (unsigned cpus = 1; cpus <= 3; cpus++) {
		struct vm *vm = cpus == 3 ? fixture_start_assisted(serial, ARRAY_SIZE(serial), 1) : START(cpus, serial);
		struct fake_virt_vcpu *g = fixture_guest(vm);

		fixture_run(4);
		CHECK(vm->vcpu[0]->halted);
		fake_be_cpu(0);
		CHECK(vconsole_type(vm->console, 'k'));
		vcpu_kick(vm->vcpu[0]);
		fixture_run(3);
		CHECK_EQ(g->taken_count, 1);
		CHECK_EQ(g->taken[0].vector, 0x24);
		CHECK(!g->taken[0].exception);
		CHECK_EQ(g->result[9][0] & 0xff, 'k');
		CHECK(vm->vcpu[0]->halted && vm->state == VM_RUNNING);
		fixture_end();
	}
}

TEST(restarted, "a guest that is started again finds memory zero, its clock at 0 and no old interrupt")
{
	SCRIPT(script, FAKE_RDMSR(0x10), X2APIC_ON, FAKE_WRMSR(X2APIC_SELF, 0x61ul), { .kind = FAKE_BUSY, .ns = 5 * NS_PER_MS }, END);
	struct vm *vm = START(1, script);

	CHECK(gmem_write(&vm->mem, gpa(0x400000), "left", 4));
	fixture_run(4);
	CHECK_EQ(vm->state, VM_STOPPED);
	fake.now_ns += 77777;
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
	CHECK_EQ(memcmp(gmem_ptr(&vm->mem, gpa(0x400000), 4), "\0\0\0\0", 4), 0);
	CHECK_EQ(vlapic_pending(&vm->vcpu[0]->lapic), -1);
	fixture_run(4);
	CHECK(fixture_guest(vm)->result[0][0] == 0);
	CHECK_EQ(fixture_guest(vm)->taken_count, 0);
	fixture_end();
}

TEST(tsc, "a written TSC counts on from there, and a deadline set before keeps its distance")
{
	SCRIPT(script, FAKE_WRMSR(0x10, 1000000ul), { .kind = FAKE_BUSY, .ns = 500 }, FAKE_RDMSR(0x10), END);
	struct vm *vm = START(1, script);

	fixture_run(3);
	CHECK_EQ(fixture_guest(vm)->result[2][0], 1001000);
	CHECK_EQ(vm->state, VM_STOPPED);
	fixture_end();
}

TEST(tsc_adjust, "TSC_ADJUST and the TSC move each other, and a new start clears both")
{
	SCRIPT(script, FAKE_RDMSR(0x3b), FAKE_WRMSR(0x3b, 5000ul), FAKE_RDMSR(0x3b), FAKE_RDMSR(0x10), FAKE_WRMSR(0x10, 100ul),
	       FAKE_RDMSR(0x3b), END);
	struct vm *vm = START(1, script);

	for (unsigned life = 0; life < 2; life++) {
		uint64_t tsc;

		fixture_run(3);
		tsc = fixture_guest(vm)->result[3][0];
		CHECK_EQ(vm->state, VM_STOPPED);
		CHECK_EQ(fixture_guest(vm)->result[0][0], 0);
		CHECK_EQ(fixture_guest(vm)->result[2][0], 5000);
		CHECK(tsc >= 5000 && tsc < 10000);
		/* Back by what the TSC went back. */
		CHECK_EQ(fixture_guest(vm)->result[5][0], (uint32_t)(5000 - (tsc - 100)));
		CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
	}
	fixture_end();
}
