/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/emulate with code, page tables and registers as a hostile guest would make them. */
#include "tests/host/test.h"

#include "tests/host/ram.h"
#include "vm/emulate.h"

#define DEVICE	0xfee00000ul
#define BYTES	256u

/* Code, tables and registers that a hostile guest would make: mostly addresses where something begins or ends. */
static uint64_t hostile_address(struct test_rng *rng)
{
	static const uint64_t base[] = { 0, DEVICE, DEVICE + 0x1000, LARGE_SIZE, 0x1000, 0x3000, 0x800000000000ul, 0xffff800000000000ul,
					 1ul << 32, 0x200000, 0x203000 };

	return test_rand_below(rng, 8) == 0 ? test_rand(rng) >> test_rand_below(rng, 64) :
	       base[test_rand_below(rng, ARRAY_SIZE(base))] + test_rand_below(rng, 33) - 16;
}

static uint64_t hostile_entry(struct test_rng *rng)
{
	static const uint64_t to[] = { 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0, DEVICE, LARGE_SIZE, 0x000ffffffffff000ul };

	return to[test_rand_below(rng, ARRAY_SIZE(to))] | (test_rand_below(rng, 4) == 0 ? test_rand(rng) & 0x80000000000001fful : 7);
}

static unsigned device_accesses;

static enum err any_device(gpa_t at, unsigned bytes)
{
	device_accesses++;
	CHECK(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
	CHECK((at.v & PAGE_MASK) + bytes <= PAGE_SIZE);
	return at.v >= DEVICE && at.v < DEVICE + PAGE_SIZE ? ERR_OK : ERR_RANGE;	/* as vplatform_mmio() does */
}

static enum err any_read(void *ctx, gpa_t at, unsigned bytes, uint64_t *value)
{
	*value = 0x123456789abcdef0;
	return any_device(at, bytes);
}

static enum err any_write(void *ctx, gpa_t at, unsigned bytes, uint64_t value)
{
	CHECK(bytes == 8 || value >> 8 * bytes == 0);
	return any_device(at, bytes);
}

TEST(hostile, "random instructions over random tables, registers and modes stay in RAM and the device, and end")
{
	static const unsigned modes[] = { 16, 32, 64 };
	struct test_rng rng = { 77 };
	struct gmem g = ram_make(LARGE_SIZE);
	unsigned done = 0, faults = 0, outside = 0;

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t regs[VIRT_GPR_COUNT + 1], code[2] = { test_rand(&rng), test_rand(&rng) };
		bool flat = test_rand_below(&rng, 2) == 0;
		struct virt_state s = {
			.code_bits = modes[test_rand_below(&rng, 3)], .cpl = (unsigned)test_rand_below(&rng, 2) * 3,
			.cr0 = flat ? 1 : 0x80000001 | (test_rand(&rng) & 0x10000), .cr3 = 0x1000, .cr4 = test_rand(&rng) & 0x101030,
			.rip = test_rand_below(&rng, LARGE_SIZE), .rsp = hostile_address(&rng),
		};
		struct emulate e = { .mem = &g, .state = &s, .gpr = regs, .rflags = test_rand(&rng), .mmio_read = any_read,
				     .mmio_write = any_write };
		uint8_t bytes[DECODE_BYTES_MAX];
		struct decode d;
		size_t n;
		enum err err;

		s.efer = s.code_bits == 64 ? 0x500 | (test_rand(&rng) & 0x800) : 0;
		s.ds_base = s.es_base = s.code_bits == 64 ? 0 : hostile_address(&rng) & UINT32_MAX;
		s.fs_base = hostile_address(&rng);
		for (unsigned r = 0; r <= VIRT_GPR_COUNT; r++) {
			regs[r] = hostile_address(&rng);
		}
		ram_put(&g, test_rand_below(&rng, 5 * 512) * 8 + 0x1000, hostile_entry(&rng), 8);
		s.rip = flat ? s.rip : hostile_address(&rng) & UINT32_MAX;
		if (emulate_decode(&g, &s, bytes, &n, &d) != ERR_OK && decode_insn(code, 16, s.code_bits, &d) != ERR_OK) {
			continue;
		}
		device_accesses = 0;
		code[0] = regs[VIRT_RSP];
		code[1] = regs[VIRT_GPR_COUNT];
		err = emulate_mmio(&e, &d, gpa(DEVICE + (test_rand(&rng) & PAGE_MASK)));
		done += err == ERR_OK;
		faults += err == ERR_NOENT;
		outside += err == ERR_RANGE;
		CHECK(err == ERR_OK || err == ERR_NOENT || err == ERR_RANGE || err == ERR_NOTSUP);
		CHECK(device_accesses <= 2 * 8 * EMULATE_STRING_BATCH);
		CHECK(regs[VIRT_RSP] == code[0] && regs[VIRT_GPR_COUNT] == code[1]);
		CHECK(!e.repeat || d.rep);
	}
	CHECK(done > 1000 && faults > 1000 && outside > 1000);
	ram_free(&g);
}
