/* SPDX-License-Identifier: BSD-2-Clause */
/* Making, starting, stopping and ending VMs; see vm.h for the picture. */
#include "vm/vm.h"

#include <stdarg.h>

#include "kernel/arch.h"
#include "kernel/bootstat.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/heap.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "pool/pool.h"
#include "vm/vcpu.h"
#include "vm/vcpuid.h"
#include "vm/vm_numa.h"
#include "vm/vmap.h"
#include "vm/vm_files.h"
#include "vm/vm_memory.h"

#define SHOW_BUDGET	1024u	/* bytes of one guest's output shown in a round */
#define RESTART_CALM_NS	(10 * NS_PER_S)
#define RESTART_FIRST_NS	(100 * NS_PER_MS)
#define RESTART_LAST_NS	(60 * NS_PER_S)

static struct list vms = { &vms, &vms };
static unsigned running_count;

const char *vm_state_words(enum vm_state s)
{
	static const char *const words[] = {
#define VM_STATE_WORDS(name, text) [VM_##name] = (text),
		VM_STATE_TABLE(VM_STATE_WORDS)
#undef VM_STATE_WORDS
	};

	return words[s];
}

const char *vm_exit_words(enum virt_exit kind)
{
	static const char *const words[VIRT_EXIT_COUNT] = {
#define EXIT_WORDS(name, text) [VIRT_EXIT_##name] = (text),
		VIRT_EXIT_TABLE(EXIT_WORDS)
#undef EXIT_WORDS
	};

	return words[kind];
}

struct vm *vm_find(const char *name)
{
	LIST_FOREACH(at, &vms) {
		struct vm *vm = LIST_ENTRY(at, struct vm, link);

		if (str_eq(vm->config.name, name)) {
			return vm;
		}
	}
	return NULL;
}

struct vm *vm_at(unsigned i)
{
	LIST_FOREACH(at, &vms) {
		if (i-- == 0) {
			return LIST_ENTRY(at, struct vm, link);
		}
	}
	return NULL;
}

unsigned vm_count(void)
{
	unsigned n = 0;

	LIST_FOREACH(at, &vms) {
		n++;
	}
	return n;
}

const char *vm_name_at(unsigned i)
{
	const struct vm *vm = vm_at(i);

	return vm != NULL ? vm->config.name : NULL;
}

bool vm_any_running(void)
{
	return running_count > 0;
}

static bool is_live(const struct vm *vm)
{
	return vm->state == VM_RUNNING || vm->state == VM_PAUSED;
}

static void set_state(struct vm *vm, enum vm_state s)
{
	running_count += (s == VM_RUNNING) - (vm->state == VM_RUNNING);
	vm->state = s;
}

/* --- What the platform asks of us; ctx is the VM. */

static void op_lock(void *ctx)
{
	spin_lock(&((struct vm *)ctx)->lock);
}

static void op_unlock(void *ctx)
{
	spin_unlock(&((struct vm *)ctx)->lock);
}

static void op_kick(void *ctx, unsigned vcpu)
{
	struct vm *vm = ctx;

	/* A vCPU that interrupts itself is in its exit path: it need not be woken. */
	if (cpu_this()->current != &vm->vcpu[vcpu]->entity) {
		vcpu_kick(vm->vcpu[vcpu]);
	} else {
		atomic_store_explicit(&vm->vcpu[vcpu]->virt->news, true, memory_order_relaxed);
	}
}

static void op_nmi(void *ctx, unsigned vcpu)
{
	vcpu_nmi(((struct vm *)ctx)->vcpu[vcpu]);
}

static void op_init(void *ctx, unsigned vcpu)
{
	struct vm *vm = ctx;

	if (vcpu == 0) {
		vm_end(vm, VM_ENDING_RESET, 0, "the guest sent INIT to its first vCPU");
	} else {
		vcpu_init_signal(vm->vcpu[vcpu]);
	}
}

static void op_startup(void *ctx, unsigned vcpu, uint8_t page)
{
	vcpu_startup_signal(((struct vm *)ctx)->vcpu[vcpu], page);
}

static void op_tx(void *ctx, uint8_t byte)
{
	vconsole_put(((struct vm *)ctx)->console, byte);
}

static int op_rx(void *ctx)
{
	return vconsole_get(((struct vm *)ctx)->console);
}

static void op_event(void *ctx, enum vm_event event, uint32_t code)
{
	struct vm *vm = ctx;

	switch (event) {
	case VM_EVENT_POWEROFF:
		vm_end(vm, VM_ENDING_POWEROFF, 0, "the guest powered off");
		break;
	case VM_EVENT_RESET:
		vm_end(vm, VM_ENDING_RESET, 0, "the guest reset itself");
		break;
	case VM_EVENT_DEBUG_EXIT:
		vm_end(vm, VM_ENDING_EXIT, code, "the guest exited with code %u", code);
		break;
	}
}

static uint64_t op_now_ns(void *ctx)
{
	return arch_now_ns() - ((struct vm *)ctx)->start_ns;
}

static uint64_t op_now_tsc(void *ctx, unsigned vcpu)
{
	return vcpu_tsc(((struct vm *)ctx)->vcpu[vcpu]);
}

static const struct vplatform_ops platform_ops = {
	.lock = op_lock, .unlock = op_unlock, .kick = op_kick, .nmi = op_nmi, .init = op_init,
	.startup = op_startup, .tx = op_tx, .rx = op_rx, .event = op_event, .now_ns = op_now_ns, .now_tsc = op_now_tsc,
};

/* --- Making. */

static void free_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		vcpu_destroy(vm->vcpu[i]);
		vm->vcpu[i] = NULL;
	}
	vm->vcpu_count = 0;
}

static enum err make_vcpus(struct vm *vm, struct sched_reason *why)
{
	struct sched_entity *entities[VM_VCPUS_MAX];

	for (; vm->vcpu_count < vm->config.vcpus; vm->vcpu_count++) {
		struct vcpu *v = vcpu_create(vm, vm->vcpu_count);

		if (v == NULL) {
			return sched_refuse(ERR_NOMEM, why, "no memory for vCPU %u: %lu bytes on node %u", vm->vcpu_count, vcpu_bytes(),
				    vm->node);
		}
		vm->vcpu[vm->vcpu_count] = v;
		entities[vm->vcpu_count] = &v->entity;
	}
	vm->group.values = vm->config.values;
	(void)str_copy(vm->group.name, sizeof(vm->group.name), vm->config.name);
	return pool_group_add(vm->pool, &vm->group, entities, vm->vcpu_count, why);
}

static enum err make_parts(struct vm *vm, struct sched_reason *why)
{
	enum err e;

	vm->console = vconsole_create(vm->node);
	if (vm->console == NULL || virt->space_create(vm->node, &vm->space) != ERR_OK ||
	    (virt->offers(VIRT_APIC) && virt->space_map_apic(vm->space, gpa(VMAP_LAPIC_BASE)) != ERR_OK)) {
		return sched_refuse(ERR_NOMEM, why, "no memory for the console and the page tables on node %u", vm->node);
	}
	e = vm_memory_create(vm, why);
	return e != ERR_OK ? e : make_vcpus(vm, why);
}

static void free_parts(struct vm *vm)
{
	pool_group_remove(&vm->group);
	free_vcpus(vm);
	if (vm->space != NULL) {
		virt->space_destroy(vm->space);
	}
	vm_memory_destroy(vm);
	if (vm->console != NULL) {
		vconsole_destroy(vm->console);
	}
}

static enum err check_config(const struct vm_config *c, struct sched_reason *why)
{
	if (virt == NULL) {
		return sched_refuse(ERR_NOTSUP, why, "%s", virt_why_not());
	}
	if (vm_find(c->name) != NULL) {
		return sched_refuse(ERR_EXIST, why, "a VM of that name exists already");
	}
	if (c->vcpus == 0 || c->vcpus > VM_VCPUS_MAX) {
		return sched_refuse(ERR_LIMIT, why, "vcpus: found %u, at most %u can be started", c->vcpus, VM_VCPUS_MAX);
	}
	return ERR_OK;
}

enum err vm_create(const struct vm_config *config, struct pool *p, struct vm **out, struct sched_reason *why)
{
	unsigned node = vm_memory_home(p);
	struct vm *vm;
	enum err e = check_config(config, why);

	if (e != ERR_OK) {
		return e;
	}
	vm = heap_alloc(sizeof(*vm), node);
	if (vm == NULL) {
		return sched_refuse(ERR_NOMEM, why, "no memory on node %u", node);
	}
	vm->config = *config;
	vm->pool = p;
	vm->node = node;
	vm_numa_plan(vm);
	spin_init(&vm->lock, SPIN_RANK_VM);
	vm->restart_at_ns = NS_NEVER;
	list_init(&vm->link);
	e = make_parts(vm, why);
	if (e != ERR_OK) {
		free_parts(vm);
		heap_free(vm, sizeof(*vm));
		return e;
	}
	list_push_back(&vms, &vm->link);
	*out = vm;
	return ERR_OK;
}

void vm_destroy(struct vm *vm)
{
	struct sched_reason why;

	if (is_live(vm)) {
		(void)vm_stop(vm, &why);
	}
	vconsole_show(vm->console, vm->config.name, console_attached_to(vm), UINT32_MAX);	/* there is no later */
	if (console_attached_to(vm)) {
		console_detach();
	}
	list_remove(&vm->link);
	free_parts(vm);
	heap_free(vm, sizeof(*vm));
}

/* --- Running. */

static enum err fail_state(const struct vm *vm, const char *expected, struct sched_reason *why)
{
	return sched_refuse(ERR_STATE, why, "it is %s, expected %s", vm_state_words(vm->state), expected);
}

static enum err reset_platform(struct vm *vm)
{
	struct vplatform_config config = {
		.ops = &platform_ops, .ctx = vm, .tsc_hz = virt_host_tsc_hz(),
		.timer_hz = virt_host_tsc_hz() / VCPUID_TSC_PER_CRYSTAL, .rtc_base_s = (int64_t)arch_wall_clock_s(),
		.apic_assisted = virt->offers(VIRT_APIC),
	};
	enum err e = vplatform_init(&vm->platform, &config);

	for (unsigned i = 0; e == ERR_OK && i < vm->vcpu_count; i++) {
		e = vplatform_add_vcpu(&vm->platform, &vm->vcpu[i]->lapic, i);
	}
	return e;
}

enum err vm_start(struct vm *vm, struct sched_reason *why)
{
	struct virt_start start;
	enum err e;

	if (is_live(vm)) {
		return fail_state(vm, "stopped or crashed", why);
	}
	e = vm_files_load(vm, &start, why);
	if (e != ERR_OK) {
		return e;
	}
	dispatch_drop_current();	/* a reset borrows this cpu for the VMCS */
	vm->start_ns = arch_now_ns();
	vm->start_tsc = virt_host_tsc();
	vm->restart_at_ns = NS_NEVER;
	bootstat_mark(BOOTSTAT_FIRST_VM, vm->start_tsc);
	atomic_store(&vm->ending, VM_NOT_ENDING);
	atomic_store(&vm->ending_claimed, false);
	vm->exit_code = 0;
	vm->reason[0] = '\0';
	e = reset_platform(vm);
	if (e != ERR_OK) {
		return sched_refuse(e, why, "the virtual devices: %s", err_words(e));
	}
	vcpu_reset(vm->vcpu[0], &start);
	for (unsigned i = 1; i < vm->vcpu_count; i++) {
		vcpu_reset(vm->vcpu[i], NULL);
	}
	set_state(vm, VM_RUNNING);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		pool_entity_start(&vm->vcpu[i]->entity);
	}
	return ERR_OK;
}

static void pause_all(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		pool_entity_pause(&vm->vcpu[i]->entity);
	}
}

enum err vm_pause(struct vm *vm, struct sched_reason *why)
{
	if (vm->state != VM_RUNNING) {
		return fail_state(vm, "running", why);
	}
	pause_all(vm);
	set_state(vm, VM_PAUSED);
	return ERR_OK;
}

enum err vm_resume(struct vm *vm, struct sched_reason *why)
{
	if (vm->state != VM_PAUSED) {
		return fail_state(vm, "paused", why);
	}
	set_state(vm, VM_RUNNING);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		pool_entity_resume(&vm->vcpu[i]->entity);
	}
	return ERR_OK;
}

static void stopped(struct vm *vm, enum vm_state state, const char *reason)
{
	if (vm->state == VM_RUNNING) {
		pause_all(vm);
	}
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		(void)timer_cancel(&vm->vcpu[i]->timer);
	}
	if (!console_attached_to(vm)) {
		/* Its last words, before ours about its end; if they are many, the rest comes later, at a guest's pace. */
		vconsole_show(vm->console, vm->config.name, false, (unsigned)console_guest_room());
	}
	set_state(vm, state);
	(void)str_copy(vm->reason, sizeof(vm->reason), reason);
	log_printf("vm %s: %s: %s", vm->config.name, vm_state_words(state), reason);
}

enum err vm_stop(struct vm *vm, struct sched_reason *why)
{
	if (vm->restart_at_ns != NS_NEVER) {
		vm->restart_at_ns = NS_NEVER;
		return ERR_OK;
	}
	if (!is_live(vm)) {
		return fail_state(vm, "running or paused", why);
	}
	stopped(vm, VM_STOPPED, "by command");
	return ERR_OK;
}

enum err vm_move(struct vm *vm, struct pool *to, struct sched_reason *why)
{
	enum err e = pool_group_move(&vm->group, to, why);

	if (e == ERR_OK) {
		vm->pool = to;
	}
	return e;
}

/* --- Ending by itself. */

void vm_end(struct vm *vm, enum vm_ending how, uint32_t code, const char *fmt, ...)
{
	struct text t;
	va_list args;

	if (atomic_exchange(&vm->ending_claimed, true)) {
		return;
	}
	t = text_make(vm->ending_words, sizeof(vm->ending_words));
	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	vm->exit_code = code;
	/* Pairs with the load in vm_housekeeping(). */
	atomic_store_explicit(&vm->ending, how, memory_order_release);
	cpu_poke(cpu_housekeeping());
}

unsigned vm_crash(struct virt_vcpu *v, const char *fmt, ...)
{
	struct vcpu *vcpu = v->owner;
	char words[VM_REASON_LEN];
	struct text t = text_make(words, sizeof(words));
	va_list args;

	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	log_printf("vm %s: vCPU %u: %s", vcpu->vm->config.name, vcpu->index, words);
	vm_end(vcpu->vm, VM_ENDING_CRASH, 0, "%s", words);
	vcpu->crashed = true;
	v->leave_code = DISPATCH_STOPPED;
	return VIRT_LEAVE;
}

static enum manifest_action action_of(const struct vm *vm, unsigned how)
{
	switch (how) {
	case VM_ENDING_RESET:
		return vm->config.on_reboot;
	case VM_ENDING_CRASH:
		return vm->config.on_crash;
	default:
		return vm->config.on_poweroff;
	}
}

/*
 * At once after a run of RESTART_CALM_NS; else after a delay that doubles, for every start clears and loads the VM's memory on this
 * cpu, and a guest that only resets must not have it all.
 */
static void plan_restart(struct vm *vm)
{
	uint64_t now = arch_now_ns();

	if (now - vm->start_ns >= RESTART_CALM_NS) {
		vm->restart_delay_ns = 0;
	} else {
		vm->restart_delay_ns = MIN(MAX(2 * vm->restart_delay_ns, RESTART_FIRST_NS), RESTART_LAST_NS);
		log_printf("vm %s: restarts in %lu ms", vm->config.name, vm->restart_delay_ns / NS_PER_MS);
	}
	vm->restart_at_ns = now + vm->restart_delay_ns;
}

static void restart(struct vm *vm)
{
	struct sched_reason why = { "" };

	vm->restart_at_ns = NS_NEVER;
	if (vm_start(vm, &why) != ERR_OK) {
		log_printf("vm %s: cannot restart: %s", vm->config.name, why.words);
	}
}

/* The vCPU that found out has left its cpu, or is about to. */
static void finish(struct vm *vm, unsigned how)
{
	stopped(vm, how == VM_ENDING_CRASH ? VM_CRASHED : VM_STOPPED, vm->ending_words);
	switch (action_of(vm, how)) {
	case MANIFEST_RESTART:
		plan_restart(vm);
		break;
	case MANIFEST_DESTROY:
		vm_destroy(vm);
		break;
	case MANIFEST_STOP:
		break;
	}
}

/* --- The housekeeping cpu's share. */

static void show_output(struct vm *vm)
{
	bool attached = console_attached_to(vm);
	size_t room;

	if (!vconsole_has_news(vm->console)) {
		return;		/* the usual case, and there may be many VMs */
	}
	room = console_guest_room();
	if (room > 0) {
		vconsole_show(vm->console, vm->config.name, attached, (unsigned)MIN(room, (size_t)SHOW_BUDGET));
		vconsole_tell_dropped(vm->console, vm->config.name, attached);
	}
}

/* Another VM is the first in each round, so that one that floods does not take all the room each time. */
static void show_all_output(void)
{
	static unsigned turn;
	unsigned n = vm_count(), first = n == 0 ? 0 : turn++ % n;

	for (unsigned pass = 0; pass < 2; pass++) {
		unsigned i = 0;

		LIST_FOREACH(at, &vms) {
			if ((i++ < first) == (pass == 1)) {
				show_output(LIST_ENTRY(at, struct vm, link));
			}
		}
	}
}

void vm_housekeeping(void)
{
	show_all_output();
	LIST_FOREACH_SAFE(at, &vms) {
		struct vm *vm = LIST_ENTRY(at, struct vm, link);
		unsigned how;

		if (vm->restart_at_ns != NS_NEVER && arch_now_ns() >= vm->restart_at_ns) {
			restart(vm);
		}
		how = atomic_load_explicit(&vm->ending, memory_order_acquire);
		if (how != VM_NOT_ENDING && is_live(vm)) {
			finish(vm, how);	/* may free vm */
		}
	}
}

void vm_init(void)
{
	dispatch_set_ops(&vcpu_dispatch);
}
