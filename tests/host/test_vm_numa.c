/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs over several nodes: where their memory and vCPUs go, and that the guest is told just that. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"
#include "vm/vm_memory.h"
#include "vm/vm_numa.h"

/* Two cpus, one a node; node 0 has six whole 2 MiB pages, node 1 two. */
static struct vm *make(unsigned vcpus, uint64_t bytes)
{
	static const struct fake_step script[] = { { .kind = FAKE_SPIN } };
	struct vm_config c;

	fixture_make(2, script, 1);
	cpu_get(1)->node = 1;
	for (unsigned i = 0; i < 4; i++) {
		machine.topology.distance[i / 2][i % 2] = i % 3 == 0 ? 10 : 21;
	}
	c = fixture_config("v");
	c.vcpus = vcpus;
	c.memory_bytes = bytes;
	return fixture_start(&c);
}

/* What the guest is told of each block is where it is. */
static void check_told(const struct vm *vm, const struct guest_numa *n)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n->range_count; i++) {
		const struct guest_numa_range *r = &n->range[i];

		CHECK(gmem_contains(&vm->mem, gpa(r->base), r->length));
		for (uint64_t at = r->base; at < r->base + r->length; at += PAGE_SIZE) {
			CHECK_EQ(mem_node_of(&mem, gmem_hpa(&vm->mem, gpa(at))), vm->span[r->node]);
		}
		total += r->length;
	}
	CHECK_EQ(total, vm->mem.size);
}

static void end(void)
{
	memset(machine.topology.distance, 0, sizeof(machine.topology.distance));
	fixture_end();
}

TEST(two, "a VM of two vCPUs over two nodes has half its memory, and one vCPU that would rather "
	  "be, on each")
{
	struct vm *vm = make(2, 4 * LARGE_SIZE);
	struct guest_numa n;

	CHECK(vm->span_count == 2 && vm->span[0] == 0 && vm->span[1] == 1);
	vm_numa_describe(vm, &n);
	CHECK(n.node_count == 2 && n.vcpu_nodes == 2 && n.range_count == 2);
	CHECK_EQ(n.range[0].length, 2 * LARGE_SIZE);
	CHECK_EQ(n.range[1].base, 2 * LARGE_SIZE);
	CHECK(n.distance[0][0] == 10 && n.distance[0][1] == 21 && n.distance[1][1] == 10);
	check_told(vm, &n);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(cpuset_count(&vm->vcpu[i]->entity.soft) == 1 &&
		      cpuset_has(&vm->vcpu[i]->entity.soft, i));
	}
	end();
}

TEST(by_command, "so does a VM that `vm create` makes without soft-affinity; with it each vCPU has what it says")
{
	struct vm *vm;

	(void)make(1, LARGE_SIZE);
	CHECK_EQ(shell_run("vm create w pool=p vcpus=2 memory=8M kernel=kernel"), ERR_OK);
	vm = vm_find("w");
	CHECK(vm->span_count == 2 && cpuset_count(&vm->vcpu[0]->entity.soft) == 1 && cpuset_count(&vm->vcpu[1]->entity.soft) == 1);
	vm_destroy(vm);
	CHECK_EQ(shell_run("vm create w pool=p vcpus=2 memory=8M kernel=kernel soft-affinity=all"), ERR_OK);
	vm = vm_find("w");
	CHECK(vm->span_count == 2 && cpuset_count(&vm->vcpu[1]->entity.soft) > 1);
	vm_destroy(vm);
	end();
}

TEST(short_node, "where a node has too little the other takes it, and the guest is told so")
{
	struct vm *vm = make(2, 6 * LARGE_SIZE);
	struct guest_numa n;

	vm_numa_describe(vm, &n);
	CHECK_EQ(n.range_count,
		 3); /* node 1 has two whole large pages for the three meant for it */
	CHECK(n.range[1].node == 1 && n.range[1].length == 2 * LARGE_SIZE && n.range[2].node == 0);
	check_told(vm, &n);
	end();
}

TEST(tables, "a node without room for a block's page tables is as good as full: the block is on another, and nothing is kept there")
{
	struct vm *vm;
	uint64_t was;

	vm = make(1, LARGE_SIZE);
	was = mem.node[0].free_pages;
	fake_virt_no_tables = 0;
	CHECK_EQ(shell_run("vm create w pool=p memory=4M kernel=kernel"), ERR_OK);
	CHECK_EQ(vm->node, 0);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(mem_node_of(&mem, gmem_hpa(&vm_find("w")->mem, gpa(i * LARGE_SIZE))), 1);
	}
	CHECK(was - mem.node[0].free_pages < LARGE_SIZE / PAGE_SIZE);
	vm_destroy(vm_find("w"));
	CHECK(shell_run("vm create w pool=p memory=8M kernel=kernel") != ERR_OK);
	fake_virt_no_tables = NODE_NONE;
	end();
}

TEST(one, "one vCPU, or too little memory to share, stays on one node, which needs no telling")
{
	struct vm *vm = make(1, 4 * LARGE_SIZE);
	struct guest_numa n;

	vm_numa_describe(vm, &n);
	CHECK(vm->span_count == 1 && n.node_count == 1);
	end();
	vm = make(2, 3 * LARGE_SIZE);
	CHECK_EQ(vm->span_count, 1);
	CHECK(cpuset_count(&vm->vcpu[1]->entity.soft) > 1);
	end();
}
