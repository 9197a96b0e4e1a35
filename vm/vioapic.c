/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC (Intel 290566, 3.0 "Register description"; the EOI register of later ones at offset 0x40). */
#include "vm/vioapic.h"

#define OFFSET_SELECT		0x00
#define OFFSET_WINDOW		0x10
#define OFFSET_EOI		0x40

#define REG_ID			0x00
#define REG_VERSION		0x01
#define REG_ARBITRATION		0x02
#define REG_ENTRY		0x10

#define VERSION			(0x20u | (VMAP_IOAPIC_PINS - 1) << 16)

/* Redirection entry (3.2.4) */
#define ENTRY_VECTOR		0xffull
#define ENTRY_MODE_SHIFT	8
#define ENTRY_LOGICAL		(1ull << 11)
#define ENTRY_REMOTE		(1ull << 14)	/* read-only */
#define ENTRY_LEVEL		(1ull << 15)
#define ENTRY_MASKED		(1ull << 16)
#define ENTRY_DEST_SHIFT	56
#define ENTRY_WRITABLE		(0xff00000000000000ull | ENTRY_MASKED | 0xafffull)

static void send(struct vioapic *io, unsigned pin)
{
	uint64_t e = io->entry[pin];
	struct vioapic_msg msg = {
		.dest = (uint32_t)(e >> ENTRY_DEST_SHIFT),
		.logical = (e & ENTRY_LOGICAL) != 0,
		.mode = (enum vapic_mode)(e >> ENTRY_MODE_SHIFT & 7),
		.vector = (uint8_t)(e & ENTRY_VECTOR),
		.level = (e & ENTRY_LEVEL) != 0,
	};

	if (!msg.logical && msg.dest == VAPIC_DEST_ALL_8BIT) {
		msg.dest = VAPIC_DEST_ALL;
	}
	/* Only these are acknowledged with an EOI; the others count as edges whatever the entry says. */
	msg.level = msg.level && (msg.mode == VAPIC_FIXED || msg.mode == VAPIC_LOWEST);
	if (msg.level) {
		io->entry[pin] |= ENTRY_REMOTE;
		io->remote |= 1u << pin;
	}
	io->deliver(io->ctx, &msg);
}

/* A level pin sends whenever it may: line high, unmasked, last one acknowledged. */
static void serve_level(struct vioapic *io, unsigned pin)
{
	uint64_t e = io->entry[pin];

	if ((e & ENTRY_LEVEL) && !(e & (ENTRY_MASKED | ENTRY_REMOTE)) && (io->lines & (1u << pin))) {
		send(io, pin);
	}
}

void vioapic_init(struct vioapic *io, void (*deliver)(void *ctx, const struct vioapic_msg *msg), void *ctx)
{
	*io = (struct vioapic){ .id = VMAP_IOAPIC_ID, .deliver = deliver, .ctx = ctx };
	for (unsigned pin = 0; pin < VMAP_IOAPIC_PINS; pin++) {
		io->entry[pin] = ENTRY_MASKED;
	}
}

static uint32_t read_register(const struct vioapic *io)
{
	unsigned pin = (io->select - REG_ENTRY) / 2u;

	switch (io->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (uint32_t)io->id << 24;
	case REG_VERSION:
		return VERSION;
	default:
		break;
	}
	if (io->select < REG_ENTRY || pin >= VMAP_IOAPIC_PINS) {
		return UINT32_MAX;
	}
	return (uint32_t)(io->select & 1 ? io->entry[pin] >> 32 : io->entry[pin]);
}

static void write_entry(struct vioapic *io, unsigned pin, uint64_t value)
{
	uint64_t e = (value & ENTRY_WRITABLE) | (io->entry[pin] & ENTRY_REMOTE);

	/* Made an edge pin, it has nothing to acknowledge: old kernels clear remote IRR so. */
	if (!(e & ENTRY_LEVEL)) {
		e &= ~ENTRY_REMOTE;
		io->remote &= ~(1u << pin);
	}
	io->entry[pin] = e;
	serve_level(io, pin);
}

static void write_register(struct vioapic *io, uint32_t value)
{
	unsigned pin = (io->select - REG_ENTRY) / 2u;

	if (io->select == REG_ID) {
		io->id = value >> 24 & 0x0f;
	}
	if (io->select < REG_ENTRY || pin >= VMAP_IOAPIC_PINS) {
		return;
	}
	if (io->select & 1) {
		write_entry(io, pin, (io->entry[pin] & UINT32_MAX) | (uint64_t)value << 32);
	} else {
		write_entry(io, pin, (io->entry[pin] & ~(uint64_t)UINT32_MAX) | value);
	}
}

uint32_t vioapic_read(const struct vioapic *io, unsigned offset)
{
	switch (offset) {
	case OFFSET_SELECT:
		return io->select;
	case OFFSET_WINDOW:
		return read_register(io);
	default:
		return 0;
	}
}

void vioapic_write(struct vioapic *io, unsigned offset, uint32_t value)
{
	switch (offset) {
	case OFFSET_SELECT:
		io->select = (uint8_t)value;
		break;
	case OFFSET_WINDOW:
		write_register(io, value);
		break;
	case OFFSET_EOI:
		vioapic_eoi(io, (uint8_t)value);
		break;
	default:
		break;
	}
}

void vioapic_set(struct vioapic *io, unsigned pin, bool level)
{
	uint32_t bit;
	bool rose;

	if (pin >= VMAP_IOAPIC_PINS) {
		return;
	}
	bit = 1u << pin;
	rose = level && !(io->lines & bit);
	io->lines = level ? io->lines | bit : io->lines & ~bit;
	if (io->entry[pin] & ENTRY_LEVEL) {
		serve_level(io, pin);
	} else if (rose && !(io->entry[pin] & ENTRY_MASKED)) {
		send(io, pin);		/* an edge on a masked pin is lost (3.2.4) */
	}
}

void vioapic_eoi(struct vioapic *io, uint8_t vector)
{
	uint32_t waiting = io->remote;

	while (waiting != 0) {
		unsigned pin = (unsigned)__builtin_ctz(waiting);

		waiting &= waiting - 1;
		if ((io->entry[pin] & ENTRY_VECTOR) != vector) {
			continue;
		}
		io->entry[pin] &= ~ENTRY_REMOTE;
		io->remote &= ~(1u << pin);
		serve_level(io, pin);
	}
}
