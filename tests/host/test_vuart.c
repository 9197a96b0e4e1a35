/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vuart: a 16550A as drivers use it. */
#include "tests/host/test.h"

#include "kernel/lib/ring.h"
#include "vm/vmap.h"
#include "vm/vuart.h"

struct world {
	struct vuart uart;
	uint8_t sent[64];
	unsigned sent_count, edges;
	bool line;
	struct ring paste;
	uint8_t paste_data[16384];
};

static void irq(void *ctx, unsigned gsi, bool level)
{
	struct world *w = ctx;

	CHECK_EQ(gsi, 4);
	CHECK(level != w->line);
	w->line = level;
	w->edges += level ? 1 : 0;
}

static void tx(void *ctx, uint8_t byte)
{
	struct world *w = ctx;

	w->sent[w->sent_count++ % sizeof(w->sent)] = byte;
}

static void drained(void *ctx)
{
	struct world *w = ctx;

	while (vuart_room(&w->uart) > 0) {
		int byte = ring_get(&w->paste);

		if (byte < 0) {
			return;
		}
		vuart_receive(&w->uart, (uint8_t)byte);
	}
}

static struct world *fresh(void)
{
	static struct world w;
	const struct vuart_config config = {
		.ctx = &w, .gsi = VMAP_GSI_COM1, .irq = irq, .tx = tx, .drained = drained,
	};

	memset(&w, 0, sizeof(w));
	ring_init(&w.paste, w.paste_data, sizeof(w.paste_data));
	vuart_init(&w.uart, &config);
	return &w;
}

static uint8_t rd(struct world *w, unsigned reg)
{
	return vuart_read(&w->uart, reg);
}

static void wr(struct world *w, unsigned reg, unsigned value)
{
	vuart_write(&w->uart, reg, (uint8_t)value);
}

TEST(autoconfig, "Linux's probe sees a 16550A: IER, loopback, FIFOs, no enhanced registers")
{
	struct world *w = fresh();

	wr(w, 1, 0);
	CHECK_EQ(rd(w, 1), 0);
	wr(w, 1, 0x0f);
	CHECK_EQ(rd(w, 1), 0x0f);
	wr(w, 1, 0xff);
	CHECK_EQ(rd(w, 1), 0x0f);	/* no XScale UUE bit */
	wr(w, 1, 0);
	wr(w, 4, 0x1a);			/* loop, OUT2, RTS */
	CHECK_EQ(rd(w, 6) & 0xf0, 0x90);
	wr(w, 4, 0x00);
	wr(w, 3, 0xbf);
	wr(w, 2, 0);
	wr(w, 3, 0);
	wr(w, 2, 0x01);
	CHECK_EQ(rd(w, 2) >> 6, 3);
	wr(w, 3, 0x80);
	CHECK(rd(w, 2) != 0);		/* EFR would read as 0 */
	wr(w, 3, 0xbf);
	CHECK(rd(w, 2) != 0);
	wr(w, 3, 0x80);
	wr(w, 2, 0x21);			/* a 16750 would show bit 5 */
	CHECK_EQ(rd(w, 2) & 0xe0, 0xc0);
	wr(w, 3, 0);
	wr(w, 2, 0);
	CHECK_EQ(rd(w, 2) & 0xc0, 0);
}

TEST(scratch_divisor, "the scratch register and the divisor keep what is written, the divisor behind DLAB")
{
	struct world *w = fresh();

	wr(w, 7, 0xa5);
	CHECK_EQ(rd(w, 7), 0xa5);
	wr(w, 3, 0x83);
	wr(w, 0, 0x0c);
	wr(w, 1, 0x01);
	CHECK_EQ(rd(w, 0), 0x0c);
	CHECK_EQ(rd(w, 1), 0x01);
	wr(w, 3, 0x03);
	CHECK_EQ(rd(w, 1), 0);
	CHECK_EQ(w->sent_count, 0);
	CHECK_EQ(rd(w, 8), 0xff);
}

TEST(polled, "polled output goes out at once and the transmitter is always empty")
{
	struct world *w = fresh();

	for (const char *c = "hello"; *c != '\0'; c++) {
		CHECK_EQ(rd(w, 5) & 0x60, 0x60);
		wr(w, 0, (uint8_t)*c);
	}
	CHECK_EQ(w->sent_count, 5);
	CHECK(memcmp(w->sent, "hello", 5) == 0);
	CHECK_EQ(w->edges, 0);
}

TEST(thre, "the THRE interrupt comes when enabled, ends when IIR is read and comes again after each write")
{
	struct world *w = fresh();

	wr(w, 4, 0x0b);
	wr(w, 1, 2);
	CHECK(w->line);
	CHECK_EQ(rd(w, 2) & 0x0f, 2);
	CHECK(!w->line);
	CHECK_EQ(rd(w, 2) & 0x0f, 1);
	wr(w, 0, 'x');
	CHECK(w->line);
	CHECK_EQ(w->edges, 2);
	wr(w, 0, 'y');			/* without an IIR read: still a new edge */
	CHECK_EQ(w->edges, 3);
	wr(w, 1, 0);
	CHECK(!w->line);
	wr(w, 1, 2);			/* Linux's startup test for a missing THRE interrupt */
	CHECK_EQ(rd(w, 2) & 0x0f, 2);
}

TEST(out2, "OUT2 gates the interrupt line and loopback disconnects it")
{
	struct world *w = fresh();

	wr(w, 1, 2);
	CHECK(!w->line);
	wr(w, 4, 0x08);
	CHECK(w->line);
	wr(w, 4, 0x18);
	CHECK(!w->line);
	CHECK_EQ(rd(w, 2) & 0x0f, 0x02);	/* the cause is there all the same */
}

TEST(priorities, "IIR reports line errors before data before THRE before modem")
{
	struct world *w = fresh();

	wr(w, 4, 0x18);
	wr(w, 4, 0x08);			/* leaving loopback changes modem lines */
	wr(w, 1, 0x0f);
	vuart_receive(&w->uart, 'a');
	vuart_receive(&w->uart, 'b');	/* no FIFO: overrun */
	CHECK_EQ(rd(w, 2) & 0x0f, 0x06);
	CHECK_EQ(rd(w, 5), 0x63);
	CHECK_EQ(rd(w, 2) & 0x0f, 0x04);
	CHECK_EQ(rd(w, 0), 'b');
	CHECK_EQ(rd(w, 2) & 0x0f, 0x02);
	CHECK_EQ(rd(w, 2) & 0x0f, 0x00);
	CHECK(w->line);
	CHECK((rd(w, 6) & 0x0f) != 0);
	CHECK_EQ(rd(w, 2) & 0x0f, 0x01);
	CHECK(!w->line);
}

TEST(fifo, "the FIFO holds 16 bytes; below the trigger it is a timeout, above it data; the 17th is an overrun")
{
	struct world *w = fresh();

	wr(w, 4, 0x08);
	wr(w, 2, 0x81);			/* trigger at 8 */
	wr(w, 1, 0x01);
	CHECK_EQ(vuart_room(&w->uart), 16);
	for (unsigned i = 0; i < 17; i++) {
		vuart_receive(&w->uart, (uint8_t)('a' + i));
		CHECK_EQ(rd(w, 2), i < 7 ? 0xcc : 0xc4);
		CHECK(w->line);
	}
	CHECK_EQ(vuart_room(&w->uart), 0);
	CHECK_EQ(rd(w, 5), 0x63);
	for (unsigned i = 0; i < 16; i++) {
		CHECK_EQ(rd(w, 0), 'a' + i);
	}
	CHECK_EQ(rd(w, 5), 0x60);
	CHECK(!w->line);
	vuart_receive(&w->uart, 'z');
	wr(w, 2, 0x83);			/* clear */
	CHECK_EQ(rd(w, 5) & 1, 0);
	CHECK(!w->line);
}

TEST(loopback, "in loopback what is sent is received and the outside is disconnected")
{
	struct world *w = fresh();

	wr(w, 2, 0x01);
	wr(w, 4, 0x1f);
	CHECK_EQ(rd(w, 6) & 0xf0, 0xf0);
	wr(w, 4, 0x10);
	CHECK_EQ(rd(w, 6), 0x0f);	/* all four changed; RI's delta is its end */
	CHECK_EQ(rd(w, 6), 0x00);
	CHECK_EQ(vuart_room(&w->uart), 0);
	vuart_receive(&w->uart, 'o');
	wr(w, 0, 'i');
	CHECK_EQ(w->sent_count, 0);
	CHECK_EQ(rd(w, 5) & 1, 1);
	CHECK_EQ(rd(w, 0), 'i');
	CHECK_EQ(rd(w, 5) & 1, 0);
}

TEST(paste, "a paste of 10 KB through a ring arrives whole, as fast as the guest reads")
{
	struct world *w = fresh();
	struct test_rng rng = { 1 }, again = { 1 };
	unsigned got = 0;

	wr(w, 4, 0x0b);
	wr(w, 2, 0xc1);
	wr(w, 1, 0x01);
	for (unsigned i = 0; i < 10240; i++) {
		CHECK(ring_put(&w->paste, (uint8_t)test_rand(&rng)));
	}
	drained(w);
	while (w->line) {
		uint8_t iir = rd(w, 2);

		CHECK(iir == 0xc4 || iir == 0xcc);
		while (rd(w, 5) & 1) {
			CHECK_EQ(rd(w, 0), (uint8_t)test_rand(&again));
			got++;
		}
	}
	CHECK_EQ(got, 10240);
}

TEST(fuzz, "random accesses keep the line and IIR in agreement")
{
	struct world *w = fresh();
	struct test_rng rng = { 42 };

	for (unsigned i = 0; i < 300000; i++) {
		uint64_t r = test_rand(&rng);
		unsigned reg = r & 7;
		bool wanted;

		switch (r >> 8 & 3) {
		case 0:
			wr(w, reg, (unsigned)(r >> 16 & 0xff));
			break;
		case 1:
			vuart_receive(&w->uart, (uint8_t)(r >> 16));
			break;
		case 2:
			ring_put(&w->paste, (uint8_t)(r >> 16));
			break;
		default:
			rd(w, reg);
			break;
		}
		CHECK(w->uart.fifo_used <= 16 && w->uart.fifo_first < 16);
		wanted = (w->uart.mcr & 0x18) == 0x08;
		if (w->line) {
			CHECK(wanted);
		}
		if (wanted && r >> 60 == 0) {
			bool line = w->line;
			unsigned iir = rd(w, 2) & 0x0f;

			CHECK_EQ(line, iir != 1);
		}
	}
}
