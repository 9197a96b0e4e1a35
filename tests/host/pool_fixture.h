/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools of the fake machine's cpus and guests, for the tests of pool/. */
#pragma once

#include "tests/host/test.h"

#include "tests/fake/guest.h"
#include "tests/fake/machine.h"

static struct sched_reason why;

static inline void reset(unsigned cpus)
{
	fake_machine_init(cpus);
	fake_guest_init();
}

static inline struct pool *new_pool(const char *name, const char *sched, unsigned first, unsigned count)
{
	struct pool *p;

	CHECK_EQ(pool_create(name, sched_policy_find(sched), NULL, 0, &p, &why), ERR_OK);
	for (unsigned id = first; id < first + count; id++) {
		CHECK_EQ(pool_add_cpu(p, id, &why), ERR_OK);
	}
	return p;
}

static inline void sound(struct pool *p)
{
	if (!pool_check(p, &why)) {
		test_fail(__FILE__, __LINE__, "pool %s: %s", p->name, why.words);
	}
}

static inline void all_gone(void)
{
	CHECK_EQ(pool_count(), 0);
	CHECK_EQ(fake.heap_blocks, 0);
	CHECK_EQ(fake.heap_bytes, 0);
	fake_machine_fini();
}

static inline void end(struct fake_vm *vm)
{
	pool_group_remove(&vm->g);
	for (unsigned i = 0; i < vm->count; i++) {
		CHECK_EQ(vm->v[i].on_cpu, CPU_NONE);
	}
}
