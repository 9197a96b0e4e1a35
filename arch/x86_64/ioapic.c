/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O APIC registers (82093AA data sheet; ICH: 24 pins or more). */
#include "arch/x86_64/ioapic.h"

#include "arch/x86_64/paging.h"

#define REG_SELECT	(0x00 / 4)
#define REG_WINDOW	(0x10 / 4)
#define INDEX_VERSION	0x01u
#define INDEX_PIN(n)	(0x10u + 2 * (n))
#define PIN_LOW		(1u << 13)
#define PIN_LEVEL	(1u << 15)
#define PIN_MASKED	(1u << 16)
#define PINS_MAX	240u

static volatile uint32_t *registers_of(const struct platform *p, unsigned i)
{
	static volatile uint32_t *mapped[PLATFORM_IOAPIC_MAX];

	if (mapped[i] == NULL) {
		mapped[i] = paging_map_mmio(hpa(p->ioapic[i].address), PAGE_SIZE);
	}
	return mapped[i];
}

static void reg_write(volatile uint32_t *r, uint32_t index, uint32_t value)
{
	r[REG_SELECT] = index;
	r[REG_WINDOW] = value;
}

/* 0 where nothing answers: version reads as all ones or all zeros. */
static unsigned pin_count(volatile uint32_t *r)
{
	uint32_t version;

	if (r == NULL) {
		return 0;
	}
	r[REG_SELECT] = INDEX_VERSION;
	version = r[REG_WINDOW];
	if (version == 0 || version == UINT32_MAX || (version >> 16 & 0xff) >= PINS_MAX) {
		return 0;
	}
	return (version >> 16 & 0xff) + 1;
}

void ioapic_mask_all(const struct platform *p)
{
	for (unsigned i = 0; i < p->ioapic_count; i++) {
		volatile uint32_t *r = registers_of(p, i);
		unsigned pins = pin_count(r);

		for (unsigned pin = 0; pin < pins; pin++) {
			reg_write(r, INDEX_PIN(pin), PIN_MASKED);
			reg_write(r, INDEX_PIN(pin) + 1, 0);
		}
	}
}

bool ioapic_route(const struct platform *p, uint32_t gsi, uint8_t vector, uint32_t apic_id, bool level, bool low)
{
	for (unsigned i = 0; i < p->ioapic_count && apic_id < 255; i++) {
		volatile uint32_t *r = registers_of(p, i);
		uint32_t pin = gsi - p->ioapic[i].gsi_base;

		if (gsi < p->ioapic[i].gsi_base || pin >= pin_count(r)) {
			continue;
		}
		reg_write(r, INDEX_PIN(pin) + 1, apic_id << 24);
		reg_write(r, INDEX_PIN(pin), vector | (level ? PIN_LEVEL : 0) | (low ? PIN_LOW : 0));
		return true;
	}
	return false;
}
