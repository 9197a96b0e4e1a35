/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254 (Intel 231164 data sheet, "Operational description"), computed from the time instead of counting. */
#include "vm/vpit.h"

#include "kernel/lib/util.h"
#include "vm/vmap.h"

#define PORT_CONTROL		(VMAP_PORT_PIT + 3)

#define ACCESS_LATCH		0
#define ACCESS_LOW		1
#define ACCESS_HIGH		2
#define ACCESS_BOTH		3

#define READBACK		3	/* the "channel" of the read-back command */
#define READBACK_NO_COUNT	0x20
#define READBACK_NO_STATUS	0x10

#define STATUS_OUT		0x80
#define STATUS_NULL		0x40

#define SYSCTL_GATE2		0x01
#define SYSCTL_SPEAKER		0x02
#define SYSCTL_REFRESH		0x10
#define SYSCTL_OUT2		0x20
#define REFRESH_NS		15085u	/* bit 4 of port 0x61 turns over with each DRAM refresh request */

/*
 * Periods shorter than this many ticks (10 us) are thinned to it: such interrupts would merge on a real machine, and
 * here each would cost the host an exit.
 */
#define SHORTEST_TICKS		12u

#define NEVER			UINT64_MAX

/* Both are exact, with no overflow within centuries: floor of the tick at a time, first time of a tick. */
static uint64_t to_ticks(uint64_t ns)
{
	return ns / NS_PER_S * VPIT_HZ + ns % NS_PER_S * VPIT_HZ / NS_PER_S;
}

static uint64_t to_ns(uint64_t ticks)
{
	return ticks / VPIT_HZ * NS_PER_S + (ticks % VPIT_HZ * NS_PER_S + VPIT_HZ - 1) / VPIT_HZ;
}

static bool is_periodic(const struct vpit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool is_triggered(const struct vpit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

/* Clock pulses counted since the count was loaded. */
static uint64_t elapsed(const struct vpit_channel *c, uint64_t tick)
{
	if (!c->gate && !is_triggered(c)) {
		return c->held_ticks;
	}
	return tick < c->start_tick ? 0 : tick - c->start_tick;
}

static bool counting(const struct vpit_channel *c)
{
	return c->loaded && (!is_triggered(c) || c->armed);
}

static bool output(const struct vpit_channel *c, uint64_t tick)
{
	uint64_t past = elapsed(c, tick);

	if (!counting(c)) {
		return c->mode != 0;
	}
	switch (c->mode) {
	case 0:
	case 1:
		return past >= c->count;
	case 2:
		return !c->gate || past % c->count != c->count - 1;
	case 3:
		return !c->gate || past % c->count < (c->count + 1) / 2;
	default:	/* strobes: low for one pulse */
		return past != c->count;
	}
}

static uint16_t to_bcd(uint64_t n)
{
	return (uint16_t)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

static uint16_t counter(const struct vpit_channel *c, uint64_t tick)
{
	uint64_t past = counting(c) ? elapsed(c, tick) : 0, modulus = c->bcd ? 10000 : 65536, value;

	if (c->mode == 2) {
		value = c->count - past % c->count;
	} else if (c->mode == 3) {
		value = c->count - 2 * (past % c->count) % c->count;	/* counts by two, twice a period */
	} else {
		value = c->count + modulus - past % modulus;		/* goes on below zero */
	}
	value %= modulus;
	return c->bcd ? to_bcd(value) : (uint16_t)value;
}

/* Plans channel 0's next rise after tick. */
static void plan(struct vpit *p, uint64_t tick)
{
	const struct vpit_channel *c = &p->channel[0];
	uint64_t first = c->start_tick + c->count;

	p->irq_tick = NEVER;
	if (!c->loaded || is_triggered(c)) {
		return;
	}
	if (is_periodic(c)) {
		uint64_t from = c->count < SHORTEST_TICKS ? tick + SHORTEST_TICKS : tick;

		p->irq_tick = from < first ? first : first + ((from - first) / c->count + 1) * c->count;
		return;
	}
	first += c->mode == 4 ? 1 : 0;
	p->irq_tick = first > tick ? first : NEVER;
}

static void set_line(struct vpit *p, bool level)
{
	if (p->line != level) {
		p->line = level;
		p->irq(p->ctx, VMAP_IRQ_PIT, level);
	}
}

static void load(struct vpit *p, struct vpit_channel *c, uint32_t raw, uint64_t tick)
{
	uint32_t count = raw;

	if (c->bcd) {
		count = (raw & 15) + (raw >> 4 & 15) * 10 + (raw >> 8 & 15) * 100 + (raw >> 12 & 15) * 1000;
	}
	if (count == 0) {
		count = c->bcd ? 10000 : 65536;
	}
	/* A running period is not played to its end (the chip would): drivers only ever want the new count. */
	c->count = count;
	c->loaded = true;
	c->start_tick = tick + 1;
	c->held_ticks = 0;
	if (c == &p->channel[0]) {
		plan(p, tick);
	}
}

static void write_count(struct vpit *p, struct vpit_channel *c, uint8_t value, uint64_t tick)
{
	if (c == &p->channel[0] && c->mode == 0) {
		set_line(p, false);
	}
	switch (c->access) {
	case ACCESS_LOW:
		load(p, c, value, tick);
		break;
	case ACCESS_HIGH:
		load(p, c, (uint32_t)value << 8, tick);
		break;
	default:
		if (c->high_write) {
			load(p, c, (uint32_t)value << 8 | c->write_low, tick);
		} else {
			c->write_low = value;
			if (c->mode == 0) {		/* the first byte stops the count */
				c->loaded = false;
				p->irq_tick = c == &p->channel[0] ? NEVER : p->irq_tick;
			}
		}
		c->high_write = !c->high_write;
		break;
	}
}

static void latch_count(struct vpit_channel *c, uint64_t tick)
{
	if (!c->latched) {		/* a second latch command before the read is ignored */
		c->latch = counter(c, tick);
		c->latched = true;
	}
}

static void latch_status(struct vpit_channel *c, uint64_t tick)
{
	unsigned status = c->access << 4 | c->mode << 1 | (c->bcd ? 1 : 0);

	if (c->status_latched) {
		return;
	}
	status |= output(c, tick) ? STATUS_OUT : 0;
	status |= !c->loaded || tick < c->start_tick ? STATUS_NULL : 0;
	c->status_latch = (uint8_t)status;
	c->status_latched = true;
}

static void write_control(struct vpit *p, uint8_t value, uint64_t tick)
{
	unsigned which = value >> 6, access = value >> 4 & 3, mode = value >> 1 & 7;
	struct vpit_channel *c;

	if (which == READBACK) {
		for (unsigned i = 0; i < 3; i++) {
			if (!(value & (2u << i))) {
				continue;
			}
			if (!(value & READBACK_NO_COUNT)) {
				latch_count(&p->channel[i], tick);
			}
			if (!(value & READBACK_NO_STATUS)) {
				latch_status(&p->channel[i], tick);
			}
		}
		return;
	}
	c = &p->channel[which];
	if (access == ACCESS_LATCH) {
		latch_count(c, tick);
		return;
	}
	c->access = (uint8_t)access;
	c->mode = (uint8_t)(mode > 5 ? mode - 4 : mode);	/* 6 and 7 are 2 and 3 */
	c->bcd = (value & 1) != 0;
	c->count = c->bcd ? 10000 : 65536;
	c->loaded = c->armed = false;
	c->latched = c->status_latched = c->high_read = c->high_write = false;
	c->held_ticks = 0;
	if (which == 0) {
		p->irq_tick = NEVER;
		if (c->mode == 0) {
			set_line(p, false);
		}
	}
}

static uint8_t read_count(struct vpit_channel *c, uint64_t tick)
{
	uint16_t value = c->latched ? c->latch : counter(c, tick);
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->high_read);

	if (c->status_latched) {
		c->status_latched = false;
		return c->status_latch;
	}
	if (c->access == ACCESS_BOTH) {
		c->high_read = !c->high_read;
	}
	if (c->access != ACCESS_BOTH || high) {
		c->latched = false;
	}
	return (uint8_t)(high ? value >> 8 : value);
}

static void set_gate(struct vpit_channel *c, bool gate, uint64_t tick)
{
	if (gate == c->gate) {
		return;
	}
	if (!gate) {
		c->held_ticks = elapsed(c, tick);
		c->gate = false;
		return;
	}
	c->gate = true;
	c->armed = c->loaded;
	if (is_periodic(c) || is_triggered(c)) {
		c->start_tick = tick + 1;	/* the rising gate starts over */
	} else {
		c->start_tick = tick + 1 - MIN(c->held_ticks, tick);
	}
}

void vpit_init(struct vpit *p, void (*irq)(void *ctx, unsigned gsi, bool level), void *ctx)
{
	*p = (struct vpit){ .irq = irq, .ctx = ctx, .irq_tick = NEVER };
	for (unsigned i = 0; i < 3; i++) {
		p->channel[i] = (struct vpit_channel){ .count = 65536, .access = ACCESS_BOTH, .mode = 3, .gate = i < 2 };
	}
}

uint8_t vpit_read(struct vpit *p, uint16_t port, uint64_t now_ns)
{
	uint64_t tick = to_ticks(now_ns);
	unsigned value;

	if (port == VMAP_PORT_SYSCTL_B) {
		value = p->channel[2].gate ? SYSCTL_GATE2 : 0;
		value |= p->speaker ? SYSCTL_SPEAKER : 0;
		value |= now_ns / REFRESH_NS % 2 ? SYSCTL_REFRESH : 0;
		value |= output(&p->channel[2], tick) ? SYSCTL_OUT2 : 0;
		return (uint8_t)value;
	}
	if (port < VMAP_PORT_PIT || port >= PORT_CONTROL) {
		return 0xff;		/* the control word cannot be read */
	}
	return read_count(&p->channel[port - VMAP_PORT_PIT], tick);
}

void vpit_write(struct vpit *p, uint16_t port, uint8_t value, uint64_t now_ns)
{
	uint64_t tick = to_ticks(now_ns);

	if (port == VMAP_PORT_SYSCTL_B) {
		p->speaker = (value & SYSCTL_SPEAKER) != 0;
		set_gate(&p->channel[2], (value & SYSCTL_GATE2) != 0, tick);
	} else if (port == PORT_CONTROL) {
		write_control(p, value, tick);
	} else if (port >= VMAP_PORT_PIT && port < PORT_CONTROL) {
		write_count(p, &p->channel[port - VMAP_PORT_PIT], value, tick);
	}
}

uint64_t vpit_deadline(const struct vpit *p)
{
	return p->irq_tick == NEVER ? NS_NEVER : to_ns(p->irq_tick);
}

void vpit_expire(struct vpit *p, uint64_t now_ns)
{
	uint64_t tick = to_ticks(now_ns);

	if (tick < p->irq_tick) {
		return;
	}
	set_line(p, false);
	set_line(p, true);
	plan(p, tick);
}
