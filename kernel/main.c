/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start-up, in order: console, ACPI, clock, memory, page tables, cpus, virtualization, pools, VMs, ready; then the loop.
 * The only file that sees every room.
 */
#include "arch/x86_64/apic.h"
#include "arch/x86_64/machine.h"
#include "arch/x86_64/mitigate.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/time.h"
#include "arch/x86_64/virt.h"
#include "kernel/arch.h"
#include "kernel/bootstat.h"
#include "kernel/call.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/manifest.h"
#include "kernel/mem_boot.h"
#include "kernel/shell.h"
#include "kernel/version.h"
#include "pool/args.h"
#include "pool/dispatch.h"
#include "pool/pool.h"
#include "pool/pool_manifest.h"
#include "vm/vm.h"
#include "vm/vm_manifest.h"

#define CONSOLE_TICK_NS	(10 * NS_PER_MS)	/* guests' lines, and input where the port has no interrupt */
/* A guest runs here: the port's 16 bytes fill in 1.4 ms, and may have been filling since the last look. */
#define INPUT_TICK_NS	(800 * NS_PER_US)
#define TYPED_TICK_NS	(250 * NS_PER_US)	/* there was input: more may follow it */
#define IDLE_TICK_NS	(100 * NS_PER_MS)	/* input all the same: its interrupt may be lost on the way */

#define SCREEN_TICK_NS	(2 * NS_PER_MS)		/* between two pieces of drawing */
#define SCREEN_STEPS	8u			/* in a piece, which is some 50 us, and much more on a slow machine */
#define SCREEN_CELLS	32u			/* characters of a step */

static struct manifest manifest;
static bool more_console;
static bool screen_left;		/* to draw, from screen_next_ns on */
static uint64_t screen_next_ns;
static bool typed;

static void say_text(const char *text, uint64_t size)
{
	uint64_t from = 0;

	for (uint64_t i = 0; i <= size; i++) {
		if (i == size || text[i] == '\n' || text[i] == '\r') {
			if (i > from) {
				log_printf("%.*s", (int)(i - from), text + from);
			}
			from = i + 1;
		}
	}
}

static void draw_screen(void)
{
	uint64_t now_ns = arch_now_ns();

	screen_left = true;
	if (now_ns < screen_next_ns) {
		return;
	}
	screen_next_ns = now_ns + SCREEN_TICK_NS;
	for (unsigned i = 0; i < SCREEN_STEPS && screen_left; i++) {
		screen_left = arch_screen_draw(SCREEN_CELLS);
		console_catch();
	}
}

/* What the housekeeping cpu does when it is time to. */
static void housekeeping(void)
{
	pool_watch();
	vm_housekeeping();
	typed = console_receive();
	more_console = shell_poll();
	if (console_pump()) {
		arch_serial_want_tx_irq(true);
		more_console |= !machine.serial_irq;
	} else {
		arch_serial_want_tx_irq(false);
	}
	draw_screen();
}

static uint64_t housekeeping_wait(bool busy)
{
	uint64_t wait_ns = machine.serial_irq && !vm_any_running() ? IDLE_TICK_NS : CONSOLE_TICK_NS;

	if (more_console) {
		return 0;
	}
	if (busy) {
		wait_ns = typed ? TYPED_TICK_NS : INPUT_TICK_NS;
	}
	return screen_left ? MIN(wait_ns, ns_since(arch_now_ns(), screen_next_ns)) : wait_ns;
}

static void report(void *context, const struct manifest_error *error)
{
	char line[400];
	struct text t = text_make(line, sizeof(line));

	manifest_error_print(error, "tarn.conf", &t);
	log_printf("%s", line);
}

static void read_manifest(void)
{
	const struct boot_info *b = machine.boot;
	struct manifest_errors errors = { .report = report };
	struct manifest_facts facts = args_facts();

	facts.cpus.is_free = NULL;	/* at boot that is what no pool above names */
	if (b->manifest == 0) {
		log_printf("manifest: none: one pool of every cpu");
	}
	manifest_parse(&manifest, b->manifest == 0 ? "" : arch_direct(hpa(b->manifest)), b->manifest_size, &errors);
	manifest_check(&manifest, &facts, &errors);
	if (errors.errors + errors.warnings > 0) {
		log_printf("manifest: %u error%s, %u warning%s", errors.errors, errors.errors == 1 ? "" : "s", errors.warnings,
			   errors.warnings == 1 ? "" : "s");
	}
}

struct virt_turn {
	bool on;
	char words[200];	/* why not */
};

static void turn_virt_on(void *context)
{
	struct virt_turn *turn = context;
	struct text why = text_make(turn->words, sizeof(turn->words));

	turn->on = virt->cpu_on(&why) == ERR_OK;
}

static void turn_virt_on_at(unsigned cpu, struct virt_turn *turn)
{
	if (virt->cpu_prepare(cpu, cpu_get(cpu)->node) != ERR_OK) {
		panic("no memory for %s on cpu %u", virt->name, cpu);
	}
	call_sync(cpu, turn_virt_on, turn);
}

/* Firmware set this cpu up otherwise than the boot cpu: what cannot run guests shall be in no pool. */
static void leave_cpu_out(unsigned cpu, const char *why)
{
	struct call retire;

	log_printf("cpu %u cannot run VMs and is left out: %s", cpu, why);
	call_init(&retire, machine_retire_cpu, NULL);
	call_post(cpu, &retire);
	for (uint64_t end = arch_now_ns() + NS_PER_S; cpu_is_online(cpu);) {
		if (arch_now_ns() > end) {
			panic("waited 1 s for cpu %u to leave its loop", cpu);
		}
		arch_relax();
	}
}

static void start_virt(void)
{
	struct virt_turn turn;

	virt_init();
	if (virt != NULL) {
		turn_virt_on_at(arch_this_cpu(), &turn);
		if (!turn.on) {
			virt_give_up(turn.words);
		}
	}
	if (virt == NULL) {
		log_printf("virt: VMs cannot run: %s", virt_why_not());
		return;
	}
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (cpu_is_online(i) && i != arch_this_cpu()) {
			turn_virt_on_at(i, &turn);
			if (!turn.on) {
				leave_cpu_out(i, turn.words);
			}
		}
	}
	log_printf("virt: on: %s", arch_virtualization());
}

static unsigned count_online(void)
{
	unsigned online = 0;

	for (unsigned i = 0; i < cpu_count(); i++) {
		online += cpu_is_online(i);
	}
	return online;
}

/* The manifest's housekeeping cpu; the boot cpu where that one is dead. */
static unsigned choose_housekeeper(void)
{
	unsigned wanted = manifest.boot.housekeeping.value;

	if (manifest.boot.housekeeping.line == 0 || wanted == arch_this_cpu()) {
		return arch_this_cpu();
	}
	if (!cpu_is_online(wanted)) {
		log_printf("cpu %u is dead: housekeeping stays on cpu %u", wanted, arch_this_cpu());
		return arch_this_cpu();
	}
	return wanted;
}

static const char *policy_name_at(unsigned i)
{
	const struct sched_ops *ops = sched_policy_at(i);

	return ops != NULL ? ops->name : NULL;
}

static void start_shell(void)
{
	shell_init();
	shell_set_names(SHELL_POOL, pool_name_at);
	shell_set_names(SHELL_VM, vm_name_at);
	shell_set_names(SHELL_FILE, machine_file_name_at);
	shell_set_names(SHELL_SCHED, policy_name_at);
}

/* The second half, on a stack with guard pages and the hypervisor's own page tables. */
static noreturn void start(void)
{
	const struct boot_info *b = machine.boot;
	unsigned online, housekeeper;
	uint64_t ns;

	mem_boot_add(&mem, machine.map, b->mem_count, BOOT_MEM_RECLAIM, &machine.topology);
	rtc_init(&machine.platform);
	power_init(&machine.platform);
	machine_quiesce(&machine.platform);
	apic_init(hpa(machine.topology.lapic_address));
	apic_init_cpu();
	online = smp_start(&machine.topology, smp_find_trampoline(b), dispatch_loop);
	log_printf("cpu: %u of %u online in %u node%s, %s mode", online, machine.topology.cpu_count,
		   machine.topology.node_count, machine.topology.node_count == 1 ? "" : "s",
		   apic_is_x2apic() ? "x2APIC" : "xAPIC");
	start_virt();
	online = count_online();
	read_manifest();
	mitigate_init(manifest.boot.mitigations == MANIFEST_MITIGATE_OFF);
	pool_watch_init();
	pool_manifest_build(&manifest);
	vm_init();
	vm_manifest_build(&manifest);
	housekeeper = choose_housekeeper();
	machine.serial_irq = serial_init_irq(&machine.platform, cpu_get(housekeeper)->apic_id);
	dispatch_set_housekeeping(housekeeping, housekeeping_wait);
	start_shell();
	ns = arch_now_ns();
	log_printf("tarn: ready: %u cpu%s, %u node%s, %u pool%s, %u VM%s, %lu ms", online, online == 1 ? "" : "s",
		   machine.topology.node_count, machine.topology.node_count == 1 ? "" : "s", pool_count(),
		   pool_count() == 1 ? "" : "s", vm_count(), vm_count() == 1 ? "" : "s", ns / NS_PER_MS);
	bootstat_mark(BOOTSTAT_READY, arch_ticks());
	for (unsigned i = 0; i < manifest.boot.run_count; i++) {
		(void)shell_run(manifest.boot.run[i].text);
	}
	console_set_polled(false);
	shell_start();
	if (housekeeper != arch_this_cpu()) {
		cpu_set_housekeeping(housekeeper);
	}
	dispatch_loop();
}

void kernel_main(const struct boot_info *info)
{
	struct topology_tables tables;

	machine.boot = info;
	machine.map = arch_direct(hpa(info->mem));
	machine.files = arch_direct(hpa(info->files));
	if (info->log != 0) {
		say_text(arch_direct(hpa(info->log)), info->log_size);
	}
	log_printf("Tarn %s", TARN_VERSION);
	platform_read(&machine.platform, &tables, info->rsdp, info->direct_size);
	time_init(machine.platform.pm_timer, info->handoff_tsc);
	topology_build(&machine.topology, &tables, apic_id());
	for (unsigned i = 0; i < MIN(machine.topology.note_count, TOPO_NOTE_MAX); i++) {
		log_printf("topology: %s", machine.topology.note[i]);
	}
	machine_adopt_boot_cpu(&machine.topology);
	mem_init(&mem, &machine.topology);
	mem_boot_compare(machine.map, info->mem_count, &machine.topology);
	mem_boot_add(&mem, machine.map, info->mem_count, BOOT_MEM_FREE, &machine.topology);
	paging_init(info);
	screen_map(&info->framebuffer);
	if (machine.platform.serial_port != 0x3f8) {
		serial_init(machine.platform.serial_port);
	}
	machine_leave_boot_stack(start);
}
