/* SPDX-License-Identifier: BSD-2-Clause */
/* Cpu sets that people type, on the running machine. */
#pragma once

#include "kernel/cpusetexpr.h"
#include "kernel/lib/err.h"

/* Nodes and cores of the installed cpus; free is what is online and in no pool. */
struct cpusetexpr_facts cpu_args_facts(void);
/* A command's argument; what is wrong with it has been said with shell_fail(). The set may be empty. */
enum err cpu_args_parse(const char *text, struct cpuset *set);
