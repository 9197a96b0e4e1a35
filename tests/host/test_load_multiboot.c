/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/load_multiboot: images made here, right ones and every way to be wrong. */
#include "tests/host/load_fixture.h"

#define SIZE		0x2000u
#define HEADER		0x180u		/* in the file */
#define AT		0x100000u

static void fill(void)
{
	for (unsigned i = 0; i < SIZE; i++) {
		image[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
	}
}

static void put_header(uint32_t flags)
{
	poke(HEADER, 0x1badb002, 4);
	poke(HEADER + 4, flags, 4);
	poke(HEADER + 8, (uint32_t)-(0x1badb002 + flags), 4);
}

/* Flat: the file from 0x80 to its end at 1 MiB, 0x3000 bytes with its bss. */
static void make_flat(void)
{
	fill();
	put_header(0x10003);
	poke(HEADER + 12, AT + HEADER - 0x80, 4);
	poke(HEADER + 16, AT, 4);
	poke(HEADER + 20, AT + SIZE - 0x80, 4);
	poke(HEADER + 24, AT + 0x3000, 4);
	poke(HEADER + 28, AT + 0x24, 4);
}

/* ELF64 as GNU Mach's: its text at 16 MiB, data linked 1 GiB higher. */
static void make_elf(void)
{
	fill();
	memset(image, 0, 0x180);
	memcpy(image, "\x7f" "ELF\2\1\1", 7);
	poke(18, 62, 2);
	poke(24, 0x1000010, 8);
	poke(32, 64, 8);
	poke(54, 56, 2);
	poke(56, 2, 2);
	poke(64, 1, 4);
	poke(64 + 8, 0x100, 8);
	poke(64 + 16, 0x1000000, 8);
	poke(64 + 24, 0x1000000, 8);
	poke(64 + 32, 0x800, 8);
	poke(64 + 40, 0x800, 8);
	poke(120, 1, 4);
	poke(120 + 8, 0x1000, 8);
	poke(120 + 16, 0x41001000, 8);
	poke(120 + 24, 0x1001000, 8);
	poke(120 + 32, 0x100, 8);
	poke(120 + 40, 0x400, 8);
	put_header(3);
}

static void make_elf32(void)
{
	fill();
	memset(image, 0, 0x180);
	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	poke(18, 3, 2);
	poke(24, 0x40200010, 4);	/* linear: the segment lies 1 GiB lower */
	poke(28, 52, 4);
	poke(42, 32, 2);
	poke(44, 1, 2);
	poke(52, 1, 4);
	poke(52 + 4, 0x80, 4);
	poke(52 + 8, 0x40200000, 4);
	poke(52 + 12, 0x200000, 4);
	poke(52 + 16, 0x1000, 4);
	poke(52 + 20, 0x2000, 4);
	put_header(0);
}

static void check_text(const struct gmem *g, uint64_t at, const char *want)
{
	CHECK_STR((char *)gmem_ptr(g, gpa(at), 100), want);
}

static void check_map(const struct gmem *g, uint64_t at, uint64_t length)
{
	uint64_t ram = 0, end = 0;

	for (uint64_t stop = at + length; at < stop; at += 4 + ram_get(g, at, 4)) {
		uint64_t base = ram_get(g, at + 4, 8), size = ram_get(g, at + 12, 8);

		CHECK_EQ(ram_get(g, at, 4), 20);
		CHECK(base >= end && size > 0);
		end = base + size;
		ram += ram_get(g, at + 20, 4) == 1 ? size : 0;
	}
	CHECK_EQ(end, g->low_size);
	CHECK_EQ(ram, g->size - (VMAP_HIGH_RAM_BASE - VMAP_LOW_RAM_END));
}

TEST(flat, "a flat image goes where its address fields say and starts in 32-bit mode with EAX and EBX as Multiboot says")
{
	struct gmem g = ram_make(RAM);
	uint64_t info;

	make_flat();
	memset(gmem_ptr(&g, gpa(AT), 0x4000), 0xff, 0x4000);
	CHECK_EQ(load_copy(&g, SIZE), ERR_OK);
	CHECK_EQ(start.mode, VIRT_MODE_PROTECTED32);
	CHECK_EQ(start.rip, AT + 0x24);
	CHECK_EQ(start.gpr[VIRT_RAX], 0x2badb002);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(AT), SIZE - 0x80), image + 0x80, SIZE - 0x80), 0);
	for (uint64_t at = AT + SIZE - 0x80; at < AT + 0x3000; at++) {
		CHECK_EQ(ram_get(&g, at, 1), 0);
	}
	CHECK_EQ(ram_get(&g, AT + 0x3000, 1), 0xff);
	CHECK_EQ(ram_get(&g, start.gdt_base + 0x10, 8), 0x00cf9b000000ffff);
	info = start.gpr[VIRT_RBX];
	CHECK_EQ(ram_get(&g, info, 4), 0x24d);
	CHECK_EQ(ram_get(&g, info + 4, 4), 639);
	CHECK_EQ(ram_get(&g, info + 8, 4), 31 * 1024);
	CHECK_EQ(ram_get(&g, info + 20, 4), 0);
	check_text(&g, ram_get(&g, info + 64, 4), "Tarn");
	check_map(&g, ram_get(&g, info + 48, 4), ram_get(&g, info + 44, 4));
	ram_free(&g);
}

TEST(flat_open, "a load end and bss end of 0 mean the end of the file and no bss")
{
	struct gmem g = ram_make(RAM);

	make_flat();
	poke(HEADER + 20, 0, 4);
	poke(HEADER + 24, 0, 4);
	memset(gmem_ptr(&g, gpa(AT), 0x4000), 0xff, 0x4000);
	CHECK_EQ(load_copy(&g, SIZE), ERR_OK);
	CHECK_EQ(ram_get(&g, AT + SIZE - 0x81, 1), image[SIZE - 1]);
	CHECK_EQ(ram_get(&g, AT + SIZE - 0x80, 1), 0xff);
	ram_free(&g);
}

TEST(elf, "an ELF64 and an ELF32 start at their entry, linear ones too, with segments at physical addresses")
{
	struct gmem g = ram_make(RAM);

	make_elf();
	CHECK_EQ(load_copy(&g, SIZE), ERR_OK);
	CHECK_EQ(start.rip, 0x1000010);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(0x1000000), 0x800), image + 0x100, 0x800), 0);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(0x1001000), 0x100), image + 0x1000, 0x100), 0);
	make_elf32();
	CHECK_EQ(load_copy(&g, SIZE), ERR_OK);
	CHECK_EQ(start.rip, 0x200010);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(0x200000), 0x1000), image + 0x80, 0x1000), 0);
	ram_free(&g);
}

TEST(modules, "modules lie above the kernel in their order, page aligned, and command lines start with the file's name")
{
	struct gmem g = ram_make(RAM);
	static const struct image_blob modules[] = {
		{ .data = "dom0 kernel", .size = 11, .name = "vmlinuz", .cmdline = "console=hvc0 panic=-1" },
		{ .data = "initrd", .size = 6, .name = "initrd.gz", .cmdline = "" },
		{ .data = "", .size = 0, .name = NULL, .cmdline = NULL },
	};
	struct image_files f = { .kernel = { .data = image, .size = SIZE, .name = "xen" }, .cmdline = "com1=115200",
				 .modules = modules, .module_count = 3 };
	uint64_t info, list, at;

	make_flat();
	CHECK_EQ(load(&g, &f), ERR_OK);
	info = start.gpr[VIRT_RBX];
	check_text(&g, ram_get(&g, info + 16, 4), "xen com1=115200");
	CHECK_EQ(ram_get(&g, info + 20, 4), 3);
	list = ram_get(&g, info + 24, 4);
	at = ram_get(&g, list, 4);
	CHECK_EQ(at, AT + 0x3000);
	CHECK_EQ(ram_get(&g, list + 4, 4), at + 11);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(at), 11), "dom0 kernel", 11), 0);
	check_text(&g, ram_get(&g, list + 8, 4), "vmlinuz console=hvc0 panic=-1");
	CHECK_EQ(ram_get(&g, list + 16, 4), at + 0x1000);
	check_text(&g, ram_get(&g, list + 24, 4), "initrd.gz");
	CHECK_EQ(ram_get(&g, list + 32, 4), ram_get(&g, list + 36, 4));
	check_text(&g, ram_get(&g, list + 40, 4), "");
	f.initrd = (struct image_blob){ .data = "first", .size = 5, .name = "i" };
	CHECK_EQ(load(&g, &f), ERR_OK);
	CHECK_EQ(ram_get(&g, info + 20, 4), 4);
	CHECK_EQ(memcmp(gmem_ptr(&g, gpa(ram_get(&g, list, 4)), 5), "first", 5), 0);
	ram_free(&g);
}

TEST(limits, "modules that do not fit and command lines too long are refused with the figures")
{
	struct gmem g = ram_make(4 * MIB);
	static char line[LOAD_CMDLINE_BYTES + 1], big[3 * MIB];
	struct image_blob module = { .data = big, .size = 3 * MIB - 0x3000, .cmdline = "x" };
	struct image_files f = { .kernel = { .data = image, .size = SIZE, .name = "k" }, .modules = &module, .module_count = 1 };

	make_flat();
	CHECK_EQ(load(&g, &f), ERR_OK);
	module.size++;
	CHECK_EQ(load(&g, &f), ERR_NOMEM);
	CHECK_STR(why.words, "module: 3133441 bytes, but only 3133440 are free between 0x103000 and 0x400000");
	module.size = 1;
	memset(line, 'x', LOAD_CMDLINE_BYTES);
	f.cmdline = line;
	for (unsigned len = LOAD_CMDLINE_BYTES; len > LOAD_CMDLINE_BYTES - 6; len--) {
		line[len] = '\0';
		CHECK_EQ(load(&g, &f), ERR_LIMIT);
	}
	line[LOAD_CMDLINE_BYTES - 6] = '\0';	/* "k ", itself and its NUL, then " x" and its NUL */
	CHECK_EQ(load(&g, &f), ERR_OK);
	ram_free(&g);
}

TEST(flat_hostile, "each wrong address field is refused by name")
{
	static const struct hostile rows[] = {
		{ HEADER + 8, 0, 4, ERR_NOTSUP, "unknown content" },
		{ HEADER + 12, AT - 1, 4, ERR_FORMAT, "load_addr: 0x100000, expected" },
		{ HEADER + 16, AT + 0x200, 4, ERR_FORMAT, "load_addr: 0x100200, expected" },
		{ HEADER + 16, AT - 0x81, 4, ERR_FORMAT, "load_addr: 0xfff7f, expected 0xfff80 to header_addr 0x100100" },
		{ HEADER + 16, 0, 4, ERR_FORMAT, "load_addr: 0x0" },
		{ HEADER + 20, AT, 4, ERR_FORMAT, "load_end_addr: 0x100000 is below" },
		{ HEADER + 20, AT + SIZE - 0x7f, 4, ERR_TRUNCATED, "load_end_addr: 0x1f81 bytes from 0x80, but the file has 0x2000" },
		{ HEADER + 20, 0xffffffff, 4, ERR_TRUNCATED, "load_end_addr" },
		{ HEADER + 24, AT + 0x100, 4, ERR_FORMAT, "bss_end_addr: 0x100100 is below" },
		{ HEADER + 24, RAM + 1, 4, ERR_NOMEM, "bss_end_addr: 0x1f00001 bytes at 0x100000, but RAM ends at 0x2000000" },
		{ HEADER + 24, 0xffffffff, 4, ERR_NOMEM, "bss_end_addr" },
		{ HEADER + 28, AT - 1, 4, ERR_FORMAT, "entry_addr: 0xfffff lies outside" },
		{ HEADER + 28, AT + SIZE - 0x80, 4, ERR_FORMAT, "entry_addr: 0x101f80 lies outside" },
	};

	check_hostile(rows, ARRAY_SIZE(rows), make_flat, SIZE);
}

TEST(elf_hostile, "each wrong field of a Multiboot ELF is refused by name")
{
	static const struct hostile rows[] = {
		{ 0, 0, 4, ERR_NOTSUP, "flags: 0x3 without bit 16 (address fields), and the file is no ELF" },
		{ 18, 40, 2, ERR_NOTSUP, "e_machine: 40" },
		{ 24, 0x5000000, 8, ERR_FORMAT, "e_entry 0x5000000 lies in no PT_LOAD segment" },
		{ 32, ~0ul, 8, ERR_TRUNCATED, "e_phoff" },
		{ 32, SIZE - 100, 8, ERR_TRUNCATED, "e_phoff: 2 program headers at 0x1f9c, but the file has 0x2000 bytes" },
		{ 54, 55, 2, ERR_FORMAT, "e_phentsize: 55, expected at least 56" },
		{ 56, 65, 2, ERR_LIMIT, "e_phnum: 65" },
		{ 64 + 8, SIZE, 8, ERR_TRUNCATED, "segment 0: p_offset 0x2000" },
		{ 64 + 24, 0x8000, 8, ERR_FORMAT, "low memory is taken" },
		{ 64 + 32, 0x801, 8, ERR_FORMAT, "p_filesz 0x801 is more than p_memsz" },
		{ 64 + 40, RAM, 8, ERR_NOMEM, "RAM ends at 0x2000000" },
		{ 120 + 24, 0x10007ff, 8, ERR_FORMAT, "segment 1: p_paddr 0x10007ff overlaps segment 0" },
	};

	check_hostile(rows, ARRAY_SIZE(rows), make_elf, SIZE);
}

TEST(flags, "a required flag that is not known, and one that asks for a screen, is refused; optional ones are not")
{
	struct gmem g = ram_make(RAM);

	make_elf();
	put_header(0x0b);
	CHECK_EQ(load_copy(&g, SIZE), ERR_NOTSUP);
	CHECK_STR(why.words, "Multiboot: flags: 0xb, of which 0x8 is required and not known");
	put_header(7);
	CHECK_EQ(load_copy(&g, SIZE), ERR_NOTSUP);
	CHECK(strstr(why.words, "bit 2 requires a video mode") != NULL);
	put_header(0x80020003);
	CHECK_EQ(load_copy(&g, SIZE), ERR_OK);
	ram_free(&g);
}

TEST(low_memory, "below 1 MiB there are a BIOS data area and vectors that answer every BIOS call with an error")
{
	struct gmem g = ram_make(RAM);

	make_flat();
	CHECK_EQ(load_copy(&g, SIZE), ERR_OK);
	CHECK_EQ(ram_get(&g, 0x40e, 2), 0x9fc0);
	CHECK_EQ(ram_get(&g, 0x413, 2), 639);
	CHECK_EQ(ram_get(&g, 0x400, 2), 0x3f8);
	for (unsigned i = 0; i < 256; i++) {
		uint64_t at = ram_get(&g, 4 * i + 2, 2) * 16 + ram_get(&g, 4 * i, 2);

		CHECK_EQ(ram_get(&g, at, 1), 0x55);
		CHECK_EQ(ram_get(&g, at + 8, 1), 0xcf);
	}
	ram_free(&g);
}

TEST(truncated, "an image cut anywhere is refused or loaded, never read past its end")
{
	static void (*const make[])(void) = { make_flat, make_elf, make_elf32 };
	struct gmem g = ram_make(RAM);

	for (unsigned k = 0; k < ARRAY_SIZE(make); k++) {
		make[k]();
		for (size_t size = 0; size < 0x1000; size += size < 0x300 ? 1 : 101) {
			CHECK(load_copy(&g, size) != ERR_OK);
		}
	}
	ram_free(&g);
}

TEST(mutated, "randomly damaged images are loaded or refused, never touching memory outside")
{
	static void (*const make[])(void) = { make_flat, make_elf, make_elf32 };
	struct gmem g = ram_make(20 * MIB);
	struct test_rng rng = { 4711 };
	unsigned good = 0;

	for (unsigned i = 0; i < 3000; i++) {
		unsigned edits = 1 + (unsigned)test_rand_below(&rng, 3);

		make[i % 3]();
		while (edits-- > 0) {
			uint64_t at = i % 3 == 0 ? HEADER + 12 + test_rand_below(&rng, 20) : test_rand_below(&rng, 0xb0);
			uint64_t value = test_rand_below(&rng, 2) == 0 ? test_rand(&rng) : 1ul << test_rand_below(&rng, 64);

			poke(at, value, 1u << test_rand_below(&rng, 3));
		}
		good += load_copy(&g, SIZE) == ERR_OK;
	}
	CHECK(good > 200 && good < 2900);
	ram_free(&g);
}
