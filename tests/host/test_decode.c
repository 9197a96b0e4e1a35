/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/decode and vm/emulate. Encodings are checked by table; effects by running the same bytes on the real cpu with
 * the operand in plain memory and comparing registers, flags and memory.
 */
#include "tests/host/test.h"

#include <stdio.h>
#include <sys/mman.h>

#include "tests/host/ram.h"
#include "vm/emulate.h"

/* --- Encodings. */

struct encoding {
	const char *bytes;
	unsigned code_bits;
	const char *want;
};

static unsigned unhex(const char *s, uint8_t *out)
{
	unsigned n = 0, v;

	while (*s != '\0') {
		if (*s == ' ') {
			s++;
			continue;
		}
		sscanf(s, "%2x", &v);
		out[n++] = (uint8_t)v;
		s += 2;
	}
	return n;
}

static const char *const mnemonics[] = {
#define MNEMONIC(name, words) [DECODE_##name] = words,
	DECODE_OP_TABLE(MNEMONIC)
#undef MNEMONIC
};

/* op SIZE [length]: destination, source. */
static const char *show(enum err e, const struct decode *d)
{
	static const char *const seg[] = { "es", "cs", "ss", "ds", "fs", "gs" };
	static char out[200];
	char mem[80], other[32] = "-";
	int n;

	if (e != ERR_OK) {
		return err_words(e);
	}
	n = snprintf(mem, sizeof(mem), "%s:%u[", seg[d->seg], d->addr_size * 8);
	if (d->base == DECODE_BASE_RIP) {
		n += snprintf(mem + n, sizeof(mem) - (size_t)n, "rip");
	} else if (d->base != DECODE_REG_NONE) {
		n += snprintf(mem + n, sizeof(mem) - (size_t)n, "r%u", d->base);
	}
	if (d->index != DECODE_REG_NONE) {
		n += snprintf(mem + n, sizeof(mem) - (size_t)n, "+r%u*%u", d->index, 1u << d->scale);
	}
	snprintf(mem + n, sizeof(mem) - (size_t)n, "%+ld]", (long)d->disp);
	if (d->has_imm) {
		snprintf(other, sizeof(other), "%ld", (long)d->imm);
	} else if (d->reg != DECODE_REG_NONE) {
		snprintf(other, sizeof(other), "r%u%s/%u", d->reg, d->reg_high ? "h" : "", d->reg_size);
	}
	snprintf(out, sizeof(out), "%s%s%s%u [%u] %s, %s", d->lock ? "lock " : "", d->rep ? "rep " : "",
		 mnemonics[d->op], d->size, d->length, d->to_memory ? mem : other, d->to_memory ? other : mem);
	return out;
}

static const struct encoding encodings[] = {
	{ "88 03", 64, "mov1 [2] ds:64[r3+0], r0/1" },
	{ "88 23", 64, "mov1 [2] ds:64[r3+0], r0h/1" },
	{ "40 88 23", 64, "mov1 [3] ds:64[r3+0], r4/1" },
	{ "89 87 b0 00 00 00", 64, "mov4 [6] ds:64[r7+176], r0/4" },
	{ "66 89 07", 64, "mov2 [3] ds:64[r7+0], r0/2" },
	{ "66 89 07", 16, "mov4 [3] ds:16[r3+0], r0/4" },
	{ "48 89 07", 64, "mov8 [3] ds:64[r7+0], r0/8" },
	{ "66 48 89 07", 64, "mov8 [4] ds:64[r7+0], r0/8" },
	{ "48 66 89 07", 64, "mov2 [4] ds:64[r7+0], r0/2" },
	{ "4d 8b 14 d1", 64, "mov8 [4] r10/8, ds:64[r9+r2*8+0]" },
	{ "4e 8b 14 e1", 64, "mov8 [4] r10/8, ds:64[r1+r12*8+0]" },
	{ "8b 04 24", 64, "mov4 [3] r0/4, ss:64[r4+0]" },
	{ "41 8b 04 24", 64, "mov4 [4] r0/4, ds:64[r12+0]" },
	{ "8b 45 f0", 64, "mov4 [3] r0/4, ss:64[r5-16]" },
	{ "41 8b 45 f0", 64, "mov4 [4] r0/4, ds:64[r13-16]" },
	{ "8b 05 10 00 00 00", 64, "mov4 [6] r0/4, ds:64[rip+16]" },
	{ "8b 05 20 00 e0 fe", 32, "mov4 [6] r0/4, ds:32[-18874336]" },
	{ "8b 04 25 20 00 e0 fe", 64, "mov4 [7] r0/4, ds:64[-18874336]" },
	{ "8b 04 85 00 10 00 00", 32, "mov4 [7] r0/4, ds:32[+r0*4+4096]" },
	{ "67 8b 00", 64, "mov4 [3] r0/4, ds:32[r0+0]" },
	{ "67 8b 00", 32, "mov4 [3] r0/4, ds:16[r3+r6*1+0]" },
	{ "8b 42 05", 16, "mov2 [3] r0/2, ss:16[r5+r6*1+5]" },
	{ "8b 0e 34 12", 16, "mov2 [4] r1/2, ds:16[+4660]" },
	{ "a1 20 00 e0 fe 00 00 00 00", 64, "mov4 [9] r0/4, ds:64[+4276092960]" },
	{ "a1 20 00 e0 fe", 32, "mov4 [5] r0/4, ds:32[+4276092960]" },
	{ "67 a2 20 00 e0 fe", 64, "mov1 [6] ds:32[+4276092960], r0/1" },
	{ "64 a3 04 00", 16, "mov2 [4] fs:16[+4], r0/2" },
	{ "c6 00 ff", 64, "mov1 [3] ds:64[r0+0], -1" },
	{ "c7 40 10 78 56 34 12", 64, "mov4 [7] ds:64[r0+16], 305419896" },
	{ "48 c7 00 ff ff ff ff", 64, "mov8 [7] ds:64[r0+0], -1" },
	{ "66 c7 00 34 12", 64, "mov2 [5] ds:64[r0+0], 4660" },
	{ "c7 48 10 78 56 34 12", 64, "not supported" },
	{ "0f b6 07", 64, "movzx1 [3] r0/4, ds:64[r7+0]" },
	{ "48 63 07", 64, "movsx4 [3] r0/8, ds:64[r7+0]" },
	{ "63 07", 64, "movsx4 [2] r0/4, ds:64[r7+0]" },
	{ "66 63 07", 64, "movsx2 [3] r0/2, ds:64[r7+0]" },
	{ "48 0f bf 07", 64, "movsx2 [4] r0/8, ds:64[r7+0]" },
	{ "66 0f be 27", 64, "movsx1 [4] r4/2, ds:64[r7+0]" },
	{ "0f c3 07", 64, "mov4 [3] ds:64[r7+0], r0/4" },
	{ "66 0f c3 07", 64, "not supported" },
	{ "f0 09 07", 64, "lock or4 [3] ds:64[r7+0], r0/4" },
	{ "f0 89 07", 64, "malformed" },
	{ "f0 03 07", 64, "malformed" },
	{ "f0 83 38 01", 64, "malformed" },
	{ "f0 83 08 01", 64, "lock or4 [4] ds:64[r0+0], 1" },
	{ "81 20 ff 00 00 00", 64, "and4 [6] ds:64[r0+0], 255" },
	{ "66 81 20 ff 00", 64, "and2 [5] ds:64[r0+0], 255" },
	{ "80 38 80", 64, "cmp1 [3] ds:64[r0+0], -128" },
	{ "f6 00 01", 64, "test1 [3] ds:64[r0+0], 1" },
	{ "f7 08 01 00 00 00", 64, "test4 [6] ds:64[r0+0], 1" },
	{ "f7 10", 64, "not4 [2] ds:64[r0+0], -" },
	{ "f7 20", 64, "not supported" },
	{ "f0 48 ff 00", 64, "lock inc8 [4] ds:64[r0+0], -" },
	{ "ff 10", 64, "not supported" },
	{ "87 08", 64, "xchg4 [2] ds:64[r0+0], r1/4" },
	{ "f0 0f b1 0b", 64, "lock cmpxchg4 [4] ds:64[r3+0], r1/4" },
	{ "0f ba 28 1f", 64, "bts4 [4] ds:64[r0+0], 31" },
	{ "0f ba 08 1f", 64, "not supported" },
	{ "f3 a5", 64, "rep movs4 [2] ds:64[r6+0], r0/4" },
	{ "f3 48 ab", 64, "rep stos8 [3] es:64[r7+0], r0/8" },
	{ "2e aa", 32, "stos1 [2] es:32[r7+0], r0/1" },
	{ "65 67 ac", 64, "lods1 [3] r0/1, gs:32[r6+0]" },
	{ "63 07", 32, "not supported" },	/* ARPL there */
	{ "63 07", 16, "not supported" },
	{ "89 c0", 64, "not supported" },
	{ "40", 32, "not supported" },
	{ "0f 05", 64, "not supported" },
	{ "8b 05 10 00 00", 64, "ends too early" },
	{ "f3", 64, "ends too early" },
	{ "", 64, "ends too early" },
	{ "66 66 66 66 66 66 66 66 66 66 66 66 66 89 07", 64, "mov2 [15] ds:64[r7+0], r0/2" },
	{ "66 66 66 66 66 66 66 66 66 66 66 66 66 66 89 07", 64, "malformed" },
};

TEST(encodings, "every encoding in the table decodes to what the manual says")
{
	for (unsigned i = 0; i < ARRAY_SIZE(encodings); i++) {
		uint8_t bytes[20] = { 0 };
		unsigned n = unhex(encodings[i].bytes, bytes);
		struct decode d;
		const char *got = show(decode_insn(bytes, n, encodings[i].code_bits, &d), &d);

		if (strcmp(got, encodings[i].want) != 0) {
			test_fail(__FILE__, __LINE__, "%s: got \"%s\", want \"%s\"", encodings[i].bytes, got,
				  encodings[i].want);
		}
	}
}

TEST(random_bytes, "random bytes decode within their length, to known fields")
{
	struct test_rng rng = { 11 };
	static const unsigned bits[] = { 16, 32, 64 };
	unsigned good = 0;

	for (unsigned i = 0; i < 300000; i++) {
		size_t len = test_rand_below(&rng, 16);
		uint8_t *bytes = malloc(len + 1);	/* a heap object: ASan sees a read past len */
		uint8_t *end = bytes + 1;
		struct decode d;
		uint64_t r[2] = { test_rand(&rng), test_rand(&rng) };

		memcpy(end, r, len);
		if (decode_insn(end, len, bits[i % 3], &d) == ERR_OK) {
			good++;
			CHECK(d.length > 0 && d.length <= len && d.op < DECODE_OP_COUNT && d.seg <= DECODE_GS);
			CHECK(d.size == 1 || d.size == 2 || d.size == 4 || d.size == 8);
			CHECK(d.reg < VIRT_GPR_COUNT || d.reg == DECODE_REG_NONE);
			CHECK(d.index < VIRT_GPR_COUNT || d.index == DECODE_REG_NONE);
			CHECK(d.scale <= 3 && (d.size < 8 || bits[i % 3] == 64));
		}
		free(bytes);
	}
	CHECK(good > 10000);
}

/* --- Effects, against the cpu this test runs on. */

struct context {
	uint64_t gpr[16];	/* 4 (RSP) not used */
	uint64_t rflags;
};

/* Loads the context, runs 16 bytes patched in at native_insn, stores the context. Position independent. */
__asm__(".pushsection .rodata\n"
	"native_start:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	push %rdi\n"
	"	pushq 128(%rdi); popfq\n"
	"	mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
	"	mov 40(%rdi), %rbp; mov 48(%rdi), %rsi; mov 64(%rdi), %r8; mov 72(%rdi), %r9\n"
	"	mov 80(%rdi), %r10; mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13\n"
	"	mov 112(%rdi), %r14; mov 120(%rdi), %r15; mov 56(%rdi), %rdi\n"
	"native_insn:\n"
	"	.fill 16, 1, 0x90\n"
	"	xchg %rdi, (%rsp)\n"
	"	mov %rax, 0(%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi)\n"
	"	mov %rbp, 40(%rdi); mov %rsi, 48(%rdi); mov %r8, 64(%rdi); mov %r9, 72(%rdi)\n"
	"	mov %r10, 80(%rdi); mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi)\n"
	"	mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
	"	pop 56(%rdi)\n"
	"	pushfq; pop 128(%rdi); cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	"native_end:\n"
	".popsection\n");

extern const uint8_t native_start[], native_insn[], native_end[];

static void native_run(const uint8_t *insn, size_t len, struct context *c)
{
	static uint8_t *code;
	void (*run)(struct context *);

	if (code == NULL) {
		code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	memcpy(code, native_start, (size_t)(native_end - native_start));
	memcpy(code + (native_insn - native_start), insn, len);
	memcpy(&run, &code, sizeof(run));
	run(c);
}

#define DEVICE	0xfee00000ul
#define BYTES	256u

static uint8_t device[BYTES];
static unsigned reads, writes;
static struct gmem no_ram;

static enum err device_read(void *ctx, gpa_t at, unsigned bytes, uint64_t *value)
{
	reads++;
	if (at.v < DEVICE || at.v - DEVICE > BYTES - bytes) {
		return ERR_NOENT;
	}
	*value = ~0ul;	/* what is above the bytes asked for must not matter */
	memcpy(value, device + (at.v - DEVICE), bytes);
	return ERR_OK;
}

static enum err device_write(void *ctx, gpa_t at, unsigned bytes, uint64_t value)
{
	writes++;
	if (at.v < DEVICE || at.v - DEVICE > BYTES - bytes) {
		return ERR_NOENT;
	}
	memcpy(device + (at.v - DEVICE), &value, bytes);
	return ERR_OK;
}

/* Flags the manual leaves undefined for d. */
static uint64_t undefined_flags(const struct decode *d)
{
	switch (d->op) {
	case DECODE_AND: case DECODE_OR: case DECODE_XOR: case DECODE_TEST: return 0x10;
	case DECODE_BT: case DECODE_BTS: case DECODE_BTR: case DECODE_BTC: return 0x894;
	default: return 0;
	}
}

/* RBX points at the middle of the operand's bytes in both runs, RSI and RDI into them for strings. */
static void compare(const char *hex, struct test_rng *rng)
{
	static uint8_t real[BYTES];
	uint8_t insn[16];
	unsigned n = unhex(hex, insn);
	struct context c, m;
	struct virt_state s = { .code_bits = 64 };
	struct decode d;
	struct emulate e = { .mem = &no_ram, .state = &s, .gpr = m.gpr, .mmio_read = device_read,
			     .mmio_write = device_write };
	uint64_t ignore, offset = DEVICE + 128;

	CHECK_EQ(decode_insn(insn, n, 64, &d), ERR_OK);
	CHECK_EQ(d.length, n);
	for (unsigned i = 0; i < BYTES; i++) {
		real[i] = device[i] = (uint8_t)test_rand(rng);
	}
	for (unsigned i = 0; i < 16; i++) {
		c.gpr[i] = test_rand(rng) >> test_rand_below(rng, 64);
	}
	c.rflags = 0x202 | (test_rand(rng) & (d.op >= DECODE_MOVS ? 0xcd5 : 0x8d5));
	c.gpr[VIRT_RCX] = d.rep ? test_rand_below(rng, 9) : d.op >= DECODE_BT ? test_rand_below(rng, 1024) - 512 :
			  c.gpr[VIRT_RCX];
	if (d.op == DECODE_CMPXCHG && test_rand_below(rng, 2) == 0) {
		memcpy(&c.gpr[VIRT_RAX], real + 128, 8);
	}
	m = c;
	c.gpr[VIRT_RBX] = (uint64_t)(real + 128);
	m.gpr[VIRT_RBX] = offset;
	if (d.op >= DECODE_MOVS) {
		uint64_t from = test_rand_below(rng, 64), to = test_rand_below(rng, 64);

		c.gpr[VIRT_RSI] = (uint64_t)(real + 96 + from);
		c.gpr[VIRT_RDI] = (uint64_t)(real + 96 + to);
		m.gpr[VIRT_RSI] = DEVICE + 96 + from;
		m.gpr[VIRT_RDI] = DEVICE + 96 + to;
	}
	e.rflags = m.rflags;
	CHECK_EQ(emulate_mmio(&e, &d, gpa(offset)), ERR_OK);
	native_run(insn, n, &c);
	ignore = undefined_flags(&d);
	if (((e.rflags ^ c.rflags) & 0xcd5 & ~ignore) != 0) {
		test_fail(__FILE__, __LINE__, "%s: flags %lx, the cpu has %lx", hex, e.rflags & 0xcd5, c.rflags & 0xcd5);
	}
	if (memcmp(real, device, BYTES) != 0) {
		test_fail(__FILE__, __LINE__, "%s: memory differs", hex);
	}
	for (unsigned i = 0; i < 16; i++) {
		bool pointer = i == VIRT_RBX || (d.op >= DECODE_MOVS && (i == VIRT_RSI || i == VIRT_RDI));
		uint64_t got = m.gpr[i] - (pointer ? DEVICE : 0), want = c.gpr[i] - (pointer ? (uint64_t)real : 0);

		if (got != want && i != VIRT_RSP) {
			test_fail(__FILE__, __LINE__, "%s: register %u is %lx, the cpu has %lx", hex, i, got, want);
		}
	}
}

/* The memory operand is always [rbx], [rbx + disp] or a string's. */
static const char *const effects[] = {
	"88 03", "88 23", "40 88 33", "44 88 0b", "66 89 03", "89 03", "48 89 03", "4c 89 4b 10",
	"8a 03", "8a 23", "8a 33", "40 8a 33", "66 8b 03", "8b 03", "48 8b 03", "4c 8b 7b f8",
	"c6 03 80", "66 c7 03 34 92", "c7 03 78 56 34 92", "48 c7 03 78 56 34 92",
	"0f b6 03", "66 0f b6 03", "48 0f b6 03", "0f b7 03", "48 0f b7 03", "66 0f be 03", "0f be 03", "48 0f be 03",
	"0f bf 03", "48 0f bf 03", "63 03", "48 63 03", "0f c3 03", "48 0f c3 03",
	"00 0b", "01 0b", "48 01 0b", "66 01 0b", "02 0b", "03 0b", "02 2b", "48 03 0b", "66 03 0b",
	"08 0b", "09 0b", "0a 0b", "48 0b 0b", "10 0b", "11 0b", "66 11 0b", "12 0b", "48 13 0b",
	"18 0b", "19 0b", "66 19 0b", "1a 0b", "48 1b 0b", "20 0b", "21 0b", "22 2b", "23 0b",
	"28 0b", "29 0b", "2a 0b", "48 2b 0b", "66 29 0b", "30 0b", "31 0b", "32 0b", "48 33 0b",
	"38 0b", "39 0b", "3a 0b", "48 3b 0b", "66 3b 0b", "84 0b", "85 0b", "48 85 0b",
	"80 03 7f", "80 0b 81", "80 13 7f", "80 1b 7f", "80 23 0f", "80 2b 7f", "80 33 ff", "80 3b 7f",
	"81 03 00 00 00 80", "48 81 2b 00 00 00 80", "66 81 13 ff 7f", "83 1b ff", "48 83 3b ff", "66 83 2b 80",
	"f6 03 81", "f7 03 00 00 00 80", "48 f7 03 00 00 00 80", "f6 13", "f7 13", "48 f7 13", "f6 1b", "f7 1b",
	"66 f7 1b", "48 f7 1b", "fe 03", "fe 0b", "ff 03", "ff 0b", "66 ff 03", "48 ff 0b", "f0 48 ff 0b",
	"86 0b", "86 2b", "87 0b", "66 87 0b", "48 87 0b", "4c 87 4b 08",
	"0f b0 0b", "0f b1 0b", "66 0f b1 0b", "f0 48 0f b1 0b", "0f c0 0b", "0f c0 2b", "0f c1 0b", "f0 48 0f c1 0b",
	"0f a3 0b", "0f ab 0b", "0f b3 0b", "0f bb 0b", "66 0f bb 0b", "48 0f ab 0b", "48 0f b3 0b",
	"0f ba 23 05", "0f ba 2b 1f", "0f ba 33 ff", "48 0f ba 3b 3f", "66 0f ba 3b 1f", "f0 0f ba 2b 07",
	"a4", "66 a5", "a5", "48 a5", "aa", "66 ab", "ab", "48 ab", "ac", "66 ad", "ad", "48 ad",
	"f3 a4", "f3 66 a5", "f3 a5", "f3 aa", "f3 ab", "f3 ac", "f3 ad", "f2 aa",
};

TEST(effects, "an emulated instruction leaves what the real cpu leaves")
{
	struct test_rng rng = { 5 };
	hpa_t none = HPA_NONE;

	gmem_init(&no_ram, PAGE_SIZE, &none, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(effects); i++) {
		for (unsigned round = 0; round < 60; round++) {
			compare(effects[i], &rng);
		}
	}
}

/* --- What a comparison cannot show. */

static uint64_t gpr[VIRT_GPR_COUNT];

static enum err run(const char *hex, struct emulate *e, const struct virt_state *s, uint64_t fault)
{
	uint8_t insn[16];
	struct decode d;
	unsigned n = unhex(hex, insn);

	CHECK_EQ(decode_insn(insn, n, s->code_bits, &d), ERR_OK);
	e->state = s;
	e->gpr = gpr;
	e->mmio_read = device_read;
	e->mmio_write = device_write;
	return emulate_mmio(e, &d, gpa(fault));
}

TEST(one_access, "a move makes one access of the right size, at the exit's address")
{
	struct emulate e = { .mem = &no_ram };
	struct virt_state s = { .code_bits = 64, .cr0 = 0x80000001, .efer = 0x500, .rip = 0x1000 };

	reads = writes = 0;
	memset(device, 0, sizeof(device));
	gpr[VIRT_RAX] = 0x1122334455667788;
	gpr[VIRT_RBX] = 0xffffffffff5fd010;	/* virtual; never walked: there are no tables at all */
	CHECK_EQ(run("89 03", &e, &s, DEVICE + 0x10), ERR_OK);
	CHECK_EQ(writes, 1);
	CHECK_EQ(reads, 0);
	CHECK_EQ(device[0x10] | device[0x13] << 8 | device[0x14] << 16, 0x5588);
	CHECK_EQ(run("8b 0b", &e, &s, DEVICE + 0x10), ERR_OK);
	CHECK_EQ(gpr[VIRT_RCX], 0x55667788);
	CHECK_EQ(reads, 1);
	CHECK_EQ(run("83 3b 00", &e, &s, DEVICE + 0x10), ERR_OK);
	CHECK_EQ(reads, 2);
	CHECK_EQ(writes, 1);
}

TEST(refused, "a destination in RSP is refused and a device's error comes back with nothing changed")
{
	struct emulate e = { .mem = &no_ram, .rflags = 0x2 };
	struct virt_state s = { .code_bits = 64, .rsp = 0x77 };

	gpr[VIRT_RBX] = DEVICE;
	CHECK_EQ(run("8b 23", &e, &s, DEVICE), ERR_NOTSUP);
	CHECK_EQ(run("87 23", &e, &s, DEVICE), ERR_NOTSUP);
	CHECK_EQ(run("89 23", &e, &s, DEVICE), ERR_OK);
	CHECK_EQ(device[0], 0x77);
	gpr[VIRT_RBX] = 0xd0000000;
	gpr[VIRT_RCX] = 5;
	CHECK_EQ(run("8b 0b", &e, &s, 0xd0000000), ERR_NOENT);
	CHECK_EQ(run("01 0b", &e, &s, 0xd0000000), ERR_NOENT);
	CHECK_EQ(gpr[VIRT_RCX], 5);
	CHECK_EQ(e.rflags, 2);
}

TEST(strings_ram, "string moves go between RAM and a device, over page ends, and stop at a page fault with its code")
{
	struct gmem g = ram_make(LARGE_SIZE);
	struct emulate e = { .mem = &g };
	struct virt_state s = { .code_bits = 64, .cr0 = 0x80010001, .cr3 = 0x1000, .cr4 = 0x20, .efer = 0xd00 };

	/* linear 0x200000 -> 0x5000, 0x201000 -> 0x9000, 0x202000 -> the device, 0x203000 -> nothing */
	ram_put(&g, 0x1000, 0x2003, 8);
	ram_put(&g, 0x2000, 0x3003, 8);
	ram_put(&g, 0x3008, 0x4003, 8);
	ram_put(&g, 0x4000, 0x5003, 8);
	ram_put(&g, 0x4008, 0x9003, 8);
	ram_put(&g, 0x4010, DEVICE | 3, 8);
	ram_put(&g, 0x5ffe, 0xbbaa, 2);
	ram_put(&g, 0x9000, 0xddcc, 2);
	memset(device, 0, sizeof(device));
	writes = 0;
	gpr[VIRT_RSI] = 0x200ffe;
	gpr[VIRT_RDI] = 0x202020;
	CHECK_EQ(run("a5", &e, &s, DEVICE + 0x20), ERR_OK);
	CHECK_EQ(writes, 1);
	CHECK_EQ(memcmp(device + 0x20, "\xaa\xbb\xcc\xdd", 4), 0);
	/* From the device to a page that is missing: the fault comes before the device is read. */
	gpr[VIRT_RSI] = 0x202000;
	gpr[VIRT_RDI] = 0x1ffffc;
	gpr[VIRT_RCX] = 4;
	reads = 0;
	CHECK_EQ(run("f3 a5", &e, &s, DEVICE), ERR_NOENT);
	CHECK_EQ(e.fault_linear, 0x1ffffc);
	CHECK_EQ(e.fault_code, 2);
	CHECK_EQ(reads, 0);
	CHECK_EQ(gpr[VIRT_RCX], 4);
	ram_free(&g);
}

TEST(strings_long, "a long REP string is done in parts, and RIP stays until the last")
{
	struct emulate e = { .mem = &no_ram };
	struct virt_state s = { .code_bits = 64 };
	unsigned rounds = 1;

	gpr[VIRT_RDI] = DEVICE;
	gpr[VIRT_RCX] = BYTES + EMULATE_STRING_BATCH;
	CHECK_EQ(run("f3 aa", &e, &s, DEVICE), ERR_OK);
	CHECK(e.repeat);
	CHECK_EQ(gpr[VIRT_RCX], BYTES);
	gpr[VIRT_RDI] = DEVICE;
	while (e.repeat && rounds < 10) {
		CHECK_EQ(run("f3 aa", &e, &s, DEVICE), ERR_OK);
		rounds++;
	}
	CHECK_EQ(rounds, 2);
	CHECK_EQ(gpr[VIRT_RCX], 0);
}

TEST(segments, "segment bases count in 16- and 32-bit code and only FS and GS in 64-bit code")
{
	struct emulate e = { .mem = &no_ram };
	struct virt_state s = { .code_bits = 16, .ds_base = DEVICE, .es_base = DEVICE + 8, .fs_base = DEVICE + 16 };

	memset(device, 0, sizeof(device));
	gpr[VIRT_RAX] = 0x1234;
	gpr[VIRT_RDI] = 0xabcd0004;	/* 16-bit addressing sees 4 */
	CHECK_EQ(run("aa", &e, &s, DEVICE + 12), ERR_OK);
	CHECK_EQ(device[12], 0x34);
	CHECK_EQ(gpr[VIRT_RDI], 0xabcd0005);
	gpr[VIRT_RBX] = 0x10000;
	CHECK_EQ(run("88 67 05", &e, &s, DEVICE + 5), ERR_OK);
	CHECK_EQ(device[5], 0x12);
	s.code_bits = 64;
	gpr[VIRT_RBX] = 1;
	CHECK_EQ(run("64 88 03", &e, &s, DEVICE + 17), ERR_OK);
	CHECK_EQ(device[17], 0x34);
	gpr[VIRT_RDI] = DEVICE + 20;
	CHECK_EQ(run("aa", &e, &s, DEVICE + 20), ERR_OK);
	CHECK_EQ(device[20], 0x34);
}

TEST(fetch, "the instruction at CS:RIP is fetched through the guest's tables")
{
	struct gmem g = ram_make(LARGE_SIZE);
	struct virt_state s = { .code_bits = 32, .cs_base = 0x1000, .rip = 0x234 };
	uint8_t bytes[DECODE_BYTES_MAX];
	struct decode d;
	size_t n;

	ram_put(&g, 0x1234, 0xfee000b005c7ul, 8);
	CHECK_EQ(emulate_decode(&g, &s, bytes, &n, &d), ERR_OK);
	CHECK_EQ(n, DECODE_BYTES_MAX);
	CHECK_EQ(d.length, 10);
	s.rip = LARGE_SIZE - 0x1000 - 1;
	ram_put(&g, LARGE_SIZE - 1, 0xc7, 1);
	CHECK_EQ(emulate_decode(&g, &s, bytes, &n, &d), ERR_TRUNCATED);
	CHECK_EQ(n, 1);
	ram_free(&g);
}
