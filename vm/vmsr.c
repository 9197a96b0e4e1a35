/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of MSRs, by number; the local APIC's range is its own (vlapic_msr.h). */
#include "vm/vmsr.h"

#include "kernel/log.h"
#include "vm/vcpu.h"
#include "vm/vlapic_msr.h"
#include "vm/vspec.h"

#define MSR_TSC			0x010u
#define MSR_PLATFORM_ID		0x017u
#define MSR_FEATURE_CONTROL	0x03au
#define MSR_TSC_ADJUST		0x03bu
#define MSR_UCODE_REV		0x08bu
#define MSR_MCG_CAP		0x179u
#define MSR_MCG_STATUS		0x17au
#define MSR_MISC_ENABLE		0x1a0u
#define  MISC_ENABLE_FAST	1ul		/* fast strings */
#define MSR_DEBUGCTL		0x1d9u
#define MSR_EFER		0xc0000080u
#define APIC_MSR_FIRST		0x800u
#define APIC_MSR_LAST		0x8ffu

static bool read_zero(struct vcpu *v, uint64_t *value)
{
	*value = 0;
	return true;
}

static bool write_ignored(struct vcpu *v, uint64_t value)
{
	return true;
}

static bool write_refused(struct vcpu *v, uint64_t value)
{
	return false;
}

static bool write_zero_only(struct vcpu *v, uint64_t value)
{
	return value == 0;
}

static __attribute__((noinline)) bool read_tsc(struct vcpu *v, uint64_t *value)
{
	*value = vcpu_tsc(v);
	return true;
}

/* A write to either of TSC and TSC_ADJUST moves both by the same (SDM 3B 18.17.3). */
static bool move_tsc(struct vcpu *v, uint64_t by)
{
	vlapic_tsc_moved(&v->lapic, by);
	virt->set_tsc_offset(v->virt, v->virt->tsc_offset + by);
	v->tsc_adjust += by;
	v->deadline_stale = true;
	return true;
}

static bool write_tsc(struct vcpu *v, uint64_t value)
{
	return move_tsc(v, value - vcpu_tsc(v));
}

static bool read_tsc_adjust(struct vcpu *v, uint64_t *value)
{
	*value = v->tsc_adjust;
	return true;
}

static bool write_tsc_adjust(struct vcpu *v, uint64_t value)
{
	return move_tsc(v, value - v->tsc_adjust);
}

static bool read_locked(struct vcpu *v, uint64_t *value)
{
	*value = 1;			/* locked, VMX off */
	return true;
}

static bool read_misc_enable(struct vcpu *v, uint64_t *value)
{
	*value = MISC_ENABLE_FAST;
	return true;
}

static __attribute__((noinline)) bool read_efer(struct vcpu *v, uint64_t *value)
{
	*value = virt->read_efer(v->virt);
	return true;
}

static bool write_efer(struct vcpu *v, uint64_t value)
{
	return virt->write_efer(v->virt, value);
}

static bool read_steal(struct vcpu *v, uint64_t *value)
{
	*value = v->steal.msr;
	return true;
}

static bool write_steal(struct vcpu *v, uint64_t value)
{
	return vsteal_write(&v->steal, &v->vm->mem, value, v->entity.wait_ns);
}

/* The table. A switch over it is a handful of comparisons; a loop would cost one for each row. */
#define MSR_TABLE(X) \
	X(MSR_TSC,		read_tsc,		write_tsc) \
	X(MSR_PLATFORM_ID,	read_zero,		write_refused) \
	X(MSR_FEATURE_CONTROL,	read_locked,		write_refused) \
	X(MSR_TSC_ADJUST,	read_tsc_adjust,	write_tsc_adjust) \
	X(MSR_UCODE_REV,	read_zero,		write_ignored) \
	/* No bank of machine check: Xen asks for them whatever CPUID says. */ \
	X(MSR_MCG_CAP,		read_zero,		write_refused) \
	X(MSR_MCG_STATUS,	read_zero,		write_zero_only) \
	X(MSR_MISC_ENABLE,	read_misc_enable,	write_ignored) \
	X(MSR_DEBUGCTL,		read_zero,		write_zero_only) \
	X(MSR_EFER,		read_efer,		write_efer) \
	X(VSTEAL_MSR,		read_steal,		write_steal)

static bool is_apic(uint32_t msr)
{
	return msr == VLAPIC_MSR_BASE || msr == VLAPIC_MSR_DEADLINE || (msr >= APIC_MSR_FIRST && msr <= APIC_MSR_LAST);
}

enum news { OLD, NEWS, NO_ROOM };

/* A set by hash. That there is no room for another is news once. */
static enum news say(struct vm *vm, uint32_t msr)
{
	const uint64_t said = VM_MSR_SAID | msr;
	const uint32_t first = msr * 2654435761u >> 16;

	for (unsigned i = 0; i < VM_UNKNOWN_MSRS_SAID; i++) {
		_Atomic uint64_t *slot = &vm->unknown_msr_said[(first + i) % VM_UNKNOWN_MSRS_SAID];
		uint64_t found = atomic_load_explicit(slot, memory_order_relaxed);

		if (found == 0 && atomic_compare_exchange_strong(slot, &found, said)) {
			return NEWS;
		}
		if (found == said) {
			return OLD;
		}
	}
	return atomic_exchange(&vm->unknown_msr_full, true) ? OLD : NO_ROOM;
}

/* Counted, and said with its number once for each VM and MSR, so that a missing row can be found; a sweep must not flood the log. */
static __attribute__((noinline, cold)) bool unknown(struct vcpu *v, uint32_t msr, const char *verb)
{
	enum news news = say(v->vm, msr);

	atomic_fetch_add_explicit(&v->vm->unknown_msrs, 1, memory_order_relaxed);
	if (news == NEWS) {
		log_printf("vm %s: %s of unknown MSR 0x%x: #GP", v->vm->config.name, verb, msr);
	} else if (news == NO_ROOM) {
		log_printf("vm %s: %u unknown MSRs named; any other is only counted", v->vm->config.name, VM_UNKNOWN_MSRS_SAID);
	}
	return false;
}

static __attribute__((noinline)) bool read_apic(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	return vlapic_msr_read(&v->lapic, msr, vcpu_tsc(v), value) == ERR_OK;
}

/* What is rarely asked for: MTRRs, speculation controls, and what there is not. Apart, to keep the table's switch short. */
static __attribute__((noinline)) bool read_rare(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	if (vspec_owns(msr)) {
		return vspec_read(v->virt, msr, value);
	}
	return vmtrr_owns(msr) ? vmtrr_read(&v->mtrr, msr, value) : unknown(v, msr, "RDMSR");
}

static __attribute__((noinline)) bool write_rare(struct vcpu *v, uint32_t msr, uint64_t value)
{
	enum err e = virt->write_msr(v->virt, msr, value);

	if (e != ERR_NOENT) {
		return e == ERR_OK;
	}
	if (vspec_owns(msr)) {
		return vspec_write(v->virt, msr, value);
	}
	return vmtrr_owns(msr) ? vmtrr_write(&v->mtrr, msr, value) : unknown(v, msr, "WRMSR");
}

bool vmsr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	switch (msr) {
#define MSR_READ(number, read, write) \
	case number: \
		return read(v, value);
	MSR_TABLE(MSR_READ)
#undef MSR_READ
	default:
		return is_apic(msr) ? read_apic(v, msr, value) : read_rare(v, msr, value);
	}
}

bool vmsr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	switch (msr) {
#define MSR_WRITE(number, read, write) \
	case number: \
		return write(v, value);
	MSR_TABLE(MSR_WRITE)
#undef MSR_WRITE
	default:
		return is_apic(msr) ? vlapic_msr_write(&v->lapic, msr, vcpu_tsc(v), value) == ERR_OK : write_rare(v, msr, value);
	}
}
