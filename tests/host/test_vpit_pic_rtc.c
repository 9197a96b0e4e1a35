/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vpit, vm/vpic, vm/vrtc: the old PC's timer, interrupt controllers and clock. */
#include "tests/host/test.h"

#include "kernel/lib/util.h"
#include "vm/vpic.h"
#include "vm/vpit.h"
#include "vm/vrtc.h"

/* --- PIT */

struct timer {
	struct vpit pit;
	bool line;
	unsigned edges;
};

static void irq(void *ctx, unsigned gsi, bool level)
{
	struct timer *t = ctx;

	CHECK_EQ(gsi, 0);
	CHECK(level != t->line);
	t->line = level;
	t->edges += level ? 1 : 0;
}

static struct timer *fresh_timer(void)
{
	static struct timer t;

	memset(&t, 0, sizeof(t));
	vpit_init(&t.pit, irq, &t);
	return &t;
}

/* The first nanosecond of a clock tick. */
static uint64_t tick_ns(uint64_t tick)
{
	return (uint64_t)(((unsigned __int128)tick * NS_PER_S + VPIT_HZ - 1) / VPIT_HZ);
}

static void set(struct timer *t, unsigned channel, unsigned control, unsigned count, uint64_t now)
{
	vpit_write(&t->pit, 0x43, (uint8_t)(channel << 6 | 0x30 | control), now);
	vpit_write(&t->pit, (uint16_t)(0x40 + channel), (uint8_t)count, now);
	vpit_write(&t->pit, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8), now);
}

static unsigned get(struct timer *t, unsigned channel, uint64_t now)
{
	unsigned low = vpit_read(&t->pit, (uint16_t)(0x40 + channel), now);

	return low | (unsigned)vpit_read(&t->pit, (uint16_t)(0x40 + channel), now) << 8;
}

TEST(linux_calibration, "Linux's calibration on channel 2: gate by 0x61, mode 0, output bit after the count")
{
	struct timer *t = fresh_timer();
	uint64_t due = tick_ns(1 + 59659);

	CHECK_EQ(vpit_read(&t->pit, 0x61, 0) & 0x23, 0x20);
	vpit_write(&t->pit, 0x61, 0x01, 0);
	set(t, 2, 0, 59659, 0);				/* 50 ms */
	CHECK_EQ(vpit_read(&t->pit, 0x61, 0) & 0x23, 0x01);
	CHECK_EQ(vpit_read(&t->pit, 0x61, due - 1) & 0x20, 0);
	CHECK_EQ(vpit_read(&t->pit, 0x61, due) & 0x20, 0x20);
	CHECK_EQ(t->edges, 0);
	CHECK_EQ(vpit_deadline(&t->pit), NS_NEVER);
	CHECK(due >= 50 * NS_PER_MS - 1000);
	CHECK_EQ(vpit_read(&t->pit, 0x61, 15085) & 0x10, 0x10);
	CHECK_EQ(vpit_read(&t->pit, 0x61, 2 * 15085) & 0x10, 0);
}

TEST(quick_calibration, "the count goes down one a tick, readable low byte first, and on below zero in mode 0")
{
	struct timer *t = fresh_timer();

	vpit_write(&t->pit, 0x61, 0x01, 0);
	set(t, 2, 0, 0xffff, 0);
	CHECK_EQ(get(t, 2, tick_ns(1)), 0xffff);
	CHECK_EQ(get(t, 2, tick_ns(1 + 0x1234)), 0xffff - 0x1234);
	CHECK_EQ(get(t, 2, tick_ns(1 + 0xffff)), 0);
	CHECK_EQ(get(t, 2, tick_ns(1 + 0x10000)), 0xffff);
}

TEST(gate, "a low gate holds a mode 0 count; a rising gate starts modes 1, 3 and 5")
{
	struct timer *t = fresh_timer();

	vpit_write(&t->pit, 0x61, 1, 0);
	set(t, 2, 0, 1000, 0);
	vpit_write(&t->pit, 0x61, 0, tick_ns(101));
	CHECK_EQ(get(t, 2, tick_ns(5000)), 900);
	vpit_write(&t->pit, 0x61, 1, tick_ns(5000));
	CHECK_EQ(get(t, 2, tick_ns(5001)), 900);
	CHECK_EQ(get(t, 2, tick_ns(5101)), 800);
	vpit_write(&t->pit, 0x61, 0, tick_ns(6000));
	set(t, 2, 2, 100, tick_ns(6000));		/* mode 1 */
	CHECK_EQ(vpit_read(&t->pit, 0x61, tick_ns(7000)) & 0x20, 0x20);
	vpit_write(&t->pit, 0x61, 1, tick_ns(8000));
	CHECK_EQ(vpit_read(&t->pit, 0x61, tick_ns(8001)) & 0x20, 0);
	CHECK_EQ(vpit_read(&t->pit, 0x61, tick_ns(8101)) & 0x20, 0x20);
}

TEST(periodic, "mode 2 interrupts on an exact grid, never early; missed ticks are one interrupt")
{
	struct timer *t = fresh_timer();
	uint64_t start = 123456789, first = start * VPIT_HZ / NS_PER_S + 1;

	set(t, 0, 4, 4773, start);			/* 250 Hz */
	for (unsigned k = 1; k <= 5000; k++) {
		CHECK_EQ(vpit_deadline(&t->pit), tick_ns(first + k * 4773ul));
		vpit_expire(&t->pit, vpit_deadline(&t->pit) - 1);
		CHECK_EQ(t->edges, k - 1);
		vpit_expire(&t->pit, vpit_deadline(&t->pit));
		CHECK_EQ(t->edges, k);
	}
	vpit_expire(&t->pit, tick_ns(first + 9000 * 4773ul + 5));
	CHECK_EQ(t->edges, 5001);
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(first + 9001 * 4773ul));
	CHECK_EQ(get(t, 0, tick_ns(first + 9000 * 4773ul + 5)), 4768);
}

TEST(one_shots, "modes 0 and 4 interrupt once; the first byte of a new count stops mode 0")
{
	struct timer *t = fresh_timer();

	set(t, 0, 0, 1000, 0);
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(1001));
	vpit_expire(&t->pit, tick_ns(1001));
	CHECK_EQ(t->edges, 1);
	CHECK(t->line);
	CHECK_EQ(vpit_deadline(&t->pit), NS_NEVER);
	vpit_write(&t->pit, 0x40, 10, tick_ns(2000));
	CHECK(!t->line);
	CHECK_EQ(vpit_deadline(&t->pit), NS_NEVER);
	vpit_write(&t->pit, 0x40, 0, tick_ns(2000));
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(2011));
	set(t, 0, 8, 500, tick_ns(3000));		/* mode 4, as Linux's one-shot */
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(3000 + 1 + 500 + 1));
	vpit_expire(&t->pit, tick_ns(3502));
	CHECK_EQ(t->edges, 2);
	CHECK_EQ(vpit_deadline(&t->pit), NS_NEVER);
}

TEST(latches, "latch and read-back freeze count and status until they are read")
{
	struct timer *t = fresh_timer();

	set(t, 0, 6, 1000, 0);				/* mode 3 */
	vpit_write(&t->pit, 0x43, 0x00, tick_ns(101));
	vpit_write(&t->pit, 0x43, 0x00, tick_ns(201));	/* ignored: the first is not read yet */
	CHECK_EQ(get(t, 0, tick_ns(301)), 800);
	CHECK_EQ(get(t, 0, tick_ns(301)), 400);
	CHECK_EQ(get(t, 0, tick_ns(601)), 800);		/* second half */
	vpit_write(&t->pit, 0x43, 0xc2, tick_ns(601));	/* read-back of count and status, channel 0 */
	CHECK_EQ(vpit_read(&t->pit, 0x40, tick_ns(900)), 0x36);
	CHECK_EQ(get(t, 0, tick_ns(900)), 800);
	vpit_write(&t->pit, 0x43, 0x36, tick_ns(900));
	vpit_write(&t->pit, 0x43, 0xe2, tick_ns(900));	/* status only */
	CHECK_EQ(vpit_read(&t->pit, 0x40, tick_ns(900)), 0xf6);
	CHECK_EQ(vpit_read(&t->pit, 0x43, 0), 0xff);
}

TEST(bcd, "BCD counts, a count of zero and single-byte access")
{
	struct timer *t = fresh_timer();

	set(t, 0, 5, 0x1000, 0);
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(1001));
	CHECK_EQ(get(t, 0, tick_ns(2)), 0x0999);
	set(t, 0, 4, 0, 0);
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(65537));
	vpit_write(&t->pit, 0x43, 0x14, 0);
	vpit_write(&t->pit, 0x40, 18, 0);
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(19));
	vpit_write(&t->pit, 0x43, 0x24, 0);
	vpit_write(&t->pit, 0x40, 2, 0);
	CHECK_EQ(vpit_deadline(&t->pit), tick_ns(513));
	CHECK_EQ(vpit_read(&t->pit, 0x40, tick_ns(1)), 2);
}

TEST(pit_fuzz, "random accesses to the PIT leave its deadline in the future after an expiry, and no storm")
{
	struct timer *t = fresh_timer();
	struct test_rng rng = { 5 };
	uint64_t now = 0;

	for (unsigned i = 0; i < 300000; i++) {
		uint64_t r = test_rand(&rng);
		uint16_t port = (r & 7) == 7 ? 0x61 : (uint16_t)(0x40 + (r & 3));
		unsigned edges = t->edges;

		now += r >> 44;
		if (r & 8) {
			vpit_write(&t->pit, port, (uint8_t)(r >> 8), now);
		} else {
			vpit_read(&t->pit, port, now);
		}
		CHECK_EQ(t->edges, edges);
		if (vpit_deadline(&t->pit) > now) {
			vpit_expire(&t->pit, now);
			CHECK_EQ(t->edges, edges);
		}
		vpit_expire(&t->pit, now);
		CHECK(vpit_deadline(&t->pit) > now);
		CHECK(t->edges <= edges + 1);
	}
}

/* --- PIC */

static struct vpic *fresh_pic(void)
{
	static struct vpic p;

	vpic_init(&p);
	for (unsigned chip = 0; chip < 2; chip++) {
		uint16_t port = chip == 0 ? 0x20 : 0xa0;

		vpic_write(&p, port, 0x11);
		vpic_write(&p, port + 1, chip == 0 ? 0x20 : 0x28);
		vpic_write(&p, port + 1, chip == 0 ? 4 : 2);
		vpic_write(&p, port + 1, 1);
		vpic_write(&p, port + 1, 0);
	}
	return &p;
}

TEST(pic_probe, "the mask registers keep what is written, as probes expect, and power-up masks everything")
{
	static struct vpic p;

	vpic_init(&p);
	vpic_set(&p, 3, true);
	CHECK(!vpic_output(&p));
	fresh_pic();
	vpic_write(&p, 0x21, 0xfb);
	CHECK_EQ(vpic_read(&p, 0x21), 0xfb);
}

TEST(pic_priority, "lower lines come first, one in service holds back those after it until its EOI")
{
	struct vpic *p = fresh_pic();

	vpic_set(p, 4, true);
	vpic_set(p, 1, true);
	CHECK(vpic_output(p));
	CHECK_EQ(vpic_ack(p), 0x21);
	CHECK(!vpic_output(p));
	vpic_set(p, 0, true);
	CHECK_EQ(vpic_ack(p), 0x20);
	vpic_write(p, 0x20, 0x0b);
	CHECK_EQ(vpic_read(p, 0x20), 0x03);
	vpic_write(p, 0x20, 0x0a);
	CHECK_EQ(vpic_read(p, 0x20), 0x10);
	vpic_write(p, 0x20, 0x20);			/* ends 0 */
	CHECK(!vpic_output(p));
	vpic_write(p, 0x20, 0x61);			/* ends 1, by name */
	CHECK_EQ(vpic_ack(p), 0x24);
}

TEST(pic_edge, "an edge line interrupts once a rise, a level line for as long as it is high")
{
	struct vpic *p = fresh_pic();

	vpic_set(p, 3, true);
	CHECK_EQ(vpic_ack(p), 0x23);
	vpic_write(p, 0x20, 0x20);
	vpic_set(p, 3, true);
	CHECK(!vpic_output(p));
	vpic_set(p, 3, false);
	vpic_set(p, 3, true);
	CHECK(vpic_output(p));
	vpic_write(p, 0x4d0, 0xff);
	CHECK_EQ(vpic_read(p, 0x4d0), 0xf8);		/* 0, 1 and 2 are edges for ever */
	vpic_write(p, 0x4d1, 0xff);
	CHECK_EQ(vpic_read(p, 0x4d1), 0xde);
	CHECK_EQ(vpic_ack(p), 0x23);
	vpic_write(p, 0x20, 0x20);
	CHECK(vpic_output(p));
	vpic_set(p, 3, false);
	CHECK(!vpic_output(p));
}

TEST(pic_slave, "the slave's lines arrive through the cascade and need both EOIs")
{
	struct vpic *p = fresh_pic();

	vpic_set(p, 12, true);
	vpic_set(p, 8, true);
	CHECK_EQ(vpic_ack(p), 0x28);
	CHECK(!vpic_output(p));
	vpic_write(p, 0xa0, 0x20);
	CHECK(!vpic_output(p));
	vpic_write(p, 0x20, 0x20);
	CHECK(vpic_output(p));
	CHECK_EQ(vpic_ack(p), 0x2c);
	vpic_set(p, 2, true);				/* not a line */
	vpic_set(p, 16, true);
}

TEST(pic_spurious, "a request gone before INTA is the spurious interrupt 7, without its in-service bit")
{
	struct vpic *p = fresh_pic();

	vpic_set(p, 4, true);
	vpic_set(p, 4, false);
	CHECK(!vpic_output(p));
	CHECK_EQ(vpic_ack(p), 0x27);
	vpic_write(p, 0x20, 0x0b);
	CHECK_EQ(vpic_read(p, 0x20), 0);
}

TEST(pic_modes, "auto EOI, rotation, the poll command and special mask mode work")
{
	struct vpic *p = fresh_pic();

	vpic_write(p, 0x20, 0x11);
	vpic_write(p, 0x21, 0x40);
	vpic_write(p, 0x21, 4);
	vpic_write(p, 0x21, 3);				/* auto EOI */
	vpic_set(p, 5, true);
	CHECK_EQ(vpic_ack(p), 0x45);
	vpic_set(p, 6, true);
	CHECK_EQ(vpic_ack(p), 0x46);
	p = fresh_pic();
	vpic_write(p, 0x20, 0x11);
	vpic_write(p, 0x21, 0x20);
	vpic_write(p, 0x21, 4);
	vpic_write(p, 0x21, 3);
	vpic_write(p, 0xa0, 0x11);
	vpic_write(p, 0xa1, 0x28);
	vpic_write(p, 0xa1, 2);
	vpic_write(p, 0xa1, 3);
	vpic_set(p, 9, true);
	vpic_set(p, 10, true);
	CHECK_EQ(vpic_ack(p), 0x29);
	CHECK_EQ(vpic_ack(p), 0x2a);			/* the cascade made a second edge */
	p = fresh_pic();
	vpic_set(p, 3, true);
	vpic_ack(p);
	vpic_write(p, 0x20, 0xa0);			/* EOI and rotate: 4 comes first now */
	vpic_set(p, 3, false);
	vpic_set(p, 3, true);
	vpic_set(p, 4, true);
	CHECK_EQ(vpic_ack(p), 0x24);
	vpic_write(p, 0x20, 0x20);
	vpic_write(p, 0x20, 0x0c);
	CHECK_EQ(vpic_read(p, 0x20), 0x83);
	vpic_write(p, 0x20, 0x0c);
	CHECK_EQ(vpic_read(p, 0x20), 0);
	vpic_write(p, 0x20, 0x68);			/* special mask mode: masked 3 holds nobody */
	vpic_write(p, 0x21, 0x08);
	vpic_write(p, 0x20, 0xc7);			/* priorities as at the start */
	vpic_set(p, 5, true);
	CHECK_EQ(vpic_ack(p), 0x25);
}

TEST(pic_fuzz, "random accesses: an output means a vector in service or acknowledged, no output a spurious one")
{
	struct vpic *p = fresh_pic();
	static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	struct test_rng rng = { 11 };

	for (unsigned i = 0; i < 300000; i++) {
		uint64_t r = test_rand(&rng);

		switch (r & 3) {
		case 0:
			vpic_write(p, ports[(r >> 8) % 6], (uint8_t)(r >> 16));
			break;
		case 1:
			vpic_read(p, ports[(r >> 8) % 6]);
			break;
		case 2:
			vpic_set(p, (unsigned)(r >> 8 & 31), r >> 16 & 1);
			break;
		default: {
			bool output = vpic_output(p);
			uint8_t imr = p->chip[0].imr, vector = vpic_ack(p), line = vector & 7;

			if (!output) {
				CHECK_EQ(line, 7);
			} else if (vector == p->chip[0].base + line && p->chip[0].base != p->chip[1].base) {
				CHECK(!(imr & (1u << line)));
			}
			break;
		}
		}
	}
}

/* --- RTC */

static uint8_t cmos(struct vrtc *r, uint8_t index, uint64_t now)
{
	vrtc_write(r, 0x70, index, now);
	return vrtc_read(r, 0x71, now);
}

static void set_cmos(struct vrtc *r, uint8_t index, uint8_t value)
{
	vrtc_write(r, 0x70, index, 0);
	vrtc_write(r, 0x71, value, 0);
}

TEST(rtc_time, "the clock shows date and time in BCD with the century, and moves with the VM's time")
{
	struct vrtc r;

	vrtc_init(&r, 951782399);			/* 28 February 2000, 23:59:59, a Monday */
	CHECK_EQ(cmos(&r, 0, 0), 0x59);
	CHECK_EQ(cmos(&r, 2, 0), 0x59);
	CHECK_EQ(cmos(&r, 4, 0), 0x23);
	CHECK_EQ(cmos(&r, 6, 0), 2);
	CHECK_EQ(cmos(&r, 7, 0), 0x28);
	CHECK_EQ(cmos(&r, 8, 0), 0x02);
	CHECK_EQ(cmos(&r, 9, 0), 0x00);
	CHECK_EQ(cmos(&r, 0x32, 0), 0x20);
	CHECK_EQ(cmos(&r, 7, NS_PER_S), 0x29);		/* a leap day */
	CHECK_EQ(cmos(&r, 0x80 | 4, NS_PER_S), 0x00);	/* bit 7 is the NMI mask */
	CHECK_EQ(cmos(&r, 8, (86400 + 1) * NS_PER_S), 0x03);
	CHECK_EQ(cmos(&r, 13, 0), 0x80);
	CHECK_EQ(cmos(&r, 12, 0), 0);
	CHECK_EQ(vrtc_read(&r, 0x70, 0), 0xff);
}

TEST(rtc_uip, "update-in-progress toggles each second and a read after its end has a whole second")
{
	struct vrtc r;
	unsigned changes = 0;
	bool last = false;

	vrtc_init(&r, 0);
	for (uint64_t now = 0; now < 10 * NS_PER_S; now += 100 * NS_PER_US) {
		bool uip = cmos(&r, 10, now) & 0x80;

		changes += uip != last;
		if (last && !uip) {
			CHECK_EQ(now % NS_PER_S, 0);
			CHECK_EQ(cmos(&r, 0, now), now / NS_PER_S);
		}
		last = uip;
	}
	CHECK_EQ(changes, 19);
	set_cmos(&r, 11, 0x82);				/* SET stops the updates */
	CHECK_EQ(cmos(&r, 10, NS_PER_S - 1) & 0x80, 0);
}

TEST(rtc_set, "a guest can set the clock, in BCD or binary, 12 or 24 hours")
{
	for (unsigned form = 0; form < 4; form++) {
		struct vrtc r;
		bool binary = form & 1, h24 = form & 2;
		uint8_t b = (uint8_t)((binary ? 4 : 0) | (h24 ? 2 : 0));

		vrtc_init(&r, 1000);
		set_cmos(&r, 11, 0x80 | b);
		set_cmos(&r, 0, binary ? 58 : 0x58);
		set_cmos(&r, 2, binary ? 59 : 0x59);
		set_cmos(&r, 4, h24 ? (binary ? 23 : 0x23) : (binary ? 0x8b : 0x91));
		set_cmos(&r, 7, binary ? 31 : 0x31);
		set_cmos(&r, 8, binary ? 12 : 0x12);
		set_cmos(&r, 9, binary ? 99 : 0x99);
		set_cmos(&r, 0x32, binary ? 20 : 0x20);
		CHECK_EQ(cmos(&r, 0, 50 * NS_PER_S), binary ? 58 : 0x58);
		set_cmos(&r, 11, b);
		CHECK_EQ(cmos(&r, 4, NS_PER_S), h24 ? (binary ? 23 : 0x23) : (binary ? 0x8b : 0x91));
		CHECK_EQ(cmos(&r, 4, 2 * NS_PER_S), h24 ? 0 : (binary ? 12 : 0x12));	/* midnight is 12 am */
		CHECK_EQ(cmos(&r, 9, 2 * NS_PER_S), 0);
		CHECK_EQ(cmos(&r, 0x32, 2 * NS_PER_S), binary ? 21 : 0x21);
		CHECK_EQ(cmos(&r, 7, 2 * NS_PER_S), 1);
		CHECK_EQ(r.base_s, 4102444798);
	}
}

TEST(rtc_noon, "in 12-hour form 12 am is midnight and 12 pm is noon")
{
	static const struct { uint8_t written, hour; } hours[] = {
		{ 0x12, 0x00 }, { 0x01, 0x01 }, { 0x11, 0x11 }, { 0x92, 0x12 }, { 0x81, 0x13 },
	};
	struct vrtc r;

	for (unsigned i = 0; i < ARRAY_SIZE(hours); i++) {
		vrtc_init(&r, 1000);
		set_cmos(&r, 11, 0x00);
		set_cmos(&r, 4, hours[i].written);
		CHECK_EQ(cmos(&r, 4, 0), hours[i].written);
		set_cmos(&r, 11, 0x02);
		CHECK_EQ(cmos(&r, 4, 0), hours[i].hour);
	}
}

TEST(rtc_days, "every day of a hundred years follows the one before")
{
	struct vrtc r;
	unsigned day = 1, month = 1, year = 70, weekday = 5;	/* 1 January 1970 was a Thursday */

	vrtc_init(&r, 0);
	set_cmos(&r, 11, 0x06);
	for (uint64_t n = 0; n < 36525; n++) {
		static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
		uint64_t now = n * 86400 * NS_PER_S;

		CHECK_EQ(cmos(&r, 7, now), day);
		CHECK_EQ(cmos(&r, 8, now), month);
		CHECK_EQ(cmos(&r, 9, now), year % 100);
		CHECK_EQ(cmos(&r, 6, now), weekday);
		weekday = weekday % 7 + 1;
		if (++day > days[month - 1] + (month == 2 && year % 4 == 0 ? 1u : 0u)) {
			day = 1;
			year += month == 12 ? 1 : 0;
			month = month % 12 + 1;
		}
	}
}

TEST(rtc_memory, "the memory keeps bytes; registers C and D do not change; random writes are harmless")
{
	struct vrtc r;
	struct test_rng rng = { 13 };

	vrtc_init(&r, 1700000000);
	set_cmos(&r, 0x40, 0xa5);
	CHECK_EQ(cmos(&r, 0x40, 0), 0xa5);
	set_cmos(&r, 12, 0xff);
	set_cmos(&r, 13, 0);
	CHECK_EQ(cmos(&r, 12, 0), 0);
	CHECK_EQ(cmos(&r, 13, 0), 0x80);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t x = test_rand(&rng);

		vrtc_write(&r, 0x70 + (x & 1), (uint8_t)(x >> 8) & (x & 2 ? 0x0f : 0xff), x >> 20);
		vrtc_read(&r, 0x71, x >> 20);
	}
}
