/* SPDX-License-Identifier: BSD-2-Clause */
/* arch/x86_64/vmx/ept: what the tables give a guest, and how code becomes executable where 2 MiB pages of it are not allowed. */
#include "tests/host/test.h"

#include "arch/x86_64/vmx/ept.c"
#include "tests/fake/arena.h"
#include "tests/fake/machine.h"

#define CHUNKS		8u
#define HIGH		(1ul << 32)
#define APIC		0xfee00000ul
#define LOW_BYTES	(2 * LARGE_SIZE + 256 * PAGE_SIZE)

static struct arena arena;
static struct topology topology;
static bool small_code;
static uint64_t ram;

uint64_t mitigate_new_vm(void)
{
	return 1;
}

bool mitigate_small_code(void)
{
	return small_code;
}

static uint64_t free_pages(void)
{
	return mem.node[0].free_pages;
}

static void begin(bool small)
{
	fake_machine_init(1);
	small_code = small;
	arena = arena_make(CHUNKS * LARGE_SIZE);
	topology = arena_topology(1);
	mem_init(&mem, &topology);
	mem_add(&mem, arena.base, CHUNKS * LARGE_SIZE, 0);
	ram = arena.base + LARGE_SIZE;		/* only its address, and its node */
	while (!hpa_is_none(mem_alloc(&mem, 0, LARGE_PAGES, MEM_STRICT))) {
	}
}

static void end(void)
{
	CHECK(mem_check(&mem));
	arena_free(&arena);
	fake_machine_fini();
}

static enum err map_all(struct virt_space *s)
{
	enum err e = vmx_space_map(s, gpa(0), hpa(ram), LOW_BYTES);

	if (e == ERR_OK) {
		e = vmx_space_map(s, gpa(HIGH), hpa(ram + 4 * LARGE_SIZE), LARGE_SIZE);
	}
	return e == ERR_OK ? vmx_space_map_apic(s, gpa(APIC)) : e;
}

/* As a cpu walks: where `at` lies and what all levels allow; 0 where nothing. */
static uint64_t walk(const struct virt_space *s, uint64_t at, uint64_t *allowed, uint64_t *size)
{
	uint64_t table = s->root.v;

	*allowed = 7;
	for (unsigned shift = 39;; shift -= 9) {
		uint64_t e = ((const uint64_t *)table)[at >> shift & 511];

		*allowed &= e;
		if ((e & 7) == 0) {
			return 0;
		}
		*size = 1ul << shift;
		if (shift == 12 || (e & 1ul << 7) != 0) {
			CHECK((e >> 3 & 7) == 6 && (e & EPT_ADDRESS & (*size - 1)) == 0);
			return (e & EPT_ADDRESS) + (at & (*size - 1));
		}
		table = e & EPT_ADDRESS;
	}
}

static void check_page(const struct virt_space *s, uint64_t at, uint64_t to, uint64_t want, uint64_t want_size)
{
	uint64_t allowed, size = 0, got = walk(s, at, &allowed, &size);

	CHECK_EQ(got, to);
	CHECK_EQ(allowed, want);
	CHECK_EQ(size, want_size);
}

TEST(code, "a fetch turns its own 2 MiB to executable 4 KiB pages of the same memory, and takes no memory for it")
{
	uint64_t before, all;
	struct virt_space *s;

	begin(true);
	all = free_pages();
	CHECK_EQ(vmx_space_create(0, &s), ERR_OK);
	CHECK_EQ(map_all(s), ERR_OK);
	before = free_pages();
	CHECK(all - before >= vmx_space_pages(s));
	for (uint64_t at = 0; at < LOW_BYTES; at += PAGE_SIZE) {
		bool large = at < 2 * LARGE_SIZE;

		check_page(s, at, ram + at, large ? 3 : 7, large ? LARGE_SIZE : PAGE_SIZE);
	}
	for (unsigned twice = 0; twice < 2; twice++) {		/* another vCPU comes later with the same fetch */
		CHECK(vmx_space_execute(s, gpa(LARGE_SIZE + 0x1234)));
		for (uint64_t at = 0; at < 2 * LARGE_SIZE; at += PAGE_SIZE) {
			check_page(s, at, ram + at, at < LARGE_SIZE ? 3 : 7, at < LARGE_SIZE ? LARGE_SIZE : PAGE_SIZE);
		}
		check_page(s, HIGH, ram + 4 * LARGE_SIZE, 3, LARGE_SIZE);
	}
	CHECK(vmx_space_execute(s, gpa(HIGH + LARGE_SIZE - 1)));
	check_page(s, HIGH + LARGE_SIZE - PAGE_SIZE, ram + 5 * LARGE_SIZE - PAGE_SIZE, 7, PAGE_SIZE);
	CHECK_EQ(free_pages(), before);
	vmx_space_destroy(s);
	CHECK_EQ(free_pages(), all);
	end();
}

TEST(devices, "a fetch from a device's page or from nowhere stays refused")
{
	for (unsigned small = 0; small < 2; small++) {
		const uint64_t not_ram[] = { APIC, APIC + 4096, LOW_BYTES, HIGH - 1, HIGH + LARGE_SIZE, 1ul << 39, (1ul << 48) - 1 };
		struct virt_space *s;

		begin(small != 0);
		CHECK_EQ(vmx_space_create(0, &s), ERR_OK);
		CHECK_EQ(map_all(s), ERR_OK);
		for (unsigned i = 0; i < ARRAY_SIZE(not_ram); i++) {
			CHECK(!vmx_space_execute(s, gpa(not_ram[i])));
		}
		check_page(s, APIC, s->apic_page.v, 3, PAGE_SIZE);
		vmx_space_destroy(s);
		end();
	}
}

TEST(large, "where the cpu has not the flaw, RAM is executable in 2 MiB pages and costs three tables less for three of them")
{
	uint64_t pages[2];

	for (unsigned small = 0; small < 2; small++) {
		struct virt_space *s;

		begin(small != 0);
		CHECK_EQ(vmx_space_create(0, &s), ERR_OK);
		CHECK_EQ(map_all(s), ERR_OK);
		check_page(s, LARGE_SIZE, ram + LARGE_SIZE, small ? 3 : 7, LARGE_SIZE);
		pages[small] = vmx_space_pages(s);
		vmx_space_destroy(s);
		end();
	}
	CHECK_EQ(pages[1] - pages[0], 3 + 3);		/* and a second page for each of three directories */
}

TEST(short, "without memory for some table a space is refused, and all that it took comes back")
{
	for (unsigned left = 0;; left++) {
		struct virt_space *s = NULL;
		hpa_t taken[LARGE_PAGES];
		unsigned count = 0;
		uint64_t before;
		enum err e;

		begin(true);
		while (free_pages() > left) {
			taken[count++] = mem_alloc(&mem, 0, 1, MEM_STRICT);
		}
		before = free_pages();
		e = vmx_space_create(0, &s);
		if (e == ERR_OK) {
			e = map_all(s);
			vmx_space_destroy(s);
		}
		CHECK_EQ(free_pages(), before);
		while (count > 0) {
			mem_free(&mem, taken[--count], 1);
		}
		end();
		if (e == ERR_OK) {
			CHECK(left > 10);
			break;
		}
		CHECK_EQ(e, ERR_NOMEM);
	}
}
