/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting the other cpus (SDM 3A 8.4.4): INIT to all of them, one wait, then SIPI to each in turn with a mailbox that
 * names it. A cpu that is not the one named gives up by itself, so one that comes late takes nobody's stack.
 */
#include <stdatomic.h>

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cputopo.h"
#include "arch/x86_64/insn.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/time.h"
#include "kernel/bootstat.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/mem.h"

#define INIT_WAIT_US		10000u
#define STARTUP_WAIT_US		200u
#define ANSWER_WAIT_US		100000u
#define APIC_ID_NONE		UINT32_MAX
#define LOW_MEMORY_END		0x9f000ul	/* above lie the EBDA and video memory */
#define LOW_PAGES		2u		/* the trampoline's code, and its root */
#define PERCPU_PAGES		((sizeof(struct percpu) + PAGE_SIZE - 1) / PAGE_SIZE)

extern const char trampoline_start[], trampoline_end[], trampoline_cr3[], trampoline_gdt_base[], trampoline_far[];
extern const char trampoline_mailbox[], trampoline_long_mode[], trampoline_gdt[];
noreturn void smp_ap_entry(struct percpu *p);

/* Read by trampoline.asm: offsets there. */
static struct smp_mailbox {
	uint32_t apic_id;
	uint32_t pad;
	uint64_t stack;
	struct percpu *percpu;
	void (*entry)(struct percpu *p);
} mailbox;

_Static_assert(offsetof(struct smp_mailbox, stack) == 8 && offsetof(struct smp_mailbox, percpu) == 16 &&
	       offsetof(struct smp_mailbox, entry) == 24, "trampoline.asm");

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
	patch(page, trampoline_mailbox, (uint64_t)&mailbox, 8);
}

/* An application processor's first C, on its own stack. */
void smp_ap_entry(struct percpu *p)
{
	paging_init_cpu();
	desc_load(p);
	apic_init_cpu();
	atomic_store_explicit(&p->cpu.state, CPU_ONLINE, memory_order_release);
	online_entry();
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

static void start_one(struct percpu *p, hpa_t trampoline)
{
	uint8_t page = (uint8_t)(trampoline.v / PAGE_SIZE);

	uint64_t start = insn_rdtsc();

	atomic_store(&p->cpu.state, CPU_STARTING);
	mailbox.stack = p->stack_top;
	mailbox.percpu = p;
	mailbox.entry = smp_ap_entry;
	__atomic_store_n(&mailbox.apic_id, p->cpu.apic_id, __ATOMIC_RELEASE);
	apic_send_startup(p->cpu.apic_id, page);
	if (!wait_online(p, STARTUP_WAIT_US)) {
		apic_send_startup(p->cpu.apic_id, page);
		if (!wait_online(p, ANSWER_WAIT_US)) {
			atomic_store(&p->cpu.state, CPU_DEAD);
			log_printf("cpu %u (APIC id %u) is in the MADT but did not answer INIT-SIPI in %u ms: dead", p->cpu.id,
				   p->cpu.apic_id, ANSWER_WAIT_US / 1000);
		}
	}
	__atomic_store_n(&mailbox.apic_id, APIC_ID_NONE, __ATOMIC_RELEASE);
	bootstat_spend(BOOTSTAT_ANSWER, insn_rdtsc() - start);
}

/* xAPIC destinations have 8 bits, of which 0xff means all. */
static bool can_address(uint32_t id)
{
	return apic_is_x2apic() || id < 0xff;
}

unsigned smp_start(const struct topology *t, hpa_t trampoline, void (*entry)(void))
{
	unsigned online = 1, self = percpu_this()->cpu.id;

	online_entry = entry;
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
	if (hpa_is_none(trampoline) || !paging_make_start_root(root_of(trampoline), trampoline)) {
		log_printf("cpu: no two free pages below 1 MiB for the start-up code: only cpu %u runs", self);
	} else {
		trampoline_write(trampoline);
		for (unsigned i = 0; i < t->cpu_count; i++) {
			if (i != self && can_address(t->cpu[i].apic_id)) {
				apic_send_init(t->cpu[i].apic_id);
			}
		}
		time_wait_us(INIT_WAIT_US);
	}
	for (unsigned i = 0; i < t->cpu_count; i++) {
		struct cpu *c = cpu_get(i);

		if (i == self) {
			continue;
		}
		if (hpa_is_none(trampoline) || !can_address(c->apic_id)) {
			atomic_store(&c->state, CPU_DEAD);
			continue;
		}
		start_one(percpu_of(i), trampoline);
		online += atomic_load(&c->state) == CPU_ONLINE;
	}
	return online;
}
