/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with pools, guest files and scripted guests, for the tests of VMs' lives. */
#pragma once

#include <stdio.h>

#include "kernel/console.h"
#include "kernel/log.h"
#include "kernel/machine.h"
#include "kernel/shell.h"
#include "pool/dispatch.h"
#include "pool/pool.h"
#include "tests/fake/arena.h"
#include "tests/fake/machine.h"
#include "tests/fake/serial.h"
#include "tests/fake/virt.h"
#include "vm/vcpu.h"
#include "vm/vm.h"

#define SCRIPT(name, ...)	static const struct fake_step name[] = { __VA_ARGS__ }
#define END		FAKE_OUT(0xf4, 1, 0)	/* of a guest: with code 0 */

#define FIXTURE_CHUNKS	10u
#define FIXTURE_RAM	(6 * MIB)

static struct arena fixture_arena;
static struct boot_info fixture_boot;
static struct boot_file fixture_files[2];
static uint8_t fixture_kernel[0x500];
static struct sched_reason fixture_why;

static inline void fixture_poke(unsigned at, uint64_t value, unsigned width)
{
	memcpy(fixture_kernel + at, &value, width);
}

/* An ELF32 with a PVH entry at 1 MiB + 0x10, and a file that is no kernel. */
static inline void fixture_make_files(void)
{
	memset(fixture_kernel, 0, sizeof(fixture_kernel));
	memcpy(fixture_kernel, "\x7f" "ELF\1\1\1", 7);
	fixture_poke(18, 3, 2);
	fixture_poke(28, 52, 4);
	fixture_poke(42, 32, 2);
	fixture_poke(44, 2, 2);
	fixture_poke(52, 4, 4);
	fixture_poke(52 + 4, 0x200, 4);
	fixture_poke(52 + 16, 24, 4);
	fixture_poke(84, 1, 4);
	fixture_poke(84 + 4, 0x400, 4);
	fixture_poke(84 + 12, 0x100000, 4);
	fixture_poke(84 + 16, 0x100, 4);
	fixture_poke(84 + 20, 0x200, 4);
	fixture_poke(0x200, 4, 4);
	fixture_poke(0x200 + 4, 8, 4);
	fixture_poke(0x200 + 8, 18, 4);
	memcpy(fixture_kernel + 0x200 + 12, "Xen", 4);
	fixture_poke(0x200 + 16, 0x100010, 8);
	fixture_files[0] = (struct boot_file){ .name = "kernel", .base = (uint64_t)fixture_kernel, .size = sizeof(fixture_kernel) };
	fixture_files[1] = (struct boot_file){ .name = "text", .base = (uint64_t)"#!/bin/sh\n", .size = 10 };
	fixture_boot.file_count = 2;
	machine.boot = &fixture_boot;
	machine.files = fixture_files;
}

static inline void fixture_housekeeping(void)
{
	vm_housekeeping();
	(void)shell_poll();
	console_pump();
}

static uint64_t fixture_free_pages;
static long fixture_heap_blocks;
static bool fixture_left;	/* a test that failed left a running VM behind */

/* cpus cpus in one pool; cpu 0 keeps house. Guests run the script. */
static inline struct pool *fixture_make(unsigned cpus, const struct fake_step *script, unsigned count)
{
	struct topology t = arena_topology(2);
	struct pool *p;

	fixture_left = vm_any_running();
	while (vm_at(0) != NULL) {
		list_remove(&vm_at(0)->link);		/* left by a test that failed */
	}
	while (pool_at(0) != NULL) {
		list_remove(&pool_at(0)->link);
	}
	fake_machine_init(cpus);
	fake_virt_init(script, count);
	fake_serial_reset();
	console_attach_end();
	console_edit_close();
	console_set_polled(true);
	console_set_plain(false);
	con_end_line();
	console_flush();
	log_show();
	shell_init();
	fake_serial_forget();
	fixture_make_files();
	fixture_arena = arena_make(FIXTURE_CHUNKS * LARGE_SIZE);
	mem_init(&mem, &t);
	mem_add(&mem, fixture_arena.base, (FIXTURE_CHUNKS - 3) * LARGE_SIZE, 0);
	mem_add(&mem, fixture_arena.base + (FIXTURE_CHUNKS - 3) * LARGE_SIZE, 3 * LARGE_SIZE, 1);
	vm_init();
	dispatch_set_housekeeping(fixture_housekeeping, NULL);
	CHECK_EQ(pool_create("p", sched_policy_find("rr"), NULL, 0, &p, &fixture_why), ERR_OK);
	for (unsigned i = 0; i < cpus; i++) {
		CHECK_EQ(pool_add_cpu(p, i, &fixture_why), ERR_OK);
	}
	fixture_free_pages = mem.node[0].free_pages;
	fixture_heap_blocks = fake.heap_blocks;
	return p;
}

/* Nothing of any VM is left. */
static inline void fixture_check_empty(void)
{
	CHECK_EQ(vm_count(), 0);
	CHECK_EQ(mem.node[0].free_pages, fixture_free_pages);
	CHECK_EQ(mem.node[1].free_pages, mem.node[1].total_pages);
	CHECK_EQ(fake.heap_blocks, fixture_heap_blocks);
	CHECK_EQ(fake_virt_vcpus, 0);
	CHECK_EQ(fake_virt_spaces, 0);
	CHECK(!vm_any_running() || fixture_left);
	CHECK(mem_check(&mem));
}

static inline void fixture_end(void)
{
	fake_be_cpu(0);
	while (vm_at(0) != NULL) {
		vm_destroy(vm_at(0));
	}
	fixture_check_empty();
	while (pool_at(0) != NULL) {
		CHECK_EQ(pool_destroy(pool_at(0), &fixture_why), ERR_OK);
	}
	CHECK_EQ(fake.heap_blocks, 0);
	dispatch_set_housekeeping(NULL, NULL);
	arena_free(&fixture_arena);
	fake_machine_fini();
}

static inline struct vm_config fixture_config(const char *name)
{
	struct vm_config c = { .vcpus = 1, .memory_bytes = FIXTURE_RAM, .kernel = "kernel", .on_reboot = MANIFEST_RESTART };

	snprintf(c.name, sizeof(c.name), "%s", name);
	return c;
}

/* A running VM in the first pool. */
static inline struct vm *fixture_start(const struct vm_config *c)
{
	struct vm *vm = NULL;

	CHECK_EQ(vm_create(c, pool_at(0), &vm, &fixture_why), ERR_OK);
	CHECK_EQ(vm_start(vm, &fixture_why), ERR_OK);
	return vm;
}

/* A machine, and a VM of one vCPU on it that runs the script. */
static inline struct vm *fixture_start_script(unsigned cpus, const struct fake_step *script, unsigned count)
{
	struct vm_config c;

	fixture_make(cpus, script, count);
	c = fixture_config("v");
	return fixture_start(&c);
}

/* A machine of two cpus, which virtualize local APICs, and a VM on it. */
static inline struct vm *fixture_start_assisted(const struct fake_step *script, unsigned count, unsigned vcpus)
{
	struct vm_config c;

	fixture_make(2, script, count);
	fake_virt_apic = true;
	c = fixture_config("v");
	c.vcpus = vcpus;
	return fixture_start(&c);
}

static inline struct fake_virt_vcpu *fixture_guest(struct vm *vm)
{
	return fake_virt_of(vm->vcpu[0]->virt);
}

/* Every cpu goes round n times, the clock going on where all of them halt. */
static inline void fixture_run(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		fake_run_all();
	}
}

/* Halted cpus' clocks go to their next event; then a round. */
static inline void fixture_idle(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		uint64_t next = NS_NEVER;

		for (unsigned id = 0; id < fake.cpu_count; id++) {
			next = MIN(next, timer_next(&fake.cpu[id].cpu->timers));
		}
		if (next != NS_NEVER) {
			fake.now_ns = MAX(fake.now_ns, next);
		}
		fake_run_all();
	}
}

static inline const char *fixture_said(void)
{
	console_flush();
	return fake_serial.sent;
}

static inline bool fixture_says(const char *words)
{
	return strstr(fixture_said(), words) != NULL;
}

static inline unsigned fixture_times(const char *words)
{
	unsigned n = 0;

	for (const char *s = fixture_said(); (s = strstr(s, words)) != NULL; s++) {
		n++;
	}
	return n;
}
