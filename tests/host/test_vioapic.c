/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vioapic: redirection, edge and level pins. */
#include "tests/host/test.h"

#include "vm/vioapic.h"

struct world {
	struct vioapic io;
	struct vioapic_msg last;
	unsigned count;
};

static void deliver(void *ctx, const struct vioapic_msg *msg)
{
	struct world *w = ctx;

	w->last = *msg;
	w->count++;
}

static struct world *fresh(void)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	vioapic_init(&w.io, deliver, &w);
	return &w;
}

static uint32_t rd(struct world *w, unsigned reg)
{
	vioapic_write(&w->io, 0, reg);
	return vioapic_read(&w->io, 0x10);
}

static void wr(struct world *w, unsigned reg, uint32_t value)
{
	vioapic_write(&w->io, 0, reg);
	vioapic_write(&w->io, 0x10, value);
}

static void entry(struct world *w, unsigned pin, uint32_t low, uint8_t dest)
{
	wr(w, 0x11 + 2 * pin, (uint32_t)dest << 24);
	wr(w, 0x10 + 2 * pin, low);
}

TEST(identity, "it says version 0x20 with 24 pins, all masked, and keeps its id")
{
	struct world *w = fresh();

	CHECK_EQ(rd(w, 1), 0x00170020);
	CHECK_EQ(rd(w, 0), 0);
	wr(w, 0, 0x0f000000);
	CHECK_EQ(rd(w, 0), 0x0f000000);
	CHECK_EQ(rd(w, 2), 0x0f000000);
	for (unsigned i = 0; i < 24; i++) {
		CHECK_EQ(rd(w, 0x10 + 2 * i), 0x10000);
		CHECK_EQ(rd(w, 0x11 + 2 * i), 0);
	}
	CHECK_EQ(rd(w, 0x40), 0xffffffff);
	CHECK_EQ(vioapic_read(&w->io, 0x20), 0);
}

TEST(edge, "an edge pin delivers once a rise, and a rise while masked is lost")
{
	struct world *w = fresh();

	vioapic_set(&w->io, 4, true);
	entry(w, 4, 0x0934, 0x03);
	CHECK_EQ(w->count, 0);
	vioapic_set(&w->io, 4, true);
	CHECK_EQ(w->count, 0);
	vioapic_set(&w->io, 4, false);
	vioapic_set(&w->io, 4, true);
	CHECK_EQ(w->count, 1);
	CHECK_EQ(w->last.vector, 0x34);
	CHECK_EQ(w->last.mode, VAPIC_LOWEST);
	CHECK(w->last.logical && !w->last.level);
	CHECK_EQ(w->last.dest, 3);
	vioapic_set(&w->io, 4, false);
	vioapic_set(&w->io, 4, true);		/* needs no EOI */
	CHECK_EQ(w->count, 2);
	vioapic_set(&w->io, 24, true);
	vioapic_set(&w->io, ~0u, true);
}

TEST(level, "a level pin delivers again after its EOI while the line stays high")
{
	struct world *w = fresh();

	entry(w, 9, 0x8041, 0xff);
	vioapic_set(&w->io, 9, true);
	CHECK_EQ(w->count, 1);
	CHECK(w->last.level);
	CHECK_EQ(w->last.dest, VAPIC_DEST_ALL);
	CHECK_EQ(rd(w, 0x22), 0xc041);
	vioapic_set(&w->io, 9, false);
	vioapic_set(&w->io, 9, true);
	CHECK_EQ(w->count, 1);
	vioapic_eoi(&w->io, 0x42);
	CHECK_EQ(w->count, 1);
	vioapic_eoi(&w->io, 0x41);
	CHECK_EQ(w->count, 2);
	vioapic_set(&w->io, 9, false);
	vioapic_write(&w->io, 0x40, 0x41);	/* the EOI register */
	CHECK_EQ(rd(w, 0x22), 0x8041);
	CHECK_EQ(w->count, 2);
}

TEST(unmask, "a level line that is high while masked delivers when unmasked, and once only until the EOI")
{
	struct world *w = fresh();

	entry(w, 9, 0x18041, 0);
	vioapic_set(&w->io, 9, true);
	CHECK_EQ(w->count, 0);
	wr(w, 0x22, 0x8041);
	CHECK_EQ(w->count, 1);
	wr(w, 0x22, 0x18041);
	wr(w, 0x22, 0x8041);
	CHECK_EQ(w->count, 1);
	/* The old way to clear remote IRR: to edge and back. */
	wr(w, 0x22, 0x10041);
	wr(w, 0x22, 0x18041);
	CHECK_EQ(rd(w, 0x22), 0x18041);
	wr(w, 0x22, 0x8041);
	CHECK_EQ(w->count, 2);
}

TEST(read_only, "status and remote IRR cannot be written")
{
	struct world *w = fresh();

	wr(w, 0x10, 0xffffffff);
	CHECK_EQ(rd(w, 0x10), 0x0001afff);
	wr(w, 0x11, 0xffffffff);
	CHECK_EQ(rd(w, 0x11), 0xff000000);
}

TEST(nmi, "an NMI pin is an edge even when its entry says level")
{
	struct world *w = fresh();

	entry(w, 0, 0x8400, 1);
	vioapic_set(&w->io, 0, true);
	CHECK_EQ(w->last.mode, VAPIC_NMI);
	CHECK(!w->last.level);
	CHECK_EQ(rd(w, 0x10) & 0x4000, 0);
}

TEST(fuzz, "after random accesses remote IRR is only on level pins and the short list is right")
{
	struct world *w = fresh();
	struct test_rng rng = { 7 };

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t r = test_rand(&rng);
		uint32_t remote = 0;

		switch (r & 3) {
		case 0:
			vioapic_set(&w->io, (unsigned)(r >> 8 & 31), r >> 16 & 1);
			break;
		case 1:
			vioapic_eoi(&w->io, (uint8_t)(r >> 8 & 15));
			break;
		case 2:
			vioapic_write(&w->io, (unsigned)(r >> 8 & 7) * 16, (uint32_t)(r >> 32));
			break;
		default:
			wr(w, (unsigned)(r >> 8 & 63), (uint32_t)(r >> 32) & 0xffffff0f);
			break;
		}
		for (unsigned pin = 0; pin < 24; pin++) {
			uint64_t e = w->io.entry[pin];

			if (e & 0x4000) {
				CHECK(e & 0x8000);
				remote |= 1u << pin;
			} else if ((e & 0x18000) == 0x8000 && (e & 0x600) == 0) {
				CHECK(!(w->io.lines & (1u << pin)));	/* high, free and unmasked: was delivered */
			}
		}
		CHECK_EQ(w->io.remote, remote);
	}
}
