/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8259A (Intel 231468 data sheet, "Programming the 8259A"); the ELCR is the ISA bridge's (Intel 290562, 4.2.7). */
#include "vm/vpic.h"

#include "vm/vmap.h"

#define MASTER		0
#define SLAVE		1

#define ICW1		0x10	/* a command byte with this bit starts initialisation */
#define ICW1_ICW4	0x01
#define ICW1_SINGLE	0x02
#define ICW4_AUTO_EOI	0x02
#define ICW4_NESTED	0x10	/* special fully nested */

#define OCW3		0x08
#define OCW3_READ	0x02
#define OCW3_READ_ISR	0x01
#define OCW3_POLL	0x04
#define OCW3_MASK_SET	0x40
#define OCW3_MASK_ON	0x20

#define OCW2_EOI	0x20
#define OCW2_SPECIFIC	0x40
#define OCW2_ROTATE	0x80

/* The inputs that may be level-triggered; 0, 1, 2, 8 and 13 are wired to edge sources. */
static const uint8_t elcr_mask[2] = { 0xf8, 0xde };

/* The bits of set in order of priority: the first one, or -1. */
static int first(const struct vpic_chip *c, uint8_t set)
{
	for (unsigned i = 0; i < 8 && set != 0; i++) {
		unsigned input = (c->priority + i) % 8;

		if (set & (1u << input)) {
			return (int)input;
		}
	}
	return -1;
}

/* Rank of an input: 0 is served first. */
static unsigned rank(const struct vpic_chip *c, int input)
{
	return ((unsigned)input - c->priority) % 8;
}

/* The request that raises the chip's INT now, or -1. */
static int request(const struct vpic_chip *c, bool master)
{
	uint8_t in_service = c->isr;
	int req, isr;

	if (c->init_step != 0) {
		return -1;
	}
	req = first(c, c->irr & (uint8_t)~c->imr);
	if (req < 0) {
		return -1;
	}
	if (c->special_mask) {
		in_service &= (uint8_t)~c->imr;	/* a masked level in service blocks nobody */
	}
	if (master && c->special_nested) {
		in_service &= (uint8_t)~(1u << VMAP_IRQ_CASCADE);
	}
	isr = first(c, in_service);
	return isr < 0 || rank(c, req) < rank(c, isr) ? req : -1;
}

static void set_line(struct vpic_chip *c, unsigned input, bool level)
{
	uint8_t bit = (uint8_t)(1u << input);

	if (level) {
		if ((c->elcr & bit) || !(c->lines & bit)) {
			c->irr |= bit;
		}
		c->lines |= bit;
	} else {
		/* A request must hold until INTA, else it ends as a spurious one: edge inputs too. */
		c->irr &= (uint8_t)~bit;
		c->lines &= (uint8_t)~bit;
	}
}

/* The slave's INT is the master's input 2. */
static void cascade(struct vpic *p)
{
	set_line(&p->chip[MASTER], VMAP_IRQ_CASCADE, request(&p->chip[SLAVE], false) >= 0);
}

/* First INTA pulse for one chip: takes the request into service. */
static uint8_t take(struct vpic_chip *c, bool master)
{
	int input = request(c, master);
	uint8_t bit;

	if (input < 0) {
		return 7;
	}
	bit = (uint8_t)(1u << input);
	if (!(c->elcr & bit)) {
		c->irr &= (uint8_t)~bit;
	}
	if (!c->auto_eoi) {
		c->isr |= bit;
	} else if (c->rotate_auto_eoi) {
		c->priority = (uint8_t)((input + 1) % 8);
	}
	return (uint8_t)input;
}

uint8_t vpic_ack(struct vpic *p)
{
	uint8_t input = take(&p->chip[MASTER], true), vector;

	if (input == VMAP_IRQ_CASCADE) {
		input = take(&p->chip[SLAVE], false);
		vector = (uint8_t)(p->chip[SLAVE].base + input);
		/* The cascade falls for the acknowledge cycle, so that a second slave request makes a new edge. */
		set_line(&p->chip[MASTER], VMAP_IRQ_CASCADE, false);
	} else {
		vector = (uint8_t)(p->chip[MASTER].base + input);
	}
	cascade(p);
	return vector;
}

static void start_init(struct vpic_chip *c, uint8_t icw1)
{
	c->imr = 0;
	c->isr = 0;
	c->irr = c->lines & c->elcr;	/* the edge latches are cleared */
	c->priority = 0;
	c->auto_eoi = c->rotate_auto_eoi = c->special_mask = c->special_nested = false;
	c->read_isr = c->poll = false;
	c->icw4_follows = (icw1 & ICW1_ICW4) != 0;
	c->single = (icw1 & ICW1_SINGLE) != 0;
	c->init_step = 2;
}

static void end_of_interrupt(struct vpic_chip *c, uint8_t ocw2)
{
	uint8_t candidates = c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr;
	int input = (ocw2 & OCW2_SPECIFIC) ? ocw2 & 7 : first(c, candidates);

	if (input < 0) {
		return;
	}
	c->isr &= (uint8_t)~(1u << input);
	if (ocw2 & OCW2_ROTATE) {
		c->priority = (uint8_t)((input + 1) % 8);
	}
}

static void write_ocw2(struct vpic_chip *c, uint8_t value)
{
	if (value & OCW2_EOI) {
		end_of_interrupt(c, value);
	} else if ((value & (OCW2_ROTATE | OCW2_SPECIFIC)) == (OCW2_ROTATE | OCW2_SPECIFIC)) {
		c->priority = (uint8_t)((value + 1u) % 8);	/* set priority */
	} else if (!(value & OCW2_SPECIFIC)) {
		c->rotate_auto_eoi = (value & OCW2_ROTATE) != 0;
	}
}

static void write_ocw3(struct vpic_chip *c, uint8_t value)
{
	c->poll = (value & OCW3_POLL) != 0;
	if (value & OCW3_READ) {
		c->read_isr = (value & OCW3_READ_ISR) != 0;
	}
	if (value & OCW3_MASK_SET) {
		c->special_mask = (value & OCW3_MASK_ON) != 0;
	}
}

static void write_command(struct vpic_chip *c, uint8_t value)
{
	if (value & ICW1) {
		start_init(c, value);
	} else if (value & OCW3) {
		write_ocw3(c, value);
	} else {
		write_ocw2(c, value);
	}
}

static void write_data(struct vpic_chip *c, uint8_t value)
{
	switch (c->init_step) {
	case 2:
		c->base = value & 0xf8;
		c->init_step = c->single ? (c->icw4_follows ? 4 : 0) : 3;
		break;
	case 3:		/* the wiring of the cascade is what it is */
		c->init_step = c->icw4_follows ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
		c->special_nested = (value & ICW4_NESTED) != 0;
		c->init_step = 0;
		break;
	default:
		c->imr = value;
		break;
	}
}

/* A read after OCW3's poll command is the acknowledge: bit 7 tells whether there was one. */
static uint8_t poll_read(struct vpic *p, unsigned which)
{
	struct vpic_chip *c = &p->chip[which];
	bool any = request(c, which == MASTER) >= 0;
	uint8_t input;

	c->poll = false;
	input = take(c, which == MASTER);
	cascade(p);
	return any ? (uint8_t)(0x80 | input) : 0;
}

void vpic_init(struct vpic *p)
{
	*p = (struct vpic){ .chip = { { .imr = 0xff }, { .imr = 0xff } } };
}

uint8_t vpic_read(struct vpic *p, uint16_t port)
{
	unsigned which = (port & 0xf0u) == VMAP_PORT_PIC_SLAVE ? SLAVE : MASTER;
	struct vpic_chip *c = &p->chip[which];

	if (port == VMAP_PORT_ELCR || port == VMAP_PORT_ELCR + 1) {
		return p->chip[port - VMAP_PORT_ELCR].elcr;
	}
	if (c->poll) {
		return poll_read(p, which);
	}
	if (port & 1) {
		return c->imr;
	}
	return c->read_isr ? c->isr : c->irr;
}

void vpic_write(struct vpic *p, uint16_t port, uint8_t value)
{
	unsigned which = (port & 0xf0u) == VMAP_PORT_PIC_SLAVE ? SLAVE : MASTER;

	if (port == VMAP_PORT_ELCR || port == VMAP_PORT_ELCR + 1) {
		which = port - VMAP_PORT_ELCR;
		p->chip[which].elcr = value & elcr_mask[which];
		p->chip[which].irr |= p->chip[which].lines & p->chip[which].elcr;
	} else if (port & 1) {
		write_data(&p->chip[which], value);
	} else {
		write_command(&p->chip[which], value);
	}
	cascade(p);
}

void vpic_set(struct vpic *p, unsigned irq, bool level)
{
	if (irq >= VMAP_ISA_IRQS || irq == VMAP_IRQ_CASCADE) {
		return;
	}
	set_line(&p->chip[irq / 8], irq % 8, level);
	cascade(p);
}

bool vpic_output(const struct vpic *p)
{
	return request(&p->chip[MASTER], true) >= 0;
}
