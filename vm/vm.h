/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual machines: what they are made of, and their life.
 *
 *	          vm_create            vm_start                  guest powers off, crashes; vm_stop
 *	 (none) ────────────► stopped ──────────► running ─────────────────────────────► stopped / crashed
 *	    ▲                    │  ▲              │   ▲                                     │
 *	    └──── vm_destroy ────┘  │    vm_pause  ▼   │ vm_resume                           │
 *	                            │             paused                                     │
 *	                            └────────────────────────── vm_start again ◄─────────────┘
 *
 * Control operations run on the housekeeping cpu, one at a time, so the list of VMs and a VM's state have no lock. What a
 * vCPU finds out about its VM (power-off, crash) it leaves in `ending` and pokes that cpu, whose vm_housekeeping() does
 * the rest: never inside another control operation.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86_64/virt.h"
#include "kernel/lib/list.h"
#include "kernel/manifest.h"
#include "kernel/mem.h"
#include "kernel/spinlock.h"
#include "kernel/timer.h"
#include "sched/sched.h"
#include "vm/gmem.h"
#include "vm/guest_numa.h"
#include "vm/vconsole.h"
#include "vm/vlapic.h"
#include "vm/vmtrr.h"
#include "vm/vplatform.h"
#include "vm/vsteal.h"

#define VM_NAME_LEN	32u
#define VM_FILE_LEN	64u
#define VM_CMDLINE_LEN	2048u
#define VM_MODULES_MAX	8u
#define VM_ARGS_LEN	512u
#define VM_UNKNOWN_MSRS_SAID	256u
#define VM_MSR_SAID	(1ul << 32)
#define VM_REASON_LEN	160u
#define VM_VCPUS_MAX	VPLATFORM_VCPUS_MAX

struct pool;
struct vm;

#define VM_STATE_TABLE(X) \
	X(STOPPED, "stopped") X(RUNNING, "running") X(PAUSED, "paused") X(CRASHED, "crashed")

enum vm_state {
#define VM_STATE_ENUM(name, words) VM_##name,
	VM_STATE_TABLE(VM_STATE_ENUM)
#undef VM_STATE_ENUM
};

/* Why a VM ends by itself. */
enum vm_ending { VM_NOT_ENDING, VM_ENDING_POWEROFF, VM_ENDING_RESET, VM_ENDING_EXIT, VM_ENDING_CRASH };

#define VCPU_STARTUP	0x100u

/* From where a vCPU is brought to its deadline. */
enum vcpu_lead { VCPU_LEAD_RUNNING, VCPU_LEAD_HALTED, VCPU_LEADS };

struct vcpu {
	struct sched_entity entity;
	struct vm *vm;
	unsigned index;
	struct virt_vcpu *virt;
	struct vlapic lapic;
	struct vmtrr mtrr;
	struct timer timer;		/* wakes a halted vCPU at its deadline */
	bool woken_idle;		/* by that timer, on a cpu with nobody to run */
	/* Left by other vCPUs' local APICs, taken in run(). */
	_Atomic bool init_requested, nmi_requested;
	_Atomic uint32_t startup;	/* VCPU_STARTUP | page of a SIPI; 0: none */
	_Atomic bool waits_for_sipi;	/* written by the running cpu; a SIPI to one that does not wait is ignored */
	/* The running cpu's. */
	bool halted;			/* in HLT: runs again when an interrupt can be delivered */
	bool halted_with_if;		/* RFLAGS.IF at that HLT: without it only an NMI or INIT ends it */
	bool nmi_held;			/* the one requested comes when another's handler ends: it ends no HLT there */
	bool crashed;			/* its registers are to be told of when it is put */
	bool window;			/* an exit was asked for when interrupts can be delivered */
	uint64_t pause_until_ns;	/* 0: none. It locked the bus: what wakes it does not end the pause before */
	bool deadline_stale;		/* deadline_tsc is not of the two below any more */
	uint64_t lapic_deadline, platform_deadline;	/* what deadline_tsc was made of */
	uint64_t deadline_tsc;		/* host TSC; virt->deadline_tsc is lead_tsc before it */
	uint32_t lead_tsc[VCPU_LEADS];	/* see wait_for() */
	uint64_t due_tsc;		/* what expired early is waited for, last before the entry; 0: nothing */
	enum vcpu_lead due_lead;
	bool due_straight;		/* nobody else had the cpu then: to learn from */
	struct vsteal steal;
	uint64_t tsc_adjust;		/* IA32_TSC_ADJUST: INIT leaves it (SDM 3A table 9-1) */
	uint64_t injected;		/* interrupts and NMIs given to the guest, ever */
};

struct vm_config {
	char name[VM_NAME_LEN];
	unsigned vcpus;
	uint64_t memory_bytes;
	char kernel[VM_FILE_LEN], initrd[VM_FILE_LEN];
	char cmdline[VM_CMDLINE_LEN];
	unsigned module_count;
	struct vm_module {
		char file[VM_FILE_LEN];
		char args[VM_ARGS_LEN];
	} module[VM_MODULES_MAX];
	enum mem_policy memory_policy;
	enum manifest_action on_poweroff, on_reboot, on_crash;
	struct sched_values values;	/* of group and entity scope, by the pool's policy */
	struct cpuset affinity, soft_affinity;	/* empty: all */
};

struct vm {
	struct list link;
	struct vm_config config;
	struct pool *pool;
	unsigned node;			/* its home: where its memory is asked for first */
	unsigned span_count;		/* at least 1: nodes it spans, its home first (vm_numa.h) */
	unsigned span[GUEST_NUMA_NODES];
	struct sched_group group;
	enum vm_state state;
	char reason[VM_REASON_LEN];	/* why it is stopped or crashed; empty: never ran */
	struct gmem mem;
	struct virt_space *space;
	unsigned vcpu_count;
	struct vcpu *vcpu[VM_VCPUS_MAX];
	struct vconsole *console;
	struct vplatform platform;
	struct spinlock lock;		/* the platform's devices */
	uint64_t start_ns, start_tsc;	/* time 0 of the guest's clocks */
	/* Written by the vCPU that ends, read by vm_housekeeping(). */
	_Atomic unsigned ending;	/* enum vm_ending */
	_Atomic bool ending_claimed;	/* by the first vCPU that ends it; its words count */
	uint32_t exit_code;
	char ending_words[VM_REASON_LEN];
	/* A guest that keeps resetting waits longer and longer for its next start. */
	uint64_t restart_at_ns;		/* NS_NEVER: none is due */
	uint64_t restart_delay_ns;
	/* Statistics for `vm show`. */
	_Atomic uint64_t unknown_msrs;
	_Atomic uint64_t unknown_msr_said[VM_UNKNOWN_MSRS_SAID];	/* by hash: VM_MSR_SAID | number of each that the log names */
	_Atomic bool unknown_msr_full;
};

/* --- The list. */
struct vm *vm_find(const char *name);
struct vm *vm_at(unsigned i);		/* in order of creation; NULL: i is past the last */
unsigned vm_count(void);
const char *vm_name_at(unsigned i);	/* NULL: i is past the last */
bool vm_any_running(void);
const char *vm_state_words(enum vm_state s);
const char *vm_exit_words(enum virt_exit kind);

/* --- Control operations (housekeeping cpu). why names what failed. */
void vm_init(void);			/* once, before any other */
/* Makes a stopped VM in p, with its memory, which every start clears. */
enum err vm_create(const struct vm_config *config, struct pool *p, struct vm **out, struct sched_reason *why);
/* Loads its files and lets it run. ERR_STATE: it runs already. */
enum err vm_start(struct vm *vm, struct sched_reason *why);
enum err vm_pause(struct vm *vm, struct sched_reason *why);
enum err vm_resume(struct vm *vm, struct sched_reason *why);
enum err vm_stop(struct vm *vm, struct sched_reason *why);
/* To another pool, running or not, its standing carried along; its memory stays. */
enum err vm_move(struct vm *vm, struct pool *to, struct sched_reason *why);
/* Stops it if it runs, and gives everything back. */
void vm_destroy(struct vm *vm);
/* Once a round of the housekeeping cpu's loop: VMs that ended or restart, guests' lines to the console. */
void vm_housekeeping(void);

/* --- For the exit path (vcpu.c, vexit.c). */
/* This vCPU's VM ends: how and why; the caller then leaves with DISPATCH_STOPPED. The first one counts. */
void vm_end(struct vm *vm, enum vm_ending how, uint32_t code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same, and run() puts a register dump on the log. Returns what the handler returns. */
unsigned vm_crash(struct virt_vcpu *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
