/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests made of a script; see virt.h. */
#include "tests/host/test.h"	/* first: <stdnoreturn.h> spoils its attribute */
#include "tests/fake/virt.h"

#include "kernel/cpu.h"
#include "kernel/heap.h"
#include "kernel/lib/format.h"
#include "kernel/log.h"
#include "kernel/mem.h"
#include "tests/fake/machine.h"

#define ENTRIES_MAX	20000u		/* of one run: more is a guest that gets nowhere */
#define SPACE_PAGES_MAX	64u

struct virt_space {
	unsigned node;
	uint64_t pages;
	hpa_t page[SPACE_PAGES_MAX];
};

const struct virt_ops *virt;
void (*fake_virt_on_put)(void);
unsigned fake_virt_vcpus, fake_virt_spaces;
unsigned fake_virt_no_tables;
bool fake_virt_apic;
struct virt_cpuid (*fake_virt_cpuid)(uint32_t leaf, uint32_t subleaf);
uint64_t fake_virt_capabilities;
uint64_t fake_virt_never_tsc;

static const struct fake_step *new_script;
static unsigned new_count;

/* --- Spaces: a page of tables for the root and for each call that maps 4 KiB pages. */

static enum err space_page(struct virt_space *s)
{
	hpa_t at = mem_alloc(&mem, s->node, 1, MEM_STRICT);

	if (hpa_is_none(at)) {
		return ERR_NOMEM;
	}
	ASSERT(s->pages < SPACE_PAGES_MAX);
	s->page[s->pages++] = at;
	return ERR_OK;
}

static void space_destroy(struct virt_space *s)
{
	while (s->pages > 0) {
		mem_free(&mem, s->page[--s->pages], 1);
	}
	heap_free(s, sizeof(*s));
	fake_virt_spaces--;
}

static enum err space_create(unsigned node, struct virt_space **out)
{
	struct virt_space *s = heap_alloc(sizeof(*s), node);

	if (s == NULL) {
		return ERR_NOMEM;
	}
	s->node = node;
	fake_virt_spaces++;
	if (space_page(s) != ERR_OK) {
		space_destroy(s);
		return ERR_NOMEM;
	}
	*out = s;
	return ERR_OK;
}

static enum err space_map(struct virt_space *s, gpa_t at, hpa_t to, uint64_t size)
{
	ASSERT(is_aligned(at.v | to.v | size, PAGE_SIZE) && size > 0);
	if (mem_node_of(&mem, to) == fake_virt_no_tables) {
		return ERR_NOMEM;
	}
	return is_aligned(at.v | to.v | size, LARGE_SIZE) ? ERR_OK : space_page(s);
}

static enum err space_map_apic(struct virt_space *s, gpa_t at)
{
	ASSERT(fake_virt_apic && is_aligned(at.v, PAGE_SIZE));
	return space_page(s);
}

static uint64_t space_pages(const struct virt_space *s)
{
	return s->pages;
}

/* --- vCPUs. */

static enum err vcpu_create(const struct virt_config *config, struct virt_vcpu **out)
{
	struct fake_virt_vcpu *v = heap_alloc(sizeof(*v), config->node);

	if (v == NULL) {
		return ERR_NOMEM;
	}
	v->page = mem_alloc(&mem, config->node, 1, MEM_STRICT);
	if (hpa_is_none(v->page)) {
		heap_free(v, sizeof(*v));
		return ERR_NOMEM;
	}
	v->config = *config;
	v->virt.handlers = config->handlers;
	v->virt.before_entry = config->before_entry;
	v->virt.owner = config->owner;
	v->virt.until_tsc = v->virt.deadline_tsc = UINT64_MAX;
	atomic_store(&v->virt.news, true);
	v->on_cpu = CPU_NONE;
	v->entry_vector = -1;
	fake_virt_vcpus++;
	*out = &v->virt;
	return ERR_OK;
}

static void vcpu_destroy(struct virt_vcpu *virt_v)
{
	struct fake_virt_vcpu *v = fake_virt_of(virt_v);

	ASSERT(v->on_cpu == CPU_NONE);
	mem_free(&mem, v->page, 1);
	heap_free(v, sizeof(*v));
	fake_virt_vcpus--;
}

static uint64_t vcpu_bytes(void)
{
	return sizeof(struct fake_virt_vcpu) + PAGE_SIZE;
}

static void vcpu_reset(struct virt_vcpu *virt_v, const struct virt_start *start)
{
	struct fake_virt_vcpu *v = fake_virt_of(virt_v);

	ASSERT(v->on_cpu == CPU_NONE);
	v->start = *start;
	v->script = new_script;
	v->step_count = new_count;
	v->at = 0;
	v->done_ns = 0;
	v->interrupts = v->shadow = v->window = false;
	v->apic_mode = VIRT_APIC_OFF;
	v->rvi = v->svi = 0;
	v->entry_vector = -1;
	v->rflags = 2;
	v->cr4 = v->efer = 0;
	v->xcr0 = 1;
	v->spec_ctrl = 0;
	v->state = (struct virt_state){ .cr0 = 0x11, .rflags = 2, .code_bits = 32, .rip = start->rip };
	v->resets++;
	memcpy(virt_v->gpr, start->gpr, sizeof(virt_v->gpr));
	for (unsigned i = 0; i < VIRT_CPUID_SLOTS; i++) {
		virt_v->cpuid[i].leaf = VIRT_CPUID_EMPTY;
	}
}

static void put(struct virt_vcpu *virt_v)
{
	struct fake_virt_vcpu *v = fake_virt_of(virt_v);

	ASSERT(v->on_cpu == CPU_NONE || v->on_cpu == arch_this_cpu());
	v->on_cpu = CPU_NONE;
	if (fake_virt_on_put != NULL) {
		fake_virt_on_put();
	}
}

/* --- Events. */

static bool can_inject(struct virt_vcpu *v)
{
	return fake_virt_of(v)->interrupts && !fake_virt_of(v)->shadow && fake_virt_of(v)->entry_vector < 0;
}

static void inject(struct virt_vcpu *v, uint8_t vector)
{
	ASSERT(can_inject(v));
	fake_virt_of(v)->entry_vector = vector;
	fake_virt_of(v)->entry_exception = false;
	fake_virt_of(v)->entry_error = 0;
}

static bool nmi_blocked(struct virt_vcpu *v)
{
	return fake_virt_of(v)->in_nmi;
}

static enum virt_nmi inject_nmi(struct virt_vcpu *virt_v)
{
	struct fake_virt_vcpu *v = fake_virt_of(virt_v);

	if (v->entry_vector >= 0 || v->in_nmi) {
		return VIRT_NMI_BLOCKED;
	}
	if (v->shadow) {
		return VIRT_NMI_SHADOWED;
	}
	v->entry_vector = 2;
	v->entry_exception = false;
	return VIRT_NMI_GIVEN;
}

static void inject_exception(struct virt_vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
	fake_virt_of(v)->entry_vector = vector;
	fake_virt_of(v)->entry_exception = true;
	fake_virt_of(v)->entry_error = has_error ? error : 0;
}

static void inject_page_fault(struct virt_vcpu *v, uint64_t linear, uint32_t error)
{
	fake_virt_of(v)->state.cr2 = linear;
	inject_exception(v, 14, true, error);
}

/* --- A local APIC that the cpu virtualizes (SDM 3C 29). */

#define APIC_TPR	0x080u
#define APIC_PPR	0x0a0u
#define APIC_SVR	0x0f0u
#define APIC_ISR	0x100u
#define APIC_TMR	0x180u
#define APIC_IRR	0x200u

static uint32_t *apic_reg(const struct fake_virt_vcpu *v, unsigned offset)
{
	return &v->config.apic_page[offset / 4];
}

static uint8_t apic_highest(const struct fake_virt_vcpu *v, unsigned first)
{
	for (unsigned vector = 255; vector > 0; vector--) {
		if (*apic_reg(v, first + vector / 32 * 16) >> vector % 32 & 1) {
			return (uint8_t)vector;
		}
	}
	return 0;
}

static void apic_priority(struct fake_virt_vcpu *v)
{
	*apic_reg(v, APIC_PPR) = MAX(*apic_reg(v, APIC_TPR), v->svi & 0xf0u);
}

static void apic_sync(struct virt_vcpu *virt_v, enum virt_apic mode)
{
	struct fake_virt_vcpu *v = fake_virt_of(virt_v);

	ASSERT(fake_virt_apic);
	v->apic_mode = mode;
	v->rvi = (*apic_reg(v, APIC_SVR) & 0x100) != 0 ? apic_highest(v, APIC_IRR) : 0;
	v->svi = apic_highest(v, APIC_ISR);
	for (unsigned i = 0; i < 8; i++) {
		v->eoi_exit[i] = *apic_reg(v, APIC_TMR + 16 * i);
	}
}

static void apic_raise(struct virt_vcpu *virt_v, uint8_t vector)
{
	struct fake_virt_vcpu *v = fake_virt_of(virt_v);

	ASSERT(fake_virt_apic && (*apic_reg(v, APIC_SVR) & 0x100) != 0);
	v->rvi = MAX(v->rvi, vector);
}

static void apic_deliver(struct fake_virt_vcpu *v)
{
	uint8_t vector = v->rvi;

	apic_priority(v);
	if (v->window || !can_inject(&v->virt) || vector >> 4 <= *apic_reg(v, APIC_PPR) >> 4) {
		return;
	}
	*apic_reg(v, APIC_IRR + vector / 32 * 16) &= ~(1u << vector % 32);
	*apic_reg(v, APIC_ISR + vector / 32 * 16) |= 1u << vector % 32;
	v->rvi = apic_highest(v, APIC_IRR);
	v->svi = vector;
	inject(&v->virt, vector);
}

/* True: the hypervisor must hear of it. */
static bool apic_eoi(struct fake_virt_vcpu *v)
{
	uint8_t vector = v->svi;

	*apic_reg(v, APIC_ISR + vector / 32 * 16) &= ~(1u << vector % 32);
	v->svi = apic_highest(v, APIC_ISR);
	v->virt.info.vector = vector;
	return v->eoi_exit[vector / 32] >> vector % 32 & 1;
}

static void want_window(struct virt_vcpu *v, bool on)
{
	fake_virt_of(v)->window = on;
}

/* Flat segments, 64-bit addresses. */
static unsigned string_operand(struct virt_vcpu *v, uint64_t *linear)
{
	*linear = v->gpr[(v->info.io & VIRT_IO_IN) != 0 ? VIRT_RDI : VIRT_RSI];
	return 64;
}

static uint64_t get_rflags(struct virt_vcpu *v)
{
	return fake_virt_of(v)->rflags | (fake_virt_of(v)->interrupts ? 1ul << 9 : 0);
}

static void take_event(struct fake_virt_vcpu *v)
{
	if (v->entry_vector >= 0) {
		ASSERT(v->taken_count < FAKE_TAKEN_MAX);
		v->taken[v->taken_count++] = (struct fake_taken){
			.vector = (uint8_t)v->entry_vector, .exception = v->entry_exception, .error = v->entry_error,
			.at_ns = fake.now_ns, .step = v->at,
		};
		v->entry_vector = -1;
	}
}

/* --- Running. What a step does without an exit; the kind of the exit that follows. */

static enum virt_exit exit_of(struct fake_virt_vcpu *v, const struct fake_step *s)
{
	v->virt.gpr[VIRT_RAX] = s->rax;
	v->virt.gpr[VIRT_RCX] = s->rcx;
	v->virt.gpr[VIRT_RDX] = s->rdx;
	v->virt.info = s->info;
	if (s->rip != 0) {
		v->state.rip = s->rip;
	}
	return s->exit;
}

/* Computes until done_ns of the step are ns or until the timer; true when the step is done. */
static bool compute(struct fake_virt_vcpu *v, uint64_t ns, uint64_t until_tsc)
{
	uint64_t left = ns - v->done_ns, until_ns = until_tsc / FAKE_TSC_PER_NS + until_tsc % FAKE_TSC_PER_NS;
	uint64_t take = MIN(left, until_ns - fake.now_ns);

	fake.now_ns += take;
	v->done_ns += take;
	return v->done_ns == ns;
}

/* One entry: runs to the next exit. VIRT_EXIT_COUNT: a poke or an interrupt of the host's came. */
static enum virt_exit enter(struct fake_virt_vcpu *v)
{
	static const struct fake_step spin = { .kind = FAKE_SPIN };

	take_event(v);
	for (;;) {
		const struct fake_step *s = v->at < v->step_count ? &v->script[v->at] : &spin;
		uint64_t until = MIN(v->virt.until_tsc, v->virt.deadline_tsc);

		if (atomic_load(&cpu_this()->remote.poked) != 0) {
			return VIRT_EXIT_COUNT;
		}
		if (v->window && can_inject(&v->virt)) {
			return VIRT_EXIT_INJECT_WINDOW;
		}
		if (fake_virt_apic && v->apic_mode != VIRT_APIC_OFF) {
			apic_deliver(v);
			take_event(v);
		}
		if (until <= virt_host_tsc()) {
			return VIRT_EXIT_TIMER;
		}
		switch (s->kind) {
		case FAKE_EXIT:
			return exit_of(v, s);
		case FAKE_STI:
		case FAKE_CLI:
			v->shadow = s->kind == FAKE_STI && !v->interrupts;
			v->interrupts = s->kind == FAKE_STI;
			v->at++;
			break;
		case FAKE_BUSY:
			if (v->shadow) {
				v->shadow = false;
			} else if (compute(v, s->ns, until)) {
				v->done_ns = 0;
				v->at++;
			}
			break;
		case FAKE_APIC_EOI:
			v->at++;
			if (apic_eoi(v)) {
				return VIRT_EXIT_APIC_EOI;
			}
			break;
		case FAKE_APIC_TPR:
			v->at++;
			*apic_reg(v, APIC_TPR) = (uint32_t)s->rax;
			break;
		case FAKE_APIC_WRITE:
			v->at++;
			*apic_reg(v, s->info.offset) = (uint32_t)s->rax;
			v->virt.info.offset = s->info.offset;
			return VIRT_EXIT_APIC_WRITE;
		case FAKE_SPIN:
			v->shadow = false;
			if (v->window && can_inject(&v->virt)) {
				break;
			}
			if (until == UINT64_MAX) {
				fake.now_ns += NS_PER_MS;
				return VIRT_EXIT_COUNT;		/* some interrupt */
			}
			fake.now_ns = until / FAKE_TSC_PER_NS + until % FAKE_TSC_PER_NS;
			break;
		}
	}
}

/* The instruction is done, or its exception will be taken: the script goes on. */
static void advance(struct fake_virt_vcpu *v)
{
	static const unsigned regs[4] = { VIRT_RAX, VIRT_RBX, VIRT_RCX, VIRT_RDX };

	for (unsigned i = 0; i < 4 && v->at < FAKE_SCRIPT_MAX; i++) {
		v->result[v->at][i] = v->virt.gpr[regs[i]];
	}
	v->at++;
	v->shadow = false;
}

/* As vmx_exit_full(): true: enter again at once. */
static bool handle(struct fake_virt_vcpu *v, enum virt_exit kind, bool *recheck)
{
	bool own = kind != VIRT_EXIT_INJECT_WINDOW && kind != VIRT_EXIT_APIC_EOI &&
		   kind != VIRT_EXIT_APIC_WRITE;
	unsigned next;

	*recheck = false;
	if (kind == VIRT_EXIT_COUNT) {
		v->virt.exits[VIRT_EXIT_INTERRUPT]++;
		v->virt.leave_code = VIRT_LEFT_POKED;
		return false;
	}
	v->virt.exits[kind]++;
	if (kind == VIRT_EXIT_TIMER) {
		v->virt.leave_code = VIRT_LEFT_TIME;
		*recheck = virt_host_tsc() < v->virt.until_tsc;
		return false;
	}
	v->skipped = false;
	next = v->virt.handlers[kind](&v->virt);
	if (own && ((next & VIRT_SKIP) != 0 || v->skipped || v->entry_exception)) {
		advance(v);
	}
	v->entry_exception = v->entry_exception && v->entry_vector >= 0;
	*recheck = (next & VIRT_RECHECK) != 0 && (next & VIRT_LEAVE) == 0;
	if ((next & VIRT_LEAVE) != 0) {
		atomic_store(&v->virt.news, true);
	}
	return (next & (VIRT_RECHECK | VIRT_LEAVE)) == 0;
}

static int run(struct virt_vcpu *virt_v, uint64_t until_ns)
{
	struct fake_virt_vcpu *v = fake_virt_of(virt_v);
	bool recheck = true;

	ASSERT(v->resets > 0 && (v->on_cpu == CPU_NONE || v->on_cpu == arch_this_cpu()));
	v->on_cpu = arch_this_cpu();
	v->runs++;
	virt_v->until_tsc = virt_ns_to_tsc(until_ns);
	for (unsigned i = 0; recheck; i++) {
		virt_v->leave_code = VIRT_LEFT_POKED;
		if (i > 0 || atomic_exchange(&virt_v->news, false) || virt_host_tsc() >= virt_v->deadline_tsc) {
			virt_v->before_entry(virt_v, virt_host_tsc());
		}
		for (;; i++) {
			if (i > ENTRIES_MAX) {
				panic("fake guest gets nowhere at step %u", v->at);
			}
			if (!handle(v, enter(v), &recheck)) {
				break;
			}
		}
	}
	return virt_v->leave_code;
}

/* --- State. */

static void get_state(struct virt_vcpu *v, struct virt_state *out)
{
	*out = fake_virt_of(v)->state;
	out->rflags = fake_virt_of(v)->rflags;
	out->cr4 = fake_virt_of(v)->cr4;
}

static void skip(struct virt_vcpu *v, unsigned bytes)
{
	fake_virt_of(v)->state.rip += bytes;
	fake_virt_of(v)->skipped = bytes > 0;
}

static void set_rflags(struct virt_vcpu *v, uint64_t rflags)
{
	fake_virt_of(v)->rflags = rflags;
}

static void set_tsc_offset(struct virt_vcpu *v, uint64_t offset)
{
	v->tsc_offset = offset;
}

static bool write_efer(struct virt_vcpu *v, uint64_t value)
{
	fake_virt_of(v)->efer = value;
	return (value & ~0xd01ul) == 0;
}

static uint64_t read_efer(struct virt_vcpu *v)
{
	return fake_virt_of(v)->efer;
}

static enum err write_msr(struct virt_vcpu *v, uint32_t msr, uint64_t value)
{
	(void)v, (void)msr, (void)value;
	return ERR_NOENT;
}

static uint64_t read_xcr0(struct virt_vcpu *v)
{
	return fake_virt_of(v)->xcr0;
}

static bool write_xcr0(struct virt_vcpu *v, uint64_t value)
{
	fake_virt_of(v)->xcr0 = value;
	return (value & 1) != 0 && (value & ~fake_virt_of(v)->config.xcr0_allowed) == 0;
}

static uint64_t read_spec_ctrl(struct virt_vcpu *v)
{
	return fake_virt_of(v)->spec_ctrl;
}

static void write_spec_ctrl(struct virt_vcpu *v, uint64_t value)
{
	fake_virt_of(v)->spec_ctrl = value;
}

static uint64_t read_cr4(struct virt_vcpu *v)
{
	return fake_virt_of(v)->cr4;
}

static bool offers(enum virt_feature f)
{
	return f != VIRT_APIC || fake_virt_apic;
}

static void dump(struct virt_vcpu *v, struct text *out)
{
	text_printf(out, "fake step %u\nfake rax %lx\n", fake_virt_of(v)->at, v->gpr[VIRT_RAX]);
}

static const struct virt_ops ops = {
	.name = "fake", .space_create = space_create, .space_map = space_map, .space_destroy = space_destroy,
	.space_pages = space_pages, .vcpu_create = vcpu_create, .vcpu_destroy = vcpu_destroy, .vcpu_bytes = vcpu_bytes,
	.vcpu_reset = vcpu_reset, .run = run, .put = put, .can_inject = can_inject, .inject = inject,
	.want_window = want_window, .inject_exception = inject_exception, .inject_page_fault = inject_page_fault,
	.get_rflags = get_rflags, .nmi_blocked = nmi_blocked,
	.string_operand = string_operand, .get_state = get_state, .skip = skip, .set_rflags = set_rflags,
	.set_tsc_offset = set_tsc_offset, .write_efer = write_efer, .read_efer = read_efer, .write_msr = write_msr, .write_xcr0 = write_xcr0,
	.read_xcr0 = read_xcr0,
	.space_map_apic = space_map_apic, .apic_sync = apic_sync, .apic_raise = apic_raise, .read_spec_ctrl = read_spec_ctrl,
	.write_spec_ctrl = write_spec_ctrl, .read_cr4 = read_cr4, .dump = dump, .inject_nmi = inject_nmi, .offers = offers,
};

void fake_virt_script(const struct fake_step *script, unsigned count)
{
	new_script = script;
	new_count = count;
}

void fake_virt_init(const struct fake_step *script, unsigned count)
{
	virt = &ops;
	fake_virt_vcpus = fake_virt_spaces = 0;
	fake_virt_apic = false;
	fake_virt_cpuid = NULL;
	fake_virt_capabilities = 0;
	fake_virt_never_tsc = UINT64_MAX;
	fake_virt_no_tables = NODE_NONE;
	fake_virt_script(script, count);
}
