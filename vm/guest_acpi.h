/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI tables a guest finds: RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT, where it spans nodes SRAT and SLIT, all between VMAP_ACPI_BASE and _END. */
#pragma once

#include "kernel/lib/err.h"
#include "vm/gmem.h"
#include "vm/guest_numa.h"

/*
 * Writes the tables for a VM of vcpus virtual cpus (local APIC id = index) over what was in that area; *rsdp gets the
 * RSDP's address. numa may be NULL: one node. ERR_RANGE: RAM does not reach the area; ERR_LIMIT: too many vcpus for it. The VM must not run.
 */
enum err guest_acpi_write(const struct gmem *g, unsigned vcpus, const struct guest_numa *numa, gpa_t *rsdp);
