/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/image and the loaders: images made here, right ones and every way to be wrong. */
#include "tests/host/load_fixture.h"
#include "vm/gwalk.h"

#define BZ_SIZE		0x3000u
#define ELF_SIZE	0x2000u

/* A relocatable bzImage 2.15: 2 setup sectors, kernel from 0x600, at 16 MiB, 4 MiB of room. */
static void make_bzimage(void)
{
	for (unsigned i = 0; i < sizeof(image); i++) {
		image[i] = i < 0x600 ? 0 : (uint8_t)(i * 7 + (i >> 8));
	}
	poke(0x1f1, 2, 1);
	poke(0x1f4, (BZ_SIZE - 0x600) / 16, 4);
	poke(0x1fe, 0xaa55, 2);
	poke(0x200, 0x6aeb, 2);
	memcpy(image + 0x202, "HdrS", 4);
	poke(0x206, 0x20f, 2);
	poke(0x211, 1, 1);
	poke(0x22c, 0x7fffffff, 4);
	poke(0x230, 0x200000, 4);
	poke(0x234, 1, 1);
	poke(0x236, 0x7f, 2);
	poke(0x238, 2047, 4);
	poke(0x250, 0x1234, 8);
	poke(0x258, 0x1000000, 8);
	poke(0x260, 0x400000, 4);
}

static void check_map(const struct gmem *g, uint64_t at, unsigned stride, unsigned count)
{
	uint64_t ram = 0, end = 0;

	for (unsigned i = 0; i < count; i++, at += stride) {
		uint64_t base = ram_get(g, at, 8), size = ram_get(g, at + 8, 8);

		CHECK(base >= end && size > 0);
		end = base + size;
		if (ram_get(g, at + 16, 4) == 1) {
			CHECK(gmem_contains(g, gpa(base), size));
			CHECK(end <= VMAP_EBDA_END || base >= VMAP_HIGH_RAM_BASE);
			ram += size;
		}
	}
	CHECK_EQ(end, g->low_size);
	CHECK_EQ(ram, g->size - (VMAP_HIGH_RAM_BASE - VMAP_LOW_RAM_END));
}

TEST(linux64, "a bzImage starts by its 64-bit entry with boot_params, memory map, command line, initrd and RSDP")
{
	struct gmem g = ram_make(RAM);
	static uint8_t initrd[5000];
	struct image_files f = { .kernel = { .data = image, .size = BZ_SIZE }, .initrd = { .data = initrd, .size = 5000 },
				 .cmdline = "console=ttyS0 quiet" };
	uint64_t bp = LOAD_INFO, at;

	make_bzimage();
	memset(initrd, 0x5a, sizeof(initrd));
	CHECK_EQ(load(&g, &f), ERR_OK);
	CHECK_EQ(start.mode, VIRT_MODE_LONG64);
	CHECK_EQ(start.rip, 0x1000200);
	CHECK_EQ(start.gpr[VIRT_RSI], bp);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(0x1000000), BZ_SIZE - 0x600), image + 0x600, BZ_SIZE - 0x600), 0);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(bp + 0x202), 4), "HdrS", 4), 0);
	CHECK_EQ(ram_get(&g, bp + 0x210, 1), 0xff);
	CHECK_EQ(ram_get(&g, bp + 0x250, 8), 0);
	CHECK_EQ(ram_get(&g, bp + 0x1e0, 4), 31 * 1024);
	CHECK_STR((char *)gmem_ptr(&g, gpa(ram_get(&g, bp + 0x228, 4)), 100), "console=ttyS0 quiet");
	at = ram_get(&g, bp + 0x218, 4);
	CHECK_EQ(ram_get(&g, bp + 0x21c, 4), 5000);
	CHECK(at % PAGE_SIZE == 0 && at + 5000 <= RAM && at >= 0x1400000);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(at), 5000), initrd, 5000), 0);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(ram_get(&g, bp + 0x70, 8)), 8), "RSD PTR ", 8), 0);
	check_map(&g, bp + 0x2d0, 20, (unsigned)ram_get(&g, bp + 0x1e8, 1));
	ram_free(&g);
}

TEST(tables, "the start tables map the low 4 GiB to itself and hold flat segments")
{
	struct gmem g = ram_make(RAM);
	struct virt_state s = { .cr0 = 0x80000001, .cr4 = 0x20, .efer = 0xd00, .code_bits = 64 };
	struct gwalk w;

	make_bzimage();
	CHECK_EQ(load_copy(&g, BZ_SIZE), ERR_OK);
	s.cr3 = start.cr3;
	for (uint64_t at = 0x123; at < 4 * GIB; at += 0x3ffe00) {
		CHECK_EQ(gwalk_translate(&g, &s, at, GWALK_WRITE, &w), ERR_OK);
		CHECK_EQ(w.at.v, at);
	}
	CHECK_EQ(gwalk_translate(&g, &s, 4 * GIB, GWALK_WRITE, &w), ERR_NOENT);
	CHECK_EQ(start.gdt_limit, 0x1f);
	CHECK_EQ(ram_get(&g, start.gdt_base + 0x10, 8), 0x00af9b000000ffff);
	CHECK_EQ(ram_get(&g, start.gdt_base + 0x18, 8), 0x00cf93000000ffff);
	ram_free(&g);
}

TEST(initrd_place, "an initrd lies below initrd_addr_max and above the kernel, or is refused with the figures")
{
	struct gmem g = ram_make(RAM);
	static uint8_t initrd[13 * MIB];
	struct image_files f = { .kernel = { .data = image, .size = BZ_SIZE }, .initrd = { .data = initrd, .size = 8192 } };

	make_bzimage();
	poke(0x22c, 0x17fffff, 4);
	CHECK_EQ(load(&g, &f), ERR_OK);
	CHECK_EQ(ram_get(&g, LOAD_INFO + 0x218, 4), 0x17fe000);
	CHECK_EQ(ram_get(&g, LOAD_INFO + 0x228, 4), 0);
	make_bzimage();
	f.initrd.size = 12 * MIB;
	CHECK_EQ(load(&g, &f), ERR_OK);
	CHECK_EQ(ram_get(&g, LOAD_INFO + 0x218, 4), 0x1400000);
	f.initrd.size = 12 * MIB + 1;
	CHECK_EQ(load(&g, &f), ERR_NOMEM);
	CHECK_STR(why.words, "initrd: 12582913 bytes, but only 12582912 are free between the kernel and 0x2000000");
	poke(0x22c, 0xffff, 4);
	f.initrd.size = 1;
	CHECK_EQ(load(&g, &f), ERR_NOMEM);
	ram_free(&g);
}

TEST(linux_hostile, "each wrong field of a bzImage is refused by name")
{
	static const struct hostile rows[] = {
		{ 0x206, 0x207, 2, ERR_NOTSUP, "version: 2.07" },
		{ 0x211, 0, 1, ERR_NOTSUP, "loadflags" },
		{ 0x236, 0x7e, 2, ERR_NOTSUP, "xloadflags: 0x7e" },
		{ 0x201, 0x10, 1, ERR_FORMAT, "header ends at 0x212" },
		{ 0x201, 0xff, 1, ERR_FORMAT, "header ends at 0x301" },
		{ 0x1f1, 0xff, 1, ERR_TRUNCATED, "setup_sects" },
		{ 0x1f1, 0, 1, ERR_TRUNCATED, "syssize" },	/* 0 means 4 */
		{ 0x1f4, 0xffffffff, 4, ERR_TRUNCATED, "syssize" },
		{ 0x230, 0, 4, ERR_FORMAT, "kernel_alignment" },
		{ 0x230, 0x300000, 4, ERR_FORMAT, "kernel_alignment: 0x300000" },
		{ 0x258, 0, 8, ERR_FORMAT, "pref_address" },
		{ 0x258, 0x40000000, 8, ERR_NOMEM, "pref_address: 0x40000000, but RAM ends at 0x2000000" },
		{ 0x258, ~0ul, 8, ERR_NOMEM, "pref_address" },
		{ 0x260, 0xffffffff, 4, ERR_NOMEM, "init_size" },
		{ 0x238, 5, 4, ERR_LIMIT, "cmdline: 13 bytes, the image takes at most 5" },
		{ 0x1fe, 0, 2, ERR_NOTSUP, "unknown content" },
	};

	check_hostile(rows, ARRAY_SIZE(rows), make_bzimage, BZ_SIZE);
}

TEST(linux_fixed, "a bzImage that is not relocatable stays at its own address")
{
	struct gmem g = ram_make(RAM);

	make_bzimage();
	poke(0x206, 0x20c, 2);
	poke(0x234, 0, 1);
	poke(0x258, 0x100000, 8);
	CHECK_EQ(load_copy(&g, BZ_SIZE), ERR_OK);
	CHECK_EQ(start.rip, 0x100200);
	poke(0x258, 0x90000, 8);
	CHECK_EQ(load_copy(&g, BZ_SIZE), ERR_FORMAT);
	make_bzimage();
	poke(0x258, 0x1000001, 8);
	CHECK_EQ(load_copy(&g, BZ_SIZE), ERR_OK);
	CHECK_EQ(start.rip, 0x1200200);
	ram_free(&g);
}

TEST(truncated, "an image cut anywhere is refused or loaded, never read past its end")
{
	struct gmem g = ram_make(RAM);

	make_bzimage();
	for (size_t size = 0; size < BZ_SIZE - 16; size += size < 0x700 ? 1 : 101) {
		CHECK(load_copy(&g, size) != ERR_OK);
	}
	ram_free(&g);
}

/* --- PVH. */

#define ELF_NOTE	0x200u

/* ELF64: a note, text of 0x800 bytes at 1 MiB, data of 0x100 bytes in 0x3000 at 2 MiB + 0x100. */
static void make_elf64(void)
{
	memset(image, 0, sizeof(image));
	for (unsigned i = 0x400; i < ELF_SIZE; i++) {
		image[i] = (uint8_t)(i * 5 + 1);
	}
	memcpy(image, "\x7f" "ELF\2\1\1", 7);
	poke(16, 2, 2);
	poke(18, 62, 2);
	poke(32, 64, 8);
	poke(54, 56, 2);
	poke(56, 3, 2);
	poke(64, 4, 4);				/* 0: PT_NOTE */
	poke(64 + 8, ELF_NOTE, 8);
	poke(64 + 32, 44, 8);
	poke(64 + 48, 4, 8);
	poke(120, 1, 4);			/* 1: text */
	poke(120 + 8, 0x400, 8);
	poke(120 + 24, 0x100000, 8);
	poke(120 + 32, 0x800, 8);
	poke(120 + 40, 0x800, 8);
	poke(176, 1, 4);			/* 2: data and bss */
	poke(176 + 8, 0x1000, 8);
	poke(176 + 24, 0x200100, 8);
	poke(176 + 32, 0x100, 8);
	poke(176 + 40, 0x3000, 8);
	poke(ELF_NOTE, 4, 4);			/* another note of Xen's, then the entry */
	poke(ELF_NOTE + 4, 5, 4);
	poke(ELF_NOTE + 8, 6, 4);
	memcpy(image + ELF_NOTE + 12, "Xen\0abcde", 9);
	poke(ELF_NOTE + 24, 4, 4);
	poke(ELF_NOTE + 28, 4, 4);
	poke(ELF_NOTE + 32, 18, 4);
	memcpy(image + ELF_NOTE + 36, "Xen", 4);
	poke(ELF_NOTE + 40, 0x100040, 4);
}

static void make_elf32(void)
{
	memset(image, 0, sizeof(image));
	memset(image + 0x400, 0x77, 0x100);
	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	poke(18, 3, 2);
	poke(28, 52, 4);
	poke(42, 32, 2);
	poke(44, 2, 2);
	poke(52, 4, 4);
	poke(52 + 4, ELF_NOTE, 4);
	poke(52 + 16, 24, 4);
	poke(84, 1, 4);
	poke(84 + 4, 0x400, 4);
	poke(84 + 12, 0x100000, 4);
	poke(84 + 16, 0x100, 4);
	poke(84 + 20, 0x200, 4);
	poke(ELF_NOTE, 4, 4);
	poke(ELF_NOTE + 4, 8, 4);
	poke(ELF_NOTE + 8, 18, 4);
	memcpy(image + ELF_NOTE + 12, "Xen", 4);
	poke(ELF_NOTE + 16, 0x100010, 8);
}

TEST(pvh, "an ELF with a PVH note starts in flat 32-bit mode with its segments placed and start info in EBX")
{
	struct gmem g = ram_make(RAM);
	static const struct image_blob modules[] = {
		{ .data = "module", .size = 6, .cmdline = "args" }, { .data = "other", .size = 5 },
	};
	struct image_files f = { .kernel = { .data = image, .size = ELF_SIZE }, .initrd = { .data = "initrd!", .size = 7 },
				 .modules = modules, .module_count = 2, .cmdline = "a b" };
	uint64_t info, list, at;

	make_elf64();
	memset(gmem_ptr(&g, gpa(0x200000), 0x4000), 0xff, 0x4000);
	CHECK_EQ(load(&g, &f), ERR_OK);
	CHECK_EQ(start.mode, VIRT_MODE_PROTECTED32);
	CHECK_EQ(start.rip, 0x100040);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(0x100000), 0x800), image + 0x400, 0x800), 0);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(0x200100), 0x100), image + 0x1000, 0x100), 0);
	for (at = 0x200200; at < 0x203100; at++) {
		CHECK_EQ(ram_get(&g, at, 1), 0);
	}
	CHECK_EQ(ram_get(&g, 0x203100, 1), 0xff);
	CHECK_EQ(ram_get(&g, start.gdt_base + 0x10, 8), 0x00cf9b000000ffff);
	info = start.gpr[VIRT_RBX];
	CHECK_EQ(ram_get(&g, info, 4), 0x336ec578);
	CHECK_EQ(ram_get(&g, info + 4, 4), 1);
	CHECK_EQ(ram_get(&g, info + 12, 4), 3);
	CHECK_STR((char *)gmem_ptr(&g, gpa(ram_get(&g, info + 24, 8)), 100), "a b");
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(ram_get(&g, info + 32, 8)), 8), "RSD PTR ", 8), 0);
	list = ram_get(&g, info + 16, 8);
	at = ram_get(&g, list, 8);
	CHECK(at % PAGE_SIZE == 0 && memcmp(gmem_ptr(&g, gpa(at), 7), "initrd!", 7) == 0);
	CHECK_EQ(ram_get(&g, list + 8, 8), 7);
	CHECK_EQ(ram_get(&g, list + 16, 8), 0);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(ram_get(&g, list + 32, 8)), 6), "module", 6), 0);
	CHECK_STR((char *)gmem_ptr(&g, gpa(ram_get(&g, list + 48, 8)), 100), "args");
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(ram_get(&g, list + 64, 8)), 5), "other", 5), 0);
	check_map(&g, ram_get(&g, info + 40, 8), 24, (unsigned)ram_get(&g, info + 48, 4));
	ram_free(&g);
}

TEST(pvh32, "an ELF32 and an 8-byte entry note are taken too")
{
	struct gmem g = ram_make(RAM);

	make_elf32();
	CHECK_EQ(load_copy(&g, ELF_SIZE), ERR_OK);
	CHECK_EQ(start.rip, 0x100010);
	CHECK_EQ(ram_get(&g, 0x1000ff, 2), 0x77);
	ram_free(&g);
}

TEST(pvh_hostile, "each wrong field of an ELF is refused by name")
{
	static const struct hostile rows[] = {
		{ 18, 40, 2, ERR_NOTSUP, "e_machine: 40" },
		{ 32, ~0ul, 8, ERR_NOTSUP, "without a PVH entry note" },
		{ 54, 1, 2, ERR_NOTSUP, "without a PVH entry note" },
		{ 56, 0xffff, 2, ERR_LIMIT, "e_phnum: 65535" },
		{ 64 + 8, ~0ul, 8, ERR_NOTSUP, "without a PVH entry note" },
		{ 64 + 32, 20, 8, ERR_NOTSUP, "without a PVH entry note" },
		{ ELF_NOTE, 0xffffffff, 4, ERR_NOTSUP, "without a PVH entry note" },
		{ ELF_NOTE + 4, 0xfffffff0, 4, ERR_NOTSUP, "without a PVH entry note" },
		{ ELF_NOTE + 28, 3, 4, ERR_NOTSUP, "without a PVH entry note" },
		{ ELF_NOTE + 40, 0x300000, 4, ERR_FORMAT, "PVH entry 0x300000" },
		{ 120 + 8, ~0ul, 8, ERR_TRUNCATED, "segment 1: p_offset" },
		{ 120 + 8, 0x1801, 8, ERR_TRUNCATED, "segment 1: p_offset 0x1801" },
		{ 120 + 32, 0x801, 8, ERR_FORMAT, "p_filesz 0x801 is more than p_memsz" },
		{ 120 + 24, 0x9000, 8, ERR_FORMAT, "at 0x9000" },
		{ 120 + 24, 0xfffff, 8, ERR_FORMAT, "low memory is taken" },
		{ 120 + 24, ~0ul, 8, ERR_NOMEM, "RAM ends at 0x2000000" },
		{ 120 + 24, 0x1fff801, 8, ERR_NOMEM, "0x1fff801" },
		{ 120 + 24, 0x2030ff, 8, ERR_FORMAT, "segment 2: p_paddr 0x200100 overlaps segment 1" },
		{ 176 + 24, 0x1007ff, 8, ERR_FORMAT, "segment 2: p_paddr 0x1007ff overlaps segment 1" },
		{ 176 + 40, ~0ul, 8, ERR_NOMEM, "p_memsz" },
	};

	check_hostile(rows, ARRAY_SIZE(rows), make_elf64, ELF_SIZE);
}

TEST(kinds, "what is not a kernel is named for what it is")
{
	static const struct { const char *bytes, *words; } rows[] = {
		{ "\x1f\x8b\x08 gzip", "a gzip file" },
		{ "MZ.. program", "a UEFI program" },
		{ "070701 archive", "a cpio archive" },
		{ "\xfd" "7zXZ archive", "an xz file" },
		{ "hello", "unknown content" },
	};
	struct gmem g = ram_make(RAM);
	uint8_t multiboot[16] = { 0x90, 0x90, 0x90, 0x90, 0x02, 0xb0, 0xad, 0x1b, 3, 0, 0, 0, 0xfb, 0x4f, 0x52, 0xe4 };
	const char *found;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		strcpy((char *)image, rows[i].bytes);
		CHECK_EQ(load_copy(&g, strlen(rows[i].bytes)), ERR_NOTSUP);
		CHECK(strstr(why.words, rows[i].words) != NULL);
	}
	CHECK_EQ(load_copy(&g, 0), ERR_NOTSUP);
	CHECK(strstr(why.words, "an empty file") != NULL);
	CHECK_EQ(image_kind(multiboot, 16, &found), IMAGE_MULTIBOOT);
	CHECK_EQ(image_kind(multiboot, 15, &found), IMAGE_UNKNOWN);
	memcpy(image, multiboot, 16);
	CHECK_EQ(load_copy(&g, 16), ERR_NOTSUP);
	CHECK(strstr(why.words, "Multiboot: flags: 0x3 without bit 16") != NULL);
	ram_free(&g);
}

TEST(requests, "a VM too small, command lines too long and modules for Linux are refused")
{
	struct gmem small = ram_make(MIB), g = ram_make(RAM);
	static char line[LOAD_CMDLINE_BYTES + 1];
	struct image_blob module = { .data = "m", .size = 1 };
	struct image_files f = { .kernel = { .data = image, .size = BZ_SIZE }, .modules = &module, .module_count = 1 };

	make_bzimage();
	CHECK_EQ(load_copy(&small, BZ_SIZE), ERR_NOMEM);
	CHECK_EQ(load(&g, &f), ERR_INVAL);
	f.module_count = IMAGE_MODULES_MAX + 1;
	CHECK_EQ(load(&g, &f), ERR_LIMIT);
	f.module_count = 0;
	memset(line, 'x', LOAD_CMDLINE_BYTES);
	f.cmdline = line;
	CHECK_EQ(load(&g, &f), ERR_LIMIT);
	make_elf64();
	f.kernel.size = ELF_SIZE;
	CHECK_EQ(load(&g, &f), ERR_LIMIT);
	line[LOAD_CMDLINE_BYTES - 1] = '\0';
	CHECK_EQ(load(&g, &f), ERR_OK);
	module.cmdline = "y";
	f.module_count = 1;
	CHECK_EQ(load(&g, &f), ERR_LIMIT);
	ram_free(&small);
	ram_free(&g);
}

TEST(mutated, "randomly damaged images are loaded or refused, never touching memory outside")
{
	static void (*const make[])(void) = { make_bzimage, make_elf64, make_elf32 };
	struct gmem g = ram_make(20 * MIB);
	struct test_rng rng = { 99 };
	unsigned good = 0;

	for (unsigned i = 0; i < 3000; i++) {
		unsigned edits = 1 + (unsigned)test_rand_below(&rng, 4);

		make[i % 3]();
		if (i % 3 == 0) {
			poke(0x258, 0x200000, 8);
		}
		while (edits-- > 0) {
			uint64_t at = i % 3 == 0 ? 0x1f1 + test_rand_below(&rng, 0x80) : test_rand_below(&rng, 0x230);
			uint64_t value = test_rand_below(&rng, 2) == 0 ? test_rand(&rng) :
					 1ul << test_rand_below(&rng, 64);

			poke(at, value, 1u << test_rand_below(&rng, 4));
		}
		good += load_copy(&g, test_rand_below(&rng, 8) == 0 ? test_rand_below(&rng, ELF_SIZE) : ELF_SIZE + 0x1000) ==
			ERR_OK;
	}
	CHECK(good > 300 && good < 2900);
	ram_free(&g);
}
