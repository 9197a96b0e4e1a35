/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions, interrupts and NMIs while the hypervisor runs, and panic. Interrupt handlers only acknowledge: whatever
 * they announce is found by the dispatch loop. An exception is our own fault: registers, backtrace, stop.
 *
 * NMI and guest entry: the last look at cpu_remote.poked and VMRESUME are a window [virt_entry_window_start,
 * virt_entry_window_end). An NMI that hits inside would be forgotten once the guest runs, so the handler moves RIP to
 * virt_entry_window_abort, which leaves as if the guest had exited.
 */
#include "arch/x86_64/trap.h"

#include <stdatomic.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/insn.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vectors.h"
#include "kernel/console.h"
#include "kernel/lib/format.h"
#include "kernel/log.h"
#include "kernel/stuck.h"

#define BACKTRACE_MAX	16u

extern const char kernel_text_start[], kernel_text_end[];
extern const char virt_entry_window_start[], virt_entry_window_end[], virt_entry_window_abort[];

#define STOP_WAIT_SPINS	1000000u	/* for the others to stop: tens of milliseconds; there may be no clock yet */

/* Set once by the cpu that stops the machine; tested by every NMI handler, which then counts itself in `stopped`. */
static _Atomic bool stopping;
static _Atomic unsigned stopped;

static const char *const exception_names[32] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode", "no FPU", "double fault",
	"coprocessor overrun", "invalid TSS", "segment not present", "stack fault", "general protection", "page fault",
	"reserved", "x87 error", "alignment check", "machine check", "SIMD error", "virtualization", "control protection",
	"reserved", "reserved", "reserved", "reserved", "reserved", "reserved", "hypervisor injection", "VMM communication",
	"security", "reserved",
};

static void panic_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void panic_line(const char *fmt, ...)
{
	char buf[400];
	struct text t = text_make(buf, sizeof(buf));
	va_list args;

	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	console_panic_puts(buf);
	console_panic_puts("\n");
}

/*
 * Frame pointers are followed only while they rise and stay within a stack's length of low, where the stack was: that of
 * a fault may be another stack than ours.
 */
static void backtrace(uint64_t rbp, uint64_t rip, uint64_t low, const char *before, struct text *to)
{
	text_puts(to, "backtrace (addr2line -fe build/tarn.elf ADDRESS...):");
	for (unsigned i = 0; i < BACKTRACE_MAX; i++) {
		const uint64_t *frame = (const uint64_t *)rbp;

		text_printf(to, "%s%016lx", before, rip);
		if (rbp < low || rbp > low + 4 * PAGE_SIZE * STACK_PAGES || !is_aligned(rbp, 8) || paging_is_guard(rbp)) {
			return;
		}
		low = rbp + 1;
		rip = frame[1];
		rbp = frame[0];
		if (rip < (uint64_t)kernel_text_start || rip >= (uint64_t)kernel_text_end) {
			return;
		}
	}
}

static void panic_backtrace(uint64_t rbp, uint64_t rip, uint64_t low)
{
	char buf[BACKTRACE_MAX * 20 + 80];
	struct text t = text_make(buf, sizeof(buf));

	backtrace(rbp, rip, low, "\n  ", &t);
	panic_line("%s", buf);
}

void arch_backtrace(struct text *to)
{
	const uint64_t *frame = (const uint64_t *)insn_frame_pointer();

	backtrace(frame[0], frame[1], (uint64_t)frame, " ", to);
}

/*
 * Each online cpu by its own NMI: one that never came up, or came late, has no interrupt table and an NMI to all would
 * reset the machine. They are given a moment, so that none of them still writes to what this one reads and prints.
 */
static void stop_others(void)
{
	unsigned self = percpu_this()->cpu.id, told = 0;

	if (atomic_exchange(&stopping, true)) {
		return;
	}
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (i != self && cpu_is_online(i)) {
			apic_send(cpu_get(i)->apic_id, APIC_NMI);
			told++;
		}
	}
	for (unsigned i = 0; i < STOP_WAIT_SPINS && atomic_load(&stopped) < told; i++) {
		insn_pause();
	}
}

/* Two cpus that fault at once: the second one only halts. */
static bool first_to_panic(void)
{
	static _Atomic bool taken;

	return !atomic_exchange(&taken, true);
}

static void dump(const struct trap_frame *f)
{
	panic_line("rip %016lx  rsp %016lx  rflags %016lx", f->rip, f->rsp, f->rflags);
	panic_line("rax %016lx  rbx %016lx  rcx %016lx", f->rax, f->rbx, f->rcx);
	panic_line("rdx %016lx  rsi %016lx  rdi %016lx", f->rdx, f->rsi, f->rdi);
	panic_line("rbp %016lx  r8  %016lx  r9  %016lx", f->rbp, f->r8, f->r9);
	panic_line("r10 %016lx  r11 %016lx  r12 %016lx", f->r10, f->r11, f->r12);
	panic_line("r13 %016lx  r14 %016lx  r15 %016lx", f->r13, f->r14, f->r15);
	panic_line("cr0 %016lx  cr2 %016lx  cr3 %016lx  cr4 %016lx", insn_read_cr0(), insn_read_cr2(), insn_read_cr3(),
		   insn_read_cr4());
}

static noreturn void fault(const struct trap_frame *f)
{
	const char *name = f->vector < 32 ? exception_names[f->vector] : "unexpected interrupt";

	if (!first_to_panic()) {
		insn_halt_forever();
	}
	stop_others();
	panic_line("\ntarn: panic: %s (vector %lu, error 0x%lx) on cpu %u%s", name, f->vector, f->error,
		   percpu_this()->cpu.id,
		   (f->vector == VECTOR_PAGE_FAULT || f->vector == VECTOR_DOUBLE_FAULT) &&
		   paging_is_guard(insn_read_cr2()) ? ": stack overflow" : "");
	dump(f);
	panic_backtrace(f->rbp, f->rip, f->rsp);
	panic_line("tarn: stopped");
	insn_halt_forever();
}

/* NMI status and control (PCH data sheet, port 61h). Where there is no such port it reads as all ones. */
#define PORT_NMI_STATUS		0x61
#define  NMI_STATUS_SERR	0x80u	/* a PCI function or the chipset gave up */
#define  NMI_STATUS_IOCHK	0x40u

static void check_platform_nmi(void)
{
	uint8_t status = insn_in8(PORT_NMI_STATUS);

	if (status != 0xff && (status & (NMI_STATUS_SERR | NMI_STATUS_IOCHK)) != 0) {
		panic("the platform reports %s by NMI (port 0x61 reads 0x%x)",
		      (status & NMI_STATUS_SERR) != 0 ? "a system error (SERR)" : "an I/O channel check", status);
	}
}

/* A poke's NMI (kernel/cpu.h), or another cpu's panic, or the platform's: LINT1 of every cpu lets that in. */
static void handle_nmi(struct trap_frame *f)
{
	if (atomic_load(&stopping)) {
		atomic_fetch_add(&stopped, 1);
		insn_halt_forever();
	}
	check_platform_nmi();
	if (stuck_verdict(&percpu_this()->cpu)) {
		/* As if the code that we are in had called it: entered as a function is, above all that is on the stack. */
		uint64_t *sp = (uint64_t *)(f->rsp & ~15ul) - 1;

		*sp = f->rip;
		f->rsp = (uint64_t)sp;
		f->rip = (uint64_t)stuck_end;
		return;
	}
	if (f->rip >= (uint64_t)virt_entry_window_start && f->rip < (uint64_t)virt_entry_window_end) {
		f->rip = (uint64_t)virt_entry_window_abort;
	}
}

void trap_handle(struct trap_frame *f)
{
	switch (f->vector) {
	case VECTOR_NMI:
		handle_nmi(f);
		return;
	case VECTOR_POKE:
	case VECTOR_TIMER:
		apic_eoi();
		return;
	case VECTOR_SERIAL:
		serial_interrupt();
		apic_eoi();
		return;
	case VECTOR_SPURIOUS:
		return;
	default:
		if (f->vector >= 32) {
			log_printf("cpu %u: unexpected interrupt, vector %lu", percpu_this()->cpu.id, f->vector);
			apic_eoi();
			return;
		}
		fault(f);
	}
}

void panic(const char *fmt, ...)
{
	char buf[200];
	struct text t = text_make(buf, sizeof(buf));
	const uint64_t *frame;
	va_list args;

	if (!first_to_panic()) {
		insn_halt_forever();
	}
	stop_others();
	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	panic_line("\ntarn: panic: %s on cpu %u", buf, percpu_this()->cpu.id);
	frame = (const uint64_t *)insn_frame_pointer();
	panic_backtrace(frame[0], frame[1], (uint64_t)frame);
	panic_line("tarn: stopped");
	insn_halt_forever();
}

void arch_halt_all(void)
{
	stop_others();
	insn_halt_forever();
}
