/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools under a policy that breaks the contract on demand (tests/policies/), watched, for the tests of that. */
#pragma once

#include "tests/host/test.h"

#include "kernel/lib/string.h"
#include "kernel/log.h"
#include "kernel/stuck.h"
#include "pool/pool_internal.h"
#include "tests/fake/guest.h"
#include "tests/fake/machine.h"
#include "tests/policies/faulty.c"

extern const struct sched_ops sched_null, sched_rr;

static struct sched_reason why;

static inline void watch_house(void)
{
	pool_watch();
}

static inline uint64_t house_wait_ns(bool busy)
{
	return 10 * NS_PER_MS;
}

static inline void reset(unsigned cpus)
{
	fake_machine_init(cpus);
	fake_guest_init();
	dispatch_set_housekeeping(watch_house, house_wait_ns);
	pool_watch_init();
}

static inline struct pool *new_pool(const char *name, const struct sched_ops *ops, unsigned first, unsigned last)
{
	struct pool *p;

	CHECK_EQ(pool_create(name, ops, NULL, 0, &p, &why), ERR_OK);
	for (unsigned id = first; id <= last; id++) {
		CHECK_EQ(pool_add_cpu(p, id, &why), ERR_OK);
	}
	return p;
}

/* Where tune() is to loop it does so in here. */
static inline void set_fault(struct pool *p, enum fault fault)
{
	struct sched_values v = p->sched.values;

	v.v[FAULTY_FAULT] = fault;
	CHECK_EQ(pool_tune(p, &v, &why), ERR_OK);
}

static inline bool log_says(const char *words)
{
	char line[LOG_LINE_MAX + 1];
	uint64_t at = 0;
	size_t len;

	while (log_read(&at, line, &len)) {
		line[len] = '\0';
		if (strstr(line, words) != NULL) {
			return true;
		}
	}
	return false;
}

static inline void end(struct fake_vm *vm)
{
	struct pool *p = vm->g.pool;

	CHECK(pool_check(p, &why));
	pool_group_remove(&vm->g);
	CHECK_EQ(pool_destroy(p, &why), ERR_OK);
	CHECK_EQ(fake.heap_blocks, 0);
	fake_machine_fini();
}

/* Each of vm's busy vCPUs runs its share under rr. */
static inline void check_goes_on(struct fake_vm *vm, unsigned busy)
{
	uint64_t before[FAKE_VCPUS_MAX];
	struct pool *p = vm->g.pool;

	CHECK_STR(p->sched.ops->name, "rr");
	for (unsigned i = 0; i < vm->count; i++) {
		before[i] = vm->v[i].e.used_ns;
	}
	fake_guest_run(2 * NS_PER_S, NS_PER_MS);
	for (unsigned i = 0; i < busy; i++) {
		uint64_t ran_ns = vm->v[i].e.used_ns - before[i];
		uint64_t fair_ns = 2 * NS_PER_S * cpuset_count(&p->cpus) / busy;

		CHECK(ran_ns >= fair_ns * 9 / 10 && ran_ns <= fair_ns * 11 / 10);
	}
	CHECK(pool_check(p, &why));
}

/* A VM of so many busy vCPUs in a pool of cpus first to last under the policy that can be made to misbehave. */
static inline struct pool *start_faulty(struct fake_vm *vm, unsigned vcpus, unsigned first, unsigned last)
{
	struct pool *p;

	fake_vm_init(vm, "a", vcpus);
	p = new_pool("p", &sched_faulty, first, last);
	fake_vm_start(vm, p);
	return p;
}
