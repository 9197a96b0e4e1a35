/* SPDX-License-Identifier: BSD-2-Clause */
/* See pool_manifest.h. */
#include "pool/pool_manifest.h"

#include "kernel/log.h"
#include "pool/pool.h"

static unsigned node_of_first_cpu(const struct cpuset *cpus)
{
	unsigned first = cpuset_first(cpus);
	const struct cpu *c = first == CPU_NONE ? NULL : cpu_get(first);

	return c == NULL ? 0 : c->node;
}

static void add_cpus(struct pool *p, const struct cpuset *cpus)
{
	CPUSET_FOREACH(cpu, cpus) {
		struct sched_reason why = { "" };

		if (!cpu_is_online(cpu)) {
			log_printf("pool %s: cpu %u is dead and left out", p->name, cpu);
		} else if (pool_add_cpu(p, cpu, &why) != ERR_OK) {
			log_printf("pool %s: cpu %u is left out: %s", p->name, cpu, why.words);
		}
	}
}

void pool_manifest_build(const struct manifest *m)
{
	for (unsigned i = 0; i < m->pool_count; i++) {
		const struct manifest_pool *mp = &m->pool[i];
		struct sched_reason why = { "" };
		struct pool *p;
		enum err e;

		if (!mp->usable || mp->ops == NULL) {
			log_printf("pool %s: left out, for its section has an error", mp->name);
			continue;
		}
		e = pool_create(mp->name, mp->ops, &mp->values, node_of_first_cpu(&mp->cpu_set), &p, &why);
		if (e != ERR_OK) {
			log_printf("pool %s: not made: %s", mp->name, why.words[0] != '\0' ? why.words : err_words(e));
			continue;
		}
		pool_set_warn(p, mp->admission == MANIFEST_WARN);
		add_cpus(p, &mp->cpu_set);
	}
}
