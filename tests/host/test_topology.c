/* SPDX-License-Identifier: BSD-2-Clause */
/* The topology that MADT, SRAT and SLIT give: odd tables, limits, and mutated ones against the invariants. */
#include "kernel/topology.h"

#include <stdlib.h>

#include "kernel/lib/util.h"
#include "tests/host/acpi_build.h"
#include "tests/host/test.h"

#define ENABLED	1u

static struct build madt, srat, slit;
static struct topology topo;

/* Builds topo from copies of exactly the tables' sizes; a table of size 0 is not there. */
static void build_topology(uint32_t boot_apic_id)
{
	struct build *from[] = { &madt, &srat, &slit };
	uint8_t *copy[3];
	struct topology_tables in;

	for (unsigned i = 0; i < 3; i++) {
		copy[i] = from[i]->size == 0 ? NULL : build_copy(from[i], from[i]->size);
	}
	in = (struct topology_tables){ .madt = copy[0], .madt_size = madt.size, .srat = copy[1], .srat_size = srat.size,
				       .slit = copy[2], .slit_size = slit.size };
	topology_build(&topo, &in, boot_apic_id);
	for (unsigned i = 0; i < 3; i++) {
		free(copy[i]);
	}
}

static void start(void)
{
	madt.size = srat.size = slit.size = 0;
}

static bool noted(const char *words)
{
	for (unsigned i = 0; i < topo.note_count && i < TOPO_NOTE_MAX; i++) {
		if (strstr(topo.note[i], words) != NULL) {
			return true;
		}
	}
	return false;
}

/* The node of a physical address, or NODE_NONE. */
static unsigned node_of(uint64_t address)
{
	for (unsigned i = 0; i < topo.mem_count; i++) {
		if (address - topo.mem[i].base < topo.mem[i].length) {
			return topo.mem[i].node;
		}
	}
	return NODE_NONE;
}

/* What holds for every topology, whatever it was made of. */
static void check_invariants(void)
{
	unsigned order[NODE_MAX];

	CHECK(topo.cpu_count >= 1 && topo.cpu_count <= CPU_MAX);
	CHECK(topo.node_count >= 1 && topo.node_count <= NODE_MAX);
	CHECK(topo.mem_count <= TOPO_MEM_MAX);
	for (unsigned i = 0; i < topo.cpu_count; i++) {
		CHECK(topo.cpu[i].node < topo.node_count);
		for (unsigned j = 0; j < i; j++) {
			CHECK(topo.cpu[i].apic_id != topo.cpu[j].apic_id);
		}
	}
	for (unsigned i = 0; i < topo.mem_count; i++) {
		const struct topology_mem *m = &topo.mem[i];

		CHECK(m->length > 0 && m->length <= UINT64_MAX - m->base);
		CHECK(m->node < topo.node_count);
		CHECK(i == 0 || topo.mem[i - 1].base + topo.mem[i - 1].length <= m->base);
	}
	for (unsigned i = 0; i < topo.node_count; i++) {
		CHECK(i == 0 || topo.node_pxm[i - 1] < topo.node_pxm[i]);
		CHECK_EQ(topo.distance[i][i], DISTANCE_LOCAL);
		for (unsigned j = 0; j < topo.node_count; j++) {
			CHECK(i == j || topo.distance[i][j] > DISTANCE_LOCAL);
		}
		topology_fallback(&topo, i, order);
		CHECK_EQ(order[0], i);
		for (unsigned j = 1; j < topo.node_count; j++) {
			CHECK(topo.distance[i][order[j - 1]] <= topo.distance[i][order[j]]);
		}
	}
}

TEST(no_tables, "without tables there is one cpu, the boot cpu, in one node")
{
	start();
	build_topology(7);
	check_invariants();
	CHECK_EQ(topo.cpu_count, 1);
	CHECK_EQ(topo.cpu[0].apic_id, 7);
	CHECK_EQ(topo.node_count, 1);
	CHECK_EQ(topo.mem_count, 0);
	CHECK(!topo.has_srat && !topo.has_slit);
	CHECK_EQ(topo.lapic_address, 0xfee00000);
	CHECK_EQ(node_of(0), NODE_NONE);
}

TEST(cpu_order, "cpus are numbered in MADT order without disabled ones, placeholders and repeated ids")
{
	start();
	build_madt(&madt);
	build_lapic(&madt, 0, 0);		/* a disabled twin of the boot cpu */
	build_lapic(&madt, 4, ENABLED);
	build_lapic(&madt, 0, ENABLED);
	build_lapic(&madt, 0xff, ENABLED);
	build_lapic(&madt, 6, 2);		/* online capable only */
	build_x2apic(&madt, 0xffffffff, ENABLED);
	build_x2apic(&madt, 4, ENABLED);
	build_x2apic(&madt, 0xff, ENABLED);	/* a cpu like any other here */
	build_x2apic(&madt, 300, ENABLED);
	build_end(&madt);
	build_topology(0);
	check_invariants();
	CHECK_EQ(topo.cpu_count, 4);
	CHECK_EQ(topo.cpu[0].apic_id, 4);
	CHECK_EQ(topo.cpu[1].apic_id, 0);
	CHECK_EQ(topo.cpu[2].apic_id, 0xff);
	CHECK_EQ(topo.cpu[3].apic_id, 300);
	CHECK(noted("listed again"));
	CHECK(noted("placeholder id 0xff:"));
	CHECK(noted("placeholder id 0xffffffff"));
}

TEST(boot_missing, "a boot cpu that the MADT does not list is added as the last and noted")
{
	start();
	build_madt(&madt);
	build_lapic(&madt, 1, ENABLED);
	build_lapic(&madt, 2, ENABLED);
	build_end(&madt);
	build_topology(9);
	CHECK_EQ(topo.cpu_count, 3);
	CHECK_EQ(topo.cpu[2].apic_id, 9);
	CHECK(noted("APIC id 9"));
}

TEST(too_many_cpus, "cpus past the limit are counted in a note, and the boot cpu is never among those left out")
{
	start();
	build_madt(&madt);
	for (unsigned i = 0; i < CPU_MAX + 100; i++) {
		build_x2apic(&madt, i, ENABLED);
	}
	build_end(&madt);
	build_topology(CPU_MAX + 50);
	check_invariants();
	CHECK_EQ(topo.cpu_count, CPU_MAX);
	CHECK_EQ(topo.cpu[CPU_MAX - 1].apic_id, CPU_MAX + 50);
	CHECK(noted("1124 cpus, of which the first 1024"));
}

TEST(dense_nodes, "nodes are dense by ascending domain and include those with only memory and only cpus")
{
	start();
	build_madt(&madt);
	build_lapic(&madt, 0, ENABLED);
	build_lapic(&madt, 2, ENABLED);
	build_end(&madt);
	build_srat(&srat, 3);
	build_srat_lapic(&srat, 0, 7, ENABLED);
	build_srat_lapic(&srat, 2, 0x20003, ENABLED);
	build_srat_lapic(&srat, 2, 9, 0);		/* disabled: says nothing */
	build_srat_lapic(&srat, 50, 4, ENABLED);	/* no such cpu: makes no node */
	build_srat_memory(&srat, 0x100000, 0x100000, 7, ENABLED);
	build_srat_memory(&srat, 0, 0x1000, 1, ENABLED);
	build_srat_memory(&srat, 0, 0, 5, ENABLED);	/* empty: makes no node */
	build_srat_memory(&srat, 0x900000, 0x1000, 6, 0);
	build_srat_memory(&srat, 0x400000, 0x1000, 1, ENABLED | 2);
	build_end(&srat);
	build_topology(0);
	check_invariants();
	CHECK_EQ(topo.node_count, 3);
	CHECK_EQ(topo.node_pxm[0], 1);
	CHECK_EQ(topo.node_pxm[1], 7);
	CHECK_EQ(topo.node_pxm[2], 0x20003);
	CHECK_EQ(topo.cpu[0].node, 1);
	CHECK_EQ(topo.cpu[1].node, 2);
	CHECK_EQ(topo.mem_count, 3);
	CHECK_EQ(topo.mem[0].node, 0);
	CHECK_EQ(topo.mem[1].node, 1);
	CHECK(topo.mem[2].hotplug && !topo.mem[1].hotplug);
	CHECK_EQ(node_of(0x1fffff), 1);
	CHECK_EQ(node_of(0x200000), NODE_NONE);
	CHECK_EQ(topo.distance[0][2], DISTANCE_REMOTE);
}

TEST(conflict, "of two domains for one cpu the last counts and both are noted; a cpu without one is in node 0")
{
	start();
	build_madt(&madt);
	build_lapic(&madt, 0, ENABLED);
	build_lapic(&madt, 1, ENABLED);
	build_lapic(&madt, 2, ENABLED);
	build_end(&madt);
	build_srat(&srat, 3);
	build_srat_lapic(&srat, 0, 0, ENABLED);
	build_srat_lapic(&srat, 1, 0, ENABLED);
	build_srat_x2apic(&srat, 1, 1, ENABLED);
	build_end(&srat);
	build_topology(0);
	check_invariants();
	CHECK_EQ(topo.cpu[1].node, 1);
	CHECK_EQ(topo.cpu[2].node, 0);
	CHECK(noted("APIC id 1 is in domain 0 and in domain 1"));
	CHECK(noted("1 of 3 cpus have no domain"));
}

TEST(overlaps, "where ranges overlap the first one counts and the rest of the later one stays, in pieces")
{
	start();
	build_srat(&srat, 3);
	build_srat_memory(&srat, 0x2000, 0x1000, 0, ENABLED);
	build_srat_memory(&srat, 0x4000, 0x1000, 0, ENABLED);
	build_srat_memory(&srat, 0x1000, 0x5000, 1, ENABLED);
	build_srat_memory(&srat, 0x4800, 0x100, 2, ENABLED);		/* wholly covered */
	build_srat_memory(&srat, 0x6000, UINT64_MAX, 2, ENABLED);	/* past 2^64 */
	build_end(&srat);
	build_topology(0);
	check_invariants();
	CHECK_EQ(topo.mem_count, 6);
	CHECK_EQ(topo.mem[0].base, 0x1000);
	CHECK_EQ(topo.mem[0].length, 0x1000);
	CHECK_EQ(topo.mem[0].node, 1);
	CHECK_EQ(topo.mem[1].node, 0);
	CHECK_EQ(topo.mem[2].base, 0x3000);
	CHECK_EQ(topo.mem[2].node, 1);
	CHECK_EQ(topo.mem[4].base, 0x5000);
	CHECK_EQ(topo.mem[4].length, 0x1000);
	CHECK_EQ(topo.mem[5].base, 0x6000);
	CHECK(noted("overlaps domain 0 at 0x2000"));
	CHECK(noted("ends above 2^64"));
}

TEST(touching, "ranges that touch do not overlap and stay apart")
{
	start();
	build_srat(&srat, 3);
	build_srat_memory(&srat, 0x2000, 0x1000, 0, ENABLED);
	build_srat_memory(&srat, 0x3000, 0x1000, 0, ENABLED);
	build_srat_memory(&srat, 0x1000, 0x1000, 1, ENABLED);
	build_end(&srat);
	build_topology(0);
	check_invariants();
	CHECK_EQ(topo.mem_count, 3);
	CHECK(!noted("overlaps"));
}

TEST(too_many_domains, "domains past the limit fold into the last node, so that no cpu and no memory is lost")
{
	start();
	build_srat(&srat, 3);
	for (unsigned i = 0; i < NODE_MAX + 10; i++) {
		/* Falling, so that those which come first are those that give way. */
		build_srat_memory(&srat, i * 0x1000ul, 0x1000, 1000 - i, ENABLED);
	}
	build_srat_memory(&srat, 0x1000000, 0x1000, 5000, ENABLED);	/* and one that comes when all is full */
	build_end(&srat);
	build_topology(0);
	check_invariants();
	CHECK_EQ(topo.node_count, NODE_MAX);
	CHECK_EQ(node_of(0x1000000), NODE_MAX - 1);
	CHECK_EQ(topo.node_pxm[0], 1000 - NODE_MAX - 9);
	CHECK_EQ(topo.node_pxm[NODE_MAX - 1], 990);
	CHECK_EQ(topo.mem_count, NODE_MAX + 11);
	CHECK_EQ(node_of(0), NODE_MAX - 1);
	CHECK_EQ(node_of(10 * 0x1000), NODE_MAX - 1);
	CHECK_EQ(node_of(11 * 0x1000), NODE_MAX - 2);
	CHECK(noted("more than 64 domains"));
}

TEST(too_many_ranges, "memory ranges past the limit are left out and counted in a note")
{
	start();
	build_srat(&srat, 3);
	for (unsigned i = 0; i < TOPO_MEM_MAX + 3; i++) {
		build_srat_memory(&srat, (1000 - i) * 0x2000ul, 0x1000, 0, ENABLED);
	}
	build_end(&srat);
	build_topology(0);
	check_invariants();
	CHECK_EQ(topo.mem_count, TOPO_MEM_MAX);
	CHECK(noted("3 memory ranges found no room"));
}

/* Two nodes of domains 0 and 2, and a SLIT for 3 with these values. */
static void two_nodes(const uint8_t distances[9])
{
	start();
	build_srat(&srat, 3);
	build_srat_memory(&srat, 0, 0x1000, 0, ENABLED);
	build_srat_memory(&srat, 0x1000, 0x1000, 2, ENABLED);
	build_end(&srat);
	build_slit(&slit, 3);
	for (unsigned i = 0; i < 9; i++) {
		build_put(&slit, distances[i], 1);
	}
	build_end(&slit);
	build_topology(0);
	check_invariants();
}

TEST(distances, "distances are looked up by domain, may differ by direction and may be unreachable")
{
	two_nodes((const uint8_t[]){ 10, 99, 21, 99, 10, 99, 255, 99, 10 });
	CHECK(topo.has_slit);
	CHECK_EQ(topo.distance[0][1], 21);
	CHECK_EQ(topo.distance[1][0], DISTANCE_NONE);
	CHECK(!noted("SLIT"));
}

TEST(senseless, "a distance that makes no sense is replaced alone and noted")
{
	two_nodes((const uint8_t[]){ 11, 99, 10, 99, 10, 99, 31, 99, 10 });
	CHECK_EQ(topo.distance[0][0], DISTANCE_LOCAL);
	CHECK_EQ(topo.distance[0][1], DISTANCE_REMOTE);
	CHECK_EQ(topo.distance[1][0], 31);
	CHECK(noted("domain 0 to 0 is 11"));
	CHECK(noted("2 distances in all"));
}

TEST(small_slit, "domains past the SLIT are remote, and a SLIT too short for its count is not used")
{
	two_nodes((const uint8_t[]){ 10, 99, 21, 99, 10, 99, 21, 99, 10 });
	build_poke(&slit, 36, 2, 8);
	build_topology(0);
	check_invariants();
	CHECK(topo.has_slit);
	CHECK_EQ(topo.distance[0][1], DISTANCE_REMOTE);
	CHECK(noted("covers domains below 2"));
	build_poke(&slit, 36, 4, 8);
	build_topology(0);
	CHECK(!topo.has_slit);
	CHECK(noted("SLIT: not used"));
}

TEST(fallback, "nodes to fall back to come by distance, ties by number, the node itself first")
{
	unsigned order[NODE_MAX];
	const unsigned want[] = { 1, 3, 0, 4, 2 };

	topo = (struct topology){ .node_count = 5 };
	memcpy(topo.distance[1], (const uint8_t[]){ 20, 15, 255, 11, 20 }, 5);
	topology_fallback(&topo, 1, order);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(order[i], want[i]);
	}
}

TEST(note_limit, "more notes than fit are counted and the first ones kept")
{
	start();
	build_madt(&madt);
	build_lapic(&madt, 0, ENABLED);
	for (unsigned i = 0; i < 2 * TOPO_NOTE_MAX; i++) {
		build_lapic(&madt, 0, ENABLED);
	}
	build_end(&madt);
	build_topology(0);
	CHECK_EQ(topo.note_count, 2 * TOPO_NOTE_MAX);
	CHECK(strstr(topo.note[TOPO_NOTE_MAX - 1], "listed again") != NULL);
}

/* --- mutated tables ------------------------------------------------------------------------------------------- */

static void random_tables(struct test_rng *r)
{
	unsigned cpus = (unsigned)test_rand_below(r, 12), domains = 1 + (unsigned)test_rand_below(r, 6);

	start();
	build_madt(&madt);
	build_srat(&srat, (uint8_t)(1 + test_rand_below(r, 3)));
	for (unsigned i = 0; i < cpus; i++) {
		uint32_t id = (uint32_t)test_rand_below(r, 16), flags = (uint32_t)test_rand_below(r, 4);

		build_lapic(&madt, (uint8_t)id, flags);
		build_x2apic(&madt, id + 250, flags);
		build_srat_lapic(&srat, (uint8_t)id, (uint32_t)test_rand_below(r, domains), ENABLED);
		build_srat_x2apic(&srat, id + 250, (uint32_t)test_rand_below(r, domains), ENABLED);
		build_srat_memory(&srat, test_rand_below(r, 64) << 12, test_rand_below(r, 16) << 12,
				  (uint32_t)test_rand_below(r, domains), (uint32_t)test_rand_below(r, 4));
	}
	build_slit(&slit, domains);
	for (unsigned i = 0; i < domains * domains; i++) {
		build_put(&slit, i % (domains + 1) == 0 ? 10 : test_rand_below(r, 256), 1);
	}
}

static void mutate(struct test_rng *r, struct build *b)
{
	for (unsigned n = (unsigned)test_rand_below(r, 4); n > 0; n--) {
		b->bytes[test_rand_below(r, b->size)] = (uint8_t)test_rand(r);
	}
	if (test_rand_below(r, 4) == 0) {
		b->size = (uint32_t)test_rand_below(r, b->size + 1);
	}
}

TEST(mutations, "whatever bytes the tables hold, the topology keeps its invariants and nothing outside is read")
{
	struct test_rng r = { .state = 42 };

	for (unsigned round = 0; round < 3000; round++) {
		random_tables(&r);
		mutate(&r, &madt);
		mutate(&r, &srat);
		mutate(&r, &slit);
		build_topology((uint32_t)test_rand_below(&r, 20));
		check_invariants();
	}
}

/* The plain model of memory: which domain claims a page first. */
TEST(memory_model, "every page belongs to the first enabled range that covers it")
{
	struct test_rng r = { .state = 7 };

	for (unsigned round = 0; round < 500; round++) {
		uint32_t owner[128];

		start();
		build_srat(&srat, 3);
		memset(owner, 0xff, sizeof(owner));
		for (unsigned i = 0; i < 10; i++) {
			unsigned base = (unsigned)test_rand_below(&r, 100), pages = (unsigned)test_rand_below(&r, 20);
			uint32_t pxm = (uint32_t)test_rand_below(&r, 5), flags = (uint32_t)test_rand_below(&r, 4);

			build_srat_memory(&srat, base * 4096ul, pages * 4096ul, pxm, flags);
			for (unsigned p = base; p < base + pages && (flags & ENABLED) != 0; p++) {
				owner[p] = owner[p] == UINT32_MAX ? pxm : owner[p];
			}
		}
		build_end(&srat);
		build_topology(0);
		check_invariants();
		for (unsigned p = 0; p < ARRAY_SIZE(owner); p++) {
			unsigned node = node_of(p * 4096ul + 17);

			CHECK_EQ(node == NODE_NONE ? UINT32_MAX : topo.node_pxm[node], owner[p]);
		}
	}
}
