/* SPDX-License-Identifier: BSD-2-Clause */
/* The boot cpu's way from the loader to kernel_main(), and arch.h's odds and ends. */
#include "arch/x86_64/machine.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/insn.h"
#include "arch/x86_64/mitigate.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/vectors.h"
#include "kernel/bootstat.h"
#include "kernel/log.h"

#define COM1		0x3f8
#define BOOT_STACK_SIZE	4096u

struct percpu percpu_boot;

noreturn void entry_switch_stack(uint64_t top, void (*fn)(void));

void arch_entry(uint64_t boot_info_hpa)
{
	/* For what goes wrong before there are stacks with guard pages: deep enough for a panic. */
	static uint8_t stack[3][BOOT_STACK_SIZE] __attribute__((aligned(16)));
	const uint64_t top[3] = { (uint64_t)(stack + 1), (uint64_t)(stack + 2), (uint64_t)(stack + 3) };
	const struct boot_info *info = arch_direct(hpa(boot_info_hpa));

	bootstat_begin(info->handoff_tsc);
	bootstat_mark(BOOTSTAT_ENTRY, insn_rdtsc());
	cpu_init(&percpu_boot.cpu, 0);
	desc_init(&percpu_boot, top);
	desc_init_idt();
	desc_load(&percpu_boot);
	percpu_boot.cpu.state = CPU_ONLINE;
	percpu_boot.cpu.housekeeping = true;
	percpu_boot.cpu.apic_id = apic_id();
	cpu_install(&percpu_boot.cpu);
	serial_init(COM1);
	if (info->magic != BOOT_INFO_MAGIC || info->version != BOOT_INFO_VERSION || info->size != sizeof(*info)) {
		panic("boot_info: magic 0x%lx version %u size %u, expected 0x%lx, %u, %lu: loader and kernel do not match",
		      info->magic, info->version, info->size, BOOT_INFO_MAGIC, BOOT_INFO_VERSION, sizeof(*info));
	}
	screen_init(&info->framebuffer);
	kernel_main(info);
}

void machine_adopt_boot_cpu(const struct topology *t)
{
	struct cpu *c = &percpu_boot.cpu;

	for (unsigned i = 0; i < t->cpu_count; i++) {
		if (t->cpu[i].apic_id == c->apic_id) {
			cpu_uninstall_all();
			c->id = i;
			c->node = t->cpu[i].node;
			cpu_install(c);
			return;
		}
	}
	panic("the boot cpu (APIC id %u) is not in the topology", c->apic_id);
}

void machine_leave_boot_stack(void (*fn)(void))
{
	uint64_t top[STACK_KINDS];
	struct percpu *p = &percpu_boot;

	for (unsigned kind = 0; kind < STACK_KINDS; kind++) {
		top[kind] = paging_map_stack(p->cpu.id, kind, p->cpu.node);
		ASSERT(top[kind] != 0);
	}
	p->stack_top = top[0];
	desc_init(p, top + 1);
	desc_load(p);
	entry_switch_stack(top[0], fn);
}

void arch_restart(void (*fn)(void))
{
	entry_switch_stack(percpu_this()->stack_top, fn);
}

void machine_retire_cpu(void *unused)
{
	/* Release: pairs with the acquire load of who waits for it; nothing of this cpu's is written after. */
	atomic_store_explicit(&percpu_this()->cpu.state, CPU_DEAD, memory_order_release);
	insn_halt_forever();
}

struct percpu *percpu_of(unsigned cpu)
{
	return CONTAINER_OF(cpu_get(cpu), struct percpu, cpu);
}

unsigned arch_this_cpu(void)
{
	return percpu_this()->cpu.id;
}

void arch_relax(void)
{
	insn_pause();
}

void *arch_direct(hpa_t at)
{
	return (void *)(DIRECT_BASE + at.v);
}

hpa_t arch_direct_hpa(const void *ptr)
{
	return hpa((uint64_t)ptr - DIRECT_BASE);
}

void arch_zero(void *at, size_t bytes)
{
	uint64_t start = insn_rdtsc();

	insn_fill64(at, 0, bytes / 8);
	bootstat_spend(BOOTSTAT_ZEROING, insn_rdtsc() - start);
}

void arch_poke(unsigned cpu)
{
	apic_send(cpu_get(cpu)->apic_id, VECTOR_POKE);
}

void arch_poke_nmi(unsigned cpu)
{
	apic_send(cpu_get(cpu)->apic_id, APIC_NMI);
}

/*
 * A poke sets cpu_remote.poked and then sends the IPI. It is looked at with interrupts off, and HLT follows STI with
 * nothing between, so a poke either is seen here or ends the halt.
 */
void arch_idle(uint64_t until_ns)
{
	uint64_t tsc = time_ns_to_tsc(until_ns);

	if (atomic_load_explicit(&percpu_this()->cpu.remote.poked, memory_order_acquire) != 0) {
		return;
	}
	if (until_ns != NS_NEVER && tsc <= insn_rdtsc()) {
		return;
	}
	apic_timer_arm(tsc);
	mitigate_before_halt();
	insn_sti_hlt_cli();
	mitigate_after_halt();
	if (insn_rdtsc() < tsc) {
		apic_timer_arm(UINT64_MAX);	/* else it has fired */
	}
}
