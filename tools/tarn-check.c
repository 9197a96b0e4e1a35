/* SPDX-License-Identifier: BSD-2-Clause */
/* tarn-check: what a manifest or a machine's ACPI tables mean to Tarn, without booting it. */
#include <stdio.h>
#include <string.h>

#include "tools/check_manifest.h"
#include "tools/check_topology.h"

static const char usage[] =
	"usage: tarn-check MANIFEST [ACPI=dir] [CPUS=n] [NODES=n]\n"
	"       tarn-check --topology DIR [-v]\n"
	"       tarn-check --tables DIR\n"
	"       tarn-check --help\n"
	"\n"
	"MANIFEST        prints what it would do on the machine whose tables lie in dir, or on one of n cpus (4) in n\n"
	"                nodes (2); or lists its errors on stderr, and the exit status is 1.\n"
	"--topology DIR  prints as JSON the cpus, memory ranges and distances that the ACPI tables of DIR (APIC.dat,\n"
	"                SRAT.dat, SLIT.dat, FACP.dat, ...) hold, entry by entry. Problems go to stderr: `error:` a table\n"
	"                that is not used, `warning:` one that is used with a doubt, `note:` an oddity inside a table.\n"
	"                -v adds, on stderr, the cpus and nodes that Tarn would make of it.\n"
	"--tables DIR    prints as JSON the interrupt wiring and the main fields of FADT, HPET, MCFG, SPCR and PPTT.\n"
	"\n"
	"Exit status: 0 when it was printed, 1 when the manifest has errors or DIR holds no tables or cannot be read,\n"
	"2 for a wrong call or a manifest that cannot be read.\n";

static int wrong(const char *found)
{
	fprintf(stderr, "error: found %s, expected one of:\n%s", found, usage);
	return 2;
}

int main(int argc, char **argv)
{
	const char *first = argc > 1 ? argv[1] : "no argument";

	if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (strcmp(first, "--topology") == 0 && argc == 3) {
		return check_topology(argv[2], false);
	}
	if (strcmp(first, "--topology") == 0 && argc == 4 && strcmp(argv[3], "-v") == 0) {
		return check_topology(argv[2], true);
	}
	if (strcmp(first, "--tables") == 0 && argc == 3) {
		return check_tables(argv[2]);
	}
	if (argc > 1 && first[0] != '-') {
		return check_manifest(argc, argv);
	}
	return wrong(first);
}
