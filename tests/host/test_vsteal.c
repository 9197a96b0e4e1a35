/* SPDX-License-Identifier: BSD-2-Clause */
/* vm/vsteal: stolen time as a guest finds it, alone and over scripted guests that share a cpu. */
#include "tests/host/test.h"

#include "tests/host/vm_fixture.h"
#include "vm/vsteal.h"

static uint8_t ram[LARGE_SIZE] __attribute__((aligned(64)));
static hpa_t block;
static struct gmem g;
static struct vsteal s;

static void fresh(void)
{
	memset(ram, 0, sizeof(ram));
	block = arch_direct_hpa(ram);
	CHECK_EQ(gmem_init(&g, sizeof(ram), &block, 1), ERR_OK);
	s = (struct vsteal){ 0 };
}

static uint64_t at(unsigned offset, unsigned bytes)
{
	uint64_t value = 0;

	CHECK(gmem_read(&g, gpa(0x1000 + offset), &value, bytes));
	return value;
}

TEST(figure, "the guest's figure grows by what its vCPU waits from when it asked, under a version that ends even")
{
	fresh();
	CHECK(!vsteal_is_on(&s));
	CHECK(vsteal_write(&s, &g, 0x1001, 5000));
	CHECK(vsteal_is_on(&s));
	CHECK_EQ(at(0, 8), 0);
	vsteal_run(&s, &g, 5000);
	CHECK_EQ(at(0, 8), 0);
	vsteal_run(&s, &g, 5300);
	CHECK_EQ(at(0, 8), 300);
	CHECK(at(8, 4) % 2 == 0 && at(8, 4) != 0);
	vsteal_run(&s, &g, 7000);
	CHECK_EQ(at(0, 8), 2000);
	CHECK(at(8, 4) % 2 == 0);
	CHECK_EQ(at(12, 4), 0);
	/* Asked again, as after kexec: it goes on from there. */
	CHECK(vsteal_write(&s, &g, 0x1001, 9000));
	vsteal_run(&s, &g, 9001);
	CHECK_EQ(at(0, 8), 2001);
}

TEST(preempted, "preempted is 1 from when the vCPU leaves its cpu to when it comes back, with or without a wait")
{
	fresh();
	CHECK(vsteal_write(&s, &g, 0x1001, 0));
	CHECK_EQ(at(16, 1), 0);
	vsteal_put(&s, &g);
	CHECK_EQ(at(16, 1), 1);
	vsteal_run(&s, &g, 0);
	CHECK_EQ(at(16, 1), 0);
	for (unsigned i = 17; i < VSTEAL_BYTES; i++) {
		CHECK_EQ(at(i, 1), 0);
	}
}

TEST(refused, "reserved bits and addresses outside RAM are #GP and change nothing; off needs no address")
{
	fresh();
	CHECK(vsteal_write(&s, &g, 0x1001, 0));
	for (unsigned bit = 1; bit < 6; bit++) {
		CHECK(!vsteal_write(&s, &g, 0x1001 | 1ul << bit, 0));
	}
	CHECK(!vsteal_write(&s, &g, sizeof(ram) | 1, 0));
	CHECK(!vsteal_write(&s, &g, ~0x3eul, 0));
	CHECK_EQ(s.msr, 0x1001);
	CHECK(vsteal_write(&s, &g, (sizeof(ram) - 64) | 1, 0));
	CHECK(vsteal_write(&s, &g, 0xfffffffff000, 0));
	CHECK(!vsteal_is_on(&s));
}

TEST(torn, "a version that the guest left odd ends even all the same")
{
	uint32_t odd = 7;

	fresh();
	CHECK(gmem_write(&g, gpa(0x1008), &odd, 4));
	CHECK(vsteal_write(&s, &g, 0x1001, 0));
	vsteal_run(&s, &g, 1);
	CHECK_EQ(at(8, 4), 8);
	odd = UINT32_MAX;
	CHECK(gmem_write(&g, gpa(0x1008), &odd, 4));
	vsteal_run(&s, &g, 2);
	CHECK_EQ(at(8, 4), 0);
}

static const struct fake_step asks_and_spins[] = {
	FAKE_WRMSR(VSTEAL_MSR, 0x300001ul), FAKE_RDMSR(VSTEAL_MSR), FAKE_WRMSR(VSTEAL_MSR, 0x300003ul), { .kind = FAKE_SPIN },
};

TEST(shared, "of two guests that share a cpu each finds about half of the time stolen; what is stolen is what it waited")
{
	struct vm_config c;
	struct vm *vm[2];
	uint64_t steal[2], start;

	fixture_make(1, asks_and_spins, ARRAY_SIZE(asks_and_spins));
	c = fixture_config("a");
	vm[0] = fixture_start(&c);
	c = fixture_config("b");
	vm[1] = fixture_start(&c);
	start = fake.now_ns;
	fixture_run(400);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(gmem_read(&vm[i]->mem, gpa(0x300000), &steal[i], 8));
		CHECK(steal[i] > 0 && steal[i] <= vm[i]->vcpu[0]->entity.wait_ns);
		CHECK(steal[i] > (fake.now_ns - start) / 4 && steal[i] < (fake.now_ns - start) * 3 / 4);
		CHECK_EQ(fixture_guest(vm[i])->result[1][0], 0x300001);
		CHECK_EQ(fixture_guest(vm[i])->taken_count, 1);		/* the reserved bit */
	}
	CHECK_EQ(vm_stop(vm[0], &fixture_why), ERR_OK);
	CHECK_EQ(vm_start(vm[0], &fixture_why), ERR_OK);
	CHECK(!vsteal_is_on(&vm[0]->vcpu[0]->steal));
	fixture_end();
}
