/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor tables: a GDT and TSS for each cpu, one IDT for all. */
#include "arch/x86_64/insn.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/vectors.h"

#define VECTORS		256u
#define STUB_SIZE	16u		/* trap.asm */
#define GATE_INTERRUPT	0x8e00u		/* present, DPL 0, 64-bit interrupt gate (SDM 3A 6.14.1) */

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t flags;			/* IST in bits 2:0 */
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};

_Static_assert(sizeof(struct gate) == 16, "64-bit gate");

extern const char trap_stubs[];

static struct gate idt[VECTORS] __attribute__((aligned(16)));

/* Vectors that need a good stack whatever happened to the one in use. */
static uint16_t ist_of(unsigned vector)
{
	switch (vector) {
	case VECTOR_NMI:
		return 1;
	case VECTOR_DOUBLE_FAULT:
		return 2;
	case VECTOR_MACHINE_CHECK:
		return 3;
	default:
		return 0;
	}
}

void desc_init_idt(void)
{
	for (unsigned i = 0; i < VECTORS; i++) {
		uint64_t at = (uint64_t)trap_stubs + i * STUB_SIZE;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)at,
			.selector = SELECTOR_CODE,
			.flags = (uint16_t)(GATE_INTERRUPT | ist_of(i)),
			.offset_mid = (uint16_t)(at >> 16),
			.offset_high = (uint32_t)(at >> 32),
		};
	}
}

void desc_init(struct percpu *p, const uint64_t ist_top[3])
{
	uint64_t base = (uint64_t)&p->tss;

	p->self = p;
	p->gdt[SELECTOR_CODE / 8] = 0x00af9b000000fffful;
	p->gdt[SELECTOR_DATA / 8] = 0x00cf93000000fffful;
	/* Available 64-bit TSS, in two entries (SDM 3A 8.2.3) */
	p->gdt[SELECTOR_TSS / 8] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 |
				   (base >> 24 & 0xff) << 56;
	p->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
	for (unsigned i = 0; i < 3; i++) {
		p->tss.ist[i] = ist_top[i];
	}
	p->tss.io_map = sizeof(struct tss);
}

void desc_load(struct percpu *p)
{
	struct insn_table gdtr = { sizeof(p->gdt) - 1, (uint64_t)p->gdt };
	struct insn_table idtr = { sizeof(idt) - 1, (uint64_t)idt };

	insn_lgdt(&gdtr);
	insn_load_segments(SELECTOR_CODE, SELECTOR_DATA);
	insn_wrmsr(MSR_GS_BASE, (uint64_t)p);
	p->gdt[SELECTOR_TSS / 8] &= ~(2ul << 40);	/* LTR wants it not busy */
	insn_ltr(SELECTOR_TSS);
	insn_lldt(0);
	insn_lidt(&idtr);
}

uint64_t desc_idt_base(void)
{
	return (uint64_t)idt;
}
