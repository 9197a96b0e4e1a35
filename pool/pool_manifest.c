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

/* Those of cpus that the pool did not get. */
static void drop_rows(const struct pool *p, struct sched_table *t)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < t->count; i++) {
		if (cpuset_has(&p->cpus, t->row[i].slot)) {
			t->row[kept++] = t->row[i];
		} else {
			log_printf("pool %s: the windows of cpu %u are left out", p->name, t->row[i].slot);
		}
	}
	t->count = kept;
}

static void set_table(struct pool *p, const struct manifest *m, const struct manifest_pool *mp)
{
	struct sched_table *t = mp->ops->check_table != NULL ? pool_table_new(SCHED_ROWS_MAX) : NULL;
	struct sched_reason why = { "no memory for its table" };

	if (mp->ops->check_table == NULL) {
		return;
	}
	if (t == NULL || !manifest_pool_table(m, mp, t, &why)) {
		log_printf("pool %s: no table: %s", p->name, why.words);
		pool_table_free(t);
		return;
	}
	drop_rows(p, t);
	if (pool_tune_table(p, &mp->values, t, &why) != ERR_OK) {
		log_printf("pool %s: no table: %s", p->name, why.words);
	}
	pool_table_free(t);
}

void pool_manifest_build(const struct manifest *m)
{
	pool_set_default(m->boot.default_ops);
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
		set_table(p, m, mp);
	}
}
