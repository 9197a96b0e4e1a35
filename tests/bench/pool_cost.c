/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What pool operations cost, for tools/bench/pools.py: over the fake machine, without sanitizers.
 * Callgrind counts what measured() executes, which is one operation: `pool_cost NAME`.
 */
#include "tests/host/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/slab.h"
#include "tests/fake/arena.h"
#include "tests/fake/guest.h"
#include "tests/fake/machine.h"

#define NODE_BYTES	(4 * LARGE_SIZE)

/*
 * What the fake machine has of the C library, the product has of its slab: the linker sends calls
 * here (--wrap).
 */
void *__wrap_heap_alloc(size_t bytes, unsigned node);
void __wrap_heap_free(void *ptr, size_t bytes);

static struct mem pages;
static struct slab slab;
static struct pool *from, *to;
static struct fake_vm vm;
static const struct sched_ops *rr;
static struct sched_reason why;

/* The fake machine's complaints. */
void test_fail(const char *file, int line, const char *format, ...)
{
	fprintf(stderr, "pool_cost: %s:%d: %s\n", file, line, format);
	exit(1);
}

void *__wrap_heap_alloc(size_t bytes, unsigned node)
{
	return slab_alloc(&slab, bytes, node);
}

void __wrap_heap_free(void *ptr, size_t bytes)
{
	if (ptr != NULL) {
		slab_free(&slab, ptr, bytes);
	}
}

static void make_heap(void)
{
	struct topology t = arena_topology(1);
	struct arena arena = arena_make(NODE_BYTES);

	mem_init(&pages, &t);
	mem_add(&pages, arena.base, NODE_BYTES, 0);
	slab_init(&slab, &pages);
}

static void must(enum err e)
{
	if (e != ERR_OK) {
		test_fail(__FILE__, __LINE__, "%s", why.words);
	}
}

static void create(void)
{
	must(pool_create("new", rr, NULL, 0, &to, &why));
}

static void destroy(void)
{
	must(pool_destroy(to, &why));
}

static void join(void)
{
	must(pool_add_cpu(to, 1, &why));
}

static void leave(void)
{
	must(pool_remove_cpu(to, 1, &why));
}

static void move(void)
{
	must(pool_group_move(&vm.g, to, &why));
}

static enum dispatch_why halt(struct fake_vcpu *v, uint64_t until_ns)
{
	(void)v, (void)until_ns;
	return DISPATCH_BLOCKED;
}

/* From two pools, cpu 0 in one of them, cpu 1 free; a halted VM in the first. */
static const struct step {
	const char *name;
	void (*before[2])(void);
	void (*op)(void);
} steps[] = {
	{ "create", { NULL }, create },
	{ "destroy", { create }, destroy },
	{ "join", { create }, join },
	{ "leave", { create, join }, leave },
	{ "move", { create, join }, move },
};

__attribute__((noinline)) void measured(void (*op)(void));
__attribute__((noinline)) void measured(void (*op)(void))
{
	op();
	__asm__ volatile("");		/* so that op() is called from here, and not jumped to */
}

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 2 && i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (strcmp(argv[1], steps[i].name) != 0) {
			continue;
		}
		make_heap();
		fake_machine_init(2);
		fake_guest_init();
		rr = sched_policy_find("rr");
		must(pool_create("pool0", rr, NULL, 0, &from, &why));
		must(pool_add_cpu(from, 0, &why));
		fake_vm_init(&vm, "vm", 1);
		vm.v[0].act = halt;
		fake_vm_start(&vm, from);
		fake_run_all();
		fake_run_all();
		for (unsigned b = 0; b < 2 && steps[i].before[b] != NULL; b++) {
			steps[i].before[b]();
		}
		measured(steps[i].op);
		return 0;
	}
	return 2;
}
