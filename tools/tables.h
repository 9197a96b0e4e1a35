/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of ACPI tables (APIC.dat, SRAT.dat, ...), read and checked for the host programs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/topology.h"

#define TABLES_MAX	256u

/* One file. bytes is a buffer of its own, exactly `have` bytes long, so a sanitizer sees a read past it. */
struct table_file {
	char name[64];		/* the file's: "APIC.dat" */
	char signature[5];	/* what the name asks for */
	uint8_t *bytes;
	size_t have;		/* bytes in the file */
	uint32_t size;		/* bytes of the table; 0: it is not used */
};

struct tables {
	const char *dir;
	struct table_file file[TABLES_MAX];	/* ascending by name */
	unsigned count;
	unsigned errors;			/* tables that are not used */
};

/*
 * Reads every *.dat of dir. A table that cannot be used is told to stderr, with what was found and what was expected,
 * and kept with size 0. False, told as well, when dir cannot be read or holds no tables. Undone by tables_free().
 */
bool tables_load(struct tables *t, const char *dir);
void tables_free(struct tables *t);

/* The first usable table of that signature, or NULL. */
const struct table_file *tables_find(const struct tables *t, const char *signature);

/* What Tarn makes of them: topology_build() with the first enabled cpu as the boot cpu. */
void tables_topology(const struct tables *t, struct topology *out);
