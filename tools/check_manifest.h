/* SPDX-License-Identifier: BSD-2-Clause */
/* tarn-check's manifest half. */
#pragma once

/*
 * `tarn-check MANIFEST [ACPI=dir] [CPUS=n] [NODES=n]`, argv as main() gets it. Prints what the manifest would do on
 * the machine whose tables lie in dir, or on one of n cpus (4) in n nodes (2). Warnings go to stderr. Returns the exit
 * status: 1 when the manifest has errors, which are listed on stderr; 2 for a wrong call.
 */
int check_manifest(int argc, char **argv);
