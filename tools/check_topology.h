/* SPDX-License-Identifier: BSD-2-Clause */
/* tarn-check's topology half. Each prints JSON to stdout, problems to stderr, and returns the exit status. */
#pragma once

#include <stdbool.h>

/* `--topology DIR`: cpus, memory, slit, lapic_address. With verbose also what Tarn makes of it, to stderr. */
int check_topology(const char *dir, bool verbose);
/* `--tables DIR`: the main fields of the other tables, and the MADT's interrupt wiring. */
int check_tables(const char *dir);
