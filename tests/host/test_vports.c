/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vports and vm/vplatform: who answers, and how lines and messages reach the vCPUs. */
#include "tests/host/test.h"

#include "kernel/lib/util.h"
#include "vm/vlapic_msr.h"
#include "vm/vmap.h"
#include "vm/vplatform.h"

/* --- The table alone */

struct log {
	uint16_t port;
	unsigned size, calls;
	uint32_t value;
};

static uint32_t log_read(void *ctx, uint16_t port, unsigned size)
{
	struct log *log = ctx;

	*log = (struct log){ port, size, log->calls + 1, 0 };
	return 0xdeadbe00u + (port & 0xffu);
}

static void log_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct log *log = ctx;

	*log = (struct log){ port, size, log->calls + 1, value };
}

static const struct vports_row log_rows[] = {
	{ 0x10, 0x11, VPORTS_BYTE, log_read, log_write },
	{ 0x12, 0x12, VPORTS_WORD, log_read, log_write },
	{ 0x3e, 0x101, VPORTS_ANY, log_read, log_write },
	{ 0x200, 0x200, VPORTS_BYTE, NULL, NULL },
	{ 0xfffe, 0xffff, VPORTS_ANY, log_read, log_write },
};

TEST(find, "a lookup agrees with a search through all rows, for every port")
{
	static struct vports v;
	struct log log = { 0 };

	CHECK_EQ(vports_init(&v, log_rows, ARRAY_SIZE(log_rows), &log), ERR_OK);
	for (unsigned port = 0; port < 0x10000; port++) {
		const struct vports_row *want = NULL;

		for (unsigned i = 0; i < ARRAY_SIZE(log_rows); i++) {
			if (port >= log_rows[i].first && port <= log_rows[i].last) {
				want = &log_rows[i];
			}
		}
		CHECK(vports_find(&v, (uint16_t)port) == want);
	}
}

TEST(sizes, "an access a row does not take is split into bytes, one to nobody is not")
{
	static struct vports v;
	struct log log = { 0 };
	uint32_t value;

	vports_init(&v, log_rows, ARRAY_SIZE(log_rows), &log);
	CHECK(vports_read(&v, 0x10, 1, &value));
	CHECK_EQ(value, 0x10);
	CHECK(vports_read(&v, 0x10, 2, &value));
	CHECK_EQ(value, 0x1110);
	CHECK(vports_read(&v, 0x10, 4, &value));
	CHECK_EQ(value, 0xffff1110);		/* 0x12 takes no bytes, 0x13 is nobody's */
	CHECK(vports_read(&v, 0x40, 4, &value));
	CHECK_EQ(value, 0xdeadbe40);
	CHECK(vports_read(&v, 0x100, 4, &value));
	CHECK_EQ(value, 0xffff0100);
	CHECK(vports_read(&v, 0xffff, 4, &value));	/* wraps: the rest is port 0 and on */
	CHECK_EQ(value, 0xffffffff);
	log.calls = 0;
	CHECK(!vports_read(&v, 0x0f, 4, &value));
	CHECK_EQ(value, 0xffffffff);
	CHECK(!vports_write(&v, 0x0f, 2, 0));
	CHECK_EQ(log.calls, 0);
	CHECK_EQ(v.unclaimed, 2);
	CHECK(vports_write(&v, 0x10, 4, 0x44332211));
	CHECK_EQ(log.calls, 2);
	CHECK_EQ(log.value, 0x22);
	CHECK(vports_write(&v, 0x12, 1, 1));
	CHECK_EQ(log.calls, 2);
	CHECK(vports_read(&v, 0x200, 1, &value));
	CHECK_EQ(value, 0xff);
}

TEST(bad_tables, "a table that overlaps, runs backwards or takes no size is refused")
{
	static struct vports v;
	static const struct vports_row overlap[] = { { 1, 5, 1, NULL, NULL }, { 5, 6, 1, NULL, NULL } };
	static const struct vports_row backwards[] = { { 5, 4, 1, NULL, NULL } };
	static const struct vports_row no_size[] = { { 5, 6, 0, NULL, NULL } };

	CHECK_EQ(vports_init(&v, overlap, 2, NULL), ERR_INVAL);
	CHECK_EQ(vports_init(&v, backwards, 1, NULL), ERR_INVAL);
	CHECK_EQ(vports_init(&v, no_size, 1, NULL), ERR_INVAL);
	CHECK_EQ(vports_init(&v, no_size, VPORTS_ROWS_MAX + 1, NULL), ERR_LIMIT);
}

/* --- The platform */

#define VCPUS	3u

struct world {
	struct vplatform p;
	struct vlapic lapic[VCPUS];
	uint32_t page[VCPUS][VLAPIC_PAGE_BYTES / 4];
	uint64_t now_ns;
	bool locked;
	unsigned kicks[VCPUS], nmis[VCPUS], inits[VCPUS], events, locks;
	int startup[VCPUS];
	enum vm_event event;
	uint32_t code;
	const char *input;
	char output[32];
	unsigned output_len;
};

static void w_lock(void *ctx)
{
	struct world *w = ctx;

	CHECK(!w->locked);
	w->locked = true;
	w->locks++;
}

static void w_unlock(void *ctx)
{
	struct world *w = ctx;

	CHECK(w->locked);
	w->locked = false;
}

static void w_kick(void *ctx, unsigned vcpu) { ((struct world *)ctx)->kicks[vcpu]++; }
static void w_nmi(void *ctx, unsigned vcpu) { ((struct world *)ctx)->nmis[vcpu]++; }
static void w_init(void *ctx, unsigned vcpu) { ((struct world *)ctx)->inits[vcpu]++; }
static void w_startup(void *ctx, unsigned vcpu, uint8_t page) { ((struct world *)ctx)->startup[vcpu] = page; }
static uint64_t w_now_ns(void *ctx) { return ((struct world *)ctx)->now_ns; }

static uint64_t w_now_tsc(void *ctx, unsigned vcpu)
{
	return w_now_ns(ctx);
}

static void w_tx(void *ctx, uint8_t byte)
{
	struct world *w = ctx;

	w->output[w->output_len++ % sizeof(w->output)] = (char)byte;
}

static int w_rx(void *ctx)
{
	struct world *w = ctx;

	return w->input != NULL && *w->input != '\0' ? (uint8_t)*w->input++ : -1;
}

static void w_event(void *ctx, enum vm_event event, uint32_t code)
{
	struct world *w = ctx;

	w->events++;
	w->event = event;
	w->code = code;
}

static struct world *fresh(void)
{
	static struct world w;
	static const struct vplatform_ops ops = {
		.lock = w_lock, .unlock = w_unlock, .kick = w_kick, .nmi = w_nmi, .init = w_init,
		.startup = w_startup, .tx = w_tx, .rx = w_rx, .event = w_event, .now_ns = w_now_ns, .now_tsc = w_now_tsc,
	};
	const struct vplatform_config config = {
		.ops = &ops, .ctx = &w, .tsc_hz = NS_PER_S, .timer_hz = NS_PER_S, .rtc_base_s = 1000000000,
	};

	memset(&w, 0, sizeof(w));
	CHECK_EQ(vplatform_init(&w.p, &config), ERR_OK);
	for (unsigned i = 0; i < VCPUS; i++) {
		w.lapic[i].page = w.page[i];
		CHECK_EQ(vplatform_add_vcpu(&w.p, &w.lapic[i], i * 2), ERR_OK);
	}
	return &w;
}

static uint32_t in(struct world *w, uint16_t port, unsigned size)
{
	uint32_t value = 0x5a5a5a5a;

	vplatform_port(&w->p, port, size, false, &value);
	return value;
}

static void out(struct world *w, uint16_t port, unsigned size, uint32_t value)
{
	vplatform_port(&w->p, port, size, true, &value);
}

static uint64_t peek(struct world *w, unsigned vcpu, uint64_t at, unsigned size)
{
	uint64_t value = 0;

	CHECK(vplatform_mmio(&w->p, vcpu, gpa(at), size, false, &value));
	return value;
}

static void poke(struct world *w, unsigned vcpu, uint64_t at, uint32_t value)
{
	uint64_t wide = value;

	CHECK(vplatform_mmio(&w->p, vcpu, gpa(at), 4, true, &wide));
}

static void redirect(struct world *w, unsigned pin, uint32_t low, uint8_t dest)
{
	poke(w, 0, VMAP_IOAPIC_BASE, 0x11 + 2 * pin);
	poke(w, 0, VMAP_IOAPIC_BASE + 0x10, (uint32_t)dest << 24);
	poke(w, 0, VMAP_IOAPIC_BASE, 0x10 + 2 * pin);
	poke(w, 0, VMAP_IOAPIC_BASE + 0x10, low);
}

static void enable(struct world *w, unsigned vcpu)
{
	poke(w, vcpu, VMAP_LAPIC_BASE + 0xf0, 0x1ff);
}

TEST(nobody, "the ports a kernel probes with nothing behind read as ones, swallow writes and take no lock")
{
	static const uint16_t ports[] = {
		0x80, 0xf0, 0xf1, 0x2e9, 0x2f9, 0x3e9, 0x3d4, 0x3d5, 0xcf8, 0xcfc, 0xcfe, 0x278, 0x27a, 0x60, 0x510,
	};
	struct world *w = fresh();

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		CHECK_EQ(in(w, ports[i], 1), 0xff);
		CHECK_EQ(in(w, ports[i], 2), 0xffff);
		out(w, ports[i], 1, 0xfe);
	}
	out(w, 0xcf8, 4, 0x80000600);		/* would be 6 at 0xcf9 */
	CHECK_EQ(in(w, 0xcf8, 4), 0xffffffff);
	CHECK_EQ(w->locks, 0);
	CHECK_EQ(w->events, 0);
	CHECK_EQ(w->p.ports.unclaimed, 3 * ARRAY_SIZE(ports) + 2);
	CHECK_EQ(in(w, 0x64, 1), 0xfd);	/* never busy: a kernel waits for that before it sends the reset */
}

TEST(ends, "power-off, reset and debug exit are reported with their codes")
{
	struct world *w = fresh();

	out(w, VMAP_PORT_PM1A_CNT, 2, VMAP_S5_SLP_TYP << 10);
	CHECK_EQ(w->events, 0);
	CHECK_EQ(in(w, VMAP_PORT_PM1A_CNT, 2), VMAP_S5_SLP_TYP << 10 | 1);
	out(w, VMAP_PORT_PM1A_CNT, 2, 3u << 10 | 1u << 13);	/* S3 is not there */
	CHECK_EQ(w->events, 0);
	out(w, VMAP_PORT_PM1A_CNT, 2, VMAP_S5_SLP_TYP << 10 | 1u << 13);
	CHECK_EQ(w->event, VM_EVENT_POWEROFF);
	out(w, VMAP_PORT_DEBUG_EXIT, 4, 0x12345678);
	CHECK_EQ(w->event, VM_EVENT_DEBUG_EXIT);
	CHECK_EQ(w->code, 0x12345678);
	out(w, VMAP_PORT_DEBUG_EXIT, 1, 0x31);
	CHECK_EQ(w->code, 0x31);
	CHECK_EQ(w->events, 3);
	out(w, 0x64, 1, 0xd1);
	out(w, VMAP_PORT_RESET, 1, 2);
	CHECK_EQ(w->events, 3);
	out(w, VMAP_PORT_RESET, 1, VMAP_RESET_VALUE);
	CHECK_EQ(w->event, VM_EVENT_RESET);
	out(w, 0x64, 1, 0xfe);
	CHECK_EQ(w->events, 5);
}

TEST(pm_timer, "the PM timer counts 3.579545 MHz in 32 bits, in any access size")
{
	struct world *w = fresh();

	w->now_ns = 1234 * NS_PER_S + NS_PER_S / 2;
	CHECK_EQ(in(w, 0x608, 4), (uint32_t)(1234ul * 3579545 + 3579545 / 2));
	CHECK_EQ(in(w, 0x60a, 2), (uint32_t)(1234ul * 3579545 + 3579545 / 2) >> 16);
	CHECK_EQ(in(w, 0x609, 1), ((uint32_t)(1234ul * 3579545 + 3579545 / 2) >> 8) & 0xff);
}

TEST(pm_overflow, "the PM timer's overflow raises the SCI, level-triggered, when its top bit turns over, not before")
{
	struct world *w = fresh();
	uint64_t half_ns;

	enable(w, 0);
	redirect(w, VMAP_GSI_SCI, 0x8049, 0);
	CHECK_EQ(vplatform_deadline(&w->p), NS_NEVER);
	out(w, 0x602, 2, 1);
	w->now_ns = vplatform_deadline(&w->p);
	CHECK(w->now_ns != NS_NEVER);
	vplatform_expire(&w->p, w->now_ns - 1);
	CHECK_EQ(vlapic_pending(&w->lapic[0]), -1);
	CHECK_EQ(in(w, 0x608, 4), 0x80000000);
	vplatform_expire(&w->p, w->now_ns);
	CHECK_EQ(vlapic_pending(&w->lapic[0]), 0x49);
	vlapic_ack(&w->lapic[0], 0x49);
	poke(w, 0, VMAP_LAPIC_BASE + 0xb0, 0);			/* EOI while the line is high: again */
	CHECK_EQ(vlapic_pending(&w->lapic[0]), 0x49);
	vlapic_ack(&w->lapic[0], 0x49);
	CHECK_EQ(in(w, 0x600, 2), 1);
	CHECK_EQ(vplatform_deadline(&w->p), NS_NEVER);
	out(w, 0x600, 2, 1);
	CHECK_EQ(in(w, 0x600, 4), 0x00010000);
	poke(w, 0, VMAP_LAPIC_BASE + 0xb0, 0);
	CHECK_EQ(vlapic_pending(&w->lapic[0]), -1);
	half_ns = vplatform_deadline(&w->p);
	CHECK(half_ns > w->now_ns && half_ns != NS_NEVER);
	out(w, 0x602, 2, 0);					/* status counts on, and raises it when enabled */
	w->now_ns = half_ns;
	CHECK_EQ(in(w, 0x600, 2), 1);
	CHECK_EQ(vlapic_pending(&w->lapic[0]), -1);
	out(w, 0x602, 2, 1);
	CHECK_EQ(vlapic_pending(&w->lapic[0]), 0x49);
}

TEST(pit_route, "the PIT's interrupt arrives by the I/O APIC as GSI 2 and by the 8259 as IRQ 0")
{
	struct world *w = fresh();
	uint64_t due;

	enable(w, 0);
	redirect(w, VMAP_GSI_PIT, 0x0030, 0);
	out(w, 0x20, 1, 0x11);
	out(w, 0x21, 1, 0x20);
	out(w, 0x21, 1, 0x04);
	out(w, 0x21, 1, 0x01);
	out(w, 0x21, 1, 0xfe);
	out(w, 0x43, 1, 0x34);
	out(w, 0x40, 1, 0xa9);
	out(w, 0x40, 1, 0x04);
	due = vplatform_deadline(&w->p);
	CHECK(due >= 1193 * NS_PER_S / 1193182 && due < 1195 * NS_PER_S / 1193182);
	vplatform_expire(&w->p, due - 1);
	CHECK_EQ(vlapic_pending(&w->lapic[0]), -1);
	vplatform_expire(&w->p, due);
	CHECK_EQ(vlapic_pending(&w->lapic[0]), 0x30);
	CHECK(vplatform_extint(&w->p, 0));
	CHECK(!vplatform_extint(&w->p, 1));
	CHECK_EQ(vplatform_extint_ack(&w->p), 0x20);
	CHECK(!vplatform_extint(&w->p, 0));
	CHECK(vplatform_deadline(&w->p) > due);
	poke(w, 0, VMAP_LAPIC_BASE + 0x350, 0x10700);		/* LINT0 masked: the 8259 is cut off */
	out(w, 0x20, 1, 0x20);
	vplatform_expire(&w->p, vplatform_deadline(&w->p));
	CHECK(!vplatform_extint(&w->p, 0));
}

TEST(serial, "COM1 sends to the sink and reads its input as the guest takes it, by IRQ 4")
{
	struct world *w = fresh();
	char got[64];
	unsigned n = 0;

	enable(w, 1);
	redirect(w, 4, 0x0044, 2);		/* vCPU 1 has APIC id 2 */
	out(w, 0x3f8, 1, 'A');
	CHECK_EQ(w->output[0], 'A');
	out(w, 0x3fa, 1, 0x01);
	out(w, 0x3fc, 1, 0x0b);
	out(w, 0x3f9, 1, 0x01);
	w->input = "more than sixteen bytes of input";
	vplatform_feed(&w->p);
	CHECK_EQ(w->kicks[1], 1);
	CHECK_EQ(vlapic_pending(&w->lapic[1]), 0x44);
	while (in(w, 0x3fd, 1) & 1) {
		got[n++] = (char)in(w, 0x3f8, 1);
	}
	got[n] = '\0';
	CHECK_STR(got, "more than sixteen bytes of input");
}

TEST(ipis, "IPIs reach their destinations: physical, logical, shorthands, INIT, SIPI, NMI")
{
	struct world *w = fresh();

	for (unsigned i = 0; i < VCPUS; i++) {
		enable(w, i);
		poke(w, i, VMAP_LAPIC_BASE + 0xd0, 1u << (24 + i));
	}
	poke(w, 0, VMAP_LAPIC_BASE + 0x310, 4u << 24);
	poke(w, 0, VMAP_LAPIC_BASE + 0x300, 0x0051);
	CHECK_EQ(w->kicks[2], 1);
	CHECK_EQ(w->kicks[0] + w->kicks[1], 0);
	poke(w, 0, VMAP_LAPIC_BASE + 0x300, 0x0051);		/* it was told, and has not looked: it is not told again */
	CHECK_EQ(w->kicks[2], 1);
	CHECK_EQ(vlapic_pending(&w->lapic[2]), 0x51);
	poke(w, 2, VMAP_LAPIC_BASE + 0x310, 3u << 24);
	poke(w, 2, VMAP_LAPIC_BASE + 0x300, 0x0852);		/* logical, flat: cpus 0 and 1 */
	CHECK_EQ(vlapic_pending(&w->lapic[0]), 0x52);
	CHECK_EQ(vlapic_pending(&w->lapic[1]), 0x52);
	CHECK_EQ(vlapic_pending(&w->lapic[2]), 0x51);
	poke(w, 1, VMAP_LAPIC_BASE + 0x300, 0xc4500);		/* all but self: INIT */
	CHECK(w->inits[0] == 1 && w->inits[1] == 0 && w->inits[2] == 1);
	poke(w, 1, VMAP_LAPIC_BASE + 0x300, 0xc8500);		/* its de-assert does nothing */
	CHECK_EQ(w->inits[0], 1);
	poke(w, 0, VMAP_LAPIC_BASE + 0x310, 2u << 24);
	poke(w, 0, VMAP_LAPIC_BASE + 0x300, 0x0699);
	CHECK_EQ(w->startup[1], 0x99);
	poke(w, 0, VMAP_LAPIC_BASE + 0x300, 0x80400);		/* all: NMI */
	CHECK(w->nmis[0] == 1 && w->nmis[1] == 1 && w->nmis[2] == 1);
	poke(w, 0, VMAP_LAPIC_BASE + 0x310, 0xff000000);
	poke(w, 0, VMAP_LAPIC_BASE + 0x300, 0x0053);		/* physical broadcast */
	CHECK(vlapic_pending(&w->lapic[0]) == 0x53 && vlapic_pending(&w->lapic[2]) == 0x53);
	poke(w, 0, VMAP_LAPIC_BASE + 0x310, 0x07000000);
	poke(w, 0, VMAP_LAPIC_BASE + 0x300, 0x0954);		/* lowest priority: exactly one */
	CHECK_EQ((vlapic_pending(&w->lapic[0]) == 0x54) + (vlapic_pending(&w->lapic[1]) == 0x54) +
		 (vlapic_pending(&w->lapic[2]) == 0x54), 1);
}

TEST(pages, "each vCPU finds its own LAPIC in the page, narrow and wide reads work, x2APIC takes the page away")
{
	struct world *w = fresh();
	uint64_t value;

	CHECK_EQ(peek(w, 1, VMAP_LAPIC_BASE + 0x20, 4), 2u << 24);
	CHECK_EQ(peek(w, 2, VMAP_LAPIC_BASE + 0x23, 1), 4);
	CHECK_EQ(peek(w, 2, VMAP_LAPIC_BASE + 0x22, 2), 0x400);
	CHECK_EQ(peek(w, 0, VMAP_LAPIC_BASE + 0x30, 8), 0x50014);
	poke(w, 0, VMAP_IOAPIC_BASE, 1);
	CHECK_EQ(peek(w, 0, VMAP_IOAPIC_BASE + 0x10, 4), 0x170020);
	CHECK(!vplatform_mmio(&w->p, 0, gpa(0xfed00000), 4, false, &value));
	CHECK(!vplatform_mmio(&w->p, VCPUS, gpa(VMAP_LAPIC_BASE), 4, false, &value));
	CHECK_EQ(vlapic_msr_write(&w->lapic[0], VLAPIC_MSR_BASE, 0, VMAP_LAPIC_BASE | 0xc00), ERR_OK);
	CHECK(!vplatform_mmio(&w->p, 0, gpa(VMAP_LAPIC_BASE), 4, false, &value));
}

TEST(fuzz, "random port and page accesses keep every device sane and never leave the lock held")
{
	static const uint16_t bases[] = { 0x20, 0x40, 0x61, 0x70, 0xa0, 0x3f8, 0x4d0, 0x600, 0xcf8 };
	struct world *w = fresh();
	struct test_rng rng = { 99 };

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t r = test_rand(&rng), value = test_rand(&rng);
		uint16_t port = (uint16_t)(bases[r % ARRAY_SIZE(bases)] + (r >> 8 & 7));
		unsigned size = 1u << (r >> 12 & 1 ? 0 : (r >> 13) % 3);
		unsigned vcpu = (unsigned)(r >> 16) % VCPUS;
		uint64_t at = (r >> 20 & 1 ? VMAP_LAPIC_BASE : VMAP_IOAPIC_BASE) + (r >> 24 & 0x3f0);
		uint32_t narrow = (uint32_t)value;

		w->now_ns += value >> 44;
		w->input = "x";
		if (r >> 21 & 1) {
			vplatform_port(&w->p, port, size, r >> 22 & 1, &narrow);
		} else {
			vplatform_mmio(&w->p, vcpu, gpa(at), size, r >> 22 & 1, &value);
		}
		if (w->now_ns >= vplatform_deadline(&w->p)) {
			vplatform_expire(&w->p, w->now_ns);
			CHECK(vplatform_deadline(&w->p) > w->now_ns);
		}
		if (vplatform_extint(&w->p, 0)) {
			vplatform_extint_ack(&w->p);
		}
		for (unsigned v = 0; v < VCPUS; v++) {
			int pending = vlapic_pending(&w->lapic[v]);

			vlapic_expire(&w->lapic[v], w->now_ns);
			if (pending >= 0 && (r >> 40 & 1)) {
				vlapic_ack(&w->lapic[v], (uint8_t)pending);
			}
			CHECK_STR(vlapic_check(&w->lapic[v]) != NULL ? vlapic_check(&w->lapic[v]) : "", "");
		}
		CHECK(!w->locked);
	}
}
