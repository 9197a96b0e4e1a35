/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The measures of mitigate.h, taken: at a run, an exit, an entry. All is inlined into callers whose
 * ops are a constant, so that no indirect branch comes before the measures against indirect
 * branches (and no call is paid for).
 *
 * IA32_SPEC_CTRL is guest state, and the hypervisor has a value of its own, which must be there
 * after an exit. Two ways:
 *   - A guest's writes exit. While its value includes the hypervisor's, it stays over exits, which
 *     then cost nothing: so with IBRS_ALL, where guests set IBRS once and for all. Bits that only
 *     the guest wants (SSBD) slow the hypervisor, no more.
 *   - A guest that writes it often (Linux on Skylake: at each system call) gets the MSR itself, and
 *     each exit reads it.
 * Where an exit or an entry has work, the vCPU is guarded: its exits arrive at another point
 * (enter.asm).
 */
#pragma once

#include "arch/x86_64/pure/mitigate.h"

#define MITIGATE_INLINE		static inline __attribute__((always_inline))

#define MSR_SPEC_CTRL		0x48u
#define MSR_PRED_CMD		0x49u
#define  PRED_CMD_IBPB		1ul
#define MSR_FLUSH_CMD		0x10bu
#define  FLUSH_CMD_L1D		1ul

/* Exits by a guest's writes of IA32_SPEC_CTRL before it gets the MSR. */
#define MITIGATE_WRITES_MAX	16u

struct mitigate_ops {
	void (*wrmsr)(uint32_t msr, uint64_t value);
	uint64_t (*rdmsr)(uint32_t msr);
	void (*rsb_fill)(void);
	void (*rsb_one)(void);
	void (*bhb_clear)(void);
	void (*verw)(void);
};

/* One vCPU's. Zero: as at reset, before mitigate_judge(). */
struct mitigate_vcpu {
	bool guarded;			/* offset 0: enter.asm */
	bool open;			/* the guest has the MSR */
	unsigned writes;		/* that exited */
	uint64_t spec_ctrl;		/* the guest's; while it runs and is open, the MSR is */
};

MITIGATE_INLINE bool mitigate_due(unsigned set, enum mitigate_measure m, struct mitigate_cpu *cpu)
{
	if ((set >> m & 1) == 0) {
		return false;
	}
	cpu->taken[m]++;
	return true;
}

/* set: masked by a constant. */
MITIGATE_INLINE void mitigate_take(unsigned set, struct mitigate_cpu *cpu,
				   const struct mitigate_ops *ops)
{
	if (mitigate_due(set, MITIGATE_IBPB, cpu)) {
		ops->wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
	}
	if (mitigate_due(set, MITIGATE_RSB_FILL, cpu)) {
		ops->rsb_fill();
	}
	if (mitigate_due(set, MITIGATE_RSB_ONE, cpu)) {
		ops->rsb_one();
	}
	if (mitigate_due(set, MITIGATE_BHB_CLEAR, cpu)) {
		ops->bhb_clear();
	}
	if (mitigate_due(set, MITIGATE_L1D_FLUSH, cpu)) {
		ops->wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	}
	if (mitigate_due(set, MITIGATE_VERW, cpu)) {
		ops->verw();
	}
}

MITIGATE_INLINE void mitigate_spec_ctrl(struct mitigate_cpu *cpu, uint64_t value,
					const struct mitigate_ops *ops)
{
	if (cpu->spec_ctrl != value) {
		cpu->spec_ctrl = value;
		ops->wrmsr(MSR_SPEC_CTRL, value);
	}
}

/* The cpu is about to run a vCPU of that VM, from outside of its exits. */
MITIGATE_INLINE void mitigate_run(const struct mitigate *m, struct mitigate_cpu *cpu, uint64_t vm,
				  const struct mitigate_ops *ops)
{
	unsigned set = cpu->last_vm == vm ? m->at_run : m->at_change;

	cpu->last_vm = vm;
	mitigate_take(set & MITIGATE_AT_RUN, cpu, ops);
}

/* May the hypervisor run with the guest's value? */
MITIGATE_INLINE bool mitigate_keeps(const struct mitigate *m, const struct mitigate_vcpu *v)
{
	return (m->spec_ctrl & ~v->spec_ctrl) == 0;
}

/* Its value or `open` changed. */
MITIGATE_INLINE void mitigate_judge(const struct mitigate *m, struct mitigate_vcpu *v)
{
	v->guarded = (m->at_entry | m->at_exit) != 0 || v->open || !mitigate_keeps(m, v);
}

/* A vCPU is loaded, or did not come to enter: what the hypervisor runs with meanwhile. */
MITIGATE_INLINE void mitigate_settle(const struct mitigate *m, struct mitigate_cpu *cpu,
				     const struct mitigate_vcpu *v, const struct mitigate_ops *ops)
{
	mitigate_spec_ctrl(cpu, mitigate_keeps(m, v) ? v->spec_ctrl : m->spec_ctrl, ops);
}

/* No vCPU is loaded any more. */
MITIGATE_INLINE void mitigate_put(const struct mitigate *m, struct mitigate_cpu *cpu,
				  const struct mitigate_ops *ops)
{
	mitigate_spec_ctrl(cpu, m->spec_ctrl, ops);
}

/* The guest wrote the MSR, and exited. */
MITIGATE_INLINE void mitigate_write(const struct mitigate *m, struct mitigate_cpu *cpu,
				    struct mitigate_vcpu *v, uint64_t value,
				    const struct mitigate_ops *ops)
{
	v->spec_ctrl = value;
	v->open = ++v->writes >= MITIGATE_WRITES_MAX;
	mitigate_judge(m, v);
	mitigate_settle(m, cpu, v, ops);
}

/*
 * First thing after an exit of a guarded vCPU. Without IBRS_ALL the write itself is the barrier,
 * whatever was there.
 */
MITIGATE_INLINE void mitigate_exit(const struct mitigate *m, struct mitigate_cpu *cpu,
				   struct mitigate_vcpu *v, const struct mitigate_ops *ops)
{
	if (v->open) {
		cpu->spec_ctrl = v->spec_ctrl = ops->rdmsr(MSR_SPEC_CTRL);
	}
	if (mitigate_due(m->at_exit, MITIGATE_IBRS, cpu)) {
		cpu->spec_ctrl = m->spec_ctrl;
		ops->wrmsr(MSR_SPEC_CTRL, m->spec_ctrl);
	} else if ((m->spec_ctrl & ~cpu->spec_ctrl) != 0) {
		mitigate_spec_ctrl(cpu, m->spec_ctrl, ops);
	}
	mitigate_take(m->at_exit & MITIGATE_AT_EXIT, cpu, ops);
}

/* Last thing before an entry of a guarded vCPU. */
MITIGATE_INLINE void mitigate_enter(const struct mitigate *m, struct mitigate_cpu *cpu,
				    const struct mitigate_vcpu *v, const struct mitigate_ops *ops)
{
	mitigate_take(m->at_entry & MITIGATE_AT_ENTRY, cpu, ops);
	mitigate_spec_ctrl(cpu, v->spec_ctrl, ops);
}

/*
 * Before and after a halt, which hands the cpu's share of the buffers to the core's other thread:
 * what is in them is cleared first. Without IBRS_ALL, IBRS slows that thread, and nobody can use
 * what the halted one would predict.
 */
MITIGATE_INLINE void mitigate_halt(const struct mitigate *m, struct mitigate_cpu *cpu,
				   const struct mitigate_ops *ops)
{
	if ((m->at_exit & MITIGATE_BIT(IBRS)) != 0) {
		mitigate_spec_ctrl(cpu, 0, ops);
	}
	mitigate_take(m->at_entry & MITIGATE_AT_ENTRY, cpu, ops);
}

MITIGATE_INLINE void mitigate_halted(const struct mitigate *m, struct mitigate_cpu *cpu,
				     const struct mitigate_ops *ops)
{
	if ((m->at_exit & MITIGATE_BIT(IBRS)) != 0) {
		mitigate_spec_ctrl(cpu, m->spec_ctrl, ops);
	}
}
