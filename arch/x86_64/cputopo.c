/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Topology from APIC ids (SDM 3A 8.9): an id is package | core | thread, and CPUID gives the shifts. Leaf 0xB is checked
 * against leaf 1, since firmware and emulators get its shifts wrong; with nothing to believe every cpu is a core.
 */
#include "arch/x86_64/cputopo.h"

#include "arch/x86_64/insn.h"
#include "kernel/cpu.h"

#define LEVELS_MAX	8u
#define LEVEL_SMT	1u
#define CACHES_MAX	8u

struct shifts {
	unsigned core, llc, package;
};

static void read_levels(struct shifts *s, uint32_t leaf)
{
	for (unsigned i = 0; i < LEVELS_MAX; i++) {
		struct cpuid c = insn_cpuid(leaf, i);
		unsigned type = c.ecx >> 8 & 0xff;

		if (type == 0 || (c.ebx & 0xffff) == 0) {
			break;
		}
		if (type == LEVEL_SMT) {
			s->core = c.eax & 31;
		}
		s->package = MAX(s->package, c.eax & 31);
	}
}

static struct shifts shifts_read(void)
{
	struct shifts s = { 0 };
	struct cpuid basic = insn_cpuid(0, 0), one = insn_cpuid(1, 0);

	if (basic.eax >= 0xb) {
		read_levels(&s, 0xb);
	}
	if ((one.edx & 1u << 28) != 0) {	/* HTT: EBX[23:16] is the number of ids in a package */
		s.package = MAX(s.package, log2_ceil(one.ebx >> 16 & 0xff));
	}
	s.core = MIN(s.core, s.package);
	s.llc = s.package;
	for (unsigned i = 0; basic.eax >= 4 && i < CACHES_MAX; i++) {
		struct cpuid c = insn_cpuid(4, i);

		if ((c.eax & 31) == 0) {
			break;
		}
		s.llc = MIN(log2_ceil((c.eax >> 14 & 0xfff) + 1), s.package);
	}
	s.llc = MAX(s.llc, s.core);
	return s;
}

/* The number at `offset` of the first cpu before c whose id agrees above shift; else the next new one. */
static unsigned number_of(const struct cpu *c, unsigned shift, size_t offset, unsigned *next)
{
	for (unsigned i = 0; i < c->id; i++) {
		const struct cpu *other = cpu_get(i);

		if (other != NULL && other->apic_id >> shift == c->apic_id >> shift) {
			return *(const unsigned *)(const void *)((const char *)other + offset);
		}
	}
	return (*next)++;
}

void cputopo_assign(void)
{
	struct shifts s = shifts_read();
	unsigned cores = 0, llcs = 0, packages = 0;

	for (unsigned i = 0; i < cpu_count(); i++) {
		struct cpu *c = cpu_get(i);

		if (c == NULL) {
			continue;
		}
		c->core = number_of(c, s.core, offsetof(struct cpu, core), &cores);
		c->llc = number_of(c, s.llc, offsetof(struct cpu, llc), &llcs);
		c->package = number_of(c, s.package, offsetof(struct cpu, package), &packages);
	}
}
