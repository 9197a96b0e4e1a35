/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running a virtual cpu. Its deadline is the earlier of its local APIC's timer and the platform's (PIT), as an absolute host TSC
 * value: while the guest runs, the VMX-preemption timer ends it there; while it is halted, a timer of the cpu it ran on does.
 * Both are set a little early, by about what the way from them to here took the last times, and the rest is waited for: so
 * the guest's interrupt is as late as what comes after, and never early.
 */
#include "vm/vcpu.h"

#include "kernel/arch.h"
#include "kernel/cpu.h"
#include "kernel/heap.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/mem.h"
#include "pool/pool.h"
#include "vm/vcpuid.h"
#include "vm/vm_numa.h"

/* A bus lock takes about a microsecond: so a vCPU's take 1% of the bus at most. */
#define BUS_LOCK_PAUSE_NS	100000ul

/* The longest lead, and wait: some microseconds. What comes later than that was not late because of the way. */
#define LEAD_MAX_TSC		10000
/* Who comes that near before the lead waits too: the cpu's timer is as coarse, and to go back would cost more. */
#define LEAD_NEAR_TSC		64u

static void before_entry(struct virt_vcpu *virt_v, uint64_t now_tsc);

static void timer_fired(void *arg)
{
	struct vcpu *v = arg;

	v->woken_idle = cpu_this()->current == NULL;
	pool_entity_wake(&v->entity);
}

/* Where the VM spans nodes and does not say, its memory's: all cpus of the vCPU's node. */
static struct cpuset soft_affinity(const struct vm *vm, unsigned index)
{
	struct cpuset soft = vm->config.soft_affinity;

	for (unsigned i = 0; vm->span_count > 1 && cpuset_empty(&vm->config.soft_affinity) && i < cpu_count(); i++) {
		if (cpu_get(i) != NULL && cpu_get(i)->node == vm_numa_vcpu_node(vm, index)) {
			cpuset_add(&soft, i);
		}
	}
	return soft;
}

struct vcpu *vcpu_create(struct vm *vm, unsigned index)
{
	struct vcpu *v = heap_alloc(sizeof(*v), vm->node);
	hpa_t page = mem_alloc(&mem, vm->node, 1, MEM_STRICT);
	struct virt_config config = {
		.node = vm->node, .space = vm->space, .handlers = vexit_handlers, .before_entry = before_entry, .owner = v,
		.cr4_allowed = vcpuid_cr4_allowed(virt_host_cpuid), .xcr0_allowed = virt_guest_xcr0(),
	};

	if (v == NULL || hpa_is_none(page)) {
		goto fail;
	}
	v->lapic.page = config.apic_page = arch_direct(page);
	if (virt->vcpu_create(&config, &v->virt) != ERR_OK) {
		goto fail;
	}
	v->vm = vm;
	v->index = index;
	v->entity.number = index;
	v->entity.values = vm->config.values;
	v->entity.hard = vm->config.affinity;
	v->entity.soft = soft_affinity(vm, index);
	timer_init(&v->timer, timer_fired, v);
	return v;
fail:
	if (!hpa_is_none(page)) {
		mem_free(&mem, page, 1);
	}
	if (v != NULL) {
		heap_free(v, sizeof(*v));
	}
	return NULL;
}

void vcpu_destroy(struct vcpu *v)
{
	timer_cancel_sync(&v->timer);
	virt->vcpu_destroy(v->virt);
	mem_free(&mem, arch_direct_hpa(v->lapic.page), 1);
	heap_free(v, sizeof(*v));
}

void vcpu_reset(struct vcpu *v, const struct virt_start *start)
{
	(void)timer_cancel(&v->timer);
	v->halted = v->nmi_held = false;
	v->pause_until_ns = v->due_tsc = 0;
	v->steal = (struct vsteal){ 0 };
	atomic_store(&v->init_requested, false);
	atomic_store(&v->nmi_requested, false);
	atomic_store(&v->startup, 0);
	atomic_store(&v->waits_for_sipi, start == NULL);
	vmtrr_reset(&v->mtrr);
	v->tsc_adjust = 0;
	v->virt->tsc_offset = 0 - v->vm->start_tsc;
	v->deadline_stale = true;
	v->window = false;
	atomic_store_explicit(&v->virt->news, true, memory_order_relaxed);
	if (start != NULL) {
		virt->vcpu_reset(v->virt, start);
	}
}

void vcpu_init_signal(struct vcpu *v)
{
	atomic_store(&v->startup, 0);
	atomic_store(&v->init_requested, true);
	vcpu_kick(v);
}

void vcpu_startup_signal(struct vcpu *v, uint8_t page)
{
	if (atomic_load(&v->init_requested) || atomic_load(&v->waits_for_sipi)) {
		atomic_store(&v->startup, VCPU_STARTUP | page);
		vcpu_kick(v);
	}
}

void vcpu_nmi(struct vcpu *v)
{
	atomic_store(&v->nmi_requested, true);
	vcpu_kick(v);
}

/* INIT: the vCPU forgets what it did and waits (SDM 3A 8.4.1). */
static void take_init(struct vcpu *v)
{
	/* First this, then that: a SIPI must find one of them at any time (vcpu_startup_signal). */
	atomic_store(&v->waits_for_sipi, true);
	if (atomic_exchange(&v->init_requested, false)) {
		virt->put(v->virt);
		vlapic_reset(&v->lapic);
		atomic_store(&v->nmi_requested, false);
		v->halted = v->window = v->nmi_held = false;
		v->steal = (struct vsteal){ 0 };
	}
}

/* SIPI: real mode at the page it names. False: none came. */
static __attribute__((noinline)) bool take_startup(struct vcpu *v)
{
	uint32_t startup = atomic_exchange(&v->startup, 0);
	struct virt_start start = {
		.mode = VIRT_MODE_REAL, .cs_selector = (uint16_t)((startup & 0xff) << 8),
		/* The family and model that INIT leaves in EDX (SDM 3A table 9-1). */
		.gpr[VIRT_RDX] = virt_host_cpuid(1, 0).eax,
	};

	if (startup == 0) {
		return false;
	}
	atomic_store(&v->waits_for_sipi, false);
	virt->vcpu_reset(v->virt, &start);
	return true;
}

uint64_t vcpu_bytes(void)
{
	return sizeof(struct vcpu) + VLAPIC_PAGE_BYTES + virt->vcpu_bytes();
}

void vcpu_kick(struct vcpu *v)
{
	/* Release: what came; pairs with the exchange in the vendor's run(). */
	atomic_store_explicit(&v->virt->news, true, memory_order_release);
	pool_entity_wake(&v->entity);
}

bool vcpu_event_waits(struct vcpu *v)
{
	return vlapic_pending(&v->lapic) >= 0 || vplatform_extint(&v->vm->platform, v->index);
}

static inline uint64_t platform_deadline(const struct vcpu *v)
{
	return v->index == 0 ? vplatform_deadline(&v->vm->platform) : NS_NEVER;
}

static uint64_t platform_tsc(const struct vcpu *v, uint64_t ns)
{
	return ns == NS_NEVER ? UINT64_MAX : virt_ns_to_tsc(ns + v->vm->start_ns);
}

static __attribute__((noinline)) uint64_t plan_deadline(struct vcpu *v, uint64_t now, uint64_t lapic, uint64_t platform)
{
	uint64_t at = UINT64_MAX;

	/* A guest may name any deadline: what is past is now, what is too far saturates. */
	if (lapic != UINT64_MAX) {
		uint64_t guest_now = now + v->virt->tsc_offset, left = lapic > guest_now ? lapic - guest_now : 0;

		at = left < UINT64_MAX - 1 - now ? now + left : UINT64_MAX - 1;
	}
	at = MIN(at, platform_tsc(v, platform));
	v->lapic_deadline = lapic;
	v->platform_deadline = platform;
	v->deadline_stale = false;
	v->deadline_tsc = at;
	v->virt->deadline_tsc = at == UINT64_MAX ? at : at - MIN(at, v->lead_tsc[VCPU_LEAD_RUNNING]);
	return at;
}

/* Host TSC of the next thing that happens to v by itself: absolute, so it holds until a timer is set. */
static inline uint64_t deadline(struct vcpu *v, uint64_t now)
{
	uint64_t lapic = vlapic_deadline(&v->lapic);
	uint64_t platform = platform_deadline(v);

	if (lapic == v->lapic_deadline && platform == v->platform_deadline && !v->deadline_stale) {
		return v->deadline_tsc;
	}
	return plan_deadline(v, now, lapic, platform);
}

/* Nobody else had the cpu at the deadline: what v comes late is the way. */
static bool came_straight(struct vcpu *v, enum vcpu_lead which)
{
	return which == VCPU_LEAD_HALTED ? v->woken_idle : v->deadline_tsc >= virt_ns_to_tsc(cpu_this()->run_start_ns);
}

/*
 * Waits until due. The lead grows by half of what it was too short, and a little, and shrinks by a 16th of what it was too long:
 * so that most come early, and by little.
 */
static void wait_for(struct vcpu *v, uint64_t due_tsc, enum vcpu_lead which, bool straight)
{
	int64_t late = (int64_t)(virt_host_tsc() - due_tsc), lead = v->lead_tsc[which] + (late >= 0 ? late / 2 + 16 : late / 16);

	if (late < LEAD_MAX_TSC && straight) {
		v->lead_tsc[which] = (uint32_t)MIN(MAX(lead, 0), LEAD_MAX_TSC);
	}
	if (late < 0) {
		(void)virt_wait_tsc(due_tsc);
	}
}

/*
 * What comes of the local APIC's timer is seen by nobody before the next entry: so all is made ready, and the wait is the last
 * thing before it. The platform's devices are everybody's: theirs is waited for here.
 */
static __attribute__((noinline)) void expire_timers(struct vcpu *v, enum vcpu_lead which)
{
	const uint64_t due = v->deadline_tsc;
	struct vm *vm = v->vm;
	uint64_t now;

	v->due_straight = came_straight(v, which);
	if (v->platform_deadline != NS_NEVER && platform_tsc(v, v->platform_deadline) <= due) {
		wait_for(v, due, which, v->due_straight);
	} else {
		v->due_tsc = due;
		v->due_lead = which;
	}
	now = MAX(virt_host_tsc(), due);
	if (vlapic_deadline(&v->lapic) != UINT64_MAX) {
		uint64_t guest_now = now + v->virt->tsc_offset;

		if (guest_now >= vlapic_deadline(&v->lapic)) {
			vlapic_expire(&v->lapic, guest_now);
		} else {
			v->deadline_stale = true;	/* the guest's TSC wrapped around before it: it is far away again */
		}
	}
	if (v->index == 0 && vplatform_deadline(&vm->platform) != NS_NEVER) {
		uint64_t now_ns = virt_tsc_to_ns(now) - vm->start_ns;

		if (now_ns >= vplatform_deadline(&vm->platform)) {
			vplatform_expire(&vm->platform, now_ns);
		}
	}
	(void)deadline(v, now);
}

/* Timers that are due, and typed bytes that came, become interrupts. */
static inline void collect_events(struct vcpu *v, uint64_t now, enum vcpu_lead which)
{
	struct vm *vm = v->vm;

	if (now + v->lead_tsc[which] + LEAD_NEAR_TSC >= deadline(v, now)) {
		expire_timers(v, which);
	}
	/* Pairs with the store in vconsole_type(). */
	if (v->index == 0 && atomic_load_explicit(&vm->console->in_waiting, memory_order_relaxed) &&
	    atomic_exchange_explicit(&vm->console->in_waiting, false, memory_order_acquire)) {
		vplatform_feed(&vm->platform);
	}
}

/* More than vectors that came for the local APIC. */
static __attribute__((noinline)) void sync_apic(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	l->changed = false;
	virt->apic_sync(v->virt, vlapic_has(l, VLAPIC_X2APIC) ? VIRT_X2APIC :
			vlapic_has(l, VLAPIC_ENABLED) ? VIRT_XAPIC : VIRT_APIC_OFF);
}

/* The local APIC's vectors are the cpu's to deliver: it is told of what came. True: one of the 8259 waits. */
static inline bool hand_over(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	vlapic_take(l);
	if (l->changed || l->raised != 0) {
		if (l->changed) {
			sync_apic(v);
		} else if (vlapic_has(l, VLAPIC_ACCEPTING)) {	/* else none is to be delivered, and what changes that syncs */
			virt->apic_raise(v->virt, l->raised);
		}
		l->raised = 0;
		v->injected += l->taken;
		l->taken = 0;
	}
	return vplatform_extint(&v->vm->platform, v->index);
}

static inline bool must_inject(struct vcpu *v)
{
	return v->lapic.config.assisted ? hand_over(v) : vcpu_event_waits(v);
}

/* True: another one could be delivered but for this one. */
static __attribute__((noinline)) bool deliver(struct vcpu *v)
{
	int vector;

	if (vplatform_extint(&v->vm->platform, v->index)) {
		virt->inject(v->virt, vplatform_extint_ack(&v->vm->platform));
		v->injected++;
		return must_inject(v);
	}
	vector = v->lapic.config.assisted ? -1 : vlapic_pending(&v->lapic);
	if (vector < 0) {
		return false;		/* the 8259 took back what it asked for */
	}
	vlapic_ack(&v->lapic, (uint8_t)vector);
	virt->inject(v->virt, (uint8_t)vector);
	v->injected++;
	return false;			/* none that waits is above it; who comes now kicks */
}

bool vcpu_nmi_waits(struct vcpu *v)
{
	v->nmi_held = virt->nmi_blocked(v->virt);
	return !v->nmi_held;
}

/*
 * True: STI's shadow is on. Interrupts are too, so their window opens behind the next instruction, unless that turns them off:
 * for that one there is a time to look again.
 */
static __attribute__((noinline)) bool give_nmi(struct vcpu *v, uint64_t now)
{
	enum virt_nmi what = virt->inject_nmi(v->virt);

	if (what == VIRT_NMI_GIVEN) {
		atomic_store_explicit(&v->nmi_requested, false, memory_order_relaxed);
		v->nmi_held = false;
		v->injected++;
	} else if (what == VIRT_NMI_SHADOWED) {
		v->virt->deadline_tsc = MIN(v->virt->deadline_tsc, now + LEAD_MAX_TSC);
		v->deadline_stale = true;
	}
	return what == VIRT_NMI_SHADOWED;
}

static void before_entry(struct virt_vcpu *virt_v, uint64_t now_tsc)
{
	struct vcpu *v = virt_v->owner;
	bool waits, shadowed;

	collect_events(v, now_tsc, VCPU_LEAD_RUNNING);
	shadowed = atomic_load_explicit(&v->nmi_requested, memory_order_relaxed) && give_nmi(v, now_tsc);
	waits = must_inject(v);
	if (waits && virt->can_inject(virt_v)) {
		waits = deliver(v);
	}
	waits |= shadowed;
	if (waits != v->window) {
		v->window = waits;
		virt->want_window(virt_v, waits);
	}
	if (v->due_tsc != 0) {
		wait_for(v, v->due_tsc, v->due_lead, v->due_straight);
		v->due_tsc = 0;
	}
}

/*
 * With interrupts off no timer of its own ends a halt. But vCPU 0 keeps the platform's time for all of them, and the 8254 may be
 * wired to another one, or as an NMI.
 */
enum dispatch_why vcpu_block(struct vcpu *v)
{
	uint64_t at = v->halted_with_if ? deadline(v, virt_host_tsc()) : platform_tsc(v, platform_deadline(v));

	v->due_tsc = 0;
	if (at != UINT64_MAX) {
		uint64_t ns = virt_tsc_to_ns(at - MIN(at, v->lead_tsc[VCPU_LEAD_HALTED]));

		/* One nanosecond late rather than early: the conversion rounds down. */
		timer_set(&v->timer, arch_this_cpu(), ns + (ns != NS_NEVER ? 1 : 0));
	}
	return DISPATCH_BLOCKED;
}

enum dispatch_why vcpu_hold(struct vcpu *v)
{
	v->pause_until_ns = arch_now_ns() + BUS_LOCK_PAUSE_NS;
	timer_set(&v->timer, arch_this_cpu(), v->pause_until_ns);
	return DISPATCH_BLOCKED;
}

/* All registers are in memory only when it has left: cheap exits do not save them. */
static __attribute__((noinline)) void log_registers(struct vcpu *v)
{
	char buf[800];
	struct text t = text_make(buf, sizeof(buf));

	virt->dump(v->virt, &t);
	for (const char *line = buf; *line != '\0';) {
		const char *end = strchr(line, '\n');
		size_t len = end == NULL ? strlen(line) : (size_t)(end - line);

		log_printf("vm %s: %.*s", v->vm->config.name, (int)len, line);
		line += len + (end != NULL);
	}
}

/* An NMI ends any halt, an interrupt one that was entered with interrupts on. */
static __attribute__((noinline)) bool leaves_halt(struct vcpu *v)
{
	collect_events(v, virt_host_tsc(), VCPU_LEAD_HALTED);
	v->halted = (v->nmi_held || !atomic_load_explicit(&v->nmi_requested, memory_order_relaxed)) &&
		    !(v->halted_with_if && (vlapic_pending_still(&v->lapic) >= 0 ||	/* on_hlt() asked */
					    vplatform_extint(&v->vm->platform, v->index)));
	return !v->halted;
}

/* Did it stop for some reason, or is it to? */
static inline bool was_held(struct vcpu *v)
{
	return atomic_load_explicit(&v->vm->ending, memory_order_acquire) != VM_NOT_ENDING ||
	       (atomic_load_explicit(&v->init_requested, memory_order_relaxed) |
		atomic_load_explicit(&v->waits_for_sipi, memory_order_relaxed) | v->halted) != 0 ||
	       timer_is_set(&v->timer);
}

/* Tells the guest first what time was stolen from it, if it wants to know. */
static __attribute__((noinline)) enum dispatch_why run_stolen(struct vcpu *v, uint64_t until_ns)
{
	if (vsteal_is_on(&v->steal)) {
		vsteal_run(&v->steal, &v->vm->mem, v->entity.wait_ns);
	}
	return (enum dispatch_why)virt->run(v->virt, until_ns);
}

static __attribute__((noinline)) enum dispatch_why run_held(struct vcpu *v, uint64_t until_ns)
{
	if (atomic_load_explicit(&v->vm->ending, memory_order_acquire) != VM_NOT_ENDING) {
		return DISPATCH_STOPPED;
	}
	if (atomic_load_explicit(&v->init_requested, memory_order_relaxed)) {
		take_init(v);
	}
	if (atomic_load_explicit(&v->waits_for_sipi, memory_order_relaxed) && !take_startup(v)) {
		return DISPATCH_BLOCKED;
	}
	if (v->halted && !leaves_halt(v)) {
		return vcpu_block(v);
	}
	/* Not even INIT ends a pause: another vCPU could send one each time. */
	if (v->pause_until_ns != 0 && arch_now_ns() < v->pause_until_ns) {
		timer_set(&v->timer, arch_this_cpu(), v->pause_until_ns);
		return DISPATCH_BLOCKED;
	}
	v->pause_until_ns = 0;
	if (timer_is_set(&v->timer)) {
		(void)timer_cancel(&v->timer);
	}
	atomic_store_explicit(&v->virt->news, true, memory_order_relaxed);
	return run_stolen(v, until_ns);
}

/* Handlers leave with an enum dispatch_why, so there is nothing to do behind virt->run(). */
_Static_assert((int)VIRT_LEFT_TIME == DISPATCH_TIME && (int)VIRT_LEFT_POKED == DISPATCH_POKED, "the vendor's are the same");

static enum dispatch_why run(struct sched_entity *e, uint64_t until_ns)
{
	struct vcpu *v = CONTAINER_OF(e, struct vcpu, entity);

	if (was_held(v)) {
		return run_held(v, until_ns);
	}
	return vsteal_is_on(&v->steal) ? run_stolen(v, until_ns) : (enum dispatch_why)virt->run(v->virt, until_ns);
}

static __attribute__((noinline)) void put_slowly(struct vcpu *v)
{
	if (v->crashed) {
		v->crashed = false;
		log_registers(v);
	}
	if (vsteal_is_on(&v->steal)) {
		vsteal_put(&v->steal, &v->vm->mem);
	}
	virt->put(v->virt);
}

static void put(struct sched_entity *e)
{
	struct vcpu *v = CONTAINER_OF(e, struct vcpu, entity);

	if (v->crashed || vsteal_is_on(&v->steal)) {
		put_slowly(v);
	} else {
		virt->put(v->virt);
	}
}

const struct dispatch_ops vcpu_dispatch = { .run = run, .put = put };
