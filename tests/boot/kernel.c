/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel that checks what boot/boot_info.h promises, tells it on COM1 and turns the machine off. */
#include <stdarg.h>
#include <stdbool.h>

#include "boot/boot_info.h"
#include "kernel/lib/addr.h"
#include "kernel/lib/format.h"
#include "kernel/lib/string.h"

struct registers { uint64_t rflags, cr0, cr3, cr4, rsp; };

uint8_t boottest_in8(uint16_t port);
void boottest_out8(uint16_t port, uint8_t value);
void boottest_out16(uint16_t port, uint16_t value);
uint64_t boottest_efer(void);
void boottest_main(uint64_t info_at, uint64_t rflags, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t rsp);

extern const char kernel_start[], kernel_text_end[], kernel_rodata_start[], kernel_rodata_end[], kernel_data_start[],
	kernel_end[];

static unsigned passed, failed;
static uint64_t zero_page[1024];	/* .bss must arrive as zeros */
static uint64_t data_word = 0x7461726e;	/* .data as linked */

#define COM1	0x3f8

static void out(char c)
{
	while ((boottest_in8(COM1 + 5) & 0x20) == 0) {
	}
	boottest_out8(COM1, (uint8_t)c);
}

static void puts(const char *s)
{
	for (; *s != '\0'; s++) {
		out(*s);
	}
}

static void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void print(const char *fmt, ...)
{
	char line[256];
	struct text t = text_make(line, sizeof(line));
	va_list args;

	va_start(args, fmt);
	text_vprintf(&t, fmt, args);
	va_end(args);
	puts(line);
}

static void check(bool good, const char *sentence)
{
	passed += good;
	failed += !good;
	print("%s: %s\n", good ? "pass" : "FAIL", sentence);
}

static void *direct(uint64_t at)
{
	return (void *)(BOOT_DIRECT_BASE + at);
}

/* The last-level entry that maps va: 0 where nothing does. *exec, *write: what all levels together allow. */
static uint64_t walk(uint64_t cr3, uint64_t va, bool *write, bool *exec)
{
	uint64_t entry = cr3;

	*write = *exec = true;
	for (int level = 3; level >= 0; level--) {
		const uint64_t *table = direct(entry & 0x000ffffffffff000ul);

		entry = table[(va >> (12 + 9 * level)) & 511];
		if ((entry & 1) == 0) {
			return 0;
		}
		*write = *write && (entry & 2) != 0;
		*exec = *exec && (entry >> 63) == 0;
		if ((entry & 0x80) != 0) {
			break;
		}
	}
	return entry;
}

static bool maps(uint64_t cr3, uint64_t va, bool want_write, bool want_exec)
{
	bool write, exec;

	return walk(cr3, va, &write, &exec) != 0 && write == want_write && exec == want_exec;
}

static uint32_t kind_at(const struct boot_info *info, uint64_t at)
{
	const struct boot_mem *map = direct(info->mem);

	for (unsigned i = 0; i < info->mem_count; i++) {
		if (at >= map[i].base && at - map[i].base < map[i].length) {
			return map[i].kind;
		}
	}
	return ~0u;
}

static void check_registers(const struct registers *r)
{
	check((r->rflags & 0x200) == 0, "interrupts are off");
	check((r->cr0 & 0x10000) != 0, "CR0.WP is set");
	check((r->cr4 & 0x1020) == 0x20, "PAE is on and 5-level paging is off");
	check((boottest_efer() & 0xd00) == 0xd00, "EFER has LME, LMA and NXE set");
	check(r->rsp > BOOT_DIRECT_BASE && (r->rsp & 15) == 8, "the stack lies in the direct map as after a call");
}

static void check_mappings(const struct boot_info *info, uint64_t cr3)
{
	check(maps(cr3, (uint64_t)kernel_start, false, true), "text is executable and not writable");
	check(maps(cr3, (uint64_t)kernel_rodata_start, false, false), "rodata is neither writable nor executable");
	check(maps(cr3, (uint64_t)kernel_data_start, true, false), "data is writable and not executable");
	check(maps(cr3, (uint64_t)kernel_end - 1, true, false), "bss is mapped to its end");
	check(maps(cr3, BOOT_DIRECT_BASE, true, false), "the direct map begins at 0, writable and not executable");
	check(maps(cr3, BOOT_DIRECT_BASE + info->direct_size - 1, true, false), "the direct map ends at direct_size");
	check(is_aligned(info->kernel_base, LARGE_SIZE), "the kernel is 2 MiB aligned");
	check(memcmp(direct(info->kernel_base), kernel_start, 4096) == 0, "the kernel lies at kernel_base");
	check(info->kernel_size == (uint64_t)(kernel_end - kernel_start), "kernel_size is the image's size");
}

static void check_map(const struct boot_info *info, uint64_t cr3)
{
	static const char *const names[] = { "free", "reclaim", "kept", "acpi", "reserved", "mmio" };
	const struct boot_mem *map = direct(info->mem);
	uint64_t end = 0, free_bytes = 0;
	bool sane = true, covered = true;

	for (unsigned i = 0; i < info->mem_count; i++) {
		const struct boot_mem *m = &map[i];

		print("mem %12lx %12lx %s\n", m->base, m->length, m->kind < 6 ? names[m->kind] : "?");
		sane = sane && m->base >= end && m->length > 0 && ((m->base | m->length) & 4095) == 0 && m->kind < 6;
		end = m->base + m->length;
		free_bytes += m->kind == BOOT_MEM_FREE ? m->length : 0;
		covered = covered && (m->kind >= BOOT_MEM_RESERVED || end <= info->direct_size);
	}
	print("free %lu KiB in %u ranges\n", free_bytes >> 10, info->mem_count);
	check(sane && info->mem_count > 3, "the memory map ascends in whole pages without overlap");
	check(covered, "the direct map covers all RAM of the map");
	check(kind_at(info, info->kernel_base) == BOOT_MEM_KEPT &&
	      kind_at(info, info->kernel_base + info->kernel_size - 1) == BOOT_MEM_KEPT, "the kernel is kept");
	check(kind_at(info, info->mem) == BOOT_MEM_KEPT, "the memory map itself is kept");
	check(kind_at(info, info->log) == BOOT_MEM_KEPT, "the log is kept");
	check(kind_at(info, cr3) == BOOT_MEM_RECLAIM, "the page tables can be reclaimed");
}

static void check_files(const struct boot_info *info)
{
	const struct boot_file *files = direct(info->files);
	bool kept = true;

	for (unsigned i = 0; i < info->file_count; i++) {
		const uint8_t *bytes = direct(files[i].base);
		uint32_t sum = 0;

		for (uint64_t k = 0; k < files[i].size; k++) {
			sum = sum * 31 + bytes[k];
		}
		print("file %s %lu bytes, sum %08x\n", files[i].name, files[i].size, sum);
		kept = kept && is_aligned(files[i].base, PAGE_SIZE) && kind_at(info, files[i].base) == BOOT_MEM_KEPT;
	}
	check(kept, "files are kept and page aligned");
	check(info->manifest == 0 || strlen(direct(info->manifest)) == info->manifest_size,
	      "the manifest ends in a NUL");
	check(strlen(direct(info->log)) == info->log_size && info->log_size > 0, "the log is a text of log_size bytes");
	puts("--- log\n");
	puts(direct(info->log));
	puts("---\n");
}

static void power_off(void)
{
	while ((boottest_in8(COM1 + 5) & 0x40) == 0) {
	}
	for (const char *s = "Shutdown"; *s != '\0'; s++) {	/* Bochs */
		boottest_out8(0x8900, (uint8_t)*s);
	}
	boottest_out16(0x604, 0x2000);				/* QEMU q35 */
}

void boottest_main(uint64_t info_at, uint64_t rflags, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t rsp)
{
	const struct boot_info *info = direct(info_at);
	const struct registers r = { rflags, cr0, cr3, cr4, rsp };
	uint64_t ones = 0;

	print("boottest: entered\n");
	check(info->magic == BOOT_INFO_MAGIC && info->version == BOOT_INFO_VERSION && info->size == sizeof(*info),
	      "boot_info has its magic, version and size");
	check(kind_at(info, info_at) == BOOT_MEM_KEPT, "boot_info is kept");
	check_registers(&r);
	for (unsigned i = 0; i < 1024; i++) {
		ones |= zero_page[i];
	}
	data_word++;
	check(ones == 0 && data_word == 0x7461726f, "bss is zero and data is as linked");
	check_mappings(info, cr3);
	check_map(info, cr3);
	check_files(info);
	check(info->rsdp != 0 && memcmp(direct(info->rsdp), "RSD PTR ", 8) == 0, "the RSDP is where it is said to be");
	check(info->handoff_tsc != 0, "the TSC at hand-off is noted");
	print("handoff tsc %lu, direct map %lu MiB\n", info->handoff_tsc, info->direct_size >> 20);
	print("framebuffer %lx %ux%u stride %u bgr %u\n", info->framebuffer.base, info->framebuffer.width,
	      info->framebuffer.height, info->framebuffer.stride, info->framebuffer.bgr);
	print("boottest: %u passed, %u failed\n", passed, failed);
	power_off();
}
