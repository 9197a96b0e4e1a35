/* SPDX-License-Identifier: BSD-2-Clause */
/* What each kind of exit does: one handler a row (vexit_handlers, at the end). All run on the vCPU's cpu. */
#include "kernel/lib/format.h"
#include "vm/emulate.h"
#include "vm/gwalk.h"
#include "vm/vcpu.h"
#include "vm/vcpuid.h"
#include "vm/vmsr.h"

#define VECTOR_UD	6u
#define VECTOR_GP	13u
#define RFLAGS_TF	(1ul << 8)
#define RFLAGS_IF	(1ul << 9)
#define RFLAGS_DF	(1ul << 10)
#define HYPERCALL_VERSION	0u
#define INTERFACE_VERSION	1u

static struct vcpu *vcpu_of(struct virt_vcpu *v)
{
	return v->owner;
}

static unsigned leave(struct virt_vcpu *v, enum dispatch_why why, unsigned with)
{
	v->leave_code = why;
	return VIRT_LEAVE | with;
}

static unsigned general_protection(struct virt_vcpu *v)
{
	virt->inject_exception(v, VECTOR_GP, true, 0);
	return VIRT_RESUME;
}

/* What gwalk found at a linear address. */
static unsigned memory_fault(struct virt_vcpu *v, uint64_t linear, uint32_t fault)
{
	if (fault == GWALK_FAULT_GP) {
		return general_protection(v);
	}
	virt->inject_page_fault(v, linear, fault);
	return VIRT_RESUME;
}

static unsigned on_cpuid(struct virt_vcpu *v)
{
	struct vcpu *vcpu = vcpu_of(v);
	struct vcpuid_facts f = {
		.apic_id = vcpu->index, .vcpus = vcpu->vm->vcpu_count, .tsc_hz = virt_host_tsc_hz(),
		.cr4 = virt->read_cr4(v), .xcr0_allowed = virt_guest_xcr0(),
		.xsave_bytes = vcpuid_xsave_bytes(virt_guest_xcr0(), false, virt_host_cpuid),
		.compact_bytes = vcpuid_xsave_bytes(virt->read_xcr0(v), true, virt_host_cpuid),
		.has_rdtscp = virt->offers(VIRT_RDTSCP), .has_invpcid = virt->offers(VIRT_INVPCID),
	};
	uint32_t leaf = (uint32_t)v->gpr[VIRT_RAX], subleaf = (uint32_t)v->gpr[VIRT_RCX];
	struct virt_cpuid c = vcpuid_answer(leaf, subleaf, &f, virt_host_cpuid);

	if (leaf != VIRT_CPUID_EMPTY) {
		v->cpuid[virt_cpuid_slot(leaf, subleaf)] = (struct virt_cpuid_slot){ leaf, subleaf, c, 0 };
	}
	v->gpr[VIRT_RAX] = c.eax;
	v->gpr[VIRT_RBX] = c.ebx;
	v->gpr[VIRT_RCX] = c.ecx;
	v->gpr[VIRT_RDX] = c.edx;
	return VIRT_SKIP;
}

static unsigned on_rdmsr(struct virt_vcpu *v)
{
	uint64_t value;

	if (!vmsr_read(vcpu_of(v), (uint32_t)v->gpr[VIRT_RCX], &value)) {
		return general_protection(v);
	}
	v->gpr[VIRT_RAX] = (uint32_t)value;
	v->gpr[VIRT_RDX] = value >> 32;
	return VIRT_SKIP;
}

static unsigned on_wrmsr(struct virt_vcpu *v)
{
	uint64_t value = v->gpr[VIRT_RDX] << 32 | (uint32_t)v->gpr[VIRT_RAX];

	if (!vmsr_write(vcpu_of(v), (uint32_t)v->gpr[VIRT_RCX], value)) {
		return general_protection(v);
	}
	return VIRT_SKIP | VIRT_RECHECK;	/* EOI, TPR, a timer: something may be deliverable now */
}

static unsigned on_hypercall(struct virt_vcpu *v)
{
	v->gpr[VIRT_RAX] = (uint32_t)v->gpr[VIRT_RAX] == HYPERCALL_VERSION ? INTERFACE_VERSION : ~0ul;
	return VIRT_SKIP;
}

static bool ended(const struct vcpu *v)
{
	return atomic_load_explicit(&v->vm->ending, memory_order_relaxed) != VM_NOT_ENDING;
}

static uint64_t io_mask(unsigned size)
{
	return size == 4 ? UINT32_MAX : (1ul << 8 * size) - 1;
}

/*
 * One element of INS or OUTS between the port and guest memory, a byte at a time, for it may cross a page; value NULL: only
 * looks whether that would do.
 */
static enum err string_copy(struct virt_vcpu *v, const struct virt_state *s, uint32_t *value, struct gwalk *walk,
			    uint64_t *linear)
{
	bool in = (v->info.io & VIRT_IO_IN) != 0;
	const struct gmem *g = &vcpu_of(v)->vm->mem;

	for (unsigned i = 0; i < VIRT_IO_SIZE(v->info.io); i++) {
		enum err e;

		*linear += i > 0;
		e = gwalk_translate(g, s, *linear, in ? GWALK_WRITE : GWALK_READ, walk);
		if (e != ERR_OK) {
			return e;
		}
		if (value != NULL) {
			uint8_t *byte = (uint8_t *)value + i;

			/* What is not RAM reads as zeros here and swallows writes. */
			(void)(in ? gmem_write(g, walk->at, byte, 1) : gmem_read(g, walk->at, byte, 1));
		}
	}
	return ERR_OK;
}

/* The index register after an element, at the instruction's address size. */
static void string_step(struct virt_vcpu *v, unsigned gpr, unsigned bits, uint64_t delta)
{
	uint64_t mask = bits == 64 ? ~0ul : (1ul << bits) - 1, old = v->gpr[gpr];

	v->gpr[gpr] = ((old + delta) & mask) | (bits == 16 ? old & ~mask : 0);
}

/* INS and OUTS, one element an exit: slow, and nothing but probing uses them here. */
static unsigned string_io(struct virt_vcpu *v)
{
	struct vcpu *vcpu = vcpu_of(v);
	struct virt_state s;
	struct gwalk walk = { 0 };
	uint64_t linear, at, count;
	uint32_t value = 0;
	uint16_t port = VIRT_IO_PORT(v->info.io);
	unsigned bits, size = VIRT_IO_SIZE(v->info.io);
	bool in = (v->info.io & VIRT_IO_IN) != 0, rep = (v->info.io & VIRT_IO_REP) != 0;
	enum err e;

	virt->get_state(v, &s);
	bits = virt->string_operand(v, &linear);
	bits = bits != 0 ? bits : s.code_bits;
	count = bits == 64 ? v->gpr[VIRT_RCX] : v->gpr[VIRT_RCX] & ((1ul << bits) - 1);
	if (rep && count == 0) {
		return VIRT_SKIP;
	}
	/* A port is read only if there is a place for what it says: a byte that was read is gone from there. */
	at = linear;
	e = in ? string_copy(v, &s, NULL, &walk, &at) : ERR_OK;
	if (e == ERR_OK) {
		if (in && !vplatform_port(&vcpu->vm->platform, port, size, false, &value)) {
			value = UINT32_MAX;
		}
		at = linear;
		e = string_copy(v, &s, &value, &walk, &at);
	}
	if (e == ERR_NOENT) {
		return memory_fault(v, at, walk.fault);
	}
	if (e != ERR_OK) {
		return vm_crash(v, "string I/O at port 0x%x through page tables outside its memory", port);
	}
	if (!in) {
		(void)vplatform_port(&vcpu->vm->platform, port, size, true, &value);
	}
	string_step(v, in ? VIRT_RDI : VIRT_RSI, bits, (s.rflags & RFLAGS_DF) != 0 ? 0ul - size : size);
	if (rep) {
		string_step(v, VIRT_RCX, bits, ~0ul);
	}
	if (ended(vcpu)) {
		return leave(v, DISPATCH_STOPPED, VIRT_RESUME);
	}
	if (rep && count > 1) {
		virt->skip(v, 0);
		return VIRT_RECHECK;
	}
	return VIRT_SKIP | VIRT_RECHECK;
}

/* AL, AX or EAX gets value; EAX zero-extends (SDM 1 3.4.1.1). */
static void set_accumulator(struct virt_vcpu *v, unsigned size, uint32_t value)
{
	uint64_t mask = io_mask(size);

	v->gpr[VIRT_RAX] = size == 4 ? value : (v->gpr[VIRT_RAX] & ~mask) | (value & mask);
}

static __attribute__((noinline)) unsigned device_io(struct virt_vcpu *v, uint32_t io)
{
	struct vcpu *vcpu = vcpu_of(v);
	unsigned size = VIRT_IO_SIZE(io);
	uint32_t value = (uint32_t)(v->gpr[VIRT_RAX] & io_mask(size));

	if ((io & VIRT_IO_STRING) != 0) {
		return string_io(v);
	}
	(void)vplatform_port(&vcpu->vm->platform, VIRT_IO_PORT(io), size, (io & VIRT_IO_IN) == 0, &value);
	if ((io & VIRT_IO_IN) != 0) {
		set_accumulator(v, size, value);
	}
	if (ended(vcpu)) {
		return leave(v, DISPATCH_STOPPED, VIRT_SKIP);
	}
	return VIRT_SKIP | VIRT_RECHECK;	/* a device may have raised or dropped its line */
}

/* Ports with nothing behind them are written all the time (0x80, to pass time): they are dealt with here. */
static unsigned on_io(struct virt_vcpu *v)
{
	uint32_t io = v->info.io;
	struct vports *ports = &vcpu_of(v)->vm->platform.ports;

	if ((io & (VIRT_IO_STRING | VIRT_IO_IN)) != 0 || vports_find(ports, VIRT_IO_PORT(io)) != NULL) {
		return device_io(v, io);
	}
	vports_count_unclaimed(ports);
	return VIRT_SKIP;
}

static unsigned on_hlt(struct virt_vcpu *v)
{
	struct vcpu *vcpu = vcpu_of(v);
	uint64_t rflags = virt->get_rflags(v);

	vcpu->halted_with_if = (rflags & RFLAGS_IF) != 0;
	/* Debug exceptions end a halt (SDM 2A, HLT), and the single-step trap behind it is one. */
	if ((rflags & RFLAGS_TF) != 0 ||
	    (atomic_load_explicit(&vcpu->nmi_requested, memory_order_relaxed) && vcpu_nmi_waits(vcpu)) ||
	    (vcpu->halted_with_if && vcpu_event_waits(vcpu))) {
		return VIRT_SKIP | VIRT_RECHECK;
	}
	vcpu->halted = true;
	return leave(v, vcpu_block(vcpu), VIRT_SKIP);
}

static enum err mmio_read(void *ctx, gpa_t at, unsigned bytes, uint64_t *value)
{
	struct vcpu *v = ctx;

	return vplatform_mmio(&v->vm->platform, v->index, at, bytes, false, value) ? ERR_OK : ERR_RANGE;
}

static enum err mmio_write(void *ctx, gpa_t at, unsigned bytes, uint64_t value)
{
	struct vcpu *v = ctx;

	return vplatform_mmio(&v->vm->platform, v->index, at, bytes, true, &value) ? ERR_OK : ERR_RANGE;
}

static bool is_device(gpa_t at)
{
	return (at.v >= VMAP_IOAPIC_BASE && at.v < VMAP_IOAPIC_BASE + VMAP_IOAPIC_BYTES) ||
	       (at.v >= VMAP_LAPIC_BASE && at.v < VMAP_LAPIC_BASE + VMAP_LAPIC_BYTES);
}

static const char *access_word(const struct virt_vcpu *v)
{
	return v->info.fetch ? "instruction fetch" : v->info.write ? "write" : "read";
}

static unsigned not_emulated(struct virt_vcpu *v, const uint8_t *bytes, size_t count, enum err e)
{
	char hex[3 * DECODE_BYTES_MAX + 1];
	struct text t = text_make(hex, sizeof(hex));

	for (size_t i = 0; i < count; i++) {
		text_printf(&t, " %02x", bytes[i]);
	}
	return vm_crash(v, "%s at 0x%lx by an instruction that is not emulated (%s):%s", access_word(v), v->info.gpa.v,
			err_words(e), hex);
}

/* An access outside RAM: a device page is emulated, anything else stops the VM. */
static unsigned on_mmio(struct virt_vcpu *v)
{
	struct vcpu *vcpu = vcpu_of(v);
	struct virt_state s;
	struct decode d;
	uint8_t bytes[DECODE_BYTES_MAX];
	size_t count = 0;
	enum err e;
	struct emulate em = {
		.mem = &vcpu->vm->mem, .state = &s, .gpr = v->gpr, .mmio_read = mmio_read, .mmio_write = mmio_write, .ctx = vcpu,
	};

	if (!is_device(v->info.gpa) || v->info.fetch || v->info.in_delivery || v->info.walk) {
		return vm_crash(v, "%s at guest-physical 0x%lx, where it has neither memory nor a device", access_word(v),
				v->info.gpa.v);
	}
	virt->get_state(v, &s);
	e = emulate_decode(&vcpu->vm->mem, &s, bytes, &count, &d);
	if (e != ERR_OK) {
		return not_emulated(v, bytes, count, e);
	}
	em.rflags = s.rflags;
	e = emulate_mmio(&em, &d, v->info.gpa);
	if (e == ERR_NOENT) {
		return memory_fault(v, em.fault_linear, em.fault_code);
	}
	if (e != ERR_OK) {
		return not_emulated(v, bytes, count, e);
	}
	if (em.rflags != s.rflags) {
		virt->set_rflags(v, em.rflags);
	}
	virt->skip(v, em.repeat ? 0 : d.length);
	return VIRT_RECHECK;
}

static unsigned on_xsetbv(struct virt_vcpu *v)
{
	uint64_t value = v->gpr[VIRT_RDX] << 32 | (uint32_t)v->gpr[VIRT_RAX];

	if ((uint32_t)v->gpr[VIRT_RCX] != 0 || !virt->write_xcr0(v, value)) {
		return general_protection(v);
	}
	return VIRT_SKIP;
}

static unsigned on_window(struct virt_vcpu *v)
{
	(void)v;
	return VIRT_RECHECK;
}

static unsigned on_triple_fault(struct virt_vcpu *v)
{
	return vm_crash(v, "triple fault");
}

static unsigned on_apic_write(struct virt_vcpu *v)
{
	struct vcpu *vcpu = vcpu_of(v);

	vlapic_written(&vcpu->lapic, v->info.offset, vcpu_tsc(vcpu));
	return VIRT_RECHECK;
}

static unsigned on_apic_eoi(struct virt_vcpu *v)
{
	vlapic_level_eoi(&vcpu_of(v)->lapic, v->info.vector);
	return VIRT_RECHECK;
}

/* CR8 only: the rest is the vendor's. qualification holds the value. */
static unsigned on_cr(struct virt_vcpu *v)
{
	struct vlapic *l = &vcpu_of(v)->lapic;

	if (!v->info.write) {
		v->info.qualification = vlapic_tpr(l) >> 4;
		return VIRT_SKIP;
	}
	if (v->info.qualification > 15) {
		return general_protection(v);
	}
	vlapic_set_tpr(l, (uint8_t)(v->info.qualification << 4));
	return VIRT_SKIP | VIRT_RECHECK;
}

static unsigned on_pause(struct virt_vcpu *v)
{
	return leave(v, DISPATCH_YIELDED, VIRT_SKIP);
}

/* An access under LOCK over two cache lines stopped every core's memory (SDM 3C 25.2): a pause keeps their rate. */
static unsigned on_bus_lock(struct virt_vcpu *v)
{
	return leave(v, vcpu_hold(vcpu_of(v)), VIRT_RESUME);
}

static unsigned on_exception(struct virt_vcpu *v)
{
	return vm_crash(v, "exception %u", v->info.vector);
}

static unsigned on_refused(struct virt_vcpu *v)
{
	virt->inject_exception(v, VECTOR_UD, false, 0);
	return VIRT_RESUME;
}

/* No counters are offered, so any index is wrong (SDM 2B, RDPMC). */
static unsigned on_rdpmc(struct virt_vcpu *v)
{
	return general_protection(v);
}

/* Guest memory is write-back and nothing of a guest's does DMA: there is nothing to flush. */
static unsigned on_wbinvd(struct virt_vcpu *v)
{
	(void)v;
	return VIRT_SKIP;
}

static unsigned on_entry_failed(struct virt_vcpu *v)
{
	return vm_crash(v, "the cpu refused to enter the guest (reason 0x%x, qualification 0x%lx)", v->info.reason,
			v->info.qualification);
}

static unsigned on_other(struct virt_vcpu *v)
{
	return vm_crash(v, "unexpected exit, reason 0x%x, qualification 0x%lx", v->info.reason, v->info.qualification);
}

virt_handler *const vexit_handlers[VIRT_EXIT_COUNT] = {
	[VIRT_EXIT_CPUID]		= on_cpuid,
	[VIRT_EXIT_RDMSR]		= on_rdmsr,
	[VIRT_EXIT_WRMSR]		= on_wrmsr,
	[VIRT_EXIT_HYPERCALL]		= on_hypercall,
	[VIRT_EXIT_IO]			= on_io,
	[VIRT_EXIT_HLT]			= on_hlt,
	[VIRT_EXIT_MMIO]		= on_mmio,
	[VIRT_EXIT_XSETBV]		= on_xsetbv,
	[VIRT_EXIT_TIMER]		= on_other,	/* the vendor's own, like NMI and DR: never called */
	[VIRT_EXIT_INTERRUPT]		= on_other,
	[VIRT_EXIT_NMI]			= on_other,
	[VIRT_EXIT_INJECT_WINDOW]	= on_window,
	[VIRT_EXIT_TRIPLE_FAULT]	= on_triple_fault,
	[VIRT_EXIT_CR]			= on_cr,
	[VIRT_EXIT_DR]			= on_other,
	[VIRT_EXIT_PAUSE]		= on_pause,
	[VIRT_EXIT_EXCEPTION]		= on_exception,
	[VIRT_EXIT_INVALID_OP]		= on_refused,
	[VIRT_EXIT_RDPMC]		= on_rdpmc,
	[VIRT_EXIT_WBINVD]		= on_wbinvd,
	[VIRT_EXIT_BUS_LOCK]		= on_bus_lock,
	[VIRT_EXIT_APIC_WRITE]		= on_apic_write,
	[VIRT_EXIT_APIC_EOI]		= on_apic_eoi,
	[VIRT_EXIT_ENTRY_FAILED]	= on_entry_failed,
	[VIRT_EXIT_OTHER]		= on_other,
};
