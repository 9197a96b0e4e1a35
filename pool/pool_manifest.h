/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools from the manifest, at boot. */
#pragma once

#include "kernel/manifest.h"

/*
 * Makes every usable pool of m (checked) and gives it its cpus; what cannot be is said on the log and left out. All cpus
 * must be installed and free.
 */
void pool_manifest_build(const struct manifest *m);
