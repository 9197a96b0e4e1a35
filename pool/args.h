/* SPDX-License-Identifier: BSD-2-Clause */
/* What people name in commands and manifests, on the running machine. What is wrong has been said with shell_fail(). */
#pragma once

#include "kernel/manifest.h"
#include "kernel/shell.h"
#include "pool/pool.h"

/* Nodes and cores of the installed cpus, the files read at boot; free is what is online and in no pool. */
struct manifest_facts args_facts(void);
/* At least one cpu. */
enum err args_cpus(const char *text, struct cpuset *set);
/* No key=value has the key of another, but for the list that ops may have. */
enum err args_once(const struct shell_args *args, const struct sched_ops *ops);
/* Or NULL: return ERR_NOENT then. */
struct pool *args_pool(const char *name);
