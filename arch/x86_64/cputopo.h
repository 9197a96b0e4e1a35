/* SPDX-License-Identifier: BSD-2-Clause */
/* Which cpus share a core, a last-level cache, a package: from APIC ids and the boot cpu's CPUID. */
#pragma once

/* Sets core, llc and package of every installed cpu to dense numbers, in order of first appearance. */
void cputopo_assign(void);
