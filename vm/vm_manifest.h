/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs from the manifest, at boot. */
#pragma once

#include "kernel/manifest.h"

/*
 * Makes every usable VM of m (checked; the pools are built) and starts those with autostart. What cannot be is said on the log
 * and left out.
 */
void vm_manifest_build(const struct manifest *m);
