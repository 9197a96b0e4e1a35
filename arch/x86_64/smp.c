/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting the other cpus (SDM 3A 8.4.4): INIT to all of them, one wait, then SIPI to each in turn, with its mailbox
 * shown. A cpu that finds another's mailbox halts. It claims its own by compare and swap, and so does the waiting cpu
 * when it gives up: one that comes late halts too.
 *
 *	mailbox   OPEN ---- claims ----> CLAIMED           cpu.state   STARTING ---- is up ----> ONLINE
 *	            +---- no answer ---> GIVEN_UP                         +------ too slow ----> DEAD
 */
#include <stdatomic.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cputopo.h"
#include "arch/x86_64/insn.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/tscsync.h"
#include "kernel/bootstat.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/mem.h"

#define INIT_WAIT_US		10000u
#define STARTUP_WAIT_US		200u
#define ANSWER_WAIT_US		100000u
#define ONLINE_WAIT_US		1000000u	/* from the claim on: a few page tables and descriptors to load */
#define LOW_MEMORY_END		0x9f000ul	/* above lie the EBDA and video memory */
#define LOW_PAGES		2u		/* the trampoline's code, and its root */
#define PERCPU_PAGES		((sizeof(struct percpu) + PAGE_SIZE - 1) / PAGE_SIZE)

extern const char trampoline_start[], trampoline_end[], trampoline_cr3[], trampoline_gdt_base[], trampoline_far[];
extern const char trampoline_turn[], trampoline_long_mode[], trampoline_gdt[];
noreturn void smp_ap_entry(struct percpu *p);

/* Whose turn it is; read by trampoline.asm. */
static struct start_mailbox *_Atomic turn;

_Static_assert(START_OPEN == 0 && START_CLAIMED == 1, "trampoline.asm");

static void (*online_entry)(void);

hpa_t smp_find_trampoline(const struct boot_info *info)
{
	const struct boot_mem *m = arch_direct(hpa(info->mem));

	for (unsigned i = 0; i < info->mem_count; i++) {
		uint64_t base = MAX(m[i].base, PAGE_SIZE);

		if (m[i].kind == BOOT_MEM_FREE && base + LOW_PAGES * PAGE_SIZE <= MIN(m[i].base + m[i].length, LOW_MEMORY_END)) {
			return hpa(base);
		}
	}
	return HPA_NONE;
}

static void patch(uint8_t *page, const char *field, uint64_t value, unsigned width)
{
	memcpy(page + (field - trampoline_start), &value, width);
}

static hpa_t root_of(hpa_t trampoline)
{
	return hpa(trampoline.v + PAGE_SIZE);
}

static void trampoline_write(hpa_t at)
{
	uint8_t *page = arch_direct(at);
	uint64_t long_mode = at.v + (uint64_t)(trampoline_long_mode - trampoline_start);

	memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	patch(page, trampoline_cr3, root_of(at).v, 4);
	patch(page, trampoline_far, long_mode, 4);
	patch(page, trampoline_gdt_base, at.v + (uint64_t)(trampoline_gdt - trampoline_start), 4);
	patch(page, trampoline_turn, (uint64_t)&turn, 8);
}

/* From STARTING, which only the starting cpu and the one that waits for it leave: whoever is first. */
static bool change_state(struct percpu *p, unsigned to)
{
	unsigned from = CPU_STARTING;

	/* Release: pairs with the acquire load of who finds the cpu online. */
	return atomic_compare_exchange_strong_explicit(&p->cpu.state, &from, to, memory_order_release,
						       memory_order_relaxed);
}

/* An application processor's first C, on its own stack. */
void smp_ap_entry(struct percpu *p)
{
	paging_init_cpu();
	desc_load(p);
	apic_init_cpu();
	/* Else it was given up, and others count it as dead: it halts for good. */
	if (change_state(p, CPU_ONLINE)) {
		tscsync_answer();
		online_entry();
	}
	insn_halt_forever();
}

/* A struct percpu with its stacks, on the cpu's node. NULL when there is no memory. */
static struct percpu *percpu_make(unsigned id, const struct topology_cpu *t)
{
	hpa_t at = mem_alloc(&mem, t->node, PERCPU_PAGES, MEM_PREFER);
	uint64_t top[STACK_KINDS];
	struct percpu *p;

	if (hpa_is_none(at)) {
		return NULL;
	}
	p = arch_direct(at);
	memset(p, 0, PERCPU_PAGES * PAGE_SIZE);
	for (unsigned kind = 0; kind < STACK_KINDS; kind++) {
		top[kind] = paging_map_stack(id, kind, t->node);
		if (top[kind] == 0) {
			return NULL;
		}
	}
	cpu_init(&p->cpu, id);
	p->cpu.apic_id = t->apic_id;
	p->cpu.node = t->node;
	p->stack_top = top[0];
	desc_init(p, top + 1);
	return p;
}

static bool wait_online(struct percpu *p, uint64_t us)
{
	uint64_t end = insn_rdtsc() + time_tsc_hz() * us / 1000000;

	do {
		if (atomic_load_explicit(&p->cpu.state, memory_order_acquire) == CPU_ONLINE) {
			return true;
		}
		insn_pause();
	} while (insn_rdtsc() < end);
	return false;
}

static bool give_up(struct percpu *p)
{
	uint32_t open = START_OPEN;

	return atomic_compare_exchange_strong(&p->start.claim, &open, START_GIVEN_UP);
}

static bool answers(struct percpu *p, uint8_t page)
{
	apic_send(p->cpu.apic_id, APIC_STARTUP(page));
	if (wait_online(p, STARTUP_WAIT_US)) {
		return true;
	}
	apic_send(p->cpu.apic_id, APIC_STARTUP(page));
	return wait_online(p, ANSWER_WAIT_US) || (!give_up(p) && wait_online(p, ONLINE_WAIT_US));
}

static void start_one(struct percpu *p, hpa_t trampoline)
{
	uint64_t start = insn_rdtsc();

	p->start.apic_id = p->cpu.apic_id;
	p->start.stack = p->stack_top;
	p->start.percpu = p;
	p->start.entry = smp_ap_entry;
	atomic_store(&p->cpu.state, CPU_STARTING);
	/* Release: the mailbox; the trampoline's loads are in order. */
	atomic_store_explicit(&turn, &p->start, memory_order_release);
	if (!answers(p, (uint8_t)(trampoline.v / PAGE_SIZE)) && change_state(p, CPU_DEAD)) {
		log_printf("cpu %u (APIC id %u) is in the MADT but did not answer INIT-SIPI in %u ms: dead", p->cpu.id,
			   p->cpu.apic_id, ANSWER_WAIT_US / 1000);
	}
	if (atomic_load(&p->cpu.state) == CPU_ONLINE) {
		tscsync_ask(p->cpu.id);
	}
	atomic_store_explicit(&turn, NULL, memory_order_release);
	bootstat_spend(BOOTSTAT_ANSWER, insn_rdtsc() - start);
}

/* xAPIC destinations have 8 bits, of which 0xff means all. */
static bool can_address(uint32_t id)
{
	return apic_is_x2apic() || id < 0xff;
}

static void make_all(const struct topology *t, unsigned self)
{
	for (unsigned i = 0; i < t->cpu_count; i++) {
		struct percpu *p;

		if (i == self) {
			continue;
		}
		p = percpu_make(i, &t->cpu[i]);
		if (p == NULL) {
			panic("no memory for cpu %u's own data", i);
		}
		cpu_install(&p->cpu);
	}
	cputopo_assign();
}

/* All others to where a SIPI starts them. */
static void init_all(const struct topology *t, unsigned self)
{
	for (unsigned i = 0; i < t->cpu_count; i++) {
		if (i != self && can_address(t->cpu[i].apic_id)) {
			apic_send(t->cpu[i].apic_id, APIC_INIT);
		}
	}
	time_wait_us(INIT_WAIT_US);
}

unsigned smp_start(const struct topology *t, hpa_t trampoline, void (*entry)(void))
{
	unsigned online = 1, self = percpu_this()->cpu.id;
	bool can_start = !hpa_is_none(trampoline) && paging_make_start_root(root_of(trampoline), trampoline);

	online_entry = entry;
	make_all(t, self);
	if (can_start) {
		trampoline_write(trampoline);
		init_all(t, self);
	} else {
		log_printf("cpu: no two free pages below 1 MiB for the start-up code: only cpu %u runs", self);
	}
	for (unsigned i = 0; i < t->cpu_count; i++) {
		struct cpu *c = cpu_get(i);

		if (i == self) {
			continue;
		}
		if (!can_start || !can_address(c->apic_id)) {
			atomic_store(&c->state, CPU_DEAD);
			continue;
		}
		start_one(percpu_of(i), trampoline);
		online += atomic_load(&c->state) == CPU_ONLINE;
	}
	return online;
}
