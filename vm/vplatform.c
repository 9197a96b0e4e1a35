/* SPDX-License-Identifier: BSD-2-Clause */
/* Wires the virtual devices of one VM to each other, to the guest's ports and pages, and to its vCPUs. */
#include "vm/vplatform.h"

#include "kernel/lib/util.h"
#include "vm/vmap.h"

#define KBD_PULSE_RESET		0xfeu
#define KBD_STATUS_BUSY		0x02u	/* the controller has not taken the last command yet */

static void lock(struct vplatform *p)
{
	p->config.ops->lock(p->config.ctx);
}

static void unlock(struct vplatform *p)
{
	p->config.ops->unlock(p->config.ctx);
}

static uint64_t now_ns(const struct vplatform *p)
{
	return p->config.ops->now_ns(p->config.ctx);
}

/* --- Messages to vCPUs: no lock, any cpu -------------------------------------------------------------------------- */

/* True when the message has done all it was to do: a lowest-priority one has found its one cpu. */
static bool deliver_to(struct vplatform *p, unsigned vcpu, const struct vlapic_ipi *msg, bool level)
{
	const struct vplatform_ops *ops = p->config.ops;

	switch (msg->mode) {
	case VAPIC_FIXED:
	case VAPIC_LOWEST:
		if (vlapic_accept(p->lapic[vcpu], msg->vector, level)) {
			ops->kick(p->config.ctx, vcpu);
		}
		return msg->mode == VAPIC_LOWEST;
	case VAPIC_NMI:
		ops->nmi(p->config.ctx, vcpu);
		return false;
	case VAPIC_INIT:
		ops->init(p->config.ctx, vcpu);
		return false;
	case VAPIC_STARTUP:
		ops->startup(p->config.ctx, vcpu, msg->vector);
		return false;
	default:	/* SMI: there is no SMM. ExtINT: the 8259 is wired to LINT0. The rest is reserved. */
		return true;
	}
}

static bool is_target(const struct vlapic *l, const struct vlapic_ipi *msg)
{
	switch (msg->shorthand) {
	case VLAPIC_TO_ALL:
		return vlapic_has(l, VLAPIC_ENABLED);
	case VLAPIC_TO_OTHERS:
		return vlapic_has(l, VLAPIC_ENABLED) && l->config.id != msg->source;
	default:
		return vlapic_match(l, msg->dest, msg->logical);
	}
}

static void deliver(struct vplatform *p, const struct vlapic_ipi *msg, bool level)
{
	unsigned n = p->vcpu_count, first = 0;

	/* The usual message is for one cpu, and APIC ids are mostly indices. */
	if (msg->shorthand == VLAPIC_TO_DEST && !msg->logical && msg->dest < n &&
	    p->lapic[msg->dest]->config.id == msg->dest) {
		if (vlapic_has(p->lapic[msg->dest], VLAPIC_ENABLED)) {
			deliver_to(p, msg->dest, msg, level);
		}
		return;
	}
	/* "Lowest priority": any one of them is right; a vector always goes the same way, vectors are spread. */
	if (msg->mode == VAPIC_LOWEST && n != 0) {
		first = msg->vector % n;
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned vcpu = first + i < n ? first + i : first + i - n;

		if (is_target(p->lapic[vcpu], msg) && deliver_to(p, vcpu, msg, level)) {
			return;
		}
	}
}

void vplatform_ipi(void *ctx, const struct vlapic_ipi *ipi)
{
	deliver(ctx, ipi, false);
}

/* A message of the I/O APIC. */
static void ioapic_deliver(void *ctx, const struct vioapic_msg *msg)
{
	struct vlapic_ipi ipi = {
		.mode = msg->mode, .vector = msg->vector, .logical = msg->logical, .dest = msg->dest,
		.shorthand = VLAPIC_TO_DEST,
	};

	deliver(ctx, &ipi, msg->level);
}

/* --- Lines: under the lock ---------------------------------------------------------------------------------------- */

/* The 8259s' output may have changed. */
static void update_intr(struct vplatform *p)
{
	bool intr = vpic_output(&p->pic);

	if (intr == atomic_load_explicit(&p->intr, memory_order_relaxed)) {
		return;
	}
	/* Release pairs with the acquire in vplatform_extint(). */
	atomic_store_explicit(&p->intr, intr, memory_order_release);
	if (intr && p->vcpu_count > 0) {
		p->config.ops->kick(p->config.ctx, 0);
	}
}

/* A device's line. gsi: ISA IRQ or GSI; the PIT's IRQ 0 becomes GSI 2. */
static void set_irq(void *ctx, unsigned gsi, bool level)
{
	struct vplatform *p = ctx;

	if (gsi < VMAP_ISA_IRQS) {
		vpic_set(&p->pic, gsi, level);
		update_intr(p);
	}
	vioapic_set(&p->ioapic, gsi == VMAP_IRQ_PIT ? VMAP_GSI_PIT : gsi, level);
}

static void update_deadline(struct vplatform *p)
{
	uint64_t pit = vpit_deadline(&p->pit), pm = vpm_deadline(&p->pm), at = MIN(pit, pm);
	bool nearer = at < atomic_load_explicit(&p->deadline_ns, memory_order_relaxed);

	atomic_store_explicit(&p->deadline_ns, at, memory_order_relaxed);
	if (nearer && p->vcpu_count > 0) {
		p->config.ops->kick(p->config.ctx, 0);		/* vCPU 0 keeps it: another one may have set it */
	}
}

static void uart_tx(void *ctx, uint8_t byte)
{
	struct vplatform *p = ctx;

	p->config.ops->tx(p->config.ctx, byte);
}

static void uart_drained(void *ctx)
{
	struct vplatform *p = ctx;

	while (vuart_room(&p->uart) > 0) {
		int byte = p->config.ops->rx(p->config.ctx);

		if (byte < 0) {
			return;
		}
		vuart_receive(&p->uart, (uint8_t)byte);
	}
}

static void pm_event(void *ctx, enum vm_event event, uint32_t code)
{
	struct vplatform *p = ctx;

	p->config.ops->event(p->config.ctx, event, code);
}

/* --- Ports: under the lock ---------------------------------------------------------------------------------------- */

static uint32_t pic_read(void *ctx, uint16_t port, unsigned size)
{
	struct vplatform *p = ctx;
	uint32_t value = vpic_read(&p->pic, port);

	update_intr(p);		/* a poll is an acknowledge */
	return value;
}

static void pic_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct vplatform *p = ctx;

	vpic_write(&p->pic, port, (uint8_t)value);
	update_intr(p);
}

static uint32_t pit_read(void *ctx, uint16_t port, unsigned size)
{
	struct vplatform *p = ctx;

	return vpit_read(&p->pit, port, now_ns(p));
}

static void pit_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct vplatform *p = ctx;

	vpit_write(&p->pit, port, (uint8_t)value, now_ns(p));
	update_deadline(p);
}

static uint32_t rtc_read(void *ctx, uint16_t port, unsigned size)
{
	struct vplatform *p = ctx;

	return vrtc_read(&p->rtc, port, now_ns(p));
}

static void rtc_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct vplatform *p = ctx;

	vrtc_write(&p->rtc, port, (uint8_t)value, now_ns(p));
}

static uint32_t uart_read(void *ctx, uint16_t port, unsigned size)
{
	struct vplatform *p = ctx;

	return vuart_read(&p->uart, port - VMAP_PORT_COM1);
}

static void uart_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct vplatform *p = ctx;

	vuart_write(&p->uart, port - VMAP_PORT_COM1, (uint8_t)value);
}

static uint32_t pm_read(void *ctx, uint16_t port, unsigned size)
{
	struct vplatform *p = ctx;

	return vpm_read(&p->pm, port, size, now_ns(p));
}

static void pm_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct vplatform *p = ctx;

	vpm_write(&p->pm, port, size, value, now_ns(p));
	update_deadline(p);
}

static void kbd_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct vplatform *p = ctx;

	if (value == KBD_PULSE_RESET) {
		p->config.ops->event(p->config.ctx, VM_EVENT_RESET, 0);
	}
}

/* As where nothing is, so that a kernel finds no keyboard; but one that waits to send the reset command gets to it. */
static uint32_t kbd_read(void *ctx, uint16_t port, unsigned size)
{
	return 0xff & ~KBD_STATUS_BUSY;
}

static void debug_exit_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct vplatform *p = ctx;

	if (port == VMAP_PORT_DEBUG_EXIT) {
		p->config.ops->event(p->config.ctx, VM_EVENT_DEBUG_EXIT, value);
	}
}

#define PORTS(base, count)	.first = (base), .last = (base) + (count) - 1

static const struct vports_row rows[] = {
	{ PORTS(VMAP_PORT_PIC_MASTER, 2), .sizes = VPORTS_BYTE, .read = pic_read, .write = pic_write },
	{ PORTS(VMAP_PORT_PIT, 4), .sizes = VPORTS_BYTE, .read = pit_read, .write = pit_write },
	{ PORTS(VMAP_PORT_SYSCTL_B, 1), .sizes = VPORTS_BYTE, .read = pit_read, .write = pit_write },
	{ PORTS(VMAP_PORT_KBD_COMMAND, 1), .sizes = VPORTS_BYTE, .read = kbd_read, .write = kbd_write },
	{ PORTS(VMAP_PORT_RTC, 2), .sizes = VPORTS_BYTE, .read = rtc_read, .write = rtc_write },
	{ PORTS(VMAP_PORT_PIC_SLAVE, 2), .sizes = VPORTS_BYTE, .read = pic_read, .write = pic_write },
	{ PORTS(VMAP_PORT_DEBUG_EXIT, 4), .sizes = VPORTS_ANY, .write = debug_exit_write },
	{ PORTS(VMAP_PORT_COM1, 8), .sizes = VPORTS_BYTE, .read = uart_read, .write = uart_write },
	{ PORTS(VMAP_PORT_ELCR, 2), .sizes = VPORTS_BYTE, .read = pic_read, .write = pic_write },
	{ PORTS(VMAP_PORT_PM1A_EVT, VMAP_PM1_EVT_BYTES), .sizes = VPORTS_ANY, .read = pm_read, .write = pm_write },
	{ PORTS(VMAP_PORT_PM1A_CNT, VMAP_PM1_CNT_BYTES), .sizes = VPORTS_BYTE | VPORTS_WORD,
	  .read = pm_read, .write = pm_write },
	{ PORTS(VMAP_PORT_PM_TIMER, VMAP_PM_TIMER_BYTES), .sizes = VPORTS_ANY, .read = pm_read, .write = pm_write },
	{ PORTS(VMAP_PORT_RESET, 1), .sizes = VPORTS_BYTE, .read = pm_read, .write = pm_write },
};

bool vplatform_port_answered(struct vplatform *p, uint16_t port, unsigned size, bool write, uint32_t *value)
{
	bool answered;

	lock(p);
	answered = write ? vports_write(&p->ports, port, size, *value) : vports_read(&p->ports, port, size, value);
	unlock(p);
	return answered;
}

/* --- Pages -------------------------------------------------------------------------------------------------------- */

/* The registers are 32 bits wide on 16-byte lines; narrower reads see a part, wider ones zeros above. */
static uint64_t narrow(uint64_t value, unsigned offset, unsigned size)
{
	value = (uint32_t)value >> (offset % 4 * 8);
	return size >= 4 ? value : value & ((1ull << (8 * size)) - 1);
}

static bool lapic_mmio(struct vplatform *p, unsigned vcpu, unsigned offset, unsigned size, bool write,
		       uint64_t *value)
{
	struct vlapic *l = p->lapic[vcpu];
	uint64_t now_tsc;

	if (!vlapic_has(l, VLAPIC_ENABLED) || vlapic_has(l, VLAPIC_X2APIC)) {
		return false;
	}
	now_tsc = p->config.ops->now_tsc(p->config.ctx, vcpu);
	if (!write) {
		vlapic_read(l, offset & ~3u, now_tsc, value);
		*value = narrow(*value, offset, size);
	} else if (size >= 4) {
		vlapic_write(l, offset, now_tsc, (uint32_t)*value);
	}
	return true;
}

bool vplatform_mmio(struct vplatform *p, unsigned vcpu, gpa_t gpa, unsigned size, bool write, uint64_t *value)
{
	uint64_t page = gpa.v & ~PAGE_MASK;
	unsigned offset = (unsigned)(gpa.v & PAGE_MASK);

	if (page == VMAP_LAPIC_BASE && vcpu < p->vcpu_count) {
		return lapic_mmio(p, vcpu, offset, size, write, value);
	}
	if (page != VMAP_IOAPIC_BASE) {
		return false;
	}
	lock(p);
	if (write) {
		vioapic_write(&p->ioapic, offset, (uint32_t)*value);
	} else {
		*value = narrow(vioapic_read(&p->ioapic, offset & ~3u), offset, size);
	}
	unlock(p);
	return true;
}

/* --- Time and the outside world ----------------------------------------------------------------------------------- */

void vplatform_expire(struct vplatform *p, uint64_t time_ns)
{
	if (time_ns < vplatform_deadline(p)) {
		return;
	}
	lock(p);
	vpit_expire(&p->pit, time_ns);
	vpm_expire(&p->pm, time_ns);
	update_deadline(p);
	unlock(p);
}

void vplatform_feed(struct vplatform *p)
{
	lock(p);
	uart_drained(p);
	unlock(p);
}

uint8_t vplatform_extint_ack(struct vplatform *p)
{
	uint8_t vector;

	lock(p);
	vector = vpic_ack(&p->pic);
	update_intr(p);
	unlock(p);
	return vector;
}

void vplatform_eoi(void *ctx, uint8_t vector)
{
	struct vplatform *p = ctx;

	lock(p);
	vioapic_eoi(&p->ioapic, vector);
	unlock(p);
}

enum err vplatform_init(struct vplatform *p, const struct vplatform_config *config)
{
	const struct vuart_config uart = {
		.ctx = p, .gsi = VMAP_GSI_COM1, .irq = set_irq, .tx = uart_tx, .drained = uart_drained,
	};
	const struct vpm_config pm = { .ctx = p, .irq = set_irq, .event = pm_event };

	p->config = *config;
	p->vcpu_count = 0;
	atomic_store_explicit(&p->intr, false, memory_order_relaxed);
	vioapic_init(&p->ioapic, ioapic_deliver, p);
	vpic_init(&p->pic);
	/* The SCI is level-triggered: firmware's work. */
	vpic_write(&p->pic, VMAP_PORT_ELCR + VMAP_GSI_SCI / 8, 1u << VMAP_GSI_SCI % 8);
	vpit_init(&p->pit, set_irq, p);
	vrtc_init(&p->rtc, config->rtc_base_s);
	vpm_init(&p->pm, &pm);
	vuart_init(&p->uart, &uart);
	update_deadline(p);
	return vports_init(&p->ports, rows, ARRAY_SIZE(rows), p);
}

enum err vplatform_add_vcpu(struct vplatform *p, struct vlapic *lapic, uint32_t apic_id)
{
	const struct vlapic_config config = {
		.ctx = p, .id = apic_id, .bsp = p->vcpu_count == 0,
		.tsc_hz = p->config.tsc_hz, .timer_hz = p->config.timer_hz,
		.assisted = p->config.apic_assisted, .ipi = vplatform_ipi, .eoi = vplatform_eoi,
	};

	if (p->vcpu_count == VPLATFORM_VCPUS_MAX) {
		return ERR_LIMIT;
	}
	vlapic_init(lapic, &config);
	p->lapic[p->vcpu_count++] = lapic;
	return ERR_OK;
}
