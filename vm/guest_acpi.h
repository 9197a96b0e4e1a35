/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI tables a guest finds: RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT, all between VMAP_ACPI_BASE and _END. */
#pragma once

#include "kernel/lib/err.h"
#include "vm/gmem.h"

/*
 * Writes the tables for a VM of vcpus virtual cpus (local APIC id = index) over what was in that area; *rsdp gets the
 * RSDP's address. ERR_RANGE: RAM does not reach the area; ERR_LIMIT: too many vcpus for it. The VM must not run.
 */
enum err guest_acpi_write(const struct gmem *g, unsigned vcpus, gpa_t *rsdp);
