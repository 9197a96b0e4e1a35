/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual-cpu contract: all that vm/ knows of hardware virtualization. arch/x86_64/vmx implements it; a second
 * vendor is a second folder with another `const struct virt_ops`.
 *
 * A virtual cpu is created on a node, run on whatever cpu its scheduler picked, and put (its state made memory) before
 * another cpu may run it. run() returns to the caller only when a handler asked for it; all other exits are handled
 * inside, by the row of `handlers` for the exit's kind.
 *
 * A cheap exit saves few registers: a handler of CPUID, RDMSR, WRMSR, HYPERCALL, IO, HLT, XSETBV, TIMER or APIC_... finds only
 * RAX, RBX, RCX, RDX, RSI, RDI and R8-R11 in gpr; the others hold old values until run() returns. For the other kinds all are
 * there.
 *
 * A cpu that offers VIRT_APIC works on a virtual cpu's local APIC registers by itself, in the page that apic_page names, laid out
 * as the xAPIC's: it delivers what is requested there, and reads, EOI, TPR (CR8) and self-IPIs do not exit. Any other register
 * written is an APIC_WRITE, after the instruction; the EOI of a vector whose TMR bit is set is an APIC_EOI, after it is done;
 * what the cpu cannot do in xAPIC mode is an MMIO. Then inject() is for the 8259's vectors only.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lib/addr.h"
#include "kernel/lib/err.h"

/* Why the guest left. Order is free; every kind has a row in the handler table. */
#define VIRT_EXIT_TABLE(X) \
	X(CPUID, "cpuid") X(RDMSR, "rdmsr") X(WRMSR, "wrmsr") X(HYPERCALL, "hypercall") X(IO, "io") \
	X(HLT, "hlt") X(MMIO, "memory access") X(XSETBV, "xsetbv") X(TIMER, "timer") X(INTERRUPT, "interrupt") \
	X(NMI, "nmi") X(INJECT_WINDOW, "injection window") X(TRIPLE_FAULT, "triple fault") X(CR, "control register") \
	X(DR, "debug register") X(PAUSE, "pause") X(EXCEPTION, "exception") X(INVALID_OP, "refused instruction") \
	X(RDPMC, "rdpmc") X(WBINVD, "wbinvd") X(BUS_LOCK, "bus lock") X(APIC_WRITE, "apic write") X(APIC_EOI, "apic eoi") \
	X(ENTRY_FAILED, "failed entry") X(OTHER, "other")

enum virt_exit {
#define VIRT_EXIT_ENUM(name, words) VIRT_EXIT_##name,
	VIRT_EXIT_TABLE(VIRT_EXIT_ENUM)
#undef VIRT_EXIT_ENUM
	VIRT_EXIT_COUNT
};

/*
 * What a handler wants next: bits. RESUME: enter the guest again at once. SKIP: the instruction is done, go past it.
 * RECHECK: call before_entry() again, since events may have changed. LEAVE: run() returns leave_code.
 */
enum virt_next { VIRT_RESUME = 0, VIRT_SKIP = 1, VIRT_RECHECK = 2, VIRT_LEAVE = 4 };

/* Index of a general register in struct virt_regs.gpr, in the cpu's encoding order. */
enum virt_gpr {
	VIRT_RAX, VIRT_RCX, VIRT_RDX, VIRT_RBX, VIRT_RSP, VIRT_RBP, VIRT_RSI, VIRT_RDI,
	VIRT_R8, VIRT_R9, VIRT_R10, VIRT_R11, VIRT_R12, VIRT_R13, VIRT_R14, VIRT_R15, VIRT_GPR_COUNT
};

/* Start state of a virtual cpu, as a loader wants it. Segments are flat: cs_base for real mode starts only. */
enum virt_mode { VIRT_MODE_REAL, VIRT_MODE_PROTECTED32, VIRT_MODE_LONG64 };

struct virt_start {
	enum virt_mode mode;
	uint64_t rip;
	uint64_t rsp;
	uint64_t gpr[VIRT_GPR_COUNT];	/* rsp in it is not used */
	uint64_t cr3;			/* LONG64: page tables in guest memory */
	uint64_t gdt_base;		/* LONG64, PROTECTED32: a GDT in guest memory; code selector 0x10, data 0x18 */
	uint16_t gdt_limit;
	uint16_t cs_selector;		/* REAL: selector = base / 16 */
};

/* State outside the general registers that a decoder or a register dump needs. */
struct virt_state {
	uint64_t rip, rsp, rflags, cr0, cr2, cr3, cr4, efer;
	uint64_t cs_base, ds_base, es_base, fs_base, gs_base, ss_base;
	uint16_t cs;
	unsigned code_bits;		/* 16, 32 or 64 */
	unsigned cpl;
};

/* A port access in one word. */
#define VIRT_IO(port, size)	((uint32_t)(port) << 16 | ((size) - 1))
#define VIRT_IO_PORT(io)	((uint16_t)((io) >> 16))
#define VIRT_IO_SIZE(io)	(((io) & 7u) + 1)	/* 1, 2, 4 */
#define VIRT_IO_IN		(1u << 3)
#define VIRT_IO_STRING		(1u << 4)
#define VIRT_IO_REP		(1u << 5)

/* What belongs to the exit at hand; only the part of its kind is filled. */
struct virt_exit_info {
	/* IO */
	uint32_t io;			/* VIRT_IO_...: one word, so that it costs one store */
	/* MMIO: an access outside what the space maps */
	gpa_t gpa;
	bool write, fetch;
	bool in_delivery;		/* while an event was being delivered: no instruction did it */
	bool walk;			/* of the guest's page tables, by the cpu: no instruction's operand */
	/* EXCEPTION that nothing asked for; APIC_EOI */
	uint8_t vector;
	/* APIC_WRITE: the register's place in the page */
	uint16_t offset;
	/* OTHER, ENTRY_FAILED, INVALID_OP: the vendor's own number, for the register dump */
	uint32_t reason;
	uint64_t qualification;
};

/*
 * Answers to CPUID that the vendor's fast path gives without asking: vm/ fills a slot when it answers, and they are
 * flushed when something they depend on changes (CR4.OSXSAVE, XCR0; the vendor sees to that).
 */
#define VIRT_CPUID_SLOTS	32u
#define VIRT_CPUID_EMPTY	UINT32_MAX	/* as leaf: no such leaf is ever answered from a slot */

struct virt_cpuid { uint32_t eax, ebx, ecx, edx; };

struct virt_cpuid_slot {
	uint32_t leaf, subleaf;
	struct virt_cpuid answer;
	uint64_t pad;
};

static inline unsigned virt_cpuid_slot(uint32_t leaf, uint32_t subleaf)
{
	return (leaf + (leaf >> 27) + 4 * subleaf) % VIRT_CPUID_SLOTS;
}

struct virt_vcpu;
typedef unsigned virt_handler(struct virt_vcpu *v);	/* returns enum virt_next bits */

/*
 * One virtual cpu: the part that vm/ sees. The implementation embeds it. All of it is the running cpu's, or the control
 * plane's while it is paused.
 */
struct virt_vcpu {
	uint64_t gpr[VIRT_GPR_COUNT];		/* offset 0; RSP is not kept here */
	/* Host TSC; UINT64_MAX: never. run() sets the first from its until_ns; when the second comes it calls before_entry(). */
	uint64_t until_tsc, deadline_tsc;
	virt_handler *const *handlers;		/* [VIRT_EXIT_COUNT] */
	/* Injects what is pending; may be called often. now: the TSC. */
	void (*before_entry)(struct virt_vcpu *v, uint64_t now_tsc);
	/*
	 * run() calls before_entry() first, as it does near deadline_tsc. Set by anyone, after what there is to find; by the vendor
	 * when a handler says LEAVE.
	 */
	_Atomic bool news;
	void *owner;				/* vm/'s struct vcpu */
	uint64_t tsc_offset;			/* guest TSC = host TSC + offset */
	int leave_code;				/* what run() returns after VIRT_LEAVE */
	struct virt_exit_info info;
	uint64_t exits[VIRT_EXIT_COUNT];
	struct virt_cpuid_slot cpuid[VIRT_CPUID_SLOTS];
};

/* run() returns these when until_ns has come, and when cpu_remote.poked was set or an interrupt came; handlers set any other. */
enum { VIRT_LEFT_TIME, VIRT_LEFT_POKED };

/* Second-level address space of a VM. */
struct virt_space;

struct virt_config {
	unsigned node;			/* where its memory comes from */
	struct virt_space *space;
	virt_handler *const *handlers;
	void (*before_entry)(struct virt_vcpu *v, uint64_t now_tsc);
	void *owner;
	uint32_t *apic_page;		/* 4 KiB, aligned: used where offered */
	uint64_t cr4_allowed;		/* bits the guest may set: what its CPUID offers */
	uint64_t xcr0_allowed;		/* 0: no XSAVE */
};

enum virt_feature { VIRT_RDTSCP, VIRT_INVPCID, VIRT_APIC };

enum virt_apic { VIRT_APIC_OFF, VIRT_XAPIC, VIRT_X2APIC };

/* The highest vector of the eight registers from number `first` on in such a page; 0: none, which is the common case. */
static inline unsigned virt_apic_highest(const uint32_t *page, unsigned first)
{
	const uint32_t *r = &page[4 * first];
	unsigned word = 7;

	if ((r[0] | r[4] | r[8] | r[12] | r[16] | r[20] | r[24] | r[28]) == 0) {
		return 0;
	}
	while (r[4 * word] == 0) {
		word--;
	}
	return word * 32 + 31 - (unsigned)__builtin_clz(r[4 * word]);
}

struct text;

/*
 * A vendor. Functions marked P: control plane (may allocate). R: on the cpu that runs v, from run()'s caller or a handler.
 */
/* An NMI was injected; STI's shadow must end first; it is blocked, and VIRT_EXIT_INJECT_WINDOW comes when it no longer is. */
enum virt_nmi { VIRT_NMI_GIVEN, VIRT_NMI_SHADOWED, VIRT_NMI_BLOCKED };

struct virt_ops {
	const char *name;
	/* P, boot cpu. ERR_NOTSUP with every missing required feature named in why. */
	enum err (*probe)(struct text *why);
	/* P: allocates what cpu needs; then, on that cpu, cpu_on() turns virtualization on. */
	enum err (*cpu_prepare)(unsigned cpu, unsigned node);
	enum err (*cpu_on)(struct text *why);

	/* P. An empty space; pages of tables from node. */
	enum err (*space_create)(unsigned node, struct virt_space **out);
	/* P: gpa -> hpa for size bytes (page multiple), readable, writable, executable; 2 MiB leaves where both are aligned. */
	enum err (*space_map)(struct virt_space *s, gpa_t at, hpa_t to, uint64_t size);
	/* P: where the guest has its xAPIC's page. Once, and only where VIRT_APIC is offered. */
	enum err (*space_map_apic)(struct virt_space *s, gpa_t at);
	/* P: no vCPU uses it any more. */
	void (*space_destroy)(struct virt_space *s);
	uint64_t (*space_pages)(const struct virt_space *s);	/* pages its tables take */

	/* P. */
	enum err (*vcpu_create)(const struct virt_config *config, struct virt_vcpu **out);
	void (*vcpu_destroy)(struct virt_vcpu *v);
	uint64_t (*vcpu_bytes)(void);				/* memory one takes */
	/* While v is put and nothing is loaded on the calling cpu: registers as at INIT, then as start says. Allocates nothing. */
	void (*vcpu_reset)(struct virt_vcpu *v, const struct virt_start *start);

	/*
	 * R: enters the guest, handles exits, until a handler says LEAVE, the cpu was poked, or until_ns has come (NS_NEVER: no
	 * limit). Loads v's state first if needed.
	 */
	int (*run)(struct virt_vcpu *v, uint64_t until_ns);
	/* R: v's state becomes memory. Does nothing when it is not loaded here. */
	void (*put)(struct virt_vcpu *v);

	/* R, in before_entry or a handler. */
	bool (*can_inject)(struct virt_vcpu *v);		/* an external interrupt, now? */
	void (*inject)(struct virt_vcpu *v, uint8_t vector);
	/* Where VIRT_APIC is offered: the APIC's mode, or ISR, IRR, TMR or SVR in its page, are not as the cpu left them. */
	void (*apic_sync)(struct virt_vcpu *v, enum virt_apic mode);
	/* In short, where only IRR got more bits: vector is the highest of them. */
	void (*apic_raise)(struct virt_vcpu *v, uint8_t vector);
	enum virt_nmi (*inject_nmi)(struct virt_vcpu *v);
	bool (*nmi_blocked)(struct virt_vcpu *v);		/* until the handler of another one ends? */
	void (*want_window)(struct virt_vcpu *v, bool on);	/* VIRT_EXIT_INJECT_WINDOW when can_inject() becomes true */
	void (*inject_exception)(struct virt_vcpu *v, uint8_t vector, bool has_error, uint32_t error);
	/* #PF with that CR2 and error code. */
	void (*inject_page_fault)(struct virt_vcpu *v, uint64_t linear, uint32_t error);
	uint64_t (*get_rflags)(struct virt_vcpu *v);
	void (*get_state)(struct virt_vcpu *v, struct virt_state *out);
	/* At the exit of INS or OUTS: its operand's linear address; returns its address size: 16, 32, 64, 0: not told. */
	unsigned (*string_operand)(struct virt_vcpu *v, uint64_t *linear);
	void (*skip)(struct virt_vcpu *v, unsigned bytes);	/* instead of SKIP, where only a decoder knows the length; 0: a round of REP */
	void (*set_rflags)(struct virt_vcpu *v, uint64_t rflags);
	void (*set_tsc_offset)(struct virt_vcpu *v, uint64_t offset);
	/* False: #GP is due. */
	bool (*write_efer)(struct virt_vcpu *v, uint64_t value);
	uint64_t (*read_efer)(struct virt_vcpu *v);
	/* An MSR that a guest reads without an exit. NOENT: it is none of these; INVAL: #GP is due. */
	enum err (*write_msr)(struct virt_vcpu *v, uint32_t msr, uint64_t value);
	bool (*write_xcr0)(struct virt_vcpu *v, uint64_t value);
	uint64_t (*read_xcr0)(struct virt_vcpu *v);
	/* Where the host enumerates it, and with bits that it has only. RECHECK must follow a write: its entries may change. */
	uint64_t (*read_spec_ctrl)(struct virt_vcpu *v);
	void (*write_spec_ctrl)(struct virt_vcpu *v, uint64_t value);
	uint64_t (*read_cr4)(struct virt_vcpu *v);

	/* Instructions that a guest has only where the vendor's controls let it. After probe(). */
	bool (*offers)(enum virt_feature f);

	/* Appends registers to out, for a VM's crash report. R or P while put. */
	void (*dump)(struct virt_vcpu *v, struct text *out);
};

/* The machine's vendor after virt_init(); NULL, with the reason in virt_why_not(), where there is none. */
extern const struct virt_ops *virt;
const char *virt_why_not(void);
/* P, boot cpu: probes the vendors that are linked in. */
void virt_init(void);
/* P: the boot cpu could not turn it on: from here on as if there were none. */
void virt_give_up(const char *why);

/* The host cpu's own CPUID, for the policy tables of vm/. */
struct virt_cpuid virt_host_cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t virt_host_arch_capabilities(void);	/* 0 where it is not enumerated */
uint64_t virt_guest_xcr0(void);			/* what guests may have in XCR0; 0: no XSAVE. Constant after virt_init() */
uint64_t virt_host_tsc(void);
uint64_t virt_wait_tsc(uint64_t tsc);		/* until it has come; what it is then. For some microseconds */
uint64_t virt_host_tsc_hz(void);
uint64_t virt_ns_to_tsc(uint64_t ns);		/* host TSC of a time, never before it; NS_NEVER -> UINT64_MAX */
uint64_t virt_tsc_to_ns(uint64_t tsc);
