/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attack: every form of instruction that reaches a device by memory, beside the same on RAM: registers and flags must come out
 * alike. The I/O APIC's select is a byte of RAM to every size; the local APIC's task priority takes 32 bits.
 */
#include "tests/guests/trap.h"

#define TPR		0xfee00080ul
#define SELECT		0xfec00000ul
#define WINDOW		0x40000000ul
#define CF		0x001u
#define PF		0x004u
#define AF		0x010u
#define ZF		0x040u
#define SF		0x080u
#define OF		0x800u
#define ALL		(CF | PF | AF | ZF | SF | OF)

/* Memory operand at [rdi], or [rsi] for LODS and MOVS; 32 bits. flags: those that are defined after. least: bytes of its narrowest kin. */
static const struct form {
	const char *name;
	uint32_t flags;
	uint8_t least;
	uint8_t count;
	uint8_t bytes[10];
} forms[] = {
	{ "mov m, r", ALL, 1, 2, { 0x89, 0x1f } },
	{ "mov r, m", ALL, 1, 2, { 0x8b, 0x1f } },
	{ "mov m, imm", ALL, 1, 6, { 0xc7, 0x07, 0x30, 0, 0, 0 } },
	{ "mov r9, m", ALL, 4, 3, { 0x44, 0x8b, 0x0f } },
	{ "mov ah, m", ALL, 4, 2, { 0x8a, 0x27 } },
	{ "mov r16, m", ALL, 4, 3, { 0x66, 0x8b, 0x1f } },
	{ "mov with SIB and disp", ALL, 4, 4, { 0x8b, 0x5c, 0x27, 0x00 } },
	{ "mov r, gs:m", ALL, 4, 3, { 0x65, 0x8b, 0x1f } },
	{ "mov r, [edi]", ALL, 4, 3, { 0x67, 0x8b, 0x1f } },
	{ "movzx b", ALL, 4, 3, { 0x0f, 0xb6, 0x1f } },
	{ "movzx w", ALL, 4, 3, { 0x0f, 0xb7, 0x1f } },
	{ "movsx b", ALL, 4, 4, { 0x48, 0x0f, 0xbe, 0x1f } },
	{ "movsx w", ALL, 4, 4, { 0x48, 0x0f, 0xbf, 0x1f } },
	{ "movsxd", ALL, 4, 3, { 0x48, 0x63, 0x1f } },
	{ "add m, r", ALL, 1, 2, { 0x01, 0x1f } },
	{ "add r, m", ALL, 1, 2, { 0x03, 0x1f } },
	{ "or m, r", ALL & ~AF, 1, 2, { 0x09, 0x1f } },
	{ "or r, m", ALL & ~AF, 1, 2, { 0x0b, 0x1f } },
	{ "adc m, r", ALL, 1, 2, { 0x11, 0x1f } },
	{ "adc r, m", ALL, 1, 2, { 0x13, 0x1f } },
	{ "sbb m, r", ALL, 1, 2, { 0x19, 0x1f } },
	{ "sbb r, m", ALL, 1, 2, { 0x1b, 0x1f } },
	{ "and m, r", ALL & ~AF, 1, 2, { 0x21, 0x1f } },
	{ "and r, m", ALL & ~AF, 1, 2, { 0x23, 0x1f } },
	{ "sub m, r", ALL, 1, 2, { 0x29, 0x1f } },
	{ "sub r, m", ALL, 1, 2, { 0x2b, 0x1f } },
	{ "xor m, r", ALL & ~AF, 1, 2, { 0x31, 0x1f } },
	{ "xor r, m", ALL & ~AF, 1, 2, { 0x33, 0x1f } },
	{ "cmp m, r", ALL, 1, 2, { 0x39, 0x1f } },
	{ "cmp r, m", ALL, 1, 2, { 0x3b, 0x1f } },
	{ "add m, imm8", ALL, 2, 3, { 0x83, 0x07, 0x11 } },
	{ "sub m, imm32", ALL, 1, 6, { 0x81, 0x2f, 0x11, 0, 0, 0 } },
	{ "cmp m, imm8", ALL, 2, 3, { 0x83, 0x3f, 0x40 } },
	{ "lock or m, r", ALL & ~AF, 1, 3, { 0xf0, 0x09, 0x1f } },
	{ "test m, r", ALL & ~AF, 1, 2, { 0x85, 0x1f } },
	{ "test m, imm", ALL & ~AF, 1, 6, { 0xf7, 0x07, 0x40, 0, 0, 0 } },
	{ "not m", ALL, 1, 2, { 0xf7, 0x17 } },
	{ "neg m", ALL, 1, 2, { 0xf7, 0x1f } },
	{ "inc m", ALL, 1, 2, { 0xff, 0x07 } },
	{ "dec m", ALL, 1, 2, { 0xff, 0x0f } },
	{ "xchg m, r", ALL, 1, 2, { 0x87, 0x1f } },
	{ "cmpxchg m, r, equal", ALL, 1, 3, { 0x0f, 0xb1, 0x1f } },
	{ "xadd m, r", ALL, 1, 3, { 0x0f, 0xc1, 0x1f } },
	{ "bt m, imm", CF | ZF, 2, 4, { 0x0f, 0xba, 0x27, 6 } },
	{ "bts m, imm", CF | ZF, 2, 4, { 0x0f, 0xba, 0x2f, 4 } },
	{ "btr m, imm", CF | ZF, 2, 4, { 0x0f, 0xba, 0x37, 6 } },
	{ "btc m, imm", CF | ZF, 2, 4, { 0x0f, 0xba, 0x3f, 5 } },
	{ "stosd", ALL, 1, 1, { 0xab } },
	{ "lodsd", ALL, 1, 1, { 0xad } },
	{ "movsd to it", ALL, 1, 1, { 0xa5 } },
	{ "rep lodsd", ALL, 1, 2, { 0xf3, 0xad } },
};

static uint32_t ram[1024] __attribute__((aligned(4096)));
static uint64_t source = 0x20;

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || byte == 0x65 || byte == 0xf0 || byte == 0xf3;
}

/* The same with an operand of `size` bytes: bit 0 of the opcode, 66h, REX.W; immediates are as wide, up to 4. Returns the length. */
static size_t sized(const struct form *f, unsigned size, uint8_t *out)
{
	size_t n = 0, i = 0, opcode;
	unsigned imm_cut = 0;

	if (size == 2) {
		out[n++] = 0x66;
	}
	while (is_prefix(f->bytes[i])) {
		out[n++] = f->bytes[i++];
	}
	if (size == 8) {
		out[n++] = 0x48;
	}
	if (f->bytes[i] == 0xc7 || f->bytes[i] == 0x81 || (f->bytes[i] == 0xf7 && (f->bytes[i + 1] >> 3 & 7) == 0)) {
		imm_cut = size < 4 ? 4 - size : 0;
	}
	opcode = n + (f->bytes[i] == 0x0f);
	while (i < f->count - imm_cut) {
		out[n++] = f->bytes[i++];
	}
	out[opcode] &= size == 1 ? 0xfe : 0xff;
	return n;
}

static void setup(struct trap_regs *r, uint64_t at, const struct form *f)
{
	*r = (struct trap_regs){ .gpr[RAX] = 0x40, .gpr[RBX] = 0x21, .gpr[RCX] = 1, .gpr[RDX] = 0x77, .gpr[RDI] = at,
				 .gpr[RSI] = at, .rflags = CF };
	if (f->bytes[0] == 0xa5) {
		r->gpr[RSI] = (uint64_t)&source;
	}
}

static void compare(const struct form *f, unsigned size, uint64_t device, uint32_t start)
{
	struct trap_regs a, b;
	unsigned va, vb;
	uint8_t bytes[16];
	size_t count = sized(f, size, bytes);

	setup(&a, (uint64_t)&ram[0x20], f);
	setup(&b, device, f);
	ram[0x20] = start;
	ram[0x21] = 0;
	*(volatile uint32_t *)device = start;
	va = trap_run(bytes, count, &a, false);
	vb = trap_run(bytes, count, &b, false);
	attack_check(va == TRAP_END && vb == va, f->name, va, vb);
	for (unsigned i = 0; i < 16; i++) {
		if ((i == RDI || i == RSI) && !(f->bytes[0] == 0xa5 && i == RSI)) {
			a.gpr[i] -= (uint64_t)&ram[0x20];
			b.gpr[i] -= device;
		}
		attack_check(a.gpr[i] == b.gpr[i], f->name, size << 8 | i, b.gpr[i]);
	}
	attack_check(((a.rflags ^ b.rflags) & f->flags) == 0, f->name, a.rflags, b.rflags);
	attack_check((ram[0x20] & 0xff) == *(volatile uint32_t *)device, f->name, ram[0x20], *(volatile uint32_t *)device);
}

static void compare_all(const struct form *f)
{
	static const uint32_t starts[] = { 0x40, 0, 0xff };

	for (unsigned i = 0; i < 3; i++) {
		compare(f, 4, TPR, starts[i]);
		for (unsigned size = f->least; size <= (f->least == 4 ? 4u : 8u); size *= 2) {
			compare(f, size, SELECT, starts[i]);
		}
	}
}

static uint64_t cr3(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}

/* RAM page, then device page, and the reverse: an operand over both. */
static void crossing(void)
{
	struct trap_regs r = { .gpr[RDI] = WINDOW + 4096 - 2, .gpr[RBX] = 0x11223344 };

	(void)cr3();
	trap_map(WINDOW, (uint64_t)ram, 3);
	trap_map(WINDOW + 4096, TPR & ~4095ul, 3);
	attack_check(TRAP_RUN(&r, false, 0x89, 0x1f) == TRAP_END, "a store from RAM into a device", 0, r.vector);
	attack_check(*(uint16_t *)((uint8_t *)ram + 4094) == 0x3344, "its part in RAM", 0, *(uint16_t *)((uint8_t *)ram + 4094));
	r = (struct trap_regs){ .gpr[RDI] = WINDOW + 4096 - 2 };
	attack_check(TRAP_RUN(&r, false, 0x8b, 0x1f) == TRAP_END && (r.gpr[RBX] & 0xffff) == 0x3344, "a load from both", 0,
		     r.gpr[RBX]);
	trap_map(WINDOW + 8192, 0, 0);
	r = (struct trap_regs){ .gpr[RDI] = WINDOW + 8192 - 2 };
	attack_check(TRAP_RUN(&r, false, 0x89, 0x1f) == TRAP_PF && r.cr2 == WINDOW + 8192, "a store past a device, absent", 0, r.cr2);
	trap_map(WINDOW + 4096, TPR & ~4095ul, 1);
	__asm__ volatile("mov %%cr0, %%rax; bts $16, %%rax; mov %%rax, %%cr0" : : : "rax");
	r = (struct trap_regs){ .gpr[RDI] = WINDOW + 4096 + 0x80 };
	attack_check(TRAP_RUN(&r, false, 0x89, 0x1f) == TRAP_PF, "a store to a read-only device page", 0, r.vector);
	trap_map(WINDOW, (uint64_t)ram, 1);
	r = (struct trap_regs){ .gpr[RSI] = WINDOW + 4096 + 0x80, .gpr[RDI] = WINDOW };
	attack_check(TRAP_RUN(&r, false, 0xa5) == TRAP_PF && r.cr2 == WINDOW, "MOVS from a device to a read-only page", 0, r.cr2);
}

/* A form that changes while it is decoded cannot be made with one vCPU; one that ends at a page end can. */
static void fetch_end(void)
{
	static uint8_t code[2][4096] __attribute__((aligned(4096)));
	struct trap_regs r = { .gpr[RDI] = TPR, .rip = WINDOW + 4094, .cs = TRAP_CODE, .ss = TRAP_DATA, .rflags = 2 };

	code[0][4094] = 0x8b;		/* mov ebx, [rdi]; then a page that is absent */
	code[0][4095] = 0x1f;
	trap_map(WINDOW, (uint64_t)code[0], 3);
	trap_map(WINDOW + 4096, 0, 0);
	r.gpr[RSP] = (uint64_t)&ram[1024];
	attack_check(trap_enter(&r) == TRAP_PF && r.cr2 == WINDOW + 4096, "a device read as a page's last bytes", 0, r.cr2);
}

void guest_main(const void *start_info)
{
	(void)start_info;
	trap_init();
	*(volatile uint32_t *)0xfee000f0 = 0x1ff;
	attack_step("forms");
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		compare_all(&forms[i]);
	}
	attack_step("crossing");
	crossing();
	attack_step("fetch");
	fetch_end();
	attack_done("mmio");
}
