/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs from the manifest's terms, at boot and by command. */
#pragma once

#include "kernel/manifest.h"
#include "vm/vm.h"

/*
 * Makes every usable VM of m (checked; the pools are built) and starts those with autostart. What cannot be is said on the log
 * and left out.
 */
void vm_manifest_build(const struct manifest *m);

/* What a checked section says, as vm_create() takes it. */
void vm_manifest_config(struct vm_config *c, const struct manifest_vm *mv);
