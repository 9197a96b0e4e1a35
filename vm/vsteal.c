/* SPDX-License-Identifier: BSD-2-Clause */
/* See vsteal.h. */
#include "vm/vsteal.h"

#include <stdatomic.h>
#include <stddef.h>

#define ENABLE		1ul
#define RESERVED	0x3eul		/* the address has 64-byte alignment */

struct area {
	uint64_t steal_ns;		/* 0 */
	uint32_t version;		/* 8 */
	uint32_t flags;			/* 12 */
	uint8_t preempted;		/* 16 */
	uint8_t pad[47];		/* 17 */
};

_Static_assert(sizeof(struct area) == VSTEAL_BYTES && offsetof(struct area, preempted) == 16, "KVM's struct kvm_steal_time");

/* It does not cross a block of memory, being aligned to its size. */
static struct area *area_at(const struct gmem *g, uint64_t msr)
{
	return gmem_ptr(g, gpa(msr & ~(ENABLE | RESERVED)), VSTEAL_BYTES);
}

bool vsteal_write(struct vsteal *s, const struct gmem *g, uint64_t value, uint64_t waited_ns)
{
	if ((value & RESERVED) != 0) {
		return false;
	}
	if ((value & ENABLE) == 0) {
		s->msr = 0;
		return true;
	}
	if (area_at(g, value) == NULL) {
		return false;
	}
	s->msr = value;
	s->told_ns = waited_ns;
	vsteal_run(s, g, waited_ns);
	return true;
}

/* Another vCPU of the guest may read at any time: it takes what it read only if version was even, and the same, around it. */
void vsteal_run(struct vsteal *s, const struct gmem *g, uint64_t waited_ns)
{
	struct area *a = area_at(g, s->msr);
	uint64_t steal_ns = __atomic_load_n(&a->steal_ns, __ATOMIC_RELAXED);
	uint32_t version = __atomic_load_n(&a->version, __ATOMIC_RELAXED) | 1;

	__atomic_store_n(&a->preempted, 0, __ATOMIC_RELAXED);
	if (waited_ns == s->told_ns) {
		return;
	}
	__atomic_store_n(&a->version, version, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
	__atomic_store_n(&a->steal_ns, steal_ns + (waited_ns - s->told_ns), __ATOMIC_RELAXED);
	__atomic_store_n(&a->version, version + 1, __ATOMIC_RELEASE);
	s->told_ns = waited_ns;
}

void vsteal_put(const struct vsteal *s, const struct gmem *g)
{
	__atomic_store_n(&area_at(g, s->msr)->preempted, 1, __ATOMIC_RELAXED);
}
