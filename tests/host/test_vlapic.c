/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vlapic: registers, modes, priorities and the timer. */
#include "tests/host/test.h"

#include <pthread.h>

#include "vm/vlapic_msr.h"
#include "vm/vmap.h"

#define X2(reg)		(0x800u + (reg) / 16)
#define TSC_HZ		2400000000ul
#define TIMER_HZ	1000000000ul
#define NEVER		UINT64_MAX

struct world {
	_Alignas(4096) uint32_t page[VLAPIC_PAGE_BYTES / 4];
	struct vlapic l;
	struct vlapic_ipi ipi;
	unsigned ipis, eois;
	int eoi;
};

static void ipi(void *ctx, const struct vlapic_ipi *msg)
{
	struct world *w = ctx;

	w->ipi = *msg;
	w->ipis++;
}

static void eoi(void *ctx, uint8_t vector)
{
	struct world *w = ctx;

	w->eoi = vector;
	w->eois++;
}

static struct world *make(uint32_t id, bool bsp, uint64_t tsc_hz, uint64_t timer_hz)
{
	static struct world w;
	const struct vlapic_config config = {
		.ctx = &w, .id = id, .bsp = bsp, .tsc_hz = tsc_hz, .timer_hz = timer_hz, .ipi = ipi, .eoi = eoi,
	};

	memset(&w, 0, sizeof(w));
	w.l.page = w.page;
	vlapic_init(&w.l, &config);
	return &w;
}

static void wr(struct world *w, unsigned reg, uint64_t now, uint64_t value)
{
	CHECK_EQ(vlapic_write(&w->l, reg, now, value), ERR_OK);
}

static uint64_t rd(struct world *w, unsigned reg, uint64_t now)
{
	uint64_t value;

	CHECK_EQ(vlapic_read(&w->l, reg, now, &value), ERR_OK);
	return value;
}

static struct world *fresh(void)
{
	struct world *w = make(5, true, TSC_HZ, TIMER_HZ);

	wr(w, 0xf0, 0, 0x1ff);
	return w;
}

static struct world *fresh_x2(uint32_t id)
{
	struct world *w = make(id, false, TSC_HZ, TIMER_HZ);

	CHECK_EQ(vlapic_msr_write(&w->l, VLAPIC_MSR_BASE, 0, VMAP_LAPIC_BASE | 0xc00), ERR_OK);
	CHECK_EQ(vlapic_msr_write(&w->l, X2(0xf0), 0, 0x1ff), ERR_OK);
	return w;
}

static void sane(struct world *w)
{
	const char *wrong = vlapic_check(&w->l);

	CHECK_STR(wrong != NULL ? wrong : "", "");
}

TEST(power_up, "after power-up the registers are as the manual says, LINT0 as firmware leaves it")
{
	struct world *w = make(5, true, TSC_HZ, TIMER_HZ);
	uint64_t value;

	CHECK_EQ(rd(w, 0x20, 0), 5u << 24);
	CHECK_EQ(rd(w, 0x30, 0), 0x50014);
	CHECK_EQ(rd(w, 0xe0, 0), 0xffffffff);
	CHECK_EQ(rd(w, 0xf0, 0), 0xff);
	CHECK_EQ(rd(w, 0x320, 0), 0x10000);
	CHECK_EQ(rd(w, 0x350, 0), 0x700);
	CHECK_EQ(rd(w, 0x370, 0), 0x10000);
	CHECK(vlapic_takes_extint(&w->l));
	CHECK_EQ(vlapic_msr_read(&w->l, VLAPIC_MSR_BASE, 0, &value), ERR_OK);
	CHECK_EQ(value, 0xfee00900);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	w = make(6, false, TSC_HZ, TIMER_HZ);
	CHECK(!vlapic_takes_extint(&w->l));
	CHECK_EQ(vlapic_msr_read(&w->l, 0x10, 0, &value), ERR_NOENT);
}

TEST(order, "vectors come by priority; one in service holds back its class and those below until EOI")
{
	struct world *w = fresh();

	CHECK(vlapic_accept(&w->l, 0x31, false));
	CHECK(!vlapic_accept(&w->l, 0x31, false));
	CHECK(!vlapic_accept(&w->l, 0x41, false));	/* who was told and has not looked is not told again */
	CHECK_EQ(vlapic_pending(&w->l), 0x41);
	CHECK(vlapic_accept(&w->l, 0x41, false));
	vlapic_ack(&w->l, 0x41);
	CHECK_EQ(vlapic_pending(&w->l), -1);		/* one of its class is in service */
	vlapic_ack(&w->l, 0x41);
	CHECK_EQ(rd(w, 0xa0, 0), 0x40);
	CHECK_EQ(rd(w, 0x120, 0), 1 << 1);
	CHECK_EQ(vlapic_pending(&w->l), -1);
	vlapic_accept(&w->l, 0x4f, false);
	CHECK_EQ(vlapic_pending(&w->l), -1);
	vlapic_accept(&w->l, 0xf0, false);
	CHECK_EQ(vlapic_pending(&w->l), 0xf0);
	vlapic_ack(&w->l, 0xf0);
	CHECK_EQ(vlapic_eoi(&w->l), -1);
	CHECK_EQ(rd(w, 0xa0, 0), 0x40);
	wr(w, 0xb0, 0, 0);
	CHECK_EQ(vlapic_pending(&w->l), 0x4f);
	vlapic_ack(&w->l, 0x4f);
	wr(w, 0xb0, 0, 0);
	CHECK_EQ(vlapic_pending(&w->l), 0x31);
	wr(w, 0x80, 0, 0x30);
	CHECK_EQ(vlapic_pending(&w->l), -1);
	CHECK_EQ(rd(w, 0xa0, 0), 0x30);
	vlapic_set_tpr(&w->l, 0x20);
	CHECK_EQ(vlapic_pending(&w->l), 0x31);
	CHECK_EQ(w->eois, 0);
	CHECK_EQ(vlapic_eoi(&w->l), -1);	/* nothing in service */
	sane(w);
}

TEST(level, "the EOI of a level-triggered vector is passed on, that of an edge is not")
{
	struct world *w = fresh();

	vlapic_accept(&w->l, 0x61, true);
	CHECK_EQ(rd(w, 0x1b0, 0), 1 << 1);
	vlapic_ack(&w->l, 0x61);
	wr(w, 0xb0, 0, 0);
	CHECK_EQ(w->eois, 1);
	CHECK_EQ(w->eoi, 0x61);
	vlapic_accept(&w->l, 0x61, false);
	CHECK_EQ(rd(w, 0x1b0, 0), 0);
	vlapic_ack(&w->l, 0x61);
	wr(w, 0xb0, 0, 0);
	CHECK_EQ(w->eois, 1);
}

TEST(disabled, "software-disabled it accepts nothing, delivers nothing and masks its LVTs")
{
	struct world *w = fresh();

	wr(w, 0x320, 0, 0x31);
	vlapic_accept(&w->l, 0x50, false);
	wr(w, 0xf0, 0, 0xff);
	CHECK_EQ(vlapic_pending(&w->l), -1);
	CHECK(!vlapic_accept(&w->l, 0x60, false));
	CHECK_EQ(rd(w, 0x320, 0), 0x10031);
	wr(w, 0x320, 0, 0x31);
	CHECK_EQ(rd(w, 0x320, 0), 0x10031);
	CHECK(!vlapic_takes_extint(&w->l));
	wr(w, 0xf0, 0, 0x1ff);
	CHECK_EQ(vlapic_pending(&w->l), 0x50);
}

TEST(errors, "illegal vectors and registers show in ESR after a write to it and raise the error LVT")
{
	struct world *w = fresh();

	wr(w, 0x370, 0, 0xfe);
	wr(w, 0x300, 0, 0x0005);
	CHECK_EQ(w->ipis, 0);
	CHECK_EQ(rd(w, 0x280, 0), 0);
	wr(w, 0x280, 0, 0);
	CHECK_EQ(rd(w, 0x280, 0), 0x20);
	CHECK_EQ(vlapic_pending(&w->l), 0xfe);
	CHECK(!vlapic_accept(&w->l, 15, false));
	rd(w, 0x3f0, 0);	/* the x2APIC's SELF IPI is not there, but its place is */
	rd(w, 0x40, 0);
	wr(w, 0x280, 0, 0);
	CHECK_EQ(rd(w, 0x280, 0), 0xc0);
	wr(w, 0x280, 0, 0);
	CHECK_EQ(rd(w, 0x280, 0), 0);
}

TEST(modes, "only the transitions of the manual are allowed between off, xAPIC and x2APIC")
{
	static const uint64_t bits[] = { 0x000, 0x800, 0xc00, 0x400 };
	/* From row to column: off, xAPIC, x2APIC, the invalid one. */
	static const bool allowed[3][4] = { { 1, 1, 0, 0 }, { 1, 1, 1, 0 }, { 1, 0, 1, 0 } };

	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = 0; to < 4; to++) {
			struct world *w = make(0, false, TSC_HZ, TIMER_HZ);
			uint64_t value;

			if (from != 1) {
				CHECK_EQ(vlapic_msr_write(&w->l, 0x1b, 0, VMAP_LAPIC_BASE | bits[from]), ERR_OK);
			}
			CHECK_EQ(vlapic_msr_write(&w->l, 0x1b, 0, VMAP_LAPIC_BASE | bits[to]),
				 allowed[from][to] ? ERR_OK : ERR_INVAL);
			vlapic_msr_read(&w->l, 0x1b, 0, &value);
			CHECK_EQ(value, VMAP_LAPIC_BASE | bits[allowed[from][to] ? to : from]);
			CHECK_EQ(vlapic_msr_write(&w->l, 0x1b, 0, 0xfed00800), ERR_INVAL);
			CHECK_EQ(vlapic_msr_write(&w->l, 0x1b, 0, VMAP_LAPIC_BASE | 0x801), ERR_INVAL);
			CHECK_EQ(vlapic_msr_write(&w->l, 0x1b, 0, VMAP_LAPIC_BASE | 1ull << 52), ERR_INVAL);
		}
	}
}

TEST(x2apic, "in x2APIC mode missing registers, wrong directions and reserved bits are #GP")
{
	static const struct { uint32_t msr; uint64_t value; enum err result; } writes[] = {
		{ X2(0x20), 0, ERR_INVAL }, { X2(0x30), 0, ERR_INVAL }, { X2(0x80), 0xff, ERR_OK },
		{ X2(0x80), 0x100, ERR_INVAL }, { X2(0xa0), 0, ERR_INVAL }, { X2(0xb0), 0, ERR_OK },
		{ X2(0xb0), 1, ERR_INVAL }, { X2(0xd0), 0, ERR_INVAL }, { X2(0xe0), 0, ERR_INVAL },
		{ X2(0xf0), 0x1ff, ERR_OK }, { X2(0xf0), 0x11ff, ERR_INVAL }, { X2(0x100), 0, ERR_INVAL },
		{ X2(0x280), 0, ERR_OK }, { X2(0x280), 1, ERR_INVAL }, { X2(0x2f0), 0, ERR_INVAL },
		{ X2(0x300), 0x500000041, ERR_OK }, { X2(0x300), 0x2041, ERR_INVAL }, { X2(0x300), 0x100041, ERR_INVAL },
		{ X2(0x310), 0, ERR_INVAL }, { X2(0x320), 0x400f0, ERR_OK }, { X2(0x320), 0x800f0, ERR_INVAL },
		{ X2(0x350), 0x1a7f0, ERR_OK }, { X2(0x370), 0x7f0, ERR_INVAL }, { X2(0x380), 0x100000000, ERR_INVAL },
		{ X2(0x390), 0, ERR_INVAL }, { X2(0x3e0), 0xb, ERR_OK }, { X2(0x3e0), 4, ERR_INVAL },
		{ X2(0x3f0), 0x41, ERR_OK }, { X2(0x3f0), 0x141, ERR_INVAL }, { 0x840, 0, ERR_INVAL },
		{ 0x8ff, 0, ERR_INVAL },
	};
	struct world *w = fresh_x2(0x123);
	uint64_t value;

	for (unsigned i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		CHECK_EQ(vlapic_msr_write(&w->l, writes[i].msr, 0, writes[i].value), writes[i].result);
	}
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0x20), 0, &value), ERR_OK);
	CHECK_EQ(value, 0x123);
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0xd0), 0, &value), ERR_OK);
	CHECK_EQ(value, 0x120008);
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0x300), 0, &value), ERR_OK);
	CHECK_EQ(value, 0x500000041);
	CHECK_EQ(w->ipi.dest, 5);
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0xb0), 0, &value), ERR_INVAL);
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0x3f0), 0, &value), ERR_INVAL);
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0xe0), 0, &value), ERR_INVAL);
	vlapic_set_tpr(&w->l, 0);
	CHECK_EQ(vlapic_pending(&w->l), 0x41);		/* SELF IPI */
	vlapic_reset(&w->l);
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0xd0), 0, &value), ERR_OK);
	CHECK_EQ(value, 0x120008);			/* INIT keeps mode and LDR */
	w = fresh();
	CHECK_EQ(vlapic_msr_read(&w->l, X2(0x20), 0, &value), ERR_INVAL);
	CHECK_EQ(vlapic_msr_write(&w->l, X2(0x80), 0, 0), ERR_INVAL);
}

TEST(match, "destinations match by id, flat and cluster, and x2APIC clusters")
{
	struct world *w = fresh();

	CHECK(vlapic_match(&w->l, 5, false) && !vlapic_match(&w->l, 4, false));
	CHECK(vlapic_match(&w->l, VAPIC_DEST_ALL, false) && !vlapic_match(&w->l, 0xff, false));
	CHECK(!vlapic_match(&w->l, 0xff, true));
	wr(w, 0xd0, 0, 0x22000000);
	CHECK(vlapic_match(&w->l, 0x02, true) && vlapic_match(&w->l, 0xff, true) && !vlapic_match(&w->l, 0x11, true));
	CHECK(!vlapic_match(&w->l, 0x102, true));
	wr(w, 0xe0, 0, 0x0fffffff);			/* cluster 2, member bit 1 */
	CHECK_EQ(rd(w, 0xe0, 0), 0x0fffffff);
	CHECK(vlapic_match(&w->l, 0x22, true) && vlapic_match(&w->l, 0xf2, true));
	CHECK(!vlapic_match(&w->l, 0x21, true) && !vlapic_match(&w->l, 0x32, true));
	w = fresh_x2(0x123);
	CHECK(vlapic_match(&w->l, 0x123, false) && !vlapic_match(&w->l, 0x23, false));
	CHECK(vlapic_match(&w->l, 0x120008, true) && vlapic_match(&w->l, 0x12ffff, true));
	CHECK(!vlapic_match(&w->l, 0x110008, true) && !vlapic_match(&w->l, 0x120004, true));
	CHECK(vlapic_match(&w->l, VAPIC_DEST_ALL, true));
	vlapic_msr_write(&w->l, 0x1b, 0, VMAP_LAPIC_BASE);
	CHECK(!vlapic_match(&w->l, 0x123, false));
	CHECK(vlapic_takes_extint(&w->l));
}

TEST(one_shot, "a one-shot count of Linux's calibration counts down and fires once, never early")
{
	struct world *w = fresh();
	uint64_t start = 1000000007;

	wr(w, 0x3e0, 0, 3);				/* divide by 16 */
	wr(w, 0x320, 0, 0xec);
	wr(w, 0x380, start, 1000000);			/* 16 ms: 38.4 M TSC ticks */
	/* 2.4 TSC ticks a timer tick is not exact in binary: it may be one TSC tick late. */
	CHECK(vlapic_deadline(&w->l) - (start + 38400000) <= 1);
	CHECK_EQ(rd(w, 0x390, start), 1000000);
	CHECK(rd(w, 0x390, start + 19200000) - 500000 <= 1);
	CHECK_EQ(rd(w, 0x390, start + 38399999), 1);
	vlapic_expire(&w->l, start + 38399999);
	CHECK_EQ(vlapic_pending(&w->l), -1);
	vlapic_expire(&w->l, start + 38400001);
	CHECK_EQ(vlapic_pending(&w->l), 0xec);
	CHECK_EQ(rd(w, 0x390, start + 38400001), 0);
	CHECK_EQ(rd(w, 0x380, start), 1000000);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	wr(w, 0x380, start, 1);
	wr(w, 0x380, start, 0);				/* a count of 0 stops it */
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
}

TEST(late, "an expiry seen first by a register write is not lost, one that passed masked is")
{
	struct world *w = fresh();

	wr(w, 0x320, 0, 0xec);
	wr(w, 0x380, 0, 1000);
	wr(w, 0x320, 100000, 0x100ec);			/* masked after its time */
	CHECK_EQ(vlapic_pending(&w->l), 0xec);
	vlapic_ack(&w->l, 0xec);
	vlapic_eoi(&w->l);
	wr(w, 0x380, 100000, 1000);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	wr(w, 0x320, 200000, 0xec);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	CHECK_EQ(vlapic_pending(&w->l), -1);
	CHECK_EQ(rd(w, 0x390, 200000), 0);
}

TEST(periodic, "a periodic timer keeps its grid without drift and merges what was missed")
{
	struct world *w = make(0, true, 2399999999ul, 1000000007ul);	/* awkward on purpose */
	uint64_t start = 77, period = 1000003, fires = 0;

	wr(w, 0xf0, 0, 0x1ff);
	wr(w, 0x3e0, 0, 0xb);				/* divide by 1 */
	wr(w, 0x320, 0, 0x200ec);
	wr(w, 0x380, start, period);
	for (uint64_t k = 1; k <= 100000; k++) {
		unsigned __int128 exact = (unsigned __int128)k * period * 2399999999ul;
		uint64_t want = start + (uint64_t)((exact + 1000000007ul - 1) / 1000000007ul);

		CHECK_EQ(vlapic_deadline(&w->l), want);
		vlapic_expire(&w->l, want - 1);
		CHECK_EQ(vlapic_pending(&w->l), -1);
		vlapic_expire(&w->l, want);
		fires += vlapic_pending(&w->l) == 0xec;
		vlapic_ack(&w->l, 0xec);
		vlapic_eoi(&w->l);
	}
	CHECK_EQ(fires, 100000);
	/* An hour away: one interrupt, and the next is the next point of the same grid. */
	vlapic_expire(&w->l, start + 3600 * 2399999999ul);
	CHECK_EQ(vlapic_pending(&w->l), 0xec);
	CHECK(vlapic_deadline(&w->l) > start + 3600 * 2399999999ul);
	CHECK(vlapic_deadline(&w->l) <= start + 3600 * 2399999999ul + 2400100);
}

TEST(fine_period, "a period too fine to serve is thinned, on its grid")
{
	struct world *w = make(0, true, TSC_HZ, TSC_HZ);
	uint64_t now = 0;

	wr(w, 0xf0, 0, 0x1ff);
	wr(w, 0x3e0, 0, 0xb);
	wr(w, 0x320, 0, 0x200ec);
	wr(w, 0x380, 0, 7);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t due = vlapic_deadline(&w->l);

		CHECK_EQ(due % 7, 0);
		CHECK(i == 0 || due >= now + TSC_HZ / 100000);
		now = due;
		vlapic_expire(&w->l, now);
	}
}

TEST(tsc_deadline, "TSC-deadline mode fires at the written time, disarms after, and ignores the count registers")
{
	struct world *w = fresh();
	uint64_t value;

	CHECK_EQ(vlapic_msr_write(&w->l, 0x6e0, 0, 5000), ERR_OK);	/* not in that mode: ignored */
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	wr(w, 0x320, 0, 0x400ec);
	wr(w, 0x380, 0, 1000);
	CHECK_EQ(rd(w, 0x380, 0), 0);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	vlapic_msr_write(&w->l, 0x6e0, 0, 5000);
	CHECK_EQ(vlapic_deadline(&w->l), 5000);
	vlapic_msr_read(&w->l, 0x6e0, 4999, &value);
	CHECK_EQ(value, 5000);
	vlapic_expire(&w->l, 4999);
	CHECK_EQ(vlapic_pending(&w->l), -1);
	vlapic_expire(&w->l, 5000);
	CHECK_EQ(vlapic_pending(&w->l), 0xec);
	vlapic_msr_read(&w->l, 0x6e0, 5000, &value);
	CHECK_EQ(value, 0);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	vlapic_msr_write(&w->l, 0x6e0, 6000, 1);	/* in the past: at once */
	CHECK(vlapic_deadline(&w->l) <= 6000);
	vlapic_msr_write(&w->l, 0x6e0, 6000, 9000);
	wr(w, 0x320, 6000, 0xec);			/* leaving the mode disarms */
	wr(w, 0x320, 6000, 0x400ec);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
}

TEST(divide, "changing the divider keeps the current count; all eight codes divide as the manual says")
{
	static const unsigned codes[] = { 0xb, 0, 1, 2, 3, 8, 9, 0xa };
	struct world *w = make(0, true, TSC_HZ, TSC_HZ);

	wr(w, 0xf0, 0, 0x1ff);
	wr(w, 0x320, 0, 0xec);
	for (unsigned i = 0; i < 8; i++) {
		wr(w, 0x3e0, 0, codes[i]);
		wr(w, 0x380, 0, 100);
		CHECK_EQ(vlapic_deadline(&w->l), 100u << i);
		CHECK_EQ(rd(w, 0x3e0, 0), codes[i]);
	}
	wr(w, 0x3e0, 0, 0xb);
	wr(w, 0x380, 0, 100);
	wr(w, 0x3e0, 60, 0);
	CHECK_EQ(rd(w, 0x390, 60), 40);
	wr(w, 0x3e0, 61, 0);				/* the same again shifts nothing */
	CHECK_EQ(vlapic_deadline(&w->l), 60 + 80);
	vlapic_tsc_moved(&w->l, 1000);
	CHECK_EQ(vlapic_deadline(&w->l), 1060 + 80);
}

TEST(wrapped_tsc, "a guest that sets its TSC to the end of time gets no timer and costs no time")
{
	struct world *w = fresh();

	wr(w, 0x320, 0, 0x200ec);
	wr(w, 0x380, UINT64_MAX - 5, 1000);
	CHECK_EQ(vlapic_deadline(&w->l), NEVER);
	vlapic_expire(&w->l, UINT64_MAX);
	CHECK(rd(w, 0x390, 20) <= 1000);
	wr(w, 0x380, 0, 1);
	vlapic_expire(&w->l, INT64_MAX);
	CHECK(vlapic_deadline(&w->l) > INT64_MAX);
}

TEST(self, "a self IPI needs no message, an INIT de-assert is none, an xAPIC broadcast is widened")
{
	struct world *w = fresh();

	wr(w, 0x300, 0, 0x40055);
	CHECK_EQ(vlapic_pending(&w->l), 0x55);
	wr(w, 0x300, 0, 0x8500);
	CHECK_EQ(w->ipis, 0);
	wr(w, 0x310, 0, 0xff000000);
	wr(w, 0x300, 0, 0x1056);
	CHECK_EQ(w->ipi.dest, VAPIC_DEST_ALL);
	CHECK_EQ(w->ipi.source, 5);
	CHECK_EQ(rd(w, 0x300, 0), 0x56);		/* never busy */
	CHECK_EQ(rd(w, 0x310, 0), 0xff000000);
	wr(w, 0x310, 0, 0x0a000000);
	wr(w, 0x300, 0, 0x4608);
	CHECK(w->ipi.mode == VAPIC_STARTUP && w->ipi.vector == 8 && w->ipi.dest == 10);
}

#define SENT	0x40u		/* vectors from here on, SENT of them */
struct post {
	struct vlapic *l;
	_Atomic unsigned sent[SENT], kicks, done;
	_Atomic bool go;
};

struct sender {
	struct post *post;
	struct test_rng rng;
	pthread_t thread;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;
	struct post *p = s->post;

	while (!atomic_load(&p->go)) {
	}
	for (unsigned i = 0; i < 50000; i++) {
		uint64_t r = test_rand(&s->rng);

		atomic_fetch_add(&p->sent[r % SENT], 1);
		if (vlapic_accept(p->l, (uint8_t)(SENT + r % SENT), r >> 32 & 1)) {
			atomic_fetch_add(&p->kicks, 1);
		}
	}
	atomic_fetch_add(&p->done, 1);
	return NULL;
}

TEST(race, "an owner that looks only when told misses no vector that two other cpus send at once")
{
	struct world *w = fresh();
	struct post post = { .l = &w->l };
	struct sender senders[2];
	unsigned got[SENT] = { 0 }, kicks = 0;
	bool last = false;

	for (unsigned i = 0; i < 2; i++) {
		senders[i] = (struct sender){ .post = &post, .rng = { 100 + i } };
		CHECK_EQ(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
	}
	atomic_store(&post.go, true);
	while (!last) {
		last = atomic_load(&post.done) == 2;
		if (atomic_load(&post.kicks) == kicks) {
			continue;
		}
		kicks = atomic_load(&post.kicks);
		for (int vector; (vector = vlapic_pending(&w->l)) >= 0;) {
			vlapic_ack(&w->l, (uint8_t)vector);
			got[vector % SENT] = atomic_load(&post.sent[vector % SENT]);
			vlapic_eoi(&w->l);
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(senders[i].thread, NULL);
	}
	for (unsigned i = 0; i < SENT; i++) {
		CHECK_EQ(got[i], post.sent[i]);
	}
	sane(w);
}

static bool timer_is_due(struct world *w)
{
	unsigned vector = w->page[0x320 / 4] & 0xff;

	vlapic_take(&w->l);
	return w->page[(0x200 + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

TEST(fuzz, "random accesses in any mode hold the invariants; timers are never early and deadlines move on")
{
	struct test_rng rng = { 3 };
	struct world *w = make(1, true, 2111111111ul, 24000001ul);
	uint64_t now = 1000, value;

	for (unsigned i = 0; i < 400000; i++) {
		uint64_t r = test_rand(&rng), v = test_rand(&rng);
		unsigned offset = (unsigned)(r & 0x3f0), what = (unsigned)(r >> 10 & 15);
		int pending = vlapic_pending(&w->l);

		now += r >> 50;
		switch (what) {
		case 0: case 1:
			vlapic_accept(&w->l, (uint8_t)v, v >> 8 & 1);
			break;
		case 2: case 3:
			if (pending >= 0) {
				vlapic_ack(&w->l, (uint8_t)pending);
			}
			break;
		case 4:
			vlapic_eoi(&w->l);
			break;
		case 5: case 6:
			vlapic_write(&w->l, offset, now, v & (v >> 32 & 1 ? 0xffff : 0xfffff1ff));
			break;
		case 7:
			vlapic_read(&w->l, offset, now, &value);
			break;
		case 8:
			vlapic_msr_write(&w->l, 0x800 + offset / 16, now, v & 0xfffff);
			break;
		case 9:
			vlapic_msr_write(&w->l, 0x6e0, now, now + (v >> 48));
			break;
		case 10:
			if (v % 64 == 0) {
				vlapic_msr_write(&w->l, 0x1b, now, VMAP_LAPIC_BASE | (v >> 8 & 0xc00));
			}
			vlapic_write(&w->l, 0xf0, now, 0x1ff);
			break;
		case 11:
			vlapic_write(&w->l, 0x320, now, (v & 0x600ff) | 0x20);
			break;
		default:
			if (vlapic_deadline(&w->l) > now) {
				bool had = timer_is_due(w);

				vlapic_expire(&w->l, now);
				CHECK_EQ(timer_is_due(w), had);
			}
			vlapic_expire(&w->l, now);
			CHECK(vlapic_deadline(&w->l) > now);
			break;
		}
		sane(w);
	}
}
