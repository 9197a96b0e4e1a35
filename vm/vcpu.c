/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running a virtual cpu. Its deadline is the earlier of its local APIC's timer and the platform's (PIT), as an absolute host TSC
 * value: while the guest runs, the VMX-preemption timer ends it there; while it is halted, a timer of the cpu it ran on does.
 */
#include "vm/vcpu.h"

#include "kernel/arch.h"
#include "kernel/heap.h"
#include "kernel/log.h"
#include "pool/pool.h"
#include "vm/vcpuid.h"

static void before_entry(struct virt_vcpu *virt_v);

static void timer_fired(void *arg)
{
	struct vcpu *v = arg;

	pool_entity_wake(&v->entity);
}

struct vcpu *vcpu_create(struct vm *vm, unsigned index)
{
	struct vcpu *v = heap_alloc(sizeof(*v), vm->node);
	struct virt_config config = {
		.node = vm->node, .space = vm->space, .handlers = vexit_handlers, .before_entry = before_entry, .owner = v,
		.cr4_allowed = vcpuid_cr4_allowed(virt_host_cpuid), .xcr0_allowed = virt_guest_xcr0(),
	};

	if (v == NULL) {
		return NULL;
	}
	if (virt->vcpu_create(&config, &v->virt) != ERR_OK) {
		heap_free(v, sizeof(*v));
		return NULL;
	}
	v->vm = vm;
	v->index = index;
	v->entity.number = index;
	v->entity.values = vm->config.values;
	v->entity.hard = vm->config.affinity;
	v->entity.soft = vm->config.soft_affinity;
	timer_init(&v->timer, timer_fired, v);
	return v;
}

void vcpu_destroy(struct vcpu *v)
{
	timer_cancel_sync(&v->timer);
	virt->vcpu_destroy(v->virt);
	heap_free(v, sizeof(*v));
}

void vcpu_reset(struct vcpu *v, const struct virt_start *start)
{
	(void)timer_cancel(&v->timer);
	v->halted = false;
	v->virt->tsc_offset = 0 - v->vm->start_tsc;
	v->virt->deadline_tsc = UINT64_MAX;
	virt->vcpu_reset(v->virt, start);
}

uint64_t vcpu_bytes(void)
{
	return sizeof(struct vcpu) + virt->vcpu_bytes();
}

void vcpu_kick(struct vcpu *v)
{
	pool_entity_wake(&v->entity);
}

bool vcpu_event_waits(const struct vcpu *v)
{
	return vlapic_pending(&v->lapic) >= 0 || vplatform_extint(&v->vm->platform, v->index);
}

/* Host TSC of the next thing that happens to v by itself. */
static uint64_t next_deadline(const struct vcpu *v)
{
	uint64_t lapic = vlapic_deadline(&v->lapic), platform = vplatform_deadline(&v->vm->platform);
	uint64_t at = lapic == UINT64_MAX ? UINT64_MAX : lapic - v->virt->tsc_offset;

	if (platform != NS_NEVER && v->index == 0) {
		at = MIN(at, virt_ns_to_tsc(platform + v->vm->start_ns));
	}
	return at;
}

/* Timers that are due, and typed bytes that came, become interrupts. */
static void collect_events(struct vcpu *v)
{
	struct vm *vm = v->vm;

	if (vlapic_deadline(&v->lapic) != UINT64_MAX) {
		uint64_t now = vcpu_tsc(v);

		if (now >= vlapic_deadline(&v->lapic)) {
			vlapic_expire(&v->lapic, now);
		}
	}
	if (v->index != 0) {
		return;
	}
	if (vplatform_deadline(&vm->platform) != NS_NEVER) {
		uint64_t now_ns = arch_now_ns() - vm->start_ns;

		if (now_ns >= vplatform_deadline(&vm->platform)) {
			vplatform_expire(&vm->platform, now_ns);
		}
	}
	/* Pairs with the store in vconsole_type(). */
	if (atomic_load_explicit(&vm->console->in_waiting, memory_order_relaxed) &&
	    atomic_exchange_explicit(&vm->console->in_waiting, false, memory_order_acquire)) {
		vplatform_feed(&vm->platform);
	}
}

static void deliver(struct vcpu *v)
{
	int vector;

	if (vplatform_extint(&v->vm->platform, v->index)) {
		virt->inject(v->virt, vplatform_extint_ack(&v->vm->platform));
		return;
	}
	vector = vlapic_pending(&v->lapic);
	vlapic_ack(&v->lapic, (uint8_t)vector);
	virt->inject(v->virt, (uint8_t)vector);
}

static void before_entry(struct virt_vcpu *virt_v)
{
	struct vcpu *v = virt_v->owner;

	collect_events(v);
	if (vcpu_event_waits(v)) {
		if (virt->can_inject(virt_v)) {
			deliver(v);
		}
		virt->want_window(virt_v, vcpu_event_waits(v));
	} else {
		virt->want_window(virt_v, false);
	}
	virt_v->deadline_tsc = next_deadline(v);
}

/* Stays halted: wakes at the deadline, if there is one. */
static enum dispatch_why block(struct vcpu *v)
{
	uint64_t deadline = v->halted_with_if ? next_deadline(v) : UINT64_MAX;

	if (deadline != UINT64_MAX) {
		/* One nanosecond late rather than early: the conversion rounds down. */
		timer_set(&v->timer, arch_this_cpu(), virt_tsc_to_ns(deadline) + 1);
	}
	return DISPATCH_BLOCKED;
}

static enum dispatch_why run(struct sched_entity *e, uint64_t until_ns)
{
	struct vcpu *v = CONTAINER_OF(e, struct vcpu, entity);

	if (atomic_load_explicit(&v->vm->ending, memory_order_acquire) != VM_NOT_ENDING) {
		return DISPATCH_STOPPED;
	}
	if (v->halted) {
		collect_events(v);
		if (!v->halted_with_if || !vcpu_event_waits(v)) {
			return block(v);
		}
		v->halted = false;
	}
	(void)timer_cancel(&v->timer);
	v->virt->until_tsc = virt_ns_to_tsc(until_ns);
	switch (virt->run(v->virt)) {
	case VCPU_LEFT_TIME:
		return DISPATCH_TIME;
	case VCPU_LEFT_HALTED:
		return block(v);
	case VCPU_LEFT_YIELDED:
		return DISPATCH_YIELDED;
	case VCPU_LEFT_ENDING:
		return DISPATCH_STOPPED;
	default:
		return DISPATCH_POKED;
	}
}

static void put(struct sched_entity *e)
{
	virt->put(CONTAINER_OF(e, struct vcpu, entity)->virt);
}

const struct dispatch_ops vcpu_dispatch = { .run = run, .put = put };
